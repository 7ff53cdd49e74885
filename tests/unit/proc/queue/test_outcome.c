/* What is booked of an attempt: each result as it stands in the log afterwards. */
#include "../../failing_memory.h"
#include "booked.h"
#include "reporter.h"
#include "world.h"

#include "base/clock.h"
#include "proc/queue/carry/outcome.h"
#include "proc/queue/returns/returns.h"
#include "proc/queue/returns/undelivered.h"
#include "spool/lane.h"
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

/* One message is being attempted by an smtp process, or by the mailbox; 0: for as long as usual. */
static struct world *begin_for(const char *recipient, uint64_t give_up_ms)
{
    struct world *w = world_new();
    struct world_commit c;

    if (give_up_ms)
        w->conf.give_up_ms = give_up_ms;
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_smtp(w);
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_send(w, &c, "s@far.example", recipient, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    world_until_jobs(w, 1);
    return w;
}

static struct world *begin(const char *recipient)
{
    return begin_for(recipient, 0);
}

static bool is_sealed(struct world *w, void *arg)
{
    return w->queue.settling == 0 && list_is_empty(&w->queue.unsettled) &&
           dispatch_job_count(&w->queue) == 0 && !w->queue.committer.group;
}

static void answer(struct world *w, struct ipc_job_outcome outcome)
{
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};

    w->jobs[0].answered = true;
    assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &m), 0);
    world_rest(w);
    world_until(w, is_sealed, NULL);
    booked_read(w);
}

static struct ipc_job_outcome station_says(enum ipc_outcome outcome, const char *text)
{
    return (struct ipc_job_outcome){.outcome = (uint8_t)outcome,
                                    .scope = IPC_SCOPE_RECIPIENT,
                                    .status = SPAN("2.0.0"),
                                    .text = span_from_cstr(text),
                                    .remote_id = SPAN("4bXy"),
                                    .host = SPAN("mx2.far.example"),
                                    .ip = SPAN("192.0.2.7"),
                                    .earlier = SPAN("mx1.far.example: connection refused")};
}

static void assert_station(const struct booked *b, const char *text)
{
    static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 7};

    assert_string_equal(b->reply, text);
    assert_string_equal(b->host, "mx2.far.example");
    assert_memory_equal(b->status.ip, ip, sizeof(ip));
    assert_string_equal(b->remote_id, "4bXy");
    assert_string_equal(b->detail, "mx1.far.example: connection refused");
}

static void who_took_it_is_booked_with_its_word(void **state)
{
    struct world *w = begin("x@far.example");

    answer(w, station_says(IPC_OUTCOME_DELIVERED, "250 2.0.0 queued"));
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_RELAYED);
    assert_int_equal(booked[0].status.attempts, 1);
    assert_string_equal(booked[0].enhanced, "2.0.0");
    assert_station(&booked[0], "250 2.0.0 queued");
    world_free(w);
}

/* Of a mailbox here we are the station ourselves, whatever the process says. */
static void a_mailbox_is_booked_under_our_own_name(void **state)
{
    struct world *w = begin("bob@here.example");

    answer(w, station_says(IPC_OUTCOME_DELIVERED, "delivered"));
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_DELIVERED);
    assert_string_equal(booked[0].host, "mail.here.example");
    assert_string_equal(booked[0].remote_id, "4bXy");
    world_free(w);
}

static void a_failure_for_now_is_booked_with_the_next_attempt(void **state)
{
    static const struct {
        enum ipc_outcome outcome;
        enum spool_outcome booked;
    } cases[] = {{IPC_OUTCOME_DEFERRED, SPOOL_OUTCOME_DEFERRED},
                 {IPC_OUTCOME_UNCERTAIN, SPOOL_OUTCOME_UNCERTAIN}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin("x@far.example");
        int64_t now_us = clock_wall_us(), pause_us = (int64_t)w->conf.retry_first_ms * 1000;
        answer(w, station_says(cases[i].outcome, "451 4.7.1 later"));
        assert_int_equal(booked_count, 1);
        assert_int_equal(booked[0].status.outcome, cases[i].booked);
        assert_int_equal(booked[0].status.attempts, 1);
        assert_true(booked[0].status.next_attempt_us >= now_us + pause_us / 2);
        assert_true(booked[0].status.next_attempt_us <= clock_wall_us() + pause_us);
        assert_station(&booked[0], "451 4.7.1 later");
        world_free(w);
    }
}

/* The spool keeps what the scheduler counts, so that a restart changes no pause. */
static void what_only_we_failed_counts_only_so_often(void **state)
{
    static const struct {
        enum ipc_scope scope;
        uint16_t before, booked;
    } cases[] = {{IPC_SCOPE_OURS, 0, 1},      {IPC_SCOPE_OURS, 2, 3},
                 {IPC_SCOPE_OURS, 3, 3},      {IPC_SCOPE_OURS, 7, 7},
                 {IPC_SCOPE_RECIPIENT, 3, 4}, {IPC_SCOPE_DESTINATION, 7, 8}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin("x@far.example");
        struct ipc_job_outcome outcome = station_says(IPC_OUTCOME_DEFERRED, "memory is short");
        struct spool_recipient *r = sched_owner(w->queue.sched, 1); /* the only one */
        r->attempts = cases[i].before;
        outcome.scope = (uint8_t)cases[i].scope;
        answer(w, outcome);
        assert_int_equal(booked_count, 1);
        assert_int_equal(booked[0].status.attempts, cases[i].booked);
        assert_int_equal(r->attempts, cases[i].booked);
        world_free(w);
    }
}

/* What is no address is left out: the book shows addresses, not what a process made up. */
static void an_address_that_is_none_is_not_booked(void **state)
{
    static const uint8_t none[16];
    struct world *w = begin("x@far.example");
    struct ipc_job_outcome outcome = station_says(IPC_OUTCOME_DELIVERED, "250 ok");

    outcome.ip = SPAN("somewhere");
    answer(w, outcome);
    assert_int_equal(booked_count, 1);
    assert_memory_equal(booked[0].status.ip, none, sizeof(none));
    world_free(w);
}

static void hold(struct world *w)
{
    world_join_admin(w);
    struct ipc_queue_act act = {.act = IPC_ACT_HOLD, .filter.sender = SPAN("s@far.example")};
    assert_int_equal(world_act(w, act).count, 1);
}

/* Asked for while it was attempted: the attempt is booked, and that it is held from then on. */
static void a_hold_during_the_attempt_is_booked_behind_it(void **state)
{
    struct world *w = begin("x@far.example");

    hold(w);
    answer(w, station_says(IPC_OUTCOME_DEFERRED, "451 4.7.1 later"));
    assert_true(booked_count >= 2);
    const struct booked *tried = &booked[booked_count - 2], *held = &booked[booked_count - 1];
    assert_int_equal(tried->status.outcome, SPOOL_OUTCOME_DEFERRED);
    assert_station(tried, "451 4.7.1 later");
    assert_int_equal(held->status.outcome, SPOOL_OUTCOME_HELD);
    assert_int_equal(held->status.attempts, 1);
    assert_string_equal(held->detail, "held as the administrator asked");
    assert_int_equal(held->status.next_attempt_us, 0);
    world_free(w);
}

enum { DEADLINES_US = 1100000 }; /* they are whole seconds */

/* The last attempt, too, may have been taken: else nobody would know of it. */
static void a_last_attempt_may_be_uncertain(void **state)
{
    struct world *w = begin_for("x@far.example", 1);

    usleep(DEADLINES_US);
    answer(w, station_says(IPC_OUTCOME_UNCERTAIN, "it closed the connection"));
    assert_int_equal(booked_count, 2);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_UNCERTAIN);
    assert_int_equal(booked[0].status.attempts, 1);
    assert_station(&booked[0], "it closed the connection");
    assert_int_equal(booked[1].status.outcome, SPOOL_OUTCOME_EXPIRED);
    assert_int_equal(booked[1].status.attempts, 1);
    world_free(w);
}

static void a_last_attempt_that_failed_is_not(void **state)
{
    struct world *w = begin_for("x@far.example", 1);

    usleep(DEADLINES_US);
    answer(w, station_says(IPC_OUTCOME_DEFERRED, "451 later"));
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_EXPIRED);
    world_free(w);
}

/* ---- what a crash left open ---- */

static void assert_doubt_before(enum spool_outcome end)
{
    size_t i = 0;

    while (i < booked_count && booked[i].status.outcome != end)
        i++;
    assert_in_range(i, 1, booked_count - 1);
    const struct booked *doubt = &booked[i - 1];
    assert_int_equal(doubt->status.outcome, SPOOL_OUTCOME_UNCERTAIN);
    assert_int_equal(doubt->status.recipient, booked[i].status.recipient);
    assert_non_null(strstr(doubt->detail, "it may arrive twice"));
}

/* It waits for its next attempt, and one may have been under way at a crash. */
static struct world *begin_in_doubt(void)
{
    struct world *w = begin("x@far.example");

    world_join_admin(w);
    answer(w, station_says(IPC_OUTCOME_DEFERRED, "451 later"));
    ((struct spool_recipient *)sched_owner(w->queue.sched, 1))->in_doubt = 1;
    return w;
}

static void who_is_removed_may_have_it(void **state)
{
    for (int held = 0; held < 2; held++) {
        struct world *w = begin_in_doubt();
        struct ipc_queue_act act = {.act = IPC_ACT_REMOVE, .filter.sender = SPAN("s@far.example")};
        if (held)
            hold(w);
        assert_int_equal(world_act(w, act).count, 1);
        world_until(w, is_sealed, NULL);
        booked_read(w);
        assert_int_equal(booked_count, 3 + held);
        assert_doubt_before(SPOOL_OUTCOME_REMOVED);
        world_free(w);
    }
}

static bool has_returned(struct world *w, void *arg)
{
    return w->queue.returns->returned > 0 && w->queue.settling == 0 && !w->queue.committer.group;
}

static void who_is_sent_back_may_have_it(void **state)
{
    struct world *w = begin_in_doubt();
    struct ipc_queue_act act = {.act = IPC_ACT_RETURN, .filter.sender = SPAN("s@far.example")};

    world_join_directory(w);
    reporter_join(w);
    assert_int_equal(world_act(w, act).count, 1);
    world_until(w, has_returned, NULL);
    booked_read(w);
    assert_doubt_before(SPOOL_OUTCOME_RETURNED);
    world_free(w);
}

static bool has_expired(struct world *w, void *arg)
{
    return !sched_may_have_expired(w->queue.sched) && is_sealed(w, NULL);
}

/* Given up with his destination, without an attempt of his own that could tell. */
static void who_is_given_up_with_others_may_have_it(void **state)
{
    enum { COUNT = 12 };
    struct world *w = begin_for("x@far.example", 1);

    for (int i = 1; i < COUNT; i++)
        assert_int_equal(world_commit(w, "x@far.example"), IPC_COMMIT_ACCEPTED);
    world_rest(w);
    size_t under_way = w->job_count;
    assert_in_range(under_way, 1, COUNT - 1);
    for (uint32_t item = 1; item <= COUNT; item++)
        ((struct spool_recipient *)sched_owner(w->queue.sched, item))->in_doubt = 1;
    usleep(DEADLINES_US);
    reporter_join(w);
    for (size_t i = 0; i < under_way; i++)
        world_answer(w, &w->jobs[i], MAILBOX_IS_FULL);
    world_rest(w);
    world_until(w, has_expired, NULL);
    booked_read(w);
    size_t expired = 0;
    for (size_t i = 1; i < booked_count; i++) {
        if (booked[i].status.outcome != SPOOL_OUTCOME_EXPIRED)
            continue;
        expired++;
        assert_int_equal(booked[i - 1].status.outcome, SPOOL_OUTCOME_UNCERTAIN);
    }
    assert_int_equal(expired, COUNT);
    world_free(w);
}

/* The process went away with the message in its hands: perhaps delivered, perhaps not even begun.
 */
static void what_was_lost_is_uncertain_and_no_attempt(void **state)
{
    static const char *const recipients[] = {"x@far.example", "bob@here.example"};
    static const char *const whose[] = {
        "the smtp process went away before it said what it had done",
        "the mailbox process went away before it said what it had done"};

    for (int held = 0; held < 2; held++)
        for (size_t i = 0; i < ARRAY_SIZE(recipients); i++) {
            struct world *w = begin(recipients[i]);
            if (held)
                hold(w);
            if (i == 0)
                world_leave_smtp(w);
            ipc_channel_free(w->mailbox);
            w->mailbox = NULL;
            world_rest(w);
            world_until(w, is_sealed, NULL);
            booked_read(w);
            assert_true(booked_count >= 1u + (unsigned)held);
            const struct booked *lost = &booked[booked_count - 1 - (unsigned)held];
            assert_int_equal(lost->status.outcome, SPOOL_OUTCOME_UNCERTAIN);
            assert_int_equal(lost->status.attempts, 0);
            assert_string_equal(lost->detail, whose[i]);
            assert_true(held || lost->status.next_attempt_us > 0);
            const struct booked *last = &booked[booked_count - 1];
            assert_int_equal(last->status.outcome,
                             held ? SPOOL_OUTCOME_HELD : SPOOL_OUTCOME_UNCERTAIN);
            assert_int_equal(last->status.attempts, 0);
            world_free(w);
        }
}

struct joining {
    struct io_deferred deferred;
    struct world *world;
};

static void on_joining(struct io_deferred *deferred)
{
    struct world *w = CONTAINER_OF(deferred, struct joining, deferred)->world;

    world_join_mailbox(w);
    world_join_smtp(w);
}

/* The process has ended and another is there, before the queue has read what the first had said of
 * its jobs: it was delivered once, and must not be again. */
static void what_lay_in_the_socket_is_booked(void **state)
{
    static const char *const recipients[] = {"x@far.example", "bob@here.example"};
    static const enum spool_outcome outcomes[] = {SPOOL_OUTCOME_RELAYED, SPOOL_OUTCOME_DELIVERED};

    for (size_t i = 0; i < ARRAY_SIZE(recipients); i++) {
        struct world *w = begin(recipients[i]);
        struct joining joining = {.deferred.fn = on_joining, .world = w};
        struct ipc_job_outcome outcome = station_says(IPC_OUTCOME_DELIVERED, "250 2.0.0 taken");
        struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};
        w->jobs[0].answered = true;
        assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &m), 0);
        io_defer(w->loop, &joining.deferred); /* when the reply is sent and nobody has read it */
        world_rest(w);
        world_until(w, is_sealed, NULL);
        booked_read(w);
        assert_int_equal(booked_count, 1);
        assert_int_equal(booked[0].status.outcome, outcomes[i]);
        assert_int_equal(w->job_count, 1);
        world_free(w);
    }
}

/* Also when the queue has only the disk to know it from. Who is named in two ways was answered 250
 * for each. */
static void whose_people_are_there_is_a_duplicate(void **state)
{
    static const struct {
        const char *recipients;
        size_t people, booked;
    } cases[] = {
        {"+list@here.example +list-too@here.example", 3, 4},
        {"b@here.example=b+x@here.example b@here.example=b+y@here.example a@here.example", 2, 3},
        {"b@here.example b@here.example=b+y@here.example +list@here.example", 3, 4},
    };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        bool restarts = i % 2;
        struct world *w = world_new();
        world_start(w);
        world_join_smtpd(w);
        world_join_directory(w);
        assert_int_equal(world_commit(w, cases[i / 2].recipients), IPC_COMMIT_ACCEPTED);
        if (restarts) {
            world_stop(w);
            world_start(w);
        }
        world_join_mailbox(w);
        world_until_delivered(w, (unsigned)cases[i / 2].people);
        world_rest(w);
        world_until(w, is_sealed, NULL);
        assert_int_equal(w->job_count, 1);
        assert_int_equal(w->jobs[0].recipient_count, cases[i / 2].people);
        booked_read(w);
        assert_int_equal(booked_count, cases[i / 2].booked);
        for (size_t j = 0; j < booked_count; j++)
            assert_int_equal(booked[j].status.outcome, booked[j].status.recipient == 1
                                                           ? SPOOL_OUTCOME_DISCARDED
                                                           : SPOOL_OUTCOME_DELIVERED);
        assert_string_equal(booked[0].enhanced, "2.1.5");
        assert_string_equal(booked[0].detail, "whom it stands for gets the message anyway");
        world_free(w);
    }
}

static const struct store_ops *good;
static int refusals;

static int refuse_some(struct store_segment *segment)
{
    if (refusals == 0)
        return good->sync(segment);
    refusals--;
    return -EIO;
}

static bool is_gone(struct world *w, void *arg)
{
    return !spool_find(w->queue.spool, arg);
}

/* Rule 4 begins with the seal: until the disk has the outcome it is given again and again, and the
 * message isn't attempted meanwhile, for it was delivered. */
static void an_outcome_that_the_disk_refuses_is_given_again(void **state)
{
    struct world *w = begin("x@far.example");
    struct ipc_job_outcome outcome = station_says(IPC_OUTCOME_DELIVERED, "250 ok");
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};
    struct store_ops bad = *w->queue.spool->ops;
    struct id id = w->jobs[0].id;

    good = w->queue.spool->ops;
    bad.sync = refuse_some;
    refusals = 2;
    w->queue.spool->ops = &bad;
    w->jobs[0].answered = true;
    assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &m), 0);
    world_until(w, is_gone, &id);
    assert_int_equal(refusals, 0);
    assert_true(list_is_empty(&w->queue.unsettled));
    assert_int_equal(w->job_count, 1);
    booked_read(w);
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_RELAYED);
    assert_station(&booked[0], "250 ok");
    w->queue.spool->ops = good;
    world_free(w);
}

/* ---- outcomes that are given again ---- */

static struct store_ops hanging;
static atomic_bool may_fail, hangs;

static int hang_and_fail(struct store_segment *segment)
{
    atomic_store(&hangs, true);
    while (!atomic_load(&may_fail))
        usleep(100);
    return -EIO;
}

static bool disk_hangs(struct world *w, void *arg)
{
    return atomic_load(&hangs);
}

/* The next sync hangs until let_fail(). What is written afterwards is not concerned. */
static void let_hang(struct world *w)
{
    good = w->queue.spool->ops;
    hanging = *good;
    hanging.sync = hang_and_fail;
    atomic_store(&may_fail, false);
    atomic_store(&hangs, false);
    w->queue.spool->ops = &hanging;
}

static void let_fail(struct world *w)
{
    atomic_store(&may_fail, true);
    world_until(w, is_sealed, NULL);
}

/* Anna has it, Bob hasn't: one answer to one job. */
static void answer_both(struct world *w)
{
    struct ipc_job_outcome both[] = {station_says(IPC_OUTCOME_DELIVERED, "delivered"),
                                     station_says(IPC_OUTCOME_DEFERRED, "over quota")};
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {both, 2}};

    assert_int_equal(w->jobs[0].recipient_count, 2);
    both[1].index = 1;
    w->jobs[0].answered = true;
    assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &m), 0);
}

static void no_matter(struct ipc_call *call, const struct ipc_message *reply)
{
}

/* What the administrator wants of Bob; its answer comes with the seal. */
static void ask_for_bob(struct world *w, enum ipc_queue_act_kind kind)
{
    struct ipc_message ask = {.type = IPC_QUEUE_ACT,
                              .queue_act = {.act = (uint8_t)kind,
                                            .index = UINT32_MAX,
                                            .filter.recipient = SPAN("bob@here.example")}};

    w->call.fn = no_matter;
    assert_int_equal(ipc_call(w->admin, &w->call, &ask), 0);
    world_rest(w);
}

/* All that the log says of the recipient, in order; 0 behind the last. */
static void assert_said(uint32_t recipient, const enum spool_outcome *outcomes)
{
    for (size_t i = 0; i < booked_count; i++)
        if (booked[i].status.recipient == recipient)
            assert_int_equal(booked[i].status.outcome, *outcomes++);
    assert_int_equal(*outcomes, 0);
}

/* Whatever the disk refuses and others do to whom one shares a record with: his delivery is booked,
 * he isn't attempted again (rule 4), and the attempt of the other one is booked before his end. */
static void an_outcome_that_comes_back_stands_before_what_came_behind_it(void **state)
{
    static const enum spool_outcome delivered[] = {SPOOL_OUTCOME_DELIVERED, 0};
    static const struct {
        enum ipc_queue_act_kind act;
        enum spool_outcome said[4];
        size_t jobs;
    } cases[] = {{IPC_ACT_REMOVE, {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_REMOVED}, 1},
                 {IPC_ACT_RETRY,
                  {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_RETRIED, SPOOL_OUTCOME_DELIVERED},
                  2}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin("anna@here.example bob@here.example");
        struct id id = w->jobs[0].id;
        world_join_admin(w);
        let_hang(w);
        answer_both(w);
        world_until(w, disk_hangs, NULL);
        w->queue.spool->ops = good;
        w->mailbox_does = MAILBOX_DELIVERS;
        ask_for_bob(w, cases[i].act);
        let_fail(w);
        world_join_admin(w); /* another one: the first act was busy, or refused as well */
        ask_for_bob(w, cases[i].act);
        world_until(w, is_gone, &id);
        assert_true(list_is_empty(&w->queue.unsettled));
        assert_int_equal(w->job_count, cases[i].jobs);
        booked_read(w);
        assert_said(0, delivered);
        assert_said(1, cases[i].said);
        world_free(w);
    }
}

static bool memory_is_short;

static bool none_is_kept(struct world *w, void *arg)
{
    return w->queue.settling == 0 && list_is_empty(&w->queue.unsettled) &&
           !w->queue.committer.group;
}

int __real_spool_status(struct spool *spool, struct spool_message *message,
                        const struct spool_status *statuses, size_t count, spool_done_fn *done,
                        void *arg);
int __wrap_spool_status(struct spool *spool, struct spool_message *message,
                        const struct spool_status *statuses, size_t count, spool_done_fn *done,
                        void *arg);

/* For attempts; an administrator's act is smaller. */
int __wrap_spool_status(struct spool *spool, struct spool_message *message,
                        const struct spool_status *statuses, size_t count, spool_done_fn *done,
                        void *arg)
{
    if (memory_is_short && statuses[0].outcome == SPOOL_OUTCOME_DEFERRED)
        return -ENOMEM;
    return __real_spool_status(spool, message, statuses, count, done, arg);
}

static void answer_deferred(struct world *w)
{
    struct ipc_job_outcome outcome = station_says(IPC_OUTCOME_DEFERRED, "over quota");
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};

    w->jobs[0].answered = true;
    assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &m), 0);
    world_rest(w);
    assert_false(list_is_empty(&w->queue.unsettled));
}

/* An attempt lasts until the disk has what came of it, or the book would never learn that. */
static void who_waits_for_his_outcome_isnt_taken_away(void **state)
{
    static const enum ipc_queue_act_kind kinds[] = {IPC_ACT_REMOVE, IPC_ACT_RETURN};
    static const enum spool_outcome said[] = {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_REMOVED, 0};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct world *w = begin("bob@here.example");
        struct id id = w->jobs[0].id;
        struct ipc_queue_act act = {.act = kinds[i], .filter.id = id};
        world_join_admin(w);
        memory_is_short = true;
        answer_deferred(w);
        struct ipc_queue_acted acted = world_act(w, act);
        assert_int_equal(acted.error, -EBUSY);
        assert_int_equal(acted.busy, 1);
        memory_is_short = false;
        world_until(w, none_is_kept, NULL);
        act.act = IPC_ACT_REMOVE;
        assert_int_equal(world_act(w, act).count, 1);
        assert_true(is_gone(w, &id));
        booked_read(w);
        assert_said(0, said);
        world_free(w);
    }
}

/* The end of an attempt as that a hold was asked for. An act that would undo the hold waits for it:
 * behind that it would hold him again. */
static void an_act_stands_behind_the_outcome_that_waits_for_memory(void **state)
{
    static const struct {
        enum ipc_queue_act_kind act;
        enum spool_outcome last;
    } cases[] = {{IPC_ACT_RELEASE, SPOOL_OUTCOME_RELEASED},
                 {IPC_ACT_RETURN, SPOOL_OUTCOME_HELD},
                 {IPC_ACT_RETRY, SPOOL_OUTCOME_HELD}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin("bob@here.example");
        struct spool_recipient *r = sched_owner(w->queue.sched, 1);
        bool stays = cases[i].last == SPOOL_OUTCOME_HELD;

        hold(w);
        memory_is_short = true;
        answer_deferred(w);
        ask_for_bob(w, cases[i].act);
        memory_is_short = false;
        world_until(w, none_is_kept, NULL);
        if (!stays)
            world_until_jobs(w, 2);
        assert_int_equal(r->state, stays ? SPOOL_RECIPIENT_HELD : SPOOL_RECIPIENT_WAITING);
        booked_read(w);
        assert_int_equal(booked[booked_count - 1].status.outcome, cases[i].last);
        world_free(w);
    }
}

/* Of two recipients: the disk refuses the first one's when the second one's waits for memory
 * already. */
static void outcomes_are_booked_in_their_order(void **state)
{
    static const char *const replies[] = {"over quota", "disk full"};
    struct world *w = world_begin();

    world_join_smtp(w);
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_accept(w, "s@far.example", "bob@here.example carol@elsewhere.example");
    world_until_jobs(w, 2);
    let_hang(w);
    world_answer(w, &w->jobs[0], MAILBOX_DEFERS);
    world_until(w, disk_hangs, NULL);
    w->queue.spool->ops = good;
    memory_is_short = true;
    world_answer(w, &w->jobs[1], MAILBOX_IS_FULL);
    world_rest(w);
    assert_false(list_is_empty(&w->queue.unsettled));
    atomic_store(&may_fail, true);
    world_rest(w);
    memory_is_short = false;
    world_until(w, none_is_kept, NULL);
    booked_read(w);
    assert_int_equal(booked_count, ARRAY_SIZE(replies));
    for (size_t i = 0; i < booked_count; i++) {
        assert_int_equal(booked[i].status.recipient, w->jobs[i].indexes[0]);
        assert_string_equal(booked[i].reply, replies[i]);
    }
    world_free(w);
}

/* A start after an end that was called good doubts nothing: so none is, while outcomes lack. */
static void the_queue_ends_well_with_all_its_outcomes_only(void **state)
{
    struct world *w = begin("bob@here.example");

    memory_is_short = true;
    answer_deferred(w);
    world_close(w);
    world_rest(w);
    world_rest(w);
    assert_false(w->closed);
    memory_is_short = false;
    world_until_closed(w);
    booked_read(w);
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_DEFERRED);
    world_free(w);
}

/* Else the log would refuse it, and the station get the message again. */
static void a_longer_word_than_the_log_takes_is_cut(void **state)
{
    struct world *w = begin("x@far.example");
    struct ipc_job_outcome outcome = station_says(IPC_OUTCOME_DELIVERED, "250 ok");
    char remote_id[IPC_TEXT_MAX];
    struct id id = w->jobs[0].id;

    memset(remote_id, 'x', sizeof(remote_id));
    outcome.remote_id = span_of(remote_id, sizeof(remote_id));
    answer(w, outcome);
    assert_null(spool_find(w->queue.spool, &id));
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_RELAYED);
    assert_string_equal(booked[0].reply, "250 ok");
    assert_int_equal(booked[0].remote_id_bytes, SPOOL_REMOTE_ID_MAX);
    world_free(w);
}

/* ---- without memory ---- */

static bool has_room = true;

struct settlement *__real_settlement_new(struct queue *q, size_t recipients);
struct settlement *__wrap_settlement_new(struct queue *q, size_t recipients);
void __real_outcome_take(const struct carrier *carrier, struct settlement *settlement,
                         const struct job_item *items, uint32_t count,
                         const struct ipc_job_result *result, bool sent);
void __wrap_outcome_take(const struct carrier *carrier, struct settlement *settlement,
                         const struct job_item *items, uint32_t count,
                         const struct ipc_job_result *result, bool sent);

struct settlement *__wrap_settlement_new(struct queue *q, size_t recipients)
{
    return has_room ? __real_settlement_new(q, recipients) : NULL;
}

/* Memory fails, when it does, as an outcome is taken. */
void __wrap_outcome_take(const struct carrier *carrier, struct settlement *settlement,
                         const struct job_item *items, uint32_t count,
                         const struct ipc_job_result *result, bool sent)
{
    failing_memory_arm();
    __real_outcome_take(carrier, settlement, items, count, result, sent);
    failing_memory_rest();
}

/* Whichever allocation fails, or all from one on. */
static void a_delivery_is_booked_without_memory(void **state)
{
    for (int on = 0; on < 2; on++)
        for (long fails = 0; fails < 6; fails++) {
            struct world *w = begin("x@far.example");
            struct id id = w->jobs[0].id;
            failing_memory.fails_on = on;
            failing_memory.countdown = fails;
            answer(w, station_says(IPC_OUTCOME_DELIVERED, "250 ok"));
            failing_memory.countdown = -1;
            world_until(w, is_gone, &id);
            assert_int_equal(w->job_count, 1);
            assert_int_equal(booked_count, 1);
            assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_RELAYED);
            assert_int_equal(booked[0].status.attempts, 1);
            if (on && fails == 0) {
                assert_string_equal(booked[0].reply, "");
                assert_non_null(strstr(booked[0].detail, "memory was short"));
            }
            world_free(w);
        }
}

/* Two were in doubt, so more is to be said than there are recipients. */
static void without_memory_the_end_is_said_alone(void **state)
{
    struct world *w = begin("anna@here.example bob@here.example");

    for (uint32_t item = 1; item <= 2; item++)
        ((struct spool_recipient *)sched_owner(w->queue.sched, item))->in_doubt = 1;
    failing_memory.fails_on = true;
    failing_memory.countdown = 0;
    answer_both(w);
    world_rest(w);
    world_until(w, is_sealed, NULL);
    failing_memory.countdown = -1;
    booked_read(w);
    assert_int_equal(booked_count, 2);
    assert_int_equal(booked[0].status.recipient, 0);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_DELIVERED);
    assert_int_equal(booked[1].status.recipient, 1);
    assert_int_equal(booked[1].status.outcome, SPOOL_OUTCOME_DEFERRED);
    world_free(w);
}

void __real_undelivered_told(struct undelivered *u);
void __wrap_undelivered_told(struct undelivered *u);

void __wrap_undelivered_told(struct undelivered *u)
{
    failing_memory_arm();
    __real_undelivered_told(u);
    failing_memory_rest();
}

/* Nor is who was told attempted again, and his sender told twice. */
static void a_return_is_booked_without_memory(void **state)
{
    struct world *w = begin("x@far.example");
    struct id id = w->jobs[0].id;

    world_join_directory(w);
    reporter_join(w);
    reporter.asked = 0;
    reporter.silent = true;
    answer(w, station_says(IPC_OUTCOME_FAILED, "550 5.1.1 unknown"));
    failing_memory.fails_on = true;
    failing_memory.countdown = 0;
    reporter_answer();
    world_until(w, is_gone, &id);
    failing_memory.countdown = -1;
    world_until_jobs(w, 2); /* of itself, and of the report */
    booked_read(w);
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_RETURNED);
    assert_int_equal(reporter.asked, 1);
    reporter_forget();
    world_free(w);
}

/* What can't be booked afterwards isn't begun. */
static void without_room_for_its_outcome_no_job_goes(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DELIVERS);

    has_room = false;
    assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
    world_rest(w);
    has_room = true;
    world_until(w, is_sealed, NULL);
    assert_int_equal(w->job_count, 0);
    booked_read(w);
    assert_int_equal(booked_count, 1);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_DEFERRED);
    assert_string_equal(booked[0].reply, "out of memory");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_took_it_is_booked_with_its_word),
        cmocka_unit_test(a_mailbox_is_booked_under_our_own_name),
        cmocka_unit_test(a_failure_for_now_is_booked_with_the_next_attempt),
        cmocka_unit_test(what_only_we_failed_counts_only_so_often),
        cmocka_unit_test(an_address_that_is_none_is_not_booked),
        cmocka_unit_test(a_hold_during_the_attempt_is_booked_behind_it),
        cmocka_unit_test(a_last_attempt_may_be_uncertain),
        cmocka_unit_test(a_last_attempt_that_failed_is_not),
        cmocka_unit_test(who_is_removed_may_have_it),
        cmocka_unit_test(who_is_sent_back_may_have_it),
        cmocka_unit_test(who_is_given_up_with_others_may_have_it),
        cmocka_unit_test(what_was_lost_is_uncertain_and_no_attempt),
        cmocka_unit_test(what_lay_in_the_socket_is_booked),
        cmocka_unit_test(whose_people_are_there_is_a_duplicate),
        cmocka_unit_test(an_outcome_that_the_disk_refuses_is_given_again),
        cmocka_unit_test(an_outcome_that_comes_back_stands_before_what_came_behind_it),
        cmocka_unit_test(who_waits_for_his_outcome_isnt_taken_away),
        cmocka_unit_test(an_act_stands_behind_the_outcome_that_waits_for_memory),
        cmocka_unit_test(outcomes_are_booked_in_their_order),
        cmocka_unit_test(the_queue_ends_well_with_all_its_outcomes_only),
        cmocka_unit_test(a_longer_word_than_the_log_takes_is_cut),
        cmocka_unit_test(a_delivery_is_booked_without_memory),
        cmocka_unit_test(without_memory_the_end_is_said_alone),
        cmocka_unit_test(a_return_is_booked_without_memory),
        cmocka_unit_test(without_room_for_its_outcome_no_job_goes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
