/* What the log says, in the book. */
#include "worker_test.h"

static void what_the_spool_keeps_is_booked(void **state)
{
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    struct buffer wire = BUFFER_INIT;
    struct spool_status statuses[] = {status_of(0, SPOOL_OUTCOME_DELIVERED),
                                      status_of(1, SPOOL_OUTCOME_DEFERRED),
                                      status_of(2, SPOOL_OUTCOME_DISCARDED)};

    struct id id = accept_message(1, 3);
    settle(&id, statuses, 3);
    assert_int_equal(codec_encode(&event_codec, &refusal, &wire), 0);
    assert_int_equal(spool_event(spool, buffer_span(&wire), NULL, NULL), 0);
    assert_int_equal(spool_event(spool, SPAN("nonsense"), NULL, NULL), 0);
    run_spool();
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    assert_int_equal(worker.translator.strange, 1);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 3);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 1);
    assert_int_equal(c.states[RECIPIENT_WAITING], 1);
    assert_int_equal(c.states[RECIPIENT_DISCARDED], 1);
    assert_int_equal(c.refusals, 1);
    buffer_done(&wire);
}

/* The log has no outcome of its own for it. */
static void an_alias_of_whom_is_there_is_a_duplicate(void **state)
{
    struct spool_status statuses[] = {status_of(0, SPOOL_OUTCOME_DELIVERED),
                                      status_of(1, SPOOL_OUTCOME_DISCARDED),
                                      status_of(2, SPOOL_OUTCOME_DISCARDED)};
    struct id id = accept_message(1, 3);

    statuses[1].status = SPAN("2.1.5");
    statuses[2].status = SPAN("5.1.1");
    settle(&id, statuses, 3);
    turn();
    assert_int_equal(test_number(TEST_WEEK, "SELECT kind FROM event WHERE recipient_index = 1"
                                            " AND kind <> 3"),
                     EVENT_DUPLICATE);
    assert_int_equal(test_number(TEST_WEEK, "SELECT kind FROM event WHERE recipient_index = 2"
                                            " AND kind <> 3"),
                     EVENT_DISCARDED);
    assert_int_equal(audit().states[RECIPIENT_DISCARDED], 2);
}

/* What the spool says of itself, and what can't be read, are in the book too. */
static void alarms_and_damage_are_booked(void **state)
{
    struct spool_alarm alarm = {
        .kind = SPOOL_ALARM_TAIL, .time_us = TEST_NOW_US, .text = SPAN("set aside as tail-1")};
    struct spool_followed records[] = {
        {.kind = SPOOL_FOLLOWED_ALARM, .alarm = &alarm},
        {.kind = SPOOL_FOLLOWED_DAMAGED},
        {.kind = SPOOL_FOLLOWED_GAP},
    };

    accept_message(1, 1);
    turn();
    worker.translator.now_us = TEST_NOW_US;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        records[i].position = worker.folded;
        records[i].next = (struct spool_position){worker.folded.segment + 1, 1000 * (i + 1)};
        assert_int_equal(translate(&worker.translator, &records[i]), 0);
    }
    test_commit(worker.fold);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 2); /* a tail was never acknowledged: only an alarm */
    assert_int_equal(c.alarms, 1);
    assert_int_equal(c.events, 4);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE kind = 20"), 2);
}

/* From the log: who came of whom, and that the parent itself waits for nothing. */
static void expansions_are_booked(void **state)
{
    struct envelope_recipient children[] = {
        {.address = SPAN("x@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {1}},
        {.address = SPAN("y@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {2}}};
    struct spool_expansion expansion = {.parent = 1, .children = children, .child_count = 2};
    struct spool_status delivered = status_of(3, SPOOL_OUTCOME_DELIVERED);
    struct spool_accept accept = {.envelope = &message.envelope,
                                  .header = SPAN(""),
                                  .body = SPAN("hello"),
                                  .expansions = &expansion,
                                  .expansion_count = 1};

    test_message_at(&message, TEST_NOW_US, 1, 2);
    assert_int_equal(spool_accept(spool, &accept, NULL, NULL), 0);
    run_spool();
    turn();
    settle(&message.envelope.id, &delivered, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 4);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry WHERE parent = 1 AND"
                                            " recipient_index IN (2, 3)"),
                     2);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.states[RECIPIENT_EXPANDED], 1);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 1);
    assert_int_equal(c.states[RECIPIENT_WAITING], 2);
}

/* Compaction moved a message of which the book lost the file: what still waits is booked. */
static void moved_messages_are_understood(void **state)
{
    struct envelope_recipient children[] = {
        {.address = SPAN("x@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {1}},
        {.address = SPAN("y@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {2}}};
    struct spool_expansion expansions[] = {{.parent = 1, .children = children, .child_count = 2}};
    struct record_net waiting[] = {{.recipient = 0}, {.recipient = 3}, {.recipient = 99}};
    struct test_message m;

    accept_message(1, 1);
    turn();
    test_message_at(&m, TEST_NOW_US, 50, 2);
    struct spool_followed record = {.kind = SPOOL_FOLLOWED_MOVED,
                                    .position = worker.folded,
                                    .next = {worker.folded.segment + 1, 1000},
                                    .envelope = &m.envelope,
                                    .expansions = expansions,
                                    .expansion_count = 1,
                                    .waiting = waiting,
                                    .waiting_count = 3};
    assert_int_equal(translate(&worker.translator, &record), 0);
    test_commit(worker.fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 3);
    assert_int_equal(test_number(TEST_WEEK,
                                 "SELECT count(*) FROM entry WHERE"
                                 " recipient = 'y@aaa.example' AND recipient_index = 3 AND"
                                 " parent = 1"),
                     1);
}

/* The book has his recipients from an expansion alone, and one's end is in no log any more. */
static void who_does_not_wait_by_a_moved_record_is_closed(void **state)
{
    struct envelope_recipient children[] = {{.address = SPAN("x@aaa.example"), .key = {1}},
                                            {.address = SPAN("y@aaa.example"), .key = {2}}};
    struct spool_expansion expansion = {.parent = 1, .children = children, .child_count = 2};
    struct record_net waiting[] = {{.recipient = 0}, {.recipient = 3}};
    struct fold *fold = test_fold_open();
    struct book_position until = {0, 10, 0};
    struct translator t = {.fold = fold, .now_us = TEST_NOW_US, .limit = {10, 0}};
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, 1, 2);
    struct spool_followed records[] = {
        {.kind = SPOOL_FOLLOWED_GONE, .next = {1, 50}},
        {.kind = SPOOL_FOLLOWED_EXPAND,
         .next = {1, 100},
         .message = m.envelope.id,
         .time_us = TEST_NOW_US,
         .expansion = &expansion,
         .first_child = 2},
        {.kind = SPOOL_FOLLOWED_MOVED,
         .next = {1, 200},
         .message = m.envelope.id,
         .time_us = TEST_NOW_US + TEST_SECOND,
         .envelope = &m.envelope,
         .expansions = &expansion,
         .expansion_count = 1,
         .waiting = waiting,
         .waiting_count = 2},
    };
    assert_int_equal(fold_begin_anew(fold, &until, TEST_NOW_US), 0);
    for (size_t i = 0; i < ARRAY_SIZE(records); i++)
        assert_int_equal(translate(&t, &records[i]), 0);
    test_commit(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry WHERE state = 1"), 2);
    assert_int_equal(test_number(TEST_WEEK, "SELECT state FROM entry WHERE recipient_index = 2"),
                     RECIPIENT_CLOSED);
    arena_done(&t.arena);
    fold_close(fold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(what_the_spool_keeps_is_booked),
        WORKER_TEST(an_alias_of_whom_is_there_is_a_duplicate),
        WORKER_TEST(alarms_and_damage_are_booked),
        WORKER_TEST(expansions_are_booked),
        WORKER_TEST(moved_messages_are_understood),
        WORKER_TEST(who_does_not_wait_by_a_moved_record_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
