/*
 * A whole server session. The first bytes choose its world: how answers come, how input is cut,
 * which verdicts there are. In the rest 0xFF is time that passes, and 0xFE with a byte n behind it
 * stands for n KiB of text, so that small inputs reach the large messages, too.
 *
 * Whatever happens: replies are lines of printable text; "queued as" is said once for each message
 * that the backend took, never before; what it took has nothing but CRLF for line ends; what the
 * session holds is bounded; nothing stays open behind it (smtp_world_done); each command gets one
 * reply; cut into bytes the session is the same as whole; and answers that come late, and
 * backwards, give the same replies in the same order.
 */
#include "fuzz.h"

#include "smtp/server/session.h"
#include "smtp_world.h"

enum { STREAM_MAX = 160 * 1024, BYTEWISE_MAX = 4096, TIME = 0xFF, FILLER = 0xFE };

struct play {
    struct smtp_world world;
    struct buffer said;
    size_t replies, queued, checked;
};

/* ---- what must hold ---- */

FUZZ_UNSEEN static void check_reply(struct play *p, struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        assert(line.data[i] >= ' ' && line.data[i] <= '~');
    assert(line.size >= 4 && line.data[0] >= '2' && line.data[0] <= '5');
    p->replies += line.data[3] == ' ';
    p->queued += span_starts_nocase(line, SPAN("250 2.0.0 queued as "));
    /* A message that is wrong in two ways is refused for the one that is seen first. */
    buffer_append_span(&p->said, line.data[0] == '5' ? SPAN("no") : line);
    buffer_append_byte(&p->said, '\n');
}

FUZZ_UNSEEN static void check_output(struct play *p)
{
    struct span out = smtp_server_output(p->world.server);
    size_t size = out.size;

    while (out.size) {
        ptrdiff_t lf = span_find(out, '\n');
        assert(lf > 0 && out.data[lf - 1] == '\r');
        check_reply(p, span_first(out, (size_t)lf - 1));
        out = span_from(out, (size_t)lf + 1);
    }
    smtp_server_sent(p->world.server, size);
    assert(p->queued == p->world.message_count);
}

FUZZ_UNSEEN static void check_message(struct play *p)
{
    struct span body = buffer_span(&p->world.body);

    if (p->checked == p->world.message_count)
        return;
    p->checked = p->world.message_count;
    for (size_t i = 0; i < body.size; i++) {
        assert(body.data[i] != '\0');
        assert(body.data[i] != '\n' || (i > 0 && body.data[i - 1] == '\r'));
        assert(body.data[i] != '\r' || (i + 1 < body.size && body.data[i + 1] == '\n'));
    }
}

static void check_memory(const struct smtp_server *s)
{
    assert(s->line.size <= SMTP_LINE_MAX && s->helo.size <= ENVELOPE_TEXT_MAX);
    assert(s->out.size <= 2 * SMTP_OUTPUT_PAUSE);
    assert(s->question_count <= SMTP_RECIPIENT_QUESTIONS_MAX);
    assert(s->transaction.envelope.recipient_count <= s->settings->recipients_max);
}

static void check(struct play *p)
{
    check_memory(p->world.server);
    check_output(p);
    check_message(p);
}

/* ---- the play ---- */

static void choose(struct smtp_world *w, uint8_t what)
{
    static const struct smtp_answer verdicts[] = {
        {.verdict = SMTP_ACCEPT, .is_mailbox = true},
        {.verdict = SMTP_UNKNOWN},
        {.verdict = SMTP_DEFER, .text = SPAN("a\r\n250 b")},
        {.verdict = SMTP_FOREIGN}};

    w->client.normalize = what & 4;
    w->blocked = what & 8;
    w->settings.message_size_max = what & 16 ? 300 : 400000;
    w->settings.recipients_max = what & 32 ? 2 : 100;
    w->rules[0] = (struct smtp_world_rule){
        .kind = SMTP_ASK_RECIPIENT, .address = "b@c", .answer = verdicts[what >> 6]};
    w->rules[1] = (struct smtp_world_rule){
        .kind = SMTP_ASK_RECIPIENT, .address = "r@c", .answer = {.verdict = SMTP_REJECT}};
    w->rules[2] =
        (struct smtp_world_rule){.kind = SMTP_ASK_SENDER, .address = "d@c", .answer = verdicts[2]};
    w->rule_count = 3;
    if (what % 5 == 4)
        w->rules[w->rule_count++] = (struct smtp_world_rule){
            .kind = SMTP_ASK_MESSAGE, .address = "*", .answer = verdicts[2]};
}

static void begin(struct play *p, uint8_t what, enum smtp_world_order order)
{
    *p = (struct play){0};
    smtp_world_init(&p->world);
    choose(&p->world, what);
    p->world.order = order;
    assert(smtp_world_connect(&p->world) == 0);
    smtp_world_answer_all(&p->world);
    check(p);
}

static void end(struct play *p)
{
    smtp_world_done(&p->world);
    buffer_done(&p->said);
}

static bool takes_command(const struct smtp_server *s)
{
    return s->state == SMTP_STATE_GREETED || s->state == SMTP_STATE_READY ||
           s->state == SMTP_STATE_TRANSACTION || s->state == SMTP_STATE_CHUNKS;
}

/* A byte that ends a command has one reply (or opens a chunk); others have none, but for the end of
 * a message. A second one says that the session is over. */
static void check_replies(const struct play *p, bool command, size_t replies)
{
    const struct smtp_server *s = p->world.server;

    assert(replies <= 1 || (replies == 2 && s->state == SMTP_STATE_CLOSING));
    assert(!command || replies || s->state == SMTP_STATE_CHUNK || s->state == SMTP_STATE_CLOSING);
}

static size_t feed(struct play *p, struct span in, size_t piece)
{
    struct smtp_server *s = p->world.server;
    bool command = piece == 1 && takes_command(s) && in.data[0] == '\n';
    size_t before = p->replies, used = smtp_server_input(s, span_first(in, piece));

    check(p);
    if (used && piece == 1 && p->world.order == SMTP_WORLD_AT_ONCE)
        check_replies(p, command, p->replies - before);
    return used;
}

static size_t step(struct play *p, struct span in, size_t piece)
{
    if ((unsigned char)in.data[0] == TIME) {
        p->world.time.monotonic_ms += 50000;
        smtp_server_expire(p->world.server);
        check(p);
        return 1;
    }
    const char *pause = memchr(in.data, TIME, in.size);
    return feed(p, span_first(in, pause ? (size_t)(pause - in.data) : in.size), piece);
}

/* Whether the session goes on: what it waits for happens. */
static bool unblock(struct play *p)
{
    if (p->world.open_count == 0 && !p->world.blocked)
        return false;
    p->world.blocked = false;
    smtp_world_answer_all(&p->world);
    smtp_server_resume(p->world.server, 0);
    smtp_world_answer_all(&p->world);
    check(p);
    return true;
}

static void play(struct play *p, uint8_t what, enum smtp_world_order order, struct span in,
                 size_t piece)
{
    begin(p, what, order);
    while (in.size) {
        size_t used = step(p, in, piece);
        in = span_from(in, used);
        if (used == 0 && !unblock(p))
            break;
    }
    while (unblock(p))
        ;
}

/* ---- input ---- */

/* Lines of 64 bytes, so that BDAT can count them. */
static void append_filler(struct buffer *stream, unsigned kib)
{
    static const struct span line =
        SPAN("0123456789 0123456789 0123456789 0123456789 0123456789 0123456\r\n");

    for (size_t i = 0; i < kib % 128 * 16 && stream->size < STREAM_MAX; i++)
        buffer_append_span(stream, line);
}

static void expand(struct span in, struct buffer *stream)
{
    for (size_t i = 0; i < in.size; i++) {
        bool filler = (unsigned char)in.data[i] == FILLER && i + 1 < in.size;
        if (filler)
            append_filler(stream, (unsigned char)in.data[++i]);
        else
            buffer_append_byte(stream, in.data[i]);
    }
}

static size_t count_lines(const struct buffer *text)
{
    size_t count = 0;

    for (size_t i = 0; i < text->size; i++)
        count += text->data[i] == '\n';
    return count;
}

FUZZ_UNSEEN static void check_same(const struct play *a, const struct play *b)
{
    assert(span_equal(buffer_span(&a->said), buffer_span(&b->said)));
    assert(span_equal(buffer_span(&a->world.messages), buffer_span(&b->world.messages)));
    assert(count_lines(&a->world.refusals) == count_lines(&b->world.refusals));
}

/* When time passes, it matters what is still open then. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer stream = BUFFER_INIT;
    struct play whole, other;

    if (size < 2)
        return 0;
    expand(span_of(data + 2, size - 2), &stream);
    struct span in = buffer_span(&stream);
    enum smtp_world_order order = (enum smtp_world_order)(data[0] % 3);
    size_t piece = in.size > BYTEWISE_MAX ? 997 : 1u + data[1] % 128;
    bool timeless = !memchr(data + 2, TIME, size - 2);
    play(&whole, data[0], SMTP_WORLD_AT_ONCE, in, in.size);
    play(&other, data[0], order, in, piece);
    if (timeless || order == SMTP_WORLD_AT_ONCE)
        check_same(&whole, &other);
    end(&whole);
    end(&other);
    buffer_done(&stream);
    return 0;
}
