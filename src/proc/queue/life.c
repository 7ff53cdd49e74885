/*
 * The process's parts and how they live: who may be connected to it, what starts in which order,
 * what one tick wakes, and the end. What arrives is only handed on here: accept/ takes mail in,
 * carry/ sends it away, returns/ tells senders, control/ serves administrators. Two pools of
 * threads: one thread alone commits, so that records are in the order in which they were prepared;
 * the others read. All else happens on the loop's thread.
 */
#include "proc/queue/life.h"

#include "base/clock.h"
#include "base/log.h"
#include "proc/queue/accept/intake.h"
#include "proc/queue/accept/pressure.h"
#include "proc/queue/accept/refusals.h"
#include "proc/queue/accept/smtpd.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/carry/dispatch.h"
#include "proc/queue/carry/outcome.h"
#include "proc/queue/control/control.h"
#include "proc/queue/core/feed.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/mutant.h"
#include "proc/queue/core/overdue.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/schedule.h"
#include "proc/queue/core/settle.h"
#include "proc/queue/returns/delay.h"
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/returns.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    PARCELS_BYTES =
        64 << 20,         /* some ten thousand small messages: the last second of a busy server */
    TRIM_BYTES = 8 << 20, /* of parcels that lay too long */
    WORK_THREADS = 3,
    TICK_MS = 1000,
    CLOSING_TICK_MS = 20,
    CLOSING_JOBS_MS = 5000, /* less than the supervisor gives us in all */
};

/* ---- directory ---- */

/* Without a key no ticket is good, and every recipient is deferred: never accepted on smtpd's word
 * alone. */
static void on_ticket_key(void *owner, const struct ipc_arrival *arrival)
{
    struct queue *q = owner;

    if (tickets_use_key(&q->tickets, arrival->message->ticket_key.key) < 0)
        log_error("out of memory for the directory's key: mail is deferred until there is some");
}

static void on_directory_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct queue *q = owner;

    if (q->directory == channel)
        q->directory = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_handler directory_handlers[] = {{IPC_TICKET_KEY, on_ticket_key}};
static const struct ipc_role directory_role = {
    "directory", directory_handlers, ARRAY_SIZE(directory_handlers), on_directory_lost, false};

/* The new one is in place before the old one goes: whoever loses a call on the old asks again at
 * once, and finds the new. */
static int set_directory(struct queue *q, int fd)
{
    struct ipc_channel *old = q->directory;
    int r = ipc_channel_new(q->loop, fd, &directory_role, q, &q->directory);

    if (r == 0) {
        ipc_channel_read_out(old);
        ipc_channel_free(old);
    }
    return r;
}

int queue_peer(struct queue *q, enum ipc_peer kind, unsigned index, uint16_t origin, int fd)
{
    int r = -EINVAL;

    if (kind == IPC_PEER_SMTPD)
        r = smtpd_join(q, index, origin, fd);
    else if (kind == IPC_PEER_DIRECTORY)
        r = set_directory(q, fd);
    else if (kind == IPC_PEER_MAILBOX)
        r = dispatch_connect(q, LANE_MAILBOX, fd);
    else if (kind == IPC_PEER_SMTP)
        r = dispatch_connect(q, LANE_SMTP + index, fd);
    else if (kind == IPC_PEER_BOOK)
        r = feed_book(q, fd);
    else if (kind == IPC_PEER_REPORT)
        r = returns_report(q, fd);
    if (r < 0)
        close(fd);
    return r;
}

/* ---- life ---- */

static void check_closed(struct queue *q);

/* Pieces of what was freed lie between others that are in use: the allocator keeps their pages. */
static void age_parcels(struct queue *q)
{
    q->aged_bytes += parcels_age(&q->parcels);
    if (q->aged_bytes < TRIM_BYTES)
        return;
    malloc_trim(0);
    q->aged_bytes = 0;
}

/* What nothing else wakes up for. */
static void on_tick(void *arg)
{
    struct queue *q = arg;

    io_timer_set(q->tick, q->closing ? CLOSING_TICK_MS : TICK_MS);
    settle_resume(q);
    intake_resume(q);
    dispatch_tick(q);
    returns_tick(q);
    delay_tick(q);
    events_tick(q);
    overdue_tick(q);
    control_tick(q->control);
    age_parcels(q);
    pressure_update(q);
    schedule_tick(q);
    committer_kick(&q->committer);
    check_closed(q);
}

/* Outcomes first: they free what new bodies would fill. */
static void on_through(struct committer *committer, bool sealed)
{
    struct queue *q = CONTAINER_OF(committer, struct queue, committer);

    if (sealed)
        feed_sealed(q);
    settle_resume(q);
    intake_resume(q);
    pressure_update(q);
}

/* The spool's hook. */
static void on_added(void *arg, struct spool_message *message)
{
    struct queue *q = arg;
    const struct parcel *parcel = parcel_find(&q->parcels, &message->id);

    schedule_added(q, message);
    if (parcel)
        return_expanded(q, message, parcel);
    dispatch_kick(q);
}

/* The spool's hook. */
static void on_gone(void *arg, struct spool_message *message)
{
    return_forget(arg, message);
    schedule_gone(arg, message);
}

/* The one place where the states of all rooms lie. */
struct queue_rooms {
    struct pressure pressure;
    struct events events;
    struct dispatch dispatch;
    struct returns returns;
    struct feed feed;
    struct overdue overdue;
    struct schedule schedule;
};

/* The rooms know of each other by pointers only, so that a file sees no more of another than its
 * header shows. */
static int make_rooms(struct queue *q)
{
    struct queue_rooms *rooms = calloc(1, sizeof(*rooms));

    if (!rooms)
        return -ENOMEM;
    q->rooms = rooms;
    q->pressure = &rooms->pressure;
    q->events = &rooms->events;
    q->dispatch = &rooms->dispatch;
    q->returns = &rooms->returns;
    q->feed = &rooms->feed;
    q->overdue = &rooms->overdue;
    q->schedule = &rooms->schedule;
    return 0;
}

static int start_parts(struct queue *q)
{
    int r = committer_init(&q->committer, q->loop, on_through);

    if (r == 0)
        r = dispatch_init(q);
    if (r == 0)
        r = feed_init(q);
    if (r == 0)
        r = schedule_init(q);
    if (r == 0)
        r = io_timer_new(q->loop, on_tick, q, &q->tick);
    return r;
}

int queue_start(struct queue *q, struct io_loop *loop, const struct conf_queue *conf)
{
    uint64_t seed;

    *q = (struct queue){.loop = loop, .conf = conf, .routes = route_fingerprint(conf)};
    if (make_rooms(q) < 0)
        return -ENOMEM;
    q->started_ms = clock_wall_us() / 1000;
    list_init(&q->peers);
    list_init(&q->origins);
    list_init(&q->own_commits);
    list_init(&q->waiting_room);
    overdue_init(q);
    list_init(&q->unsettled);
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) || ticket_prepare() < 0)
        return -EIO;
    parcels_init(&q->parcels, PARCELS_BYTES, seed);
    returns_init(q, seed);
    struct sched_config config = schedule_config(conf, seed);
    int r = sched_new(&config, &q->sched);
    return r < 0 ? r : start_parts(q);
}

int queue_start_threads(struct queue *q)
{
    int r = io_pool_new(q->loop, 1, &q->commit_pool);
    return r < 0 ? r : io_pool_new(q->loop, WORK_THREADS, &q->work_pool);
}

/* No segment size: nobody has said anything, so the spool's own holds. No reserve is one that
 * somebody may want. */
static struct spool_options options_of(const struct conf_queue *conf)
{
    struct spool_options options = spool_options_default;

    if (conf->segment_size)
        options.segment_bytes = options.bulk_segment_bytes = conf->segment_size;
    options.reserve_bytes = conf->disk_reserve;
    return options;
}

static void tell_obstacle(const struct queue *q, const struct spool_obstacle *obstacle, int error)
{
    if (error == -EWOULDBLOCK)
        log_error("another server has this spool; only one at a time may");
    else if (error == -EPROTONOSUPPORT)
        log_error(SPAN_FMT "/%s was written by a newer Postbuch, which must run until the spool is "
                           "empty",
                  SPAN_ARG(q->conf->spool), obstacle->file);
    else if (error == -EMEDIUMTYPE)
        log_error(SPAN_FMT "/%s has another block size than this spool's segments; it is none of "
                           "them: move it away",
                  SPAN_ARG(q->conf->spool), obstacle->file);
    else if (obstacle->file[0])
        log_error(SPAN_FMT "/%s: %s; it may hold mail, so the server doesn't start without it: %s",
                  SPAN_ARG(q->conf->spool), obstacle->file, strerror(-error),
                  error == -EACCES ? "give it the owner that its folder has"
                                   : "see to the disk, or put a copy in its place");
}

/* Scheduled before the loop runs: everything that waits has its item before the first outcome can
 * come. */
int queue_open(struct queue *q, struct store *store)
{
    struct spool_options options = options_of(q->conf);
    struct spool_hooks hooks = {
        .arg = q, .added = on_added, .changed = schedule_changed, .gone = on_gone};
    struct spool_obstacle obstacle;
    int r = spool_open(store, &options, clock_wall_us(), &q->spool, &obstacle);

    if (r < 0) {
        tell_obstacle(q, &obstacle, r);
        return r;
    }
    q->committer.spool = q->spool;
    q->committer.commit_pool = q->commit_pool;
    q->committer.work_pool = q->work_pool;
    spool_set_hooks(q->spool, &hooks);
    if (!spool_ended_well(q->spool))
        schedule_doubt(q);
    r = schedule_all(q);
    if (r < 0)
        return r;
    io_timer_set(q->tick, TICK_MS);
    committer_kick(&q->committer);
    dispatch_kick(q);
    return 0;
}

/* What was decided by the old routes is decided anew only if these have changed: it
 * touches each recipient, the first at once. */
int queue_reconfigure(struct queue *q, const struct conf_queue *conf)
{
    struct sched_config config = schedule_config(conf, 0);

    q->conf = conf;
    sched_reconfigure(q->sched, &config);
    spool_set_reserve(q->spool, options_of(conf).reserve_bytes);
    pressure_update(q);
    if (route_fingerprint(conf) == q->routes)
        return 0;
    q->routes = route_fingerprint(conf);
    schedule_want(q);
    schedule_tick(q);
    return 0;
}

static bool has_closed_in_vain(const struct queue *q)
{
    return io_loop_now_ms(q->loop) > q->closing_ms + CLOSING_JOBS_MS;
}

/* What is pending waits for room on the disk, and would until we are killed: it is as lost then. */
static bool must_leave_pending(const struct queue *q)
{
    return has_closed_in_vain(q) && spool_lacks_segment(q->spool);
}

/* Outcomes may be among what is left: without the mark they are in doubt after the start. */
static void end_spool(struct queue *q)
{
    if (must_leave_pending(q)) {
        log_warn("the spool has no room for what should still be written: the next start will take "
                 "this end for a crash");
        return;
    }
    if (q->dispatch->leaves_doubts) {
        log_info(
            "of some who still wait it isn't booked yet that they may have been under way when "
            "the server last ended without warning: the next start takes this end for one");
        return;
    }
    int r = spool_end(q->spool);
    if (r < 0)
        log_warn("the next start will take this end for a crash: %s", strerror(-r));
}

static bool has_all_on_disk(const struct queue *q)
{
    struct spool_counts counts;

    spool_get_counts(q->spool, &counts);
    return !q->settling && list_is_empty(&q->unsettled) && !counts.pending_bytes;
}

/* Deliveries under way get a while to end: each that doesn't is booked as uncertain, and made again
 * after the start. */
static void check_closed(struct queue *q)
{
    if (!q->closing || !q->closed)
        return;
    if (dispatch_job_count(q) && has_closed_in_vain(q))
        dispatch_abandon(q);
    bool told = returns_close(q);
    if (dispatch_job_count(q) || !committer_is_idle(&q->committer) ||
        (!has_all_on_disk(q) && !must_leave_pending(q)))
        return;
    /* Receipts aren't on disk before their report is. */
    bool owes = !told || (q->returns->receipts.all && q->returns->report);
    if (owes && !has_closed_in_vain(q))
        return;
    void (*closed)(struct queue * q) = q->closed;
    q->closed = NULL;
    end_spool(q);
    closed(q);
}

/* Nothing is stopped here: the tick looks until nothing is under way (check_closed), with a short
 * period. */
void queue_close(struct queue *q, void (*closed)(struct queue *q))
{
    q->closing = true;
    q->closing_ms = io_loop_now_ms(q->loop);
    q->closed = closed;
    if (QUEUE_MUTANT != MUTANT_DOUBT_FORGOTTEN)
        q->dispatch->leaves_doubts = !outcome_book_doubts(q);
    io_timer_set(q->tick, 0);
}

/* The order matters: first who may ask for something, then the threads, whose completions still
 * find all they belong to, then what those worked on. */
void queue_done(struct queue *q)
{
    q->closing = true;
    control_free(q->control);
    smtpd_drop_all(q);
    struct ipc_channel *directory = q->directory;
    q->directory = NULL; /* what threads still read would ask it */
    ipc_channel_free(directory);
    tickets_done(&q->tickets);
    if (q->dispatch->timer)
        dispatch_abandon(q); /* what is read then ends there, and asks the threads for no more */
    /* The threads end what they have; completions run on the loop's thread: here. */
    io_pool_free(q->commit_pool);
    io_pool_free(q->work_pool);
    dispatch_done(q);
    feed_done(q);
    intake_drop_own(q);
    returns_done(q);
    overdue_done(q);
    committer_done(&q->committer);
    schedule_done(q);
    io_timer_free(q->tick);
    if (q->spool)
        spool_close(q->spool);
    settle_done(q);
    parcels_done(&q->parcels);
    sched_free(q->sched);
    free(q->rooms);
}
