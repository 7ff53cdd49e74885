/*
 * The socket of administrators: who may come in, and who in the process answers what. Status and
 * reload are the supervisor's business, and what the book has is the book's: such calls are
 * relayed, and the client's end cancels them.
 */
#include "proc/queue/control/control.h"

#include "base/log.h"
#include "proc/queue/control/client.h"
#include "proc/queue/core/feed.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Pages that were asked ahead are some 200 KB each; a full status is 64. */
enum { UNREAD_MAX = 4 << 20 };

/* Who has asked nothing for so long has forgotten his connection. What he asked for may wait to be
 * read meanwhile, by a person at a pager: that one has longer. */
enum { IDLE_MS = 10 * 1000, READING_MS = 10 * 60 * 1000 };

/* A turn, so that who may not come in, and knocks without end, holds up nobody who is in. */
enum { ACCEPT_AT_ONCE = 16 };

struct control {
    struct queue *queue;
    int fd;
    struct io_watch *watch;
    bool paused; /* until the next tick */
    struct log_seldom alarm, strangers, refusals;
    struct list clients;
    unsigned count;
};

/* A call of a client that another process answers. */
struct relay {
    struct list link;
    struct control_client *client;
    uint64_t token;
    enum ipc_type reply_type;
    struct ipc_call call;
    struct feed_waiter waiter;
};

static struct relay *relay_new(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (!relay)
        return NULL;
    relay->client = client;
    relay->token = arrival->token;
    relay->reply_type = ipc_row(arrival->message->type)->reply;
    list_append(&client->relays, &relay->link);
    return relay;
}

/* A call that was cancelled is answered to nobody; its slot stays until the supervisor has replied
 * (ipc/calls.h). */
static void relay_free(struct relay *relay)
{
    ipc_call_cancel(&relay->call);
    feed_wait_cancel(&relay->waiter);
    list_remove(&relay->link);
    free(relay);
}

/* What is answered when the supervisor can't be asked. */
static void answer_without_supervisor(struct control_client *client, uint64_t token,
                                      enum ipc_type reply_type)
{
    struct ipc_message m = {.type = reply_type};

    if (reply_type == IPC_RELOADED)
        m.reloaded.text = SPAN("the supervisor does not answer\n");
    else
        m.status.json = SPAN("{}");
    ipc_reply(client->channel, token, &m);
}

static void on_relayed(struct ipc_call *call, const struct ipc_message *reply)
{
    struct relay *relay = CONTAINER_OF(call, struct relay, call);

    if (reply)
        ipc_reply(relay->client->channel, relay->token, reply);
    else
        answer_without_supervisor(relay->client, relay->token, relay->reply_type);
    relay_free(relay);
}

static void relay_to_supervisor(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct ipc_channel *supervisor = client->queue->supervisor;
    enum ipc_type type = arrival->message->type;
    struct relay *relay = supervisor ? relay_new(client, arrival) : NULL;
    int r = -ENOMEM;

    if (relay) {
        relay->call.fn = on_relayed;
        r = ipc_call(supervisor, &relay->call, arrival->message);
    }
    if (r < 0) {
        if (relay)
            relay_free(relay);
        answer_without_supervisor(client, arrival->token, ipc_row(type)->reply);
    }
}

static void on_synced(struct feed_waiter *waiter, int error)
{
    struct relay *relay = CONTAINER_OF(waiter, struct relay, waiter);
    struct ipc_message m = {.type = IPC_BOOK_SYNCED, .book_synced = {.error = error}};

    ipc_reply(relay->client->channel, relay->token, &m);
    relay_free(relay);
}

/* ---- every message that is accepted ---- */

static struct control_client *asks(void *owner)
{
    struct control_client *client = owner;

    client->asked_ms = io_loop_now_ms(client->queue->loop);
    return client;
}

static void on_list(void *owner, const struct ipc_arrival *arrival)
{
    listing_start(asks(owner), arrival);
}

static void on_more(void *owner, const struct ipc_arrival *arrival)
{
    listing_more(asks(owner), arrival);
}

static void on_summary(void *owner, const struct ipc_arrival *arrival)
{
    summary_start(asks(owner), arrival);
}

/* Only the newest fit a reply; `count` says how many there are in all. */
static void on_damage(void *owner, const struct ipc_arrival *arrival)
{
    struct control_client *client = asks(owner);
    const struct spool *spool = client->queue->spool;
    struct ipc_queue_damaged rows[IPC_QUEUE_DAMAGES];
    struct ipc_message m = {.type = IPC_QUEUE_DAMAGE, .queue_damage = {.rows = rows}};
    struct ipc_queue_damage *reply = &m.queue_damage;
    struct spool_counts counts;

    spool_get_counts(spool, &counts);
    reply->count = spool_damage_count(spool);
    reply->set_aside = counts.set_aside;
    size_t first = reply->count > IPC_QUEUE_DAMAGES ? reply->count - IPC_QUEUE_DAMAGES : 0;
    for (size_t i = first; i < reply->count; i++) {
        const struct spool_damage *d = spool_damage_at(spool, i);
        rows[reply->row_count++] = (struct ipc_queue_damaged){
            d->message, d->position.segment, d->position.offset, span_from_cstr(d->what)};
    }
    ipc_reply(client->channel, arrival->token, &m);
}

static void on_act(void *owner, const struct ipc_arrival *arrival)
{
    act_start(asks(owner), arrival);
}

static void on_act_more(void *owner, const struct ipc_arrival *arrival)
{
    act_more(asks(owner), arrival);
}

static void on_acknowledge(void *owner, const struct ipc_arrival *arrival)
{
    acknowledge_start(asks(owner), arrival);
}

static void on_route(void *owner, const struct ipc_arrival *arrival)
{
    inquiry_start(asks(owner), arrival);
}

static void on_supervisors(void *owner, const struct ipc_arrival *arrival)
{
    relay_to_supervisor(asks(owner), arrival);
}

static void on_book_sync(void *owner, const struct ipc_arrival *arrival)
{
    struct control_client *client = asks(owner);
    struct relay *relay = relay_new(client, arrival);

    if (!relay) {
        struct ipc_message m = {.type = IPC_BOOK_SYNCED, .book_synced = {.error = -ENOMEM}};
        ipc_reply(client->channel, arrival->token, &m);
        return;
    }
    relay->waiter.fn = on_synced;
    feed_wait(client->queue, &relay->waiter);
}

/* What is under way for it goes first, since all of it points to the client; the channel last. */
static void client_free(struct control_client *client)
{
    struct list *link;

    listing_free(client->listing);
    summary_free(client->summary);
    act_drop_all(client);
    acknowledge_drop(client);
    inquiry_drop_all(client);
    while ((link = list_take_first(&client->relays)))
        relay_free(CONTAINER_OF(link, struct relay, link));
    list_remove(&client->link);
    client->queue->control->count--;
    ipc_channel_free(client->channel);
    free(client);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    client_free(owner);
}

static const struct ipc_handler handlers[] = {
    {IPC_QUEUE_LIST, on_list},           {IPC_QUEUE_MORE, on_more},
    {IPC_QUEUE_SUMMARY_ASK, on_summary}, {IPC_QUEUE_ACT, on_act},
    {IPC_QUEUE_ACT_MORE, on_act_more},   {IPC_QUEUE_DAMAGE_ASK, on_damage},
    {IPC_BOOK_SYNC, on_book_sync},       {IPC_STATUS_ASK, on_supervisors},
    {IPC_RELOAD, on_supervisors},        {IPC_ROUTE_ASK, on_route},
    {IPC_ACKNOWLEDGE, on_acknowledge},
};
static const struct ipc_role client_role = {.peer_name = "a control client",
                                            .handlers = handlers,
                                            .handler_count = ARRAY_SIZE(handlers),
                                            .lost = on_lost,
                                            .unread_max = UNREAD_MAX};

/* ---- who may ---- */

/* Administrators are root and the user that the server runs as. Others may nothing yet: -EPERM. The
 * kernel says who it is at the time of connect(); nothing that the client sends counts. */
static int check_administrator(int fd, uint32_t *out_uid)
{
    struct ucred who;
    socklen_t size = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
        return -errno;
    *out_uid = who.uid;
    return who.uid == 0 || who.uid == geteuid() ? 0 : -EPERM;
}

static int client_new(struct control *control, int fd, uint32_t uid)
{
    struct control_client *client = calloc(1, sizeof(*client));

    if (!client)
        return -ENOMEM;
    *client = (struct control_client){
        .queue = control->queue, .uid = uid, .asked_ms = io_loop_now_ms(control->queue->loop)};
    list_init(&client->acts);
    list_init(&client->inquiries);
    list_init(&client->relays);
    int r = ipc_channel_new(control->queue->loop, fd, &client_role, client, &client->channel);
    if (r < 0) {
        free(client);
        return r;
    }
    list_append(&control->clients, &client->link);
    control->count++;
    return 0;
}

/* No descriptors or memory: those who knock would wake us without end. */
static void pause_accepting(struct control *control)
{
    if (log_is_due(&control->alarm, io_loop_now_ms(control->queue->loop)))
        log_warn("can't accept control connections for a while: %m");
    control->paused = true;
    io_watch_set(control->watch, 0);
}

void control_tick(struct control *control)
{
    if (control && control->paused)
        control->paused = io_watch_set(control->watch, IO_READ) < 0;
}

/* Forgotten: a pager that stands still, or a program that hangs. Not one that has just come, or
 * whose answer is on its way. */
static bool is_idle(const struct control_client *client)
{
    int64_t silent_ms = io_loop_now_ms(client->queue->loop) - client->asked_ms;
    bool reads = ipc_channel_queued(client->channel) > 0;

    return ipc_channel_owed(client->channel) == 0 && list_is_empty(&client->acts) &&
           silent_ms >= (reads ? READING_MS : IDLE_MS);
}

/* Who came first and is idle goes when there are too many: connections that were forgotten may not
 * lock administrators out. */
static bool has_room(struct control *control)
{
    if (control->count < CONTROL_CLIENTS_MAX)
        return true;
    LIST_EACH(&control->clients, link)
    {
        struct control_client *client = CONTAINER_OF(link, struct control_client, link);
        if (is_idle(client)) {
            log_info("%d control connections: the first that is idle is closed",
                     CONTROL_CLIENTS_MAX);
            client_free(client);
            return true;
        }
    }
    log_warn("%d control connections, and all are busy", CONTROL_CLIENTS_MAX);
    return false;
}

/* Any local user may be refused as often as he likes, which must neither fill the log nor keep out
 * of it what an administrator was refused for. */
static void tell_refusal(struct control *control, uint32_t uid, int error)
{
    struct log_seldom *seldom = error == -EPERM ? &control->strangers : &control->refusals;

    if (!log_is_due(seldom, io_loop_now_ms(control->queue->loop)))
        return;
    if (uid == UINT32_MAX)
        log_info("control connection refused, nobody knows whose: %s", strerror(-error));
    else
        log_info("control connection of uid %u refused: %s", uid, strerror(-error));
}

/* Refused connections are closed at once: nobody waits for an answer that won't come. */
static void welcome(struct control *control, int fd)
{
    uint32_t uid = UINT32_MAX;
    int r = check_administrator(fd, &uid);

    if (r == 0 && !has_room(control))
        r = -EUSERS;
    if (r == 0)
        r = client_new(control, fd, uid);
    if (r == 0)
        return;
    tell_refusal(control, uid, r);
    close(fd);
}

/* Whoever is left in the backlog wakes the next turn. */
static void on_readable(void *arg, int listener, unsigned events)
{
    struct control *control = arg;

    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(control, fd);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            if (errno != EAGAIN)
                pause_accepting(control);
            return;
        }
    }
}

/* 0 or -ENOMEM. */
static int control_new(struct queue *q)
{
    if (q->control)
        return 0;
    q->control = calloc(1, sizeof(*q->control));
    if (!q->control)
        return -ENOMEM;
    *q->control = (struct control){.queue = q, .fd = -1};
    list_init(&q->control->clients);
    return 0;
}

/* A reload may bind another path. Clients of the old socket stay: the one that asked for the reload
 * waits for its answer on it. And the old one serves on when the new one can't. */
int control_listen(struct queue *q, int fd)
{
    struct io_watch *watch = NULL;
    int r = control_new(q);

    if (r == 0)
        r = io_watch_new(q->loop, fd, on_readable, q->control, &watch);
    if (r == 0)
        r = io_watch_set(watch, IO_READ);
    if (r < 0) {
        io_watch_free(watch);
        close(fd);
        return r;
    }
    control_stop_listening(q->control);
    q->control->fd = fd;
    q->control->watch = watch;
    return 0;
}

void control_stop_listening(struct control *control)
{
    if (!control)
        return;
    io_watch_free(control->watch);
    control->watch = NULL;
    control->paused = false;
    if (control->fd >= 0)
        close(control->fd);
    control->fd = -1;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    while (!list_is_empty(&control->clients))
        client_free(CONTAINER_OF(control->clients.next, struct control_client, link));
    control_stop_listening(control);
    free(control);
}
