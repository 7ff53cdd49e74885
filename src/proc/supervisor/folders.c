/*
 * Only root can make folders for others, so it happens here, before any process is started.
 * Paths come from the configuration, but the last folder on the way may be somebody's, so
 * what was made is opened without following a link.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include "conf/template.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_parents(const char *path)
{
    char parent[PATH_MAX];
    size_t size = strlen(path);

    if (size >= sizeof(parent))
        return -ENAMETOOLONG;
    memcpy(parent, path, size + 1);
    for (char *at = strchr(parent + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(parent, 0755) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    return 0;
}

/* Makes `path` and what is missing above it; only `path` itself gets owner and mode. An existing
 * folder stays as its administrator made it. 0 or -errno. */
static int make_folder(const char *path, mode_t mode, const struct conf_ids *user)
{
    int r = make_parents(path);

    if (r < 0)
        return r;
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : -errno;
    /* mkdir obeys the umask, and leaves out the sticky bit. Whoever owns the folder above may have
     * put a link in its place meanwhile. */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || (user->uid != UINT32_MAX && fchown(fd, user->uid, user->gid) < 0) ||
        fchmod(fd, mode) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (r < 0)
        rmdir(path); /* the next time it would be as its administrator made it */
    return r;
}

static int prepare(struct span path, mode_t mode, const struct conf_ids *user)
{
    char name[PATH_MAX];

    if ((size_t)snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(path)) >= sizeof(name))
        return -ENAMETOOLONG;
    int r = make_folder(name, mode, user);
    if (r < 0)
        log_error("folder %s: %s", name, strerror(-r));
    return r;
}

/* Files alone, and a folder that only its owner may write: one that an administrator made for a
 * group is as he wants it, and a file system's root has folders of root's. */
static bool is_strangers(const struct stat *st, const char *name, uint32_t uid)
{
    if (st->st_uid == uid)
        return false;
    return *name ? S_ISREG(st->st_mode) : (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The first name in it that belongs to somebody else, or "", which is the folder itself; and how
 * many do. */
static size_t count_strangers(DIR *dir, uint32_t uid, char out_first[static NAME_MAX + 1])
{
    struct dirent *entry;
    struct stat st;
    size_t count = 0;

    while ((entry = readdir(dir))) {
        const char *name = strcmp(entry->d_name, ".") == 0 ? "" : entry->d_name;
        if (strcmp(name, "..") == 0 ||
            fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ||
            !is_strangers(&st, name, uid))
            continue;
        if (count++ == 0)
            snprintf(out_first, NAME_MAX + 1, "%s", name);
    }
    return count;
}

/* A copy that root put back is root's, and its process could only say "Permission denied". */
static void check_owner(struct span path, struct span user, uint32_t uid)
{
    char name[PATH_MAX], first[NAME_MAX + 1];

    snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(path));
    DIR *dir = uid == UINT32_MAX ? NULL : opendir(name);
    if (!dir)
        return;
    size_t count = count_strangers(dir, uid, first);
    closedir(dir);
    if (count)
        log_error("ALARM: %s/%s belongs to another user than `" SPAN_FMT "`%s; was it put back by "
                  "root? Mend it with: chown -R " SPAN_FMT ": %s",
                  name, first, SPAN_ARG(user), count > 1 ? ", and so does more in there" : "",
                  SPAN_ARG(user), name);
}

int folders_prepare(const struct conf *conf, const struct conf_ids users[static CONF_USER_COUNT])
{
    struct span control = span_first(conf->control, (size_t)span_find_last(conf->control, '/'));
    const struct conf_ids *queue = &users[CONF_USER_QUEUE];
    int r = prepare(conf->spool, 0700, queue);

    if (r == 0)
        r = prepare(conf->ledger, 0750, queue);
    if (r == 0)
        r = prepare(control, 0755, queue);
    /* Anyone may put a file into the drop folder, nobody but the server may list or remove; files
     * take over its group, which may read them (docs/formats/drop.md). */
    if (r == 0)
        r = prepare(conf->drop, 03733, queue);
    if (r == 0) {
        check_owner(conf->spool, conf->users[CONF_USER_QUEUE], queue->uid);
        check_owner(conf->ledger, conf->users[CONF_USER_QUEUE], queue->uid);
    }
    return r;
}

/* ---- mailboxes ---- */

/* The folders that the templates' values are below, which the mailbox process opens at its start.
 * Sorted; domains that have the same one name it again. */
struct prefixes {
    char **list;
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int prefixes_init(struct prefixes *prefixes, const struct conf *conf)
{
    struct conf_template template;
    const char *why;
    int r = 0;

    *prefixes = (struct prefixes){.list = calloc(conf->domain_count + 1, sizeof(char *))};
    if (!prefixes->list)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < conf->domain_count; i++) {
        r = conf_template_parse(conf->domains[i].template, &template, &why);
        if (r == 0) {
            free(template.rest);
            prefixes->list[prefixes->count++] = template.prefix;
        }
    }
    qsort(prefixes->list, prefixes->count, sizeof(char *), compare);
    return r;
}

static void prefixes_done(struct prefixes *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++)
        free(prefixes->list[i]);
    free(prefixes->list);
}

static int prepare_all(const struct prefixes *wanted, const struct prefixes *old,
                       const struct conf_ids *user)
{
    int r = 0;

    for (size_t i = 0; i < wanted->count; i++) {
        char *const *prefix = &wanted->list[i];
        if (i > 0 && compare(prefix - 1, prefix) == 0)
            continue;
        int error = prepare(span_from_cstr(*prefix), 0711, user);
        if (r == 0 && error < 0 && !bsearch(prefix, old->list, old->count, sizeof(char *), compare))
            r = error;
    }
    return r;
}

int folders_prepare_mailboxes(const struct conf *conf, const struct conf *old,
                              const struct conf_ids *user)
{
    struct prefixes wanted = {0}, before = {0};
    int r = prefixes_init(&wanted, conf);

    if (r == 0)
        r = prefixes_init(&before, old);
    if (r == 0)
        r = prepare_all(&wanted, &before, user);
    else
        log_error("folders of mailboxes: %s", strerror(-r));
    prefixes_done(&wanted);
    prefixes_done(&before);
    return r;
}
