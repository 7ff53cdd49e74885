/* From a next hop to the addresses of its hosts, in the order in which they are tried. */
#pragma once

#include "dns/mx.h"
#include "proc/smtp/smtp.h"
#include "smtp/client/walk.h"

struct smtp_way {
    struct smtp_proc *proc;
    void (*done)(struct smtp_way *way); /* once, never from within smtp_way_begin() */
    struct io_deferred turn;
    struct arena arena;
    struct dns_mx *mx;
    struct list questions, waiting; /* under way, and to be asked when there is room */
    uint32_t question_count;        /* under way */
    uint16_t last_type;             /* of the question that was asked last */
    struct ipc_waiter room;
    int64_t addresses_ms; /* when the first host was asked for, or 0 */
    bool failed, permanent;
    bool ours;          /* the failure: says nothing of the destination */
    bool leads_back;    /* a host of the route is this server */
    unsigned lack_rank; /* of `lack`, by how much it tells */
    struct span lack;   /* why a host of the route has no address */
    const char *status; /* of a failure */
    struct span text;
    struct span hosts[SMTP_HOSTS_MAX];
    struct smtp_target targets[SMTP_WALK_TARGETS_MAX];
    size_t host_count, target_count;
    struct buffer mx_set; /* whom the way is about, for the queue: struct ipc_job_result */
};

/* `next_hop`: as in struct ipc_job. Never fails: what is wrong is in `failed`, `status` and `text`
 * when `done` is called. */
void smtp_way_begin(struct smtp_way *way, struct smtp_proc *proc, struct span next_hop,
                    void (*done)(struct smtp_way *way));
/* Cancels what is under way. Fine on zeroes. */
void smtp_way_done(struct smtp_way *way);
