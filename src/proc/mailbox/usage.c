/*
 * Counting a mailbox reads two folders, so it is done when nothing is known, when it has grown old,
 * and when mail wouldn't fit although somebody may have deleted some (the folders' times tell).
 */
#include "proc/mailbox/usage.h"

#include "base/span.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* No file is larger; a name that says so isn't believed. */
#define SIZE_BELIEVED_MAX (UINT64_C(1) << 50)

void mailbox_usage_init(struct mailbox_usage *u)
{
    *u = (struct mailbox_usage){0};
    pthread_mutex_init(&u->lock, NULL);
}

void mailbox_usage_done(struct mailbox_usage *u)
{
    pthread_mutex_destroy(&u->lock);
}

/* The size that a file's name tells: "…,S=1234,W=1300:2,S". */
static bool size_in_name(const char *name, uint64_t *out)
{
    const char *at = strstr(name, ",S=");
    if (!at)
        return false;
    at += 3;
    struct span digits = {at, strspn(at, "0123456789")};
    return span_to_u64(digits, SIZE_BELIEVED_MAX, out) == 0;
}

/* Names with a leading dot aren't mail (maildir(5)). Of links and folders that somebody put there
 * nothing is counted: a quota is about what is delivered. */
static int add_size(int folder, const char *name, uint64_t *total)
{
    struct stat st;
    uint64_t size = 0;

    if (name[0] == '.')
        return 0;
    if (!size_in_name(name, &size)) {
        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? 0 : -errno; /* a reader may just have removed it */
        size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    }
    *total += size;
    return 0;
}

/* What can't be read isn't empty: the count fails. */
static int add_sizes(DIR *dir, uint64_t *total)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        int r = entry ? add_size(dirfd(dir), entry->d_name, total) : -errno;
        if (!entry || r < 0)
            return r;
    }
}

/* The time is taken before the names are read: a change while they are read makes the next look
 * count again, never the other way round. */
static int count_folder(int base_fd, const char *name, uint64_t *total,
                        struct timespec *out_changed)
{
    struct stat st;
    int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    DIR *dir = fstat(fd, &st) == 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int error = -errno;
        close(fd);
        return error;
    }
    int r = add_sizes(dir, total);
    closedir(dir);
    *out_changed = st.st_mtim;
    return r;
}

static int count(struct mailbox_usage *u, int base_fd, int64_t now_ms)
{
    struct timespec changed_new, changed_cur;
    uint64_t total = 0;
    int r = count_folder(base_fd, "new", &total, &changed_new);

    if (r == 0)
        r = count_folder(base_fd, "cur", &total, &changed_cur);
    if (r < 0)
        return r;
    u->changed_new = changed_new;
    u->changed_cur = changed_cur;
    u->used = total;
    u->counted = true;
    u->counted_ms = now_ms;
    return 0;
}

static bool changed_since(int base_fd, const char *name, struct timespec then)
{
    struct stat st;
    return fstatat(base_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
           st.st_mtim.tv_sec != then.tv_sec || st.st_mtim.tv_nsec != then.tv_nsec;
}

/* Without the subtraction that could wrap: a mailbox may hold more than its limit, when that was
 * lowered or mail was moved in. */
static bool fits(const struct mailbox_usage *u, uint64_t size, uint64_t limit)
{
    uint64_t used = u->used + u->reserved;
    return used <= limit && size <= limit - used;
}

/* The lock is held while the disk is read: others who deliver to this mailbox would only read the
 * same. Other mailboxes have other locks. */
static int reserve(struct mailbox_usage *u, int base_fd, uint64_t size, uint64_t limit,
                   int64_t now_ms, uint64_t *out_used)
{
    int r = 0;

    if (!u->counted || now_ms - u->counted_ms > MAILBOX_USAGE_AGE_MS)
        r = count(u, base_fd, now_ms);
    else if (!fits(u, size, limit) && (changed_since(base_fd, "new", u->changed_new) ||
                                       changed_since(base_fd, "cur", u->changed_cur)))
        r = count(u, base_fd, now_ms);
    if (r < 0)
        return r;
    if (!fits(u, size, limit)) {
        *out_used = u->used + u->reserved;
        return -EDQUOT;
    }
    u->reserved += size;
    return 0;
}

int mailbox_usage_reserve(struct mailbox_usage *u, int base_fd, uint64_t size, uint64_t limit,
                          int64_t now_ms, uint64_t *out_used)
{
    pthread_mutex_lock(&u->lock);
    int r = reserve(u, base_fd, size, limit, now_ms, out_used);
    pthread_mutex_unlock(&u->lock);
    return r;
}

void mailbox_usage_release(struct mailbox_usage *u, uint64_t reserved)
{
    pthread_mutex_lock(&u->lock);
    u->reserved -= reserved;
    pthread_mutex_unlock(&u->lock);
}

void mailbox_usage_lock(struct mailbox_usage *u)
{
    pthread_mutex_lock(&u->lock);
}

void mailbox_usage_unlock(struct mailbox_usage *u)
{
    pthread_mutex_unlock(&u->lock);
}

void mailbox_usage_add(struct mailbox_usage *u, uint64_t reserved, uint64_t stored)
{
    u->reserved -= reserved;
    u->used += stored;
}

void mailbox_usage_remove(struct mailbox_usage *u, uint64_t stored)
{
    u->used -= stored;
}
