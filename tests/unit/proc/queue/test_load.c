/* Bodies on their way from the disk to a carrier, and jobs that must wait. */
#include "booked.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

static void an_evicted_parcel_is_read_from_disk(void **state)
{
    struct world *w = world_begin();
    w->queue.parcels.limit = 0;
    world_accept(w, "s@far.example", "bob@here.example");
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.parcels.hits, 0);
    assert_span(buffer_span(&w->jobs[0].body), "hello\r\n");
    world_free(w);
}

enum { LARGE = 600000, NEAR_END = 590000 }; /* more than is read at once */

/* Memory is short when a piece of a body is to go, or a job: the n-th. The linker puts this in its
 * place (meson.build). */
static unsigned piece_without_memory, job_without_memory;
static bool no_job_finds_memory;

int __real_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);
int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);

int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message)
{
    if (message->type == IPC_JOB_BODY && piece_without_memory && --piece_without_memory == 0)
        return -ENOMEM;
    if (message->type == IPC_JOB && no_job_finds_memory)
        return -ENOMEM;
    if (message->type == IPC_JOB && job_without_memory && --job_without_memory == 0)
        return -ENOMEM;
    return __real_ipc_call(channel, call, message);
}

/* Nobody would ever send the rest of it: the carrier waits for the queue. */
static void a_piece_that_finds_no_memory_goes_later(void **state)
{
    for (unsigned piece = 1; piece <= 6; piece += 5) {
        struct world *w = world_begin();
        struct world_commit c;
        piece_without_memory = piece;
        world_send_large(w, &c, "bob@here.example", LARGE);
        world_until_answered(w, &c);
        assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
        world_until_delivered(w, 1);
        assert_int_equal(piece_without_memory, 0);
        assert_int_equal(w->jobs[0].body.size, LARGE);
        for (size_t i = 0; i < LARGE; i++)
            if (w->jobs[0].body.data[i] != world_byte(i))
                fail_msg("byte %zu differs", i);
        world_free(w);
    }
}

/* From memory or from the disk: nothing was attempted, so nothing is booked. */
static void a_job_that_finds_no_memory_goes_later(void **state)
{
    for (int from_disk = 0; from_disk < 2; from_disk++) {
        struct world *w = world_new();
        world_start(w);
        world_join_smtpd(w);
        world_accept(w, "s@far.example", "bob@here.example");
        if (from_disk) {
            world_stop(w);
            world_start(w);
        }
        job_without_memory = 1;
        world_join_mailbox(w);
        world_until_delivered(w, 1);
        assert_int_equal(job_without_memory, 0);
        assert_int_equal(w->queue.dispatch->deferred, 0);
        world_free(w);
    }
}

static unsigned stops_answered;

static void on_stopped(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    stops_answered++;
}

/* All: until then no job finds memory. */
static bool is_stopped(struct world *w, void *arg)
{
    job_without_memory = 1;
    return stops_answered == IPC_SMTP_PROCESSES + 1;
}

static bool is_blocked(struct world *w, void *arg)
{
    job_without_memory = 1;
    return dispatch_job_count(&w->queue) == 1;
}

/* It would read none of them: each would be booked as uncertain. Neither a new one nor one that
 * waits to be sent goes there. */
static void who_is_about_to_end_is_given_no_job(void **state)
{
    struct world *w = world_begin();
    struct ipc_call calls[IPC_SMTP_PROCESSES] = {0}, local = {.fn = on_stopped};
    struct ipc_message stop = {.type = IPC_JOB_STOP};
    struct world_commit c;
    stops_answered = 0;
    world_join_smtp(w);
    world_send(w, &c, "s@here.example", "x@elsewhere.example", SPAN("hello\r\n"));
    world_until(w, is_blocked, NULL);
    world_until_answered(w, &c);
    for (size_t i = 0; i < IPC_SMTP_PROCESSES; i++) {
        calls[i].fn = on_stopped;
        assert_int_equal(ipc_call(w->smtp[i], &calls[i], &stop), 0);
    }
    assert_int_equal(ipc_call(w->mailbox, &local, &stop), 0);
    world_until(w, is_stopped, NULL);
    job_without_memory = 0;
    dispatch_tick(&w->queue);
    world_accept(w, "s@here.example", "y@elsewhere.example");
    world_accept(w, "s@here.example", "bob@here.example");
    world_rest(w);
    assert_int_equal(w->job_count, 0);
    assert_int_equal(w->queue.dispatch->lost, 1);
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){.recipient = SPAN("y@elsewhere.example")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_CARRIER);
    world_leave_smtp(w);
    world_join_smtp(w);
    ipc_channel_free(w->mailbox);
    w->mailbox = NULL;
    world_join_mailbox(w);
    world_until_delivered(w, 3);
    assert_int_equal(w->queue.dispatch->uncertain, 0);
    world_free(w);
}

/* Changes a byte of the large message near its end, in whichever file that is. */
static int spoil_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char wanted[64], *bytes = type == FTW_F && st->st_size ? malloc((size_t)st->st_size) : NULL;
    int fd = bytes ? open(path, O_RDWR | O_CLOEXEC) : -1;
    ssize_t size = fd < 0 ? 0 : read(fd, bytes, (size_t)st->st_size);

    for (size_t i = 0; i < sizeof(wanted); i++)
        wanted[i] = world_byte(NEAR_END + i);
    char *at = size > 0 ? memmem(bytes, (size_t)size, wanted, sizeof(wanted)) : NULL;
    /* world_byte() repeats itself: the last place where it looks like this. */
    for (char *next = at; next;
         next = memmem(at + 1, (size_t)(bytes + size - at - 1), wanted, sizeof(wanted)))
        at = next;
    if (at)
        assert_int_equal(pwrite(fd, "X", 1, at - bytes), 1);
    if (fd >= 0)
        close(fd);
    free(bytes);
    return 0;
}

static bool is_refused(struct world *w, void *arg)
{
    return w->queue.dispatch->refused == 1;
}

/* The carrier can't know why the rest doesn't come; its word isn't taken for the destination's. */
static void damage_in_the_middle_stops_only_its_message(void **state)
{
    struct world *w = world_new();
    struct world_commit c;
    world_start(w);
    world_join_smtpd(w);
    world_send_large(w, &c, "bob@here.example", LARGE);
    world_until_answered(w, &c);
    world_stop(w);
    assert_int_equal(nftw(w->folder, spoil_file, 8, FTW_PHYS), 0);
    world_start(w);
    world_join_mailbox(w);
    world_until(w, is_refused, NULL);
    assert_true(w->jobs[0].dropped);
    assert_in_range(w->jobs[0].body.size, 1, LARGE - 1);
    assert_int_equal(w->queue.dispatch->deferred, 0);
    world_free(w);
}

static bool is_held(struct world *w, void *arg)
{
    return world_counts(w).held == 1 && world_is_settled(w, NULL);
}

/* What is found damaged before any of it went stays, held and shown; others go on. */
static void a_damaged_message_is_not_handed_on(void **state)
{
    struct world *w = world_begin();
    struct world_commit c;
    world_send(w, &c, "s@far.example", "x@elsewhere.example", SPAN("a body that breaks\r\n"));
    world_until_answered(w, &c);
    world_accept(w, "s@here.example",
                 "y@elsewhere.example"); /* a torn end of the log would be cut off */
    world_kill(w);
    world_damage(w, "a body that breaks");
    world_start(w);
    world_join_smtp(w);
    world_until(w, is_held, NULL);
    world_until_delivered(w, 1);
    world_rest(w);
    assert_int_equal(w->job_count, 1);
    assert_string_equal(w->jobs[0].recipients[0], "y@elsewhere.example");
    assert_true(spool_find(w->queue.spool, &c.id)->flags & SPOOL_MESSAGE_DAMAGED);
    world_free(w);
}

/* It was about to go, but hadn't: a hold that is said to be done keeps it here. */
static void who_is_held_before_the_job_goes_is_not_attempted(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DELIVERS);
    struct ipc_queue_act act = {.act = IPC_ACT_HOLD, .filter.sender = SPAN("s@far.example")};

    no_job_finds_memory = true;
    struct world_commit c = world_accept(w, "s@far.example", "bob@here.example");
    assert_int_equal(world_explain(w, &c.id).state, SCHED_ACTIVE);
    assert_int_equal(world_act(w, act).count, 1);
    no_job_finds_memory = false;
    world_until(w, world_is_settled, NULL);
    assert_int_equal(w->job_count, 0);
    assert_int_equal(world_explain(w, &c.id).state, SCHED_HELD);
    booked_read(w);
    assert_int_equal(booked_count, 2); /* the hold, and that he wasn't attempted */
    assert_int_equal(booked[1].status.outcome, SPOOL_OUTCOME_HELD);
    assert_int_equal(booked[1].status.next_attempt_us, 0);
    act.act = IPC_ACT_RELEASE;
    assert_int_equal(world_act(w, act).count, 1);
    world_until_delivered(w, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_message_is_not_handed_on),
        cmocka_unit_test(an_evicted_parcel_is_read_from_disk),
        cmocka_unit_test(a_piece_that_finds_no_memory_goes_later),
        cmocka_unit_test(a_job_that_finds_no_memory_goes_later),
        cmocka_unit_test(who_is_held_before_the_job_goes_is_not_attempted),
        cmocka_unit_test(who_is_about_to_end_is_given_no_job),
        cmocka_unit_test(damage_in_the_middle_stops_only_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
