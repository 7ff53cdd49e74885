/*
 * The grammar of SMTP commands (RFC 5321 4.1.1): the verb, the rule for its argument, the words
 * before a path, and ESMTP parameters. Pure: text in, parts out; parts point into the text.
 */
#pragma once

#include "base/span.h"

enum smtp_verb {
    SMTP_VERB_UNKNOWN, /* not a command of SMTP */
    SMTP_VERB_ABSENT,  /* a command that exists but isn't offered here */
    SMTP_VERB_FOREIGN, /* another protocol's: somebody abuses a browser to reach us */
    SMTP_VERB_HELO,
    SMTP_VERB_EHLO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_BDAT,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_QUIT,
    SMTP_VERB_VRFY,
    SMTP_VERB_EXPN,
    SMTP_VERB_HELP,
    SMTP_VERB_COUNT
};

/* Whether the verb's own grammar is kept; of a verb that isn't known there is none. */
enum smtp_command_result {
    SMTP_COMMAND_OK,
    SMTP_COMMAND_BAD_BYTES,         /* control characters */
    SMTP_COMMAND_MISSING_ARGUMENT,  /* the verb needs one */
    SMTP_COMMAND_UNWANTED_ARGUMENT, /* the verb takes none */
};

struct smtp_command {
    enum smtp_verb verb;
    struct span name;     /* as given */
    struct span argument; /* without blanks around */
};

/* `line` is a command line without its CRLF. *out is filled in any case. */
enum smtp_command_result smtp_command_parse(struct span line, struct smtp_command *out);

/* Takes "FROM:" or "TO:" in any case and blanks behind it, which RFC 5321 3.3 forbids but which
 * many clients send. False when it isn't there. */
bool smtp_command_take_word(struct span *text, struct span word);

/* One ESMTP parameter (RFC 5321 4.1.2 esmtp-param). */
struct smtp_parameter {
    struct span word; /* all of it, also when it isn't one */
    struct span keyword;
    struct span value;
    bool has_value;
};

/* Takes the next parameter from the front of *rest. 1: *out is filled, 0: none is left, -EINVAL:
 * not a parameter, and only its word is filled. */
int smtp_parameter_next(struct span *rest, struct smtp_parameter *out);
