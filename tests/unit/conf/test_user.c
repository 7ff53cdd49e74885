/* Users of the system, as getpwnam(3) is made to tell of them here. */
#include "problems.h"

#include "conf/user.h"
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

static struct world {
    uid_t euid;
    int error; /* of a look-up */
    int look_ups;
} w;

uid_t __wrap_geteuid(void);
struct passwd *__wrap_getpwnam(const char *name);

uid_t __wrap_geteuid(void)
{
    return w.euid;
}

struct passwd *__wrap_getpwnam(const char *name)
{
    static struct passwd known = {.pw_uid = 7, .pw_gid = 8}, root = {.pw_uid = 0};

    w.look_ups++;
    errno = w.error;
    if (w.error)
        return NULL;
    return strcmp(name, "root") == 0 ? &root : strcmp(name, "known") == 0 ? &known : NULL;
}

static void who_is_found_and_who_not(void **state)
{
    static const int nobody[] = {0, ENOENT, ESRCH, EBADF, EPERM};
    struct conf_ids ids = {1, 2};
    char longest[300];

    w = (struct world){0};
    assert_int_equal(conf_user_ids(SPAN("root"), &ids), -EPERM);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(conf_user_ids(span_of(longest, sizeof(longest)), &ids), -ENOENT);
    for (size_t i = 0; i < ARRAY_SIZE(nobody); i++) {
        w.error = nobody[i];
        assert_int_equal(conf_user_ids(SPAN("strange"), &ids), -ENOENT);
    }
    w.error = ECONNREFUSED; /* no answer is not "nobody" */
    assert_int_equal(conf_user_ids(SPAN("known"), &ids), -ECONNREFUSED);
    assert_true(ids.uid == 1 && ids.gid == 2);
    w.error = 0;
    assert_int_equal(conf_user_ids(SPAN("known"), &ids), 0);
    assert_true(ids.uid == 7 && ids.gid == 8);
}

static void assert_checked(const char *name, const char *text, const struct conf *running,
                           const char *expected)
{
    struct conf_problems problems;
    struct conf c;

    conf_problems_init(&problems);
    parse_sound(text, &c);
    conf_check_users(&c, running, &problems);
    assert_problems(&problems, name, expected);
    conf_done(&c);
    conf_problems_done(&problems);
}

static const char some[] = "hostname: a.example\n"
                           "users:\n"
                           "  queue: known\n"
                           "  network: strange\n"
                           "  directory: root\n";

static void for_root_it_is_an_error(void **state)
{
    w = (struct world){0};
    assert_checked("root", some, NULL,
                   "2:1: error: there is no user `vmail`\n"
                   "4:3: error: there is no user `strange`\n"
                   "5:3: error: user `root` is root\n");
    w.error = ETIMEDOUT;
    assert_checked("nobody answers", some, NULL,
                   "2:1: warning: user `vmail` can't be looked up now\n"
                   "3:3: warning: user `known` can't be looked up now\n"
                   "4:3: warning: user `strange` can't be looked up now\n"
                   "5:3: warning: user `root` can't be looked up now\n");
}

/* Started by him all processes run as himself. */
static void for_others_a_warning_of_who_is_named(void **state)
{
    w = (struct world){.euid = 1000};
    assert_checked("an ordinary user", some, NULL,
                   "4:3: warning: there is no user `strange`\n"
                   "5:3: warning: user `root` is root\n");
    assert_checked("defaults", "hostname: a.example\n", NULL, "");
}

static void who_stays_is_not_asked_for(void **state)
{
    struct conf running;

    w = (struct world){0};
    parse_sound(some, &running);
    assert_checked("the same", some, &running, "");
    assert_int_equal(w.look_ups, 0);
    assert_checked("another",
                   "hostname: a.example\n"
                   "users: { queue: unknown, network: strange, directory: root }\n",
                   &running, "2:10: error: there is no user `unknown`\n");
    assert_int_equal(w.look_ups, 1);
    conf_done(&running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_found_and_who_not),
        cmocka_unit_test(for_root_it_is_an_error),
        cmocka_unit_test(for_others_a_warning_of_who_is_named),
        cmocka_unit_test(who_stays_is_not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
