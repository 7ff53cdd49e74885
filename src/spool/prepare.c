/* Room ahead: the next log segment is zero-filled before it is needed, and the free space is looked
 * at now and then, so that no append ever does either. */
#include "spool/lane.h"

#include <errno.h>
#include <stdlib.h>

/* Short against the time in which mail fills a reserve, long against the cost of a statvfs(). */
enum { SPACE_INTERVAL_US = 5000000 };

struct prepare {
    struct spool_task task;
    struct store *store;
    struct segment *segment;
    struct store_space space;
    bool has_space;
};

/* A disk that doesn't tell its space leaves the last figure standing. */
static void look_at_space(struct prepare *prepare)
{
    prepare->has_space = prepare->store->ops->space(prepare->store, &prepare->space) == 0;
}

static void take_space(struct spool *spool, const struct prepare *prepare, int64_t now_us)
{
    if (prepare->has_space)
        spool->space = prepare->space;
    spool->task_retry_us[TASK_SPACE] = now_us + SPACE_INTERVAL_US;
}

static void prepare_run(struct spool_task *task)
{
    struct prepare *prepare = CONTAINER_OF(task, struct prepare, task);
    struct segment *segment = prepare->segment;

    task->error = segment_create(task->ops, prepare->store, segment);
    look_at_space(prepare);
}

/* Rule 7: nothing to write to, so who waits for a 250 is told now and not at a time-out. Bulk comes
 * after the log: when that finds no room there is none for bulk either. Without room for its copies
 * compaction ends, or it would hold up the one that makes some; uploads may then use its segment.
 */
static void fail_waiting(struct spool *spool, int error)
{
    if (bulk_needs_segment(spool, BULK_COPIES))
        compact_give_up(spool);
    if (bulk_needs_segment(spool, BULK_UPLOADS))
        bulk_fail_waiting(spool, error);
    if (!spool->open && !spool_next_spare(spool))
        append_fail_accepts(spool, error);
}

/* That the name is taken (by a folder or a link, which list() doesn't show) is no word of the disk:
 * the next number is tried after the pause. */
static void prepare_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct prepare *prepare = CONTAINER_OF(task, struct prepare, task);
    int error = task->error == -EEXIST ? 0 : task->error;

    take_space(spool, prepare, now_us);
    spool->prepare_error = error;
    if (task->error == 0)
        spool_insert_segment(spool, prepare->segment);
    else
        segment_free(prepare->segment, spool->ops);
    if (error)
        fail_waiting(spool, error);
    free(prepare);
}

/* The number is used up even if the task fails: a file of that name may be there in part. */
static struct prepare *prepare_new(struct spool *spool, enum store_kind kind)
{
    struct prepare *prepare = calloc(1, sizeof(*prepare));
    uint64_t size_bytes =
        kind == STORE_LOG ? spool->options.segment_bytes : spool->options.bulk_segment_bytes;
    if (!prepare)
        return NULL;
    prepare->segment = segment_new(kind, 0, size_bytes);
    if (!prepare->segment) {
        free(prepare);
        return NULL;
    }
    prepare->store = spool->store;
    task_init(&prepare->task, spool, prepare_run, prepare_finish);
    prepare->segment->number = spool_take_number(spool, kind);
    return prepare;
}

/* The log comes before bulk: without a log segment not even an outcome can be written. */
struct spool_task *prepare_take(struct spool *spool)
{
    enum store_kind kind = STORE_LOG;

    if (spool_count_spares(spool, STORE_LOG) >= spool->options.spare_segments) {
        if (!bulk_needs_segment(spool, BULK_UPLOADS) && !bulk_needs_segment(spool, BULK_COPIES) &&
            !bulk_wants_spare(spool))
            return NULL;
        kind = STORE_BULK;
    }
    struct prepare *prepare = prepare_new(spool, kind);
    return prepare ? &prepare->task : NULL;
}

static void space_run(struct spool_task *task)
{
    look_at_space(CONTAINER_OF(task, struct prepare, task));
}

static void space_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    take_space(spool, CONTAINER_OF(task, struct prepare, task), now_us);
    free(CONTAINER_OF(task, struct prepare, task));
}

/* Asked at each turn, held back by its own pause (take_space). Another's files fill the disk, too,
 * so what we write ourselves says too little. */
struct spool_task *space_take(struct spool *spool)
{
    struct prepare *prepare = calloc(1, sizeof(*prepare));
    if (!prepare)
        return NULL;
    prepare->store = spool->store;
    task_init(&prepare->task, spool, space_run, space_finish);
    return &prepare->task;
}
