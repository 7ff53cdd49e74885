#include "proc/mailbox/root.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int mailbox_root_open(struct mailbox_root *root, const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;

    if (fd_is_shortage(-error)) { /* which says nothing of the folder */
        log_error("can't open the folder of mailboxes %s: %s", path, strerror(-error));
        return error;
    }
    char *copy = strdup(path);
    if (!copy) {
        if (fd >= 0)
            close(fd);
        return -ENOMEM;
    }
    *root = (struct mailbox_root){fd, copy, error, clock_monotonic_ms()};
    if (error)
        log_error("ALARM: the folder of mailboxes %s can't be opened: %s; mail for them is "
                  "deferred until it can",
                  path, strerror(-error));
    return 0;
}

/* 0 when a folder is at the path, or -errno. stat() is what Landlock leaves us outside the folders
 * that were opened. */
static int look_at_path(const struct mailbox_root *root, struct stat *st)
{
    if (stat(root->path, st) < 0)
        return -errno;
    return S_ISDIR(st->st_mode) ? 0 : -ENOTDIR;
}

static bool is_missing(int error)
{
    return error == -ENOENT || error == -ENOTDIR;
}

/* One that was missing and is there now can be opened. Any other trouble may be root's alone, whom
 * a network file system need not trust as it does the mail user: it would be told "another one" for
 * ever. */
static int look_for_unopened(const struct mailbox_root *root, int error)
{
    if (is_missing(error))
        return error;
    if (error == 0 && is_missing(root->error))
        return -ESTALE;
    return clock_monotonic_ms() - root->tried_ms >= MAILBOX_ROOT_RETRY_MS ? -ESTALE : -EACCES;
}

bool mailbox_root_may_have_come(const struct mailbox_root *root)
{
    struct stat now;

    return root->fd < 0 && !is_missing(look_at_path(root, &now));
}

/* A user who may not look there (EACCES) can't tell; nor can one whose disk fails, who will hear of
 * that anyway. */
int mailbox_root_look(const struct mailbox_root *root)
{
    struct stat now, then;

    int error = look_at_path(root, &now);
    if (root->fd < 0)
        return look_for_unopened(root, error);
    if (error)
        return is_missing(error) ? error : 0;
    if (fstat(root->fd, &then) < 0)
        return 0;
    return now.st_dev == then.st_dev && now.st_ino == then.st_ino ? 0 : -ESTALE;
}
