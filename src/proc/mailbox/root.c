#include "proc/mailbox/root.h"

#include <errno.h>
#include <sys/stat.h>

/* stat() is what Landlock leaves us outside the folders that were opened. A user who may not look
 * there (EACCES) can't tell; nor can one whose disk fails, who will hear of that anyway. */
int mailbox_root_look(const struct mailbox_root *root)
{
    struct stat now, then;

    if (stat(root->path, &now) < 0)
        return errno == ENOENT || errno == ENOTDIR ? -ENOENT : 0;
    if (!S_ISDIR(now.st_mode))
        return -ENOENT;
    if (fstat(root->fd, &then) < 0)
        return 0;
    return now.st_dev == then.st_dev && now.st_ino == then.st_ino ? 0 : -ESTALE;
}
