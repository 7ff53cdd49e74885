/*
 * Sorted arrays: ten million recipients are some hundred megabytes for as long as the audit runs,
 * and a comparison is one pass over both.
 */
#include "book/audit.h"

#include "base/grow.h"
#include <errno.h>
#include <stdlib.h>

int audit_add_waiting(struct audit_set *set, const struct audit_waiting *item)
{
    struct audit_waiting *items =
        grow_by_one(set->items, set->count, &set->room, sizeof(*items), 1024);
    if (!items)
        return -ENOMEM;
    set->items = items;
    set->items[set->count++] = *item;
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct audit_waiting *a = left, *b = right;
    int by_id = id_compare(&a->id, &b->id);

    return by_id ? by_id : (a->index > b->index) - (a->index < b->index);
}

void audit_set_sort(struct audit_set *set)
{
    size_t kept = 0;

    if (set->count)
        qsort(set->items, set->count, sizeof(*set->items), compare);
    for (size_t i = 0; i < set->count; i++)
        if (kept == 0 || compare(&set->items[kept - 1], &set->items[i]) != 0)
            set->items[kept++] = set->items[i];
    set->count = kept;
}

const struct audit_waiting *audit_set_find(const struct audit_set *set,
                                           const struct audit_waiting *item)
{
    return set->count ? bsearch(item, set->items, set->count, sizeof(*set->items), compare) : NULL;
}

void audit_set_done(struct audit_set *set)
{
    free(set->items);
    *set = (struct audit_set){0};
}

/* ---- what the book doesn't know yet ---- */

int audit_add_change(struct audit_queue *queue, const struct id *id, uint32_t index, bool waits)
{
    struct audit_change *changes = grow_by_one(queue->unfolded, queue->unfolded_count,
                                               &queue->unfolded_room, sizeof(*changes), 1024);
    if (!changes)
        return -ENOMEM;
    queue->unfolded = changes;
    queue->unfolded[queue->unfolded_count] =
        (struct audit_change){{*id, false, index}, (uint32_t)queue->unfolded_count, waits};
    queue->unfolded_count++;
    return 0;
}

static int compare_changes(const void *left, const void *right)
{
    const struct audit_change *a = left, *b = right;
    int by_item = compare(&a->item, &b->item);

    return by_item ? by_item : (a->order > b->order) - (a->order < b->order);
}

/* What doesn't wait any more goes, what waits comes; the last word on each counts. */
int audit_apply_changes(struct audit_set *waiting, struct audit_queue *queue)
{
    struct audit_change *c = queue->unfolded, *end = c + queue->unfolded_count;
    struct audit_set result = {0};
    size_t i = 0;
    int r = 0;

    if (queue->unfolded_count == 0)
        return 0;
    qsort(c, queue->unfolded_count, sizeof(*c), compare_changes);
    for (; r == 0 && c < end; c++) {
        if (c + 1 < end && compare(&c->item, &c[1].item) == 0)
            continue;
        while (r == 0 && i < waiting->count && compare(&waiting->items[i], &c->item) < 0)
            r = audit_add_waiting(&result, &waiting->items[i++]);
        if (i < waiting->count && compare(&waiting->items[i], &c->item) == 0)
            i++;
        if (r == 0 && c->waits)
            r = audit_add_waiting(&result, &c->item);
    }
    for (; r == 0 && i < waiting->count; i++)
        r = audit_add_waiting(&result, &waiting->items[i]);
    audit_set_done(r == 0 ? waiting : &result);
    if (r == 0)
        *waiting = result;
    return r;
}

void audit_queue_done(struct audit_queue *queue)
{
    audit_set_done(&queue->waiting);
    free(queue->unfolded);
    *queue = (struct audit_queue){0};
}
