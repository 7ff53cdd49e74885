/*
 * For targets that need well-formed values: any value that a codec table describes, from few bytes
 * of input, so that the fuzzer gets past the decoder. Small numbers and short texts take one byte
 * more than they have.
 */
#pragma once

#include "fuzz.h"

#include "base/arena.h"
#include "base/codec.h"

enum { FUZZ_LIST_MAX = 5, FUZZ_RAW = 0xF0 };

static inline uint8_t fuzz_take(struct span *in)
{
    uint8_t byte = in->size ? (uint8_t)in->data[0] : 0;
    *in = span_from(*in, 1);
    return byte;
}

/* `size` bytes into `out`; what is missing is zero. */
static inline void fuzz_take_bytes(struct span *in, void *out, size_t size)
{
    struct span part = span_first(*in, size);

    memset(out, 0, size);
    if (part.size)
        memcpy(out, part.data, part.size);
    *in = span_from(*in, part.size);
}

/* Up to 0xEF bytes as they are; beyond that eight bytes over and over. */
static inline struct span fuzz_take_span(struct span *in, struct arena *arena, uint64_t max)
{
    uint8_t size = fuzz_take(in);
    struct span text = span_first(*in, size < FUZZ_RAW ? size : 8);
    size_t total = size < FUZZ_RAW || !text.size ? text.size : (size - FUZZ_RAW + 1u) * 3000u;

    *in = span_from(*in, text.size);
    total = total > max ? (size_t)max : total;
    char *bytes = arena_alloc(arena, total + 1);
    assert(bytes);
    for (size_t done = 0; done < total;) { /* twice as much each time */
        struct span part = done ? span_of(bytes, done) : text;
        part = span_first(part, total - done);
        memcpy(bytes + done, part.data, part.size);
        done += part.size;
    }
    return span_of(bytes, total);
}

static inline uint64_t fuzz_take_number(struct span *in, const struct codec_field *field)
{
    uint8_t small = fuzz_take(in);
    uint64_t number = small;

    if (small >= FUZZ_RAW)
        fuzz_take_bytes(in, &number, field->size);
    if (field->kind == CODEC_KIND_INT)
        return small < FUZZ_RAW ? (uint64_t)(int64_t)(int8_t)small : number;
    return field->max < UINT64_MAX ? number % (field->max + 1) : number;
}

static inline void fuzz_fill(const struct codec *codec, struct span *in, struct arena *arena,
                             void *value);

static inline void fuzz_fill_list(const struct codec_field *field, struct span *in,
                                  struct arena *arena, char *value)
{
    size_t count = fuzz_take(in) % (FUZZ_LIST_MAX + 1);

    count = count > field->max ? (size_t)field->max : count;
    char *elements = arena_alloc_array(arena, count + 1, field->element->size);
    assert(elements);
    memset(elements, 0, (count + 1) * field->element->size);
    for (size_t i = 0; i < count; i++)
        fuzz_fill(field->element, in, arena, elements + i * field->element->size);
    memcpy(value + field->offset, &elements, sizeof(elements));
    memcpy(value + field->count_offset, &count, sizeof(count));
}

/* `value` is zero; as deep as the tables are. */
static inline void fuzz_fill(const struct codec *codec, struct span *in, struct arena *arena,
                             void *value)
{
    char *at = value;

    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        if (field->kind == CODEC_KIND_LIST) {
            fuzz_fill_list(field, in, arena, at);
        } else if (field->kind == CODEC_KIND_SPAN) {
            struct span text = fuzz_take_span(in, arena, field->max);
            memcpy(at + field->offset, &text, sizeof(text));
        } else if (field->kind == CODEC_KIND_FIXED) {
            uint8_t first = fuzz_take(in);
            memset(at + field->offset, first, field->size);
            if (first >= FUZZ_RAW)
                fuzz_take_bytes(in, at + field->offset, field->size);
        } else {
            uint64_t number = fuzz_take_number(in, field);
            memcpy(at + field->offset, &number, field->size);
        }
    }
}
