/*
 * What the files of the client session share. See smtp/client/client.h for what it promises.
 *
 * States (the table of which reply is legal in which is in verbs.c):
 *
 *   GREETING ──220──▶ HELLO ──250──▶ READY ──begin──▶ ENVELOPE ──all answered──▶ OPENING ──354──┐
 *      │      EHLO, then HELO         ▲  ▲               │  │                     (DATA)        │
 *      │                              │  └──none is left─┘  └────────(BDAT)───────┐             │
 *      │                              │                                           ▼             │
 *      │                              └──verdict── FINAL ◀────the last piece──── BODY ◀─────────┘
 *      └──anything that is no dialogue, time, the end of the connection──▶ CLOSED ◀── QUITTING
 *
 * OPENING ends in READY when DATA is refused; in FINAL, with an empty message, when no recipient
 * was accepted behind a DATA that had been sent ahead (RFC 2920 section 3.1). BODY ends in READY
 * when a chunk is refused. READY becomes QUITTING by smtp_client_quit(). READY is also what a
 * message that can't go there ends in before anything was sent. A message whose end comes while
 * output is left ends in CLOSED instead.
 *
 * A place for STARTTLS is between HELLO and READY: what was learnt by the first EHLO is forgotten
 * there.
 *
 * `awaited` holds one verb for each command that was sent and not answered yet. Replies come in the
 * order of commands (RFC 2920 3.2), so that is all there is to know of what a reply is for.
 */
#pragma once

#include "mail/seven_bit.h"
#include "smtp/client/client.h"
#include "smtp/client/encode.h"

enum smtp_client_state {
    SMTP_CLIENT_GREETING,
    SMTP_CLIENT_HELLO,
    SMTP_CLIENT_READY,
    SMTP_CLIENT_ENVELOPE,
    SMTP_CLIENT_OPENING,
    SMTP_CLIENT_BODY,
    SMTP_CLIENT_FINAL,
    SMTP_CLIENT_QUITTING,
    SMTP_CLIENT_CLOSED,
};

enum smtp_client_verb {
    SMTP_CLIENT_CONNECT, /* no command: the greeting */
    SMTP_CLIENT_EHLO,
    SMTP_CLIENT_HELO,
    SMTP_CLIENT_RSET,
    SMTP_CLIENT_MAIL,
    SMTP_CLIENT_RCPT,
    SMTP_CLIENT_DATA,
    SMTP_CLIENT_DOT, /* the end of the data */
    SMTP_CLIENT_BDAT,
    SMTP_CLIENT_QUIT,
    SMTP_CLIENT_VERB_COUNT
};

enum {
    SMTP_CLIENT_OUTPUT_MARK = 65536, /* over it no more of the body is taken */
    SMTP_CLIENT_AWAITED_MAX = 20000, /* commands under way */
    SMTP_CLIENT_TROUBLE_MAX = SMTP_HEARD_KEPT + 64,
};

struct smtp_client {
    const struct smtp_client_settings *settings;
    const int64_t *now_ms;
    enum smtp_client_state state;
    int64_t progress_ms;      /* the last thing that the station did, or that we began */
    int64_t patience_ends_ms; /* of the message under way */

    struct smtp_heard heard;
    struct buffer awaited; /* a byte each: enum smtp_client_verb */
    struct buffer out;

    unsigned extensions; /* enum smtp_extension */
    uint64_t size_max;   /* of SIZE; 0: not told */
    unsigned mail_count;
    bool dirty;    /* the station may hold a transaction that we have given up */
    bool answered; /* it has answered something since begin */

    /* From begin to the verdict. */
    struct smtp_client_mail *mail;
    size_t sent;     /* recipients looked at for RCPT */
    size_t heard_of; /* recipients looked at for its reply */
    size_t accepted;
    bool mail_refused; /* the whole transaction: its other replies don't matter */
    bool mail_sent;
    bool data_sent; /* DATA, so that its 354 must be followed by a dot */
    bool chunking;  /* BDAT, not DATA */
    bool last_sent; /* the dot or the last chunk */
    bool body_begun;
    bool verdict_known; /* the chunks' verdict came before their end */
    bool declare_8bit, declare_utf8;
    uint64_t body_left;
    struct smtp_encode encode;
    struct seven_bit *convert; /* NULL: the body goes as it is */
    struct buffer converted, chunk;

    bool trouble_is_ours;
    char trouble_status[SMTP_HEARD_STATUS_SIZE];
    uint16_t trouble_size;
    char trouble[SMTP_CLIENT_TROUBLE_MAX];
};

/* session.c */
void smtp_client_state_set(struct smtp_client *c, enum smtp_client_state state);
/* The message's time begins, or its body's. */
void smtp_client_be_patient(struct smtp_client *c);
/* A piece of the body is there: what it was waited for counts against nobody. */
void smtp_client_end_our_turn(struct smtp_client *c);
/* It has waited for a piece so long that what it says now, or its leaving, is about that. */
bool smtp_client_was_kept_waiting(const struct smtp_client *c);
/* So the session is over because of us. */
void smtp_client_fail_late(struct smtp_client *c);
/* A command goes out, and its reply is awaited. `line` has no CRLF. */
void smtp_client_command(struct smtp_client *c, enum smtp_client_verb verb, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void smtp_client_await(struct smtp_client *c, enum smtp_client_verb verb);
/* Our own trouble: neither host nor recipient is to blame, the session is over. */
void smtp_client_fail_ours(struct smtp_client *c, const char *text);
/* So it ends when there was no memory for what it had to say. */
void smtp_client_check_memory(struct smtp_client *c);
/* The host's trouble: no recipient is to blame, the session is over. `text` is our own words. */
void smtp_client_fail(struct smtp_client *c, const char *status, const char *text);
/* The same, with what was heard as the reason. */
void smtp_client_fail_heard(struct smtp_client *c);
static inline bool smtp_client_offers(const struct smtp_client *c, enum smtp_extension extension)
{
    return c->extensions & extension;
}

static inline bool smtp_client_heard_yes(const struct smtp_client *c)
{
    return c->heard.code / 100 == 2;
}

/* transaction.c */
/* A recipient's result, with the words heard. */
void smtp_client_settle(struct smtp_client *c, struct smtp_client_recipient *r,
                        enum smtp_result result);
void smtp_client_settle_as(struct smtp_client *c, struct smtp_client_recipient *r,
                           enum smtp_result result, const char *status, struct span text);
/* All that are pending or accepted. */
void smtp_client_settle_all(struct smtp_client *c, enum smtp_result result);
void smtp_client_settle_all_as(struct smtp_client *c, enum smtp_result result, const char *status,
                               struct span text);
/* What 4xx and 5xx mean. */
enum smtp_result smtp_client_result_of(const struct smtp_client *c);
/* Sends what may be sent now, or ends the transaction. */
void smtp_client_go_on(struct smtp_client *c);
/* Each recipient has his result: the message is the caller's again, and the session ready; or over,
 * when some of what it said was not even written. */
void smtp_client_end_mail(struct smtp_client *c);
/* The same without a new state. */
void smtp_client_drop_mail(struct smtp_client *c);

/* A file per verb: what is said, and what the reply means. */
void smtp_client_say_ehlo(struct smtp_client *c);
void smtp_client_say_mail(struct smtp_client *c);
void smtp_client_say_rcpt(struct smtp_client *c);
void smtp_client_say_data(struct smtp_client *c);

/* verbs.c: a line of a reply came, or all of it. */
void smtp_client_on_line(struct smtp_client *c);
void smtp_client_on_reply(struct smtp_client *c);
void smtp_client_on_ehlo_line(struct smtp_client *c);
void smtp_client_on_greeting(struct smtp_client *c);
void smtp_client_on_ehlo(struct smtp_client *c);
void smtp_client_on_helo(struct smtp_client *c);
void smtp_client_on_rset(struct smtp_client *c);
void smtp_client_on_mail(struct smtp_client *c);
void smtp_client_on_rcpt(struct smtp_client *c);
void smtp_client_on_data(struct smtp_client *c);
void smtp_client_on_dot(struct smtp_client *c);
void smtp_client_on_bdat(struct smtp_client *c);
void smtp_client_on_quit(struct smtp_client *c);
