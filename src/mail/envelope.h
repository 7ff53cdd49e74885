/*
 * The envelope: what is known of a message beside its bytes. smtpd makes it, the queue completes it
 * (keys, expansion flags are checked against the directory), the spool stores it in the MESSAGE
 * record, the book folds it. One wire form for all (base/codec.h; docs/formats/envelope.md).
 *
 * Addresses are in canonical form: mail/address.h has parsed them and written them again, so
 * "local@domain" with the domain in lower case; UTF-8 only when smtputf8 is set.
 */
#pragma once

#include "base/codec.h"
#include "base/id.h"

enum {
    ENVELOPE_RECIPIENTS_MAX = 10000,
    ENVELOPE_ADDRESS_MAX = 512, /* RFC 5321 4.5.3.1: 64 + 1 + 255, and room for UTF-8 */
    ENVELOPE_TEXT_MAX = 1024,
    ENVELOPE_KEY_BYTES = 16,
    ENVELOPE_DIGEST_BYTES = 32,
    ENVELOPE_ENVID_MAX = 100, /* RFC 3461 section 4 */
    ENVELOPE_ORCPT_MAX = 500,
    ENVELOPE_WIRE_MAX = 1 << 20, /* bytes: what smtpd can hand to the queue (ipc/catalogue.h) */
};

/* RFC 6152, RFC 3030: what the client declared with BODY=. */
enum envelope_body { ENVELOPE_BODY_7BIT, ENVELOPE_BODY_8BITMIME, ENVELOPE_BODY_BINARYMIME };

enum envelope_recipient_flags {
    ENVELOPE_RECIPIENT_EXPANDS = 1, /* the directory turns it into others (alias) */
    /* It wasn't turned into them, as all are there already; or it was named before. Only the queue
     * says so. */
    ENVELOPE_RECIPIENT_DUPLICATE = 2,
};

/* RFC 3461 4.3: how much of the message a report brings back. */
enum envelope_return { ENVELOPE_RETURN_ANY, ENVELOPE_RETURN_FULL, ENVELOPE_RETURN_HEADER };

/* RFC 3461 4.1: what its sender wants to be told of a recipient. None: nothing was said. */
enum envelope_notify {
    ENVELOPE_NOTIFY_NEVER = 1, /* alone */
    ENVELOPE_NOTIFY_SUCCESS = 2,
    ENVELOPE_NOTIFY_FAILURE = 4,
    ENVELOPE_NOTIFY_DELAY = 8,
};

struct envelope_recipient {
    struct span address;             /* where it goes, canonical */
    struct span original;            /* as the client wrote it, canonical */
    uint8_t flags;                   /* enum envelope_recipient_flags */
    uint8_t key[ENVELOPE_KEY_BYTES]; /* random; the book's chain commits to personal fields by it */
};

/* What the sender asked for by RFC 3461 about one recipient; most ask for nothing. */
struct envelope_wish {
    uint32_t recipient;   /* index */
    uint8_t notify;       /* enum envelope_notify */
    struct span original; /* ORCPT as given: "rfc822;" and xtext (mail/dsn.h), or "" */
};

/* Who handed it to us: the facts that Received: and the book tell. */
struct envelope_client {
    struct id session; /* as in the banner */
    uint8_t ip[16];    /* IPv6 or IPv4-mapped; zero for a local user */
    uint16_t port;
    uint32_t uid;         /* local user, valid when service is "local"; else UINT32_MAX */
    struct span service;  /* "mx", "submission", "local" */
    struct span helo;     /* as given */
    struct span protocol; /* RFC 3848: "SMTP", "ESMTP", "UTF8SMTP", … */
    struct span tls;      /* "" or "TLSv1.3" … */
    struct span auth;     /* "" or the user */
};

struct envelope {
    struct id id;        /* the queue id */
    int64_t accepted_us; /* wall clock */
    struct span sender;  /* "" is the null sender */
    struct envelope_recipient *recipients;
    size_t recipient_count;
    uint8_t body; /* enum envelope_body */
    bool smtputf8;
    uint64_t size_bytes; /* of the message as received, without our new header fields */
    uint8_t digest[ENVELOPE_DIGEST_BYTES]; /* SHA-256 of those bytes */
    struct span message_id;                /* with angle brackets, "" when there was none */
    struct envelope_client client;
    uint8_t returned;             /* enum envelope_return */
    struct span envelope_id;      /* ENVID as given: xtext, or "" */
    struct envelope_wish *wishes; /* by recipient, each at most once */
    size_t wish_count;
};

extern const struct codec envelope_recipient_codec;
extern const struct codec envelope_codec;

/* Where the wish about this recipient stands among the envelope's, or would: they are sorted. */
size_t envelope_wish_place(const struct envelope *envelope, uint32_t recipient);
/* The wish about the recipient of this index; with empty fields when there is none. Wishes are
 * sorted, so it takes a logarithmic search; the texts are the envelope's. */
struct envelope_wish envelope_wish_of(const struct envelope *envelope, uint32_t recipient);
/* Whether the wishes of a decoded envelope are as this header promises. */
bool envelope_wishes_are_sound(const struct envelope *envelope);
