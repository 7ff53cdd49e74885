#include "scratch.h"

#include "base/clock.h"
#include "proc/mailbox/domains.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mailbox_roots roots;

static int make(const struct scratch *s, const char *folder, size_t count, const struct span *names,
                struct mailbox_domains **out)
{
    struct conf_mailbox_domain list[8];
    struct conf_mailbox part = {.domains = list, .domain_count = count};
    char template[512];

    snprintf(template, sizeof(template), "%s%s/%%d/%%u", s->path, folder);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct conf_mailbox_domain){names[i], span_from_cstr(template)};
    return mailbox_domains_new(&part, &roots, out);
}

static void close_roots(void)
{
    for (size_t i = 0; i < roots.count; i++) {
        close(roots.list[i].fd);
        free((void *)roots.list[i].path);
    }
    roots = (struct mailbox_roots){0};
}

static void finds_by_the_domain(void **state)
{
    static const struct span names[] = {SPAN("b.test"), SPAN("a.test"), SPAN("a.test.b"), SPAN("c"),
                                        SPAN("a.tesu")};
    static const struct {
        struct span address;
        const char *found;
    } cases[] = {
        {SPAN("x@a.test"), "a.test"},
        {SPAN("x@b.test"), "b.test"},
        {SPAN("x@c"), "c"},
        {SPAN("\"x@b.test\"@a.tesu"), "a.tesu"},
        {SPAN("x@a.test.b"), "a.test.b"},
        {SPAN("x@a.tes"), NULL},
        {SPAN("x@a.test.bb"), NULL},
        {SPAN("x@"), NULL},
        {SPAN("x"), NULL},
        {SPAN(""), NULL},
        {SPAN("x@A.TEST"), NULL},
        {SPAN("x@a.test\0"), NULL},
    };
    struct mailbox_domains *domains;

    assert_int_equal(make(*state, "", ARRAY_SIZE(names), names, &domains), 0);
    assert_int_equal(roots.count, 1);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct mailbox_domain *d = mailbox_domains_find(domains, cases[i].address);
        assert_int_equal(d != NULL, cases[i].found != NULL);
        if (d)
            assert_string_equal(d->name, cases[i].found);
    }
    mailbox_domains_release(domains);
    close_roots();
}

/* Jobs keep their generation; a root that isn't open can't be opened behind the sandbox. */
static void generations(void **state)
{
    static const struct span name[] = {SPAN("a.test")};
    struct mailbox_domains *old, *fresh;

    scratch_mkdir(*state, "other");
    assert_int_equal(make(*state, "", 1, name, &old), 0);
    mailbox_domains_hold(old);
    roots.sealed = true;
    assert_int_equal(make(*state, "", 1, name, &fresh), 0);
    mailbox_domains_release(old);
    assert_ptr_equal(mailbox_domains_find(old, SPAN("x@a.test"))->root,
                     mailbox_domains_find(fresh, SPAN("x@a.test"))->root);
    mailbox_domains_release(old);
    mailbox_domains_release(fresh);
    assert_int_equal(make(*state, "/other", 1, name, &fresh), -ENOENT);
    roots.sealed = false;
    assert_int_equal(make(*state, "/other", 1, name, &fresh), 0);
    mailbox_domains_release(fresh);
    assert_int_equal(make(*state, "/other/..", 1, name, &fresh), -EINVAL);
    close_roots();
}

/* While a root is missing a reload is no reason to end: the next process would find it missing. */
static void a_reload_ends_nothing_for_what_is_missing(void **state)
{
    static const struct span name[] = {SPAN("a.test")};
    const struct scratch *s = *state;
    struct mailbox_domains *domains;
    char path[300];

    snprintf(path, sizeof(path), "%s/late", s->path);
    assert_int_equal(make(s, "/late", 1, name, &domains), 0);
    assert_int_equal(mailbox_domains_find(domains, SPAN("x@a.test"))->root->error, -ENOENT);
    mailbox_domains_release(domains);
    roots.sealed = true;
    assert_int_equal(make(s, "/late", 1, name, &domains), 0);
    assert_false(mailbox_domains_may_open_more(domains));
    scratch_write(s, "late", "in the way");
    assert_false(mailbox_domains_may_open_more(domains));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("late", path), 0); /* a loop, for what can't be seen */
    assert_true(mailbox_domains_may_open_more(domains));
    assert_int_equal(unlink(path), 0);
    scratch_mkdir(s, "late");
    assert_true(mailbox_domains_may_open_more(domains));
    mailbox_domains_release(domains);
    close_roots();
    assert_int_equal(make(s, "/late", 1, name, &domains), 0);
    assert_false(mailbox_domains_may_open_more(domains));
    mailbox_domains_release(domains);
    close_roots();
}

/* Rights may change, and no reload be said: a loop of links stands for what can't be seen. */
static void what_might_not_be_opened_is_tried_again(void **state)
{
    const struct scratch *s = *state;
    char loop[300];
    const struct {
        const char *path;
        int error;
    } cases[] = {
        {loop, -ENOENT},    {loop, -EACCES},         {s->path, -EACCES},
        {s->path, -EPERM},  {s->path, -EKEYEXPIRED}, /* root's alone, where each user has a ticket
                                                        of his own */
        {s->path, -ENOKEY},
    };

    snprintf(loop, sizeof(loop), "%s/loop", s->path);
    assert_int_equal(symlink("loop", loop), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct mailbox_root root = {-1, cases[i].path, cases[i].error, clock_monotonic_ms()};
        assert_int_equal(mailbox_root_look(&root), -EACCES);
        root.tried_ms -= MAILBOX_ROOT_RETRY_MS;
        assert_int_equal(mailbox_root_look(&root), -ESTALE);
    }
    struct mailbox_root missing = {-1, "/nowhere/at/all", -ENOENT, 0};
    assert_int_equal(mailbox_root_look(&missing), -ENOENT);
    struct mailbox_root opened = {0, loop, 0, 0};
    assert_int_equal(mailbox_root_look(&opened), 0);
}

/* A folder for each domain, as many as there may be. */
static void each_domain_may_have_its_own_folder(void **state)
{
    static char names[CONF_DOMAINS_MAX][24], templates[CONF_DOMAINS_MAX][300];
    static struct conf_mailbox_domain list[CONF_DOMAINS_MAX];
    struct conf_mailbox part = {.domains = list, .domain_count = CONF_DOMAINS_MAX};
    const struct scratch *s = *state;
    struct mailbox_domains *domains;
    struct rlimit limit;
    char path[300];

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < CONF_DOMAINS_MAX + 100)
        part.domain_count = (size_t)limit.rlim_max - 100;
    for (size_t i = 0; i < part.domain_count; i++) {
        snprintf(names[i], sizeof(names[i]), "d%u.test", (unsigned)i);
        snprintf(templates[i], sizeof(templates[i]), "%s/%s/%%u", s->path, names[i]);
        snprintf(path, sizeof(path), "%s/%s", s->path, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        list[i] =
            (struct conf_mailbox_domain){span_from_cstr(names[i]), span_from_cstr(templates[i])};
    }
    assert_int_equal(mailbox_domains_new(&part, &roots, &domains), 0);
    assert_int_equal(roots.count, part.domain_count);
    const struct mailbox_domain *d = mailbox_domains_find(domains, SPAN("x@d40.test"));
    assert_non_null(d);
    assert_non_null(strstr(d->root->path, "/d40.test"));
    mailbox_domains_release(domains);
    close_roots();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {TEST(finds_by_the_domain), TEST(generations),
                                       TEST(a_reload_ends_nothing_for_what_is_missing),
                                       TEST(what_might_not_be_opened_is_tried_again),
                                       TEST(each_domain_may_have_its_own_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
