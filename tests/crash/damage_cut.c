#include "damage_cut.h"

#include "spool/reader.h"
#include "spool/scan.h"
#include <assert.h>
#include <stdlib.h>

enum { BAD_BYTES = 4096 };

/* What is known of one record: whose it is, where it lies, and up to where its file must be there
 * for it. */
struct row {
    struct id id; /* zero: of no message */
    uint64_t start, end;
    bool is_seal;
};

struct rows {
    struct row *list;
    size_t count, capacity;
};

static struct id id_of(const struct scan_record *record)
{
    struct arena arena = ARENA_INIT;
    struct record_message message;
    struct record_status status;
    struct record_expand expand;
    struct envelope envelope;
    struct id id = {0};

    switch (record->header.type) {
    case SPOOL_RECORD_MESSAGE:
    case SPOOL_RECORD_MOVED:
        if (record_decode_message(record->meta, record->header.version, &arena, &message,
                                  &envelope) == 0)
            id = envelope.id;
        break;
    case SPOOL_RECORD_EXPAND:
        if (codec_decode(&record_expand_codec, record->meta, &arena, &expand) == 0)
            id = expand.message;
        break;
    case SPOOL_RECORD_STATUS:
        if (codec_decode(&record_status_codec, record->meta, &arena, &status) == 0)
            id = status.message;
        break;
    }
    arena_done(&arena);
    return id;
}

static void add(struct rows *rows, const struct row *row)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->list = reallocarray(rows->list, rows->capacity, sizeof *rows->list);
        assert(rows->list);
    }
    rows->list[rows->count++] = *row;
}

/* With `as_groups`: in the newest segment a group counts only as a whole, with its seal. */
static void read_rows(struct world *w, struct segment *segment, bool as_groups, struct rows *out)
{
    bool is_newest = segment->number == w->spool->sealed.segment;
    uint64_t first = segment_first_offset(w->options.block_bytes);
    struct record_place place = segment_place(segment);
    struct scan_record record;
    struct scan scan;
    size_t group = 0;

    scan_init(&scan, w->spool->ops, segment->handle, &place, w->options.block_bytes, first,
              segment->end, 0);
    while (scan_next(&scan, &record) > 0) {
        const struct record_header *h = &record.header;
        uint64_t end = record.offset + record_bytes(h->meta_bytes, h->data_bytes);
        add(out, &(struct row){id_of(&record), record.offset, end, h->type == SPOOL_RECORD_SEAL});
        if (h->type != SPOOL_RECORD_SEAL)
            continue;
        while (is_newest && as_groups && group < out->count)
            out->list[group++].end = end;
    }
    scan_done(&scan);
}

static void harm(struct world *w, const struct id *id)
{
    struct model_message *message = model_find(&w->model, id);
    if (message)
        message->harmed = true;
}

/* Half of the cuts go between two records, every other of these where a group ends. */
static void cut_log(struct world *w, struct store_sim_damage *damage)
{
    struct segment *segment = spool_segment(w->spool, STORE_LOG, damage->number);
    struct rows rows = {0};

    if (segment && segment->state != SEGMENT_SPARE)
        read_rows(w, segment, true, &rows);
    if (rows.count && prng_below(&w->prng, 2)) {
        damage->offset = rows.list[prng_below(&w->prng, rows.count)].end;
        if (prng_below(&w->prng, 2))
            damage->offset = segment_align(damage->offset, w->options.block_bytes);
    }
    for (size_t i = 0; i < rows.count; i++)
        if (rows.list[i].end > damage->offset)
            harm(w, &rows.list[i].id);
    free(rows.list);
}

static bool lies_behind(const struct spool_reader *reader, const struct store_sim_damage *damage)
{
    for (size_t i = 0; i < reader->meta.extent_count; i++) {
        const struct record_extent *e = &reader->meta.extents[i];
        if (e->segment == damage->number && e->offset + e->bytes > damage->offset)
            return true;
    }
    return false;
}

static void cut_bulk(struct world *w, const struct store_sim_damage *damage)
{
    for (size_t i = 0; i < w->model.live_count; i++) {
        struct model_message *message = &w->model.messages[w->model.live[i]];
        struct spool_message *shown = spool_find(w->spool, &message->id);
        const struct spool_stored *stored;
        struct spool_reader *reader;
        if (!shown || spool_reader_open(w->spool, shown, &reader) < 0)
            continue;
        message->harmed = spool_reader_load(reader, &stored) < 0 || lies_behind(reader, damage);
        spool_reader_close(w->spool, reader);
    }
}

bool damage_cut(struct world *w, struct store_sim_damage *out)
{
    if (!store_sim_draw(w->sim, out))
        return false;
    out->offset = prng_below(&w->prng, out->offset);
    if (strcmp(out->what, "log") == 0)
        cut_log(w, out);
    else if (strcmp(out->what, "bulk") == 0)
        cut_bulk(w, out);
    store_sim_cut(w->sim, out);
    return true;
}

/* The last group: from behind the seal before it. */
static size_t first_of_last_group(const struct rows *rows)
{
    size_t i = rows->count ? rows->count - 1 : 0;
    while (i > 0 && !rows->list[i - 1].is_seal)
        i--;
    return i;
}

static bool has_byte_in(const struct row *row, uint64_t from)
{
    return row->start < from + BAD_BYTES && row->end > from;
}

/* Behind the last seal that can be read nothing counts. */
static size_t first_unsealed(const struct rows *rows, uint64_t from)
{
    size_t i = rows->count;
    while (i > 0 && (!rows->list[i - 1].is_seal || has_byte_in(&rows->list[i - 1], from)))
        i--;
    return i;
}

static void harm_block(struct world *w, const struct rows *rows, bool is_newest, uint64_t from)
{
    size_t end = is_newest ? first_unsealed(rows, from) : rows->count;
    for (size_t i = 0; i < rows->count; i++)
        if (i >= end || has_byte_in(&rows->list[i], from))
            harm(w, &rows->list[i].id);
}

/* Half of them in the group that was sealed last, where a torn write is known by its bytes only. */
static void unread_log(struct world *w, struct store_sim_damage *damage)
{
    bool in_last_group = prng_below(&w->prng, 2);
    struct rows rows = {0};

    if (in_last_group)
        damage->number = w->spool->sealed.segment;
    struct segment *segment = spool_segment(w->spool, STORE_LOG, damage->number);
    if (segment && segment->state != SEGMENT_SPARE)
        read_rows(w, segment, false, &rows);
    if (rows.count && in_last_group) {
        uint64_t from = rows.list[first_of_last_group(&rows)].start;
        damage->offset = from + prng_below(&w->prng, segment->end - from);
    }
    damage->offset = damage->offset / BAD_BYTES * BAD_BYTES;
    harm_block(w, &rows, damage->number == w->spool->sealed.segment, damage->offset);
    free(rows.list);
}

/* Where neither copy of a header can be read the spool doesn't start, since it may be the newest
 * one's: of an empty segment, which has none, and with blocks that are smaller than a sector. */
static bool hides_header(struct world *w, const struct store_sim_damage *damage)
{
    const struct segment *segment = spool_segment(w->spool, STORE_LOG, damage->number);
    bool is_empty = !segment || segment->state == SEGMENT_SPARE;

    return damage->offset < 2 * (uint64_t)w->options.block_bytes &&
           (is_empty || w->options.block_bytes < BAD_BYTES);
}

bool damage_unread(struct world *w, struct store_sim_damage *out)
{
    if (!store_sim_draw(w->sim, out))
        return false;
    out->offset = prng_below(&w->prng, out->offset) / BAD_BYTES * BAD_BYTES;
    if (strcmp(out->what, "log") == 0)
        unread_log(w, out);
    else if (strcmp(out->what, "bulk") != 0)
        return false;
    if (out->what[0] == 'l' && hides_header(w, out))
        return false;
    store_sim_set_unreadable(w->sim, out, BAD_BYTES);
    return true;
}
