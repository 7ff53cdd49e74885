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

/* ---- the book's own position ---- */

enum { PAGE_BYTES = 8192 };

struct main_bytes {
    char path[200];
    char *bytes;
    size_t size;
};

static void write_main(const struct main_bytes *m)
{
    static const char *const beside[] = {"-wal", "-shm"};
    char path[220];

    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        snprintf(path, sizeof(path), "%s%s", m->path, beside[i]);
        unlink(path);
    }
    FILE *f = fopen(m->path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(m->bytes, 1, m->size, f), m->size);
    fclose(f);
}

static void read_main(struct main_bytes *m)
{
    snprintf(m->path, sizeof(m->path), "%s/" MAIN_FILE_NAME, test_folder);
    FILE *f = fopen(m->path, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    m->size = (size_t)ftell(f);
    m->bytes = malloc(m->size);
    assert_non_null(m->bytes);
    rewind(f);
    assert_int_equal(fread(m->bytes, 1, m->size, f), m->size);
    fclose(f);
}

static void dump_positions(const struct main_bytes *m, struct buffer *out)
{
    sqlite3 *db = NULL;

    buffer_clear(out);
    assert_int_equal(sqlite3_open_v2(m->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (dump_query(db, "SELECT lane, segment, offset FROM lane", out) < 0 ||
        dump_query(db, "SELECT * FROM position", out) < 0)
        buffer_printf(out, "unreadable");
    sqlite3_close(db);
}

static size_t page_of(const char *table)
{
    char sql[80];

    snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_master WHERE name = '%s'", table);
    return (size_t)test_number(MAIN_FILE_NAME, sql);
}

/* SQLite sees no row, where the page's count of them is damaged. */
static bool has_copies(const struct main_bytes *m)
{
    struct buffer rows = BUFFER_INIT;
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open_v2(m->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    dump_query(db, "SELECT * FROM position", &rows);
    sqlite3_close(db);
    bool has = rows.size > 0;
    buffer_done(&rows);
    return has;
}

/* The position is right, or the file is made anew and begins at zero; either is told, by the audit
 * before and by the book, which can't know of copies that aren't there. */
static void open_flipped(const struct main_bytes *m, size_t at, struct buffer *before,
                         struct book_position right)
{
    struct buffer after = BUFFER_INIT;
    struct fold *fold;

    write_main(m);
    dump_positions(m, &after);
    bool same = before->size == after.size && !memcmp(before->data, after.data, before->size);
    if (!same && count_findings() == 0)
        fail_msg("byte %zu: changed and not named", at);
    bool may_be_silent = same || !has_copies(m);
    fold = test_fold_open();
    bool anew = strncmp(test_told.damage, MAIN_FILE_NAME, strlen(MAIN_FILE_NAME)) == 0;
    if (!may_be_silent && !anew && strcmp(test_told.displaced, MAIN_FILE_NAME) != 0)
        fail_msg("byte %zu: changed and not told", at);
    struct book_position position = fold_position(fold, 0);
    if (anew ? position.segment != 0 : book_position_compare(&position, &right) != 0)
        fail_msg("byte %zu: offset %lu", at, (unsigned long)position.offset);
    assert_int_equal(fold_last_lane(fold), 0);
    fold_close(fold);
    if (!anew && !same) { /* mended for good */
        dump_positions(m, &after);
        assert_int_equal(before->size, after.size);
        assert_memory_equal(before->data, after.data, before->size);
    }
    buffer_done(&after);
}

static void each_byte_of_the_position_is_mended(void **state)
{
    static const char *const tables[] = {"lane", "position"};
    struct fold *fold = test_fold_open();
    struct book_position right = fold_position(fold, 0);
    struct buffer before = BUFFER_INIT;
    struct main_bytes m;
    unsigned flips = 0;

    fold_close(fold);
    assert_true(right.offset > 0);
    read_main(&m);
    dump_positions(&m, &before);
    for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
        size_t end = page_of(tables[t]) * PAGE_BYTES;
        for (size_t at = end - PAGE_BYTES; at < end; at++)
            for (int bit = 0; m.bytes[at] && bit < 8; bit += 3, flips++) {
                m.bytes[at] ^= (char)(1 << bit);
                open_flipped(&m, at, &before, right);
                m.bytes[at] ^= (char)(1 << bit);
            }
    }
    if (flips < 20)
        fail_msg("%u flips", flips);
    write_main(&m);
    free(m.bytes);
    buffer_done(&before);
}

static void opens_quietly_at(const struct book_position *right)
{
    struct fold *fold = test_fold_open();
    struct book_position position = fold_position(fold, 0);

    assert_int_equal(book_position_compare(&position, right), 0);
    assert_string_equal(test_told.displaced, "");
    assert_string_equal(test_told.damage, "");
    fold_close(fold);
}

/* The row of the highest lane counts, so one under another key would be another log. */
static void a_book_without_copies_gets_them(void **state)
{
    struct fold *fold = test_fold_open();
    struct book_position right = fold_position(fold, 0);

    fold_close(fold);
    test_tamper(MAIN_FILE_NAME, "DROP TABLE position");
    assert_int_equal(count_findings(), 0);
    for (int round = 0; round < 2; round++) {
        opens_quietly_at(&right);
        assert_int_equal(count_findings(), 0);
    }
    test_tamper(MAIN_FILE_NAME, "UPDATE lane SET lane = 5");
    assert_int_equal(count_findings(), 1);
    fold = test_fold_open();
    assert_int_equal(fold_last_lane(fold), 0);
    assert_string_equal(test_told.displaced, MAIN_FILE_NAME);
    fold_close(fold);
    assert_int_equal(count_findings(), 0);
}

/* It knows nothing of copies: those that it finds are older than its rows then. */
static void what_an_older_postbuch_wrote_counts(void **state)
{
    static const char *const writes[] = {
        "INSERT OR REPLACE INTO lane SELECT lane, segment, offset + 64 FROM lane",
        "UPDATE lane SET offset = offset + 64"};
    struct fold *fold = test_fold_open();
    struct book_position right = fold_position(fold, 0);

    fold_close(fold);
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        test_tamper(MAIN_FILE_NAME, writes[i]);
        right.offset += 64;
        assert_int_equal(count_findings(), 0);
        for (int round = 0; round < 2; round++) {
            opens_quietly_at(&right);
            assert_int_equal(test_number(MAIN_FILE_NAME, "SELECT offset FROM position"),
                             (int64_t)right.offset);
        }
    }
}

/* Else no batch could ever be committed. */
static void a_damaged_trigger_stops_nothing(void **state)
{
    struct fold *fold = test_fold_open();

    fold_close(fold);
    test_tamper(MAIN_FILE_NAME, "DROP TRIGGER lane_insert; CREATE TRIGGER lane_insert AFTER INSERT"
                                " ON lane BEGIN DELETE FROM positiom WHERE lane = NEW.lane; END");
    fold = test_fold_open();
    assert_non_null(strstr(test_told.damage, MAIN_FILE_NAME));
    fold_close(fold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flipped_bits_are_harmless_or_named, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(garbage_in_the_main_file_is_named, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(each_byte_of_the_position_is_mended, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_book_without_copies_gets_them, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(what_an_older_postbuch_wrote_counts, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_damaged_trigger_stops_nothing, make_book,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(cut_off_files_are_named, make_book, test_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
