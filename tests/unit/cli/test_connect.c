#include "../unit.h"

#include "cli/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64];
static struct sockaddr_un address;
static int listener;

static int set_up(void **state)
{
    strcpy(folder, "/tmp/test_connect.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return listener < 0 ? -1 : bind(listener, (struct sockaddr *)&address, sizeof(address));
}

static int tear_down(void **state)
{
    close(listener);
    unlink(address.sun_path);
    return rmdir(folder);
}

static void errors(void **state)
{
    char longest[200];

    assert_int_equal(cli_connect("/nonexistent/socket", 1000), -ENOENT);
    assert_int_equal(cli_connect(address.sun_path, 1000), -ECONNREFUSED);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(cli_connect(longest, 1000), -ENAMETOOLONG);
}

/* What is sent may take its time: the limit is the connection's. */
static void a_socket_as_any(void **state)
{
    struct timeval limit;
    socklen_t size = sizeof(limit);

    assert_int_equal(listen(listener, 1), 0);
    int fd = cli_connect(address.sun_path, 1000);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size), 0);
    assert_int_equal(limit.tv_sec + limit.tv_usec, 0);
    close(fd);
}

/* Connections of who went away stay in the queue of a server that takes none. */
static void fill_queue(void)
{
    int result = 0;

    assert_int_equal(listen(listener, 0), 0);
    while (result == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        result = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
        close(fd);
    }
    assert_int_equal(result, EAGAIN);
}

static void a_server_that_takes_nobody(void **state)
{
    fill_queue();
    assert_int_equal(cli_connect(address.sun_path, 20), -ETIMEDOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_as_any, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_takes_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
