#include "book/audit.h"

#include <errno.h>
#include <stdlib.h>

int audit_add_waiting(struct audit_set *set, const struct id *id, uint32_t index)
{
    if (set->count == set->room) {
        size_t room = set->room ? set->room * 2 : 1024;
        struct audit_waiting *more = realloc(set->items, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        set->items = more;
        set->room = room;
    }
    set->items[set->count++] = (struct audit_waiting){*id, index};
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

bool audit_set_has(const struct audit_set *set, const struct audit_waiting *item)
{
    return set->count && bsearch(item, set->items, set->count, sizeof(*set->items), compare);
}

void audit_set_done(struct audit_set *set)
{
    free(set->items);
    *set = (struct audit_set){0};
}
