#include "spool_world.h"

#include "spool/checkpoint.h"
#include <errno.h>
#include <stdlib.h>

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.checkpoint_segments = 2;
    w.options.checkpoint_rows = 7;
    w.options.keep_segments = 1000;
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

/* Messages 1 to `count` of three recipients, number i with the first i % 3 of them done. */
static void fill(struct world *w, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        assert_int_equal(world_accept(w, i, 3, 4000), 0);
        assert_int_equal(world_commit(w), 0);
        for (unsigned r = 0; r < i % 3; r++)
            assert_int_equal(world_status(w, i, r, SPOOL_OUTCOME_DELIVERED), 0);
        assert_int_equal(world_status(w, i, 2, SPOOL_OUTCOME_DEFERRED), 0);
        world_run(w);
    }
}

static void check(struct world *w, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        assert_int_equal(world_check(w, i, 3, 4000), 0);
        struct spool_message *message = world_find(w, i);
        assert_int_equal(message->waiting, 3 - i % 3);
        assert_int_equal(message->accepted_us, i * 1000);
        struct spool_recipient *r = spool_find_recipient(message, 2);
        assert_int_equal(r->attempts, 3);
        assert_int_equal(r->next_attempt_us, 777);
        assert_span(spool_domain(w->spool, r->domain), "d2.example");
    }
}

static void saves_reading(void **state)
{
    struct world *w = *state;

    fill(w, 150);
    struct spool_position position = w->spool->checkpoint_position;
    assert_true(position.segment > 2);
    /* A record behind the checkpoint's position isn't looked at. */
    uint64_t first = CONTAINER_OF(w->spool->segments[STORE_LOG].next, struct segment, link)->number;
    uint64_t bit = (segment_first_offset(512) + RECORD_HEADER_BYTES + 30) * 8;
    store_sim_flip(w->disk, STORE_LOG, first, bit);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(spool_position_compare(w->spool->checkpoint_position, position), 0);
    assert_int_equal(spool_damage_count(w->spool), 0);
    assert_int_equal(w->spool->index.messages, 150);
    store_sim_flip(w->disk, STORE_LOG, first, bit);
    check(w, 150);
}

static void is_rebuilt_when_damaged(void **state)
{
    struct world *w = *state;
    const char *const names[] = {"checkpoint", NULL};
    char part[CHECKPOINT_NAME_BYTES];

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            fill(w, 100);
        world_run(w);
        assert_true(w->spool->checkpoint_position.segment > 0);
        checkpoint_part_name(part, w->spool->checkpoint_generation, 3);
        assert_int_equal(store_sim_flip_file(w->disk, names[i] ? names[i] : part, 777), 0);
        world_crash(w, STORE_SIM_KILLED);
        assert_int_equal(spool_damage_count(w->spool), 1);
        assert_int_equal(w->spool->checkpoint_position.segment, 0);
        check(w, 100);
        world_run(w);
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_int_equal(spool_damage_count(w->spool), 0);
        check(w, 100);
    }
}

/* All that a row says: what the records before its position said isn't read again. */
static void keeps_what_is_held_notified_and_rerouted(void **state)
{
    struct world *w = *state;
    struct spool_status reroute = {
        .recipient = 3, .outcome = SPOOL_OUTCOME_REROUTED, .host = SPAN("host:gate.example:25")};

    assert_int_equal(world_accept(w, 900, 4, 1000), 0);
    assert_int_equal(world_commit(w), 0);
    assert_int_equal(world_status(w, 900, 0, SPOOL_OUTCOME_HELD), 0);
    assert_int_equal(world_status(w, 900, 1, SPOOL_OUTCOME_NOTIFIED), 0);
    assert_int_equal(world_status(w, 900, 2, SPOOL_OUTCOME_RELAYED), 0);
    assert_int_equal(spool_status(w->spool, world_find(w, 900), &reroute, 1, NULL, NULL), 0);
    world_run(w);
    uint64_t home = index_home(world_find(w, 900))->number;
    fill(w, 100);
    assert_true(w->spool->checkpoint_position.segment > home + 1);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_true(w->spool->checkpoint_position.segment > home + 1);
    struct spool_message *m = world_find(w, 900);
    assert_int_equal(m->waiting, 3);
    assert_null(spool_find_recipient(m, 2));
    assert_int_equal(spool_find_recipient(m, 0)->state, SPOOL_RECIPIENT_HELD);
    assert_false(spool_find_recipient(m, 0)->is_notified);
    assert_int_equal(spool_find_recipient(m, 1)->state, SPOOL_RECIPIENT_WAITING);
    assert_true(spool_find_recipient(m, 1)->is_notified);
    assert_span(spool_domain(w->spool, spool_find_recipient(m, 3)->domain), "host:gate.example:25");
    assert_int_equal(world_check(w, 900, 4, 1000), 0);
}

/* The log behind its position is what the next start replays: empty or not, it stays. */
static void keeps_the_log_behind_it(void **state)
{
    struct world *w = *state;

    fill(w, 60);
    uint64_t position = w->spool->checkpoint_position.segment;
    assert_true(position > 0);
    w->spool->options.checkpoint_segments = 1000; /* the last one for now */
    w->spool->options.keep_segments = 1;
    for (unsigned i = 1000; i < 1100; i++) {
        assert_int_equal(world_accept(w, i, 1, 4000), 0);
        world_run(w);
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_RELAYED), 0);
        world_run(w);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
    }
    assert_true(w->spool->open->number > position + 3);
    for (uint64_t n = position; n < w->spool->open->number; n++) {
        const struct segment *segment = spool_segment(w->spool, STORE_LOG, n);
        assert_true(segment && segment->state == SEGMENT_CLOSED);
    }
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(w->spool->checkpoint_position.segment, position);
    assert_int_equal(spool_damage_count(w->spool), 0);
    for (unsigned i = 1000; i < 1100; i++)
        assert_null(world_find(w, i));
    check(w, 60);
}

static void accept_more(struct world *w, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        assert_int_equal(world_accept(w, i, 1, 4000), 0);
        world_run(w);
    }
}

static void waits_for_a_multiple_of_its_size(void **state)
{
    struct world *w = *state;

    fill(w, 60);
    assert_true(w->spool->checkpoint_bytes > 0);
    uint64_t generation = w->spool->checkpoint_generation, bytes = w->spool->checkpoint_bytes;
    w->spool->checkpoint_bytes = 1 << 30;
    accept_more(w, 1000, 100);
    assert_int_equal(w->spool->checkpoint_generation, generation);
    w->spool->checkpoint_bytes = bytes;
    accept_more(w, 2000, 60);
    assert_true(w->spool->checkpoint_generation > generation);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_true(w->spool->checkpoint_bytes > 0);
}

/* Rows change, go and come between the slices, and the process ends before the next checkpoint. */
static void may_be_fuzzy(void **state)
{
    struct world *w = *state;
    struct spool_task *task;
    unsigned next = 1, parts = 0;

    w->spool->options.checkpoint_segments = 1000;
    fill(w, 60);
    w->spool->options.checkpoint_segments = 1;
    w->spool->tasks_due = true;
    while (w->spool->checkpoint_position.segment == 0) {
        task = spool_take_task(w->spool, ++w->now_us);
        assert_non_null(task);
        parts += task->kind == TASK_CHECKPOINT;
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
        assert_int_equal(world_status(w, 61 - next, 2, SPOOL_OUTCOME_HELD), 0);
        if (next % 2)
            assert_int_equal(world_status(w, 61 - next, 2, SPOOL_OUTCOME_NOTIFIED), 0);
        assert_int_equal(world_accept(w, 100 + next, 1, 3000), 0);
        assert_int_equal(world_commit(w), 0);
        for (unsigned r = next % 3; r < 3; r++)
            assert_int_equal(world_status(w, next, r, SPOOL_OUTCOME_REMOVED), 0);
        assert_int_equal(world_commit(w), 0);
        next++;
    }
    assert_true(parts > 5 && next < 31);
    for (int round = 0; round < 2; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_true(w->spool->checkpoint_position.segment > 0);
        assert_int_equal(spool_damage_count(w->spool), 0);
        for (unsigned i = 1; i < next; i++) {
            assert_null(world_find(w, i));
            assert_non_null(world_find(w, 100 + i));
            struct spool_recipient *r = spool_find_recipient(world_find(w, 61 - i), 2);
            assert_int_equal(r->state, SPOOL_RECIPIENT_HELD);
            assert_int_equal(r->is_notified, i % 2);
        }
        assert_int_equal(w->spool->index.messages, 60);
    }
}

static unsigned count_parts(struct world *w, uint64_t generation)
{
    char name[CHECKPOINT_NAME_BYTES];
    unsigned count = 0;
    void *data;
    size_t size;

    for (size_t part = 0; part < 50; part++) {
        checkpoint_part_name(name, generation, part);
        if (w->spool->ops->get_file(w->spool->store, name, 1 << 20, &data, &size) < 0)
            continue;
        free(data);
        count++;
    }
    return count;
}

/* Runs tasks to the checkpoint's so-manieth and that one, which fails. */
static void fail_at_part(struct world *w, unsigned part)
{
    for (unsigned parts = 0; parts < part;) {
        struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
        assert_non_null(task);
        parts += task->kind == TASK_CHECKPOINT;
        if (parts == part)
            store_sim_set_faults(w->disk, &(struct store_sim_faults){.file_error = 10000});
        spool_run_task(task);
        store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
        spool_finish_task(w->spool, task, ++w->now_us);
    }
}

/* On a full disk parts that nobody needs would take the room that outcomes have. */
static void leaves_nothing_when_it_fails(void **state)
{
    struct world *w = *state;
    struct iovec text = {"left by a crash", 15};

    w->spool->options.checkpoint_segments = 1000;
    fill(w, 60);
    assert_int_equal(w->spool->ops->put_file(w->spool->store, CHECKPOINT_PARTS "77-3", &text, 1),
                     0);
    w->spool->options.checkpoint_segments = 1;
    w->spool->tasks_due = true;
    fail_at_part(w, 4);
    uint64_t failed = w->spool->checkpoint_generation;
    assert_true(failed > 0);
    assert_int_equal(count_parts(w, failed), 0);
    world_run(w); /* it isn't tried again at once */
    assert_int_equal(w->spool->checkpoint_generation, failed);
    w->now_us += SPOOL_PAUSES * w->options.retry_us;
    world_run(w);
    assert_true(w->spool->checkpoint_position.segment > 0);
    assert_true(count_parts(w, w->spool->checkpoint_generation) > 5);
    assert_int_equal(count_parts(w, 77), 0);
    assert_int_equal(w->spool->ops->put_file(w->spool->store, CHECKPOINT_PARTS "78-0", &text, 1),
                     0);
    world_crash(w, STORE_SIM_KILLED);
    assert_int_equal(count_parts(w, 78), 0);
    assert_true(count_parts(w, w->spool->checkpoint_generation) > 5);
}

/* Else nobody knows why the log grows. Once, until one succeeds. */
static void says_once_that_it_fails(void **state)
{
    struct world *w = *state;

    w->spool->options.checkpoint_segments = 1000;
    fill(w, 60);
    w->spool->options.checkpoint_segments = 1;
    for (unsigned again = 0; again < 2; again++) {
        for (int times = 0; times < 3; times++) {
            w->spool->tasks_due = true;
            w->now_us += SPOOL_PAUSES * w->options.retry_us;
            fail_at_part(w, 1);
            assert_int_equal(!list_is_empty(&w->spool->alarms), times == 0);
            world_run(w); /* which seals the alarm */
        }
        w->now_us += SPOOL_PAUSES * w->options.retry_us;
        world_run(w);
        assert_true(w->spool->checkpoint_position.segment > 0);
        w->spool->options.checkpoint_segments = 1000;
        for (unsigned i = 0; i < 60; i++)
            assert_int_equal(world_accept(w, 100 * (again + 1) + i, 1, 4000), 0);
        world_run(w);
        w->spool->options.checkpoint_segments = 1;
    }
}

static void blank(struct world *w, uint64_t number)
{
    static char zeros[128 * 1024];
    struct store *store = store_sim_open(w->disk);
    struct store_segment *handle;
    struct iovec part = {zeros, sizeof(zeros)};

    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(store->ops->open_segment(store, STORE_LOG, number, false, &handle), 0);
    assert_int_equal(store->ops->write(handle, 0, &part, 1), 0);
    assert_int_equal(store->ops->sync(handle), 0);
    store->ops->close_segment(handle);
    store->ops->close(store);
}

/* It counts as free then, though the checkpoint has messages in it: these alone are lost. */
static void a_blanked_segment_costs_only_its_messages(void **state)
{
    struct world *w = *state;

    fill(w, 150);
    assert_true(w->spool->checkpoint_position.segment > 2);
    uint64_t first = CONTAINER_OF(w->spool->segments[STORE_LOG].next, struct segment, link)->number;
    store_sim_stop(w->disk);
    world_close(w);
    store_sim_restart(w->disk, STORE_SIM_KILLED);
    blank(w, first);
    world_open(w);
    world_run(w);
    assert_true(world_find(w, 1)->flags & SPOOL_MESSAGE_DAMAGED);
    assert_int_equal(world_status(w, 1, 2, SPOOL_OUTCOME_REMOVED), 0);
    world_run(w);
    assert_int_equal(world_check(w, 150, 3, 4000), 0);
}

static void decodes_a_byte_at_a_time(void **state)
{
    struct checkpoint_concern concerns[] = {{4}, {5}};
    struct checkpoint_segment segments[] = {{7, 0, concerns, 2}};
    struct checkpoint_part parts[] = {{100, 200}};
    struct checkpoint_manifest m = {.generation = 3,
                                    .position = {7, 4096},
                                    .segments = segments,
                                    .segment_count = 1,
                                    .parts = parts,
                                    .part_count = 1},
                               back;
    struct buffer bytes = BUFFER_INIT;
    struct arena arena = ARENA_INIT;

    (void)state;
    assert_int_equal(checkpoint_encode_manifest(&m, &bytes), 0);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(checkpoint_decode_manifest(span_of(bytes.data, size), &arena, &back),
                         -EBADMSG);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(checkpoint_decode_manifest(buffer_span(&bytes), &arena, &back), -EBADMSG);
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(checkpoint_decode_manifest(buffer_span(&bytes), &arena, &back), 0);
    assert_int_equal(back.segments[0].concerns[1].segment, 5);
    assert_int_equal(back.parts[0].sum, 200);
    arena_done(&arena);
    buffer_done(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_blanked_segment_costs_only_its_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(saves_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(is_rebuilt_when_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_fuzzy, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_nothing_when_it_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(says_once_that_it_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_a_multiple_of_its_size, setup, teardown),
        cmocka_unit_test(decodes_a_byte_at_a_time),
        cmocka_unit_test_setup_teardown(keeps_what_is_held_notified_and_rerouted, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_the_log_behind_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
