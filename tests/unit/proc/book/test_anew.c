/* A ledger that is made anew, or is an older copy, beside a log that lacks a segment. */
#include "worker_test.h"

enum { KEPT = 30, BODY = 3000, FIRST_PASSING = 1000 };

/* Mail comes and goes until the log has come to that segment. */
static void pass_mail(uint64_t segment)
{
    static const char body[BODY];
    static unsigned number;
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);

    while (spool_sealed_position(spool).segment < segment) {
        struct id id = accept_body(FIRST_PASSING + number++, 1, span_of(body, sizeof(body)));
        settle(&id, &delivered, 1);
        turn();
        spool_book_synced(spool, worker.folded);
        run_spool();
    }
}

static bool has_segment(unsigned number)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/log-%016x", spool_folder, number);
    return access(path, F_OK) == 0;
}

/* Most that lies in the first segment waits, so it stays. The outcomes of the rest are in the
 * second, which goes. */
static void let_outcomes_go(void)
{
    static const char body[BODY];
    struct spool_status two[] = {status_of(1, SPOOL_OUTCOME_DELIVERED),
                                 status_of(2, SPOOL_OUTCOME_RELAYED)};
    struct spool_status one = status_of(0, SPOOL_OUTCOME_RETURNED);

    for (unsigned i = 1; i <= KEPT; i++)
        accept_body(i, 1, span_of(body, sizeof(body)));
    struct id three = accept_message(KEPT + 1, 3), single = accept_message(KEPT + 2, 1);
    turn();
    start_again();
    in_ledger("mkdir copy && cp *.sqlite* copy");
    pass_mail(2);
    settle(&three, two, 2);
    settle(&single, &one, 1);
    pass_mail(12);
    assert_true(has_segment(1));
    assert_false(has_segment(2));
    start_again();
}

static struct audit_counts turn_and_audit(void)
{
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_true(worker.is_compared);
    assert_false(worker.differs);
    struct audit_counts c = audit();
    assert_int_equal(c.states[RECIPIENT_WAITING], KEPT + 1);
    /* Of the mail that passed one may lie where the segment changed. */
    assert_in_range(c.states[RECIPIENT_CLOSED], 3, 4);
    return c;
}

/* It has the messages whose outcomes went with a segment of the log, and learns that these had
 * their end. */
static void ledger_made_anew_waits_for_nobody(void **state)
{
    let_outcomes_go();
    in_ledger("rm *.sqlite*");
    struct audit_counts c = turn_and_audit();
    assert_int_equal(c.findings, 0);
    start_again();
    assert_int_equal(turn_and_audit().findings, 0);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE kind = 22"),
                     c.states[RECIPIENT_CLOSED]);
}

/* The queue was started again, and recovers its spool: a turn in between reads nothing, and begins
 * no other lane. */
static void a_queue_that_recovers_is_waited_for(void **state)
{
    let_outcomes_go();
    in_ledger("rm *.sqlite*");
    for (int round = 0; round < 2; round++) {
        worker.limit = (struct spool_position){0};
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_FINE);
        assert_false(worker.behind);
        assert_int_equal(worker.is_compared, round > 0);
        assert_int_equal(turn_and_audit().findings, 0);
        assert_int_equal(worker.translator.lane, 0);
    }
}

/* What is lost with it stays a finding, but nobody waits for ever. */
static void week_made_anew_waits_for_nobody(void **state)
{
    let_outcomes_go();
    in_ledger("rm " TEST_WEEK "*");
    struct audit_counts c = turn_and_audit();
    assert_string_equal(worker.told.lacking, TEST_WEEK);
    assert_int_equal(c.findings, 1);
    assert_int_equal(c.broken, 0);
}

/* The log lacks nothing that the book of before hadn't read; the book stays a witness. */
static void ledger_that_is_whole_believes_itself(void **state)
{
    let_outcomes_go();
    turn();
    assert_false(worker.differs);
    struct audit_counts c = audit();
    assert_int_equal(c.states[RECIPIENT_CLOSED], 0);
    assert_int_equal(c.findings, 0);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM anew WHERE found_us"), 0);
}

/* They are of no message: each is in the week of the day on which this runs. */
static int64_t count_gaps(void)
{
    struct ledger_list list;
    char name[WEEK_FILE_SIZE];
    int64_t count = 0;

    assert_int_equal(ledger_list(test_folder, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        week_file(list.files[i].kind, list.files[i].week, name);
        count += test_number(name, "SELECT count(*) FROM event WHERE kind = 20");
    }
    ledger_list_done(&list);
    return count;
}

/* The segment of its position is still there, and what came next isn't. */
static void ledger_of_before_says_what_it_never_read(void **state)
{
    let_outcomes_go();
    assert_int_equal(count_gaps(), 0);
    in_ledger("rm *.sqlite* && cp copy/* .");
    turn();
    assert_true(worker.differs);
    int64_t gaps = count_gaps();
    assert_true(gaps > 0);
    assert_int_equal(audit().states[RECIPIENT_CLOSED], 0);
    start_again();
    turn();
    assert_int_equal(count_gaps(), gaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(ledger_made_anew_waits_for_nobody),
        WORKER_TEST(a_queue_that_recovers_is_waited_for),
        WORKER_TEST(week_made_anew_waits_for_nobody),
        WORKER_TEST(ledger_that_is_whole_believes_itself),
        WORKER_TEST(ledger_of_before_says_what_it_never_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
