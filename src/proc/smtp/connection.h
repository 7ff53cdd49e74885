/*
 * A connection to a station, and the session on it: bytes in, bytes out, time. With no job it waits
 * a few seconds for the next one that goes the same way.
 */
#pragma once

#include "proc/smtp/smtp.h"
#include "smtp/client/walk.h"

/* Who uses a connection: a job. */
struct smtp_connection_user {
    /* The session has changed. May free user and connection. */
    void (*on_session)(struct smtp_connection_user *user);
    /* Gives the session the body's next piece, if it is there. True when one was given. */
    bool (*give_body)(struct smtp_connection_user *user);
};

enum { SMTP_HOST_SIZE = 256 }; /* of a host's name as it is told; cut when it is longer */

struct smtp_connection {
    struct list link;      /* all */
    struct list idle_link; /* those without a user, the latest last */
    struct smtp_proc *proc;
    int fd;
    struct io_watch *watch;
    unsigned events;
    struct io_deferred turn;
    struct smtp_client *client;
    struct smtp_connection_user *user; /* NULL: idle, or saying goodbye */
    int64_t idle_since_ms;
    char *next_hop;
    char host[SMTP_HOST_SIZE];
    struct smtp_target address;
    char ip_text[IP_TEXT];
};

/* Takes over the connected `fd`. NULL: no memory (and `fd` is closed). */
struct smtp_connection *smtp_connection_new(struct smtp_proc *proc,
                                            struct smtp_connection_user *user, struct span next_hop,
                                            int fd, struct span host,
                                            const struct smtp_target *address);
void smtp_connection_free(struct smtp_connection *c);
/* An idle one of this next hop, which is now this user's; NULL: none. */
struct smtp_connection *smtp_connection_reuse(struct smtp_proc *proc,
                                              struct smtp_connection_user *user,
                                              struct span next_hop);
/* Its user is through: it waits for another one, or ends. */
void smtp_connection_release(struct smtp_connection *c);
void smtp_connection_wake(struct smtp_connection *c);
void smtp_connections_tick(struct smtp_proc *proc);
