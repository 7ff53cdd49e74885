/* What the user of `postbuch send` asked for: sendmail(1)'s options. */
#pragma once

#include "cli/cli.h"

struct send_wishes {
    const char *config;
    const char *sender; /* NULL: the user */
    const char *full_name;
    const char *collect;
    bool extract, dot_is_text, verbose, run_queue;
    char mode; /* of -b */
    char notify[64], ret[8];
    const char *envid;
    char **recipients;
    int recipient_count;
};

extern const struct cli_usage send_usage;

/* 0, or -1 when the command must return *out_code at once. */
int send_parse_wishes(int argc, char **argv, struct send_wishes *w, int *out_code);
