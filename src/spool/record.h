/*
 * Records: what a log segment holds, behind its header. docs/formats/spool.md has the bytes.
 *
 *   record = header (40 bytes), meta, data, zeros up to a multiple of 8
 *
 * The header's checksum covers the segment's salt, number, the record's offset and the checksums of
 * meta and data, so neither stale bytes of the segment's last life, nor a record that was copied
 * elsewhere, nor a body that looks like a record can pass for one. Meta is all that recovery needs;
 * data (only MESSAGE and MOVED have it: inline header and body bytes) is verified when it is read.
 *
 * Errors: 0 or -errno; -EBADMSG for bytes that are not what they claim to be.
 */
#pragma once

#include "mail/envelope.h"

/* Numbers on disk: never renumber. */
enum spool_record_type {
    SPOOL_RECORD_MESSAGE = 1,
    SPOOL_RECORD_EXPAND = 2,
    SPOOL_RECORD_STATUS = 3,
    SPOOL_RECORD_EVENT = 4,
    SPOOL_RECORD_CHECKPOINT = 5,
    SPOOL_RECORD_MOVED = 6,
    SPOOL_RECORD_SEAL = 7,
};

/* Where something lies in a lane's log. Ordered; {0, 0} is before everything. */
struct spool_position {
    uint64_t segment;
    uint64_t offset;
};

static inline int spool_position_compare(struct spool_position a, struct spool_position b)
{
    if (a.segment != b.segment)
        return a.segment < b.segment ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

/* What became of a recipient, or was tried. Numbers on disk: never renumber. */
enum spool_outcome {
    /* These end it: nothing may be said of the recipient afterwards. */
    SPOOL_OUTCOME_DELIVERED = 1, /* it lies in a mailbox here */
    SPOOL_OUTCOME_RELAYED = 2,   /* the next station has taken it */
    SPOOL_OUTCOME_RETURNED = 3,  /* its sender has been told */
    SPOOL_OUTCOME_DISCARDED = 4, /* by a named rule */
    SPOOL_OUTCOME_REMOVED = 5,   /* by an administrator */
    SPOOL_OUTCOME_EXPANDED = 6,  /* closed by opening its children (only in a MOVED's net state) */
    /* These leave it waiting. */
    SPOOL_OUTCOME_DEFERRED = 16,  /* tried; again at next_attempt_us */
    SPOOL_OUTCOME_UNCERTAIN = 17, /* perhaps delivered; again at next_attempt_us */
    SPOOL_OUTCOME_EXPIRED = 18,   /* the last attempt is over; who returns it must act */
    SPOOL_OUTCOME_HELD = 19,      /* waits for an administrator */
    SPOOL_OUTCOME_RELEASED = 20,  /* waits for its next attempt again */
    SPOOL_OUTCOME_RETRIED = 21,   /* an administrator wants the next attempt at next_attempt_us */
    SPOOL_OUTCOME_REROUTED = 22,
    SPOOL_OUTCOME_NOTIFIED = 23, /* the sender was told of the delay */
    SPOOL_OUTCOME_MAX = 23,
};

static inline bool spool_outcome_is_final(enum spool_outcome outcome)
{
    return outcome < SPOOL_OUTCOME_DEFERRED;
}

enum { SPOOL_REPLY_MAX = 4096, SPOOL_EVENT_MAX = 65536, SPOOL_CHILDREN_MAX = 100000 };

/* One recipient's outcome or attempt. Absent texts are empty. */
struct spool_status {
    uint32_t recipient;      /* index: the envelope's recipients first, then the children of the
                                expansions in their order */
    uint8_t outcome;         /* enum spool_outcome */
    uint16_t attempts;       /* made so far, this one included */
    int64_t time_us;         /* when it happened */
    int64_t next_attempt_us; /* when waiting */
    struct span status;      /* enhanced status code, RFC 3463 */
    struct span reply;       /* the remote reply, word for word */
    struct span host;        /* the station that said so */
    uint8_t ip[16];
    struct span tls;
    struct span remote_id; /* under which the next station keeps it */
    struct span detail;    /* in plain words: why, or who did it */
};

/* A recipient became others. The parent is closed as expanded. */
struct spool_expansion {
    uint32_t parent; /* index of the recipient */
    struct envelope_recipient *children;
    size_t child_count;
};

/* What the spool itself has to tell the book, in EVENT records of source SPOOL. */
enum spool_alarm_kind {
    SPOOL_ALARM_TAIL = 1,   /* bytes behind the last valid seal were put aside as `text` */
    SPOOL_ALARM_DAMAGE = 2, /* a record or a message's bytes are damaged */
    SPOOL_ALARM_FAILED = 3, /* a write or sync failed; the segment was abandoned */
    SPOOL_ALARM_OPENED = 4, /* the spool was opened */
    SPOOL_ALARM_MAX = 4,
};

struct spool_alarm {
    uint8_t kind; /* enum spool_alarm_kind */
    int64_t time_us;
    struct id message; /* zero when none is concerned */
    uint64_t segment, offset;
    struct span text;
};

enum spool_event_source { SPOOL_EVENT_CALLER = 0, SPOOL_EVENT_SPOOL = 1 };

extern const struct codec spool_status_codec;
extern const struct codec spool_alarm_codec;
