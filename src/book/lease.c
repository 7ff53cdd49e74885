#include "book/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/*
 * A file of its own, and a lock of the open file: SQLite's locks of its files belong to the process
 * and go when any descriptor of the file is closed. No flock(): that needs no more than to read,
 * and a book that was taken over could take the spool's lease with it.
 */
int lease_take(const char *folder, int *out_fd)
{
    char path[4096];
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (snprintf(path, sizeof(path), "%s/lock", folder) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_OFD_SETLK, &all) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *out_fd = fd;
    return 0;
}
