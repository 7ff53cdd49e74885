/*
 * What the log says again of a message: who of it still waited. A ledger that was made anew lacks
 * the outcomes whose segments had gone by then; so who isn't named here and waits by the book had
 * his end, which only the ledger of before knew.
 */
#include "book/volume_impl.h"

/* Both lists are in order; *next is where the named ones were looked at last. */
static bool is_named(const struct book_restated *restated, uint32_t index, size_t *next)
{
    while (*next < restated->waiting_count && restated->waiting[*next] < index)
        ++*next;
    return *next < restated->waiting_count && restated->waiting[*next] == index;
}

/* Who was closed here doesn't wait any more: a second telling finds nobody. */
int volume_fold_restated(struct volume *v, struct volume_lane *lane,
                         const struct book_restated *restated)
{
    struct chain_record record = {.kind = EVENT_CLOSED,
                                  .message = restated->message,
                                  .parent = EVENT_NO_RECIPIENT,
                                  .time_us = restated->time_us,
                                  .actor_uid = EVENT_NO_ACTOR};
    int64_t index = -1;
    size_t next = 0;
    int r = volume_write_entries(v);

    if (r == 0)
        r = volume_next_entry(v, VOLUME_ENTRY_WAITING, &record.message, &index);
    while (r == 0 && index >= 0) {
        record.recipient_index = (uint32_t)index;
        if (!is_named(restated, record.recipient_index, &next))
            r = volume_happen(v, lane, &record, 0);
        if (r == 0)
            r = volume_next_entry(v, VOLUME_ENTRY_WAITING, &record.message, &index);
    }
    return r;
}
