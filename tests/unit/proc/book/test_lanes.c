/* Logs that begin anew. */
#include "failing_write.h"

/* The spool's folder was emptied: its log starts at the first position again. */
static void new_spool_is_a_new_lane(void **state)
{
    char command[256];

    accept_message(1, 1);
    accept_message(2, 1);
    turn();
    spool_close(spool);
    snprintf(command, sizeof(command), "rm -rf %s/*", spool_folder);
    assert_int_equal(system(command), 0);
    open_spool();
    accept_message(3, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.translator.lane, 1);
    worker_done(&worker);
    accept_message(4, 1);
    turn();
    assert_int_equal(worker.translator.lane, 1);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 4);
}

/* That a log ends too early is told once, however often the ledger can't be written then. */
static void a_new_lane_is_told_once(void **state)
{
    accept_message(1, 1);
    turn();
    worker.limit.offset /= 2;
    fill_disk_under("book.sqlite");
    for (int round = 0; round < 2; round++) {
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.new_lane, round == 0 ? 1 : 0);
        worker.new_lane = 0;
    }
    set_writes(NULL);
    worker_turn(&worker.job);
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.translator.lane, 1);
    assert_int_equal(worker.new_lane, 0);
}

static void expect_stuck(void)
{
    worker_turn(&worker.job);
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -E2BIG);
}

/* The ledger has as many as it can tell apart, and the log is another one. */
static void begin_with_all_lanes(void)
{
    accept_message(1, 1);
    turn();
    start_again();
    test_tamper("book.sqlite",
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 63)"
                " INSERT INTO lane SELECT i, segment, offset FROM n, lane WHERE lane.lane = 0");
}

/* A main file with one more would count as damaged, and the log be followed as another's. */
static void a_lane_too_many_is_not_begun(void **state)
{
    begin_with_all_lanes();
    worker.limit = (struct spool_position){1, 1};
    for (int round = 0; round < 2; round++)
        expect_stuck();
    assert_string_equal(worker.told.damage, "");
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM lane"), VOLUME_LANES_MAX);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
}

static ssize_t write_unless_of_main_file(int fd, const void *from, size_t size, off_t at)
{
    char path[200];
    struct stat st, wal;

    snprintf(path, sizeof(path), "%s/book.sqlite-wal", test_folder);
    if (fstat(fd, &st) < 0 || stat(path, &wal) < 0 || st.st_ino != wal.st_ino)
        return pwrite(fd, from, size, at);
    errno = EIO;
    return -1;
}

/* Of a lane that a file still needs retention takes nothing, but it makes room of the others; where
 * it fails it is tried again, for nothing else ends this. */
static void retention_makes_room_for_a_lane(void **state)
{
    begin_with_all_lanes();
    test_tamper("book.sqlite", "INSERT INTO lost SELECT kind, week, lane.lane, lane.segment,"
                               " lane.offset, events, head FROM chain, lane");
    worker.limit = (struct spool_position){1, 1};
    expect_stuck();
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US - 30 * TEST_DAY;
    expect_stuck();
    assert_int_equal(worker.keep_before_us, 0); /* it had its turn: the next is in an hour */
    test_tamper("book.sqlite", "DELETE FROM lost");
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US - 30 * TEST_DAY;
    set_writes(write_unless_of_main_file);
    expect_stuck();
    assert_true(worker.keep_before_us && worker.refusals_before_us);
    set_writes(NULL);
    worker_turn(&worker.job);
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.keep_before_us, 0);
    assert_int_equal(worker.new_lane, VOLUME_LANES_MAX);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM lane"), 2);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(test_number("book.sqlite", "SELECT max(lane) FROM lane"), VOLUME_LANES_MAX);
    start_again();
    turn();
    assert_int_equal(worker.translator.lane, VOLUME_LANES_MAX);
    assert_int_equal(audit().accepted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(new_spool_is_a_new_lane),
        WORKER_TEST(a_new_lane_is_told_once),
        WORKER_TEST(a_lane_too_many_is_not_begun),
        WORKER_TEST(retention_makes_room_for_a_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
