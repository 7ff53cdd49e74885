/* Out of memory at any allocation: a call that was begun is answered or fails; it never waits for
 * ever. */
#include "../failing_memory.h"
#include "../unit.h"

#include "ipc/channel.h"

#include <stdlib.h>
#include <sys/socket.h>

static struct ends {
    struct io_loop *loop;
    struct ipc_channel *near, *far;
} e;

static char text[60000];

static void on_expand(void *owner, const struct ipc_arrival *arrival)
{
    struct ipc_expanded_address address = {span_of(text, 200)};
    struct ipc_message reply = {.type = IPC_EXPANDED,
                                .expanded = {.addresses = &address, .address_count = 1}};

    ipc_reply(arrival->channel, arrival->token, &reply);
}

static void on_chunk(void *owner, const struct ipc_arrival *arrival)
{
    struct ipc_message reply = {.type = IPC_UPLOAD_TAKEN};

    ipc_reply(arrival->channel, arrival->token, &reply);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    *(struct ipc_channel **)owner = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_handler handlers[] = {{IPC_EXPAND, on_expand},
                                              {IPC_UPLOAD_CHUNK, on_chunk}};
static const struct ipc_role far_role = {
    .peer_name = "near", .handlers = handlers, .handler_count = 2, .lost = on_lost};
static const struct ipc_role near_role = {.peer_name = "far", .lost = on_lost};

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
}

static void call(struct ipc_call *c, const struct ipc_message *m)
{
    c->fn = on_answer;
    if (e.near)
        ipc_call(e.near, c, m);
    for (int i = 0; i < 10; i++)
        io_loop_turn(e.loop);
    assert_false(ipc_call_is_pending(c));
}

static void run(void)
{
    struct ipc_message ask = {.type = IPC_EXPAND, .expand.address = SPAN("a@b")};
    struct ipc_message chunk = {.type = IPC_UPLOAD_CHUNK,
                                .upload_chunk = {.upload = 1, .bytes = {text, sizeof(text)}}};
    struct ipc_call first = {0}, second = {0};
    int fds[2];

    assert_int_equal(io_loop_new(&e.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[0], &near_role, &e.near, &e.near), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[1], &far_role, &e.far, &e.far), 0);
    failing_memory_arm();
    call(&first, &ask);
    call(&second, &chunk);
    failing_memory_rest();
    ipc_channel_free(e.near);
    ipc_channel_free(e.far);
    io_loop_free(e.loop);
}

static void each_allocation(void **state)
{
    assert_in_range(failing_memory_each(run), 4, 9999);
}

/* ---- credit ---- */

static size_t held;

static void on_event(void *owner, const struct ipc_arrival *arrival)
{
    held += ipc_hold(arrival);
}

static const struct ipc_handler holding[] = {{IPC_EVENT, on_event}};
static const struct ipc_role holding_role = {
    .peer_name = "near", .handlers = holding, .handler_count = 1, .lost = on_lost};

static int send_event(void)
{
    struct ipc_message event = {.type = IPC_EVENT, .event.event = span_of(text, 1000)};

    return ipc_notify(e.near, &event);
}

static void turns(void)
{
    for (int i = 0; i < 10; i++)
        io_loop_turn(e.loop);
}

/* The sender has used its window up, and the credit for it finds no memory: it must not wait for
 * ever. When more is released later, that tells of the credit as well. */
static void credit_that_finds_no_memory(bool in_parts)
{
    int fds[2];

    assert_int_equal(io_loop_new(&e.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[0], &near_role, &e.near, &e.near), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[1], &holding_role, &e.far, &e.far), 0);
    held = 0;
    while (send_event() == 0)
        turns();
    size_t rest = in_parts ? 100 : 0;
    failing_memory.countdown = 0;
    failing_memory.fails_on = true;
    failing_memory_arm();
    ipc_release(e.far, IPC_CLASS_CONTROL, held - rest);
    failing_memory_rest();
    if (in_parts)
        ipc_release(e.far, IPC_CLASS_CONTROL, rest);
    turns();
    assert_int_equal(e.near != NULL, in_parts);
    if (e.near)
        assert_int_equal(send_event(), 0);
    ipc_channel_free(e.near);
    ipc_channel_free(e.far);
    e.near = e.far = NULL;
    io_loop_free(e.loop);
}

static void credit_is_never_lost(void **state)
{
    credit_that_finds_no_memory(false);
    credit_that_finds_no_memory(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation),
                                       cmocka_unit_test(credit_is_never_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
