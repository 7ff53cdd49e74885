/* When the server is said to be ready, and whether mail in the drop folder is seen to meanwhile. */
#include "../../unit.h"

#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct supervisor supervisor;
static int systemd; /* what it listens on */
static unsigned drop_watched;
static int64_t patience_ms;

void __wrap_drop_watch(struct supervisor *s);
int __real_io_timer_set(struct io_timer *timer, int64_t after_ms);
int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms);

void __wrap_drop_watch(struct supervisor *s)
{
    drop_watched++;
}

int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms)
{
    assert_ptr_equal(timer, supervisor.ready_timer);
    patience_ms = after_ms;
    return 0;
}

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    return 0;
}

static int setup(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];

    log_open("test", LOG_LEVEL_ERROR);
    supervisor = (struct supervisor){.child_count = kind_count};
    for (size_t i = 0; i < kind_count; i++)
        supervisor.children[i] = (struct child){.supervisor = &supervisor, .kind = &kinds[i]};
    assert_int_equal(io_loop_new(&supervisor.loop), 0);
    drop_watched = 0;
    /* In the abstract namespace: nothing is left behind. */
    snprintf(name, sizeof(name), "@postbuch-test-readiness-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    systemd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(systemd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(readiness_init(&supervisor), 0);
    assert_int_equal(patience_ms, READY_PATIENCE_MS);
    return 0;
}

static int teardown(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    close(systemd);
    io_timer_free(supervisor.ready_timer);
    io_loop_free(supervisor.loop);
    return 0;
}

static bool systemd_hears_ready(void)
{
    char text[64];
    ssize_t size = recv(systemd, text, sizeof(text), 0);

    return size == 7 && memcmp(text, "READY=1", 7) == 0;
}

/* All but this one. */
static void get_ready_without(enum ipc_peer missing)
{
    for (size_t i = 0; i < kind_count; i++)
        if (kinds[i].peer != missing) {
            supervisor.children[i].ready = true;
            readiness_look(&supervisor);
        }
}

static void get_ready(enum ipc_peer last)
{
    for (size_t i = 0; i < kind_count; i++)
        if (kinds[i].peer == last)
            supervisor.children[i].ready = true;
    readiness_look(&supervisor);
}

static void time_is_over(void)
{
    assert_int_equal(__real_io_timer_set(supervisor.ready_timer, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(io_loop_turn(supervisor.loop), 0);
}

static void the_last_one_makes_it_ready(void **state)
{
    for (size_t i = 0; i < kind_count; i++) {
        assert_false(supervisor.announced || systemd_hears_ready());
        get_ready(kinds[i].peer);
    }
    assert_true(supervisor.announced && systemd_hears_ready());
    assert_int_equal(drop_watched, 1);
    time_is_over();
    assert_false(systemd_hears_ready());
    assert_int_equal(drop_watched, 1);
}

static void mail_is_taken_without_the_others(void **state)
{
    static const enum ipc_peer others[] = {IPC_PEER_MAILBOX, IPC_PEER_SMTP, IPC_PEER_RESOLVER,
                                           IPC_PEER_REPORT, IPC_PEER_BOOK};

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        get_ready_without(others[i]);
        assert_false(supervisor.announced || systemd_hears_ready());
        time_is_over();
        assert_true(supervisor.announced && systemd_hears_ready());
        assert_int_equal(drop_watched, 1);
        get_ready(others[i]);
        assert_false(systemd_hears_ready()); /* once is enough */
        teardown(state);
        setup(state);
    }
}

/* The drop folder is looked after all the same: that is what raises its alarm. */
static void no_mail_is_taken_without_these(void **state)
{
    static const enum ipc_peer needed[] = {IPC_PEER_SMTPD, IPC_PEER_QUEUE, IPC_PEER_DIRECTORY};

    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        get_ready_without(needed[i]);
        assert_int_equal(drop_watched, 0);
        time_is_over();
        assert_false(supervisor.announced || systemd_hears_ready());
        assert_int_equal(drop_watched, 1);
        get_ready(needed[i]);
        assert_true(supervisor.announced && systemd_hears_ready());
        assert_int_equal(drop_watched, 2);
        teardown(state);
        setup(state);
    }
}

static void nothing_begins_at_the_end(void **state)
{
    get_ready_without(IPC_PEER_MAILBOX);
    supervisor.stopping = true;
    time_is_over();
    get_ready(IPC_PEER_MAILBOX);
    assert_false(supervisor.announced || systemd_hears_ready());
    assert_int_equal(drop_watched, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_one_makes_it_ready),
        TEST(mail_is_taken_without_the_others),
        TEST(no_mail_is_taken_without_these),
        TEST(nothing_begins_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
