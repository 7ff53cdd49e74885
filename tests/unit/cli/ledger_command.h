/* What the tests of the commands that read the book share. */
#pragma once

#include "../book/ledger_test.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include <fcntl.h>
#include <getopt.h>

/* A ledger and a configuration that names it, in one folder; what the command prints, in files. */
static char config[128], output[128], errors[128];
static struct test_message message;

static inline void fold_message(void)
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

static inline int set_up(void **state)
{
    if (test_ledger_make(state) < 0)
        return -1;
    snprintf(config, sizeof(config), "%s/postbuch.yaml", test_folder);
    snprintf(output, sizeof(output), "%s/output", test_folder);
    snprintf(errors, sizeof(errors), "%s/errors", test_folder);
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

static char text[65536], complaints[4096]; /* to standard output and error */

static inline int redirect(int fd, const char *path, int *out_saved)
{
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    *out_saved = dup(fd);
    assert_true(*out_saved >= 0 && file >= 0);
    dup2(file, fd);
    return file;
}

static inline void restore(int fd, int saved, int file, char *out_text, size_t room)
{
    dup2(saved, fd);
    close(saved);
    ssize_t size = pread(file, out_text, room - 1, 0);
    out_text[size > 0 ? size : 0] = '\0';
    close(file);
}

static inline int run(int (*command)(int, char **), const char *const *words)
{
    char *argv[10] = {(char *)"test", (char *)"--config", config};
    int argc = 3, saved_output, saved_errors;

    for (; *words; words++)
        argv[argc++] = (char *)*words;
    fflush(stdout);
    int output_fd = redirect(1, output, &saved_output);
    int errors_fd = redirect(2, errors, &saved_errors);
    optind = 0;
    int code = command(argc, argv);
    fflush(stdout);
    restore(1, saved_output, output_fd, text, sizeof(text));
    restore(2, saved_errors, errors_fd, complaints, sizeof(complaints));
    return code;
}
