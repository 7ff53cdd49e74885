/* A folder that can't be synced, for tests that are linked with -Wl,--wrap=fsync. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

static bool failing_sync; /* of folders; files are synced */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    struct stat st;

    if (failing_sync && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}
