/* What an administrator does to waiting recipients when something is in the way; test_administer.c
 * has what each act does. */
#include "booked.h"
#include "reporter.h"

#include "proc/queue/core/schedule.h"
#include "proc/queue/returns/return.h"
#include <errno.h>
#include <semaphore.h>

static struct world *begin(void)
{
    return world_begin_with_admin(MAILBOX_IS_SILENT);
}

static struct id send_one(struct world *w, const char *sender, const char *recipients)
{
    struct world_commit c;
    world_send(w, &c, sender, recipients, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c.id;
}

static struct spool_recipient *first_of(struct world *w, const struct id *id)
{
    struct spool_message *m = spool_find(w->queue.spool, id);
    assert_non_null(m);
    return &m->recipients[0];
}

static struct sched_explanation explain(struct world *w, const struct id *id)
{
    struct sched_explanation e;
    sched_explain(w->queue.sched, schedule_item(first_of(w, id)), &e);
    return e;
}

static struct ipc_queue_acted act(struct world *w, enum ipc_queue_act_kind kind,
                                  const struct id *id)
{
    return world_act(w, (struct ipc_queue_act){.act = kind, .filter.id = *id});
}

static void restart(struct world *w)
{
    world_kill(w);
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_admin(w);
}

/* Whatever its attempt comes to. One that was none is counted neither here nor after a restart. */
static void who_is_held_while_attempted_stays(void **state)
{
    static const struct {
        const char *name;
        enum world_mailbox does; /* MAILBOX_IS_SILENT: the mailbox process ends */
        unsigned attempts;
    } cases[] = {
        {"put off", MAILBOX_DEFERS, 1},
        {"the destination's trouble", MAILBOX_IS_FULL, 1},
        {"nobody knows", MAILBOX_IS_INTERRUPTED, 1},
        {"given back", MAILBOX_IS_ENDING, 0},
        {"lost", MAILBOX_IS_SILENT, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin();
        struct id id = send_one(w, "s@far.example", "anna@here.example");
        world_until_jobs(w, 1);
        assert_int_equal(act(w, IPC_ACT_HOLD, &id).count, 1);
        if (cases[i].does == MAILBOX_IS_SILENT) {
            ipc_channel_free(w->mailbox);
            w->mailbox = NULL;
            world_rest(w);
            world_join_mailbox(w);
        } else {
            world_answer(w, &w->jobs[0], cases[i].does);
        }
        world_until(w, world_is_settled, NULL);
        for (int again = 0; again < 2; again++) {
            world_rest(w);
            assert_int_equal(w->job_count, again ? 0 : 1);
            if (first_of(w, &id)->state != SPOOL_RECIPIENT_HELD ||
                first_of(w, &id)->attempts != cases[i].attempts)
                fail_msg("%s: state %u, %u attempts", cases[i].name, first_of(w, &id)->state,
                         first_of(w, &id)->attempts);
            assert_int_equal(explain(w, &id).wait, SCHED_WAIT_RELEASE);
            assert_int_equal(explain(w, &id).attempts, cases[i].attempts);
            if (!again)
                restart(w);
        }
        w->mailbox_does = MAILBOX_DELIVERS;
        assert_int_equal(act(w, IPC_ACT_RELEASE, &id).count, 1);
        world_until_delivered(w, 1);
        world_free(w);
    }
}

/* It was held, and is not when it goes back: also in the words of the log. */
static void who_is_held_may_be_returned(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct id id = send_one(w, "s@far.example", "anna@here.example");
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).count, 1);
    assert_int_equal(act(w, IPC_ACT_RETURN, &id).count, 1);
    for (int again = 0; again < 2; again++) {
        world_rest(w);
        assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
        assert_span(spool_domain(w->queue.spool, first_of(w, &id)->domain), "return:");
        restart(w);
    }
    world_free(w);
}

static const enum ipc_queue_act_kind kinds[] = {IPC_ACT_HOLD,   IPC_ACT_RELEASE, IPC_ACT_RETRY,
                                                IPC_ACT_RETURN, IPC_ACT_REMOVE,  IPC_ACT_REROUTE};

/* Another message of the same sender, that nobody can read, is told of by each. */
static void what_cant_be_read_is_left_alone_and_told(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct ipc_queue_act wanted = {.act = kinds[i], .next_hop = SPAN("mx")};
        struct world *w = begin();
        w->mailbox_does = MAILBOX_DEFERS;
        struct id bad = send_one(w, "s@far.example", "anna@here.example");
        send_one(w, "s@far.example", "bob@here.example");
        send_one(w, "other@far.example", "bob@here.example");
        world_until_jobs(w, 3);
        world_until(w, world_is_settled, NULL);
        if (kinds[i] == IPC_ACT_RELEASE)
            world_act(w, (struct ipc_queue_act){.act = IPC_ACT_HOLD,
                                                .filter.sender = SPAN("s@far.example")});
        world_damage(w, "anna@here.example");
        for (int kind = 0; kind < 2; kind++) {
            wanted.filter = (struct ipc_queue_filter){.sender = SPAN("s@far.example")};
            if (kind)
                wanted.filter = (struct ipc_queue_filter){.recipient = SPAN("b@here.example")};
            wanted.dry = true;
            struct ipc_queue_acted dry = world_act(w, wanted);
            wanted.dry = false;
            struct ipc_queue_acted acted = world_act(w, wanted);
            assert_int_equal(dry.count, acted.count);
            assert_int_equal(acted.count, kind ? 0 : 1);
            /* By the dry run's reading the spool knows that it is damaged, and holds it. */
            bool passes = kinds[i] == IPC_ACT_HOLD || kinds[i] == IPC_ACT_RETRY;
            assert_int_equal(dry.error, passes && kind ? 0 : -EIO);
            assert_int_equal(acted.error, passes ? 0 : -EIO); /* also when nobody else fits */
            assert_span(buffer_span(&w->reply_text),
                        passes ? "a message that may fit can't be read; it is held already, and "
                                 "stays so"
                               : "a message that is damaged or can't be read was left alone");
        }
        assert_non_null(spool_find(w->queue.spool, &bad));
        /* Nobody else's. */
        wanted.filter = (struct ipc_queue_filter){.sender = SPAN("third@far.example")};
        assert_int_equal(world_act(w, wanted).error, -ENOENT);
        world_free(w);
    }
}

/* What goes elsewhere isn't read for an address here, unless an alias may have led there: that it
 * can't be read doesn't matter. */
static void whose_first_recipient_is_elsewhere_cannot_fit_one_here(void **state)
{
    struct ipc_queue_act remove = {.act = IPC_ACT_REMOVE,
                                   .filter.recipient = SPAN("b@here.example")};
    struct world *w = begin();

    send_one(w, "s@far.example", "x@elsewhere.example");
    world_rest(w);
    world_damage(w, "x@elsewhere.example");
    assert_int_equal(world_act(w, remove).error, -ENOENT);
    send_one(w, "s@far.example", "y@elsewhere.example z@elsewhere.example");
    world_rest(w);
    world_damage(w, "y@elsewhere.example");
    assert_int_equal(world_act(w, remove).error, -EIO);
    world_free(w);
}

/* The spool holds it; it goes only by name, and only away. */
static void a_damaged_message_may_be_removed_only(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct ipc_queue_act wanted = {.act = kinds[i], .next_hop = SPAN("mx")};
        struct world *w = begin();
        w->mailbox_does = MAILBOX_DEFERS;
        struct id bad = send_one(w, "s@far.example", "anna@here.example");
        world_until_jobs(w, 1);
        world_until(w, world_is_settled, NULL);
        world_damage(w, "anna@here.example");
        world_list(w, &(struct ipc_queue_filter){.id = bad}); /* reads it … */
        world_list(w, &(struct ipc_queue_filter){.id = bad});
        assert_true(w->rows[0].damaged);
        send_one(w, "other@far.example", "bob@here.example"); /* … and it is held with this one */
        world_until_jobs(w, 2);
        world_until(w, world_is_settled, NULL);
        wanted.filter.id = bad;
        struct ipc_queue_acted acted = world_act(w, wanted);
        bool goes = kinds[i] == IPC_ACT_REMOVE;
        assert_int_equal(acted.count, goes);
        bool holds = kinds[i] == IPC_ACT_HOLD; /* it is held already */
        assert_int_equal(acted.error, goes || holds               ? 0
                                      : kinds[i] == IPC_ACT_RETRY ? -ENOENT
                                                                  : -EIO);
        world_rest(w);
        assert_int_equal(spool_find(w->queue.spool, &bad) == NULL, goes);
        world_free(w);
    }
}

static bool waits_for_its_attempt(struct world *w, void *arg)
{
    return explain(w, arg).state == SCHED_PAUSED || explain(w, arg).state == SCHED_READY;
}

/* An act counts when it is sealed. One that the disk refuses is told, and nothing of it stays: who
 * was to be held or removed is attempted again, when he would have been without it. */
static void an_act_that_the_disk_refuses_is_undone(void **state)
{
    static const enum ipc_queue_act_kind refused[] = {IPC_ACT_HOLD, IPC_ACT_REMOVE, IPC_ACT_RETURN,
                                                      IPC_ACT_REROUTE};

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct world *w = begin();
        w->mailbox_does = MAILBOX_DEFERS;
        struct id id = send_one(w, "s@far.example", "bob@here.example");
        struct ipc_queue_act wanted = {.act = refused[i], .filter.id = id};
        if (refused[i] == IPC_ACT_REROUTE)
            wanted.next_hop = SPAN("smtp:gate.example");
        world_until(w, waits_for_its_attempt, &id);
        world_until(w, world_is_settled, NULL);
        int64_t until_ms = explain(w, &id).until_ms;
        world_set_disk(w, true);
        struct ipc_queue_acted acted = world_act(w, wanted);
        world_set_disk(w, false);
        assert_int_equal(acted.error, -EIO);
        assert_span(buffer_span(&w->reply_text), "not all of it could be written to disk");
        world_rest(w);
        assert_int_equal(w->job_count, 1);
        assert_int_equal(explain(w, &id).wait, SCHED_WAIT_PAUSE);
        assert_in_range(explain(w, &id).until_ms, until_ms - 1000, until_ms + 1000);
        assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
        assert_false(first_of(w, &id)->is_closing);
        assert_span(spool_domain(w->queue.spool, first_of(w, &id)->domain), "here.example");
        world_free(w);
    }
}

/* He is held on the disk, so he is after a restart, too. */
static void who_is_held_stays_so_when_the_disk_refuses_his_release(void **state)
{
    struct world *w = begin();

    w->mailbox_does = MAILBOX_DEFERS;
    struct id id = send_one(w, "s@far.example", "bob@here.example");
    world_until(w, waits_for_its_attempt, &id);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).error, 0);
    world_set_disk(w, true);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &id).error, -EIO);
    world_set_disk(w, false);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    world_free(w);
}

static void more_of_no_act_is_refused(void **state)
{
    struct world *w = begin();
    world_ask(w, &(struct ipc_message){.type = IPC_QUEUE_ACT_MORE});
    assert_int_equal(w->reply.queue_acted.error, -EINVAL);
    assert_true(w->reply.queue_acted.last);
    world_free(w);
}

/* ---- a disk that takes its time ---- */

/* It is told how far it is, and the act's end is told to who asks for more. */
static void a_long_act_tells_how_far_it_is(void **state)
{
    struct world *w = begin();
    const struct ipc_message more = {.type = IPC_QUEUE_ACT_MORE};
    w->mailbox_does = MAILBOX_DEFERS;
    struct id id = send_one(w, "s@far.example", "anna@here.example");
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    assert_false(w->reply.queue_acted.last);
    world_let_disk_go_on(w); /* it ends while nobody waits */
    world_ask(w, &more);
    assert_true(w->reply.queue_acted.last);
    assert_int_equal(w->reply.queue_acted.error, 0);
    assert_int_equal(w->reply.queue_acted.count, 1);
    world_free(w);
}

/* ---- acts that overtake each other on their way to the disk ---- */

static bool is_held_in_memory(struct world *w, void *arg)
{
    return explain(w, arg).state == SCHED_HELD;
}

/* One who waits is held, while the disk takes its time, by a client that goes away. */
static struct id hold_on_a_slow_disk(struct world *w)
{
    w->mailbox_does = MAILBOX_DEFERS;
    struct id id = send_one(w, "s@far.example", "anna@here.example");
    struct ipc_message hold = {
        .type = IPC_QUEUE_ACT,
        .queue_act = {.act = IPC_ACT_HOLD, .filter.id = id, .index = UINT32_MAX}};
    world_until(w, waits_for_its_attempt, &id);
    world_until(w, world_is_settled, NULL);
    world_stall_disk(w);
    assert_int_equal(ipc_call(w->admin, &w->call, &hold), 0);
    world_until(w, is_held_in_memory, &id);
    ipc_call_cancel(&w->call);
    world_join_admin(w);
    return id;
}

static void a_release_overtakes_a_hold(void **state)
{
    struct world *w = begin();
    struct id id = hold_on_a_slow_disk(w);
    w->mailbox_does = MAILBOX_DELIVERS;
    ipc_channel_free(w->mailbox); /* what is released waits */
    w->mailbox = NULL;
    world_begin_act(w, IPC_ACT_RELEASE, &id, 1);
    world_let_disk_go_on(w);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
    assert_int_equal(explain(w, &id).state, SCHED_READY);
    world_join_mailbox(w);
    world_until_delivered(w, 1);
    world_free(w);
}

/* Both with one write: nobody is left who holds him. */
static void a_hold_and_what_overtook_it_are_undone_when_the_disk_refuses_both(void **state)
{
    static const enum ipc_queue_act_kind refused[] = {IPC_ACT_HOLD, IPC_ACT_RELEASE, IPC_ACT_RETURN,
                                                      IPC_ACT_REMOVE};

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct world *w = begin();
        w->mailbox_does = MAILBOX_DEFERS;
        struct id id = send_one(w, "s@far.example", "anna@here.example");
        world_until(w, waits_for_its_attempt, &id);
        world_until(w, world_is_settled, NULL);
        world_stall_disk(w);
        world_set_disk(w, true);
        world_begin_act(w, IPC_ACT_HOLD, &id, 1);
        world_begin_act(w, refused[i], &id, 1);
        world_let_disk_go_on(w);
        world_set_disk(w, false);
        world_until(w, waits_for_its_attempt, &id);
        assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
        assert_int_equal(first_of(w, &id)->in_act, 0);
        world_free(w);
    }
}

static void a_return_overtakes_a_hold(void **state)
{
    struct world *w = begin();
    struct id id = hold_on_a_slow_disk(w);
    world_begin_act(w, IPC_ACT_RETURN, &id, 1);
    world_let_disk_go_on(w);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
    assert_span(spool_domain(w->queue.spool, first_of(w, &id)->domain), "return:");
    world_free(w);
}

/* Nobody may be told that he is held, or is attempted now, who only waits to be held. */
static void a_retry_leaves_who_is_being_held(void **state)
{
    struct world *w = begin();
    struct id id = hold_on_a_slow_disk(w);
    world_begin_act(w, IPC_ACT_RETRY, &id, 0);
    assert_int_equal(w->reply.queue_acted.error, -EBUSY);
    world_let_disk_go_on(w);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    world_free(w);
}

static bool is_in_act(struct world *w, void *arg)
{
    return first_of(w, arg)->in_act;
}

/* The end of his attempt would hold him all the same. */
static void a_retry_leaves_who_is_to_be_held_after_his_attempt(void **state)
{
    struct world *w = begin();
    struct id id = send_one(w, "s@far.example", "anna@here.example");
    struct ipc_message hold = {
        .type = IPC_QUEUE_ACT,
        .queue_act = {.act = IPC_ACT_HOLD, .filter.id = id, .index = UINT32_MAX}};
    world_until_jobs(w, 1);
    world_stall_disk(w);
    assert_int_equal(ipc_call(w->admin, &w->call, &hold), 0);
    world_until(w, is_in_act, &id);
    ipc_call_cancel(&w->call);
    world_begin_act(w, IPC_ACT_RETRY, &id, 0);
    assert_int_equal(w->reply.queue_acted.error, -EBUSY);
    world_let_disk_go_on(w);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    world_answer(w, &w->jobs[0], MAILBOX_DEFERS);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    assert_false(first_of(w, &id)->in_act);
    world_free(w);
}

/* Without a report process he waits for long. A hold keeps the report back, also when it could be
 * written; nothing is told as done that changes nothing, and when the disk refuses the hold he
 * waits for his report as before. */
static void who_waits_for_his_report_may_be_held(void **state)
{
    struct world *w = begin();
    w->mailbox_does = MAILBOX_FAILS;
    struct id id = send_one(w, "s@far.example", "anna@here.example");
    world_until(w, is_held_in_memory, &id);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(act(w, IPC_ACT_RETRY, &id).count, 0);
    assert_int_equal(w->reply.queue_acted.error, -ENOENT);
    world_set_disk(w, true);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).error, -EIO);
    world_set_disk(w, false);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).count, 1);
    reporter_join(w);
    returns_tick(&w->queue); /* it rested */
    world_rest(w);
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(act(w, IPC_ACT_RELEASE, &id).count, 1);
    world_until_delivered(w, 1);
    reporter_forget();
    world_free(w);
}

/* What the disk's thread gets stops here, and what it got before goes on. */
struct gate {
    struct io_job job;
    sem_t opened;
};

static void stop_here(struct io_job *job)
{
    sem_wait(&CONTAINER_OF(job, struct gate, job)->opened);
}

static void go_on(struct io_job *job)
{
    sem_destroy(&CONTAINER_OF(job, struct gate, job)->opened);
}

static void gate_close(struct gate *gate, struct world *w)
{
    gate->job = (struct io_job){.run = stop_here, .done = go_on};
    sem_init(&gate->opened, 0, 0);
    io_pool_submit(w->queue.commit_pool, &gate->job);
}

static bool is_retried(struct world *w, void *arg)
{
    booked_read(w);
    return booked_count == 1 && booked[0].status.outcome == SPOOL_OUTCOME_RETRIED;
}

/* The one that is on the disk first says nothing of the other one. */
static void who_is_in_two_acts_waits_for_both(void **state)
{
    static struct gate gates[2];
    struct world *w = begin();
    struct id id = send_one(w, "s@far.example", "anna@here.example");

    world_until_jobs(w, 1);
    world_rest(w);
    reporter_join(w);
    gate_close(&gates[0], w);
    world_begin_act(w, IPC_ACT_RETRY, &id, 1);
    gate_close(&gates[1], w);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    world_until(w, is_held_in_memory, &id);
    sem_post(&gates[0].opened);
    world_until(w, is_retried, NULL);
    for (int i = 0; i < 3; i++) {
        returns_tick(&w->queue);
        world_rest(w);
    }
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(first_of(w, &id)->in_act, 1);
    sem_post(&gates[1].opened);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    assert_int_equal(first_of(w, &id)->in_act, 0);
    reporter_forget();
    world_free(w);
}

/* More than can be counted wait: the next one is told to come again. */
static void who_is_in_many_acts_is_left_alone(void **state)
{
    enum { COUNTED = 3 };
    struct world *w = begin();
    struct id id = hold_on_a_slow_disk(w);

    for (int i = 1; i < COUNTED; i++)
        world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    assert_int_equal(first_of(w, &id)->in_act, COUNTED);
    world_begin_act(w, IPC_ACT_HOLD, &id, 0);
    assert_int_equal(w->reply.queue_acted.error, -EBUSY);
    world_let_disk_go_on(w);
    assert_int_equal(first_of(w, &id)->in_act, 0);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    world_free(w);
}

static bool has_left_acts(struct world *w, void *arg)
{
    return first_of(w, arg)->in_act == 1;
}

/* What the disk has of a hold says nothing as long as another act is on its way. He isn't attempted
 * between the two, so no attempt's end can hold him behind his release, nor is he delivered who was
 * told to go back. `fails`: the disk refuses the hold, and with it what lies behind. */
static void between_two_acts_nothing_happens(void **state)
{
    static const struct {
        enum ipc_queue_act_kind act;
        bool fails;
    } cases[] = {{IPC_ACT_RELEASE, false},
                 {IPC_ACT_RELEASE, true},
                 {IPC_ACT_RETURN, false},
                 {IPC_ACT_RETURN, true}};
    static struct gate gates[2];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool released = cases[i].act == IPC_ACT_RELEASE && !cases[i].fails;
        bool returned = cases[i].act == IPC_ACT_RETURN && !cases[i].fails;
        struct world *w = begin();
        w->mailbox_does = MAILBOX_DEFERS;
        struct id id = send_one(w, "s@far.example", "anna@here.example");
        world_until(w, waits_for_its_attempt, &id);
        world_until(w, world_is_settled, NULL);
        gate_close(&gates[0], w);
        if (cases[i].fails)
            world_set_disk(w, true);
        world_begin_act(w, IPC_ACT_HOLD, &id, 1);
        if (cases[i].fails)
            world_set_disk(w, false);
        gate_close(&gates[1], w);
        world_begin_act(w, cases[i].act, &id, 1);
        world_rest(w);
        assert_int_equal(w->job_count, 1);
        assert_int_equal(first_of(w, &id)->in_act, 2);
        sem_post(&gates[0].opened);
        if (!cases[i].fails)
            world_until(w, has_left_acts, &id);
        world_rest(w);
        assert_int_equal(w->job_count, 1);
        assert_int_equal(explain(w, &id).state, cases[i].fails ? SCHED_PAUSED : SCHED_HELD);
        sem_post(&gates[1].opened);
        if (released)
            world_until_jobs(w, 2);
        world_until(w, world_is_settled, NULL);
        world_rest(w);
        assert_int_equal(w->job_count, released ? 2 : 1);
        assert_int_equal(first_of(w, &id)->in_act, 0);
        assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
        assert_int_equal(explain(w, &id).state, returned ? SCHED_READY : SCHED_PAUSED);
        assert_span(spool_domain(w->queue.spool, first_of(w, &id)->domain),
                    returned ? "return:" : "here.example");
        world_free(w);
    }
}

/* His hold is on the disk, and his attempt ends before his release is: that holds him no more. */
static void who_is_released_while_attempted_is_not_held_by_the_end_of_that(void **state)
{
    struct world *w = begin();
    struct id id = send_one(w, "s@far.example", "anna@here.example");

    world_until_jobs(w, 1);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).count, 1);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_RELEASE, &id, 1);
    w->mailbox_does = MAILBOX_DEFERS;
    world_answer(w, &w->jobs[0], MAILBOX_DEFERS);
    world_until(w, is_held_in_memory, &id);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    world_let_disk_go_on(w);
    world_until_jobs(w, 2);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(first_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
    assert_int_equal(explain(w, &id).state, SCHED_PAUSED);
    world_free(w);
}

static bool has_returned(struct world *w, void *arg)
{
    return w->queue.returns->returned == 1 && world_is_settled(w, NULL);
}

/* He failed after his release was asked for: his sender is told. */
static void who_is_released_while_attempted_and_fails_is_told_of(void **state)
{
    struct world *w = begin();
    struct id id = send_one(w, "s@far.example", "anna@here.example");

    world_until_jobs(w, 1);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).count, 1);
    reporter_join(w);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_RELEASE, &id, 1);
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    world_until(w, is_held_in_memory, &id);
    returns_tick(&w->queue);
    world_rest(w);
    assert_int_equal(reporter.asked, 0);
    world_let_disk_go_on(w);
    for (int i = 0; i < 4; i++)
        returns_tick(&w->queue);
    world_until(w, has_returned, NULL);
    assert_int_equal(w->job_count, 1);
    reporter_forget();
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_held_while_attempted_stays),
        cmocka_unit_test(who_is_in_two_acts_waits_for_both),
        cmocka_unit_test(who_is_in_many_acts_is_left_alone),
        cmocka_unit_test(who_is_held_may_be_returned),
        cmocka_unit_test(what_cant_be_read_is_left_alone_and_told),
        cmocka_unit_test(whose_first_recipient_is_elsewhere_cannot_fit_one_here),
        cmocka_unit_test(a_damaged_message_may_be_removed_only),
        cmocka_unit_test(an_act_that_the_disk_refuses_is_undone),
        cmocka_unit_test(more_of_no_act_is_refused),
        cmocka_unit_test(a_long_act_tells_how_far_it_is),
        cmocka_unit_test(a_release_overtakes_a_hold),
        cmocka_unit_test(a_return_overtakes_a_hold),
        cmocka_unit_test(a_retry_leaves_who_is_being_held),
        cmocka_unit_test(a_retry_leaves_who_is_to_be_held_after_his_attempt),
        cmocka_unit_test(who_waits_for_his_report_may_be_held),
        cmocka_unit_test(who_is_held_stays_so_when_the_disk_refuses_his_release),
        cmocka_unit_test(a_hold_and_what_overtook_it_are_undone_when_the_disk_refuses_both),
        cmocka_unit_test(between_two_acts_nothing_happens),
        cmocka_unit_test(who_is_released_while_attempted_is_not_held_by_the_end_of_that),
        cmocka_unit_test(who_is_released_while_attempted_and_fails_is_told_of)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
