/* Mail that goes back to its sender by a report. */
#include "no_memory.h"
#include "reporter.h"

#include "base/clock.h"
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/undelivered.h"
#include <unistd.h>

static bool is_returned(struct world *w, void *arg)
{
    return w->queue.returns->returned == *(uint64_t *)arg && w->queue.settling == 0 &&
           !w->queue.committer.group;
}

static bool is_asked(struct world *w, void *arg)
{
    return reporter.asked >= *(int *)arg;
}

static bool is_double(struct world *w, void *arg)
{
    return w->queue.returns->double_bounces == 1 && w->queue.settling == 0;
}

static void the_sender_is_told(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1;
    reporter_join(w);
    reporter_send(w, "s@far.example", "anna@here.example");
    world_until(w, is_returned, &one);
    assert_int_equal(w->queue.accepted, 1); /* reports aren't received */
    assert_string_equal(reporter.sender, "s@far.example");
    assert_string_equal(reporter.address, "anna@here.example");
    assert_string_equal(reporter.header, "Subject: hello\r\n");
    assert_int_equal(reporter.status[0], '5');
    /* Paths and quotas here are nobody else's, and the mailbox is no station. */
    assert_string_equal(reporter.reply, "no such mailbox");
    assert_string_equal(reporter.host, "");
    reporter_end(w);
}

static void recipients_of_a_message_share_a_report(void **state)
{
    struct world *w = reporter_begin();
    uint64_t two = 2;
    reporter_join(w);
    reporter_send(w, "s@far.example", "anna@here.example bob@here.example");
    world_until(w, is_returned, &two);
    assert_int_equal(reporter.asked, 1);
    assert_int_equal(reporter.recipients, 2);
    reporter_end(w);
}

static bool is_given_up(struct world *w, void *arg)
{
    return w->queue.dispatch->refused == *(uint64_t *)arg && w->queue.settling == 0;
}

/* It was released before its sender was told, and failed again. */
static void who_fails_twice_is_told_of_once(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1, two = 2;
    struct ipc_message release = {.type = IPC_QUEUE_ACT,
                                  .queue_act = {.act = IPC_ACT_RELEASE,
                                                .filter.sender = SPAN("s@far.example"),
                                                .index = UINT32_MAX}};
    w->mailbox_does = MAILBOX_IS_SILENT; /* the other keeps the report waiting for it */
    world_join_smtp(w);
    world_join_admin(w);
    reporter_join(w);
    reporter_send(w, "s@far.example", "anna@here.example bob@elsewhere.example");
    world_until_jobs(w, 2);
    bool anna_first = w->jobs[0].channel == w->mailbox;
    world_answer(w, &w->jobs[anna_first ? 0 : 1], MAILBOX_FAILS);
    world_until(w, is_given_up, &one);
    world_ask(w, &release);
    assert_int_equal(w->reply.queue_acted.count, 1);
    world_until_jobs(w, 3);
    world_answer(w, &w->jobs[2], MAILBOX_FAILS);
    world_until(w, is_given_up, &two);
    world_answer(w, &w->jobs[anna_first ? 1 : 0], MAILBOX_FAILS);
    world_until(w, is_returned, &two);
    assert_int_equal(world_counts(w).held, 0);
    reporter_end(w);
}

static bool has_failed(struct world *w, void *arg)
{
    return w->queue.returns->count == *(uint32_t *)arg && w->queue.settling == 0;
}

/* Each holds a message's bytes; and a report process that is away costs no reading. */
static void few_are_told_at_the_same_time(void **state)
{
    struct world *w = reporter_begin();
    uint32_t all = RETURNS_BUSY_MAX + 10;
    uint64_t returned = all;
    int most = RETURNS_BUSY_MAX;
    for (uint32_t i = 0; i < all; i++)
        reporter_send(w, "s@far.example", "anna@here.example");
    world_until(w, has_failed, &all);
    world_rest(w);
    assert_int_equal(w->queue.returns->busy, 0);
    returns_tick(&w->queue);
    for (int i = 0; i < 3; i++) {
        world_rest(w);
        assert_int_equal(w->queue.returns->busy, 0);
    }
    reporter.silent = true;
    reporter_join(w);
    returns_tick(&w->queue);
    world_until(w, is_asked, &most);
    returns_tick(&w->queue);
    world_rest(w);
    assert_int_equal(reporter.asked, most);
    reporter.silent = false;
    reporter_join(w);
    world_rest(w);
    returns_tick(&w->queue);
    world_until(w, is_returned, &returned);
    assert_int_equal(w->queue.returns->busy, 0);
    reporter_end(w);
}

static bool is_held(struct world *w, void *id)
{
    const struct spool_message *m = spool_find(w->queue.spool, id);
    return m && m->recipients[0].state == SPOOL_RECIPIENT_HELD;
}

/* As much of it as a report takes may be sound: it is held all the same, and not read for that. */
static void of_a_damaged_message_nobody_is_told(void **state)
{
    struct world *w = reporter_begin();
    reporter_send(w, "s@far.example", "anna@here.example");
    world_until_jobs(w, 1);
    world_rest(w);
    struct id id = w->jobs[0].id;
    assert_int_equal(w->queue.returns->count, 1); /* there is nobody to write reports */
    spool_find(w->queue.spool, &id)->flags |= SPOOL_MESSAGE_DAMAGED;
    reporter_join(w);
    world_until(w, is_held, &id);
    for (int i = 0; i < 64; i++)
        returns_tick(&w->queue);
    world_rest(w);
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(w->queue.returns->count, 0);
    reporter_end(w);
}

static void give_back(struct world *w, uint32_t expected)
{
    struct ipc_queue_act back = {.act = IPC_ACT_RETURN, .filter.sender = SPAN("s@far.example")};
    assert_int_equal(world_act(w, back).count, expected);
}

static bool is_deferred(struct world *w, void *arg)
{
    return w->queue.dispatch->deferred >= *(uint64_t *)arg && w->queue.settling == 0 &&
           !w->queue.committer.group;
}

/* More than are under way at the same time; nobody to write reports at first, nor after a restart:
 * it is known that they go back. */
static void an_administrator_may_send_back(void **state)
{
    struct world *w = reporter_begin();
    uint64_t all = 300;
    world_join_admin(w);
    w->mailbox_does = MAILBOX_DEFERS;
    for (uint64_t i = 0; i < all; i++)
        reporter_send(w, "s@far.example", "anna@here.example");
    reporter_send(w, "other@far.example", "anna@here.example");
    all++;
    world_until(w, is_deferred, &all);
    all--;
    give_back(w, 300);
    world_rest(w);
    assert_true(w->queue.returns->count <= 100);
    world_list(w, &(struct ipc_queue_filter){.sender = SPAN("s@far.example")});
    assert_int_equal(w->row_count, 300);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RETURN);
    give_back(w, 0);
    world_kill(w);
    world_start(w);
    world_join_admin(w);
    world_join_directory(w);
    world_rest(w);
    reporter_join(w);
    w->queue.returns->returned = 0;
    world_until(w, is_returned, &all);
    assert_int_equal(reporter.asked, 300);
    assert_string_equal(reporter.status, "5.4.7");
    assert_int_equal(reporter.end, REPORT_END_GIVEN_UP);
    assert_true(reporter.last_attempt_us == 0); /* that was none */
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("here.example")});
    assert_int_equal(w->row_count, 1);
    reporter_end(w);
}

static void it_waits_for_the_report_process(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1;
    int asked = 1;
    reporter_send(w, "s@far.example", "anna@here.example");
    world_until_jobs(w, 1);
    world_rest(w);
    assert_int_equal(world_counts(w).waiting, 1);
    reporter.silent = true; /* it takes the question and dies with it */
    reporter_join(w);
    returns_tick(&w->queue);
    world_until(w, is_asked, &asked);
    reporter.silent = false;
    reporter_join(w);
    world_rest(w);
    returns_tick(&w->queue);
    world_until(w, is_returned, &one);
    reporter_end(w);
}

static void reports_are_never_reported(void **state)
{
    struct world *w = reporter_begin();
    reporter_join(w);
    reporter_send(w, "", "anna@here.example");
    world_until(w, is_double, NULL);
    assert_int_equal(reporter.asked, 0);
    world_rest(w);
    assert_int_equal(world_counts(w).messages, 0);
    reporter_end(w);
}

/* A domain that can't be found is perhaps mistyped; a mailbox that can't isn't for us to guess.
 * What the sender wrote is told when it went elsewhere. */
static void a_failure_names_what_was_perhaps_meant(void **state)
{
    static const struct {
        const char *recipient, *status, *instead;
    } cases[] = {
        {"x@gmial.com", "5.1.2", "x@gmail.com"},
        {"x@gmial.com", "5.4.4", "x@gmail.com"},
        {"x@gmial.com", "5.1.1", ""},
        {"x@far-away.example", "5.1.2", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = reporter_begin();
        uint64_t one = 1;
        struct ipc_job_outcome outcome = {.outcome = IPC_OUTCOME_FAILED,
                                          .scope = IPC_SCOPE_RECIPIENT,
                                          .status = span_from_cstr(cases[i].status),
                                          .text = SPAN("550 no")};
        struct ipc_message result = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};
        w->mailbox_does = MAILBOX_IS_SILENT;
        world_join_smtp(w);
        reporter_join(w);
        reporter_send(w, "s@far.example", cases[i].recipient);
        world_until_jobs(w, 1);
        w->jobs[0].answered = true;
        assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &result), 0);
        world_until(w, is_returned, &one);
        assert_int_equal(reporter.kind, REPORT_FAILED);
        assert_string_equal(reporter.status, cases[i].status);
        assert_string_equal(reporter.instead, cases[i].instead);
        assert_string_equal(reporter.original, "");
        assert_int_equal(reporter.end, REPORT_END_SAID);
        reporter_end(w);
    }
}

/* As its sender's country speaks, unless the postmaster has chosen. */
static void a_report_speaks_its_readers_language(void **state)
{
    static const struct {
        enum conf_language chosen;
        const char *sender;
        enum report_language expected;
    } cases[] = {
        {CONF_LANGUAGE_AUTO, "s@far.de", REPORT_GERMAN},
        {CONF_LANGUAGE_AUTO, "s@far.AT", REPORT_GERMAN},
        {CONF_LANGUAGE_AUTO, "s@far.example", REPORT_ENGLISH},
        {CONF_LANGUAGE_AUTO, "s@de", REPORT_ENGLISH},
        {CONF_LANGUAGE_EN, "s@far.de", REPORT_ENGLISH},
        {CONF_LANGUAGE_DE, "s@far.example", REPORT_GERMAN},
    };
    struct world *w = reporter_begin();

    reporter_join(w);
    for (uint64_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t returned = i + 1;
        w->conf.report_language = cases[i].chosen;
        reporter_send(w, cases[i].sender, "anna@here.example");
        world_until(w, is_returned, &returned);
        assert_string_equal(reporter.sender, cases[i].sender);
        if (reporter.language != cases[i].expected)
            fail_msg("%s, chosen %d: language %d", cases[i].sender, cases[i].chosen,
                     reporter.language);
    }
    reporter_end(w);
}

/* Dead with a question or without one: the next one is asked anew. */
static void a_lost_report_process_is_asked_again(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1;
    int asked = 1;

    reporter.silent = true;
    reporter_join(w);
    reporter_send(w, "s@far.example", "anna@here.example");
    world_until(w, is_asked, &asked);
    reporter_leave();
    world_rest(w);
    assert_null(w->queue.returns->report);
    assert_int_equal(world_counts(w).waiting, 1);
    assert_int_equal(w->queue.returns->count, 1);
    reporter.silent = false;
    reporter_join(w);
    returns_tick(&w->queue);
    world_until(w, is_returned, &one);
    assert_int_equal(reporter.asked, 2);
    reporter_end(w);
}

static bool has_returned(struct world *w, void *arg)
{
    return w->queue.returns->returned >= *(uint64_t *)arg && w->queue.settling == 0;
}

/* The attempt of one past its time is the attempt of all that wait for the same destination as long
 * as it; what is younger waits on. */
static void who_waits_too_long_is_given_up_with_his_destination(void **state)
{
    enum { COUNT = 12 };
    struct world *w = reporter_begin();
    uint64_t all = COUNT;
    reporter_join(w);
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_smtp(w);
    for (int i = 0; i < COUNT; i++)
        reporter_send(w, "s@far.example", "x@elsewhere.example");
    world_rest(w);
    size_t under_way = w->job_count;
    assert_in_range(under_way, 1, COUNT - 2); /* a window's worth; the others are ready */
    w->conf.give_up_ms = 1;
    world_kill(w);
    world_start(w); /* all of these are past their time now */
    w->conf.give_up_ms = INT64_C(4) * 86400000;
    w->queue.conf = &w->conf;
    world_join_smtpd(w);
    world_join_directory(w);
    reporter_join(w);
    w->mailbox_does = MAILBOX_IS_FULL;
    usleep(1100000); /* deadlines are whole seconds */
    world_join_smtp(w);
    world_until(w, has_returned, &all);
    assert_true(w->job_count < COUNT);
    assert_string_equal(reporter.reply, "disk full");
    assert_int_equal(reporter.end, REPORT_END_EXPIRED);
    assert_string_equal(reporter.status, "4.4.7"); /* RFC 3463 3.5: delivery time expired */
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("elsewhere.example")});
    assert_int_equal(w->row_count, 0);
    reporter_end(w);
}

/* Whom nobody remembers would wait for ever. But the station isn't asked at once, for memory may be
 * short for long. */
static void who_finds_no_memory_is_attempted_again(void **state)
{
    struct world *w = reporter_begin();
    struct ipc_queue_act retry = {.act = IPC_ACT_RETRY, .filter.sender = SPAN("s@far.example")};
    uint64_t one = 1;
    reporter_join(w);
    world_join_admin(w);
    no_memory = 1;
    reporter_send(w, "s@far.example", "anna@here.example");
    world_until(w, is_given_up, &one);
    world_list(w, &(struct ipc_queue_filter){.sender = SPAN("s@far.example")});
    assert_int_equal(w->rows[0].wait, IPC_WAIT_PAUSE);
    assert_in_range(w->rows[0].next_attempt_us - clock_wall_us(), 50 * 1000000, 60 * 1000000);
    assert_int_equal(world_act(w, retry).count, 1);
    world_until(w, is_returned, &one);
    assert_int_equal(w->job_count, 2);
    assert_int_equal(reporter.asked, 1);
    reporter_end(w);
}

/* By an attempt of his own, or with his destination, whose pause they wait out then. */
static void who_is_given_up_without_memory_is_attempted_again(void **state)
{
    enum { COUNT = 12, FORGOTTEN = 6 };
    struct world *w = reporter_begin();
    struct ipc_queue_act retry = {.act = IPC_ACT_RETRY,
                                  .filter.destination = SPAN("elsewhere.example")};
    uint64_t others = COUNT - FORGOTTEN;
    w->conf.give_up_ms = 1;
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_smtp(w);
    for (int i = 0; i < COUNT; i++)
        reporter_send(w, "s@far.example", "x@elsewhere.example");
    world_rest(w);
    size_t under_way = w->job_count;
    assert_in_range(under_way, 1, FORGOTTEN - 1);
    usleep(1100000); /* deadlines are whole seconds */
    reporter_join(w);
    no_memory = FORGOTTEN; /* also some of those that go with their destination */
    w->mailbox_does = MAILBOX_IS_FULL;
    for (size_t i = 0; i < under_way; i++)
        world_answer(w, &w->jobs[i], MAILBOX_IS_FULL);
    world_until(w, has_returned, &others);
    assert_int_equal(no_memory, 0);
    world_join_admin(w);
    assert_int_equal(world_act(w, retry).count, FORGOTTEN); /* none is held */
    assert_string_equal(reporter.reply, "disk full");
    reporter_end(w);
}

static void what_is_too_much_is_told_in_parts(void **state)
{
    struct world *w = reporter_begin();
    uint64_t six = 6;

    reporter_join(w);
    reporter.at_most = 2;
    reporter_send(w, "s@far.example",
                  "a@here.example b@here.example c@here.example d@here.example e@here.example "
                  "f@here.example");
    world_until(w, is_returned, &six);
    assert_true(reporter.recipients <= 2);
    reporter_end(w);
}

static bool is_told(struct world *w, void *arg)
{
    return w->queue.returns->returned == 1;
}

/* To the postmaster, and when that fails too, to nobody. */
static void a_double_bounce_ends(void **state)
{
    struct world *w = reporter_begin();
    uint64_t none = 0;

    w->conf.double_bounce = CONF_DOUBLE_BOUNCE_POSTMASTER;
    w->conf.postmaster = SPAN("list@here.example");
    reporter_join(w);
    reporter_send(w, "", "anna@here.example");
    world_until(w, is_told, NULL);
    world_until(w, reporter_left, &none);
    assert_int_equal(reporter.asked, 1);
    assert_int_equal(w->queue.returns->double_bounces, 4); /* with the list's three */
    assert_string_equal(reporter.sender, "list@here.example");
    reporter_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sender_is_told),
        cmocka_unit_test(recipients_of_a_message_share_a_report),
        cmocka_unit_test(who_fails_twice_is_told_of_once),
        cmocka_unit_test(few_are_told_at_the_same_time),
        cmocka_unit_test(of_a_damaged_message_nobody_is_told),
        cmocka_unit_test(what_is_too_much_is_told_in_parts),
        cmocka_unit_test(who_waits_too_long_is_given_up_with_his_destination),
        cmocka_unit_test(who_finds_no_memory_is_attempted_again),
        cmocka_unit_test(who_is_given_up_without_memory_is_attempted_again),
        cmocka_unit_test(a_double_bounce_ends),
        cmocka_unit_test(an_administrator_may_send_back),
        cmocka_unit_test(it_waits_for_the_report_process),
        cmocka_unit_test(a_lost_report_process_is_asked_again),
        cmocka_unit_test(a_failure_names_what_was_perhaps_meant),
        cmocka_unit_test(a_report_speaks_its_readers_language),
        cmocka_unit_test(reports_are_never_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
