/*
 * The inside of struct spool: one lane, its segments, its index, and what is on its way to the
 * disk. The public promises are in spool.h; each part below belongs to the file named beside it.
 */
#pragma once

#include "spool/index.h"
#include "spool/recent.h"
#include "spool/spool.h"

/* ---- Pending appends (append.c) ----
 *
 * Records are written straight into blocks: the one copy that an append costs. A unit is what must
 * go out in one group (a MESSAGE with its EXPANDs, a STATUS, an EVENT), and lies whole in a block.
 */

enum unit_kind { UNIT_ACCEPT, UNIT_STATUS, UNIT_EVENT, UNIT_MOVED, UNIT_RESTATED };

struct unit {
    struct list link; /* in its block */
    enum unit_kind kind;
    struct spool_message *message; /* pinned */
    uint32_t offset;               /* of its first record in the block */
    uint32_t meta_bytes;           /* of its first record */
    spool_done_fn *done;
    void *arg;
    struct move *move;       /* MOVED */
    struct restate *restate; /* RESTATED */
    uint32_t change_count;
    struct index_change changes[]; /* STATUS */
};

/* Memory in which records are encoded and from which they are written. `used` is a
 * multiple of 8. */
struct block {
    struct list link;
    struct list units;
    size_t size, used;
    uint64_t file_offset; /* set when its group is taken */
    char data[];
};

enum {
    BLOCK_BYTES = 256 * 1024,
    FREE_BLOCKS_MAX = 32 /* kept for reuse: 8 MiB */
};

/* ---- A group (group.c) ---- */

enum { GROUP_BLOCKS_MAX = 250 }; /* with headers and seal fewer than any IOV_MAX */

/* From take to finish the writing thread's own, but for the segment's handle and
 * the blocks' bytes. */
struct spool_group {
    const struct store_ops *ops;
    struct segment *segment;
    struct list blocks;
    struct record_place place;
    bool is_first; /* the header goes out with it */
    struct segment_header header;
    uint64_t start, end; /* offsets; the end is aligned */
    uint32_t block_bytes;
    struct record_seal seal;
    uint64_t seal_offset, seal_sum;
    int error;
    char *frame; /* the spool's: header blocks, then seal blocks */
};

/* ---- A task (task.c) ----
 * Embedded first in each module's own: taken on the owner's thread, run on any, finished on the
 * owner's again. `run` may block and touches only the task and what is pinned for it. */
enum task_kind {
    TASK_BULK,
    TASK_MARK,
    TASK_PREPARE,
    TASK_RECYCLE,
    TASK_CLOSE,
    TASK_CHECKPOINT,
    TASK_COMPACT,
    TASK_SCRUB,
    TASK_SPACE,
    TASK_KINDS,
};

struct spool_task {
    enum task_kind kind; /* one of each in flight at a time */
    const struct store_ops *ops;
    void (*run)(struct spool_task *task);
    /* Frees the task. */
    void (*finish)(struct spool *spool, struct spool_task *task, int64_t now_us);
    int error; /* its kind pauses after one */
};

/* An EVENT of our own, kept until it is sealed. */
struct alarm {
    struct list link;
    struct spool_alarm alarm; /* its text is `text` */
    char text[200];
    bool in_group;
};

/* For people; what is found after the memory ends is booked all the same. */
struct damage_list {
    struct spool_damage *rows;
    size_t count;
};

/* After a failure of what nobody waits for and what costs much: as many pauses at once. */
enum { SPOOL_PAUSES = 30 };

/* Who writes to bulk, each on a thread of its own: so each has an open segment of its own, since
 * two that write and sync the same one take each other's errors (store.h). */
enum bulk_writer {
    BULK_UPLOADS, /* TASK_BULK */
    BULK_COPIES,  /* TASK_COMPACT */
    BULK_WRITERS
};

struct spool {
    struct store *store;
    const struct store_ops *ops;
    struct spool_options options;
    struct spool_hooks hooks;
    int64_t now_us; /* as last told */
    uint8_t lane[SEGMENT_LANE_BYTES];
    bool mark_due; /* the lane's mark couldn't be written yet */
    void *ended;   /* ended.c: the mark that was found, until it is checked; NULL: none */
    size_t ended_size;
    bool ended_well;

    struct list segments[2]; /* by enum store_kind, each by number */
    uint64_t last_number[2];
    /* The newest log segment whose header may be on the disk, sealed or not. What is used next has
     * a higher number: recovery starts from the highest header and passes over what that one's
     * chain doesn't name. */
    uint64_t used_number;
    struct segment *open; /* the log segment that groups go to; NULL: the next one takes a spare */

    /* What is sealed. */
    struct spool_position sealed, last_seal;
    uint64_t last_sum, sequence;
    struct spool_position book, book_furthest; /* what it has now; the most that a book had */
    bool is_book_heard;
    struct index index;

    /* append.c, group.c */
    struct list blocks; /* pending, in order */
    struct list free_blocks;
    uint32_t free_block_count;
    uint64_t pending_bytes;
    struct spool_group *in_flight;
    char *frame; /* of the group in flight; NULL before the first */
    struct list alarms;
    int64_t retry_at_us; /* no group before this */
    uint32_t failures;   /* groups that failed in a row */

    /* bulk.c */
    struct list uploads;
    struct list bulk_writes; /* extents to be written */
    uint64_t bulk_pending_bytes;
    struct recent recent;
    struct segment *bulk_open[BULK_WRITERS];
    size_t bulk_wanted; /* compaction waits for room for as many bytes */

    /* tasks */
    bool task_in_flight[TASK_KINDS]; /* by enum task_kind, as task_retry_us */
    bool tasks_due;                  /* something happened that may have made work */
    int64_t tasks_next_us;
    int64_t task_retry_us[TASK_KINDS]; /* the kind isn't asked before this */
    struct store_space space;
    int prepare_error; /* of the last segment that was to be made; 0: it was */

    /* checkpoint.c */
    struct checkpoint_work *checkpoint;
    uint64_t checkpoint_generation;
    bool checkpoint_record_due;
    bool checkpoint_failed;    /* the last one that was written, and an alarm has said so */
    uint64_t checkpoint_bytes; /* what the newest durable one takes */
    struct spool_position checkpoint_position; /* of the newest durable one; {0, 0}: none */

    /* compact.c */
    struct list moves;    /* loaded messages, waiting for a group */
    struct list restates; /* outcomes to be said again, waiting for a group */
    struct compaction *compaction;
    uint64_t compact_failed[2]; /* of each kind the last that failed in this round; 0: none */

    struct damage_list damage;
    struct spool_position tail; /* bytes behind the last seal at the start; {0, 0}: none */
    uint32_t book_lag;          /* closed segments that it hasn't folded */
    bool lag_alarmed;
    struct spool_counts counts;
};

/* spool.c */
/* What the clock says now. When it was set back, what waits for a time waits no longer than before.
 */
void spool_tell_time(struct spool *spool, int64_t now_us);
/* NULL when there is none. Linear, as all walks over segments are. */
struct segment *spool_segment(const struct spool *spool, enum store_kind kind, uint64_t number);
/* The segment that a group may start; NULL: none is prepared. */
bool spool_is_spare(const struct spool *spool, const struct segment *segment);
struct segment *spool_next_spare(const struct spool *spool);
uint32_t spool_count_spares(const struct spool *spool, enum store_kind kind);
void spool_count_lag(struct spool *spool);
/* Keeps the list in order. */
void spool_insert_segment(struct spool *spool, struct segment *segment);
int spool_random(struct spool *spool, void *out, size_t size);
/* A number that no segment had before; 0: there is none left (never, but after one that somebody
 * made up). It is used up, whatever becomes of the segment. */
uint64_t spool_take_number(struct spool *spool, enum store_kind kind);
void spool_set_lane(struct spool *spool, const uint8_t lane[static SEGMENT_LANE_BYTES]);
/* Lets go of a message whose last recipient has its fate, once nothing on its way concerns it. */
void spool_drop_message(struct spool *spool, struct spool_message *message);
/* Shown and booked. `message` NULL: not known; `what` is static. */
void spool_note_damage(struct spool *spool, struct spool_position position,
                       const struct id *message, const char *what);

/* append.c */
/* For so many changes. NULL: no memory. */
struct unit *append_unit_new(enum unit_kind kind, size_t change_count);
/* A block with room for `bytes`: the last pending one or a new one, which is appended. */
struct block *append_block(struct spool *spool, size_t bytes);
/* Whether so many bytes more go into it, and with it into a segment. */
bool append_block_has_room(const struct spool *spool, const struct block *block, size_t bytes);
/* One in no list. Both: NULL when there is no memory. */
struct block *append_block_new(struct spool *spool, size_t bytes);
/* Takes it out of its list; its units must be gone. */
void append_block_free(struct spool *spool, struct block *block);
/* What lies behind `used` is taken back; one with nothing left is freed. */
void append_block_cut(struct spool *spool, struct block *block, size_t used);
/* What a list of recipients takes in a record, at most. */
size_t append_recipients_bound(const struct envelope_recipient *recipients, size_t count);
/* Encodes a record behind the block's last one. 0, or an error with the block as it was. */
int append_record(struct block *block, enum spool_record_type type, const struct codec *codec,
                  const void *value);
/* Keeps an EVENT of our own for the next group; `message` may be NULL. Without memory it is left
 * out. */
void append_alarm(struct spool *spool, enum spool_alarm_kind kind, const struct id *message,
                  struct spool_position position, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* As append_record(), of a MESSAGE or MOVED: `header` and `body` are its data. */
int append_message(struct block *block, enum spool_record_type type,
                   const struct record_message *meta, const struct envelope *envelope,
                   struct span header, struct span body);
/* Undoes one unit of a group that failed, or of a spool that closes; calls its completion. */
void append_fail_unit(struct spool *spool, struct unit *unit, int error);
/* Has the statuses fail with a group that failed which were appended behind others of their message
 * in it: who gives all of them again gives them in their order. */
void append_fail_behind(struct spool *spool, struct spool_group *group);
/* Fails what new mail waits for, when no segment can be had for it. */
void append_fail_accepts(struct spool *spool, int error);

/* group.c: the most that the records of one group may take. */
uint64_t group_room_bytes(const struct spool *spool);

/* append.c: our own EVENTs: into a group, and what came of it. */
void append_add_alarms(struct spool *spool, struct block *block);
void append_alarms_sealed(struct spool *spool);
void append_alarms_retry(struct spool *spool);

/* replay.c: one record's effect on the state. 0 or -ENOMEM. */
struct scan_record;
int replay_record(struct spool *spool, struct segment *segment, const struct scan_record *record);

/* ended.c: looks for the mark of spool_end(), and takes it away. */
void ended_take(struct spool *spool);
/* Is it of the last seal that recovery found? Frees it. */
void ended_check(struct spool *spool);

/* lane_mark.c: which lane was begun in this folder; text NULL: none that could be read. */
struct lane_mark {
    void *text;
    size_t size;
};

/* 0, or want of memory or descriptors. */
int lane_mark_load(const struct spool *spool, struct lane_mark *out);
bool lane_mark_names(const struct lane_mark *found, const uint8_t lane[static SEGMENT_LANE_BYTES]);
void lane_mark_done(struct lane_mark *found);
/* Of spool->lane. An error is told by an alarm, and lane_mark_take() then tries again. */
void lane_mark_save(struct spool *spool);

/* recovery.c: rule 2, from what the store lists to a spool that may append. 0 or -errno; what
 * it had made is in the spool, for the caller to free. */
int recovery_run(struct spool *spool, struct spool_obstacle *out_obstacle);

/* bulk.c */
struct spool_task *bulk_take(struct spool *spool);
/* No segment can be had: uploads that wait for one fail. */
void bulk_fail_waiting(struct spool *spool, int error);
/* Room in the writer's open bulk segment, pinned once. -EAGAIN: there is none yet. */
int bulk_allocate(struct spool *spool, enum bulk_writer writer, size_t bytes,
                  struct segment **out_segment, uint64_t *out_offset);
/* Rule 6: after a failed write or sync of it. Twice is fine. */
void bulk_abandon(struct spool *spool, struct segment *segment, int error);
/* What waits to be written finds no room: prepare.c makes a segment at once. */
bool bulk_needs_segment(const struct spool *spool, enum bulk_writer writer);
/* It will find none soon: prepare.c makes one ahead. */
bool bulk_wants_spare(const struct spool *spool);
/* No more bytes come. Gives the upload's own list of extents, whose places may not be known yet. 0,
 * -ENOMEM, or the upload's error. */
int bulk_seal_upload(struct spool_upload *upload, struct record_extent **out_extents,
                     size_t *out_count);
/* The MESSAGE in `block` waits for the upload's extents; the upload is the spool's from here on. */
void bulk_hold_accept(struct spool_upload *upload, struct block *block);
/* All uploads end; no task may be in flight. */
void bulk_close(struct spool *spool);

/* recycle.c: is this log segment there and in use? */
bool recycle_exists(const struct spool *spool, uint64_t number);
/* Would rule 5 and recovery let a log segment go that is empty and concerns nothing? */
bool recycle_may_come(const struct spool *spool, const struct segment *segment);

/* compact.c, move.c */
bool move_has_any(const struct spool *spool);
/* Adds MOVED and restated records to the front of a group, computed from the index as it is now. */
void move_add_records(struct spool *spool, struct list *front);
/* A MOVED or RESTATED unit was sealed; or its group failed, and it waits for the next one. */
void move_apply(struct spool *spool, struct segment *segment, struct unit *unit, uint64_t offset);
void move_retry(struct spool *spool, struct unit *unit);
void compact_close(struct spool *spool);

/* checkpoint_task.c. The CHECKPOINT record tells people who read the log; nothing depends on it. */
bool checkpoint_has_record(const struct spool *spool);
void checkpoint_add_record(struct spool *spool, struct block *block);
void checkpoint_close(struct spool *spool);
/* The newest checkpoint, or the one in the making, needs this log segment. */
bool checkpoint_needs(const struct spool *spool, uint64_t segment);

/* lane_mark.c, prepare.c, recycle.c, footer.c, checkpoint_task.c, compact.c, scrub.c; NULL: nothing
 * to do */
struct spool_task *lane_mark_take(struct spool *spool);
struct spool_task *prepare_take(struct spool *spool);
struct spool_task *recycle_take(struct spool *spool);
struct spool_task *close_take(struct spool *spool);
struct spool_task *checkpoint_take(struct spool *spool);
struct spool_task *compact_take(struct spool *spool);
/* There is no room for copies of bulk. */
void compact_give_up(struct spool *spool);
struct spool_task *scrub_take(struct spool *spool);
struct spool_task *space_take(struct spool *spool);
/* `run` blocks, on any thread; `finish` frees the task, on the owner's. */
void task_init(struct spool_task *task, struct spool *spool, void (*run)(struct spool_task *),
               void (*finish)(struct spool *, struct spool_task *, int64_t));
