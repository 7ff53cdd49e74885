/*
 * Makes what a program on this machine hands to sendmail(1) into a message for SMTP, in two steps.
 * Pure: time, names and ids are given.
 *
 *   1. compose_lines: local line ends become CRLF (a CR alone too: SMTP refuses it, RFC 5321
 *      2.3.8); fed in any pieces.
 *   2. compose_message: the header is completed (From, Date, Message-ID: RFC 6409 section 8), Bcc
 *      and Return-Path are left out, and recipients may be taken from it.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

/* As many as an envelope has (mail/envelope.h). */
enum { COMPOSE_RECIPIENTS_MAX = 10000 };

struct compose_lines {
    bool dot_ends; /* a line of one dot ends the message */
    bool after_cr;
    bool ended;
    uint8_t line; /* what the line holds so far: enum in compose.c */
};

/* Appends to `out`; after the end, nothing. 0 or the buffer's error. */
int compose_lines_feed(struct compose_lines *c, struct span piece, struct buffer *out);
/* Ends the last line, when it has no end. Nothing that is fed afterwards counts. */
int compose_lines_end(struct compose_lines *c, struct buffer *out);

struct compose_input {
    struct span lines;      /* from step 1 */
    struct span sender;     /* canonical, "" for the null sender; for a From that is missing */
    struct span full_name;  /* UTF-8; for that From */
    struct span origin;     /* the domain for addresses without one */
    struct span message_id; /* without brackets, for a Message-ID that is missing */
    int64_t now_us;
    bool extract; /* recipients are what To, Cc and Bcc name (their Resent- forms, if there are any)
                   */
};

/* The outcome. All spans lie in its arena or buffers, and live until compose_done(). */
struct composed {
    struct arena arena;
    struct buffer message;
    struct span *recipients; /* canonical, each once, in the order they were named */
    size_t recipient_count;
    size_t recipient_room;
    bool eight_bit;    /* needs BODY=8BITMIME (RFC 6152) */
    bool smtputf8;     /* UTF-8 in an address or in the header: needs SMTPUTF8 (RFC 6531) */
    struct buffer bad; /* after -EINVAL: the text that can't be an address */
};

void compose_init(struct composed *c);
void compose_done(struct composed *c);

/* Adds what a list of addresses names. 0, -ENOMEM, -EINVAL (c->bad says what), -E2BIG. */
int compose_add_recipients(struct composed *c, struct span list, struct span origin);

/* Canonical form of one address with `origin` if it has no domain; "" and "<>" give the null path.
 * 0, -ENOMEM, -EINVAL. */
int compose_address(struct composed *c, struct span text, struct span origin, struct span *out);

/* The same of a sender, who may also be written "<address>" or "Name <address>". */
int compose_sender(struct composed *c, struct span text, struct span origin, struct span *out);

/* Writes c->message, and into eight_bit and smtputf8 what it needs; with `extract` adds
 * recipients. Errors as of compose_add_recipients(). */
int compose_message(struct composed *c, const struct compose_input *input);
