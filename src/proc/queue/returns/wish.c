#include "proc/queue/returns/wish.h"

#include "mail/address.h"
#include "mail/dsn.h"
#include "proc/queue/core/route.h"

/* The expansion that the child of this index came from; NULL when it is no child. */
static const struct spool_expansion *expansion_of(const struct wish_source *s, uint32_t recipient)
{
    size_t first = s->envelope->recipient_count;

    for (size_t i = 0; i < s->expansion_count; i++) {
        if (recipient >= first && recipient - first < s->expansions[i].child_count)
            return &s->expansions[i];
        first += s->expansions[i].child_count;
    }
    return NULL;
}

/* An alias may lead to an alias: up to the recipient that the sender named. A parent always
 * comes before its children, so damaged expansions end the way, too. */
struct envelope_wish wish_find(const struct wish_source *s, uint32_t recipient)
{
    const struct spool_expansion *from;
    bool fanned_out = false;

    while ((from = expansion_of(s, recipient)) && from->parent < recipient) {
        fanned_out |= from->child_count > 1;
        recipient = from->parent;
    }
    struct envelope_wish wish = envelope_wish_of(s->envelope, recipient);
    if (fanned_out)
        wish.notify = dsn_notify_after_fan_out(wish.notify);
    return wish;
}

struct span wish_original(const struct envelope_wish *wish,
                          const struct envelope_recipient *recipient, struct arena *arena)
{
    struct buffer text = BUFFER_LIMITED(ENVELOPE_ORCPT_MAX);
    struct span made = SPAN("");

    if (wish->original.size || span_equal(recipient->address, recipient->original))
        return wish->original;
    buffer_append_span(&text, SPAN("rfc822;"));
    dsn_xtext_encode(recipient->original, &text);
    if (!buffer_error(&text) && dsn_is_original(buffer_span(&text), false))
        made = arena_copy(arena, buffer_span(&text));
    buffer_done(&text);
    return made.data ? made : SPAN("");
}

/* Receipts tell strangers who exists and when mail was read in: the configuration says
 * who may ask. */
bool wish_may_have_receipts(const struct conf_queue *conf, const struct envelope *e)
{
    struct span domain = address_domain_of(e->sender);

    if (!e->sender.size || conf->receipts == CONF_RECEIPTS_NONE)
        return false;
    return conf->receipts == CONF_RECEIPTS_ALL || e->client.uid != UINT32_MAX ||
           route_names(conf, domain);
}
