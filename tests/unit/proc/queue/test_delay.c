/* Notices of delay, and clocks that are set. */
#include "reporter.h"

#include "base/clock.h"
#include "proc/queue/returns/delay.h"
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/undelivered.h"

/* As an administrator set the one, and as time went by on both. The monotonic clock stands still,
 * as in a suspend. */
static int64_t clock_set_us, clock_passed_us;
int64_t __real_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void);
int64_t __real_clock_boottime_us(void);
int64_t __wrap_clock_boottime_us(void);

int64_t __wrap_clock_wall_us(void)
{
    return __real_clock_wall_us() + clock_set_us + clock_passed_us;
}

int64_t __wrap_clock_boottime_us(void)
{
    return __real_clock_boottime_us() + clock_passed_us;
}

static bool is_notified(struct world *w, void *arg)
{
    return w->queue.returns->notified == *(uint64_t *)arg && w->queue.returns->count == 0 &&
           w->queue.settling == 0 && !w->queue.committer.group &&
           world_counts(w).pending_bytes == 0;
}

static bool has_notified(struct world *w, void *arg)
{
    return w->queue.returns->notified > 0;
}

/* Once, also after a crash, and when it is looked at again before that is sealed; and nobody who
 * doesn't want it. */
static void a_delay_is_told_once(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1, none = 0;

    w->conf.delay_notice_ms = 1;
    w->mailbox_does = MAILBOX_DEFERS;
    reporter_join(w);
    struct id late = reporter_send(w, "s@far.example", "anna@here.example");
    world_until(w, has_notified, NULL);
    delay_tick(&w->queue);
    assert_null(undelivered_find(&w->queue, &late, REPORT_DELAYED));
    world_until(w, is_notified, &one);
    assert_int_equal(reporter.kind, REPORT_DELAYED);
    w->spoil = reporter_wish;
    reporter_wanted = ENVELOPE_NOTIFY_FAILURE;
    reporter_send(w, "s@far.example", "bob@here.example");
    for (int i = 0; i < 5; i++) {
        delay_tick(&w->queue);
        world_rest(w);
    }
    assert_int_equal(reporter.asked, 1);
    world_kill(w);
    world_start(w);
    world_join_directory(w);
    reporter_join(w);
    for (int i = 0; i < 5; i++) {
        delay_tick(&w->queue);
        world_rest(w);
    }
    world_until(w, is_notified, &none);
    assert_int_equal(reporter.asked, 1);
    reporter_end(w);
}

static void look_for_delays(struct world *w)
{
    for (int i = 0; i < 5; i++) {
        delay_tick(&w->queue);
        world_rest(w);
    }
}

/* Nobody is told before he has waited that long by a clock that nobody sets, also when the other is
 * set back again. */
static void a_clock_set_forward_delays_nobody(void **state)
{
    const int64_t hour_us = INT64_C(3600000000), year_us = 8766 * hour_us;

    for (int goes_back = 0; goes_back < 2; goes_back++) {
        struct world *w = reporter_begin();
        w->conf.delay_notice_ms = 4 * 3600 * 1000;
        w->mailbox_does = MAILBOX_DEFERS;
        reporter_join(w);
        reporter_send(w, "s@far.example", "anna@here.example");
        look_for_delays(w);
        clock_set_us = year_us;
        look_for_delays(w);
        clock_passed_us += 3 * hour_us;
        look_for_delays(w);
        if (goes_back)
            clock_set_us = 0;
        look_for_delays(w);
        assert_int_equal(reporter.asked, 0);
        clock_passed_us += 2 * hour_us;
        look_for_delays(w);
        assert_int_equal(reporter.asked, goes_back ? 0 : 1);
        clock_passed_us += 3 * hour_us;
        look_for_delays(w);
        assert_int_equal(reporter.asked, 1);
        clock_set_us = clock_passed_us = 0;
        reporter_end(w);
    }
}

/* So little doesn't matter. */
static void a_clock_set_forward_a_little_changes_nothing(void **state)
{
    const int64_t minute_us = 60000000;
    struct world *w = reporter_begin();

    w->conf.delay_notice_ms = 4 * 3600 * 1000;
    w->mailbox_does = MAILBOX_DEFERS;
    reporter_join(w);
    reporter_send(w, "s@far.example", "anna@here.example");
    look_for_delays(w);
    clock_passed_us = 230 * minute_us;
    clock_set_us = 20 * minute_us;
    look_for_delays(w);
    assert_int_equal(reporter.asked, 1);
    clock_set_us = clock_passed_us = 0;
    reporter_end(w);
}

/* A machine that slept tells of the delays as soon as it is awake. */
static void a_suspend_sets_no_clock_forward(void **state)
{
    const int64_t hour_us = INT64_C(3600000000);
    struct world *w = reporter_begin();

    w->conf.delay_notice_ms = 4 * 3600 * 1000;
    w->mailbox_does = MAILBOX_DEFERS;
    reporter_join(w);
    reporter_send(w, "s@far.example", "anna@here.example");
    look_for_delays(w);
    clock_passed_us = 3 * hour_us;
    look_for_delays(w);
    assert_int_equal(reporter.asked, 0);
    clock_passed_us = 6 * hour_us;
    look_for_delays(w);
    assert_int_equal(reporter.asked, 1);
    clock_passed_us = 0;
    reporter_end(w);
}

/* The station's own word is quoted as its word: with its status, and under a name that is one. */
static void a_notice_of_delay_says_who_said_why(void **state)
{
    static struct conf_queue_route routes[] = {
        {{"literal.example", 15}, {"host:[2001:db8::1]:26", 21}},
        {{"smart.example", 13}, {"host:gate.example:25,spare.example:26", 37}},
    };
    static const struct {
        const char *recipient, *reply, *host, *status;
        const char *told; /* NULL: all of the reply */
    } cases[] = {
        {"x@far.example", "451 4.4.1 later", "far.example", "4.4.1"},
        {"x@smart.example", "451 4.7.650 later", "gate.example", "4.7.650"},
        {"x@literal.example", "450 no code", "[2001:db8::1]", ""},
        {"x@[IPv6:2001:db8::1]", "451 4.3.2", "[ipv6:2001:db8::1]", "4.3.2"},
        {"x@[192.0.2.7]", "451 5.1.1 is no delay", "[192.0.2.7]", ""},
        {"x@far.example", "no route: to that host", "", ""}, /* our own words */
        {"anna@here.example", "it is full: /var/mail/anna", "", "", "it is full"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = reporter_begin();
        uint64_t one = 1;
        struct ipc_job_outcome outcome = {.outcome = IPC_OUTCOME_DEFERRED,
                                          .scope = IPC_SCOPE_RECIPIENT,
                                          .status = SPAN("4.4.1"),
                                          .text = span_from_cstr(cases[i].reply)};
        struct ipc_message result = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};
        w->conf.routes = routes;
        w->conf.route_count = ARRAY_SIZE(routes);
        w->mailbox_does = MAILBOX_IS_SILENT;
        world_join_smtp(w);
        reporter_join(w);
        reporter_send(w, "s@far.example", cases[i].recipient);
        world_until_jobs(w, 1);
        w->conf.delay_notice_ms = 1;
        w->jobs[0].answered = true;
        assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &result), 0);
        world_rest(w);
        for (int turns = 0; turns < 3 && !reporter.asked; turns++) {
            delay_tick(&w->queue);
            world_rest(w);
        }
        world_until(w, is_notified, &one);
        assert_int_equal(reporter.kind, REPORT_DELAYED);
        assert_string_equal(reporter.reply, cases[i].told ? cases[i].told : cases[i].reply);
        assert_string_equal(reporter.host, cases[i].host);
        assert_string_equal(reporter.status, cases[i].status);
        reporter_end(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay_is_told_once),
        cmocka_unit_test(a_clock_set_forward_delays_nobody),
        cmocka_unit_test(a_clock_set_forward_a_little_changes_nothing),
        cmocka_unit_test(a_suspend_sets_no_clock_forward),
        cmocka_unit_test(a_notice_of_delay_says_who_said_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
