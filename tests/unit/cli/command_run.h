/* Running a command in a folder with the default configuration; what it printed, as text. */
#pragma once

#include "../unit.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "conf/conf.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64], config[96], text[8192];

static inline void path_of(const char *name, char out[static 96])
{
    snprintf(out, 96, "%s/%s", folder, name);
}

static inline void append(const char *name, const char *line)
{
    char path[96];

    path_of(name, path);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(line, f);
    fclose(f);
}

/* With users that every system has: who a server becomes is checked, too. */
static inline int set_up(void **state)
{
    strcpy(folder, "/tmp/test_command.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    path_of("postbuch.yaml", config);
    int r = conf_create_default(folder);
    append("postbuch.yaml",
           "users: { queue: nobody, network: nobody, directory: nobody, mailbox: nobody }\n");
    return r;
}

/* Also a check that nothing else was left behind. */
static inline int tear_down(void **state)
{
    static const char *const names[] = {"postbuch.yaml", "users",  "aliases",
                                        "output",        "errors", "input"};
    char path[96];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        path_of(names[i], path);
        unlink(path);
    }
    return rmdir(folder);
}

static inline void read_back(const char *name, char *out, size_t size)
{
    char path[96];

    path_of(name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    close(fd);
}

static inline int redirect(int fd, const char *name, int flags)
{
    char path[96];
    int saved = dup(fd);

    path_of(name, path);
    int file = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && file >= 0);
    dup2(file, fd);
    close(file);
    return saved;
}

static inline void restore(int saved, int fd)
{
    dup2(saved, fd);
    close(saved);
}

/* `words` end with NULL; standard input is the file "input". */
static inline int run(int (*command)(int, char **), const char *const *words)
{
    char *argv[10] = {(char *)"test", (char *)"--config", config};
    int argc = 3;

    for (; *words; words++)
        argv[argc++] = (char *)*words;
    fflush(stdout);
    int out = redirect(1, "output", O_WRONLY | O_TRUNC), in = redirect(0, "input", O_RDONLY);
    clearerr(stdin);
    __fpurge(stdin);
    int code = command(argc, argv);
    fflush(stdout);
    restore(out, 1);
    restore(in, 0);
    read_back("output", text, sizeof(text));
    return code;
}
