#include "../unit.h"

#include "ipc/channel.h"
#include "ipc/frame.h"
#include "mail/envelope.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two ends of a channel in one loop: `near` calls, `far` answers. */
struct ends {
    struct io_loop *loop;
    struct ipc_channel *near, *far;
    int raw;           /* the far socket, when no channel sits on it */
    int asked, chunks; /* what far has seen */
    bool answer;       /* far answers at once */
    uint64_t last_token;
    size_t held;
    bool hold;
    int near_lost, far_lost;
    int fd;
    int files; /* descriptors that came with the frame that names their inode */
};

struct question {
    struct ipc_call call;
    int replies, failures;
};

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct question *q = CONTAINER_OF(call, struct question, call);
    if (reply)
        q->replies++;
    else
        q->failures++;
}

static const struct ipc_message expanded = {.type = IPC_EXPANDED};
static const struct ipc_message taken = {.type = IPC_UPLOAD_TAKEN};
static const struct ipc_message ask = {.type = IPC_EXPAND, .expand = {.address = {"a@b", 3}}};

static void on_expand(void *owner, const struct ipc_arrival *arrival)
{
    struct ends *e = owner;
    e->asked++;
    e->last_token = arrival->token;
    assert_span(arrival->message->expand.address, "a@b");
    if (e->answer)
        assert_int_equal(ipc_reply(arrival->channel, arrival->token, &expanded), 0);
}

static void on_chunk(void *owner, const struct ipc_arrival *arrival)
{
    struct ends *e = owner;
    e->chunks++;
    if (e->hold)
        e->held += ipc_hold(arrival);
    assert_int_equal(ipc_reply(arrival->channel, arrival->token, &taken), 0);
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

/* By its inode, as new_file() makes them. */
static struct span name_of(int fd, char out[static 24])
{
    return span_of(out, (size_t)snprintf(out, 24, "%llu", (unsigned long long)inode_of(fd)));
}

/* One that is named otherwise than by name_of() is kept. */
static void on_file(void *owner, const struct ipc_arrival *arrival)
{
    struct ends *e = owner;
    struct span name = arrival->message->file.name;
    char own[24];

    assert_true(arrival->fd >= 0);
    if (name.size == 0 || name.data[0] < '0' || name.data[0] > '9') {
        e->fd = arrival->fd;
        return;
    }
    assert_true(span_equal(name, name_of(arrival->fd, own)));
    close(arrival->fd);
    e->files++;
}

static void on_check(void *owner, const struct ipc_arrival *arrival)
{
    struct ends *e = owner;
    static const struct ipc_message verdict = {.type = IPC_CLIENT_VERDICT};

    assert_int_equal(inode_of(arrival->fd), arrival->message->client_check.client);
    close(arrival->fd);
    e->files++;
    assert_int_equal(ipc_reply(arrival->channel, arrival->token, &verdict), 0);
}

static void on_far_lost(void *owner, struct ipc_channel *channel, int error)
{
    ((struct ends *)owner)->far_lost = error ? error : 1;
}

static void on_near_lost(void *owner, struct ipc_channel *channel, int error)
{
    ((struct ends *)owner)->near_lost = error ? error : 1;
}

static const struct ipc_handler far_handlers[] = {
    {IPC_EXPAND, on_expand},
    {IPC_UPLOAD_CHUNK, on_chunk},
    {IPC_FILE, on_file},
    {IPC_CLIENT_CHECK, on_check},
};
static const struct ipc_role far_role = {"near", far_handlers, ARRAY_SIZE(far_handlers),
                                         on_far_lost, true};
static const struct ipc_role near_role = {"far", NULL, 0, on_near_lost, false};

static void set_up(struct ends *e, bool with_far)
{
    int fds[2];
    *e = (struct ends){.answer = true, .fd = -1, .raw = -1};
    assert_int_equal(io_loop_new(&e->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e->loop, fds[0], &near_role, e, &e->near), 0);
    if (with_far)
        assert_int_equal(ipc_channel_new(e->loop, fds[1], &far_role, e, &e->far), 0);
    else
        e->raw = fds[1];
}

static void run(struct ends *e)
{
    for (int i = 0; i < 200; i++)
        assert_int_equal(io_loop_turn(e->loop), 0);
}

static void tear_down(struct ends *e)
{
    ipc_channel_free(e->near);
    ipc_channel_free(e->far);
    if (e->raw >= 0)
        close(e->raw);
    if (e->fd >= 0)
        close(e->fd);
    io_loop_free(e->loop);
}

static void a_call_is_answered_once(void **state)
{
    struct ends e;
    struct question q = {.call.fn = on_reply}, cancelled = {.call.fn = on_reply};

    set_up(&e, true);
    assert_int_equal(ipc_call(e.near, &q.call, &ask), 0);
    assert_int_equal(ipc_call(e.near, &cancelled.call, &ask), 0);
    assert_true(ipc_call_is_pending(&q.call));
    ipc_call_cancel(&cancelled.call);
    run(&e);
    assert_int_equal(e.asked, 2);
    assert_int_equal(q.replies, 1);
    assert_int_equal(cancelled.replies + cancelled.failures, 0);
    assert_false(ipc_call_is_pending(&q.call));
    assert_int_equal(ipc_call(e.near, &cancelled.call, &ask), 0);
    run(&e);
    assert_int_equal(cancelled.replies, 1);
    tear_down(&e);
}

static void a_lost_peer_fails_what_waits(void **state)
{
    struct ends e;
    struct question q = {.call.fn = on_reply};

    set_up(&e, true);
    e.answer = false;
    assert_int_equal(ipc_call(e.near, &q.call, &ask), 0);
    run(&e);
    ipc_channel_free(e.far);
    e.far = NULL;
    run(&e);
    assert_int_equal(q.failures, 1);
    assert_int_equal(e.near_lost, 1);
    assert_int_equal(ipc_call(e.near, &q.call, &ask), -EPIPE);
    tear_down(&e);
}

/* A call has no deadline: when its reply can't be sent the channel ends instead. */
static void a_reply_that_cannot_be_sent_ends_the_channel(void **state)
{
    static char text[IPC_TEXT_MAX + 1];
    struct ipc_expanded_address address = {{text, sizeof(text)}};
    const struct ipc_message reply = {.type = IPC_EXPANDED,
                                      .expanded = {.addresses = &address, .address_count = 1}};
    struct ends e;
    struct question q = {.call.fn = on_reply};

    set_up(&e, true);
    e.answer = false;
    assert_int_equal(ipc_call(e.near, &q.call, &ask), 0);
    run(&e);
    assert_int_equal(ipc_reply(e.far, e.last_token, &reply), -EINVAL);
    run(&e);
    assert_int_equal(e.far_lost, -EINVAL);
    ipc_channel_free(e.far);
    e.far = NULL;
    run(&e);
    assert_int_equal(q.failures, 1);
    tear_down(&e);
}

/* … unless there is a smaller one. */
static void another_reply_can_be_tried(void **state)
{
    static char text[IPC_TEXT_MAX + 1];
    struct ipc_message reply = {.type = IPC_EXPANDED};
    struct ipc_expanded_address address = {{text, sizeof(text)}};
    struct ends e;
    struct question q = {.call.fn = on_reply};

    set_up(&e, true);
    e.answer = false;
    assert_int_equal(ipc_call(e.near, &q.call, &ask), 0);
    run(&e);
    reply.expanded = (struct ipc_expanded){.addresses = &address, .address_count = 1};
    assert_int_equal(ipc_try_reply(e.far, e.last_token, &reply), -EINVAL);
    assert_int_equal(ipc_reply(e.far, e.last_token, &expanded), 0);
    run(&e);
    assert_int_equal(q.replies, 1);
    assert_int_equal(e.near_lost + e.far_lost, 0);
    tear_down(&e);
}

/* Larger than a frame may be, though each field fits: the peer would end the channel for it. */
static void what_is_no_frame_is_not_sent(void **state)
{
    static struct ipc_expanded_address addresses[ENVELOPE_RECIPIENTS_MAX];
    static char text[ENVELOPE_ADDRESS_MAX];
    struct ipc_message reply = {
        .type = IPC_EXPANDED,
        .expanded = {.addresses = addresses, .address_count = ARRAY_SIZE(addresses)}};
    struct ends e;
    struct question q = {.call.fn = on_reply};

    set_up(&e, true);
    e.answer = false;
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        addresses[i].address = span_of(text, sizeof(text));
    assert_int_equal(ipc_call(e.near, &q.call, &ask), 0);
    run(&e);
    assert_int_equal(ipc_try_reply(e.far, e.last_token, &reply), -EMSGSIZE);
    assert_int_equal(ipc_channel_queued(e.far), 0);
    assert_int_equal(ipc_reply(e.far, e.last_token, &reply), -EMSGSIZE);
    run(&e);
    assert_int_equal(e.far_lost, -EMSGSIZE);
    tear_down(&e);
}

static void calls_are_bounded(void **state)
{
    static struct question q[IPC_CALL_WINDOW + 1];
    struct ends e;

    set_up(&e, true);
    e.answer = false;
    for (int i = 0; i <= IPC_CALL_WINDOW; i++)
        q[i] = (struct question){.call.fn = on_reply};
    for (int i = 0; i < IPC_CALL_WINDOW; i++)
        assert_int_equal(ipc_call(e.near, &q[i].call, &ask), 0);
    assert_int_equal(ipc_call(e.near, &q[IPC_CALL_WINDOW].call, &ask), -EAGAIN);
    run(&e);
    assert_int_equal(e.asked, IPC_CALL_WINDOW);
    assert_int_equal(ipc_reply(e.far, e.last_token, &expanded), 0);
    run(&e);
    assert_int_equal(ipc_call(e.near, &q[IPC_CALL_WINDOW].call, &ask), 0);
    tear_down(&e);
}

struct waiting {
    struct ipc_waiter waiter;
    int woken;
};

static void on_credit(struct ipc_waiter *waiter)
{
    CONTAINER_OF(waiter, struct waiting, waiter)->woken++;
}

static void held_bodies_stop_the_sender(void **state)
{
    static char bytes[IPC_CHUNK_MAX];
    struct ipc_message chunk = {.type = IPC_UPLOAD_CHUNK,
                                .upload_chunk = {.upload = 1, .bytes = {bytes, sizeof(bytes)}}};
    static struct question q[1000];
    struct waiting waiting = {.waiter.fn = on_credit};
    struct ends e;
    int sent = 0, r = 0;

    set_up(&e, true);
    e.hold = true;
    for (int i = 0; i < 1000; i++)
        q[i] = (struct question){.call.fn = on_reply};
    for (; sent < 1000; sent++) {
        if ((r = ipc_call(e.near, &q[sent].call, &chunk)) < 0)
            break;
    }
    assert_int_equal(r, -EAGAIN);
    assert_true(sent > 200 && sent <= 256);
    ipc_wait(e.near, &waiting.waiter);
    run(&e);
    assert_int_equal(e.chunks, sent);
    assert_int_equal(waiting.woken, 1); /* replies came; but there is still no credit for bodies */
    assert_int_equal(ipc_call(e.near, &q[sent].call, &chunk), -EAGAIN);
    assert_int_equal(ipc_call(e.near, &q[sent].call, &ask), 0); /* control isn't held up */
    ipc_wait(e.near, &waiting.waiter);
    ipc_release(e.far, IPC_CLASS_BODY, e.held);
    run(&e);
    assert_int_equal(waiting.woken, 2);
    assert_int_equal(ipc_call(e.near, &q[sent + 1].call, &chunk), 0);
    tear_down(&e);
}

static void descriptors_come_with_their_frames(void **state)
{
    struct ipc_message file = {.type = IPC_FILE, .file = {.name = {"users", 5}}};
    struct ends e;
    struct question q = {.call.fn = on_reply};
    int pipe_fds[2];
    char byte;

    set_up(&e, true);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(ipc_call(e.near, &q.call, &ask), 0);
    assert_int_equal(ipc_notify_fd(e.near, &file, pipe_fds[0]), 0);
    close(pipe_fds[0]);
    run(&e);
    assert_int_equal(q.replies, 1);
    assert_true(e.fd >= 0);
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
    assert_int_equal(read(e.fd, &byte, 1), 1);
    close(pipe_fds[1]);
    tear_down(&e);
}

static int new_file(void)
{
    int fd = memfd_create("test", 0);
    assert_true(fd >= 0);
    return fd;
}

static void lend(struct ends *e, struct question *q, int fd)
{
    struct ipc_message check = {.type = IPC_CLIENT_CHECK, .client_check.client = inode_of(fd)};

    q->call.fn = on_reply;
    assert_int_equal(ipc_call_lending(e->near, &q->call, &check, fd), 0);
}

/* Several go in one system call, also when the socket takes their frames in pieces. */
static void many_descriptors_keep_their_frames(void **state)
{
    enum { ROUNDS = 20, EACH = 30 };
    static char bytes[IPC_CHUNK_MAX];
    struct ipc_message chunk = {.type = IPC_UPLOAD_CHUNK,
                                .upload_chunk = {.upload = 1, .bytes = {bytes, sizeof(bytes)}}};
    static struct question q[EACH], bodies[EACH];
    struct ends e;
    int fds[EACH];

    set_up(&e, true);
    for (int i = 0; i < EACH; i++)
        fds[i] = new_file();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++) {
            lend(&e, &q[i], fds[i]);
            bodies[i].call.fn = on_reply;
            if (i % (round + 1) == 0)
                assert_int_equal(ipc_call(e.near, &bodies[i].call, &chunk), 0);
        }
        run(&e);
        assert_int_equal(e.files, (round + 1) * EACH);
    }
    for (int i = 0; i < EACH; i++)
        assert_int_equal(close(fds[i]), 0); /* they were lent only */
    tear_down(&e);
}

/* A generation's files come in one turn; the receiver holds few of them at once. */
static void many_more_descriptors_than_go_at_once(void **state)
{
    enum { FILES = 700 };
    struct ends e;

    set_up(&e, true);
    for (int i = 0; i < FILES; i++) {
        int fd = new_file();
        char name[24];
        struct ipc_message file = {.type = IPC_FILE, .file.name = name_of(fd, name)};
        assert_int_equal(ipc_notify_fd(e.near, &file, fd), 0);
        close(fd);
    }
    run(&e);
    assert_int_equal(e.files, FILES);
    assert_int_equal(e.near_lost + e.far_lost, 0);
    tear_down(&e);
}

/* Nobody has lent more than a few at a time: who asks waits instead. */
static void lending_has_a_bound(void **state)
{
    enum { FEW = 64 };
    static struct question q[FEW + 1];
    struct ends e;
    int fd = new_file();
    struct ipc_message check = {.type = IPC_CLIENT_CHECK, .client_check.client = inode_of(fd)};

    set_up(&e, true);
    for (int i = 0; i < FEW; i++)
        lend(&e, &q[i], fd);
    assert_int_equal(ipc_call_lending(e.near, &q[FEW].call, &check, fd), -EAGAIN);
    run(&e);
    lend(&e, &q[FEW], fd);
    run(&e);
    assert_int_equal(e.files, FEW + 1);
    close(fd);
    tear_down(&e);
}

static void what_is_lent_can_be_left(void **state)
{
    struct ends e;
    struct question q[3] = {0};
    int sent = new_file(), left = new_file(), unsent = new_file();

    set_up(&e, true);
    lend(&e, &q[0], sent);
    lend(&e, &q[1], left);
    assert_true(ipc_leave_fd(e.near, left));
    assert_false(ipc_leave_fd(e.near, left));
    assert_int_equal(fcntl(left, F_GETFD), 0); /* until it was sent */
    run(&e);
    assert_int_equal(e.files, 2);
    assert_int_equal(fcntl(left, F_GETFD), -1);
    assert_false(ipc_leave_fd(e.near, sent));
    assert_int_equal(close(sent), 0);

    lend(&e, &q[2], unsent);
    assert_true(ipc_leave_fd(e.near, unsent));
    ipc_channel_free(e.near);
    e.near = NULL;
    assert_int_equal(fcntl(unsent, F_GETFD), -1);
    assert_int_equal(q[2].failures, 1);
    tear_down(&e);
}

/* Sends bytes and descriptors over a bare socket. */
static int send_raw(int fd, struct span bytes, const int *passengers, size_t count)
{
    enum { MAX = 32 };
    union {
        struct cmsghdr align;
        char data[CMSG_SPACE(MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control.data,
                         .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    assert_in_range(count, 1, MAX);
    *CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                            .cmsg_type = SCM_RIGHTS,
                                            .cmsg_len = CMSG_LEN(count * sizeof(int))};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), passengers, count * sizeof(int));
    return sendmsg(fd, &msg, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Sends a descriptor over a socket that nobody reads. */
static int leave_on_its_way(int fd, int passenger)
{
    return send_raw(fd, SPAN("x"), &passenger, 1);
}

/* The kernel drops those for which the receiver has no place. The next ones must not come with the
 * frames of these. */
static void lost_descriptors_end_the_channel(void **state)
{
    enum { MANY = 20 };
    struct buffer frame = BUFFER_INIT;
    int files[MANY], fds[2];
    struct ends e;

    set_up(&e, false);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e.loop, fds[1], &far_role, &e, &e.far), 0);
    for (int i = 0; i < MANY; i++)
        files[i] = new_file();
    const struct ipc_message check = {.type = IPC_CLIENT_CHECK,
                                      .client_check.client = inode_of(files[0])};
    assert_int_equal(ipc_frame_encode(&check, 1, true, &frame), 0);
    /* The first frame isn't whole yet: none is there that would miss its descriptor. */
    struct span part = span_of(frame.data, frame.size / 2);
    assert_int_equal(send_raw(fds[0], part, files, MANY), 0);
    run(&e);
    assert_int_equal(e.far_lost, -EMFILE);
    assert_int_equal(e.files, 0);
    for (int i = 0; i < MANY; i++)
        close(files[i]);
    close(fds[0]);
    buffer_done(&frame);
    tear_down(&e);
}

int __real_io_watch_set(struct io_watch *watch, unsigned events);
int __wrap_io_watch_set(struct io_watch *watch, unsigned events);
static unsigned watched;     /* all that any channel has asked for since it was cleared */
static unsigned unwatchable; /* what can't be had */

int __wrap_io_watch_set(struct io_watch *watch, unsigned events)
{
    watched |= events;
    if (events & unwatchable) {
        assert_int_equal(__real_io_watch_set(watch, 0), 0);
        return -ENOMEM;
    }
    return __real_io_watch_set(watch, events);
}

/* Nobody has a deadline for a reply: a channel that hears nothing any more has to end. */
static void a_channel_that_cannot_be_watched_ends(void **state)
{
    static char bytes[IPC_CHUNK_MAX];
    const struct ipc_message chunk = {
        .type = IPC_UPLOAD_CHUNK, .upload_chunk = {.upload = 1, .bytes = {bytes, sizeof(bytes)}}};
    enum { MANY = 100 }; /* more than a socket takes */
    static struct question q[MANY];
    struct ends e;
    int failures = 0;

    set_up(&e, false);
    unwatchable = IO_WRITE;
    for (int i = 0; i < MANY; i++) {
        q[i] = (struct question){.call.fn = on_reply};
        assert_int_equal(ipc_call(e.near, &q[i].call, &chunk), 0);
    }
    run(&e);
    unwatchable = 0;
    assert_int_equal(e.near_lost, -ENOMEM);
    for (int i = 0; i < MANY; i++)
        failures += q[i].failures;
    assert_int_equal(failures, MANY);
    tear_down(&e);
}

/* The kernel lets a user have so many under way as a process may have open (unix(7)). Meanwhile the
 * socket can be written to: who waited for that would turn for ever. */
static void too_many_descriptors_wait_for_others(void **state)
{
    struct ipc_message file = {.type = IPC_FILE, .file = {.name = {"users", 5}}};
    struct rlimit old, few;
    struct ends e;
    int others[2], r = 0;

    set_up(&e, true);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = (struct rlimit){64, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    if (geteuid() == 0) /* root has no limit; and a user of others' has what they send, too */
        assert_int_equal(seteuid(60000 + (uid_t)getpid() % 5000), 0);
    for (int i = 0; i < 200 && r == 0; i++)
        r = leave_on_its_way(others[0], others[0]);
    assert_int_equal(r, -ETOOMANYREFS);
    assert_int_equal(ipc_notify_fd(e.near, &file, others[0]), 0);
    watched = 0;
    run(&e);
    assert_int_equal(watched, IO_READ);
    assert_int_equal(e.fd, -1);
    assert_int_equal(e.near_lost, 0);
    close(others[0]);
    close(others[1]); /* those on their way go with it */
    for (int i = 0; i < 100 && e.fd < 0; i++) {
        run(&e);
        usleep(10000); /* the kernel collects them when it likes */
    }
    assert_int_equal(seteuid(getuid()), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(e.fd >= 0);
    tear_down(&e);
}

/* What a taken-over peer may try; each ends the channel and nothing else. */
static void a_hostile_peer_is_cut_off(void **state)
{
    static const struct {
        const char *what;
        uint8_t frame[IPC_TEXT_MAX];
        size_t size;
    } cases[] = {
        {"a reply that nobody waits for",
         {9, 0, 0, 0, IPC_EXPANDED, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0},
         25},
        {"a type that is not accepted", {1, 0, 0, 0, IPC_SHUTDOWN, 0, 0, 0}, 17},
        {"credit that was never used",
         {5, 0, 0, 0, IPC_CREDIT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
         21},
        {"a body that does not decode",
         {4, 0, 0, 0, IPC_FILE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200},
         20},
        {"a size over all limits", {0, 0, 0, 0xff, IPC_FILE, 0, 0, 0}, 16},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ends e;
        set_up(&e, false);
        assert_int_equal(write(e.raw, cases[i].frame, cases[i].size), cases[i].size);
        run(&e);
        assert_int_equal(e.near_lost, -EPROTO);
        tear_down(&e);
    }
}

/* Calls from a peer that reads no reply; how many were taken. */
static int ask_without_reading(struct ends *e, size_t unread_max, bool read_some)
{
    struct ipc_role role = far_role;
    struct buffer frame = BUFFER_INIT;
    char replies[1 << 16];
    int fds[2];

    *e = (struct ends){.answer = true, .fd = -1, .raw = -1};
    role.unread_max = unread_max;
    assert_int_equal(io_loop_new(&e->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_channel_new(e->loop, fds[1], &role, e, &e->far), 0);
    for (uint64_t token = 1; token <= 8 * IPC_CALL_WINDOW && !e->far_lost; token++) {
        buffer_clear(&frame);
        assert_int_equal(ipc_frame_encode(&ask, token, false, &frame), 0);
        assert_int_equal(send(fds[0], frame.data, frame.size, MSG_NOSIGNAL), frame.size);
        assert_int_equal(io_loop_turn(e->loop), 0);
        if (read_some)
            while (read(fds[0], replies, 1 + (size_t)(token % 50)) > 0)
                continue;
    }
    buffer_done(&frame);
    ipc_channel_free(e->far);
    close(fds[0]);
    io_loop_free(e->loop);
    return e->asked;
}

/* What it asked for lies with us until it reads: that has an end. */
static void who_never_reads_is_cut_off(void **state)
{
    struct ends e;

    int served = ask_without_reading(&e, 0, false);
    assert_int_equal(e.far_lost, -EPROTO);
    assert_in_range(served, IPC_CALL_WINDOW, 4 * IPC_CALL_WINDOW); /* and a socket full */
    assert_in_range(ask_without_reading(&e, 4096, false), 1, served - IPC_CALL_WINDOW / 2);
    assert_int_equal(e.far_lost, -EPROTO);
    assert_int_equal(ask_without_reading(&e, 4096, true), 8 * IPC_CALL_WINDOW);
    assert_int_equal(e.far_lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_once),
        cmocka_unit_test(a_reply_that_cannot_be_sent_ends_the_channel),
        cmocka_unit_test(another_reply_can_be_tried),
        cmocka_unit_test(what_is_no_frame_is_not_sent),
        cmocka_unit_test(a_lost_peer_fails_what_waits),
        cmocka_unit_test(calls_are_bounded),
        cmocka_unit_test(held_bodies_stop_the_sender),
        cmocka_unit_test(descriptors_come_with_their_frames),
        cmocka_unit_test(many_descriptors_keep_their_frames),
        cmocka_unit_test(many_more_descriptors_than_go_at_once),
        cmocka_unit_test(lending_has_a_bound),
        cmocka_unit_test(what_is_lent_can_be_left),
        cmocka_unit_test(lost_descriptors_end_the_channel),
        cmocka_unit_test(a_channel_that_cannot_be_watched_ends),
        cmocka_unit_test(too_many_descriptors_wait_for_others),
        cmocka_unit_test(a_hostile_peer_is_cut_off),
        cmocka_unit_test(who_never_reads_is_cut_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
