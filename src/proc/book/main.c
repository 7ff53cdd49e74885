/*
 * The book process: its part of the configuration, the thread, sandbox, then the queue. The queue
 * tells up to where the log is sealed; a thread folds up to there, when pace.h says so; what is
 * folded and synced is told back, so that the queue may recycle segments.
 */
#include "base/clock.h"
#include "base/log.h"
#include "conf/part.h"
#include "proc/book/pace.h"
#include "proc/book/sandbox.h"
#include "proc/book/worker.h"
#include "proc/common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct book_process {
    struct process process;
    struct pace pace;
    struct ipc_channel *queue;
    struct io_pool *pool;
    struct io_timer *rest;
    struct worker worker;
    struct spool_position sealed, folded, reported;
    uint64_t sealed_waiting;
    uint64_t strange, deleted_files; /* the worker's, as of its last turn */
    int64_t retained_ms;             /* when the last retention ran; 0: never */
    int64_t turn_ms;                 /* when the last turn began */
    char ledger[CONF_PATH_MAX + 1];
    enum worker_trouble told; /* the trouble that was logged last, to log each once */
};

static struct book_process *of(struct process *process)
{
    return CONTAINER_OF(process, struct book_process, process);
}

/* ---- turns ---- */

static bool retention_is_due(const struct book_process *b)
{
    return !b->retained_ms || io_loop_now_ms(b->process.loop) - b->retained_ms >= PACE_RETENTION_MS;
}

/* Not in each turn: it lists the folder. Times are those of the clock now; whether it can be
 * believed the worker judges (expire.h). */
static void set_retention(struct book_process *b)
{
    struct worker *w = &b->worker;
    const struct conf_book *conf = b->process.conf;

    w->keep_before_us = w->refusals_before_us = 0;
    if (!retention_is_due(b))
        return;
    b->retained_ms = io_loop_now_ms(b->process.loop);
    w->keep_before_us = clock_wall_us() - (int64_t)conf->keep_ms * 1000;
    w->refusals_before_us = clock_wall_us() - (int64_t)conf->refusals_keep_ms * 1000;
}

/* The thread has the worker from here to on_turn_done(): the loop touches nothing of it in between.
 */
static void start_turn(struct book_process *b)
{
    pace_begin(&b->pace);
    b->turn_ms = io_loop_now_ms(b->process.loop);
    io_timer_clear(b->rest);
    b->worker.limit = b->sealed;
    b->worker.queue_waiting = b->sealed_waiting;
    set_retention(b);
    io_pool_submit(b->pool, &b->worker.job);
}

/* Nothing before the queue has told a position: the limit {0, 0} is no place. */
static bool has_work(const struct book_process *b)
{
    return b->sealed.segment &&
           (b->worker.behind || spool_position_compare(b->sealed, b->worker.limit) != 0);
}

/* As pace.h says it. */
static void go_on(struct book_process *b, int64_t in_ms)
{
    if (in_ms == PACE_NOW)
        start_turn(b);
    else if (in_ms != PACE_AS_BEFORE)
        io_timer_set(b->rest, in_ms);
}

/* ---- what a turn tells ---- */

/* Never beyond what this queue has told: it may have begun a new log meanwhile. Also when it went
 * back: a ledger that is made anew needs what the log still holds. */
static void report(struct book_process *b)
{
    struct ipc_message message = {
        .type = IPC_FOLDED,
        .position = {b->folded.segment, b->folded.offset},
    };
    if (!b->queue || spool_position_compare(b->folded, b->reported) == 0 ||
        spool_position_compare(b->folded, b->sealed) > 0)
        return;
    if (ipc_notify(b->queue, &message) == 0)
        b->reported = b->folded;
}

static void log_files(struct worker *w)
{
    if (w->told.damage[0])
        log_error(
            "ALARM: a file of the ledger was damaged. It was set aside as %s, and is made anew "
            "from what the log still holds; what is older is only in the file set aside",
            w->told.damage);
    if (w->told.lacking[0])
        log_error("ALARM: %s of the ledger lacks events that it had: it was removed, cut short, "
                  "deleted while the clock was ahead, or an older copy put in its place. They are "
                  "booked again as far as the log still "
                  "holds them",
                  w->told.lacking);
    if (w->new_lane)
        log_error(
            "ALARM: the log ends before what the book has of it: the spool was made anew, lost its "
            "end, or is an older copy. It is booked as lane %u; postbuch audit names what differs",
            w->new_lane);
    if (w->doubts)
        log_warn(
            "the clock is far ahead of when the ledger was last looked through for what is old: "
            "nothing of it is deleted for three days; see that the clock is right");
    if (w->told.displaced[0])
        log_error(
            "ALARM: the position up to which the log is folded into %s of the ledger wasn't what "
            "its copy in book.sqlite says: a byte of one of the two was damaged. It was set right",
            w->told.displaced);
    w->doubts = false;
    w->new_lane = 0;
}

/* Once when it begins and once when it ends, not at each try. */
static void log_stuck(struct book_process *b)
{
    const struct worker *w = &b->worker;

    if (w->trouble == b->told)
        return;
    if (w->trouble == WORKER_FINE)
        log_info("the book goes on");
    else if (w->error == -EPROTONOSUPPORT)
        log_error(
            "ALARM: the ledger was written by another version of Postbuch; nothing is booked "
            "until that version runs again, or the server was stopped and the ledger's folder "
            "moved away: then a new one begins with what the log still holds");
    else if (w->error == -E2BIG)
        log_error(
            "ALARM: the ledger has as many logs as it can tell apart (%d), each of a spool "
            "that was made anew or put back; nothing is booked until all of one is deleted, its "
            "entries by `book: keep` and its refusals by `book: refusals`, or the server was "
            "stopped and the ledger's folder moved away: then a new one begins with what the log "
            "still holds",
            VOLUME_LANES_MAX);
    else if (w->told.unread[0])
        log_error(
            "ALARM: %s of the ledger can't be read: %s; nothing is booked until it can, or was "
            "moved away: the book's main file is made anew, and must know what each file has",
            w->told.unread, strerror(-w->error));
    else if (w->error == -EWOULDBLOCK)
        log_error("ALARM: another book process has the ledger, perhaps that of a server which was "
                  "killed; nothing is booked until it has ended");
    else
        log_error("ALARM: the %s can't be %s: %s; nothing is booked until it can",
                  w->trouble == WORKER_LOG ? "log" : "ledger",
                  w->trouble == WORKER_LOG ? "read" : "written", strerror(-w->error));
    b->told = w->trouble;
}

static void log_difference(struct worker *w)
{
    if (w->differs)
        log_error(
            "ALARM: by the book %llu recipients wait, and the queue has %llu: a part of the log "
            "was removed or damaged, or one of the two is an older copy; postbuch audit names them",
            (unsigned long long)w->waiting[0], (unsigned long long)w->waiting[1]);
    w->differs = false;
}

static void log_trouble(struct book_process *b)
{
    log_files(&b->worker);
    log_difference(&b->worker);
    if (b->worker.trouble == WORKER_DAMAGED)
        b->told = WORKER_FINE;
    else
        log_stuck(b);
    b->worker.told = (struct ledger_told){.damage = ""};
}

/* The pool first: nothing may be on its thread when worker_done() closes what that uses. */
static void finish(struct book_process *b)
{
    io_pool_free(b->pool);
    b->pool = NULL;
    process_exit(&b->process, 0);
}

static bool is_stuck(const struct worker *w)
{
    return w->trouble == WORKER_LEDGER || w->trouble == WORKER_LOG;
}

/* At the end of the process the book goes on until it has all that was sealed, unless it is stuck,
 * or the supervisor is gone: then the next server's book waits for the ledger. What this one
 * doesn't have that one folds. */
static bool goes_on(const struct book_process *b)
{
    return has_work(b) && !b->process.is_orphan && !is_stuck(&b->worker);
}

/* A turn that failed before it came to that, or had no room for it: the next one has it to do. */
static void note_retention(struct book_process *b)
{
    if (b->worker.keep_before_us || b->worker.refusals_before_us)
        b->retained_ms = 0;
}

/* What the channel didn't take then is told now. */
static void on_rested(void *arg)
{
    struct book_process *b = arg;
    bool has_old = b->sealed.segment && retention_is_due(b);

    report(b);
    go_on(b, pace_elapsed(&b->pace, has_work(b) || has_old));
}

static enum pace_end end_of(const struct book_process *b)
{
    if (is_stuck(&b->worker))
        return PACE_IN_TROUBLE;
    return b->worker.behind || b->process.ending ? PACE_BEHIND : PACE_DONE;
}

static void on_turn_done(struct io_job *job)
{
    struct worker *w = CONTAINER_OF(job, struct worker, job);
    struct book_process *b = CONTAINER_OF(w, struct book_process, worker);

    log_trouble(b);
    note_retention(b);
    b->strange = w->translator.strange;
    b->deleted_files = w->deleted_files;
    b->folded = w->folded;
    report(b);
    int64_t in_ms = pace_ended(&b->pace, end_of(b), has_work(b));
    if (b->process.ending && !goes_on(b))
        finish(b);
    else
        go_on(b, in_ms);
}

/* ---- the queue ---- */

static void on_sealed(void *owner, const struct ipc_arrival *arrival)
{
    struct book_process *b = owner;
    const struct ipc_sealed *s = &arrival->message->sealed;

    b->sealed = (struct spool_position){s->segment, s->offset};
    b->sealed_waiting = s->waiting;
    report(b);
    go_on(b, pace_sealed(&b->pace, s->is_awaited));
}

/* What was told is folded to its end all the same; the next queue tells anew. */
static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct book_process *b = owner;

    if (b->queue == channel)
        b->queue = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_handler handlers[] = {{IPC_SEALED, on_sealed}};
static const struct ipc_role queue_role = {"queue", handlers, ARRAY_SIZE(handlers), on_lost, false};

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    struct book_process *b = of(process);
    struct ipc_channel *old = b->queue;

    if (kind != IPC_PEER_QUEUE)
        return -EINVAL;
    int r = ipc_channel_new(process->loop, fd, &queue_role, b, &b->queue);
    if (r < 0)
        return r;
    ipc_channel_free(old);
    b->reported = b->sealed = (struct spool_position){0}; /* a new queue knows nothing */
    return 0;
}

static bool has_peers(const struct process *process)
{
    const struct book_process *b = CONTAINER_OF(process, struct book_process, process);

    return b->queue;
}

/* ---- the process's life ---- */

static int open_folder(struct span path)
{
    char text[CONF_PATH_MAX + 1];

    if (path.size > CONF_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(text, path.data, path.size);
    text[path.size] = '\0';
    int fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        log_error("%s: %m", text);
    return fd < 0 ? -errno : fd;
}

/* One thread: SQLite connections and the follower belong to whoever runs a turn. */
static int start_thread(void *arg)
{
    struct book_process *b = arg;
    return io_pool_new(b->process.loop, 1, &b->pool);
}

/* The folders are opened before the sandbox; the thread is started inside it (start_thread). */
static int start(struct process *process)
{
    struct book_process *b = of(process);

    const struct conf_book *conf = process->coming;
    int spool = open_folder(conf->spool);
    int ledger = open_folder(conf->ledger);
    if (spool < 0 || ledger < 0)
        return spool < 0 ? spool : ledger;
    snprintf(b->ledger, sizeof(b->ledger), SPAN_FMT, SPAN_ARG(conf->ledger));
    b->worker.spool_fd = spool;
    b->worker.job = (struct io_job){.run = worker_turn, .done = on_turn_done};
    b->worker.ledger = book_sandbox_has_root(process) ? "/" : b->ledger;
    int r = io_timer_new(process->loop, on_rested, b, &b->rest);
    if (r == 0)
        r = book_sandbox_enter(process, spool, ledger, start_thread, b);
    return r;
}

/* Folders can't be changed under a sandbox: a new place needs a restart of the server. */
static int reload(struct process *process)
{
    struct book_process *b = of(process);
    const struct conf_book *conf = process->conf, *coming = process->coming;
    bool moved =
        !span_equal(conf->ledger, coming->ledger) || !span_equal(conf->spool, coming->spool);

    if (moved) {
        log_error("`spool` and `ledger` can't be changed by a reload; restart the server");
        return -EINVAL;
    }
    b->retained_ms = 0;
    return 0;
}

static void shutdown_book(struct process *process)
{
    struct book_process *b = of(process);

    if (b->pace.state == PACE_RUNNING)
        return; /* on_turn_done() goes on */
    io_timer_clear(b->rest);
    if (has_work(b) && !process->is_orphan)
        start_turn(b);
    else
        finish(b);
}

static void status(struct process *process, struct buffer *json)
{
    const struct book_process *b = of(process);
    static const char *const troubles[] = {"none", "damaged", "ledger", "log"};
    int64_t turn_ms =
        b->pace.state == PACE_RUNNING ? io_loop_now_ms(process->loop) - b->turn_ms : 0;

    buffer_printf(
        json,
        "\"folded_segment\":%llu,\"folded_offset\":%llu,\"sealed_segment\":%llu,"
        "\"sealed_offset\":%llu,\"turn_ms\":%lld,\"not_understood\":%llu,\"deleted_files\":%llu,"
        "\"trouble\":\"%s\"",
        (unsigned long long)b->reported.segment, (unsigned long long)b->reported.offset,
        (unsigned long long)b->sealed.segment, (unsigned long long)b->sealed.offset,
        (long long)turn_ms, (unsigned long long)b->strange, (unsigned long long)b->deleted_files,
        troubles[b->told]);
}

int main(void)
{
    static struct book_process b;
    static const struct process_spec spec = {.name = "book",
                                             .part = &conf_book_codec,
                                             .start = start,
                                             .reload = reload,
                                             .peer = peer,
                                             .has_peers = has_peers,
                                             .shutdown = shutdown_book,
                                             .status = status};
    int code = process_main(&b.process, &spec);

    ipc_channel_free(b.queue);
    worker_done(&b.worker);
    return code;
}
