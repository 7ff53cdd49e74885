#include "../failing_memory.h"
#include "command_run.h"

#include <sys/stat.h>

static int check(const char *option)
{
    const char *words[] = {option, NULL};

    return run(cli_check_config, words);
}

static void the_default_is_fine(void **state)
{
    assert_int_equal(check(NULL), CLI_OK);
    assert_non_null(strstr(text, "postbuch.yaml: fine\n"));
    assert_int_equal(check("--json"), CLI_OK);
    assert_non_null(strstr(text, "\"ok\":true,\"errors\":0,\"warnings\":0,\"problems\":[]}"));
}

static void check_short_of_memory(void)
{
    failing_memory_arm();
    int code = check(NULL);
    failing_memory_rest();
    /* When one failed and all is fine, it was printing that lacked it: the name is missing. */
    if (failing_memory.countdown < 0 && code != CLI_BAD_NEWS)
        assert_string_equal(text, ": fine\n");
}

/* Not all was looked at. */
static void without_memory_nothing_is_fine(void **state)
{
    append("input", "");
    assert_true(failing_memory_each(check_short_of_memory) > 10);
}

static void errors_of_all_files_at_once(void **state)
{
    append("users", "carl\n");
    append("aliases", "info |x\n");
    assert_int_equal(check(NULL), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "/users:4:1: error: no colon"));
    assert_non_null(strstr(text, "/aliases:4:1: error: no colon"));
    assert_non_null(strstr(text, "postbuch.yaml: 2 errors, 0 warnings\n"));
    assert_null(strstr(text, "\033")); /* no colours in a file */
    assert_int_equal(check("--json"), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "\"ok\":false,\"errors\":2"));
    assert_non_null(strstr(text, "\"line\":4,\"column\":1,"));
}

static void warnings_are_no_errors(void **state)
{
    append("aliases", "info: nobody\n");
    append("postbuch.yaml", "web: { address: \"127.0.0.1:8025\" }\n");
    assert_int_equal(check(NULL), CLI_OK);
    assert_non_null(strstr(text, "/aliases:4:7: warning: `nobody@postbuch.test` is nobody here"));
    assert_null(strstr(text, "warning: not built yet: relaying"));
    assert_non_null(strstr(text, "warning: not built yet: the page"));
    assert_non_null(strstr(text, "postbuch.yaml: 0 errors, 2 warnings\n"));
}

static void hostile_text_is_shown_harmless(void **state)
{
    append("users", "\033[2Jcarl@\n");
    append("aliases", "a\033b c: x\n");
    assert_int_equal(check(NULL), CLI_BAD_NEWS);
    assert_null(strstr(text, "\033"));
    assert_non_null(strstr(text, "a\\x1bb c"));
}

/* Nothing could be validated, and mail to other servers would wait. */
static void a_trust_anchor_of_no_use(void **state)
{
    char path[96];

    path_of("anchor", path);
    append("postbuch.yaml", "resolver: { trust_anchor: anchor }\n");
    assert_int_equal(check(NULL), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "/anchor: error: can't be read (No such file or directory)"));
    append("anchor", "; nothing yet\n");
    assert_int_equal(check(NULL), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "/anchor: error: holds no DS or DNSKEY record"));
    append("anchor", ". IN DS 20326 8 2 E06D\n");
    assert_int_equal(check(NULL), CLI_OK);
    assert_int_equal(unlink(path), 0);
}

static void hashes_that_all_can_read(void **state)
{
    char path[96];

    path_of("users", path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(check(NULL), CLI_OK);
    assert_non_null(strstr(text, "postbuch.yaml: fine\n")); /* nobody has a password */
    append("users", "carl@postbuch.test:$y$j9T$s$h:\n");
    assert_int_equal(check(NULL), CLI_OK);
    assert_non_null(strstr(text, "/users: warning: everybody on this machine can read"));
}

static void missing_files(void **state)
{
    char path[96];

    path_of("aliases", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check(NULL), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "/aliases: error: can't be read (No such file"));
    assert_int_equal(unlink(config), 0);
    assert_int_equal(check("--json"), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "\"line\":null,\"column\":null,"));
}

static void wrong_usage(void **state)
{
    assert_int_equal(check("more"), CLI_USAGE);
    assert_int_equal(check("--no-such"), CLI_USAGE);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_default_is_fine),
        IN_FOLDER(without_memory_nothing_is_fine),
        IN_FOLDER(errors_of_all_files_at_once),
        IN_FOLDER(warnings_are_no_errors),
        IN_FOLDER(hostile_text_is_shown_harmless),
        IN_FOLDER(a_trust_anchor_of_no_use),
        IN_FOLDER(hashes_that_all_can_read),
        IN_FOLDER(missing_files),
        IN_FOLDER(wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
