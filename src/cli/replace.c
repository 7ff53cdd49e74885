/*
 * A file changed by another in its place: readers see the old or the new one, never a half. The
 * lock is on the old file itself, which is gone after the change: who waited for it looks whether
 * it is still the one of that name, and begins anew.
 */
#include "cli/replace.h"

#include "base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the locked file is still the one of that name: another may have replaced it meanwhile. By
 * device and inode: the name may have come back with another file. */
static bool is_current(const struct cli_replace *replace)
{
    struct stat locked, named;

    return fstat(replace->fd, &locked) == 0 && stat(replace->path, &named) == 0 &&
           locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

int cli_replace_begin(struct cli_replace *replace, const char *path)
{
    *replace = (struct cli_replace){.path = path, .fd = -1};
    for (;;) {
        replace->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (replace->fd < 0)
            return -errno;
        if (flock(replace->fd, LOCK_EX) < 0) {
            int error = errno;
            cli_replace_end(replace);
            return -error;
        }
        if (is_current(replace))
            return 0;
        cli_replace_end(replace);
    }
}

void cli_replace_end(struct cli_replace *replace)
{
    if (replace->fd >= 0)
        close(replace->fd);
    replace->fd = -1;
}

/* Owner, mode, content, sync. The mode before the owner and before the content: at no time can more
 * people read it than could before. mkostemp() made it for us alone. */
static int fill(const struct cli_replace *replace, int fd, struct span text)
{
    struct stat old;

    if (fstat(replace->fd, &old) < 0 || fchmod(fd, old.st_mode & 07777) < 0)
        return -errno;
    if ((old.st_uid != geteuid() || old.st_gid != getegid()) &&
        fchown(fd, old.st_uid, old.st_gid) < 0)
        return -errno;
    int r = fd_write_all(fd, text);
    return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    int size = slash ? (int)(slash - path) : 0;

    snprintf(folder, sizeof(folder), "%.*s%s", size, path, size ? "" : slash ? "/" : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* The lock is on the old file and doesn't pass to the new one: who comes after the rename locks the
 * new, who waited looks with is_current(). */
int cli_replace_write(struct cli_replace *replace, struct span text)
{
    char real[PATH_MAX], fresh[PATH_MAX];

    /* A link stays a link: what it points to is replaced. */
    if (!realpath(replace->path, real))
        return -errno;
    if ((size_t)snprintf(fresh, sizeof(fresh), "%s.XXXXXX", real) >= sizeof(fresh))
        return -ENAMETOOLONG;
    int fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fill(replace, fd, text);
    close(fd);
    if (r == 0 && rename(fresh, real) < 0)
        r = -errno;
    if (r < 0)
        unlink(fresh);
    else
        replace->unsynced = sync_folder(real);
    return r;
}
