/* Receipts, for who asked for them. */
#include "reporter.h"

#include "proc/queue/returns/return.h"

static void who_wants_no_word_gets_none(void **state)
{
    struct world *w = reporter_begin();
    uint64_t none = 0;

    reporter_join(w);
    w->spoil = reporter_wish;
    reporter_wanted = ENVELOPE_NOTIFY_NEVER;
    reporter_send(w, "s@far.example", "anna@here.example bob@here.example");
    world_until(w, reporter_left, &none);
    assert_int_equal(reporter.asked, 0);
    assert_int_equal(w->queue.returns->double_bounces, 0);
    reporter_end(w);
}

static bool is_receipted(struct world *w, void *arg)
{
    return w->queue.returns->receipted == *(uint64_t *)arg && w->queue.returns->count == 0;
}

static void a_receipt_for_who_asks(void **state)
{
    struct world *w = reporter_begin();
    uint64_t two = 2;

    w->mailbox_does = MAILBOX_DELIVERS;
    reporter_join(w);
    w->spoil = reporter_wish;
    reporter_wanted = ENVELOPE_NOTIFY_FAILURE;
    reporter_send(w, "s@far.example", "anna@here.example");
    reporter_wanted = ENVELOPE_NOTIFY_SUCCESS;
    reporter_send(w, "s@far.example", "anna@here.example bob@here.example");
    world_until(w, is_receipted, &two);
    assert_int_equal(reporter.asked, 1);
    assert_int_equal(reporter.kind, REPORT_DELIVERED);
    assert_int_equal(reporter.recipients, 2);
    reporter_end(w);
}

/* Too many for one report, and their message is gone with the last outcome. */
static void receipts_are_given_in_parts(void **state)
{
    struct world *w = reporter_begin();
    uint64_t all = 5;

    w->mailbox_does = MAILBOX_DELIVERS;
    reporter_join(w);
    reporter.at_most = 1;
    w->spoil = reporter_wish;
    reporter_wanted = ENVELOPE_NOTIFY_SUCCESS;
    struct id id = reporter_send(w, "s@far.example",
                                 "a@here.example b@here.example c@here.example d@here.example "
                                 "e@here.example");
    world_until(w, is_receipted, &all);
    assert_null(spool_find(w->queue.spool, &id));
    assert_string_equal(reporter.address, "e@here.example"); /* the last one, once */
    assert_int_equal(w->queue.returns->receipts.all, 0);
    reporter_end(w);
}

/* RFC 3461 5.2.2: a station that offers DSN sends the receipt itself; for one that doesn't we say
 * that the message went there. */
static void a_relayed_message_has_one_receipt(void **state)
{
    for (int knows = 0; knows < 2; knows++) {
        struct world *w = reporter_begin();
        uint64_t expected = knows ? 0 : 1;
        struct ipc_job_outcome outcome = {.outcome = IPC_OUTCOME_DELIVERED,
                                          .scope = IPC_SCOPE_RECIPIENT,
                                          .status = SPAN("2.0.0"),
                                          .text = SPAN("250 ok"),
                                          .host = SPAN("mx.far.example"),
                                          .knows_wish = knows};
        struct ipc_message result = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};
        w->mailbox_does = MAILBOX_IS_SILENT;
        world_join_smtp(w);
        reporter_join(w);
        w->spoil = reporter_wish;
        reporter_wanted = ENVELOPE_NOTIFY_SUCCESS;
        reporter_send(w, "s@far.example", "x@elsewhere.example");
        world_until_jobs(w, 1);
        w->jobs[0].answered = true;
        assert_int_equal(ipc_reply(w->jobs[0].channel, w->jobs[0].token, &result), 0);
        world_rest(w);
        world_until(w, is_receipted, &expected);
        assert_int_equal(reporter.asked, knows ? 0 : 1);
        if (!knows) {
            assert_int_equal(reporter.kind, REPORT_RELAYED);
            assert_string_equal(reporter.host, "mx.far.example");
            assert_string_equal(reporter.reply, "250 ok");
        }
        reporter_end(w);
    }
}

/* RFC 3461 5.2.7.3: "expanded" is told once, when the list was opened; its members' deliveries
 * aren't. */
static void an_expanded_list_has_its_receipt(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1;

    w->mailbox_does = MAILBOX_DELIVERS;
    reporter_join(w);
    w->spoil = reporter_wish;
    reporter_wanted = ENVELOPE_NOTIFY_SUCCESS;
    reporter_send(w, "s@far.example", "+list@here.example");
    world_until_delivered(w, 3);
    world_until(w, is_receipted, &one);
    assert_int_equal(reporter.asked, 1);
    assert_int_equal(reporter.kind, REPORT_EXPANDED);
    assert_string_equal(reporter.address, "list@here.example");
    assert_string_equal(reporter.status, "2.1.5");
    reporter_wanted = ENVELOPE_NOTIFY_FAILURE;
    reporter_send(w, "s@far.example", "+list@here.example");
    world_until_delivered(w, 6);
    world_rest(w);
    assert_int_equal(reporter.asked, 1);
    reporter_end(w);
}

static void wish_of_first(struct world *w, struct envelope *e, uint8_t *tickets)
{
    reporter_wish(w, e, tickets);
    e->wish_count = 1;
}

/* As one that was opened; its people get the message for another recipient. */
static void a_duplicate_alias_has_its_receipt(void **state)
{
    struct world *w = reporter_begin();
    uint64_t one = 1;

    w->mailbox_does = MAILBOX_DELIVERS;
    reporter_join(w);
    w->spoil = wish_of_first;
    reporter_wanted = ENVELOPE_NOTIFY_SUCCESS;
    reporter_send(w, "s@far.example",
                  "+list@here.example a@here.example b@here.example c@here.example");
    world_until_delivered(w, 3);
    world_until(w, is_receipted, &one);
    assert_int_equal(reporter.asked, 1);
    assert_int_equal(reporter.kind, REPORT_EXPANDED);
    assert_string_equal(reporter.address, "list@here.example");
    reporter_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wants_no_word_gets_none),
        cmocka_unit_test(a_receipt_for_who_asks),
        cmocka_unit_test(receipts_are_given_in_parts),
        cmocka_unit_test(a_relayed_message_has_one_receipt),
        cmocka_unit_test(an_expanded_list_has_its_receipt),
        cmocka_unit_test(a_duplicate_alias_has_its_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
