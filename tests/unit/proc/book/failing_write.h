/* Writes of SQLite's that fail as a disk's do. */
#pragma once

#include "worker_test.h"

/* Of SQLite's; NULL: its own again. */
static inline void set_writes(ssize_t (*call)(int fd, const void *from, size_t size, off_t at))
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)call);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)call);
}

/* Whose -wal is full. */
static ino_t full_file;

static inline ssize_t write_unless_full(int fd, const void *from, size_t size, off_t at)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_ino != full_file)
        return pwrite(fd, from, size, at);
    errno = ENOSPC;
    return -1;
}

static inline void fill_disk_under(const char *name)
{
    char path[200];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s-wal", test_folder, name);
    assert_int_equal(stat(path, &st), 0);
    full_file = st.st_ino;
    set_writes(write_unless_full);
}
