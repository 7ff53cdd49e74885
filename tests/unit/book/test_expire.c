#include "ledger_test.h"

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

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, test_ledger_make, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(finished_weeks_go_and_leave_their_head),
        LEDGER_TEST(nothing_goes_before_its_time),
        LEDGER_TEST(deleted_weeks_do_not_come_back),
        LEDGER_TEST(pending_inputs_forbid_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
