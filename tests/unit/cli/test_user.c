#include "command_run.h"

#include <crypt.h>

#define USER(...) run(cli_user, (const char *const[]){__VA_ARGS__, NULL})

static char users[4096];

static void read_users(void)
{
    read_back("users", users, sizeof(users));
}

/* The verifier in the line of an address. */
static const char *verifier_of(const char *address)
{
    static char verifier[256];
    const char *line;

    read_users();
    line = strstr(users, address);
    assert_non_null(line);
    assert_int_equal(sscanf(line + strlen(address), ":%255[^:]", verifier), 1);
    return verifier;
}

static void list(void **state)
{
    append("users", "carl@postbuch.test:$y$j9T$s$h:info@postbuch.test\n");
    assert_int_equal(USER("list"), CLI_OK);
    assert_string_equal(text, "alice@postbuch.test (no login)\nbob@postbuch.test (no login)\n"
                              "carl@postbuch.test also as info@postbuch.test\n");
    assert_int_equal(USER("list", "--json"), CLI_OK);
    assert_non_null(strstr(text, "{\"address\":\"carl@postbuch.test\",\"login\":true,"
                                 "\"senders\":\"info@postbuch.test\"}]\n"));
}

static void add_with_a_password(void **state)
{
    append("input", "correct horse\n");
    assert_int_equal(USER("add", "Carl@Postbuch.test"), CLI_OK);
    const char *verifier = verifier_of("Carl@postbuch.test");
    assert_true(strncmp(verifier, "$y$", 3) == 0);
    assert_string_equal(crypt("correct horse", verifier), verifier);
    assert_string_not_equal(crypt("correct horsf", verifier), verifier);
    assert_non_null(strstr(users, "# address:verifier")); /* comments stay */
    assert_int_equal(run(cli_check_config, (const char *const[]){NULL}), CLI_OK);
}

static void add_without_a_password(void **state)
{
    assert_int_equal(USER("add", "carl@postbuch.test", "--no-login"), CLI_OK);
    assert_string_equal(verifier_of("carl@postbuch.test"), "*");
}

static void change_a_password(void **state)
{
    append("input", "secret\n");
    assert_int_equal(USER("password", "alice@postbuch.test"), CLI_OK);
    assert_string_equal(crypt("secret", verifier_of("alice@postbuch.test")),
                        verifier_of("alice@postbuch.test"));
    assert_string_equal(verifier_of("bob@postbuch.test"), "*");
}

static void a_password_with_controls_is_refused(void **state)
{
    append("input", "abc\003\n");
    assert_int_equal(USER("password", "alice@postbuch.test"), CLI_BAD_NEWS);
    assert_string_equal(verifier_of("alice@postbuch.test"), "*");
}

static void a_password_that_is_too_long_is_refused(void **state)
{
    for (int i = 0; i < 10; i++)
        append("input", "a hundred bytes or so are no trouble at all but a thousand of them are");
    assert_int_equal(USER("password", "alice@postbuch.test"), CLI_BAD_NEWS);
    assert_string_equal(verifier_of("alice@postbuch.test"), "*");
}

static void remove_a_user(void **state)
{
    assert_int_equal(USER("remove", "alice@postbuch.test"), CLI_OK);
    read_users();
    assert_null(strstr(users, "alice@"));
    assert_non_null(strstr(users, "bob@postbuch.test:*:\n"));
}

static void what_fails_changes_nothing(void **state)
{
    static const struct {
        const char *act, *address;
        int code;
    } cases[] = {
        {"add", "bob@postbuch.test", CLI_BAD_NEWS},      /* is there */
        {"add", "bob@elsewhere.test", CLI_BAD_NEWS},     /* not our domain */
        {"add", "bob", CLI_USAGE},                       /* no address */
        {"add", "a:b@postbuch.test", CLI_USAGE},         /* would be another line */
        {"remove", "carl@postbuch.test", CLI_BAD_NEWS},  /* isn't there */
        {"password", "bob@postbuch.test", CLI_BAD_NEWS}, /* none given */
        {"rename", "bob@postbuch.test", CLI_USAGE},
    };
    char before[4096];

    read_users();
    strcpy(before, users);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *option = strcmp(cases[i].act, "add") == 0 ? "--no-login" : NULL;
        assert_int_equal(USER(cases[i].act, cases[i].address, option), cases[i].code);
        read_users();
        assert_string_equal(users, before);
    }
    assert_int_equal(run(cli_user, (const char *const[]){NULL}), CLI_USAGE);
    append("postbuch.yaml", "wrong: 1\n");
    assert_int_equal(USER("remove", "bob@postbuch.test"), CLI_UNREACHED);
    read_users();
    assert_string_equal(users, before);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(list),
        IN_FOLDER(add_with_a_password),
        IN_FOLDER(add_without_a_password),
        IN_FOLDER(change_a_password),
        IN_FOLDER(a_password_with_controls_is_refused),
        IN_FOLDER(a_password_that_is_too_long_is_refused),
        IN_FOLDER(remove_a_user),
        IN_FOLDER(what_fails_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
