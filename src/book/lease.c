#include "book/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* A file of its own: SQLite locks bytes of its own files, and forgets these when any descriptor of
 * the process for the same file is closed. */
int lease_take(const char *folder, int *out_fd)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/lock", folder) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *out_fd = fd;
    return 0;
}
