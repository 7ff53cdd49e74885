#include "spool_world.h"

#include "spool/compact.h"
#include <errno.h>

enum { KEEP = 10 }; /* every KEEPth message waits on */

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.keep_segments = 1;
    w.options.checkpoint_segments = 3;
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

static void fold(struct world *w)
{
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
}

static struct spool_counts counts(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->spool, &c);
    return c;
}

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
            fold(w);
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
    fold(w);
    assert_true(counts(w).compacted > 3);
    assert_true(counts(w).log_segments <= 8); /* 40 messages alive, 400 passed through */
    check(w, 1, 400);
    for (int round = 0; round < 3; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        check(w, 1, 400);
        assert_int_equal(spool_damage_count(w->spool), 0);
        fold(w);
    }
    /* Finish them: nothing comes back. */
    for (unsigned i = KEEP; i <= 400; i += KEEP)
        assert_int_equal(world_status(w, i, 1, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    pass(w, 401, 9);
    fold(w);
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
    fold(w);
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
    fold(w);
    uint64_t left = w->spool->index.messages;
    assert_true(met > 3 && left > 0 && left < 20);
    pass(w, 201, 99);
    fold(w);
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
    fold(w);
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
    assert_true(counts(w).compacted > 2);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = KEEP; i <= 60; i += KEEP)
            assert_int_equal(world_check(w, i, 2, 40000), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    assert_int_equal(CONTAINER_OF(link, struct segment, link)->pins, 0);
}

/* Rule 6: after a failed sync what lives in the segment is written anew, and the segment goes. */
static void evacuates_what_failed(void **state)
{
    struct world *w = *state;
    struct store_sim_faults faults = {.sync_error = 10000};

    w->spool->options.keep_segments = 1000;
    assert_int_equal(world_accept(w, 1, 2, 2000), 0);
    assert_int_equal(world_accept_large(w, 2, 50000), 0);
    world_run(w);
    struct segment *home = index_home(world_find(w, 1));
    uint64_t failed = home->number;
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_commit(w), 0);

    assert_int_equal(world_accept(w, 3, 1, 2000), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    w->failed = 0;
    store_sim_set_faults(w->disk, &faults);
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    assert_int_equal(w->failed, 2);
    assert_int_equal(w->last_error, -EIO);
    assert_null(world_find(w, 3));
    assert_int_equal(home->state, SEGMENT_FAILED);

    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_accept(w, 3, 1, 2000), 0);
    world_run(w);
    assert_true(index_home(world_find(w, 1))->number > failed);
    fold(w);
    assert_null(spool_segment(w->spool, STORE_LOG, failed));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 2, 2000), 0);
        assert_int_equal(world_check(w, 2, 2, 50000), 0);
        assert_int_equal(world_check(w, 3, 1, 2000), 0);
        assert_int_equal(world_find(w, 1)->waiting, 1);
        assert_int_equal(spool_find_recipient(world_find(w, 1), 1)->attempts, 3);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

/* Accepts mail until the log goes on in another segment than `segment`. */
static void leave_segment(struct world *w, uint64_t segment)
{
    for (unsigned i = 9000; w->spool->open->number == segment; i++) {
        assert_int_equal(world_accept(w, i, 1, 7000), 0);
        world_run(w);
    }
}

static void fail_segment(struct world *w)
{
    assert_int_equal(spool_event(w->spool, SPAN("lost"), NULL, NULL), 0);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
}

static void give_outcomes(struct world *w)
{
    struct spool_status reroute = {
        .recipient = 4, .outcome = SPOOL_OUTCOME_REROUTED, .host = SPAN("host:gate.example:25")};

    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_status(w, 1, 2, SPOOL_OUTCOME_HELD), 0);
    assert_int_equal(world_status(w, 1, 3, SPOOL_OUTCOME_NOTIFIED), 0);
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &reroute, 1, NULL, NULL), 0);
    assert_int_equal(world_status(w, 2, 0, SPOOL_OUTCOME_RELAYED), 0);
    assert_int_equal(world_status(w, 2, 1, SPOOL_OUTCOME_RETURNED), 0);
    world_run(w);
}

static void check_outcomes(struct world *w)
{
    assert_null(world_find(w, 2));
    assert_int_equal(world_check(w, 1, 5, 500), 0);
    struct spool_message *m = world_find(w, 1);
    assert_int_equal(m->waiting, 4);
    assert_null(spool_find_recipient(m, 0));
    assert_int_equal(spool_find_recipient(m, 1)->attempts, 3);
    assert_int_equal(spool_find_recipient(m, 1)->next_attempt_us, 777);
    assert_int_equal(spool_find_recipient(m, 2)->state, SPOOL_RECIPIENT_HELD);
    assert_false(spool_find_recipient(m, 2)->is_notified);
    assert_true(spool_find_recipient(m, 3)->is_notified);
    assert_span(spool_domain(w->spool, spool_find_recipient(m, 1)->domain), "d1.example");
    assert_span(spool_domain(w->spool, spool_find_recipient(m, 4)->domain), "host:gate.example:25");
}

/* Rule 5b: outcomes leave their segment only for another one, as long as the MESSAGE records that
 * they are of lie somewhere. Without that a restart would deliver again what was delivered. */
static void outcomes_outlive_their_segment(void **state)
{
    struct world *w = *state;

    world_close(w);
    w->options.keep_segments = w->options.checkpoint_segments = 1000;
    world_open(w);
    assert_int_equal(world_accept(w, 1, 5, 500), 0);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    world_run(w);
    uint64_t home = w->spool->open->number;
    leave_segment(w, home);
    uint64_t outcomes = w->spool->open->number;
    give_outcomes(w);
    check_outcomes(w);
    fail_segment(w);
    assert_int_equal(spool_segment(w->spool, STORE_LOG, outcomes)->state, SEGMENT_FAILED);
    world_run(w);
    fold(w);
    assert_null(spool_segment(w->spool, STORE_LOG, outcomes));
    assert_int_equal(index_home(world_find(w, 1))->number, home);
    for (int round = 0; round < 2; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        check_outcomes(w);
        assert_int_equal(spool_damage_count(w->spool), 0);
    }
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DELIVERED), 0);
    world_run(w);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(world_find(w, 1)->waiting, 3);
}

/* What is said again is computed when its group is taken: after a group that failed, anew. */
static void a_failed_group_says_outcomes_again_as_they_are_then(void **state)
{
    struct world *w = *state;
    struct spool_task *task;

    world_close(w);
    w->options.keep_segments = w->options.checkpoint_segments = 1000;
    world_open(w);
    assert_int_equal(world_accept(w, 1, 5, 500), 0);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    world_run(w);
    leave_segment(w, w->spool->open->number);
    uint64_t outcomes = w->spool->open->number;
    give_outcomes(w);
    fail_segment(w);
    assert_int_equal(world_accept(w, 5000, 1, 100), 0);
    assert_int_equal(world_commit(w), 0);
    while (list_is_empty(&w->spool->restates)) {
        task = spool_take_task(w->spool, ++w->now_us);
        if (!task && list_is_empty(&w->spool->restates)) /* what lives there moves first */
            assert_int_equal(world_commit(w), 0);
        if (!task)
            continue;
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    fail_segment(w); /* with what was to be said again in it */
    assert_false(list_is_empty(&w->spool->restates));
    w->now_us += 1000 * w->options.retry_us;
    world_run(w);
    fold(w);
    assert_null(spool_segment(w->spool, STORE_LOG, outcomes));
    world_crash(w, STORE_SIM_POWER_CUT);
    check_outcomes(w);
}

static void open_alone(struct world *w)
{
    world_close(w);
    w->options.keep_segments = w->options.checkpoint_segments = 1000;
    world_open(w);
}

/* What lies in the open bulk segment must move: its message is said again in the open log segment.
 */
static void fail_bulk(struct world *w, unsigned number)
{
    assert_int_equal(world_accept_large(w, number, 50000), 0);
    struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
    assert_int_equal(task->kind, TASK_BULK);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    spool_run_task(task);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    spool_finish_task(w->spool, task, ++w->now_us);
    w->now_us += 1000 * w->options.retry_us;
    world_run(w);
}

/* Rule 5b over several homes: what was moved, and finished there, stays finished as long as its
 * first record lies on disk, whatever becomes of the segments between. */
static void what_was_moved_stays_finished_while_its_first_record_is_there(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    assert_int_equal(world_accept(w, 2, 2, 500), 0); /* keeps the first segment */
    world_run(w);
    uint64_t first = w->spool->open->number;
    leave_segment(w, first);
    uint64_t second = w->spool->open->number;
    fail_bulk(w, 3);
    assert_int_equal(index_home(world_find(w, 1))->number, second);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_RELAYED), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    assert_null(world_find(w, 1));
    for (int i = 0; i < 2; i++) { /* what was said again is said again */
        uint64_t number = w->spool->open->number;
        fail_segment(w);
        world_run(w);
        fold(w);
        assert_null(spool_segment(w->spool, STORE_LOG, number));
    }
    assert_true(recycle_exists(w->spool, first));
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_null(world_find(w, 1));
    assert_int_equal(world_check(w, 2, 2, 500), 0);
    assert_int_equal(spool_damage_count(w->spool), 0);
}

/* Events until the log goes on in another segment. */
static void pass_segment(struct world *w, struct spool_task **held)
{
    static char event[7000];
    uint64_t number = w->spool->open ? w->spool->open->number : 0;
    struct spool_task *task;

    while (!w->spool->open || w->spool->open->number == number) {
        assert_int_equal(spool_event(w->spool, span_of(event, sizeof(event)), NULL, NULL), 0);
        assert_int_equal(world_commit(w), 0);
        while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
            if (held && task->kind == TASK_COMPACT) {
                *held = task;
                continue;
            }
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
    }
}

/* As world_run(), but the thread that loads what is to be moved takes so long that the log goes on
 * in another segment meanwhile. */
static void run_with_a_slow_load(struct world *w)
{
    struct spool_task *task, *held = NULL;

    assert_int_equal(spool_event(w->spool, SPAN("go"), NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
    w->now_us += 1000 * w->options.retry_us;
    while (!held) {
        task = spool_take_task(w->spool, ++w->now_us);
        assert_non_null(task);
        if (task->kind == TASK_COMPACT && w->spool->compaction->stage == COMPACT_MOVE) {
            held = task;
            break;
        }
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    pass_segment(w, &held);
    spool_run_task(held);
    spool_finish_task(w->spool, held, ++w->now_us);
    world_run(w);
    fold(w);
}

/* Message 1 is done, and all that may go has gone. Nobody brings it back, checkpoint or not. */
static void finish_for_good(struct world *w)
{
    pass_segment(w, NULL);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(world_status(w, 1, i, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    for (int i = 0; i < 2; i++) {
        pass_segment(w, NULL);
        fold(w);
    }
    for (int round = 0; round < 2; round++) {
        assert_null(world_find(w, 1));
        assert_int_equal(world_check(w, 2, 2, 7000), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

/* Rule 5b over several homes, of one that waits while the segment between goes: what ends it later
 * must stay as long as its first record. It says so of its home only, so the home must stay. */
static void what_waits_is_tied_to_all_its_records(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    assert_int_equal(world_accept(w, 2, 2, 7000), 0); /* keeps the first segment */
    world_run(w);
    uint64_t first = w->spool->open->number;
    pass_segment(w, NULL);
    uint64_t second = w->spool->open->number;
    fail_bulk(w, 3);
    assert_int_equal(index_home(world_find(w, 1))->number, second);
    fail_segment(w);
    run_with_a_slow_load(w);
    assert_null(spool_segment(w->spool, STORE_LOG, second));
    assert_true(index_home(world_find(w, 1))->number > second);
    finish_for_good(w);
    assert_true(recycle_exists(w->spool, first));
}

/* Empties what holds nothing alive, and nothing else. */
static void empty_dead_segments(struct world *w)
{
    w->spool->options.compact_percent = 1;
    w->spool->options.keep_segments = 0;
    fold(w);
}

/* The same when it lives in neither of the two: it moves all the same, once. */
static void what_lives_elsewhere_moves_to_be_tied(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    assert_int_equal(world_accept(w, 2, 2, 7000), 0);
    world_run(w);
    uint64_t first = w->spool->open->number;
    for (unsigned i = 0; i < 2; i++) { /* from the first to the second, and on to the third */
        pass_segment(w, NULL);
        fail_bulk(w, 3 + i);
    }
    uint64_t third = index_home(world_find(w, 1))->number;
    assert_int_equal(third, first + 2);
    pass_segment(w, NULL);
    w->spool->options.compact_percent = 1;
    w->spool->options.keep_segments = 0;
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    for (int i = 0; i < 100 && index_home(world_find(w, 1))->number == third; i++) {
        struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
        if (!task) {
            world_commit(w);
            continue;
        }
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    uint64_t home = index_home(world_find(w, 1))->number;
    assert_true(home > third);
    world_crash(w, STORE_SIM_POWER_CUT); /* before the second could go */
    assert_non_null(spool_segment(w->spool, STORE_LOG, first + 1));
    empty_dead_segments(w);
    assert_false(recycle_exists(w->spool, first + 1));
    assert_int_equal(index_home(world_find(w, 1))->number, home);
    finish_for_good(w);
    assert_true(recycle_exists(w->spool, first));
}

/* The same of a restated outcome whose segment fails, over and over. */
static void outcomes_are_said_again_as_often_as_need_be(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept(w, 1, 5, 500), 0);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    world_run(w);
    leave_segment(w, w->spool->open->number);
    give_outcomes(w);
    for (int i = 0; i < 3; i++) {
        uint64_t number = w->spool->open->number;
        fail_segment(w);
        world_run(w);
        fold(w);
        assert_null(spool_segment(w->spool, STORE_LOG, number));
    }
    world_crash(w, STORE_SIM_POWER_CUT);
    check_outcomes(w);
}

/* What recovery knows of segments is what was known before: which outcomes must stay. */
static void concerns_are_known_again_after_a_crash(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    world_run(w);
    uint64_t first = w->spool->open->number;
    fail_segment(w);
    world_run(w);
    const struct segment *second = index_home(world_find(w, 1));
    uint64_t number = second->number;
    assert_int_equal(second->concern_count, 1);
    assert_int_equal(second->concerns[0], first);
    world_crash(w, STORE_SIM_POWER_CUT);
    second = spool_segment(w->spool, STORE_LOG, number);
    assert_non_null(second);
    assert_int_equal(second->concern_count, 1);
    assert_int_equal(second->concerns[0], first);
}

/* A disk that doesn't give what must move is asked again: nothing is given up, and nothing taken
 * for damaged. */
static void what_could_not_be_read_is_moved_later(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    world_run(w);
    uint64_t first = w->spool->open->number;
    fail_segment(w);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    store_sim_set_stumbling(w->disk, 10000, 1000);
    world_run(w);
    assert_int_equal(index_home(world_find(w, 1))->number, first);
    assert_int_equal(spool_damage_count(w->spool), 0);
    store_sim_set_stumbling(w->disk, 0, 0);
    for (int pause = 0; pause < 2; pause++) { /* after the scan, and after the whole */
        w->now_us += 100 * w->options.retry_us;
        world_run(w);
    }
    assert_true(index_home(world_find(w, 1))->number > first);
    assert_int_equal(world_check(w, 1, 2, 500), 0);
}

/* Bad places of the disk: where the records of the messages from 1 on begin. */
static struct world *scratched_world;
static const struct store_ops *whole_ops;
static struct store_ops scratched_ops;
static unsigned scratched_count; /* 0: nothing is scratched any more */

static ssize_t scratched_read(struct store_segment *segment, uint64_t offset, void *out,
                              size_t size, int flags)
{
    for (unsigned i = 1; i <= scratched_count; i++) {
        struct spool_message *m = world_find(scratched_world, i);
        if (m && index_home(m)->handle == segment && offset <= m->offset &&
            offset + size > m->offset)
            return -EIO;
    }
    return whole_ops->read(segment, offset, out, size, flags);
}

static void scratch(struct world *w, unsigned count)
{
    scratched_world = w;
    scratched_count = count;
    whole_ops = w->spool->ops;
    scratched_ops = *whole_ops;
    scratched_ops.read = scratched_read;
    w->spool->ops = &scratched_ops;
}

/* Minutes, with all their pauses. */
static void wait_long(struct world *w, int minutes)
{
    for (int i = 0; i < minutes; i++) {
        w->now_us += 60 * INT64_C(1000000);
        w->spool->tasks_due = true;
        fold(w);
    }
}

/* Message 1 lives in the third segment, where it can't be read, and the second has a word on its
 * first record: that one stays as it is. What failed after it is emptied all the same. */
static void what_lives_unreadable_elsewhere_blocks_nothing(void **state)
{
    struct world *w = *state;

    open_alone(w);
    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    assert_int_equal(world_accept(w, 2, 2, 7000), 0); /* keeps the first segment */
    world_run(w);
    uint64_t first = w->spool->open->number;
    pass_segment(w, NULL);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DEFERRED), 0);
    pass_segment(w, NULL);
    fail_bulk(w, 3);
    assert_int_equal(index_home(world_find(w, 1))->number, first + 2);
    pass_segment(w, NULL);
    scratch(w, 1);
    empty_dead_segments(w);
    assert_true(recycle_exists(w->spool, first) && recycle_exists(w->spool, first + 1));
    assert_int_equal(world_accept(w, 5, 1, 500), 0);
    world_run(w);
    uint64_t failed = w->spool->open->number;
    fail_segment(w);
    wait_long(w, 10);
    assert_true(index_home(world_find(w, 5))->number > failed);
    assert_null(spool_segment(w->spool, STORE_LOG, failed));
    assert_int_equal(world_check(w, 5, 1, 500), 0);
    assert_true(recycle_exists(w->spool, first + 1));
    assert_int_equal(spool_damage_count(w->spool), 0);
    scratched_count = 0;
    w->spool->options.checkpoint_segments = 1;
    for (int i = 0; i < 2; i++) {
        pass_segment(w, NULL);
        wait_long(w, 10);
    }
    assert_false(recycle_exists(w->spool, first + 1)); /* tried again after a checkpoint */
    finish_for_good(w);
}

/* What lives in what failed is tried again, but behind what else there is to empty. */
static void what_could_not_be_read_comes_last(void **state)
{
    enum { COUNT = 4, BAD = 2 };
    struct world *w = *state;
    uint64_t homes[COUNT];

    open_alone(w);
    scratch(w, BAD);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(world_accept(w, 1 + i, 1, 500), 0);
        world_run(w);
        homes[i] = w->spool->open->number;
        fail_segment(w);
    }
    wait_long(w, 10);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(index_home(world_find(w, 1 + i))->number > homes[COUNT - 1], i >= BAD);
    scratched_count = 0;
    wait_long(w, 4);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(world_check(w, 1 + i, 1, 500), 0);
        assert_null(spool_segment(w->spool, STORE_LOG, homes[i]));
    }
}

static void evacuates_failed_bulk(void **state)
{
    struct world *w = *state;
    struct store_sim_faults faults = {.sync_error = 10000};

    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    world_run(w);
    assert_int_equal(world_accept_large(w, 2, 50000), 0);
    struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
    assert_int_equal(task->kind, TASK_BULK);
    store_sim_set_faults(w->disk, &faults);
    spool_run_task(task);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    w->failed = 0;
    spool_finish_task(w->spool, task, ++w->now_us);
    assert_int_equal(w->failed, 1);
    w->now_us += w->options.retry_us;
    assert_int_equal(world_accept_large(w, 3, 50000), 0);
    world_run(w);
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    assert_true(CONTAINER_OF(link, struct segment, link)->state != SEGMENT_FAILED);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 2, 50000), 0);
        assert_null(world_find(w, 2));
        assert_int_equal(world_check(w, 3, 2, 50000), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

/* Segments were made smaller: a message takes more of the new ones than are ever free at a time. */
static void moves_into_many_smaller_segments(void **state)
{
    enum { LARGE = 480 * 1024, COUNT = 6, STEPS = 3000 };
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
    bool again = true;
    for (int i = 0; i < STEPS && again; i++) {
        struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
        if (task) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
        again = world_commit(w) == 0 || task;
    }
    assert_false(again);
    assert_null(w->spool->compaction);
    assert_true(counts(w).compacted > 0);
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

/* Tasks of compaction until one is taken that copies; that one isn't run. */
static struct spool_task *take_copy(struct world *w)
{
    struct spool_task *task = NULL;

    for (bool is_copy = false; !is_copy;) {
        const struct compaction *c = w->spool->compaction;
        bool has_copies = c && !list_is_empty(&c->copies);
        task = spool_take_task(w->spool, ++w->now_us);
        is_copy = task && task->kind == TASK_COMPACT && has_copies;
        if (!task)
            assert_int_equal(world_commit(w), 0);
        else if (!is_copy) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
    }
    return task;
}

static struct spool_task *take_upload(struct world *w)
{
    struct spool_task *task = spool_take_task(w->spool, ++w->now_us);

    if (task->kind == TASK_PREPARE) {
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
        task = spool_take_task(w->spool, ++w->now_us);
    }
    assert_int_equal(task->kind, TASK_BULK);
    return task;
}

static struct world *interrupted_world;
static struct store_ops interrupted_ops;
static struct spool_task *interrupting;

/* The other thread's write and failing sync come between the write and the sync of this one. */
static int interrupted_sync(struct store_segment *segment)
{
    struct world *w = interrupted_world;

    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    spool_run_task(interrupting);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    return w->spool->ops->sync(segment);
}

static void run_interrupted(struct world *w, struct spool_task *task, struct spool_task *by)
{
    interrupted_world = w;
    interrupting = by;
    interrupted_ops = *w->spool->ops;
    interrupted_ops.sync = interrupted_sync;
    task->ops = &interrupted_ops;
    spool_run_task(task);
    spool_finish_task(w->spool, by, ++w->now_us);
    spool_finish_task(w->spool, task, ++w->now_us);
}

/* The kernel tells of pages that it couldn't write once for each open file, and forgets them. So an
 * upload and a copy on two threads must not share a segment: the one would take the other's error,
 * and that one's 250 would stand for nothing. */
static void uploads_and_copies_fail_alone(void **state)
{
    enum { STAYS = 1, LARGE = 100, SIZE = 40000 };

    for (uint64_t seed = 0; seed < 12; seed++) {
        bool copy_fails = seed % 2;
        struct world *w = *state;
        world_close(w);
        store_sim_free(w->disk);
        w->disk = store_sim_new(seed);
        world_open(w);
        w->spool->options.keep_segments = 1000;
        for (unsigned i = STAYS; i <= 8; i++) {
            assert_int_equal(world_accept_large(w, i, SIZE), 0);
            world_run(w);
        }
        for (unsigned i = 2; i <= 5; i++)
            for (uint32_t to = 0; to < 2; to++)
                assert_int_equal(world_status(w, i, to, SPOOL_OUTCOME_RELAYED), 0);
        world_run(w);
        w->spool->options.keep_segments = 1;
        w->spool->tasks_due = true;
        struct spool_task *copy = take_copy(w);
        assert_int_equal(world_accept_large(w, LARGE, SIZE), 0);
        struct spool_task *upload = take_upload(w);
        run_interrupted(w, copy_fails ? upload : copy, copy_fails ? copy : upload);
        world_run(w);
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_int_equal(world_check(w, STAYS, 2, SIZE), 0);
        if (copy_fails)
            assert_int_equal(world_check(w, LARGE, 2, SIZE), 0);
        else
            assert_null(world_find(w, LARGE));
        teardown(state);
        setup(state);
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
    fold(w);
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
    fold(w);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(w->failed, 0);
        assert_true(counts(w).compacted > 0);
        assert_int_equal(spool_damage_count(w->spool), 0);
        check(w, 1, 130);
        assert_int_equal(world_check(w, 500, 2, 60 * 1024), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
        pass(w, 131 + 20 * round, 20);
        fold(w);
    }
    assert_left_alone(w, 500);
    LIST_EACH(&w->spool->segments[STORE_LOG], link)
    assert_true(CONTAINER_OF(link, struct segment, link)->state != SEGMENT_FAILED);
}

/* What is said again of a message names all that wait. Where each segment has a word on many such
 * messages, saying them again would take more than the segment, which stays then: else each new one
 * would make two. */
static void says_no_more_again_than_it_frees(void **state)
{
    enum { LISTS = 30, MANY = 60, SEGMENTS = 20 };
    struct world *w = *state;

    for (unsigned i = 1; i <= LISTS; i++)
        assert_int_equal(world_accept(w, i, MANY, 100), 0);
    world_run(w);
    for (uint32_t n = 0; n < SEGMENTS; n++) {
        for (unsigned i = 1; i <= LISTS; i++)
            assert_int_equal(world_status(w, i, n, SPOOL_OUTCOME_DEFERRED), 0);
        world_run(w);
        pass_segment(w, NULL);
        fold(w);
    }
    assert_true(counts(w).bytes_written < (SEGMENTS + 2) * w->options.segment_bytes);
    assert_true(counts(w).log_segments <= SEGMENTS + 5);
    for (unsigned i = 1; i <= LISTS; i++)
        for (uint32_t n = 0; n < MANY; n++)
            assert_int_equal(world_status(w, i, n, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    for (int i = 0; i < 2 * SEGMENTS; i++) {
        pass_segment(w, NULL);
        fold(w);
    }
    assert_true(counts(w).log_segments <= 8);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(w->spool->index.messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frees_segments_that_are_mostly_dead, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_cut_off_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(statuses_meet_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_expansions_and_held, setup, teardown),
        cmocka_unit_test_setup_teardown(empties_bulk, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_into_many_smaller_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(evacuates_what_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(outcomes_outlive_their_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_group_says_outcomes_again_as_they_are_then, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(evacuates_failed_bulk, setup, teardown),
        cmocka_unit_test_setup_teardown(uploads_and_copies_fail_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_what_fits_no_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_was_moved_stays_finished_while_its_first_record_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_tied_to_all_its_records, setup, teardown),
        cmocka_unit_test_setup_teardown(what_lives_elsewhere_moves_to_be_tied, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(outcomes_are_said_again_as_often_as_need_be, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(concerns_are_known_again_after_a_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_read_is_moved_later, setup, teardown),
        cmocka_unit_test_setup_teardown(what_lives_unreadable_elsewhere_blocks_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_read_comes_last, setup, teardown),
        cmocka_unit_test_setup_teardown(says_no_more_again_than_it_frees, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
