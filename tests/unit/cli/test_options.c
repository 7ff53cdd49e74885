#include "../unit.h"

#include "cli/cli.h"
#include "cli/commands.h"

#include <stdlib.h>
#include <unistd.h>

enum { KEY_SINCE = 1, KEY_QUIET, KEY_OLD, KEY_MAYBE, KEY_SINGLE, KEY_LONG };

static const struct cli_option options[] = {
    {"since", 's', "TIME", "only later ones", KEY_SINCE},
    {"quiet", 'q', NULL, "say less", KEY_QUIET},
    {NULL, 'o', "WORD", NULL, KEY_OLD},
    {NULL, 'm', "[TIME]", "maybe with a time", KEY_MAYBE},
    {"single", 0, NULL, NULL, KEY_SINGLE},
    {"longer-than-the-column", 0, "SIZE", "what is that long", KEY_LONG},
};
static const struct cli_usage usage = {"try", "WHAT…", "Tries.\n",
                                       true,  options, ARRAY_SIZE(options)};

/* What came out, as text: "key=value " for each option, then ": " and the other arguments. */
static void parse(char **argv, int argc, struct buffer *out, struct cli_parser *p)
{
    int key;

    cli_parse_init(p, &usage, argc, argv);
    while ((key = cli_parse_next(p)) > 0)
        buffer_printf(out, "%d=%s ", key, p->value ? p->value : "");
    if (key < 0) {
        buffer_printf(out, "exit %d", p->exit_code);
        return;
    }
    if (p->config)
        buffer_printf(out, "config=%s ", p->config);
    buffer_printf(out, "%s:", p->json ? "json" : "");
    for (int i = p->first; i < argc; i++)
        buffer_printf(out, " %s", argv[i]);
}

static void lines(void **state)
{
    static const struct {
        const char *name;
        char *argv[8];
        const char *result;
    } cases[] = {
        {"nothing", {"try"}, ":"},
        {"arguments", {"try", "a", "b"}, ": a b"},
        {"letter", {"try", "-q", "a"}, "2= : a"},
        {"letter with value", {"try", "-s", "2h"}, "1=2h :"},
        {"value joined", {"try", "-s2h"}, "1=2h :"},
        {"name", {"try", "--since", "2h"}, "1=2h :"},
        {"beginning of a name", {"try", "--sing"}, "5= :"},
        {"name with =", {"try", "--since=2h", "--quiet"}, "1=2h 2= :"},
        {"letters joined", {"try", "-qs2h"}, "2= 1=2h :"},
        {"only a letter", {"try", "-oi"}, "3=i :"},
        {"optional value", {"try", "-m", "a", "-m30m"}, "4= 4=30m : a"},
        {"common", {"try", "--json", "--config", "/x"}, "config=/x json:"},
        {"after the arguments", {"try", "a", "--json"}, "json: a"},
        {"end of options", {"try", "--", "-q"}, ": -q"},
        {"unknown name", {"try", "--nothing"}, "exit 2"},
        {"unknown letter", {"try", "-x"}, "exit 2"},
        {"value missing", {"try", "--since"}, "exit 2"},
        {"value for none", {"try", "--quiet=1"}, "exit 2"},
        {"help", {"try", "--help"}, "exit 0"},
        {"help by letter", {"try", "-h"}, "exit 0"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        struct cli_parser p;
        char *argv[8];
        int argc = 0;

        memcpy(argv, cases[i].argv, sizeof(argv));
        while (argc < 8 && argv[argc])
            argc++;
        print_message("%s\n", cases[i].name);
        parse(argv, argc, &out, &p);
        assert_span(buffer_span(&out), cases[i].result);
        buffer_done(&out);
    }
}

/* What is printed to the descriptor while `argv` is parsed. */
static const char *printed(int descriptor, int argc, char **argv)
{
    static char text[2000];
    struct cli_parser p;
    FILE *file = tmpfile();
    int saved = dup(descriptor);

    assert_true(file && saved >= 0);
    fflush(stdout);
    dup2(fileno(file), descriptor);
    cli_parse_init(&p, &usage, argc, argv);
    while (cli_parse_next(&p) > 0)
        ;
    fflush(stdout);
    dup2(saved, descriptor);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Options without a text are for old programs: they work, and aren't told. */
static void what_help_tells(void **state)
{
    char *argv[] = {"try", "--help", NULL};

    assert_string_equal(printed(1, 2, argv),
                        "usage: postbuch try [OPTION…] WHAT…\n\nTries.\n\n"
                        "  -s, --since TIME         only later ones\n"
                        "  -q, --quiet              say less\n"
                        "  -m [TIME]                maybe with a time\n"
                        "      --longer-than-the-column SIZE\n"
                        "                           what is that long\n"
                        "      --json               print JSON\n"
                        "      --config FILE        the configuration to use (default: "
                        "$POSTBUCH_CONFIG, else /etc/postbuch/postbuch.yaml)\n"
                        "  -h, --help               print this help\n");
}

/* Each mistake is told as what it is. */
static void what_is_wrong(void **state)
{
    static const struct {
        char *argv[5];
        const char *told;
    } cases[] = {
        {{"try", "--nothing"}, "there is no option --nothing"},
        {{"try", "--nothing=1"}, "there is no option --nothing=1"},
        {{"try", "-x"}, "there is no option -x"},
        {{"try", "-qx"}, "there is no option -x"},
        {{"try", "--since"}, "--since needs a value"},
        {{"try", "-qs"}, "-qs needs a value"},
        {{"try", "--quiet=1"}, "--quiet=1: this option takes no value"},
        {{"try", "--json="}, "--json=: this option takes no value"},
        {{"try", "-\x01"}, "there is no option -\\x01"},
        {{"try", "-\xc3\xa9"}, "there is no option -\\xc3"},
        {{"try", "--json", "-xq"}, "there is no option -x"},
        {{"try", "a", "--json", "-xq"}, "there is no option -x"},
        {{"try", "--s"}, "--s may be several options"},
        {{"try", "--s=1"}, "--s=1 may be several options"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char expected[200], *argv[5];
        int argc = 0;
        memcpy(argv, cases[i].argv, sizeof(argv));
        while (argv[argc])
            argc++;
        snprintf(expected, sizeof(expected), "postbuch try: %s; see postbuch try --help\n",
                 cases[i].told);
        assert_string_equal(printed(2, argc, argv), expected);
    }
}

/* Also those that take no arguments and have no options of their own. */
static void every_command_helps(void **state)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        char *argv[] = {(char *)c->name, (char *)"--help", NULL};

        print_message("%s\n", c->name);
        assert_int_equal(c->run(2, argv), CLI_OK);
    }
}

static void json_only_where_data_is_printed(void **state)
{
    static const struct cli_usage silent = {"mute", NULL, "Says nothing.\n", false, NULL, 0};
    char *argv[] = {"mute", "--json", NULL};
    struct cli_parser p;

    assert_int_equal(cli_parse_all(&p, &silent, 2, argv), -1);
    assert_int_equal(p.exit_code, CLI_USAGE);
}

static void configuration_order(void **state)
{
    unsetenv("POSTBUCH_CONFIG");
    assert_string_equal(cli_config_path("/given"), "/given");
    assert_string_equal(cli_config_path(NULL), "/etc/postbuch/postbuch.yaml");
    setenv("POSTBUCH_CONFIG", "/from/env", 1);
    assert_string_equal(cli_config_path(NULL), "/from/env");
    assert_string_equal(cli_config_path("/given"), "/given");
    setenv("POSTBUCH_CONFIG", "", 1);
    assert_string_equal(cli_config_path(NULL), "/etc/postbuch/postbuch.yaml");
}

/* Where ./run made it, by a name without the way there from the program. */
static void configuration_of_a_build_folder(void **state)
{
    char folder[] = "/tmp/test_options.XXXXXX", command[1024], expected[64], path[128] = "";

    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof(command),
             "cd %s && mkdir -p var build/kind/src/proc && touch var/postbuch.yaml && "
             "cp /proc/%d/exe build/kind/src/program && "
             "env -u POSTBUCH_CONFIG build/kind/src/program path",
             folder, (int)getpid());
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, sizeof(path), f));
    assert_int_equal(pclose(f), 0);
    snprintf(expected, sizeof(expected), "%s/var/postbuch.yaml", folder);
    assert_string_equal(path, expected);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* As another program: tells the path. */
int main(int argc, char **argv)
{
    if (argc > 1)
        return fputs(cli_config_path(NULL), stdout) < 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines),
                                       cmocka_unit_test(what_help_tells),
                                       cmocka_unit_test(what_is_wrong),
                                       cmocka_unit_test(every_command_helps),
                                       cmocka_unit_test(json_only_where_data_is_printed),
                                       cmocka_unit_test(configuration_order),
                                       cmocka_unit_test(configuration_of_a_build_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
