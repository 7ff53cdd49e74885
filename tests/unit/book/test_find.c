/* The finding aid against a list of what was added; and a ledger whose aid was deleted. */
#include "failing_read.h"

#include "book/find_check.h"
#include "book/find_read.h"
#include "book/find_write.h"
#include "book/schema.h"
#include "book/trace.h"

enum { KEYS = 150000, TEXTS = 500 };

static unsigned text_of[KEYS]; /* of the message with that number */
static uint64_t random_state = 11;

static unsigned pick(unsigned limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 30) % limit);
}

static struct id id_of(unsigned number)
{
    struct id id = {{1}};
    for (int i = 0; i < 4; i++)
        id.bytes[4 + i] = (uint8_t)(number >> (24 - 8 * i));
    return id;
}

static unsigned number_of(const struct id *id)
{
    const uint8_t *b = id->bytes + 4;
    return (unsigned)b[0] << 24 | (unsigned)b[1] << 16 | (unsigned)b[2] << 8 | b[3];
}

static void open_file(struct db *db)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/%s", test_folder, TEST_WEEK);
    assert_int_equal(db_open(path, DB_WRITE, NULL, 0, db), 0);
    assert_int_equal(schema_make(db, SCHEMA_ENTRIES), 0);
}

static struct span text(unsigned number, bool upper, char out[32])
{
    return span_of(
        out, (size_t)snprintf(out, 32, upper ? "USER%u@A.example" : "user%u@a.example", number));
}

static void add(struct find_writer *w, unsigned from, unsigned to)
{
    char buffer[32];

    for (unsigned i = from; i < to; i++) {
        struct id id = id_of(i);
        struct span key = text(text_of[i], pick(2), buffer);
        assert_int_equal(find_add(w, FIND_ADDRESS, key, &id), 0);
        if (pick(8) == 0)
            assert_int_equal(find_add(w, FIND_ADDRESS, key, &id), 0);
        if (pick(4) == 0)
            assert_int_equal(find_add(w, FIND_REMOTE_ID, key, &id), 0);
    }
    assert_int_equal(find_write(w), 0);
}

/* All of them, each once, the newest first. */
static void look_for(struct db *db, unsigned wanted, unsigned added)
{
    struct find_cursor *cursor;
    unsigned next = added;
    char buffer[32];
    struct id id;
    int r;

    assert_int_equal(find_open(db, FIND_ADDRESS, text(wanted, false, buffer), &cursor), 0);
    while ((r = find_next(cursor, &id)) == 1) {
        unsigned number = number_of(&id);
        assert_true(number < next);
        for (unsigned i = number + 1; i < next; i++)
            if (text_of[i] == wanted)
                fail_msg("%u of text %u was passed over", i, wanted);
        next = number;
    }
    assert_int_equal(r, 0);
    for (unsigned i = 0; i < next; i++)
        if (text_of[i] == wanted)
            fail_msg("%u of text %u is missing", i, wanted);
    find_close(cursor);
}

static int64_t number(struct db *db, const char *sql)
{
    int64_t out = -1;

    assert_int_equal(db_number(db, sql, &out), 0);
    return out;
}

struct seen {
    struct find_key last;
    uint64_t keys;
};

static void see(void *arg, const struct find_key *key)
{
    struct seen *seen = arg;

    assert_true(seen->keys == 0 || memcmp(&seen->last, key, FIND_KEY_BYTES) < 0);
    seen->last = *key;
    seen->keys++;
}

static int check(struct db *db)
{
    struct seen seen = {.keys = 0};

    return find_check(db, &seen, see);
}

static void choose_texts(void)
{
    for (unsigned i = 0; i < KEYS; i++) /* one that every third message has, some rare ones */
        text_of[i] = pick(3) == 0 ? 0 : 1 + pick(pick(20) ? 50 : TEXTS);
}

/* Batches from one key to more than the writer holds, each in a transaction; some are given up, and
 * the writer is opened anew. */
static void what_was_added_is_found(void **state)
{
    struct find_writer *w;
    struct db db;
    unsigned added = 0;

    choose_texts();
    open_file(&db);
    assert_int_equal(find_writer_new(&db, &w), 0);
    assert_false(find_is_there(w));
    assert_int_equal(find_make(w), 0);
    while (added < KEYS) {
        unsigned size = 1 + pick(pick(3) ? 3000 : pick(5) ? 9 : 40000);
        unsigned end = added + size < KEYS ? added + size : KEYS;
        bool given_up = pick(4) == 0;
        assert_int_equal(db_exec(&db, "BEGIN"), 0);
        add(w, added, end);
        assert_int_equal(db_exec(&db, given_up ? "ROLLBACK" : "COMMIT"), 0);
        added = given_up ? added : end;
        if (given_up || pick(3) == 0) {
            find_writer_free(w);
            assert_int_equal(find_writer_new(&db, &w), 0);
            assert_true(find_is_there(w));
        }
        assert_int_equal(check(&db), 0);
        look_for(&db, 0, added);
        for (int i = 0; i < 5; i++)
            look_for(&db, pick(TEXTS + 2), added);
    }
    find_writer_free(w);
    /* Merged: few runs are left, with no row of those before. */
    assert_in_range(number(&db, "SELECT count(*) FROM run"), 1, 16);
    assert_int_equal(number(&db, "SELECT sum(length(keys) - 4) / 14 FROM find"),
                     number(&db, "SELECT sum(keys) FROM run"));
    assert_true(number(&db, "SELECT max(place & 32767) FROM find") > 20);
    db_done(&db);
}

/* A file with an aid that has nothing. */
static void open_empty(struct db *db)
{
    struct find_writer *w;

    choose_texts();
    open_file(db);
    assert_int_equal(find_writer_new(db, &w), 0);
    assert_int_equal(find_make(w), 0);
    find_writer_free(w);
}

/* When all numbers were used, free ones are taken again. */
static void numbers_are_used_again(void **state)
{
    struct find_writer *w;
    struct db db;

    open_empty(&db);
    assert_int_equal(db_exec(&db, "INSERT INTO run VALUES (65534, 3000000)"), 0);
    assert_int_equal(find_writer_new(&db, &w), 0);
    for (unsigned i = 0; i < 10; i++) {
        add(w, i * 5000, i * 5000 + 5000);
        look_for(&db, 0, i * 5000 + 5000);
    }
    assert_int_equal(number(&db, "SELECT max(run) FROM run"), 65534);
    find_writer_free(w);
    db_done(&db);
}

static void damage_is_told(void **state)
{
    static const char *const cases[] = {
        "UPDATE fresh SET keys = x''",
        "UPDATE fresh SET keys = x'00'",
        "UPDATE fresh SET seed = seed + 1",
        "UPDATE fresh SET keys = zeroblob(14 * 4097)",
        "INSERT INTO run VALUES (70000, 1)",
        "INSERT INTO run VALUES (3, 1); INSERT INTO find VALUES (3 << 47, zeroblob(14 * 583))",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct find_cursor *cursor;
        struct db db;
        test_ledger_remove(NULL);
        test_ledger_make(NULL);
        open_file(&db);
        assert_int_equal(find_open(&db, FIND_ADDRESS, SPAN("a@b"), &cursor), -ENODATA);
        db_done(&db);
        open_empty(&db);
        assert_int_equal(check(&db), 0);
        assert_int_equal(db_exec(&db, cases[i]), 0);
        assert_int_equal(check(&db), -EUCLEAN);
        assert_int_equal(find_open(&db, FIND_ADDRESS, SPAN("a@b"), &cursor), -EUCLEAN);
        db_done(&db);
    }
}

/* What no search may come across. */
static void damage_of_runs_is_seen(void **state)
{
    static const char *const cases[] = {
        "DELETE FROM find WHERE place = (SELECT max(place) FROM find)",
        "UPDATE find SET place = place + 1 WHERE place = (SELECT min(place) FROM find)",
        ("UPDATE find SET keys = (SELECT keys FROM find ORDER BY place DESC)"
         " WHERE place = (SELECT min(place) FROM find)"),
        "UPDATE find SET keys = substr(keys, 15) WHERE place = (SELECT min(place) FROM find)",
        "UPDATE run SET keys = keys + 1",
        "DELETE FROM run",
        "UPDATE run SET run = run + 1",
        "INSERT INTO find VALUES (-1, x'')",
    };
    struct find_writer *w;
    struct db db;

    open_empty(&db);
    assert_int_equal(find_writer_new(&db, &w), 0);
    add(w, 0, 6000);
    find_writer_free(w);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(check(&db), 0);
        assert_int_equal(db_exec(&db, "BEGIN"), 0);
        assert_int_equal(db_exec(&db, cases[i]), 0);
        if (check(&db) != -EUCLEAN)
            fail_msg("%s: not seen", cases[i]);
        assert_int_equal(db_exec(&db, "ROLLBACK"), 0);
    }
    db_done(&db);
}

/* ---- in a ledger ---- */

static void assert_found(const char *what, size_t count)
{
    struct trace_query query = {.what = span_from_cstr(what), .limit = 10};
    struct trace_result result;

    assert_int_equal(trace_run(test_folder, &query, &result), 0);
    assert_int_equal(result.skipped.size, 0);
    if (result.message_count != count)
        fail_msg("%s: %zu instead of %zu", what, result.message_count, count);
    trace_result_done(&result);
}

static void assert_all_found(size_t count)
{
    char session[ID_TEXT + 1];
    struct id id = test_id_at(TEST_NOW_US, 1001);

    id_format(&id, session);
    assert_found("Anna@bbb.example", count);
    assert_found("bob@AAA.example", count);
    assert_found("<one@bbb.example>", count);
    assert_found("one@bbb.example", count);
    assert_found("1322454835128", 1);
    assert_found(session, 1);
    assert_found("nobody@aaa.example", 0);
}

static void fold_one_more(unsigned number)
{
    struct fold *fold = test_fold_open();
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, number, 2);
    struct book_input input = test_input_message(number * 100, &m);
    struct book_status relayed = test_status(m.envelope.id, 1, EVENT_RELAYED);
    test_fold_one(fold, &input);
    if (number == 1)
        test_fold_status(fold, number * 100 + 50, &relayed);
    test_commit(fold);
    fold_close(fold);
}

/* As whoever erases a person must: without the aid everything is found, and it is made anew. */
static void a_deleted_aid_is_made_anew(void **state)
{
    fold_one_more(1);
    assert_all_found(1);
    test_tamper(TEST_WEEK, "DELETE FROM fresh; DELETE FROM run; DELETE FROM find");
    assert_all_found(1);
    fold_one_more(2);
    assert_int_equal(test_number(TEST_WEEK, "SELECT (length(keys) - 4) / 14 FROM fresh"),
                     5 + 5 + 1);
    assert_all_found(2);
}

/* Nor one that the disk doesn't give. */
static void an_aid_that_cannot_be_read_hides_nothing(void **state)
{
    fold_one_more(1);
    test_fail_reads_of_table(TEST_WEEK, "fresh");
    assert_all_found(1);
    test_reads_succeed();
}

/* A damaged one hides nothing, and costs the file nothing. */
static void a_damaged_aid_is_made_anew(void **state)
{
    static const char *const cases[] = {
        "UPDATE fresh SET keys = x'00'",
        "UPDATE fresh SET seed = seed + 1",
        "UPDATE fresh SET keys = zeroblob(length(keys))",
        "INSERT INTO run VALUES (70000, 1)",
        "INSERT INTO run VALUES (3, 1); INSERT INTO find VALUES (3 << 47, zeroblob(14 * 583))",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        test_ledger_remove(NULL);
        test_ledger_make(NULL);
        fold_one_more(1);
        test_tamper(TEST_WEEK, cases[i]);
        assert_all_found(1);
        fold_one_more(2);
        assert_all_found(2);
    }
}

static void insert_disordered_run(struct db *db, int run)
{
    struct find_key keys[3] = {{{0, 0, 0, 0, 1}}};
    size_t size = find_seal(find_place((uint32_t)run, 0, 0), keys, 2);
    char sql[300];
    int at = snprintf(sql, sizeof(sql),
                      "INSERT INTO run VALUES (%d, 4096); INSERT INTO find VALUES (%d << 47, x'",
                      run, run);

    for (size_t i = 0; i < size; i++)
        at += snprintf(sql + at, sizeof(sql) - (size_t)at, "%02x", ((const uint8_t *)keys)[i]);
    snprintf(sql + at, sizeof(sql) - (size_t)at, "')");
    assert_int_equal(db_exec(db, sql), 0);
}

/* Found out while runs are merged, in the middle of a batch. */
static void a_damaged_run_ends_the_aid(void **state)
{
    struct find_writer *w;
    struct db db;

    open_empty(&db);
    for (int run = 1; run <= 3; run++)
        insert_disordered_run(&db, run);
    assert_int_equal(find_writer_new(&db, &w), 0);
    add(w, 0, 5000);
    assert_false(find_is_there(w));
    add(w, 0, 5000);
    assert_int_equal(find_make(w), 0);
    add(w, 0, 5000);
    assert_true(find_is_there(w));
    look_for(&db, 0, 5000);
    look_for(&db, 7, 5000);
    find_writer_free(w);
    db_done(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_added_is_found, test_ledger_make,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(numbers_are_used_again, test_ledger_make,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(damage_is_told, test_ledger_make, test_ledger_remove),
        cmocka_unit_test_setup_teardown(damage_of_runs_is_seen, test_ledger_make,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_deleted_aid_is_made_anew, test_ledger_make,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_damaged_aid_is_made_anew, test_ledger_make,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(an_aid_that_cannot_be_read_hides_nothing, test_ledger_make,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_damaged_run_ends_the_aid, test_ledger_make,
                                        test_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
