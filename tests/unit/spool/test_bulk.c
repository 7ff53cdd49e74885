/* Uploads on their way to the disk, and back. */
#include "spool_world.h"

#include <errno.h>
#include <stdlib.h>

struct seen {
    unsigned writes, syncs;
    uint64_t bytes;
};

static void observe(void *arg, const struct store_sim_operation *op)
{
    struct seen *seen = arg;

    if (op->kind != STORE_BULK || op->file)
        return;
    seen->writes += strcmp(op->name, "write") == 0;
    seen->syncs += strcmp(op->name, "sync") == 0;
    seen->bytes += strcmp(op->name, "write") == 0 ? op->size : 0;
}

static int setup(void **state)
{
    static struct world w;

    w = world_new();
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

static void neighbours_share_a_write_and_a_sync(void **state)
{
    struct world *w = *state;
    struct seen seen = {0};

    world_open(w);
    world_run(w);
    store_sim_observe(w->disk, observe, &seen);
    assert_int_equal(world_accept_large(w, 1, 5 * 16384 + 700), 0);
    world_run(w);
    assert_int_equal(w->done, 1);
    assert_int_equal(seen.writes, 1);
    assert_int_equal(seen.syncs, 1);
    assert_int_equal(seen.bytes, 5 * 16384 + 1024); /* whole blocks */
    assert_int_equal(world_check_body(w, 1, 5 * 16384 + 700), 0);
}

static void damage_first_segment(struct world *w)
{
    const struct segment *segment =
        CONTAINER_OF(w->spool->segments[STORE_BULK].next, struct segment, link);

    assert_int_equal(store_sim_flip(w->disk, STORE_BULK, segment->number, 1234), 0);
}

/* What was written lately needs no disk; everything else is verified as it is read from there. */
static void recent_mail_is_read_from_memory(void **state)
{
    struct world *w = *state;
    const size_t size = 3 * 16384 + 100;

    w->options.recent_bytes = 8 * 16384;
    world_open(w);
    assert_int_equal(world_accept_large(w, 1, size), 0);
    world_run(w);
    damage_first_segment(w);
    assert_int_equal(world_check_body(w, 1, size), 0);
    assert_int_equal(world_accept_large(w, 2, 9 * 16384), 0);
    world_run(w);
    assert_int_equal(world_check_body(w, 2, 9 * 16384), 0);
    assert_int_equal(world_check_body(w, 1, size), -EBADMSG);
}

/* 0, or the reader's error. `piece` bytes at a time, so that extents are read whole or in parts. */
static int read_by(struct world *w, unsigned number, size_t size, size_t piece)
{
    static const char header[] = "Received: from client\r\n";
    size_t total = sizeof(header) - 1 + size, at = 0;
    char *body = world_body(number, size), *got = spool_memory(total + piece);
    struct spool_reader *reader;
    ssize_t n;

    assert_int_equal(spool_reader_open(w->spool, world_find(w, number), &reader), 0);
    n = spool_reader_read(reader, 0, got, sizeof(header) - 1);
    for (; n > 0; n = spool_reader_read(reader, at, got + at, piece))
        at += (size_t)n;
    if (n == 0) {
        assert_int_equal(at, total);
        assert_memory_equal(got + sizeof(header) - 1, body, size);
    }
    spool_reader_close(w->spool, reader);
    free(body);
    free(got);
    return (int)n;
}

static void whole_extents_are_read_and_verified(void **state)
{
    static const size_t pieces[] = {1000, 16383, 16384, 20000, 40000, 100000};
    struct world *w = *state;
    const size_t size = 4 * 16384 + 100;

    world_open(w);
    assert_int_equal(world_accept_large(w, 1, size), 0);
    world_run(w);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        assert_int_equal(read_by(w, 1, size, pieces[i]), 0);
    damage_first_segment(w);
    assert_int_equal(read_by(w, 1, size, 16384), -EBADMSG);
}

static unsigned spares(const struct world *w)
{
    return spool_count_spares(w->spool, STORE_BULK);
}

/* Who sends much doesn't wait for a segment; for who is done none is made. */
static void the_next_segment_is_made_ahead(void **state)
{
    enum { HALF = 9 * 16384 };
    struct spool_upload *upload;
    char *body = world_body(1, HALF);
    struct world *w = *state;

    w->options.bulk_segment_bytes = 16 * 16384;
    world_open(w);
    assert_int_equal(world_accept_large(w, 1, HALF), 0);
    world_run(w);
    assert_int_equal(spares(w), 0);
    assert_int_equal(spool_upload_new(w->spool, &upload), 0);
    assert_int_equal(spool_upload_append(upload, span_of(body, 100), NULL, NULL), 0);
    w->spool->tasks_due = true;
    world_run(w);
    assert_int_equal(spares(w), 1);
    spool_upload_free(upload);
    free(body);
}

/* Each has begun an extent and sends no more for now. Others must get through all the same. */
static void begun_extents_keep_nobody_out(void **state)
{
    enum { UPLOADS = 20, BEGUN = 12 * 1024 };
    struct spool_upload *uploads[UPLOADS];
    char *body = world_body(1, BEGUN);
    struct world *w = *state;

    w->options.upload_bytes = UPLOADS / 2 * BEGUN - 1;
    world_open(w);
    for (size_t i = 0; i < UPLOADS; i++) {
        assert_int_equal(spool_upload_new(w->spool, &uploads[i]), 0);
        int r = spool_upload_append(uploads[i], span_of(body, BEGUN), world_done_fn, w);
        if (r == -EAGAIN) {
            world_run(w);
            r = spool_upload_append(uploads[i], span_of(body, BEGUN), world_done_fn, w);
        }
        assert_int_equal(r, 0);
    }
    world_run(w);
    for (size_t i = 0; i < UPLOADS; i++)
        spool_upload_free(uploads[i]);
    world_run(w);
    assert_int_equal(w->done, UPLOADS);
    assert_int_equal(w->spool->bulk_pending_bytes, 0);
    free(body);
}

/* The sender goes on while so much is on its way to the disk, and then waits for it. */
static void credit_runs_ahead_of_the_disk(void **state)
{
    enum { EXTENT = 16384 };
    struct spool_upload *upload;
    char *body = world_body(1, EXTENT);
    struct world *w = *state;

    w->options.ahead_bytes = 3 * EXTENT;
    world_open(w);
    assert_int_equal(spool_upload_new(w->spool, &upload), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(spool_upload_append(upload, span_of(body, EXTENT), world_done_fn, w), 0);
        assert_int_equal(w->done, i < 3 ? i + 1 : 3);
    }
    world_run(w);
    assert_int_equal(w->done, 5);
    spool_upload_free(upload);
    free(body);
}

/* Nobody waits for a time-out: when no segment can be had, all who wait for one are told, and the
 * acceptance that waits as well. What is aborted by whoever is told is gone. */
static void assert_uploads_fail(struct world *w, uint32_t log_spares)
{
    enum { EXTENT = 16384 };
    struct spool_upload *upload;
    char *body = world_body(1, 3 * EXTENT);
    struct spool_task *task;

    w->options.ahead_bytes = 0;
    world_open(w);
    world_run(w);
    w->spool->options.spare_segments = log_spares;
    assert_int_equal(spool_upload_new(w->spool, &upload), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(
            spool_upload_append(upload, span_of(body + i * EXTENT, EXTENT), world_done_fn, w), 0);
    assert_int_equal(world_accept_large(w, 2, 40000), 0);
    assert_int_equal(w->done, 0);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.create_error = 10000});
    while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    assert_int_equal(w->failed, 3 + 1); /* credits, and the message */
    assert_true(w->last_error < 0);
    assert_null(world_find(w, 2));
    assert_int_equal(w->spool->bulk_pending_bytes, 0);
    assert_int_equal(spool_upload_append(upload, SPAN("more"), NULL, NULL), w->last_error);
    spool_upload_free(upload);
    assert_true(list_is_empty(&w->spool->uploads));

    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    w->now_us += 1000 * w->options.retry_us;
    world_run(w);
    assert_int_equal(world_accept_large(w, 3, 40000), 0);
    world_run(w);
    assert_int_equal(world_check_body(w, 3, 40000), 0);
    assert_int_equal(w->failed, 4);
    free(body);
}

static void uploads_fail_when_no_segment_can_be_had(void **state)
{
    assert_uploads_fail(*state, 1);
}

/* The log's spare comes before bulk, and can't be made either. */
static void uploads_fail_when_not_even_the_log_finds_room(void **state)
{
    assert_uploads_fail(*state, 2);
}

/* Whoever is told of the error frees the upload at once. */
static void free_it(void *arg, int error)
{
    struct spool_upload **upload = arg;

    assert_true(error < 0);
    if (*upload)
        spool_upload_free(*upload);
    *upload = NULL;
}

static void an_upload_may_be_freed_by_who_is_told_of_its_error(void **state)
{
    enum { EXTENT = 16384 };
    struct spool_upload *upload;
    char *body = world_body(1, 3 * EXTENT);
    struct world *w = *state;
    struct spool_task *task;

    for (unsigned round = 0; round < 2; round++) {
        bool by_disk = round == 1;
        w->options.ahead_bytes = 0;
        world_open(w);
        world_run(w);
        store_sim_set_faults(w->disk,
                             &(struct store_sim_faults){.create_error = by_disk ? 0 : 10000,
                                                        .write_error = by_disk ? 10000 : 0});
        assert_int_equal(spool_upload_new(w->spool, &upload), 0);
        assert_int_equal(spool_upload_append(upload, span_of(body, 3 * EXTENT), free_it, &upload),
                         0);
        for (unsigned i = 0; i < 100 && (task = spool_take_task(w->spool, ++w->now_us)); i++) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
        assert_null(upload);
        assert_true(list_is_empty(&w->spool->uploads));
        assert_int_equal(w->spool->bulk_pending_bytes, 0);
        store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
        if (round == 0)
            world_close(w);
    }
    free(body);
}

/* Ended while uploads are on their way: each is told, and no message is half there. */
static void closing_ends_uploads(void **state)
{
    struct spool_upload *upload;
    char *body = world_body(1, 20000);
    struct world *w = *state;

    w->options.ahead_bytes = 0;
    world_open(w);
    assert_int_equal(spool_upload_new(w->spool, &upload), 0);
    assert_int_equal(spool_upload_append(upload, span_of(body, 20000), world_done_fn, w), 0);
    assert_int_equal(world_accept_large(w, 2, 40000), 0);
    world_close(w);
    assert_int_equal(w->failed, 2);
    assert_int_equal(w->last_error, -ECANCELED);
    assert_int_equal(w->done, 0);
    world_open(w);
    assert_null(world_find(w, 2));
    free(body);
}

/* By a folder, for instance. Nobody waits for more than the pause before the next number is tried.
 */
static void a_name_that_is_taken_fails_no_upload(void **state)
{
    struct world *w = *state;

    world_open(w);
    world_run(w);
    for (uint64_t i = 1; i <= 2; i++)
        assert_true(store_sim_litter(w->disk, STORE_SIM_FOLDER, STORE_BULK,
                                     w->spool->last_number[STORE_BULK] + i, 0, 0));
    assert_int_equal(world_accept_large(w, 1, 40000), 0);
    for (int i = 0; i < 2; i++) {
        world_run(w);
        assert_int_equal(spool_pressure(w->spool, NULL), SPOOL_PRESSURE_NONE);
        assert_int_equal(w->done + w->failed, 0);
        w->now_us = spool_next_try_us(w->spool);
    }
    world_run(w);
    assert_int_equal(w->done, 1);
    assert_int_equal(world_check_body(w, 1, 40000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(neighbours_share_a_write_and_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(recent_mail_is_read_from_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_extents_are_read_and_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_segment_is_made_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(begun_extents_keep_nobody_out, setup, teardown),
        cmocka_unit_test_setup_teardown(credit_runs_ahead_of_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(uploads_fail_when_no_segment_can_be_had, setup, teardown),
        cmocka_unit_test_setup_teardown(uploads_fail_when_not_even_the_log_finds_room, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_upload_may_be_freed_by_who_is_told_of_its_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_ends_uploads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_taken_fails_no_upload, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
