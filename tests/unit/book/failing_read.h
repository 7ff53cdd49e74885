/* Reads of one file that fail as a disk's do; the test is linked with --wrap=pread,--wrap=pread64.
 */
#pragma once

#include "ledger_test.h"
#include <sys/stat.h>

static struct {
    ino_t file;        /* 0: none */
    off_t from, until; /* where in it */
    unsigned count;    /* how many did */
} failing_read;

ssize_t __real_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at);

ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at)
{
    struct stat st;

    if (!failing_read.file || fstat(fd, &st) < 0 || st.st_ino != failing_read.file ||
        at + (off_t)size <= failing_read.from || at >= failing_read.until)
        return __real_pread64(fd, to, size, at);
    failing_read.count++;
    errno = EIO;
    return -1;
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at)
{
    return __wrap_pread64(fd, to, size, at);
}

/* The whole file, whose log of SQLite's becomes a part of it before. */
static inline void test_fail_reads(const char *name)
{
    char path[256];
    struct stat st;

    test_tamper(name, "PRAGMA wal_checkpoint(TRUNCATE)");
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    assert_int_equal(stat(path, &st), 0);
    failing_read = (typeof(failing_read)){.file = st.st_ino, .until = INT64_MAX};
}

/* The first page of a table, which has all of a small one. */
static inline void test_fail_reads_of_table(const char *name, const char *table)
{
    enum { PAGE_BYTES = 8192 };
    char sql[100];

    snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_master WHERE name = '%s'", table);
    off_t page = test_number(name, sql);
    test_fail_reads(name);
    failing_read.from = (page - 1) * PAGE_BYTES;
    failing_read.until = page * PAGE_BYTES;
}

static inline void test_reads_succeed(void)
{
    assert_true(failing_read.count > 0);
    failing_read.file = 0;
}
