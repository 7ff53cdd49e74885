#include "ledger_command.h"

static void exit_codes_and_output(void **state)
{
    static const struct {
        const char *words[4];
        int code;
        const char *part; /* of the output; "" for none at all */
    } cases[] = {
        {{"bob@aaa.example"}, CLI_OK, "its owner's mail program is responsible.\n"},
        {{"--json", "bob@aaa.example"}, CLI_OK, "\"state\":\"delivered\""},
        {{"bob@aaa.example", "--json"}, CLI_OK, "\"state\":\"delivered\""},
        {{"nobody@aaa.example"}, CLI_BAD_NEWS, ""},
        {{"bob@aaa.example", "nobody@aaa.example"}, CLI_BAD_NEWS, "bob@aaa.example: delivered"},
        {{"--state", "delivered"}, CLI_OK, "bob@aaa.example: delivered"},
        {{"--state", "waiting"}, CLI_BAD_NEWS, ""},
        {{"--since", "2026-11-21T18:00:00Z"}, CLI_OK, "Message "},
        {{"--since", "2026-11-22T18:00:00Z"}, CLI_BAD_NEWS, ""},
        {{"--since", "yesterday"}, CLI_USAGE, ""},
        {{"--state", "lost"}, CLI_USAGE, ""},
        {{"--limit", "0", "x"}, CLI_USAGE, ""},
        {{NULL}, CLI_USAGE, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(run(cli_trace, cases[i].words), cases[i].code);
        if (cases[i].part[0] == '\0')
            assert_string_equal(text, "");
        else
            assert_non_null(strstr(text, cases[i].part));
    }
}

static void book_that_cannot_be_read_is_told(void **state)
{
    static const char *const words[] = {"bob@aaa.example", NULL};
    char elsewhere[256];

    snprintf(elsewhere, sizeof(elsewhere), "sed -i 's,^ledger: .*,&/gone,' %s", config);
    assert_int_equal(system(elsewhere), 0);
    assert_int_equal(run(cli_trace, words), CLI_UNREACHED);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exit_codes_and_output, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(book_that_cannot_be_read_is_told, set_up,
                                        test_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
