/*
 * Reports: what the sender of a message gets when a recipient could not be served, is late, or when
 * a receipt was asked for. A multipart/report (RFC 6522) of three parts: sentences for people, in
 * English or German, the first of which says what happened and who must act; the same for programs
 * (RFC 3464, RFC 6533 for addresses in UTF-8); the original's header. Pure.
 *
 * Everything quoted in it was written by strangers: it is cut, and what could start a line or a
 * field of its own is escaped.
 */
#pragma once

#include "base/buffer.h"
#include "base/id.h"

enum report_kind {
    REPORT_FAILED,
    REPORT_DELAYED,
    REPORT_RELAYED,
    REPORT_DELIVERED,
    REPORT_EXPANDED,
    REPORT_KIND_COUNT
};
/* Why no further attempt is made. */
enum report_end {
    REPORT_END_SAID,     /* as status and reply say */
    REPORT_END_EXPIRED,  /* the time for attempts was up */
    REPORT_END_GIVEN_UP, /* by an administrator of ours */
    REPORT_END_COUNT
};
enum report_language { REPORT_ENGLISH, REPORT_GERMAN, REPORT_LANGUAGE_COUNT };

enum {
    REPORT_RECIPIENTS_MAX = 200,
    REPORT_RECIPIENTS_SURE = 5,    /* so many fit REPORT_BYTES_MAX, whatever is quoted */
    REPORT_HEADER_MAX = 16 * 1024, /* of the original's header; more is cut at a line … */
    REPORT_HEADER_SHORT = 2048,    /* … and to this when else the report would be too large */
    REPORT_WHOLE_MAX = 40 * 1024,  /* of a message that is brought back whole */
    REPORT_BYTES_MAX = 64 * 1024,  /* what the spool keeps inline */
};

/* What is told of one recipient. All spans are borrowed while report_write() runs. */
struct report_recipient {
    struct span address;  /* canonical */
    struct span original; /* as the sender wrote it, "" when the same */
    struct span status;   /* RFC 3463, "5.1.1"; "" is told as 5.0.0, 4.0.0 or 2.0.0 */
    struct span host;     /* the station that said so, "" when we did */
    struct span reply;    /* its reply, word for word, lines joined by LF; "" when there was none */
    struct span why;      /* in our words, "" when the reply says all */
    struct span orcpt;    /* what the sender calls him (RFC 3461 4.2), as given, or "" */
    struct span instead;  /* an address that was perhaps meant, or "" */
    uint8_t end;          /* failed: enum report_end */
    int64_t last_attempt_us; /* 0: none was made */
};

struct report {
    uint8_t kind;     /* enum report_kind */
    uint8_t language; /* enum report_language */
    struct id id;     /* the report's own queue id */
    int64_t now_us;
    struct span hostname;
    struct span postmaster; /* address for questions, "" gives postmaster@hostname */

    struct id original_id;
    struct span sender; /* of the original, canonical: gets the report; never the null sender */
    int64_t arrival_us; /* of the original */
    int64_t until_us;   /* delayed: how long we go on trying */
    struct span header; /* the original's header block, lines ending in CRLF … */
    bool whole;         /* … or, of at most REPORT_WHOLE_MAX bytes, all of it */
    struct span envelope_id; /* by which the sender knows it (RFC 3461 4.4), as given, or "" */
    const struct report_recipient *recipients;
    size_t recipient_count;
};

/* What the report's own way asks of the stations on it. */
struct report_made {
    bool eight_bit; /* it needs 8BITMIME, or to be converted (mail/seven_bit.h), which succeeds */
    bool smtputf8;  /* an address is in UTF-8: it needs SMTPUTF8 */
};

/* Puts the whole report, header and body, lines ending in CRLF, into the empty `out`; at most
 * REPORT_BYTES_MAX. 0; -EINVAL; -EMSGSIZE: too much, make several of fewer recipients (never with
 * up to REPORT_RECIPIENTS_SURE); the buffer's error. */
int report_write(const struct report *report, struct buffer *out, struct report_made *out_made);
