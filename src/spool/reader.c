/*
 * Readers. A reader has its own copy of where the message lies and pins those segments, so it may
 * work in another thread while the loop moves or finishes the message. Nothing is given out before
 * its checksum was verified: the record's data as a whole, bulk an extent at a time.
 */
#include "spool/reader.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

static struct spool_extents *copy_extents(const struct spool_extents *from)
{
    size_t size = sizeof(*from) + from->count * sizeof(from->uses[0]);
    struct spool_extents *copy = malloc(size);
    return copy ? memcpy(copy, from, size) : NULL;
}

/* By the loop only. Pins keep the segments from being recycled, not the message from being
 * finished. */
static void pin(struct spool_reader *reader, int by)
{
    reader->home->pins += (uint32_t)by;
    for (uint32_t i = 0; reader->bulk && i < reader->bulk->count; i++)
        reader->bulk->uses[i].segment->pins += (uint32_t)by;
}

/* Tells read_expansions() whether there are any, without asking the disk: rows are sorted by index.
 */
static uint32_t highest_index(const struct spool_message *message)
{
    uint32_t count = message->recipient_count;
    return count ? message->recipients[count - 1].index : 0;
}

/* What it copies here is all it needs of the row: the row may be freed while another thread reads.
 */
int spool_reader_open(struct spool *spool, struct spool_message *message, struct spool_reader **out)
{
    if (!index_home(message))
        return -EBADMSG;
    struct spool_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    *reader = (struct spool_reader){.ops = spool->ops,
                                    .recent = &spool->recent,
                                    .id = message->id,
                                    .home = index_home(message),
                                    .offset = message->offset,
                                    .meta_bytes = message->meta_bytes,
                                    .highest = highest_index(message),
                                    .extent_index = SIZE_MAX};
    if (index_bulk(message)) {
        reader->bulk = copy_extents(index_bulk(message));
        if (!reader->bulk) {
            free(reader);
            return -ENOMEM;
        }
    }
    pin(reader, 1);
    *out = reader;
    return 0;
}

static int damaged(struct spool_reader *reader)
{
    reader->is_damaged = true;
    return -EBADMSG;
}

static int read_exactly(struct spool_reader *reader, struct segment *segment, uint64_t offset,
                        char *to, size_t size)
{
    ssize_t n = segment_read(reader->ops, segment->handle, offset, to, size, reader->flags);
    if (n < 0)
        return (int)n; /* whether the bytes are damaged isn't known: to be tried again */
    return n == (ssize_t)size ? 0 : damaged(reader);
}

/* The whole record: at most its header, the envelope and 64 KiB of data. */
static int read_record(struct spool_reader *reader, struct record_header *out_header)
{
    struct record_place place = segment_place(reader->home);
    char head[RECORD_HEADER_BYTES];
    int r = read_exactly(reader, reader->home, reader->offset, head, sizeof(head));

    if (r == 0 && record_parse(head, &place, reader->offset, out_header) < 0)
        r = damaged(reader);
    if (r == 0 && (out_header->meta_bytes != reader->meta_bytes ||
                   record_bytes(out_header->meta_bytes, out_header->data_bytes) >
                       reader->home->size_bytes - reader->offset))
        r = damaged(reader);
    if (r < 0)
        return r;
    size_t size = (size_t)out_header->meta_bytes + out_header->data_bytes;
    reader->record = malloc(size + 1);
    if (!reader->record)
        return -ENOMEM;
    return read_exactly(reader, reader->home, reader->offset + RECORD_HEADER_BYTES, reader->record,
                        size);
}

/* The meta of a record behind the message's own, and *offset goes on. 1: it is of this type; 0: it
 * is of another, or there is none. */
static int read_behind(struct spool_reader *reader, enum spool_record_type type, uint64_t *offset,
                       struct span *out_meta)
{
    struct record_place place = segment_place(reader->home);
    char head[RECORD_HEADER_BYTES];
    struct record_header header;
    ssize_t n =
        segment_read(reader->ops, reader->home->handle, *offset, head, sizeof(head), reader->flags);

    if (n < 0)
        return (int)n;
    if (n < (ssize_t)sizeof(head) || record_parse(head, &place, *offset, &header) < 0 ||
        header.type != type)
        return 0;
    char *meta = arena_alloc(&reader->arena, header.meta_bytes + 1);
    if (!meta)
        return -ENOMEM;
    int r =
        read_exactly(reader, reader->home, *offset + RECORD_HEADER_BYTES, meta, header.meta_bytes);
    if (r < 0)
        return r;
    *out_meta = span_of(meta, header.meta_bytes);
    *offset += record_bytes(header.meta_bytes, header.data_bytes);
    return record_sum(*out_meta) == header.meta_sum ? 1 : damaged(reader);
}

/* MESSAGE records are followed by their EXPANDs, in the same group. They end at the first record
 * that is none of this message. Read a record at a time: most messages have no expansion, and the
 * next record is somebody else's. */
static int read_expansions(struct spool_reader *reader, uint64_t offset)
{
    struct spool_expansion *list = NULL;
    size_t count = 0;

    for (;;) {
        struct record_expand expand;
        struct span span;
        int r = read_behind(reader, SPOOL_RECORD_EXPAND, &offset, &span);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        r = codec_decode(&record_expand_codec, span, &reader->arena, &expand);
        if (r < 0)
            return r == -ENOMEM ? r : damaged(reader);
        if (!id_equal(&expand.message, &reader->id) || expand.expansion_count != 1)
            break;
        if (count % 16 == 0) {
            struct spool_expansion *more =
                arena_alloc_array(&reader->arena, count + 16, sizeof(*more));
            if (!more)
                return -ENOMEM;
            if (count)
                memcpy(more, list, count * sizeof(*list));
            list = more;
        }
        list[count++] = expand.expansions[0];
    }
    reader->stored.expansions = list;
    reader->stored.expansion_count = count;
    return 0;
}

static bool was_expanded(const struct envelope_recipient *r)
{
    return (r->flags & (ENVELOPE_RECIPIENT_EXPANDS | ENVELOPE_RECIPIENT_DUPLICATE)) ==
           ENVELOPE_RECIPIENT_EXPANDS;
}

static bool has_expanded(const struct envelope *e)
{
    for (size_t i = 0; i < e->recipient_count; i++)
        if (was_expanded(&e->recipients[i]))
            return true;
    return false;
}

/* An expansion that isn't found (the file has lost its end, or the record its header) leaves rows
 * that nobody knows an address for, or an alias that looks as if it were nobody's. They are in the
 * order of their parents. */
static int check_expansions(struct spool_reader *reader)
{
    const struct spool_stored *stored = &reader->stored;
    size_t known = stored->envelope.recipient_count, at = 0;

    for (size_t i = 0; i < stored->expansion_count; i++)
        known += stored->expansions[i].child_count;
    for (size_t i = 0; i < stored->envelope.recipient_count; i++) {
        if (!was_expanded(&stored->envelope.recipients[i]))
            continue;
        while (at < stored->expansion_count && stored->expansions[at].parent < i)
            at++;
        if (at == stored->expansion_count || stored->expansions[at].parent != i)
            return damaged(reader);
    }
    return reader->highest < known ? 0 : damaged(reader);
}

/* `all`: also when no child waits. */
static int decode_envelope(struct spool_reader *reader, const struct record_header *header,
                           struct span meta, bool all)
{
    struct spool_stored *stored = &reader->stored;
    int r = record_decode_message(meta, header->version, &reader->arena, &reader->meta,
                                  &stored->envelope);

    if (r < 0)
        return r == -ENOMEM ? r : damaged(reader);
    uint64_t inline_bytes =
        reader->meta.header_bytes + (reader->meta.extent_count ? 0 : reader->meta.body_bytes);
    if (header->data_bytes != inline_bytes || !id_equal(&stored->envelope.id, &reader->id))
        return damaged(reader);
    stored->header_bytes = reader->meta.header_bytes;
    stored->body_bytes = reader->meta.body_bytes;
    stored->expansions = reader->meta.expansions;
    stored->expansion_count = reader->meta.expansion_count;
    bool has_behind = all || reader->highest >= stored->envelope.recipient_count ||
                      has_expanded(&stored->envelope);
    if (header->type != SPOOL_RECORD_MOVED && has_behind)
        r = read_expansions(reader,
                            reader->offset + record_bytes(header->meta_bytes, header->data_bytes));
    return r < 0 ? r : check_expansions(reader);
}

static int decode(struct spool_reader *reader, const struct record_header *header)
{
    struct span meta = span_of(reader->record, header->meta_bytes);
    struct span data = span_of(reader->record + header->meta_bytes, header->data_bytes);

    if (record_sum(meta) != header->meta_sum || record_sum(data) != header->data_sum)
        return damaged(reader);
    reader->data = data;
    return decode_envelope(reader, header, meta, true);
}

static bool has_digest(const struct envelope *envelope)
{
    static const uint8_t none[ENVELOPE_DIGEST_BYTES];
    return memcmp(envelope->digest, none, sizeof(none)) != 0;
}

/* Without memory for it the digest isn't verified; every byte's checksum still is. */
static void start_digest(struct spool_reader *reader)
{
    if (!has_digest(&reader->stored.envelope))
        return;
    reader->digest = EVP_MD_CTX_new();
    if (reader->digest && EVP_DigestInit_ex(reader->digest, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(reader->digest);
        reader->digest = NULL;
    }
}

static int load(struct spool_reader *reader)
{
    struct record_header header;
    int r = read_record(reader, &header);

    if (r == 0)
        r = decode(reader, &header);
    if (r < 0) {
        arena_clear(&reader->arena);
        free(reader->record);
        reader->record = NULL;
    }
    return r;
}

int spool_reader_load(struct spool_reader *reader, const struct spool_stored **out)
{
    int r = 0;

    if (!reader->is_loaded) {
        r = load(reader);
        if (r == -EBADMSG && !reader->flags) { /* memory may lie where the disk doesn't */
            reader->flags = STORE_READ_DIRECT;
            reader->is_damaged = false;
            r = load(reader);
        }
        if (r < 0)
            return r;
        reader->is_loaded = true;
        start_digest(reader);
    }
    *out = &reader->stored;
    return 0;
}

/* Damage here is none of the message's: who knows less moves it once more than need be. */
int reader_load_restated(struct spool_reader *reader)
{
    enum { RESTATED_MAX = 16 };
    uint64_t offset = reader->offset + record_bytes(reader->meta_bytes, reader->data.size);
    bool was_damaged = reader->is_damaged;
    struct record_status status;
    struct span meta;
    int r = 0;

    reader->restated = arena_alloc_array(&reader->arena, RESTATED_MAX, sizeof(uint64_t));
    if (!reader->restated)
        return -ENOMEM;
    while (reader->restated_count < RESTATED_MAX &&
           (r = read_behind(reader, SPOOL_RECORD_STATUS, &offset, &meta)) > 0) {
        r = codec_decode(&record_status_codec, meta, &reader->arena, &status);
        if (r < 0 || !(status.flags & RECORD_STATUS_RESTATED) ||
            !id_equal(&status.message, &reader->id))
            break;
        reader->restated[reader->restated_count++] = status.home;
    }
    reader->is_damaged = was_damaged;
    return r == -EBADMSG ? 0 : r;
}

/* Without the data: a listing of the queue reads thousands of envelopes, and needs no body. */
static int load_envelope(struct spool_reader *reader)
{
    struct record_place place = segment_place(reader->home);
    size_t size = RECORD_HEADER_BYTES + reader->meta_bytes;
    struct record_header header;

    reader->record = malloc(size);
    if (!reader->record)
        return -ENOMEM;
    int r = read_exactly(reader, reader->home, reader->offset, reader->record, size);
    if (r < 0)
        return r;
    struct span meta = span_of(reader->record + RECORD_HEADER_BYTES, reader->meta_bytes);
    if (record_parse(reader->record, &place, reader->offset, &header) < 0 ||
        header.meta_bytes != meta.size || record_sum(meta) != header.meta_sum)
        return -EBADMSG;
    return decode_envelope(reader, &header, meta, false);
}

/* What isn't good at once is read and judged as a whole message. */
int spool_reader_load_envelope(struct spool_reader *reader, const struct spool_stored **out)
{
    if (!reader->is_loaded && load_envelope(reader) < 0) {
        arena_clear(&reader->arena);
        free(reader->record);
        reader->record = NULL;
        reader->is_damaged = false;
        return spool_reader_load(reader, out);
    }
    reader->is_loaded = true;
    *out = &reader->stored;
    return 0;
}

/* Three chances: memory, the page cache, the disk itself. Damage that only the first two have (a
 * bit that flipped in memory) is no damage of the message. */
int reader_read_verified(struct spool_reader *reader, struct segment *segment, uint64_t offset,
                         char *to, size_t size, uint64_t sum)
{
    bool was_damaged = reader->is_damaged;
    bool is_recent = !reader->flags && size <= UINT32_MAX &&
                     recent_read(reader->recent, segment->number, offset, (uint32_t)size, to);
    int r = is_recent ? 0 : read_exactly(reader, segment, offset, to, size);

    if (r == 0 && record_sum(span_of(to, size)) == sum)
        return 0;
    if (r < 0 && r != -EBADMSG)
        return r;
    ssize_t n = segment_read(reader->ops, segment->handle, offset, to, size, STORE_READ_DIRECT);
    if (n < 0)
        return (int)n;
    if (n != (ssize_t)size || record_sum(span_of(to, size)) != sum)
        return damaged(reader);
    reader->is_damaged = was_damaged;
    return 0;
}

/* Where the extent that holds body byte `at` starts in the body. */
static size_t find_extent(const struct spool_reader *reader, uint64_t at, uint64_t *out_start)
{
    uint64_t start = 0;
    size_t i = 0;

    while (i < reader->meta.extent_count && at >= start + reader->meta.extents[i].bytes)
        start += reader->meta.extents[i++].bytes;
    *out_start = start;
    return i;
}

static struct segment *pinned_segment(const struct spool_reader *reader, uint64_t number)
{
    for (uint32_t i = 0; reader->bulk && i < reader->bulk->count; i++) {
        if (reader->bulk->uses[i].segment->number == number)
            return reader->bulk->uses[i].segment;
    }
    return NULL;
}

/* NULL: it lies in no segment. */
static struct segment *segment_of(const struct spool_reader *reader,
                                  const struct record_extent *extent)
{
    struct segment *segment = pinned_segment(reader, extent->segment);

    if (!segment || extent->offset > segment->size_bytes ||
        extent->bytes > segment->size_bytes - extent->offset)
        return NULL;
    return segment;
}

/* By the number that the record names among the segments that were pinned: another one may have
 * been recycled, and its bytes be someone else's. */
static int read_extent_into(struct spool_reader *reader, size_t index, char *to)
{
    const struct record_extent *extent = &reader->meta.extents[index];
    struct segment *segment = segment_of(reader, extent);

    if (!segment)
        return damaged(reader);
    return reader_read_verified(reader, segment, extent->offset, to, extent->bytes, extent->sum);
}

/* One extent is held, and given out piece by piece to who reads with a small buffer; its checksum
 * is of the whole. */
static int read_extent(struct spool_reader *reader, size_t index)
{
    uint32_t bytes = reader->meta.extents[index].bytes;

    if (index == reader->extent_index)
        return 0;
    reader->extent_index = SIZE_MAX;
    if (!segment_of(reader, &reader->meta.extents[index])) /* no memory for what can't be there */
        return damaged(reader);
    if (reader->extent_room < bytes || !reader->extent) {
        free(reader->extent);
        reader->extent = spool_memory(bytes);
        reader->extent_room = reader->extent ? bytes : 0;
    }
    if (!reader->extent)
        return -ENOMEM;
    int r = read_extent_into(reader, index, reader->extent);
    if (r == 0)
        reader->extent_index = index;
    return r;
}

/* What lies at `offset` without a break. */
static int piece_at(struct spool_reader *reader, uint64_t offset, struct span *out)
{
    uint64_t start;

    if (offset < reader->data.size) {
        *out = span_from(reader->data, offset);
        return 0;
    }
    offset -= reader->meta.header_bytes;
    size_t index = find_extent(reader, offset, &start);
    if (index == reader->meta.extent_count)
        return damaged(reader);
    int r = read_extent(reader, index);
    if (r == 0)
        *out =
            span_from(span_of(reader->extent, reader->meta.extents[index].bytes), offset - start);
    return r;
}

/* A whole extent that has room in `to` goes straight there: its bytes, 0 when there is none at
 * `offset`, or an error. */
static ssize_t read_straight(struct spool_reader *reader, uint64_t offset, char *to, size_t room)
{
    uint64_t start;

    if (offset < reader->data.size || reader->meta.extent_count == 0)
        return 0;
    offset -= reader->meta.header_bytes;
    size_t index = find_extent(reader, offset, &start);
    if (index == reader->meta.extent_count || start != offset || index == reader->extent_index ||
        reader->meta.extents[index].bytes > room)
        return 0;
    int r = read_extent_into(reader, index, to);
    return r < 0 ? r : (ssize_t)reader->meta.extents[index].bytes;
}

/* Follows the stream as long as it is read in order; at its end compares. */
static int digest_bytes(struct spool_reader *reader, uint64_t offset, struct span bytes)
{
    uint64_t header_bytes = reader->meta.header_bytes;
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (!reader->digest)
        return 0;
    if (offset != reader->digested) {
        EVP_MD_CTX_free(reader->digest);
        reader->digest = NULL;
        return 0;
    }
    reader->digested += bytes.size;
    if (offset < header_bytes)
        bytes = span_from(bytes, header_bytes - offset);
    if (bytes.size)
        EVP_DigestUpdate(reader->digest, bytes.data, bytes.size);
    if (reader->digested < header_bytes + reader->meta.body_bytes)
        return 0;
    EVP_DigestFinal_ex(reader->digest, digest, NULL);
    EVP_MD_CTX_free(reader->digest);
    reader->digest = NULL;
    return memcmp(digest, reader->stored.envelope.digest, ENVELOPE_DIGEST_BYTES) == 0
               ? 0
               : damaged(reader);
}

ssize_t spool_reader_read(struct spool_reader *reader, uint64_t offset, void *buf, size_t size)
{
    const struct spool_stored *stored;
    struct span piece;
    size_t done = 0;
    int r = spool_reader_load(reader, &stored);

    if (r < 0)
        return r;
    uint64_t total = stored->header_bytes + stored->body_bytes;
    if (offset >= total)
        return 0;
    if (size > total - offset)
        size = total - offset;
    while (done < size) {
        ssize_t n = read_straight(reader, offset + done, (char *)buf + done, size - done);
        if (n < 0)
            return n;
        done += (size_t)n;
        if (n > 0)
            continue;
        r = piece_at(reader, offset + done, &piece);
        if (r < 0)
            return r;
        piece = span_first(piece, size - done);
        memcpy((char *)buf + done, piece.data, piece.size);
        done += piece.size;
    }
    r = digest_bytes(reader, offset, span_of(buf, done));
    return r < 0 ? r : (ssize_t)done;
}

/* Only if the message still lies where it was read: it may have been moved meanwhile, from a good
 * copy. */
void spool_reader_close(struct spool *spool, struct spool_reader *reader)
{
    if (!reader)
        return;
    struct spool_message *message = spool_find(spool, &reader->id);
    if (reader->is_damaged && message && index_home(message) == reader->home &&
        message->offset == reader->offset)
        spool_set_message_aside(spool, message);
    pin(reader, -1);
    spool->tasks_due = true;
    EVP_MD_CTX_free(reader->digest);
    arena_done(&reader->arena);
    free(reader->record);
    free(reader->extent);
    free(reader->bulk);
    free(reader);
}

/* Indexes go through the envelope and then through the expansions in their order: that is how they
 * were given out. */
const struct envelope_recipient *spool_stored_recipient(const struct spool_stored *stored,
                                                        uint32_t index)
{
    if (index < stored->envelope.recipient_count)
        return &stored->envelope.recipients[index];
    index -= (uint32_t)stored->envelope.recipient_count;
    for (size_t i = 0; i < stored->expansion_count; i++) {
        if (index < stored->expansions[i].child_count)
            return &stored->expansions[i].children[index];
        index -= (uint32_t)stored->expansions[i].child_count;
    }
    return NULL;
}
