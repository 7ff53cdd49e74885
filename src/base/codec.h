/*
 * One table-driven codec for all that crosses a process border or lands on disk: IPC messages,
 * envelopes, spool records, each process's part of the configuration. A structure is described by a
 * table of fields; encoding and decoding walk the table.
 *
 * Wire form, in field order, no padding, little endian:
 *   integer   sizeof(member) bytes
 *   fixed     sizeof(member) bytes as they are (ids, digests, keys, addresses)
 *   span      u32 length, bytes
 *   list      u32 count, then each element by its own table
 *
 * The decoder takes the input as hostile: every length, count and value is held against the table's
 * maximum and the bytes that are left, and the input must end where the value ends. Nesting is as
 * deep as the tables, which are constant.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

/* An INT has no maximum of its own: every bit pattern of its size is a value. */
enum codec_kind {
    CODEC_KIND_UINT,
    CODEC_KIND_INT,
    CODEC_KIND_FIXED,
    CODEC_KIND_SPAN,
    CODEC_KIND_LIST
};

struct codec;

/* One row: where the member is in the structure, and what the input may say for it. */
struct codec_field {
    enum codec_kind kind;
    uint32_t offset;
    uint32_t size;               /* sizeof(member) */
    uint32_t count_offset;       /* list: where its size_t count is */
    uint64_t max;                /* largest value, length or count */
    const struct codec *element; /* list */
};

struct codec {
    const char *name;
    size_t size; /* sizeof the structure */
    const struct codec_field *fields;
    size_t field_count;
    /* Fields from this index on may be missing at the end of the input (written by an older
     * version) and are then zero. 0: all must be there. */
    size_t optional_from;
};

#define CODEC_MEMBER_SIZE(type, member) sizeof(((type *)0)->member)
#define CODEC_UINT(type, member, maximum)                                                          \
    {                                                                                              \
        .kind = CODEC_KIND_UINT, .offset = offsetof(type, member),                                 \
        .size = CODEC_MEMBER_SIZE(type, member), .max = (maximum)                                  \
    }
#define CODEC_INT(type, member)                                                                    \
    {                                                                                              \
        .kind = CODEC_KIND_INT, .offset = offsetof(type, member),                                  \
        .size = CODEC_MEMBER_SIZE(type, member)                                                    \
    }
#define CODEC_FIXED(type, member)                                                                  \
    {                                                                                              \
        .kind = CODEC_KIND_FIXED, .offset = offsetof(type, member),                                \
        .size = CODEC_MEMBER_SIZE(type, member)                                                    \
    }
#define CODEC_SPAN(type, member, maximum)                                                          \
    {                                                                                              \
        .kind = CODEC_KIND_SPAN, .offset = offsetof(type, member),                                 \
        .size = CODEC_MEMBER_SIZE(type, member), .max = (maximum)                                  \
    }
/* `member` points to the elements, the size_t `count_member` counts them. */
#define CODEC_LIST(type, member, count_member, maximum, codec)                                     \
    {                                                                                              \
        .kind = CODEC_KIND_LIST, .offset = offsetof(type, member),                                 \
        .size = CODEC_MEMBER_SIZE(type, member), .count_offset = offsetof(type, count_member),     \
        .max = (maximum), .element = (codec)                                                       \
    }
/* Defines the table of `type`; write `static` as `linkage` (or nothing) for its visibility. */
#define CODEC_DEFINE(linkage, variable, type, ...)                                                 \
    CODEC_DEFINE_GROWN(linkage, variable, type, 0, __VA_ARGS__)
/* The same for a table that has grown: its first version had `first` fields. */
#define CODEC_DEFINE_GROWN(linkage, variable, type, first, ...)                                    \
    static const struct codec_field variable##_fields[] = {__VA_ARGS__};                           \
    linkage const struct codec variable = {#type, sizeof(type), variable##_fields,                 \
                                           ARRAY_SIZE(variable##_fields), (first)}

/* Appends the wire form. 0; -EINVAL when a value is over its maximum (the buffer then holds a
 * part and must be thrown away): a sender finds out by this what a receiver would refuse; the
 * buffer's own errors. */
int codec_encode(const struct codec *codec, const void *value, struct buffer *out);

/* Fills *out_value, which has codec->size bytes. Spans point into `in` and live as long as it;
 * lists lie in `arena`. 0; -EBADMSG when the input isn't what the table says, to the last byte;
 * -ENOMEM, also when the arena's limit is reached. On failure *out_value is untouched. */
int codec_decode(const struct codec *codec, struct span in, struct arena *arena, void *out_value);
