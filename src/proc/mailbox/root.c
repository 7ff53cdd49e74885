#include "proc/mailbox/root.h"

#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* That says nothing of the folder. */
static bool is_short(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

int mailbox_root_open(struct mailbox_root *root, const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;

    if (is_short(error)) {
        log_error("can't open the folder of mailboxes %s: %s", path, strerror(-error));
        return error;
    }
    *root = (struct mailbox_root){fd, strdup(path), error};
    if (!root->path)
        return -ENOMEM;
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

/* stat() is what Landlock leaves us outside the folders that were opened. A user who may not look
 * there (EACCES) can't tell; nor can one whose disk fails, who will hear of that anyway. */
int mailbox_root_look(const struct mailbox_root *root)
{
    struct stat now, then;

    if (stat(root->path, &now) < 0)
        return errno == ENOENT || errno == ENOTDIR || root->fd < 0 ? -ENOENT : 0;
    if (!S_ISDIR(now.st_mode))
        return -ENOENT;
    if (root->fd < 0)
        return may_open(root) ? -ESTALE : -ENOENT;
    if (fstat(root->fd, &then) < 0)
        return 0;
    return now.st_dev == then.st_dev && now.st_ino == then.st_ino ? 0 : -ESTALE;
}
