/* What is old, also where the disk is full or a file can't be read. */
#include "failing_write.h"

#include "book/schema.h"

static void retention_runs_when_asked(void **state)
{
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);

    struct id id = accept_message(1, 1);
    settle(&id, &delivered, 1);
    turn();
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US + 30 * TEST_DAY;
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_true(worker.deleted_files >= 1);
    assert_int_equal(audit().accepted, 0);
}

/* Whoever keeps less to make room gets the room. */
static void retention_runs_on_a_full_disk(void **state)
{
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    struct buffer wire = BUFFER_INIT;

    assert_int_equal(codec_encode(&event_codec, &refusal, &wire), 0);
    assert_int_equal(spool_event(spool, buffer_span(&wire), NULL, NULL), 0);
    accept_message(1, 1);
    turn();
    accept_message(2, 1);
    fill_disk_under(TEST_WEEK);
    worker.keep_before_us = TEST_NOW_US - 30 * TEST_DAY;
    worker.refusals_before_us = TEST_NOW_US + 30 * TEST_DAY;
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -ENOSPC);
    assert_int_equal(worker.deleted_files, 1);
    assert_int_equal(worker.keep_before_us, 0);
    set_writes(NULL);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 2);
    buffer_done(&wire);
}

/* What goes must be noted first: the next turn tries it again, or it would be an hour. */
static void retention_without_any_room_is_tried_again(void **state)
{
    accept_message(1, 1);
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);
    settle(&message.envelope.id, &delivered, 1);
    turn();
    fill_disk_under("book.sqlite");
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US + 30 * TEST_DAY;
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -ENOSPC);
    assert_int_equal(worker.deleted_files, 0);
    set_writes(NULL);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.deleted_files, 1);
    assert_int_equal(worker.keep_before_us, 0);
}

/* Else the log could never be reused, and mail would be refused in the end. */
static void what_is_folded_is_told_though_retention_fails(void **state)
{
    char path[200], marks[120];

    accept_message(1, 1);
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US - 30 * TEST_DAY;
    snprintf(path, sizeof(path), "%s/book-2026-W01.sqlite", test_folder);
    snprintf(marks, sizeof(marks),
             "PRAGMA application_id = %d; PRAGMA user_version = 99; CREATE TABLE newer (a)",
             SCHEMA_APPLICATION_ID);
    test_tamper("book-2026-W01.sqlite", marks);
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    assert_int_equal(unlink(path), 0);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(retention_runs_on_a_full_disk),
        WORKER_TEST(retention_without_any_room_is_tried_again),
        WORKER_TEST(retention_runs_when_asked),
        WORKER_TEST(what_is_folded_is_told_though_retention_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
