#include "store_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A fresh folder for each test, removed with all that is in it. */
struct lane {
    char path[64];
};

static int make_lane(void **state)
{
    struct lane *lane = malloc(sizeof *lane);
    snprintf(lane->path, sizeof lane->path, "store-file-XXXXXX");
    *state = lane;
    return mkdtemp(lane->path) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    return remove(path);
}

static int remove_lane(void **state)
{
    struct lane *lane = *state;
    int r = nftw(lane->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(lane);
    return r;
}

static int lane_fd(struct lane *lane)
{
    int fd = open(lane->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static struct store *open_file_store(void *arg)
{
    struct store *store;
    assert_int_equal(store_file_new(lane_fd(arg), &store), 0);
    return store;
}

static void contract(void **state)
{
    store_contract_run(&(struct store_contract){open_file_store, *state});
}

/* A disk with blocks of 64 KB, to O_DIRECT: instead of the C library's. */
static bool has_large_blocks;
static unsigned writes; /* so far */

static bool is_refused(int fd, size_t size, off_t offset)
{
    int flags = fcntl(fd, F_GETFL);
    return has_large_blocks && flags >= 0 && (flags & O_DIRECT) && ((size | offset) & 0xffff);
}

ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
    if (is_refused(fd, size, offset)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_pread64, fd, to, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    size_t size = 0;

    writes++;
    for (int i = 0; i < count; i++)
        size |= parts[i].iov_len;
    if (is_refused(fd, size, offset)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

static void larger_blocks_go_through_the_page_cache(void **state)
{
    has_large_blocks = true;
    contract(state);
    has_large_blocks = false;
}

/* What a crash left half made is no segment, and the next writer clears it away. */
static void unfinished_is_cleared(void **state)
{
    struct lane *lane = *state;
    static const char *const names[] = {"new-log-0000000000000001", "checkpoint.tmp"};
    int folder = lane_fd(lane);
    struct stat info;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        close(openat(folder, names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    struct store *store = open_file_store(lane);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    store->ops->close(store);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(fstatat(folder, names[i], &info, 0), -1);
    close(folder);
}

/* Whoever else writes to the disk would find it full while it is being filled. A limit shows that
 * not a byte of it was written. */
static void what_does_not_fit_is_not_begun(void **state)
{
    static const enum store_kind kinds[] = {STORE_LOG, STORE_BULK};
    struct lane *lane = *state;
    struct store *store = open_file_store(lane);
    struct store_segment *segment;
    struct rlimit before, none = {0, 0};
    int folder = lane_fd(lane);
    struct stat info;

    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        assert_int_equal(
            store->ops->create_segment(store, kinds[i], 1, UINT64_C(1) << 60, &segment), -ENOSPC);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(fstatat(folder, "new-log-0000000000000001", &info, 0), -1);
    assert_int_equal(fstatat(folder, "new-bulk-0000000000000001", &info, 0), -1);
    close(folder);
    store->ops->close(store);
}

/* Somebody's folder stays, also where ours of such a name go, and keeps none of these. */
static void folders_are_in_nobodys_way(void **state)
{
    static const char *const folders[] = {"notes.tmp", "new-log-0000000000000007",
                                          "checkpoint-before", "log-0000000000000001"};
    struct iovec part = {(char[]){"x"}, 1};
    struct lane *lane = *state;
    struct store_segment *segment;
    char name[32];
    struct stat info;
    int folder = lane_fd(lane);
    struct store *store = open_file_store(lane);

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        assert_int_equal(mkdirat(folder, folders[i], 0700), 0);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    for (int i = 0; i < 20; i++) { /* whatever the folder's order */
        snprintf(name, sizeof(name), "checkpoint-1-%d", i);
        assert_int_equal(store->ops->put_file(store, name, &part, 1), 0);
    }
    assert_int_equal(store->ops->remove_files(store, "checkpoint-", "checkpoint-2-"), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "checkpoint-1-%d", i);
        assert_int_equal(fstatat(folder, name, &info, 0), -1);
    }
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 1, 8192, &segment), -EEXIST);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        assert_int_equal(fstatat(folder, folders[i], &info, 0), 0);
    store->ops->close(store);
    close(folder);
}

/* A segment's worth of zeros would be written and synced for each that somebody has put there. */
static void for_a_taken_name_nothing_is_written(void **state)
{
    struct lane *lane = *state;
    struct store_segment *segment;
    int folder = lane_fd(lane);
    struct store *store = open_file_store(lane);

    assert_int_equal(mkdirat(folder, "log-0000000000000001", 0700), 0);
    assert_int_equal(symlinkat("nowhere", folder, "log-0000000000000002"), 0);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    writes = 0;
    for (uint64_t number = 1; number <= 2; number++)
        assert_int_equal(store->ops->create_segment(store, STORE_LOG, number, 8192, &segment),
                         -EEXIST);
    assert_int_equal(writes, 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 3, 8192, &segment), 0);
    assert_true(writes > 0);
    store->ops->close_segment(segment);
    store->ops->close(store);
    close(folder);
}

/* They would keep every checkpoint from being written, and make uploads fail. */
static void folders_under_the_names_of_files_are_put_aside(void **state)
{
    static const char *const folders[] = {"checkpoint", "checkpoint.tmp", "ended.tmp",
                                          "new-log-0000000000000009"};
    struct iovec part = {(char[]){"x"}, 1};
    struct lane *lane = *state;
    struct store_segment *segment;
    struct stat info;
    int folder = lane_fd(lane);
    struct store *store = open_file_store(lane);

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        assert_int_equal(mkdirat(folder, folders[i], 0700), 0);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(store->ops->put_file(store, "checkpoint", &part, 1), 0);
    assert_int_equal(store->ops->put_file(store, "ended", &part, 1), 0);
    assert_int_equal(fstatat(folder, "aside-checkpoint-folder", &info, 0), 0);
    assert_int_equal(fstatat(folder, "aside-checkpoint.tmp-folder", &info, 0), 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 9, 8192, &segment), -EEXIST);
    store->ops->close(store);
    close(folder);
}

/* Twice under one name: both stay. */
static void what_was_put_aside_before_stays(void **state)
{
    struct lane *lane = *state;
    struct store_segment *segment;
    struct stat info;
    int folder = lane_fd(lane);
    struct store *store = open_file_store(lane);

    assert_int_equal(store->ops->open_lane(store, false), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store->ops->create_segment(store, STORE_LOG, 9, 8192, &segment), 0);
        assert_int_equal(store->ops->set_aside(segment, "foreign"), 0);
    }
    assert_int_equal(fstatat(folder, "aside-log-0000000000000009-foreign", &info, 0), 0);
    assert_int_equal(fstatat(folder, "aside-log-0000000000000009-foreign-2", &info, 0), 0);
    store->ops->close(store);
    close(folder);
}

/* A link that somebody put in the place of a segment is not followed. */
static void links_are_refused(void **state)
{
    struct lane *lane = *state;
    struct store_segment *segment;
    int folder = lane_fd(lane);

    assert_int_equal(symlinkat("/etc/hostname", folder, "log-0000000000000001"), 0);
    struct store *store = open_file_store(lane);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, 1, true, &segment), -ELOOP);
    store->ops->close(store);
    close(folder);
}

/* Every write arrives whole, also in more parts than one system call takes. */
static void many_parts(void **state)
{
    enum { PARTS = 3000, SEGMENT = 64 * 1024 };
    static char digits[] = "0123456789";
    struct iovec *parts = calloc(PARTS, sizeof *parts);
    struct store *store = open_file_store(*state);
    struct store_segment *segment;
    char *back = malloc(SEGMENT);

    for (int i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){&digits[i % 8], (size_t)(i % 3)};
    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 1, SEGMENT, &segment), 0);
    assert_int_equal(store->ops->write(segment, 10, parts, PARTS), 0);
    assert_int_equal(store->ops->read(segment, 10, back, SEGMENT, 0), SEGMENT - 10);
    size_t at = 0;
    for (int i = 0; i < PARTS; at += parts[i++].iov_len)
        assert_memory_equal(back + at, parts[i].iov_base, parts[i].iov_len);
    store->ops->close_segment(segment);
    store->ops->close(store);
    free(back);
    free(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(contract, make_lane, remove_lane),
        cmocka_unit_test_setup_teardown(larger_blocks_go_through_the_page_cache, make_lane,
                                        remove_lane),
        cmocka_unit_test_setup_teardown(unfinished_is_cleared, make_lane, remove_lane),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_begun, make_lane, remove_lane),
        cmocka_unit_test_setup_teardown(folders_are_in_nobodys_way, make_lane, remove_lane),
        cmocka_unit_test_setup_teardown(for_a_taken_name_nothing_is_written, make_lane,
                                        remove_lane),
        cmocka_unit_test_setup_teardown(folders_under_the_names_of_files_are_put_aside, make_lane,
                                        remove_lane),
        cmocka_unit_test_setup_teardown(what_was_put_aside_before_stays, make_lane, remove_lane),
        cmocka_unit_test_setup_teardown(links_are_refused, make_lane, remove_lane),
        cmocka_unit_test_setup_teardown(many_parts, make_lane, remove_lane)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
