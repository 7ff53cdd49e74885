#include "proc/smtp/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of 64 KiB: a station that talks without end leaves the loop to the others. */
enum { READS_A_TURN = 4 };

void smtp_connection_wake(struct smtp_connection *c)
{
    io_defer(c->proc->process.loop, &c->turn);
}

static void leave_idle(struct smtp_connection *c)
{
    if (!list_is_linked(&c->idle_link))
        return;
    list_remove(&c->idle_link);
    c->proc->idle_count--;
}

void smtp_connection_free(struct smtp_connection *c)
{
    leave_idle(c);
    list_remove(&c->link);
    c->proc->connection_count--;
    io_defer_cancel(&c->turn);
    io_watch_free(c->watch);
    close(c->fd);
    smtp_client_free(c->client);
    free(c->next_hop);
    free(c);
}

/* What the station sent is read to its end before the end of the connection counts. */
static void read_in(struct smtp_connection *c)
{
    struct smtp_proc *proc = c->proc;

    for (int i = 0; i < READS_A_TURN && !smtp_client_is_over(c->client); i++) {
        ssize_t n = read(c->fd, proc->read_buffer, sizeof(proc->read_buffer));
        if (n > 0) {
            smtp_client_input(c->client, span_of(proc->read_buffer, (size_t)n));
            if ((size_t)n < sizeof(proc->read_buffer))
                return;
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        smtp_client_lost(c->client, n == 0 ? "it closed the connection" : "the connection broke");
    }
}

/* True when all was written. A station that closes while we write has said why: that is read
 * first. */
static bool write_out(struct smtp_connection *c)
{
    struct span out = smtp_client_output(c->client);

    if (out.size == 0)
        return true;
    ssize_t n = write(c->fd, out.data, out.size);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        read_in(c);
        if (!smtp_client_is_over(c->client))
            smtp_client_lost(c->client, "the connection broke");
        return false;
    }
    smtp_client_sent(c->client, n > 0 ? (size_t)n : 0);
    return (size_t)n == out.size;
}

/* Writing is watched only while something waits for it: a socket that can be written to always
 * would turn the loop for ever. */
static void watch(struct smtp_connection *c)
{
    unsigned events = IO_READ;

    if (smtp_client_output(c->client).size)
        events |= IO_WRITE;
    if (events != c->events && io_watch_set(c->watch, events) < 0)
        smtp_client_give_up(c->client, "the connection can't be watched");
    c->events = events;
}

static bool give_body(struct smtp_connection *c)
{
    return c->user && c->user->give_body(c->user);
}

/* Body and output take turns until either stops: the session takes more of the body when what it
 * had is written. The user is told last, for he may free the connection. */
static void on_turn(struct io_deferred *turn)
{
    struct smtp_connection *c = CONTAINER_OF(turn, struct smtp_connection, turn);

    if (!smtp_client_is_over(c->client))
        give_body(c);
    while (!smtp_client_is_over(c->client) && write_out(c) && give_body(c))
        ;
    if (!smtp_client_is_over(c->client))
        watch(c);
    if (c->user) /* may free c */
        c->user->on_session(c->user);
    else if (smtp_client_is_over(c->client))
        smtp_connection_free(c);
}

/* Read at once, answered at the end of the turn: several pieces that came together become one
 * answer. */
static void on_events(void *arg, int fd, unsigned events)
{
    struct smtp_connection *c = arg;

    c->proc->now_ms = io_loop_now_ms(c->proc->process.loop);
    if (events & IO_READ)
        read_in(c);
    smtp_connection_wake(c);
}

struct smtp_connection *smtp_connection_new(struct smtp_proc *proc,
                                            struct smtp_connection_user *user, struct span next_hop,
                                            int fd, struct span host,
                                            const struct smtp_target *address)
{
    struct smtp_connection *c = calloc(1, sizeof(*c));

    if (c) {
        c->next_hop = strndup(next_hop.data, next_hop.size);
        c->client = smtp_client_new(&proc->settings, &proc->now_ms);
    }
    if (!c || !c->next_hop || !c->client ||
        io_watch_new(proc->process.loop, fd, on_events, c, &c->watch) < 0) {
        if (c) {
            smtp_client_free(c->client);
            free(c->next_hop);
        }
        free(c);
        close(fd);
        return NULL;
    }
    c->proc = proc;
    c->fd = fd;
    c->user = user;
    c->turn.fn = on_turn;
    c->address = *address;
    ip_format(address->ip, c->ip_text);
    snprintf(c->host, sizeof(c->host), SPAN_FMT, SPAN_ARG(host));
    list_append(&proc->connections, &c->link);
    proc->connection_count++;
    proc->sessions++;
    smtp_connection_wake(c);
    return c;
}

struct smtp_connection *smtp_connection_reuse(struct smtp_proc *proc,
                                              struct smtp_connection_user *user,
                                              struct span next_hop)
{
    /* The latest first: the others may end when there is little to do. */
    for (struct list *link = proc->idle.prev; link != &proc->idle; link = link->prev) {
        struct smtp_connection *c = CONTAINER_OF(link, struct smtp_connection, idle_link);
        if (!smtp_client_is_ready(c->client) || !span_equal(span_from_cstr(c->next_hop), next_hop))
            continue;
        leave_idle(c);
        c->user = user;
        proc->reused++;
        return c;
    }
    return NULL;
}

/* Kept for the next message that goes the same way, unless it has had its share: stations end long
 * connections themselves, mostly in the middle of something. */
void smtp_connection_release(struct smtp_connection *c)
{
    struct smtp_proc *proc = c->proc;

    c->user = NULL;
    if (smtp_client_is_over(c->client)) {
        smtp_connection_free(c);
        return;
    }
    if (proc->ending_ms || smtp_client_mail_count(c->client) >= SMTP_MESSAGES_MAX ||
        proc->idle_count >= SMTP_IDLE_MAX) {
        smtp_client_quit(c->client);
    } else {
        c->idle_since_ms = proc->now_ms;
        list_append(&proc->idle, &c->idle_link);
        proc->idle_count++;
    }
    smtp_connection_wake(c);
}

/* Two clocks: how long an idle connection is kept for the next message, and how long the session
 * waits for the station (RFC 5321 4.5.3.2). */
static void tick(struct smtp_connection *c)
{
    struct smtp_proc *proc = c->proc;

    if (list_is_linked(&c->idle_link) &&
        (proc->ending_ms || proc->now_ms - c->idle_since_ms >= SMTP_IDLE_MS)) {
        leave_idle(c);
        smtp_client_quit(c->client);
        smtp_connection_wake(c);
    }
    if (smtp_client_deadline_ms(c->client) <= proc->now_ms) {
        smtp_client_expire(c->client);
        smtp_connection_wake(c);
    }
}

void smtp_connections_tick(struct smtp_proc *proc)
{
    LIST_EACH(&proc->connections, link)
    {
        tick(CONTAINER_OF(link, struct smtp_connection, link));
    }
}
