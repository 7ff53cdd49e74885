/* The end of a channel: what the peer had said before it went. The far end is a bare socket. */
#include "../unit.h"

#include "ipc/channel.h"
#include "ipc/frame.h"
#include "mail/envelope.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS = 3000 }; /* their replies are more than one read takes */

struct question {
    struct ends *ends;
    struct ipc_call call;
    int replies, failures;
};

struct ends {
    struct io_loop *loop;
    struct ipc_channel *near;
    int far;
    struct question questions[CALLS];
    int asked, told, lost;
    /* when it says more with each reply that was taken */
    const struct ipc_message *more;
    uint64_t tokens[CALLS];
    size_t token_count, said;
};

static const struct ipc_message ask = {.type = IPC_EXPAND, .expand = {.address = {"a@b", 3}}};
static const struct ipc_message expanded = {.type = IPC_EXPANDED};

static void send_bytes(struct ends *e, const struct buffer *bytes)
{
    for (size_t at = 0; at < bytes->size;) {
        ssize_t sent = send(e->far, bytes->data + at, bytes->size - at, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += (size_t)sent;
    }
}

/* With a descriptor, when it carries one. */
static void say(struct ends *e, const struct ipc_message *message, uint64_t token, int fd)
{
    struct buffer frame = BUFFER_INIT;
    union {
        struct cmsghdr align;
        char data[CMSG_SPACE(sizeof(int))];
    } control = {0};

    assert_int_equal(ipc_frame_encode(message, token, fd >= 0, &frame), 0);
    if (fd < 0) {
        send_bytes(e, &frame);
    } else {
        struct iovec part = {frame.data, frame.size};
        struct msghdr msg = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.data,
                             .msg_controllen = sizeof(control.data)};
        *CMSG_FIRSTHDR(&msg) = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
        assert_int_equal(sendmsg(e->far, &msg, MSG_NOSIGNAL), frame.size);
    }
    buffer_done(&frame);
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct question *q = CONTAINER_OF(call, struct question, call);
    struct ends *e = q->ends;

    q->replies += reply != NULL;
    q->failures += reply == NULL;
    if (reply && e->more && e->said < e->token_count)
        say(e, e->more, e->tokens[e->said++], -1);
}

static void on_expand(void *owner, const struct ipc_arrival *arrival)
{
    ((struct ends *)owner)->asked++;
    assert_int_equal(ipc_reply(arrival->channel, arrival->token, &expanded), 0);
}

static void on_file(void *owner, const struct ipc_arrival *arrival)
{
    ((struct ends *)owner)->asked++;
    close(arrival->fd);
}

static void on_event(void *owner, const struct ipc_arrival *arrival)
{
    ((struct ends *)owner)->told++;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct ends *e = owner;

    assert_int_equal(e->lost, 0);
    e->lost = error ? error : 1;
}

static const struct ipc_handler handlers[] = {
    {IPC_EXPAND, on_expand}, {IPC_FILE, on_file}, {IPC_EVENT, on_event}};
static const struct ipc_role role = {"far", handlers, ARRAY_SIZE(handlers), on_lost, true};

static void turn(struct ends *e)
{
    assert_int_equal(io_loop_turn(e->loop), 0);
}

static void call(struct ends *e, size_t which)
{
    struct question *q = &e->questions[which];

    *q = (struct question){.ends = e, .call.fn = on_reply};
    assert_int_equal(ipc_call(e->near, &q->call, &ask), 0);
}

/* The tokens of all that was asked. */
static void hear(struct ends *e)
{
    struct buffer in = BUFFER_INIT;
    struct ipc_frame frame;
    size_t needed;
    ssize_t got;

    do {
        turn(e);
        got = recv(e->far, buffer_reserve(&in, 65536), 65536, MSG_DONTWAIT);
        in.size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    while (ipc_frame_parse(buffer_span(&in), IPC_FRAME_MAX, &frame, &needed) > 0) {
        e->tokens[e->token_count++] = frame.token;
        buffer_consume(&in, frame.size);
    }
    buffer_done(&in);
}

/* So many calls are under way, and the far end knows of them. */
static struct ends *begin(size_t calls)
{
    static struct ends e;
    int fds[2];

    e = (struct ends){0};
    assert_int_equal(io_loop_new(&e.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[0], &role, &e, &e.near), 0);
    e.far = fds[1];
    for (size_t i = 0; i < calls; i++)
        call(&e, i);
    hear(&e);
    assert_int_equal(e.token_count, calls);
    return &e;
}

static void end(struct ends *e)
{
    ipc_channel_free(e->near);
    io_loop_free(e->loop);
}

static void reply_to_all(struct ends *e)
{
    struct buffer frames = BUFFER_INIT;

    for (size_t i = 0; i < e->token_count; i++)
        assert_int_equal(ipc_frame_encode(&expanded, e->tokens[i], false, &frames), 0);
    assert_true(frames.size > 32768);
    send_bytes(e, &frames);
    buffer_done(&frames);
}

static void assert_replies(const struct ends *e, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(e->questions[i].replies, 1);
        assert_int_equal(e->questions[i].failures, 0);
    }
}

/* It answers all and ends; we have more to say before we have read any of it. The kernel then says
 * EPIPE, or ECONNRESET when what we said before lay unread. */
static void what_it_said_before_it_went_is_heard(void **state)
{
    for (int unread = 0; unread < 2; unread++) {
        struct ends *e = begin(CALLS - 2);
        if (unread) {
            call(e, CALLS - 2);
            turn(e);
        }
        reply_to_all(e);
        close(e->far);
        call(e, CALLS - 1);
        turn(e);
        turn(e);
        assert_replies(e, CALLS - 2);
        assert_int_equal(e->questions[CALLS - 2].failures, unread);
        assert_int_equal(e->questions[CALLS - 1].failures, 1);
        assert_int_equal(e->lost, 1);
        end(e);
    }
}

/* Also when it is we who break off: a reply is larger than a field may be. */
static void what_it_said_is_heard_before_we_break_off(void **state)
{
    static char text[IPC_TEXT_MAX + 1];
    struct ipc_expanded_address address = {{text, sizeof(text)}};
    const struct ipc_message large = {.type = IPC_EXPANDED,
                                      .expanded = {.addresses = &address, .address_count = 1}};
    struct ends *e = begin(CALLS);

    assert_int_equal(ipc_reply(e->near, 1, &large), -EINVAL);
    reply_to_all(e);
    turn(e);
    assert_replies(e, CALLS);
    assert_int_equal(e->lost, -EINVAL);
    close(e->far);
    end(e);
}

/* Nobody waits for what it wanted; a descriptor of it is closed. But an event is a fact. */
static void what_it_wanted_is_not_done(void **state)
{
    const struct ipc_message file = {.type = IPC_FILE, .file = {.name = {"users", 5}}};
    const struct ipc_message event = {.type = IPC_EVENT, .event.event = SPAN("refused")};
    struct ends *e = begin(1);
    int pipe_fds[2];
    char byte;

    assert_int_equal(pipe(pipe_fds), 0);
    say(e, &ask, 7, -1);
    say(e, &file, 0, pipe_fds[1]);
    say(e, &event, 0, -1);
    say(e, &expanded, e->tokens[0], -1);
    close(pipe_fds[1]);
    close(e->far);
    call(e, 1);
    turn(e);
    assert_replies(e, 1);
    assert_int_equal(e->asked, 0);
    assert_int_equal(e->told, 1);
    assert_int_equal(e->lost, 1);
    assert_int_equal(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
    close(pipe_fds[0]);
    end(e);
}

/* One that only doesn't read any more could go on for ever: each reply that is taken makes room for
 * the next. */
static void who_goes_on_is_not_heard_for_ever(void **state)
{
    static struct ipc_expanded_address addresses[100000 / ENVELOPE_ADDRESS_MAX];
    static char text[ENVELOPE_ADDRESS_MAX];
    const struct ipc_message large = {
        .type = IPC_EXPANDED,
        .expanded = {.addresses = addresses, .address_count = ARRAY_SIZE(addresses)}};
    struct ends *e = begin(CALLS - 1);

    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        addresses[i].address = span_of(text, sizeof(text));
    e->more = &large;
    say(e, &expanded, e->tokens[e->said++], -1);
    shutdown(e->far, SHUT_RD);
    call(e, CALLS - 1);
    turn(e);
    assert_int_equal(e->lost, -EPROTO);
    assert_in_range(e->said, 20, 60);
    close(e->far);
    end(e);
}

/* One that another channel replaces. */
static void the_owner_can_have_it_read_out(void **state)
{
    struct ends *e = begin(CALLS - 1);
    struct question late = {.ends = e, .call.fn = on_reply};

    call(e, CALLS - 1); /* that it never hears */
    reply_to_all(e);
    ipc_channel_read_out(e->near);
    assert_replies(e, CALLS - 1);
    assert_int_equal(ipc_call(e->near, &late.call, &ask), -EPIPE);
    assert_int_equal(ipc_notify(e->near, &(struct ipc_message){.type = IPC_SHUTDOWN}), -EPIPE);
    turn(e);
    assert_int_equal(e->questions[CALLS - 1].failures, 0);
    ipc_channel_free(e->near);
    e->near = NULL;
    assert_int_equal(e->questions[CALLS - 1].failures, 1);
    assert_int_equal(e->lost, 0);
    close(e->far);
    ipc_channel_read_out(NULL);
    end(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_it_said_before_it_went_is_heard),
                                       cmocka_unit_test(what_it_said_is_heard_before_we_break_off),
                                       cmocka_unit_test(what_it_wanted_is_not_done),
                                       cmocka_unit_test(who_goes_on_is_not_heard_for_ever),
                                       cmocka_unit_test(the_owner_can_have_it_read_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
