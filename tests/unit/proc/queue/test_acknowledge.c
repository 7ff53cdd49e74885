/* What an administrator ticks off is booked with who he is, when it is on disk; and nobody whom the
 * queue has is lost. */
#include "world.h"

#include <errno.h>
#include <unistd.h>

static struct world *begin(void)
{
    return world_begin_with_admin(MAILBOX_DEFERS);
}

static struct ipc_acknowledge_done acknowledge(struct world *w, const char *reason,
                                               struct ipc_acknowledge_row *rows, size_t count)
{
    const struct ipc_message ask = {
        .type = IPC_ACKNOWLEDGE,
        .acknowledge = {.reason = span_from_cstr(reason), .rows = rows, .row_count = count}};

    world_ask(w, &ask);
    return w->reply.acknowledge_done;
}

struct booked {
    struct event events[4];
    size_t count;
};

static void keep(void *arg, const struct event *event)
{
    struct booked *b = arg;

    if (event->kind != EVENT_ACKNOWLEDGED && event->kind != EVENT_LOST)
        return;
    assert_in_range(b->count, 0, 3);
    assert_span(event->reply, "the disk was replaced");
    assert_int_equal(event->actor_uid, getuid());
    b->events[b->count++] = *event; /* but its texts */
}

static const char *const why = "the disk was replaced";

static void each_is_booked_with_who_and_why(void **state)
{
    struct world *w = begin();
    struct ipc_acknowledge_row rows[] = {
        {.message = {{1, 2}}, .index = 3, .token = {{4}}},
        {.message = {{1, 2}}, .index = 3, .token = {{5}}},
        {.index = UINT32_MAX, .token = {{6}}},
        {.message = {{1, 2}}, .index = 4, .token = {{7}}, .lost = true},
    };
    struct booked booked = {.count = 0};

    struct ipc_acknowledge_done done = acknowledge(w, why, rows, ARRAY_SIZE(rows));
    assert_int_equal(done.error, 0);
    assert_int_equal(done.taken, 4);
    assert_int_equal(done.left_alone, 0);
    world_each_event(w, keep, &booked); /* sealed: it was answered */
    assert_int_equal(booked.count, 4);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct event *e = &booked.events[i];
        assert_int_equal(e->kind, rows[i].lost ? EVENT_LOST : EVENT_ACKNOWLEDGED);
        assert_true(id_equal(&e->message, &rows[i].message));
        assert_true(id_equal(&e->reference, &rows[i].token));
        assert_int_equal(e->recipient_index, rows[i].index);
        assert_true(i == 0 || e->time_us > e[-1].time_us);
    }
    assert_memory_not_equal(booked.events[0].key, booked.events[1].key, ENVELOPE_KEY_BYTES);
    world_free(w);
}

static void who_is_in_the_queue_is_not_lost(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    struct booked booked = {.count = 0};

    world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    struct ipc_acknowledge_row rows[] = {{.message = c.id, .index = 0, .lost = true},
                                         {.message = c.id, .index = 1, .lost = true}};
    struct ipc_acknowledge_done done = acknowledge(w, why, rows, ARRAY_SIZE(rows));
    assert_int_equal(done.error, 0);
    assert_int_equal(done.taken, 2);
    assert_int_equal(done.left_alone, 1);
    world_each_event(w, keep, &booked);
    assert_int_equal(booked.count, 1);
    assert_int_equal(booked.events[0].recipient_index, 1);
    world_free(w);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct world *w = begin();
    struct ipc_acknowledge_row rows[] = {{.index = UINT32_MAX, .token = {{6}}},
                                         {.message = {{1}}, .index = UINT32_MAX, .lost = true},
                                         {.index = 0, .lost = true}};
    struct booked booked = {.count = 0};

    assert_int_equal(acknowledge(w, "", rows, 1).error, -EINVAL);
    assert_int_equal(acknowledge(w, why, rows + 2, 1).error, -EINVAL);
    struct ipc_acknowledge_done done = acknowledge(w, why, rows, ARRAY_SIZE(rows));
    assert_int_equal(done.error, -EINVAL);
    assert_int_equal(done.taken, 1);
    world_each_event(w, keep, &booked);
    assert_int_equal(booked.count, 1);
    world_free(w);
}

static void what_the_disk_refuses_is_told(void **state)
{
    struct world *w = begin();
    struct ipc_acknowledge_row row = {.index = UINT32_MAX, .token = {{6}}};

    world_set_disk(w, true);
    assert_int_equal(acknowledge(w, why, &row, 1).error, -EIO);
    world_set_disk(w, false);
    world_free(w);
}

/* He doesn't wait for the answer: what he said is booked all the same. */
static bool is_booked(struct world *w, void *arg)
{
    struct booked booked = {.count = 0};

    world_each_event(w, keep, &booked);
    return booked.count == 1;
}

static bool has_begun(struct world *w, void *arg)
{
    struct spool_counts counts;

    spool_get_counts(w->queue.spool, &counts);
    return counts.pending_bytes > 0 || is_booked(w, arg);
}

static void who_goes_away_has_said_it(void **state)
{
    struct world *w = begin();
    struct ipc_acknowledge_row row = {.index = UINT32_MAX, .token = {{6}}};
    const struct ipc_message ask = {
        .type = IPC_ACKNOWLEDGE,
        .acknowledge = {.reason = span_from_cstr(why), .rows = &row, .row_count = 1}};
    struct ipc_call call = {.fn = NULL};

    assert_int_equal(ipc_call(w->admin, &call, &ask), 0);
    world_until(w, has_begun, NULL);
    ipc_call_cancel(&call);
    world_join_admin(w);
    world_until(w, is_booked, NULL);
    assert_int_equal(acknowledge(w, why, &row, 1).error, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_booked_with_who_and_why),
        cmocka_unit_test(who_is_in_the_queue_is_not_lost),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(what_the_disk_refuses_is_told),
        cmocka_unit_test(who_goes_away_has_said_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
