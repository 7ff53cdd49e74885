/* Linked with --wrap for the calls that open, look at and close a folder (openat, fstat, close):
 * none of them is made under the lock, else one disk that hangs would hold up all mailboxes. */
#include "scratch.h"

#include "proc/mailbox/cache.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mailbox_cache cache;
static struct mailbox_outcome outcome;
static bool watched;
static unsigned calls, locked;

/* One thread only: who can't have the lock has it. */
static void note_call(void)
{
    if (!watched)
        return;
    calls++;
    if (pthread_mutex_trylock(&cache.lock) == 0)
        pthread_mutex_unlock(&cache.lock);
    else
        locked++;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    note_call();
    return __real_close(fd);
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st)
{
    note_call();
    return __real_fstat64(fd, st);
}

int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...)
{
    note_call();
    return __real_openat64(fd, name, flags, 0700);
}

static int setup(void **state)
{
    mailbox_cache_init(&cache, 2);
    calls = locked = 0;
    watched = true;
    return scratch_setup(state);
}

static int teardown(void **state)
{
    watched = false;
    mailbox_cache_done(&cache);
    return scratch_teardown(state);
}

static struct mailbox_folder *get(const struct scratch *s, const char *path)
{
    struct mailbox_folder *folder;
    assert_int_equal(mailbox_cache_get(&cache, &s->root, path, &outcome, &folder), 0);
    return folder;
}

/* Looked up by its path again, it is the one that was known when nothing has changed. */
static void known_ones_are_kept(void **state)
{
    const struct scratch *s = *state;
    struct mailbox_folder *bob = get(s, "bob");

    assert_ptr_equal(get(s, "bob"), bob);
    mailbox_cache_distrust(&cache, bob);
    assert_ptr_equal(get(s, "bob"), bob);
    assert_int_equal(cache.count, 1);
    for (int i = 0; i < 3; i++)
        mailbox_cache_put(&cache, bob);
    assert_true(calls > 0);
    assert_int_equal(locked, 0);
}

/* Another folder at the same path; its users still have the old one. */
static void replaced_ones_are_forgotten(void **state)
{
    const struct scratch *s = *state;
    static const char *const parts[] = {"bob/new", "bob/tmp", "bob"};
    char from[300], to[300];

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        struct mailbox_folder *old = get(s, "bob"), *idle = get(s, "eve");
        mailbox_cache_put(&cache, idle);
        snprintf(from, sizeof(from), "%s/%s", s->path, parts[i]);
        snprintf(to, sizeof(to), "%s/away%zu", s->path, i);
        assert_int_equal(rename(from, to), 0);
        mailbox_cache_distrust(&cache, old);
        struct mailbox_folder *fresh = get(s, "bob");
        assert_ptr_not_equal(fresh, old);
        assert_false(mailbox_folder_same(fresh, old));
        assert_int_equal(fcntl(old->new_fd, F_GETFD), FD_CLOEXEC);
        mailbox_cache_put(&cache, old);
        mailbox_cache_put(&cache, fresh);
        assert_int_equal(cache.count, 2);
    }
    assert_int_equal(locked, 0);
}

static void the_longest_unused_goes(void **state)
{
    const struct scratch *s = *state;
    static const char *const paths[] = {"a", "b", "c", "d"};
    struct mailbox_folder *used[ARRAY_SIZE(paths)];

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        used[i] = get(s, paths[i]);
    assert_int_equal(cache.count, 4); /* all are in use */
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        mailbox_cache_put(&cache, used[i]);
    assert_int_equal(cache.count, 2);
    assert_ptr_equal(get(s, "d"), used[3]);
    mailbox_cache_put(&cache, used[3]);
    mailbox_cache_put(&cache, get(s, "a"));
    assert_int_equal(cache.count, 2);
    assert_int_equal(locked, 0);
}

static void put_and_evict(const struct scratch *s, struct mailbox_folder *folder)
{
    mailbox_cache_put(&cache, folder);
    mailbox_cache_put(&cache, get(s, "x"));
    mailbox_cache_put(&cache, get(s, "y"));
}

/* What is known of a mailbox outlives its open folder, and isn't taken for another's. */
static void records_stay(void **state)
{
    const struct scratch *s = *state;
    char from[300], to[300];

    struct mailbox_folder *bob = get(s, "bob");
    bob->record->usage.used = 77;
    put_and_evict(s, bob);
    bob = get(s, "bob");
    assert_int_equal(bob->record->usage.used, 77);
    put_and_evict(s, bob);
    assert_int_equal(cache.records.count, 3);

    snprintf(from, sizeof(from), "%s/bob", s->path);
    snprintf(to, sizeof(to), "%s/away", s->path);
    assert_int_equal(rename(from, to), 0);
    bob = get(s, "bob");
    assert_int_equal(bob->record->usage.used, 0);
    mailbox_cache_put(&cache, bob);
    assert_int_equal(cache.records.count, 3);
}

/* The longest unused one is forgotten, one that is in use never. */
static void records_are_bounded(void **state)
{
    const struct scratch *s = *state;

    cache.max = 1;
    cache.records.max = 2;
    struct mailbox_folder *a = get(s, "a"), *b = get(s, "b"), *c = get(s, "c");
    assert_int_equal(cache.records.count, 3);
    a->record->usage.used = b->record->usage.used = c->record->usage.used = 77;
    mailbox_cache_put(&cache, b);
    mailbox_cache_put(&cache, c);
    mailbox_cache_put(&cache, get(s, "d"));
    assert_int_equal(cache.records.count, 2); /* a and d */
    mailbox_cache_put(&cache, get(s, "b"));
    b = get(s, "b");
    assert_int_equal(b->record->usage.used, 0);
    mailbox_cache_put(&cache, b);
    assert_int_equal(a->record->usage.used, 77);
    mailbox_cache_put(&cache, a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(known_ones_are_kept), TEST(replaced_ones_are_forgotten), TEST(the_longest_unused_goes),
        TEST(records_stay),        TEST(records_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
