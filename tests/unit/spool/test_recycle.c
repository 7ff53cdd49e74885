#include "spool_world.h"

#include <errno.h>
#include <stdlib.h>

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.keep_segments = 1000; /* no compaction here */
    w.options.checkpoint_segments = 1000;
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

static unsigned log_segments(struct world *w)
{
    struct spool_counts counts;
    spool_get_counts(w->spool, &counts);
    return (unsigned)counts.log_segments;
}

/* Accepts and delivers `count` messages from number `from` on. */
static void pass_through(struct world *w, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        assert_int_equal(world_accept(w, i, 1, 5000), 0);
        assert_int_equal(world_commit(w), 0);
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_DELIVERED), 0);
        world_run(w);
    }
}

static void waits_for_the_book(void **state)
{
    struct world *w = *state;

    pass_through(w, 1, 80);
    assert_true(log_segments(w) >= 3);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
    assert_true(log_segments(w) <= 2);
    world_crash(w, STORE_SIM_POWER_CUT);
    for (unsigned i = 1; i <= 80; i++)
        assert_null(world_find(w, i));
}

/* A ledger that is made anew reads the log once more, as far as it is still there. */
static void waits_for_a_book_that_went_back(void **state)
{
    struct world *w = *state;

    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    spool_book_synced(w->spool, (struct spool_position){0});
    pass_through(w, 1, 80);
    unsigned all = log_segments(w);
    assert_true(all >= 3);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    spool_book_synced(w->spool, (struct spool_position){1, 0});
    world_run(w);
    assert_int_equal(log_segments(w), all);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
    assert_true(log_segments(w) <= 2);
}

/* A waiting message keeps its segment, and every segment with an outcome for its neighbours. */
static void keeps_what_waits_and_what_ends_it(void **state)
{
    struct world *w = *state;
    unsigned before;

    assert_int_equal(world_accept(w, 500, 2, 1000), 0);
    pass_through(w, 1, 60);
    assert_int_equal(world_accept(w, 501, 2, 1000), 0);
    pass_through(w, 61, 60);
    assert_int_equal(world_status(w, 500, 0, SPOOL_OUTCOME_DELIVERED), 0);
    pass_through(w, 121, 60);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
    before = log_segments(w);
    assert_true(before >= 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 500, 2, 1000), 0);
        assert_int_equal(world_find(w, 500)->waiting, 1);
        assert_int_equal(world_check(w, 501, 2, 1000), 0);
        for (unsigned i = 1; i <= 180; i++)
            assert_null(world_find(w, i));
        world_crash(w, STORE_SIM_POWER_CUT);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
        world_run(w);
    }
    assert_int_equal(world_status(w, 500, 1, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 501, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 501, 1, SPOOL_OUTCOME_DELIVERED), 0);
    pass_through(w, 181, 40);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
    assert_true(log_segments(w) <= 2);
}

/* A file that couldn't be renamed or deleted still has its messages: what ends them must stay, too.
 */
static void keeps_what_ends_those_that_stay(void **state)
{
    struct world *w = *state;

    for (unsigned i = 1; i <= 60; i++) {
        assert_int_equal(world_accept(w, i, 1, 5000), 0);
        world_run(w);
    }
    for (unsigned i = 1; i <= 60; i++) {
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_DELIVERED), 0);
        world_run(w);
    }
    pass_through(w, 61, 60);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.name_error = 6000});
    for (int i = 0; i < 40; i++) {
        world_run(w);
        w->now_us += 2000000;
    }
    world_crash(w, STORE_SIM_POWER_CUT);
    for (unsigned i = 1; i <= 120; i++)
        assert_null(world_find(w, i));
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
    assert_true(log_segments(w) <= 2);
}

static void frees_bulk_without_the_book(void **state)
{
    struct world *w = *state;
    struct spool_counts counts;

    for (unsigned i = 1; i <= 30; i++) {
        assert_int_equal(world_accept_large(w, i, 100000), 0);
        world_run(w);
        assert_int_equal(world_check(w, i, 2, 100000), 0);
        assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_RELAYED), 0);
        assert_int_equal(world_status(w, i, 1, SPOOL_OUTCOME_RELAYED), 0);
        world_run(w);
    }
    spool_get_counts(w->spool, &counts);
    assert_true(counts.bulk_segments <= 6);
}

static void aborted_upload_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct spool_upload *upload;
    char *body = world_body(1, 600000);

    assert_int_equal(spool_upload_new(w->spool, &upload), 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(
            spool_upload_append(upload, span_of(body + i * 10000, 10000), world_done_fn, w), 0);
    world_run(w);
    assert_int_equal(w->done, 60);
    spool_upload_free(upload);
    world_run(w);
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        assert_int_equal(segment->pins, 0);
        assert_int_equal(segment->live_messages, 0);
        assert_true(segment->state != SEGMENT_CLOSED);
    }
    free(body);
}

/* An acceptance that fails leaves the upload to its owner, who may go on with it. */
static void a_refused_upload_may_grow(void **state)
{
    struct world *w = *state;
    struct spool_upload *upload;
    char *body = world_body(1, 600000);
    struct envelope_recipient recipient = {.address = SPAN("b@d.example"),
                                           .original = SPAN("b@d.example")};
    struct envelope e = {.id = world_id(1), .recipients = &recipient, .recipient_count = 1};
    struct spool_accept a = {.envelope = &e,
                             .header = span_of(body, w->spool->options.segment_bytes)};

    assert_true(w->spool->options.segment_bytes <= 600000);
    assert_int_equal(spool_upload_new(w->spool, &upload), 0);
    a.upload = upload;
    assert_int_equal(spool_upload_append(upload, span_of(body, 10), world_done_fn, w), 0);
    assert_int_equal(spool_accept(w->spool, &a, world_done_fn, w), -EMSGSIZE);
    for (int i = 1; i < 60; i++)
        assert_int_equal(
            spool_upload_append(upload, span_of(body + i * 10000, 10000), world_done_fn, w), 0);
    a.header = SPAN("Received: x\r\n");
    e.size_bytes = spool_upload_size(upload);
    assert_int_equal(spool_accept(w->spool, &a, world_done_fn, w), 0);
    world_run(w);
    assert_int_equal(w->done, 61);
    assert_non_null(world_find(w, 1));
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_for_the_book, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_a_book_that_went_back, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_what_waits_and_what_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_what_ends_those_that_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(frees_bulk_without_the_book, setup, teardown),
        cmocka_unit_test_setup_teardown(aborted_upload_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_upload_may_grow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
