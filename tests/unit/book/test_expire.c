#include "failing_read.h"

#include "book/ledger.h"

/* Three weeks: an old one with a waiting entry, an old one all finished, and the present one. */
static struct fold *three_weeks(bool finish_oldest)
{
    struct fold *fold = test_fold_open();
    uint64_t offset = 0;

    for (unsigned i = 0; i < 3; i++) {
        struct test_message m;
        test_message_at(&m, TEST_NOW_US - i * 7 * TEST_DAY, i, 1);
        struct book_input input = test_input_message(offset += 100, &m);
        test_fold_one(fold, &input);
        struct book_status done = test_status(m.envelope.id, 0, EVENT_DELIVERED);
        if (i < 2 || finish_oldest)
            test_fold_status(fold, offset += 100, &done);
    }
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    refusal.time_us -= 14 * TEST_DAY;
    test_fold_event(fold, offset + 100, &refusal);
    test_commit(fold);
    return fold;
}

static bool exists(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    return access(path, F_OK) == 0;
}

static void finished_weeks_go_and_leave_their_head(void **state)
{
    struct fold *fold = three_weeks(false);
    struct fold_deleted deleted;

    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 2);
    assert_true(exists(TEST_WEEK));               /* hasn't ended yet */
    assert_false(exists("book-2026-W46.sqlite")); /* all finished */
    assert_true(exists("book-2026-W45.sqlite"));  /* one waits */
    assert_false(exists("refusals-2026-W45.sqlite"));
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM deleted"), 2);
    assert_int_equal(test_number("book.sqlite", "SELECT events FROM deleted WHERE kind = 0"), 2);
    fold_close(fold);
}

static void nothing_goes_before_its_time(void **state)
{
    struct fold *fold = three_weeks(true);
    struct fold_deleted deleted;
    int64_t limit = TEST_NOW_US - 30 * TEST_DAY;

    assert_int_equal(fold_expire(fold, limit, limit, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 0);
    fold_close(fold);
}

static void deleted_weeks_do_not_come_back(void **state)
{
    struct fold *fold = three_weeks(true);
    struct fold_deleted deleted;

    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 3);
    fold_close(fold);
    fold = test_fold_open();
    struct test_message m;
    test_message_at(&m, TEST_NOW_US - 14 * TEST_DAY, 2, 1);
    struct book_status late = test_status(m.envelope.id, 0, EVENT_NOTIFIED);
    test_fold_status(fold, 5000, &late);
    test_commit(fold);
    assert_false(exists("book-2026-W45.sqlite"));
    assert_true(fold_position(fold, 0).offset == 5000);
    fold_close(fold);
}

static void pending_inputs_forbid_it(void **state)
{
    struct fold *fold = three_weeks(true);
    struct fold_deleted deleted;
    struct event refusal = test_refusal(2, "x@aaa.example");

    test_fold_event(fold, 9000, &refusal);
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), -EINVAL);
    fold_close(fold);
}

static int64_t expire(struct fold *fold, int64_t now_us, bool *out_doubts)
{
    struct fold_deleted deleted;

    assert_int_equal(
        fold_expire(fold, now_us - 90 * TEST_DAY, now_us - 14 * TEST_DAY, now_us, &deleted), 0);
    *out_doubts = deleted.doubts;
    return (int64_t)deleted.files;
}

/* What goes then is by a clock that nobody has set right for days. */
static void a_clock_that_jumps_ahead_costs_nothing_for_three_days(void **state)
{
    struct fold *fold = three_weeks(true);
    int64_t wrong_us = TEST_NOW_US + 1000 * TEST_DAY;
    bool doubts;

    assert_int_equal(expire(fold, TEST_NOW_US, &doubts), 0);
    assert_false(doubts);
    assert_int_equal(expire(fold, wrong_us, &doubts), 0);
    assert_true(doubts);
    fold_close(fold);
    fold = test_fold_open(); /* not even when it starts anew */
    assert_int_equal(expire(fold, wrong_us + 2 * TEST_DAY, &doubts), 0);
    assert_false(doubts);
    assert_int_equal(expire(fold, wrong_us + 3 * TEST_DAY, &doubts), 4);
    fold_close(fold);
}

static void a_clock_that_was_set_right_counts_at_once(void **state)
{
    struct fold *fold = three_weeks(true);
    bool doubts;

    expire(fold, TEST_NOW_US, &doubts);
    expire(fold, TEST_NOW_US + 1000 * TEST_DAY, &doubts);
    assert_int_equal(expire(fold, TEST_NOW_US + TEST_DAY, &doubts), 0);
    assert_false(doubts);
    for (int day = 2; day < 6; day++)
        assert_int_equal(expire(fold, TEST_NOW_US + day * TEST_DAY, &doubts), day == 4);
    fold_close(fold);
}

/* On for two days in each fortnight: a doubt isn't begun anew each time. */
static void a_machine_that_is_mostly_off_deletes_too(void **state)
{
    struct fold *fold = three_weeks(true);
    int64_t gone = 0;
    bool doubts;

    for (int day = 0; day < 200; day += 14)
        for (int hour = 0; hour < 48; hour += 12)
            gone += expire(fold, TEST_NOW_US + day * TEST_DAY + hour * TEST_DAY / 24, &doubts);
    assert_int_equal(gone, 4);
    fold_close(fold);
}

/* The clock was ahead for long, and the present week went. */
static void a_week_deleted_in_the_future_is_booked_again(void **state)
{
    struct fold *fold = three_weeks(true);
    int64_t wrong_us = TEST_NOW_US + 1000 * TEST_DAY;
    struct fold_deleted deleted;
    struct test_message m;

    assert_int_equal(fold_expire(fold, wrong_us, wrong_us, wrong_us, &deleted), 0);
    assert_int_equal(deleted.files, 4);
    test_message_at(&m, TEST_NOW_US, 9, 1);
    struct book_input input = test_input_message(5000, &m);
    assert_int_equal(fold_input(fold, &input, TEST_NOW_US), -EUCLEAN);
    assert_string_equal(test_told.lacking, TEST_WEEK);
    assert_true(fold_position(fold, 0).offset == 0); /* what the log still has is followed anew */
    test_fold_one(fold, &input);
    test_commit(fold);
    assert_true(exists(TEST_WEEK));
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM message"), 1);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM deleted"), 3);
    assert_int_equal(test_number("book.sqlite", "SELECT sum(events) FROM lost"), 2);
    fold_close(fold);
}

/* The row says it until files of that age go; of one that is there it goes with the file. */
static void what_a_removed_file_lost_is_forgotten_in_time(void **state)
{
    static const char count[] = "SELECT count(*) FROM lost";
    struct fold_deleted deleted;
    int64_t early = TEST_NOW_US - 30 * TEST_DAY;
    char path[160];

    fold_close(three_weeks(false));
    snprintf(path, sizeof(path), "%s/book-2026-W46.sqlite", test_folder);
    assert_int_equal(unlink(path), 0);
    struct fold *fold = test_fold_open();
    test_tamper("book.sqlite", "INSERT INTO lost SELECT * FROM chain WHERE kind = 0"
                               " AND week < (SELECT week FROM lost)");
    assert_int_equal(test_number("book.sqlite", count), 2);
    assert_int_equal(fold_expire(fold, early, early, TEST_NOW_US, &deleted), 0);
    assert_int_equal(test_number("book.sqlite", count), 2);
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    assert_true(exists("book-2026-W45.sqlite")); /* one waits */
    assert_int_equal(test_number("book.sqlite", count), 1);
    fold_close(fold);
}

static void book_in_lane(struct fold *fold, uint32_t lane, int64_t time_us)
{
    struct test_message m;

    test_message_at(&m, time_us, lane, 1);
    struct book_status done = test_status(m.envelope.id, 0, EVENT_DELIVERED);
    struct book_input inputs[] = {
        {.kind = BOOK_MESSAGE, .end = {lane, 1, 100}, .message = &m.envelope},
        {.kind = BOOK_STATUS, .end = {lane, 1, 200}, .status = &done}};
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++)
        test_fold_one(fold, &inputs[i]);
}

static void refuse_in_lane(struct fold *fold, uint32_t lane)
{
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    struct book_input input = {.kind = BOOK_EVENT, .end = {lane, 1, 300}, .event = &refusal};

    test_fold_one(fold, &input);
}

static void assert_lanes(const char *expected)
{
    static const char *const tables[] = {"lane", "position"};
    char sql[200];

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        snprintf(sql, sizeof(sql),
                 "SELECT group_concat(lane, ' ') = '%s' FROM (SELECT lane"
                 " FROM %s ORDER BY lane)",
                 expected, tables[i]);
        assert_int_equal(test_number("book.sqlite", sql), 1);
    }
}

/* Else the sixty-fourth spool would be the last of a ledger for ever. */
static void a_lane_goes_with_its_last_file(void **state)
{
    struct fold *fold = test_fold_open();
    struct fold_deleted deleted;
    uint32_t next;

    for (uint32_t lane = 0; lane < 4; lane++) {
        struct book_position end = {lane, 1, 1000};
        assert_int_equal(fold_begin_anew(fold, &end, TEST_NOW_US), 0);
        book_in_lane(fold, lane, TEST_NOW_US - (lane == 0 ? 14 : lane == 1 ? 7 : 0) * TEST_DAY);
        if (lane == 2) {
            book_in_lane(fold, 2, TEST_NOW_US - 14 * TEST_DAY);
            refuse_in_lane(fold, 2);
        }
        test_commit(fold);
    }
    assert_lanes("0 1 2 3");
    assert_int_equal(fold_expire(fold, TEST_NOW_US - 7 * TEST_DAY, 0, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 1);
    assert_lanes("1 2 3");
    assert_int_equal(fold_position(fold, 0).segment, 0);
    test_tamper("book.sqlite", "INSERT INTO lost SELECT * FROM chain WHERE lane = 1");
    fold_close(fold);
    fold = test_fold_open();
    assert_string_equal(test_told.lacking, "");
    assert_int_equal(fold_expire(fold, TEST_NOW_US, 0, TEST_NOW_US, &deleted), 0);
    assert_lanes("2 3"); /* what was lost of one went with its file */
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM anew"), 2);
    int64_t all_us = TEST_NOW_US + 14 * TEST_DAY;
    assert_int_equal(fold_expire(fold, all_us, 0, TEST_NOW_US, &deleted), 0);
    assert_lanes("2 3"); /* refusals have a limit of their own */
    assert_int_equal(fold_expire(fold, all_us, all_us, TEST_NOW_US, &deleted), 0);
    assert_lanes("3"); /* the last is the one that is followed */
    assert_int_equal(fold_next_lane(fold, &next), 0);
    assert_int_equal(next, 4);
    fold_close(fold);
}

static void copy_file(const char *from, const char *to)
{
    char command[600];

    snprintf(command, sizeof(command), "cp %s/%s %s/%s", test_folder, from, test_folder, to);
    assert_int_equal(system(command), 0);
}

/* A crash in the middle of the deletion may leave the file without its -wal: it then shows an older
 * end of the chain, and an entry that waited then. Neither may pass for the truth. */
static void half_deleted_files_go_and_their_head_stays(void **state)
{
    struct fold *fold = test_fold_open();
    struct test_message m;
    struct fold_deleted deleted;

    test_message_at(&m, TEST_NOW_US - 7 * TEST_DAY, 1, 1);
    struct book_input input = test_input_message(100, &m);
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold); /* all of it is in the file itself */
    copy_file("book-2026-W46.sqlite", "older");
    fold = test_fold_open();
    struct book_status done = test_status(m.envelope.id, 0, EVENT_DELIVERED);
    test_fold_status(fold, 200, &done);
    test_commit(fold);
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 1);
    copy_file("older", "book-2026-W46.sqlite");
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 1);
    assert_false(exists("book-2026-W46.sqlite"));
    assert_int_equal(test_number("book.sqlite", "SELECT events FROM deleted WHERE kind = 0"), 2);
    fold_close(fold);
}

/* One bad sector of an old file must neither keep all that is older nor stop the book. */
static void a_file_that_cannot_be_read_holds_up_no_other(void **state)
{
    struct fold *fold = three_weeks(true);
    struct fold_deleted deleted;

    fold_close(fold);
    test_fail_reads("book-2026-W46.sqlite"); /* is tried before the older ones */
    fold = test_fold_open();
    assert_string_equal(test_told.lacking, "");
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    test_reads_succeed();
    assert_int_equal(deleted.files, 2);
    assert_true(exists("book-2026-W46.sqlite"));
    assert_false(exists("book-2026-W45.sqlite"));
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted), 0);
    assert_int_equal(deleted.files, 1);
    fold_close(fold);
}

/* Whatever it is that one fails by. */
static void a_file_that_fails_holds_up_no_other(void **state)
{
    struct fold *fold = three_weeks(true);
    struct fold_deleted deleted;

    test_tamper("book-2026-W46.sqlite", "PRAGMA user_version = 99");
    assert_int_equal(fold_expire(fold, TEST_NOW_US, TEST_NOW_US, TEST_NOW_US, &deleted),
                     -EPROTONOSUPPORT);
    assert_int_equal(deleted.files, 2);
    assert_true(exists("book-2026-W46.sqlite"));
    fold_close(fold);
}

static void a_ledger_that_cannot_be_listed_is_an_error(void **state)
{
    struct ledger_list list;

    assert_int_equal(ledger_list("/nonexistent/ledger", &list), -ENOENT);
    ledger_list_done(&list);
    assert_int_equal(ledger_list("/dev/null", &list), -ENOTDIR);
    ledger_list_done(&list);
}

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, test_ledger_make, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(finished_weeks_go_and_leave_their_head),
        LEDGER_TEST(nothing_goes_before_its_time),
        LEDGER_TEST(deleted_weeks_do_not_come_back),
        LEDGER_TEST(pending_inputs_forbid_it),
        LEDGER_TEST(a_clock_that_jumps_ahead_costs_nothing_for_three_days),
        LEDGER_TEST(a_clock_that_was_set_right_counts_at_once),
        LEDGER_TEST(a_machine_that_is_mostly_off_deletes_too),
        LEDGER_TEST(a_week_deleted_in_the_future_is_booked_again),
        LEDGER_TEST(what_a_removed_file_lost_is_forgotten_in_time),
        LEDGER_TEST(a_lane_goes_with_its_last_file),
        LEDGER_TEST(half_deleted_files_go_and_their_head_stays),
        LEDGER_TEST(a_file_that_cannot_be_read_holds_up_no_other),
        LEDGER_TEST(a_file_that_fails_holds_up_no_other),
        LEDGER_TEST(a_ledger_that_cannot_be_listed_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
