/* A disk that is full or fails, under the ledger and under the log. */
#include "../../book/failing_read.h"
#include "failing_write.h"

/* What each opening finds again for as long as the disk is full. */
static void assert_told_once(const char *text)
{
    for (int round = 0; round < 3; round++) {
        turn();
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.error, -ENOSPC);
        assert_string_equal(text, round == 0 ? TEST_WEEK : "");
        worker.told = (struct ledger_told){.damage = ""};
    }
    set_writes(NULL);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_string_equal(text, "");
}

static void what_a_file_lacks_is_told_once(void **state)
{
    accept_message(1, 1);
    for (int again = 0; again < 2; again++) {
        turn();
        worker_done(&worker);
        in_ledger("rm " TEST_WEEK "*");
        fill_disk_under("book.sqlite");
        assert_told_once(worker.told.lacking);
    }
    assert_int_equal(audit().accepted, 1);
}

static void what_is_displaced_is_told_once(void **state)
{
    accept_message(1, 1);
    turn();
    worker_done(&worker);
    test_tamper(TEST_WEEK, "UPDATE lane SET offset = offset + 65536");
    fill_disk_under(TEST_WEEK);
    assert_told_once(worker.told.displaced);
    assert_int_equal(audit().findings, 0);
}

/* The main file must know what each file has before anything is booked. */
static void what_cannot_be_read_is_named(void **state)
{
    accept_message(1, 1);
    turn();
    worker_done(&worker);
    in_ledger("rm book.sqlite*");
    test_fail_reads(TEST_WEEK);
    turn();
    test_reads_succeed();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_string_equal(worker.told.unread, TEST_WEEK);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 1);
}

static void assert_turns_fail(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        turn();
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.error, -EIO);
        assert_string_equal(worker.told.damage, "");
    }
}

enum { READ_TURNS = 20 }; /* that fail before a file is given up */

static ssize_t failing_write(int fd, const void *from, size_t size, off_t at)
{
    errno = EIO;
    return -1;
}

/* What can't be written is sound, and at a stumble afterwards it is none that was given up. */
static void failing_writes_do_not_count_as_reads(void **state)
{
    accept_message(1, 1);
    turn();
    accept_message(2, 1);
    set_writes(failing_write);
    assert_turns_fail(READ_TURNS + 2);
    set_writes(NULL);
    test_fail_reads(TEST_WEEK);
    assert_turns_fail(2);
    test_reads_succeed();
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 2);
}

static void what_cannot_be_read_for_long_is_set_aside(void **state)
{
    accept_message(1, 1);
    turn();
    worker_done(&worker);
    accept_message(2, 1);
    test_fail_reads(TEST_WEEK);
    assert_turns_fail(READ_TURNS);
    turn();
    assert_int_equal(worker.trouble, WORKER_DAMAGED);
    assert_non_null(strstr(worker.told.damage, TEST_WEEK));
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    test_reads_succeed();
    assert_int_equal(audit().accepted, 2);
}

/* ---- parts of the log that can't be read ---- */

/* Some segments of it, that the book hasn't read yet. */
static void fill_log(void)
{
    static const char body[3000];

    for (unsigned i = 1; spool_sealed_position(spool).segment < 5; i++)
        accept_body(i, 1, span_of(body, sizeof(body)));
    worker.limit = spool_sealed_position(spool);
}

static void fail_reads_of_segment(unsigned number, off_t from, off_t until)
{
    char path[200];
    struct stat st;

    snprintf(path, sizeof(path), "%s/log-%016x", spool_folder, number);
    assert_int_equal(stat(path, &st), 0);
    failing_read = (typeof(failing_read)){.file = st.st_ino, .from = from, .until = until};
}

/* Turns until all is folded; how many of them failed. */
static unsigned count_failed_turns(unsigned *out_turns)
{
    unsigned failed = 0;

    for (*out_turns = 0; *out_turns < 2000; ++*out_turns) {
        worker_turn(&worker.job);
        failed += worker.trouble == WORKER_LOG;
        if (spool_position_compare(worker.folded, worker.limit) == 0)
            break;
    }
    assert_int_equal(worker.trouble, WORKER_FINE);
    return failed;
}

/* A header between the book and the limit is asked for at the start of each batch that follows a
 * trouble, and of each segment: it is given up once, not for each of them anew. */
static void a_header_is_given_up_once(void **state)
{
    unsigned turns;

    fill_log();
    fail_reads_of_segment(4, 0, 1024);
    clock_step_ms = 40;
    unsigned failed = count_failed_turns(&turns);
    clock_step_ms = 0;
    worker_turn(&worker.job); /* the last batch may have ended just at the limit */
    test_reads_succeed();
    assert_true(turns > 2 * READ_TURNS);
    assert_in_range(failed, READ_TURNS, READ_TURNS + 4); /* one for each segment */
    assert_int_equal(worker.unreadable, 0);
}

static void what_lies_before_an_unreadable_place_is_booked(void **state)
{
    fill_log();
    fail_reads_of_segment(2, 64 * 1024, 65 * 1024);
    worker_turn(&worker.job);
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_true(worker.behind); /* so the next turn is at once */
    assert_true(audit().accepted > 0);
    for (unsigned i = 0; i < READ_TURNS; i++) {
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_LOG);
        assert_int_equal(worker.error, -EIO);
    }
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    test_reads_succeed();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(what_a_file_lacks_is_told_once),
        WORKER_TEST(what_is_displaced_is_told_once),
        WORKER_TEST(what_cannot_be_read_is_named),
        WORKER_TEST(failing_writes_do_not_count_as_reads),
        WORKER_TEST(what_cannot_be_read_for_long_is_set_aside),
        WORKER_TEST(a_header_is_given_up_once),
        WORKER_TEST(what_lies_before_an_unreadable_place_is_booked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
