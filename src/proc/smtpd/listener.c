/*
 * Sockets are accepted from while there is somebody to answer for: room for a session, a directory,
 * a queue. Several smtpd share each socket; each takes a few a turn, so that one doesn't take a
 * burst alone.
 */
#include "proc/smtpd/smtpd.h"

#include "base/ip.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_AT_ONCE = 16,       /* connections a turn, so that other smtpd get some too */
    REFUSALS_MAX = 100,        /* as many as RFC 5321 section 4.5.3.1.8 has in one message */
    ANSWER_TIMEOUT_MS = 60000, /* far below any client's patience (RFC 5321 section 4.5.3.2) */
};

static void fill_settings(struct smtpd_listener *l, const struct conf_smtpd *conf,
                          struct span service)
{
    l->settings = (struct smtp_server_settings){
        .hostname = conf->hostname,
        .banner = conf->banner,
        .service = service,
        .message_size_max = conf->message_size_max,
        /* The limit is for strangers' servers, which send again for the rest. A program here
         * doesn't (cli/submit.h), and has no other way. */
        .recipients_max = l->local ? ENVELOPE_RECIPIENTS_MAX : conf->recipients_max,
        .hops_max = conf->hops_max,
        .errors_max = conf->errors_max,
        .refusals_max = REFUSALS_MAX,
        .command_timeout_ms = conf->command_timeout_ms,
        .data_timeout_ms = conf->data_timeout_ms,
        .message_timeout_ms = conf->message_timeout_ms,
        .session_timeout_ms = conf->session_timeout_ms,
        .answer_timeout_ms = ANSWER_TIMEOUT_MS,
    };
}

/* Inherited by what is accepted. A reply must not wait for the last one's acknowledgement; and the
 * acknowledgement of the first command goes with its reply, as that of all others. */
static void set_options(const struct smtpd_listener *l)
{
    if (l->local)
        return;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(l->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){0}, sizeof(int));
}

int smtpd_listener_add(struct smtpd_generation *g, struct span name, struct span service, int fd)
{
    struct smtpd_listener *l = calloc(1, sizeof(*l));
    struct span kept = arena_copy(&g->arena, service);

    if (!l || !kept.data) {
        free(l);
        close(fd);
        return -ENOMEM;
    }
    l->generation = g;
    l->fd = fd;
    l->local = span_equal(service, SPAN("local"));
    fill_settings(l, &g->conf, kept);
    for (size_t i = 0; i < g->conf.listener_count; i++)
        if (span_equal(g->conf.listeners[i].name, name)) {
            l->normalize = g->conf.listeners[i].normalize;
            l->normalize_count = g->conf.listeners[i].normalize_count;
        }
    set_options(l);
    list_append(&g->listeners, &l->link);
    return 0;
}

static void fill_address(const struct sockaddr_storage *from, struct smtp_server_client *client)
{
    ip_from_sockaddr((const struct sockaddr *)from, client->ip);
    if (from->ss_family == AF_INET)
        client->port = ntohs(((const struct sockaddr_in *)from)->sin_port);
    else if (from->ss_family == AF_INET6)
        client->port = ntohs(((const struct sockaddr_in6 *)from)->sin6_port);
}

/* The kernel says who a local user is; the directory asks it again for itself. */
static void welcome(struct smtpd_listener *l, int fd, const struct sockaddr_storage *from)
{
    struct smtpd *smtpd = l->generation->smtpd;
    struct smtp_server_client client = {.uid = UINT32_MAX};
    struct ucred peer;
    socklen_t size = sizeof(peer);

    fill_address(from, &client);
    if (l->local) {
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
            close(fd);
            return;
        }
        client.uid = peer.uid;
    }
    client.session = id_make(&smtpd->ids, smtpd->time.wall_us);
    client.normalize = conf_networks_contain(l->normalize, l->normalize_count, client.ip);
    smtpd_session_begin(l, fd, &client);
}

/* No descriptors or memory: those who knock would wake us without end. */
static void pause_accepting(struct smtpd *smtpd)
{
    log_warn("can't accept connections for a while: %m");
    smtpd->accept_paused = true;
    smtpd_listeners_update(smtpd);
}

static void on_connection(void *arg, int fd, unsigned events)
{
    struct smtpd_listener *l = arg;
    struct smtpd *smtpd = l->generation->smtpd;

    smtpd_update_time(smtpd);
    for (int i = 0; i < ACCEPT_AT_ONCE && l->watch; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        int client = accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            welcome(l, client, &from);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            if (errno != EAGAIN)
                pause_accepting(smtpd);
            break;
        }
    }
}

/* Nobody is let in whom nobody could serve: a connection that waits in the kernel's queue costs
 * nothing, one that gets 421 comes back at once. */
static bool may_accept(const struct smtpd *smtpd, const struct smtpd_generation *g)
{
    return g == smtpd->in_force && !smtpd->process.ending && !smtpd->accept_paused &&
           smtpd->directory && smtpd->queue;
}

/* Local users have some of their own: whoever takes all connections of the network keeps no program
 * of this machine from sending. */
static bool is_full(const struct smtpd *smtpd, bool local)
{
    uint32_t max = smtpd->in_force->conf.connections_max;

    if (local)
        return smtpd->local_count >= (max && max < SMTPD_LOCAL_MAX ? max : SMTPD_LOCAL_MAX);
    return max && smtpd->session_count - smtpd->local_count >= max;
}

bool smtpd_is_full(const struct smtpd *smtpd)
{
    return is_full(smtpd, false);
}

void smtpd_listeners_update(struct smtpd *smtpd)
{
    struct smtpd_generation *g = smtpd->in_force;

    if (!g)
        return;
    bool any = may_accept(smtpd, g);
    LIST_EACH(&g->listeners, link)
    {
        struct smtpd_listener *l = CONTAINER_OF(link, struct smtpd_listener, link);
        bool wanted = any && !is_full(smtpd, l->local);
        if (wanted == (l->watch != NULL))
            continue;
        if (!wanted) {
            io_watch_free(l->watch);
            l->watch = NULL;
        } else if (io_watch_new(smtpd->process.loop, l->fd, on_connection, l, &l->watch) < 0 ||
                   io_watch_set(l->watch, IO_READ) < 0) {
            io_watch_free(l->watch);
            l->watch = NULL;
            smtpd->accept_paused = true; /* the tick tries again */
        }
    }
}
