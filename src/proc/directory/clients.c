/*
 * A table by (holder, number): smtpd's numbers are its own affair, and can only mean its own
 * clients. The seed keeps a taken-over smtpd from choosing numbers that meet in one slot.
 */
#include "proc/directory/clients.h"

#include "base/ip.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <xxhash.h>

/* ---- who is there ---- */

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

/* Only what was accepted from a listener has its path and still takes no connections itself: the
 * ends of socket pairs, of which smtpd has some with root at their other end, have no name. */
static int identify_local(int fd, struct client_peer *out)
{
    union any_address own = {0};
    struct ucred peer;
    socklen_t own_size = sizeof(own), size = sizeof(peer);
    int listens = 1;
    socklen_t listens_size = sizeof(listens);

    if (getsockname(fd, &own.any, &own_size) < 0 ||
        own_size <= offsetof(struct sockaddr_un, sun_path) || own.local.sun_path[0] == '\0' ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) < 0 || listens ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid == UINT32_MAX)
        return -EACCES;
    *out = (struct client_peer){.uid = peer.uid};
    return 0;
}

/* getpeername() is the kernel's word; only what the client itself says over the connection can be
 * forged by who holds its other end. */
int client_identify(int fd, struct client_peer *out)
{
    union any_address from = {0};
    socklen_t size = sizeof(from);

    if (getpeername(fd, &from.any, &size) < 0)
        return errno == ENOTCONN ? -ENOTCONN : -EACCES;
    switch (from.any.sa_family) {
    case AF_UNIX:
        return identify_local(fd, out);
    case AF_INET:
    case AF_INET6:
        out->uid = UINT32_MAX;
        ip_from_sockaddr(&from.any, out->ip);
        return 0;
    default:
        return -EACCES;
    }
}

/* ---- the table ---- */

struct key {
    const struct clients *clients;
    uint32_t holder;
    uint64_t number;
};

static struct client *at(const struct clients *clients, uint32_t handle)
{
    return slab_at(&clients->slab, handle);
}

static bool matches(const void *key, uint32_t handle)
{
    const struct key *k = key;
    const struct client *client = at(k->clients, handle);

    return client->holder == k->holder && client->number == k->number;
}

static uint32_t find(const struct clients *clients, uint32_t holder, uint64_t number,
                     uint32_t *out_hash)
{
    struct key key = {clients, holder, number};

    *out_hash = (uint32_t)XXH3_64bits_withSeed(&number, sizeof(number), clients->seed ^ holder);
    return table_find(&clients->by_number, *out_hash, matches, &key);
}

void clients_init(struct clients *clients, uint64_t seed)
{
    *clients = (struct clients){.seed = seed};
    slab_init(&clients->slab, sizeof(struct client));
}

void clients_done(struct clients *clients)
{
    table_done(&clients->by_number);
    slab_done(&clients->slab);
}

int clients_add(struct clients *clients, struct list *list, uint32_t holder, uint64_t number,
                const struct client_peer *peer)
{
    uint32_t hash;

    if (find(clients, holder, number, &hash))
        return -EEXIST;
    uint32_t handle = clients->slab.count < CLIENTS_MAX ? slab_alloc(&clients->slab) : 0;
    if (!handle)
        return -ENOMEM;
    if (table_insert(&clients->by_number, hash, handle) < 0) {
        slab_free(&clients->slab, handle);
        return -ENOMEM;
    }
    struct client *client = at(clients, handle);
    *client = (struct client){.number = number, .holder = holder, .hash = hash, .peer = *peer};
    list_append(list, &client->link);
    return 0;
}

struct client *clients_find(const struct clients *clients, uint32_t holder, uint64_t number)
{
    uint32_t hash, handle = find(clients, holder, number, &hash);

    return handle ? at(clients, handle) : NULL;
}

void clients_remove(struct clients *clients, struct client *client)
{
    uint32_t hash, handle = find(clients, client->holder, client->number, &hash);

    list_remove(&client->link);
    table_remove(&clients->by_number, client->hash, handle);
    slab_free(&clients->slab, handle);
}
