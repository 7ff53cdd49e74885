#include "../unit.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "conf/conf.h"
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A folder with the default configuration, which a test then spoils; what the command printed. */
static char folder[64], config[96], text[8192];

static void path_of(const char *name, char out[static 96])
{
    snprintf(out, 96, "%s/%s", folder, name);
}

static int set_up(void **state)
{
    strcpy(folder, "/tmp/test_check_config.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    path_of("postbuch.yaml", config);
    return conf_create_default(folder);
}

static int tear_down(void **state)
{
    static const char *const names[] = {"postbuch.yaml", "users", "aliases", "output"};
    char path[96];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        path_of(names[i], path);
        unlink(path);
    }
    return rmdir(folder);
}

static void append(const char *name, const char *line)
{
    char path[96];

    path_of(name, path);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(line, f);
    fclose(f);
}

static int run(const char *option)
{
    char *argv[] = {(char *)"check-config", (char *)"--config", config, (char *)option, NULL};
    int saved = dup(1);
    char path[96];

    path_of("output", path);
    fflush(stdout);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(saved >= 0 && fd >= 0);
    dup2(fd, 1);
    optind = 0;
    int code = cli_check_config(option ? 4 : 3, argv);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    close(fd);
    return code;
}

static void the_default_is_fine(void **state)
{
    assert_int_equal(run(NULL), CLI_OK);
    assert_non_null(strstr(text, "postbuch.yaml: fine\n"));
    assert_int_equal(run("--json"), CLI_OK);
    assert_non_null(strstr(text, "\"ok\":true,\"errors\":0,\"warnings\":0,\"problems\":[]}"));
}

static void errors_of_all_files_at_once(void **state)
{
    append("users", "carl\n");
    append("aliases", "info |x\n");
    assert_int_equal(run(NULL), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "/users:4:1: error: no colon"));
    assert_non_null(strstr(text, "/aliases:4:1: error: no colon"));
    assert_non_null(strstr(text, "postbuch.yaml: 2 errors, 0 warnings\n"));
    assert_null(strstr(text, "\033")); /* no colours in a file */
    assert_int_equal(run("--json"), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "\"ok\":false,\"errors\":2"));
    assert_non_null(strstr(text, "\"line\":4,\"column\":1,"));
}

static void warnings_are_no_errors(void **state)
{
    append("aliases", "info: nobody\n");
    append("postbuch.yaml", "web: { address: \"127.0.0.1:8025\" }\n");
    assert_int_equal(run(NULL), CLI_OK);
    assert_non_null(strstr(text, "/aliases:4:7: warning: `nobody@postbuch.test` is nobody here"));
    assert_null(strstr(text, "warning: not built yet: relaying"));
    assert_non_null(strstr(text, "warning: not built yet: the page"));
    assert_non_null(strstr(text, "postbuch.yaml: 0 errors, 2 warnings\n"));
}

static void hostile_text_is_shown_harmless(void **state)
{
    append("users", "\033[2Jcarl@\n");
    append("aliases", "a\033b c: x\n");
    assert_int_equal(run(NULL), CLI_BAD_NEWS);
    assert_null(strstr(text, "\033"));
    assert_non_null(strstr(text, "a\\x1bb c"));
}

static void missing_files(void **state)
{
    char path[96];

    path_of("aliases", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(run(NULL), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "/aliases: error: can't be read (No such file"));
    assert_int_equal(unlink(config), 0);
    assert_int_equal(run("--json"), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "\"line\":null,\"column\":null,"));
}

static void wrong_usage(void **state)
{
    assert_int_equal(run("more"), CLI_USAGE);
    assert_int_equal(run("--no-such"), CLI_USAGE);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_default_is_fine),    IN_FOLDER(errors_of_all_files_at_once),
        IN_FOLDER(warnings_are_no_errors), IN_FOLDER(hostile_text_is_shown_harmless),
        IN_FOLDER(missing_files),          IN_FOLDER(wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
