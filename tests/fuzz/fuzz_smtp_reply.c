/* A station's replies: whatever comes, whole or a byte at a time the same is read, and what is kept
 * is bounded and part of what came. */
#include "fuzz.h"

#include "smtp/client/reply.h"

static void check(const struct smtp_heard *h)
{
    struct span rest = smtp_heard_text(h), line;
    char status[SMTP_HEARD_STATUS_SIZE];

    assert(h->code >= 200 && h->code < 600 && h->kept <= SMTP_HEARD_KEPT);
    smtp_heard_status(h, status);
    assert(status[0] == (h->code / 100 == 3 ? '4' : '0' + h->code / 100) && strlen(status) >= 5);
    while (smtp_heard_line(&rest, &line))
        assert(span_find(line, '\n') < 0);
    struct span id = smtp_remote_id(smtp_heard_text(h));
    for (size_t i = 0; i < id.size; i++)
        assert(id.data[i] > ' ' && id.data[i] < 127);
}

static int feed_bytes(struct smtp_heard *h, struct span in, size_t *out_used)
{
    int r = 0;
    size_t at = 0, used;

    for (; r == 0 && at < in.size; at += used)
        r = smtp_heard_feed(h, span_first(span_from(in, at), 1), &used);
    *out_used = at;
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct smtp_heard whole, bytes;
    size_t used, used_bytes;
    int r = 1;

    smtp_heard_init(&whole);
    smtp_heard_init(&bytes);
    while (r > 0 && in.size) {
        r = smtp_heard_feed(&whole, in, &used);
        assert(feed_bytes(&bytes, in, &used_bytes) == r && used == used_bytes);
        assert(span_equal(smtp_heard_text(&whole), smtp_heard_text(&bytes)));
        if (r > 0)
            check(&whole);
        in = span_from(in, used);
    }
    return 0;
}
