/* Rows of refusals. One has no entry: nothing waits for its fate, since this server never had the
 * message. So there is only the event, with its link in the chain of its own week's file. */
#include "book/volume_impl.h"

#include <errno.h>

/* `helo`, `auth` and so on go in as they came; who shows them makes them printable. */
static int add_row(struct volume *v, struct volume_lane *lane, const struct event *e,
                   const struct chain_record *record)
{
    struct chain_hash commitment, link;
    int r = volume_next_link(v, lane, e->key, record, &commitment, &link);
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_REFUSAL_ADD);

    if (r < 0 || !s)
        return r < 0 ? r : db_error(&v->db);
    sqlite3_bind_int64(s, 1, lane->at.lane);
    db_bind_blob(s, 2, e->reference.bytes, ID_BYTES);
    db_bind_blob(s, 3, e->session.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 4, e->time_us);
    sqlite3_bind_int64(s, 5, e->until_us);
    sqlite3_bind_int64(s, 6, e->count);
    db_bind_text(s, 7, volume_text(record->personal[CHAIN_CLIENT_IP]));
    sqlite3_bind_int64(s, 8, e->port);
    db_bind_text(s, 9, volume_text(e->service));
    db_bind_text(s, 10, volume_text(e->helo));
    db_bind_text(s, 11, volume_text(e->tls));
    db_bind_text(s, 12, volume_text(e->auth));
    db_bind_text(s, 13, volume_text(e->sender));
    db_bind_text(s, 14, volume_text(e->recipient));
    db_bind_text(s, 15, volume_text(e->phase));
    db_bind_text(s, 16, volume_text(e->reply));
    db_bind_blob(s, 17, e->key, ENVELOPE_KEY_BYTES);
    db_bind_blob(s, 18, commitment.bytes, CHAIN_HASH_BYTES);
    db_bind_blob(s, 19, link.bytes, CHAIN_HASH_BYTES);
    return db_run(s);
}

/* By the reference, which is made anew for each refusal, and the time. */
static int is_known(struct volume *v, const struct volume_lane *lane, const struct event *e)
{
    if (!volume_may_know(lane))
        return 0;
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_REFUSAL_KNOWN);
    if (!s)
        return db_error(&v->db);
    db_bind_blob(s, 1, e->reference.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, e->time_us);
    return volume_row_is_known(s);
}

/* The fields that the chain covers; the service's own words (phase) are plain, what names people is
 * personal and can be erased (chain.h). */
int volume_fold_refusal(struct volume *v, struct volume_lane *lane, const struct event *e)
{
    char ip_text[IP_TEXT];
    struct chain_record record = {
        .kind = EVENT_REFUSED,
        .recipient_index = EVENT_NO_RECIPIENT,
        .parent = EVENT_NO_RECIPIENT,
        .time_us = e->time_us,
        .until_us = e->until_us,
        .count = e->count,
        .actor_uid = EVENT_NO_ACTOR,
        .tls = e->tls,
        .phase = e->phase,
        .service = e->service,
        .session = e->session,
        .reference = e->reference,
        .port = e->port,
        .personal = {[CHAIN_SENDER] = e->sender,
                     [CHAIN_RECIPIENT] = e->recipient,
                     [CHAIN_CLIENT_IP] = volume_ip_text(e->ip, ip_text),
                     [CHAIN_HELO] = e->helo,
                     [CHAIN_AUTH] = e->auth,
                     [CHAIN_REPLY] = e->reply},
    };
    int r = is_known(v, lane, e);
    return r != 0 ? (r < 0 ? r : 0) : add_row(v, lane, e, &record);
}
