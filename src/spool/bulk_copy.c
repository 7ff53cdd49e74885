/*
 * Emptying a bulk segment: extents of living messages are copied to the open one, verified on the
 * way and synced, and then the message is moved with its new list of extents.
 */
#include "spool/compact.h"

#include <errno.h>
#include <stdlib.h>

static bool lies_in(const struct spool_message *message, const struct segment *segment)
{
    const struct spool_extents *bulk = index_bulk(message);

    for (uint32_t i = 0; bulk && i < bulk->count; i++) {
        if (bulk->uses[i].segment == segment)
            return true;
    }
    return false;
}

/* A walk over all messages: bulk has no records that would say whose its extents are. Unsealed ones
 * pin their segments themselves. */
int bulk_copy_find(struct spool *spool, const struct segment *segment, struct compact_entries *out)
{
    int r = 0;

    for (size_t i = 0; i < spool->index.bucket_count; i++) {
        for (const struct spool_message *m = index_first(&spool->index, i); m;
             m = index_next(&spool->index, m)) {
            if (r == 0 && lies_in(m, segment) && !(m->flags & SPOOL_MESSAGE_UNSEALED))
                r = compact_add_entry(out, &(struct compact_entry){.id = m->id});
        }
    }
    return r;
}

struct copy_task {
    struct spool_task task;
    struct compaction *compaction;
    struct move *move;
    struct segment **to; /* by extent; NULL: it stays where it is */
    uint32_t block_bytes;
    int result; /* task.error is only the new segments' */
};

static struct segment *source(const struct spool_reader *reader, uint64_t number)
{
    for (uint32_t i = 0; i < reader->bulk->count; i++) {
        if (reader->bulk->uses[i].segment->number == number)
            return reader->bulk->uses[i].segment;
    }
    return NULL;
}

/* Verified on the way: a copy of damaged bytes under a new checksum would hide the damage for good.
 */
static int copy_extent(struct copy_task *copy, size_t i, char *bytes)
{
    struct spool_reader *reader = copy->move->reader;
    const struct record_extent *from = &reader->meta.extents[i];
    struct iovec part = {bytes, segment_align(from->bytes, copy->block_bytes)};
    int r = reader_read_verified(reader, source(reader, from->segment), from->offset, bytes,
                                 from->bytes, from->sum);
    if (r < 0)
        return r;
    memset(bytes + from->bytes, 0, part.iov_len - from->bytes);
    r = copy->task.ops->write(copy->to[i]->handle, copy->move->extents[i].offset, &part, 1);
    copy->task.error = r;
    return r;
}

/* Synced before the MOVED that names the copies may go out: a message refers only to what is on
 * disk. */
static void copy_run(struct spool_task *task)
{
    struct copy_task *copy = CONTAINER_OF(task, struct copy_task, task);
    size_t count = copy->move->reader->meta.extent_count;
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        uint32_t bytes = copy->move->reader->meta.extents[i].bytes;
        uint64_t room = segment_align(bytes, copy->block_bytes);
        char *buffer = copy->to[i] ? spool_memory(room) : NULL;
        if (!copy->to[i])
            continue;
        r = buffer ? copy_extent(copy, i, buffer) : -ENOMEM;
        free(buffer);
    }
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (copy->to[i] && (i + 1 == count || copy->to[i + 1] != copy->to[i]))
            r = task->error = task->ops->sync(copy->to[i]->handle);
    }
    copy->result = r;
}

void move_unpin_extents(struct spool *spool, struct move *move)
{
    for (size_t i = 0; move->is_pinned && move->extents && i < move->reader->meta.extent_count;
         i++) {
        struct segment *segment =
            move->is_pinned[i] ? spool_segment(spool, STORE_BULK, move->extents[i].segment) : NULL;
        if (segment)
            segment->pins--;
    }
}

/* An error of the new segments abandons these (rule 6); one of the source only gives up this
 * message. */
static void copy_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct copy_task *copy = CONTAINER_OF(task, struct copy_task, task);
    struct move *move = copy->move;
    size_t count = move->reader->meta.extent_count;

    (void)now_us;
    for (size_t i = 0; task->error && i < count; i++) {
        if (copy->to[i])
            bulk_abandon(spool, copy->to[i], task->error);
    }
    if (copy->result == 0) {
        list_append(&spool->moves, &move->link);
    } else {
        copy->compaction->has_failed |= copy->result != -EBADMSG;
        copy->compaction->outstanding--;
        move_free(spool, move);
    }
    free(copy->to);
    free(copy);
}

/* Extents in other segments stay where they are. -EAGAIN: `bulk_wanted` has prepare.c make a
 * segment, and this is asked again, from there on: what it has stays its own, or a message that
 * needs more segments than are ever free at one time would be begun for ever. */
static int allocate(struct spool *spool, struct move *move, const struct segment *victim)
{
    for (; move->placed < move->reader->meta.extent_count; move->placed++) {
        struct record_extent *extent = &move->extents[move->placed];
        struct segment *at = spool_segment(spool, STORE_BULK, extent->segment);
        if (at == victim) {
            int r = bulk_allocate(spool, BULK_COPIES, extent->bytes, &at, &extent->offset);
            if (r < 0) {
                spool->bulk_wanted = extent->bytes;
                spool->tasks_due = bulk_needs_segment(spool, BULK_COPIES);
                return r;
            }
            extent->segment = at->number;
            move->is_pinned[move->placed] = true;
        }
        if (at)
            index_count_use(move->uses, at, extent->bytes, spool->options.block_bytes);
    }
    return 0;
}

static void drop_places(struct spool *spool, struct move *move)
{
    move_unpin_extents(spool, move);
    free(move->extents);
    free(move->uses);
    free(move->is_pinned);
    move->extents = NULL;
    move->uses = NULL;
    move->is_pinned = NULL;
}

static int begin_places(struct move *move)
{
    size_t count = move->reader->meta.extent_count;

    if (move->extents)
        return 0;
    move->placed = 0;
    move->extents = calloc(count + 1, sizeof(*move->extents));
    move->is_pinned = calloc(count + 1, sizeof(*move->is_pinned));
    move->uses = calloc(1, sizeof(*move->uses) + count * sizeof(move->uses->uses[0]));
    if (!move->extents || !move->uses || !move->is_pinned)
        return -ENOMEM;
    memcpy(move->extents, move->reader->meta.extents, count * sizeof(*move->extents));
    return 0;
}

static int give_places(struct spool *spool, struct copy_task *copy)
{
    struct move *move = copy->move;
    size_t count = move->reader->meta.extent_count;
    int r = begin_places(move);

    copy->to = r == 0 ? calloc(count + 1, sizeof(struct segment *)) : NULL;
    if (!copy->to) {
        drop_places(spool, move);
        return -ENOMEM;
    }
    r = allocate(spool, move, copy->compaction->victim);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (move->is_pinned[i])
            copy->to[i] = spool_segment(spool, STORE_BULK, move->extents[i].segment);
    }
    return r;
}

struct spool_task *bulk_copy_take(struct spool *spool, struct compaction *c)
{
    struct copy_task *copy = calloc(1, sizeof(*copy));

    if (!copy)
        return NULL;
    task_init(&copy->task, spool, copy_run, copy_finish);
    copy->compaction = c;
    copy->block_bytes = spool->options.block_bytes;
    copy->move = CONTAINER_OF(c->copies.next, struct move, link);
    spool->bulk_wanted = 0;
    if (give_places(spool, copy) < 0) {
        free(copy->to);
        free(copy);
        return NULL;
    }
    list_remove(&copy->move->link);
    return &copy->task;
}
