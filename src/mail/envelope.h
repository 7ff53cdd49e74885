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
};

/* RFC 6152, RFC 3030: what the client declared with BODY=. */
enum envelope_body { ENVELOPE_BODY_7BIT, ENVELOPE_BODY_8BITMIME, ENVELOPE_BODY_BINARYMIME };

enum envelope_recipient_flags {
    ENVELOPE_RECIPIENT_EXPANDS = 1, /* the directory will turn it into others (alias) */
};

struct envelope_recipient {
    struct span address;             /* where it goes, canonical */
    struct span original;            /* as the client wrote it, canonical */
    uint8_t flags;                   /* enum envelope_recipient_flags */
    uint8_t key[ENVELOPE_KEY_BYTES]; /* random; the book's chain commits to personal fields by it */
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
};

extern const struct codec envelope_recipient_codec;
extern const struct codec envelope_codec;
