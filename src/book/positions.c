#include "book/positions.h"

#include <endian.h>
#include <errno.h>
#include <xxhash.h>

uint64_t positions_sum(const struct book_position *at)
{
    const uint64_t words[] = {htole64(at->lane), htole64(at->segment), htole64(at->offset)};
    return XXH3_64bits(words, sizeof(words));
}

int positions_add_row(struct position_rows *rows, int64_t lane, struct book_position at,
                      bool is_sound)
{
    if (rows->count == VOLUME_LANES_MAX)
        return -ENOSPC;
    at.lane = (uint32_t)lane;
    rows->list[rows->count].at = at;
    rows->list[rows->count++].is_sound = is_sound && lane >= 0 && lane <= UINT32_MAX;
    return 0;
}

const struct book_position *positions_find(const struct positions *positions, uint32_t lane)
{
    for (size_t i = 0; i < positions->count; i++)
        if (positions->list[i].lane == lane)
            return &positions->list[i];
    return NULL;
}

bool positions_equal(const struct positions *a, const struct positions *b)
{
    bool is_same = a->count == b->count;

    for (size_t i = 0; is_same && i < a->count; i++) {
        const struct book_position *other = positions_find(b, a->list[i].lane);
        is_same = other && book_position_compare(&a->list[i], other) == 0;
    }
    return is_same;
}

static bool has_row(const struct position_rows *rows, const struct book_position *at)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->list[i].is_sound && rows->list[i].at.lane == at->lane)
            return true;
    return false;
}

/* A copy that is sound is the truth. Does each have its row? Else a row's lane is damaged. */
static bool take_copies(const struct position_rows *lanes, const struct position_rows *copies,
                        struct positions *out)
{
    bool all = true;

    for (size_t i = 0; i < copies->count; i++) {
        if (!copies->list[i].is_sound) {
            out->was_damaged = true;
            continue;
        }
        out->list[out->count++] = copies->list[i].at;
        all &= has_row(lanes, &copies->list[i].at);
    }
    out->was_damaged |= !all;
    return all;
}

/* A row without a copy is believed, since the copy may be what is damaged, unless a row is missing:
 * then it is that one, under another lane. */
static void take_row(struct positions *out, const struct book_position *at, bool is_believed)
{
    const struct book_position *known = positions_find(out, at->lane);

    if (known)
        out->was_damaged |= book_position_compare(known, at) != 0;
    else if (is_believed && out->count < VOLUME_LANES_MAX) {
        out->list[out->count++] = *at;
        out->is_new = true;
    }
}

void positions_settle(const struct position_rows *lanes, const struct position_rows *copies,
                      struct positions *out)
{
    *out = (struct positions){.count = 0};
    bool all = take_copies(lanes, copies, out);
    for (size_t i = 0; i < lanes->count; i++) {
        if (lanes->list[i].is_sound)
            take_row(out, &lanes->list[i].at, all);
        else
            out->was_damaged = true;
    }
    out->is_new |= out->was_damaged;
}
