/*
 * The client side of an SMTP session (RFC 5321), without any I/O: it is given the station's bytes
 * and the time, gives bytes back, and carries one message after the other. Tests and fuzzers drive
 * it as the smtp process does.
 *
 * Driving it:
 *   - after each call write smtp_client_output(), then say how much was written by
 *     smtp_client_sent();
 *   - when smtp_client_is_ready(), give it a message by smtp_client_begin(); the outcomes are in
 * the message when the session is ready again or over;
 *   - while smtp_client_wants_body(), give it the body's next piece;
 *   - call smtp_client_expire() when smtp_client_deadline_ms() has come;
 *   - when smtp_client_is_over(), close the connection and free the session.
 *
 * What a station says is kept word for word (smtp/client/reply.h). The session never waits for
 * anything without a deadline, and whatever ends it, each recipient of the message under way has a
 * result: UNCERTAIN only when all of the message was written and its verdict is missing.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "smtp/client/reply.h"

/* RFC 5321 4.5.3.2; in ms. */
struct smtp_client_timeouts {
    uint32_t greeting, hello, mail, recipient, data, block, final, quit;
};
extern const struct smtp_client_timeouts smtp_client_timeouts_default;

/* Outlives the sessions that use it. */
struct smtp_client_settings {
    struct span hostname; /* for EHLO */
    struct smtp_client_timeouts timeouts;
};

/* What the station's EHLO offered. */
enum smtp_extension {
    SMTP_EXTENSION_PIPELINING = 1, /* RFC 2920 */
    SMTP_EXTENSION_SIZE = 2,       /* RFC 1870 */
    SMTP_EXTENSION_8BITMIME = 4,   /* RFC 6152 */
    SMTP_EXTENSION_SMTPUTF8 = 8,   /* RFC 6531 */
    SMTP_EXTENSION_CHUNKING = 16,  /* RFC 3030 */
    SMTP_EXTENSION_DSN = 32,       /* RFC 3461 */
};

enum smtp_result {
    SMTP_RESULT_OPEN,      /* not tried yet */
    SMTP_RESULT_AGAIN,     /* too many at once: the session's next transaction takes it */
    SMTP_RESULT_HOST,      /* the host is in trouble, or the way to it */
    SMTP_RESULT_OURS,      /* we are: says nothing of the host */
    SMTP_RESULT_LATER,     /* 4xx */
    SMTP_RESULT_PENDING,   /* in the transaction under way */
    SMTP_RESULT_ACCEPTED,  /* its RCPT was answered 250 */
    SMTP_RESULT_TAKEN,     /* the station is responsible now */
    SMTP_RESULT_NEVER,     /* 5xx, or the message can't go there */
    SMTP_RESULT_UNCERTAIN, /* the verdict on the whole message was lost */
};

/* Whether another try may be made for it: a later host, or a later time. */
static inline bool smtp_result_is_open(enum smtp_result result)
{
    return result <= SMTP_RESULT_LATER;
}

struct smtp_client_recipient {
    struct span address;
    uint8_t notify;    /* enum envelope_notify; said to a station that offers DSN … */
    struct span orcpt; /* … with this: RFC 3461 4.2, or "" */
    bool knows_wish;   /* the station that accepted it does */
    bool put_off;      /* told "later" by the station that has the message again (rest_only) */
    enum smtp_result result;
    bool everybodys; /* the result is of the whole message, not of this recipient */
    char status[SMTP_HEARD_STATUS_SIZE];
    struct span text; /* what the station said, or what happened; lives in the message's arena */
};

/* A message. Its recipients that are open are tried; the others are left alone, so that the same
 * message can be given to one session after the other, or to the same one again for the rest. */
struct smtp_client_mail {
    struct span sender;
    struct smtp_client_recipient *recipients;
    size_t recipient_count;
    struct span header;  /* goes in front of the body */
    struct span body;    /* the body, or its first piece: looked at before all goes out */
    uint64_t size_bytes; /* of the whole body */
    bool eight_bit;      /* declared as 8BITMIME */
    bool binary;         /* declared as BINARYMIME */
    bool smtputf8;
    bool rest_only;          /* a station again: whom it put off isn't named so soon */
    uint8_t returned;        /* enum envelope_return */
    struct span envelope_id; /* RFC 3461 4.4: xtext, or "" */
    struct arena arena;      /* for what was said */
};

/* Whether a session that is given the mail now tries this recipient. */
static inline bool smtp_client_tries(const struct smtp_client_mail *mail,
                                     const struct smtp_client_recipient *recipient)
{
    return smtp_result_is_open(recipient->result) && !(mail->rest_only && recipient->put_off);
}

struct smtp_client;

/* Begins a session: the greeting is waited for. `now_ms` (monotonic) is shared by all sessions of a
 * process; refresh it before each call. NULL: no memory. */
struct smtp_client *smtp_client_new(const struct smtp_client_settings *settings,
                                    const int64_t *now_ms);
/* NULL is fine. A message under way has no results then: use smtp_client_lost() before. */
void smtp_client_free(struct smtp_client *client);

/* All of `in` is taken. May end the session. */
void smtp_client_input(struct smtp_client *client, struct span in);
/* The station closed the connection, or it broke. `why` is a sentence part: "it closed …". */
void smtp_client_lost(struct smtp_client *client, const char *why);
/* The session can't go on because of us; `why` likewise. */
void smtp_client_give_up(struct smtp_client *client, const char *why);

/* What is to be written; borrowed until the next call. Then how much of it was. */
struct span smtp_client_output(const struct smtp_client *client);
void smtp_client_sent(struct smtp_client *client, size_t size);

/* Monotonic ms, INT64_MAX: none. */
int64_t smtp_client_deadline_ms(const struct smtp_client *client);
/* Does nothing before the deadline; after it the session is over. */
void smtp_client_expire(struct smtp_client *client);

/* Greeted, with no message under way. */
bool smtp_client_is_ready(const struct smtp_client *client);
/* Carries the mail to those of its recipients that are open. The session must be ready. The mail
 * stays the caller's and must live until the session is ready again, over or freed. */
void smtp_client_begin(struct smtp_client *client, struct smtp_client_mail *mail);
/* The body's next piece is wanted (the first is mail->body, which is given as any other). */
bool smtp_client_wants_body(const struct smtp_client *client);
/* The pieces together are mail->size_bytes long: with the last one the message is complete. Copied;
 * only when it is wanted. May end the session. */
void smtp_client_body(struct smtp_client *client, struct span piece);
/* Some of the body has gone out: a refusal from then on may be for the message's sake. */
bool smtp_client_has_begun_body(const struct smtp_client *client);

/* Says QUIT, if the session is ready, and then is over. */
void smtp_client_quit(struct smtp_client *client);
/* Nothing more will be said: close the connection. */
bool smtp_client_is_over(const struct smtp_client *client);
/* It ended before the station answered anything to the message under way, and had carried another
 * before: a connection that was kept too long. The message deserves a new one. */
bool smtp_client_was_stale(const struct smtp_client *client);

/* Both borrowed from the session. Why it is over: a status and a text as in a recipient's. Empty
 * when by our own wish. */
struct span smtp_client_trouble(const struct smtp_client *client);
const char *smtp_client_trouble_status(const struct smtp_client *client);
/* It is our own, and not the station's. */
bool smtp_client_trouble_is_ours(const struct smtp_client *client);
/* How many messages it has carried or tried to. */
unsigned smtp_client_mail_count(const struct smtp_client *client);
