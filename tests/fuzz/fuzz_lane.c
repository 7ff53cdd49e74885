/*
 * A lane whose log says anything: records that are right in every checksum, and senseless. Input: a
 * byte for each record's type, then its fields (fuzz_fill.h); ids and places are few, so that
 * records meet. This is what a spool written by a faulty Postbuch would look like.
 *
 * The spool starts and has nothing twice; each message can be read or is named as damaged; it
 * serves on, the follower comes to the end of the log, and a second start finds the same as the
 * first (rules 3 and 8).
 */
#include "fuzz_fill.h"

#include "spool/follow.h"
#include "spool/segment.h"
#include "spool/spool.h"
#include "store_sim.h"
#include <errno.h>
#include <stdlib.h>

enum {
    BLOCK = 512,
    SEGMENT = 64 * 1024,
    LOG_MAX = SEGMENT - 8 * BLOCK,
    RECORDS_MAX = 60,
    FOLLOWED_MAX = 1000,
    ROUNDS = 12,
    NEW_GROUP = 0xFF,
};

static const int64_t now_us = INT64_C(1795284003000000);

struct lane {
    struct store_sim *disk;
    struct record_place place;
    struct buffer log; /* from the segment's start */
    struct record_seal seal;
    struct spool_position last_seal;
    uint64_t last_sum;
};

static int no_random(void *arg, void *out, size_t size)
{
    memset(out, 7, size);
    return 0;
}

/* ---- the log ---- */

static void pad_to(struct buffer *b, size_t size)
{
    static const char zeros[SEGMENT];

    buffer_append(b, zeros, size - b->size);
}

static void begin_group(struct lane *l)
{
    l->seal = (struct record_seal){.sequence = l->seal.sequence + 1,
                                   .time_us = now_us,
                                   .previous = l->last_seal,
                                   .previous_sum = l->last_sum,
                                   .start = l->log.size};
}

static void begin_log(struct lane *l)
{
    struct segment_header header = {
        .block_bytes = BLOCK, .number = 1, .size_bytes = SEGMENT, .created_us = now_us};
    char bytes[SEGMENT_HEADER_BYTES];

    l->place.segment = 1;
    memset(l->place.salt, 5, sizeof(l->place.salt));
    memcpy(header.salt, l->place.salt, sizeof(header.salt));
    segment_encode_header(&header, bytes);
    for (int copy = 0; copy < 2; copy++) {
        buffer_append(&l->log, bytes, sizeof(bytes));
        pad_to(&l->log, (size_t)(copy + 1) * BLOCK);
    }
    begin_group(l);
}

static uint64_t add_record(struct lane *l, enum spool_record_type type, struct span meta,
                           struct span data)
{
    uint64_t offset = l->log.size;

    pad_to(&l->log, offset + record_bytes(meta.size, data.size));
    char *at = l->log.data + offset;
    record_begin(at, type, (uint32_t)meta.size, (uint32_t)data.size);
    if (meta.size)
        memcpy(at + RECORD_HEADER_BYTES, meta.data, meta.size);
    if (data.size)
        memcpy(at + RECORD_HEADER_BYTES + meta.size, data.data, data.size);
    return record_finish(at, &l->place, offset);
}

static void end_group(struct lane *l)
{
    struct buffer meta = BUFFER_INIT;

    if (l->seal.count == 0)
        return;
    assert(codec_encode(&record_seal_codec, &l->seal, &meta) == 0);
    l->last_seal = (struct spool_position){1, l->log.size};
    l->last_sum = add_record(l, SPOOL_RECORD_SEAL, buffer_span(&meta), SPAN(""));
    buffer_done(&meta);
    pad_to(&l->log, segment_align(l->log.size, BLOCK));
    begin_group(l);
}

/* ---- records ---- */

/* One of eight messages; a MESSAGE says a new thing of one that may be known. */
static struct id few_ids(uint8_t byte)
{
    return (struct id){{1, byte & 7}};
}

static void make_message(struct span *in, struct arena *arena, bool moved, struct buffer *meta,
                         struct span *data)
{
    struct record_message message = {0};
    struct envelope envelope = {0};
    uint8_t how = fuzz_take(in);

    fuzz_fill(&record_message_codec, in, arena, &message);
    fuzz_fill(&envelope_codec, in, arena, &envelope);
    *data = fuzz_take_span(in, arena, 4096);
    envelope.id = few_ids(how);
    if (!(how & 8))
        message.extent_count = 0;
    if (!moved)
        message.expansion_count = message.net_count = 0;
    if (!(how & 16)) {
        message.header_bytes = 0;
        message.body_bytes = envelope.size_bytes = data->size;
    }
    (void)record_encode_message(&message, &envelope, meta);
}

static void make_with(const struct codec *codec, void *value, bool has_id, struct span *in,
                      struct arena *arena, struct buffer *meta)
{
    struct id id;

    fuzz_fill(codec, in, arena, value);
    if (has_id) { /* the first field of all that have one */
        id = few_ids(*(uint8_t *)value);
        memcpy(value, &id, sizeof(id));
    }
    (void)codec_encode(codec, value, meta);
}

static void make_record(struct lane *l, struct span *in, uint8_t type)
{
    struct arena arena = ARENA_INIT;
    struct buffer meta = BUFFER_INIT;
    struct span data = SPAN("");
    union {
        struct record_expand expand;
        struct record_status status;
        struct record_event event;
        struct record_checkpoint checkpoint;
    } value = {0};

    if (type == SPOOL_RECORD_MESSAGE || type == SPOOL_RECORD_MOVED)
        make_message(in, &arena, type == SPOOL_RECORD_MOVED, &meta, &data);
    else if (type == SPOOL_RECORD_EXPAND)
        make_with(&record_expand_codec, &value, true, in, &arena, &meta);
    else if (type == SPOOL_RECORD_STATUS)
        make_with(&record_status_codec, &value, true, in, &arena, &meta);
    else if (type == SPOOL_RECORD_EVENT)
        make_with(&record_event_codec, &value, false, in, &arena, &meta);
    else
        make_with(&record_checkpoint_codec, &value, false, in, &arena, &meta);
    if (buffer_error(&meta) == 0 && l->log.size + meta.size + data.size < LOG_MAX) {
        l->seal.sum = record_chain(
            l->seal.sum, add_record(l, (enum spool_record_type)type, buffer_span(&meta), data));
        l->seal.count++;
    }
    buffer_done(&meta);
    arena_done(&arena);
}

static void make_log(struct lane *l, struct span in)
{
    begin_log(l);
    for (int i = 0; in.size && i < RECORDS_MAX; i++) {
        uint8_t type = fuzz_take(&in);
        if (type == NEW_GROUP)
            end_group(l);
        else
            make_record(l, &in, 1 + type % SPOOL_RECORD_MOVED);
    }
    end_group(l);
}

static void write_log(struct lane *l)
{
    struct store *store = store_sim_open(l->disk);
    struct iovec part = {l->log.data, l->log.size};
    struct store_segment *segment;

    assert(store->ops->open_lane(store, false) == 0);
    assert(store->ops->create_segment(store, STORE_LOG, 1, SEGMENT, &segment) == 0);
    assert(store->ops->write(segment, 0, &part, 1) == 0 && store->ops->sync(segment) == 0);
    store->ops->close_segment(segment);
    store->ops->close(store);
}

/* ---- what becomes of it ---- */

static struct spool *start(struct lane *l)
{
    struct spool_options options = spool_options_default;
    struct spool *spool;

    options.block_bytes = BLOCK;
    options.segment_bytes = options.bulk_segment_bytes = SEGMENT;
    options.extent_bytes = 4096;
    options.inline_bytes = 8192;
    options.group_bytes = 65536;
    options.spare_segments = 1;
    options.reserve_bytes = options.reserve_inodes = 0;
    options.random = no_random;
    assert(spool_open(store_sim_open(l->disk), &options, now_us, &spool, NULL) == 0);
    return spool;
}

/* Writes and does what is due. */
static void settle(struct spool *spool)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct spool_group *group = spool_take_group(spool, now_us);
        struct spool_task *task = spool_take_task(spool, now_us);
        if (group) {
            spool_write_group(group);
            spool_finish_group(spool, group, now_us);
        }
        if (task) {
            spool_run_task(task);
            spool_finish_task(spool, task, now_us);
        }
    }
}

static void read_message(struct spool *spool, struct spool_message *message)
{
    struct spool_reader *reader;
    const struct spool_stored *stored;
    char piece[4096];
    uint64_t at = 0;
    ssize_t got = 1;

    assert(spool_find(spool, &message->id) == message);
    for (uint32_t i = 0; i < message->recipient_count; i++)
        assert(message->recipients[i].row == i);
    if (spool_reader_open(spool, message, &reader) < 0)
        return;
    int r = spool_reader_load(reader, &stored);
    while (r == 0 && got > 0) {
        got = spool_reader_read(reader, at, piece, sizeof(piece));
        at += got > 0 ? (uint64_t)got : 0;
    }
    assert(r < 0 || got < 0 || at == stored->header_bytes + stored->body_bytes);
    spool_reader_close(spool, reader);
}

static void read_all(struct spool *spool)
{
    struct spool_listing *listing;
    struct spool_message *message;

    assert(spool_listing_new(spool, &listing) == 0);
    while ((message = spool_listing_next(listing)))
        read_message(spool, message);
    spool_listing_free(listing);
}

static void follow(struct lane *l, struct spool_position end)
{
    struct spool_follower *follower;
    struct spool_followed record;
    struct spool_position last = {0, 0};
    int r = 1;

    assert(spool_follower_new(store_sim_open(l->disk), last, &follower) == 0);
    spool_follower_set_limit(follower, end);
    for (int i = 0; r > 0; i++) {
        assert(i < FOLLOWED_MAX);
        r = spool_follower_next(follower, &record);
        if (r > 0) {
            assert(spool_position_compare(record.next, last) > 0);
            last = record.next;
        }
    }
    assert(r == 0);
    spool_follower_free(follower);
}

static struct spool_counts counts_of(const struct spool *spool)
{
    struct spool_counts counts;

    spool_get_counts(spool, &counts);
    return counts;
}

/* What a start finds, and what a second one does, are the same. */
static void check_starts(struct lane *l)
{
    struct spool *spool = start(l);
    struct spool_counts first = counts_of(spool), second;

    spool_close(spool);
    spool = start(l);
    second = counts_of(spool);
    assert(first.messages == second.messages && first.waiting == second.waiting);
    assert(first.held == second.held && first.set_aside == second.set_aside);
    read_all(spool);
    assert(spool_event(spool, SPAN("it serves on"), NULL, NULL) == 0);
    settle(spool);
    read_all(spool);
    follow(l, spool_sealed_position(spool));
    spool_close(spool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lane l = {.disk = store_sim_new(1)};

    make_log(&l, span_of(data, size));
    assert(buffer_error(&l.log) == 0);
    write_log(&l);
    check_starts(&l);
    store_sim_free(l.disk);
    buffer_done(&l.log);
    return 0;
}
