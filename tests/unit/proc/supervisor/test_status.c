/* `postbuch status`, with processes that are played here: what the answer holds, and that there is
 * one whatever memory is lacking. */
#include "../../failing_memory.h"
#include "../../unit.h"

#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

enum { QUEUE, DIRECTORY, CHILDREN };

static const enum ipc_peer peers[CHILDREN] = {IPC_PEER_QUEUE, IPC_PEER_DIRECTORY};

static struct world {
    struct supervisor supervisor;
    struct ipc_channel *ends[CHILDREN];
    struct span figures[CHILDREN]; /* what each tells */
    bool ending[CHILDREN];         /* it was killed, or lost its channel */
    struct ipc_call call;
    bool ended;
    char json[2000]; /* of the answer; "" when there was none */
} w;

int __wrap_kill(pid_t pid, int signal_number);

int __wrap_kill(pid_t pid, int signal_number)
{
    assert_int_equal(signal_number, SIGKILL);
    w.ending[pid - 100] = true;
    return 0;
}

/* ---- what the supervisor's other parts would do ---- */

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    return 0;
}

void readiness_look(struct supervisor *s)
{
}

/* ---- a place for it ---- */

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    const struct span *figures = owner;

    w.ending[figures - w.figures] = true;
}

static void on_status_ask(void *owner, const struct ipc_arrival *arrival)
{
    struct span *figures = owner;
    struct ipc_message reply = {.type = IPC_STATUS, .status.json = *figures};

    ipc_reply(arrival->channel, arrival->token, &reply);
}

static const struct ipc_handler handlers[] = {{IPC_STATUS_ASK, on_status_ask}};
static const struct ipc_role role = {
    .peer_name = "supervisor", .handlers = handlers, .handler_count = 1, .lost = on_lost};

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

    *child = (struct child){
        .supervisor = &w.supervisor, .kind = kind_of(peers[i]), .pid = 100 + (int)i, .ready = true};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(child_hear(child, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w.supervisor.loop, fds[1], &role, &w.figures[i], &w.ends[i]),
                     0);
}

static int setup(void **state)
{
    log_open("test", LOG_LEVEL_ERROR + 1);
    w = (struct world){.supervisor.child_count = CHILDREN,
                       .figures = {SPAN("{\"waiting\":1}"), SPAN("{\"people\":2}")}};
    assert_int_equal(io_loop_new(&w.supervisor.loop), 0);
    for (size_t i = 0; i < CHILDREN; i++)
        begin(i);
    return 0;
}

static void end(size_t i)
{
    struct child *child = &w.supervisor.children[i];

    ipc_channel_free(w.ends[i]);
    w.ends[i] = NULL;
    child->stopping = true; /* nobody starts it again */
    child_ended(child, 0);
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

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    w.ended = true;
    if (reply)
        snprintf(w.json, sizeof(w.json), SPAN_FMT, SPAN_ARG(reply->status.json));
}

static void ask(void)
{
    struct ipc_message m = {.type = IPC_STATUS_ASK};

    w.call.fn = on_answer;
    w.ended = ipc_call(w.ends[QUEUE], &w.call, &m) < 0;
    for (int turn = 0; turn < 10; turn++) {
        assert_int_equal(io_loop_turn(w.supervisor.loop), 0);
        for (size_t i = 0; i < CHILDREN; i++)
            if (w.ending[i] && w.ends[i])
                end(i);
    }
    assert_true(w.ended);
}

static bool is_whole(void)
{
    size_t size = strlen(w.json);

    return strncmp(w.json, "{\"version\":", 11) == 0 && size > 3 &&
           strcmp(w.json + size - 3, "}]}") == 0;
}

static void all_tell_their_figures(void **state)
{
    ask();
    assert_true(is_whole());
    assert_non_null(strstr(w.json, "\"processes\":[{\"name\":\"queue\""));
    assert_non_null(strstr(w.json, "\"figures\":\"{\\\"waiting\\\":1}\"},{\"name\":\"directory\""));
    assert_non_null(strstr(w.json, "\"answers\":true,\"figures\":\"{\\\"people\\\":2}\"}]}"));
}

static void what_can_not_be_read_is_left_out(void **state)
{
    w.figures[DIRECTORY] = SPAN("\x1b[2J");
    ask();
    assert_true(is_whole());
    assert_non_null(strstr(w.json, "\"answers\":true,\"figures\":null}]}"));
}

static void who_is_not_there_is_told_of(void **state)
{
    end(DIRECTORY);
    ask();
    assert_true(is_whole());
    assert_non_null(strstr(w.json, "\"answers\":false,\"figures\":null}"));
}

static void run_short_of_memory(void)
{
    setup(NULL);
    failing_memory_arm();
    ask();
    failing_memory_rest();
    assert_true(!*w.json || is_whole());
    teardown(NULL);
}

static void there_is_an_answer_without_memory(void **state)
{
    assert_true(failing_memory_each(run_short_of_memory) > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_tell_their_figures),
        TEST(what_can_not_be_read_is_left_out),
        TEST(who_is_not_there_is_told_of),
        cmocka_unit_test(there_is_an_answer_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
