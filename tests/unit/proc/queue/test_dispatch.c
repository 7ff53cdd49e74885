/* Jobs of carriers, and what comes of each outcome. */
#include "world.h"

#include <stdio.h>

static void deferred_recipients_wait(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_DEFERS;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    struct sched_explanation e = world_explain(w, &c.id);
    assert_int_equal(e.wait, SCHED_WAIT_PAUSE);
    assert_int_equal(e.attempts, 1);
    struct spool_message *m = spool_find(w->queue.spool, &c.id);
    assert_int_equal(m->recipients[0].attempts, 1);
    assert_true(m->recipients[0].next_attempt_us > m->accepted_us + INT64_C(200000000));
    assert_int_equal(world_counts(w).waiting, 1);
    world_free(w);
}

/* No report process is there: they stay, shown as held, and are attempted again after a start. */
static void refused_recipients_stay_until_they_are_returned(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_FAILS;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(world_explain(w, &c.id).wait, SCHED_WAIT_RELEASE);
    assert_int_equal(world_counts(w).waiting, 1);
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_int_equal(w->rows[0].state, IPC_QUEUE_HELD);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RETURN); /* nobody need release it */
    world_kill(w);
    world_start(w);
    world_join_mailbox(w);
    world_until_jobs(w, 1); /* attempted again */
    world_rest(w);
    assert_int_equal(world_counts(w).waiting, 1);
    world_free(w);
}

/* No attempt is counted, and the mailbox goes on. */
static void foreign_mail_waits_for_its_process(void **state)
{
    struct world *w = world_begin();
    struct world_commit c = world_accept(w, "s@here.example", "x@elsewhere.example");
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_delivered(w, 1);
    assert_int_equal(w->job_count, 1);
    struct sched_explanation e = world_explain(w, &c.id);
    assert_int_equal(e.wait, SCHED_WAIT_TURN);
    assert_int_equal(e.attempts, 0);
    assert_span(e.destination, "elsewhere.example");

    world_join_smtp(w);
    world_until_delivered(w, 2);
    assert_string_equal(w->jobs[1].recipients[0], "x@elsewhere.example");
    assert_string_equal(w->jobs[1].next_hop, "mx:elsewhere.example");
    assert_int_equal(w->queue.dispatch->delivered, 1);
    assert_int_equal(w->queue.dispatch->relayed, 1);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(world_counts(w).messages, 0);
    world_free(w);
}

/* The same next hop is always the same process's, so that its connections serve again. */
static void one_next_hop_is_one_processs(void **state)
{
    struct world *w = world_begin();
    struct ipc_channel *first = NULL;
    bool both = false;
    world_join_smtp(w);
    for (int i = 0; i < 40; i++) {
        char address[40];
        snprintf(address, sizeof(address), "x@d%d.example", i % 10);
        world_accept(w, "s@here.example", address);
    }
    world_until_delivered(w, 40);
    for (size_t i = 0; i < 40; i++) {
        for (size_t j = 0; j < i; j++)
            if (strcmp(w->jobs[i].next_hop, w->jobs[j].next_hop) == 0)
                assert_ptr_equal(w->jobs[i].channel, w->jobs[j].channel);
        both = both || (first && first != w->jobs[i].channel);
        first = w->jobs[i].channel;
    }
    assert_true(both);
    world_free(w);
}

/* RFC 1047: nobody knows whether the station has it, so it is tried again, and the book says so. */
static void a_lost_reply_is_booked_as_uncertain(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_INTERRUPTED;
    world_join_smtp(w);
    struct world_commit c = world_accept(w, "s@here.example", "x@elsewhere.example");
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(w->queue.dispatch->uncertain, 1);
    struct sched_explanation e = world_explain(w, &c.id);
    assert_int_equal(e.wait, SCHED_WAIT_PAUSE);
    assert_int_equal(e.attempts, 1);
    assert_span(e.why, "connection lost");
    assert_int_equal(world_counts(w).waiting, 1);
    world_free(w);
}

static bool has_waited(struct world *w, void *arg)
{
    return w->queue.dispatch->lost > 0;
}

/* A process that ends, or learns of other routes, gives back what it hasn't begun: nobody's fault.
 */
static void what_comes_back_untried_is_no_attempt(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_ENDING;
    world_join_smtp(w);
    struct world_commit c = world_accept(w, "s@here.example", "x@elsewhere.example");
    world_until_jobs(w, 1);
    world_until(w, has_waited, NULL);
    struct sched_explanation e = world_explain(w, &c.id);
    assert_int_equal(e.attempts, 0);
    assert_span(e.why, "");
    assert_int_equal(w->queue.dispatch->deferred + w->queue.dispatch->uncertain, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_until_jobs(w, 2);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(w->queue.dispatch->relayed, 1);
    world_free(w);
}

static bool is_attempted(struct world *w, void *arg)
{
    return w->queue.dispatch->deferred == 2 && world_is_settled(w, NULL);
}

/* What waits goes the way that the new configuration says, at once; what doesn't change waits on.
 */
static void a_changed_route_is_good_for_what_waits(void **state)
{
    static struct conf_queue_route routes[] = {
        {{"elsewhere.example", 17}, {"host:gate.example:25", 20}}};
    struct world *w = world_begin();
    struct world_commit c, other;
    w->mailbox_does = MAILBOX_DEFERS;
    world_join_smtp(w);
    world_send(w, &c, "s@here.example", "x@elsewhere.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_send(w, &other, "s@here.example", "x@other.example", SPAN("hello\r\n"));
    world_until_answered(w, &other);
    world_until(w, is_attempted, NULL);
    world_until(w, world_is_settled, NULL);
    world_leave_smtp(w);
    struct conf_queue changed = w->conf;
    changed.routes = routes;
    changed.route_count = 1;
    assert_int_equal(queue_reconfigure(&w->queue, &changed), 0);
    assert_span(world_explain(w, &c.id).destination, "gate.example:25");
    assert_int_equal(world_explain(w, &c.id).wait, SCHED_WAIT_TURN);
    assert_int_equal(world_explain(w, &other.id).wait, SCHED_WAIT_PAUSE);

    /* A domain that is ours from now on is delivered. */
    struct conf_queue_domain domains[] = {{.name = SPAN("elsewhere.example")}};
    changed.domains = domains;
    changed.domain_count = 1;
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(queue_reconfigure(&w->queue, &changed), 0);
    world_until_delivered(w, 1);
    assert_string_equal(w->jobs[2].recipients[0], "x@elsewhere.example");
    assert_int_equal(queue_reconfigure(&w->queue, &w->conf), 0);
    world_free(w);
}

static void a_lost_mailbox_makes_uncertain_and_comes_back(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    ipc_channel_free(w->mailbox);
    w->mailbox = NULL;
    world_rest(w);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(world_explain(w, &c.id).wait, SCHED_WAIT_PAUSE);
    assert_int_equal(world_explain(w, &c.id).attempts, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_mailbox(w);
    world_until_delivered(w, 1);
    assert_int_equal(w->job_count, 2);
    assert_int_equal(w->queue.dispatch->lost, 1);
    world_free(w);
}

static void a_full_disk_pauses_the_destination(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_FULL;
    struct world_commit last;
    for (int i = 0; i < 40; i++)
        last = world_accept(w, "s@far.example", "bob@here.example");
    world_until(w, world_is_settled, NULL);
    world_rest(w);
    assert_true(w->job_count < 40);
    struct sched_explanation e = world_explain(w, &last.id);
    assert_int_equal(e.wait, SCHED_WAIT_DESTINATION);
    assert_span(e.why, "disk full");
    world_free(w);
}

static void a_shutdown_waits_for_deliveries(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    world_answer(w, &w->jobs[0], MAILBOX_DELIVERS);
    world_stop(w);
    world_start(w);
    assert_int_equal(world_counts(w).messages, 0);
    world_free(w);
}

static void a_shutdown_does_not_wait_for_ever(void **state)
{
    struct world *w = world_begin();
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    world_close(w);
    w->queue.closing_ms -= 3600000; /* an hour ago */
    world_until_closed(w);
    world_kill(w);
    world_start(w);
    assert_int_equal(world_counts(w).messages, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred_recipients_wait),
        cmocka_unit_test(refused_recipients_stay_until_they_are_returned),
        cmocka_unit_test(foreign_mail_waits_for_its_process),
        cmocka_unit_test(one_next_hop_is_one_processs),
        cmocka_unit_test(a_lost_reply_is_booked_as_uncertain),
        cmocka_unit_test(what_comes_back_untried_is_no_attempt),
        cmocka_unit_test(a_changed_route_is_good_for_what_waits),
        cmocka_unit_test(a_lost_mailbox_makes_uncertain_and_comes_back),
        cmocka_unit_test(a_full_disk_pauses_the_destination),
        cmocka_unit_test(a_shutdown_waits_for_deliveries),
        cmocka_unit_test(a_shutdown_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
