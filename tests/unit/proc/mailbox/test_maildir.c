#include "faults.h"
#include "scratch.h"

#include "base/clock.h"
#include "proc/mailbox/maildir.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT "Subject: x\n\nhello\n"

static struct maildir *new_maildir(uint64_t quota)
{
    static struct maildir m;
    fault_clear();
    maildir_init(&m, SPAN("Mail.X/y:z.test"), quota, 4);
    return &m;
}

static void begin(struct maildir *m, struct maildir_delivery *d, const struct mailbox_root *root,
                  const char *path, const char *text)
{
    struct iovec part = {(char *)text, strlen(text)};
    *d = (struct maildir_delivery){.fd = -1};
    maildir_begin(m, d, root, path, strlen(text));
    maildir_write(m, d, &part, 1, 3);
}

static void deliver(struct maildir *m, struct maildir_delivery *d, const struct scratch *s,
                    const char *path)
{
    begin(m, d, &s->root, path, TEXT);
    maildir_commit(m, &d, 1);
    assert_int_equal(d->state, MAILDIR_DONE);
}

static void assert_file_is_text(const struct scratch *s, const char *folder, char name[static 256])
{
    struct span file = scratch_only_file(s, folder, name);
    assert_span(file, TEXT);
    free((void *)file.data);
}

static void delivers(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char name[256], path[1600];
    struct stat st;
    long long seconds, micros, pid, counter, size, wire;

    umask(0);
    deliver(m, &d, s, "a.test/bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
    assert_string_equal(d.outcome.status, "2.0.0");
    assert_int_equal(scratch_count(s, "a.test/bob/tmp"), 0);
    assert_file_is_text(s, "a.test/bob/new", name);
    assert_int_equal(sscanf(name, "%lld.M%6lldP%lld_Q%lld.mail.x_y_z.test,S=%lld,W=%lld", &seconds,
                            &micros, &pid, &counter, &size, &wire),
                     6);
    assert_int_equal(pid, getpid());
    assert_int_equal(size, strlen(TEXT));
    assert_int_equal(wire, strlen(TEXT) + 3);
    snprintf(path, sizeof(path), "%s/a.test/bob/new/%s", s->path, name);
    assert_string_equal(d.outcome.place, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    maildir_done(m);
}

/* A batch syncs each file, but each new/ only once. */
static void batch(void **state)
{
    enum { COUNT = 24 };
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery *list[COUNT];
    char path[32];

    for (int i = 0; i < COUNT; i++) {
        list[i] = calloc(1, sizeof(*list[i]));
        snprintf(path, sizeof(path), "box%d", i % 6); /* more than the cache holds */
        begin(m, list[i], &s->root, path, TEXT);
    }
    fault_clear();
    maildir_commit(m, list, COUNT);
    assert_int_equal(fault_calls(FAULT_FDATASYNC), COUNT);
    assert_int_equal(fault_calls(FAULT_FSYNC), 6);
    assert_true(m->cache.count <= m->cache.max);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(list[i]->outcome.result, IPC_OUTCOME_DELIVERED);
        free(list[i]);
    }
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "box%d/new", i);
        assert_int_equal(scratch_count(s, path), COUNT / 6);
    }
    maildir_done(m);
}

/* Each call fails with each error: nothing stays, the outcome says who must act, and the next
 * attempt succeeds. */
static void errors(void **state)
{
    static const struct {
        enum fault_call call;
        int error;
        const char *status;
        enum ipc_scope scope;
    } cases[] = {
        {FAULT_WRITEV, EDQUOT, "4.2.2", IPC_SCOPE_RECIPIENT},
        {FAULT_WRITEV, ENOSPC, "4.3.1", IPC_SCOPE_DESTINATION},
        {FAULT_WRITEV, EIO, "4.3.0", IPC_SCOPE_DESTINATION},
        {FAULT_WRITEV, ENOMEM, "4.3.0", IPC_SCOPE_OURS},
        {FAULT_RENAMEAT2, ENOMEM, "4.3.0", IPC_SCOPE_OURS},
        {FAULT_WRITEV, EFBIG, "4.3.0", IPC_SCOPE_RECIPIENT},
        {FAULT_FDATASYNC, EIO, "4.3.0", IPC_SCOPE_DESTINATION},
        {FAULT_FDATASYNC, ENOSPC, "4.3.1", IPC_SCOPE_DESTINATION},
        {FAULT_FDATASYNC, EDQUOT, "4.2.2", IPC_SCOPE_RECIPIENT},
        {FAULT_RENAMEAT2, EACCES, "4.3.5", IPC_SCOPE_RECIPIENT},
        {FAULT_RENAMEAT2, EROFS, "4.3.0", IPC_SCOPE_DESTINATION},
        {FAULT_RENAMEAT2, ENOSPC, "4.3.1", IPC_SCOPE_DESTINATION},
        {FAULT_RENAMEAT2, EEXIST, "4.3.0", IPC_SCOPE_RECIPIENT},
        {FAULT_FSYNC, EIO, "4.3.0", IPC_SCOPE_DESTINATION},
    };
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char name[256], folder[32];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        snprintf(folder, sizeof(folder), "box%zu", i);
        scratch_mkdir(s, folder);
        char sub[40];
        for (int k = 0; k < 3; k++) {
            snprintf(sub, sizeof(sub), "%s/%s", folder, k == 0 ? "tmp" : k == 1 ? "new" : "cur");
            scratch_mkdir(s, sub);
        }
        fault_set(cases[i].call, 1, 100, cases[i].error);
        deliver(m, &d, s, folder);
        assert_int_equal(d.outcome.result, IPC_OUTCOME_DEFERRED);
        assert_string_equal(d.outcome.status, cases[i].status);
        assert_int_equal(d.outcome.scope, cases[i].scope);
        assert_string_equal(d.outcome.place, "");
        assert_true(strstr(d.outcome.text, folder) > strstr(d.outcome.text, ": "));
        snprintf(sub, sizeof(sub), "%s/tmp", folder);
        assert_int_equal(scratch_count(s, sub), 0);
        snprintf(sub, sizeof(sub), "%s/new", folder);
        assert_int_equal(scratch_count(s, sub), 0);
        fault_clear();
        deliver(m, &d, s, folder);
        assert_file_is_text(s, sub, name);
    }
    maildir_done(m);
}

/* One bad file of a batch spoils none of the others. */
static void one_bad_of_many(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d[3], *list[] = {&d[0], &d[1], &d[2]};

    for (int i = 0; i < 3; i++)
        begin(m, list[i], &s->root, "bob", TEXT);
    fault_set(FAULT_FDATASYNC, 2, 1, EIO);
    maildir_commit(m, list, 3);
    assert_int_equal(d[0].outcome.result, IPC_OUTCOME_DELIVERED);
    assert_int_equal(d[1].outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(d[2].outcome.result, IPC_OUTCOME_DELIVERED);
    assert_int_equal(scratch_count(s, "bob/new"), 2);
    assert_int_equal(scratch_count(s, "bob/tmp"), 0);
    maildir_done(m);
}

static void short_writes(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char name[256];

    fault_set(FAULT_WRITEV, 1, 10, FAULT_SHORT);
    deliver(m, &d, s, "bob");
    assert_file_is_text(s, "bob/new", name);
    maildir_done(m);
}

static void a_name_that_is_taken(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char name[256];

    fault_set(FAULT_RENAMEAT2, 1, 1, EEXIST);
    deliver(m, &d, s, "bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
    assert_file_is_text(s, "bob/new", name);
    assert_int_equal(scratch_count(s, "bob/tmp"), 0);
    maildir_done(m);
}

static void file_system_without_noreplace(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char name[256];

    fault_set(FAULT_RENAMEAT2, 1, 100, EINVAL);
    deliver(m, &d, s, "bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
    assert_file_is_text(s, "bob/new", name);
    assert_int_equal(scratch_count(s, "bob/tmp"), 0);
    maildir_done(m);
}

/* The process dies in front of its n-th call, for every n: new/ holds nothing or the whole. */
static void killed_anywhere(void **state)
{
    struct scratch *s = *state;
    int n = 0, killed = 0, status = -1;

    for (n = 1; n < 100 && status != 0; n++) {
        char path[32], folder[40], name[256];
        snprintf(path, sizeof(path), "box%d", n);
        pid_t child = fork();
        if (child == 0) {
            struct maildir *m = new_maildir(0);
            struct maildir_delivery d;
            fault_set(FAULT_ANY, n, 1, FAULT_KILL);
            deliver(m, &d, s, path);
            _exit(d.outcome.result != IPC_OUTCOME_DELIVERED);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        snprintf(folder, sizeof(folder), "%s/new", path);
        if (scratch_count(s, folder) > 0)
            assert_file_is_text(s, folder, name);
    }
    assert_int_equal(status, 0);
    assert_int_equal(killed, 6); /* two folder syncs, write, sync, rename, sync */
}

static void quota(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(2 * strlen(TEXT));
    struct maildir_delivery d[3], *list[] = {&d[0], &d[1], &d[2]};

    for (int i = 0; i < 3; i++)
        begin(m, list[i], &s->root, "bob", TEXT);
    maildir_commit(m, list, 3);
    assert_int_equal(d[1].outcome.result, IPC_OUTCOME_DELIVERED);
    assert_int_equal(d[2].outcome.result, IPC_OUTCOME_DEFERRED);
    assert_string_equal(d[2].outcome.status, "4.2.2");
    assert_memory_equal(d[2].outcome.text, "the mailbox is full: ", 21);
    assert_non_null(strstr(d[2].outcome.text, s->path));
    assert_int_equal(scratch_count(s, "bob/tmp"), 0);
    deliver(m, &d[0], s, "eve");
    assert_int_equal(d[0].outcome.result, IPC_OUTCOME_DELIVERED);
    begin(m, &d[0], &s->root, "eve", TEXT TEXT TEXT);
    assert_int_equal(d[0].outcome.result, IPC_OUTCOME_FAILED);
    assert_string_equal(d[0].outcome.status, "5.2.3");
    maildir_done(m);
}

/* A failed delivery gives its part of the quota back. */
static void quota_is_given_back(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(strlen(TEXT));
    struct maildir_delivery d;

    for (int i = 0; i < 3; i++) {
        fault_set(FAULT_FDATASYNC, 1, 1, EIO);
        deliver(m, &d, s, "bob");
        assert_string_equal(d.outcome.status, "4.3.0");
    }
    deliver(m, &d, s, "bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
    maildir_done(m);
}

struct meanwhile {
    struct maildir *m;
    const struct scratch *s;
    const char *path;
    struct maildir_delivery delivery;
};

/* Too large for what is left, so that the mailbox is counted anew. */
static void refuse_one(void *arg)
{
    struct meanwhile *w = arg;
    begin(w->m, &w->delivery, &w->s->root, w->path, TEXT TEXT);
}

/* More mailboxes in turn than are kept open: each is counted, and its tmp/ swept, the first time.
 */
static void closed_mailboxes_are_not_counted_again(void **state)
{
    enum { BOXES = 10 };
    struct scratch *s = *state;
    struct maildir *m = new_maildir(3 * strlen(TEXT));
    struct maildir_delivery d;
    char path[32];

    for (int i = 0; i < 3 * BOXES; i++) {
        if (i % BOXES == 0)
            fault_clear();
        snprintf(path, sizeof(path), "box%d", i % BOXES);
        deliver(m, &d, s, path);
        assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
        assert_true((fault_calls(FAULT_READDIR) > 0) == (i < BOXES));
    }
    assert_true(m->cache.count <= 4);
    assert_int_equal(m->cache.records.count, BOXES);
    maildir_done(m);
}

/* A count while another's file is in new/ and waits for its sync: it counts once. Twice would put
 * off the second message, for which there is room; not at all would let the third one in. */
static void quota_is_counted_during_a_sync(void **state)
{
    static const struct {
        const char *path, *new;
        int error, delivered;
    } cases[] = {{"bob", "bob/new", 0, 1}, {"eve", "eve/new", EIO, 2}};
    struct scratch *s = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct maildir *m = new_maildir(2 * strlen(TEXT));
        struct maildir_delivery d;
        struct meanwhile w = {.m = m, .s = s, .path = cases[i].path};

        begin(m, &d, &s->root, w.path, TEXT);
        if (cases[i].error)
            fault_set(FAULT_FSYNC, 1, 1, cases[i].error);
        else
            fault_clear();
        fault_before_fsync(refuse_one, &w);
        maildir_commit(m, &(struct maildir_delivery *){&d}, 1);
        assert_true((d.outcome.result == IPC_OUTCOME_DELIVERED) == (cases[i].error == 0));
        assert_string_equal(w.delivery.outcome.status, "4.2.2");
        for (int k = 0; k < cases[i].delivered; k++) {
            deliver(m, &d, s, w.path);
            assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
        }
        deliver(m, &d, s, w.path);
        assert_string_equal(d.outcome.status, "4.2.2");
        assert_int_equal(scratch_count(s, cases[i].new), 2);
        maildir_done(m);
    }
}

/* A mailbox that is deleted or moved away while its folder is cached. */
static void folder_vanishes(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char from[512], to[512], name[256];

    deliver(m, &d, s, "bob");
    snprintf(from, sizeof(from), "%s/bob/tmp", s->path);
    assert_int_equal(rmdir(from), 0);
    deliver(m, &d, s, "bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DEFERRED);
    deliver(m, &d, s, "bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
    snprintf(from, sizeof(from), "%s/bob", s->path);
    snprintf(to, sizeof(to), "%s/away", s->path);
    assert_int_equal(rename(from, to), 0);
    usleep((MAILBOX_CACHE_TRUST_MS + 20) * 1000);
    deliver(m, &d, s, "bob");
    assert_file_is_text(s, "bob/new", name);
    maildir_done(m);
}

/* Moved away, put back, or a copy put in its place: mail never goes on into what the path doesn't
 * name. Each time a mailbox that isn't open yet, so that nothing waits for a second to pass. */
static void root_vanishes(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char root_path[512], away[512], name[256];

    scratch_mkdir(s, "mail");
    snprintf(root_path, sizeof(root_path), "%s/mail", s->path);
    snprintf(away, sizeof(away), "%s/away", s->path);
    struct mailbox_root root = {open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC), root_path};
    assert_true(root.fd >= 0);
    assert_int_equal(rename(root_path, away), 0);
    begin(m, &d, &root, "bob", TEXT);
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(d.outcome.scope, IPC_SCOPE_DESTINATION);
    assert_non_null(strstr(d.outcome.text, root_path));
    scratch_write(s, "mail", "a file");
    begin(m, &d, &root, "bob", TEXT);
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(unlink(root_path), 0);
    assert_int_equal(rename(away, root_path), 0);
    assert_false(m->cache.outdated);

    begin(m, &d, &root, "bob", TEXT);
    maildir_commit(m, &(struct maildir_delivery *){&d}, 1);
    assert_file_is_text(s, "mail/bob/new", name);

    assert_int_equal(rename(root_path, away), 0);
    scratch_mkdir(s, "mail");
    begin(m, &d, &root, "eve", TEXT);
    assert_int_equal(d.state, MAILDIR_DONE);
    assert_int_equal(d.outcome.result, IPC_OUTCOME_UNTRIED);
    assert_int_equal(d.outcome.scope, IPC_SCOPE_OURS);
    assert_true(m->cache.outdated);
    assert_int_equal(scratch_count(s, "mail"), 0);
    assert_int_equal(scratch_count(s, "away"), 1);
    close(root.fd);
    maildir_done(m);
}

/* A disk that comes late: until then its mail is deferred, then this process has had its time. Not
 * so, for a while, when it is only we who may not open it: the next process couldn't either. */
static void root_comes_late(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    struct mailbox_root root;
    char root_path[512];

    snprintf(root_path, sizeof(root_path), "%s/mail", s->path);
    assert_int_equal(mailbox_root_open(&root, root_path), 0);
    begin(m, &d, &root, "bob", TEXT);
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(d.outcome.scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(d.outcome.status, "4.3.5");
    assert_non_null(strstr(d.outcome.text, root_path));
    assert_false(m->cache.outdated);
    scratch_mkdir(s, "mail");
    for (int forbidden = 1; forbidden >= 0; forbidden--) {
        root.error = forbidden ? -EACCES : -ENOENT;
        begin(m, &d, &root, "bob", TEXT);
        assert_int_equal(d.outcome.result, forbidden ? IPC_OUTCOME_DEFERRED : IPC_OUTCOME_UNTRIED);
        assert_int_equal(m->cache.outdated, !forbidden);
    }
    assert_int_equal(scratch_count(s, "mail"), 0);
    free((void *)root.path);
    maildir_done(m);
}

/* A root that couldn't be opened, or is gone: what is wrong, and who must do what. */
static void root_that_can_not_be_used(void **state)
{
    static const char *const places[] = {"nothing", "file", "folder"};
    static const struct {
        int place, fd, error;
        const char *why, *mend;
    } cases[] = {
        {0, -1, -ENOENT, "(No such file or directory)", "must make or mount it"},
        {0, -1, -EACCES, "(No such file or directory)", "must make or mount it"},
        {0, 0, 0, "(No such file or directory)", "must put it back"},
        {1, -1, -ENOTDIR, "(Not a directory)", "must move away"},
        {1, -1, -ENOENT, "(Not a directory)", "must move away"},
        {1, 0, 0, "(Not a directory)", "must move away"},
        {2, -1, -EACCES, "(Permission denied)", "must let root and the user"},
        {2, -1, -EPERM, "(Operation not permitted)", "must let root and the user"},
        {2, -1, -EIO, "(Input/output error)", "must see to that"},
    };
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char path[512];

    scratch_write(s, "file", "in the way");
    scratch_mkdir(s, "folder");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct mailbox_root root = {cases[i].fd, path, cases[i].error, clock_monotonic_ms()};
        snprintf(path, sizeof(path), "%s/%s", s->path, places[cases[i].place]);
        begin(m, &d, &root, "bob", TEXT);
        assert_int_equal(d.outcome.result, IPC_OUTCOME_DEFERRED);
        assert_int_equal(d.outcome.scope, IPC_SCOPE_DESTINATION);
        assert_string_equal(d.outcome.status, "4.3.5");
        assert_non_null(strstr(d.outcome.text, path));
        assert_non_null(strstr(d.outcome.text, cases[i].why));
        assert_non_null(strstr(d.outcome.text, cases[i].mend));
    }
    assert_false(m->cache.outdated);
    maildir_done(m);
}

/* What was begun before, and ends when that is long ago, has no place in the old folder either. */
static void root_is_replaced_during_a_message(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char root_path[512], away[512];

    scratch_mkdir(s, "mail");
    snprintf(root_path, sizeof(root_path), "%s/mail", s->path);
    snprintf(away, sizeof(away), "%s/away", s->path);
    struct mailbox_root root = {open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC), root_path};
    assert_true(root.fd >= 0);
    begin(m, &d, &root, "bob", TEXT);
    assert_int_equal(rename(root_path, away), 0);
    scratch_mkdir(s, "mail");
    mailbox_cache_distrust(&m->cache, d.folder); /* more than a second later */
    maildir_commit(m, &(struct maildir_delivery *){&d}, 1);
    assert_int_equal(d.state, MAILDIR_DONE);
    assert_int_equal(d.outcome.result, IPC_OUTCOME_UNTRIED);
    assert_true(m->cache.outdated);
    assert_int_equal(scratch_count(s, "mail"), 0);
    assert_int_equal(scratch_count(s, "away/bob/tmp"), 0);
    assert_int_equal(scratch_count(s, "away/bob/new"), 0);
    close(root.fd);
    maildir_done(m);
}

/* A real full disk: what fits is whole, what doesn't leaves nothing. */
static void full_disk(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(0);
    struct maildir_delivery d;
    char mount_point[512], big[8192];
    unsigned delivered = 0;

    snprintf(mount_point, sizeof(mount_point), "%s/disk", s->path);
    scratch_mkdir(s, "disk");
    if (geteuid() != 0 || mount("none", mount_point, "tmpfs", 0, "size=64k") < 0)
        skip();
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    do {
        begin(m, &d, &s->root, "disk/bob", big);
        maildir_commit(m, &(struct maildir_delivery *){&d}, 1);
        delivered += d.outcome.result == IPC_OUTCOME_DELIVERED;
    } while (d.outcome.result == IPC_OUTCOME_DELIVERED && delivered < 100);
    assert_string_equal(d.outcome.status, "4.3.1");
    assert_int_equal(d.outcome.scope, IPC_SCOPE_DESTINATION);
    assert_int_equal(scratch_count(s, "disk/bob/new"), delivered);
    assert_int_equal(scratch_count(s, "disk/bob/tmp"), 0);
    maildir_done(m);
    assert_int_equal(umount(mount_point), 0);
}

struct worker {
    pthread_t thread;
    struct maildir *m;
    const struct scratch *s;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 40; i++) {
        struct maildir_delivery d, *list = &d;
        char path[16];
        snprintf(path, sizeof(path), "box%d", i % 8);
        begin(w->m, &d, &w->s->root, path, TEXT);
        maildir_commit(w->m, &list, 1);
    }
    return NULL;
}

/* Threads share the cache, which holds fewer folders than they use. */
static void threads(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(40 * strlen(TEXT)); /* twice what each box gets */
    struct worker workers[4];
    unsigned total = 0;

    for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
        workers[i] = (struct worker){.m = m, .s = s};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < 8; i++) {
        char path[32];
        snprintf(path, sizeof(path), "box%d/new", i);
        total += scratch_count(s, path);
    }
    assert_int_equal(total, ARRAY_SIZE(workers) * 40);
    maildir_done(m);
}

static void abandoned(void **state)
{
    struct scratch *s = *state;
    struct maildir *m = new_maildir(strlen(TEXT));
    struct maildir_delivery d, *list = &d;

    begin(m, &d, &s->root, "bob", TEXT);
    assert_int_equal(scratch_count(s, "bob/tmp"), 1);
    maildir_abandon(m, &d);
    maildir_abandon(m, &d);
    maildir_commit(m, &list, 1);
    assert_int_equal(scratch_count(s, "bob/tmp"), 0);
    assert_int_equal(scratch_count(s, "bob/new"), 0);
    deliver(m, &d, s, "bob");
    assert_int_equal(d.outcome.result, IPC_OUTCOME_DELIVERED);
    maildir_done(m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(delivers),
        TEST(batch),
        TEST(errors),
        TEST(one_bad_of_many),
        TEST(short_writes),
        TEST(a_name_that_is_taken),
        TEST(killed_anywhere),
        TEST(file_system_without_noreplace),
        TEST(quota),
        TEST(quota_is_given_back),
        TEST(folder_vanishes),
        TEST(full_disk),
        TEST(threads),
        TEST(abandoned),
        TEST(root_vanishes),
        TEST(root_comes_late),
        TEST(root_that_can_not_be_used),
        TEST(root_is_replaced_during_a_message),
        TEST(quota_is_counted_during_a_sync),
        TEST(closed_mailboxes_are_not_counted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
