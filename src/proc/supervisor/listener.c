/*
 * Sockets outlive the processes that accept on them: they are bound once, kept over reloads when
 * their address stays, and handed to each process that starts, so no connection is refused
 * meanwhile.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Longer than a process takes that ends in its own time, sessions and deliveries and all. */
enum { BACKLOG = 4096, BIND_TRIES = 150, BIND_PAUSE_US = 100000 };

static struct listener *find(struct listener *list, const char *address)
{
    for (; list; list = list->next)
        if (strcmp(list->address, address) == 0)
            return list;
    return NULL;
}

/* An address of the configuration as the kernel wants it; returns its size. */
static socklen_t to_sockaddr(const struct conf_address *address, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    bool is_v4 = ip_is_v4(address->ip);

    memcpy(&v4.sin_addr, address->ip + 12, sizeof(v4.sin_addr));
    memcpy(&v6.sin6_addr, address->ip, sizeof(v6.sin6_addr));
    memset(out, 0, sizeof(*out));
    if (is_v4)
        memcpy(out, &v4, sizeof(v4));
    else
        memcpy(out, &v6, sizeof(v6));
    return is_v4 ? sizeof(v4) : sizeof(v6);
}

static void set_shared(int fd, int on)
{
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

/* `shared`: beside one that is to go. */
static int bind_tcp(const struct conf_address *address, bool shared)
{
    struct sockaddr_storage storage;
    socklen_t size = to_sockaddr(address, &storage);
    const int on = 1;
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (storage.ss_family == AF_INET6) /* [::] is IPv6 only, beside a listener of 0.0.0.0 */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (shared)
        set_shared(fd, 1);
    if (bind(fd, (struct sockaddr *)&storage, size) < 0 || listen(fd, BACKLOG) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    if (shared)
        set_shared(fd, 0); /* nobody else, when the other one has gone */
    return fd;
}

/* One of the two is all addresses of the family. A configuration that names both has errors. */
static bool is_in_the_way(const struct listener *old, const struct conf_address *wanted)
{
    return old->tcp.port == wanted->port && ip_is_v4(old->tcp.ip) == ip_is_v4(wanted->ip) &&
           (conf_ip_is_any(old->tcp.ip) || conf_ip_is_any(wanted->ip));
}

static void share_old(const struct listener *old, const struct conf_address *wanted, int on)
{
    for (; old; old = old->next)
        if (is_in_the_way(old, wanted))
            set_shared(old->fd, on);
}

/* From one address to all of its family, or back. The processes accept on the old socket until they
 * have the new one, and the kernel lets two of the same user share a port when both say so. */
static int bind_beside(const struct listener *old, const struct conf_address *wanted)
{
    share_old(old, wanted, 1);
    int fd = bind_tcp(wanted, true);
    share_old(old, wanted, 0);
    return fd;
}

/* A socket that nobody listens on any more was left by a crash. */
static int remove_stale(const struct sockaddr_un *address)
{
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode)) /* connect() refuses a file as it refuses a socket of nobody */
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? -EADDRINUSE : 0;
    if (r == 0 && errno == ECONNREFUSED && unlink(address->sun_path) < 0)
        r = -errno;
    close(fd);
    return r;
}

static int bind_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int r = remove_stale(&address);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Who may do what is decided by the peer's credentials, not by the mode. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    return fd;
}

/* At the start the processes of a supervisor that was killed may still hold the address: they let
 * go of it as soon as they see that it is gone. */
static int bind_patiently(const struct listener *wanted, const struct conf_address *tcp,
                          unsigned tries)
{
    for (unsigned left = tries;; left--) {
        int fd = tcp ? bind_tcp(tcp, false) : bind_unix(wanted->address);
        if (fd != -EADDRINUSE || left == 1)
            return fd;
        if (left == tries)
            log_warn("listen %s on %s: the address is in use; waits for up to %u s", wanted->name,
                     wanted->address, tries * BIND_PAUSE_US / 1000000);
        usleep(BIND_PAUSE_US);
    }
}

/* Takes over the socket of an old listener with this address, or binds one. */
static int add(struct listener **list, struct listener *old, const struct listener *wanted,
               const struct conf_address *tcp)
{
    struct listener *same = find(old, wanted->address);
    struct listener *l = malloc(sizeof(*l));

    if (!l)
        return -ENOMEM;
    *l = *wanted;
    l->fd = same ? same->fd : bind_patiently(wanted, tcp, old ? 1 : BIND_TRIES);
    if (l->fd == -EADDRINUSE && tcp && old)
        l->fd = bind_beside(old, tcp);
    if (l->fd < 0) {
        int r = l->fd;
        log_error("listen %s on %s: %s%s", l->name, l->address, strerror(-r),
                  r == -EADDRINUSE ? ": does another mail server run?" : "");
        free(l);
        return r;
    }
    l->next = *list;
    *list = l;
    return 0;
}

static int add_unix(struct listener **list, struct listener *old, const struct conf *conf,
                    bool is_control)
{
    struct listener wanted = {.is_control = is_control};
    struct span path = conf->control;
    struct span folder = span_first(path, (size_t)(span_find_last(path, '/') + 1));
    const char *name = is_control ? "control" : "local";

    snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    snprintf(wanted.service, sizeof(wanted.service), "%s", name);
    if (is_control)
        snprintf(wanted.address, sizeof(wanted.address), SPAN_FMT, SPAN_ARG(path));
    else
        snprintf(wanted.address, sizeof(wanted.address), SPAN_FMT "submit", SPAN_ARG(folder));
    if (path.size >= sizeof(wanted.address) - sizeof("submit"))
        return -ENAMETOOLONG;
    return add(list, old, &wanted, NULL);
}

static int add_tcp(struct listener **list, struct listener *old, const struct conf_listen *listen)
{
    int r = 0;

    if (listen->service != CONF_SERVICE_MX)
        return 0; /* check-config has warned that it isn't built yet */
    for (size_t i = 0; r == 0 && i < listen->address_count; i++) {
        struct listener wanted = {.service = "mx", .tcp = listen->addresses[i]};
        snprintf(wanted.name, sizeof(wanted.name), SPAN_FMT, SPAN_ARG(listen->name));
        conf_address_format(&listen->addresses[i], wanted.address);
        r = add(list, old, &wanted, &listen->addresses[i]);
    }
    return r;
}

int listeners_open(const struct conf *conf, struct listener *old, struct listener **out)
{
    struct listener *list = NULL;
    int r = add_unix(&list, old, conf, true);

    if (r == 0)
        r = add_unix(&list, old, conf, false);
    for (size_t i = 0; r == 0 && i < conf->listen_count; i++)
        r = add_tcp(&list, old, &conf->listens[i]);
    if (r < 0)
        listeners_close(list, old);
    else
        *out = list;
    return r;
}

void listeners_close(struct listener *list, const struct listener *kept)
{
    while (list) {
        struct listener *next = list->next;
        if (!find((struct listener *)kept, list->address)) {
            close(list->fd);
            if (list->address[0] == '/')
                unlink(list->address);
        }
        free(list);
        list = next;
    }
}
