/*
 * The life of a session: its state, its lines, its time. take() says in which state input goes
 * where; settle() does what can be done without more of it. A session is entered from input, from
 * an answer and from the clock; `running` keeps an answer that comes within a call from entering a
 * second time.
 */
#include "smtp/server/session.h"

#include "smtp/server/body.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static const struct smtp_reply timed_out = {421, "4.4.2",
                                            "waited too long, closing the connection"};
static const struct smtp_reply shutting_down = {421, "4.3.2",
                                                "shutting down, please come back soon"};
static const struct smtp_reply line_too_long = {500, "5.5.2", "this line is too long"};
static const struct smtp_reply line_without_cr = {500, "5.5.2", "lines must end with CR LF"};
static const struct smtp_reply early_talker = {554, "5.5.0",
                                               "you spoke before the greeting, closing"};
static const struct smtp_reply client_deferred = {421, "4.7.0", "not now, please come back later"};
static const struct smtp_reply client_rejected = {554, "5.7.1", "you are not welcome here"};

/* For a last reply to be read; then what is left of it is dropped. Not in the RFC, which would have
 * us wait for the client to close: a client that doesn't must not cost a connection for ever. */
enum { CLOSING_MS = 30000 };

/* The one place that changes the state; what must hold in a state is restated here. */
void smtp_state_set(struct smtp_server *s, enum smtp_state state)
{
    assert(s->state != SMTP_STATE_CLOSING || state == SMTP_STATE_CLOSING);
    switch (state) {
    case SMTP_STATE_CONNECT:
    case SMTP_STATE_GREETED:
    case SMTP_STATE_READY:
        assert(s->body == NULL && s->transaction.envelope.recipient_count == 0);
        break;
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNKS:
    case SMTP_STATE_COMMIT:
        assert(s->body != NULL && s->transaction.envelope.recipient_count > 0);
        break;
    case SMTP_STATE_CLOSING:
        assert(s->body == NULL && s->question_count == 0);
        break;
    case SMTP_STATE_TRANSACTION:
    case SMTP_STATE_CHUNK:
        break;
    }
    s->state = state;
}

void smtp_say(struct smtp_server *s, const struct smtp_reply *reply)
{
    smtp_reply_write(&s->out, reply);
}

/* Questions first: an answer that comes later must not find half a session. `reply` NULL: it was
 * said already, or there is nobody to say it to. */
void smtp_close(struct smtp_server *s, const struct smtp_reply *reply)
{
    if (s->state == SMTP_STATE_CLOSING)
        return;
    smtp_questions_cancel(s);
    smtp_transaction_reset(s);
    buffer_clear(&s->line);
    s->line_complete = s->line_held = false;
    if (reply)
        smtp_say(s, reply);
    s->progress_ms = s->time->monotonic_ms;
    smtp_state_set(s, SMTP_STATE_CLOSING);
}

void smtp_say_error(struct smtp_server *s, const struct smtp_reply *reply)
{
    smtp_say(s, reply);
    smtp_count_error(s);
}

struct smtp_server *smtp_server_new(const struct smtp_server_settings *settings,
                                    const struct smtp_server_backend *backend, void *context,
                                    const struct smtp_server_time *time,
                                    const struct smtp_server_client *client)
{
    struct smtp_server *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->settings = settings;
    s->backend = backend;
    s->context = context;
    s->time = time;
    s->client = *client;
    s->started_ms = s->progress_ms = time->monotonic_ms;
    s->line.limit = SMTP_LINE_MAX;
    s->helo.limit = ENVELOPE_TEXT_MAX;
    list_init(&s->questions);
    s->running = true;
    smtp_ask(s, SMTP_ASK_CLIENT, span_of("", 0));
    s->running = false;
    return s;
}

void smtp_server_free(struct smtp_server *s)
{
    if (!s)
        return;
    smtp_questions_cancel(s);
    smtp_transaction_reset(s);
    buffer_done(&s->line);
    buffer_done(&s->helo);
    buffer_done(&s->out);
    free(s);
}

void smtp_on_client_answer(struct smtp_server *s, const struct smtp_answer *answer)
{
    char id[ID_TEXT + 1];
    struct smtp_refusal refusal = {.phase = "connect"};

    if (answer->verdict != SMTP_ACCEPT || s->early) {
        refusal.reply = answer->verdict == SMTP_ACCEPT
                            ? early_talker
                            : smtp_answer_reply(answer, &client_deferred, &client_rejected);
        smtp_refuse(s, &refusal);
        smtp_close(s, NULL);
        return;
    }
    s->trusted = answer->trusted;
    id_format(&s->client.session, id);
    buffer_printf(&s->out, "220 " SPAN_FMT " " SPAN_FMT " %s\r\n", SPAN_ARG(s->settings->hostname),
                  SPAN_ARG(s->settings->banner), id);
    s->progress_ms = s->time->monotonic_ms;
    smtp_state_set(s, SMTP_STATE_GREETED);
}

/* In the others the next bytes are a body's, or nothing may be said yet. */
static bool is_command_state(enum smtp_state state)
{
    return state == SMTP_STATE_GREETED || state == SMTP_STATE_READY ||
           state == SMTP_STATE_TRANSACTION || state == SMTP_STATE_CHUNKS;
}

/* Pipelined RCPTs are asked together, as long as all of them could be accepted; any other command
 * waits for the answers before it, as does a RCPT that is refused without a question. RFC 2920
 * section 3.1 lets a client send all of RCPT and DATA in one go; asked one after the other, a
 * hundred recipients would cost a hundred turns of the directory. */
static bool may_run_line(const struct smtp_server *s)
{
    if (!s->line_complete || !is_command_state(s->state))
        return false;
    if (s->question_count == 0)
        return true;
    if (s->line_held)
        return false;
    size_t recipients = s->transaction.envelope.recipient_count + s->question_count;
    return s->state == SMTP_STATE_TRANSACTION && recipients < s->settings->recipients_max &&
           s->question_count < SMTP_RECIPIENT_QUESTIONS_MAX &&
           span_starts_nocase(buffer_span(&s->line), SPAN("RCPT "));
}

bool smtp_hold_line(struct smtp_server *s)
{
    s->line_held = s->question_count > 0;
    return s->line_held;
}

/* A bare LF ends no command, as it ends no data (RFC 5321 section 2.3.8): an end of line that only
 * one of two servers knows is how a second message is smuggled in. */
static void run_line(struct smtp_server *s)
{
    struct span line = buffer_span(&s->line);

    s->line_complete = s->line_held = false;
    s->progress_ms = s->time->monotonic_ms;
    line.size--; /* LF */
    if (s->line_too_long) {
        s->line_too_long = false;
        smtp_say_error(s, &line_too_long);
    } else if (line.size && line.data[line.size - 1] == '\r') {
        line.size--;
        smtp_run_command(s, line);
    } else if (s->client.normalize) {
        smtp_run_command(s, line);
    } else if (!smtp_hold_line(s)) {
        smtp_say_error(s, &line_without_cr);
    }
    s->line_complete = s->line_held;
    if (!s->line_held)
        buffer_clear(&s->line);
}

/* Up to the end of a command line; a line over the limit is dropped but for its end. So a peer that
 * never sends an LF costs no memory, and is told when it does. */
static size_t take_line(struct smtp_server *s, struct span in)
{
    ptrdiff_t lf = span_find(in, '\n');
    size_t size = lf < 0 ? in.size : (size_t)lf + 1;

    if (!s->line_too_long && s->line.size + size > SMTP_LINE_MAX) {
        s->line_too_long = true;
        buffer_clear(&s->line);
    }
    if (!s->line_too_long)
        buffer_append(&s->line, in.data, size);
    else if (lf >= 0)
        buffer_append_byte(&s->line, '\n');
    s->line_complete = lf >= 0;
    if (buffer_error(&s->line))
        smtp_close(s, NULL);
    return size;
}

/* What is left to do when no more input can be taken now. Called at the end of each entry; the
 * order is that of what the client sent. */
static void settle(struct smtp_server *s)
{
    while (may_run_line(s))
        run_line(s);
    if (buffer_error(&s->out))
        smtp_close(s, NULL);
    /* What came before its end or the shutdown is still answered. */
    if (s->question_count || s->line_complete)
        return;
    /* Between messages; one that is under way is finished (RFC 5321 3.8). */
    if (s->draining && (s->state == SMTP_STATE_GREETED || s->state == SMTP_STATE_READY))
        smtp_close(s, &shutting_down);
    if (s->eof && s->state != SMTP_STATE_COMMIT)
        smtp_close(s, NULL);
}

static size_t take(struct smtp_server *s, struct span in)
{
    switch (s->state) {
    case SMTP_STATE_CONNECT:
        /* RFC 5321 section 4.3.1: a client waits for the greeting. */
        s->early = true; /* nothing is read before the greeting: see smtp_on_client_answer() */
        return 0;
    case SMTP_STATE_DATA:
        return smtp_data_input(s, in);
    case SMTP_STATE_CHUNK:
        return smtp_bdat_input(s, in);
    case SMTP_STATE_GREETED:
    case SMTP_STATE_READY:
    case SMTP_STATE_TRANSACTION:
    case SMTP_STATE_CHUNKS:
        return take_line(s, in);
    case SMTP_STATE_COMMIT:
    case SMTP_STATE_CLOSING:
        break;
    }
    return 0;
}

size_t smtp_server_input(struct smtp_server *s, struct span in)
{
    size_t used = 0;

    s->running = true;
    while (used < in.size && smtp_server_wants_input(s)) {
        used += take(s, span_from(in, used));
        while (may_run_line(s))
            run_line(s);
    }
    settle(s);
    s->running = false;
    return used;
}

/* What isn't read stays in the socket, so a client that sends faster than it is served is slowed by
 * TCP, and none makes us hold its bytes. */
bool smtp_server_wants_input(const struct smtp_server *s)
{
    if (s->line_complete || s->out.size > SMTP_OUTPUT_PAUSE || buffer_error(&s->out))
        return false;
    switch (s->state) {
    case SMTP_STATE_CONNECT:
        return !s->early;
    case SMTP_STATE_COMMIT:
    case SMTP_STATE_CLOSING:
        return false;
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNK:
        return !s->body || !smtp_body_is_stuck(s->body);
    default:
        return true;
    }
}

static void finish_turn(struct smtp_server *s)
{
    if (s->running)
        return;
    s->running = true;
    settle(s);
    s->running = false;
    s->backend->wake(s->context);
}

/* Answers come here, by way of question.c. */
void smtp_server_answered(struct smtp_server *s)
{
    finish_turn(s);
}

void smtp_server_eof(struct smtp_server *s)
{
    s->eof = true;
    settle(s);
}

void smtp_server_shutdown(struct smtp_server *s)
{
    s->draining = true;
    settle(s);
}

struct span smtp_server_output(const struct smtp_server *s)
{
    return buffer_span(&s->out);
}

void smtp_server_sent(struct smtp_server *s, size_t size)
{
    buffer_consume(&s->out, size);
    if (s->out.size == 0 && s->out.capacity > SMTP_OUTPUT_PAUSE)
        buffer_done(&s->out);
}

bool smtp_server_is_over(const struct smtp_server *s)
{
    return s->state == SMTP_STATE_CLOSING;
}

bool smtp_server_has_quit(const struct smtp_server *s)
{
    return s->quit;
}

bool smtp_server_is_waiting(const struct smtp_server *s)
{
    return s->question_count > 0;
}

struct span smtp_server_sender(const struct smtp_server *s)
{
    return s->transaction.envelope.sender;
}

static int64_t after(int64_t since_ms, uint32_t timeout_ms)
{
    return timeout_ms ? since_ms + timeout_ms : INT64_MAX;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Is it the backend that the session waits for? Then the client's clock stands still. It must not
 * be told that it was slow while we are. */
static bool is_backends_turn(const struct smtp_server *s)
{
    return s->question_count > 0 || (s->body && smtp_body_is_stuck(s->body));
}

/* Within a message the client has two deadlines: since its last byte, and for the message as a
 * whole, or a byte a minute would keep a session for years. */
int64_t smtp_server_deadline_ms(const struct smtp_server *s)
{
    const struct smtp_server_settings *settings = s->settings;

    if (s->state == SMTP_STATE_CLOSING)
        return s->progress_ms + CLOSING_MS;
    if (is_backends_turn(s))
        return after(s->progress_ms, settings->answer_timeout_ms);
    if (s->body || s->state == SMTP_STATE_CHUNK)
        return earlier(after(s->progress_ms, settings->data_timeout_ms),
                       after(s->message_started_ms, settings->message_timeout_ms));
    return earlier(after(s->progress_ms, settings->command_timeout_ms),
                   after(s->started_ms, settings->session_timeout_ms));
}

/* All that are open: their turns would else come a deadline after the other. What an answer lets
 * run is asked anew, but not before all of them have theirs. */
static void defer_questions(struct smtp_server *s)
{
    static const struct smtp_answer unavailable = {.verdict = SMTP_DEFER};

    s->running = true;
    while (s->question_count) {
        struct smtp_question *q = CONTAINER_OF(s->questions.next, struct smtp_question, link);
        s->backend->cancel(s->context, q);
        smtp_question_answer(q, &unavailable);
    }
    s->running = false;
    s->progress_ms = s->time->monotonic_ms;
    finish_turn(s);
}

/* A backend that thinks too long makes a DEFER of its question: the client gets an answer while it
 * still listens, and may come back. */
void smtp_server_expire(struct smtp_server *s)
{
    if (s->time->monotonic_ms < smtp_server_deadline_ms(s))
        return;
    if (s->state == SMTP_STATE_CLOSING) {
        buffer_clear(&s->out);
    } else if (s->question_count) {
        defer_questions(s);
    } else if (s->body && smtp_body_is_stuck(s->body)) {
        smtp_body_abort_upload(s->body); /* the backend doesn't know yet */
        smtp_server_resume(s, -ETIMEDOUT);
    } else {
        smtp_close(s, &timed_out);
    }
}

void smtp_server_resume(struct smtp_server *s, int error)
{
    if (!s->body)
        return;
    s->progress_ms = s->time->monotonic_ms;
    smtp_body_resume(s->body, error);
    if (s->state == SMTP_STATE_COMMIT && s->question_count == 0)
        smtp_commit(s);
    finish_turn(s);
}
