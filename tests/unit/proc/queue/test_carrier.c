/* Channels to carriers that are full or lost. */
#include "world.h"

#include <stdio.h>

static bool is_offered(const struct world_job *job)
{
    return job->body.size < job->size_bytes;
}

static bool is_whole(struct world *w, void *arg)
{
    return !is_offered(arg);
}

static bool has_delivered(struct world *w, void *arg)
{
    return w->delivered == *(size_t *)arg;
}

static void want(struct world *w, struct world_job *job)
{
    struct ipc_message m = {.type = IPC_JOB_WANTED, .job_wanted = {job->number}};
    assert_int_equal(ipc_notify(job->channel, &m), 0);
}

enum { FILLER = 60000, FILLERS = 2 * CARRIERS * CARRIER_INLINE_MAX / FILLER };

/* More jobs than may go with their bodies, for stations that don't answer. */
static void fill_carriers(struct world *w, struct span body)
{
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_smtp(w);
    for (int i = 0; i < FILLERS; i++) {
        char address[40];
        struct world_commit c;
        snprintf(address, sizeof(address), "x@d%d.example", i);
        world_send(w, &c, "s@here.example", address, body);
        world_until_answered(w, &c);
    }
    world_until_jobs(w, FILLERS);
}

/* Stations that don't answer are offered no more bodies than half the channel holds; others' go
 * when they are asked for, from memory and from disk. */
static void silent_stations_fill_no_channel(void **state)
{
    enum { SIZE = FILLER, COUNT = FILLERS };
    static char body[SIZE];
    struct world *w = world_begin();
    size_t offered = 0;
    struct world_job *one = NULL;
    memset(body, 'x', SIZE);
    fill_carriers(w, span_of(body, SIZE));
    for (size_t i = 0; i < COUNT; i++) {
        offered += is_offered(&w->jobs[i]);
        one = is_offered(&w->jobs[i]) ? &w->jobs[i] : one;
    }
    assert_in_range(COUNT - offered, 1, IPC_SMTP_PROCESSES * (CARRIER_INLINE_MAX / SIZE));
    assert_true(offered > 0);

    w->mailbox_does = MAILBOX_DELIVERS;
    size_t before = w->queue.parcels.hits + w->queue.parcels.misses;
    want(w, one);
    world_until(w, is_whole, one);
    assert_int_equal(w->delivered, 1);
    for (size_t i = 0; i < COUNT; i++)
        if (is_offered(&w->jobs[i]))
            want(w, &w->jobs[i]);
    world_until(w, has_delivered, &offered);
    assert_true(w->queue.parcels.hits + w->queue.parcels.misses >= before + offered);
    assert_memory_equal(one->body.data, body, SIZE);
    want(w, one); /* long answered: nothing happens */
    world_rest(w);
    assert_int_equal(w->delivered, offered);
    world_free(w);
}

static bool has_lost(struct world *w, void *arg)
{
    return w->queue.dispatch->lost == *(uint64_t *)arg && w->queue.settling == 0;
}

/* Without its body nothing can have been delivered. */
static void an_offered_job_is_never_uncertain(void **state)
{
    static char body[FILLER];
    struct world *w = world_begin();
    uint64_t all = FILLERS;
    size_t offered = 0;
    memset(body, 'x', FILLER);
    fill_carriers(w, span_of(body, FILLER));
    world_leave_smtp(w);
    world_until(w, has_lost, &all);
    for (size_t i = 0; i < FILLERS; i++) {
        struct spool_message *m = spool_find(w->queue.spool, &w->jobs[i].id);
        bool booked = m->recipients[0].next_attempt_us != m->accepted_us;
        assert_int_equal(booked, !is_offered(&w->jobs[i]));
        offered += is_offered(&w->jobs[i]);
    }
    assert_in_range(offered, 1, FILLERS - 1);
    world_free(w);
}

static void a_lost_smtp_process_costs_the_mailbox_nothing(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_join_smtp(w);
    struct world_commit c = world_accept(w, "s@here.example", "x@elsewhere.example");
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 2);
    world_leave_smtp(w);
    world_rest(w);
    assert_int_equal(dispatch_job_count(&w->queue), 1);
    assert_int_equal(w->queue.dispatch->lost, 1);
    assert_int_equal(world_explain(w, &c.id).attempts, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_smtp(w);
    world_until_jobs(w, 3);
    assert_string_equal(w->jobs[2].recipients[0], "x@elsewhere.example");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_stations_fill_no_channel),
        cmocka_unit_test(an_offered_job_is_never_uncertain),
        cmocka_unit_test(a_lost_smtp_process_costs_the_mailbox_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
