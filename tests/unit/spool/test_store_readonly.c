/* A look at the spool of a server that is gone: it sees what the next start finds, changes nothing,
 * and names what is damaged. */
#include "spool_world.h"

#include "prng.h"
#include <errno.h>
#include <stdlib.h>

enum { MESSAGES = 60, SEEN_MAX = 4 * MESSAGES, ROUNDS = 500 };

struct seen {
    struct id ids[SEEN_MAX];
    uint32_t indexes[SEEN_MAX];
    size_t count, damages;
};

/* ---- a look ---- */

static struct spool *open_readonly(struct world *w)
{
    struct store *store;
    struct spool *spool;

    assert_int_equal(store_readonly_new(store_sim_open(w->disk), &store), 0);
    assert_int_equal(spool_open(store, &w->options, w->now_us, &spool, NULL), 0);
    return spool;
}

static void read_all(struct spool *spool, struct spool_message *m)
{
    static char bytes[100000];
    const struct spool_stored *stored;
    struct spool_reader *reader;
    uint64_t at = 0;
    ssize_t n;

    if (m->flags & SPOOL_MESSAGE_DAMAGED || spool_reader_open(spool, m, &reader) < 0)
        return;
    if (spool_reader_load(reader, &stored) == 0)
        while ((n = spool_reader_read(reader, at, bytes, sizeof(bytes))) > 0)
            at += (uint64_t)n;
    spool_reader_close(spool, reader);
}

static void see(struct spool *spool, struct seen *out)
{
    struct spool_listing *listing;
    struct spool_message *m;

    *out = (struct seen){.count = 0};
    assert_int_equal(spool_listing_new(spool, &listing), 0);
    while ((m = spool_listing_next(listing))) {
        for (uint32_t i = 0; i < m->recipient_count; i++) {
            if (m->recipients[i].state == SPOOL_RECIPIENT_CLOSED)
                continue;
            assert_true(out->count < SEEN_MAX);
            out->ids[out->count] = m->id;
            out->indexes[out->count++] = m->recipients[i].index;
        }
        read_all(spool, m);
    }
    spool_listing_free(listing);
    struct spool_position tail;
    out->damages = spool_damage_count(spool) + spool_has_tail(spool, &tail);
}

static bool is_same(const struct seen *a, const struct seen *b)
{
    return a->count == b->count && memcmp(a->ids, b->ids, sizeof(a->ids)) == 0 &&
           memcmp(a->indexes, b->indexes, sizeof(a->indexes)) == 0;
}

static void look(struct world *w, struct seen *out)
{
    uint64_t operations = store_sim_operations(w->disk);
    struct spool *spool = open_readonly(w);

    see(spool, out);
    spool_close(spool);
    assert_int_equal(store_sim_operations(w->disk), operations);
    assert_int_equal(store_sim_count_aside(w->disk), 0);
}

/* ---- a spool with all that there is in one ---- */

static int setup(void **state)
{
    static struct world w;

    w = world_new();
    w.options.checkpoint_segments = 2;
    w.options.keep_segments = 1000;
    world_open(&w);
    for (unsigned i = 1; i <= MESSAGES; i++) {
        int r = i % 7 == 0 ? world_accept_large(&w, i, 30000) : world_accept(&w, i, 2, 130 * i);
        assert_int_equal(r, 0);
        world_run(&w);
        if (i % 3 == 0)
            assert_int_equal(world_status(&w, i, 0, SPOOL_OUTCOME_DELIVERED), 0);
        if (i % 6 == 0)
            assert_int_equal(world_status(&w, i, 1, SPOOL_OUTCOME_DEFERRED), 0);
    }
    world_run(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

static void sees_what_the_next_start_finds(void **state)
{
    struct world *w = *state;
    struct seen before, now, after;

    see(w->spool, &before);
    assert_true(before.count > MESSAGES);
    for (int how = 0; how < 2; how++) {
        assert_int_equal(world_accept(w, 100 + (unsigned)how, 1, 500), 0); /* never sealed */
        store_sim_stop(w->disk);
        world_close(w);
        store_sim_restart(w->disk, how ? STORE_SIM_POWER_CUT : STORE_SIM_KILLED);
        look(w, &now);
        assert_int_equal(now.damages, 0);
        assert_true(is_same(&before, &now));
        world_open(w);
        see(w->spool, &after);
        assert_true(is_same(&before, &after));
    }
}

/* A look writes nothing beside a server either; whether what it sees means anything there is
 * another question. */
static void is_harmless_beside_a_writer(void **state)
{
    struct world *w = *state;
    struct seen now;

    for (unsigned i = 0; i < 10; i++) {
        look(w, &now);
        assert_int_equal(world_accept(w, 200 + i, 2, 3000), 0);
        world_run(w);
        assert_int_equal(world_check(w, 200 + i, 2, 3000), 0);
    }
}

struct segments {
    struct store_entry list[64];
    size_t count;
};

static void found(void *arg, const struct store_entry *entry)
{
    struct segments *s = arg;
    if (s->count < ARRAY_SIZE(s->list))
        s->list[s->count++] = *entry;
}

/* Any bit, anywhere: what waits and all its bytes are as before, or damage is named. */
static void every_flip_is_harmless_or_named(void **state)
{
    struct world *w = *state;
    struct prng prng = {.state = 42};
    struct segments segments = {.count = 0};
    struct seen before, now;
    size_t named = 0;

    world_close(w);
    look(w, &before);
    assert_int_equal(before.damages, 0);
    struct store *store = store_sim_open(w->disk);
    store->ops->list(store, found, &segments);
    store->ops->close(store);
    for (int round = 0; round < ROUNDS; round++) {
        const struct store_entry *e = &segments.list[prng_below(&prng, segments.count)];
        uint64_t bit = prng_below(&prng, e->size_bytes * 8);
        assert_int_equal(store_sim_flip(w->disk, e->kind, e->number, bit), 0);
        look(w, &now);
        if (now.damages == 0 && !is_same(&before, &now))
            fail_msg("%s %llu, bit %llu: changed and not named",
                     e->kind == STORE_LOG ? "log" : "bulk", (unsigned long long)e->number,
                     (unsigned long long)bit);
        named += now.damages > 0;
        assert_int_equal(store_sim_flip(w->disk, e->kind, e->number, bit), 0);
    }
    print_message("%zu of %d flips were named\n", named, ROUNDS);
    assert_true(named > ROUNDS / 20);
    uint64_t bit = 5;
    for (; store_sim_flip_file(w->disk, "checkpoint", bit) == 0; bit += 13) {
        look(w, &now);
        assert_true(now.damages > 0 && is_same(&before, &now));
        assert_int_equal(store_sim_flip_file(w->disk, "checkpoint", bit), 0);
    }
    assert_true(bit > 100 * 8);
    world_open(w);
}

/* What would change the lane is refused; what a start only tidies up is answered as if done. */
static void nothing_can_be_written_through_it(void **state)
{
    struct world *w = *state;
    struct segments segments = {.count = 0};
    struct iovec part = {"x", 1};
    struct store_segment *segment;
    struct store *store;
    uint64_t before;
    void *data;
    size_t size;
    char first, again;

    assert_int_equal(store_readonly_new(store_sim_open(w->disk), &store), 0);
    before = store_sim_operations(w->disk);
    assert_int_equal(store->ops->is_leased(store), 1);
    assert_int_equal(store->ops->open_lane(store, false), 0); /* beside its owner */
    assert_int_equal(store->ops->list(store, found, &segments), 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 1000, 128 * 1024, &segment),
                     -EROFS);
    const struct store_entry *e = &segments.list[0];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(store->ops->open_segment(store, e->kind, e->number, false, &segment), 0);
        assert_int_equal(store->ops->read(segment, 0, i ? &again : &first, 1, 0), 1);
        assert_int_equal(store->ops->write(segment, 0, &part, 1), -EROFS);
        assert_int_equal(store->ops->recycle(segment, 1001), -EROFS);
        assert_int_equal(store->ops->sync(segment), 0);
        assert_int_equal(i ? store->ops->remove(segment) : store->ops->set_aside(segment, "why"),
                         0);
    }
    assert_int_equal(first, again);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, 999, true, &segment), -ENOENT);
    assert_int_equal(store->ops->put_file(store, "new", &part, 1), 0);
    assert_int_equal(store->ops->get_file(store, "new", 10, &data, &size), -ENOENT);
    assert_int_equal(store->ops->remove_file(store, "checkpoint"), 0);
    assert_int_equal(store->ops->get_file(store, "checkpoint", 1 << 20, &data, &size), 0);
    free(data);
    size = segments.count;
    segments.count = 0;
    assert_int_equal(store->ops->list(store, found, &segments), 0);
    assert_int_equal(segments.count, size);
    store->ops->close(store);
    assert_int_equal(store_sim_operations(w->disk), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sees_what_the_next_start_finds, setup, teardown),
        cmocka_unit_test_setup_teardown(is_harmless_beside_a_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(every_flip_is_harmless_or_named, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_can_be_written_through_it, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
