/* What the user of `postbuch send` asked for: sendmail(1)'s options. */
#pragma once

#include "cli/cli.h"

struct send_wishes {
    const char *config; /* of this and all other texts: argv's, or NULL when not given */
    const char *sender; /* NULL: the user */
    const char *full_name;
    const char *collect;
    const char *submit, *hostname; /* for `collect`, from the server itself */
    bool extract, dot_is_text, verbose, run_queue;
    char mode;         /* of -b: m send, s SMTP, p list the queue, i new aliases */
    char notify[64];   /* "SUCCESS,DELAY" as in SMTP (RFC 3461 4.1), or "" */
    char ret[8];       /* "FULL", "HDRS" or "" */
    const char *envid; /* xtext (RFC 3461 4.4) */
    char **recipients; /* what is left of argv */
    int recipient_count;
};

extern const struct cli_usage send_usage;

/* 0, or -1 when the command must return *out_code at once. */
int send_parse_wishes(int argc, char **argv, struct send_wishes *w, int *out_code);
