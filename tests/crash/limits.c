/*
 * Messages at the limits: as many recipients as an envelope may have, the longest addresses, and
 * all that RFC 3461 lets a sender ask for. Their header is as long as a segment has room for, to
 * the byte: one more is refused.
 */
#include "world.h"

#include "spool/lane.h"
#include <errno.h>

/* What a record takes beside its texts, as append.c counts it: of a message and of an expansion;
 * of a recipient and of a wish. */
enum { FIXED = 512, EACH = 32 };

static size_t texts_of(const struct envelope *e)
{
    size_t size = e->sender.size + e->message_id.size + e->envelope_id.size +
                  e->client.service.size + e->client.helo.size + e->client.protocol.size +
                  e->client.tls.size + e->client.auth.size;

    for (size_t i = 0; i < e->wish_count; i++)
        size += e->wishes[i].original.size + EACH;
    return size;
}

static size_t bound_of(const struct model_message *message, const struct model_content *content)
{
    const struct envelope *e = &content->envelope;
    size_t bound = FIXED + texts_of(e) + append_recipients_bound(e->recipients, e->recipient_count);

    for (uint32_t i = 0; i < message->expansions; i++)
        bound += FIXED + append_recipients_bound(content->expansions[i].children,
                                                 content->expansions[i].child_count);
    return bound;
}

/* Each of the longest takes some 1,600 bytes; of the others ten thousand take 700 KB. With a few
 * the record is nearly as large as it is counted. */
static uint32_t draw_recipients(struct world *w, bool *out_longest)
{
    static const uint32_t most[] = {2, 2, 600};

    *out_longest = prng_below(&w->other, 10) != 0;
    return *out_longest ? 1 + (uint32_t)prng_below(&w->other, most[prng_below(&w->other, 3)])
                        : ENVELOPE_RECIPIENTS_MAX;
}

/* What is refused for its size leaves nothing behind, so it may be tried from above. */
void world_accept_at_limit(struct world *w)
{
    enum { TRIES = 64, ABOVE = 16 };
    uint64_t room = group_room_bytes(w->spool);
    struct model_content content;
    bool longest;
    uint32_t count = draw_recipients(w, &longest);
    struct model_message *message = model_new_message(&w->model, &w->prng, w->now_us, 0, count);

    message->is_longest = longest;
    message->header_size = (uint32_t)room;
    model_content_make(message, &content);
    size_t bound = bound_of(message, &content);
    uint32_t most = bound < room ? (uint32_t)(room - bound) : 0;
    int r = -EMSGSIZE, tries = 0;
    for (uint32_t size = most + ABOVE; most && r == -EMSGSIZE && tries < TRIES; size--, tries++) {
        content.header = span_first(content.header, size);
        message->header_size = size;
        r = world_give(w, message, &content, NULL, true);
    }
    if (most && r == -EMSGSIZE)
        model_fail(&w->model, "what fits a segment is refused for its size");
    if (r == 0 && tries <= ABOVE)
        model_fail(&w->model, "what fits no segment was taken");
    model_content_done(&content);
}

/* As long as a status may have them; what the book looks at stands in front. */
void world_stretch(struct world *w, struct spool_status *status,
                   char detail[static SPOOL_REPLY_MAX])
{
    static char text[SPOOL_REPLY_MAX];

    if (!w->stretches || !prng_chance(&w->other, 500))
        return;
    memset(text, 'x', sizeof text);
    memset(detail, 'x', SPOOL_REPLY_MAX);
    memcpy(detail, status->detail.data, status->detail.size);
    detail[status->detail.size] = ' ';
    status->detail = span_of(detail, SPOOL_REPLY_MAX);
    status->status = span_of(text, SPOOL_CODE_MAX);
    status->reply = span_of(text, SPOOL_REPLY_MAX);
    status->tls = span_of(text, SPOOL_TLS_MAX);
    status->remote_id = span_of(text, SPOOL_REMOTE_ID_MAX);
    if (status->outcome != SPOOL_OUTCOME_REROUTED)
        status->host = span_of(text, SPOOL_HOST_MAX);
}
