/*
 * Opens, lists and reads as the inner store does. Of what recovery changes, marks and names are
 * said to be done (recovery goes on as if they were), while what would need room or write to a
 * segment fails with -EROFS, which recovery bears (rule 7).
 */
#include "spool/store.h"

#include "base/list.h"

#include <errno.h>
#include <stdlib.h>

struct readonly_store {
    struct store store;
    struct store *inner;
};

/* The inner store's segment is its own matter; this one only remembers whom to ask. */
struct store_segment {
    const struct store_ops *ops;
    struct store_segment *inner;
};

static struct store *inner_of(struct store *store)
{
    return CONTAINER_OF(store, struct readonly_store, store)->inner;
}

static int open_lane(struct store *store, bool read_only)
{
    return inner_of(store)->ops->open_lane(inner_of(store), true);
}

static int is_leased(struct store *store)
{
    return inner_of(store)->ops->is_leased(inner_of(store));
}

static int list(struct store *store, void (*found)(void *arg, const struct store_entry *entry),
                void *arg)
{
    return inner_of(store)->ops->list(inner_of(store), found, arg);
}

static int open_segment(struct store *store, enum store_kind kind, uint64_t number, bool read_only,
                        struct store_segment **out)
{
    const struct store_ops *ops = inner_of(store)->ops;
    struct store_segment *segment = malloc(sizeof(*segment));

    if (!segment)
        return -ENOMEM;
    segment->ops = ops;
    int r = ops->open_segment(inner_of(store), kind, number, true, &segment->inner);
    if (r < 0) {
        free(segment);
        return r;
    }
    *out = segment;
    return 0;
}

static ssize_t read_segment(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                            int flags)
{
    return segment->ops->read(segment->inner, offset, buf, size, flags);
}

static void close_segment(struct store_segment *segment)
{
    segment->ops->close_segment(segment->inner);
    free(segment);
}

static int get_file(struct store *store, const char *name, uint64_t max_bytes, void **out_data,
                    size_t *out_size)
{
    return inner_of(store)->ops->get_file(inner_of(store), name, max_bytes, out_data, out_size);
}

static int space(struct store *store, struct store_space *out)
{
    return inner_of(store)->ops->space(inner_of(store), out);
}

static void close_store(struct store *store)
{
    struct store *inner = inner_of(store);

    inner->ops->close(inner);
    free(CONTAINER_OF(store, struct readonly_store, store));
}

/* ---- what a start would change ---- */

static int create_segment(struct store *store, enum store_kind kind, uint64_t number,
                          uint64_t size_bytes, struct store_segment **out)
{
    return -EROFS;
}

static int write_segment(struct store_segment *segment, uint64_t offset, const struct iovec *parts,
                         int count)
{
    return -EROFS;
}

/* A read past the page cache brings to the disk what a dead process had written there. */
static int sync_segment(struct store_segment *segment)
{
    return 0;
}

static int recycle(struct store_segment *segment, uint64_t new_number)
{
    return -EROFS;
}

static int remove_segment(struct store_segment *segment)
{
    close_segment(segment);
    return 0;
}

static int set_aside(struct store_segment *segment, const char *reason)
{
    close_segment(segment);
    return 0;
}

static int put_file(struct store *store, const char *name, const struct iovec *parts, int count)
{
    return 0;
}

static int remove_file(struct store *store, const char *name)
{
    return 0;
}

static int remove_files(struct store *store, const char *prefix, const char *but)
{
    return 0;
}

static const struct store_ops readonly_ops = {
    .open_lane = open_lane,
    .is_leased = is_leased,
    .list = list,
    .create_segment = create_segment,
    .open_segment = open_segment,
    .write = write_segment,
    .sync = sync_segment,
    .read = read_segment,
    .recycle = recycle,
    .remove = remove_segment,
    .set_aside = set_aside,
    .close_segment = close_segment,
    .put_file = put_file,
    .get_file = get_file,
    .remove_file = remove_file,
    .remove_files = remove_files,
    .space = space,
    .close = close_store,
};

int store_readonly_new(struct store *inner, struct store **out)
{
    struct readonly_store *s = malloc(sizeof(*s));

    if (!s) {
        inner->ops->close(inner);
        return -ENOMEM;
    }
    *s = (struct readonly_store){.store = {&readonly_ops}, .inner = inner};
    *out = &s->store;
    return 0;
}
