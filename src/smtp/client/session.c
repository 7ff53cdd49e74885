/*
 * The life of a session: its state, its time, and how it ends. Whatever ends it goes through fail()
 * or through QUIT, so that is where a message under way gets its last results: HOST or OURS, for
 * another host or time; or UNCERTAIN, when all of it was written and nobody knows (RFC
 * 5321 4.5.3.2.6 asks for ten minutes of patience there, and RFC 1047 tells why: giving up makes
 * doubles).
 */
#include "smtp/client/session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* RFC 5321 4.5.3.2.1 to 4.5.3.2.6, where they are minutes; QUIT has none there, and nothing
 * depends on it. */
const struct smtp_client_timeouts smtp_client_timeouts_default = {
    .greeting = 300000,
    .hello = 300000,
    .mail = 300000,
    .recipient = 300000,
    .data = 120000,
    .block = 180000,
    .final = 600000,
    .quit = 5000,
};

/* RFC 5321 4.5.3.2 bounds each wait, not their sum: a station that says or reads a little before
 * each deadline would keep a message for days. So a message as a whole has a time that grows with
 * what the station does for it. To begin with it is what the RFC grants for sender, one recipient
 * and DATA, so that who is slow in each still gets his mail. */
enum {
    PATIENCE_MS = 720000,      /* to begin with, and again for the body */
    PATIENCE_REPLY_MS = 60000, /* more for each reply */
    PATIENCE_BYTE_MS = 2,      /* more for each byte that it reads: 500 bytes/s */
    KEPT_WAITING_MS = 5000,    /* the shortest patience of stations in use is ten seconds */
};

void smtp_client_be_patient(struct smtp_client *c)
{
    c->patience_ends_ms = *c->now_ms + PATIENCE_MS;
}

/* All that was said is written and answered, and the body's next piece lacks: it isn't the station
 * that we wait for. */
static bool is_our_turn(const struct smtp_client *c)
{
    return smtp_client_wants_body(c) && c->out.size == 0 && c->awaited.size == 0;
}

bool smtp_client_was_kept_waiting(const struct smtp_client *c)
{
    return is_our_turn(c) && *c->now_ms - c->progress_ms >= KEPT_WAITING_MS;
}

/* Not once all was written: then the verdict has a deadline of its own, and giving up makes
 * doubles. Nor while it is our turn. */
static bool has_patience_end(const struct smtp_client *c)
{
    return c->mail && !(c->state == SMTP_CLIENT_FINAL && c->out.size == 0) && !is_our_turn(c);
}

void smtp_client_end_our_turn(struct smtp_client *c)
{
    if (!is_our_turn(c))
        return;
    c->patience_ends_ms += *c->now_ms - c->progress_ms;
    c->progress_ms = *c->now_ms;
}

/* The one place that changes the state; what must hold in a state is restated here. */
void smtp_client_state_set(struct smtp_client *c, enum smtp_client_state state)
{
    assert(c->state != SMTP_CLIENT_CLOSED);
    switch (state) {
    case SMTP_CLIENT_GREETING:
    case SMTP_CLIENT_HELLO:
        assert(!c->mail);
        break;
    case SMTP_CLIENT_READY:
        assert(!c->mail && c->awaited.size == 0);
        assert(c->out.size == 0 || c->state == SMTP_CLIENT_HELLO);
        break;
    case SMTP_CLIENT_ENVELOPE:
        assert(c->mail && !c->last_sent);
        break;
    case SMTP_CLIENT_OPENING:
        assert(c->mail && c->data_sent && !c->chunking);
        break;
    case SMTP_CLIENT_BODY:
        assert(c->mail && c->accepted > 0 && !c->last_sent);
        break;
    case SMTP_CLIENT_FINAL:
        assert(c->mail && c->last_sent);
        break;
    case SMTP_CLIENT_QUITTING:
    case SMTP_CLIENT_CLOSED:
        assert(!c->mail);
        break;
    }
    c->state = state;
    c->progress_ms = *c->now_ms;
}

struct smtp_client *smtp_client_new(const struct smtp_client_settings *settings,
                                    const int64_t *now_ms)
{
    struct smtp_client *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->settings = settings;
    c->now_ms = now_ms;
    c->awaited.limit = SMTP_CLIENT_AWAITED_MAX;
    smtp_heard_init(&c->heard);
    c->progress_ms = *now_ms;
    smtp_client_await(c, SMTP_CLIENT_CONNECT);
    if (!buffer_error(&c->awaited))
        return c;
    smtp_client_free(c);
    return NULL;
}

void smtp_client_free(struct smtp_client *c)
{
    if (!c)
        return;
    seven_bit_free(c->convert);
    buffer_done(&c->converted);
    buffer_done(&c->chunk);
    buffer_done(&c->awaited);
    buffer_done(&c->out);
    free(c);
}

void smtp_client_await(struct smtp_client *c, enum smtp_client_verb verb)
{
    buffer_append_byte(&c->awaited, (char)verb);
}

void smtp_client_command(struct smtp_client *c, enum smtp_client_verb verb, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_vprintf(&c->out, format, args);
    va_end(args);
    buffer_append_span(&c->out, SPAN("\r\n"));
    smtp_client_await(c, verb);
}

/* `result`: HOST or OURS. */
static void fail(struct smtp_client *c, enum smtp_result result, const char *status,
                 struct span text)
{
    if (c->state == SMTP_CLIENT_CLOSED)
        return;
    /* All was written and perhaps taken: nobody knows. What is still in our hands was not. */
    bool uncertain = c->mail && c->state == SMTP_CLIENT_FINAL && c->out.size == 0;
    if (c->mail) {
        smtp_client_settle_all_as(c, uncertain ? SMTP_RESULT_UNCERTAIN : result, status, text);
        smtp_client_drop_mail(c);
    }
    c->trouble_is_ours = result == SMTP_RESULT_OURS;
    snprintf(c->trouble_status, sizeof(c->trouble_status), "%s", status);
    text = span_first(text, sizeof(c->trouble));
    memcpy(c->trouble, text.data, text.size);
    c->trouble_size = (uint16_t)text.size;
    buffer_clear(&c->out);
    buffer_clear(&c->awaited);
    smtp_client_state_set(c, SMTP_CLIENT_CLOSED);
}

void smtp_client_fail(struct smtp_client *c, const char *status, const char *text)
{
    fail(c, SMTP_RESULT_HOST, status, span_from_cstr(text));
}

void smtp_client_fail_ours(struct smtp_client *c, const char *text)
{
    fail(c, SMTP_RESULT_OURS, "4.3.0", span_from_cstr(text));
}

/* What breaks off is told with the phase, which is what an administrator asks first. */
static const char *const phases[] = {
    [SMTP_CLIENT_GREETING] = "while its greeting was waited for",
    [SMTP_CLIENT_HELLO] = "after EHLO",
    [SMTP_CLIENT_READY] = "between two messages",
    [SMTP_CLIENT_ENVELOPE] = "while sender and recipients were named",
    [SMTP_CLIENT_OPENING] = "after DATA",
    [SMTP_CLIENT_BODY] = "while the message was sent",
    [SMTP_CLIENT_FINAL] = "after the end of the message, before its verdict",
    [SMTP_CLIENT_QUITTING] = "after QUIT",
    [SMTP_CLIENT_CLOSED] = "",
};

static void fail_in_phase(struct smtp_client *c, enum smtp_result result, const char *status,
                          const char *why)
{
    char text[SMTP_CLIENT_TROUBLE_MAX];

    int size = snprintf(text, sizeof(text), "%s %s", why, phases[c->state]);
    size_t used = size < 0 ? 0 : (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1;
    fail(c, result, status, span_of(text, used));
}

static void fail_quoting(struct smtp_client *c, const char *what)
{
    char text[256];
    struct span got = span_first(smtp_heard_text(&c->heard), 160);

    snprintf(text, sizeof(text), "%s: \"" SPAN_FMT "\"", what, SPAN_ARG(got));
    fail_in_phase(c, SMTP_RESULT_HOST, "4.5.0", text);
}

void smtp_client_check_memory(struct smtp_client *c)
{
    if (buffer_error(&c->out) || buffer_error(&c->awaited) || buffer_error(&c->chunk) ||
        buffer_error(&c->converted))
        smtp_client_fail_ours(c, "out of memory");
}

/* "5.x" about a host says nothing of a recipient: it becomes "4.x" (another host, another day). A
 * "yes" that ends the session would be a riddle as its reason. */
void smtp_client_fail_heard(struct smtp_client *c)
{
    char status[SMTP_HEARD_STATUS_SIZE];

    if (c->heard.code < 400) {
        fail_quoting(c, "this is no answer to what it was asked");
        return;
    }
    smtp_heard_status(&c->heard, status);
    status[0] = '4';
    fail(c, SMTP_RESULT_HOST, status, smtp_heard_text(&c->heard));
}

/* With its LF, if that is there. */
static struct span first_line(struct span in)
{
    ptrdiff_t lf = span_find(in, '\n');

    return lf < 0 ? in : span_first(in, (size_t)lf + 1);
}

void smtp_client_input(struct smtp_client *c, struct span in)
{
    while (in.size && c->state != SMTP_CLIENT_CLOSED) {
        uint32_t lines = c->heard.whole ? 0 : c->heard.lines;
        size_t used;
        int r = smtp_heard_feed(&c->heard, first_line(in), &used);
        in = span_from(in, used);
        if (r >= 0 && c->heard.lines > lines)
            smtp_client_on_line(c);
        if (r < 0) {
            /* Perhaps no mail server at all listens there. */
            fail_quoting(c, "this is no SMTP reply");
        } else if (r > 0) {
            c->patience_ends_ms += PATIENCE_REPLY_MS;
            smtp_client_on_reply(c); /* which looks at how long it had to wait */
            c->progress_ms = *c->now_ms;
        }
    }
    smtp_client_check_memory(c);
}

/* After QUIT nobody waits for the answer: a station that closes at once has done what was asked. */
void smtp_client_lost(struct smtp_client *c, const char *why)
{
    if (c->state == SMTP_CLIENT_QUITTING)
        smtp_client_state_set(c, SMTP_CLIENT_CLOSED);
    else if (smtp_client_was_kept_waiting(c))
        smtp_client_fail_late(c);
    else
        fail_in_phase(c, SMTP_RESULT_HOST, "4.4.2", why);
}

void smtp_client_give_up(struct smtp_client *c, const char *why)
{
    if (c->state == SMTP_CLIENT_QUITTING)
        smtp_client_state_set(c, SMTP_CLIENT_CLOSED);
    else
        fail_in_phase(c, SMTP_RESULT_OURS, "4.3.0", why);
}

void smtp_client_fail_late(struct smtp_client *c)
{
    smtp_client_give_up(c, "the next piece of the message didn't come in time");
}

struct span smtp_client_output(const struct smtp_client *c)
{
    return buffer_span(&c->out);
}

/* That it reads is progress as well: RFC 5321 section 4.5.3.2.5 times each block that is taken. */
void smtp_client_sent(struct smtp_client *c, size_t size)
{
    buffer_consume(&c->out, size);
    if (size) {
        c->progress_ms = *c->now_ms;
        c->patience_ends_ms += (int64_t)size * PATIENCE_BYTE_MS;
    }
    if (c->out.size == 0 && c->out.capacity > SMTP_CLIENT_OUTPUT_MARK)
        buffer_done(&c->out);
}

/* Waiting for a reply, or (while there is output) for the station to read, or for a piece of the
 * body. */
static uint32_t timeout_ms(const struct smtp_client *c)
{
    const struct smtp_client_timeouts *t = &c->settings->timeouts;

    switch (c->state) {
    case SMTP_CLIENT_GREETING:
        return t->greeting;
    case SMTP_CLIENT_HELLO:
        return t->hello;
    case SMTP_CLIENT_ENVELOPE:
        return c->heard_of ? t->recipient : t->mail;
    case SMTP_CLIENT_OPENING:
        return t->data;
    case SMTP_CLIENT_BODY:
        return t->block;
    case SMTP_CLIENT_FINAL:
        return c->out.size ? t->block : t->final;
    case SMTP_CLIENT_QUITTING:
        return t->quit;
    case SMTP_CLIENT_READY:
    case SMTP_CLIENT_CLOSED:
        break;
    }
    return 0;
}

int64_t smtp_client_deadline_ms(const struct smtp_client *c)
{
    uint32_t timeout = timeout_ms(c);
    int64_t deadline = timeout ? c->progress_ms + timeout : INT64_MAX;

    return has_patience_end(c) && c->patience_ends_ms < deadline ? c->patience_ends_ms : deadline;
}

void smtp_client_expire(struct smtp_client *c)
{
    char why[80] = "it took too long as a whole";

    if (*c->now_ms < smtp_client_deadline_ms(c))
        return;
    if (c->state == SMTP_CLIENT_QUITTING) {
        smtp_client_state_set(c, SMTP_CLIENT_CLOSED);
        return;
    }
    if (is_our_turn(c)) {
        smtp_client_fail_late(c);
        return;
    }
    if (*c->now_ms >= c->progress_ms + timeout_ms(c))
        snprintf(why, sizeof(why), "it said nothing for %u seconds", timeout_ms(c) / 1000);
    fail_in_phase(c, SMTP_RESULT_HOST, "4.4.2", why);
}

bool smtp_client_is_ready(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_READY;
}

bool smtp_client_is_over(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_CLOSED;
}

bool smtp_client_has_begun_body(const struct smtp_client *c)
{
    return c->body_begun;
}

bool smtp_client_was_stale(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_CLOSED && c->mail_count > 1 && !c->answered;
}

struct span smtp_client_trouble(const struct smtp_client *c)
{
    return span_of(c->trouble, c->trouble_size);
}

const char *smtp_client_trouble_status(const struct smtp_client *c)
{
    return c->trouble_status;
}

bool smtp_client_trouble_is_ours(const struct smtp_client *c)
{
    return c->trouble_is_ours;
}

unsigned smtp_client_mail_count(const struct smtp_client *c)
{
    return c->mail_count;
}
