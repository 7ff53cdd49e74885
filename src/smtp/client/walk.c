/*
 * A list of addresses, each with a state, and a step that looks at all of it: at most 64, so no
 * cleverer structure pays. All limits are counts of the walk, so no list of MX hosts, however long,
 * costs more than SMTP_WALK_TRIES_MAX connections.
 */
#include "smtp/client/walk.h"

#include "base/ip.h"
#include <assert.h>

/* The next of `family` in [from, end) that isn't placed yet; `end` when there is none. */
static size_t next_of(const struct smtp_target *targets, const bool *placed, size_t from,
                      size_t end, bool ipv4)
{
    while (from < end && (placed[from] || ip_is_v4(targets[from].ip) != ipv4))
        from++;
    return from;
}

/* RFC 8305 section 4: the families of a host take turns, IPv6 begins. */
static void place_host(struct smtp_walk *w, const struct smtp_target *targets, size_t from,
                       size_t end)
{
    bool placed[SMTP_WALK_TARGETS_MAX] = {false};
    bool ipv4 = false;

    for (size_t i = from; i < end; i++, ipv4 = !ipv4) {
        size_t next = next_of(targets, placed, from, end, ipv4);
        if (next == end)
            next = next_of(targets, placed, from, end, !ipv4);
        placed[next] = true;
        w->list[i].target = targets[next];
    }
}

void smtp_walk_init(struct smtp_walk *w, const struct smtp_target *targets, size_t count)
{
    size_t from = 0;

    *w = (struct smtp_walk){.count = count < SMTP_WALK_TARGETS_MAX ? count : SMTP_WALK_TARGETS_MAX};
    while (from < w->count) {
        size_t end = from;
        while (end < w->count && targets[end].host == targets[from].host)
            end++;
        place_host(w, targets, from, end);
        from = end;
    }
}

/* The one place that changes the state of a target: the picture in walk.h. */
static void set_state(struct smtp_walk *w, size_t i, enum smtp_target_state state)
{
#define TO(state) (1u << SMTP_TARGET_##state)
    static const unsigned legal[] = {
        [SMTP_TARGET_FRESH] = TO(RACING),
        [SMTP_TARGET_RACING] = TO(USED) | TO(DONE) | TO(FRESH),
        [SMTP_TARGET_USED] = TO(DONE),
        [SMTP_TARGET_DONE] = 0,
    };
#undef TO
    assert(legal[w->list[i].state] & 1u << state);
    w->list[i].state = state;
}

static size_t find(const struct smtp_walk *w, enum smtp_target_state state)
{
    size_t i = 0;

    while (i < w->count && w->list[i].state != state)
        i++;
    return i;
}

/* Attempts that run against each other now: how many, the best placed, and when the
 * last one began. */
struct race {
    unsigned runners;
    size_t first;
    int64_t last_start_ms;
};

static struct race race_of(const struct smtp_walk *w)
{
    struct race race = {.first = w->count, .last_start_ms = INT64_MIN};

    for (size_t i = w->count; i-- > 0;) {
        if (w->list[i].state != SMTP_TARGET_RACING)
            continue;
        race.runners++;
        race.first = i;
        if (w->list[i].started_ms > race.last_start_ms)
            race.last_start_ms = w->list[i].started_ms;
    }
    return race;
}

static bool may_try_more(const struct smtp_walk *w)
{
    return !w->stopped && w->tries < SMTP_WALK_TRIES_MAX && w->sessions < SMTP_WALK_SESSIONS_MAX &&
           find(w, SMTP_TARGET_FRESH) < w->count;
}

/* Only addresses of one host race: the next host is for when this one is down. */
static bool may_join(const struct smtp_walk *w, const struct race *race)
{
    if (race->runners == 0 || race->runners >= SMTP_WALK_RACE_MAX || !may_try_more(w))
        return false;
    size_t next = find(w, SMTP_TARGET_FRESH);
    return w->list[next].target.host == w->list[race->first].target.host;
}

static enum smtp_walk_act start_next(struct smtp_walk *w, int64_t now_ms, size_t *out_target)
{
    size_t next = find(w, SMTP_TARGET_FRESH);

    set_state(w, next, SMTP_TARGET_RACING);
    w->list[next].started_ms = now_ms;
    w->tries++;
    *out_target = next;
    return SMTP_WALK_CONNECT;
}

static bool is_slow(const struct smtp_walk *w, size_t i, int64_t now_ms)
{
    return w->list[i].state == SMTP_TARGET_RACING &&
           now_ms - w->list[i].started_ms >= SMTP_WALK_CONNECT_MS;
}

enum smtp_walk_act smtp_walk_step(struct smtp_walk *w, int64_t now_ms, size_t *out_target)
{
    bool used = find(w, SMTP_TARGET_USED) < w->count;

    for (size_t i = 0; i < w->count; i++) {
        if (!is_slow(w, i, now_ms) && !(used && w->list[i].state == SMTP_TARGET_RACING))
            continue;
        set_state(w, i, used ? SMTP_TARGET_FRESH : SMTP_TARGET_DONE);
        *out_target = i;
        return SMTP_WALK_DROP;
    }
    struct race race = race_of(w);
    if (used || (race.runners > 0 &&
                 (!may_join(w, &race) || now_ms - race.last_start_ms < SMTP_WALK_HEAD_START_MS)))
        return SMTP_WALK_WAIT;
    if (race.runners == 0 && !may_try_more(w))
        return SMTP_WALK_OVER;
    return start_next(w, now_ms, out_target);
}

int64_t smtp_walk_due_ms(const struct smtp_walk *w)
{
    struct race race = race_of(w);
    int64_t due_ms = INT64_MAX;

    if (race.runners == 0)
        return INT64_MAX;
    for (size_t i = 0; i < w->count; i++) {
        int64_t end_ms = w->list[i].started_ms + SMTP_WALK_CONNECT_MS;
        if (w->list[i].state == SMTP_TARGET_RACING && end_ms < due_ms)
            due_ms = end_ms;
    }
    if (may_join(w, &race) && race.last_start_ms + SMTP_WALK_HEAD_START_MS < due_ms)
        due_ms = race.last_start_ms + SMTP_WALK_HEAD_START_MS;
    return due_ms;
}

void smtp_walk_failed(struct smtp_walk *w, size_t i)
{
    if (w->list[i].state == SMTP_TARGET_USED)
        w->sessions++;
    set_state(w, i, SMTP_TARGET_DONE);
}

void smtp_walk_connected(struct smtp_walk *w, size_t i)
{
    w->stopped = false;
    set_state(w, i, SMTP_TARGET_USED);
}

void smtp_walk_stop(struct smtp_walk *w)
{
    w->stopped = true;
}
