/*
 * The codec tables of all records, and their frame. Maxima are those of the structures that they
 * are made from: a record that we wrote can always be read again.
 */
#include "spool/record.h"

#include <endian.h>
#include <errno.h>
#include <xxhash.h>

enum { EXTENTS_MAX = 1 << 20 };

CODEC_DEFINE(, spool_status_codec, struct spool_status,
             CODEC_UINT(struct spool_status, recipient, UINT32_MAX),
             CODEC_UINT(struct spool_status, outcome, SPOOL_OUTCOME_MAX),
             CODEC_UINT(struct spool_status, attempts, UINT16_MAX),
             CODEC_INT(struct spool_status, time_us),
             CODEC_INT(struct spool_status, next_attempt_us),
             CODEC_SPAN(struct spool_status, status, SPOOL_CODE_MAX),
             CODEC_SPAN(struct spool_status, reply, SPOOL_REPLY_MAX),
             CODEC_SPAN(struct spool_status, host, SPOOL_HOST_MAX),
             CODEC_FIXED(struct spool_status, ip),
             CODEC_SPAN(struct spool_status, tls, SPOOL_TLS_MAX),
             CODEC_SPAN(struct spool_status, remote_id, SPOOL_REMOTE_ID_MAX),
             CODEC_SPAN(struct spool_status, detail, SPOOL_REPLY_MAX));

CODEC_DEFINE(, spool_alarm_codec, struct spool_alarm,
             CODEC_UINT(struct spool_alarm, kind, SPOOL_ALARM_MAX),
             CODEC_INT(struct spool_alarm, time_us), CODEC_FIXED(struct spool_alarm, message),
             CODEC_UINT(struct spool_alarm, segment, UINT64_MAX),
             CODEC_UINT(struct spool_alarm, offset, UINT64_MAX),
             CODEC_SPAN(struct spool_alarm, text, ENVELOPE_TEXT_MAX));

CODEC_DEFINE(, spool_expansion_codec, struct spool_expansion,
             CODEC_UINT(struct spool_expansion, parent, UINT32_MAX),
             CODEC_LIST(struct spool_expansion, children, child_count, SPOOL_CHILDREN_MAX,
                        &envelope_recipient_codec));

CODEC_DEFINE(static, extent_codec, struct record_extent,
             CODEC_UINT(struct record_extent, segment, UINT64_MAX),
             CODEC_UINT(struct record_extent, offset, UINT64_MAX),
             CODEC_UINT(struct record_extent, bytes, UINT32_MAX),
             CODEC_UINT(struct record_extent, sum, UINT64_MAX));

#define NET_FIELDS                                                                                 \
    CODEC_UINT(struct record_net, recipient, UINT32_MAX),                                          \
        CODEC_UINT(struct record_net, outcome, SPOOL_OUTCOME_MAX),                                 \
        CODEC_UINT(struct record_net, attempts, UINT16_MAX),                                       \
        CODEC_INT(struct record_net, next_attempt_us)

CODEC_DEFINE(static, net_1_codec, struct record_net, NET_FIELDS);
CODEC_DEFINE(static, net_codec, struct record_net, NET_FIELDS,
             CODEC_SPAN(struct record_net, route, ENVELOPE_ADDRESS_MAX));

#define MESSAGE_FIELDS(net_fields)                                                                 \
    CODEC_UINT(struct record_message, from.segment, UINT64_MAX),                                   \
        CODEC_UINT(struct record_message, from.offset, UINT64_MAX),                                \
        CODEC_INT(struct record_message, first_attempt_us),                                        \
        CODEC_UINT(struct record_message, header_bytes, UINT64_MAX),                               \
        CODEC_UINT(struct record_message, body_bytes, UINT64_MAX),                                 \
        CODEC_LIST(struct record_message, extents, extent_count, EXTENTS_MAX, &extent_codec),      \
        CODEC_LIST(struct record_message, expansions, expansion_count, ENVELOPE_RECIPIENTS_MAX,    \
                   &spool_expansion_codec),                                                        \
        CODEC_LIST(struct record_message, net, net_count,                                          \
                   2 * (ENVELOPE_RECIPIENTS_MAX + SPOOL_CHILDREN_MAX), net_fields)

/* A MESSAGE has no net state, so its bytes are the same in both versions. */
CODEC_DEFINE(static, message_1_codec, struct record_message, MESSAGE_FIELDS(&net_1_codec));
CODEC_DEFINE(, record_message_codec, struct record_message, MESSAGE_FIELDS(&net_codec));

CODEC_DEFINE(, record_expand_codec, struct record_expand,
             CODEC_FIXED(struct record_expand, message), CODEC_INT(struct record_expand, time_us),
             CODEC_UINT(struct record_expand, first_child, UINT32_MAX),
             CODEC_LIST(struct record_expand, expansions, expansion_count, 1,
                        &spool_expansion_codec));

CODEC_DEFINE(, record_status_codec, struct record_status,
             CODEC_FIXED(struct record_status, message),
             CODEC_UINT(struct record_status, home, UINT64_MAX),
             CODEC_UINT(struct record_status, flags, UINT8_MAX),
             CODEC_LIST(struct record_status, statuses, status_count,
                        2 * (ENVELOPE_RECIPIENTS_MAX + SPOOL_CHILDREN_MAX), &spool_status_codec));

CODEC_DEFINE(, record_event_codec, struct record_event,
             CODEC_UINT(struct record_event, source, SPOOL_EVENT_SPOOL),
             CODEC_INT(struct record_event, time_us),
             CODEC_SPAN(struct record_event, bytes, SPOOL_EVENT_MAX));

CODEC_DEFINE(, record_checkpoint_codec, struct record_checkpoint,
             CODEC_UINT(struct record_checkpoint, generation, UINT64_MAX),
             CODEC_UINT(struct record_checkpoint, position.segment, UINT64_MAX),
             CODEC_UINT(struct record_checkpoint, position.offset, UINT64_MAX));

CODEC_DEFINE(, record_seal_codec, struct record_seal,
             CODEC_UINT(struct record_seal, sequence, UINT64_MAX),
             CODEC_INT(struct record_seal, time_us),
             CODEC_UINT(struct record_seal, previous.segment, UINT64_MAX),
             CODEC_UINT(struct record_seal, previous.offset, UINT64_MAX),
             CODEC_UINT(struct record_seal, previous_sum, UINT64_MAX),
             CODEC_UINT(struct record_seal, start, UINT64_MAX),
             CODEC_UINT(struct record_seal, count, UINT32_MAX),
             CODEC_UINT(struct record_seal, sum, UINT64_MAX));

/* The header on disk. Little endian; no padding by construction. */
struct wire_header {
    uint32_t meta_bytes, data_bytes;
    uint8_t type, version;
    uint8_t zero[6];
    uint64_t meta_sum, data_sum;
    uint64_t sum;
};

_Static_assert(sizeof(struct wire_header) == RECORD_HEADER_BYTES, "as docs/formats/spool.md says");

uint64_t record_sum(struct span bytes)
{
    return XXH3_64bits(bytes.data, bytes.size);
}

/* Each header's checksum is folded into the group's: the seal vouches for the records and for their
 * order. */
uint64_t record_chain(uint64_t sum, uint64_t header_sum)
{
    uint64_t wire = htole64(header_sum);
    return XXH3_64bits_withSeed(&wire, sizeof(wire), sum);
}

/* Salt, segment and offset go into the sum but not onto the disk: so a record is valid in
 * its place only. */
static uint64_t header_sum(const struct wire_header *wire, const struct record_place *place,
                           uint64_t offset)
{
    struct {
        uint8_t salt[16];
        uint64_t segment, offset;
        uint8_t header[offsetof(struct wire_header, sum)];
    } input = {.segment = htole64(place->segment), .offset = htole64(offset)};

    memcpy(input.salt, place->salt, sizeof(input.salt));
    memcpy(input.header, wire, sizeof(input.header));
    return XXH3_64bits(&input, sizeof(input));
}

/* Version 2 only where the bytes differ (MOVED): an older server can go on with a log of the
 * others. */
void record_begin(char *at, enum spool_record_type type, uint32_t meta_bytes, uint32_t data_bytes)
{
    struct wire_header wire = {.meta_bytes = htole32(meta_bytes),
                               .data_bytes = htole32(data_bytes),
                               .type = (uint8_t)type,
                               .version = type == SPOOL_RECORD_MOVED ? RECORD_VERSION : 1};
    memcpy(at, &wire, sizeof(wire));
}

uint64_t record_bytes_at(const char *at)
{
    struct wire_header wire;
    memcpy(&wire, at, sizeof(wire));
    return record_bytes(le32toh(wire.meta_bytes), le32toh(wire.data_bytes));
}

uint32_t record_meta_bytes_at(const char *at)
{
    struct wire_header wire;
    memcpy(&wire, at, sizeof(wire));
    return le32toh(wire.meta_bytes);
}

enum spool_record_type record_type_at(const char *at)
{
    return (enum spool_record_type)((const struct wire_header *)(const void *)at)->type;
}

uint64_t record_finish(char *at, const struct record_place *place, uint64_t offset)
{
    struct wire_header wire;
    uint64_t sum;

    memcpy(&wire, at, sizeof(wire));
    const char *meta = at + RECORD_HEADER_BYTES;
    uint32_t meta_bytes = le32toh(wire.meta_bytes);
    wire.meta_sum = htole64(record_sum(span_of(meta, meta_bytes)));
    wire.data_sum = htole64(record_sum(span_of(meta + meta_bytes, le32toh(wire.data_bytes))));
    sum = header_sum(&wire, place, offset);
    wire.sum = htole64(sum);
    memcpy(at, &wire, sizeof(wire));
    return sum;
}

/* Cheap, before the checksum: what was never written is zero. */
static bool looks_like_a_header(const struct wire_header *wire)
{
    static const uint8_t zero[sizeof(wire->zero)];
    return wire->type && wire->version && memcmp(wire->zero, zero, sizeof(zero)) == 0;
}

/* First whether it is whole, then whether it is known: a version that we don't know is told apart
 * from damage. */
int record_parse(const char at[static RECORD_HEADER_BYTES], const struct record_place *place,
                 uint64_t offset, struct record_header *out)
{
    struct wire_header wire;

    memcpy(&wire, at, sizeof(wire));
    if (!looks_like_a_header(&wire) || le64toh(wire.sum) != header_sum(&wire, place, offset))
        return -EBADMSG;
    if (wire.version > RECORD_VERSION || wire.type > SPOOL_RECORD_SEAL)
        return -EPROTONOSUPPORT;
    *out = (struct record_header){.meta_bytes = le32toh(wire.meta_bytes),
                                  .data_bytes = le32toh(wire.data_bytes),
                                  .type = wire.type,
                                  .version = wire.version,
                                  .meta_sum = le64toh(wire.meta_sum),
                                  .data_sum = le64toh(wire.data_sum),
                                  .sum = le64toh(wire.sum)};
    return 0;
}

/* The record's own fields with their length, then the envelope: so either can grow without the
 * other. */
int record_encode_message(const struct record_message *message, const struct envelope *envelope,
                          struct buffer *out)
{
    size_t start = out->size;
    uint32_t wire = 0;
    int r = buffer_append(out, &wire, sizeof(wire));

    if (r == 0)
        r = codec_encode(&record_message_codec, message, out);
    if (r < 0)
        return r;
    wire = htole32((uint32_t)(out->size - start - sizeof(wire)));
    memcpy(out->data + start, &wire, sizeof(wire));
    return codec_encode(&envelope_codec, envelope, out);
}

int record_decode_message(struct span meta, uint8_t version, struct arena *arena,
                          struct record_message *out_message, struct envelope *out_envelope)
{
    const struct codec *codec = version == 1 ? &message_1_codec : &record_message_codec;
    struct record_message message;
    uint32_t wire;
    int r;

    if (meta.size < sizeof(wire))
        return -EBADMSG;
    memcpy(&wire, meta.data, sizeof(wire));
    meta = span_from(meta, sizeof(wire));
    if (le32toh(wire) > meta.size)
        return -EBADMSG;
    r = codec_decode(codec, span_first(meta, le32toh(wire)), arena, &message);
    if (r == 0)
        r = codec_decode(&envelope_codec, span_from(meta, le32toh(wire)), arena, out_envelope);
    for (size_t i = 0; r == 0 && version == 1 && i < message.net_count; i++)
        message.net[i].route = SPAN("");
    if (r == 0)
        *out_message = message;
    return r;
}

enum {
    EXTENTS_OFFSET = 4 + 16 + 8 + 8 + 8 + 4, /* behind the list's count */
    EXTENT_BYTES = 8 + 8 + 4 + 8,
};

void record_patch_extents(char *meta, const struct record_extent *extents, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer b = {.data = meta + EXTENTS_OFFSET + i * EXTENT_BYTES,
                           .capacity = EXTENT_BYTES,
                           .limit = EXTENT_BYTES};
        codec_encode(&extent_codec, &extents[i], &b);
    }
}
