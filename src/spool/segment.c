/*
 * Header and trailer are blocks of their own with a magic, a format, their fields and a checksum;
 * the header stands twice, so that one bad block doesn't cost a segment. In memory: what a segment
 * holds and which others depend on it.
 */
#include "spool/segment.h"

#include "spool/mutant.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* First bytes of a header block and of a trailer block, then u32 format. */
static const char header_magic[8] = {'P', 'o', 's', 't', 'b', 'u', 'c', 'h'};
static const char trailer_magic[8] = {'P', 'b', 'T', 'r', 'a', 'i', 'l', 'r'};

enum { MAGIC_BYTES = sizeof(header_magic), PREFIX_BYTES = MAGIC_BYTES + 4, SUM_BYTES = 8 };

CODEC_DEFINE(static, header_codec, struct segment_header,
             CODEC_UINT(struct segment_header, block_bytes, 1 << 20),
             CODEC_UINT(struct segment_header, number, UINT64_MAX),
             CODEC_UINT(struct segment_header, size_bytes, UINT64_MAX),
             CODEC_FIXED(struct segment_header, lane), CODEC_FIXED(struct segment_header, salt),
             CODEC_INT(struct segment_header, created_us),
             CODEC_UINT(struct segment_header, previous_end.segment, UINT64_MAX),
             CODEC_UINT(struct segment_header, previous_end.offset, UINT64_MAX),
             CODEC_UINT(struct segment_header, previous_seal.segment, UINT64_MAX),
             CODEC_UINT(struct segment_header, previous_seal.offset, UINT64_MAX),
             CODEC_UINT(struct segment_header, previous_sum, UINT64_MAX),
             CODEC_UINT(struct segment_header, previous_sequence, UINT64_MAX));

CODEC_DEFINE(static, trailer_codec, struct segment_trailer,
             CODEC_UINT(struct segment_trailer, number, UINT64_MAX),
             CODEC_FIXED(struct segment_trailer, salt),
             CODEC_UINT(struct segment_trailer, end, UINT64_MAX),
             CODEC_UINT(struct segment_trailer, footer_offset, UINT64_MAX),
             CODEC_UINT(struct segment_trailer, footer_bytes, UINT64_MAX),
             CODEC_UINT(struct segment_trailer, footer_sum, UINT64_MAX));

/* magic, u32 format, fields, u64 checksum over all before it. All fields are of fixed size, so
 * encoding can't fail but for lack of memory, which the caller's stack has. */
static void encode_block(const char magic[static MAGIC_BYTES], const struct codec *codec,
                         const void *value, char *out, size_t size)
{
    struct buffer b = {.data = out, .capacity = size, .limit = size};
    uint32_t format = htole32(SEGMENT_FORMAT);
    int r;

    buffer_append(&b, magic, MAGIC_BYTES);
    buffer_append(&b, &format, sizeof(format));
    r = codec_encode(codec, value, &b);
    assert(r == 0 && b.size == size - SUM_BYTES);
    uint64_t sum = htole64(record_sum(buffer_span(&b)));
    r = buffer_append(&b, &sum, sizeof(sum));
    assert(r == 0);
    (void)r;
}

static int decode_block(struct span in, const char magic[static MAGIC_BYTES],
                        const struct codec *codec, size_t size, void *out)
{
    struct arena arena = ARENA_INIT;
    uint32_t format;
    uint64_t sum;

    if (in.size < size || memcmp(in.data, magic, MAGIC_BYTES) != 0)
        return -EBADMSG;
    memcpy(&format, in.data + MAGIC_BYTES, sizeof(format));
    memcpy(&sum, in.data + size - SUM_BYTES, sizeof(sum));
    if (le32toh(format) > SEGMENT_FORMAT)
        return -EPROTONOSUPPORT;
    in = span_first(in, size - SUM_BYTES);
    if (le64toh(sum) != record_sum(in))
        return -EBADMSG;
    int r = codec_decode(codec, span_from(in, PREFIX_BYTES), &arena, out);
    arena_done(&arena);
    return r;
}

void segment_encode_header(const struct segment_header *header,
                           char out[static SEGMENT_HEADER_BYTES])
{
    encode_block(header_magic, &header_codec, header, out, SEGMENT_HEADER_BYTES);
}

int segment_decode_header(struct span bytes, struct segment_header *out)
{
    return decode_block(bytes, header_magic, &header_codec, SEGMENT_HEADER_BYTES, out);
}

void segment_encode_trailer(const struct segment_trailer *trailer,
                            char out[static SEGMENT_TRAILER_BYTES])
{
    encode_block(trailer_magic, &trailer_codec, trailer, out, SEGMENT_TRAILER_BYTES);
}

int segment_decode_trailer(struct span bytes, struct segment_trailer *out)
{
    return decode_block(bytes, trailer_magic, &trailer_codec, SEGMENT_TRAILER_BYTES, out);
}

void segment_set_state(struct segment *segment, enum segment_state state)
{
    static const bool is_legal[SEGMENT_STATE_COUNT][SEGMENT_STATE_COUNT] = {
        [SEGMENT_SPARE] = {[SEGMENT_SPARE] = true,
                           [SEGMENT_OPEN] = true,
                           [SEGMENT_CLOSED] = true,
                           [SEGMENT_FAILED] = true},
        [SEGMENT_OPEN] = {[SEGMENT_CLOSED] = true, [SEGMENT_FAILED] = true},
        [SEGMENT_CLOSED] = {[SEGMENT_SPARE] = true, [SEGMENT_FAILED] = true},
    };

    assert(is_legal[segment->state][state]);
    /* Rule 5: what is used again holds nothing. */
    assert(state != SEGMENT_SPARE || segment->live_messages == 0 || SPOOL_MUTANT != MUTANT_NONE);
    segment->state = state;
}

struct segment *segment_new(enum store_kind kind, uint64_t number, uint64_t size_bytes)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    if (segment)
        *segment = (struct segment){.kind = kind, .number = number, .size_bytes = size_bytes};
    return segment;
}

int segment_create(const struct store_ops *ops, struct store *store, struct segment *segment)
{
    if (!segment->number)
        return -EOVERFLOW;
    return ops->create_segment(store, segment->kind, segment->number, segment->size_bytes,
                               &segment->handle);
}

void segment_free(struct segment *segment, const struct store_ops *ops)
{
    if (!segment)
        return;
    list_remove(&segment->link);
    if (segment->handle)
        ops->close_segment(segment->handle);
    free(segment->concerns);
    free(segment);
}

void segment_add_concern(struct segment *segment, uint64_t other)
{
    if (other == segment->number || segment->concerns_all)
        return;
    /* Outcomes come in runs: the last one added is the likely one. */
    for (uint32_t i = segment->concern_count; i > 0; i--) {
        if (segment->concerns[i - 1] == other)
            return;
    }
    if (segment->concern_count == segment->concern_capacity) {
        uint32_t capacity = segment->concern_capacity ? segment->concern_capacity * 2 : 8;
        uint64_t *concerns = reallocarray(segment->concerns, capacity, sizeof(*concerns));
        if (!concerns) {
            segment->concerns_all = true;
            return;
        }
        segment->concerns = concerns;
        segment->concern_capacity = capacity;
    }
    segment->concerns[segment->concern_count++] = other;
}

ssize_t segment_read(const struct store_ops *ops, struct store_segment *handle, uint64_t offset,
                     void *buf, size_t size, int flags)
{
    enum { TRIES = 3 };
    ssize_t n = -EIO;

    for (int i = 0; i < TRIES && n == -EIO; i++)
        n = ops->read(handle, offset, buf, size, flags);
    return n;
}

void segment_read_around(const struct store_ops *ops, struct store_segment *handle,
                         uint32_t block_bytes, uint64_t offset, char *buf, size_t size, int flags,
                         struct segment_range *unread)
{
    for (size_t at = 0; at < size; at += block_bytes) {
        size_t part = size - at < block_bytes ? size - at : block_bytes;
        ssize_t n = segment_read(ops, handle, offset + at, buf + at, part, flags);
        if (n < 0) {
            if (unread->from == unread->to || offset + at < unread->from)
                unread->from = offset + at;
            if (offset + at + part > unread->to)
                unread->to = offset + at + part;
            n = 0;
        }
        memset(buf + at + n, 0, part - (size_t)n);
    }
}

/* Each byte equals the one before it. */
static bool is_zero(const char *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* One of the two header blocks. 1: blank. */
static int read_one_header(const struct store_ops *ops, struct store_segment *handle,
                           uint64_t number, uint64_t offset, int flags, struct segment_header *out)
{
    char block[SEGMENT_HEADER_BYTES];
    ssize_t n = segment_read(ops, handle, offset, block, sizeof(block), flags);

    if (n < 0)
        return (int)n;
    if ((size_t)n < sizeof(block))
        return -EBADMSG;
    int r = segment_decode_header(span_of(block, sizeof(block)), out);
    /* Recycling leaves the old header in place: it names another number, so this life
     * has none yet. Numbers only grow, so a later one was never written under this name. */
    if (r == 0 && out->number != number)
        return out->number < number ? 1 : -ESTALE;
    return r == -EBADMSG && is_zero(block, sizeof(block)) ? 1 : r;
}

int segment_read_header(const struct store_ops *ops, struct store_segment *handle, uint64_t number,
                        uint32_t block_bytes, int flags, struct segment_header *out,
                        bool *out_is_blank)
{
    struct segment_header header = {0};
    int first, second;

    /* A good first one is enough; a newer format ends it, since the copy can only say the same. */
    first = read_one_header(ops, handle, number, 0, flags, &header);
    if (first == 0 || first == -EPROTONOSUPPORT) {
        if (first == 0)
            *out = header;
        return first;
    }
    if (first == -ESTALE)
        *out = header;
    second = read_one_header(ops, handle, number, block_bytes, flags, &header);
    if (second == 0) {
        *out = header;
        return 0;
    }
    *out_is_blank = first == 1 && second == 1;
    if (*out_is_blank || (second == -ESTALE && first != -ESTALE))
        *out = header;
    if (first < 0 && first != -EBADMSG)
        return first;
    return second < 0 && second != -EPROTONOSUPPORT ? second : -EBADMSG;
}

/* Only the number: the salt is in the header, which is what may be damaged. */
bool segment_was_closed(const struct store_ops *ops, struct store_segment *handle,
                        uint64_t size_bytes, uint32_t block_bytes, uint64_t number, int flags)
{
    char block[SEGMENT_TRAILER_BYTES];
    struct segment_trailer trailer;
    ssize_t n = segment_read(ops, handle, size_bytes - block_bytes, block, sizeof(block), flags);

    return n > 0 && segment_decode_trailer(span_of(block, (size_t)n), &trailer) == 0 &&
           trailer.number == number;
}

int segment_read_trailer(const struct store_ops *ops, struct store_segment *handle,
                         uint64_t size_bytes, uint32_t block_bytes,
                         const struct segment_header *header, int flags,
                         struct segment_trailer *out)
{
    char block[SEGMENT_TRAILER_BYTES];
    struct segment_trailer trailer;
    ssize_t n = segment_read(ops, handle, size_bytes - block_bytes, block, sizeof(block), flags);

    if (n < 0)
        return (int)n;
    int r = segment_decode_trailer(span_of(block, (size_t)n), &trailer);
    if (r < 0)
        return r;
    if (trailer.number != header->number ||
        memcmp(trailer.salt, header->salt, sizeof(trailer.salt)) != 0 ||
        trailer.end > size_bytes - block_bytes || trailer.end < segment_first_offset(block_bytes))
        return -EBADMSG;
    *out = trailer;
    return 0;
}
