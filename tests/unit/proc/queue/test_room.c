/* What the queue does on a disk that is as small as the test says. */
#include "world.h"

#include "proc/queue/status.h"
#include <stdatomic.h>
#include <stdio.h>
#include <sys/statvfs.h>

static _Atomic uint64_t free_bytes;

/* Instead of the C library's. */
int fstatvfs(int fd, struct statvfs *out)
{
    *out = (struct statvfs){.f_frsize = 1, .f_bavail = free_bytes};
    return 0;
}

static struct world *begin(uint64_t free, uint64_t reserve)
{
    struct world *w = world_new();

    free_bytes = free;
    w->conf.disk_reserve = reserve;
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_rest(w);
    return w;
}

static void no_reserve_is_none(void **state)
{
    struct world *w = begin(20 << 20, 0);

    assert_false(w->pressed);
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

static bool status_has(const struct world *w, const char *text)
{
    struct buffer json = BUFFER_INIT;

    queue_status(&w->queue, &json);
    bool has = memmem(json.data, json.size, text, strlen(text)) != NULL;
    buffer_done(&json);
    return has;
}

/* Strangers get neither numbers nor settings. */
static void the_administrator_is_told_the_figures(void **state)
{
    static const struct {
        uint64_t free, reserve;
        const char *text, *figures;
    } cases[] = {
        {(64 << 20) - 1, 256 << 20, "the spool's disk is nearly full",
         ": 63M are free, the reserve is 256M (limits: disk_reserve)\""},
        {(4 << 20) - 1, 1, "the spool's disk has no room for another file",
         ": 3M are free, a file takes 4M (spool_segment_size)\""},
        {(4 << 20) - 1, 256 << 20, "the spool's disk has no room for another file",
         ": 3M are free, a file takes 4M (spool_segment_size), the reserve is 256M (limits: "
         "disk_reserve)\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(cases[i].free, cases[i].reserve);
        char expected[300];
        assert_true(w->pressed);
        assert_string_equal(w->pressure, cases[i].text);
        snprintf(expected, sizeof(expected), "\"defers_why\":\"%s%s", cases[i].text,
                 cases[i].figures);
        assert_true(status_has(w, expected));
        world_free(w);
    }
}

static void the_figures_go_with_their_cause(void **state)
{
    struct world *w = begin(20 << 20, 256 << 20);

    assert_true(status_has(w, "20M are free"));
    w->conf.disk_reserve = 0;
    assert_int_equal(queue_reconfigure(&w->queue, &w->conf), 0);
    world_rest(w);
    assert_false(w->pressed);
    assert_true(status_has(w, "\"defers_why\":\"\""));
    world_free(w);
}

/* ---- the end ---- */

/* Events until the log's only segment takes no more, and none is to be had. */
static void fill_log(struct world *w)
{
    static const char bytes[SPOOL_EVENT_MAX];

    free_bytes = 1 << 20;
    while (!spool_lacks_segment(w->queue.spool)) {
        assert_int_equal(spool_event(w->queue.spool, span_of(bytes, sizeof(bytes)), NULL, NULL), 0);
        committer_kick(&w->queue.committer);
        world_rest(w);
    }
}

/* The outcome would be lost with a kill, too; and is in doubt after this end as after that. */
static void an_end_does_not_wait_for_ever_for_room(void **state)
{
    struct world *w = begin(1 << 30, 1);

    w->mailbox_does = MAILBOX_IS_SILENT;
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_jobs(w, 1);
    fill_log(w);
    world_answer(w, &w->jobs[0], MAILBOX_DELIVERS);
    world_rest(w);
    world_close(w);
    world_rest(w);
    assert_false(w->closed);
    w->queue.closing_ms -= 3600000; /* an hour ago */
    world_until_closed(w);
    world_kill(w);
    free_bytes = 1 << 30;
    world_start(w);
    assert_false(spool_ended_well(w->queue.spool));
    assert_int_equal(world_counts(w).messages, 1);
    world_free(w);
}

static void an_end_waits_for_room_a_while(void **state)
{
    struct world *w = begin(1 << 20, 1);

    assert_int_equal(spool_event(w->queue.spool, SPAN("refused"), NULL, NULL), 0);
    world_close(w);
    world_rest(w);
    assert_false(w->closed);
    free_bytes = 1 << 30;
    world_until_closed(w);
    world_kill(w);
    world_start(w);
    assert_true(spool_ended_well(w->queue.spool));
    assert_int_not_equal(spool_sealed_position(w->queue.spool).segment, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_reserve_is_none),
        cmocka_unit_test(the_administrator_is_told_the_figures),
        cmocka_unit_test(the_figures_go_with_their_cause),
        cmocka_unit_test(an_end_does_not_wait_for_ever_for_room),
        cmocka_unit_test(an_end_waits_for_room_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
