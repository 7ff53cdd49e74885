#include "faults.h"
#include "scratch.h"

#include "proc/mailbox/usage.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct counted {
    struct mailbox_usage usage;
    int base_fd;
    uint64_t used;
};

static void open_mailbox(struct scratch *s, struct counted *c)
{
    char path[1024];
    scratch_mkdir(s, "bob/new");
    scratch_mkdir(s, "bob/cur");
    scratch_write(s, "bob/new/1.M1P1_Q1.h,S=100,W=110", "its size is believed");
    scratch_write(s, "bob/cur/2.M1P1_Q1.h,S=200:2,S", "so is this");
    scratch_write(s, "bob/cur/3.h:2,", "twelve bytes");
    scratch_write(s, "bob/cur/.hidden", "doesn't count");
    snprintf(path, sizeof(path), "%s/bob", s->path);
    c->base_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    c->used = 0;
    mailbox_usage_init(&c->usage);
}

static void close_mailbox(struct counted *c)
{
    close(c->base_fd);
    mailbox_usage_done(&c->usage);
}

static int reserve(struct counted *c, uint64_t size, uint64_t limit, int64_t now_ms)
{
    return mailbox_usage_reserve(&c->usage, c->base_fd, size, limit, now_ms, &c->used);
}

static void counts_names_and_files(void **state)
{
    struct counted c;
    open_mailbox(*state, &c);
    assert_int_equal(reserve(&c, 1, 312, 1000), -EDQUOT);
    assert_int_equal(c.used, 312);
    assert_int_equal(reserve(&c, 1, 313, 1000), 0);
    assert_int_equal(reserve(&c, 1, 313, 1000), -EDQUOT);
    mailbox_usage_release(&c.usage, 1);
    assert_int_equal(reserve(&c, 1, 313, 1000), 0);
    mailbox_usage_lock(&c.usage);
    mailbox_usage_add(&c.usage, 1, 1);
    mailbox_usage_unlock(&c.usage);
    assert_int_equal(c.usage.used, 313);
    assert_int_equal(c.usage.reserved, 0);
    assert_int_equal(reserve(&c, UINT64_MAX, 1000, 1000), -EDQUOT);
    close_mailbox(&c);
}

/* Whoever deletes mail gets mail again at once, without waiting for the next count. */
static void recounts_when_mail_was_deleted(void **state)
{
    struct scratch *s = *state;
    struct counted c;
    char path[1024];

    open_mailbox(s, &c);
    assert_int_equal(reserve(&c, 100, 350, 1000), -EDQUOT);
    snprintf(path, sizeof(path), "%s/bob/cur/2.M1P1_Q1.h,S=200:2,S", s->path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reserve(&c, 100, 350, 1001), 0);
    assert_int_equal(c.usage.used, 112);
    close_mailbox(&c);
}

/* What others put in shows after ten minutes at the latest. */
static void recounts_now_and_then(void **state)
{
    struct scratch *s = *state;
    struct counted c;

    open_mailbox(s, &c);
    assert_int_equal(reserve(&c, 1, 1000, 1000), 0);
    scratch_write(s, "bob/cur/4.h,S=900:2,", "");
    assert_int_equal(reserve(&c, 1, 1000, 1000 + MAILBOX_USAGE_AGE_MS), 0);
    assert_int_equal(reserve(&c, 1, 1000, 1001 + MAILBOX_USAGE_AGE_MS), -EDQUOT);
    close_mailbox(&c);
}

static void absurd_sizes_are_not_believed(void **state)
{
    struct scratch *s = *state;
    struct counted c;

    open_mailbox(s, &c);
    scratch_write(s, "bob/new/5.h,S=18446744073709551615", "12345");
    scratch_write(s, "bob/new/6.h,S=99999999999999999999999", "12345");
    scratch_write(s, "bob/new/7.h,S=", "12345");
    assert_int_equal(reserve(&c, 1, 1000, 1000), 0);
    assert_int_equal(c.usage.used, 327);
    close_mailbox(&c);
}

static void uncountable(void **state)
{
    struct scratch *s = *state;
    struct counted c;
    char path[1024];

    open_mailbox(s, &c);
    snprintf(path, sizeof(path), "%s/bob/cur", s->path);
    char moved[1040];
    snprintf(moved, sizeof(moved), "%s.away", path);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(symlink("new", path), 0);
    int r = reserve(&c, 1, 1000, 1000);
    assert_true(r == -ELOOP || r == -ENOTDIR);
    close_mailbox(&c);
}

/* A disk that stumbles in the middle of a folder doesn't make the mailbox look emptier, and what
 * was known of it before stays. */
static void unread_files_are_not_left_out(void **state)
{
    static const struct {
        enum fault_call call;
        int calls;
    } faults[] = {{FAULT_READDIR, 10}, {FAULT_FSTATAT, 1}};

    for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
        for (int nth = 1; nth <= faults[i].calls; nth++) {
            struct counted c;
            open_mailbox(*state, &c);
            fault_set(faults[i].call, nth, 1, EIO);
            assert_int_equal(reserve(&c, 1, 313, 1000), -EIO);
            fault_clear();
            assert_int_equal(reserve(&c, 1, 312, 1000), -EDQUOT);
            assert_int_equal(c.used, 312);
            close_mailbox(&c);
        }
}

static void failed_recount_is_tried_again(void **state)
{
    struct scratch *s = *state;
    struct counted c;
    char path[1024];

    open_mailbox(s, &c);
    assert_int_equal(reserve(&c, 1, 312, 1000), -EDQUOT);
    snprintf(path, sizeof(path), "%s/bob/new/1.M1P1_Q1.h,S=100,W=110", s->path);
    assert_int_equal(unlink(path), 0);
    fault_set(FAULT_READDIR, 5, 1, EIO); /* in cur/ */
    assert_int_equal(reserve(&c, 1, 312, 1001), -EIO);
    fault_clear();
    assert_int_equal(reserve(&c, 1, 312, 1002), 0);
    assert_int_equal(c.usage.used, 212);
    close_mailbox(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(counts_names_and_files),
        TEST(recounts_when_mail_was_deleted),
        TEST(recounts_now_and_then),
        TEST(absurd_sizes_are_not_believed),
        TEST(uncountable),
        TEST(unread_files_are_not_left_out),
        TEST(failed_recount_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
