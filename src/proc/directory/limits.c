/*
 * Counters by masked address, in a slab found by hash; those without connections stand in a list by
 * when they were last seen, from whose front a few are looked at with each connection: so
 * forgetting costs nothing that could pile up. Holds remember which connections of a client came
 * through which smtpd.
 */
#include "proc/directory/limits.h"

#include <assert.h>
#include <xxhash.h>

/* Events in a sliding window: those of the window at hand, and of the one before by the share of it
 * that still counts. */
struct rate {
    int64_t window; /* number of the window at hand since the clock's start */
    uint32_t now, before;
};

enum scope { SCOPE_CLIENT, SCOPE_NETWORK };

struct key {
    uint8_t ip[IP_BYTES]; /* masked */
    uint8_t scope;        /* enum scope */
};

struct counter {
    struct list idle; /* linked while connections is 0 */
    struct key key;
    uint32_t connections;
    uint32_t hash;
    struct rate rate, refusals;
    int64_t seen_ms;
};

/* The connections of one client through one holder. */
struct hold {
    struct list link;     /* of the holder */
    uint8_t ip[IP_BYTES]; /* masked as a client */
    uint32_t holder;
    uint32_t count;
    uint32_t hash;
};

struct hold_key {
    const struct limits *limits;
    const uint8_t *ip;
    uint32_t holder;
};

struct counter_key {
    const struct limits *limits;
    const struct key *key;
};

/* ---- rates ---- */

static void rate_move(struct rate *rate, int64_t window_ms, int64_t now_ms)
{
    int64_t window = now_ms / window_ms;

    if (window == rate->window)
        return;
    rate->before = window == rate->window + 1 ? rate->now : 0;
    rate->now = 0;
    rate->window = window;
}

/* Two numbers a client instead of a list of times: exact at the window's borders, and never off by
 * more than an uneven spread within it. */
static uint64_t rate_value(struct rate *rate, int64_t window_ms, int64_t now_ms)
{
    rate_move(rate, window_ms, now_ms);
    uint64_t left = (uint64_t)(window_ms - now_ms % window_ms);
    return rate->now + rate->before * left / (uint64_t)window_ms;
}

static void rate_add(struct rate *rate, int64_t window_ms, int64_t now_ms, uint32_t count)
{
    rate_move(rate, window_ms, now_ms);
    if (__builtin_add_overflow(rate->now, count, &rate->now))
        rate->now = UINT32_MAX;
}

/* ---- counters ---- */

static struct counter *counter_at(const struct limits *limits, uint32_t handle)
{
    return slab_at(&limits->counters, handle);
}

static bool counter_matches(const void *key, uint32_t handle)
{
    const struct counter_key *k = key;

    return memcmp(&counter_at(k->limits, handle)->key, k->key, sizeof(*k->key)) == 0;
}

static void forget(struct limits *limits, struct counter *counter)
{
    struct counter_key key = {limits, &counter->key};
    uint32_t handle = table_find(&limits->by_key, counter->hash, counter_matches, &key);

    assert(handle && counter->connections == 0);
    list_remove(&counter->idle);
    table_remove(&limits->by_key, counter->hash, handle);
    slab_free(&limits->counters, handle);
}

/* Drops a few counters that no longer say anything, and one more when room is needed. */
static void age(struct limits *limits, int64_t now_ms)
{
    for (int i = 0; i < 4 && !list_is_empty(&limits->idle); i++) {
        struct counter *oldest = CONTAINER_OF(limits->idle.next, struct counter, idle);
        bool old = now_ms - oldest->seen_ms > 2 * LIMITS_REFUSAL_WINDOW_MS;
        if (!old && limits->counters.count < LIMITS_COUNTERS_MAX)
            return;
        forget(limits, oldest);
    }
}

static struct counter *find(const struct limits *limits, const struct key *key, uint32_t hash)
{
    struct counter_key k = {limits, key};
    uint32_t handle = table_find(&limits->by_key, hash, counter_matches, &k);

    return handle ? counter_at(limits, handle) : NULL;
}

static uint32_t hash_of(const struct limits *limits, const struct key *key)
{
    return (uint32_t)XXH3_64bits_withSeed(key, sizeof(*key), limits->seed);
}

/* The counter of the key, made when it is new; NULL when there is no room. */
static struct counter *take(struct limits *limits, const struct key *key, int64_t now_ms)
{
    uint32_t hash = hash_of(limits, key);
    struct counter *counter = find(limits, key, hash);

    if (!counter) {
        age(limits, now_ms);
        if (limits->counters.count >= LIMITS_COUNTERS_MAX)
            return NULL;
        uint32_t handle = slab_alloc(&limits->counters);
        if (!handle)
            return NULL;
        if (table_insert(&limits->by_key, hash, handle) < 0) {
            slab_free(&limits->counters, handle);
            return NULL;
        }
        counter = counter_at(limits, handle);
        counter->key = *key;
        counter->hash = hash;
    }
    counter->seen_ms = now_ms;
    list_remove(&counter->idle);
    if (counter->connections == 0)
        list_append(&limits->idle, &counter->idle);
    return counter;
}

static void set_connections(struct limits *limits, struct counter *counter, uint32_t connections)
{
    list_remove(&counter->idle);
    counter->connections = connections;
    if (connections == 0)
        list_append(&limits->idle, &counter->idle);
}

/* An IPv6 customer has a /64 at least, and may use another address each time; providers hand out
 * /48. */
static struct key key_of(const uint8_t ip[static IP_BYTES], enum scope scope)
{
    static const unsigned prefixes[2][2] = {
        [SCOPE_CLIENT] = {64, 128}, [SCOPE_NETWORK] = {48, 120}};
    struct key key = {.scope = scope};

    memcpy(key.ip, ip, sizeof(key.ip));
    conf_ip_mask(key.ip, prefixes[scope][ip_is_v4(ip)]);
    return key;
}

/* ---- holds ---- */

static struct hold *hold_at(const struct limits *limits, uint32_t handle)
{
    return slab_at(&limits->holds, handle);
}

static bool hold_matches(const void *key, uint32_t handle)
{
    const struct hold_key *k = key;
    const struct hold *hold = hold_at(k->limits, handle);

    return hold->holder == k->holder && memcmp(hold->ip, k->ip, sizeof(hold->ip)) == 0;
}

static uint32_t find_hold(const struct limits *limits, const struct limits_holder *holder,
                          const struct key *client, uint32_t *out_hash)
{
    struct hold_key key = {limits, client->ip, holder->id};

    *out_hash =
        (uint32_t)XXH3_64bits_withSeed(client->ip, sizeof(client->ip), limits->seed ^ holder->id);
    return table_find(&limits->by_hold, *out_hash, hold_matches, &key);
}

/* 0, or -1 without memory. */
static int hold_add(struct limits *limits, struct limits_holder *holder, const struct key *client)
{
    uint32_t hash, handle = find_hold(limits, holder, client, &hash);

    if (!handle) {
        handle = slab_alloc(&limits->holds);
        if (!handle)
            return -1;
        if (table_insert(&limits->by_hold, hash, handle) < 0) {
            slab_free(&limits->holds, handle);
            return -1;
        }
        struct hold *fresh = hold_at(limits, handle);
        memcpy(fresh->ip, client->ip, sizeof(fresh->ip));
        fresh->holder = holder->id;
        fresh->hash = hash;
        list_append(&holder->holds, &fresh->link);
    }
    hold_at(limits, handle)->count++;
    return 0;
}

static void hold_free(struct limits *limits, struct hold *hold, uint32_t handle)
{
    list_remove(&hold->link);
    table_remove(&limits->by_hold, hold->hash, handle);
    slab_free(&limits->holds, handle);
}

/* Takes `count` connections off a client and its network. Counted for both scopes as connecting
 * did. */
static void release(struct limits *limits, const uint8_t ip[static IP_BYTES], uint32_t count,
                    uint32_t refused, int64_t now_ms)
{
    for (int scope = SCOPE_CLIENT; scope <= SCOPE_NETWORK; scope++) {
        struct key key = key_of(ip, scope);
        struct counter *counter = take(limits, &key, now_ms);
        if (!counter)
            continue;
        assert(counter->connections >= count);
        set_connections(limits, counter, counter->connections - count);
        rate_add(&counter->refusals, LIMITS_REFUSAL_WINDOW_MS, now_ms, refused);
    }
}

/* ---- the whole ---- */

void limits_init(struct limits *limits, uint64_t seed)
{
    *limits = (struct limits){.seed = seed};
    slab_init(&limits->counters, sizeof(struct counter));
    slab_init(&limits->holds, sizeof(struct hold));
    list_init(&limits->idle);
}

void limits_done(struct limits *limits)
{
    table_done(&limits->by_key);
    table_done(&limits->by_hold);
    slab_done(&limits->counters);
    slab_done(&limits->holds);
}

void limits_configure(struct limits *limits, const struct conf_client_limits *max)
{
    limits->max = *max;
}

void limits_holder_init(struct limits_holder *holder, uint32_t id)
{
    holder->id = id;
    list_init(&holder->holds);
}

void limits_holder_done(struct limits *limits, struct limits_holder *holder, int64_t now_ms)
{
    LIST_EACH(&holder->holds, link)
    {
        struct hold *hold = CONTAINER_OF(link, struct hold, link);
        struct key client = {.scope = SCOPE_CLIENT};
        uint32_t hash;
        memcpy(client.ip, hold->ip, sizeof(client.ip));
        uint32_t handle = find_hold(limits, holder, &client, &hash);
        release(limits, hold->ip, hold->count, 0, now_ms);
        hold_free(limits, hold, handle);
    }
}

/* What can be mended soonest is told first. */
static enum limits_verdict judge(struct counter *counter, uint32_t connections, uint32_t rate,
                                 uint32_t refusals, int64_t now_ms)
{
    if (connections && counter->connections >= connections)
        return LIMITS_TOO_MANY;
    if (rate && rate_value(&counter->rate, LIMITS_RATE_WINDOW_MS, now_ms) >= rate)
        return LIMITS_TOO_FAST;
    if (refusals && rate_value(&counter->refusals, LIMITS_REFUSAL_WINDOW_MS, now_ms) >= refusals)
        return LIMITS_TOO_BAD;
    return LIMITS_FINE;
}

static void count(struct limits *limits, struct counter *counter, int64_t now_ms)
{
    set_connections(limits, counter, counter->connections + 1);
    rate_add(&counter->rate, LIMITS_RATE_WINDOW_MS, now_ms, 1);
}

enum limits_verdict limits_connect(struct limits *limits, struct limits_holder *holder,
                                   const uint8_t ip[static IP_BYTES], bool exempt, int64_t now_ms)
{
    const struct conf_client_limits *max = &limits->max;
    struct key client_key = key_of(ip, SCOPE_CLIENT), network_key = key_of(ip, SCOPE_NETWORK);
    struct counter *network = take(limits, &network_key, now_ms);
    struct counter *client = network ? take(limits, &client_key, now_ms) : NULL;
    enum limits_verdict verdict = LIMITS_FINE;

    /* When all others are connected, making room for the client costs the network its counter. */
    network = client ? find(limits, &network_key, hash_of(limits, &network_key)) : NULL;
    if (!network)
        return LIMITS_FINE;
    if (!exempt)
        verdict =
            judge(client, max->client_connections, max->client_rate, max->client_refusals, now_ms);
    if (!exempt && verdict == LIMITS_FINE)
        verdict = judge(network, max->network_connections, max->network_rate, 0, now_ms);
    if (verdict != LIMITS_FINE || hold_add(limits, holder, &client_key) < 0)
        return verdict;
    count(limits, client, now_ms);
    count(limits, network, now_ms);
    return LIMITS_FINE;
}

void limits_disconnect(struct limits *limits, struct limits_holder *holder,
                       const uint8_t ip[static IP_BYTES], uint32_t refused, int64_t now_ms)
{
    struct key client = key_of(ip, SCOPE_CLIENT);
    uint32_t hash, handle = find_hold(limits, holder, &client, &hash);

    if (!handle)
        return;
    struct hold *hold = hold_at(limits, handle);
    release(limits, ip, 1, refused, now_ms);
    if (--hold->count == 0)
        hold_free(limits, hold, handle);
}
