/*
 * A socket and a session of src/smtp. Events only note what there is to do; the turn at the end of
 * the loop's round feeds, writes and closes, so that what several answers of a round produced
 * leaves in one write. Nothing is read from a client that doesn't read its replies.
 *
 *   open ──all was said and written──▶ lingering ──the client closes, or time──▶ broken
 *    └──QUIT, the client's end, a connection that fails────────────────────────────▲
 *
 * Who is broken is freed at the end of the turn.
 */
#include "proc/smtpd/smtpd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOLD_OUTPUT_MAX = 4096, /* replies are held back for those that follow, up to here */
};

static void session_free(struct smtpd_session *s)
{
    struct smtpd *smtpd = s->smtpd;

    smtp_server_free(s->server);
    smtpd_upload_abort(s);
    ipc_call_cancel(&s->introduction);
    if (s->counted) {
        struct ipc_message gone = {.type = IPC_CLIENT_GONE,
                                   .client_gone = {.client = s->number, .refused = s->refused}};
        smtpd_outbox_send(&smtpd->to_directory, &gone);
    }
    io_defer_cancel(&s->turn);
    io_watch_free(s->watch);
    if (!smtpd->directory || !ipc_leave_fd(smtpd->directory, s->fd))
        close(s->fd);
    buffer_done(&s->input);
    list_remove(&s->link);
    smtpd->session_count--;
    smtpd->local_count -= s->listener->local;
    smtpd_generation_unref(s->listener->generation);
    free(s);
    smtpd->sessions_changed(smtpd);
    if (smtpd->process.ending && smtpd->session_count == 0)
        smtpd_leave(smtpd);
}

/* Offers what was read before; what it takes is gone, and when all is gone so is the buffer. False:
 * it took nothing. */
static bool feed_rest(struct smtpd_session *s)
{
    size_t before = s->input.size;

    while (s->input.size && smtp_server_wants_input(s->server)) {
        size_t used = smtp_server_input(s->server, buffer_span(&s->input));
        if (used == 0)
            break;
        buffer_consume(&s->input, used);
    }
    size_t left = s->input.size;
    if (left == 0)
        buffer_done(&s->input);
    return left < before;
}

static void read_more(struct smtpd_session *s)
{
    struct smtpd *smtpd = s->smtpd;
    ssize_t n = read(s->fd, smtpd->read_buffer, sizeof(smtpd->read_buffer));

    if (n < 0) {
        s->broken = errno != EAGAIN && errno != EINTR;
        return;
    }
    if (n == 0) {
        s->eof = true;
        return;
    }
    if (s->lingering)
        return;
    struct span in = span_of(smtpd->read_buffer, (size_t)n);
    size_t used = smtp_server_input(s->server, in);
    if (buffer_append_span(&s->input, span_from(in, used)) < 0)
        s->broken = true;
}

/* Last words leave together with the end of our half, in one packet. */
static bool will_end(const struct smtpd_session *s)
{
    return smtp_server_is_over(s->server) && !s->lingering;
}

static void write_out(struct smtpd_session *s)
{
    struct span out = smtp_server_output(s->server);

    /* A pipelining client waits for the last reply anyway: one write for all of them. */
    bool held = smtp_server_is_waiting(s->server) && out.size < HOLD_OUTPUT_MAX && !s->overdue;
    if (out.size == 0 || held)
        return;
    s->overdue = false;
    ssize_t n = send(s->fd, out.data, out.size, will_end(s) ? MSG_MORE : 0);
    if (n >= 0)
        smtp_server_sent(s->server, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        s->broken = true;
}

/* Reading goes on while a question is open, up to one buffer: most clients send nothing then, and
 * the kernel needn't be told twice a command. */
static void watch(struct smtpd_session *s)
{
    unsigned events = 0;

    if ((s->input.size == 0 || s->lingering) && !s->eof)
        events |= IO_READ;
    if (smtp_server_output(s->server).size && !smtp_server_is_waiting(s->server))
        events |= IO_WRITE;
    if (events != s->events && io_watch_set(s->watch, events) < 0)
        s->broken = true;
    s->events = events;
}

/* Everything was said and written. A close() now would make the kernel answer what the client still
 * sends with a reset, which may overtake our last reply: so only our half is closed first. */
static void say_goodbye(struct smtpd_session *s)
{
    if (s->eof || smtp_server_has_quit(s->server))
        s->broken = true;
    else if (!s->lingering && shutdown(s->fd, SHUT_WR) < 0)
        s->broken = true;
    s->lingering = true;
}

static void say_what_follows(struct smtpd_session *s)
{
    if (s->eof && s->input.size == 0)
        smtp_server_eof(s->server);
    if (!s->broken)
        write_out(s);
}

/* What is written makes room for more replies: to commands that were read already, for which no
 * event of the socket would ever come. */
static void on_turn(struct io_deferred *deferred)
{
    struct smtpd_session *s = CONTAINER_OF(deferred, struct smtpd_session, turn);

    feed_rest(s);
    say_what_follows(s);
    while (!s->broken && feed_rest(s))
        say_what_follows(s);
    if (!s->broken && smtp_server_is_over(s->server) && smtp_server_output(s->server).size == 0)
        say_goodbye(s);
    if (!s->broken)
        watch(s);
    if (s->broken)
        session_free(s);
}

static void on_events(void *arg, int fd, unsigned events)
{
    struct smtpd_session *s = arg;

    smtpd_update_time(s->smtpd);
    if ((events & IO_READ) && (s->input.size == 0 || s->lingering) && !s->eof)
        read_more(s);
    smtpd_session_wake(s);
}

void smtpd_session_begin(struct smtpd_listener *listener, int fd,
                         const struct smtp_server_client *client)
{
    struct smtpd *smtpd = listener->generation->smtpd;
    struct smtpd_session *s = calloc(1, sizeof(*s));

    if (!s || io_watch_new(smtpd->process.loop, fd, on_events, s, &s->watch) < 0) {
        free(s);
        close(fd);
        return;
    }
    s->smtpd = smtpd;
    s->listener = listener;
    s->fd = fd;
    s->client = *client;
    s->number = ++smtpd->last_client;
    s->turn.fn = on_turn;
    s->drained = smtpd_ask_commit;
    listener->generation->references++;
    list_append(&smtpd->sessions, &s->link);
    smtpd->session_count++;
    smtpd->local_count += listener->local;
    smtpd->accepted_sessions++;
    s->server = smtp_server_new(&listener->settings, &smtpd_backend, s, &smtpd->time, client);
    s->broken = s->server == NULL;
    if (s->broken) {
        session_free(s);
        return;
    }
    smtpd->sessions_changed(smtpd);
    smtpd_session_wake(s);
}

void smtpd_sessions_expire(struct smtpd *smtpd)
{
    LIST_EACH(&smtpd->sessions, link)
    {
        struct smtpd_session *s = CONTAINER_OF(link, struct smtpd_session, link);
        if (smtp_server_deadline_ms(s->server) > smtpd->time.monotonic_ms)
            continue;
        s->broken |= smtp_server_is_over(s->server); /* it doesn't take our last words */
        smtp_server_expire(s->server);
        s->overdue = true;
        smtpd_session_wake(s);
    }
}

void smtpd_sessions_part(struct smtpd *smtpd)
{
    LIST_EACH(&smtpd->sessions, link)
    {
        struct smtpd_session *s = CONTAINER_OF(link, struct smtpd_session, link);
        s->broken |= s->lingering;
        smtpd_session_wake(s);
    }
}

void smtpd_sessions_shutdown(struct smtpd *smtpd, bool at_once)
{
    LIST_EACH(&smtpd->sessions, link)
    {
        struct smtpd_session *s = CONTAINER_OF(link, struct smtpd_session, link);
        smtp_server_shutdown(s->server);
        s->broken |= at_once;
        smtpd_session_wake(s);
    }
}
