/* What is in doubt after a crash, and what isn't. */
#include "booked.h"

#include "base/clock.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/schedule.h"

/* The wall clock, as an administrator set it. The linker puts this in its place (meson.build). */
static int64_t clock_ahead_us;
int64_t __real_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void);

int64_t __wrap_clock_wall_us(void)
{
    return __real_clock_wall_us() + clock_ahead_us;
}

static bool ten_are_gone(struct world *w, void *arg)
{
    return world_counts(w).messages == 40 && !w->queue.committer.group;
}

static void a_killed_queue_remembers_and_attempts_again(void **state)
{
    enum { COUNT = 50 };
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    for (int i = 0; i < COUNT; i++)
        world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 16); /* the first window */
    for (int i = 0; i < 10; i++)
        world_answer(w, &w->jobs[i], MAILBOX_DELIVERS);
    world_until(w, ten_are_gone, NULL);
    world_kill(w);
    world_start(w);
    assert_int_equal(world_counts(w).messages, COUNT - 10);
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
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until(w, world_is_settled, NULL);
    world_kill(w);
    world_start(w);
    world_join_mailbox(w);
    sched_retry_now(w->queue.sched,
                    schedule_item(&spool_find(w->queue.spool, &c.id)->recipients[0]),
                    io_loop_now_ms(w->loop));
    dispatch_kick(&w->queue);
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
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
    struct world *w = world_begin();
    world_kill(w);
    clock_ahead_us = INT64_C(3600) * 1000000;
    world_start(w);
    clock_ahead_us = 0;
    world_join_mailbox(w);
    world_join_smtpd(w);
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.dispatch->uncertain, 0);
    world_free(w);
}

/* The clock is behind at the start, as without a battery: what was due was due all the same. */
static void what_was_due_is_in_doubt_whatever_the_clock_says(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
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

static struct spool_recipient *first_of(struct world *w, const struct id *id)
{
    return &spool_find(w->queue.spool, id)->recipients[0];
}

/* As when its way was changed: the log says so before it goes. */
static void what_goes_sooner_than_planned_is_in_doubt(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until(w, world_is_settled, NULL);
    w->mailbox_does = MAILBOX_IS_SILENT;
    sched_retry_now(w->queue.sched, schedule_item(first_of(w, &c.id)), io_loop_now_ms(w->loop));
    dispatch_kick(&w->queue);
    world_until_jobs(w, 2);
    world_kill(w);
    world_start(w);
    assert_int_equal(first_of(w, &c.id)->in_doubt, 1);
    assert_int_equal(first_of(w, &c.id)->attempts, 1);
    world_free(w);
}

/* What the log says by then is sooner than planned once more. */
static void a_clock_set_back_meanwhile_keeps_nobody(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until(w, world_is_settled, NULL);
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_stall_disk(w);
    sched_retry_now(w->queue.sched, schedule_item(first_of(w, &c.id)), io_loop_now_ms(w->loop));
    dispatch_kick(&w->queue);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    clock_ahead_us = INT64_C(-7200) * 1000000;
    world_let_disk_go_on(w);
    world_until_jobs(w, 2);
    clock_ahead_us = 0;
    world_free(w);
}

static bool one_is_booked(struct world *w, void *arg)
{
    return w->queue.dispatch->relayed == 1 && w->queue.settling == 0 && !w->queue.committer.group;
}

/* Nobody has attempted Bob since, so nothing else would ever say it. Carol has hers. */
static void a_doubt_is_booked_at_an_end_in_good_order(void **state)
{
    struct world *w = world_begin();
    world_join_smtp(w);
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_accept(w, "s@far.example", "bob@here.example carol@elsewhere.example");
    world_until_jobs(w, 2);
    size_t carol = w->jobs[0].channel == w->mailbox;
    struct id id = w->jobs[0].id;
    world_answer(w, &w->jobs[carol], MAILBOX_DELIVERS);
    world_until(w, one_is_booked, NULL);
    world_kill(w);
    world_start(w);
    assert_int_equal(first_of(w, &id)->in_doubt, 1);
    world_stop(w);
    world_start(w);
    assert_true(spool_ended_well(w->queue.spool));
    assert_int_equal(first_of(w, &id)->in_doubt, 0);
    booked_read(w);
    assert_int_equal(booked_count, 2);
    assert_int_equal(booked[0].status.outcome, SPOOL_OUTCOME_RELAYED);
    assert_int_equal(booked[1].status.recipient, 0);
    assert_int_equal(booked[1].status.outcome, SPOOL_OUTCOME_UNCERTAIN);
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
    for (int attempted = 0; attempted < 2; attempted++) {
        struct world *w = world_new();
        struct world_commit c;
        w->mailbox_does = MAILBOX_IS_SILENT;
        world_start(w);
        world_join_smtpd(w);
        if (attempted)
            world_join_mailbox(w);
        world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
        world_until_answered(w, &c);
        if (attempted)
            world_until_jobs(w, 1);
        hold(w);
        assert_int_equal(is_doubted_after_a_crash(w, &c.id), attempted);
        assert_int_equal(is_doubted_after_a_crash(w, &c.id), attempted);
        world_free(w);
    }
}

/* Waiting and in doubt since a crash, then held: the next crash doesn't clear him. */
static void a_hold_takes_no_doubt_away(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    world_kill(w);
    world_start(w);
    hold(w);
    assert_true(is_doubted_after_a_crash(w, &c.id));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_queue_remembers_and_attempts_again),
        cmocka_unit_test(only_what_was_due_at_a_crash_is_uncertain),
        cmocka_unit_test(what_came_after_a_crash_is_in_no_doubt),
        cmocka_unit_test(what_was_due_is_in_doubt_whatever_the_clock_says),
        cmocka_unit_test(what_goes_sooner_than_planned_is_in_doubt),
        cmocka_unit_test(a_clock_set_back_meanwhile_keeps_nobody),
        cmocka_unit_test(a_doubt_is_booked_at_an_end_in_good_order),
        cmocka_unit_test(what_was_held_is_in_no_doubt),
        cmocka_unit_test(a_hold_takes_no_doubt_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
