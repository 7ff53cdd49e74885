/* Bits flipped anywhere in the files of a book: what the audit covers is as it was, or the audit
 * names something. Never a crash. A failing place is printed. */
#include "ledger_test.h"

#include "book/audit.h"
#include "book/ledger.h"
#include "book/main_file.h"

enum { ROUNDS = 1500, MESSAGES = 30, FILES_MAX = 8 };

/* ---- a book ---- */

static void fold_messages(struct fold *fold)
{
    static struct test_message m[MESSAGES];
    uint64_t offset = 0;

    for (unsigned i = 0; i < MESSAGES; i++) {
        test_message_at(&m[i], TEST_NOW_US - (i % 2) * 7 * TEST_DAY, i + 1, 1 + i % 4);
        struct book_input input = test_input_message(offset += 100, &m[i]);
        test_fold_one(fold, &input);
        struct book_status status =
            test_status(m[i].envelope.id, 0, i % 3 ? EVENT_DELIVERED : EVENT_DEFERRED);
        test_fold_status(fold, offset += 100, &status);
        struct event refusal = test_refusal(i, "x@aaa.example");
        test_fold_event(fold, offset += 100, &refusal);
    }
}

static int make_book(void **state)
{
    if (test_ledger_make(state) < 0)
        return -1;
    struct fold *fold = test_fold_open();
    fold_messages(fold);
    test_commit(fold);
    fold_close(fold);
    return 0;
}

/* ---- what the audit covers, read without an index ---- */

static const char *const covered[][8] = {
    [WEEK_ENTRIES] = {"SELECT * FROM lane", "SELECT * FROM message ORDER BY id",
                      "SELECT * FROM entry ORDER BY message, recipient_index",
                      "SELECT * FROM event NOT INDEXED ORDER BY seq",
                      "SELECT * FROM station NOT INDEXED ORDER BY station", "SELECT * FROM fresh",
                      "SELECT * FROM run", "SELECT * FROM find"},
    [WEEK_REFUSALS] = {"SELECT * FROM lane", "SELECT * FROM refusal NOT INDEXED ORDER BY seq"},
};

static int dump_query(sqlite3 *db, const char *sql, struct buffer *out)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(s);
        for (int i = 0; code == SQLITE_ROW && i < sqlite3_column_count(s); i++) {
            const void *data = sqlite3_column_blob(s, i);
            int type = sqlite3_column_type(s, i); /* a text as bytes says the same */
            buffer_printf(out, "%d:%d:", type == SQLITE_BLOB ? SQLITE_TEXT : type,
                          sqlite3_column_bytes(s, i));
            buffer_append(out, data ? data : "", (size_t)sqlite3_column_bytes(s, i));
        }
        if (code == SQLITE_DONE)
            break;
    }
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? 0 : -1;
}

/* An unreadable file is as one that says something else. */
static void dump(const char *path, enum week_kind kind, struct buffer *out)
{
    sqlite3 *db = NULL;

    buffer_clear(out);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        buffer_printf(out, "closed");
    for (size_t i = 0; i < ARRAY_SIZE(covered[kind]) && covered[kind][i]; i++)
        if (dump_query(db, covered[kind][i], out) < 0)
            buffer_printf(out, "unreadable");
    sqlite3_close(db);
}

static void on_found(void *arg, const struct audit_finding *finding)
{
    assert_true(strlen(finding->text) > 5);
}

static uint64_t count_findings(void)
{
    struct audit_counts counts;
    struct audit_options options = {
        .now_us = TEST_NOW_US, .overdue_us = 400 * TEST_DAY, .found = on_found};

    int r = audit_run(test_folder, &options, &counts);
    return r < 0 ? 1 : counts.findings;
}

/* ---- flips ---- */

static uint64_t random_state = 4711;

static uint64_t pick(uint64_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 20) % limit;
}

static void flip(FILE *f, long at, int bit)
{
    fseek(f, at, SEEK_SET);
    int byte = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(byte ^ 1 << bit, f);
    fflush(f);
}

static void flip_and_look(const char *path, enum week_kind kind, uint64_t *named)
{
    struct buffer before = BUFFER_INIT, after = BUFFER_INIT;
    FILE *f = fopen(path, "r+");

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long at = (long)pick((uint64_t)ftell(f));
    int bit = (int)pick(8);
    dump(path, kind, &before);
    flip(f, at, bit);
    dump(path, kind, &after);
    uint64_t findings = count_findings();
    bool same = before.size == after.size && memcmp(before.data, after.data, before.size) == 0;
    if (!same && findings == 0)
        fail_msg("%s, byte %ld, bit %d: changed and not named", path, at, bit);
    *named += findings > 0;
    flip(f, at, bit);
    fclose(f);
    buffer_done(&before);
    buffer_done(&after);
}

static void flipped_bits_are_harmless_or_named(void **state)
{
    struct ledger_list list;
    uint64_t named = 0;

    assert_int_equal(ledger_list(test_folder, &list), 0);
    assert_int_equal(list.count, 3);
    assert_int_equal(count_findings(), 0);
    for (int round = 0; round < ROUNDS; round++) {
        const struct ledger_file *file = &list.files[pick(list.count)];
        char name[WEEK_FILE_SIZE], path[200];
        week_file(file->kind, file->week, name);
        snprintf(path, sizeof(path), "%s/%s", test_folder, name);
        flip_and_look(path, file->kind, &named);
    }
    ledger_list_done(&list);
    print_message("%d of %d flips were named\n", (int)named, ROUNDS);
    assert_true(named > ROUNDS / 20);
    assert_int_equal(count_findings(), 0);
}

static void cut_off_files_are_named(void **state)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    for (long size = 40000; size > 0; size -= 3000) {
        assert_int_equal(truncate(path, size), 0);
        assert_true(count_findings() > 0);
    }
}

/* Each page of the main file. */
static void garbage_in_the_main_file_is_named(void **state)
{
    enum { PAGE = 8192 };
    char path[200], page[PAGE], garbage[PAGE];
    size_t pages = 0;

    memset(garbage, 0x5a, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/" MAIN_FILE_NAME, test_folder);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    setvbuf(f, NULL, _IONBF, 0);
    for (; fseek(f, (long)(pages * PAGE), SEEK_SET) == 0 && fread(page, PAGE, 1, f) == 1; pages++) {
        assert_int_equal(fseek(f, (long)(pages * PAGE), SEEK_SET), 0);
        assert_int_equal(fwrite(garbage, PAGE, 1, f), 1);
        if (count_findings() == 0)
            fail_msg("page %zu", pages + 1);
        assert_int_equal(fseek(f, (long)(pages * PAGE), SEEK_SET), 0);
        assert_int_equal(fwrite(page, PAGE, 1, f), 1);
    }
    assert_true(pages > 3);
    fclose(f);
    assert_int_equal(count_findings(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flipped_bits_are_harmless_or_named, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(garbage_in_the_main_file_is_named, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(cut_off_files_are_named, make_book, test_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
