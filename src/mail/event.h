/*
 * The payload of a spool's EVENT record: what the book keeps beside messages and their outcomes.
 * smtpd makes refusals, the queue makes administrative acts and alarms, the spool stores them, the
 * book folds them. One wire form for all (base/codec.h; docs/formats/book.md).
 *
 * Here are also the words that the whole product uses for what happens to a recipient and for the
 * states it can be in: a STATUS record, the ledger, `--json` and the page use the same ones.
 */
#pragma once

#include "mail/envelope.h"

/* What can happen. The numbers are on disk: never renumber. */
enum event_kind {
    EVENT_CONNECTED = 1, /* a session began (only kept with what came of it) */
    EVENT_REFUSED,       /* a connection, sender, recipient or message was answered 4xx or 5xx */
    EVENT_ACCEPTED,
    EVENT_EXPANDED, /* became other recipients, which are entries of their own */
    EVENT_ATTEMPTED,
    EVENT_DEFERRED,
    EVENT_RELAYED,   /* the next station took it; its reply is the receipt */
    EVENT_DELIVERED, /* into a mailbox here */
    EVENT_UNCERTAIN, /* a delivery whose acknowledgement was lost */
    EVENT_RETURNED,
    EVENT_EXPIRED,   /* gave up trying */
    EVENT_DISCARDED, /* by a named rule */
    EVENT_DUPLICATE, /* whom it stands for has the message by other entries */
    EVENT_HELD,
    EVENT_RELEASED,
    EVENT_NOTIFIED,
    EVENT_REROUTED,
    EVENT_REMOVED,      /* by an administrator */
    EVENT_RETRIED,      /* sooner than planned: an administrator asked, or the way changed */
    EVENT_DAMAGED,      /* a record or body was found damaged and set aside */
    EVENT_ALARM,        /* something that a person must look at */
    EVENT_CLOSED,       /* had its end before this time; which one, a lost ledger had */
    EVENT_ACKNOWLEDGED, /* an administrator has dealt with what `reference` names: booked damage */
    EVENT_LOST, /* by an administrator: the queue doesn't have it, and what came of it is unknown */
    EVENT_KIND_COUNT
};

/* The states of the law of conservation: WAITING becomes one of the others, once and for ever
 * (book/entry_state.h has the picture). The numbers are on disk: never renumber. */
enum recipient_state {
    RECIPIENT_WAITING = 1,
    RECIPIENT_DELIVERED,
    RECIPIENT_RELAYED,
    RECIPIENT_EXPANDED,
    RECIPIENT_RETURNED,
    RECIPIENT_DISCARDED,
    RECIPIENT_CLOSED, /* one of these, and nobody knows which */
    RECIPIENT_LOST,   /* perhaps none of these; only until something is heard of it again */
    RECIPIENT_STATE_COUNT
};

enum {
    EVENT_REPLY_MAX = 4096, /* a reply word for word, its lines joined by LF */
    EVENT_PHASE_MAX = 32,
    EVENT_NO_RECIPIENT = UINT32_MAX,
    EVENT_NO_ACTOR = UINT32_MAX,
};

/* Fields that make no sense for a kind are zero or empty. Spans are borrowed from who made
 * or decoded it. */
struct event {
    uint8_t kind;     /* enum event_kind */
    int64_t time_us;  /* wall clock; of an aggregate: of its first */
    int64_t until_us; /* of an aggregate: of its last; otherwise 0 */
    uint32_t count;   /* how many this stands for: 1, or more in an aggregate */
    struct id
        reference;     /* what the reply named, made by who refused; of an act or alarm: its own */
    struct id session; /* as in the banner; zero when there was none */
    struct id message; /* the queue id it concerns, or zero */
    uint32_t recipient_index; /* which entry of that message, or EVENT_NO_RECIPIENT: all of them */
    uint8_t key[ENVELOPE_KEY_BYTES]; /* random; the book's chain commits to personal fields by it */
    uint8_t ip[16];                  /* IPv6 or IPv4-mapped; zero when there was no client */
    uint16_t port;
    uint32_t actor_uid;  /* who did the act, or EVENT_NO_ACTOR */
    struct span service; /* "mx", "submission", "local" */
    struct span helo;
    struct span tls;
    struct span auth; /* "" or the user */
    struct span sender;
    struct span recipient; /* the address as given, or the pattern that an act was meant for */
    struct span phase;     /* "connect", "ehlo", "mail", "rcpt", "data", "body"; "" for acts */
    struct span reply;     /* what was answered, word for word; of an act or alarm: what and why */
};

extern const struct codec event_codec;

/* RFC 3463 X.1.5, "destination address valid". An outcome "discarded" with it is a duplicate: the
 * log has no outcome of its own for that. */
#define EVENT_DUPLICATE_STATUS SPAN("2.1.5")

/* The word for `kind` ("refused") as in JSON and on the command line; "unknown" for any other. */
const char *event_kind_name(unsigned kind);
const char *recipient_state_name(unsigned state);
/* 0 when there is no such word. */
enum recipient_state recipient_state_parse(struct span word);
/* True for a station's reply ("550 …"), false for our own words about why there is none. */
bool event_is_reply(struct span text);
/* Does an enhanced status (RFC 3463) fit the pattern, in which each "?" stands for a number? */
bool event_status_fits(struct span status, const char *pattern);
/* True for a kind that closes a recipient, with the state it is then in. */
bool event_kind_closes(unsigned kind, enum recipient_state *out_state);
