/* Those who are held instead of returned: what became of their attempts is booked, and told to
 * their senders when they are returned after all. */
#include "booked.h"
#include "no_memory.h"
#include "reporter.h"

#include "proc/queue/core/schedule.h"
#include "proc/queue/core/settle.h"
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/undelivered.h"
#include <errno.h>
#include <unistd.h>

/* Nor any to book what nobody would say again. */
static bool no_room;

struct settlement *__real_settlement_new(struct queue *q, size_t recipients);
struct settlement *__wrap_settlement_new(struct queue *q, size_t recipients);

struct settlement *__wrap_settlement_new(struct queue *q, size_t recipients)
{
    return no_room ? NULL : __real_settlement_new(q, recipients);
}

static struct world *begin(enum world_mailbox does)
{
    struct world *w = world_begin_with_admin(does);
    reporter = (struct reporter){0};
    world_join_directory(w);
    return w;
}

static void end(struct world *w)
{
    reporter_forget();
    world_free(w);
}

static struct id send_from(struct world *w, const char *sender)
{
    struct world_commit c;
    world_send(w, &c, sender, "anna@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c.id;
}

static struct spool_recipient *row_of(struct world *w, const struct id *id)
{
    struct spool_message *m = spool_find(w->queue.spool, id);
    assert_non_null(m);
    return &m->recipients[0];
}

static struct sched_explanation explain(struct world *w, const struct id *id)
{
    struct sched_explanation e;
    sched_explain(w->queue.sched, schedule_item(row_of(w, id)), &e);
    return e;
}

static bool is_held_in_memory(struct world *w, void *arg)
{
    return explain(w, arg).state == SCHED_HELD && dispatch_job_count(&w->queue) == 0;
}

/* Without a report process he waits for his report. */
static struct id fail_one(struct world *w, const char *sender)
{
    struct id id = send_from(w, sender);
    world_until(w, is_held_in_memory, &id);
    world_until(w, world_is_settled, NULL);
    return id;
}

static void act(struct world *w, enum ipc_queue_act_kind kind, const struct id *id)
{
    struct ipc_queue_acted acted =
        world_act(w, (struct ipc_queue_act){.act = kind, .filter.id = *id});
    assert_int_equal(acted.error, 0);
    assert_int_equal(acted.count, 1);
}

static void start_again(struct world *w)
{
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_directory(w);
    world_join_admin(w);
}

static void restart(struct world *w)
{
    world_kill(w);
    start_again(w);
}

/* In the log's order; 0 behind the last. */
static void assert_booked(struct world *w, const enum spool_outcome *outcomes)
{
    size_t i = 0;

    world_until(w, world_is_settled, NULL);
    booked_read(w);
    for (; i < booked_count && outcomes[i]; i++)
        assert_int_equal(booked[i].status.outcome, outcomes[i]);
    assert_int_equal(i, booked_count);
    assert_int_equal(outcomes[i], 0);
}

static void assert_refusal(const struct booked *b)
{
    assert_int_equal(b->status.outcome, SPOOL_OUTCOME_DEFERRED);
    assert_int_equal(b->status.attempts, 1);
    assert_int_equal(b->status.next_attempt_us, 0);
    assert_string_equal(b->enhanced, "5.1.1");
    assert_string_equal(b->reply, "no such mailbox: /var/mail/x");
    assert_string_equal(b->host, "mail.here.example");
}

static void assert_held(struct world *w, const struct id *id)
{
    assert_int_equal(row_of(w, id)->state, SPOOL_RECIPIENT_HELD);
    assert_int_equal(row_of(w, id)->attempts, 1);
    assert_int_equal(row_of(w, id)->next_attempt_us, 0);
    assert_int_equal(explain(w, id).state, SCHED_HELD);
    assert_int_equal(explain(w, id).attempts, 1);
}

static bool has_returned(struct world *w, void *arg)
{
    return w->queue.returns->returned == 1 && world_is_settled(w, NULL);
}

/* What stands in the report. */
static void assert_told(struct world *w, const char *status, const char *reply)
{
    if (!reporter.channel)
        reporter_join(w);
    for (int i = 0; i < 3; i++)
        returns_tick(&w->queue); /* what rests goes on */
    world_until(w, has_returned, NULL);
    assert_string_equal(reporter.status, status);
    assert_string_equal(reporter.reply, reply);
}

static const enum spool_outcome refused_then_held[] = {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_HELD,
                                                       0};

/* In one record: there is no crash that leaves the hold without it. */
static void a_hold_books_the_failure(void **state)
{
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example");

    act(w, IPC_ACT_HOLD, &id);
    reporter_join(w);
    for (int again = 0; again < 2; again++) {
        returns_tick(&w->queue);
        world_rest(w);
        assert_booked(w, refused_then_held); /* once */
        assert_refusal(&booked[0]);
        assert_held(w, &id);
        if (!again)
            restart(w);
    }
    assert_int_equal(reporter.asked, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    act(w, IPC_ACT_RELEASE, &id);
    world_until_delivered(w, 1);
    end(w);
}

static void a_release_books_the_failure(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_RELEASED,
                                             SPOOL_OUTCOME_DELIVERED, 0};
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example");

    w->mailbox_does = MAILBOX_DELIVERS;
    act(w, IPC_ACT_RELEASE, &id);
    world_until_delivered(w, 1);
    assert_booked(w, all);
    assert_refusal(&booked[0]);
    assert_int_equal(booked[1].status.attempts, 1);
    end(w);
}

/* Also while its own record waits for the disk. */
static void who_is_held_while_attempted_is_booked_with_his_failure(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_DEFERRED, 0};

    for (int slow = 0; slow < 2; slow++) {
        struct world *w = begin(MAILBOX_IS_SILENT);
        struct id id = send_from(w, "s@far.example");
        world_until_jobs(w, 1);
        reporter_join(w);
        if (slow) {
            world_stall_disk(w);
            world_begin_act(w, IPC_ACT_HOLD, &id, 1);
        } else {
            act(w, IPC_ACT_HOLD, &id);
        }
        world_answer(w, &w->jobs[0], MAILBOX_FAILS);
        world_until(w, is_held_in_memory, &id);
        if (slow) {
            world_rest(w);
            world_let_disk_go_on(w);
            returns_tick(&w->queue);
            world_join_admin(w);
        }
        world_rest(w);
        assert_int_equal(reporter.asked, 0);
        assert_booked(w, all);
        assert_refusal(&booked[1]);
        assert_held(w, &id);
        act(w, IPC_ACT_RETURN, &id);
        assert_told(w, "5.1.1", "no such mailbox");
        end(w);
    }
}

/* Nobody knows after a restart what the sender was to be told, but the book. */
static void a_return_tells_what_a_hold_kept_back(void **state)
{
    for (int restarts = 0; restarts < 2; restarts++) {
        struct world *w = begin(MAILBOX_FAILS);
        struct id id = fail_one(w, "s@far.example");
        act(w, IPC_ACT_HOLD, &id);
        if (restarts)
            restart(w);
        act(w, IPC_ACT_RETURN, &id);
        if (restarts)
            assert_told(w, "5.4.7", "");
        else
            assert_told(w, "5.1.1", "no such mailbox");
        assert_int_equal(w->queue.returns->kept_count, 0);
        end(w);
    }
}

static bool is_asked(struct world *w, void *arg)
{
    return reporter.asked == 1;
}

/* Who waits for his report anyway, and is held before it is written, or only released. */
static void a_return_of_who_goes_back_tells_the_same(void **state)
{
    static const enum spool_outcome all[][7] = {
        {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_RELEASED, SPOOL_OUTCOME_REROUTED,
         SPOOL_OUTCOME_RELEASED, SPOOL_OUTCOME_RETURNED, 0},
        {SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_RELEASED, SPOOL_OUTCOME_REROUTED, SPOOL_OUTCOME_HELD,
         SPOOL_OUTCOME_RELEASED, SPOOL_OUTCOME_RETURNED, 0}};

    for (int holds = 0; holds < 2; holds++) {
        struct world *w = begin(MAILBOX_FAILS);
        struct id id = fail_one(w, "s@far.example");
        reporter.silent = true;
        reporter_join(w);
        act(w, IPC_ACT_RETURN, &id);
        world_until(w, is_asked, NULL);
        if (holds)
            act(w, IPC_ACT_HOLD, &id);
        reporter.asked = 0;
        act(w, IPC_ACT_RELEASE, &id);
        world_until(w, is_asked, NULL);
        reporter_forget(); /* that process is gone, and the next one answers */
        assert_told(w, "5.1.1", "no such mailbox");
        assert_booked(w, all[holds]); /* his refusal once */
        assert_int_equal(w->job_count, 1);
        assert_int_equal(w->queue.returns->kept_count, 0);
        end(w);
    }
}

enum { DEADLINES_US = 1100000 }; /* they are whole seconds */

/* That it was the last attempt is booked at once. */
static void who_was_given_up_is_booked_once(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_EXPIRED, SPOOL_OUTCOME_HELD, 0};
    struct world *w = begin(MAILBOX_IS_SILENT);

    w->conf.give_up_ms = 1;
    struct id id = send_from(w, "s@far.example");
    world_until_jobs(w, 1);
    usleep(DEADLINES_US);
    world_answer(w, &w->jobs[0], MAILBOX_DEFERS);
    world_until(w, is_held_in_memory, &id);
    world_until(w, world_is_settled, NULL);
    act(w, IPC_ACT_HOLD, &id);
    assert_booked(w, all);
    assert_held(w, &id);
    act(w, IPC_ACT_RETURN, &id);
    assert_told(w, "4.4.7", "over quota");
    assert_int_equal(reporter.end, REPORT_END_EXPIRED);
    end(w);
}

/* What came of the attempt behind it is another matter. */
static void a_release_forgets_what_was_kept(void **state)
{
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example");

    act(w, IPC_ACT_HOLD, &id);
    assert_int_equal(w->queue.returns->kept_count, 1);
    w->mailbox_does = MAILBOX_DEFERS;
    act(w, IPC_ACT_RELEASE, &id);
    assert_int_equal(w->queue.returns->kept_count, 0);
    world_until_jobs(w, 2);
    world_until(w, world_is_settled, NULL);
    act(w, IPC_ACT_RETURN, &id);
    assert_told(w, "5.4.7", "");
    end(w);
}

/* He waits for his report as before, which looks for him while the disk takes its time. */
static void an_act_that_the_disk_refuses_changes_nothing(void **state)
{
    static const enum ipc_queue_act_kind kinds[] = {IPC_ACT_HOLD, IPC_ACT_RELEASE, IPC_ACT_RETURN,
                                                    IPC_ACT_REMOVE};
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_RETURNED, 0};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct world *w = begin(MAILBOX_FAILS);
        struct id id = fail_one(w, "s@far.example");
        world_stall_disk(w);
        world_set_disk(w, true);
        world_begin_act(w, kinds[i], &id, 1);
        reporter_join(w);
        for (int looks = 0; looks < 3; looks++)
            returns_tick(&w->queue);
        world_rest(w);
        assert_int_equal(reporter.asked, 0);
        world_let_disk_go_on(w);
        world_set_disk(w, false);
        assert_int_equal(explain(w, &id).state, SCHED_HELD);
        assert_int_equal(w->queue.returns->failed.all, 1);
        for (int rests = 0; rests < 64; rests++)
            returns_tick(&w->queue);
        assert_told(w, "5.1.1", "no such mailbox");
        assert_booked(w, all);
        assert_int_equal(w->job_count, 1);
        end(w);
    }
}

static bool has_expanded(struct world *w, void *arg)
{
    return w->expansions_asked == 1;
}

/* "held 1", and then he is held: nothing ends him while the disk takes its time. */
static void who_is_being_held_is_not_discarded(void **state)
{
    struct world *w = begin(MAILBOX_FAILS);

    w->directory_is_slow = true;
    struct id id = send_from(w, "gone@here.example");
    world_until(w, has_expanded, NULL);
    world_until(w, world_is_settled, NULL);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    world_expand(w);
    world_rest(w);
    world_let_disk_go_on(w);
    assert_booked(w, refused_then_held);
    assert_held(w, &id);
    assert_int_equal(w->queue.returns->double_bounces, 0);
    end(w);
}

/* The hold was asked for before he failed, and tells of that when it is on the disk. What would
 * overtake it would tell of it, too. */
static void an_act_behind_a_hold_waits_until_the_failure_is_booked(void **state)
{
    static const enum spool_outcome all[][5] = {
        {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_RELEASED,
         SPOOL_OUTCOME_DELIVERED, 0},
        {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_REMOVED, 0}};

    for (int removes = 0; removes < 2; removes++) {
        enum ipc_queue_act_kind kind = removes ? IPC_ACT_REMOVE : IPC_ACT_RELEASE;
        struct world *w = begin(MAILBOX_IS_SILENT);
        struct id id = send_from(w, "s@far.example");
        world_until_jobs(w, 1);
        world_stall_disk(w);
        world_begin_act(w, IPC_ACT_HOLD, &id, 1);
        world_answer(w, &w->jobs[0], MAILBOX_FAILS);
        world_until(w, is_held_in_memory, &id);
        w->mailbox_does = MAILBOX_DELIVERS;
        world_begin_act(w, kind, &id, 0);
        assert_int_equal(w->reply.queue_acted.error, -EBUSY);
        world_let_disk_go_on(w);
        world_join_admin(w);
        act(w, kind, &id);
        if (!removes)
            world_until_delivered(w, 1);
        assert_booked(w, all[removes]);
        assert_refusal(&booked[1]);
        assert_int_equal(booked[2].status.attempts, 1);
        end(w);
    }
}

/* Nor is his station asked again. */
static void who_failed_before_the_disk_refused_his_hold_waits_for_his_report(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct id id = send_from(w, "s@far.example");

    world_until_jobs(w, 1);
    world_stall_disk(w);
    world_set_disk(w, true);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    world_until(w, is_held_in_memory, &id);
    world_let_disk_go_on(w);
    world_set_disk(w, false);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    assert_int_equal(row_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    assert_told(w, "5.1.1", "no such mailbox");
    assert_int_equal(w->job_count, 1);
    end(w);
}

/* The act that told of his failure isn't on the disk: the next one tells it again. */
static void a_failure_that_the_disk_refused_is_booked_by_the_next_act(void **state)
{
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example");
    struct ipc_queue_act hold = {.act = IPC_ACT_HOLD, .filter.id = id};

    world_set_disk(w, true);
    assert_int_equal(world_act(w, hold).error, -EIO);
    world_set_disk(w, false);
    act(w, IPC_ACT_HOLD, &id);
    assert_booked(w, refused_then_held);
    assert_refusal(&booked[0]);
    assert_held(w, &id);
    end(w);
}

static bool is_kept(struct world *w, void *arg)
{
    return return_stage(&w->queue, row_of(w, arg), NULL) == RETURN_IS_KEPT;
}

static void assert_busy_for_all(struct world *w, const struct id *id)
{
    static const enum ipc_queue_act_kind kinds[] = {IPC_ACT_RELEASE, IPC_ACT_RETURN, IPC_ACT_REMOVE,
                                                    IPC_ACT_HOLD};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        world_begin_act(w, kinds[i], id, 0);
        assert_int_equal(w->reply.queue_acted.error, -EBUSY);
        assert_int_equal(w->reply.queue_acted.busy, 1);
    }
}

/* His sender reads that he failed, whatever is done now. */
static void whose_report_is_on_its_way_to_the_disk_is_left_alone(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_RETURNED, 0};
    struct world *w = begin(MAILBOX_FAILS);

    reporter.silent = true;
    reporter_join(w);
    struct id id = send_from(w, "s@far.example");
    world_until(w, is_asked, NULL);
    world_until(w, world_is_settled, NULL);
    world_stall_disk(w);
    reporter_answer();
    world_until(w, is_kept, &id);
    assert_busy_for_all(w, &id);
    world_let_disk_go_on(w);
    world_until(w, has_returned, NULL);
    assert_booked(w, all);
    assert_int_equal(w->job_count, 1);
    end(w);
}

/* An act has told of it, and the disk may refuse that: nothing may stand behind it that relies on
 * it. */
static void whose_failure_is_on_its_way_to_the_book_is_left_alone(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        struct world *w = begin(MAILBOX_FAILS);
        struct id id = fail_one(w, "s@far.example");
        world_stall_disk(w);
        if (fails)
            world_set_disk(w, true);
        world_begin_act(w, IPC_ACT_HOLD, &id, 1);
        assert_busy_for_all(w, &id);
        world_let_disk_go_on(w);
        world_join_admin(w);
        if (fails) {
            world_set_disk(w, false);
            act(w, IPC_ACT_HOLD, &id);
        }
        assert_booked(w, refused_then_held);
        assert_refusal(&booked[0]);
        assert_held(w, &id);
        end(w);
    }
}

/* ---- who is held at the end of the process, and for damage ---- */

/* Nobody attempts him after the start, so nothing else would ever say it. */
static void who_is_held_and_fails_at_the_end_is_booked(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_DEFERRED, 0};
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct id id = send_from(w, "s@far.example");

    world_until_jobs(w, 1);
    act(w, IPC_ACT_HOLD, &id);
    world_close(w);
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    world_until_closed(w);
    restart(w);
    assert_booked(w, all);
    assert_refusal(&booked[1]);
    assert_int_equal(row_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    end(w);
}

/* His report rests since another one of the message is in an act; who ends that isn't he. */
static void who_is_held_is_booked_at_the_end_beside_who_is_in_an_act(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_HELD,
                                             SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_DEFERRED, 0};
    struct ipc_queue_act hold = {.act = IPC_ACT_HOLD,
                                 .filter.recipient = SPAN("anna@here.example")};
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct id id = world_accept(w, "s@far.example", "anna@here.example bob@here.example").id;

    world_until_jobs(w, 1);
    assert_int_equal(world_act(w, hold).count, 1);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    world_until(w, is_held_in_memory, &id);
    world_rest(w);
    world_close(w);
    world_rest(w);
    world_let_disk_go_on(w);
    world_until_closed(w);
    restart(w);
    assert_booked(w, all);
    assert_int_not_equal(booked[2].status.recipient, booked[3].status.recipient);
    end(w);
}

/* The process doesn't end as long as there is no memory for it and it may wait. */
static void who_is_held_at_the_end_waits_for_memory(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_DEFERRED, 0};

    for (int in_vain = 0; in_vain < 2; in_vain++) {
        struct world *w = begin(MAILBOX_IS_SILENT);
        struct id id = send_from(w, "s@far.example");
        world_until_jobs(w, 1);
        act(w, IPC_ACT_HOLD, &id);
        no_room = true;
        world_answer(w, &w->jobs[0], MAILBOX_FAILS);
        world_until(w, is_held_in_memory, &id);
        world_close(w);
        w->queue.closing_ms += 3600000 * (in_vain ? -1 : 1); /* an hour ago, or in an hour */
        if (!in_vain) {
            world_rest(w);
            world_rest(w);
            assert_false(w->closed);
            no_room = false;
        }
        world_until_closed(w);
        no_room = false;
        restart(w);
        if (!in_vain)
            assert_booked(w, all);
        end(w);
    }
}

static bool is_damaged(struct world *w, void *arg)
{
    return spool_find(w->queue.spool, arg)->flags & SPOOL_MESSAGE_DAMAGED;
}

static bool disk_has_failed(struct world *w, void *arg)
{
    return !w->queue.committer.group && spool_find(w->queue.spool, arg)->pins == 0;
}

static size_t count_refusals(struct world *w)
{
    size_t count = 0;

    world_until(w, world_is_settled, NULL);
    booked_read(w);
    for (size_t i = 0; i < booked_count; i++)
        count += booked[i].status.outcome == SPOOL_OUTCOME_DEFERRED;
    return count;
}

/* The spool holds him with what is written next, and until then nobody forgets him; `ends`: nor
 * when that is all before the end of the process. */
static void who_is_held_for_damage_is_booked_with_his_failure(void **state)
{
    for (int ends = 0; ends < 2; ends++) {
        struct world *w = begin(MAILBOX_IS_SILENT);
        ipc_channel_free(w->mailbox);
        w->mailbox = NULL;
        struct id id = send_from(w, "s@far.example");

        world_stop(w); /* what was just written would be read from memory */
        start_again(w);
        io_timer_clear(
            w->queue.tick); /* by hand, or it would look between the hold and its count */
        world_until_jobs(w, 1);
        world_damage(w, "anna@here.example");
        reporter_join(w);
        world_answer(w, &w->jobs[0], MAILBOX_FAILS);
        for (int i = 0; i < 3; i++)
            returns_tick(&w->queue);
        world_until(w, is_damaged, &id);
        assert_int_equal(row_of(w, &id)->state, SPOOL_RECIPIENT_WAITING);
        for (int i = 0; i < 3 && !ends; i++) {
            returns_tick(&w->queue);
            world_rest(w);
        }
        w->mailbox_does = MAILBOX_DELIVERS;
        send_from(w, "other@far.example");
        world_until_delivered(w, 1);
        assert_int_equal(row_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
        if (ends) {
            world_close(w);
            world_until_closed(w);
            restart(w);
        }
        for (int i = 0; i < 64 && !ends; i++)
            returns_tick(&w->queue);
        world_rest(w);
        assert_int_equal(count_refusals(w), 1);
        assert_int_equal(reporter.asked, 0);
        end(w);
    }
}

/* The disk refuses that hold, and the spool gives it no second time by itself. */
static void who_is_not_held_for_damage_yet_is_held_by_the_next_look(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);

    ipc_channel_free(w->mailbox);
    w->mailbox = NULL;
    struct id id = send_from(w, "s@far.example");
    world_stop(w);
    start_again(w);
    world_until_jobs(w, 1);
    world_damage(w, "anna@here.example");
    reporter_join(w);
    world_set_disk(w, true);
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    for (int i = 0; i < 3; i++)
        returns_tick(&w->queue);
    world_until(w, is_damaged, &id);
    committer_kick(&w->queue.committer);
    world_until(w, disk_has_failed, &id);
    world_set_disk(w, false);
    w->mailbox_does = MAILBOX_DELIVERS;
    for (int i = 0; i < 2; i++) { /* the first is written before the look, the second behind it */
        send_from(w, "other@far.example");
        for (int rests = 0; rests < 64; rests++)
            returns_tick(&w->queue);
        world_rest(w);
    }
    assert_int_equal(row_of(w, &id)->state, SPOOL_RECIPIENT_HELD);
    for (int rests = 0; rests < 64; rests++)
        returns_tick(&w->queue);
    world_rest(w);
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(w->queue.returns->failed.all, 0);
    end(w);
}

/* It is booked when there is memory again, and not forgotten meanwhile. */
static void who_is_held_and_fails_is_booked_after_short_memory(void **state)
{
    static const enum spool_outcome all[] = {SPOOL_OUTCOME_HELD, SPOOL_OUTCOME_DEFERRED, 0};
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct id id = send_from(w, "s@far.example");

    world_until_jobs(w, 1);
    act(w, IPC_ACT_HOLD, &id);
    reporter_join(w);
    no_room = true;
    world_answer(w, &w->jobs[0], MAILBOX_FAILS);
    world_until(w, is_held_in_memory, &id);
    for (int i = 0; i < 3; i++) {
        returns_tick(&w->queue);
        world_rest(w);
    }
    no_room = false;
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(w->queue.returns->failed.resting, 1);
    for (int i = 0; i < 64; i++)
        returns_tick(&w->queue);
    world_rest(w);
    assert_booked(w, all);
    assert_refusal(&booked[1]);
    assert_held(w, &id);
    assert_int_equal(reporter.asked, 0);
    act(w, IPC_ACT_RETURN, &id);
    assert_told(w, "5.1.1", "no such mailbox");
    end(w);
}

/* ---- how long it is kept ---- */

static bool is_without_memory(struct world *w, void *arg)
{
    return no_memory == 0 && world_is_settled(w, NULL);
}

/* He goes back in a minute, or when he is asked to, and it is told then. */
static void what_is_kept_outlives_short_memory(void **state)
{
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example");

    act(w, IPC_ACT_HOLD, &id);
    reporter_join(w);
    no_memory = 1;
    act(w, IPC_ACT_RETURN, &id);
    world_until(w, is_without_memory, NULL);
    assert_int_equal(w->queue.returns->kept_count, 1);
    act(w, IPC_ACT_RETRY, &id);
    assert_told(w, "5.1.1", "no such mailbox");
    assert_int_equal(w->queue.returns->kept_count, 0);
    end(w);
}

static void of_what_is_gone_nothing_is_kept(void **state)
{
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example");

    act(w, IPC_ACT_HOLD, &id);
    assert_int_equal(w->queue.returns->kept_count, 1);
    act(w, IPC_ACT_REMOVE, &id);
    assert_null(spool_find(w->queue.spool, &id));
    assert_int_equal(w->queue.returns->kept_count, 0);
    end(w);
}

/* The oldest goes. */
static void not_very_many_are_kept(void **state)
{
    enum { KEPT = 4096 };
    struct world *w = begin(MAILBOX_FAILS);
    struct id id = fail_one(w, "s@far.example"), other = id;
    struct spool_status cause = {.reply = SPAN("550 no")};

    act(w, IPC_ACT_HOLD, &id);
    for (uint32_t i = 1; i < KEPT; i++) {
        cause.recipient = i;
        other.bytes[0] = (uint8_t)i;
        kept_add(&w->queue, &other, &cause);
        kept_add(&w->queue, &other, &cause); /* in place of the one before */
        assert_int_equal(w->queue.returns->kept_count, i + 1);
    }
    cause.recipient = KEPT;
    kept_add(&w->queue, &other, &cause);
    assert_int_equal(w->queue.returns->kept_count, KEPT);
    assert_false(return_again(&w->queue, row_of(w, &id)));
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_books_the_failure),
        cmocka_unit_test(a_release_books_the_failure),
        cmocka_unit_test(who_is_held_while_attempted_is_booked_with_his_failure),
        cmocka_unit_test(a_return_tells_what_a_hold_kept_back),
        cmocka_unit_test(a_return_of_who_goes_back_tells_the_same),
        cmocka_unit_test(who_was_given_up_is_booked_once),
        cmocka_unit_test(a_release_forgets_what_was_kept),
        cmocka_unit_test(an_act_that_the_disk_refuses_changes_nothing),
        cmocka_unit_test(who_is_being_held_is_not_discarded),
        cmocka_unit_test(an_act_behind_a_hold_waits_until_the_failure_is_booked),
        cmocka_unit_test(who_failed_before_the_disk_refused_his_hold_waits_for_his_report),
        cmocka_unit_test(a_failure_that_the_disk_refused_is_booked_by_the_next_act),
        cmocka_unit_test(whose_report_is_on_its_way_to_the_disk_is_left_alone),
        cmocka_unit_test(whose_failure_is_on_its_way_to_the_book_is_left_alone),
        cmocka_unit_test(who_is_held_and_fails_at_the_end_is_booked),
        cmocka_unit_test(who_is_held_is_booked_at_the_end_beside_who_is_in_an_act),
        cmocka_unit_test(who_is_held_at_the_end_waits_for_memory),
        cmocka_unit_test(who_is_not_held_for_damage_yet_is_held_by_the_next_look),
        cmocka_unit_test(who_is_held_and_fails_is_booked_after_short_memory),
        cmocka_unit_test(who_is_held_for_damage_is_booked_with_his_failure),
        cmocka_unit_test(what_is_kept_outlives_short_memory),
        cmocka_unit_test(of_what_is_gone_nothing_is_kept),
        cmocka_unit_test(not_very_many_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
