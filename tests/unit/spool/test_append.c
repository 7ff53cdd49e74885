/* Appends before they are sealed: what fails, what waits on, and what the log says of it. */
#include "spool_world.h"

#include <errno.h>
#include <stdio.h>

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.spare_segments = 1;
    world_open(&w);
    world_run(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

struct order {
    unsigned calls;
    int last;
    unsigned at; /* the how manieth call it was */
};

static unsigned calls;

static void note(void *arg, int error)
{
    struct order *order = arg;
    order->calls++;
    order->last = error;
    order->at = ++calls;
}

static void accept_noting(struct world *w, unsigned number, struct order *order)
{
    struct envelope_recipient to = {.address = SPAN("bob@b.example")};
    struct envelope e = {.id = world_id(number), .recipients = &to, .recipient_count = 1};
    struct spool_accept a = {.envelope = &e, .body = SPAN("hello")};
    assert_int_equal(spool_accept(w->spool, &a, note, order), 0);
}

static void status_noting(struct world *w, unsigned number, uint32_t recipient, struct order *order)
{
    struct spool_status status = {.recipient = recipient, .outcome = SPOOL_OUTCOME_DELIVERED};
    assert_int_equal(spool_status(w->spool, world_find(w, number), &status, 1, note, order), 0);
}

/* The events that the log has, as one string. */
static void read_events(struct world *w, char *out, size_t size)
{
    struct spool_followed followed;
    struct spool_follower *f;
    size_t used = 0;
    int r;

    out[0] = '\0';
    assert_int_equal(spool_follower_new(store_sim_open(w->disk), (struct spool_position){0, 0}, &f),
                     0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    while ((r = spool_follower_next(f, &followed)) > 0)
        if (followed.kind == SPOOL_FOLLOWED_EVENT)
            used += (size_t)snprintf(out + used, size - used, "%.*s ", (int)followed.event.size,
                                     followed.event.data);
    assert_int_equal(r, 0);
    spool_follower_free(f);
}

/* What there is fails one after the other, and none can be made. */
static void leave_no_segment(struct world *w)
{
    struct store_sim_faults faults = {.create_error = 10000, .sync_error = 10000};

    store_sim_set_faults(w->disk, &faults);
    while (w->spool->open || spool_next_spare(w->spool)) {
        assert_int_equal(spool_event(w->spool, SPAN("lost"), NULL, NULL), 0);
        assert_int_equal(world_commit(w), -EIO);
        w->now_us += 1000 * w->options.retry_us;
    }
}

/* Rule 7: mail that waits for a segment is refused when none can be had; outcomes and events that
 * lie between it in the same blocks wait on, whole and in their order. */
static void mail_is_refused_and_outcomes_wait_when_no_segment_can_be_had(void **state)
{
    struct world *w = *state;
    struct order first = {0}, second = {0}, outcome = {0}, other = {0}, event = {0};
    struct spool_task *task;
    static char between[2000]; /* long: whatever was written to a wrong place hits it */
    static char events[2100];
    const char *why;

    memset(between, 'x', sizeof(between) - 1);
    assert_int_equal(world_accept(w, 1, 3, 500), 0);
    assert_int_equal(world_commit(w), 0);
    leave_no_segment(w);
    /* Mail comes that was let in just before: behind the pressure's back. */
    w->spool->failures = 0;
    accept_noting(w, 2, &first);
    status_noting(w, 1, 0, &outcome);
    accept_noting(w, 3, &second);
    assert_int_equal(spool_event(w->spool, span_from_cstr(between), note, &event), 0);
    status_noting(w, 1, 2, &other);
    assert_true(spool_lacks_segment(w->spool));
    assert_int_equal(world_commit(w), 1);
    while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_true(first.last < 0 && second.last == first.last);
    assert_true(first.at < second.at);
    assert_null(world_find(w, 2));
    assert_int_equal(outcome.calls + other.calls + event.calls, 0);
    assert_true(spool_pressure(w->spool, &why) == SPOOL_PRESSURE_ROOM ||
                spool_pressure(w->spool, &why) == SPOOL_PRESSURE_FAILED);

    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    w->now_us += 1000 * w->options.retry_us;
    world_run(w);
    assert_false(spool_lacks_segment(w->spool));
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.last | other.last | event.last, 0);
    assert_true(outcome.at < event.at && event.at < other.at);
    assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_NONE);
    assert_int_equal(w->spool->pending_bytes, 0);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(w->spool->index.messages, 1);
    assert_int_equal(world_find(w, 1)->waiting, 1);
    assert_non_null(spool_find_recipient(world_find(w, 1), 1));
    assert_int_equal(world_check(w, 1, 3, 500), 0);
    read_events(w, events, sizeof(events));
    assert_int_equal(strlen(events), sizeof(between));
    assert_memory_equal(events, between, sizeof(between) - 1);
}

/* What waits in memory is bounded; outcomes are let in all the same, since they free space. */
static void mail_and_events_wait_while_too_much_is_pending(void **state)
{
    struct world *w = *state;
    unsigned number = 1;
    const char *why;
    int r;

    w->spool->options.pending_bytes = 20000;
    assert_int_equal(world_accept(w, number, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    while ((r = world_accept(w, ++number, 1, 5000)) == 0)
        assert_true(number < 100);
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(number, 6); /* the fifth went over the limit */
    assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_BUSY);
    assert_string_equal(why, "the spool's disk doesn't keep up");
    assert_null(world_find(w, number));
    assert_int_equal(spool_event(w->spool, SPAN("refused"), NULL, NULL), -EAGAIN);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    world_run(w);
    assert_int_equal(spool_pressure(w->spool, NULL), SPOOL_PRESSURE_NONE);
    assert_int_equal(world_accept(w, number, 1, 5000), 0);
}

static void an_event_has_its_limit(void **state)
{
    static char bytes[SPOOL_EVENT_MAX + 1];
    struct world *w = *state;

    assert_int_equal(spool_event(w->spool, span_of(bytes, SPOOL_EVENT_MAX + 1), NULL, NULL),
                     -EMSGSIZE);
    assert_int_equal(world_commit(w), 1);
    assert_int_equal(spool_event(w->spool, span_of(bytes, SPOOL_EVENT_MAX), NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
}

/* A failed group gives its outcomes back: given again, they are taken. */
static void an_outcome_that_failed_may_be_given_again(void **state)
{
    struct world *w = *state;
    struct order outcome = {0};

    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    status_noting(w, 1, 0, &outcome);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), -EALREADY);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.last, -EIO);
    assert_int_equal(world_find(w, 1)->waiting, 2);
    assert_int_equal(world_find(w, 1)->pins, 0);
    status_noting(w, 1, 0, &outcome);
    world_run(w);
    assert_int_equal(outcome.last, 0);
    assert_int_equal(world_find(w, 1)->waiting, 1);
}

static void give(struct world *w, struct order *order, unsigned number, uint32_t recipient,
                 enum spool_outcome outcome)
{
    struct spool_status status = {.recipient = recipient, .outcome = (uint8_t)outcome};

    assert_int_equal(spool_status(w->spool, world_find(w, number), &status, 1, note, order), 0);
}

/* The first is refused when the second lies behind it already. Given again in the order in which
 * they come back, they are in the log as they were said. Who is beside them goes on. */
static void what_lies_behind_an_outcome_that_failed_fails_with_it(void **state)
{
    struct world *w = *state;
    struct order first = {0}, same = {0}, behind = {0}, end = {0}, before = {0}, after = {0};

    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    assert_int_equal(world_accept(w, 3, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    give(w, &first, 1, 0, SPOOL_OUTCOME_DEFERRED);
    give(w, &same, 1, 1, SPOOL_OUTCOME_DEFERRED);
    struct spool_group *group = spool_take_group(w->spool, ++w->now_us);
    give(w, &before, 2, 0, SPOOL_OUTCOME_DEFERRED);
    give(w, &behind, 1, 0, SPOOL_OUTCOME_HELD);
    give(w, &after, 2, 0, SPOOL_OUTCOME_DELIVERED);
    give(w, &end, 1, 0, SPOOL_OUTCOME_REMOVED);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    spool_write_group(group);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    spool_finish_group(w->spool, group, ++w->now_us);
    assert_int_equal(first.last, -EIO);
    assert_int_equal(behind.last, -EIO);
    assert_int_equal(end.last, -EIO);
    assert_true(first.at < same.at && same.at < behind.at && behind.at < end.at);
    assert_false(spool_find_recipient(world_find(w, 1), 0)->is_closing);
    assert_int_equal(before.calls + after.calls, 0);
    give(w, &first, 1, 0, SPOOL_OUTCOME_DEFERRED);
    give(w, &same, 1, 1, SPOOL_OUTCOME_DEFERRED);
    give(w, &behind, 1, 0, SPOOL_OUTCOME_HELD);
    give(w, &end, 1, 0, SPOOL_OUTCOME_REMOVED);
    world_run(w);
    assert_true(before.at < after.at && after.at < first.at && first.at < end.at);
    assert_int_equal(first.last | behind.last | end.last | before.last | after.last, 0);
    assert_int_equal(w->spool->pending_bytes, 0);
    world_crash(w, STORE_SIM_POWER_CUT);
    for (unsigned i = 1; i <= 2; i++)
        assert_int_equal(world_find(w, i)->waiting, 1);
    assert_int_equal(world_find(w, 3)->waiting, 2);
}

/* The name that it was to go to is kept by nobody. */
static void a_rerouting_that_failed_keeps_no_name(void **state)
{
    struct world *w = *state;
    struct spool_status status = {
        .recipient = 1, .outcome = SPOOL_OUTCOME_REROUTED, .host = SPAN("host:gate.example:25")};

    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    uint32_t names = w->spool->index.domains.used;
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &status, 1, NULL, NULL), 0);
    assert_int_equal(w->spool->index.domains.used, names + 1);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    assert_int_equal(w->spool->index.domains.used, names);
    assert_span(spool_domain(w->spool, spool_find_recipient(world_find(w, 1), 1)->domain),
                "d1.example");
}

static void an_unknown_outcome_or_none_is_refused(void **state)
{
    struct world *w = *state;
    struct spool_status status = {.recipient = 0, .outcome = SPOOL_OUTCOME_MAX + 1};

    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    struct spool_message *message = world_find(w, 1);
    assert_int_equal(spool_status(w->spool, message, &status, 1, NULL, NULL), -EINVAL);
    status.outcome = 0;
    assert_int_equal(spool_status(w->spool, message, &status, 1, NULL, NULL), -EINVAL);
    status.outcome = SPOOL_OUTCOME_DELIVERED;
    assert_int_equal(spool_status(w->spool, message, &status, 0, NULL, NULL), -EINVAL);
    status.recipient = 2;
    assert_int_equal(spool_status(w->spool, message, &status, 1, NULL, NULL), -EALREADY);
    assert_int_equal(world_commit(w), 1);
    assert_int_equal(message->waiting, 2);
}

/* What a row's pins can count: more appends of one message wait for the next group. */
static void appends_of_one_message_are_counted(void **state)
{
    struct world *w = *state;
    unsigned count = 0;
    int r;

    world_close(w);
    w->options.segment_bytes = 1 << 20; /* the least that the configuration allows */
    world_open(w);
    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    world_run(w);
    while ((r = world_status(w, 1, 0, SPOOL_OUTCOME_DEFERRED)) == 0)
        assert_true(++count <= UINT16_MAX);
    assert_int_equal(r, -EAGAIN);
    world_run(w);
    assert_int_equal(world_find(w, 1)->pins, 0);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DELIVERED), 0);
    world_run(w);
    assert_null(world_find(w, 1));
}

/* The alarms of the log whose text is "alarm <n>", n counted up from 0. */
static unsigned count_alarms(struct world *w)
{
    struct spool_followed followed;
    struct spool_follower *f;
    unsigned next = 0;
    char wanted[32];

    assert_int_equal(spool_follower_new(store_sim_open(w->disk), (struct spool_position){0, 0}, &f),
                     0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    while (spool_follower_next(f, &followed) > 0) {
        if (followed.kind != SPOOL_FOLLOWED_ALARM ||
            !span_starts_nocase(followed.alarm->text, SPAN("alarm ")))
            continue;
        snprintf(wanted, sizeof(wanted), "alarm %u", next++);
        assert_span(followed.alarm->text, wanted);
    }
    spool_follower_free(f);
    return next;
}

/* A disk that complains a lot doesn't hold up mail: alarms go a few to a group. None is lost,
 * though a group with some of them fails. */
static void alarms_come_a_few_at_a_time_and_none_is_lost(void **state)
{
    enum { ALARMS = 300 };
    struct world *w = *state;

    for (unsigned i = 0; i < ALARMS; i++)
        append_alarm(w->spool, SPOOL_ALARM_DAMAGE, NULL, (struct spool_position){1, i}, "alarm %u",
                     i);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    world_run(w); /* a segment is made */
    w->now_us += 1000 * w->options.retry_us;
    uint64_t before = w->spool->counts.groups;
    world_run(w);
    assert_int_equal(count_alarms(w), ALARMS);
    assert_true(list_is_empty(&w->spool->alarms));
    assert_true(w->spool->counts.groups >= before);
    assert_true(w->spool->counts.groups > ALARMS / 100);
}

static void an_upload_brings_the_whole_body(void **state)
{
    struct world *w = *state;
    struct envelope_recipient to = {.address = SPAN("bob@b.example")};
    struct envelope e = {.id = world_id(1), .recipients = &to, .recipient_count = 1};
    struct spool_accept a = {.envelope = &e, .body = SPAN("and inline")};

    assert_int_equal(spool_upload_new(w->spool, &a.upload), 0);
    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), -EMSGSIZE);
    a.body = SPAN("");
    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), 0);
}

/* Longer and longer, but never so long that a mended disk isn't found for hours. */
static void pauses_between_tries_have_an_end(void **state)
{
    struct world *w = *state;
    int64_t last = 0;

    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(spool_event(w->spool, SPAN("lost"), NULL, NULL), 0);
        while (world_commit(w) == 1) {
            struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
            if (task) {
                spool_run_task(task);
                spool_finish_task(w->spool, task, ++w->now_us);
            }
            w->now_us += w->options.retry_us;
        }
        int64_t pause = w->spool->retry_at_us - w->now_us;
        assert_true(i == 0 ? pause <= 0 : pause >= last);
        assert_true(pause <= 64 * w->options.retry_us);
        last = pause;
    }
    assert_true(last > 60 * w->options.retry_us);
}

/* Who came first doesn't wait for the bytes of who came last. */
static void a_large_group_is_cut(void **state)
{
    enum { COUNT = 100 };
    struct world *w = *state;

    world_close(w);
    w->options.segment_bytes = 4 << 20;
    w->options.group_bytes = 300 * 1024;
    world_open(w);
    for (unsigned i = 1; i <= COUNT; i++)
        assert_int_equal(world_accept(w, i, 1, 8000), 0);
    assert_int_equal(world_commit(w), 0);
    assert_in_range(w->done, 1, 300 * 1024 / 8000);
    assert_in_range(w->spool->counts.bytes_written, w->done * 8000, 301 * 1024);
    world_run(w);
    assert_int_equal(w->done, COUNT);
}

/* Who became others became somebody, and only once. */
static void an_expansion_has_a_parent_and_a_child(void **state)
{
    struct world *w = *state;
    struct envelope_recipient to[] = {{.address = SPAN("list@a.example")},
                                      {.address = SPAN("bob@a.example")}};
    struct envelope_recipient child = {.address = SPAN("x@b.example")};
    struct envelope e = {.id = world_id(1), .recipients = to, .recipient_count = 2};
    const struct {
        struct spool_expansion list[2];
        size_t count;
    } wrong[] = {{{{0, &child, 0}}, 1},                 /* nobody */
                 {{{2, &child, 1}}, 1},                 /* of nobody */
                 {{{0, &child, 1}, {0, &child, 1}}, 2}, /* twice */
                 {{{2, &child, 1}, {0, &child, 1}}, 2}};

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct spool_accept a = {.envelope = &e,
                                 .body = SPAN("hello"),
                                 .expansions = wrong[i].list,
                                 .expansion_count = wrong[i].count};
        assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), -EINVAL);
    }
    assert_int_equal(world_commit(w), 1);
    assert_int_equal(w->spool->index.domains.used, 0);
}

/* A block without a record would say that any segment has room for what comes behind it. */
static void what_was_refused_takes_nobodys_room(void **state)
{
    enum { FIRST = 600 * 1024, SECOND = 500 * 1024 };
    static char detail[SPOOL_REPLY_MAX + 1];
    struct world *w = *state;
    struct spool_status too_long = {.outcome = SPOOL_OUTCOME_DEFERRED,
                                    .detail = span_of(detail, sizeof(detail))};

    world_close(w);
    w->options.segment_bytes = 1024 * 1024;
    w->options.inline_bytes = FIRST;
    world_open(w);
    assert_int_equal(world_accept(w, 1, 1, FIRST), 0);
    world_run(w);
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &too_long, 1, NULL, NULL), -EINVAL);
    assert_int_equal(world_accept(w, 2, 1, SECOND), 0);
    world_run(w);
    assert_int_equal(w->failed, 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 1, FIRST), 0);
        assert_int_equal(world_check(w, 2, 1, SECOND), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            mail_is_refused_and_outcomes_wait_when_no_segment_can_be_had, setup, teardown),
        cmocka_unit_test_setup_teardown(mail_and_events_wait_while_too_much_is_pending, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_event_has_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outcome_that_failed_may_be_given_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_lies_behind_an_outcome_that_failed_fails_with_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_rerouting_that_failed_keeps_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_outcome_or_none_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(appends_of_one_message_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(alarms_come_a_few_at_a_time_and_none_is_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_upload_brings_the_whole_body, setup, teardown),
        cmocka_unit_test_setup_teardown(pauses_between_tries_have_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_group_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expansion_has_a_parent_and_a_child, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_refused_takes_nobodys_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
