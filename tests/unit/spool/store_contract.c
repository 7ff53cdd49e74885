#include "store_contract.h"

#include <errno.h>
#include <stdlib.h>

enum { SEGMENT = 64 * 1024 };

struct seen {
    struct store_entry entries[16];
    int count;
};

static void note(void *arg, const struct store_entry *entry)
{
    struct seen *seen = arg;
    assert_in_range(seen->count, 0, ARRAY_SIZE(seen->entries) - 1);
    seen->entries[seen->count++] = *entry;
}

static const struct store_entry *find(const struct seen *seen, enum store_kind kind,
                                      uint64_t number)
{
    for (int i = 0; i < seen->count; i++)
        if (seen->entries[i].kind == kind && seen->entries[i].number == number)
            return &seen->entries[i];
    return NULL;
}

static struct seen list_all(struct store *store)
{
    struct seen seen = {0};
    assert_int_equal(store->ops->list(store, note, &seen), 0);
    return seen;
}

static struct store *open_writer(const struct store_contract *c)
{
    struct store *store = c->open(c->arg);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    return store;
}

static void write_text(struct store *store, struct store_segment *segment, uint64_t offset,
                       const char *text)
{
    size_t half = strlen(text) / 2;
    struct iovec parts[] = {{(void *)(uintptr_t)text, half},
                            {(void *)(uintptr_t)(text + half), strlen(text) - half}};
    assert_int_equal(store->ops->write(segment, offset, parts, 2), 0);
}

static void assert_bytes(struct store *store, struct store_segment *segment, uint64_t offset,
                         const char *expected, int flags)
{
    char got[256];
    size_t size = strlen(expected);
    assert_in_range(size, 1, sizeof got);
    assert_int_equal(store->ops->read(segment, offset, got, size, flags), size);
    assert_memory_equal(got, expected, size);
}

static void lease_is_exclusive(const struct store_contract *c)
{
    struct store *first = open_writer(c), *second = c->open(c->arg), *reader = c->open(c->arg);
    assert_int_equal(second->ops->open_lane(second, false), -EWOULDBLOCK);
    assert_int_equal(reader->ops->open_lane(reader, true), 0);
    assert_int_equal(reader->ops->is_leased(reader), 1);
    first->ops->close(first);
    assert_int_equal(reader->ops->is_leased(reader), 0);
    assert_int_equal(second->ops->open_lane(second, false), 0);
    second->ops->close(second);
    reader->ops->close(reader);
}

static void new_segment_is_zeros(const struct store_contract *c)
{
    struct store *store = open_writer(c);
    struct store_segment *segment, *again;
    static char zeros[SEGMENT];
    char *got = malloc(SEGMENT + 10);

    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 1, SEGMENT, &segment), 0);
    assert_int_equal(store->ops->read(segment, 0, got, SEGMENT + 10, 0), SEGMENT);
    assert_memory_equal(got, zeros, SEGMENT);
    assert_int_equal(store->ops->read(segment, SEGMENT - 5, got, 10, 0), 5);
    assert_int_equal(store->ops->read(segment, SEGMENT, got, 10, 0), 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 1, SEGMENT, &again), -EEXIST);
    assert_int_equal(store->ops->open_segment(store, STORE_BULK, 1, true, &again), -ENOENT);
    struct seen seen = list_all(store);
    assert_int_equal(seen.count, 1);
    assert_int_equal(find(&seen, STORE_LOG, 1)->size_bytes, SEGMENT);
    store->ops->close_segment(segment);
    store->ops->close(store);
    free(got);
}

static void written_is_read(const struct store_contract *c)
{
    struct store *store = open_writer(c), *reader = c->open(c->arg);
    struct store_segment *segment, *other;

    assert_int_equal(store->ops->create_segment(store, STORE_BULK, 7, SEGMENT, &segment), 0);
    write_text(store, segment, 1000, "over the border of two sectors, and more");
    write_text(store, segment, 1005, "OVER");
    assert_bytes(store, segment, 1000, "over OVER", 0);
    assert_int_equal(store->ops->sync(segment), 0);
    assert_bytes(store, segment, 1000, "over OVERborder of", STORE_READ_DIRECT);
    assert_bytes(store, segment, 1019, "two sectors", STORE_READ_DIRECT);

    assert_int_equal(reader->ops->open_lane(reader, true), 0);
    assert_int_equal(reader->ops->open_segment(reader, STORE_BULK, 7, true, &other), 0);
    assert_bytes(reader, other, 1000, "over OVER", 0);
    reader->ops->close_segment(other);
    reader->ops->close(reader);
    store->ops->close_segment(segment);
    store->ops->close(store);
}

/* As the spool writes bulk: whole blocks from aligned memory, several parts at once. */
static void bulk_is_written_in_blocks(const struct store_contract *c)
{
    enum { PART = 8192, PARTS = 3 };
    static char bytes[PARTS * PART] __attribute__((aligned(4096)));
    static char got[PARTS * PART + 4096] __attribute__((aligned(4096)));
    struct iovec parts[PARTS];
    struct store *store = open_writer(c);
    struct store_segment *segment;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){bytes + i * PART, PART};
    assert_int_equal(store->ops->create_segment(store, STORE_BULK, 8, SEGMENT, &segment), 0);
    assert_int_equal(store->ops->write(segment, 4096, parts, PARTS), 0);
    assert_int_equal(store->ops->sync(segment), 0);
    for (size_t size = 1; size <= sizeof(bytes); size += size < 4090 ? 4090 : 1361) {
        assert_int_equal(store->ops->read(segment, 4096, got, size, STORE_READ_DIRECT), size);
        assert_memory_equal(got, bytes, size);
        assert_int_equal(store->ops->read(segment, 4099, got + 1, size - 1, 0), size - 1);
        assert_memory_equal(got + 1, bytes + 3, size < 4 ? 0 : size - 4);
    }
    assert_int_equal(store->ops->read(segment, SEGMENT - 8192, got, 10000, 0), 8192);
    assert_int_equal(store->ops->read(segment, SEGMENT, got, 8192, 0), 0);
    store->ops->close_segment(segment);
    store->ops->close(store);
}

/* Under its new number the segment has its bytes and its handle; the old number is gone. */
static void recycled_keeps_bytes(const struct store_contract *c)
{
    struct store *store = open_writer(c);
    struct store_segment *segment;

    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 2, SEGMENT, &segment), 0);
    write_text(store, segment, 0, "old life");
    assert_int_equal(store->ops->recycle(segment, 3), 0);
    write_text(store, segment, 0, "new");
    assert_int_equal(store->ops->sync(segment), 0);
    store->ops->close_segment(segment);
    store->ops->close(store);

    store = open_writer(c);
    struct seen seen = list_all(store);
    assert_null(find(&seen, STORE_LOG, 2));
    assert_non_null(find(&seen, STORE_LOG, 3));
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, 3, false, &segment), 0);
    assert_bytes(store, segment, 0, "new life", 0);
    store->ops->close_segment(segment);
    store->ops->close(store);
}

static void removed_and_aside_are_gone(const struct store_contract *c)
{
    struct store *store = open_writer(c);
    struct store_segment *segment;

    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 10, SEGMENT, &segment), 0);
    assert_int_equal(store->ops->remove(segment), 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 11, SEGMENT, &segment), 0);
    assert_int_equal(store->ops->set_aside(segment, "damaged"), 0);
    struct seen seen = list_all(store);
    assert_null(find(&seen, STORE_LOG, 10));
    assert_null(find(&seen, STORE_LOG, 11));
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, 10, false, &segment), -ENOENT);
    store->ops->close(store);
}

static void put_text(struct store *store, const char *name, const char *text)
{
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    assert_int_equal(store->ops->put_file(store, name, &part, 1), 0);
}

static void files_are_replaced_whole(const struct store_contract *c)
{
    struct store *store = open_writer(c);
    void *data = NULL;
    size_t size = 0;

    assert_int_equal(store->ops->get_file(store, "checkpoint", 100, &data, &size), -ENOENT);
    put_text(store, "checkpoint", "a long first version");
    put_text(store, "checkpoint", "second");
    assert_int_equal(store->ops->get_file(store, "checkpoint", 6, &data, &size), 0);
    assert_span(span_of(data, size), "second");
    free(data);
    assert_true(store->ops->get_file(store, "checkpoint", 5, &data, &size) < 0);
    struct seen before = list_all(store);
    assert_int_equal(store->ops->remove_file(store, "checkpoint"), 0);
    assert_int_equal(list_all(store).count, before.count); /* files are no segments */
    assert_int_equal(store->ops->get_file(store, "checkpoint", 100, &data, &size), -ENOENT);
    store->ops->close(store);
}

static void space_is_told(const struct store_contract *c)
{
    struct store *store = open_writer(c);
    struct store_space space;
    assert_int_equal(store->ops->space(store, &space), 0);
    assert_true(space.free_bytes > 0 && space.free_inodes > 0);
    store->ops->close(store);
}

void store_contract_run(const struct store_contract *c)
{
    static void (*const cases[])(const struct store_contract *) = {
        lease_is_exclusive,        new_segment_is_zeros, written_is_read,
        bulk_is_written_in_blocks, recycled_keeps_bytes, removed_and_aside_are_gone,
        files_are_replaced_whole,  space_is_told};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cases[i](c);
}
