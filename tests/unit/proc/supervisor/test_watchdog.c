/* Who doesn't answer is told of, and ended where that helps. The processes are real, and what they
 * answer is played. */
#include "../../unit.h"

#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct supervisor supervisor;
static struct child *const child = &supervisor.children[0];
static struct ipc_channel *far_end;
static bool answers;
static unsigned asked, alarms;
static uint64_t token; /* of the question that waits */

void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_error(const char *format, ...)
{
    alarms += strncmp(format, "ALARM: ", 7) == 0;
}

/* ---- what the supervisor's other parts would do ---- */

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    return 0;
}

void readiness_look(struct supervisor *s)
{
}

/* ---- the process ---- */

static void waits(void)
{
    for (;;)
        pause();
}

static void spins(void)
{
    for (volatile unsigned i = 0;; i++)
        ;
}

static void is_stopped(void)
{
    raise(SIGSTOP);
}

static void is_stopped_for_a_while(void)
{
    raise(SIGSTOP);
    waits();
}

/* As one that waits for a disk, by proc(5): its own child has its memory. */
static void is_uninterruptible(void)
{
    if (vfork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        waits();
    }
}

static char state_now(void)
{
    char path[64], state = '?';

    snprintf(path, sizeof(path), "/proc/%d/stat", child->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %*s %c", &state), 1);
    fclose(file);
    return state;
}

static void answer(void)
{
    struct ipc_message reply = {.type = IPC_STATUS, .status.json = SPAN("{}")};

    assert_int_equal(ipc_reply(far_end, token, &reply), 0);
}

static void on_ask(void *owner, const struct ipc_arrival *arrival)
{
    asked++;
    token = arrival->token;
    if (answers)
        answer();
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static const struct ipc_handler handlers[] = {{IPC_STATUS_ASK, on_ask}};
static const struct ipc_role role = {
    .peer_name = "supervisor", .handlers = handlers, .handler_count = 1, .lost = on_lost};

/* It is in this state when its life has begun. */
static void begin(void (*life)(void), char state)
{
    int fds[2];

    log_open("test", LOG_LEVEL_ERROR + 1);
    asked = alarms = 0;
    answers = false;
    supervisor = (struct supervisor){.child_count = 1};
    assert_int_equal(io_loop_new(&supervisor.loop), 0);
    *child = (struct child){.supervisor = &supervisor, .kind = &kinds[0], .ready = true};
    child->pid = fork();
    if (child->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        life();
        _exit(1);
    }
    while (state_now() != state)
        usleep(1000);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(child_hear(child, fds[0]), 0);
    assert_int_equal(ipc_channel_new(supervisor.loop, fds[1], &role, NULL, &far_end), 0);
}

static void turns(void)
{
    for (int i = 0; i < 4; i++)
        assert_int_equal(io_loop_turn(supervisor.loop), 0);
}

static void rounds(unsigned count)
{
    while (count--) {
        watchdog_round(&supervisor);
        turns();
    }
}

/* Returns what ended it. */
static int end(void)
{
    int status;

    kill(child->pid, SIGTERM);
    kill(child->pid, SIGCONT);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    ipc_channel_free(far_end);
    ipc_channel_free(child->channel);
    io_loop_free(supervisor.loop);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

static void who_answers_is_left_alone(void **state)
{
    begin(waits, 'S');
    answers = true;
    rounds(3 * SILENT_END);
    assert_int_equal(asked, 3 * SILENT_END);
    assert_int_equal(alarms, 0);
    assert_int_equal(end(), SIGTERM);
}

static void who_is_not_ready_has_time(void **state)
{
    begin(waits, 'S');
    child->ready = false;
    rounds(3 * SILENT_END);
    assert_int_equal(asked, 0);
    assert_int_equal(end(), SIGTERM);
}

/* In the first round it is asked; in each that follows it could have answered. */
static void who_hangs_is_ended(void **state)
{
    static const struct {
        void (*life)(void);
        char state;
    } cases[] = {{waits, 'S'}, {spins, 'R'}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(cases[i].life, cases[i].state);
        rounds(SILENT_ALARM);
        assert_int_equal(alarms, 0);
        rounds(SILENT_END - SILENT_ALARM);
        assert_int_equal(alarms, 1);
        assert_int_equal(state_now(), cases[i].state);
        rounds(1);
        assert_int_equal(alarms, 2);
        assert_int_equal(asked, 1);
        assert_int_equal(end(), SIGKILL);
    }
}

/* It counts from the beginning then. */
static void who_answers_late_is_forgiven(void **state)
{
    begin(waits, 'S');
    rounds(SILENT_END);
    answer();
    turns();
    rounds(SILENT_END);
    assert_int_equal(asked, 2);
    assert_int_equal(end(), SIGTERM);
}

static void whom_ending_does_not_help_is_only_told_of(void **state)
{
    static const struct {
        void (*life)(void);
        char state;
    } cases[] = {{is_stopped, 'T'}, {is_uninterruptible, 'D'}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(cases[i].life, cases[i].state);
        rounds(3 * SILENT_END);
        assert_int_equal(alarms, 1);
        assert_int_equal(state_now(), cases[i].state);
        assert_int_equal(end(), SIGTERM);
    }
}

/* Else it would be killed by the first round that finds it at work on what has come meanwhile. */
static void who_was_stopped_has_time_afterwards(void **state)
{
    begin(is_stopped_for_a_while, 'T');
    rounds(3 * SILENT_END);
    kill(child->pid, SIGCONT);
    while (state_now() != 'S')
        usleep(1000);
    rounds(SILENT_END - SILENT_ALARM - 1);
    assert_int_equal(state_now(), 'S');
    assert_int_equal(alarms, 1);
    rounds(1);
    assert_int_equal(alarms, 2);
    assert_int_equal(end(), SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_is_left_alone),
        cmocka_unit_test(who_is_not_ready_has_time),
        cmocka_unit_test(who_hangs_is_ended),
        cmocka_unit_test(who_answers_late_is_forgiven),
        cmocka_unit_test(whom_ending_does_not_help_is_only_told_of),
        cmocka_unit_test(who_was_stopped_has_time_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
