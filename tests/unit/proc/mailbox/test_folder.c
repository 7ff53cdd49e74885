#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mailbox_outcome outcome;

static void path_of(const struct scratch *s, const char *path, char out[static 1024])
{
    snprintf(out, 1024, "%s/%s", s->path, path);
}

static void missing_folders_are_made(void **state)
{
    struct scratch *s = *state;
    struct mailbox_folder *f, *again;
    static const char *const made[] = {"a.test", "a.test/bob", "a.test/bob/tmp", "a.test/bob/new",
                                       "a.test/bob/cur"};

    umask(022);
    assert_int_equal(mailbox_folder_open(&s->root, "a.test/bob", &outcome, &f), 0);
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        char path[1024];
        struct stat st;
        path_of(s, made[i], path);
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0700);
    }
    assert_int_equal(mailbox_folder_open(&s->root, "a.test/bob", &outcome, &again), 0);
    assert_true(mailbox_folder_same(f, again));
    mailbox_folder_free(again);
    assert_int_equal(mailbox_folder_open(&s->root, "a.test/eve", &outcome, &again), 0);
    assert_false(mailbox_folder_same(f, again));
    mailbox_folder_free(again);
    mailbox_folder_free(f);
}

/* A link at any place below the prefix is refused, wherever it leads, and the text names it. */
static void links_are_refused(void **state)
{
    struct scratch *s = *state;
    static const char *const places[] = {"d/a.test", "e/a.test/bob", "f/a.test/bob/tmp",
                                         "g/a.test/bob/new", "h/a.test/bob/cur"};

    scratch_mkdir(s, "elsewhere/bob/tmp");
    scratch_mkdir(s, "elsewhere/bob/new");
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        char parent[64], link[1024], mailbox[64];
        struct mailbox_folder *f;
        snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(places[i], '/') - places[i]),
                 places[i]);
        scratch_mkdir(s, parent);
        path_of(s, places[i], link);
        assert_int_equal(symlink(i == 0 ? "../elsewhere" : "../../elsewhere/bob", link), 0);
        snprintf(mailbox, sizeof(mailbox), "%c/a.test/bob", places[i][0]);
        assert_int_equal(mailbox_folder_open(&s->root, mailbox, &outcome, &f), -ELOOP);
        assert_int_equal(outcome.result, IPC_OUTCOME_DEFERRED);
        assert_int_equal(outcome.scope, IPC_SCOPE_RECIPIENT);
        assert_string_equal(outcome.status, "4.3.5");
        assert_true(strstr(outcome.text, link) > strstr(outcome.text, ": "));
        assert_non_null(strstr(outcome.text, "administrator"));
    }
    assert_int_equal(scratch_count(s, "elsewhere"), 1);
}

static void a_file_in_the_way(void **state)
{
    struct scratch *s = *state;
    struct mailbox_folder *f;

    scratch_mkdir(s, "a.test");
    scratch_write(s, "a.test/bob", "a file");
    assert_int_equal(mailbox_folder_open(&s->root, "a.test/bob", &outcome, &f), -ENOTDIR);
    assert_string_equal(outcome.status, "4.3.5");
    assert_non_null(strstr(outcome.text, "/a.test/bob "));
}

static void no_permission(void **state)
{
    struct scratch *s = *state;
    struct mailbox_folder *f;
    char path[1024];

    scratch_mkdir(s, "a.test");
    path_of(s, "a.test", path);
    assert_int_equal(chmod(path, 0500), 0);
    assert_int_equal(chmod(s->path, 0755), 0);
    bool root = geteuid() == 0;
    if (root && seteuid(65534) < 0)
        skip();
    int r = mailbox_folder_open(&s->root, "a.test/bob", &outcome, &f);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(r, -EACCES);
    assert_int_equal(outcome.result, IPC_OUTCOME_DEFERRED);
    assert_non_null(strstr(outcome.text, "administrator must let"));
    assert_int_equal(chmod(path, 0700), 0);
}

static void old_leftovers_are_swept(void **state)
{
    struct scratch *s = *state;
    struct mailbox_folder *f;
    struct stat st;
    char path[1024];

    scratch_mkdir(s, "bob/tmp/folder");
    scratch_write(s, "bob/tmp/1.M1P1_Q1.host", "half a mess");
    scratch_write(s, "bob/tmp/2.M1P1_Q2.host", "half");
    path_of(s, "bob/tmp/1.M1P1_Q1.host", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(mailbox_folder_open(&s->root, "bob", &outcome, &f), 0);
    assert_int_equal(mailbox_folder_sweep(f, st.st_ctime + MAILBOX_SWEEP_AGE_S - 1), 0);
    assert_int_equal(scratch_count(s, "bob/tmp"), 3);
    assert_int_equal(mailbox_folder_sweep(f, st.st_ctime + MAILBOX_SWEEP_AGE_S + 60), 2);
    assert_int_equal(scratch_count(s, "bob/tmp"), 1);
    mailbox_folder_free(f);
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* The process opens mailboxes for years: neither those that open nor those that don't may keep a
 * descriptor. */
static void no_descriptor_stays_open(void **state)
{
    static const char *const paths[] = {
        "a.test/bob", "a.test/bob", /* made, and found */
        "file/bob",   "half/new-is-a-file", "half/cur-is-a-file", "half/tmp-is-a-file",
    };
    struct scratch *s = *state;
    struct mailbox_folder *f;

    scratch_write(s, "file", "x");
    scratch_mkdir(s, "half/new-is-a-file");
    scratch_write(s, "half/new-is-a-file/new", "x");
    scratch_mkdir(s, "half/cur-is-a-file");
    scratch_write(s, "half/cur-is-a-file/cur", "x");
    scratch_mkdir(s, "half/tmp-is-a-file");
    scratch_write(s, "half/tmp-is-a-file/tmp", "x");
    unsigned before = open_descriptors();
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        int r = mailbox_folder_open(&s->root, paths[i], &outcome, &f);
        assert_int_equal(r, i < 2 ? 0 : -ENOTDIR);
        if (r == 0) {
            assert_int_equal(mailbox_folder_sweep(f, 0), 0);
            mailbox_folder_free(f);
        }
        assert_int_equal(open_descriptors(), before);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(missing_folders_are_made), TEST(links_are_refused),
        TEST(a_file_in_the_way),        TEST(no_permission),
        TEST(old_leftovers_are_swept),  TEST(no_descriptor_stays_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
