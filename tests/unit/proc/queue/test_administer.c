/* What each act of an administrator does; test_act.c has what may be in its way. */
#include "world.h"

#include "base/clock.h"
#include <errno.h>

static struct ipc_queue_acted act(struct world *w, enum ipc_queue_act_kind kind,
                                  const struct id *id, const char *destination)
{
    struct ipc_queue_act wanted = {.act = kind, .filter.destination = span_from_cstr(destination)};
    if (id)
        wanted.filter.id = *id;
    return world_act(w, wanted);
}

/* Nothing was done for anybody. */
static void assert_passes(struct world *w, struct ipc_queue_acted acted, int error,
                          const char *words)
{
    assert_int_equal(acted.count, 0);
    assert_int_equal(acted.busy, 0);
    assert_int_equal(acted.error, error);
    assert_span(buffer_span(&w->reply_text), words);
}

static void hold_release_and_retry(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c = world_settle(w, "bob@here.example");
    assert_int_equal(w->job_count, 1);

    assert_int_equal(act(w, IPC_ACT_RETRY, &c.id, "").count, 1);
    world_until_jobs(w, 2);
    world_until(w, world_is_settled, NULL);

    struct ipc_queue_acted acted = act(w, IPC_ACT_HOLD, &c.id, "");
    assert_int_equal(acted.error, 0);
    assert_int_equal(acted.count, 1);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RELEASE);

    /* It stays held over a restart. */
    world_kill(w);
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_admin(w);
    world_rest(w);
    assert_int_equal(w->job_count, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").count, 1);
    world_until_delivered(w, 1);
    assert_passes(w, act(w, IPC_ACT_RELEASE, &c.id, ""), -ENOENT, "nothing in the queue fits");
    assert_int_equal(act(w, IPC_ACT_RETRY, NULL, "").error, -EINVAL);
    world_free(w);
}

/* Who is as the act wants him is no trouble, and no message that isn't there. */
static void who_is_as_wanted_is_told_of(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct id one = world_settle(w, "bob@here.example").id;

    assert_passes(w, act(w, IPC_ACT_RELEASE, &one, ""), 0, "it is not held, nothing to do");
    assert_int_equal(act(w, IPC_ACT_HOLD, &one, "").count, 1);
    assert_passes(w, act(w, IPC_ACT_HOLD, &one, ""), 0, "it is held already, nothing to do");
    assert_passes(w, act(w, IPC_ACT_RETRY, &one, ""), -ENOENT,
                  "it is held, and not attempted; postbuch queue show tells why");

    world_settle(w, "anna@here.example dora@here.example");
    assert_int_equal(act(w, IPC_ACT_HOLD, NULL, "here.example").count, 2);
    assert_span(buffer_span(&w->reply_text), "");
    assert_passes(w, act(w, IPC_ACT_HOLD, NULL, "here.example"), 0,
                  "3 are held already, nothing to do");
    assert_passes(w, act(w, IPC_ACT_HOLD, NULL, "elsewhere.example"), -ENOENT,
                  "nothing in the queue fits");

    world_join_directory(w);
    assert_int_equal(act(w, IPC_ACT_RETURN, &one, "").count, 1);
    assert_passes(w, act(w, IPC_ACT_RETURN, &one, ""), 0,
                  "it is on the way back to the sender already, nothing to do");
    world_free(w);
}

/* The time for attempts, four days, counts from the acceptance; who was held longer has four hours
 * left. */
static void a_release_gives_no_second_life(void **state)
{
    static const struct {
        int64_t accepted_h, left_h;
    } cases[] = {{0, 96}, {24, 72}, {95, 4}, {96, 4}, {2400, 4}};
    const int64_t hour_ms = 3600000;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
        struct id id = world_settle(w, "bob@here.example").id;
        spool_find(w->queue.spool, &id)->accepted_us -= cases[i].accepted_h * hour_ms * 1000;
        assert_int_equal(act(w, IPC_ACT_HOLD, &id, "").count, 1);
        assert_int_equal(act(w, IPC_ACT_RELEASE, &id, "").count, 1);
        world_list(w, &(struct ipc_queue_filter){.id = id});
        assert_int_equal(w->row_count, 1);
        int64_t left_ms = (w->rows[0].deadline_us - clock_wall_us()) / 1000;
        int64_t late_ms = cases[i].left_h * hour_ms - left_ms;
        if (late_ms < -2000 || late_ms > hour_ms / 2)
            fail_msg("case %zu: %lld ms left", i, (long long)left_ms);
        world_free(w);
    }
}

static void acts_on_a_destination(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    for (int i = 0; i < 20; i++)
        world_settle(w, "a@here.example b@here.example");
    world_settle(w, "x@elsewhere.example");
    assert_int_equal(act(w, IPC_ACT_HOLD, NULL, "HERE.example").count, 40);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 40);
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(act(w, IPC_ACT_RELEASE, NULL, "here.example").count, 40);
    world_until_delivered(w, 40);
    world_free(w);
}

static struct ipc_queue_filter from(const char *sender)
{
    return (struct ipc_queue_filter){.sender = span_from_cstr(sender)};
}

static void send_as(struct world *w, const char *sender, const char *recipients)
{
    struct world_commit c;
    world_send(w, &c, sender, recipients, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_until(w, world_is_settled, NULL);
}

static size_t waiting(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->queue.spool, &c);
    return c.waiting + c.held;
}

static void removes_by_sender_and_recipient(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    for (int i = 0; i < 300; i++)
        send_as(w, i % 3 ? "spam@far.example" : "good@far.example",
                "anna@here.example bob@here.example");
    struct ipc_queue_act remove = {.act = IPC_ACT_REMOVE, .filter = from("SPAM@far.example")};
    remove.filter.recipient = SPAN("bob@here.example");
    remove.dry = true;
    assert_int_equal(world_act(w, remove).count, 200);
    assert_int_equal(waiting(w), 600);
    remove.dry = false;
    struct ipc_queue_acted acted = world_act(w, remove);
    assert_int_equal(acted.count, 200);
    assert_int_equal(acted.examined, 300);
    assert_int_equal(waiting(w), 400);
    remove.filter.recipient = SPAN("");
    assert_int_equal(world_act(w, remove).count, 200);
    assert_int_equal(world_act(w, remove).error, -ENOENT);
    world_list(w, &(struct ipc_queue_filter){.sender = SPAN("good@far.example")});
    assert_int_equal(w->row_count, 200);
    assert_int_equal(waiting(w), 200);
    /* No item is left over in the scheduler. */
    struct sched_counters counters;
    sched_count(w->queue.sched, &counters);
    assert_int_equal(counters.counts[SCHED_HELD], 0);
    assert_int_equal(counters.counts[SCHED_PAUSED] + counters.counts[SCHED_READY], 200);
    world_free(w);
}

static void finds_the_null_sender(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    send_as(w, "", "anna@here.example");
    send_as(w, "s@far.example", "anna@here.example");
    world_list(w, &(struct ipc_queue_filter){.sender = SPAN("<>")});
    assert_int_equal(w->row_count, 1);
    struct ipc_queue_act hold = {.act = IPC_ACT_HOLD, .filter = from("<>")};
    assert_int_equal(world_act(w, hold).count, 1);
    world_free(w);
}

/* Nobody is told of a report, so to be counted as sent back isn't all there is to say. */
static void what_has_no_sender_is_told_of(void **state)
{
    static const struct {
        enum conf_double_bounce double_bounce;
        bool both, dry;
        const char *words;
    } cases[] = {
        {CONF_DOUBLE_BOUNCE_BOOK, false, false,
         "its sender is <>, as of reports: nobody is told, it is discarded as a double bounce"},
        {CONF_DOUBLE_BOUNCE_BOOK, true, true,
         "of 1 the sender is <>, as of reports: nobody is told, it is discarded as a double "
         "bounce"},
        {CONF_DOUBLE_BOUNCE_POSTMASTER, true, false,
         "of 1 the sender is <>, as of reports: the postmaster is told instead, unless it went to "
         "him"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
        struct ipc_queue_act back = {.act = IPC_ACT_RETURN, .dry = cases[i].dry};
        world_join_directory(w);
        w->conf.double_bounce = cases[i].double_bounce;
        send_as(w, "", "anna@here.example");
        send_as(w, "s@far.example", "anna@here.example");
        back.filter.sender = cases[i].both ? SPAN("") : SPAN("<>");
        back.filter.destination = SPAN("here.example");
        struct ipc_queue_acted acted = world_act(w, back);
        assert_int_equal(acted.error, 0);
        assert_int_equal(acted.count, cases[i].both ? 2 : 1);
        assert_span(buffer_span(&w->reply_text), cases[i].words);
        world_free(w);
    }
}

/* Those who have one are just counted. */
static void what_has_a_sender_is_not_told_of(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);

    world_join_directory(w);
    send_as(w, "s@far.example", "anna@here.example");
    send_as(w, "", "bob@here.example");
    struct ipc_queue_act back = {.act = IPC_ACT_RETURN, .filter = from("s@far.example")};
    assert_int_equal(world_act(w, back).count, 1);
    assert_span(buffer_span(&w->reply_text), "");
    struct ipc_queue_act hold = {.act = IPC_ACT_HOLD, .filter = from("<>")};
    assert_int_equal(world_act(w, hold).count, 1);
    assert_span(buffer_span(&w->reply_text), "");
    world_free(w);
}

static void what_is_under_way_is_left_alone(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c;
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_until_jobs(w, 1);
    struct ipc_queue_acted acted = world_act(
        w, (struct ipc_queue_act){.act = IPC_ACT_REMOVE, .filter = from("s@far.example")});
    assert_int_equal(acted.error, -EBUSY);
    assert_int_equal(acted.busy, 1);
    assert_int_equal(waiting(w), 1);
    world_free(w);
}

static void assert_goes(struct world *w, const struct id *id, const char *where)
{
    struct spool_message *m = spool_find(w->queue.spool, id);
    assert_non_null(m);
    assert_span(spool_domain(w->queue.spool, m->recipients[0].domain), where);
}

static void reroutes_and_back(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c = world_settle(w, "anna@here.example");
    struct ipc_queue_act reroute = {
        .act = IPC_ACT_REROUTE, .filter = from("s@far.example"), .next_hop = SPAN("smtp:")};
    assert_int_equal(world_act(w, reroute).error, -EINVAL);
    reroute.next_hop = SPAN("smtp:Gate.example:2525");
    assert_int_equal(world_act(w, reroute).count, 1);
    assert_goes(w, &c.id, "host:gate.example:2525");
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("gate.example:2525")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_CARRIER);

    world_kill(w);
    world_start(w);
    world_join_admin(w);
    w->mailbox_does = MAILBOX_DEFERS;
    world_join_smtp(w);
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("gate.example:2525")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_PAUSE);

    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_mailbox(w);
    reroute.next_hop = SPAN("mx");
    reroute.filter.recipient = SPAN("anna@here.example");
    assert_int_equal(world_act(w, reroute).count, 1);
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.dispatch->delivered, 1);
    world_free(w);
}

/* What is held stays so, and then goes the new way. */
static void reroutes_what_is_held(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c = world_settle(w, "anna@here.example");
    assert_int_equal(act(w, IPC_ACT_HOLD, &c.id, "").count, 1);
    struct ipc_queue_act reroute = {
        .act = IPC_ACT_REROUTE, .filter.id = c.id, .next_hop = SPAN("mx:other.example")};
    assert_int_equal(world_act(w, reroute).count, 1);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").count, 1);
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("other.example")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_CARRIER);
    world_free(w);
}

static void one_act_at_a_time(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c = world_settle(w, "bob@here.example");
    struct ipc_message hold = {.type = IPC_QUEUE_ACT,
                               .queue_act = {.filter.id = c.id, .index = UINT32_MAX}};
    struct ipc_call unheard = {.fn = NULL};
    assert_int_equal(ipc_call(w->admin, &unheard, &hold), 0);
    ipc_call_cancel(&unheard);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").error, -EBUSY);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").count, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_release_and_retry),
        cmocka_unit_test(who_is_as_wanted_is_told_of),
        cmocka_unit_test(a_release_gives_no_second_life),
        cmocka_unit_test(acts_on_a_destination),
        cmocka_unit_test(removes_by_sender_and_recipient),
        cmocka_unit_test(finds_the_null_sender),
        cmocka_unit_test(what_has_no_sender_is_told_of),
        cmocka_unit_test(what_has_a_sender_is_not_told_of),
        cmocka_unit_test(what_is_under_way_is_left_alone),
        cmocka_unit_test(reroutes_and_back),
        cmocka_unit_test(reroutes_what_is_held),
        cmocka_unit_test(one_act_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
