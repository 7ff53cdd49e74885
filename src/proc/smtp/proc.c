/* The smtp process but for its start: peers, generations, time. */
#include "proc/smtp/proc.h"

#include "proc/smtp/job.h"
#include "proc/smtp/route.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* Deadlines of stations are minutes: looked at once a second for all connections, instead of a
 * timer for each of thousands. */
enum { TICK_MS = 1000, TELLING_TICK_MS = 10 };

/* ---- the queue ---- */

static void on_job(void *owner, const struct ipc_arrival *arrival)
{
    struct smtp_proc *proc = owner;

    proc->now_ms = io_loop_now_ms(proc->process.loop);
    smtp_job_new(proc, arrival);
}

static void on_body(void *owner, const struct ipc_arrival *arrival)
{
    struct smtp_proc *proc = owner;

    proc->now_ms = io_loop_now_ms(proc->process.loop);
    smtp_job_piece(proc, arrival);
}

static void on_route(void *owner, const struct ipc_arrival *arrival)
{
    struct smtp_proc *proc = owner;

    proc->now_ms = io_loop_now_ms(proc->process.loop);
    smtp_route_begin(proc, arrival);
}

static const struct ipc_handler queue_handlers[] = {
    {IPC_JOB, on_job},
    {IPC_JOB_BODY, on_body},
    {IPC_ROUTE, on_route},
};

/* Nobody waits for its answers any more, and the next queue sends again what it had open. The epoch
 * goes on first: what is dropped below must not answer to whoever comes next. */
static void disconnect_queue(struct smtp_proc *proc)
{
    struct ipc_channel *old = proc->queue;

    proc->queue = NULL;
    proc->stop.done = false;
    proc->epoch++;
    smtp_routes_drop(proc);
    smtp_jobs_drop(proc, SMTP_JOB_MAIL, "the queue went away");
    ipc_channel_free(old);
}

static void on_queue_lost(void *owner, struct ipc_channel *channel, int error)
{
    disconnect_queue(owner);
}

static const struct ipc_role queue_role = {
    .peer_name = "queue",
    .handlers = queue_handlers,
    .handler_count = ARRAY_SIZE(queue_handlers),
    .lost = on_queue_lost,
};

/* ---- the resolver ---- */

static void on_resolver_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct smtp_proc *proc = owner;

    if (proc->resolver == channel)
        proc->resolver = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_role resolver_role = {.peer_name = "resolver", .lost = on_resolver_lost};

int smtp_proc_connect_resolver(struct smtp_proc *proc, int fd)
{
    struct ipc_channel *old = proc->resolver, *channel;
    int r = ipc_channel_new(proc->process.loop, fd, &resolver_role, proc, &channel);

    if (r < 0)
        return r;
    proc->resolver = channel;
    ipc_channel_read_out(old);
    ipc_channel_free(old); /* answers the other questions with failure */
    return 0;
}

/* The old one is gone, or hangs: the supervisor joins only processes that it started. */
int smtp_proc_connect_queue(struct smtp_proc *proc, int fd)
{
    if (proc->queue)
        disconnect_queue(proc);
    return ipc_channel_new(proc->process.loop, fd, &queue_role, proc, &proc->queue);
}

/* ---- generations, time ---- */

/* Ways under way have borrowed what changes: their questions are asked anew by a later attempt. So
 * are those of who is connecting still: his route may be the one that was mended. Who has a
 * connection goes on. */
int smtp_proc_use(struct smtp_proc *proc, const struct conf_smtp *conf)
{
    struct dns_ip *own = calloc(conf->own_count + 1, sizeof(*own));

    if (!own)
        return -ENOMEM;
    proc->now_ms = io_loop_now_ms(proc->process.loop);
    if (proc->tick) {
        smtp_routes_drop(proc);
        smtp_jobs_drop(proc, SMTP_JOB_CONNECTING, "the configuration has changed");
    }
    for (size_t i = 0; i < conf->own_count; i++)
        memcpy(own[i].bytes, conf->own[i].ip, sizeof(own[i].bytes));
    free(proc->own_addresses);
    proc->own_addresses = own;
    proc->own_address_count = conf->own_count;
    proc->settings.hostname = conf->hostname;
    proc->conf = conf;
    return 0;
}

static void on_tick(void *arg)
{
    struct smtp_proc *proc = arg;

    proc->now_ms = io_loop_now_ms(proc->process.loop);
    smtp_connections_tick(proc);
    if (proc->ending_ms && proc->now_ms - proc->ending_ms >= SMTP_ENDING_MS)
        smtp_jobs_drop(proc, SMTP_JOB_MAIL, "the smtp process is about to end");
    if (proc->ending_ms)
        job_stop_ask(&proc->stop, proc->queue);
    bool is_done = proc->ending_ms && proc->job_count == 0;
    if (is_done && job_stop_has_told_all(&proc->stop, proc->queue))
        process_exit(&proc->process, 0);
    io_timer_set(proc->tick, is_done ? TELLING_TICK_MS : TICK_MS);
}

int smtp_proc_init(struct smtp_proc *proc, const struct conf_smtp *conf)
{
    list_init(&proc->jobs);
    numbers_init(&proc->numbered);
    list_init(&proc->connections);
    list_init(&proc->idle);
    list_init(&proc->routes);
    proc->settings.timeouts = smtp_client_timeouts_default;
    /* Only for the order of equal hosts (RFC 5321 section 5.1): the clock will do. */
    if (getrandom(&proc->chance, sizeof(proc->chance), 0) < 0)
        proc->chance = (uint64_t)io_loop_now_ms(proc->process.loop);
    int r = smtp_proc_use(proc, conf);
    if (r == 0)
        r = io_timer_new(proc->process.loop, on_tick, proc, &proc->tick);
    return r < 0 ? r : io_timer_set(proc->tick, TICK_MS);
}

/* Jobs that have a station go on, for SMTP_ENDING_MS at most: ending them would leave it uncertain
 * what was taken. The others are the next process's: the queue is asked for no more before it has
 * them back, or it would send them to us again. */
void smtp_proc_end(struct smtp_proc *proc)
{
    proc->now_ms = io_loop_now_ms(proc->process.loop);
    proc->ending_ms = proc->now_ms;
    job_stop_ask(&proc->stop, proc->queue);
    smtp_jobs_drop(proc, SMTP_JOB_GREETING, "the smtp process is about to end");
    io_timer_set(proc->tick, 0);
}

void smtp_proc_done(struct smtp_proc *proc)
{
    if (proc->queue)
        disconnect_queue(proc);
    ipc_channel_free(proc->resolver);
    LIST_EACH(&proc->connections, link)
    {
        smtp_connection_free(CONTAINER_OF(link, struct smtp_connection, link));
    }
    io_timer_free(proc->tick);
    free(proc->own_addresses);
}
