/*
 * The system calls themselves, since no library wraps them everywhere. What a kernel's version
 * doesn't know may not be asked for, so the rule set is cut to the version that the kernel names.
 */
#include "proc/common/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's headers end at version 2 of the interface; these are of versions 3 to 6
 * (Documentation/userspace-api/landlock.rst). */
struct ruleset {
    uint64_t fs, net, scoped;
};

enum {
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_REFER = 1 << 13,     /* version 2: rename between folders */
    FS_TRUNCATE = 1 << 14,  /* version 3 */
    FS_IOCTL_DEV = 1 << 15, /* version 5 */
    FS_VERSION_1 = (1 << 13) - 1,
    NET_TCP_BIND = 1, /* version 4 */
    NET_TCP_CONNECT = 2,
    SCOPED = 3, /* version 6: abstract Unix sockets and signals */
};

enum {
    MAY_READ = FS_READ_FILE | FS_READ_DIR,
    MAY_WRITE = FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
                FS_REFER | FS_TRUNCATE,
};

static struct ruleset denied_by(int version, bool may_connect_tcp)
{
    struct ruleset all = {.fs = FS_VERSION_1};

    all.fs |= version >= 2 ? FS_REFER : 0;
    all.fs |= version >= 3 ? FS_TRUNCATE : 0;
    all.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
    if (version >= 4)
        all.net = may_connect_tcp ? NET_TCP_BIND : NET_TCP_BIND | NET_TCP_CONNECT;
    all.scoped = version >= 6 ? SCOPED : 0;
    return all;
}

static size_t ruleset_size(int version)
{
    return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

static int allow(int ruleset_fd, const struct sandbox_folder *folder, uint64_t handled)
{
    struct landlock_path_beneath_attr rule = {.parent_fd = folder->fd};

    rule.allowed_access = folder->access & SANDBOX_READ ? MAY_READ : 0;
    rule.allowed_access |= folder->access & SANDBOX_WRITE ? MAY_WRITE : 0;
    rule.allowed_access &= handled;
    return (int)syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int landlock_enter(const struct sandbox *sandbox)
{
    int version =
        (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0)
        return 0;

    struct ruleset handled = denied_by(version, sandbox->may_connect_tcp);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &handled, ruleset_size(version), 0);
    int r = fd < 0 ? -errno : 0;
    for (size_t i = 0; r == 0 && i < sandbox->folder_count; i++)
        r = allow(fd, &sandbox->folders[i], handled.fs) < 0 ? -errno : 0;
    if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    return r < 0 ? r : version;
}
