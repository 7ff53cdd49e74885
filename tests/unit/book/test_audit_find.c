/* The audit of the finding aid: what it lacks is named, and what it has of nothing. */
#include "failing_read.h"

#include "book/audit.h"
#include "book/find.h"

enum { MANY = 2500, TOLD_MAX = 300 };

static struct {
    struct audit_finding findings[TOLD_MAX];
    char texts[TOLD_MAX][400];
    size_t count;
} told;

static void on_found(void *arg, const struct audit_finding *finding)
{
    assert_in_range(told.count, 0, TOLD_MAX - 1);
    told.findings[told.count] = *finding;
    snprintf(told.texts[told.count], sizeof(told.texts[0]), "%s", finding->text);
    told.count++;
}

static void run(void)
{
    struct audit_options options = {
        .now_us = TEST_NOW_US, .overdue_us = 3600 * TEST_SECOND, .found = on_found};
    struct audit_counts counts;

    told.count = 0;
    assert_int_equal(audit_run(test_folder, &options, &counts), 0);
}

static void assert_sound(void)
{
    run();
    if (told.count)
        fail_msg("%s", told.texts[0]);
}

static bool is_named(const struct id *id)
{
    for (size_t i = 0; i < told.count; i++)
        if (id_equal(&told.findings[i].id, id) && told.findings[i].kind == AUDIT_DAMAGE)
            return true;
    return false;
}

/* The last finding says it in numbers. */
static void assert_summary(const char *words)
{
    assert_true(told.count > 0);
    assert_true(id_is_zero(&told.findings[told.count - 1].id));
    if (!strstr(told.texts[told.count - 1], words))
        fail_msg("%s", told.texts[told.count - 1]);
}

static void fold_messages(unsigned from, unsigned to)
{
    struct fold *fold = test_fold_open();

    for (unsigned i = from; i < to; i++) {
        struct test_message m;
        test_message_at(&m, TEST_NOW_US, i, 2);
        if (i % 5 == 0)
            m.envelope.sender = m.recipients[0].address;
        if (i % 7 == 0)
            m.envelope.client.session = (struct id){{0}};
        if (i % 11 == 0)
            m.envelope.message_id = (struct span){0};
        struct book_input input = test_input_message(i * 1000, &m);
        test_fold_one(fold, &input);
        for (uint32_t n = 0; n < i % 3; n++) {
            struct book_status relayed = test_status(m.envelope.id, n, EVENT_RELAYED);
            test_fold_status(fold, i * 1000 + 500 + n, &relayed);
        }
        if (i % 100 == 0)
            test_commit(fold);
    }
    test_commit(fold);
    fold_close(fold);
}

/* The keys of the fresh row (place 0) or a run's, without the one of that number, or with another.
 */
static void change_keys(int64_t place, size_t without, const struct find_key *added)
{
    static struct find_key keys[FIND_FRESH_KEYS + 1];
    size_t count;
    sqlite3_stmt *s;
    struct db db;
    char path[256];

    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    assert_int_equal(db_open(path, DB_WRITE, NULL, 0, &db), 0);
    sqlite3_prepare_v2(db.handle,
                       place ? "SELECT place, keys FROM find WHERE place = ?1"
                             : "SELECT seed, keys FROM fresh",
                       -1, &s, NULL);
    sqlite3_bind_int64(s, 1, place);
    assert_int_equal(db_step(s), 1);
    int64_t number = sqlite3_column_int64(s, 0);
    assert_int_equal(find_unseal(number, db_column(s, 1), FIND_FRESH_KEYS, keys, &count), 0);
    sqlite3_finalize(s);
    if (without < count)
        memmove(&keys[without], &keys[without + 1], (--count - without) * sizeof(keys[0]));
    if (added)
        keys[count++] = *added;
    sqlite3_prepare_v2(db.handle,
                       place ? "UPDATE find SET keys = ?2 WHERE place = ?1"
                             : "UPDATE fresh SET keys = ?2",
                       -1, &s, NULL);
    sqlite3_bind_int64(s, 1, place);
    db_bind_blob(s, 2, keys, find_seal(number, keys, count));
    assert_int_equal(db_run(s), 0);
    sqlite3_finalize(s);
    db_done(&db);
}

/* Two messages with six keys each; each of them taken away in turn. */
static void every_missing_key_is_named(void **state)
{
    for (size_t n = 0;; n++) {
        test_ledger_remove(state);
        test_ledger_make(state);
        fold_messages(1, 2);
        fold_messages(4, 5);
        int64_t keys = test_number(TEST_WEEK, "SELECT (length(keys) - 4) / 14 FROM fresh");
        assert_int_equal(keys, 6 + 6);
        if (n == (size_t)keys)
            break;
        assert_sound();
        change_keys(0, n, NULL);
        run();
        struct id first = test_id(1), second = test_id(4);
        assert_int_equal(told.count, 2);
        assert_true(is_named(&first) != is_named(&second));
        assert_summary("lacks 1 keys");
    }
}

/* Keys in runs and in the fresh row, the same one in several places, and more than one a message.
 */
static void large_aid_is_sound(void **state)
{
    fold_messages(1, MANY);
    assert_true(test_number(TEST_WEEK, "SELECT count(*) FROM run") > 0);
    assert_true(test_number(TEST_WEEK, "SELECT length(keys) FROM fresh") > 4);
    assert_sound();
    struct fold *fold = test_fold_open();
    struct book_status again = test_status(test_id(1), 1, EVENT_RELAYED); /* a key of a run */
    test_fold_status(fold, MANY * 1000, &again);
    test_commit(fold);
    fold_close(fold);
    assert_sound();
    test_tamper(TEST_WEEK, "DELETE FROM fresh");
    assert_sound();
    fold_messages(MANY + 1, MANY + 2); /* it is made anew */
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM fresh"), 1);
    assert_sound();
}

static void missing_in_a_run(void **state)
{
    fold_messages(1, MANY);
    change_keys(test_number(TEST_WEEK, "SELECT max(place) FROM find"), 1, NULL);
    test_tamper(TEST_WEEK, "UPDATE run SET keys = keys - 1"
                           " WHERE run = (SELECT max(place) >> 47 FROM find)");
    run();
    assert_int_equal(told.count, 2);
    assert_int_equal(told.findings[0].kind, AUDIT_DAMAGE);
    assert_false(id_is_zero(&told.findings[0].id));
    assert_summary("lacks 1 keys");
}

/* Not each of thousands is named, but all are counted. */
static void whole_run_is_missing(void **state)
{
    char words[40];

    fold_messages(1, MANY);
    snprintf(words, sizeof(words), "lacks %d keys",
             (int)test_number(TEST_WEEK, "SELECT max(keys) FROM run"));
    test_tamper(TEST_WEEK,
                "DELETE FROM run WHERE keys = (SELECT max(keys) FROM run);"
                "DELETE FROM find WHERE NOT EXISTS (SELECT 1 FROM run WHERE run = place >> 47)");
    run();
    assert_int_equal(told.count, 101);
    assert_summary(words);
}

static void keys_of_nothing_are_counted(void **state)
{
    static const struct find_key strange = {.bytes = {[0] = 0xff, [1] = 0xff, [13] = 7}};

    fold_messages(1, 3);
    change_keys(0, SIZE_MAX, &strange);
    run();
    assert_int_equal(told.count, 1);
    assert_summary("has 1 keys of what isn't in the file");
    change_keys(0, 0, NULL);
    run();
    assert_int_equal(told.count, 3);
    assert_summary("has 1 keys of what isn't in the file");
}

/* Whoever erases someone must delete the aid, too. */
static void aid_must_go_with_what_was_erased(void **state)
{
    fold_messages(1, 5);
    test_tamper(TEST_WEEK, "UPDATE entry SET key = NULL, recipient = NULL, original = NULL;"
                           "UPDATE event SET reply = NULL;"
                           "UPDATE message SET sender = NULL, message_id = NULL, helo = NULL,"
                           " ip = NULL, auth = NULL;"
                           "UPDATE station SET ip = NULL");
    run();
    assert_int_equal(told.count, 1);
    assert_summary("keys of what isn't in the file");
    test_tamper(TEST_WEEK, "DELETE FROM fresh; DELETE FROM run; DELETE FROM find");
    assert_sound();
}

/* An outcome whose message the book doesn't have is found by its remote id. */
static void orphans_have_their_keys(void **state)
{
    fold_messages(1, 3);
    struct fold *fold = test_fold_open();
    struct book_status orphan = test_status(test_id(900), 0, EVENT_RELAYED);
    test_fold_status(fold, 900000, &orphan);
    test_commit(fold);
    fold_close(fold);
    run();
    assert_int_equal(told.count, 1);
    assert_int_equal(told.findings[0].kind, AUDIT_ORPHAN);
}

/* The book itself can be read, and is. */
static void aid_that_cannot_be_read_is_named(void **state)
{
    static const char *const tables[] = {"fresh", "run", "find"};

    fold_messages(1, MANY);
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        test_fail_reads_of_table(TEST_WEEK, tables[i]);
        run();
        test_reads_succeed();
        assert_summary("finding aid can't be read");
        assert_sound();
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_ledger_make, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        TEST(every_missing_key_is_named),
        TEST(large_aid_is_sound),
        TEST(missing_in_a_run),
        TEST(whole_run_is_missing),
        TEST(keys_of_nothing_are_counted),
        TEST(aid_must_go_with_what_was_erased),
        TEST(orphans_have_their_keys),
        TEST(aid_that_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
