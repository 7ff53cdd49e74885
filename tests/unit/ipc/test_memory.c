/* Out of memory at any allocation: a call that was begun is answered or fails; it never waits for
 * ever. Timers fire at once. */
#include "../failing_memory.h"
#include "../unit.h"

#include "ipc/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct ends {
    struct io_loop *loop;
    struct ipc_channel *near, *far;
} e;

static char text[60000];

enum { TURNS_MAX = 10000 }; /* more than the tries of one that finds no memory */

int __real_io_timer_set(struct io_timer *timer, int64_t after_ms);
int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms);

int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms)
{
    return __real_io_timer_set(timer, 0);
}

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
    for (int i = 0; i < TURNS_MAX && (i < 10 || ipc_call_is_pending(c)); i++)
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

static int send_event_to(struct ipc_channel *channel, size_t bytes)
{
    struct ipc_message event = {.type = IPC_EVENT, .event.event = span_of(text, bytes)};

    return ipc_notify(channel, &event);
}

static int send_event(void)
{
    return send_event_to(e.near, 1000);
}

static void ignore(void *owner, const struct ipc_arrival *arrival)
{
}

static const struct ipc_handler ignoring[] = {{IPC_EVENT, ignore}};
static const struct ipc_role sending_role = {
    .peer_name = "far", .handlers = ignoring, .handler_count = 1, .lost = on_lost};

/* All that is there, for the buffer grows twofold: a credit finds no place else than what the
 * socket gives back. */
static void fill_output(void)
{
    enum { THERE = 16384, EVENT = 100, LEFT = 10 };

    assert_int_equal(send_event_to(e.far, EVENT), 0);
    size_t frame = ipc_channel_queued(e.far);
    assert_int_equal(send_event_to(e.far, THERE - 2 * frame + EVENT - LEFT), 0);
    assert_int_equal(ipc_channel_queued(e.far), THERE - LEFT);
}

static void turns(void)
{
    for (int i = 0; i < 10; i++)
        io_loop_turn(e.loop);
}

/* The sender has used its window up, and the credit for it finds no memory: it must not wait for
 * ever. When more is released later, that tells of the credit as well. What the socket takes leaves
 * its room to it. */
static void credit_that_finds_no_memory(bool in_parts, bool has_socket_room)
{
    int fds[2], least = 1;

    assert_int_equal(io_loop_new(&e.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[0], &sending_role, &e.near, &e.near), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[1], &holding_role, &e.far, &e.far), 0);
    held = 0;
    while (send_event() == 0)
        turns();
    size_t rest = in_parts ? 100 : 0;
    fill_output();
    if (!has_socket_room) /* it takes less than half, which gives no room back */
        assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
    failing_memory.countdown = 0;
    failing_memory.fails_on = true;
    failing_memory_arm();
    ipc_release(e.far, IPC_CLASS_CONTROL, held - rest);
    failing_memory_rest();
    if (in_parts)
        ipc_release(e.far, IPC_CLASS_CONTROL, rest);
    turns();
    assert_int_equal(e.near != NULL, in_parts || has_socket_room);
    if (e.near)
        assert_int_equal(send_event(), 0);
    ipc_channel_free(e.near);
    ipc_channel_free(e.far);
    e.near = e.far = NULL;
    io_loop_free(e.loop);
}

static void credit_is_never_lost(void **state)
{
    credit_that_finds_no_memory(false, false);
    credit_that_finds_no_memory(true, false);
    credit_that_finds_no_memory(false, true);
}

/* ---- what lies in the socket ---- */

static struct ipc_call question;
static unsigned answers, failures;
static uint64_t owed; /* the token of the question */
static int lost;

static struct ipc_expanded_address addresses[1000];

/* The large one is small on the wire, and larger when it is decoded. */
static const struct {
    struct ipc_message ask, reply;
} plain = {{.type = IPC_EXPAND, .expand.address = {"a@b", 3}},
           {.type = IPC_EXPANDED, .expanded = {.addresses = addresses, .address_count = 20}}},
  large = {{.type = IPC_EXPAND, .expand.address = {"a@b", 3}},
           {.type = IPC_EXPANDED,
            .expanded = {.addresses = addresses, .address_count = ARRAY_SIZE(addresses)}}};

static void on_question(void *owner, const struct ipc_arrival *arrival)
{
    owed = arrival->token;
}

static void on_its_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    answers += reply != NULL;
    failures += reply == NULL;
}

static void on_near_lost(void *owner, struct ipc_channel *channel, int error)
{
    lost = error;
}

static const struct ipc_handler asked[] = {{IPC_EXPAND, on_question}};
static const struct ipc_role asked_role = {
    .peer_name = "near", .handlers = asked, .handler_count = 1, .lost = on_lost};
static unsigned told;

static void on_told(void *owner, const struct ipc_arrival *arrival)
{
    told++;
}

static const struct ipc_handler telling[] = {{IPC_EVENT, on_told}};
static const struct ipc_role asking_role = {
    .peer_name = "far", .handlers = telling, .handler_count = 1, .lost = on_near_lost};

/* The answer, if there is one, lies in the socket when memory gets short. */
static void answer_lies_there(const struct ipc_message *ask, const struct ipc_message *reply)
{
    int fds[2];

    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        addresses[i].address = span_of(text, 100);
    answers = failures = told = 0;
    lost = 0;
    assert_int_equal(io_loop_new(&e.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[0], &asking_role, NULL, &e.near), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[1], &asked_role, &e.far, &e.far), 0);
    question.fn = on_its_answer;
    assert_int_equal(ipc_call(e.near, &question, ask), 0);
    turns();
    if (reply)
        assert_int_equal(ipc_reply(e.far, owed, reply), 0);
    failing_memory.countdown = 0;
    failing_memory.fails_on = true;
}

/* Short of memory for so many turns of the loop, or until the question has its end. */
static void be_short_of_memory(int count)
{
    failing_memory_arm();
    for (int i = 0; i < count && ipc_call_is_pending(&question); i++)
        io_loop_turn(e.loop);
    failing_memory_rest();
}

static void end(void)
{
    failing_memory.countdown = -1;
    ipc_channel_free(e.near);
    ipc_channel_free(e.far);
    e.near = e.far = NULL;
    io_loop_free(e.loop);
}

static void a_small_answer_needs_no_memory(void **state)
{
    answer_lies_there(&plain.ask, &plain.reply);
    be_short_of_memory(TURNS_MAX);
    assert_int_equal(answers, 1);
    assert_int_equal(lost, 0);
    end();
}

static void a_large_answer_waits_for_memory(void **state)
{
    answer_lies_there(&large.ask, &large.reply);
    be_short_of_memory(100);
    assert_int_equal(answers + failures, 0);
    turns();
    turns();
    assert_int_equal(answers, 1);
    assert_int_equal(lost, 0);
    end();
}

/* As who is asked for his figures, or what has become of a job. */
static void a_smaller_answer_needs_no_memory(void **state)
{
    struct ipc_message none = {.type = IPC_EXPANDED};

    answer_lies_there(&plain.ask, NULL);
    failing_memory_arm();
    assert_int_equal(ipc_try_reply(e.far, owed, &large.reply), -ENOMEM);
    assert_int_equal(ipc_reply(e.far, owed, &none), 0);
    be_short_of_memory(TURNS_MAX);
    assert_int_equal(answers, 1);
    assert_int_equal(lost, 0);
    assert_non_null(e.far);
    end();
}

/* Both ways, as ever. */
static void who_has_waited_works_on(void **state)
{
    struct ipc_call second = {.fn = on_its_answer};

    answer_lies_there(&large.ask, &large.reply);
    be_short_of_memory(100);
    assert_int_equal(ipc_call(e.near, &second, &plain.ask), 0);
    turns();
    turns();
    assert_int_equal(answers, 1);
    assert_int_equal(ipc_reply(e.far, owed, &plain.reply), 0);
    turns();
    assert_int_equal(answers, 2);
    end();
}

/* With what it had said, and for good: memory that comes later changes nothing. */
static void who_goes_while_we_wait_is_lost(void **state)
{
    struct ipc_message event = {.type = IPC_EVENT, .event.event = span_of(text, 30000)};

    answer_lies_there(&plain.ask, NULL);
    assert_int_equal(ipc_notify(e.far, &event), 0);
    be_short_of_memory(100);
    ipc_channel_free(e.far);
    e.far = NULL;
    assert_int_equal(ipc_notify(e.near, &event), 0);
    failing_memory_arm();
    io_loop_turn(e.loop);
    failing_memory_rest();
    assert_int_equal(failures, 1);
    assert_int_equal(lost, -ENOMEM);
    turns();
    assert_int_equal(told, 0);
    end();
}

static void nobody_waits_for_memory_for_ever(void **state)
{
    answer_lies_there(&large.ask, &large.reply);
    be_short_of_memory(TURNS_MAX);
    assert_int_equal(failures, 1);
    assert_int_equal(lost, -ENOMEM);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation),
                                       cmocka_unit_test(a_small_answer_needs_no_memory),
                                       cmocka_unit_test(a_large_answer_waits_for_memory),
                                       cmocka_unit_test(a_smaller_answer_needs_no_memory),
                                       cmocka_unit_test(who_has_waited_works_on),
                                       cmocka_unit_test(who_goes_while_we_wait_is_lost),
                                       cmocka_unit_test(nobody_waits_for_memory_for_ever),
                                       cmocka_unit_test(credit_is_never_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
