/*
 * Questions of other processes, answered by libunbound. Each question has a deadline; its asker may
 * go away before the answer. All bytes of an answer are copied into the reply and nowhere kept.
 */
#pragma once

#include "base/log.h"
#include "ipc/channel.h"
#include "proc/resolver/library.h"

enum {
    SERVICE_ASKERS_MAX = 64,
    SERVICE_DEADLINE_MS = 20000,
    SERVICE_FORGET_MS = 600000, /* behind it: libunbound has long ended with it by then */
    SERVICE_OPEN_MAX = 16384,   /* questions; some 12 KB each in libunbound. Others wait */
};

struct service;

struct service_asker {
    struct service *service;
    struct ipc_channel *channel;  /* NULL: not there */
    struct list queries, waiting; /* asked, and to be asked when there is room: each in its turn */
};

struct service {
    struct io_loop *loop;
    struct ub_ctx *library; /* NULL: nothing can be resolved */
    const char *why_not;    /* then: constant */
    struct io_watch *watch;
    int64_t deadline_ms, forget_ms;
    uint64_t open_max;
    struct io_deferred room; /* from the loop: not within a call of libunbound */
    size_t turn;             /* the asker whose question is the next */
    struct service_asker askers[SERVICE_ASKERS_MAX];
    struct list abandoned; /* queries past their deadline, or whose asker went */
    uint64_t question_count, failed_count, late_count, bogus_count, open_count, forgotten_count;
    struct log_seldom forgotten;
};

/* `library` has been started; NULL: none, and `why_not` is answered. 0 or -errno. */
int service_init(struct service *s, struct io_loop *loop, struct ub_ctx *library,
                 const char *why_not);
/* Calls that wait are not answered; `library` is freed. */
void service_done(struct service *s);
/* Takes over `fd`, a channel to a process that may ask; replaces the one of the same index. 0 or
 * -errno; `fd` is closed on failure. */
int service_connect(struct service *s, enum ipc_peer kind, unsigned index, int fd);
