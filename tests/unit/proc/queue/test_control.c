/* Connections of administrators: who is let in, for how long, and what they may say. */
#include "asked.h"

#include "../../../place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ipc_channel *supervisor;

static void on_supervised(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    struct ipc_message m = {.type = IPC_STATUS, .status.json = SPAN("{\"all\": 1}")};
    if (arrival->message->type == IPC_RELOAD)
        m = (struct ipc_message){.type = IPC_RELOADED,
                                 .reloaded = {.done = true, .text = SPAN("done\n")}};
    if (!w->smtp_is_silent)
        assert_int_equal(ipc_reply(arrival->channel, arrival->token, &m), 0);
}

static const struct ipc_handler supervisor_handlers[] = {{IPC_STATUS_ASK, on_supervised},
                                                         {IPC_RELOAD, on_supervised}};

static const struct ipc_role supervisor_role = {.peer_name = "queue",
                                                .handlers = supervisor_handlers,
                                                .handler_count = 2},
                             queue_role = {.peer_name = "supervisor"};

static void join_supervisor(struct world *w)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[0], &supervisor_role, w, &supervisor), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], &queue_role, w, &w->queue.supervisor), 0);
}

static void supervisor_is_asked_for_what_is_its_own(void **state)
{
    static const struct {
        enum ipc_type type;
        const char *without, *with;
    } cases[] = {{IPC_STATUS_ASK, "{}", "{\"all\": 1}"},
                 {IPC_RELOAD, "the supervisor does not answer\n", "done\n"}};
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ipc_message ask = {.type = cases[i].type};
        world_ask(w, &ask);
        assert_span(buffer_span(&w->reply_text), cases[i].without);
        join_supervisor(w);
        world_ask(w, &ask);
        assert_span(buffer_span(&w->reply_text), cases[i].with);
        /* It dies with the question. */
        w->smtp_is_silent = true;
        w->answered = false;
        assert_int_equal(ipc_call(w->admin, &w->call, &ask), 0);
        world_rest(w);
        assert_false(w->answered);
        ipc_channel_free(w->queue.supervisor);
        w->queue.supervisor = NULL;
        world_until(w, world_has_answer, NULL);
        assert_span(buffer_span(&w->reply_text), cases[i].without);
        ipc_channel_free(supervisor);
        w->smtp_is_silent = false;
    }
    world_free(w);
}

static void a_client_may_leave_at_any_time(void **state)
{
    static const enum ipc_type types[] = {IPC_QUEUE_LIST, IPC_QUEUE_SUMMARY_ASK, IPC_BOOK_SYNC,
                                          IPC_STATUS_ASK, IPC_QUEUE_ACT};
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c = world_settle(w, "a@here.example");
    world_join_book(w); /* which never answers */
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct ipc_message m = {.type = types[i]};
        if (m.type == IPC_QUEUE_ACT)
            m.queue_act = (struct ipc_queue_act){.filter.id = c.id, .index = UINT32_MAX};
        world_join_admin(w);
        w->call.fn = NULL;
        assert_int_equal(ipc_call(w->admin, &w->call, &m), 0);
        ipc_call_cancel(&w->call);
        io_loop_turn(w->loop);
        io_loop_turn(w->loop);
        ipc_channel_free(w->admin);
        w->admin = NULL;
        world_rest(w);
    }
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, 1);
    world_free(w);
}

/* Descriptors are short. The linker puts this in its place (meson.build). */
static bool no_descriptors;
static unsigned accepts, strangers; /* so many of these knock */
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    accepts++;
    if (strangers) {
        strangers--;
        return open("/dev/null", O_RDONLY | O_CLOEXEC); /* whose uid nobody knows */
    }
    if (!no_descriptors)
        return __real_accept4(fd, address, size, flags);
    errno = EMFILE;
    return -1;
}

/* What the kernel says of those who knock; 0: the truth. */
static uid_t uid_of_peer;
static int peer_error;
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    int r = __real_getsockopt(fd, level, name, value, size);

    if (name != SO_PEERCRED || r < 0)
        return r;
    if (uid_of_peer)
        ((struct ucred *)value)->uid = uid_of_peer;
    errno = peer_error;
    return peer_error ? -1 : 0;
}

/* What the log has of refusals. */
static char refusals[400];
void __wrap_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_info(const char *format, ...)
{
    size_t size = strlen(refusals);
    va_list args;

    if (strncmp(format, "control connection", 18) != 0)
        return;
    va_start(args, format);
    vsnprintf(refusals + size, sizeof(refusals) - size, format, args);
    va_end(args);
    strncat(refusals, "\n", sizeof(refusals) - strlen(refusals) - 1);
}

/* Who may not come in can't keep the loop busy with refusing him. */
static void few_are_let_in_a_turn(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);

    ipc_channel_free(w->admin);
    w->admin = NULL;
    world_rest(w);
    strangers = 100;
    accepts = 0;
    world_join_admin(w);
    assert_int_equal(io_loop_turn(w->loop), 0);
    assert_in_range(accepts, 1, 16);
    world_list(w, &(struct ipc_queue_filter){0}); /* let in, when it is its turn */
    assert_int_equal(strangers, 0);
    world_free(w);
}

/* The one that knocks would wake the loop in each of its turns. */
static void who_comes_when_descriptors_are_short_waits(void **state)
{
    enum { TURNS = 100 }; /* of world_rest() */
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);

    ipc_channel_free(w->admin);
    w->admin = NULL;
    world_rest(w);
    no_descriptors = true;
    accepts = 0;
    world_join_admin(w);
    world_rest(w);
    assert_in_range(accepts, 1, TURNS / 2);
    no_descriptors = false;
    world_list(w, &(struct ipc_queue_filter){0}); /* let in, and answered */
    world_free(w);
}

/* Time that went by, and answers that lie unread. */
static int64_t passed_ms;
static size_t unread;
int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);
size_t __real_ipc_channel_queued(const struct ipc_channel *channel);
size_t __wrap_ipc_channel_queued(const struct ipc_channel *channel);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + passed_ms;
}

size_t __wrap_ipc_channel_queued(const struct ipc_channel *channel)
{
    return unread ? unread : __real_ipc_channel_queued(channel);
}

static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static int knock(struct world *w)
{
    int fd = place_connect(w->folder);
    assert_int_equal(io_loop_turn(w->loop), 0); /* takes it in: the backlog is short */
    return fd;
}

static void is_refused(struct world *w)
{
    int fd = knock(w);
    world_rest(w);
    assert_true(is_closed(fd));
    close(fd);
}

/* Pagers and hung programs, as many as there may be: an administrator gets in all the same, but
 * nobody is sent away for him who waits for an answer, has just come, or asked just now. */
static void who_is_idle_makes_room(void **state)
{
    struct ipc_message sync = {.type = IPC_BOOK_SYNC};
    struct ipc_call call = {.fn = on_asked};
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_channel *busy = w->admin, *asker;
    int idle[CONTROL_CLIENTS_MAX - 2];

    world_settle(w, "a@here.example");
    world_join_book(w); /* which never answers */
    assert_int_equal(ipc_call(busy, &call, &sync), 0);
    w->admin = NULL;
    world_join_admin(w);
    world_rest(w);
    for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
        idle[i] = knock(w);
    is_refused(w);
    passed_ms = 11000;
    world_list(w, &(struct ipc_queue_filter){0});
    asker = w->admin;
    w->admin = NULL;
    unread = 1;
    is_refused(w);
    unread = 0;
    assert_false(is_closed(idle[0]));
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){0});
    assert_true(is_closed(idle[0]));
    assert_false(is_closed(idle[1]));
    assert_false(w->admin_lost);
    unread = 1;
    passed_ms += 600000; /* what nobody has read for so long nobody will */
    close(knock(w));
    world_rest(w);
    assert_true(w->admin_lost); /* the asker */
    assert_false(is_closed(idle[1]));
    assert_true(ipc_call_is_pending(&call));
    passed_ms = 0;
    unread = 0;
    for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
        close(idle[i]);
    ipc_call_cancel(&call);
    ipc_channel_free(asker);
    ipc_channel_free(busy);
    world_free(w);
}

/* Strangers' refusals are told once in a while; an administrator's are told all the same. */
static void strangers_hide_no_refusal_of_an_administrator(void **state)
{
    char expected[200];
    int in[CONTROL_CLIENTS_MAX - 1];
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);

    world_rest(w);
    refusals[0] = '\0';
    uid_of_peer = 54321;
    is_refused(w);
    is_refused(w);
    assert_string_equal(refusals,
                        "control connection of uid 54321 refused: Operation not permitted\n");
    uid_of_peer = 0;
    peer_error = ENOMEM;
    refusals[0] = '\0';
    is_refused(w);
    peer_error = 0;
    assert_string_equal(refusals,
                        "control connection refused, nobody knows whose: Cannot allocate memory\n");
    world_free(w);
    w = world_begin_with_admin(MAILBOX_DEFERS);
    world_rest(w);
    uid_of_peer = 54321;
    is_refused(w);
    uid_of_peer = 0;
    refusals[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(in); i++)
        in[i] = knock(w);
    is_refused(w);
    for (size_t i = 0; i < ARRAY_SIZE(in); i++)
        close(in[i]);
    snprintf(expected, sizeof(expected), "control connection of uid %u refused: Too many users\n",
             geteuid());
    assert_string_equal(refusals, expected);
    world_free(w);
}

/* Its supervisor is gone, and the next one must be able to bind the address. */
static void who_is_in_is_served_when_nobody_comes_in_any_more(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct sockaddr_un address;
    int fd = place_socket(w->folder, &address);

    world_rest(w); /* until the administrator is in */
    control_stop_listening(w->queue.control);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    control_tick(w->queue.control);
    world_settle(w, "a@here.example");
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, 1);
    close(fd);
    world_free(w);
}

static void what_no_client_may_say_ends_its_channel(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_message m = {.type = IPC_UPLOAD_ABORT, .upload_abort = {.upload = 1}};
    assert_int_equal(ipc_notify(w->admin, &m), 0);
    world_rest(w);
    assert_true(w->admin_lost);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supervisor_is_asked_for_what_is_its_own),
        cmocka_unit_test(a_client_may_leave_at_any_time),
        cmocka_unit_test(few_are_let_in_a_turn),
        cmocka_unit_test(who_comes_when_descriptors_are_short_waits),
        cmocka_unit_test(who_is_idle_makes_room),
        cmocka_unit_test(strangers_hide_no_refusal_of_an_administrator),
        cmocka_unit_test(who_is_in_is_served_when_nobody_comes_in_any_more),
        cmocka_unit_test(what_no_client_may_say_ends_its_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
