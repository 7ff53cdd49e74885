/*
 * The clients that an smtpd has, as the kernel knows them. smtpd hands over the connection itself
 * when it asks about a client for the first time; who is at its other end is read from the socket,
 * so that a taken-over smtpd can only speak for clients that are really connected to it. It names
 * each by a number afterwards.
 *
 * Bounded by the connections that smtpd has had accepted (limits.h) and CLIENTS_MAX.
 */
#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "base/table.h"

enum { CLIENTS_MAX = 1 << 20 };

/* Who is at the other end of a connection. */
struct client_peer {
    uint8_t ip[16]; /* IPv4 is mapped; zero for a local user */
    uint32_t uid;   /* of a local user, else UINT32_MAX */
};

struct client {
    struct list link; /* of the holder */
    uint64_t number;  /* chosen by smtpd, unique on its channel */
    uint32_t holder, hash;
    struct client_peer peer;
};

struct clients {
    struct slab slab;
    struct table by_number;
    uint64_t seed;
};

/* 0; -ENOTCONN: it has gone; -EACCES: this is no client's connection. */
int client_identify(int fd, struct client_peer *out);

/* `seed`: secret, since smtpd chooses the numbers. */
void clients_init(struct clients *clients, uint64_t seed);
void clients_done(struct clients *clients);
/* Into the holder's list. 0, -EEXIST, -ENOMEM. */
int clients_add(struct clients *clients, struct list *list, uint32_t holder, uint64_t number,
                const struct client_peer *peer);
/* NULL: there is none. */
struct client *clients_find(const struct clients *clients, uint32_t holder, uint64_t number);
/* Out of its holder's list, too; its memory is used again. */
void clients_remove(struct clients *clients, struct client *client);
