/*
 * Which address is tried next: hosts in their order (RFC 5321 5.1), and within a host IPv6 before
 * IPv4 with a head start, so that a broken one of the two costs a quarter of a second and not a
 * time-out (happy eyeballs, RFC 8305). It decides only: the caller opens and closes the sockets.
 *
 *   smtp_walk_step() says what to do; do it, and ask again until it says WAIT or OVER. Tell it what
 *   came of an address by smtp_walk_failed() or smtp_walk_connected(); a session that went wrong is
 *   an address that failed, too. With WAIT, ask again at smtp_walk_due_ms().
 */
#pragma once

#include "base/span.h"

enum {
    SMTP_WALK_TARGETS_MAX = 64, /* addresses of one destination that are looked at */
    SMTP_WALK_TRIES_MAX = 12,   /* connections for one message */
    SMTP_WALK_SESSIONS_MAX = 5, /* sessions that went wrong, for one message */
    SMTP_WALK_RACE_MAX = 2,
    SMTP_WALK_HEAD_START_MS = 250, /* RFC 8305 section 5: the recommended delay */
    SMTP_WALK_CONNECT_MS = 30000,  /* some five SYNs; the kernel itself would try for two minutes */
};

struct smtp_target {
    uint16_t host; /* number of its host, in the order of preference */
    uint16_t port;
    uint8_t ip[16]; /* IPv6 or IPv4-mapped */
};

/* Whatever its host is called. */
static inline bool smtp_target_is_same(const struct smtp_target *a, const struct smtp_target *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/*
 *   FRESH ──its turn──▶ RACING ──connected──▶ USED ──its session went wrong──▶ DONE
 *     ▲                  │  └──failed, or too slow──────────────────────────────▲
 *     └──another is USED─┘
 *
 * At most one is USED. Who lost a race has shown nothing, and may be tried again. When we can't go
 * on ourselves the walk is stopped: no further address has its turn until a connection of those
 * under way is there.
 */
enum smtp_target_state {
    SMTP_TARGET_FRESH,
    SMTP_TARGET_RACING,
    SMTP_TARGET_USED,
    SMTP_TARGET_DONE
};

/* Owned by who walks; no memory of its own. */
struct smtp_walk {
    size_t count;
    unsigned tries, sessions;
    bool stopped;
    struct {
        struct smtp_target target;
        enum smtp_target_state state;
        int64_t started_ms;
    } list[SMTP_WALK_TARGETS_MAX];
};

enum smtp_walk_act {
    SMTP_WALK_CONNECT, /* to *out_target */
    SMTP_WALK_DROP,    /* *out_target took too long, or lost the race */
    SMTP_WALK_WAIT,
    SMTP_WALK_OVER, /* nothing is left */
};

/* `targets` in the order of their hosts; what is over the maximum isn't looked at. */
void smtp_walk_init(struct smtp_walk *walk, const struct smtp_target *targets, size_t count);
/* What to do now. *out_target is written with CONNECT and DROP only. */
enum smtp_walk_act smtp_walk_step(struct smtp_walk *walk, int64_t now_ms, size_t *out_target);
/* Monotonic ms. INT64_MAX: only something that happens can change what is to be done. */
int64_t smtp_walk_due_ms(const struct smtp_walk *walk);
/* What came of a target: no connection, or its session went wrong; or a connection is there. */
void smtp_walk_failed(struct smtp_walk *walk, size_t target);
void smtp_walk_connected(struct smtp_walk *walk, size_t target);
/* We are in trouble ourselves, for want of descriptors or memory. */
void smtp_walk_stop(struct smtp_walk *walk);

static inline const struct smtp_target *smtp_walk_target(const struct smtp_walk *walk, size_t i)
{
    return &walk->list[i].target;
}
