/*
 * The server side of an SMTP session (RFC 5321), without any I/O: it is given bytes and the time,
 * gives bytes back, and asks its backend questions whose answers may come later. Tests and fuzzers
 * drive it the same way as the smtpd process does.
 *
 * Driving it:
 *   - smtp_server_input() takes what the session can take now; keep the rest and offer it again
 *     after the backend's wake(), the next answer, or smtp_server_sent().
 *   - write smtp_server_output(), then say how much was written by smtp_server_sent(): a session
 *     with much to say takes nothing more until it is said.
 *   - call smtp_server_expire() when smtp_server_deadline_ms() has come.
 *   - when smtp_server_is_over(), close the connection and free the session.
 * `struct smtp_server_time` is shared by all sessions of a process; refresh it before each call.
 *
 * A backend's callback must not free the session. smtp_server_free() cancels every open question
 * and upload, whatever the phase.
 */
#pragma once

#include "base/list.h"
#include "mail/envelope.h"
#include "mail/event.h"
#include <stdalign.h>

struct smtp_server;

enum {
    SMTP_INLINE_MAX = 65536, /* a larger body is uploaded in pieces */
    SMTP_LINE_MAX = 2048,    /* a command line with its CRLF (RFC 5321 4.5.3.1.4 asks for 512) */
    SMTP_BODY_LINE_MAX = 262144, /* a line of a message; RFC 5321 4.5.3.1.6 asks for 1000 */
    SMTP_HEADER_MAX = 1048576,   /* a message's header block */
};

/* Outlives the sessions that use it. Timeouts in ms, 0: none. */
struct smtp_server_settings {
    struct span hostname;
    struct span banner;        /* behind the host name in the greeting */
    struct span service;       /* "mx", "submission", "local" */
    uint64_t message_size_max; /* bytes, 0: no limit */
    uint32_t recipients_max;
    uint32_t hops_max;           /* stations that a message may have passed (RFC 5321 6.3) */
    uint32_t errors_max;         /* bad commands until the session is ended */
    uint32_t refusals_max;       /* refused recipients until then, of who isn't trusted */
    uint32_t command_timeout_ms; /* RFC 5321 4.5.3.2.7 */
    uint32_t data_timeout_ms;
    uint32_t message_timeout_ms;
    uint32_t session_timeout_ms;
    uint32_t answer_timeout_ms; /* how long the backend may think */
};

struct smtp_server_time {
    int64_t monotonic_ms;
    int64_t wall_us;
};

struct smtp_server_client {
    struct id session;
    uint8_t ip[16];
    uint16_t port;
    uint32_t uid;   /* of a local user, else UINT32_MAX */
    bool normalize; /* mend bare CR and LF in its messages instead of refusing them */
};

/* What a session can't decide itself. Up to 32 recipients are asked about ahead; any other question
 * is asked at the point where its reply is due. */
enum smtp_question_kind {
    SMTP_ASK_CLIENT,    /* may it talk to us? ACCEPT, DEFER, REJECT */
    SMTP_ASK_SENDER,    /* address; may it begin a message now? ACCEPT, DEFER, REJECT */
    SMTP_ASK_RECIPIENT, /* address; all verdicts */
    SMTP_ASK_MESSAGE,   /* message; ACCEPT: it is safe on disk. DEFER, REJECT */
};

/* The order of severity doesn't matter; a refusal's text is the session's unless the answer brings
 * its own. */
enum smtp_verdict {
    SMTP_ACCEPT,
    SMTP_UNKNOWN, /* the domain is ours, the mailbox isn't there: 550 5.1.1 */
    SMTP_FOREIGN, /* the domain isn't ours and the client may not relay: 550 5.7.1 */
    SMTP_DEFER,
    SMTP_REJECT,
};

enum { SMTP_TICKET_BYTES = 24 };

/* A message that is complete. All spans live until the question is answered or cancelled. */
struct smtp_message {
    const struct envelope *envelope;
    struct span header;  /* our new fields, in front */
    struct span body;    /* the whole message; empty when it was uploaded */
    struct span tickets; /* of its recipients' answers, SMTP_TICKET_BYTES each, in their order */
    bool uploaded;
};

/* What a backend says. Given to smtp_question_answer(), which copies what it keeps. */
struct smtp_answer {
    enum smtp_verdict verdict;
    bool trusted;                   /* of an accepted client: refusals_max isn't for it */
    uint8_t recipient_flags;        /* enum envelope_recipient_flags */
    uint32_t members;               /* of an accepted recipient that expands: into how many */
    bool is_mailbox;                /* of an accepted recipient: it goes into one here */
    struct span address;            /* of an accepted recipient: where it goes; empty: as asked */
    char ticket[SMTP_TICKET_BYTES]; /* of an accepted recipient: goes back with the message */
    int error; /* of a message that is deferred: what befell its upload, -errno; 0: not known */
    struct span text; /* for DEFER and REJECT, copied; empty: the usual one */
};

/* Bytes with NUL; more is cut. */
enum { SMTP_ANSWER_TEXT_MAX = 256 };

/* One question of a session. `extra` is the backend's (question_extra bytes, zeroed): its request
 * to another process lives there. */
struct smtp_question {
    enum smtp_question_kind kind;
    struct smtp_server *server;
    struct span address; /* canonical; a bare "postmaster" got our host name */
    struct span given;   /* the same without that host name */
    const struct smtp_message *message;

    /* The session's own. */
    struct envelope_wish wish;
    struct list link;
    bool answered;
    struct smtp_answer answer;
    char answer_text[SMTP_ANSWER_TEXT_MAX];
    char answer_address[ENVELOPE_ADDRESS_MAX];

    alignas(max_align_t) char extra[];
};

/* Gives the answer, once. The question is gone or the session's when this returns. */
void smtp_question_answer(struct smtp_question *question, const struct smtp_answer *answer);

/* All functions must be there. They are called within the calls of a session, on
 * the caller's thread. */
struct smtp_server_backend {
    size_t question_extra;
    /* Asks; the answer may come before this returns. <0: can't be asked now, taken as DEFER. */
    int (*ask)(void *context, struct smtp_question *question);
    /* The answer isn't wanted any more. */
    void (*cancel)(void *context, struct smtp_question *question);
    /* Takes the next piece of a body, all of it or nothing. 0; -EAGAIN: not now, call
     * smtp_server_resume() later; other errors end the upload. */
    int (*upload)(void *context, struct span piece);
    /* The pieces so far, and one that was to come later, are for nothing. Not called after
     * ASK_MESSAGE was asked with them. */
    void (*upload_abort)(void *context);
    /* Something was answered 4xx or 5xx that the book must know. Spans live for the call. */
    void (*refused)(void *context, const struct event *event);
    struct id (*make_id)(void *context);
    /* After an answer or resume: there may be output to write, and input may be wanted again. */
    void (*wake)(void *context);
};

/* Once a process, before its sandbox: OpenSSL looks up its algorithms, and may open files for that.
 * 0 or -ENOMEM. */
int smtp_server_prepare(void);

/* Begins a session and asks about the client. NULL: no memory. */
struct smtp_server *smtp_server_new(const struct smtp_server_settings *settings,
                                    const struct smtp_server_backend *backend, void *context,
                                    const struct smtp_server_time *time,
                                    const struct smtp_server_client *client);
/* NULL is fine. */
void smtp_server_free(struct smtp_server *server);

/* Returns how many bytes it took; 0 is possible although it wants input: ask again as above. */
size_t smtp_server_input(struct smtp_server *server, struct span in);
/* False: don't read from the socket, so that TCP slows the client. */
bool smtp_server_wants_input(const struct smtp_server *server);
/* The client sends no more. What it sent before is still answered. */
void smtp_server_eof(struct smtp_server *server);

/* Borrowed until the next call on the session. */
struct span smtp_server_output(const struct smtp_server *server);
/* `size` bytes from its beginning are with the kernel. */
void smtp_server_sent(struct smtp_server *server, size_t size);

/* Monotonic ms, INT64_MAX: none. */
int64_t smtp_server_deadline_ms(const struct smtp_server *server);
/* Does nothing before the deadline. May end the session, or answer a question with DEFER for a
 * backend that thinks too long. */
void smtp_server_expire(struct smtp_server *server);

/* The backend can take pieces again, or (error < 0, -errno) the upload is lost: the message is then
 * refused for it, as a rule with 451. Nothing when no body is under way. May call upload() and
 * wake(). */
void smtp_server_resume(struct smtp_server *server, int error);

/* Ends the session with 421 as soon as no message is under way. */
void smtp_server_shutdown(struct smtp_server *server);

/* Nothing more will be said: close when the output is written. */
bool smtp_server_is_over(const struct smtp_server *server);
/* The client ended it, and so knows that nothing more comes. Else it may still be sending, and
 * would lose the last reply if the connection were closed at once. */
bool smtp_server_has_quit(const struct smtp_server *server);
/* The backend owes an answer: output may be held back until it comes. */
bool smtp_server_is_waiting(const struct smtp_server *server);
/* The sender of the message under way, canonical; empty when there is none. */
struct span smtp_server_sender(const struct smtp_server *server);
