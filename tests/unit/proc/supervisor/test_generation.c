/* A new configuration is sent round: to processes that are played here, by what part_send() says.
 */
#include "../../unit.h"

#include "../../../place.h"
#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <errno.h>
#include <signal.h>

enum { CHILDREN = 3, UNSENDABLE = 1 };

static struct supervisor supervisor;
static char folder[PLACE_BYTES], config_file[PLACE_BYTES + 16];
static int killed[CHILDREN];
static size_t killed_count;

/* ---- what the supervisor's other parts, and the kernel, would do ---- */

int __wrap_part_send(struct child *child);
int __wrap_folders_prepare(const struct conf *conf);
int __wrap_kill(pid_t pid, int signal_number);

int __wrap_part_send(struct child *child)
{
    if (child->index == UNSENDABLE)
        return -EAGAIN;
    child->untaken++;
    return 0;
}

int __wrap_folders_prepare(const struct conf *conf)
{
    return 0;
}

int __wrap_kill(pid_t pid, int signal_number)
{
    assert_int_equal(signal_number, SIGKILL);
    assert_true(killed_count < ARRAY_SIZE(killed));
    killed[killed_count++] = pid;
    return 0;
}

void readiness_look(struct supervisor *s)
{
}

/* ---- a place for it ---- */

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static const struct ipc_role role = {.peer_name = "a child", .lost = on_lost};
static int far_ends[CHILDREN];

static void write_config(const char *more)
{
    FILE *file = fopen(config_file, "w");

    assert_non_null(file);
    fprintf(file,
            "hostname: mail.example\nspool: file:%s/spool\nledger: %s/ledger\n"
            "control: %s/control\ndrop: %s/drop\n%s",
            folder, folder, folder, folder, more);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    log_open("test", LOG_LEVEL_ERROR + 1);
    place_make(folder, "/dev/shm");
    snprintf(config_file, sizeof(config_file), "%s/postbuch.yaml", folder);
    killed_count = 0;
    supervisor = (struct supervisor){.config_file = config_file, .child_count = CHILDREN};
    assert_int_equal(io_loop_new(&supervisor.loop), 0);
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct child *child = &supervisor.children[i];
        int fds[2];
        *child = (struct child){.supervisor = &supervisor,
                                .kind = &kinds[0],
                                .index = i,
                                .pid = 100 + (int)i,
                                .ready = true};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        assert_int_equal(ipc_channel_new(supervisor.loop, fds[0], &role, child, &child->channel),
                         0);
        far_ends[i] = fds[1];
    }
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        ipc_channel_free(supervisor.children[i].channel);
        close(far_ends[i]);
    }
    listeners_close(supervisor.listeners, NULL);
    conf_done(&supervisor.conf);
    io_loop_free(supervisor.loop);
    place_remove(folder);
    return 0;
}

static int reload(void)
{
    struct buffer text = BUFFER_INIT;
    int r = generation_reload(&supervisor, &text);

    buffer_done(&text);
    return r;
}

/* It hasn't taken the generation when it is killed, but when it was started with it. */
static void who_can_not_be_told_is_killed_and_not_ready(void **state)
{
    write_config("");
    assert_int_equal(reload(), 0);
    assert_int_equal(supervisor.generation, 1);
    assert_int_equal(killed_count, 1);
    assert_int_equal(killed[0], 100 + UNSENDABLE);
    for (unsigned i = 0; i < CHILDREN; i++) {
        assert_int_equal(supervisor.children[i].ready, i != UNSENDABLE);
        assert_int_equal(supervisor.children[i].untaken, i != UNSENDABLE);
    }
}

static void a_configuration_with_errors_is_sent_to_nobody(void **state)
{
    write_config("no_such_thing: 1\n");
    assert_int_equal(reload(), -EINVAL);
    assert_int_equal(supervisor.generation, 0);
    assert_int_equal(killed_count, 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_true(supervisor.children[i].ready && !supervisor.children[i].untaken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_can_not_be_told_is_killed_and_not_ready),
        TEST(a_configuration_with_errors_is_sent_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
