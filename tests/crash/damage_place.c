#include "damage_place.h"

#include "spool/lane.h"
#include "spool/scan.h"

static struct damage_place place_of_record(const struct scan_record *record)
{
    if (record->is_damaged) /* whose it was can't be seen any more */
        return (struct damage_place){"a record's header", true, true};
    switch (record->header.type) {
    case SPOOL_RECORD_MESSAGE:
        return record->meta_is_damaged ? (struct damage_place){"MESSAGE, meta", true, true}
                                       : (struct damage_place){"MESSAGE, data", true, false};
    case SPOOL_RECORD_MOVED:
        return record->meta_is_damaged ? (struct damage_place){"MOVED, meta", true, true}
                                       : (struct damage_place){"MOVED, data", true, false};
    case SPOOL_RECORD_EXPAND:
        return (struct damage_place){"EXPAND", true, true};
    case SPOOL_RECORD_STATUS:
        return (struct damage_place){"STATUS", true, false};
    case SPOOL_RECORD_SEAL:
        return (struct damage_place){"SEAL", false, false};
    default:
        return (struct damage_place){"EVENT, CHECKPOINT", false, false};
    }
}

static struct damage_place look_among_records(struct world *w, struct segment *segment,
                                              uint64_t offset)
{
    struct damage_place found = {"between records", false, false};
    struct record_place place = segment_place(segment);
    struct scan_record record;
    struct scan scan;

    scan_init(&scan, w->spool->ops, segment->handle, &place, w->options.block_bytes,
              segment_first_offset(w->options.block_bytes), segment->end, SCAN_DATA);
    while (scan_next(&scan, &record) > 0) {
        bool is_hit = record.is_damaged || record.meta_is_damaged || record.data_is_damaged;
        if (is_hit && record.offset <= offset && offset < record.next)
            found = place_of_record(&record);
    }
    if (scan.offset < segment->end && offset >= scan.offset) /* the last one, a seal */
        found = (struct damage_place){"SEAL", false, false};
    scan_done(&scan);
    return found;
}

struct damage_place damage_place_of(struct world *w, const struct store_sim_damage *damage)
{
    if (strcmp(damage->what, "bulk") == 0)
        return (struct damage_place){"bulk", true, false};
    if (strcmp(damage->what, "log") != 0)
        return (struct damage_place){"a checkpoint", false, false};
    struct segment *segment = spool_segment(w->spool, STORE_LOG, damage->number);
    if (!segment || segment->state == SEGMENT_SPARE)
        return (struct damage_place){"an unused segment", false, false};
    if (damage->offset < segment_first_offset(w->options.block_bytes))
        return (struct damage_place){"a segment's header", false, false};
    if (damage->offset >= segment->size_bytes - w->options.block_bytes)
        return (struct damage_place){"a trailer", false, false};
    if (damage->offset >= segment->end)
        return (struct damage_place){"a footer", false, false};
    return look_among_records(w, segment, damage->offset);
}
