/* Sockets over a reload: kept, and moved between one address and all of its family. */
#include "../../unit.h"

#include "../../../place.h"
#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

static char folder[PLACE_BYTES];
static unsigned port;
static struct listener *listeners;

static struct sockaddr_in at(const char *ip, unsigned of_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)of_port)};

    assert_int_equal(inet_pton(AF_INET, ip, &address.sin_addr), 1);
    return address;
}

/* Another server's. `of_port` 0: a free one. */
static int take_port(const char *ip, unsigned of_port)
{
    struct sockaddr_in address = at(ip, of_port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool answers(const char *ip)
{
    struct sockaddr_in address = at(ip, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int r = connect(fd, (struct sockaddr *)&address, sizeof(address));

    close(fd);
    return r == 0;
}

static int setup(void **state)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    log_open("test", LOG_LEVEL_ERROR + 1);
    place_make(folder, "/dev/shm");
    int fd = take_port("127.0.0.1", 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
    close(fd);
    listeners = NULL;
    return 0;
}

static int teardown(void **state)
{
    listeners_close(listeners, NULL);
    place_remove(folder);
    return 0;
}

/* As a reload does it; the first time as the start. */
static int use(const char *ip)
{
    struct conf_problems problems;
    struct listener *then = NULL;
    struct conf conf;
    char text[400];

    snprintf(text, sizeof(text),
             "hostname: a.example\ncontrol: %s/control\nlisten: { mx: { address: \"%s:%u\" } }\n",
             folder, ip, port);
    conf_problems_init(&problems);
    assert_int_equal(conf_parse(span_from_cstr(text), SPAN("f"), SPAN("/"), &problems, &conf), 0);
    conf_problems_done(&problems);
    int r = listeners_open(&conf, listeners, &then);
    conf_done(&conf);
    if (r < 0)
        return r;
    listeners_close(listeners, then);
    listeners = then;
    return 0;
}

static int fd_of(const char *service)
{
    for (const struct listener *l = listeners; l; l = l->next)
        if (strcmp(l->service, service) == 0)
            return l->fd;
    return -1;
}

static void what_stays_is_the_same_socket(void **state)
{
    assert_int_equal(use("127.0.0.1"), 0);
    int before = fd_of("mx");
    assert_int_equal(use("127.0.0.1"), 0);
    assert_int_equal(fd_of("mx"), before);
}

/* smtpd has the old socket still while the new one is bound. */
static void from_one_to_all_and_back(void **state)
{
    assert_int_equal(use("127.0.0.1"), 0);
    for (int i = 0; i < 2; i++) {
        int smtpds = dup(fd_of("mx"));
        assert_int_equal(use("0.0.0.0"), 0);
        assert_true(answers("127.0.0.1"));
        close(smtpds);
        assert_true(answers("127.0.0.1") && answers("127.0.0.2"));
        smtpds = dup(fd_of("mx"));
        assert_int_equal(use("127.0.0.1"), 0);
        close(smtpds);
        assert_true(answers("127.0.0.1"));
        assert_false(answers("127.0.0.2"));
    }
}

static void another_server_is_in_the_way(void **state)
{
    int on = -1;
    socklen_t size = sizeof(on);

    assert_int_equal(use("127.0.0.1"), 0);
    int other = take_port("127.0.0.3", port);
    assert_int_equal(use("0.0.0.0"), -EADDRINUSE);
    assert_true(answers("127.0.0.1"));
    /* Nobody may come beside it later. */
    assert_int_equal(getsockopt(fd_of("mx"), SOL_SOCKET, SO_REUSEPORT, &on, &size), 0);
    assert_int_equal(on, 0);
    close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_stays_is_the_same_socket),
        TEST(from_one_to_all_and_back),
        TEST(another_server_is_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
