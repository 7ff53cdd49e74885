/* What `queue` and others that ask the server are told before they ask it: nothing may act on what
 * wasn't named. tests/lab/test_queue_command.py acts on a server. */
#include "command_run.h"

#include "mail/envelope.h"
#include <errno.h>

#define ID "0123456789abcdef"

enum { WORDS_MAX = 7 };

struct command_case {
    const char *name;
    int (*command)(int argc, char **argv);
    int code;
    const char *words[WORDS_MAX];
};

static char long_text[ENVELOPE_ADDRESS_MAX + 2]; /* one byte too many */

static const struct command_case cases[] = {
    {"remove what?", cli_queue, CLI_USAGE, {"remove"}},
    {"remove all that is held", cli_queue, CLI_USAGE, {"remove", "--state", "held"}},
    {"hold, and yes", cli_queue, CLI_USAGE, {"hold", "-y"}},
    {"return an empty sender", cli_queue, CLI_USAGE, {"return", "--from", ""}},
    {"remove from an empty sender to one destination",
     cli_queue,
     CLI_USAGE,
     {"remove", "-y", "--from", "", "--destination", "aaa.example"}},
    {"remove of one sender to nobody",
     cli_queue,
     CLI_USAGE,
     {"remove", "--from", "anna@here.example", "--to", ""}},
    {"hold of one sender at no destination",
     cli_queue,
     CLI_USAGE,
     {"hold", "--from", "anna@here.example", "--destination="}},
    {"remove to any address", cli_queue, CLI_USAGE, {"remove", "-y", "--to", "@"}},
    {"list to nobody", cli_queue, CLI_USAGE, {"--to", ""}},
    {"count some", cli_queue, CLI_USAGE, {"--summary", "--to", "anna@here.example"}},
    {"count a state", cli_queue, CLI_USAGE, {"--summary", "--state", "held"}},
    {"count and show", cli_queue, CLI_USAGE, {"show", ID, "--summary"}},
    {"count and remove", cli_queue, CLI_USAGE, {"remove", ID, "--summary"}},
    {"damage to one", cli_queue, CLI_USAGE, {"damage", "--to", "anna@here.example"}},
    {"reroute to no port", cli_queue, CLI_USAGE, {"reroute", ID, "--via", "smtp:127.0.0.1:99999"}},
    {"reroute by nothing", cli_queue, CLI_USAGE, {"reroute", ID, "--via", ""}},
    {"list to a very long one", cli_queue, CLI_USAGE, {"--to", long_text}},
    {"list to a long one", cli_queue, CLI_UNREACHED, {"--to", long_text + 1}},
    {"remove at a very long one", cli_queue, CLI_USAGE, {"remove", "--destination", long_text}},
    {"remove the zero id", cli_queue, CLI_USAGE, {"remove", "0000000000000000"}},
    {"remove no id", cli_queue, CLI_USAGE, {"remove", "anna@here.example"}},
    {"no id as an option", cli_queue, CLI_USAGE, {"remove", "--id", "1"}},
    {"two ids", cli_queue, CLI_USAGE, {"remove", ID, ID}},
    {"two ids, one as an option", cli_queue, CLI_USAGE, {"remove", ID, "--id", "1123456789abcdef"}},
    {"reroute whereto?", cli_queue, CLI_USAGE, {"reroute", ID}},
    {"remove by a way", cli_queue, CLI_USAGE, {"remove", ID, "--via", "mx"}},
    {"no such act", cli_queue, CLI_USAGE, {"delete", ID}},
    {"no such state", cli_queue, CLI_USAGE, {"--state", "late"}},
    {"list with an id", cli_queue, CLI_USAGE, {"list", ID}},
    {"damage with an id", cli_queue, CLI_USAGE, {"damage", ID}},
    {"show what?", cli_queue, CLI_USAGE, {"show"}},
    {"remove one", cli_queue, CLI_UNREACHED, {"remove", ID}},
    {"remove from the null sender", cli_queue, CLI_UNREACHED, {"remove", "--from", "<>"}},
    {"reroute", cli_queue, CLI_UNREACHED, {"reroute", ID, "--via", "mx"}},
    {"list", cli_queue, CLI_UNREACHED, {"--state", "held", "--json"}},
    {"count", cli_queue, CLI_UNREACHED, {"--summary"}},
    {"damage", cli_queue, CLI_UNREACHED, {"damage"}},
    {"status", cli_status, CLI_UNREACHED, {NULL}},
    {"reload", cli_reload, CLI_UNREACHED, {NULL}},
    {"status of something", cli_status, CLI_USAGE, {"foo"}},
    {"reload of something", cli_reload, CLI_USAGE, {"foo"}},
    {"route of nobody", cli_route, CLI_USAGE, {NULL}},
    {"route of two", cli_route, CLI_USAGE, {"a@b.example", "c@d.example"}},
    {"route", cli_route, CLI_UNREACHED, {"a@b.example"}},
};

static void nothing_acts_on_what_was_not_named(void **state)
{
    append("input", "y\n");
    memset(long_text, 'x', sizeof(long_text) - 1);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int code = run(cases[i].command, cases[i].words);
        if (code != cases[i].code || text[0])
            fail_msg("%s: %d, %s", cases[i].name, code, text);
    }
}

static void a_bad_configuration_is_no_server(void **state)
{
    static const char *const none[] = {NULL};
    append("input", "");
    append("postbuch.yaml", "nonsense: 1\n");
    assert_int_equal(run(cli_queue, none), CLI_UNREACHED);
    assert_int_equal(run(cli_reload, none), CLI_UNREACHED);
}

/* In the order of the file, and without a second word for what they say. */
static void its_errors_are_told_as_check_config_does(void **state)
{
    static const char *const none[] = {NULL};
    char errors[1024];

    append("input", "");
    append("postbuch.yaml", "retry: { first: 3h, max: 2h }\nnonsense: 1\ncontrol: a\n");
    int saved = redirect(2, "errors", O_WRONLY | O_TRUNC);
    int code = run(cli_queue, none);
    restore(saved, 2);
    read_back("errors", errors, sizeof(errors));
    assert_int_equal(code, CLI_UNREACHED);
    const char *first = strstr(errors, "the first pause is longer");
    const char *second = strstr(errors, "no key `nonsense`");
    assert_true(first && second && first < second);
    assert_non_null(strstr(errors, "can't be used; "));
    assert_null(strstr(errors, strerror(EINVAL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_acts_on_what_was_not_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_configuration_is_no_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_errors_are_told_as_check_config_does, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
