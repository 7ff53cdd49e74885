/*
 * The `file` store: a folder a lane, a file a segment. Bulk goes past the page cache (O_DIRECT)
 * where the file system lets it: bodies are written once, in large pieces, and copying them there
 * first would cost more than all else that is done with them.
 *
 *   lock                     flock: the lease
 *   log-XXXXXXXXXXXXXXXX     segments by their numbers, 16 hexadecimal digits
 *   bulk-XXXXXXXXXXXXXXXX
 *   new-…, ….tmp             unfinished, removed at the next start
 *   aside-…                  damaged or not ours, kept for people
 *   other names              put_file()
 *
 * Every change of a name is followed by a sync of the folder before the call returns.
 */
#include "spool/store.h"

#include "base/list.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_BYTES = 128,
    DIRECT_ALIGN = 4096,
    FILL_BYTES = 1 << 20,      /* a write of zeros */
    FILL_SYNC_BYTES = 8 << 20, /* synced in steps: one large burst would hold up group commits */
    PARTS_MAX = 1024,          /* IOV_MAX on Linux */
};

struct file_store {
    struct store store;
    int folder_fd, lock_fd;
};

struct store_segment {
    struct file_store *store;
    enum store_kind kind;
    uint64_t number;
    int fd;
    bool is_direct; /* `fd` is O_DIRECT: it takes and gives only what is aligned */
};

static struct file_store *file_store(struct store *store)
{
    return CONTAINER_OF(store, struct file_store, store);
}

static const char *kind_name(enum store_kind kind)
{
    return kind == STORE_LOG ? "log" : "bulk";
}

static void segment_name(char out[static NAME_BYTES], enum store_kind kind, uint64_t number)
{
    snprintf(out, NAME_BYTES, "%s-%016llx", kind_name(kind), (unsigned long long)number);
}

/* 0, or -EINVAL when `name` isn't a segment's. */
static int parse_name(const char *name, enum store_kind *out_kind, uint64_t *out_number)
{
    unsigned long long number;
    char canonical[NAME_BYTES];
    enum store_kind kind;

    if (sscanf(name, "log-%16llx", &number) == 1)
        kind = STORE_LOG;
    else if (sscanf(name, "bulk-%16llx", &number) == 1)
        kind = STORE_BULK;
    else
        return -EINVAL;
    segment_name(canonical, kind, number);
    if (strcmp(canonical, name) != 0)
        return -EINVAL;
    *out_kind = kind;
    *out_number = number;
    return 0;
}

static bool is_unfinished(const char *name)
{
    size_t size = strlen(name);
    return strncmp(name, "new-", 4) == 0 || (size > 4 && strcmp(name + size - 4, ".tmp") == 0);
}

static int sync_folder(struct file_store *s)
{
    return fsync(s->folder_fd) < 0 ? -errno : 0;
}

/* Calls `each` for every name in the folder until it fails. */
static int each_name(struct file_store *s, int (*each)(struct file_store *, const char *, void *),
                     void *arg)
{
    int fd = openat(s->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int r = 0;

    if (!dir) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (r == 0) {
        errno = 0;
        entry = readdir(dir);
        if (!entry) {
            r = -errno;
            break;
        }
        r = each(s, entry->d_name, arg);
    }
    closedir(dir);
    return r;
}

/* A folder of such a name is somebody else's: it stays, and holds up nobody. */
static int remove_file_of_ours(struct file_store *s, const char *name)
{
    return unlinkat(s->folder_fd, name, 0) < 0 && errno != EISDIR ? -errno : 0;
}

/* Under a name that nothing has: what was put aside before stays, too. */
static int rename_aside(struct file_store *s, const char *name, const char *reason)
{
    enum { TRIES = 100 };
    char aside[2 * NAME_BYTES];
    int r = -EEXIST;

    for (int i = 1; r == -EEXIST && i <= TRIES; i++) {
        int size = snprintf(aside, sizeof(aside), "aside-%s-%.64s", name, reason);
        if (i > 1)
            snprintf(aside + size, sizeof(aside) - (size_t)size, "-%d", i);
        r = renameat2(s->folder_fd, name, s->folder_fd, aside, RENAME_NOREPLACE) < 0 ? -errno : 0;
    }
    return r;
}

static int remove_unfinished(struct file_store *s, const char *name, void *arg)
{
    (void)arg;
    return is_unfinished(name) ? remove_file_of_ours(s, name) : 0;
}

/* Who only looks whether there is a lease holds it for an instant: so ask more than once. Twenty
 * tries, 5 ms apart: a look takes microseconds, another owner stays. */
static int take_lease(int fd)
{
    enum { TRIES = 20 };
    const struct timespec pause = {.tv_nsec = 5000000};

    for (int i = 1; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK || i == TRIES)
            return -errno;
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* By taking a shared lock for an instant: the owner's is exclusive, and two who look don't disturb
 * each other. No file: no server ever had this lane. */
static int file_is_leased(struct store *store)
{
    int fd = openat(file_store(store)->folder_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        r = errno == EWOULDBLOCK ? 1 : -errno;
    close(fd);
    return r;
}

/* The lease first: without it `new-…` and `.tmp` files may be what a living owner is just writing.
 * The book and the audit only read, beside an owner. */
static int file_open_lane(struct store *store, bool read_only)
{
    struct file_store *s = file_store(store);

    if (read_only)
        return 0;
    s->lock_fd = openat(s->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return -errno;
    int r = take_lease(s->lock_fd);
    if (r == 0)
        r = each_name(s, remove_unfinished, NULL);
    /* A name whose own sync failed, or was cut off by a kill, is trusted from here on. */
    return r < 0 ? r : sync_folder(s);
}

struct listing {
    void (*found)(void *arg, const struct store_entry *entry);
    void *arg;
};

static int list_one(struct file_store *s, const char *name, void *arg)
{
    const struct listing *listing = arg;
    struct store_entry entry = {0};
    struct stat st;

    if (parse_name(name, &entry.kind, &entry.number) < 0)
        return 0;
    if (fstatat(s->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno; /* a follower lists while the spool recycles */
    if (!S_ISREG(st.st_mode))
        return 0;
    entry.size_bytes = (uint64_t)st.st_size;
    listing->found(listing->arg, &entry);
    return 0;
}

static int file_list(struct store *store, void (*found)(void *arg, const struct store_entry *entry),
                     void *arg)
{
    struct listing listing = {found, arg};
    return each_name(file_store(store), list_one, &listing);
}

/* Bulk is O_DIRECT where the file system takes the flag; where it doesn't, all goes through the
 * page cache. */
static int segment_of(struct file_store *s, enum store_kind kind, uint64_t number, int fd,
                      struct store_segment **out)
{
    struct store_segment *segment = malloc(sizeof(*segment));
    if (!segment)
        return -ENOMEM;
    *segment = (struct store_segment){.store = s, .kind = kind, .number = number, .fd = fd};
    segment->is_direct = kind == STORE_BULK && fcntl(fd, F_SETFL, O_DIRECT) == 0;
    *out = segment;
    return 0;
}

/* A short write goes on where it stopped; what has been written may stay when it fails. */
static int write_parts(int fd, uint64_t offset, const struct iovec *parts, int count)
{
    struct iovec rest[PARTS_MAX];
    int at = 0;
    size_t done_of_first = 0;

    while (at < count) {
        int n = count - at < PARTS_MAX ? count - at : PARTS_MAX;
        memcpy(rest, parts + at, (size_t)n * sizeof(*rest));
        rest[0].iov_base = (char *)rest[0].iov_base + done_of_first;
        rest[0].iov_len -= done_of_first;
        ssize_t written = pwritev(fd, rest, n, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        offset += (uint64_t)written;
        size_t left = (size_t)written;
        int i = 0;
        while (i < n && left >= rest[i].iov_len)
            left -= rest[i++].iov_len;
        if (i == 0 && left == 0 && written == 0)
            return -EIO;
        done_of_first = i ? left : done_of_first + left;
        at += i;
    }
    return 0;
}

/* Zeros are really written, and not only reserved: writing into blocks that are reserved but
 * unwritten changes the file's map of blocks, so each group's fdatasync would have to commit the
 * file system's journal, too. Overwriting written blocks is one write and one flush. */
static int fill_zeros(int fd, uint64_t size)
{
    char *zeros = calloc(1, FILL_BYTES);
    int r = zeros ? 0 : -ENOMEM;

    for (uint64_t at = 0; r == 0 && at < size; at += FILL_BYTES) {
        struct iovec part = {zeros, size - at < FILL_BYTES ? size - at : FILL_BYTES};
        r = write_parts(fd, at, &part, 1);
        if (r == 0 && at % FILL_SYNC_BYTES == 0 && fdatasync(fd) < 0)
            r = -errno;
    }
    free(zeros);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r;
}

static int look_at_disk(int fd, struct store_space *out)
{
    struct statvfs st;

    if (fstatvfs(fd, &st) < 0)
        return -errno;
    *out = (struct store_space){.free_bytes = (uint64_t)st.f_bavail * st.f_frsize,
                                .free_inodes =
                                    st.f_files ? st.f_favail : UINT64_MAX}; /* btrfs counts none */
    return 0;
}

/* Bulk is written in large pieces, so allocating it is enough; a log needs written blocks. Where
 * fallocate isn't known at all (EOPNOTSUPP), zeros do it. What can't fit isn't begun: each try
 * would fill the disk to its end, and whoever else writes there would find it full meanwhile. */
static int make_room(int fd, enum store_kind kind, uint64_t size)
{
    struct store_space space = {.free_bytes = UINT64_MAX};

    (void)look_at_disk(fd, &space); /* one that doesn't tell is tried */
    if (space.free_bytes < size)
        return -ENOSPC;
    if (kind == STORE_BULK && fallocate(fd, 0, 0, (off_t)size) == 0)
        return fsync(fd) < 0 ? -errno : 0;
    if (kind == STORE_BULK && errno != EOPNOTSUPP)
        return -errno;
    return fill_zeros(fd, size);
}

/* Whatever has it. */
static bool is_taken(struct file_store *s, const char *name)
{
    struct stat st;
    return fstatat(s->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int file_create_segment(struct store *store, enum store_kind kind, uint64_t number,
                               uint64_t size_bytes, struct store_segment **out)
{
    struct file_store *s = file_store(store);
    char name[NAME_BYTES], unfinished[NAME_BYTES + 8], *made = unfinished;
    struct store_segment *segment = NULL;
    int r;

    segment_name(name, kind, number);
    if (is_taken(s, name)) /* the rename says so, too, but only when all of it is written */
        return -EEXIST;
    /* Made under another name: a start after a crash finds whole segments only. */
    snprintf(unfinished, sizeof(unfinished), "new-%s", name);
    int fd =
        openat(s->folder_fd, unfinished, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) /* somebody's folder is in the way, as under the name itself */
        return errno == EISDIR ? -EEXIST : -errno;
    r = make_room(fd, kind, size_bytes);
    if (r == 0)
        r = segment_of(s, kind, number, fd, &segment);
    /* Never over another segment, whatever number was asked for. */
    if (r == 0 && renameat2(s->folder_fd, unfinished, s->folder_fd, name, RENAME_NOREPLACE) < 0)
        r = -errno;
    if (r == 0) {
        made = name;
        r = sync_folder(s);
    }
    if (r < 0) {
        close(fd);
        free(segment);
        unlinkat(s->folder_fd, made, 0);
        return r;
    }
    *out = segment;
    return 0;
}

static int file_open_segment(struct store *store, enum store_kind kind, uint64_t number,
                             bool read_only, struct store_segment **out)
{
    struct file_store *s = file_store(store);
    char name[NAME_BYTES];

    segment_name(name, kind, number);
    int fd = openat(s->folder_fd, name, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int r = segment_of(s, kind, number, fd, out);
    if (r < 0)
        close(fd);
    return r;
}

static int open_again(const struct store_segment *segment, int flags)
{
    char name[NAME_BYTES];

    segment_name(name, segment->kind, segment->number);
    return openat(segment->store->folder_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
}

/* What the disk doesn't take as it is goes through the page cache. An error that shows up later is
 * the next sync's, whose descriptor is older. Linux reports a failed write-back once to each
 * descriptor that was open before it: so `segment->fd` learns of it, though another one wrote. */
static int write_cached(struct store_segment *segment, uint64_t offset, const struct iovec *parts,
                        int count)
{
    int fd = open_again(segment, O_WRONLY);
    if (fd < 0)
        return -errno;
    int r = write_parts(fd, offset, parts, count);
    close(fd);
    return r;
}

static int file_write(struct store_segment *segment, uint64_t offset, const struct iovec *parts,
                      int count)
{
    int r = write_parts(segment->fd, offset, parts, count);
    return r == -EINVAL && segment->is_direct ? write_cached(segment, offset, parts, count) : r;
}

/* fdatasync: sizes never change, and times needn't survive. */
static int file_sync(struct store_segment *segment)
{
    return fdatasync(segment->fd) < 0 ? -errno : 0;
}

static ssize_t read_all(int fd, uint64_t offset, char *to, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The range widened to what O_DIRECT asks for, through a buffer of our own. */
static ssize_t read_widened(int fd, uint64_t offset, char *to, size_t size)
{
    uint64_t start = offset / DIRECT_ALIGN * DIRECT_ALIGN;
    uint64_t end = (offset + size + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
    size_t skip = offset - start;
    void *bounce;

    if (posix_memalign(&bounce, DIRECT_ALIGN, end - start) != 0)
        return -ENOMEM;
    ssize_t n = read_all(fd, start, bounce, end - start);
    if (n >= 0) {
        n = (size_t)n > skip ? n - (ssize_t)skip : 0;
        if ((size_t)n > size)
            n = (ssize_t)size;
        memcpy(to, (char *)bounce + skip, (size_t)n);
    }
    free(bounce);
    return n;
}

/* Straight into `to` as far as that is aligned, the rest through a buffer. */
static ssize_t read_aligned(int fd, uint64_t offset, char *to, size_t size)
{
    bool fits = offset % DIRECT_ALIGN == 0 && (uintptr_t)to % DIRECT_ALIGN == 0;
    size_t whole = fits ? size / DIRECT_ALIGN * DIRECT_ALIGN : 0;
    ssize_t n = whole ? read_all(fd, offset, to, whole) : 0;

    if (n < 0 || (size_t)n < whole || whole == size)
        return n;
    ssize_t rest = read_widened(fd, offset + whole, to + whole, size - whole);
    return rest < 0 ? rest : n + rest;
}

/* The file system has no O_DIRECT, or the disk's blocks are larger than ours: at least not from
 * clean pages. */
static ssize_t read_cached(struct store_segment *segment, uint64_t offset, char *to, size_t size)
{
    int fd = open_again(segment, O_RDONLY);
    if (fd < 0)
        return -errno;
    posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    ssize_t n = read_all(fd, offset, to, size);
    close(fd);
    return n;
}

static ssize_t read_direct(struct store_segment *segment, uint64_t offset, char *to, size_t size)
{
    int fd = open_again(segment, O_RDONLY | O_DIRECT);
    if (fd < 0)
        return -errno;
    ssize_t n = read_widened(fd, offset, to, size);
    close(fd);
    return n;
}

static ssize_t file_read(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                         int flags)
{
    ssize_t n;

    if (segment->is_direct)
        n = read_aligned(segment->fd, offset, buf, size);
    else if (flags & STORE_READ_DIRECT)
        n = read_direct(segment, offset, buf, size);
    else
        return read_all(segment->fd, offset, buf, size);
    return n == -EINVAL ? read_cached(segment, offset, buf, size) : n;
}

/* The number changes with the rename even if the folder's sync then fails: the file has that name
 * now, whatever a crash would leave. The caller tries again with another number. */
static int file_recycle(struct store_segment *segment, uint64_t new_number)
{
    struct file_store *s = segment->store;
    char name[NAME_BYTES], new_name[NAME_BYTES];

    segment_name(name, segment->kind, segment->number);
    segment_name(new_name, segment->kind, new_number);
    if (renameat2(s->folder_fd, name, s->folder_fd, new_name, RENAME_NOREPLACE) < 0)
        return -errno;
    segment->number = new_number;
    return sync_folder(s);
}

static void file_close_segment(struct store_segment *segment)
{
    close(segment->fd);
    free(segment);
}

/* The handle goes in any case: a segment whose file can't be deleted has another number already
 * (recycle.c), and the next start finds it free. */
static int file_remove(struct store_segment *segment)
{
    struct file_store *s = segment->store;
    char name[NAME_BYTES];
    int r;

    segment_name(name, segment->kind, segment->number);
    r = unlinkat(s->folder_fd, name, 0) < 0 ? -errno : 0;
    file_close_segment(segment);
    return r < 0 ? r : sync_folder(s);
}

static int file_set_aside(struct store_segment *segment, const char *reason)
{
    struct file_store *s = segment->store;
    char name[NAME_BYTES];

    segment_name(name, segment->kind, segment->number);
    int r = rename_aside(s, name, reason);
    file_close_segment(segment);
    return r < 0 ? r : sync_folder(s);
}

/* Written, synced, closed, renamed, folder synced, in this order: a crash before the rename leaves
 * the old file, one after it the new one, never a part. close() counts too: some file systems tell
 * of a full disk only there. */
static int put_over(struct file_store *s, const char *name, const char *unfinished,
                    const struct iovec *parts, int count)
{
    int r;

    int fd = openat(s->folder_fd, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                    0600);
    if (fd < 0)
        return -errno;
    r = write_parts(fd, 0, parts, count);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(s->folder_fd, unfinished, s->folder_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(s->folder_fd, unfinished, 0);
        return r;
    }
    return sync_folder(s);
}

static void set_folder_aside(struct file_store *s, const char *name)
{
    struct stat st;

    if (fstatat(s->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        (void)rename_aside(s, name, "folder"); /* if it stays, the next try says so */
}

/* Somebody's folder under one of the two names would be in the way for ever. */
static int file_put_file(struct store *store, const char *name, const struct iovec *parts,
                         int count)
{
    struct file_store *s = file_store(store);
    char unfinished[NAME_BYTES];

    if (snprintf(unfinished, sizeof(unfinished), "%s.tmp", name) >= (int)sizeof(unfinished))
        return -ENAMETOOLONG;
    int r = put_over(s, name, unfinished, parts, count);
    if (r != -EISDIR)
        return r;
    set_folder_aside(s, name);
    set_folder_aside(s, unfinished);
    return put_over(s, name, unfinished, parts, count);
}

static int file_get_file(struct store *store, const char *name, uint64_t max_bytes, void **out_data,
                         size_t *out_size)
{
    struct file_store *s = file_store(store);
    struct stat st;
    char *data = NULL;
    ssize_t n = 0;
    int r = 0;

    int fd = openat(s->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if ((uint64_t)st.st_size > max_bytes)
        r = -EFBIG;
    else if (!(data = malloc((size_t)st.st_size + 1)))
        r = -ENOMEM;
    else if ((n = read_all(fd, 0, data, (size_t)st.st_size)) < 0)
        r = (int)n;
    close(fd);
    if (r < 0) {
        free(data);
        return r;
    }
    *out_data = data;
    *out_size = (size_t)n;
    return 0;
}

static int file_remove_file(struct store *store, const char *name)
{
    struct file_store *s = file_store(store);
    return unlinkat(s->folder_fd, name, 0) < 0 ? -errno : sync_folder(s);
}

struct removal {
    const char *prefix, *but;
};

static int remove_one(struct file_store *s, const char *name, void *arg)
{
    const struct removal *removal = arg;
    bool goes = strncmp(name, removal->prefix, strlen(removal->prefix)) == 0;
    bool stays = removal->but && strncmp(name, removal->but, strlen(removal->but)) == 0;

    return goes && !stays ? remove_file_of_ours(s, name) : 0;
}

static int file_remove_files(struct store *store, const char *prefix, const char *but)
{
    struct file_store *s = file_store(store);
    int r = each_name(s, remove_one, &(struct removal){prefix, but});
    return r < 0 ? r : sync_folder(s);
}

static int file_space(struct store *store, struct store_space *out)
{
    return look_at_disk(file_store(store)->folder_fd, out);
}

/* Closing the lock's descriptor gives the lease back. */
static void file_close(struct store *store)
{
    struct file_store *s = file_store(store);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    close(s->folder_fd);
    free(s);
}

static const struct store_ops file_ops = {
    .open_lane = file_open_lane,
    .is_leased = file_is_leased,
    .list = file_list,
    .create_segment = file_create_segment,
    .open_segment = file_open_segment,
    .write = file_write,
    .sync = file_sync,
    .read = file_read,
    .recycle = file_recycle,
    .remove = file_remove,
    .set_aside = file_set_aside,
    .close_segment = file_close_segment,
    .put_file = file_put_file,
    .get_file = file_get_file,
    .remove_file = file_remove_file,
    .remove_files = file_remove_files,
    .space = file_space,
    .close = file_close,
};

int store_file_new(int folder_fd, struct store **out)
{
    struct file_store *s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct file_store){.store = {&file_ops}, .folder_fd = folder_fd, .lock_fd = -1};
    *out = &s->store;
    return 0;
}
