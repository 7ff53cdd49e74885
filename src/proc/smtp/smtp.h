/*
 * What all parts of the smtp process work on. Who uses whom:
 *
 *   proc ──▶ job ──▶ way ──▶ resolver
 *    │        │ ├──▶ race ──▶ walk (smtp/client/walk.h)
 *    │        │ ├──▶ connection ──▶ session (smtp/client/client.h)
 *    │        │ ├──▶ body
 *    │        │ └──▶ outcome ──▶ queue
 *    └──▶ route ──▶ way
 *
 * What comes from below, as a session that has changed, comes by a callback.
 */
#pragma once

#include "base/numbers.h"
#include "conf/part.h"
#include "dns/ip.h"
#include "proc/common/job_stop.h"
#include "proc/common/process.h"
#include "smtp/client/client.h"

enum {
    SMTP_READ_BYTES = 65536,
    SMTP_IDLE_MS = 5000,     /* a kept connection costs its station one of its places */
    SMTP_IDLE_MAX = 200,     /* connections that wait for work */
    SMTP_MESSAGES_MAX = 100, /* on one connection */
    SMTP_HOSTS_MAX = 32,     /* of one next hop */
    SMTP_ENDING_MS = 3000,   /* a shutdown waits so long for what is under way: the queue, longer */
    /* With so many questions under way each way has those of one host at a time, with the second
     * number one: that makes no more with all ways that there may be. So every attempt goes on,
     * however many have hosts whose name servers keep silent; and both processes together seldom
     * pass what the resolver has open (resolver/service.h), also with what libunbound goes on with
     * after its deadline. */
    SMTP_QUESTIONS_SHARED = 1024,
    SMTP_QUESTIONS_PAIRED = 2048,
};

struct smtp_proc {
    struct process process;
    const struct conf_smtp *conf; /* borrowed */
    struct dns_ip *own_addresses;
    size_t own_address_count;
    struct smtp_client_settings settings;
    struct ipc_channel *queue, *resolver;
    uint64_t epoch; /* of the queue's channel */
    struct job_stop stop;
    struct list jobs, connections, idle, routes;
    struct numbers numbered; /* the jobs */
    uint32_t job_count, connection_count, idle_count, question_count;
    int64_t now_ms;
    uint64_t chance;   /* base/chance.h */
    int64_t ending_ms; /* when the shutdown began, or 0 */
    struct io_timer *tick;
    uint64_t relayed, deferred, failed, uncertain, sessions, reused;
    char read_buffer[SMTP_READ_BYTES];
};
