/*
 * Streams are written as they come; whole messages gather in `ready`. Whenever a batch is idle it
 * takes what is ready: so the load itself decides how many messages share a sync, and no timer is
 * needed.
 */
#include "proc/mailbox/jobs.h"

#include "base/log.h"
#include "proc/common/job_result.h"
#include <errno.h>
#include <stdlib.h>

enum { TELLING_MS = 10 };

/* At the end of the loop's turn, not at once: what came in the same read then goes into the same
 * batch. */
static void dispatch_soon(struct jobs *jobs)
{
    io_defer(jobs->loop, &jobs->dispatch);
}

/* A token is good on the channel that brought it and on no other: a job that outlived its channel
 * is finished in silence, and the new queue sends it again. */
static bool is_connected(const struct job *job)
{
    return job->jobs->queue && job->epoch == job->jobs->epoch;
}

/* Gives the credit of the taken pieces back and answers their calls. Not before: the credit is what
 * bounds our memory, so it may not come back while the bytes are still here. */
static void settle_pieces(struct job *job)
{
    struct ipc_channel *queue = is_connected(job) ? job->jobs->queue : NULL;

    for (struct list *link; (link = list_take_first(&job->taken));)
        piece_settle(CONTAINER_OF(link, struct piece, link), queue);
}

/* RFC 3463, 3.4: x.3.z is a trouble of the system. The book has it for each message; a person is
 * told once in a while, for a disk that became read-only shows nowhere else. */
static void watch_system(struct jobs *jobs, const struct ipc_job_outcome *o)
{
    if (o->outcome == IPC_OUTCOME_DEFERRED && span_starts_nocase(o->status, SPAN("4.3.")) &&
        log_is_due(&jobs->alarm, io_loop_now_ms(jobs->loop)))
        log_error("ALARM: mailboxes can't be written: " SPAN_FMT, SPAN_ARG(o->text));
}

static void count_outcomes(struct jobs *jobs, const struct ipc_job_outcome *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        jobs->delivered += list[i].outcome == IPC_OUTCOME_DELIVERED;
        jobs->deferred += list[i].outcome == IPC_OUTCOME_DEFERRED;
        jobs->failed += list[i].outcome == IPC_OUTCOME_FAILED;
    }
}

/* The last of a job; what came of it was settled before. */
static void answer(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct ipc_message reply = {.type = IPC_JOB_RESULT};

    reply.job_result.outcomes = job_outcomes(job);
    reply.job_result.outcome_count = job->message.recipient_count;
    count_outcomes(jobs, reply.job_result.outcomes, reply.job_result.outcome_count);
    for (size_t i = 0; !job->dropped && i < reply.job_result.outcome_count; i++)
        watch_system(jobs, &reply.job_result.outcomes[i]);
    if (is_connected(job))
        job_result_send(jobs->queue, job->token, &reply);
    jobs->under_way--;
    job_free(job);
}

static void answer_kept(struct jobs *jobs)
{
    jobs->kept_count = 0;
    for (struct list *link; (link = list_take_first(&jobs->kept));)
        answer(CONTAINER_OF(link, struct job, link));
}

/* The queue sends again without a brake what was never tried, and a sync that hangs can hold up our
 * end for ever: answered at once, each recipient would be here again each second. Kept until the
 * end, they hold their places among the jobs that the queue may have under way. */
static bool is_kept(const struct job *job)
{
    return job->given_back && job->dropped && is_connected(job);
}

/* The end of every job: what it holds is given back, and it is answered. */
static void finish(struct job *job)
{
    struct jobs *jobs = job->jobs;

    job_take_pieces(job);
    settle_pieces(job);
    if (is_kept(job)) {
        list_append(&jobs->kept, &job->link);
        jobs->kept_count++;
    } else {
        answer(job);
    }
    if (jobs->ending)
        dispatch_soon(jobs);
}

/* A job that failed already passes here too: its files are removed by the batch's thread, so that
 * the loop never waits for a disk. */
static void make_ready(struct job *job)
{
    job_set_state(job, JOB_READY);
    list_append(&job->jobs->ready, &job->link);
    dispatch_soon(job->jobs);
}

static void leave_streams(struct job *job)
{
    list_remove(&job->link);
    list_remove(&job->by_number);
    job->jobs->stream_count--;
}

/* On a thread. Small messages are written here; streamed ones were written before and only end
 * here. maildir_commit() gets the deliveries of all jobs at once, which is what makes the syncs
 * few. */
static void run_batch(struct io_job *work)
{
    struct batch *batch = CONTAINER_OF(work, struct batch, work.io);
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct job *job = batch->list[i];
        job_write(job, batch->jobs->maildir);
        for (size_t k = 0; k < job->message.recipient_count; k++)
            batch->deliveries[count++] = &job->message.recipients[k].delivery;
    }
    maildir_commit(batch->jobs->maildir, batch->deliveries, count);
}

bool jobs_are_stuck(const struct jobs *jobs)
{
    if (list_is_empty(&jobs->at_work))
        return false;
    const struct job_work *oldest = CONTAINER_OF(jobs->at_work.next, struct job_work, link);
    return io_loop_now_ms(jobs->loop) - oldest->since_ms > JOBS_STUCK_MS;
}

/* Whether we could end is settled here for what the thread may find out: it can't wait for the loop
 * to decide. */
static void give_to_thread(struct jobs *jobs, struct job_work *work)
{
    atomic_store(&jobs->maildir->cache.stuck, jobs_are_stuck(jobs));
    work->since_ms = io_loop_now_ms(jobs->loop);
    list_append(&jobs->at_work, &work->link);
    io_pool_submit(jobs->pool, &work->io);
}

/* Before anything is answered: what the queue sends again at once, since it was never tried, is
 * then kept for the next process. */
static void watch_roots(struct jobs *jobs)
{
    if (!jobs->ending && jobs->outdated && atomic_load(&jobs->maildir->cache.outdated))
        jobs->outdated(jobs->owner);
}

static void batch_done(struct io_job *work)
{
    struct batch *batch = CONTAINER_OF(work, struct batch, work.io);

    list_remove(&batch->work.link);
    watch_roots(batch->jobs);
    for (size_t i = 0; i < batch->count; i++)
        finish(batch->list[i]);
    list_append(&batch->jobs->idle, &batch->link);
    dispatch_soon(batch->jobs);
}

/* Takes ready jobs, at least one, until the batch is large enough. The first is taken whatever its
 * size: a message to more mailboxes than JOBS_BATCH_FILES would never go else. */
static void fill_batch(struct jobs *jobs, struct batch *batch)
{
    batch->count = batch->delivery_count = 0;
    while (!list_is_empty(&jobs->ready) && batch->count < JOBS_BATCH) {
        struct job *job = CONTAINER_OF(jobs->ready.next, struct job, link);
        size_t files = batch->delivery_count + job->message.recipient_count;
        if (batch->count > 0 && files > JOBS_BATCH_FILES)
            break;
        list_remove(&job->link);
        job_set_state(job, JOB_COMMITTING);
        job_take_pieces(job);
        batch->list[batch->count++] = job;
        batch->delivery_count = files;
    }
}

/* All is here now: it can be answered. */
static void on_stopped(struct job_stop *stop)
{
    struct jobs *jobs = CONTAINER_OF(stop, struct jobs, stop);

    io_timer_clear(jobs->telling);
    jobs->is_telling = false;
    dispatch_soon(jobs);
}

static bool is_given_jobs(const struct jobs *jobs)
{
    return jobs->queue && !jobs->stop.done;
}

/* Without a timer what isn't told is lost with us: else nothing would end us. */
static bool tell_on(struct jobs *jobs)
{
    jobs->is_telling = !job_stop_has_told_all(&jobs->stop, jobs->queue) &&
                       io_timer_set(jobs->telling, TELLING_MS) == 0;
    return jobs->is_telling;
}

/* Nothing is under way any more but what is kept. That is answered when no more can come. */
static void end_when_done(struct jobs *jobs)
{
    if (!jobs->ending || jobs->is_telling || jobs->under_way != jobs->kept_count)
        return;
    job_stop_ask(&jobs->stop, jobs->queue);
    if (!is_given_jobs(jobs))
        answer_kept(jobs);
    if (tell_on(jobs))
        return;
    answer_kept(jobs);
    jobs->ended(jobs->owner);
}

/* Should the queue give us jobs against its word, they don't put off the end. Of those nothing was
 * begun: should the socket not take the answer, nothing is delivered twice. */
static void on_telling(void *arg)
{
    struct jobs *jobs = arg;

    if (is_given_jobs(jobs)) {
        jobs->is_telling = false;
        end_when_done(jobs);
        return;
    }
    if (tell_on(jobs))
        return;
    answer_kept(jobs);
    jobs->ended(jobs->owner);
}

static void dispatch(struct io_deferred *deferred)
{
    struct jobs *jobs = CONTAINER_OF(deferred, struct jobs, dispatch);

    while (!list_is_empty(&jobs->ready) && !list_is_empty(&jobs->idle)) {
        struct batch *batch = CONTAINER_OF(list_take_first(&jobs->idle), struct batch, link);
        fill_batch(jobs, batch);
        give_to_thread(jobs, &batch->work);
    }
    end_when_done(jobs);
}

static void run_stream(struct io_job *work)
{
    struct job *job = CONTAINER_OF(work, struct job, work.io);
    job_write(job, job->jobs->maildir);
}

static void write_stream(struct job *job)
{
    job_take_pieces(job);
    job_set_state(job, JOB_WRITING);
    give_to_thread(job->jobs, &job->work);
}

/* The whole message is in its files, or no file is left to write to, or it won't come. The second
 * matters for a full mailbox: the rest of a large message needn't be carried over only to be thrown
 * away. */
static bool is_stream_over(const struct job *job)
{
    return job->ended || job->dropped || job_is_settled(job);
}

/* What came while the thread wrote lies in `fresh`, and what was found out meanwhile in `doomed`:
 * both are looked at here, on the loop, so neither needs a lock. */
static void stream_done(struct io_job *work)
{
    struct job *job = CONTAINER_OF(work, struct job, work.io);

    list_remove(&job->work.link);
    watch_roots(job->jobs);
    job->dropped = job->doomed;
    settle_pieces(job);
    if (is_stream_over(job)) {
        leave_streams(job);
        make_ready(job);
        return;
    }
    job_set_state(job, JOB_ARRIVING);
    if (!list_is_empty(&job->fresh))
        write_stream(job);
}

/* Ends a stream whose message won't come whole. While a thread writes only the wish is noted;
 * `dropped` is read by the thread. */
static void doom(struct job *job, const char *why)
{
    job->doomed = why;
    if (job->state == JOB_WRITING)
        return;
    job->dropped = why;
    leave_streams(job);
    make_ready(job);
}

/* "Later", which costs the sender nothing: the queue tries again. Nothing was begun, so nothing has
 * to be undone. */
static void answer_busy(struct job *job, const char *why)
{
    job->dropped = why;
    finish(job);
}

/* A stream holds its files open from its first piece to its last, however slow it comes;
 * JOBS_STREAMS_MAX keeps descriptors for the batches. */
static void begin_stream(struct jobs *jobs, struct job *job)
{
    if (jobs->stream_count >= JOBS_STREAMS_MAX) {
        answer_busy(job, "too many large messages are being delivered at once");
        return;
    }
    list_append(&jobs->streams, &job->link);
    list_append(numbers_list(&jobs->numbered, job->number), &job->by_number);
    jobs->stream_count++;
    if (!list_is_empty(&job->fresh))
        write_stream(job);
}

static struct job *new_job(struct jobs *jobs, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;
    struct job *job;

    if (job_new(from, jobs->domains, &job) < 0)
        return NULL;
    job->jobs = jobs;
    job->token = arrival->token;
    job->epoch = jobs->epoch;
    job->work.io = (struct io_job){.run = run_stream, .done = stream_done};
    if (from->body.size == 0)
        return job;
    if (job_add_piece(job, arrival, from->body, 0) == 0)
        return job;
    job_free(job);
    return NULL;
}

/* What has no memory as a job is answered without one. */
static void answer_at_once(struct jobs *jobs, const struct ipc_arrival *arrival)
{
    static struct ipc_job_outcome outcomes[IPC_JOB_RECIPIENTS_MAX];
    const struct ipc_job *from = &arrival->message->job;
    struct ipc_message reply = {
        .type = IPC_JOB_RESULT,
        .job_result = {.outcomes = outcomes, .outcome_count = from->recipient_count}};

    for (size_t i = 0; i < from->recipient_count; i++)
        outcomes[i] = (struct ipc_job_outcome){.index = from->recipients[i].index,
                                               .outcome = IPC_OUTCOME_DEFERRED,
                                               .scope = IPC_SCOPE_OURS,
                                               .status = SPAN("4.3.0"),
                                               .text = SPAN("memory is short")};
    count_outcomes(jobs, outcomes, from->recipient_count);
    watch_system(jobs, outcomes);
    job_result_send(arrival->channel, arrival->token, &reply);
}

static void on_job(void *owner, const struct ipc_arrival *arrival)
{
    struct jobs *jobs = owner;
    const struct ipc_job *from = &arrival->message->job;

    if (from->body.size > from->size_bytes)
        log_fatal("the queue sent a job whose body is larger than it says");
    struct job *job = new_job(jobs, arrival);
    if (!job) {
        answer_at_once(jobs, arrival);
        return;
    }
    jobs->under_way++;
    job->given_back = jobs->ending;
    if (jobs->ending)
        answer_busy(job, "the mailbox process is about to end");
    else if (job->to_come > 0)
        begin_stream(jobs, job);
    else
        make_ready(job);
}

static struct job *find_stream(struct jobs *jobs, uint64_t number)
{
    LIST_EACH(numbers_list(&jobs->numbered, number), link)
    {
        struct job *job = CONTAINER_OF(link, struct job, by_number);
        if (job->number == number && job->epoch == jobs->epoch && !job->doomed)
            return job;
    }
    return NULL;
}

/* Why the job's message can't go on, or NULL. */
static const char *take_body(struct job *job, const struct ipc_arrival *arrival)
{
    struct span bytes = arrival->message->job_body.bytes;

    if (bytes.size == 0)
        return "the queue can't read the whole message now";
    if (bytes.size > job->to_come)
        return "the queue sent more of the message than it had announced";
    return job_add_piece(job, arrival, bytes, arrival->token) < 0 ? "memory is short" : NULL;
}

/* A piece of a job that was answered already is only confirmed: it was on its way then. */
static void on_body(void *owner, const struct ipc_arrival *arrival)
{
    struct jobs *jobs = owner;
    struct job *job = find_stream(jobs, arrival->message->job_body.job);
    const char *why = job ? take_body(job, arrival) : NULL;

    if (job && !why) {
        if (job->state == JOB_ARRIVING)
            write_stream(job);
        return;
    }
    struct ipc_message reply = {.type = IPC_JOB_TAKEN};
    ipc_reply(arrival->channel, arrival->token, &reply);
    if (job)
        doom(job, why);
}

/* What no thread is at work on won't be delivered any more. A whole message that was written to its
 * end stays: dropping it would only deliver it later once more. */
static void drop_waiting(struct jobs *jobs, const char *why)
{
    LIST_EACH(&jobs->ready, link)
    {
        struct job *job = CONTAINER_OF(link, struct job, link);
        job->dropped = job->ended ? NULL : why;
        job->given_back = jobs->ending;
    }
    LIST_EACH(&jobs->streams, link)
    {
        struct job *job = CONTAINER_OF(link, struct job, link);
        job->given_back = jobs->ending;
        doom(job, why);
    }
}

/* The channel goes first: what is dropped below must not be answered on it. */
static void disconnect(struct jobs *jobs)
{
    ipc_channel_free(jobs->queue);
    jobs->queue = NULL;
    jobs->stop.done = false;
    jobs->epoch++;
    answer_kept(jobs);
    drop_waiting(jobs, "the queue went away");
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    disconnect(owner);
}

static const struct ipc_handler handlers[] = {
    {IPC_JOB, on_job},
    {IPC_JOB_BODY, on_body},
};

static const struct ipc_role queue_role = {
    .peer_name = "queue",
    .handlers = handlers,
    .handler_count = ARRAY_SIZE(handlers),
    .lost = on_lost,
};

int jobs_init(struct jobs *jobs, struct io_loop *loop, struct io_pool *pool,
              struct maildir *maildir, unsigned batches)
{
    *jobs = (struct jobs){.loop = loop, .pool = pool, .maildir = maildir};
    list_init(&jobs->streams);
    numbers_init(&jobs->numbered);
    list_init(&jobs->ready);
    list_init(&jobs->kept);
    list_init(&jobs->idle);
    list_init(&jobs->at_work);
    jobs->dispatch.fn = dispatch;
    jobs->batches = calloc(batches, sizeof(*jobs->batches));
    if (!jobs->batches || io_timer_new(loop, on_telling, jobs, &jobs->telling) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < batches; i++) {
        struct batch *batch = &jobs->batches[i];
        batch->jobs = jobs;
        batch->work.io = (struct io_job){.run = run_batch, .done = batch_done};
        list_append(&jobs->idle, &batch->link);
    }
    return 0;
}

void jobs_done(struct jobs *jobs)
{
    io_defer_cancel(&jobs->dispatch);
    ipc_channel_free(jobs->queue);
    mailbox_domains_release(jobs->domains);
    io_timer_free(jobs->telling);
    free(jobs->batches);
}

void jobs_configure(struct jobs *jobs, struct mailbox_domains *domains)
{
    mailbox_domains_release(jobs->domains);
    jobs->domains = domains;
}

int jobs_connect(struct jobs *jobs, int fd)
{
    if (jobs->queue)
        disconnect(jobs);
    return ipc_channel_new(jobs->loop, fd, &queue_role, jobs, &jobs->queue);
}

void jobs_end(struct jobs *jobs, void (*ended)(void *owner), void *owner)
{
    jobs->ending = true;
    jobs->ended = ended;
    jobs->owner = owner;
    jobs->stop.stopped = on_stopped;
    job_stop_ask(&jobs->stop, jobs->queue);
    drop_waiting(jobs, "the mailbox process is about to end");
    dispatch_soon(jobs);
}
