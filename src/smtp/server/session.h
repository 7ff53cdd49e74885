/*
 * What the files of the server session share. See smtp/server.h for what it promises.
 *
 * States (the table of what is legal in which is in verbs.c):
 *
 *   CONNECT ──verdict──▶ GREETED ──HELO──▶ READY ──MAIL──▶ TRANSACTION ──DATA──▶ DATA ──end──┐
 *                                          ▲ ▲ ▲              │  BDAT      ┌──BDAT──┐        │
 *                                          │ │ └──RSET────────┤            ▼        │        ▼
 *                                          │ └──refused chunk─┼────────── CHUNK ─▶ CHUNKS  COMMIT
 *                                          │                  └───────────▶┘└───LAST────────▶│
 *                                          └───────────────────verdict───────────────────────┘
 *   Any state ──QUIT, time, too many errors──▶ CLOSING
 *
 * CHUNK reads the bytes of a BDAT, also of a refused one: those are read and dropped, since the
 * client may have sent them already (RFC 3030 section 2). So a BDAT out of order goes through CHUNK
 * as well, from GREETED back to GREETED. CHUNKS waits for the next BDAT.
 *
 * EHLO and HELO are like RSET where there is something to forget. A message that is refused at its
 * end goes through COMMIT, too, without a question. CONNECT becomes CLOSING when the client may not
 * talk to us, or has talked before the greeting.
 */
#pragma once

#include "mail/address.h"
#include "smtp/command.h"
#include "smtp/reply.h"
#include "smtp/server.h"

struct smtp_body;

enum smtp_state {
    SMTP_STATE_CONNECT,
    SMTP_STATE_GREETED,
    SMTP_STATE_READY,
    SMTP_STATE_TRANSACTION,
    SMTP_STATE_DATA,
    SMTP_STATE_CHUNK,
    SMTP_STATE_CHUNKS,
    SMTP_STATE_COMMIT,
    SMTP_STATE_CLOSING,
};

enum {
    SMTP_RECIPIENT_QUESTIONS_MAX = 32, /* asked at the same time */
    SMTP_OUTPUT_PAUSE = 8192,     /* a client that doesn't read its replies isn't read either */
    SMTP_IDLE_COMMANDS_MAX = 100, /* NOOP and the like until they count as errors */
};

/* From MAIL to the verdict on the message. */
struct smtp_transaction {
    struct arena arena;
    struct envelope envelope;
    char (*tickets)[SMTP_TICKET_BYTES]; /* of the recipients */
    uint32_t *by_address;               /* their indexes, sorted by address and original */
    uint32_t *firsts;                   /* of the recipients: the first one with that address */
    bool *mailboxes;                    /* of the recipients: a mailbox here */
    size_t ticket_capacity, index_capacity, first_capacity, mailbox_capacity;
    size_t recipient_capacity, wish_capacity;
    size_t recipient_bytes; /* of recipients and wishes, in the envelope's wire form */
    uint64_t member_count;  /* of those recipients that expand, together */
    bool was_refused;       /* a recipient; and no DATA was since */
    struct buffer header;
    struct smtp_message message;
};

struct smtp_server {
    const struct smtp_server_settings *settings;
    const struct smtp_server_backend *backend;
    void *context;
    const struct smtp_server_time *time;
    struct smtp_server_client client;

    enum smtp_state state;
    bool trusted;       /* however many of its recipients are refused */
    bool extended;      /* EHLO, not HELO */
    bool early;         /* it talked before the greeting */
    bool line_complete; /* `line` holds a command that waits to be run */
    bool line_too_long; /* the rest of this line is dropped */
    bool line_held;     /* its reply is known, and not due before those of the open questions */
    bool eof;
    bool quit;     /* by the client's own wish */
    bool draining; /* shutdown was asked for */
    bool running;  /* inside input: answers need no wake */

    struct buffer helo;
    struct buffer line; /* with its CRLF, as far as it has come */
    struct buffer out;
    struct list questions; /* in the order asked */
    uint32_t question_count;
    struct smtp_transaction transaction;
    struct smtp_body *body; /* from DATA or the first BDAT on */
    uint64_t chunk_left;
    uint64_t chunk_size;
    uint64_t chunk_total; /* of this message, as announced */
    bool chunk_last;
    const struct smtp_reply *chunk_refusal; /* the reply to the chunk that is being dropped */

    uint32_t errors, refusals, idle_commands;
    uint32_t orphans_left; /* commands behind a refused MAIL or chunk that aren't errors */
    int64_t started_ms;
    int64_t progress_ms; /* the client's last full command or piece of data */
    int64_t message_started_ms;
};

/* session.c */
void smtp_state_set(struct smtp_server *s, enum smtp_state state);
void smtp_say(struct smtp_server *s, const struct smtp_reply *reply);
/* A reply to a bad command: too many of them end the session. */
void smtp_say_error(struct smtp_server *s, const struct smtp_reply *reply);
/* A reply that needs no question is about to be said: true when it would overtake those that wait
 * for answers (RFC 2920 section 3.2). Then say nothing and change nothing: the line is run again
 * when these are out. */
bool smtp_hold_line(struct smtp_server *s);
/* Drops whatever is under way; says `reply` if given. */
void smtp_close(struct smtp_server *s, const struct smtp_reply *reply);
/* An answer came: goes on with what waited for it. */
void smtp_server_answered(struct smtp_server *s);

/* refusal.c: what several say. Out of memory for one command, or for the session. */
extern const struct smtp_reply smtp_too_large, smtp_no_recipients, smtp_no_memory,
    smtp_no_memory_closing;
/* A 4xx or 5xx that is booked, and whose reply names the reference. */
struct smtp_refusal {
    const char *phase; /* of struct event */
    struct smtp_reply reply;
    struct span address; /* quoted in front of the text; may be empty */
    bool unparsed;       /* `address` is what the client wrote, whatever it is */
    struct span sender;
    struct span recipient;
};
void smtp_refuse(struct smtp_server *s, const struct smtp_refusal *refusal);
/* RCPT, DATA or BDAT without MAIL. When that, or a chunk before, was refused a moment ago they were
 * sent together with it (RFC 2920), and count as no errors. */
void smtp_say_without_mail(struct smtp_server *s, const struct smtp_reply *reply);
/* What they belong to was refused: those that follow at once are such. */
void smtp_expect_orphans(struct smtp_server *s);
/* One more bad command; too many end the session. */
void smtp_count_error(struct smtp_server *s);

/* parameters.c */
extern const struct smtp_reply smtp_no_such_parameter, smtp_bad_parameter;
/* Takes one `into` what its verb fills. NULL, or why it can't be taken. */
typedef const struct smtp_reply *smtp_take_parameter_fn(struct smtp_server *s, void *into,
                                                        const struct smtp_parameter *parameter);
/* All that is in `rest`. NULL; or why not, and *out_word is the one that is to blame. */
const struct smtp_reply *smtp_take_parameters(struct smtp_server *s, struct span rest,
                                              smtp_take_parameter_fn *take, void *into,
                                              struct span *out_word);

/* question.c */
void smtp_ask(struct smtp_server *s, enum smtp_question_kind kind, struct span address);
/* `given` and the wish's texts live in the transaction's arena. */
void smtp_ask_recipient(struct smtp_server *s, struct span address, struct span given,
                        const struct envelope_wish *wish);
void smtp_questions_cancel(struct smtp_server *s);
/* The reply of a verdict that isn't ACCEPT, in the backend's own words if it has any. */
struct smtp_reply smtp_answer_reply(const struct smtp_answer *answer,
                                    const struct smtp_reply *defer,
                                    const struct smtp_reply *reject);

/* transaction.c */
void smtp_transaction_reset(struct smtp_server *s);
/* Gives the message to the backend; called again after an upload got stuck. */
void smtp_commit(struct smtp_server *s);
void smtp_on_message_answer(struct smtp_server *s, const struct smtp_answer *answer);
/* Why a message could not be stored. `error`: -errno; 0: not known. */
const struct smtp_reply *smtp_storage_reply(int error);

/* verbs.c */
void smtp_run_command(struct smtp_server *s, struct span line);

/* recipients.c */
bool smtp_recipients_are_full(const struct smtp_server *s);
/* Its members would be more than one message can have; not when it is in the envelope already. */
bool smtp_recipient_is_too_much(const struct smtp_server *s, const struct smtp_question *question);
/* An accepted one; false: no memory. Who is in the envelope already, perhaps by another name, has
 * his wish added to. */
bool smtp_recipient_add(struct smtp_server *s, const struct smtp_question *question);

/* A file per verb. `check`: NULL, or why it may not be done now. */
const struct smtp_reply *smtp_check_data(const struct smtp_server *s);
void smtp_do_helo(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_mail(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_rcpt(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_data(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_bdat(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_rset(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_noop(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_quit(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_vrfy(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_expn(struct smtp_server *s, const struct smtp_command *command);
void smtp_do_help(struct smtp_server *s, const struct smtp_command *command);

void smtp_on_client_answer(struct smtp_server *s, const struct smtp_answer *answer);
void smtp_on_sender_answer(struct smtp_server *s, const struct smtp_answer *answer);
void smtp_on_recipient_answer(struct smtp_server *s, const struct smtp_question *question);

size_t smtp_data_input(struct smtp_server *s, struct span in);
size_t smtp_bdat_input(struct smtp_server *s, struct span in);
/* After a refused or finished message: ready for the next one. */
enum smtp_state smtp_resting_state(const struct smtp_server *s);
/* The message is complete: refuses it for its own sake, or commits it. */
void smtp_message_end(struct smtp_server *s);
/* As address_parse_path(). Old devices in networks with `normalize` may leave out the brackets. */
enum address_result smtp_parse_path(const struct smtp_server *s, struct span text, unsigned flags,
                                    struct address *out, size_t *out_size);
/* The reply to a path that can't be read. `sender`: in MAIL, else in RCPT. */
struct smtp_reply smtp_path_reply(enum address_result result, bool sender);
