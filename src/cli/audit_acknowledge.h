/*
 * `postbuch audit --acknowledge`: what the audit finds is chosen by the words of the command, asked
 * about, and booked by the running server with who said so.
 */
#pragma once

#include "book/audit.h"
#include "ipc/control.h"

struct acknowledge_word {
    struct id id; /* of a message or a finding */
    bool fits;
};

struct audit_acknowledge {
    bool wanted;
    bool yes; /* don't ask */
    const char *reason;
    bool all;
    struct acknowledge_word *words; /* sorted; unless `all` */
    size_t word_count, word_room;
    struct ipc_acknowledge_row *rows; /* what fits */
    size_t row_count, row_room;
    uint64_t others; /* fit, too, but are nothing that is booked for good */
    uint64_t booked;
    uint64_t left_alone; /* said to be lost, and the queue has them */
    int error;
};

/* Queue ids, tokens, "all", or "-": ids and tokens from standard input, one a line. CLI_OK, or
 * CLI_USAGE after a complaint. */
int audit_acknowledge_take(struct audit_acknowledge *a, char **words, size_t count);
/* Takes a finding that is meant; true: it is to be shown. */
bool audit_acknowledge_found(struct audit_acknowledge *a, const struct audit_finding *finding);
/* Asks and has it booked; complains of what can't be. CLI_OK: all that was named was acknowledged;
 * CLI_BAD_NEWS; CLI_UNREACHED. */
int audit_acknowledge_book(struct audit_acknowledge *a, const char *control);
/* What came of it, in words. */
void audit_acknowledge_print(const struct audit_acknowledge *a);
void audit_acknowledge_done(struct audit_acknowledge *a);
