/*
 * The walk over a table, in both directions. Members are read and written by memcpy() at their
 * offset: so a structure may have any layout, and a field's size is all that the walk knows of its
 * type.
 */
#include "base/codec.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>

/* An unsigned member of 1, 2, 4 or 8 bytes, in the machine's own order. A signed one
 * has its bits. */
static uint64_t load(const void *member, size_t size)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (size) {
    case 1:
        memcpy(&u8, member, size);
        return u8;
    case 2:
        memcpy(&u16, member, size);
        return u16;
    case 4:
        memcpy(&u32, member, size);
        return u32;
    default:
        assert(size == 8);
        memcpy(&u64, member, size);
        return u64;
    }
}

static void store(void *member, size_t size, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;

    switch (size) {
    case 1:
        memcpy(member, &u8, size);
        break;
    case 2:
        memcpy(member, &u16, size);
        break;
    case 4:
        memcpy(member, &u32, size);
        break;
    default:
        assert(size == 8);
        memcpy(member, &value, size);
    }
}

/* The low `size` bytes, least significant first, wherever the machine has them. */
static int encode_uint(struct buffer *out, uint64_t value, size_t size)
{
    uint64_t wire = htole64(value);
    return buffer_append(out, &wire, size);
}

static int encode_list(const struct codec_field *f, const char *value, struct buffer *out)
{
    const char *items;
    size_t count;
    int r;

    memcpy(&items, value + f->offset, sizeof(items));
    memcpy(&count, value + f->count_offset, sizeof(count));
    if (count > f->max)
        return -EINVAL;
    r = encode_uint(out, count, 4);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = codec_encode(f->element, items + i * f->element->size, out);
    return r;
}

static int encode_field(const struct codec_field *f, const char *value, struct buffer *out)
{
    const char *member = value + f->offset;
    struct span s;
    uint64_t number;
    int r;

    switch (f->kind) {
    case CODEC_KIND_UINT:
        number = load(member, f->size);
        return number > f->max ? -EINVAL : encode_uint(out, number, f->size);
    case CODEC_KIND_INT:
        return encode_uint(out, load(member, f->size), f->size);
    case CODEC_KIND_FIXED:
        return buffer_append(out, member, f->size);
    case CODEC_KIND_SPAN:
        memcpy(&s, member, sizeof(s));
        if (s.size > f->max || s.size > UINT32_MAX)
            return -EINVAL;
        r = encode_uint(out, s.size, 4);
        return r < 0 ? r : buffer_append_span(out, s);
    case CODEC_KIND_LIST:
        return encode_list(f, value, out);
    }
    return -EINVAL;
}

int codec_encode(const struct codec *codec, const void *value, struct buffer *out)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        int r = encode_field(&codec->fields[i], value, out);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What is left of the input, with a sticky error: after the first, every read gives zeros. */
struct input {
    struct span rest;
    struct arena *arena;
    int error;
};

/* The next `size` bytes, in place; NULL after an error. */
static const char *take(struct input *in, size_t size)
{
    if (in->error == 0 && size > in->rest.size)
        in->error = -EBADMSG;
    if (in->error)
        return NULL;
    const char *at = in->rest.data;
    in->rest = span_from(in->rest, size);
    return at;
}

static uint64_t take_uint(struct input *in, size_t size, uint64_t max)
{
    uint64_t wire = 0;
    const char *at = take(in, size);

    if (!at)
        return 0;
    memcpy(&wire, at, size);
    wire = le64toh(wire);
    if (wire > max) {
        in->error = -EBADMSG;
        return 0;
    }
    return wire;
}

static void decode_value(const struct codec *codec, struct input *in, char *value);

static void decode_list(const struct codec_field *f, struct input *in, char *value)
{
    size_t count = take_uint(in, 4, f->max);
    char *items = NULL;

    /* Every element takes at least a byte, so a count can't ask for more memory than input. */
    if (count > in->rest.size)
        in->error = -EBADMSG;
    if (in->error)
        return;
    if (count) {
        items = arena_alloc_array(in->arena, count, f->element->size);
        if (!items) {
            in->error = -ENOMEM;
            return;
        }
    }
    for (size_t i = 0; i < count && in->error == 0; i++)
        decode_value(f->element, in, items + i * f->element->size);
    memcpy(value + f->offset, &items, sizeof(items));
    memcpy(value + f->count_offset, &count, sizeof(count));
}

static void decode_field(const struct codec_field *f, struct input *in, char *value)
{
    char *member = value + f->offset;
    struct span s;
    const char *at;

    switch (f->kind) {
    case CODEC_KIND_UINT:
        store(member, f->size, take_uint(in, f->size, f->max));
        break;
    case CODEC_KIND_INT:
        store(member, f->size, take_uint(in, f->size, UINT64_MAX));
        break;
    case CODEC_KIND_FIXED:
        at = take(in, f->size);
        if (at)
            memcpy(member, at, f->size);
        break;
    case CODEC_KIND_SPAN:
        s.size = take_uint(in, 4, f->max);
        s.data = take(in, s.size);
        if (s.data)
            memcpy(member, &s, sizeof(s));
        break;
    case CODEC_KIND_LIST:
        decode_list(f, in, value);
        break;
    }
}

/* The tables are constant and nest two deep, so this recursion is bounded by them, not by input. */
static void decode_value(const struct codec *codec, struct input *in, char *value)
{
    for (size_t i = 0; i < codec->field_count && in->error == 0; i++) {
        if (codec->optional_from && i >= codec->optional_from && in->rest.size == 0)
            return;
        decode_field(&codec->fields[i], in, value);
    }
}

/* Decoded beside the output and copied when all was well, so that a failure leaves it untouched. */
int codec_decode(const struct codec *codec, struct span in, struct arena *arena, void *out_value)
{
    struct input input = {.rest = in, .arena = arena};
    char *value = arena_alloc(arena, codec->size);

    if (!value)
        return -ENOMEM;
    decode_value(codec, &input, value);
    if (input.error == 0 && input.rest.size)
        input.error = -EBADMSG;
    if (input.error == 0)
        memcpy(out_value, value, codec->size);
    return input.error;
}
