/*
 * The bytes of a checkpoint, and loading one. Loading trusts nothing: parts by checksum, the
 * manifest by the seal that it names in the log, rows by their own tables. What doesn't fit drops
 * all of it, and recovery reads the records instead (rule 8).
 */
#include "spool/checkpoint.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A damaged file must not make us ask for all memory: each is far above what a spool can have, and
 * a checkpoint that claims more is as good as none. */
enum {
    SEGMENTS_MAX = 1 << 20,
    PARTS_MAX = 1 << 20,
    PART_BYTES_MAX = 1 << 30,
};

static const char magic[8] = {'P', 'b', 'C', 'h', 'e', 'c', 'k', 'p'};
const char checkpoint_manifest_name[] = "checkpoint";

CODEC_DEFINE(static, concern_codec, struct checkpoint_concern,
             CODEC_UINT(struct checkpoint_concern, segment, UINT64_MAX));
CODEC_DEFINE(static, segment_codec, struct checkpoint_segment,
             CODEC_UINT(struct checkpoint_segment, number, UINT64_MAX),
             CODEC_UINT(struct checkpoint_segment, concerns_all, 1),
             CODEC_LIST(struct checkpoint_segment, concerns, concern_count, SEGMENTS_MAX,
                        &concern_codec));
CODEC_DEFINE(static, part_codec, struct checkpoint_part,
             CODEC_UINT(struct checkpoint_part, bytes, PART_BYTES_MAX),
             CODEC_UINT(struct checkpoint_part, sum, UINT64_MAX));
CODEC_DEFINE(, checkpoint_manifest_codec, struct checkpoint_manifest,
             CODEC_FIXED(struct checkpoint_manifest, lane),
             CODEC_UINT(struct checkpoint_manifest, generation, UINT64_MAX),
             CODEC_UINT(struct checkpoint_manifest, position.segment, UINT64_MAX),
             CODEC_UINT(struct checkpoint_manifest, position.offset, UINT64_MAX),
             CODEC_UINT(struct checkpoint_manifest, last_seal.segment, UINT64_MAX),
             CODEC_UINT(struct checkpoint_manifest, last_seal.offset, UINT64_MAX),
             CODEC_UINT(struct checkpoint_manifest, last_sum, UINT64_MAX),
             CODEC_LIST(struct checkpoint_manifest, segments, segment_count, SEGMENTS_MAX,
                        &segment_codec),
             CODEC_LIST(struct checkpoint_manifest, parts, part_count, PARTS_MAX, &part_codec));
CODEC_DEFINE(static, recipient_codec, struct checkpoint_recipient,
             CODEC_UINT(struct checkpoint_recipient, index, UINT32_MAX),
             CODEC_UINT(struct checkpoint_recipient, domain, UINT32_MAX),
             CODEC_UINT(struct checkpoint_recipient, attempts, UINT16_MAX),
             CODEC_UINT(struct checkpoint_recipient, state,
                        CHECKPOINT_NOTIFIED | SPOOL_RECIPIENT_HELD),
             CODEC_INT(struct checkpoint_recipient, next_attempt_us));
CODEC_DEFINE(static, use_codec, struct checkpoint_use,
             CODEC_UINT(struct checkpoint_use, segment, UINT64_MAX),
             CODEC_UINT(struct checkpoint_use, bytes, UINT64_MAX));
CODEC_DEFINE(, checkpoint_row_codec, struct checkpoint_row, CODEC_FIXED(struct checkpoint_row, id),
             CODEC_UINT(struct checkpoint_row, flags, UINT16_MAX),
             CODEC_UINT(struct checkpoint_row, home, UINT64_MAX),
             CODEC_UINT(struct checkpoint_row, offset, UINT32_MAX),
             CODEC_UINT(struct checkpoint_row, meta_bytes, UINT32_MAX),
             CODEC_UINT(struct checkpoint_row, size_bytes, UINT64_MAX),
             CODEC_INT(struct checkpoint_row, accepted_us),
             CODEC_UINT(struct checkpoint_row, sender, UINT32_MAX),
             CODEC_LIST(struct checkpoint_row, recipients, recipient_count,
                        ENVELOPE_RECIPIENTS_MAX + SPOOL_CHILDREN_MAX, &recipient_codec),
             CODEC_LIST(struct checkpoint_row, uses, use_count, SEGMENTS_MAX, &use_codec));
CODEC_DEFINE(static, name_codec, struct checkpoint_name,
             CODEC_SPAN(struct checkpoint_name, name, ENVELOPE_ADDRESS_MAX));
CODEC_DEFINE(, checkpoint_names_codec, struct checkpoint_names,
             CODEC_LIST(struct checkpoint_names, list, count, UINT32_MAX, &name_codec));
CODEC_DEFINE(, checkpoint_rows_codec, struct checkpoint_rows,
             CODEC_LIST(struct checkpoint_rows, list, count, CHECKPOINT_PART_ROWS_MAX,
                        &checkpoint_row_codec));

void checkpoint_parts_prefix(char out[static CHECKPOINT_NAME_BYTES], uint64_t generation)
{
    snprintf(out, CHECKPOINT_NAME_BYTES, CHECKPOINT_PARTS "%llu-", (unsigned long long)generation);
}

void checkpoint_part_name(char out[static CHECKPOINT_NAME_BYTES], uint64_t generation, size_t part)
{
    snprintf(out, CHECKPOINT_NAME_BYTES, CHECKPOINT_PARTS "%llu-%zu",
             (unsigned long long)generation, part);
}

/* The checksum is over all before it, magic and format too: a manifest that was cut off has none
 * that fits. */
int checkpoint_encode_manifest(const struct checkpoint_manifest *manifest, struct buffer *out)
{
    uint32_t format = htole32(CHECKPOINT_FORMAT);

    buffer_append(out, magic, sizeof(magic));
    buffer_append(out, &format, sizeof(format));
    int r = codec_encode(&checkpoint_manifest_codec, manifest, out);
    if (r < 0)
        return r;
    uint64_t sum = htole64(record_sum(buffer_span(out)));
    buffer_append(out, &sum, sizeof(sum));
    return buffer_error(out);
}

int checkpoint_decode_manifest(struct span bytes, struct arena *arena,
                               struct checkpoint_manifest *out)
{
    enum { PREFIX = sizeof(magic) + 4, SUFFIX = 8 };
    uint32_t format;
    uint64_t sum;

    if (bytes.size < PREFIX + SUFFIX || memcmp(bytes.data, magic, sizeof(magic)) != 0)
        return -EBADMSG;
    memcpy(&format, bytes.data + sizeof(magic), sizeof(format));
    memcpy(&sum, bytes.data + bytes.size - SUFFIX, sizeof(sum));
    bytes = span_first(bytes, bytes.size - SUFFIX);
    if (le32toh(format) != CHECKPOINT_FORMAT || le64toh(sum) != record_sum(bytes))
        return -EBADMSG;
    return codec_decode(&checkpoint_manifest_codec, span_from(bytes, PREFIX), arena, out);
}

int checkpoint_decode_part(struct span bytes, struct arena *arena,
                           struct checkpoint_names *out_names, struct checkpoint_rows *out_rows)
{
    struct checkpoint_names names;
    uint32_t wire;

    if (bytes.size < sizeof(wire))
        return -EBADMSG;
    memcpy(&wire, bytes.data, sizeof(wire));
    bytes = span_from(bytes, sizeof(wire));
    if (le32toh(wire) > bytes.size)
        return -EBADMSG;
    int r = codec_decode(&checkpoint_names_codec, span_first(bytes, le32toh(wire)), arena, &names);
    if (r == 0)
        r = codec_decode(&checkpoint_rows_codec, span_from(bytes, le32toh(wire)), arena, out_rows);
    if (r == 0)
        *out_names = names;
    return r;
}

uint64_t checkpoint_bytes(const struct checkpoint_manifest *manifest)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < manifest->part_count; i++)
        bytes += manifest->parts[i].bytes;
    return bytes;
}

/* ---- Loading ---- */

/* A bulk segment that isn't there is no fault of the checkpoint: the message lacks its bytes
 * (SPOOL_MESSAGE_LACKS_BYTES), and recovery decides what that means. */
static int load_uses(struct spool *spool, const struct checkpoint_row *row,
                     struct spool_message *message)
{
    struct spool_extents *extents;

    if (!row->use_count)
        return 0;
    extents = calloc(1, sizeof(*extents) + row->use_count * sizeof(extents->uses[0]));
    if (!extents)
        return -ENOMEM;
    for (size_t i = 0; i < row->use_count; i++) {
        struct segment *segment = spool_segment(spool, STORE_BULK, row->uses[i].segment);
        if (segment)
            extents->uses[extents->count++] =
                (struct spool_extent_use){segment, row->uses[i].bytes};
        else
            message->flags |= SPOOL_MESSAGE_LACKS_BYTES;
    }
    index_set_extents(message, extents);
    return 0;
}

/* Rows are trusted no more than the wire: indexes must rise (look-ups search by halves), names and
 * states must exist. */
static int load_recipients(struct spool *spool, const struct checkpoint_row *row,
                           const uint32_t *domains, size_t domain_count,
                           struct spool_message *message)
{
    for (uint32_t i = 0; i < row->recipient_count; i++) {
        const struct checkpoint_recipient *from = &row->recipients[i];
        struct spool_recipient *to = &message->recipients[i];
        if (from->domain >= domain_count ||
            (from->state & (uint8_t)~CHECKPOINT_NOTIFIED) > SPOOL_RECIPIENT_HELD ||
            (i && from->index <= row->recipients[i - 1].index))
            return -EBADMSG;
        domains_use_again(&spool->index.domains, domains[from->domain]);
        to->domain = domains[from->domain];
        to->index = from->index;
        to->attempts = from->attempts;
        to->state = from->state & (uint8_t)~CHECKPOINT_NOTIFIED;
        to->is_notified = (from->state & CHECKPOINT_NOTIFIED) != 0;
        to->next_attempt_us = from->next_attempt_us;
    }
    message->waiting = message->recipient_count;
    return 0;
}

/* `home`: of the row before; rows come by age, so most often it is the same. */
static int load_row(struct spool *spool, const struct checkpoint_row *row, const uint32_t *domains,
                    size_t domain_count, struct segment **home)
{
    struct spool_message *message = index_new_rows(&spool->index, (uint32_t)row->recipient_count);
    int r = message ? 0 : -ENOMEM;

    if (r == 0)
        r = load_recipients(spool, row, domains, domain_count, message);
    if (r == 0) {
        message->id = row->id;
        message->flags = row->flags & SPOOL_MESSAGE_DAMAGED;
        message->size_bytes = row->size_bytes;
        message->sender = row->sender;
        message->accepted_us = row->accepted_us;
        r = load_uses(spool, row, message);
    }
    if (r == 0)
        r = index_add(&spool->index, message);
    if (r < 0) {
        if (message)
            index_set_extents(message, NULL);
        index_free_message(&spool->index, message);
        return r;
    }
    if (message->flags & SPOOL_MESSAGE_DAMAGED)
        spool->index.set_aside++;
    if (!*home || (*home)->number != row->home)
        *home = spool_segment(spool, STORE_LOG, row->home);
    /* One that lost its header counts as free: what was in it is gone. */
    index_set_home(message, *home && (*home)->state != SEGMENT_SPARE ? *home : NULL, row->offset,
                   row->meta_bytes);
    return 0;
}

/* Each name is used once for the time of loading, so that its index stays. */
static int load_rows(struct spool *spool, const struct checkpoint_names *names,
                     const struct checkpoint_rows *rows)
{
    uint32_t *domains = calloc(names->count + 1, sizeof(*domains));
    struct segment *home = NULL;
    size_t used = 0;
    int r = domains ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < names->count; i++) {
        r = domains_use(&spool->index.domains, names->list[i].name, &domains[i]);
        used += r == 0;
    }
    for (size_t i = 0; r == 0 && i < rows->count; i++)
        r = load_row(spool, &rows->list[i], domains, names->count, &home);
    for (size_t i = 0; i < used; i++)
        domains_release(&spool->index.domains, domains[i]);
    free(domains);
    return r == -EEXIST ? -EBADMSG : r;
}

/* The checksum is the manifest's, not the part's own: a part of another generation, whole in
 * itself, must not pass. */
static int load_part(struct spool *spool, const struct checkpoint_manifest *manifest, size_t part)
{
    char name[CHECKPOINT_NAME_BYTES];
    struct arena arena = ARENA_INIT;
    struct checkpoint_names names;
    struct checkpoint_rows rows;
    void *data;
    size_t size;

    checkpoint_part_name(name, manifest->generation, part);
    int r = spool->ops->get_file(spool->store, name, PART_BYTES_MAX, &data, &size);
    if (r < 0)
        return r;
    struct span bytes = span_of(data, size);
    if (size != manifest->parts[part].bytes || record_sum(bytes) != manifest->parts[part].sum)
        r = -EBADMSG;
    if (r == 0)
        r = checkpoint_decode_part(bytes, &arena, &names, &rows);
    if (r == 0)
        r = load_rows(spool, &names, &rows);
    arena_done(&arena);
    free(data);
    return r;
}

/* The log must still have, at the place that the manifest names, the seal that it names. It may not
 * after somebody put an older copy of the folder back. */
static bool fits_the_log(const struct spool *spool, const struct checkpoint_manifest *manifest)
{
    const struct segment *at = spool_segment(spool, STORE_LOG, manifest->position.segment);
    const struct segment *seal = spool_segment(spool, STORE_LOG, manifest->last_seal.segment);
    char head[RECORD_HEADER_BYTES];
    struct record_header header;

    if (!at || !seal || at->state == SEGMENT_SPARE || seal->state == SEGMENT_SPARE ||
        manifest->position.offset > at->end ||
        memcmp(manifest->lane, spool->lane, sizeof(spool->lane)) != 0)
        return false;
    struct record_place place = segment_place(seal);
    ssize_t n =
        segment_read(spool->ops, seal->handle, manifest->last_seal.offset, head, sizeof(head), 0);
    return n == (ssize_t)sizeof(head) &&
           record_parse(head, &place, manifest->last_seal.offset, &header) == 0 &&
           header.type == SPOOL_RECORD_SEAL && header.sum == manifest->last_sum;
}

/* Rule 5b for records before the position, which nobody reads any more. */
static int load_concerns(struct spool *spool, const struct checkpoint_manifest *manifest)
{
    for (size_t i = 0; i < manifest->segment_count; i++) {
        const struct checkpoint_segment *from = &manifest->segments[i];
        struct segment *to = spool_segment(spool, STORE_LOG, from->number);
        if (!to || to->state == SEGMENT_SPARE)
            continue;
        to->concerns_all = from->concerns_all;
        for (size_t c = 0; c < from->concern_count; c++)
            segment_add_concern(to, from->concerns[c].segment);
    }
    return 0;
}

static void forget_all(struct spool *spool)
{
    index_done(&spool->index);
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        segment->concern_count = 0;
        segment->concerns_all = false;
    }
}

/* A part that doesn't fit throws all away: half a state would lose the messages of the other half,
 * for the log before the position isn't read then. */
static int load_all(struct spool *spool, struct span bytes, struct spool_position *out_position)
{
    struct arena arena = ARENA_INIT;
    struct checkpoint_manifest manifest;
    int r = checkpoint_decode_manifest(bytes, &arena, &manifest);

    if (r == 0 && !fits_the_log(spool, &manifest))
        r = -EBADMSG;
    for (size_t i = 0; r == 0 && i < manifest.part_count; i++)
        r = load_part(spool, &manifest, i);
    if (r == 0)
        r = load_concerns(spool, &manifest);
    if (r == 0) {
        *out_position = manifest.position;
        spool->checkpoint_generation = manifest.generation;
        spool->checkpoint_bytes = checkpoint_bytes(&manifest);
    } else {
        forget_all(spool);
    }
    arena_done(&arena);
    return r;
}

/* One that can't be used must not come back to life later: segments that it would need may be
 * recycled from now on. If it can't even be removed, they may not. */
static void discard(struct spool *spool)
{
    spool_note_damage(spool, spool->sealed, NULL,
                      "the checkpoint can't be used; the state was rebuilt from the records");
    if (spool->ops->remove_file(spool->store, checkpoint_manifest_name) < 0)
        spool->checkpoint_position = (struct spool_position){1, 0};
}

/* What failed or was cut off may have left parts of any generation; they would fill the disk. */
void checkpoint_remove_others(struct store *store, uint64_t generation)
{
    char own[CHECKPOINT_NAME_BYTES];

    checkpoint_parts_prefix(own, generation);
    store->ops->remove_files(store, CHECKPOINT_PARTS, own);
}

int checkpoint_load(struct spool *spool, struct spool_position *out_position)
{
    void *data;
    size_t size;
    int r = spool->ops->get_file(spool->store, checkpoint_manifest_name, CHECKPOINT_MANIFEST_MAX,
                                 &data, &size);
    if (r == -ENOENT || r == -ENOMEM)
        return r;
    if (r == 0) {
        r = load_all(spool, span_of(data, size), out_position);
        free(data);
    }
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        discard(spool);
        return -ENOENT;
    }
    spool->checkpoint_position = *out_position;
    return 0;
}
