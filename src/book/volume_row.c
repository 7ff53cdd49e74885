/* What rows of both kinds of volumes have: their link in the chain, and a client's address. */
#include "book/volume_impl.h"

/* The head in memory moves at once: the next event of the batch stands on this one. */
int volume_next_link(struct volume *v, struct volume_lane *lane, const uint8_t *key,
                     const struct chain_record *record, struct chain_hash *out_commitment,
                     struct chain_hash *out_link)
{
    int r = chain_commit(v->chain, key, record, out_commitment);
    if (r == 0)
        r = chain_link(v->chain, &lane->head, record, out_commitment, out_link);
    if (r < 0)
        return r;
    lane->head = *out_link;
    lane->events++;
    return 0;
}

int volume_row_is_known(sqlite3_stmt *s)
{
    int r = db_step(s);

    sqlite3_reset(s);
    return r;
}

struct span volume_ip_text(const uint8_t ip[static IP_BYTES], char out[static IP_TEXT])
{
    static const uint8_t zero[IP_BYTES];

    if (memcmp(ip, zero, sizeof(zero)) == 0)
        return SPAN("");
    ip_format(ip, out);
    return span_from_cstr(out);
}
