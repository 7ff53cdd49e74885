/*
 * maildir.h has the states; each step of a batch is done for all deliveries before the next begins,
 * so that the disk is asked for the same thing many times in a row. A delivery that fails is DONE
 * with its outcome, and all later steps pass it by.
 */
#include "proc/mailbox/maildir.h"

#include "base/clock.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* How often a name may turn out to be taken. Names are unique; a clash means that somebody plants
 * files. */
enum { NAME_TRIES = 4 };

/* The only place where a delivery's state changes. */
static void set_state(struct maildir_delivery *d, enum maildir_state state)
{
    assert(d->state != MAILDIR_DONE);
    assert(state == MAILDIR_DONE || state == d->state + 1);
    d->state = state;
}

/* maildir(5): in the host's name "/" and ":" may not stand. Whatever else is unusual becomes "_".
 */
static void copy_host(char *to, struct span host)
{
    size_t size = 0;
    for (; size < host.size && size + 1 < MAILDIR_HOST_MAX; size++) {
        char c = ascii_lower(host.data[size]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        to[size] = plain ? c : '_';
    }
    to[size] = 0;
}

void maildir_init(struct maildir *m, struct span host, uint64_t quota_bytes, unsigned folders_max)
{
    mailbox_cache_init(&m->cache, folders_max);
    copy_host(m->host, host.size ? host : SPAN("localhost"));
    atomic_init(&m->quota_bytes, quota_bytes);
    m->pid = (int)getpid();
    atomic_init(&m->counter, 0);
}

void maildir_done(struct maildir *m)
{
    mailbox_cache_done(&m->cache);
}

/* maildir(5): time, process and a counter make it unique on this machine, the host on all that
 * share the folder. The counter alone would do within this process; M and P keep it apart from one
 * before it that had the same id. */
static void make_name(struct maildir *m, char out[static MAILDIR_NAME_MAX])
{
    int64_t now_us = clock_wall_us();
    snprintf(out, MAILDIR_NAME_MAX, "%" PRId64 ".M%06dP%d_Q%" PRIuFAST64 ".%s", now_us / 1000000,
             (int)(now_us % 1000000), m->pid, atomic_fetch_add(&m->counter, 1), m->host);
}

/* Gives back what the delivery holds: also its part of the quota, unless that is used by now. */
static void release(struct maildir *m, struct maildir_delivery *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    if (!d->folder)
        return;
    mailbox_usage_release(&d->folder->record->usage, d->reserved_bytes);
    d->reserved_bytes = 0;
    mailbox_cache_put(&m->cache, d->folder);
    d->folder = NULL;
}

/* When it isn't there any more a reader took it, and what he made of it a later count tells. */
static void take_back(struct maildir_delivery *d)
{
    struct mailbox_usage *usage = &d->folder->record->usage;

    mailbox_usage_lock(usage);
    if (unlinkat(d->folder->new_fd, d->name, 0) == 0)
        mailbox_usage_remove(usage, d->size_bytes);
    mailbox_usage_unlock(usage);
}

/* Where the file lies follows from the state: after WRITING and SYNCED in tmp/, after NAMED in new/
 * already, where a reader may have seen it for a moment. Better that than a message that the queue
 * believes to be undelivered and delivers again. Errors of unlink don't matter: the sweep takes
 * tmp/, and what stays in new/ is a duplicate. */
void maildir_abandon(struct maildir *m, struct maildir_delivery *d)
{
    if (d->state == MAILDIR_DONE)
        return;
    if (d->state == MAILDIR_WRITING || d->state == MAILDIR_SYNCED)
        unlinkat(d->folder->tmp_fd, d->name, 0);
    if (d->state == MAILDIR_NAMED)
        take_back(d);
    release(m, d);
    set_state(d, MAILDIR_DONE);
}

static void fail(struct maildir *m, struct maildir_delivery *d, const char *doing, const char *part,
                 int error)
{
    char path[MAILBOX_TEXT_MAX];
    snprintf(path, sizeof(path), "%s/%s/%s", d->folder->full, part, d->name);
    mailbox_outcome_set_error(&d->outcome, doing, path, error);
    maildir_abandon(m, d);
}

void maildir_set_quota(struct maildir *m, uint64_t quota_bytes)
{
    atomic_store(&m->quota_bytes, quota_bytes);
}

static void refuse_full(struct maildir_delivery *d, uint64_t size, uint64_t used, uint64_t quota)
{
    bool never = size > quota; /* RFC 3463: x.2.3, longer than the mailbox may ever take */
    mailbox_outcome_set(
        &d->outcome, never ? IPC_OUTCOME_FAILED : IPC_OUTCOME_DEFERRED, never ? "5.2.3" : "4.2.2",
        "%s: %s may hold %" PRIu64 " bytes, has %" PRIu64 ", and this message needs %" PRIu64
        "; its owner must delete mail or the "
        "administrator raise the quota",
        never ? "the message is larger than the mailbox may be" : "the mailbox is full",
        d->folder->full, quota, used, size);
}

/* The quota is read once, so that a reload in the middle can't refuse by one limit and tell of
 * another. What can't be counted is a trouble of the system, not of the sender: deferred. */
static bool reserve(struct maildir *m, struct maildir_delivery *d, uint64_t size)
{
    uint64_t used = 0, quota = atomic_load(&m->quota_bytes);

    if (!quota)
        return true;
    int r = mailbox_usage_reserve(&d->folder->record->usage, d->folder->base_fd, size, quota,
                                  clock_monotonic_ms(), &used);
    if (r == 0)
        d->reserved_bytes = size;
    else if (r == -EDQUOT)
        refuse_full(d, size, used, quota);
    else
        mailbox_outcome_set_error(&d->outcome, "count the mailbox", d->folder->full, r);
    return r == 0;
}

/* O_EXCL: a name that somebody planted, as a link or a file, is never opened, only passed by. */
static int create(struct maildir *m, struct maildir_delivery *d)
{
    for (int i = 0; i < NAME_TRIES; i++) {
        make_name(m, d->name);
        d->fd = openat(d->folder->tmp_fd, d->name,
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (d->fd >= 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return -errno;
}

void maildir_begin(struct maildir *m, struct maildir_delivery *d, const struct mailbox_root *root,
                   const char *path, uint64_t size)
{
    if (d->state == MAILDIR_DONE)
        return;
    d->fd = -1;
    int r = mailbox_cache_get(&m->cache, root, path, &d->outcome, &d->folder);
    if (r < 0 || !reserve(m, d, size)) {
        maildir_abandon(m, d);
        return;
    }
    r = create(m, d);
    if (r < 0) {
        /* A cached folder that was deleted: the next attempt makes it again. */
        mailbox_cache_distrust(&m->cache, d->folder);
        fail(m, d, "create", "tmp", r);
    } else {
        set_state(d, MAILDIR_WRITING);
    }
}

/* Drops the first `size` bytes of the parts. */
static void advance(struct iovec **parts, int *count, size_t size)
{
    while (*count > 0 && size >= (*parts)->iov_len) {
        size -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (*count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + size;
        (*parts)->iov_len -= size;
    }
}

void maildir_write(struct maildir *m, struct maildir_delivery *d, struct iovec *parts, int count,
                   uint64_t line_ends)
{
    if (d->state != MAILDIR_WRITING)
        return;
    advance(&parts, &count, 0);
    while (count > 0) {
        ssize_t n = writev(d->fd, parts, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(m, d, "write", "tmp", -errno);
            return;
        }
        d->size_bytes += (uint64_t)n;
        d->wire_bytes += (uint64_t)n;
        advance(&parts, &count, (size_t)n);
    }
    d->wire_bytes += line_ends;
}

/* The file's bytes. fdatasync suffices: it writes all that is needed to read them again. Some file
 * systems tell of a quota only when the file is closed. */
static void sync_file(struct maildir *m, struct maildir_delivery *d)
{
    int r = fdatasync(d->fd) < 0 ? -errno : 0;
    int fd = d->fd;

    d->fd = -1;
    if (close(fd) < 0 && r == 0 && errno != EINTR)
        r = -errno;
    if (r < 0)
        fail(m, d, "sync", "tmp", r);
    else
        set_state(d, MAILDIR_SYNCED);
}

/* Never over a file that is there. File systems without RENAME_NOREPLACE get a link instead. */
static int move(const struct mailbox_folder *f, const char *from, const char *to)
{
    if (renameat2(f->tmp_fd, from, f->new_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (linkat(f->tmp_fd, from, f->new_fd, to, 0) < 0)
        return -errno;
    unlinkat(f->tmp_fd, from, 0);
    return 0;
}

/* With the bytes that were written, not those that were announced. */
static int move_and_count(struct maildir_delivery *d, const char *name)
{
    struct mailbox_usage *usage = &d->folder->record->usage;

    mailbox_usage_lock(usage);
    int r = move(d->folder, d->name, name);
    if (r == 0) {
        mailbox_usage_add(usage, d->reserved_bytes, d->size_bytes);
        d->reserved_bytes = 0;
    }
    mailbox_usage_unlock(usage);
    return r;
}

/* A large message may have come for minutes, or the sync have hung: the folder may be one that was
 * moved away meanwhile.
 * The size is known only now, so the name in new/ isn't the one in tmp/: Dovecot and other readers
 * take ,S= and ,W= from the name and needn't look at the file. Until new/ is synced a power cut may
 * undo the rename; then the queue has no outcome either, and the message comes again. */
static void name_file(struct maildir *m, struct maildir_delivery *d)
{
    char unique[MAILDIR_NAME_MAX], name[MAILDIR_NAME_MAX + 64];
    int r = -EEXIST;

    if (mailbox_cache_look(&m->cache, d->folder, &d->outcome) < 0) {
        maildir_abandon(m, d);
        return;
    }
    memcpy(unique, d->name, sizeof(unique));
    for (int i = 0; i < NAME_TRIES && r == -EEXIST; i++) {
        if (i > 0)
            make_name(m, unique);
        snprintf(name, sizeof(name), "%s,S=%" PRIu64 ",W=%" PRIu64, unique, d->size_bytes,
                 d->wire_bytes);
        r = move_and_count(d, name);
    }
    if (r < 0) {
        mailbox_cache_distrust(&m->cache, d->folder);
        fail(m, d, "rename into new/", "tmp", r);
        return;
    }
    memcpy(d->name, name, sizeof(d->name));
    set_state(d, MAILDIR_NAMED);
}

/* One sync for all deliveries from `begin` on that went into the same new/. When it fails, the
 * names are taken back: the message will come again. A reader may have seen them by then; the
 * second delivery is the price, and losing the message would be a higher one. */
static void sync_names(struct maildir *m, struct maildir_delivery *const *list, size_t begin,
                       size_t count)
{
    const struct mailbox_folder *folder = list[begin]->folder;
    int r = fsync(folder->new_fd) < 0 ? -errno : 0;

    for (size_t i = begin; i < count; i++) {
        struct maildir_delivery *d = list[i];
        if (d->state != MAILDIR_NAMED || d->folder != folder)
            continue;
        if (r < 0) {
            fail(m, d, "sync the folder of", "new", r);
            continue;
        }
        mailbox_outcome_set_delivered(&d->outcome, folder->full, d->name);
        release(m, d);
        set_state(d, MAILDIR_DONE);
    }
}

void maildir_commit(struct maildir *m, struct maildir_delivery *const *list, size_t count)
{
    /* All writing begins before the first sync waits, so that it finds all blocks allocated and
     * its journal commit serves the others too. An error shows at the sync. */
    for (size_t i = 0; i < count && count > 1; i++)
        if (list[i]->state == MAILDIR_WRITING)
            sync_file_range(list[i]->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < count; i++)
        if (list[i]->state == MAILDIR_WRITING)
            sync_file(m, list[i]);
    for (size_t i = 0; i < count; i++)
        if (list[i]->state == MAILDIR_SYNCED)
            name_file(m, list[i]);
    for (size_t i = 0; i < count; i++)
        if (list[i]->state == MAILDIR_NAMED)
            sync_names(m, list, i, count);
}
