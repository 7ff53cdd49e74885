/* What should have gone on and hasn't is found, told once, and named. */
#include "world.h"

#include "proc/queue/core/event.h"
#include "proc/queue/core/overdue.h"
#include <errno.h>

static int until_refused =
    -1; /* alarms that the spool has room for, then one that it has none for */

int __real_event_book(struct queue *q, struct event *event, spool_done_fn *done, void *arg);
int __wrap_event_book(struct queue *q, struct event *event, spool_done_fn *done, void *arg);

int __wrap_event_book(struct queue *q, struct event *event, spool_done_fn *done, void *arg)
{
    return until_refused-- == 0 ? -EAGAIN : __real_event_book(q, event, done, arg);
}

static struct world *begin(enum world_mailbox mailbox)
{
    struct world *w = world_new();
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_admin(w);
    w->mailbox_does = mailbox;
    /* A moment instead of an hour. No tick but the test's own walks. */
    w->queue.overdue->grace_us = 0;
    w->queue.overdue->patience_ms = 0;
    w->queue.overdue->next_ms = INT64_MAX;
    return w;
}

static struct world_commit send_one(struct world *w)
{
    struct world_commit c;
    world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c;
}

static bool has_passed(struct world *w, void *arg)
{
    return io_loop_now_ms(w->loop) > *(int64_t *)arg;
}

static void wait_a_little(struct world *w)
{
    int64_t until_ms = io_loop_now_ms(w->loop) + 5;
    world_until(w, has_passed, &until_ms);
}

/* A whole walk: the index of a small spool is one slice. */
static void walk(struct world *w)
{
    wait_a_little(w);
    w->queue.overdue->next_ms = 0;
    overdue_tick(&w->queue);
    assert_int_equal(w->queue.overdue->cursor, 0);
    w->queue.overdue->next_ms = INT64_MAX;
}

struct wanted {
    const char *text;
    const struct id *id;
    unsigned count;
};

static void count_alarm(void *arg, const struct event *event)
{
    struct wanted *w = arg;
    struct span said = event->reply;

    w->count += event->kind == EVENT_ALARM &&
                (w->id ? id_equal(&event->message, w->id)
                       : memmem(said.data, said.size, w->text, strlen(w->text)) != NULL);
}

/* In the spool of `w`, with `text` in it; or about that message. */
static unsigned count_alarms(struct world *w, const char *text, const struct id *id)
{
    struct wanted wanted = {text, id, 0};

    world_each_event(w, count_alarm, &wanted);
    return wanted.count;
}

static bool is_committed(struct world *w, void *arg)
{
    struct spool_counts counts;

    spool_get_counts(w->queue.spool, &counts);
    return counts.pending_bytes == 0 && committer_is_idle(&w->queue.committer);
}

static void an_attempt_that_hangs_is_told_once(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct world_commit c = send_one(w);
    struct buffer json = BUFFER_INIT;
    char id[ID_TEXT + 1];

    world_until_jobs(w, 1);
    for (int i = 0; i < 4; i++)
        walk(w);
    world_until(w, is_committed, NULL);
    assert_int_equal(w->queue.overdue->count, 1);
    assert_int_equal(count_alarms(w, NULL, &c.id), 1);
    overdue_status(&w->queue, &json);
    id_format(&c.id, id);
    buffer_append_byte(&json, '\0');
    assert_non_null(strstr(json.data, "\"overdue\":1,"));
    assert_non_null(strstr(json.data, id));
    buffer_done(&json);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_true(w->rows[0].overdue);
    w->mailbox_does = MAILBOX_DELIVERS;
    world_answer(w, &w->jobs[0], MAILBOX_DELIVERS);
    world_until_delivered(w, 1);
    world_until(w, is_committed, NULL);
    walk(w);
    assert_int_equal(w->queue.overdue->count, 0);
    world_free(w);
}

/* Patience: what is late for the first time may be going on just now. */
static void late_once_is_not_overdue(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);

    w->queue.overdue->patience_ms = 3600000;
    send_one(w);
    world_until_jobs(w, 1);
    for (int i = 0; i < 3; i++)
        walk(w);
    assert_int_equal(w->queue.overdue->before_count, 1);
    assert_int_equal(w->queue.overdue->count, 0);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_int_equal(w->row_count, 1);
    assert_false(w->rows[0].overdue);
    world_free(w);
}

/* Who pauses is planned, and who is held waits for a person. */
static void paused_and_held_are_not_overdue(void **state)
{
    struct world *w = begin(MAILBOX_DEFERS);
    struct world_commit first = send_one(w);

    send_one(w);
    world_until_jobs(w, 2);
    world_rest(w);
    world_ask(w,
              &(struct ipc_message){
                  .type = IPC_QUEUE_ACT,
                  .queue_act = {.act = IPC_ACT_HOLD, .filter.id = first.id, .index = UINT32_MAX}});
    for (int i = 0; i < 3; i++)
        walk(w);
    assert_int_equal(w->queue.overdue->count, 0);
    assert_int_equal(w->queue.overdue->before_count, 0);
    world_free(w);
}

static bool is_attempted(struct world *w, void *arg)
{
    return spool_find(w->queue.spool, arg)->recipients[0].attempts == 1 && w->job_count == 2;
}

/* He was in an act when his attempt ended, so his row names no time: he isn't late since for ever.
 */
static void who_has_no_time_of_his_own_is_late_since_he_was_seen(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);
    struct world_commit c = send_one(w);

    world_until_jobs(w, 1);
    world_begin_act(w, IPC_ACT_HOLD, &c.id, 1);
    world_stall_disk(w);
    world_begin_act(w, IPC_ACT_RELEASE, &c.id, 1);
    world_answer(w, &w->jobs[0], MAILBOX_DEFERS);
    world_rest(w);
    world_let_disk_go_on(w);
    world_until(w, is_attempted, &c.id);
    assert_int_equal(spool_find(w->queue.spool, &c.id)->recipients[0].next_attempt_us, 0);
    w->queue.overdue->grace_us = INT64_C(3600000000);
    for (int i = 0; i < 3; i++)
        walk(w);
    assert_int_equal(w->queue.overdue->before_count, 1);
    assert_int_equal(w->queue.overdue->count, 0);
    w->queue.overdue->grace_us = 0;
    walk(w);
    assert_int_equal(w->queue.overdue->count, 1);
    world_free(w);
}

/* Many: a few by name, the rest in one. */
static void many_are_told_together(void **state)
{
    struct world *w = begin(MAILBOX_IS_SILENT);

    for (int i = 0; i < 40; i++)
        send_one(w);
    walk(w);
    walk(w);
    world_until(w, is_committed, NULL);
    assert_int_equal(w->queue.overdue->count, 40);
    assert_int_equal(count_alarms(w, "overdue: it waits", NULL), 16);
    assert_int_equal(count_alarms(w, "24 more recipients", NULL), 1);
    world_free(w);
}

/* All are told of in the end, by name or in a sum, whichever alarm couldn't be booked. */
static void an_alarm_that_cant_be_booked_is_raised_again(void **state)
{
    enum { COUNT = 18, NAMED = 16 }; /* at a time */
    static const struct {
        int taken;
        unsigned named, sums;
    } cases[] = {{0, NAMED, 1}, {3, COUNT, 0}, {NAMED, COUNT, 0}, {COUNT, NAMED, 1}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(MAILBOX_IS_SILENT);
        for (int j = 0; j < COUNT; j++)
            send_one(w);
        until_refused = cases[i].taken;
        for (int j = 0; j < 3; j++)
            walk(w);
        until_refused = -1;
        world_until(w, is_committed, NULL);
        assert_int_equal(count_alarms(w, "overdue: it waits", NULL), cases[i].named);
        assert_int_equal(count_alarms(w, "2 more recipients", NULL), cases[i].sums);
        world_free(w);
    }
}

/* ---- a backlog that moves ---- */

enum { BACKLOG = 40 };

/* All but a window of them wait for room. */
static struct world *begin_backlog(void)
{
    struct world *w = begin(MAILBOX_IS_SILENT);

    w->queue.overdue->patience_ms = 1;
    for (int i = 0; i < BACKLOG; i++)
        send_one(w);
    walk(w);
    assert_int_equal(w->queue.overdue->before_count, BACKLOG);
    return w;
}

static bool has_left(struct world *w, void *arg)
{
    return !spool_find(w->queue.spool, arg) && w->queue.settling == 0;
}

/* Somebody's attempt comes to its end, and another one's begins. */
static void deliver_one(struct world *w)
{
    struct world_job *job = &w->jobs[w->delivered];

    world_answer(w, job, MAILBOX_DELIVERS);
    world_until(w, has_left, &job->id);
    world_rest(w);
}

/* Of those that wait for room. */
static unsigned count_told(const struct world *w)
{
    const struct overdue *o = w->queue.overdue;
    unsigned count = 0;

    for (size_t i = 0; i < o->before_count; i++)
        count += o->before[i].wait == SCHED_WAIT_WINDOW && o->before[i].is_overdue;
    return count;
}

static unsigned count_waiting(const struct world *w)
{
    const struct overdue *o = w->queue.overdue;
    unsigned count = 0;

    for (size_t i = 0; i < o->before_count; i++)
        count += o->before[i].wait == SCHED_WAIT_WINDOW;
    return count;
}

static void who_waits_for_room_isnt_overdue_while_others_go(void **state)
{
    struct world *w = begin_backlog();

    for (int i = 0; i < 3; i++) {
        deliver_one(w);
        walk(w);
        assert_true(count_waiting(w) > 10);
        assert_int_equal(count_told(w), 0);
        assert_true(w->queue.overdue->count > 0); /* attempts that hang */
    }
    walk(w);
    assert_int_equal(count_told(w), count_waiting(w));
    assert_int_equal(w->queue.overdue->count, w->queue.overdue->before_count);
    deliver_one(w);
    walk(w);
    assert_int_equal(count_told(w), 0);
    walk(w);
    assert_int_equal(count_told(w), count_waiting(w));
    world_free(w);
}

/* Who went on was late after him only: he is the one that was forgotten. */
static void who_is_passed_over_is_overdue(void **state)
{
    struct world *w = begin_backlog();
    struct overdue *o = w->queue.overdue;
    struct overdue_suspect *last = &o->before[o->before_count - 1]; /* his turn is far */

    assert_int_equal(last->wait, SCHED_WAIT_WINDOW);
    last->since_ms--;
    struct id id = last->id;
    deliver_one(w);
    walk(w);
    assert_int_equal(count_told(w), 1);
    assert_true(overdue_is_told(&w->queue, &id, &spool_find(w->queue.spool, &id)->recipients[0]));
    world_free(w);
}

/* However well others go on. */
static void nobody_is_excused_for_ever(void **state)
{
    struct world *w = begin_backlog();

    w->queue.overdue->excuse_ms = 1;
    deliver_one(w);
    walk(w);
    assert_int_equal(count_told(w), count_waiting(w));
    world_free(w);
}

/* It has an item, and so the scheduler's word that it waits for room: that isn't enough. */
static void an_attempt_that_hangs_has_no_excuse(void **state)
{
    struct world *w = begin_backlog();
    unsigned hangs = BACKLOG - count_waiting(w) - 1;

    deliver_one(w);
    walk(w);
    assert_in_range(w->queue.overdue->count, hangs, hangs + 2); /* some have begun */
    assert_int_equal(count_told(w), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_that_hangs_is_told_once),
        cmocka_unit_test(late_once_is_not_overdue),
        cmocka_unit_test(paused_and_held_are_not_overdue),
        cmocka_unit_test(who_has_no_time_of_his_own_is_late_since_he_was_seen),
        cmocka_unit_test(many_are_told_together),
        cmocka_unit_test(an_alarm_that_cant_be_booked_is_raised_again),
        cmocka_unit_test(who_waits_for_room_isnt_overdue_while_others_go),
        cmocka_unit_test(who_is_passed_over_is_overdue),
        cmocka_unit_test(nobody_is_excused_for_ever),
        cmocka_unit_test(an_attempt_that_hangs_has_no_excuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
