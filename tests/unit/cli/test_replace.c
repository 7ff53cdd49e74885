#include "command_run.h"

#include "cli/replace.h"
#include "failing_sync.h"
#include <errno.h>
#include <sys/stat.h>

static void content_changes_and_mode_stays(void **state)
{
    struct cli_replace replace;
    char path[96], now[64];
    struct stat before, after;

    path_of("users", path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(cli_replace_begin(&replace, path), 0);
    assert_int_equal(cli_replace_write(&replace, SPAN("new\n")), 0);
    cli_replace_end(&replace);
    read_back("users", now, sizeof(now));
    assert_string_equal(now, "new\n");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_mode & 07777, 0640);
    assert_true(after.st_uid == before.st_uid && after.st_ino != before.st_ino);
}

static void a_link_stays_a_link(void **state)
{
    struct cli_replace replace;
    char path[96], link[96], now[64];
    struct stat st;

    path_of("users", path);
    path_of("input", link);
    assert_int_equal(symlink("users", link), 0);
    assert_int_equal(cli_replace_begin(&replace, link), 0);
    assert_int_equal(cli_replace_write(&replace, SPAN("through\n")), 0);
    cli_replace_end(&replace);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    read_back("users", now, sizeof(now));
    assert_string_equal(now, "through\n");
}

static void a_missing_file_is_not_made(void **state)
{
    struct cli_replace replace;
    char path[96];

    path_of("input", path);
    assert_int_equal(cli_replace_begin(&replace, path), -ENOENT);
    cli_replace_end(&replace);
    assert_int_equal(access(path, F_OK), -1);
}

/* Whoever were told of a failure would do it again, and find it done. */
static void what_is_changed_is_no_failure(void **state)
{
    struct cli_replace replace;
    char path[96], now[64];

    path_of("users", path);
    assert_int_equal(cli_replace_begin(&replace, path), 0);
    failing_sync = true;
    int result = cli_replace_write(&replace, SPAN("new\n"));
    failing_sync = false;
    cli_replace_end(&replace);
    assert_int_equal(result, 0);
    assert_int_equal(replace.unsynced, -EIO);
    read_back("users", now, sizeof(now));
    assert_string_equal(now, "new\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_changes_and_mode_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_stays_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_file_is_not_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_changed_is_no_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
