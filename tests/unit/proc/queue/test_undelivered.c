/* Very many that are to be told of, and those that can't be. */
#include "reporter.h"

#include "proc/queue/returns/delay.h"
#include "proc/queue/returns/return.h"
#include "proc/queue/status.h"
#include <stdio.h>
#include <unistd.h>

/* Time that went by. */
static int64_t passed_ms;
int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + passed_ms;
}

enum { SECOND = 1000, DAY = 86400 * SECOND, VERY_MANY = 1 << 20, NOT_SO_MANY = 4096 };

/* Nobody to carry anything yet. */
static struct world *begin(void)
{
    struct world *w = world_new();
    world_start(w);
    world_join_smtpd(w);
    world_join_directory(w);
    passed_ms = 0;
    return w;
}

static void end(struct world *w)
{
    reporter_forget();
    world_free(w);
}

static void send_from(struct world *w, const char *sender, const char *recipient)
{
    struct world_commit c;
    world_send(w, &c, sender, recipient, SPAN("Subject: hello\r\n\r\ntext\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
}

static bool has_returned(struct world *w, void *arg)
{
    return w->queue.returns->returned == *(uint64_t *)arg && w->queue.settling == 0 &&
           w->queue.returns->count == 0;
}

static bool has_deferred(struct world *w, void *arg)
{
    return w->queue.dispatch->deferred == *(uint64_t *)arg && w->queue.settling == 0;
}

static bool has_failed(struct world *w, void *arg)
{
    return w->queue.returns->failed.all == *(uint32_t *)arg && w->queue.settling == 0;
}

static bool has_waiting(struct world *w, void *arg)
{
    struct spool_counts c;
    spool_get_counts(w->queue.spool, &c);
    return c.waiting == *(uint64_t *)arg && w->queue.returns->count == 0;
}

static uint32_t count_of(struct world *w, enum sched_state state)
{
    struct sched_counters c;
    sched_count(w->queue.sched, &c);
    return c.counts[state];
}

/* What `postbuch status` makes of it. */
static void assert_trouble(struct world *w, const char *trouble)
{
    struct buffer json = BUFFER_INIT;
    char text[64];

    buffer_printf(&json, "{");
    queue_status(&w->queue, &json);
    snprintf(text, sizeof(text), "\"trouble\":\"%s\"}", trouble);
    assert_non_null(memmem(json.data, json.size, text, strlen(text)));
    buffer_done(&json);
}

/* All that waited for a destination that is dead, each with a report: but no turn of the loop does
 * much of it, and few are in memory at the same time. */
static void many_are_given_up_a_few_a_turn(void **state)
{
    enum { COUNT = 2000, A_FEW = 500 };
    struct world *w = begin();
    uint32_t most_open = 0, most_a_turn = 0, before = COUNT;

    for (int i = 0; i < COUNT; i++)
        send_from(w, "s@far.example", "anna@here.example");
    passed_ms += 5 * (int64_t)DAY;
    reporter_join(w);
    w->mailbox_does = MAILBOX_IS_FULL;
    world_join_mailbox(w);
    for (int i = 0; i < 200000 && w->queue.returns->returned < COUNT; i++) {
        assert_int_equal(io_loop_turn(w->loop), 0);
        uint32_t left = count_of(w, SCHED_READY) + count_of(w, SCHED_ACTIVE);
        most_a_turn = before - left > most_a_turn && left < before ? before - left : most_a_turn;
        before = left;
        most_open = w->queue.returns->count > most_open ? w->queue.returns->count : most_open;
        usleep(50);
    }
    assert_int_equal(w->queue.returns->returned, COUNT);
    assert_int_equal(reporter.asked, COUNT);
    assert_int_equal(w->queue.returns->bytes, 0);
    assert_in_range(most_a_turn, 1, A_FEW);
    assert_in_range(most_open, 1, A_FEW);
    end(w);
}

/* However the slices fall. */
static void who_shares_a_message_shares_a_report(void **state)
{
    enum { COUNT = 100, EACH = 7 };
    struct world *w = begin();
    uint64_t all = COUNT * EACH;

    for (int i = 0; i < COUNT; i++)
        send_from(w, "s@far.example",
                  "a@here.example b@here.example c@here.example d@here.example e@here.example "
                  "f@here.example g@here.example");
    passed_ms += 5 * (int64_t)DAY;
    reporter_join(w);
    w->mailbox_does = MAILBOX_IS_FULL;
    world_join_mailbox(w);
    world_until(w, has_returned, &all);
    assert_int_equal(reporter.asked, COUNT);
    end(w);
}

/* They wait for the end of the pause meanwhile. */
static void without_a_report_process_who_waits_goes_on_waiting(void **state)
{
    enum { COUNT = 50 };
    struct world *w = begin();
    uint64_t all = COUNT;

    for (int i = 0; i < COUNT; i++)
        send_from(w, "s@far.example", "anna@here.example");
    passed_ms += 5 * (int64_t)DAY;
    w->mailbox_does = MAILBOX_IS_FULL;
    world_join_mailbox(w);
    world_rest(w);
    uint32_t given_up = count_of(w, SCHED_HELD); /* by attempts of their own */
    assert_in_range(given_up, 1, 20);
    assert_int_equal(count_of(w, SCHED_READY), COUNT - given_up);
    assert_trouble(w, "process");
    reporter_join(w);
    assert_trouble(w, "none");
    returns_tick(&w->queue);
    world_until(w, has_returned, &all);
    end(w);
}

/* Memory for those that are to be told of has an end. */
static void who_has_no_room_is_attempted_again(void **state)
{
    struct world *w = begin();
    struct ipc_queue_act retry = {.act = IPC_ACT_RETRY, .filter.sender = SPAN("s@far.example")};
    uint64_t one = 1;

    world_join_mailbox(w);
    world_join_admin(w);
    reporter_join(w);
    w->mailbox_does = MAILBOX_FAILS;
    w->queue.returns->failed.all += VERY_MANY;
    send_from(w, "s@far.example", "anna@here.example");
    world_until(w, has_deferred, &one);
    world_rest(w);
    assert_int_equal(w->queue.returns->count, 0);
    assert_int_equal(count_of(w, SCHED_PAUSED), 1);
    w->queue.returns->failed.all -= VERY_MANY;
    assert_int_equal(world_act(w, retry).count, 1);
    world_until(w, has_returned, &one);
    assert_int_equal(reporter.asked, 1);
    end(w);
}

/* By time, when there is no room for more of those. */
static void nobody_is_given_up_beyond_the_room(void **state)
{
    struct world *w = begin();
    uint64_t one = 1, two = 2;
    uint32_t failed = 1;

    w->mailbox_does = MAILBOX_IS_SILENT;
    for (int i = 0; i < 3; i++)
        send_from(w, "s@far.example", "anna@here.example");
    passed_ms += 5 * (int64_t)DAY;
    world_join_mailbox(w);
    world_until_jobs(w, 3);
    world_answer(w, &w->jobs[0], MAILBOX_DEFERS);
    world_until(w, has_deferred, &one);
    world_until(w, has_failed, &failed);
    w->queue.returns->failed.all += VERY_MANY;
    failed += VERY_MANY + 1;
    world_answer(w, &w->jobs[1], MAILBOX_DEFERS); /* the last for whom there was room */
    world_until(w, has_deferred, &two);
    world_until(w, has_failed, &failed);
    two++;
    world_answer(w, &w->jobs[2], MAILBOX_DEFERS);
    world_until(w, has_deferred, &two);
    assert_int_equal(count_of(w, SCHED_PAUSED), 1);
    assert_int_equal(count_of(w, SCHED_HELD), 2);
    w->queue.returns->failed.all -= VERY_MANY;
    end(w);
}

/* Reports first, but not for ever: what hinders them may be what attempts would end. */
static void attempts_wait_for_reports_that_come(void **state)
{
    struct world *w = begin();

    reporter_join(w);
    w->queue.returns->failed.all += VERY_MANY;
    w->queue.returns->ended_ms = io_loop_now_ms(w->loop);
    send_from(w, "s@far.example", "anna@here.example");
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_mailbox(w);
    world_rest(w);
    assert_int_equal(w->job_count, 0);
    assert_trouble(w, "full");
    w->queue.returns->failed.all -= VERY_MANY - NOT_SO_MANY;
    assert_trouble(w, "behind");
    w->queue.returns->failed.all += VERY_MANY - NOT_SO_MANY;
    passed_ms += 10 * SECOND;
    world_rest(w);
    assert_trouble(w, "full");
    returns_tick(&w->queue);
    world_until_jobs(w, 1);
    w->queue.returns->failed.all -= VERY_MANY;
    end(w);
}

/* An alias that leads to nobody, or to too many: no later try will change it. */
static void a_sender_that_leads_nowhere_ends(void **state)
{
    static const char *const senders[] = {"gone@here.example", "huge@here.example"};

    for (size_t i = 0; i < ARRAY_SIZE(senders); i++) {
        struct world *w = begin();
        uint64_t none = 0;
        reporter_join(w);
        w->mailbox_does = MAILBOX_FAILS;
        world_join_mailbox(w);
        send_from(w, senders[i], "anna@here.example");
        world_until(w, has_waiting, &none);
        assert_int_equal(w->queue.returns->double_bounces, 1);
        assert_int_equal(reporter.asked, 0);
        end(w);
    }
}

/* Anybody can write Delivered-To, and anybody's name as the sender: only ours are told. */
static void a_strangers_loop_ends_in_silence(void **state)
{
    struct world *w = begin();
    uint64_t none = 0, one = 1;

    reporter_join(w);
    w->mailbox_does = MAILBOX_LOOPS;
    w->uid = UINT32_MAX;
    world_join_mailbox(w);
    send_from(w, "victim@far.example", "anna@here.example");
    world_until(w, has_waiting, &none);
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(w->queue.returns->returned, 0);
    assert_int_equal(w->queue.returns->double_bounces, 0);
    w->uid = 0; /* a user of this machine */
    send_from(w, "s@far.example", "anna@here.example");
    world_until(w, has_returned, &one);
    assert_int_equal(reporter.asked, 1);
    end(w);
}

/* Neither an administrator's returns nor notices of delay wait for those that can't be told now. */
static void who_rests_takes_nobodys_place(void **state)
{
    enum { COUNT = 120 };
    struct world *w = begin();
    struct ipc_queue_act back = {.act = IPC_ACT_RETURN, .filter.sender = SPAN("s@far.example")};
    uint32_t all = COUNT;
    uint64_t one = 1;

    reporter_join(w);
    world_join_admin(w);
    w->mailbox_does = MAILBOX_FAILS;
    world_join_mailbox(w);
    for (int i = 0; i < COUNT; i++)
        send_from(w, "unsure@here.example", "anna@here.example");
    world_until(w, has_failed, &all);
    world_rest(w);
    assert_int_equal(w->queue.returns->failed.resting, COUNT);
    w->mailbox_does = MAILBOX_DEFERS;
    send_from(w, "s@far.example", "anna@here.example");
    world_until(w, has_deferred, &one);
    w->conf.delay_notice_ms = 1;
    for (int i = 0; i < 5 && !reporter.asked; i++) {
        delay_tick(&w->queue);
        world_rest(w);
    }
    assert_int_equal(reporter.asked, 1);
    assert_int_equal(reporter.kind, REPORT_DELAYED);
    assert_int_equal(world_act(w, back).count, 1);
    for (int i = 0; i < 100 && !w->queue.returns->returned; i++)
        world_rest(w);
    assert_int_equal(w->queue.returns->returned, 1);
    end(w);
}

/* Also when nothing else happens: its place is given on at once. */
static void who_rests_wakes_the_next(void **state)
{
    enum { UNSURE = 120, SURE = 20 };
    struct world *w = begin();
    uint64_t all = UNSURE + SURE, sure = SURE;
    struct ipc_queue_act back = {.act = IPC_ACT_RETURN,
                                 .filter.recipient = SPAN("anna@here.example")};

    reporter_join(w);
    world_join_admin(w);
    w->mailbox_does = MAILBOX_DEFERS;
    world_join_mailbox(w);
    for (int i = 0; i < UNSURE + SURE; i++)
        send_from(w, i < UNSURE ? "unsure@here.example" : "s@far.example", "anna@here.example");
    world_until(w, has_deferred, &all);
    assert_int_equal(world_act(w, back).count, UNSURE + SURE);
    for (int i = 0; i < 100 && w->queue.returns->returned < sure; i++)
        world_rest(w);
    assert_int_equal(w->queue.returns->returned, sure);
    end(w);
}

/* And asks less and less often. */
static void it_rests_longer_and_longer(void **state)
{
    struct world *w = begin();
    uint32_t one = 1;

    reporter_join(w);
    w->mailbox_does = MAILBOX_FAILS;
    world_join_mailbox(w);
    send_from(w, "unsure@here.example", "anna@here.example");
    world_until(w, has_failed, &one);
    world_rest(w);
    size_t asked = w->expansions_asked;
    assert_int_equal(asked, 1);
    for (int i = 0; i < 40; i++) {
        returns_tick(&w->queue);
        world_rest(w);
    }
    assert_in_range(w->expansions_asked - asked, 4, 7);
    end(w);
}

static void wish_for_receipt(struct world *w, struct envelope *e, uint8_t *tickets)
{
    static struct envelope_wish wish = {.notify = ENVELOPE_NOTIFY_SUCCESS};

    wish.original = SPAN("");
    e->wishes = &wish;
    e->wish_count = 1;
}

/* It keeps its message's bytes on the disk. */
static void a_receipt_that_can_not_be_given_has_an_end(void **state)
{
    struct world *w = begin();
    uint64_t none = 0;

    reporter_join(w);
    world_join_mailbox(w);
    w->spoil = wish_for_receipt;
    send_from(w, "unsure@here.example", "anna@here.example");
    world_until_delivered(w, 1);
    world_rest(w);
    returns_tick(&w->queue);
    world_rest(w);
    assert_int_equal(w->queue.returns->receipts.all, 1);
    passed_ms += 3601 * SECOND;
    world_rest(w);
    returns_tick(&w->queue);
    world_until(w, has_waiting, &none);
    assert_int_equal(w->queue.returns->receipts.all, 0);
    end(w);
}

/* Nobody needs to act; whom an administrator holds waits for one. */
static void who_failed_waits_for_his_report(void **state)
{
    struct world *w = begin();
    struct ipc_queue_act hold = {.act = IPC_ACT_HOLD, .filter.sender = SPAN("s@far.example")};
    uint32_t one = 1;

    world_join_admin(w);
    w->mailbox_does = MAILBOX_FAILS;
    world_join_mailbox(w);
    send_from(w, "s@far.example", "anna@here.example");
    world_until(w, has_failed, &one);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RETURN);
    assert_int_equal(world_act(w, hold).count, 1);
    w->row_count = 0;
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RELEASE);
    end(w);
}

static void release(struct world *w, uint32_t expected)
{
    struct ipc_queue_act act = {.act = IPC_ACT_RELEASE,
                                .filter.recipient = SPAN("anna@here.example")};
    assert_int_equal(world_act(w, act).count, expected);
}

static void hold(struct world *w, uint32_t expected)
{
    struct ipc_queue_act act = {.act = IPC_ACT_HOLD, .filter.recipient = SPAN("anna@here.example")};
    assert_int_equal(world_act(w, act).count, expected);
}

static uint32_t held_rows(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->queue.spool, &c);
    return (uint32_t)c.held;
}

static bool has_asked(struct world *w, void *arg)
{
    return reporter.asked == *(int *)arg;
}

static bool has_expanded(struct world *w, void *arg)
{
    return w->expansions_asked == *(size_t *)arg;
}

/* Also while it is looked up who the sender is: nobody was told. */
static void who_is_held_meanwhile_is_not_discarded(void **state)
{
    struct world *w = begin();
    size_t one = 1;
    uint64_t none = 0;

    reporter_join(w);
    world_join_admin(w);
    w->mailbox_does = MAILBOX_FAILS;
    world_join_mailbox(w);
    w->directory_is_slow = true;
    send_from(w, "gone@here.example", "anna@here.example");
    world_until(w, has_expanded, &one);
    hold(w, 1);
    world_expand(w);
    world_rest(w);
    assert_int_equal(held_rows(w), 1);
    assert_int_equal(w->queue.returns->double_bounces, 0);
    assert_int_equal(w->queue.returns->count, 0);
    w->directory_is_slow = false;
    w->mailbox_does = MAILBOX_IS_SILENT; /* until the release is sealed */
    release(w, 1);
    world_until_jobs(w, 2);
    world_answer(w, &w->jobs[1], MAILBOX_FAILS);
    world_until(w, has_waiting, &none);
    assert_int_equal(w->queue.returns->double_bounces, 1);
    end(w);
}

/* The report that names him isn't sent. */
static void who_is_held_meanwhile_is_not_told_of(void **state)
{
    struct world *w = begin();
    int one = 1, two = 2;
    uint64_t returned = 1;

    reporter_join(w);
    reporter.silent = true;
    world_join_admin(w);
    w->mailbox_does = MAILBOX_FAILS;
    world_join_mailbox(w);
    send_from(w, "s@far.example", "anna@here.example bob@here.example");
    world_until(w, has_asked, &one);
    assert_int_equal(reporter.recipients, 2);
    hold(w, 1);
    reporter_answer();
    world_rest(w);
    assert_int_equal(w->queue.returns->returned, 0);
    reporter.silent = false;
    returns_tick(&w->queue);
    world_until(w, has_asked, &two);
    assert_int_equal(reporter.recipients, 1);
    assert_string_equal(reporter.address, "bob@here.example");
    world_until(w, has_returned, &returned);
    assert_int_equal(held_rows(w), 1);
    reporter.silent = true; /* nor when all that it names are held */
    w->mailbox_does = MAILBOX_IS_SILENT;
    size_t last = w->job_count;
    release(w, 1);
    world_until_jobs(w, last + 1);
    world_answer(w, &w->jobs[last], MAILBOX_FAILS);
    two++;
    world_until(w, has_asked, &two);
    hold(w, 1);
    reporter_answer();
    world_rest(w);
    assert_int_equal(w->queue.returns->returned, 1);
    assert_int_equal(w->queue.returns->count, 0);
    assert_int_equal(held_rows(w), 1);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_given_up_a_few_a_turn),
        cmocka_unit_test(who_shares_a_message_shares_a_report),
        cmocka_unit_test(without_a_report_process_who_waits_goes_on_waiting),
        cmocka_unit_test(who_has_no_room_is_attempted_again),
        cmocka_unit_test(nobody_is_given_up_beyond_the_room),
        cmocka_unit_test(attempts_wait_for_reports_that_come),
        cmocka_unit_test(a_sender_that_leads_nowhere_ends),
        cmocka_unit_test(a_strangers_loop_ends_in_silence),
        cmocka_unit_test(who_rests_takes_nobodys_place),
        cmocka_unit_test(who_rests_wakes_the_next),
        cmocka_unit_test(it_rests_longer_and_longer),
        cmocka_unit_test(a_receipt_that_can_not_be_given_has_an_end),
        cmocka_unit_test(who_failed_waits_for_his_report),
        cmocka_unit_test(who_is_held_meanwhile_is_not_discarded),
        cmocka_unit_test(who_is_held_meanwhile_is_not_told_of)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
