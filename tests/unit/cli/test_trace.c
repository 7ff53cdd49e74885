#include "../book/ledger_test.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include <fcntl.h>
#include <getopt.h>

/* A ledger and a configuration that names it, in one folder; what the command prints, in a file. */
static char config[128], output[128];
static struct test_message message;

static void fold_message(void)
{
    struct fold *fold = test_fold_open();
    test_message_at(&message, TEST_NOW_US, 1, 1);
    struct book_input input = test_input_message(100, &message);
    test_fold_one(fold, &input);
    struct book_status delivered = test_status(message.envelope.id, 0, EVENT_DELIVERED);
    test_fold_status(fold, 200, &delivered);
    test_commit(fold);
    fold_close(fold);
}

static int set_up(void **state)
{
    if (test_ledger_make(state) < 0)
        return -1;
    snprintf(config, sizeof(config), "%s/postbuch.yaml", test_folder);
    snprintf(output, sizeof(output), "%s/output", test_folder);
    FILE *f = fopen(config, "w");
    if (!f)
        return -1;
    fprintf(f,
            "hostname: mail.aaa.example\nledger: %s\nspool: file:%s/spool\ncontrol: %s/control\n"
            "listen:\n  mx: { address: [\"127.0.0.1:2525\"] }\n"
            "domains:\n  aaa.example: { deliver: \"maildir:%s/%%u\", users: \"file:%s/users\" }\n",
            test_folder, test_folder, test_folder, test_folder, test_folder);
    fclose(f);
    fold_message();
    return 0;
}

static char text[65536];

static int run(const char *const *words)
{
    char *argv[10] = {(char *)"trace", (char *)"--config", config};
    int argc = 3, saved = dup(1);

    for (; *words; words++)
        argv[argc++] = (char *)*words;
    fflush(stdout);
    int fd = open(output, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(saved >= 0 && fd >= 0);
    dup2(fd, 1);
    optind = 0;
    int code = cli_trace(argc, argv);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    close(fd);
    return code;
}

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
        assert_int_equal(run(cases[i].words), cases[i].code);
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
    assert_int_equal(run(words), CLI_UNREACHED);
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
