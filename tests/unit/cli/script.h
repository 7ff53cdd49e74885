/*
 * A server that speaks by a script, on a thread of its own. A script is a text of lines:
 *   S text   send the line
 *   C text   the next line must be this one
 *   D        read to the line of one dot and remember what came
 *   X        close at once
 */
#pragma once

#include "base/buffer.h"

#include <pthread.h>

struct script {
    const char *text;
    const char *const *texts; /* of script_listen: one a connection, NULL at the end */
    int listener;             /* -1, or where connections come from */
    int fd;                   /* the server's end */
    struct buffer data;       /* of D */
    char wrong[256];          /* the first line that wasn't as expected */
    pthread_t thread;
};

/* Returns the client's end. */
int script_start(struct script *s, const char *text);
/* Listens on a Unix socket; each connection in turn gets its text. */
void script_listen(struct script *s, const char *path, const char *const *texts);
/* Waits for the script's end and fails the test when something was wrong. */
void script_finish(struct script *s);
