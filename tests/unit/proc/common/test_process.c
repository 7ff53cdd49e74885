/* A process's life, with a supervisor that is played here; the process is a child of the test. */
#include "../../unit.h"

#include "base/clock.h"
#include "proc/common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the process ---- */

enum { ALONE_MAX_MS = 1000 };

static struct lonely {
    struct process process;
    struct ipc_channel *queue;
} lonely;

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    ipc_channel_free(channel);
    lonely.queue = NULL;
}

static const struct ipc_role queue_role = {.peer_name = "queue", .lost = on_lost};

/* As when clients have taken all descriptors that it may open. */
static bool is_to_be_full;
static int start_error;                    /* what it says of a part that it starts without */
enum { DESCRIPTORS = 1000, SOCKETS = 60 }; /* an eighth is kept free */

static int start(struct process *process)
{
    while (is_to_be_full && open("/dev/null", O_RDONLY) >= 0)
        ;
    process->start_error = start_error;
    return 0;
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    ipc_channel_free(lonely.queue);
    return ipc_channel_new(process->loop, fd, &queue_role, NULL, &lonely.queue);
}

static bool has_peers(const struct process *process)
{
    return lonely.queue;
}

static bool given_up;

static void give_up(struct process *process)
{
    given_up = true;
}

/* The first time there is no memory. */
static int reload(struct process *process)
{
    static unsigned times;

    return times++ ? 0 : given_up ? -EBUSY : -ENOMEM;
}

/* Nothing can listen here but what is called so, which stays open. */
static int listener(struct process *process, struct span name, struct span service, int fd)
{
    if (span_equal(name, SPAN("fine")))
        return 0;
    close(fd);
    return -EMFILE;
}

static void run(int supervisor)
{
    static const struct process_spec spec = {.name = "lonely",
                                             .listener = listener,
                                             .start = start,
                                             .reload = reload,
                                             .give_up = give_up,
                                             .peer = peer,
                                             .has_peers = has_peers};

    assert_int_equal(dup2(supervisor, 3), 3);
    assert_int_equal(close_range(4, ~0U, 0), 0); /* not the supervisor's own end, above all */
    if (is_to_be_full)
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){DESCRIPTORS, DESCRIPTORS}), 0);
    lonely.process.alone_max_ms = ALONE_MAX_MS;
    _exit(process_main(&lonely.process, &spec));
}

/* ---- its supervisor ---- */

struct world {
    struct io_loop *loop;
    struct ipc_channel *process;
    int pid;
    bool ready, ended;
    int error; /* that it was ready with */
};

static void on_ready(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;

    w->ready = true;
    w->error = arrival->message->ready.error;
}

static void on_end(void *owner, struct ipc_channel *channel, int error)
{
    ((struct world *)owner)->ended = true;
}

static const struct ipc_handler handlers[] = {{IPC_READY, on_ready}};
static const struct ipc_role process_role = {
    .peer_name = "lonely", .handlers = handlers, .handler_count = 1, .lost = on_end};

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 20000 && !(condition); i_++) {                                       \
            io_loop_turn(w->loop);                                                                 \
            usleep(1000);                                                                          \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static int begin(void **state)
{
    static struct world world;
    struct world *w = &world;
    struct ipc_message config = {.type = IPC_CONFIG}, activate = {.type = IPC_ACTIVATE};
    int fds[2];

    world = (struct world){0};
    *state = w;
    assert_int_equal(io_loop_new(&w->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->pid = fork();
    if (w->pid == 0)
        run(fds[1]);
    close(fds[1]);
    assert_int_equal(ipc_channel_new(w->loop, fds[0], &process_role, w, &w->process), 0);
    assert_int_equal(ipc_notify(w->process, &config), 0);
    assert_int_equal(ipc_notify(w->process, &activate), 0);
    UNTIL(w->ready);
    return 0;
}

static int setup(void **state)
{
    is_to_be_full = false;
    start_error = 0;
    return begin(state);
}

static int setup_lacking(void **state)
{
    is_to_be_full = false;
    start_error = -EINVAL;
    return begin(state);
}

static int setup_full(void **state)
{
    is_to_be_full = true;
    start_error = 0;
    return begin(state);
}

static int teardown(void **state)
{
    struct world *w = *state;
    int status;

    ipc_channel_free(w->process);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    io_loop_free(w->loop);
    return 0;
}

/* Returns the other end of the channel. */
static int join(struct world *w)
{
    struct ipc_message m = {.type = IPC_PEER, .peer.kind = IPC_PEER_QUEUE};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_notify_fd(w->process, &m, fds[0]), 0);
    close(fds[0]);
    return fds[1];
}

static void rest(struct world *w, int ms)
{
    for (int64_t end_ms = clock_monotonic_ms() + ms; clock_monotonic_ms() < end_ms;) {
        io_loop_turn(w->loop);
        usleep(1000);
    }
}

/* Both live, so that nobody would join them again. */
static void who_is_left_alone_ends(void **state)
{
    struct world *w = *state;
    int other = join(w);

    rest(w, ALONE_MAX_MS + ALONE_MAX_MS / 4);
    assert_false(w->ended);
    close(other);
    UNTIL(w->ended);
}

/* As when its peer was started again. */
static void who_is_joined_anew_stays(void **state)
{
    struct world *w = *state;
    int other = join(w);

    for (int i = 0; i < 6; i++) {
        close(other);
        rest(w, ALONE_MAX_MS / 4);
        other = join(w);
    }
    assert_false(w->ended);
    close(other);
}

static int activate_again_with(struct world *w, unsigned listeners, struct span name)
{
    struct ipc_message config = {.type = IPC_CONFIG}, activate = {.type = IPC_ACTIVATE};
    struct ipc_message more = {.type = IPC_LISTENER,
                               .listener = {.name = name, .service = SPAN("y")}};

    w->ready = false;
    assert_int_equal(ipc_notify(w->process, &config), 0);
    for (unsigned i = 0; i < listeners; i++) {
        int fd = open("/dev/null", O_RDONLY);
        assert_int_equal(ipc_notify_fd(w->process, &more, fd), 0);
        close(fd);
    }
    assert_int_equal(ipc_notify(w->process, &activate), 0);
    UNTIL(w->ready);
    return w->error;
}

static int activate_again(struct world *w, unsigned listeners)
{
    return activate_again_with(w, listeners, SPAN("x"));
}

/* It goes on with the one before, and says so. */
static void who_can_not_take_a_configuration_says_why(void **state)
{
    struct world *w = *state;

    assert_int_equal(w->error, 0);
    assert_int_equal(activate_again(w, 0), -ENOMEM);
    assert_int_equal(activate_again(w, 0), 0);
}

/* So that it doesn't count as one that has a configuration, and gets again what it lacked. */
static void who_starts_without_a_part_says_so(void **state)
{
    struct world *w = *state;

    assert_int_equal(w->error, -EINVAL);
    assert_int_equal(activate_again(w, 0), -ENOMEM); /* the first reload */
    assert_int_equal(activate_again(w, 0), 0);
}

/* Nothing of it comes into force then, which the process is told, and the next one is taken as if
 * it had never been. */
static void who_can_not_take_a_descriptor_says_why(void **state)
{
    struct world *w = *state;

    assert_int_equal(activate_again(w, 2), -EMFILE);
    assert_int_equal(activate_again(w, 0), -EBUSY); /* the first reload */
    assert_int_equal(activate_again(w, 0), 0);
}

/* A peer, and the sockets of two generations: those of the old one have numbers that others take.
 */
static void who_has_opened_all_that_it_may_is_told_on(void **state)
{
    struct world *w = *state;
    int other = join(w);

    assert_int_equal(activate_again_with(w, SOCKETS, SPAN("fine")), -ENOMEM); /* the first reload */
    assert_int_equal(activate_again_with(w, SOCKETS, SPAN("fine")), 0);
    assert_false(w->ended);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_can_not_take_a_configuration_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(who_starts_without_a_part_says_so, setup_lacking, teardown),
        cmocka_unit_test_setup_teardown(who_can_not_take_a_descriptor_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_opened_all_that_it_may_is_told_on, setup_full,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_is_left_alone_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_joined_anew_stays, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
