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
    SPOOL_OUTCOME_RETRIED = 21,   /* the next attempt is at next_attempt_us, sooner than planned */
    SPOOL_OUTCOME_REROUTED = 22,  /* an administrator wants it to go where `host` says */
    SPOOL_OUTCOME_NOTIFIED = 23,  /* the sender was told of the delay */
    SPOOL_OUTCOME_MAX = 23,
};

static inline bool spool_outcome_is_final(enum spool_outcome outcome)
{
    return outcome < SPOOL_OUTCOME_DEFERRED;
}

/* What a record takes at most: of the texts of a status, of an event, of an expansion. */
enum {
    SPOOL_CODE_MAX = 16,
    SPOOL_REPLY_MAX = 4096, /* detail, too */
    SPOOL_HOST_MAX = 512,
    SPOOL_TLS_MAX = 256,
    SPOOL_REMOTE_ID_MAX = ENVELOPE_TEXT_MAX,
    SPOOL_EVENT_MAX = 65536,
    SPOOL_CHILDREN_MAX = 100000,
};

/* One recipient's outcome or attempt. Absent texts are empty. */
struct spool_status {
    uint32_t recipient;      /* index: the envelope's recipients first, then the children of the
                                expansions in their order */
    uint8_t outcome;         /* enum spool_outcome */
    uint16_t attempts;       /* that count, this one included */
    int64_t time_us;         /* when it happened */
    int64_t next_attempt_us; /* when waiting */
    struct span status;      /* enhanced status code, RFC 3463 */
    struct span reply;       /* the remote reply, word for word */
    struct span host;        /* the station that said so; of REROUTED: where it goes now (a domain,
                                or a next hop); of a restated one: where it goes */
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
    SPOOL_ALARM_LAG = 4,    /* the book is far behind */
    SPOOL_ALARM_MAX = 4,
};

struct spool_alarm {
    uint8_t kind; /* enum spool_alarm_kind */
    int64_t time_us;
    struct id message;        /* zero when none is concerned */
    uint64_t segment, offset; /* where it was found; 0, 0: nowhere in particular */
    struct span text;         /* in plain words; fewer than 200 bytes */
};

enum spool_event_source { SPOOL_EVENT_CALLER = 0, SPOOL_EVENT_SPOOL = 1 };

/* ---- Bytes ---- */

/* Only MOVED is of version 2: its net state says where each recipient goes. */
enum { RECORD_HEADER_BYTES = 40, RECORD_VERSION = 2, RECORD_ALIGN = 8 };

/* What ties a record to its place: see above. */
struct record_place {
    uint8_t salt[16];
    uint64_t segment;
};

/* As it is on disk, in our own byte order. */
struct record_header {
    uint32_t meta_bytes, data_bytes;
    uint8_t type, version;
    uint64_t meta_sum, data_sum;
    uint64_t sum;
};

static inline uint64_t record_bytes(uint64_t meta_bytes, uint64_t data_bytes)
{
    uint64_t bytes = RECORD_HEADER_BYTES + meta_bytes + data_bytes;
    return (bytes + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* Writes an unfinished header, type and lengths, to RECORD_HEADER_BYTES at `at`; record_finish()
 * does the rest when the record's place is known. */
void record_begin(char *at, enum spool_record_type type, uint32_t meta_bytes, uint32_t data_bytes);
/* The whole record's bytes, padding included, by its unfinished or finished header. For records
 * that we made: nothing is checked, nor by the next two. */
uint64_t record_bytes_at(const char *at);
uint32_t record_meta_bytes_at(const char *at);
enum spool_record_type record_type_at(const char *at);
/* Fills the checksums of the record that will lie at `offset`. Returns the header's. */
uint64_t record_finish(char *at, const struct record_place *place, uint64_t offset);
/* 0; -EBADMSG: no record; -EPROTONOSUPPORT: a record of a newer version. */
int record_parse(const char at[static RECORD_HEADER_BYTES], const struct record_place *place,
                 uint64_t offset, struct record_header *out);
/* XXH3 of 64 bits: against damage, not against people, who don't know the salt. */
uint64_t record_sum(struct span bytes);
/* A group's checksum goes over the header checksums of its records, one after the other. */
uint64_t record_chain(uint64_t sum, uint64_t header_sum);

/* ---- Meta of each type ---- */

/* Bytes in a bulk segment: a piece of a body, in the body's order. */
struct record_extent {
    uint64_t segment; /* of kind bulk; 0 while its place isn't known */
    uint64_t offset;  /* a multiple of block_bytes */
    uint32_t bytes;   /* without what fills up the last block */
    uint64_t sum;     /* record_sum() of these */
};

/* MOVED: a recipient as it was. Those that aren't named are closed. */
struct record_net {
    uint32_t recipient;
    uint8_t outcome; /* HELD or RELEASED; behind it perhaps another one: NOTIFIED */
    uint16_t attempts;
    int64_t next_attempt_us;
    struct span route; /* where it goes when that isn't its address's domain, else "" */
};

/* MESSAGE and MOVED: this, then the envelope. A MESSAGE has no `from`, expansions and net. */
struct record_message {
    struct spool_position from; /* MOVED: the record that this one replaces */
    int64_t first_attempt_us;
    uint64_t header_bytes, body_bytes;
    struct record_extent *extents;
    size_t extent_count;
    struct spool_expansion *expansions;
    size_t expansion_count;
    struct record_net *net;
    size_t net_count;
};

/* Follows its MESSAGE in the same group, one record for each recipient that became others. */
struct record_expand {
    struct id message;
    int64_t time_us;
    uint32_t first_child;               /* index of the first child; the others follow it */
    struct spool_expansion *expansions; /* one; a list, as the codec of MOVED has them */
    size_t expansion_count;
};

enum record_status_flags {
    /* Compaction said it again; the book has it already. Names, in order, all that wait, as HELD or
     * RELEASED, and behind it as NOTIFIED if so; who isn't named has its fate. */
    RECORD_STATUS_RESTATED = 1,
};

enum { RECORD_STATUS_HOME_OFFSET = ID_BYTES };

struct record_status {
    struct id message;
    uint64_t home; /* segment of the MESSAGE or MOVED record it concerns; patched when written */
    uint8_t flags;
    struct spool_status *statuses;
    size_t status_count;
};

struct record_event {
    uint8_t source; /* enum spool_event_source */
    int64_t time_us;
    struct span bytes;
};

/* For people who read the log: recovery finds the checkpoint by its file. */
struct record_checkpoint {
    uint64_t generation;
    struct spool_position position;
};

struct record_seal {
    uint64_t sequence; /* counts the lane's seals */
    int64_t time_us;
    struct spool_position previous; /* seal record; {0, 0} for the first */
    uint64_t previous_sum;          /* its header's checksum */
    uint64_t start;                 /* offset of the group's first record */
    uint32_t count;                 /* records before this one */
    uint64_t sum;                   /* record_chain() over them */
};

extern const struct codec spool_status_codec, spool_alarm_codec, spool_expansion_codec;
extern const struct codec record_message_codec, record_expand_codec, record_status_codec,
    record_event_codec, record_checkpoint_codec, record_seal_codec;

enum { RECORD_SEAL_META_BYTES = 60 };

/* MESSAGE's and MOVED's meta: u32 length of the first part, the part, the envelope. 0, or the
 * buffer's error (-EMSGSIZE: its limit, -ENOMEM). */
int record_encode_message(const struct record_message *message, const struct envelope *envelope,
                          struct buffer *out);
/* Writes the extents' places into the meta of a MESSAGE or MOVED that was encoded with as many. */
void record_patch_extents(char *meta, const struct record_extent *extents, size_t count);
/* `version`: of the record's header. What comes out lies in `arena` and in `meta`. 0, -EBADMSG or
 * -ENOMEM; then the outputs are untouched, but for *out_envelope. */
int record_decode_message(struct span meta, uint8_t version, struct arena *arena,
                          struct record_message *out_message, struct envelope *out_envelope);
