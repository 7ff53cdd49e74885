/*
 * How much each client takes, counted over all smtpd: connections at the same time, new connections
 * a minute, and recipients refused in ten minutes. A client is an IPv4 address or an IPv6 /64, a
 * network an IPv4 /24 or an IPv6 /48 (conf/part.h). Pure: it is told the time.
 *
 * Bounded: at most LIMITS_COUNTERS_MAX clients and networks are remembered. Those without a
 * connection are forgotten, the least recently seen first, when they are old or room is needed.
 *
 * Every connection belongs to a holder (an smtpd). When one dies its connections are given back.
 */
#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "base/table.h"
#include "conf/part.h"

enum {
    LIMITS_COUNTERS_MAX = 200000,
    LIMITS_RATE_WINDOW_MS = 60 * 1000,
    LIMITS_REFUSAL_WINDOW_MS = 10 * 60 * 1000,
};

enum limits_verdict {
    LIMITS_FINE,
    LIMITS_TOO_MANY, /* connections at the same time */
    LIMITS_TOO_FAST, /* connections a minute */
    LIMITS_TOO_BAD,  /* refused recipients */
};

struct limits {
    struct conf_client_limits max;
    struct slab counters, holds;
    struct table by_key, by_hold;
    struct list idle; /* counters without a connection, the least recently seen first */
    uint64_t seed;
};

/* One smtpd. Zero-filled memory is made ready by limits_holder_init(). */
struct limits_holder {
    struct list holds;
    uint32_t id; /* unlike every other holder's that lives */
};

/* Allocates nothing yet. */
void limits_init(struct limits *limits, uint64_t seed);
void limits_done(struct limits *limits);
/* New maxima for connections from now on. */
void limits_configure(struct limits *limits, const struct conf_client_limits *max);

void limits_holder_init(struct limits_holder *holder, uint32_t id);
/* Gives back all connections of the holder. */
void limits_holder_done(struct limits *limits, struct limits_holder *holder, int64_t now_ms);

/* A client connects. Only with LIMITS_FINE it counts as connected. An exempt client is counted and
 * never refused. Without memory, or room among the counters, it is fine, uncounted. */
enum limits_verdict limits_connect(struct limits *limits, struct limits_holder *holder,
                                   const uint8_t ip[static IP_BYTES], bool exempt, int64_t now_ms);
/* A connected client left; `refused` of its recipients had been refused. A client that isn't
 * connected through this holder is ignored: the holder may be hostile. */
void limits_disconnect(struct limits *limits, struct limits_holder *holder,
                       const uint8_t ip[static IP_BYTES], uint32_t refused, int64_t now_ms);
