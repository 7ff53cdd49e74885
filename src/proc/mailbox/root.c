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
                  "deferred until it is there",
                  path, strerror(-error));
    return 0;
}

/* Who could see one that we might not open would be told "another one" for ever. */
static bool may_open(const struct mailbox_root *root)
{
    return root->error != -EACCES && root->error != -EPERM;
}

static int look_for_unopened(const struct mailbox_root *root, int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return -ENOENT;
    if (error == 0 && may_open(root))
        return -ESTALE;
    return clock_monotonic_ms() - root->tried_ms >= MAILBOX_ROOT_RETRY_MS ? -ESTALE : -ENOENT;
}

/* stat() is what Landlock leaves us outside the folders that were opened. A user who may not look
 * there (EACCES) can't tell; nor can one whose disk fails, who will hear of that anyway. */
int mailbox_root_look(const struct mailbox_root *root)
{
    struct stat now, then;

    int error = stat(root->path, &now) < 0 ? errno : S_ISDIR(now.st_mode) ? 0 : ENOTDIR;
    if (root->fd < 0)
        return look_for_unopened(root, error);
    if (error)
        return error == ENOENT || error == ENOTDIR ? -ENOENT : 0;
    if (fstat(root->fd, &then) < 0)
        return 0;
    return now.st_dev == then.st_dev && now.st_ino == then.st_ino ? 0 : -ESTALE;
}
