/*
 * What the spool reads from a disk: the first byte picks the parser, the rest is its input. Codec
 * tables must encode again to what they decoded.
 */
#include "fuzz_table.h"

#include "spool/checkpoint.h"
#include "spool/footer.h"
#include <errno.h>
#include <stdlib.h>

static const struct codec *const tables[] = {
    &spool_status_codec,     &spool_alarm_codec,       &spool_expansion_codec,
    &record_expand_codec,    &record_status_codec,     &record_event_codec,
    &record_seal_codec,      &record_checkpoint_codec, &record_message_codec,
    &checkpoint_names_codec, &checkpoint_rows_codec,
};

enum { MEMORY_MAX = 8 << 20 };

/* An older version's envelope lacks its end; encoded, it has it. */
static void try_message(struct span in, uint8_t version)
{
    struct arena arena = ARENA_LIMITED(MEMORY_MAX);
    struct record_message message;
    struct envelope envelope;
    struct buffer again = BUFFER_INIT;

    if (record_decode_message(in, version, &arena, &message, &envelope) == 0) {
        assert(record_encode_message(&message, &envelope, &again) == 0);
        assert(version < RECORD_VERSION ||
               (again.size >= in.size && memcmp(again.data, in.data, in.size) == 0));
    }
    buffer_done(&again);
    arena_done(&arena);
}

static void try_blocks(struct span in)
{
    struct arena arena = ARENA_LIMITED(MEMORY_MAX);
    struct checkpoint_manifest manifest;
    struct checkpoint_names names;
    struct checkpoint_rows rows;
    struct segment_header header;
    struct segment_trailer trailer;

    (void)segment_decode_header(in, &header);
    (void)segment_decode_trailer(in, &trailer);
    (void)checkpoint_decode_manifest(in, &arena, &manifest);
    (void)checkpoint_decode_part(in, &arena, &names, &rows);
    arena_done(&arena);
}

/* A store of one segment that holds the input. */
static struct span disk;

static ssize_t read_disk(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                         int flags)
{
    struct span part = span_first(span_from(disk, offset), size);
    (void)segment, (void)flags;
    if (part.size)
        memcpy(buf, part.data, part.size);
    return (ssize_t)part.size;
}

/* The input as records: their headers are made good first where they have room, so that the walk
 * goes on into what the fuzzer wrote. Each byte is given out once, in order. */
static void try_scan(struct span in)
{
    static const struct store_ops ops = {.read = read_disk};
    static const struct record_place place = {.segment = 1};
    char *bytes = malloc(in.size + 1);
    struct scan_record record;
    struct scan scan;
    uint64_t last = 0;
    int r;

    assert(bytes);
    if (in.size)
        memcpy(bytes, in.data, in.size);
    for (size_t at = 0; at + RECORD_HEADER_BYTES <= in.size;) {
        uint64_t size = record_bytes_at(bytes + at);
        if (size > in.size - at)
            break;
        record_finish(bytes + at, &place, at);
        at += size;
    }
    disk = span_of(bytes, in.size);
    scan_init(&scan, &ops, NULL, &place, 512, 0, in.size, SCAN_DATA);
    while ((r = scan_next(&scan, &record)) > 0) {
        assert(record.offset >= last && record.next > record.offset);
        last = record.next;
    }
    assert(r == 0 || r == -EPROTONOSUPPORT);
    scan_done(&scan);
    free(bytes);
}

static void try_footer(struct span in)
{
    struct footer footer = {.bytes = malloc(in.size + 1), .size = in.size};
    struct scan_record record;

    assert(footer.bytes);
    if (in.size)
        memcpy(footer.bytes, in.data, in.size);
    while (footer_next(&footer, &record) > 0)
        ;
    footer_close(&footer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    if (data[0] < ARRAY_SIZE(tables))
        fuzz_table(tables[data[0]], in);
    else if (data[0] == 'm')
        try_message(in, RECORD_VERSION);
    else if (data[0] == '1')
        try_message(in, 1);
    else if (data[0] == 'b')
        try_blocks(in);
    else if (data[0] == 's')
        try_scan(in);
    else if (data[0] == 'f')
        try_footer(in);
    return 0;
}
