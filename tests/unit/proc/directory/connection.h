/* Connections as smtpd gets them: accepted from listeners, from any address of the loopback network
 * and from a program on this machine. */
#pragma once

#include "../../unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64 };

struct connections {
    int tcp, local; /* listeners */
    struct sockaddr_in tcp_address;
    struct sockaddr_un local_address;
    char folder[32];
    int callers[CONNECTIONS_MAX];
    int count;
};

static inline void connections_open(struct connections *c)
{
    socklen_t size = sizeof(c->tcp_address);

    c->tcp_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->tcp, (struct sockaddr *)&c->tcp_address, size), 0);
    assert_int_equal(getsockname(c->tcp, (struct sockaddr *)&c->tcp_address, &size), 0);
    assert_int_equal(listen(c->tcp, 16), 0);
    strcpy(c->folder, "/tmp/postbuch-directory-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    c->local_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(c->local_address.sun_path, sizeof(c->local_address.sun_path), "%s/submit", c->folder);
    c->local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->local, (struct sockaddr *)&c->local_address, sizeof(c->local_address)),
                     0);
    assert_int_equal(listen(c->local, 16), 0);
}

static inline void connections_close(struct connections *c)
{
    for (int i = 0; i < c->count; i++)
        close(c->callers[i]);
    close(c->tcp);
    close(c->local);
    unlink(c->local_address.sun_path);
    rmdir(c->folder);
}

static inline int connections_keep(struct connections *c, int caller)
{
    assert_true(c->count < CONNECTIONS_MAX);
    c->callers[c->count++] = caller;
    return caller;
}

static inline int connection_from(struct connections *c, const char *ip)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int caller = connections_keep(c, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

    assert_int_equal(inet_pton(AF_INET, ip, &from.sin_addr), 1);
    assert_int_equal(bind(caller, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(caller, (struct sockaddr *)&c->tcp_address, sizeof(c->tcp_address)),
                     0);
    int fd = accept(c->tcp, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static inline int connection_local(struct connections *c)
{
    int caller = connections_keep(c, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

    assert_int_equal(
        connect(caller, (struct sockaddr *)&c->local_address, sizeof(c->local_address)), 0);
    int fd = accept(c->local, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* One that its client has reset. */
static inline int connection_reset(struct connections *c, const char *ip)
{
    const struct linger at_once = {.l_onoff = 1};
    int fd = connection_from(c, ip);
    int caller = c->callers[--c->count];
    char byte;

    assert_int_equal(setsockopt(caller, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(caller);
    assert_int_equal(read(fd, &byte, 1), -1);
    return fd;
}
