#include "smtp_world.h"

#include "mail/dsn.h"

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>

static struct smtp_world *world_of(void *context)
{
    return context;
}

static const struct smtp_answer *find_answer(const struct smtp_world *w,
                                             const struct smtp_question *q)
{
    static const struct smtp_answer accept;

    for (size_t i = 0; i < w->rule_count; i++) {
        const struct smtp_world_rule *rule = &w->rules[i];
        struct span address = span_from_cstr(rule->address);
        if (rule->kind == q->kind && (address.size == 0 || span_equal(address, SPAN("*")) ||
                                      span_equal(address, q->address)))
            return &rule->answer;
    }
    return &accept;
}

static void check_digest(const struct smtp_world *w, const struct envelope *e)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;

    assert(e->size_bytes == w->body.size);
    assert(EVP_Digest(w->body.data, w->body.size, digest, &size, EVP_sha256(), NULL));
    assert(size == sizeof(e->digest) && memcmp(digest, e->digest, size) == 0);
}

/* The wire form must hold whatever a session makes of its input. */
static void check_codec(const struct envelope *e)
{
    struct buffer wire = BUFFER_INIT;
    assert(codec_encode(&envelope_codec, e, &wire) == 0);
    buffer_done(&wire);
}

static void keep_wish(struct smtp_world *w, const struct envelope *e, size_t recipient)
{
    struct envelope_wish wish = envelope_wish_of(e, (uint32_t)recipient);
    char notify[DSN_NOTIFY_TEXT];

    dsn_format_notify(wish.notify, notify);
    if (wish.notify || wish.original.size)
        buffer_printf(&w->messages, "/%s/" SPAN_FMT, notify, SPAN_ARG(wish.original));
}

static void keep_message(struct smtp_world *w, const struct smtp_message *m)
{
    const struct envelope *e = m->envelope;

    assert(m->uploaded == w->upload_open);
    assert(!m->uploaded || m->body.size == 0);
    assert(e->recipient_count > 0 && m->body.size <= SMTP_INLINE_MAX);
    buffer_clear(&w->body);
    buffer_clear(&w->header);
    buffer_append_span(&w->body, m->uploaded ? buffer_span(&w->upload) : m->body);
    buffer_append_span(&w->header, m->header);
    check_digest(w, e);
    check_codec(e);
    assert(envelope_wishes_are_sound(e));
    buffer_printf(&w->messages, "from=<" SPAN_FMT ">", SPAN_ARG(e->sender));
    if (e->returned || e->envelope_id.size)
        buffer_printf(&w->messages, "/%u/" SPAN_FMT, e->returned, SPAN_ARG(e->envelope_id));
    for (size_t i = 0; i < e->recipient_count; i++) {
        buffer_printf(&w->messages, " to=<" SPAN_FMT ">%s", SPAN_ARG(e->recipients[i].address),
                      e->recipients[i].flags & ENVELOPE_RECIPIENT_EXPANDS ? "+" : "");
        keep_wish(w, e, i);
    }
    buffer_printf(&w->messages, " size=%llu body=%u utf8=%u by=" SPAN_FMT " id=" SPAN_FMT "%s\n",
                  (unsigned long long)e->size_bytes, e->body, e->smtputf8,
                  SPAN_ARG(e->client.protocol), SPAN_ARG(e->message_id),
                  m->uploaded ? " uploaded" : "");
    w->message_count++;
}

static void answer(struct smtp_world *w, struct smtp_question *q)
{
    const struct smtp_answer *a = find_answer(w, q);

    assert(q->extra[0] == 'q');
    if (q->kind == SMTP_ASK_MESSAGE) {
        if (a->verdict == SMTP_ACCEPT)
            keep_message(w, q->message);
        w->upload_open = false;
        buffer_clear(&w->upload);
    }
    smtp_question_answer(q, a);
}

static int ask(void *context, struct smtp_question *q)
{
    struct smtp_world *w = world_of(context);

    if (w->silent)
        return -EAGAIN;
    assert(w->open_count < SMTP_WORLD_OPEN && q->extra[0] == 0);
    q->extra[0] = 'q';
    if (!w->hold && w->order == SMTP_WORLD_AT_ONCE)
        answer(w, q);
    else
        w->open[w->open_count++] = q;
    return 0;
}

static void cancel(void *context, struct smtp_question *q)
{
    struct smtp_world *w = world_of(context);

    for (size_t i = 0; i < w->open_count; i++) {
        if (w->open[i] != q)
            continue;
        memmove(w->open + i, w->open + i + 1, (--w->open_count - i) * sizeof(q));
        if (q->kind == SMTP_ASK_MESSAGE)
            w->upload_open = false;
        return;
    }
    assert(!"a question that isn't open was cancelled");
}

static int upload(void *context, struct span piece)
{
    struct smtp_world *w = world_of(context);

    assert(piece.size > 0 && piece.size <= SMTP_INLINE_MAX);
    if (w->broken) {
        w->upload_open = false;
        return -EIO;
    }
    if (!w->upload_open)
        buffer_clear(&w->upload);
    w->upload_open = true;
    if (w->blocked)
        return -EAGAIN;
    return buffer_append_span(&w->upload, piece);
}

static void upload_abort(void *context)
{
    struct smtp_world *w = world_of(context);
    assert(w->upload_open);
    w->upload_open = false;
}

static void refused(void *context, const struct event *event)
{
    struct smtp_world *w = world_of(context);
    struct buffer wire = BUFFER_INIT;

    assert(event->kind == EVENT_REFUSED && event->count == 1 && !id_is_zero(&event->reference));
    assert(codec_encode(&event_codec, event, &wire) == 0);
    buffer_done(&wire);
    buffer_printf(&w->refusals, SPAN_FMT " " SPAN_FMT " from=<" SPAN_FMT "> to=<" SPAN_FMT ">\n",
                  SPAN_ARG(event->phase), SPAN_ARG(event->reply), SPAN_ARG(event->sender),
                  SPAN_ARG(event->recipient));
}

static struct id make_id(void *context)
{
    struct smtp_world *w = world_of(context);
    return id_make(&w->ids, w->time.wall_us);
}

static void wake(void *context)
{
    assert(world_of(context)->server);
}

const struct smtp_server_backend smtp_world_backend = {
    .question_extra = 64,
    .ask = ask,
    .cancel = cancel,
    .upload = upload,
    .upload_abort = upload_abort,
    .refused = refused,
    .make_id = make_id,
    .wake = wake,
};

void smtp_world_init(struct smtp_world *w)
{
    static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 7};

    *w = (struct smtp_world){
        .settings = {.hostname = SPAN("mx.test"),
                     .banner = SPAN("ESMTP Postbuch"),
                     .service = SPAN("mx"),
                     .message_size_max = 1000000,
                     .recipients_max = 100,
                     .hops_max = 50,
                     .errors_max = 20,
                     .refusals_max = 20,
                     .command_timeout_ms = 300000,
                     .data_timeout_ms = 300000,
                     .message_timeout_ms = 3600000,
                     .session_timeout_ms = 7200000,
                     .answer_timeout_ms = 60000},
        .time = {.monotonic_ms = 1000, .wall_us = INT64_C(1795284003000000)},
        .client = {.port = 4000, .uid = UINT32_MAX},
    };
    memcpy(w->client.ip, ip, sizeof(ip));
    id_maker_init(&w->ids, 1, 0);
    w->client.session = make_id(w);
}

int smtp_world_connect(struct smtp_world *w)
{
    w->server = smtp_server_new(&w->settings, &smtp_world_backend, w, &w->time, &w->client);
    return w->server ? 0 : -ENOMEM;
}

void smtp_world_done(struct smtp_world *w)
{
    smtp_server_free(w->server);
    w->server = NULL;
    assert(w->open_count == 0 && !w->upload_open);
    buffer_done(&w->upload);
    buffer_done(&w->messages);
    buffer_done(&w->refusals);
    buffer_done(&w->header);
    buffer_done(&w->body);
}

void smtp_world_answer_all(struct smtp_world *w)
{
    while (w->open_count) {
        bool last = w->order == SMTP_WORLD_LAST;
        struct smtp_question *q = w->open[last ? w->open_count - 1 : 0];
        w->open_count--;
        if (!last)
            memmove(w->open, w->open + 1, w->open_count * sizeof(q));
        answer(w, q);
    }
}
