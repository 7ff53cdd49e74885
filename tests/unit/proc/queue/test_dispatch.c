#include "world.h"

#include "proc/queue/core/kick.h"
#include "proc/queue/core/schedule.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The wall clock, as an administrator set it. The linker puts this in its place (meson.build). */
static int64_t clock_ahead_us;
int64_t __real_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void);

int64_t __wrap_clock_wall_us(void)
{
    return __real_clock_wall_us() + clock_ahead_us;
}

static struct world *begin(void)
{
    struct world *w = world_new();
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    return w;
}

static struct spool_counts counts_of(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->queue.spool, &c);
    return c;
}

static bool is_settled(struct world *w, void *arg)
{
    return w->queue.settling == 0 && dispatch_job_count(&w->queue) == 0 &&
           list_is_empty(&w->queue.unsettled) && !w->queue.committer.group;
}

static struct sched_explanation explain(struct world *w, const struct id *id)
{
    struct sched_explanation e;
    struct spool_message *m = spool_find(w->queue.spool, id);
    assert_non_null(m);
    sched_explain(w->queue.sched, schedule_item(&m->recipients[0]), &e);
    return e;
}

static struct world_commit send_one(struct world *w)
{
    struct world_commit c;
    world_send(w, &c, "s@far.example", "bob@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c;
}

static void deferred_recipients_wait(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct world_commit c = send_one(w);
    world_until_jobs(w, 1);
    world_until(w, is_settled, NULL);
    struct sched_explanation e = explain(w, &c.id);
    assert_int_equal(e.wait, SCHED_WAIT_PAUSE);
    assert_int_equal(e.attempts, 1);
    struct spool_message *m = spool_find(w->queue.spool, &c.id);
    assert_int_equal(m->recipients[0].attempts, 1);
    assert_true(m->recipients[0].next_attempt_us > m->accepted_us + INT64_C(200000000));
    assert_int_equal(counts_of(w).waiting, 1);
    world_free(w);
}

/* No report process is there: they stay, shown as held, and are attempted again after a start. */
static void refused_recipients_stay_until_they_are_returned(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_FAILS;
    struct world_commit c = send_one(w);
    world_until_jobs(w, 1);
    world_until(w, is_settled, NULL);
    assert_int_equal(explain(w, &c.id).wait, SCHED_WAIT_RELEASE);
    assert_int_equal(counts_of(w).waiting, 1);
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_int_equal(w->rows[0].state, IPC_QUEUE_HELD);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RETURN); /* nobody need release it */
    world_kill(w);
    world_start(w);
    world_join_mailbox(w);
    world_until_jobs(w, 1); /* attempted again */
    world_rest(w);
    assert_int_equal(counts_of(w).waiting, 1);
    world_free(w);
}

static struct world_commit send_abroad(struct world *w, const char *recipient)
{
    struct world_commit c;
    world_send(w, &c, "s@here.example", recipient, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c;
}

/* No attempt is counted, and the mailbox goes on. */
static void foreign_mail_waits_for_its_process(void **state)
{
    struct world *w = begin();
    struct world_commit c = send_abroad(w, "x@elsewhere.example");
    send_one(w);
    world_until_delivered(w, 1);
    assert_int_equal(w->job_count, 1);
    struct sched_explanation e = explain(w, &c.id);
    assert_int_equal(e.wait, SCHED_WAIT_TURN);
    assert_int_equal(e.attempts, 0);
    assert_span(e.destination, "elsewhere.example");

    world_join_smtp(w);
    world_until_delivered(w, 2);
    assert_string_equal(w->jobs[1].recipients[0], "x@elsewhere.example");
    assert_string_equal(w->jobs[1].next_hop, "mx:elsewhere.example");
    assert_int_equal(w->queue.dispatch->delivered, 1);
    assert_int_equal(w->queue.dispatch->relayed, 1);
    world_until(w, is_settled, NULL);
    assert_int_equal(counts_of(w).messages, 0);
    world_free(w);
}

/* The same next hop is always the same process's, so that its connections serve again. */
static void one_next_hop_is_one_processs(void **state)
{
    struct world *w = begin();
    struct ipc_channel *first = NULL;
    bool both = false;
    world_join_smtp(w);
    for (int i = 0; i < 40; i++) {
        char address[40];
        snprintf(address, sizeof(address), "x@d%d.example", i % 10);
        send_abroad(w, address);
    }
    world_until_delivered(w, 40);
    for (size_t i = 0; i < 40; i++) {
        for (size_t j = 0; j < i; j++)
            if (strcmp(w->jobs[i].next_hop, w->jobs[j].next_hop) == 0)
                assert_ptr_equal(w->jobs[i].channel, w->jobs[j].channel);
        both = both || (first && first != w->jobs[i].channel);
        first = w->jobs[i].channel;
    }
    assert_true(both);
    world_free(w);
}

/* RFC 1047: nobody knows whether the station has it, so it is tried again, and the book says so. */
static void a_lost_reply_is_booked_as_uncertain(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_INTERRUPTED;
    world_join_smtp(w);
    struct world_commit c = send_abroad(w, "x@elsewhere.example");
    world_until_jobs(w, 1);
    world_until(w, is_settled, NULL);
    assert_int_equal(w->queue.dispatch->uncertain, 1);
    struct sched_explanation e = explain(w, &c.id);
    assert_int_equal(e.wait, SCHED_WAIT_PAUSE);
    assert_int_equal(e.attempts, 1);
    assert_span(e.why, "connection lost");
    assert_int_equal(counts_of(w).waiting, 1);
    world_free(w);
}

static bool has_waited(struct world *w, void *arg)
{
    return w->queue.dispatch->lost > 0;
}

/* A process that ends, or learns of other routes, gives back what it hasn't begun: nobody's fault.
 */
static void what_comes_back_untried_is_no_attempt(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_ENDING;
    world_join_smtp(w);
    struct world_commit c = send_abroad(w, "x@elsewhere.example");
    world_until_jobs(w, 1);
    world_until(w, has_waited, NULL);
    struct sched_explanation e = explain(w, &c.id);
    assert_int_equal(e.attempts, 0);
    assert_span(e.why, "");
    assert_int_equal(w->queue.dispatch->deferred + w->queue.dispatch->uncertain, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_until_jobs(w, 2);
    world_until(w, is_settled, NULL);
    assert_int_equal(w->queue.dispatch->relayed, 1);
    world_free(w);
}

static bool is_offered(const struct world_job *job)
{
    return job->body.size < job->size_bytes;
}

static bool is_whole(struct world *w, void *arg)
{
    return !is_offered(arg);
}

static bool has_delivered(struct world *w, void *arg)
{
    return w->delivered == *(size_t *)arg;
}

static void want(struct world *w, struct world_job *job)
{
    struct ipc_message m = {.type = IPC_JOB_WANTED, .job_wanted = {job->number}};
    assert_int_equal(ipc_notify(job->channel, &m), 0);
}

enum { FILLER = 60000, FILLERS = 2 * CARRIERS * CARRIER_INLINE_MAX / FILLER };

/* More jobs than may go with their bodies, for stations that don't answer. */
static void fill_carriers(struct world *w, struct span body)
{
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_smtp(w);
    for (int i = 0; i < FILLERS; i++) {
        char address[40];
        struct world_commit c;
        snprintf(address, sizeof(address), "x@d%d.example", i);
        world_send(w, &c, "s@here.example", address, body);
        world_until_answered(w, &c);
    }
    world_until_jobs(w, FILLERS);
}

/* Stations that don't answer are offered no more bodies than half the channel holds; others' go
 * when they are asked for, from memory and from disk. */
static void silent_stations_fill_no_channel(void **state)
{
    enum { SIZE = FILLER, COUNT = FILLERS };
    static char body[SIZE];
    struct world *w = begin();
    size_t offered = 0;
    struct world_job *one = NULL;
    memset(body, 'x', SIZE);
    fill_carriers(w, span_of(body, SIZE));
    for (size_t i = 0; i < COUNT; i++) {
        offered += is_offered(&w->jobs[i]);
        one = is_offered(&w->jobs[i]) ? &w->jobs[i] : one;
    }
    assert_in_range(COUNT - offered, 1, IPC_SMTP_PROCESSES * (CARRIER_INLINE_MAX / SIZE));
    assert_true(offered > 0);

    w->mailbox_does = MAILBOX_DELIVERS;
    size_t before = w->queue.parcels.hits + w->queue.parcels.misses;
    want(w, one);
    world_until(w, is_whole, one);
    assert_int_equal(w->delivered, 1);
    for (size_t i = 0; i < COUNT; i++)
        if (is_offered(&w->jobs[i]))
            want(w, &w->jobs[i]);
    world_until(w, has_delivered, &offered);
    assert_true(w->queue.parcels.hits + w->queue.parcels.misses >= before + offered);
    assert_memory_equal(one->body.data, body, SIZE);
    want(w, one); /* long answered: nothing happens */
    world_rest(w);
    assert_int_equal(w->delivered, offered);
    world_free(w);
}

static bool has_lost(struct world *w, void *arg)
{
    return w->queue.dispatch->lost == *(uint64_t *)arg && w->queue.settling == 0;
}

/* Without its body nothing can have been delivered. */
static void an_offered_job_is_never_uncertain(void **state)
{
    static char body[FILLER];
    struct world *w = begin();
    uint64_t all = FILLERS;
    size_t offered = 0;
    memset(body, 'x', FILLER);
    fill_carriers(w, span_of(body, FILLER));
    world_leave_smtp(w);
    world_until(w, has_lost, &all);
    for (size_t i = 0; i < FILLERS; i++) {
        struct spool_message *m = spool_find(w->queue.spool, &w->jobs[i].id);
        bool booked = m->recipients[0].next_attempt_us != m->accepted_us;
        assert_int_equal(booked, !is_offered(&w->jobs[i]));
        offered += is_offered(&w->jobs[i]);
    }
    assert_in_range(offered, 1, FILLERS - 1);
    world_free(w);
}

static void a_lost_smtp_process_costs_the_mailbox_nothing(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_smtp(w);
    struct world_commit c = send_abroad(w, "x@elsewhere.example");
    send_one(w);
    world_until_jobs(w, 2);
    world_leave_smtp(w);
    world_rest(w);
    assert_int_equal(dispatch_job_count(&w->queue), 1);
    assert_int_equal(w->queue.dispatch->lost, 1);
    assert_int_equal(explain(w, &c.id).attempts, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_smtp(w);
    world_until_jobs(w, 3);
    assert_string_equal(w->jobs[2].recipients[0], "x@elsewhere.example");
    world_free(w);
}

static bool is_attempted(struct world *w, void *arg)
{
    return w->queue.dispatch->deferred == 2 && is_settled(w, NULL);
}

/* What waits goes the way that the new configuration says, at once; what doesn't change waits on.
 */
static void a_changed_route_is_good_for_what_waits(void **state)
{
    static struct conf_queue_route routes[] = {
        {{"elsewhere.example", 17}, {"host:gate.example:25", 20}}};
    struct world *w = begin();
    struct world_commit c, other;
    w->mailbox_does = MAILBOX_DEFERS;
    world_join_smtp(w);
    world_send(w, &c, "s@here.example", "x@elsewhere.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_send(w, &other, "s@here.example", "x@other.example", SPAN("hello\r\n"));
    world_until_answered(w, &other);
    world_until(w, is_attempted, NULL);
    world_until(w, is_settled, NULL);
    world_leave_smtp(w);
    struct conf_queue changed = w->conf;
    changed.routes = routes;
    changed.route_count = 1;
    assert_int_equal(queue_reconfigure(&w->queue, &changed), 0);
    assert_span(explain(w, &c.id).destination, "gate.example:25");
    assert_int_equal(explain(w, &c.id).wait, SCHED_WAIT_TURN);
    assert_int_equal(explain(w, &other.id).wait, SCHED_WAIT_PAUSE);

    /* A domain that is ours from now on is delivered. */
    struct conf_queue_domain domains[] = {{.name = SPAN("elsewhere.example")}};
    changed.domains = domains;
    changed.domain_count = 1;
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(queue_reconfigure(&w->queue, &changed), 0);
    world_until_delivered(w, 1);
    assert_string_equal(w->jobs[2].recipients[0], "x@elsewhere.example");
    assert_int_equal(queue_reconfigure(&w->queue, &w->conf), 0);
    world_free(w);
}

static bool ten_are_gone(struct world *w, void *arg)
{
    return counts_of(w).messages == 40 && !w->queue.committer.group;
}

static void a_killed_queue_remembers_and_attempts_again(void **state)
{
    enum { COUNT = 50 };
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    for (int i = 0; i < COUNT; i++)
        send_one(w);
    world_until_jobs(w, 16); /* the first window */
    for (int i = 0; i < 10; i++)
        world_answer(w, &w->jobs[i], MAILBOX_DELIVERS);
    world_until(w, ten_are_gone, NULL);
    world_kill(w);
    world_start(w);
    assert_int_equal(counts_of(w).messages, COUNT - 10);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_until_delivered(w, COUNT - 10);
    assert_true(w->queue.parcels.misses > 0);                   /* from disk now */
    assert_int_equal(w->queue.dispatch->uncertain, COUNT - 10); /* some may have been delivered */
    assert_span(buffer_span(&w->jobs[0].body), "hello\r\n");
    assert_string_equal(w->jobs[0].recipients[0], "bob@here.example");
    world_free(w);
}

/* A shutdown leaves nothing open, and neither does what was not due at a crash. */
static void only_what_was_due_at_a_crash_is_uncertain(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct world_commit c = send_one(w);
    world_until(w, is_settled, NULL);
    world_kill(w);
    world_start(w);
    world_join_mailbox(w);
    sched_retry_now(w->queue.sched,
                    schedule_item(&spool_find(w->queue.spool, &c.id)->recipients[0]),
                    io_loop_now_ms(w->loop));
    dispatch_kick(&w->queue);
    world_until_jobs(w, 1);
    world_until(w, is_settled, NULL);
    assert_int_equal(w->queue.dispatch->uncertain, 0);
    world_join_smtpd(w);
    world_send(w, &c, "s@far.example", "x@elsewhere.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_stop(w);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_start(w);
    world_join_smtp(w);
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.dispatch->uncertain, 0);
    world_free(w);
}

/* The clock was ahead at the start after a crash, and is set right. */
static void what_came_after_a_crash_is_in_no_doubt(void **state)
{
    struct world *w = begin();
    world_kill(w);
    clock_ahead_us = INT64_C(3600) * 1000000;
    world_start(w);
    clock_ahead_us = 0;
    world_join_mailbox(w);
    world_join_smtpd(w);
    send_one(w);
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.dispatch->uncertain, 0);
    world_free(w);
}

/* The clock is behind at the start, as without a battery: what was due was due all the same. */
static void what_was_due_is_in_doubt_whatever_the_clock_says(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    struct world_commit c = send_one(w);
    world_until_jobs(w, 1);
    world_kill(w);
    clock_ahead_us = INT64_C(-3600) * 1000000;
    w->mailbox_does = MAILBOX_DELIVERS;
    world_start(w);
    world_join_mailbox(w);
    sched_retry_now(w->queue.sched,
                    schedule_item(&spool_find(w->queue.spool, &c.id)->recipients[0]),
                    io_loop_now_ms(w->loop));
    dispatch_kick(&w->queue);
    world_until_delivered(w, 1);
    clock_ahead_us = 0;
    assert_int_equal(w->queue.dispatch->uncertain, 1);
    world_free(w);
}

static void hold(struct world *w)
{
    struct ipc_queue_act act = {.act = IPC_ACT_HOLD, .filter.sender = SPAN("s@far.example")};

    world_join_admin(w);
    assert_int_equal(world_act(w, act).count, 1);
}

static bool is_doubted_after_a_crash(struct world *w, const struct id *id)
{
    world_kill(w);
    world_start(w);
    world_join_admin(w);
    struct spool_message *m = spool_find(w->queue.spool, id);
    assert_int_equal(m->recipients[0].state, SPOOL_RECIPIENT_HELD);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].doubtful, m->recipients[0].in_doubt);
    return m->recipients[0].in_doubt;
}

/* Nobody could have begun with it; but who was being attempted when he was held is in doubt, and
 * stays so. */
static void what_was_held_is_in_no_doubt(void **state)
{
    for (int is_attempted = 0; is_attempted < 2; is_attempted++) {
        struct world *w = world_new();
        struct world_commit c;
        w->mailbox_does = MAILBOX_IS_SILENT;
        world_start(w);
        world_join_smtpd(w);
        if (is_attempted)
            world_join_mailbox(w);
        world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
        world_until_answered(w, &c);
        if (is_attempted)
            world_until_jobs(w, 1);
        hold(w);
        assert_int_equal(is_doubted_after_a_crash(w, &c.id), is_attempted);
        assert_int_equal(is_doubted_after_a_crash(w, &c.id), is_attempted);
        world_free(w);
    }
}

/* Waiting and in doubt since a crash, then held: the next crash doesn't clear him. */
static void a_hold_takes_no_doubt_away(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    struct world_commit c = send_one(w);
    world_until_jobs(w, 1);
    world_kill(w);
    world_start(w);
    hold(w);
    assert_true(is_doubted_after_a_crash(w, &c.id));
    world_free(w);
}

static void a_lost_mailbox_makes_uncertain_and_comes_back(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    struct world_commit c = send_one(w);
    world_until_jobs(w, 1);
    ipc_channel_free(w->mailbox);
    w->mailbox = NULL;
    world_rest(w);
    world_until(w, is_settled, NULL);
    assert_int_equal(explain(w, &c.id).wait, SCHED_WAIT_PAUSE);
    assert_int_equal(explain(w, &c.id).attempts, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_mailbox(w);
    world_until_delivered(w, 1);
    assert_int_equal(w->job_count, 2);
    assert_int_equal(w->queue.dispatch->lost, 1);
    world_free(w);
}

static void a_full_disk_pauses_the_destination(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_FULL;
    struct world_commit last;
    for (int i = 0; i < 40; i++)
        last = send_one(w);
    world_until(w, is_settled, NULL);
    world_rest(w);
    assert_true(w->job_count < 40);
    struct sched_explanation e = explain(w, &last.id);
    assert_int_equal(e.wait, SCHED_WAIT_DESTINATION);
    assert_span(e.why, "disk full");
    world_free(w);
}

static void a_shutdown_waits_for_deliveries(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    send_one(w);
    world_until_jobs(w, 1);
    world_answer(w, &w->jobs[0], MAILBOX_DELIVERS);
    world_stop(w);
    world_start(w);
    assert_int_equal(counts_of(w).messages, 0);
    world_free(w);
}

static bool closed;

static void on_closed(struct queue *q)
{
    closed = true;
}

static bool is_closed(struct world *w, void *arg)
{
    return closed;
}

static void a_shutdown_does_not_wait_for_ever(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    send_one(w);
    world_until_jobs(w, 1);
    closed = false;
    queue_close(&w->queue, on_closed);
    w->queue.closing_ms -= 3600000; /* an hour ago */
    world_until(w, is_closed, NULL);
    world_kill(w);
    world_start(w);
    assert_int_equal(counts_of(w).messages, 1);
    world_free(w);
}

static void an_evicted_parcel_is_read_from_disk(void **state)
{
    struct world *w = begin();
    w->queue.parcels.limit = 0;
    send_one(w);
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.parcels.hits, 0);
    assert_span(buffer_span(&w->jobs[0].body), "hello\r\n");
    world_free(w);
}

enum { LARGE = 600000, NEAR_END = 590000 }; /* more than is read at once */

/* Memory is short when a piece of a body is to go, or a job: the n-th. The linker puts this in its
 * place (meson.build). */
static unsigned piece_without_memory, job_without_memory;
int __real_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);
int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);

int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message)
{
    if (message->type == IPC_JOB_BODY && piece_without_memory && --piece_without_memory == 0)
        return -ENOMEM;
    if (message->type == IPC_JOB && job_without_memory && --job_without_memory == 0)
        return -ENOMEM;
    return __real_ipc_call(channel, call, message);
}

/* Nobody would ever send the rest of it: the carrier waits for the queue. */
static void a_piece_that_finds_no_memory_goes_later(void **state)
{
    for (unsigned piece = 1; piece <= 6; piece += 5) {
        struct world *w = begin();
        struct world_commit c;
        piece_without_memory = piece;
        world_send_large(w, &c, "bob@here.example", LARGE);
        world_until_answered(w, &c);
        assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
        world_until_delivered(w, 1);
        assert_int_equal(piece_without_memory, 0);
        assert_int_equal(w->jobs[0].body.size, LARGE);
        for (size_t i = 0; i < LARGE; i++)
            if (w->jobs[0].body.data[i] != world_byte(i))
                fail_msg("byte %zu differs", i);
        world_free(w);
    }
}

/* From memory or from the disk: nothing was attempted, so nothing is booked. */
static void a_job_that_finds_no_memory_goes_later(void **state)
{
    for (int from_disk = 0; from_disk < 2; from_disk++) {
        struct world *w = world_new();
        world_start(w);
        world_join_smtpd(w);
        send_one(w);
        if (from_disk) {
            world_stop(w);
            world_start(w);
        }
        job_without_memory = 1;
        world_join_mailbox(w);
        world_until_delivered(w, 1);
        assert_int_equal(job_without_memory, 0);
        assert_int_equal(w->queue.dispatch->deferred, 0);
        world_free(w);
    }
}

/* Changes a byte of the large message near its end, in whichever file that is. */
static int spoil_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char wanted[64], *bytes = type == FTW_F && st->st_size ? malloc((size_t)st->st_size) : NULL;
    int fd = bytes ? open(path, O_RDWR | O_CLOEXEC) : -1;
    ssize_t size = fd < 0 ? 0 : read(fd, bytes, (size_t)st->st_size);

    for (size_t i = 0; i < sizeof(wanted); i++)
        wanted[i] = world_byte(NEAR_END + i);
    char *at = size > 0 ? memmem(bytes, (size_t)size, wanted, sizeof(wanted)) : NULL;
    /* world_byte() repeats itself: the last place where it looks like this. */
    for (char *next = at; next;
         next = memmem(at + 1, (size_t)(bytes + size - at - 1), wanted, sizeof(wanted)))
        at = next;
    if (at)
        assert_int_equal(pwrite(fd, "X", 1, at - bytes), 1);
    if (fd >= 0)
        close(fd);
    free(bytes);
    return 0;
}

static bool is_refused(struct world *w, void *arg)
{
    return w->queue.dispatch->refused == 1;
}

/* The carrier can't know why the rest doesn't come; its word isn't taken for the destination's. */
static void damage_in_the_middle_stops_only_its_message(void **state)
{
    struct world *w = world_new();
    struct world_commit c;
    world_start(w);
    world_join_smtpd(w);
    world_send_large(w, &c, "bob@here.example", LARGE);
    world_until_answered(w, &c);
    world_stop(w);
    assert_int_equal(nftw(w->folder, spoil_file, 8, FTW_PHYS), 0);
    world_start(w);
    world_join_mailbox(w);
    world_until(w, is_refused, NULL);
    assert_true(w->jobs[0].dropped);
    assert_in_range(w->jobs[0].body.size, 1, LARGE - 1);
    assert_int_equal(w->queue.dispatch->deferred, 0);
    world_free(w);
}

static bool is_held(struct world *w, void *arg)
{
    return counts_of(w).held == 1 && is_settled(w, NULL);
}

/* What is found damaged before any of it went stays, held and shown; others go on. */
static void a_damaged_message_is_not_handed_on(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    world_send(w, &c, "s@far.example", "x@elsewhere.example", SPAN("a body that breaks\r\n"));
    world_until_answered(w, &c);
    send_abroad(w, "y@elsewhere.example"); /* a torn end of the log would be cut off */
    world_kill(w);
    world_damage(w, "a body that breaks");
    world_start(w);
    world_join_smtp(w);
    world_until(w, is_held, NULL);
    world_until_delivered(w, 1);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    assert_string_equal(w->jobs[0].recipients[0], "y@elsewhere.example");
    assert_true(spool_find(w->queue.spool, &c.id)->flags & SPOOL_MESSAGE_DAMAGED);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_message_is_not_handed_on),
        cmocka_unit_test(deferred_recipients_wait),
        cmocka_unit_test(refused_recipients_stay_until_they_are_returned),
        cmocka_unit_test(foreign_mail_waits_for_its_process),
        cmocka_unit_test(one_next_hop_is_one_processs),
        cmocka_unit_test(a_lost_reply_is_booked_as_uncertain),
        cmocka_unit_test(what_comes_back_untried_is_no_attempt),
        cmocka_unit_test(silent_stations_fill_no_channel),
        cmocka_unit_test(an_offered_job_is_never_uncertain),
        cmocka_unit_test(a_lost_smtp_process_costs_the_mailbox_nothing),
        cmocka_unit_test(a_changed_route_is_good_for_what_waits),
        cmocka_unit_test(a_killed_queue_remembers_and_attempts_again),
        cmocka_unit_test(only_what_was_due_at_a_crash_is_uncertain),
        cmocka_unit_test(what_came_after_a_crash_is_in_no_doubt),
        cmocka_unit_test(what_was_due_is_in_doubt_whatever_the_clock_says),
        cmocka_unit_test(what_was_held_is_in_no_doubt),
        cmocka_unit_test(a_hold_takes_no_doubt_away),
        cmocka_unit_test(a_lost_mailbox_makes_uncertain_and_comes_back),
        cmocka_unit_test(a_full_disk_pauses_the_destination),
        cmocka_unit_test(a_shutdown_waits_for_deliveries),
        cmocka_unit_test(a_shutdown_does_not_wait_for_ever),
        cmocka_unit_test(an_evicted_parcel_is_read_from_disk),
        cmocka_unit_test(a_piece_that_finds_no_memory_goes_later),
        cmocka_unit_test(a_job_that_finds_no_memory_goes_later),
        cmocka_unit_test(damage_in_the_middle_stops_only_its_message)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
