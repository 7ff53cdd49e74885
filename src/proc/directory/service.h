/*
 * What the directory answers, and to whom: each smtpd may ask about clients and recipients, the
 * queue may have addresses expanded. Anything else from them is a violation (ipc/channel.h).
 */
#pragma once

#include "base/log.h"
#include "ipc/channel.h"
#include "proc/common/ticket.h"
#include "proc/directory/clients.h"
#include "proc/directory/generation.h"
#include "proc/directory/limits.h"

enum { SERVICE_SMTPD_MAX = 256 };

struct service;

struct service_smtpd {
    struct service *service;
    struct ipc_channel *channel; /* NULL: not there */
    struct limits_holder holder;
    struct list clients;
};

struct service {
    struct io_loop *loop;
    const struct generation *generation; /* in force */
    struct limits limits;
    struct clients clients;
    struct ticket_office tickets;
    bool owes_key; /* the queue has none: sent with the next ticket */
    struct log_seldom keyless;
    struct arena arena; /* of one answer */
    struct service_smtpd smtpd[SERVICE_SMTPD_MAX];
    struct ipc_channel *queue;
    uint64_t impostor_count; /* clients of which there was no connection */
    uint64_t client_count, deferred_client_count, recipient_count, refused_recipient_count;
};

/* `seed`: random; hashes of what strangers choose depend on it. */
void service_init(struct service *s, struct io_loop *loop, uint64_t seed);
void service_done(struct service *s);
/* From now on answers come from this generation, which stays until the next call. */
void service_use(struct service *s, const struct generation *generation);
/* Takes over `fd`, a channel to an smtpd or the queue, which replaces the one of the same index. */
int service_connect(struct service *s, enum ipc_peer kind, unsigned index, int fd);
