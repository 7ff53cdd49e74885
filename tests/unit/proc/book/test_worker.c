/* From turn to turn: the end of the process, damage, another book, trouble that passes. */
#include "worker_test.h"

/* Once after the start, and only when the book has all that the queue had. */
static void what_waits_is_compared(void **state)
{
    struct spool_status held[] = {status_of(0, SPOOL_OUTCOME_HELD),
                                  status_of(1, SPOOL_OUTCOME_DELIVERED)};
    struct id id = accept_message(1, 4);

    settle(&id, held, 2);
    turn();
    assert_true(worker.is_compared);
    assert_false(worker.differs);
    assert_int_equal(worker.waiting[0], 3);

    worker_done(&worker);
    worker = (struct worker){.ledger = test_folder, .spool_fd = worker.spool_fd};
    worker.limit = spool_sealed_position(spool);
    worker.queue_waiting = 2; /* as if one's file were gone */
    worker_turn(&worker.job);
    assert_true(worker.is_compared && worker.differs);
    assert_int_equal(worker.waiting[0], 3);
    assert_int_equal(worker.waiting[1], 2);
    worker.differs = false;
    accept_message(2, 1);
    turn();
    assert_false(worker.differs);
}

static void it_goes_on_where_it_stopped(void **state)
{
    for (unsigned i = 1; i <= 6; i++) {
        struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);
        struct id id = accept_message(i, 1);
        turn();
        settle(&id, &delivered, 1);
        if (i % 2)
            turn();
        worker_done(&worker); /* the process ends */
    }
    turn();
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 6);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 6);
}

static void damaged_ledger_is_made_anew_from_the_log(void **state)
{
    char path[256];
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);

    struct id id = accept_message(1, 2);
    turn();
    worker_done(&worker);
    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    test_tamper(TEST_WEEK, "PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "no longer a database", 20, 0), 20);
    close(fd);

    settle(&id, &delivered, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_DAMAGED);
    assert_memory_equal(worker.told.damage, TEST_WEEK ".damaged-",
                        sizeof(TEST_WEEK ".damaged-") - 1);
    assert_true(worker.behind);
    assert_int_equal(worker.folded.segment, 0); /* so that the log is kept */
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 2);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 1);
}

/* The server was killed, and its book still has the ledger when the next one starts. */
static void one_book_writes_at_a_time(void **state)
{
    struct worker first;

    accept_message(1, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    first = worker;
    worker = (struct worker){.ledger = test_folder, .spool_fd = first.spool_fd};
    accept_message(2, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -EWOULDBLOCK);
    assert_int_equal(worker.folded.segment, 0);
    assert_true(worker.behind);
    worker_done(&first);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 2);
}

/* Nothing is lost when the ledger can't be written for a while. */
static void it_tries_again_after_trouble(void **state)
{
    char gone[160];

    accept_message(1, 1);
    snprintf(gone, sizeof(gone), "%s/gone", test_folder);
    worker.ledger = gone;
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_true(worker.error < 0 && worker.behind);
    worker.ledger = test_folder;
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(what_waits_is_compared),
        WORKER_TEST(it_goes_on_where_it_stopped),
        WORKER_TEST(damaged_ledger_is_made_anew_from_the_log),
        WORKER_TEST(one_book_writes_at_a_time),
        WORKER_TEST(it_tries_again_after_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
