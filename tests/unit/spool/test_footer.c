#include "spool_world.h"

#include "spool/footer.h"
#include <errno.h>

enum { COUNT = 60, SIZE = 8000 };

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.checkpoint_segments = 1000;
    w.options.keep_segments = 1000;
    world_open(&w);
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_equal(world_accept(&w, i, 2, SIZE), 0);
        world_run(&w);
    }
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

static struct segment *first_segment(struct world *w)
{
    return CONTAINER_OF(w->spool->segments[STORE_LOG].next, struct segment, link);
}

static struct segment_trailer read_trailer(struct world *w, const struct segment *segment)
{
    struct segment_header header = {.number = segment->number};
    struct segment_trailer trailer;

    memcpy(header.salt, segment->salt, sizeof(header.salt));
    assert_int_equal(segment_read_trailer(w->spool->ops, segment->handle, segment->size_bytes, 512,
                                          &header, 0, &trailer),
                     0);
    return trailer;
}

static void repeats_the_records(void **state)
{
    struct world *w = *state;
    struct segment *segment = first_segment(w);
    struct segment_trailer trailer = read_trailer(w, segment);
    struct record_place place = segment_place(segment);
    struct scan_record record;
    struct footer footer;
    unsigned messages = 0;
    int r;

    assert_true(segment->has_trailer);
    assert_int_equal(trailer.end, segment->end);
    assert_true(trailer.footer_bytes > 0);
    assert_int_equal(footer_open(&footer, w->spool->ops, segment->handle, &place, &trailer), 0);
    while ((r = footer_next(&footer, &record)) > 0) {
        assert_int_equal(record.header.type, SPOOL_RECORD_MESSAGE);
        struct id id = world_id(++messages);
        assert_int_equal(spool_find(w->spool, &id)->offset, record.offset);
    }
    assert_int_equal(r, 0);
    assert_int_equal(messages, segment->live_messages);
    footer_close(&footer);
}

/* A closed segment's records aren't looked at: an envelope that is damaged there is found by
 * whoever reads the message. */
static void is_used_at_start(void **state)
{
    struct world *w = *state;
    struct spool_message *m = world_find(w, 5);

    assert_ptr_equal(index_home(m), first_segment(w));
    uint64_t bit = (m->offset + RECORD_HEADER_BYTES + 60) * 8;
    assert_int_equal(store_sim_flip(w->disk, STORE_LOG, index_home(m)->number, bit), 0);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(spool_damage_count(w->spool), 0);
    assert_int_equal(w->spool->index.messages, COUNT);
    assert_int_equal(world_check(w, 5, 2, SIZE), -EBADMSG);
    assert_int_equal(world_check(w, 6, 2, SIZE), 0);
}

static void damaged_one_is_as_good_as_none(void **state)
{
    struct world *w = *state;
    struct segment *segment = first_segment(w);
    struct segment_trailer trailer = read_trailer(w, segment);

    store_sim_flip(w->disk, STORE_LOG, segment->number, (trailer.footer_offset + 70) * 8);
    world_crash(w, STORE_SIM_POWER_CUT);
    for (unsigned i = 1; i <= COUNT; i++)
        assert_int_equal(world_check(w, i, 2, SIZE), 0);
    segment = first_segment(w);
    store_sim_flip(w->disk, STORE_LOG, segment->number, (segment->size_bytes - 512 + 40) * 8);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(spool_damage_count(w->spool), 0);
    for (unsigned i = 1; i <= COUNT; i++)
        assert_int_equal(world_check(w, i, 2, SIZE), 0);
}

/* Rule 6: a footer that couldn't be written leaves nobody knowing what the disk has there. */
static void a_failed_write_ends_the_segment(void **state)
{
    struct world *w = *state;
    struct spool_task *task;
    unsigned closing = 0;

    for (unsigned i = COUNT + 1; closing == 0 && i < COUNT + 200; i++) {
        assert_int_equal(world_accept(w, i, 2, SIZE), 0);
        world_commit(w);
        while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
            bool fails = task->kind == TASK_CLOSE;
            if (fails)
                store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
            spool_run_task(task);
            store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
            spool_finish_task(w->spool, task, ++w->now_us);
            closing += fails;
        }
    }
    assert_int_equal(closing, 1);
    unsigned failed = 0;
    LIST_EACH(&w->spool->segments[STORE_LOG], link)
    failed += CONTAINER_OF(link, struct segment, link)->state == SEGMENT_FAILED;
    assert_int_equal(failed, 1);
    assert_false(list_is_empty(&w->spool->alarms));
    w->now_us += 1000 * w->options.retry_us;
    world_run(w); /* what lives in it moves */
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_not_equal(index_home(world_find(w, i))->state, SEGMENT_FAILED);
        assert_int_equal(world_check(w, i, 2, SIZE), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(repeats_the_records, setup, teardown),
        cmocka_unit_test_setup_teardown(is_used_at_start, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_one_is_as_good_as_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_ends_the_segment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
