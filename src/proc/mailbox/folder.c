/*
 * The way down is walked with openat() and O_NOFOLLOW, one component at a time; nothing is ever
 * opened by a path of several. What is made is synced from the top down, so that no folder can be
 * lost under a mailbox in which mail was acknowledged.
 */
#include "proc/mailbox/folder.h"

#include "conf/template.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* "root/path", also when the root is "/". Only for people: files are never opened by it. */
static char *full_path(const struct mailbox_root *root, const char *path)
{
    char *full = NULL;
    const char *slash = root->path[strlen(root->path) - 1] == '/' ? "" : "/";
    return asprintf(&full, "%s%s%s", root->path, slash, path) < 0 ? NULL : full;
}

static bool is_link(int parent, const char *name)
{
    struct stat st;
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static int open_folder(int parent, const char *name, int access)
{
    int fd = openat(parent, name, access | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    /* O_DIRECTORY makes the kernel say ENOTDIR for a link as for a file. */
    return errno == ENOTDIR && is_link(parent, name) ? -ELOOP : -errno;
}

/* Folders on the way down are open with O_PATH, which fsync refuses: it is opened again to be read.
 */
static int sync_folder(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Opens `name` in `parent`, making it when it is missing; then *made is set. EEXIST is no failure:
 * another thread, or a reader, was as fast. */
static int enter(int parent, const char *name, int access, bool *made)
{
    int fd = open_folder(parent, name, access);
    if (fd != -ENOENT)
        return fd;
    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    *made = true;
    return open_folder(parent, name, access);
}

/* The same, and the parent is synced when something was made. Before anything is made in it: a file
 * that is synced in a folder whose own name is lost in a power cut would be lost with it. */
static int enter_durably(int parent, const char *name, int access)
{
    bool made = false;
    int fd = enter(parent, name, access, &made);
    int r = fd >= 0 && made ? sync_folder(parent) : 0;

    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* The way from the root down to the mailbox. On failure *out_done says how much of `path` was
 * walked, with the component that failed. */
static int walk(const struct mailbox_root *root, const char *path, size_t *out_done)
{
    char name[CONF_TEMPLATE_PART_MAX + 1];
    int at = root->fd;

    for (size_t begin = 0; path[begin];) {
        size_t size = strcspn(path + begin, "/");
        *out_done = begin + size;
        if (size > CONF_TEMPLATE_PART_MAX)
            return -ENAMETOOLONG;
        memcpy(name, path + begin, size);
        name[size] = 0;
        int next = enter_durably(at, name, O_PATH);
        if (at != root->fd)
            close(at);
        if (next < 0)
            return next;
        at = next;
        begin += size + (path[begin + size] == '/');
    }
    return at;
}

static int identify(struct mailbox_folder *f)
{
    const int fds[] = {f->base_fd, f->tmp_fd, f->new_fd};
    struct stat st;

    _Static_assert(ARRAY_SIZE(fds) == ARRAY_SIZE(f->record->identity.parts), "one for each");
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        if (fstat(fds[i], &st) < 0)
            return -errno;
        f->record->identity.parts[i].device = st.st_dev;
        f->record->identity.parts[i].inode = st.st_ino;
    }
    return 0;
}

/* tmp/ and new/ are kept open; cur/ is only made, for the readers. One sync for all three. */
static int open_parts(struct mailbox_folder *f, const char **out_part)
{
    bool made = false;

    *out_part = "tmp";
    f->tmp_fd = enter(f->base_fd, "tmp", O_RDONLY, &made);
    if (f->tmp_fd < 0)
        return f->tmp_fd;
    *out_part = "cur";
    int cur_fd = enter(f->base_fd, "cur", O_PATH, &made);
    if (cur_fd < 0)
        return cur_fd;
    close(cur_fd);
    *out_part = "new";
    f->new_fd = enter(f->base_fd, "new", O_RDONLY, &made);
    if (f->new_fd < 0)
        return f->new_fd;
    int r = made ? sync_folder(f->base_fd) : 0;
    return r < 0 ? r : identify(f);
}

static int open_all(struct mailbox_folder *f, struct mailbox_outcome *outcome)
{
    char failed[MAILBOX_TEXT_MAX];
    const char *part = "";
    size_t done = 0;
    int r = walk(f->record->root, f->record->path, &done);

    if (r < 0) {
        size_t prefix = strlen(f->full) - strlen(f->record->path);
        snprintf(failed, sizeof(failed), "%.*s", (int)(prefix + done), f->full);
    } else {
        f->base_fd = r;
        r = open_parts(f, &part);
        snprintf(failed, sizeof(failed), "%s/%s", f->full, part);
    }
    if (r < 0)
        mailbox_outcome_set_error(outcome, "open the mailbox's folder", failed, r);
    return r;
}

int mailbox_folder_open(const struct mailbox_root *root, const char *path,
                        struct mailbox_outcome *outcome, struct mailbox_folder **out)
{
    struct mailbox_folder *f = calloc(1, sizeof(*f));
    int r = -ENOMEM;

    if (f) {
        *f = (struct mailbox_folder){.base_fd = -1, .tmp_fd = -1, .new_fd = -1};
        f->record = mailbox_record_new(root, path);
        f->full = full_path(root, path);
    }
    if (!f || !f->record || !f->full)
        mailbox_outcome_set_error(outcome, "open the mailbox", path, r);
    else
        r = open_all(f, outcome);
    if (r < 0)
        mailbox_folder_free(f);
    else
        *out = f;
    return r < 0 ? r : 0;
}

bool mailbox_folder_same(const struct mailbox_folder *a, const struct mailbox_folder *b)
{
    return mailbox_record_is_same(a->record, b->record);
}

void mailbox_folder_free(struct mailbox_folder *f)
{
    if (!f)
        return;
    close_fd(&f->base_fd);
    close_fd(&f->tmp_fd);
    close_fd(&f->new_fd);
    mailbox_record_free(f->record);
    free(f->full);
    free(f);
}

/* A regular file that nobody wrote, renamed or linked for so long. The later of the two times: a
 * copy may keep an old mtime, and a file may be written long after it was made. */
static bool is_left_over(int folder, const char *name, int64_t now_s)
{
    struct stat st;

    if (name[0] == '.' || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode))
        return false;
    int64_t last = st.st_mtime > st.st_ctime ? st.st_mtime : st.st_ctime;
    return now_s - last >= MAILBOX_SWEEP_AGE_S;
}

/* Through a descriptor of its own: fdopendir() takes it over, and its place is moved by readdir().
 * Errors are nobody's concern: what stays is looked at again in an hour. */
unsigned mailbox_folder_sweep(struct mailbox_folder *f, int64_t now_s)
{
    unsigned removed = 0;
    int fd = openat(f->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        close_fd(&fd);
        return 0;
    }
    for (unsigned i = 0; i < MAILBOX_SWEEP_FILES_MAX; i++) {
        const struct dirent *entry = readdir(dir);
        if (!entry)
            break;
        if (is_left_over(fd, entry->d_name, now_s) && unlinkat(fd, entry->d_name, 0) == 0)
            removed++;
    }
    closedir(dir);
    return removed;
}
