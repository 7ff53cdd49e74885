/* Where the server is: what commands that talk to it need of its configuration. */
#pragma once

#include "base/buffer.h"

#include <limits.h>

struct cli_server {
    char control[PATH_MAX]; /* the socket for questions and acts */
    char submit[PATH_MAX];  /* the socket for local submission, beside it */
    char drop[PATH_MAX];    /* the drop folder */
    char ledger[PATH_MAX];  /* the folder of the book */
    char spool[PATH_MAX];   /* the folder of what waits */
    uint64_t disk_reserve;  /* bytes that new mail must leave free */
    char hostname[256];
    char origin[256]; /* the domain of addresses written without one; "": it can't be known */
};

/* From `config` (--config, or NULL). A program of an ordinary user may not be able to read an
 * installation's file, and still must be able to send: when no other file is named (nor by
 * $POSTBUCH_CONFIG) the server's default places are then used.
 * A file with errors is told of, and what it says of places is believed as far as it can be read:
 * the server may run on with what it read before, and mail must not wait for who mends the file.
 * 0, or -errno after a complaint; the command then ends with CLI_UNREACHED. */
int cli_server_find(const char *command, const char *config, struct cli_server *out);
/* The same for what can't be undone: a file with errors, or that can't be read, is refused. Who
 * mends it first loses nothing by it; at a wrong server he might. */
int cli_server_find_for_act(const char *command, const char *config, struct cli_server *out);
