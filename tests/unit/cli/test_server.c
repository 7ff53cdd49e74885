#include "command_run.h"

#include "cli/server.h"

static struct cli_server server;

static void a_configuration_says_where(void **state)
{
    struct cli_server again;

    assert_int_equal(cli_server_find("test", config, &server), 0);
    assert_int_equal(cli_server_find_for_act("test", config, &again), 0);
    assert_string_equal(server.control, again.control);
    assert_int_equal(setenv("POSTBUCH_CONFIG", config, 1), 0);
    assert_int_equal(cli_server_find("test", NULL, &again), 0);
    assert_string_equal(server.control, again.control);
}

/* Another server than an installation's may be meant. */
static void a_file_that_was_named_must_be_there(void **state)
{
    char missing[96];

    path_of("input", missing);
    assert_true(cli_server_find("test", missing, &server) < 0);
    assert_true(cli_server_find_for_act("test", missing, &server) < 0);
    assert_int_equal(setenv("POSTBUCH_CONFIG", missing, 1), 0);
    assert_true(cli_server_find("test", NULL, &server) < 0);
    assert_true(cli_server_find_for_act("test", NULL, &server) < 0);
    if (access(CLI_CONFIG_DEFAULT, F_OK) == 0)
        return;
    assert_int_equal(setenv("POSTBUCH_CONFIG", CLI_CONFIG_DEFAULT, 1), 0);
    assert_true(cli_server_find("test", NULL, &server) < 0);
}

/* Sending works without reading it; acting doesn't. */
static void an_installation_has_its_places(void **state)
{
    if (access(CLI_CONFIG_DEFAULT, F_OK) == 0)
        skip();
    unsetenv("POSTBUCH_CONFIG");
    assert_int_equal(cli_server_find("test", NULL, &server), 0);
    assert_string_equal(server.control, "/run/postbuch/control");
    assert_string_equal(server.submit, "/run/postbuch/submit");
    assert_true(cli_server_find_for_act("test", NULL, &server) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_configuration_says_where, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_named_must_be_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_installation_has_its_places, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
