#include "compact_world.h"

#include <errno.h>

enum { KEEP = 10 }; /* every KEEPth message waits on */

/* Messages from..from+count-1 of two recipients; each KEEPth waits on with one of them done. */
static void pass(struct world *w, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        assert_int_equal(world_accept(w, i, 2, 3000), 0);
        assert_int_equal(world_commit(w), 0);
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_DELIVERED), 0);
        assert_int_equal(
            world_status(w, i, 1, i % KEEP ? SPOOL_OUTCOME_RELAYED : SPOOL_OUTCOME_DEFERRED), 0);
        world_run(w);
        if (i % 20 == 0)
            compact_fold(w);
    }
}

static void check(struct world *w, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        if (i % KEEP) {
            assert_null(world_find(w, i));
            continue;
        }
        assert_int_equal(world_check(w, i, 2, 3000), 0);
        struct spool_message *message = world_find(w, i);
        assert_int_equal(message->waiting, 1);
        struct spool_recipient *r = spool_find_recipient(message, 1);
        assert_int_equal(r->attempts, 3);
        assert_int_equal(r->next_attempt_us, 777);
    }
}

static void frees_segments_that_are_mostly_dead(void **state)
{
    struct world *w = *state;

    pass(w, 1, 400);
    compact_fold(w);
    assert_true(compact_counts(w).compacted > 3);
    assert_true(compact_counts(w).log_segments <= 8); /* 40 messages alive, 400 passed through */
    check(w, 1, 400);
    for (int round = 0; round < 3; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        check(w, 1, 400);
        assert_int_equal(spool_damage_count(w->spool), 0);
        compact_fold(w);
    }
    /* Finish them: nothing comes back. */
    for (unsigned i = KEEP; i <= 400; i += KEEP)
        assert_int_equal(world_status(w, i, 1, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    pass(w, 401, 9);
    compact_fold(w);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(w->spool->index.messages, 0);
}

/* A crash after every group of it: no state is lost, none comes back. */
static void may_be_cut_off_anywhere(void **state)
{
    struct world *w = *state;

    w->options.keep_segments = 1000;
    w->spool->options.keep_segments = 1000;
    pass(w, 1, 150);
    w->options.keep_segments = 1;
    for (unsigned steps = 1; steps < 40; steps++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        check(w, 1, 150);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
        for (unsigned i = 0; i < steps; i++) {
            struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
            if (task) {
                spool_run_task(task);
                spool_finish_task(w->spool, task, ++w->now_us);
            }
            world_commit(w);
        }
    }
}

/* Outcomes that arrive while a message moves belong to its new home. */
static void statuses_meet_moves(void **state)
{
    struct world *w = *state;
    unsigned met = 0;

    w->spool->options.keep_segments = 1000;
    pass(w, 1, 200);
    compact_fold(w);
    w->spool->options.keep_segments = 1;
    w->spool->tasks_due = true;
    for (unsigned i = 0; i < 200; i++) {
        struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
        if (task) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
        if (!list_is_empty(&w->spool->moves)) {
            for (unsigned n = KEEP; n <= 200; n += KEEP) {
                if (world_find(w, n) && ++met % 3 == 0)
                    assert_int_equal(world_status(w, n, 1, SPOOL_OUTCOME_RETURNED), 0);
            }
        }
        world_commit(w);
    }
    compact_fold(w);
    uint64_t left = w->spool->index.messages;
    assert_true(met > 3 && left > 0 && left < 20);
    pass(w, 201, 99);
    compact_fold(w);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(w->spool->index.messages, left + 9);
}

static void keeps_expansions_and_held(void **state)
{
    struct world *w = *state;
    struct envelope_recipient own[] = {{.address = SPAN("list@a.example")},
                                       {.address = SPAN("bob@a.example")}};
    struct envelope_recipient children[] = {{.address = SPAN("x@b.example")},
                                            {.address = SPAN("y@c.example")}};
    struct spool_expansion expansion = {0, children, 2};
    struct envelope e = {.id = world_id(5000), .recipients = own, .recipient_count = 2};
    struct spool_accept a = {
        .envelope = &e, .body = SPAN("hello"), .expansions = &expansion, .expansion_count = 1};
    const struct spool_stored *stored;
    struct spool_reader *reader;

    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
    assert_int_equal(world_status(w, 5000, 3, SPOOL_OUTCOME_HELD), 0);
    assert_int_equal(world_status(w, 5000, 2, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 5000, 1, SPOOL_OUTCOME_NOTIFIED), 0);
    uint64_t first = index_home(world_find(w, 5000))->number;
    pass(w, 1, 300);
    compact_fold(w);
    for (int round = 0; round < 2; round++) {
        struct spool_message *message = world_find(w, 5000);
        assert_true(index_home(message)->number > first);
        assert_int_equal(message->waiting, 2);
        assert_int_equal(spool_find_recipient(message, 3)->state, SPOOL_RECIPIENT_HELD);
        assert_int_equal(spool_find_recipient(message, 1)->state, SPOOL_RECIPIENT_WAITING);
        assert_true(spool_find_recipient(message, 1)->is_notified);
        assert_false(spool_find_recipient(message, 3)->is_notified);
        assert_int_equal(spool_reader_open(w->spool, message, &reader), 0);
        assert_int_equal(spool_reader_load(reader, &stored), 0);
        assert_span(spool_stored_recipient(stored, 3)->address, "y@c.example");
        spool_reader_close(w->spool, reader);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

static void empties_bulk(void **state)
{
    struct world *w = *state;

    for (unsigned i = 1; i <= 60; i++) {
        assert_int_equal(world_accept_large(w, i, 40000), 0);
        world_run(w);
        if (i % KEEP == 0)
            continue;
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_RELAYED), 0);
        assert_int_equal(world_status(w, i, 1, SPOOL_OUTCOME_RELAYED), 0);
        world_run(w);
    }
    uint64_t used = 0;
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    used += CONTAINER_OF(link, struct segment, link)->live_messages > 0;
    assert_true(used <= 3); /* six messages of 40,000 bytes, 256 KiB a segment */
    assert_true(compact_counts(w).compacted > 2);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = KEEP; i <= 60; i += KEEP)
            assert_int_equal(world_check(w, i, 2, 40000), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    assert_int_equal(CONTAINER_OF(link, struct segment, link)->pins, 0);
}

/* Unless there is always more to do. */
static bool comes_to_rest(struct world *w)
{
    enum { STEPS = 3000 };
    bool again = true;

    for (int i = 0; i < STEPS && again; i++) {
        struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
        if (task) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
        again = world_commit(w) == 0 || task;
    }
    return !again;
}

/* Copying frees nothing where only the blocks' last bytes are dead. */
static void bulk_that_is_alive_is_left_alone(void **state)
{
    enum { COUNT = 300, SIZE = 200 };
    struct world *w = *state;

    world_close(w);
    w->options.bulk_segment_bytes = 16 * 1024;
    world_open(w);
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_equal(world_accept_large(w, i, SIZE), 0);
        assert_true(comes_to_rest(w));
    }
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    assert_true(comes_to_rest(w));
    world_crash(w, STORE_SIM_POWER_CUT); /* one that was open counts as full from then on */
    assert_true(comes_to_rest(w));
    uint64_t compacted = compact_counts(w).compacted;
    assert_true(compact_counts(w).bulk_segments > w->options.keep_segments + 5);
    for (int quiet = 0; quiet < 10; quiet++) {
        w->now_us += 3600 * INT64_C(1000000);
        w->spool->tasks_due = true;
        assert_true(comes_to_rest(w));
    }
    assert_int_equal(compact_counts(w).compacted, compacted);
    for (unsigned i = 1; i <= COUNT; i++)
        assert_int_equal(world_check(w, i, 2, SIZE), 0);
}

/* A copy has places in its segment and waits for more. */
static bool has_places(const struct world *w)
{
    return w->spool->bulk_wanted && w->spool->bulk_open[BULK_COPIES];
}

/* Two threads that write to one segment take each other's errors. */
static void uploads_keep_off_where_a_copy_has_places(void **state)
{
    enum { COPIED = 3 * 16384, SMALL = 4000 };
    struct world *w = *state;
    struct spool_task *task;

    assert_int_equal(world_accept_large(w, 1, COPIED), 0);
    world_run(w);
    world_close(w);
    w->options.bulk_segment_bytes = 40 * 1024; /* two extents and a little */
    world_open(w);
    bulk_abandon(w->spool, CONTAINER_OF(w->spool->segments[STORE_BULK].next, struct segment, link),
                 -EIO);
    while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL && !has_places(w)) {
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    assert_true(has_places(w));
    assert_int_equal(world_accept_large(w, 2, SMALL), 0);
    struct spool_task *other = spool_take_task(w->spool, ++w->now_us);
    const struct move *move = CONTAINER_OF(w->spool->compaction->copies.next, struct move, link);
    const struct segment *open = w->spool->bulk_open[BULK_UPLOADS];
    assert_true(!open || open->number != move->extents[0].segment);
    spool_run_task(task);
    spool_finish_task(w->spool, task, ++w->now_us);
    if (other) {
        spool_run_task(other);
        spool_finish_task(w->spool, other, ++w->now_us);
    }
    world_run(w);
    assert_int_equal(world_check(w, 1, 2, COPIED), 0);
    assert_int_equal(world_check(w, 2, 2, SMALL), 0);
}

/* Segments were made smaller: a message takes more of the new ones than are ever free at a time. */
static void moves_into_many_smaller_segments(void **state)
{
    enum { LARGE = 480 * 1024, COUNT = 6 };
    struct world *w = *state;

    world_close(w);
    w->options.bulk_segment_bytes = 1024 * 1024;
    w->options.free_segments = 2;
    world_open(w);
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_equal(world_accept_large(w, i, LARGE), 0);
        world_run(w);
    }
    for (unsigned i = 2; i < COUNT; i++)
        for (uint32_t to = 0; to < 2; to++)
            assert_int_equal(world_status(w, i, to, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    world_close(w);
    w->options.bulk_segment_bytes = 64 * 1024;
    world_open(w);
    assert_true(comes_to_rest(w));
    assert_null(w->spool->compaction);
    assert_true(compact_counts(w).compacted > 0);
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        assert_int_equal(segment->pins, 0);
        assert_true(segment->size_bytes == w->options.bulk_segment_bytes || segment->live_messages);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 2, LARGE), 0);
        assert_int_equal(world_check(w, COUNT, 2, LARGE), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

/* As world_run(). How often was that segment begun to be emptied? */
static unsigned run_and_count(struct world *w, const struct segment *victim)
{
    struct spool_task *task;
    unsigned count = 0;

    do {
        while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
            const struct compaction *c = w->spool->compaction;
            count += task->kind == TASK_COMPACT && c->stage == COMPACT_SCAN && c->victim == victim;
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
    } while (world_commit(w) == 0);
    return count;
}

/* What is said of others in it would be said again at each checkpoint. */
static void assert_left_alone(struct world *w, unsigned number)
{
    const struct segment *victim = index_home(world_find(w, number));
    uint64_t checkpoint = w->spool->checkpoint_position.segment;
    unsigned count = 0;

    for (unsigned i = 1000; i < 1100; i++) {
        assert_int_equal(world_accept(w, i, 1, 3000), 0);
        assert_int_equal(world_commit(w), 0);
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_RELAYED), 0);
        count += run_and_count(w, victim);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
    }
    assert_true(w->spool->checkpoint_position.segment > checkpoint + 8);
    assert_false(id_is_zero(&victim->stuck_on));
    assert_in_range(count, 0, 1);
}

/* One that is damaged stays where it is, and its segment with it: that is booked once, not at each
 * checkpoint. When somebody has removed it the segment goes. */
static void damage_is_told_once(void **state)
{
    struct world *w = *state;

    world_close(w);
    w->options.segment_bytes = 32 * 1024;
    w->options.checkpoint_segments = 1;
    world_open(w);
    assert_int_equal(world_accept(w, 1, 1, 500), 0);
    world_run(w);
    struct spool_message *m = world_find(w, 1);
    uint64_t number = index_home(m)->number;
    uint64_t bit = 8 * (uint64_t)(m->offset + RECORD_HEADER_BYTES + 10);
    assert_int_equal(store_sim_flip(w->disk, STORE_LOG, number, bit), 0);
    pass(w, 1001, 9);
    for (unsigned i = 2000; i < 2400; i++) {
        assert_int_equal(world_accept(w, i, 1, 3000), 0);
        assert_int_equal(world_commit(w), 0);
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_RELAYED), 0);
        world_run(w);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
    }
    assert_int_equal(spool_damage_count(w->spool), 2); /* compaction's word, and the message */
    assert_left_alone(w, 1);
    assert_int_equal(spool_damage_count(w->spool), 2);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_REMOVED), 0);
    pass(w, 3001, 200);
    compact_fold(w);
    assert_false(recycle_exists(w->spool, number));
}

/* The configuration made segments smaller while a message waited that fits none of them now. Its
 * segment stays with it; all else moves, and mail goes on. */
static void leaves_what_fits_no_segment(void **state)
{
    struct world *w = *state;

    world_close(w);
    w->options.inline_bytes = 60 * 1024;
    w->options.keep_segments = 1000;
    world_open(w);
    assert_int_equal(world_accept(w, 500, 2, 60 * 1024), 0);
    pass(w, 1, 30);
    world_close(w);
    w->options.segment_bytes = 32 * 1024;
    w->options.keep_segments = 1;
    w->options.compact_percent = 90;
    world_open(w);
    pass(w, 31, 100);
    compact_fold(w);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(w->failed, 0);
        assert_true(compact_counts(w).compacted > 0);
        assert_int_equal(spool_damage_count(w->spool), 0);
        check(w, 1, 130);
        assert_int_equal(world_check(w, 500, 2, 60 * 1024), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
        pass(w, 131 + 20 * round, 20);
        compact_fold(w);
    }
    assert_left_alone(w, 500);
    LIST_EACH(&w->spool->segments[STORE_LOG], link)
    assert_true(CONTAINER_OF(link, struct segment, link)->state != SEGMENT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frees_segments_that_are_mostly_dead, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(may_be_cut_off_anywhere, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(statuses_meet_moves, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(keeps_expansions_and_held, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(empties_bulk, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(moves_into_many_smaller_segments, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(leaves_what_fits_no_segment, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(damage_is_told_once, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(bulk_that_is_alive_is_left_alone, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(uploads_keep_off_where_a_copy_has_places, compact_setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
