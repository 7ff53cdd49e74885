/*
 * The spool's group.c with one fault built in: what is taken as one group goes out as two, and the
 * seal of the second is written before the sync of the first returned. Nothing is acknowledged too
 * early, so only recovery can tell: a later seal no longer vouches for an earlier one.
 */
#include "spool/spool.h"

void write_one_group(struct spool_group *group);

#define spool_write_group write_one_group
#include "spool/group.c"
#undef spool_write_group

static int no_sync(struct store_segment *segment)
{
    (void)segment;
    return 0;
}

static void move_all(struct list *from, struct list *to)
{
    struct list *link;
    while ((link = list_take_first(from)) != NULL)
        list_append(to, link);
}

static void place_seal(struct spool_group *group)
{
    uint64_t used = 0;
    LIST_EACH(&group->blocks, link)
    used += CONTAINER_OF(link, struct block, link)->used;
    group->seal_offset = group->start + used;
    group->end = segment_align(group->seal_offset + record_bytes(RECORD_SEAL_META_BYTES, 0),
                               group->block_bytes);
}

/* The second group lies behind the first one, in the same segment. */
static void go_on_behind(struct spool_group *group)
{
    group->seal = (struct record_seal){.sequence = group->seal.sequence + 1,
                                       .time_us = group->seal.time_us,
                                       .previous = {group->segment->number, group->seal_offset},
                                       .previous_sum = group->seal_sum,
                                       .start = group->end};
    group->start = group->end;
    group->is_first = false;
    place_seal(group);
}

void spool_write_group(struct spool_group *group)
{
    const struct store_ops *ops = group->ops;
    struct store_ops unsynced = *ops;
    struct list all, *first = group->blocks.next;

    if (first->next == &group->blocks ||
        group->end + 4 * (uint64_t)group->block_bytes > group->segment->size_bytes) {
        write_one_group(group); /* nothing to divide, or no room for another seal */
        return;
    }
    list_init(&all);
    move_all(&group->blocks, &all);
    list_remove(first);
    list_append(&group->blocks, first);
    place_seal(group);
    unsynced.sync = no_sync;
    group->ops = &unsynced;
    write_one_group(group);
    group->ops = ops;
    list_remove(first);
    move_all(&all, &group->blocks);
    if (group->error == 0) {
        go_on_behind(group);
        write_one_group(group);
    }
    list_prepend(&group->blocks, first);
}
