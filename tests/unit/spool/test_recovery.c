/* Damage at rest by kind (rule 8), tails, and what a newer version wrote. */
#include "spool_world.h"

#include "spool/reader.h"
#include <endian.h>
#include <errno.h>

static void flip(struct world *w, uint64_t segment, uint64_t offset)
{
    assert_int_equal(store_sim_flip(w->disk, STORE_LOG, segment, offset * 8 + 3), 0);
}

static const struct {
    const char *name;
    int64_t offset; /* in message 5's record */
    bool is_found;  /* its envelope is still known */
} damages[] = {
    {"the record's header", 2, false},
    {"the header's checksum", 35, false},
    {"the envelope", RECORD_HEADER_BYTES + 60, false},
    {"the body", 2000, true},
};

static void damaged_message_touches_only_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        for (int is_newest = 0; is_newest < 2; is_newest++) {
            void *world;
            world_setup(&world);
            struct world *w = world;
            world_fill(w, is_newest ? 10 : 60);
            struct spool_message *m = world_find(w, 5);
            print_message("%s, %s\n", damages[i].name, is_newest ? "newest" : "closed");
            flip(w, index_home(m)->number, m->offset + (uint64_t)damages[i].offset);
            world_crash(w, STORE_SIM_POWER_CUT);
            world_check_others(w, is_newest ? 10 : 60, 5);
            if (damages[i].is_found)
                assert_non_null(world_find(w, 5));
            /* A body in a closed segment is verified when it is read. */
            if (world_find(w, 5) && !(world_find(w, 5)->flags & SPOOL_MESSAGE_DAMAGED)) {
                assert_false(is_newest);
                assert_int_equal(world_check(w, 5, 2, 3000), -EBADMSG);
                assert_true(world_find(w, 5)->flags & SPOOL_MESSAGE_DAMAGED);
            }
            assert_int_equal(spool_damage_count(w->spool), 1);
            world_run(w);
            if (world_find(w, 5))
                assert_int_equal(w->spool->index.held, 2);
            world_teardown(&world);
        }
    }
}

static struct spool_counts counts(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->spool, &c);
    return c;
}

static void damaged_message_stays_aside(void **state)
{
    struct world *w = *state;

    world_fill(w, 10);
    struct spool_message *m = world_find(w, 5);
    flip(w, index_home(m)->number, m->offset + 2500);
    for (int round = 0; round < 3; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        world_run(w);
        /* Later the segment is a closed one, whose bodies aren't read at start. */
        assert_int_equal(counts(w).set_aside, round == 0);
        assert_int_equal(counts(w).held, 2);
        world_check_others(w, 10, 5);
    }
}

/* Whoever removes what was set aside is rid of it, in the figures as well. */
static void what_was_set_aside_may_be_removed(void **state)
{
    struct world *w = *state;

    world_fill(w, 10);
    struct spool_message *m = world_find(w, 5);
    flip(w, index_home(m)->number, m->offset + 2500);
    world_crash(w, STORE_SIM_POWER_CUT);
    world_run(w);
    assert_int_equal(counts(w).set_aside, 1);
    assert_int_equal(counts(w).held, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(world_status(w, 5, i, SPOOL_OUTCOME_REMOVED), 0);
    world_run(w);
    assert_null(world_find(w, 5));
    assert_int_equal(counts(w).set_aside, 0);
    assert_int_equal(counts(w).held, 0);
    world_check_others(w, 10, 5);
}

/* A child's address has a checksum of its own record: mail never goes to one that a bit has
 * changed. */
static void a_damaged_expansion_is_no_address(void **state)
{
    struct world *w = *state;
    struct envelope_recipient own = {.address = SPAN("list@a.example")};
    struct envelope_recipient child = {.address = SPAN("the-one-child@b.example")};
    struct spool_expansion expansion = {0, &child, 1};
    struct envelope e = {.id = world_id(1), .recipients = &own, .recipient_count = 1};
    struct spool_accept a = {
        .envelope = &e, .body = SPAN("hello"), .expansions = &expansion, .expansion_count = 1};
    const struct spool_stored *stored;
    struct spool_reader *reader;
    int r = 0;

    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
    uint64_t number = spool_sealed_position(w->spool).segment, first = world_find(w, 1)->offset;
    unsigned refused = 0;
    for (uint64_t at = first; at < w->spool->last_seal.offset; at += 3) {
        flip(w, number, at);
        assert_int_equal(spool_reader_open(w->spool, world_find(w, 1), &reader), 0);
        r = spool_reader_load(reader, &stored);
        const struct envelope_recipient *to = r == 0 ? spool_stored_recipient(stored, 1) : NULL;
        if (to)
            assert_span(to->address, "the-one-child@b.example");
        refused += r == -EBADMSG || !to;
        reader->is_damaged = false; /* only looked at */
        spool_reader_close(w->spool, reader);
        flip(w, number, at);
    }
    assert_true(refused > 30);
    assert_int_equal(spool_damage_count(w->spool), 0);
}

/* One that the directory turns into others, and of whom there are no others, lost them; unless it
 * says that it is a duplicate. */
static void an_alias_without_its_expansion_is_damaged(void **state)
{
    static const struct {
        uint16_t flags;
        int result;
    } cases[] = {{ENVELOPE_RECIPIENT_EXPANDS, -EBADMSG},
                 {ENVELOPE_RECIPIENT_EXPANDS | ENVELOPE_RECIPIENT_DUPLICATE, 0},
                 {0, 0}};
    struct world *w = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct envelope_recipient own[] = {
            {.address = SPAN("list@a.example"), .flags = cases[i].flags},
            {.address = SPAN("bob@a.example")}};
        struct envelope e = {.id = world_id(i), .recipients = own, .recipient_count = 2};
        struct spool_accept a = {.envelope = &e, .body = SPAN("hello")};
        const struct spool_stored *stored;
        struct spool_reader *reader;
        assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), 0);
        assert_int_equal(world_commit(w), 0);
        for (int whole = 0; whole < 2; whole++) {
            assert_int_equal(spool_reader_open(w->spool, world_find(w, i), &reader), 0);
            assert_int_equal(whole ? spool_reader_load(reader, &stored)
                                   : spool_reader_load_envelope(reader, &stored),
                             cases[i].result);
            reader->is_damaged = false; /* only looked at */
            spool_reader_close(w->spool, reader);
        }
    }
}

/* The follower sees the alarm, so the book has it. */
static void damage_is_booked(void **state)
{
    struct world *w = *state;
    struct spool_follower *f;
    struct spool_followed followed;
    unsigned alarms = 0, held = 0;

    world_fill(w, 10);
    struct spool_message *m = world_find(w, 5);
    flip(w, index_home(m)->number, m->offset + 2500);
    world_crash(w, STORE_SIM_POWER_CUT);
    world_run(w);
    assert_int_equal(spool_follower_new(store_sim_open(w->disk), (struct spool_position){0, 0}, &f),
                     0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    while (spool_follower_next(f, &followed) > 0) {
        struct id id = world_id(5);
        if (followed.kind == SPOOL_FOLLOWED_ALARM) {
            assert_int_equal(followed.alarm->kind, SPOOL_ALARM_DAMAGE);
            assert_true(id_equal(&followed.alarm->message, &id));
            alarms++;
        }
        if (followed.kind == SPOOL_FOLLOWED_STATUS)
            held += followed.statuses[0].outcome == SPOOL_OUTCOME_HELD;
    }
    assert_int_equal(alarms, 1);
    assert_int_equal(held, 2);
    spool_follower_free(f);
}

/* Every byte of the last group in turn: all before it stays, and it is whole or absent. */
static void damaged_last_group_is_absent(void **state)
{
    struct world *w = *state;

    world_fill(w, 4);
    uint64_t segment = spool_sealed_position(w->spool).segment;
    uint64_t start = spool_sealed_position(w->spool).offset;
    assert_int_equal(world_accept(w, 5, 2, 100), 0);
    assert_int_equal(world_commit(w), 0);
    uint64_t seal = w->spool->last_seal.offset + RECORD_HEADER_BYTES + RECORD_SEAL_META_BYTES;
    unsigned padding = 0;
    for (uint64_t at = start; at < seal; at += 7) {
        flip(w, segment, at);
        world_crash(w, STORE_SIM_KILLED);
        world_check_others(w, 4, 5);
        assert_int_equal(spool_damage_count(w->spool), 0);
        if (world_find(w, 5)) { /* only padding, which nothing reads */
            assert_int_equal(world_check(w, 5, 2, 100), 0);
            padding++;
        } else {
            assert_false(list_is_empty(&w->spool->alarms)); /* the tail is kept and booked */
        }
        flip(w, segment, at);
    }
    assert_true(padding <= 1);
    world_crash(w, STORE_SIM_KILLED);
    assert_int_equal(world_check(w, 5, 2, 100), 0);
}

/* A seal that is lost doesn't take the groups behind it along. */
static void damaged_seal_costs_nothing(void **state)
{
    struct world *w = *state;

    world_fill(w, 4);
    struct spool_position seal = w->spool->last_seal;
    assert_int_equal(world_accept(w, 5, 2, 3000), 0);
    assert_int_equal(world_commit(w), 0);
    flip(w, seal.segment, seal.offset + 50);
    world_crash(w, STORE_SIM_POWER_CUT);
    world_check_others(w, 5, 0);
    assert_int_equal(spool_damage_count(w->spool), 1);
}

static void damaged_header_has_a_copy(void **state)
{
    struct world *w = *state;

    world_fill(w, 60);
    uint64_t first = CONTAINER_OF(w->spool->segments[STORE_LOG].next, struct segment, link)->number;
    uint64_t newest = spool_sealed_position(w->spool).segment;
    flip(w, first, 30);
    flip(w, newest, 50);
    world_crash(w, STORE_SIM_POWER_CUT);
    world_check_others(w, 60, 0);
    assert_int_equal(spool_damage_count(w->spool), 0);
    flip(w, first, 512 + 30);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(store_sim_count_aside(w->disk), 1);
    assert_true(spool_damage_count(w->spool) == 1);
    assert_int_equal(world_check(w, 60, 2, 3000), 0);
}

static void damaged_outcome_is_told(void **state)
{
    struct world *w = *state;

    world_fill(w, 4);
    assert_int_equal(world_status(w, 2, 0, SPOOL_OUTCOME_DELIVERED), 0);
    struct spool_position at = spool_sealed_position(w->spool);
    assert_int_equal(world_commit(w), 0);
    world_fill(w, 0);
    assert_int_equal(world_accept(w, 9, 1, 10), 0);
    assert_int_equal(world_commit(w), 0);
    flip(w, at.segment, at.offset + RECORD_HEADER_BYTES + 20);
    world_crash(w, STORE_SIM_POWER_CUT);
    world_check_others(w, 4, 0);
    assert_int_equal(world_find(w, 2)->waiting, 2); /* a duplicate beats a loss */
    assert_int_equal(spool_damage_count(w->spool), 1);
}

static void finds_damage_by_scrubbing(void **state)
{
    struct world *w = *state;

    w->spool->options.scrub_interval_us = 1000000000;
    world_fill(w, 60);
    assert_int_equal(world_accept_large(w, 100, 300000), 0);
    world_run(w);
    struct spool_message *m = world_find(w, 5);
    flip(w, index_home(m)->number, m->offset + 2500);
    assert_int_equal(store_sim_flip(w->disk, STORE_BULK,
                                    index_bulk(world_find(w, 100))->uses[0].segment->number, 800),
                     0);
    for (unsigned round = 0; round < 30; round++) {
        assert_true(spool_next_try_us(w->spool) < INT64_MAX);
        w->now_us += 500000000;
        world_run(w);
    }
    assert_int_equal(spool_damage_count(w->spool), 2);
    assert_true(m->flags & SPOOL_MESSAGE_DAMAGED);
    assert_true(world_find(w, 100)->flags & SPOOL_MESSAGE_DAMAGED);
    assert_int_equal(counts(w).held, 4);
    world_check_others(w, 60, 5);
}

/* A clock that was set back doesn't keep segments from being read for years. */
static void scrubbing_goes_on_when_the_clock_is_set_back(void **state)
{
    struct world *w = *state;

    world_fill(w, 60);
    w->spool->options.scrub_interval_us = 1000000000;
    w->spool->tasks_due = true;
    w->now_us += INT64_C(86400) * 1000000 * 365;
    world_run(w); /* from here on a year counts */
    struct spool_message *m = world_find(w, 5);
    flip(w, index_home(m)->number, m->offset + 2500);
    w->now_us -= INT64_C(86400) * 1000000 * 364;
    for (unsigned round = 0; round < 30; round++) {
        w->now_us += 500000000;
        world_run(w);
    }
    assert_true(m->flags & SPOOL_MESSAGE_DAMAGED);
}

static void refuses_what_is_newer(void **state)
{
    struct world *w = *state;
    struct store_segment *handle;
    struct spool *spool;
    uint32_t format = htole32(SEGMENT_FORMAT + 1);
    struct iovec part = {&format, sizeof(format)};

    world_fill(w, 2);
    uint64_t number = spool_sealed_position(w->spool).segment;
    world_close(w);
    struct store *store = store_sim_open(w->disk);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, number, false, &handle), 0);
    assert_int_equal(store->ops->write(handle, 8, &part, 1), 0);
    assert_int_equal(store->ops->sync(handle), 0);
    store->ops->close_segment(handle);
    store->ops->close(store);
    store = store_sim_open(w->disk);
    assert_int_equal(spool_open(store, &w->options, 1, &spool, NULL), -EPROTONOSUPPORT);
}

/* Whether the bytes are damaged isn't known while the disk doesn't answer. */
static void unreadable_is_not_damaged(void **state)
{
    struct world *w = *state;
    struct spool_obstacle obstacle;
    struct spool *spool;

    assert_int_equal(world_accept(w, 1, 1, 3000), 0);
    assert_int_equal(world_accept_large(w, 2, 50000), 0);
    world_run(w);
    store_sim_set_stumbling(w->disk, 10000, 1000);
    assert_int_equal(world_check(w, 1, 1, 3000), -EIO);
    assert_int_equal(world_check_body(w, 2, 50000), -EIO);
    world_close(w);
    struct store *store = store_sim_open(w->disk);
    assert_int_equal(spool_open(store, &w->options, ++w->now_us, &spool, &obstacle), -EIO);
    assert_string_equal(obstacle.file, "log-0000000000000001");
    store_sim_set_stumbling(w->disk, 5000, 2); /* never thrice in a row */
    world_open(w);
    assert_int_equal(world_check(w, 1, 1, 3000), 0);
    assert_int_equal(world_check_body(w, 2, 50000), 0);
    assert_int_equal(spool_damage_count(w->spool), 0);
    assert_int_equal(counts(w).set_aside, 0);
}

enum { BAD_BLOCK = 4096, LAST_GROUP = 10, TEXT_BYTES = sizeof(((struct alarm *)NULL)->text) };

static const struct store_ops *whole_ops;
static struct store_ops scratched_ops;
static uint64_t scratched; /* of the newest segment this block can't be read; 0: all can be */

static ssize_t scratched_read(struct store_segment *segment, uint64_t offset, void *out,
                              size_t size, int flags)
{
    if (scratched && offset < scratched + BAD_BLOCK && offset + size > scratched)
        return -EIO;
    return whole_ops->read(segment, offset, out, size, flags);
}

/* A power cut, then a start on a disk with that bad place. */
static void start_scratched(struct world *w, uint64_t offset)
{
    store_sim_stop(w->disk);
    world_close(w);
    store_sim_restart(w->disk, STORE_SIM_POWER_CUT);
    struct store *store = store_sim_open(w->disk);
    whole_ops = store->ops;
    scratched_ops = *whole_ops;
    scratched_ops.read = scratched_read;
    store->ops = &scratched_ops;
    scratched = offset / BAD_BLOCK * BAD_BLOCK;
    assert_int_equal(spool_open(store, &w->options, ++w->now_us, &w->spool, NULL), 0);
}

/* One message alone, then ten in one group. */
static void fill_last_group(struct world *w)
{
    w->options.block_bytes = BAD_BLOCK;
    w->options.segment_bytes = w->options.group_bytes = 1 << 20;
    world_close(w);
    store_sim_free(w->disk);
    w->disk = store_sim_new(7);
    world_open(w);
    for (unsigned i = 0; i <= LAST_GROUP; i++) {
        assert_int_equal(world_accept(w, i, 1, 5000), 0);
        if (i == 0)
            world_run(w);
    }
    world_run(w);
}

static unsigned count_whole(struct world *w)
{
    unsigned count = 0;
    for (unsigned i = 0; i <= LAST_GROUP; i++)
        count += world_find(w, i) && world_check(w, i, 1, 5000) == 0;
    return count;
}

/* All of the last group was acknowledged: who has no byte in that block is whole, and who has comes
 * back when it can be read again. */
static void an_unreadable_block_costs_only_who_lies_in_it(void **state)
{
    struct world *w = *state;

    fill_last_group(w);
    for (unsigned i = 1; i <= LAST_GROUP; i++) {
        struct spool_message *m = world_find(w, i);
        start_scratched(w, m->offset + BAD_BLOCK);
        assert_in_range(count_whole(w), LAST_GROUP - 1, LAST_GROUP);
        assert_true(spool_damage_count(w->spool) > 0 || counts(w).set_aside > 0);
        struct spool_position tail;
        assert_false(spool_has_tail(w->spool, &tail));
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_int_equal(count_whole(w), LAST_GROUP + 1);
        assert_int_equal(spool_damage_count(w->spool), 0);
    }
}

/* The file that the newest alarm names, into `out`; its bytes, malloc'ed. */
static char *read_alarmed(struct world *w, char out[static TEXT_BYTES], size_t *out_size)
{
    const struct alarm *alarm = CONTAINER_OF(w->spool->alarms.prev, struct alarm, link);
    void *bytes;

    assert_false(list_is_empty(&w->spool->alarms));
    assert_int_equal(alarm->alarm.kind, SPOOL_ALARM_TAIL);
    snprintf(out, TEXT_BYTES, "%s", alarm->text);
    assert_int_equal(w->spool->ops->get_file(w->spool->store, out, 1 << 20, &bytes, out_size), 0);
    return bytes;
}

/* Without its seal nobody knows of the group: but what can be read of it is put aside, and the
 * segment keeps the rest. */
static void an_unreadable_seal_leaves_the_bytes(void **state)
{
    static char before[16 * 5000], after[sizeof(before)];
    struct world *w = *state;
    struct spool_position tail;
    char name[TEXT_BYTES];
    size_t size;

    fill_last_group(w);
    start_scratched(w, w->spool->last_seal.offset);
    assert_int_equal(count_whole(w), 1);
    assert_true(spool_has_tail(w->spool, &tail));
    char *aside = read_alarmed(w, name, &size);
    assert_true(size > (LAST_GROUP - 2) * 5000);
    scratched = 0;
    struct segment *segment = spool_segment(w->spool, STORE_LOG, tail.segment);
    assert_int_equal(whole_ops->read(segment->handle, tail.offset, before, sizeof(before), 0),
                     sizeof(before));
    assert_memory_equal(aside, before, (LAST_GROUP - 2) * 5000);
    free(aside);
    w->now_us += 60 * 1000000;
    world_run(w);
    assert_int_equal(whole_ops->read(segment->handle, tail.offset, after, sizeof(after), 0),
                     sizeof(after));
    assert_memory_equal(before, after, sizeof(before));
}

/* The same damage in a segment of the same number: of another spool it is another file, at each
 * start the same one. */
static void what_was_copied_before_stays(void **state)
{
    struct world *w = *state;
    struct world_moved moved;
    char names[2][TEXT_BYTES], again[TEXT_BYTES];
    char *copies[2];
    size_t sizes[2], size;

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(world_accept(w, 10 + i, 2, 100), 0);
        assert_int_equal(world_commit(w), 0);
        assert_int_equal(w->spool->sealed.segment, 1);
        flip(w, 1, w->spool->last_seal.offset);
        world_crash(w, STORE_SIM_KILLED);
        copies[i] = read_alarmed(w, names[i], &sizes[i]);
        world_crash(w, STORE_SIM_KILLED);
        free(read_alarmed(w, again, &size));
        assert_string_equal(names[i], again);
        world_close(w);
        world_move_away(w, &moved);
        world_move_back(w, &moved, UINT64_MAX);
        world_open(w);
    }
    for (unsigned i = 0; i < 2; i++) {
        void *bytes;
        assert_int_equal(w->spool->ops->get_file(w->spool->store, names[i], 1 << 20, &bytes, &size),
                         0);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(bytes, copies[i], size);
        free(bytes);
        free(copies[i]);
    }
}

static void clock_set_back_delays_nothing(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_accept(w, 1, 1, 10), 0);
    world_run(w);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    for (unsigned i = 1; i <= 3; i++) {
        w->now_us += 60 * 1000000;
        assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DEFERRED), 0);
        world_run(w);
    }
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    assert_true(spool_next_try_us(w->spool) > w->now_us);
    w->now_us -= INT64_C(86400) * 1000000;
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    for (int i = 0; i < 3; i++) {
        world_run(w);
        w->now_us += 60 * 1000000;
    }
    assert_null(world_find(w, 1));
}

/* As fsck or a copy that broke off leave it. */
static void lose_end(struct world *w, uint64_t segment, uint64_t size)
{
    struct store_sim_damage damage = {.what = "log", .number = segment, .offset = size};

    store_sim_stop(w->disk);
    world_close(w);
    store_sim_restart(w->disk, STORE_SIM_POWER_CUT);
    store_sim_cut(w->disk, &damage);
    world_open(w);
}

/* 24 messages, eight a group; at what size of its file the first 16 are whole. */
static uint64_t fill_groups(struct world *w)
{
    uint64_t size = 0;

    w->options.block_bytes = 4096; /* a trailer would be written over several messages */
    w->options.segment_bytes = 256 * 1024;
    world_close(w);
    store_sim_free(w->disk);
    w->disk = store_sim_new(7);
    world_open(w);
    for (unsigned i = 1; i <= 24; i++) {
        assert_int_equal(world_accept(w, i, 1, 200), 0);
        if (i % 8 == 0)
            world_run(w);
        if (i == 16)
            size = w->spool->open->end;
    }
    return size;
}

static void check_whole(struct world *w, unsigned count)
{
    for (unsigned i = 1; i <= 24; i++) {
        if (i <= count)
            assert_int_equal(world_check(w, i, 1, 200), 0);
        else
            assert_null(world_find(w, i));
    }
}

/* A trailer would be written over what is left. It moves instead, and the file goes. */
static void what_is_left_of_a_file_without_its_end_is_saved(void **state)
{
    struct world *w = *state;
    uint64_t size = fill_groups(w), number = w->spool->open->number;
    static char event[7000];

    while (w->spool->open->number == number) {
        assert_int_equal(spool_event(w->spool, span_of(event, sizeof(event)), NULL, NULL), 0);
        world_run(w);
    }
    lose_end(w, number, size);
    assert_true(spool_damage_count(w->spool) > 0);
    check_whole(w, 16);
    world_run(w);
    check_whole(w, 16);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
    assert_null(spool_segment(w->spool, STORE_LOG, number));
    world_crash(w, STORE_SIM_POWER_CUT);
    check_whole(w, 16);
    assert_int_equal(spool_damage_count(w->spool), 0);
}

/* In the newest, too, no last block is a trailer's once the file has lost it. */
static void a_file_cut_behind_its_last_group_lacks_nothing(void **state)
{
    struct world *w = *state;

    fill_groups(w);
    lose_end(w, w->spool->open->number, w->spool->open->end);
    for (int round = 0; round < 3; round++) {
        check_whole(w, 24);
        assert_int_equal(spool_event(w->spool, SPAN("it serves on"), NULL, NULL), 0);
        world_run(w);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
        world_run(w);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
    assert_int_equal(spool_damage_count(w->spool), 0); /* the file is gone */
}

/* Behind the last of all numbers there is no next one. */
static void numbers_that_we_never_give_are_nobodys(void **state)
{
    static const uint64_t numbers[] = {0, UINT64_MAX - 1, UINT64_MAX};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        for (int kind = 0; kind < 2; kind++)
            assert_true(store_sim_litter(w->disk, STORE_SIM_ZEROS, (enum store_kind)kind,
                                         numbers[i], w->options.segment_bytes, 0));
    for (int round = 0; round < 2; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_in_range(w->spool->last_number[STORE_LOG], 0, 100);
        assert_in_range(w->spool->last_number[STORE_BULK], 0, 100);
    }
    assert_int_equal(spool_damage_count(w->spool), 0);
    world_fill(w, 60);
    assert_int_equal(world_accept_large(w, 100, 40000), 0);
    world_run(w);
    world_crash(w, STORE_SIM_POWER_CUT);
    world_check_others(w, 60, 0);
    assert_int_equal(world_check(w, 100, 2, 40000), 0);
}

/* A spool of one message, whose only segment has this number; its bytes, malloc'ed. */
static char *make_other_spool(unsigned message, uint64_t number, size_t size)
{
    struct world other = world_new();
    struct store_segment *segment;
    char *bytes = malloc(size);

    assert_non_null(bytes);
    assert_int_equal(other.options.segment_bytes, size);
    store_sim_litter(other.disk, STORE_SIM_ZEROS, STORE_LOG, number, size, 0);
    world_open(&other);
    assert_int_equal(world_accept(&other, message, 2, 3000), 0);
    world_run(&other);
    assert_int_equal(other.spool->sealed.segment, number);
    struct store *store = store_sim_open(other.disk);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, number, true, &segment), 0);
    assert_int_equal(store->ops->read(segment, 0, bytes, size, 0), size);
    store->ops->close_segment(segment);
    store->ops->close(store);
    world_done(&other);
    return bytes;
}

static void put_segment(struct world *w, uint64_t number, char *bytes, size_t size)
{
    struct store *store = store_sim_open(w->disk);
    struct store_segment *segment;

    assert_int_equal(store->ops->create_segment(store, STORE_LOG, number, size, &segment), 0);
    assert_int_equal(store->ops->write(segment, 0, &(struct iovec){bytes, size}, 1), 0);
    assert_int_equal(store->ops->sync(segment), 0);
    store->ops->close_segment(segment);
    store->ops->close(store);
}

/* Its header knows of no segment before it, and is the newest: it is put aside, for good. */
static void a_segment_of_another_spool_hides_none_of_ours(void **state)
{
    enum { NUMBER = 5000, THEIRS = 900 };
    struct world *w = *state;
    size_t size = w->options.segment_bytes;
    char *bytes = make_other_spool(THEIRS, NUMBER, size);

    world_fill(w, 100);
    assert_in_range(w->spool->sealed.segment, 2, NUMBER - 1);
    put_segment(w, NUMBER, bytes, size);
    for (int round = 0; round < 2; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        world_check_others(w, 100, 0);
        assert_null(world_find(w, THEIRS));
        assert_int_equal(store_sim_count_aside(w->disk), 1);
        assert_int_equal(spool_damage_count(w->spool), round == 0);
        assert_int_equal(world_accept(w, 200 + (unsigned)round, 2, 3000), 0);
        world_run(w);
    }
    free(bytes);
}

/* A later number, so it isn't the file's; yet none of ours was renamed, and what is free stays. */
static void a_segment_of_another_spool_under_one_of_our_numbers_costs_no_spare(void **state)
{
    enum { NUMBER = 5000, THEIRS = 900, FREE = 5 };
    struct world *w = *state;
    size_t size = w->options.segment_bytes;
    char *bytes = make_other_spool(THEIRS, NUMBER, size);

    w->spool->last_number[STORE_LOG] = 9;
    world_fill(w, 100);
    assert_in_range(w->spool->sealed.segment, 10, 100);
    uint32_t spares = spool_count_spares(w->spool, STORE_LOG);
    assert_in_range(spares, 1, 20);
    put_segment(w, FREE, bytes, size);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(spool_count_spares(w->spool, STORE_LOG), spares);
    assert_int_equal(store_sim_count_aside(w->disk), 1);
    assert_int_equal(spool_damage_count(w->spool), 1);
    assert_string_equal(spool_damage_at(w->spool, 0)->what,
                        "a segment is another spool's; it was put aside");
    world_check_others(w, 100, 0);
    free(bytes);
}

/* As when its file can't be renamed: it lies where one of ours is gone, so no header of ours leads
 * around it. */
static void the_book_passes_over_what_could_not_be_set_aside(void **state)
{
    enum { THEIRS = 900, GONE = 10, NUMBER = 5 };
    struct world *w = *state;
    size_t size = w->options.segment_bytes;
    struct spool_position at = {0, 0};
    struct spool_followed followed;
    struct spool_follower *follower;
    struct store_segment *segment;
    struct id first = world_id(1), theirs = world_id(THEIRS);
    bool has_first = false;
    int r;

    w->spool->last_number[STORE_LOG] = GONE - 1;
    world_fill(w, 100);
    assert_in_range(w->spool->sealed.segment, GONE + 1, 100);
    char *bytes = make_other_spool(THEIRS, NUMBER, size);
    assert_true(store_sim_put(w->disk, STORE_LOG, NUMBER, bytes, size));
    free(bytes);
    struct store *store = store_sim_open(w->disk);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, GONE, false, &segment), 0);
    assert_int_equal(store->ops->remove(segment), 0);
    assert_int_equal(spool_follower_new(store, at, &follower), 0);
    spool_follower_set_limit(follower, spool_sealed_position(w->spool));
    while ((r = spool_follower_next(follower, &followed)) > 0) {
        if (followed.kind != SPOOL_FOLLOWED_MESSAGE)
            continue;
        assert_memory_not_equal(&followed.message, &theirs, sizeof(theirs));
        has_first |= memcmp(&followed.message, &first, sizeof(first)) == 0;
    }
    assert_true(has_first);
    spool_follower_free(follower);
    assert_int_equal(r, 0);
}

/* What is in the last number's place must not lead ours to where they are never looked for again.
 */
static void numbers_do_not_go_on_behind_one_that_somebody_made_up(void **state)
{
    struct world *w = *state;

    for (uint64_t i = 0; i < 2; i++)
        for (int kind = 0; kind < 2; kind++)
            assert_true(store_sim_litter(w->disk, STORE_SIM_ZEROS, (enum store_kind)kind,
                                         SEGMENT_NUMBER_MAX - i, w->options.segment_bytes, 0));
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(store_sim_count_aside(w->disk), 4);
    world_fill(w, 100);
    assert_int_equal(world_accept_large(w, 101, 40000), 0);
    world_run(w);
    for (int round = 0; round < 2; round++) {
        assert_in_range(w->spool->last_number[STORE_LOG], 2, 100);
        assert_in_range(w->spool->last_number[STORE_BULK], 1, 100);
        world_crash(w, STORE_SIM_POWER_CUT);
        world_check_others(w, 100, 0);
        assert_int_equal(world_check(w, 101, 2, 40000), 0);
    }
}

/* Then mail is refused. A number that the next start passes over is given to none. */
static void behind_the_last_number_nothing_is_written(void **state)
{
    struct world *w = *state;

    w->spool->last_number[STORE_LOG] = w->spool->last_number[STORE_BULK] = SEGMENT_NUMBER_MAX;
    assert_int_equal(world_accept_large(w, 1, 40000), 0);
    world_run(w);
    assert_int_equal(w->failed, 1);
    assert_int_equal(w->last_error, -EOVERFLOW);
    for (int kind = 0; kind < 2; kind++)
        assert_int_equal(w->spool->last_number[kind], SEGMENT_NUMBER_MAX);
}

/* A group that failed although the disk has it: what was refused in segment 1 is cut off by the
 * header of segment 10, which says where 1 ended, whatever lies between. */
static void a_foreign_segment_between_ours_brings_back_nothing(void **state)
{
    enum { REFUSED = 500, THEIRS = 900 };
    struct world *w = *state;
    size_t size = w->options.segment_bytes;
    char *bytes = make_other_spool(THEIRS, 5, size);

    assert_int_equal(world_accept(w, 1, 2, 3000), 0);
    assert_int_equal(world_commit(w), 0);
    w->spool->last_number[STORE_LOG] = 9;
    world_run(w);
    assert_int_equal(spool_next_spare(w->spool)->number, 10);
    assert_int_equal(world_accept(w, REFUSED, 2, 3000), 0);
    struct spool_group *group = spool_take_group(w->spool, ++w->now_us);
    spool_write_group(group);
    assert_int_equal(group->error, 0);
    group->error = -EIO;
    spool_finish_group(w->spool, group, ++w->now_us);
    assert_int_equal(w->failed, 1);
    assert_int_equal(world_accept(w, 2, 2, 3000), 0);
    assert_int_equal(world_commit(w), 0);
    assert_int_equal(w->spool->sealed.segment, 10);
    for (int round = 0; round < 2; round++) {
        if (round)
            put_segment(w, 5, bytes, size);
        world_crash(w, STORE_SIM_POWER_CUT);
        world_check_others(w, 2, 0);
        assert_null(world_find(w, REFUSED));
        assert_null(world_find(w, THEIRS));
    }
    free(bytes);
}

/* More than ours, without a mark of our lane or with it. */
static void the_mark_says_which_segments_are_ours(void **state)
{
    enum { THEIRS = 900, FIRST = 50, COUNT = 4 };
    struct world *w = *state;
    size_t size = w->options.segment_bytes;

    world_fill(w, 10);
    assert_int_equal(w->spool->sealed.segment, 1);
    char *first = make_other_spool(THEIRS, FIRST, size);
    for (unsigned i = 0; i < COUNT; i++) {
        struct segment_header header;
        assert_int_equal(segment_decode_header(span_of(first, size), &header), 0);
        header.number = FIRST + i;
        segment_encode_header(&header, first);
        segment_encode_header(&header, first + w->options.block_bytes);
        assert_true(store_sim_put(w->disk, STORE_LOG, FIRST + i, first, size));
    }
    world_crash(w, STORE_SIM_POWER_CUT);
    world_check_others(w, 10, 0);
    assert_int_equal(store_sim_count_aside(w->disk), COUNT);
    free(first);
    /* Damaged it says nothing; of as many the oldest are ours. */
    assert_int_equal(store_sim_flip_file(w->disk, "lane", 300), 0);
    first = make_other_spool(THEIRS, FIRST + 100, size);
    assert_true(store_sim_put(w->disk, STORE_LOG, FIRST + 100, first, size));
    world_crash(w, STORE_SIM_POWER_CUT);
    world_check_others(w, 10, 0);
    assert_null(world_find(w, THEIRS));
    assert_int_equal(store_sim_count_aside(w->disk), COUNT + 1);
    free(first);
}

static int get_no_mark(struct store *store, const char *name, uint64_t max_bytes, void **out,
                       size_t *out_size)
{
    return strcmp(name, "lane") == 0 ? -EMFILE
                                     : whole_ops->get_file(store, name, max_bytes, out, out_size);
}

/* What can't be opened just now may name another lane than most segments do. */
static void without_descriptors_no_lane_is_chosen(void **state)
{
    struct world *w = *state;
    struct spool *spool;

    world_fill(w, 1);
    world_close(w);
    struct store *store = store_sim_open(w->disk);
    whole_ops = store->ops;
    scratched_ops = *whole_ops;
    scratched_ops.get_file = get_no_mark;
    store->ops = &scratched_ops;
    assert_int_equal(spool_open(store, &w->options, ++w->now_us, &spool, NULL), -EMFILE);
    world_open(w);
    assert_int_equal(world_check(w, 1, 2, 3000), 0);
}

/* A damaged header says nothing of its lane: the segment is no other spool's, and is named. */
static void a_damaged_header_is_not_foreign(void **state)
{
    struct world *w = *state;

    world_fill(w, 100);
    uint64_t newest = w->spool->sealed.segment;
    assert_in_range(newest, 3, 100);
    assert_int_equal(store_sim_flip(w->disk, STORE_LOG, 1, 8 * 32), 0); /* the copy is good */
    assert_int_equal(store_sim_flip(w->disk, STORE_LOG, 2, 8 * 32), 0);
    assert_int_equal(store_sim_flip(w->disk, STORE_LOG, 2, 8 * (w->options.block_bytes + 32)), 0);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(store_sim_count_aside(w->disk), 1);
    assert_int_equal(spool_damage_count(w->spool), 1);
    assert_non_null(world_find(w, 1));
    assert_non_null(world_find(w, 100));
    assert_int_equal(w->spool->sealed.segment, newest);
}

/* What the manual tells to do with one whose headers can't be read: zeros in their place, and a
 * mark that it isn't empty. */
static void a_copy_without_headers_is_kept(void **state)
{
    struct world *w = *state;
    size_t size = 2 * w->options.block_bytes;
    struct iovec headers = {calloc(1, size), size};
    struct store_segment *segment;

    world_fill(w, 100);
    uint64_t newest = w->spool->sealed.segment;
    store_sim_stop(w->disk);
    world_close(w);
    store_sim_restart(w->disk, STORE_SIM_POWER_CUT);
    *(char *)headers.iov_base = 'x';
    struct store *store = store_sim_open(w->disk);
    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, newest, false, &segment), 0);
    assert_int_equal(store->ops->write(segment, 0, &headers, 1), 0);
    assert_int_equal(store->ops->sync(segment), 0);
    store->ops->close_segment(segment);
    store->ops->close(store);
    free(headers.iov_base);
    world_open(w);
    assert_int_equal(store_sim_count_aside(w->disk), 1);
    assert_int_equal(spool_damage_count(w->spool), 1);
    assert_in_range(w->spool->sealed.segment, 1, newest - 1);
    assert_int_equal(world_accept(w, 200, 1, 3000), 0);
    world_run(w);
    assert_in_range(w->spool->sealed.segment, newest + 1, newest + 10);
}

/* Somebody else's; offsets of groups depend on it. */
static void another_block_size_is_named(void **state)
{
    struct world *w = *state;
    struct spool_obstacle obstacle;
    struct spool *spool;

    world_fill(w, 10);
    world_close(w);
    w->options.block_bytes *= 2;
    struct store *store = store_sim_open(w->disk);
    assert_int_equal(spool_open(store, &w->options, ++w->now_us, &spool, &obstacle), -EMEDIUMTYPE);
    assert_string_equal(obstacle.file, "log-0000000000000001");
    w->options.block_bytes /= 2;
    world_open(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_message_touches_only_itself),
        cmocka_unit_test_setup_teardown(damaged_message_stays_aside, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(damage_is_booked, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(damaged_last_group_is_absent, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(damaged_seal_costs_nothing, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(damaged_header_has_a_copy, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(damaged_outcome_is_told, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(finds_damage_by_scrubbing, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_newer, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(unreadable_is_not_damaged, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_block_costs_only_who_lies_in_it, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_seal_leaves_the_bytes, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_was_copied_before_stays, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(clock_set_back_delays_nothing, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(scrubbing_goes_on_when_the_clock_is_set_back, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_was_set_aside_may_be_removed, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_expansion_is_no_address, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(an_alias_without_its_expansion_is_damaged, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_is_left_of_a_file_without_its_end_is_saved,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_file_cut_behind_its_last_group_lacks_nothing, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(numbers_that_we_never_give_are_nobodys, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_segment_of_another_spool_hides_none_of_ours, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(
            a_segment_of_another_spool_under_one_of_our_numbers_costs_no_spare, world_setup,
            world_teardown),
        cmocka_unit_test_setup_teardown(numbers_do_not_go_on_behind_one_that_somebody_made_up,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(behind_the_last_number_nothing_is_written, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_foreign_segment_between_ours_brings_back_nothing,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_mark_says_which_segments_are_ours, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_copy_without_headers_is_kept, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(another_block_size_is_named, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(without_descriptors_no_lane_is_chosen, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_header_is_not_foreign, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(the_book_passes_over_what_could_not_be_set_aside,
                                        world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
