/*
 * A disk that is full or fails, and files with damage, under the fold: whatever system call of
 * SQLite's fails, what is folded again from the position that was committed is all of it, once, and
 * no sound file is set aside. And no damage stops the book for good: the log would grow until mail
 * is refused.
 */
#include "ledger_test.h"

#include "book/audit.h"
#include "book/ledger.h"
#include "book/main_file.h"
#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stddef.h>
#include <sys/stat.h>

/* ---- system calls that fail ---- */

static struct {
    unsigned calls, at, until; /* the calls from `at` to before `until` fail */
    int error;
    bool only_reads, only_writes;
    const char *name; /* only opening a file with this in its name */
} trouble;

static bool fails(bool is_read)
{
    trouble.calls++;
    if (trouble.name || (trouble.only_reads && !is_read) || trouble.calls < trouble.at ||
        trouble.calls >= trouble.until)
        return false;
    errno = trouble.error;
    return true;
}

static int failing_open(const char *path, int flags, int mode)
{
    if (trouble.name && strstr(path, trouble.name)) {
        errno = trouble.error;
        return -1;
    }
    return !trouble.only_writes && fails(false) ? -1 : open(path, flags, mode);
}

ssize_t __real_pwrite64(int fd, const void *from, size_t size, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at);

static int shm_error; /* of writes to a -shm; 0: none */

static bool fails_as_shm(int fd)
{
    char link[40], path[300];

    if (shm_error == 0)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof(path));
    errno = shm_error;
    return size > 4 && memcmp(path + size - 4, "-shm", 4) == 0;
}

ssize_t __wrap_pwrite64(int fd, const void *from, size_t size, off_t at)
{
    if (fails_as_shm(fd))
        return -1;
    return fails(false) ? -1 : __real_pwrite64(fd, from, size, at);
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at)
{
    return __wrap_pwrite64(fd, from, size, at);
}

static bool reads_fail; /* … of reads, too */

ssize_t __real_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at);

ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at)
{
    return reads_fail && fails(true) ? -1 : __real_pread64(fd, to, size, at);
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at)
{
    return __wrap_pread64(fd, to, size, at);
}

static int failing_truncate(int fd, off_t size)
{
    return !trouble.only_writes && fails(false) ? -1 : ftruncate(fd, size);
}

static void set_call(const char *name, sqlite3_syscall_ptr call)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    assert_int_equal(vfs->xSetSystemCall(vfs, name, call), SQLITE_OK);
}

/* SQLite's memory: the allocations from `at` to before `until` fail. */
static struct {
    unsigned calls, at, until;
} want;

static sqlite3_mem_methods real_memory;

static bool is_wanting(void)
{
    want.calls++;
    return want.calls >= want.at && want.calls < want.until;
}

static void *failing_malloc(int size)
{
    return is_wanting() ? NULL : real_memory.xMalloc(size);
}

static void *failing_realloc(void *old, int size)
{
    return is_wanting() ? NULL : real_memory.xRealloc(old, size);
}

/* Before the first use of SQLite. */
static void replace_memory(void)
{
    sqlite3_mem_methods memory;

    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
    memory = real_memory;
    memory.xMalloc = failing_malloc;
    memory.xRealloc = failing_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
}

static int make(void **state)
{
    set_call("open", (sqlite3_syscall_ptr)failing_open);
    set_call("ftruncate", (sqlite3_syscall_ptr)failing_truncate);
    memset(&trouble, 0, sizeof(trouble));
    memset(&want, 0, sizeof(want));
    reads_fail = false;
    return test_ledger_make(state);
}

/* ---- a log and its follower ---- */

enum { WEEKS = 10, MESSAGES = 20, INPUTS = 3 * MESSAGES, BATCH = 7 };

static struct test_message messages[MESSAGES];
static struct book_status statuses[MESSAGES];
static struct event refusals[MESSAGES];

static void make_input(unsigned i, struct book_input *out)
{
    unsigned m = i / 3;
    *out = (struct book_input){.end = {.segment = 1, .offset = 100 * (i + 1)}};
    if (i % 3 == 0) {
        test_message_at(&messages[m], TEST_NOW_US - (m * 3 % WEEKS) * 7 * TEST_DAY, m + 1, 2);
        out->kind = BOOK_MESSAGE;
        out->message = &messages[m].envelope;
    } else if (i % 3 == 1) {
        statuses[m] = test_status(messages[m].envelope.id, 0, EVENT_DELIVERED);
        out->kind = BOOK_STATUS;
        out->status = &statuses[m];
    } else {
        refusals[m] = test_refusal(m, "x@aaa.example");
        out->kind = BOOK_EVENT;
        out->event = &refusals[m];
    }
}

static int follow(struct fold *fold)
{
    uint64_t done = fold_position(fold, 0).offset;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < INPUTS; i++) {
        struct book_input input;
        make_input(i, &input);
        if (input.end.offset <= done)
            continue;
        r = fold_input(fold, &input, TEST_NOW_US);
        if (r == 0 && i % BATCH == 0)
            r = fold_commit(fold, TEST_NOW_US);
    }
    return r == 0 ? fold_commit(fold, TEST_NOW_US) : r;
}

/* One turn of the book's process. */
static int turn(void)
{
    struct fold *fold;
    int r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
    if (r < 0)
        return r;
    r = follow(fold);
    fold_close(fold);
    return r;
}

/* What the whole book has, once. */
static void assert_whole(const char *when)
{
    struct ledger_list list;
    int64_t entries = 0, refused = 0;
    assert_int_equal(ledger_list(test_folder, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        char name[WEEK_FILE_SIZE];
        week_file(list.files[i].kind, list.files[i].week, name);
        if (list.files[i].kind == WEEK_ENTRIES)
            entries += test_number(name, "SELECT count(*) FROM event");
        else
            refused += test_number(name, "SELECT count(*) FROM refusal");
    }
    ledger_list_done(&list);
    if (entries != 3 * MESSAGES || refused != MESSAGES)
        fail_msg("%s: %d events, %d refusals", when, (int)entries, (int)refused);
}

static void on_found(void *arg, const struct audit_finding *finding)
{
    print_message("%s\n", finding->text);
}

static void assert_sound(const char *when)
{
    struct audit_counts counts;
    struct audit_options options = {
        .now_us = TEST_NOW_US, .overdue_us = 400 * TEST_DAY, .found = on_found};
    assert_int_equal(audit_run(test_folder, &options, &counts), 0);
    if (counts.findings)
        fail_msg("%s: %d findings", when, (int)counts.findings);
}

static void empty(void)
{
    assert_int_equal(test_ledger_remove(NULL), 0);
    assert_int_equal(mkdir(test_folder, 0700), 0);
}

/* ---- tests ---- */

/* `length` calls fail in a row, from each `step`th on. */
static void play(int error, unsigned length, unsigned step)
{
    for (unsigned at = 1;; at += step) {
        char when[60];
        snprintf(when, sizeof(when), "%s from call %u", strerror(error), at);
        trouble.calls = 0;
        trouble.at = at;
        trouble.until = at + length;
        trouble.error = error;
        int r = turn();
        bool was_reached = trouble.calls >= at;
        trouble.at = trouble.until = 0;
        if (r == -EUCLEAN || r == -EINVAL)
            fail_msg("%s: %s", when, strerror(-r));
        assert_int_equal(turn(), 0);
        assert_whole(when);
        assert_sound(when);
        if (!was_reached)
            break;
        empty();
    }
}

static int fold_some(struct fold *fold, unsigned from, unsigned to)
{
    int r = 0;

    for (unsigned i = from; r == 0 && i < to; i++) {
        struct book_input input;
        make_input(i, &input);
        r = fold_input(fold, &input, TEST_NOW_US);
    }
    return r == 0 ? fold_commit(fold, TEST_NOW_US) : r;
}

/* Two have the files open, whatever a lease says. The second to write finds that the first has, and
 * adds nothing. */
static void what_another_process_wrote_is_noticed(void **state)
{
    struct fold *first = test_fold_open(), *second = test_fold_open();
    struct book_position end = {.segment = 1, .offset = 4000};

    assert_int_equal(fold_some(first, 0, 4), 0);
    assert_int_equal(fold_some(second, 0, 4), -EBUSY);
    fold_close(second);
    second = test_fold_open();
    assert_int_equal(fold_some(second, 4, 20), 0);
    assert_int_equal(fold_some(first, 4, 20), -EBUSY);
    assert_int_equal(fold_skip(first, &end), 0);
    assert_int_equal(fold_commit(first, TEST_NOW_US), -EBUSY);
    fold_close(first);
    assert_int_equal(fold_some(second, 20, INPUTS), 0);
    fold_close(second);
    assert_whole("two books");
    assert_sound("two books");
}

static void a_full_disk_loses_nothing(void **state)
{
    play(ENOSPC, 1, 67);
    empty();
    play(ENOSPC, 50, 173);
}

static void a_failing_disk_loses_nothing(void **state)
{
    play(EIO, 1, 83);
}

static void a_full_quota_is_a_full_disk(void **state)
{
    assert_int_equal(turn(), 0);
    for (unsigned at = 1;; at++) {
        struct fold *fold = test_fold_open();
        trouble =
            (typeof(trouble)){.at = at, .until = at + 1, .error = EDQUOT, .only_writes = true};
        struct book_input input;
        make_input(0, &input);
        input.end.offset = 100000 * at;
        int r = fold_input(fold, &input, TEST_NOW_US);
        if (r == 0)
            r = fold_commit(fold, TEST_NOW_US);
        bool was_reached = trouble.calls >= at;
        trouble.until = 0;
        assert_int_equal(r, was_reached ? -ENOSPC : 0);
        fold_close(fold);
        if (!was_reached)
            break;
    }
}

/* The -shm grows with each 4096 pages that a transaction has in the -wal. */
static void a_large_transaction_on_a_full_disk(void **state)
{
    static const char *const create = "CREATE TABLE large (a)",
                             *const fill = "INSERT INTO large VALUES (zeroblob(48000000))";
    static const int errors_of_shm[] = {ENOSPC, EIO, EDQUOT};
    char path[200];
    struct db db;

    snprintf(path, sizeof(path), "%s/large.sqlite", test_folder);
    assert_int_equal(db_open(path, DB_WRITE, NULL, 0, &db), 0);
    assert_int_equal(db_exec(&db, create), 0);
    for (size_t i = 0; i < ARRAY_SIZE(errors_of_shm); i++) {
        shm_error = errors_of_shm[i];
        int r = db_exec(&db, fill);
        shm_error = 0;
        assert_int_equal(r, errors_of_shm[i] == EIO ? -EIO : -ENOSPC);
    }
    assert_int_equal(db_exec(&db, fill), 0);
    db_done(&db);
}

static unsigned count_set_aside(void)
{
    struct dirent *entry;
    DIR *dir = opendir(test_folder);
    unsigned count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        count += strstr(entry->d_name, ".damaged-") != NULL;
    closedir(dir);
    return count;
}

/* SQLite calls it damage; but the next time the disk may read it. */
static void a_read_that_fails_is_no_damage(void **state)
{
    reads_fail = true;
    assert_int_equal(turn(), 0);
    for (unsigned at = 1;; at += 7) {
        trouble = (typeof(trouble)){.at = at, .until = at + 1, .error = at % 2 ? EIO : ENXIO};
        int r = turn();
        bool was_reached = trouble.calls >= at;
        trouble.until = 0;
        assert_true(r == 0 || db_plain_error(r) == -EIO);
        assert_int_equal(count_set_aside(), 0);
        if (!was_reached)
            break;
    }
    assert_int_equal(turn(), 0);
    assert_whole("after reads that failed");
    assert_sound("after reads that failed");
    play(EIO, 1, 41);
}

/* One that never comes back must not stop the book for good. */
static void what_stays_unreadable_is_set_aside(void **state)
{
    assert_int_equal(turn(), 0);
    reads_fail = true;
    trouble = (typeof(trouble)){.at = 1, .until = 1000000, .error = EIO, .only_reads = true};
    assert_int_equal(turn(), -EREMOTEIO);
    assert_int_equal(count_set_aside(), 0);
    db_read_around(true);
    turn();
    assert_true(count_set_aside() > 0);
    trouble.until = 0;
    db_read_around(false);
    assert_int_equal(turn(), 0);
}

static void make_some(unsigned inputs)
{
    struct fold *fold = test_fold_open();
    for (unsigned i = 0; i < inputs; i++) {
        struct book_input input;
        make_input(i, &input);
        test_fold_one(fold, &input);
    }
    test_commit(fold);
    fold_close(fold);
}

static void make_half(void)
{
    empty();
    make_some(INPUTS / 2);
}

/* The first opening of the process: there is nothing of SQLite's yet. */
static void the_first_opening_without_memory_is_tried_again(void **state)
{
    replace_memory();
    for (unsigned at = 1; at < 4; at++) {
        want = (typeof(want)){.at = 1, .until = 1 + at};
        assert_int_equal(turn(), -ENOMEM);
    }
    want.until = 0;
    assert_int_equal(turn(), 0);
    assert_whole("with memory again");
}

/* Each allocation of the opening of a ledger that is there. */
static void want_of_memory_is_no_damage(void **state)
{
    static const unsigned lengths[] = {1, 1000000};
    make_some(5); /* two weeks, and refusals */
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
        for (unsigned at = 1;; at++) {
            struct fold *fold;
            want = (typeof(want)){.at = at, .until = at + lengths[i]};
            int r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
            bool was_reached = want.calls >= at;
            want.until = 0;
            if (r == 0) {
                assert_string_equal(test_told.damage, "");
                assert_string_equal(test_told.lacking, "");
                assert_string_equal(test_told.displaced, "");
                fold_close(fold);
            } else if (r != -ENOMEM)
                fail_msg("without memory from allocation %u: %s", at, strerror(-r));
            assert_int_equal(count_set_aside(), 0);
            if (!was_reached)
                break;
        }
    assert_int_equal(turn(), 0);
    assert_whole("after want of memory");
    assert_sound("after want of memory");
}

/* That there are too many open files says nothing of what a file lacks. */
static void a_file_that_cant_be_opened_does_not_lack(void **state)
{
    static const int errors[] = {EMFILE, EACCES};
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct fold *fold;
        assert_int_equal(turn(), 0);
        trouble.name = TEST_WEEK;
        trouble.error = errors[i];
        int r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
        assert_int_equal(r, errors[i] == EMFILE ? -EMFILE : 0);
        if (r == 0) {
            struct book_input input;
            assert_string_equal(test_told.lacking, "");
            make_input(0, &input);
            input.end.offset = 1000000;
            assert_int_equal(fold_input(fold, &input, TEST_NOW_US), -errors[i]);
            fold_close(fold);
        }
        trouble.name = NULL;
        assert_int_equal(turn(), 0);
        assert_whole("afterwards");
        assert_sound("afterwards");
    }
}

/* ---- what is told ---- */

static void remove_file(const char *name)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    assert_int_equal(unlink(path), 0);
}

static void damage_main(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/" MAIN_FILE_NAME, test_folder);
    test_tamper(MAIN_FILE_NAME, "PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "no database", 11, 0), 11);
    close(fd);
}

static void remove_week(void)
{
    remove_file(TEST_WEEK);
}

static void displace_week(void)
{
    test_tamper(TEST_WEEK, "UPDATE lane SET offset = offset + 65536");
}

static const struct harm {
    void (*make)(void);
    size_t told; /* where */
    const char *name;
} harms[] = {
    {damage_main, offsetof(struct ledger_told, damage), MAIN_FILE_NAME},
    {remove_week, offsetof(struct ledger_told, lacking), TEST_WEEK},
    {displace_week, offsetof(struct ledger_told, displaced), TEST_WEEK},
};

static bool is_told(const struct harm *harm)
{
    return strstr((const char *)&test_told + harm->told, harm->name);
}

/* A file that couldn't be looked at takes nothing until it was. */
static void need_week(struct fold *fold)
{
    struct book_input input;
    make_input(0, &input);
    input.end.offset = 1000000;
    fold_input(fold, &input, TEST_NOW_US);
}

/* The opening with a call that fails has it noted for good, or the next look finds it. */
static void what_was_found_is_told_though_the_opening_fails(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(harms); i++)
        for (unsigned at = 1;; at++) {
            empty();
            make_some(5);
            harms[i].make();
            test_told = (struct ledger_told){.damage = ""};
            struct fold *fold = NULL;
            trouble = (typeof(trouble)){.at = at, .until = at + 1, .error = ENOSPC};
            int r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
            bool was_reached = trouble.calls >= at;
            trouble.until = 0;
            if (r == 0 && !is_told(&harms[i])) {
                need_week(fold);
                assert_true(is_told(&harms[i]));
            }
            if (r < 0)
                r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
            assert_int_equal(r, 0);
            fold_close(fold);
            if (!is_told(&harms[i]))
                fail_msg("%s is not told when call %u fails", harms[i].name, at);
            if (!was_reached)
                break;
        }
}

/* ---- files that can't be looked at ---- */

static void in_folder(const char *command)
{
    char line[300];
    snprintf(line, sizeof(line), "cd %s && %s", test_folder, command);
    assert_int_equal(system(line), 0);
}

static void put_older_copy(void)
{
    in_folder("cp older/" TEST_WEEK "* .");
}

static void advance_position(void)
{
    test_tamper(TEST_WEEK, "UPDATE lane SET offset = offset + 65536");
}

/* The week has an event more than its older copy, and the log has others still. */
static void make_ledger_with_copy(void)
{
    empty();
    make_some(1);
    in_folder("mkdir older && cp " TEST_WEEK "* older");
    make_some(INPUTS / 2);
}

static void leave_as_it_is(void)
{
}

/* A disk that stumbles at the opening only: the file is looked at before it grows. */
static void a_file_that_was_not_checked_is_not_believed(void **state)
{
    static void (*const make_harms[])(void) = {put_older_copy, advance_position, leave_as_it_is};
    for (size_t i = 0; i < ARRAY_SIZE(make_harms); i++) {
        struct fold *fold;
        make_ledger_with_copy();
        make_harms[i]();
        test_told = (struct ledger_told){.damage = ""};
        trouble = (typeof(trouble)){.name = TEST_WEEK, .error = EIO};
        assert_int_equal(fold_open(test_folder, TEST_NOW_US, &test_told, &fold), 0);
        assert_int_equal(follow(fold), -EIO);
        trouble.name = NULL;
        assert_int_equal(follow(fold), make_harms[i] == put_older_copy ? -EUCLEAN : 0);
        assert_string_equal(test_told.lacking, make_harms[i] == put_older_copy ? TEST_WEEK : "");
        assert_string_equal(test_told.displaced,
                            make_harms[i] == advance_position ? TEST_WEEK : "");
        assert_string_equal(test_told.damage, "");
        assert_int_equal(follow(fold), 0);
        fold_close(fold);
        assert_whole("after a file that wasn't checked");
        assert_sound("after a file that wasn't checked");
    }
}

/* A main file that is made anew learns from the files which lane is the last. */
static void the_last_lane_is_learned_or_nothing_is_opened(void **state)
{
    struct fold *fold = test_fold_open();
    struct book_input input;

    make_input(0, &input);
    input.end.lane = 1;
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    reads_fail = true;
    for (unsigned at = 1;; at++) {
        in_folder("rm " MAIN_FILE_NAME "*");
        trouble = (typeof(trouble)){.at = at, .until = at + 1, .error = EIO, .only_reads = true};
        int r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
        bool was_reached = trouble.calls >= at;
        trouble.until = 0;
        if (r < 0)
            r = fold_open(test_folder, TEST_NOW_US, &test_told, &fold);
        assert_int_equal(r, 0);
        assert_int_equal(fold_last_lane(fold), 1);
        fold_close(fold);
        if (!was_reached)
            break;
    }
}

/* ---- damage ---- */

enum { PAGE = 8192, TURNS_MAX = 6 };

static void go_on_over(const char *name, long page)
{
    char path[200];
    char garbage[PAGE];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    memset(garbage, 0x5a, sizeof(garbage));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, garbage, PAGE, page * PAGE), PAGE);
    close(fd);
    int r = -1;
    for (int i = 0; r < 0 && i < TURNS_MAX; i++) {
        struct fold *fold;
        r = fold_open(test_folder, TEST_NOW_US + i * TEST_SECOND, &test_told, &fold);
        if (r < 0)
            continue;
        r = follow(fold);
        if (r == 0 && fold_position(fold, 0).offset < 100 * INPUTS)
            r = -EAGAIN;
        fold_close(fold);
    }
    if (r < 0)
        fail_msg("%s, page %ld: %s", name, page, strerror(-r));
}

static long pages_of(const char *name)
{
    char path[200];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    assert_int_equal(stat(path, &st), 0);
    return (long)(st.st_size / PAGE);
}

static void no_damage_stops_the_book(void **state)
{
    static const char *const names[] = {MAIN_FILE_NAME, TEST_WEEK, TEST_REFUSALS};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        make_half();
        long pages = pages_of(names[i]);
        assert_true(pages > 1);
        for (long page = 0; page < pages; page++) {
            make_half();
            go_on_over(names[i], page);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_opening_without_memory_is_tried_again,
                                        test_ledger_make, test_ledger_remove),
        TEST(want_of_memory_is_no_damage),
        TEST(what_another_process_wrote_is_noticed),
        TEST(a_full_disk_loses_nothing),
        TEST(a_full_quota_is_a_full_disk),
        TEST(a_large_transaction_on_a_full_disk),
        TEST(a_failing_disk_loses_nothing),
        TEST(a_read_that_fails_is_no_damage),
        TEST(what_stays_unreadable_is_set_aside),
        TEST(a_file_that_cant_be_opened_does_not_lack),
        TEST(what_was_found_is_told_though_the_opening_fails),
        TEST(a_file_that_was_not_checked_is_not_believed),
        TEST(the_last_lane_is_learned_or_nothing_is_opened),
        TEST(no_damage_stops_the_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
