/*
 * The spool: keeps every accepted message until each of its recipients has its fate, through crash,
 * power cut and failing disk. The rules in src/spool/README.md are cited as "rule N";
 * docs/formats/spool.md has the bytes.
 *
 * Promises. A completion with error 0 is called only after the sync that covers its record
 * returned. What is in memory (messages, recipients) is exactly what is sealed on disk: it changes
 * in spool_finish_group(), never earlier. After a failure nothing acknowledged is lost.
 *
 * Threads. All functions belong to one thread (the owner's loop) and don't block, except:
 * spool_open() and spool_close() block; spool_write_group(), spool_run_task(), spool_reader_load(),
 * spool_reader_read() block and may run in any thread, each object in one at a time.
 *
 * Errors: 0 or -errno. -ENOMEM loses nothing: the call had no effect. Time is always told, in µs of
 * the wall clock.
 */
#pragma once

#include "spool/record.h"
#include "spool/store.h"

struct spool;

/* ---- Options ----------------------------------------------------------------------------------
 */

struct spool_options {
    uint64_t segment_bytes;      /* log segments; a multiple of block_bytes, at least 16 of them and
                                    at most 1 GiB. No record may be larger than a group's room */
    uint64_t bulk_segment_bytes; /* bulk segments; at least an extent */
    uint32_t block_bytes;        /* groups start at multiples: a torn write can't hurt older ones */
    uint32_t group_bytes;        /* a group grows no further than this, unless one record does */
    uint32_t extent_bytes;       /* piece in which bulk is allocated, checksummed and read */
    uint32_t inline_bytes;       /* a larger body must come as an upload */
    uint32_t pending_bytes;      /* appends beyond this many unwritten bytes get -EAGAIN */
    uint32_t upload_bytes;       /* the same for bulk, all uploads together */
    uint32_t ahead_bytes;        /* of one upload that may be unwritten while it is given credit */
    uint32_t recent_bytes; /* memory for extents: what isn't filled or written keeps written ones */
    uint32_t spare_segments; /* log segments kept prepared; new mail leaves them alone when the
                                disk is nearly full, outcomes don't */
    uint64_t reserve_bytes;  /* new mail is deferred when the disk has less free */
    uint64_t reserve_inodes;
    uint32_t book_alarm_segments; /* closed segments that the book hasn't folded: alarm … */
    uint32_t book_limit_segments; /* … and new mail deferred */
    uint32_t checkpoint_segments; /* a checkpoint after this many newly closed segments */
    uint32_t checkpoint_rows;     /* messages in one of its parts: a slice of the loop's time */
    uint32_t compact_percent;     /* segments with at most this much alive are compacted */
    uint32_t keep_segments;       /* no compaction below this many segments of a kind */
    uint32_t free_segments;       /* recycled segments kept for reuse; more are removed */
    int64_t retry_us;             /* pause after a failed write before the next try */
    int64_t scrub_interval_us;    /* a closed segment is verified this often; 0: never */
    /* Fills `out` with random bytes (salts, the lane's id). NULL: getrandom(2). 0 or -errno. */
    int (*random)(void *arg, void *out, size_t size);
    void *random_arg;
};

/* The defaults, all of them. */
extern const struct spool_options spool_options_default;

/* ---- What is waiting --------------------------------------------------------------------------
 */

enum spool_recipient_state {
    SPOOL_RECIPIENT_WAITING, /* for its next attempt */
    SPOOL_RECIPIENT_HELD,    /* for an administrator */
    SPOOL_RECIPIENT_CLOSED,  /* has its fate; only until its message goes */
};

/* One waiting recipient. Read-only for callers, except `owner`, `in_doubt`, `is_settling`,
 * `in_act`, and what they know before it is sealed, if it ever is: `is_notified`, and a later next
 * attempt. There may be a million, so it is packed: 24 bytes. */
struct spool_recipient {
    int64_t next_attempt_us;
    uint32_t owner;      /* the caller's; 0 at first, never touched by the spool */
    uint32_t domain;     /* interned: where it goes, see spool_domain() */
    uint64_t row : 20;   /* its place in its message's array */
    uint64_t index : 20; /* as in struct spool_status */
    uint64_t attempts : 16;
    uint64_t state : 2;       /* enum spool_recipient_state */
    uint64_t is_closing : 1;  /* a final outcome is on its way to the disk */
    uint64_t is_notified : 1; /* its sender was told of the delay */
    uint64_t in_doubt : 1;    /* the caller's, too: it may have been under way at a crash; … */
    uint64_t is_settling : 1; /* … what came of an attempt is on its way to the disk, … */
    uint64_t in_act : 2;      /* … and so are so many acts of administrators on it */
};

struct segment;
struct spool_extents;

/* One message with at least one waiting recipient. Read-only for callers. The row and its
 * recipients stay where they are until spool_hooks.gone was called for it. Packed likewise: 56
 * bytes. */
struct spool_message {
    uint32_t next;   /* handle: of the next one in its bucket; of itself while it is in none */
    uint32_t offset; /* in its home, the segment where its MESSAGE or MOVED record lies */
    union {          /* index_home(), index_bulk() */
        struct segment *home;
        struct spool_extents *bulk; /* has_bulk: with the home */
    } place;
    uint64_t size_bytes : 40; /* header and body */
    uint64_t waiting : 20;    /* of recipients[] not closed */
    uint64_t flags : 3;       /* enum spool_message_flags */
    uint64_t has_bulk : 1;    /* bytes of it lie in bulk segments */
    int64_t accepted_us;
    uint32_t meta_bytes;
    uint32_t recipient_count; /* rows in recipients[] */
    uint32_t sender;          /* spool_sender_hash() of its envelope's */
    struct id id;
    uint16_t pins; /* appends on their way that concern it */
    struct spool_recipient recipients[];
};

enum spool_message_flags {
    SPOOL_MESSAGE_UNSEALED = 1, /* accepted, not yet on disk; not found, not listed */
    SPOOL_MESSAGE_DAMAGED = 2,  /* its bytes are damaged: set aside, its recipients held (rule 8) */
    SPOOL_MESSAGE_LACKS_BYTES = 4, /* recovery found that; becomes DAMAGED when it still waits */
    SPOOL_MESSAGE_FLAGS = 7,
};

static inline struct spool_message *spool_recipient_message(struct spool_recipient *recipient)
{
    struct spool_recipient *first = recipient - recipient->row;
    return (struct spool_message *)(void *)((char *)first -
                                            offsetof(struct spool_message, recipients));
}

/* Called from spool_finish_group(), before the completions of the group. Each may be NULL. Not
 * called for what spool_open() recovered: list that. */
struct spool_hooks {
    void *arg;
    /* A message was sealed and is now listed: schedule its recipients. */
    void (*added)(void *arg, struct spool_message *message);
    /* A sealed status changed this recipient (attempts, next attempt, state). */
    void (*changed)(void *arg, struct spool_recipient *recipient);
    /* All its recipients have their fates. The row is freed when this returns. */
    void (*gone)(void *arg, struct spool_message *message);
};

/* ---- Open and close ---------------------------------------------------------------------------
 */

/* The segment's file that a start fails at: "log-" or "bulk-" and its number, or "". */
struct spool_obstacle {
    char file[32];
};

/* Recovers (rule 2) and gives a spool that is ready to append. Owns `store` from here on, also when
 * it fails. -EWOULDBLOCK: another process has the lane; -EPROTONOSUPPORT: written by a newer
 * Postbuch; -EMEDIUMTYPE: a segment of another block size than the options'. A full or failing disk
 * is no error here, but pressure. `options` NULL: the defaults; `out_obstacle` NULL: nobody asks.
 */
int spool_open(struct store *store, const struct spool_options *options, int64_t now_us,
               struct spool **out, struct spool_obstacle *out_obstacle);
/* Copied; may be set anew at any time. */
void spool_set_hooks(struct spool *spool, const struct spool_hooks *hooks);

/* Frees all. Appends that aren't sealed get -ECANCELED. No group or task may be in flight, no
 * reader open. For a quick next start run the tasks first until there is none. */
void spool_close(struct spool *spool);

/* Marks that the owner ends and has nothing under way; just before spool_close(). Blocks. 0 or
 * -errno: then the next start takes it for a crash. */
int spool_end(struct spool *spool);
/* The owner before us had called spool_end(). */
bool spool_ended_well(const struct spool *spool);

/* NULL when no sealed message of this id waits. The row is the spool's, see struct spool_message.
 */
struct spool_message *spool_find(struct spool *spool, const struct id *id);
/* The row of the recipient with this index (as in struct spool_status), NULL when it isn't waiting:
 * it has its fate, or was expanded. */
struct spool_recipient *spool_find_recipient(struct spool_message *message, uint32_t index);

/* Borrowed until its last recipient changes or goes. Destination names, lower case; an index is
 * reused when no recipient has it any more: the domain of the recipient's address, or what the last
 * SPOOL_OUTCOME_REROUTED named. */
struct span spool_domain(const struct spool *spool, uint32_t domain);

/* Senders that are equal but for ASCII case have equal ones, also after a restart; strangers can't
 * choose them. */
uint32_t spool_sender_hash(const struct spool *spool, struct span sender);

struct spool_counts {
    uint64_t messages, waiting, held, set_aside;
    uint64_t unsealed; /* of those waiting: not yet on disk */
    uint64_t memory_bytes;
    uint64_t pending_bytes;                  /* appended, not yet on disk */
    uint64_t groups, records, bytes_written; /* since the start */
    uint64_t log_segments, bulk_segments, spare_segments, compacted, recycled;
    uint64_t book_lag_segments;
};
void spool_get_counts(const struct spool *spool, struct spool_counts *out);

/* A listing of all messages by id, so by age. It stays usable while the spool changes: messages
 * that went meanwhile are left out, new ones aren't seen. */
struct spool_listing;
/* 0 or -ENOMEM. Takes 10 bytes a message, and for a moment as much again. */
int spool_listing_new(struct spool *spool, struct spool_listing **out);
/* The next one, NULL at the end. */
struct spool_message *spool_listing_next(struct spool_listing *listing);
/* NULL is fine. Before spool_close(). */
void spool_listing_free(struct spool_listing *listing);

/* A cheap walk in no order, for checks that come again and again: calls `each` for what lies in the
 * next `steps` places of the index. What waits all the while is seen, some of it perhaps twice;
 * what comes or goes between two calls may be missed. `each` changes nothing. *cursor begins at 0
 * and is 0 again at the end: then false. */
bool spool_walk(struct spool *spool, size_t *cursor, size_t steps,
                void (*each)(void *arg, struct spool_message *message), void *arg);

/* Its bytes are damaged: sets it aside (rule 8): booked, shown, its recipients held. Of one that is
 * aside already only the holds are asked for anew: an outcome may have been on its way when the
 * damage was found, or the disk refused them. */
void spool_set_message_aside(struct spool *spool, struct spool_message *message);

/* What was found damaged (rule 8), newest last; each is booked as an EVENT too. */
struct spool_damage {
    struct spool_position position;
    struct id message; /* zero: unknown */
    const char *what;
};
size_t spool_damage_count(const struct spool *spool);
/* Borrowed until the next call on the spool; `what` is static. NULL behind the last one. */
const struct spool_damage *spool_damage_at(const struct spool *spool, size_t index);
/* Did spool_open() find bytes behind the last seal? Torn and damaged can't be told apart there
 * (rule 2): they were put aside and booked as an alarm. */
bool spool_has_tail(const struct spool *spool, struct spool_position *out_position);

/* ---- Appends ----------------------------------------------------------------------------------
 */

/* Called once for each append that returned 0, never before that call returns (of an upload's
 * bytes: see there): from spool_finish_group(), spool_finish_task() or spool_close(). `error` 0: it
 * is on disk. Else it isn't, though it may still appear after a crash (rule 6): who waits gets 4xx;
 * an outcome is still its owner's, who gives it again. With it fails what was appended of its
 * message behind it, in this order: so nothing is said of anybody without what came before. */
typedef void spool_done_fn(void *arg, int error);

struct spool_upload;

struct spool_accept {
    const struct envelope *envelope;
    struct span header;          /* our new header fields, in front of the body */
    struct span body;            /* or, when `upload` is set, empty */
    struct spool_upload *upload; /* complete; taken over when the call succeeds */
    const struct spool_expansion *expansions;
    size_t expansion_count;
    int64_t first_attempt_us;
};

/* Copies what it needs; all of *accept is borrowed for the call only. `done` may be NULL.
 * -EAGAIN: too much is pending, try after the next group; -ENOSPC: see spool_pressure(); -EEXIST: a
 * message of this id waits; -EMSGSIZE: the body is too large to be inline, or the records for a
 * segment; -EINVAL: no recipient, too many, or an expansion without a parent or child; -ENOMEM; the
 * upload's own error. After an error the upload is still the caller's. */
int spool_accept(struct spool *spool, const struct spool_accept *accept, spool_done_fn *done,
                 void *arg);

/* Outcomes of one message's recipients, in one record. -EALREADY when one of them has a final
 * outcome already (sealed or on its way): nothing is appended. Never refused for lack of space
 * before the reserve itself is used up. `done` may be NULL. -EAGAIN: too many appends of this
 * message are under way; -EINVAL: none, an unknown outcome, or a rerouted one without `host`;
 * -EMSGSIZE; -ENOMEM. Copies all. */
int spool_status(struct spool *spool, struct spool_message *message,
                 const struct spool_status *statuses, size_t count, spool_done_fn *done, void *arg);

/* Opaque bytes for the book (copied): a refusal, an administrator's act, an alarm. `done` may be
 * NULL. -EMSGSIZE: more than SPOOL_EVENT_MAX; -EAGAIN: too much is pending; -ENOMEM. */
int spool_event(struct spool *spool, struct span bytes, spool_done_fn *done, void *arg);

/* ---- Uploads: bodies that are too large to be inline -------------------------------------------
 */

/* 0 or -ENOMEM. Belongs to the caller until spool_accept() takes it or
 * spool_upload_free() ends it. */
int spool_upload_new(struct spool *spool, struct spool_upload **out);
/* Copies. `done` (may be NULL) is called when the spool is ready for more of this upload, perhaps
 * before the call returns: give the sender its credit then. -EAGAIN: too much is pending. An error
 * of the disk, and -ENOMEM, is sticky: then only spool_upload_free() makes sense. */
int spool_upload_append(struct spool_upload *upload, struct span bytes, spool_done_fn *done,
                        void *arg);
/* Bytes taken so far. */
uint64_t spool_upload_size(const struct spool_upload *upload);
/* Aborts: its space is free again. Its `done`s that are outstanding get -ECANCELED. NULL is fine.
 */
void spool_upload_free(struct spool_upload *upload);

/* ---- Group commit ------------------------------------------------------------------------------
 */

struct spool_group;

/* All that is pending and fits, with a seal; NULL when there is nothing to write, a group is in
 * flight, or there is no segment to write to yet (run tasks, or wait: spool_next_try_us()). */
struct spool_group *spool_take_group(struct spool *spool, int64_t now_us);
/* One write, one sync; blocks, in any thread. The result is kept in the group: call
 * spool_finish_group() whatever came of it. */
void spool_write_group(struct spool_group *group);
/* Applies it to memory and calls hooks and completions; frees the group. Completions may append. */
void spool_finish_group(struct spool *spool, struct spool_group *group, int64_t now_us);

/* What is pending has no segment to go to until a task makes one; on a full disk perhaps never. */
bool spool_lacks_segment(const struct spool *spool);

/* Bulk writes, the next segment, checkpoints, compaction, recycling, footers, scrubbing: the same
 * way. Bulk first: mail waits for it. Several may be in flight. */
struct spool_task;
struct spool_task *spool_take_task(struct spool *spool, int64_t now_us);
void spool_run_task(struct spool_task *task);
void spool_finish_task(struct spool *spool, struct spool_task *task, int64_t now_us);

/* When spool_take_group() or spool_take_task() may have something although nothing else happens
 * (retry after a failure, scrubbing); INT64_MAX: never. Otherwise ask after each append and each
 * finish. */
int64_t spool_next_try_us(const struct spool *spool);

/* ---- Reading ------------------------------------------------------------------------------------
 */

/* The message as stored. Pointers live in the reader, until it is closed. */
struct spool_stored {
    struct envelope envelope;
    struct spool_expansion
        *expansions; /* so recipient N may be a child, see spool_stored_recipient */
    size_t expansion_count;
    uint64_t header_bytes, body_bytes;
};

struct spool_reader;
/* Pins the message's bytes: they stay where they are until it is closed, whatever happens. 0,
 * -EBADMSG when the message has no record that could be read, -ENOMEM. */
int spool_reader_open(struct spool *spool, struct spool_message *message,
                      struct spool_reader **out);
/* Reads and verifies the whole record (blocks): envelope and, inline, the body. Borrowed until
 * close. -EBADMSG: damaged, on the disk as well as in the page cache; -ENOMEM or the disk's error:
 * whether it is damaged isn't known, to be tried again. */
int spool_reader_load(struct spool_reader *reader, const struct spool_stored **out);
/* The same, but reads and verifies no more than the envelope, and the expansions only when one of
 * their recipients waits: for looking at many messages. Nothing can be read afterwards. */
int spool_reader_load_envelope(struct spool_reader *reader, const struct spool_stored **out);
/* Memory that the disk can read into and write from by itself; free() frees it. NULL: none. */
char *spool_memory(size_t bytes);
/* Header and body as one stream. Bytes read, 0 at the end. Each byte given out was verified;
 * reading in order to the end also verifies the body's digest, the last read then fails with
 * -EBADMSG. Fewer than `size` bytes only at the end. Other errors as of spool_reader_load(), which
 * it calls when nobody has. Blocks. */
ssize_t spool_reader_read(struct spool_reader *reader, uint64_t offset, void *buf, size_t size);
/* Unpins (on the owner's thread, when no other works with it any more) and frees; NULL is fine.
 * When damage was found the message is set aside and booked. */
void spool_reader_close(struct spool *spool, struct spool_reader *reader);

/* The recipient with this index, NULL when there is none. Borrowed like *stored. Of a message that
 * was loaded by its envelope alone the children may be missing. */
const struct envelope_recipient *spool_stored_recipient(const struct spool_stored *stored,
                                                        uint32_t index);

/* ---- The book
 * ------------------------------------------------------------------------------------ */

/* The end of the last sealed group: so far the book may follow (spool/follow.h). */
struct spool_position spool_sealed_position(const struct spool *spool);
/* The book has folded and synced all before `position`, and nothing behind it (rule 5c): one that
 * lies before what was said already is that of a book which is made anew. {0, 0}: not known, so
 * nothing is recycled. */
void spool_book_synced(struct spool *spool, struct spool_position position);

/* ---- Pressure
 * ------------------------------------------------------------------------------------ */

/* Why new mail can't come now. Outcomes still go to the disk: they have the reserve. */
enum spool_pressure {
    SPOOL_PRESSURE_NONE,
    SPOOL_PRESSURE_BUSY,   /* more is pending than the disk keeps up with: slow down */
    SPOOL_PRESSURE_FULL,   /* the reserve of the disk is reached */
    SPOOL_PRESSURE_ROOM,   /* the disk, or a quota, has no room for the next segment */
    SPOOL_PRESSURE_FAILED, /* writes fail */
    SPOOL_PRESSURE_BOOK,   /* the book lags */
};

/* May new mail be accepted? `out_reason` (may be NULL): a static sentence for people. */
enum spool_pressure spool_pressure(const struct spool *spool, const char **out_reason);
/* What FULL and ROOM go by; what is free as it was seen last, a few seconds ago. */
struct spool_room {
    uint64_t free_bytes, reserve_bytes, segment_bytes;
};
void spool_get_room(const struct spool *spool, struct spool_room *out);
/* From now on, of the options (reserve_bytes). */
void spool_set_reserve(struct spool *spool, uint64_t bytes);
