/* `postbuch reload`, with processes that are played here: who has not taken the new configuration
 * is named, with the reason. */
#include "../../unit.h"

#include "base/clock.h"
#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { QUEUE, DIRECTORY, MAILBOX, CHILDREN };

static const enum ipc_peer peers[CHILDREN] = {IPC_PEER_QUEUE, IPC_PEER_DIRECTORY, IPC_PEER_MAILBOX};

static struct world {
    struct supervisor supervisor;
    struct ipc_channel *ends[CHILDREN];
    struct ipc_call call;
    bool answered, done, partly;
    char text[1000];
    bool kept;                     /* what generation_reload() says */
    int64_t reading_ms, passed_ms; /* by the clock that nobody sets */
    struct io_timer *patience;     /* the last that was set, and for how long */
    int64_t patience_ms;
} w;

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);
int __real_io_timer_set(struct io_timer *timer, int64_t after_ms);
int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + w.passed_ms;
}

int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms)
{
    w.patience = timer;
    w.patience_ms = after_ms;
    return __real_io_timer_set(timer, after_ms);
}

/* ---- what the supervisor's other parts would do ---- */

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    *out_kept = w.kept;
    w.passed_ms += w.reading_ms;
    for (size_t i = 0; i < s->child_count; i++)
        s->children[i].untaken += s->children[i].unsent == 0;
    return 0;
}

void readiness_look(struct supervisor *s)
{
}

/* ---- a place for it ---- */

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static const struct ipc_role role = {.peer_name = "supervisor", .lost = on_lost};

static const struct kind *kind_of(enum ipc_peer peer)
{
    const struct kind *kind = kinds;

    while (kind->peer != peer)
        assert_true(++kind < kinds + kind_count);
    return kind;
}

static void begin(size_t i)
{
    struct child *child = &w.supervisor.children[i];
    int fds[2];

    *child = (struct child){.supervisor = &w.supervisor,
                            .kind = kind_of(peers[i]),
                            .pid = 100 + (int)i,
                            .has_one = true,
                            .ready = true};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(child_hear(child, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w.supervisor.loop, fds[1], &role, NULL, &w.ends[i]), 0);
}

static int setup(void **state)
{
    log_open("test", LOG_LEVEL_ERROR + 1);
    w = (struct world){.supervisor.child_count = CHILDREN};
    assert_int_equal(io_loop_new(&w.supervisor.loop), 0);
    for (size_t i = 0; i < CHILDREN; i++)
        begin(i);
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        ipc_channel_free(w.ends[i]);
        ipc_channel_free(w.supervisor.children[i].channel);
    }
    io_loop_free(w.supervisor.loop);
    return 0;
}

static void turns(void)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(io_loop_turn(w.supervisor.loop), 0);
}

static void say_ready(size_t i, int32_t error)
{
    struct ipc_message ready = {.type = IPC_READY, .ready.error = error};

    assert_int_equal(ipc_notify(w.ends[i], &ready), 0);
    turns();
}

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    w.answered = true;
    w.done = reply->reloaded.done;
    w.partly = reply->reloaded.partly;
    snprintf(w.text, sizeof(w.text), SPAN_FMT, SPAN_ARG(reply->reloaded.text));
}

static void ask(void)
{
    struct ipc_message m = {.type = IPC_RELOAD};

    w.answered = false;
    w.call.fn = on_answer;
    assert_int_equal(ipc_call(w.ends[QUEUE], &w.call, &m), 0);
    turns();
    assert_false(w.answered);
}

static void all_have_it(void **state)
{
    ask();
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    assert_false(w.answered);
    say_ready(DIRECTORY, 0);
    assert_true(w.answered && w.done && !w.partly);
    assert_string_equal(w.text, "");
}

static void who_could_not_take_it_is_named(void **state)
{
    ask();
    say_ready(QUEUE, 0);
    say_ready(DIRECTORY, -ENOMEM);
    say_ready(MAILBOX, 0);
    assert_true(w.answered && w.done && w.partly);
    assert_string_equal(w.text, "directory[101] goes on with the old one: Cannot allocate memory; "
                                "the log has more\n");
    /* The next time it can. */
    ask();
    say_ready(QUEUE, 0);
    say_ready(DIRECTORY, 0);
    say_ready(MAILBOX, 0);
    assert_true(w.answered && w.done && !w.partly);
    assert_string_equal(w.text, "");
}

/* As when the users had errors at the start, and were mended. */
static void who_has_no_old_one_does_not_go_on_with_it(void **state)
{
    struct child *directory = &w.supervisor.children[DIRECTORY];

    directory->has_one = false;
    directory->ready = false;
    directory->untaken = 1;
    say_ready(DIRECTORY, -EINVAL);
    assert_true(directory->ready && !directory->has_one);
    ask();
    say_ready(QUEUE, 0);
    say_ready(DIRECTORY, -ENOMEM);
    say_ready(MAILBOX, 0);
    assert_true(w.answered && w.done && w.partly && !directory->has_one);
    assert_string_equal(w.text, "directory[101] couldn't take it, and has no old one: Cannot "
                                "allocate memory; the log has more\n");
    ask();
    say_ready(QUEUE, 0);
    say_ready(DIRECTORY, 0);
    say_ready(MAILBOX, 0);
    assert_true(w.answered && !w.partly && directory->has_one);
    ask();
    say_ready(QUEUE, 0);
    say_ready(DIRECTORY, -ENOMEM);
    say_ready(MAILBOX, 0);
    assert_non_null(strstr(w.text, "goes on with the old one"));
    assert_true(directory->has_one);
}

/* A taken-over process may say anything. */
static void a_reason_that_is_none(void **state)
{
    static const int32_t errors[] = {1, INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        ask();
        say_ready(QUEUE, 0);
        say_ready(MAILBOX, 0);
        say_ready(DIRECTORY, errors[i]);
        assert_true(w.answered && w.partly);
        assert_non_null(strstr(w.text, "Input/output error"));
    }
}

/* It says "ready" when it is there, by the generation that it is started with. */
static void who_is_started_again_has_the_new_one(void **state)
{
    struct child *directory = &w.supervisor.children[DIRECTORY];

    ask();
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    say_ready(DIRECTORY, -ENOMEM);
    assert_true(w.partly);
    ask();
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    directory->stopping = true; /* nobody starts it here … */
    child_ended(directory, 0);
    directory->stopping = false;
    ipc_channel_free(w.ends[DIRECTORY]);
    begin(DIRECTORY); /* … but this does */
    directory->ready = false;
    directory->untaken = 1;
    say_ready(DIRECTORY, 0);
    assert_true(w.answered && w.done && !w.partly);
}

/* For want of descriptors, say. */
static void who_could_not_be_sent_it_is_named(void **state)
{
    w.supervisor.children[DIRECTORY].unsent = -EMFILE;
    ask();
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    assert_true(w.answered && w.done && w.partly);
    assert_string_equal(w.text, "directory[101] goes on with the old one: Too many open files; the "
                                "log has more\n");
}

static void a_setting_that_waits_is_part_of_it(void **state)
{
    w.kept = true;
    ask();
    say_ready(QUEUE, 0);
    say_ready(DIRECTORY, 0);
    say_ready(MAILBOX, 0);
    assert_true(w.answered && w.done && w.partly);
}

static void time_is_over(void)
{
    assert_false(w.answered);
    assert_int_equal(__real_io_timer_set(w.patience, 0), 0);
    turns();
    assert_true(w.answered && w.done);
}

/* It was ready, and ended over it. */
static void who_does_not_start_with_it_is_named(void **state)
{
    ask();
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    w.supervisor.children[DIRECTORY].ready = false;
    time_is_over();
    assert_true(w.partly);
    assert_string_equal(w.text, "directory has not started with it yet; the log has more\n");
}

static void who_was_just_starting_is_only_told_of(void **state)
{
    w.supervisor.children[DIRECTORY].ready = false;
    ask();
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    time_is_over();
    assert_false(w.partly);
    assert_string_equal(w.text, "warning: directory is still starting with it\n");
}

/* One that hangs is not waited for without end, but the time that the supervisor itself reads for
 * is not taken from the others'. */
static void who_does_not_answer_is_named(void **state)
{
    w.reading_ms = 5000;
    ask();
    assert_true(w.patience_ms >= w.reading_ms + 10000);
    say_ready(QUEUE, 0);
    say_ready(MAILBOX, 0);
    time_is_over();
    assert_true(w.partly);
    assert_string_equal(w.text, "directory[101] has not taken it yet\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_have_it),
        TEST(who_could_not_take_it_is_named),
        TEST(who_has_no_old_one_does_not_go_on_with_it),
        TEST(a_reason_that_is_none),
        TEST(who_is_started_again_has_the_new_one),
        TEST(who_could_not_be_sent_it_is_named),
        TEST(a_setting_that_waits_is_part_of_it),
        TEST(who_does_not_start_with_it_is_named),
        TEST(who_was_just_starting_is_only_told_of),
        TEST(who_does_not_answer_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
