/* What the scheduler is told of rows: when the routes change, and when memory is short. */
#include "../../failing_memory.h"
#include "world.h"

#include "proc/queue/core/schedule.h"
#include <errno.h>

/* Memory that is short now and then: each so many'th item finds none. 0: it suffices. */
static unsigned fails_each, adds;

int __real_sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
                     uint32_t *out_item);
int __wrap_sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
                     uint32_t *out_item);

int __wrap_sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
                     uint32_t *out_item)
{
    if (fails_each && ++adds % fails_each == 0)
        return -ENOMEM;
    return __real_sched_add(sched, entry, now_ms, out_item);
}

/* How the spool is looked through: by few places at a time, so that few messages are many. */
static size_t places_max = SIZE_MAX, asked_max, listings;

bool __real_spool_walk(struct spool *spool, size_t *cursor, size_t steps,
                       void (*each)(void *arg, struct spool_message *message), void *arg);
bool __wrap_spool_walk(struct spool *spool, size_t *cursor, size_t steps,
                       void (*each)(void *arg, struct spool_message *message), void *arg);
int __real_spool_listing_new(struct spool *spool, struct spool_listing **out);
int __wrap_spool_listing_new(struct spool *spool, struct spool_listing **out);

bool __wrap_spool_walk(struct spool *spool, size_t *cursor, size_t steps,
                       void (*each)(void *arg, struct spool_message *message), void *arg)
{
    asked_max = steps > asked_max ? steps : asked_max;
    return __real_spool_walk(spool, cursor, steps < places_max ? steps : places_max, each, arg);
}

int __wrap_spool_listing_new(struct spool *spool, struct spool_listing **out)
{
    listings++;
    return __real_spool_listing_new(spool, out);
}

static struct conf_queue_route gate[] = {{{"far.example", 11}, {"host:gate.example:25", 20}}};

static struct world *begin(enum world_mailbox does)
{
    struct world *w = world_begin_with_admin(does);
    world_join_smtp(w);
    return w;
}

static struct id send_far(struct world *w)
{
    struct world_commit c;
    world_send(w, &c, "s@here.example", "x@far.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c.id;
}

/* Not scheduled: an explanation of zeros. */
static struct sched_explanation explain(struct world *w, const struct id *id)
{
    struct spool_message *m = spool_find(w->queue.spool, id);
    struct sched_explanation e = {.destination = SPAN("")};
    assert_non_null(m);
    if (schedule_item(&m->recipients[0]))
        sched_explain(w->queue.sched, schedule_item(&m->recipients[0]), &e);
    return e;
}

/* `changed` is kept as long as the world. */
static void reload_with_gate(struct world *w, struct conf_queue *changed)
{
    *changed = w->conf;
    changed->routes = gate;
    changed->route_count = 1;
    assert_int_equal(queue_reconfigure(&w->queue, changed), 0);
}

static bool is_attempted(struct world *w, void *arg)
{
    return w->queue.dispatch->deferred == 1 && world_is_settled(w, NULL);
}

static bool goes_by_gate(struct world *w, void *arg)
{
    return span_equal(explain(w, arg).destination, SPAN("gate.example:25"));
}

/* Whichever allocation fails, and though no later reload finds that the routes have changed. */
static void a_reroute_without_memory_is_made_later(void **state)
{
    for (long fails = 0; fails < 4; fails++) {
        struct world *w = begin(MAILBOX_DEFERS);
        struct conf_queue changed;
        struct id id = send_far(w);
        world_until(w, is_attempted, NULL);
        world_leave_smtp(w);
        failing_memory.countdown = fails;
        failing_memory_arm();
        reload_with_gate(w, &changed);
        failing_memory_rest();
        assert_true(fails > 0 || !goes_by_gate(w, &id));
        reload_with_gate(w, &changed);
        world_until(w, goes_by_gate, &id);
        world_free(w);
    }
    failing_memory.countdown = -1;
}

static bool is_routed(struct world *w, void *arg)
{
    return !w->queue.schedule->wanted && !w->queue.schedule->under_way;
}

static bool waits_for_others(struct world *w, void *arg)
{
    return explain(w, arg).wait == SCHED_WAIT_DESTINATION && world_is_settled(w, NULL);
}

/* A release ends no pause: he must not come back to that of the old way. */
static void who_is_held_goes_the_new_way(void **state)
{
    struct world *w = begin(MAILBOX_IS_FULL);
    struct conf_queue changed;
    struct ipc_queue_act wanted = {.act = IPC_ACT_HOLD, .filter.destination = SPAN("far.example")};
    struct id id = {0};
    for (size_t i = 0; i < 8; i++)
        id = send_far(w);
    world_until(w, waits_for_others, &id);
    assert_int_equal(world_act(w, wanted).count, 8);
    world_leave_smtp(w);
    reload_with_gate(w, &changed);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    assert_true(goes_by_gate(w, &id));
    w->mailbox_does = MAILBOX_DELIVERS;
    wanted = (struct ipc_queue_act){.act = IPC_ACT_RELEASE, .filter.id = id};
    assert_int_equal(world_act(w, wanted).count, 1);
    world_join_smtp(w);
    world_until_delivered(w, 1);
    assert_string_equal(w->jobs[w->job_count - 1].next_hop, "host:gate.example:25");
    world_free(w);
}

/* What failed on the old way says nothing of the new one. */
static void who_was_attempted_meanwhile_goes_the_new_way(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct conf_queue changed;
    struct id id = send_far(w);
    world_until_jobs(w, 1);
    reload_with_gate(w, &changed);
    assert_span(explain(w, &id).destination, "far.example");
    world_answer(w, &w->jobs[0], MAILBOX_IS_FULL);
    world_until_jobs(w, 2);
    assert_true(goes_by_gate(w, &id));
    assert_int_equal(explain(w, &id).attempts, 1); /* though that isn't on the disk yet */
    assert_string_equal(w->jobs[1].next_hop, "host:gate.example:25");
    /* Once: what fails there waits. */
    world_answer(w, &w->jobs[1], MAILBOX_DEFERS);
    world_until(w, world_is_settled, NULL);
    world_rest(w);
    assert_int_equal(w->job_count, 2);
    assert_int_equal(explain(w, &id).wait, SCHED_WAIT_PAUSE);
    world_free(w);
}

/* Without memory the reload moves nobody, and the tick finds them all being attempted. */
static void who_is_attempted_while_memory_is_short_goes_the_new_way(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct conf_queue changed;
    world_leave_smtp(w);
    struct id id = send_far(w);
    failing_memory.countdown = 0;
    failing_memory_arm();
    reload_with_gate(w, &changed);
    failing_memory_rest();
    failing_memory.countdown = -1;
    assert_false(is_routed(w, NULL));
    world_join_smtp(w);
    world_until_jobs(w, 1);
    world_until(w, is_routed, NULL);
    assert_span(explain(w, &id).destination, "far.example");
    world_answer(w, &w->jobs[0], MAILBOX_IS_FULL);
    world_until(w, goes_by_gate, &id);
    world_free(w);
}

/* ---- many who wait ---- */

enum { MANY = 150, SLICE_MAX = 4096 };

/* They have items, but nobody takes them. */
static struct world *begin_with_many(struct id ids[static MANY])
{
    struct world *w = begin(MAILBOX_DELIVERS);

    world_leave_smtp(w);
    for (size_t i = 0; i < MANY; i++)
        ids[i] = send_far(w);
    places_max = 16;
    asked_max = listings = 0;
    return w;
}

/* As a start does it, all that waits would be listed and sorted in one turn of the loop. */
static void end_with_many(struct world *w)
{
    assert_in_range(asked_max, 1, SLICE_MAX);
    assert_int_equal(listings, 0);
    places_max = SIZE_MAX;
    world_free(w);
}

static void forget(struct world *w, const struct id *id)
{
    struct spool_recipient *r = &spool_find(w->queue.spool, id)->recipients[0];

    sched_remove(w->queue.sched, schedule_item(r), io_loop_now_ms(w->loop));
    r->owner = 0;
}

static void who_has_no_item_is_found_slice_by_slice(void **state)
{
    static struct id ids[MANY];
    struct world *w = begin_with_many(ids);

    for (size_t i = 0; i < MANY; i++)
        forget(w, &ids[i]);
    schedule_want(&w->queue);
    world_until(w, is_routed, NULL);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(explain(w, &ids[i]).state, SCHED_READY);
    world_join_smtp(w);
    world_until_delivered(w, MANY);
    end_with_many(w);
}

/* The tick may come before the next slice's turn: then nothing is left for that. */
static void what_is_looked_through_is_not_begun_again(void **state)
{
    static struct id ids[MANY];
    struct world *w = begin_with_many(ids);
    struct schedule *s = w->queue.schedule;

    schedule_want(&w->queue);
    schedule_tick(&w->queue);
    assert_true(s->under_way);
    while (s->under_way)
        schedule_tick(&w->queue);
    assert_int_equal(s->cursor, 0);
    places_max = 1;
    for (int i = 0; i < 5; i++)
        assert_int_equal(io_loop_turn(w->loop), 0);
    assert_false(s->under_way);
    assert_int_equal(s->cursor, 0);
    end_with_many(w);
}

/* Whoever is forgotten while the others are looked at is found all the same. */
static void who_loses_his_item_meanwhile_is_found(void **state)
{
    static struct id ids[MANY];
    struct world *w = begin_with_many(ids);

    schedule_want(&w->queue);
    schedule_tick(&w->queue);
    assert_true(w->queue.schedule->under_way);
    for (size_t i = 0; i < MANY; i++)
        forget(w, &ids[i]);
    schedule_want(&w->queue);
    world_until(w, is_routed, NULL);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(explain(w, &ids[i]).state, SCHED_READY);
    end_with_many(w);
}

/* And goes on where it stood. */
static void a_reroute_ends_though_memory_is_short_now_and_then(void **state)
{
    static struct id ids[MANY];
    struct world *w = begin_with_many(ids);
    struct conf_queue changed;

    adds = 0;
    fails_each = MANY / 3 + 1;
    reload_with_gate(w, &changed);
    world_until(w, is_routed, NULL);
    fails_each = 0;
    assert_int_equal(adds, MANY + 2); /* nobody was moved twice */
    for (size_t i = 0; i < MANY; i++)
        assert_true(goes_by_gate(w, &ids[i]));
    end_with_many(w);
}

/* ---- while the disk takes its time ---- */

static struct ipc_queue_acted act(struct world *w, enum ipc_queue_act_kind kind,
                                  const struct id *id)
{
    return world_act(w, (struct ipc_queue_act){.act = kind, .filter.id = *id});
}

/* One who was never attempted, held on the disk. */
static struct id send_held(struct world *w)
{
    world_leave_smtp(w);
    struct id id = send_far(w);
    assert_int_equal(act(w, IPC_ACT_HOLD, &id).count, 1);
    return id;
}

/* The row is held still when the routes change. */
static void who_is_being_released_isnt_held_again(void **state)
{
    struct world *w = begin(MAILBOX_DELIVERS);
    struct conf_queue changed;
    struct id id = send_held(w);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_RELEASE, &id, 1);
    reload_with_gate(w, &changed);
    assert_true(goes_by_gate(w, &id));
    world_let_disk_go_on(w);
    assert_int_equal(explain(w, &id).state, SCHED_READY);
    world_join_smtp(w);
    world_until_delivered(w, 1);
    world_free(w);
}

static bool goes_back(struct world *w, void *arg)
{
    return span_equal(explain(w, arg).destination, SPAN("return:"));
}

/* By a release, which begins no attempt before both are on the disk. */
static void a_return_that_was_overtaken_counts(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    world_leave_smtp(w);
    struct id id = send_far(w);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_RETURN, &id, 1);
    world_begin_act(w, IPC_ACT_RELEASE, &id, 1);
    world_join_smtp(w);
    world_rest(w);
    assert_int_equal(w->job_count, 0);
    world_let_disk_go_on(w);
    world_until(w, goes_back, &id);
    assert_int_equal(explain(w, &id).state, SCHED_READY);
    world_free(w);
}

static void who_is_being_held_goes_the_new_way(void **state)
{
    struct world *w = begin(MAILBOX_DEFERS);
    struct conf_queue changed;
    world_leave_smtp(w);
    struct id id = send_far(w);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    reload_with_gate(w, &changed);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    world_let_disk_go_on(w);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    assert_true(goes_by_gate(w, &id));
    world_free(w);
}

/* The same when an attempt ends before the hold is sealed. */
static void who_is_held_after_his_attempt_goes_the_new_way(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct conf_queue changed;
    struct id id = send_far(w);
    world_until_jobs(w, 1);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_HOLD, &id, 1);
    reload_with_gate(w, &changed);
    world_answer(w, &w->jobs[0], MAILBOX_IS_FULL);
    world_rest(w);
    world_let_disk_go_on(w);
    assert_int_equal(explain(w, &id).state, SCHED_HELD);
    assert_int_equal(explain(w, &id).attempts, 1);
    assert_true(goes_by_gate(w, &id));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reroute_without_memory_is_made_later),
        cmocka_unit_test(who_is_held_goes_the_new_way),
        cmocka_unit_test(who_was_attempted_meanwhile_goes_the_new_way),
        cmocka_unit_test(who_is_attempted_while_memory_is_short_goes_the_new_way),
        cmocka_unit_test(who_has_no_item_is_found_slice_by_slice),
        cmocka_unit_test(what_is_looked_through_is_not_begun_again),
        cmocka_unit_test(who_loses_his_item_meanwhile_is_found),
        cmocka_unit_test(a_reroute_ends_though_memory_is_short_now_and_then),
        cmocka_unit_test(who_is_being_released_isnt_held_again),
        cmocka_unit_test(a_return_that_was_overtaken_counts),
        cmocka_unit_test(who_is_being_held_goes_the_new_way),
        cmocka_unit_test(who_is_held_after_his_attempt_goes_the_new_way)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
