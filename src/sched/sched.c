/*
 * Items and their states. Each change of state is leave_state() and enter_state(): the first takes
 * the item out of heap, flow, window or list, the second counts it and puts its destination where
 * it now belongs. What can fail for want of memory happens before anything is changed, or ends in a
 * pause.
 */
#include "sched/internal.h"

#include "base/chance.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void item_moved(void *arg, uint32_t handle, uint32_t position)
{
    item_at(arg, handle)->prev_or_place = position;
}

static void site_moved(void *arg, uint32_t handle, uint32_t position)
{
    site_at(arg, handle)->heap_place = position;
}

int sched_new(const struct sched_config *config, struct sched **out)
{
    struct sched *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->config = *config;
    s->random = config->seed;
    slab_init(&s->items, sizeof(struct item));
    slab_init(&s->flows, sizeof(struct flow));
    slab_init(&s->destinations, sizeof(struct destination));
    slab_init(&s->sites, sizeof(struct site));
    why_init(s);
    heap_init(&s->paused_items, item_moved, s);
    heap_init(&s->paused_sites, site_moved, s);
    for (size_t i = 0; i < SCHED_LANES; i++)
        lane_init(&s->lanes[i]);
    list_init(&s->unused);
    s->hand.at = 1;
    *out = s;
    return 0;
}

void sched_free(struct sched *s)
{
    if (!s)
        return;
    destination_free_all(s);
    site_free_all(s);
    why_done(s);
    slab_done(&s->items);
    slab_done(&s->flows);
    slab_done(&s->destinations);
    slab_done(&s->sites);
    table_done(&s->flow_table);
    table_done(&s->destination_table);
    table_done(&s->site_table);
    heap_done(&s->paused_items);
    heap_done(&s->paused_sites);
    free(s);
}

void sched_reconfigure(struct sched *s, const struct sched_config *config)
{
    uint64_t seed = s->config.seed;

    s->config = *config;
    s->config.seed = seed; /* hashes depend on it */
}

static void leave_pause(struct sched *s, struct item *i)
{
    heap_remove(&s->paused_items, i->prev_or_place);
    why_release(s, i->next);
}

/* Takes the item out of whatever its state keeps it in. */
static void leave_state(struct sched *s, uint32_t handle, struct item *i)
{
    struct destination *d = destination_at(s, i->destination);

    if (i->flags & ITEM_IN_WINDOW)
        lane_end(s, i);
    if (i->state == SCHED_PAUSED)
        leave_pause(s, i);
    else if (i->state == SCHED_HELD)
        why_release(s, i->next);
    else if (i->state == SCHED_READY)
        flow_remove(s, handle);
    i->next = 0;
    d->counts[i->state]--;
    s->counts[i->state]--;
}

/* The picture in sched.h; row 0: new. Without memory READY becomes PAUSED: so PAUSED follows
 * itself. */
static bool may_follow(unsigned from, enum sched_state to)
{
    static const bool table[SCHED_STATE_COUNT][SCHED_STATE_COUNT] = {
        [0] = {[SCHED_PAUSED] = true, [SCHED_READY] = true, [SCHED_HELD] = true},
        [SCHED_PAUSED] = {[SCHED_PAUSED] = true, [SCHED_READY] = true, [SCHED_HELD] = true},
        [SCHED_READY] = {[SCHED_ACTIVE] = true, [SCHED_HELD] = true},
        [SCHED_ACTIVE] = {[SCHED_PAUSED] = true, [SCHED_HELD] = true},
        [SCHED_HELD] = {[SCHED_READY] = true, [SCHED_PAUSED] = true},
    };
    return table[from][to];
}

/* The only place where a state changes. */
static void enter_state(struct sched *s, struct item *i, enum sched_state state)
{
    struct destination *d = destination_at(s, i->destination);

    assert(may_follow(i->state, state));
    /* Who isn't attempted has no place in a window. */
    assert(state == SCHED_ACTIVE || !(i->flags & ITEM_IN_WINDOW));
    i->state = (uint8_t)state;
    d->counts[state]++;
    s->counts[state]++;
    destination_update(s, d);
}

/* The pause of an item that finds no memory for its sender's queue. */
enum { NO_MEMORY_PAUSE_MS = 1000 };

static void enter_pause(struct sched *s, uint32_t handle, struct item *i, int64_t due_ms)
{
    heap_add(&s->paused_items, due_ms, handle);
    enter_state(s, i, SCHED_PAUSED);
}

static void enter_ready(struct sched *s, uint32_t handle, struct item *i, int64_t now_ms)
{
    if (flow_append(s, handle) < 0) {
        enter_pause(s, handle, i, now_ms + NO_MEMORY_PAUSE_MS);
        return;
    }
    expire_bound(site_at(s, destination_at(s, i->destination)->site), i->deadline_s);
    enter_state(s, i, SCHED_READY);
}

static void enter_waiting(struct sched *s, uint32_t handle, struct item *i, int64_t due_ms,
                          int64_t now_ms)
{
    if (due_ms > now_ms)
        enter_pause(s, handle, i, due_ms);
    else
        enter_ready(s, handle, i, now_ms);
}

/* Whole seconds, rounded up: 32 bits of them are 136 years, and nothing is given up early. */
static uint32_t deadline_s(int64_t deadline_ms)
{
    int64_t s = deadline_ms / 1000 + 1;
    return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

int sched_add(struct sched *s, const struct sched_entry *entry, int64_t now_ms, uint32_t *out_item)
{
    uint32_t destination = destination_get(s, entry->destination, entry->lane);
    uint32_t handle = destination ? slab_alloc(&s->items) : 0;

    /* Room in the heap for every item there is: so that pausing one can never fail, whatever an
     * outcome says, when there is no memory. */
    if (handle && heap_reserve(&s->paused_items, s->items.count) < 0) {
        slab_free(&s->items, handle);
        handle = 0;
    }
    if (!handle) {
        if (destination)
            destination_update(s, destination_at(s, destination));
        return -ENOMEM;
    }
    struct item *i = item_at(s, handle);
    i->owner = entry->owner;
    i->destination = destination;
    i->sender = entry->sender;
    i->deadline_s = deadline_s(entry->deadline_ms);
    i->attempts = entry->attempts > UINT16_MAX ? UINT16_MAX : (uint16_t)entry->attempts;
    if (entry->attempts == 0)
        site_has_fresh(s, site_at(s, destination_at(s, destination)->site));
    if (entry->held)
        enter_state(s, i, SCHED_HELD);
    else
        enter_waiting(s, handle, i, entry->due_ms, now_ms);
    *out_item = handle;
    return 0;
}

/* Its counts have changed, and perhaps the room in its site's window; or it was to take that room
 * and has nothing to go any more: then others would wait for it, perhaps for ever. */
static void settle(struct sched *s, struct destination *d)
{
    site_wake(s, site_at(s, d->site));
    destination_update(s, d);
}

/* Without a state: the hand of expire.c goes over it, too. */
static void item_free(struct sched *s, uint32_t handle)
{
    item_at(s, handle)->state = 0;
    slab_free(&s->items, handle);
}

void sched_remove(struct sched *s, uint32_t handle, int64_t now_ms)
{
    struct item *i = item_at(s, handle);

    leave_state(s, handle, i);
    settle(s, destination_at(s, i->destination));
    item_free(s, handle);
}

void *sched_owner(const struct sched *s, uint32_t item)
{
    return item_at(s, item)->owner;
}

/* What has become due by now. Sites first: an item that is due may find its site open again. */
static void advance(struct sched *s, int64_t now_ms)
{
    while (s->paused_sites.count && s->paused_sites.keys[0] <= now_ms)
        site_resume(s, site_at(s, s->paused_sites.handles[0]));
    while (s->paused_items.count && s->paused_items.keys[0] <= now_ms) {
        uint32_t handle = s->paused_items.handles[0];
        struct item *i = item_at(s, handle);
        leave_state(s, handle, i);
        enter_ready(s, handle, i, now_ms);
    }
}

/* The destination whose turn it is in the lane whose turn it is, or NULL. */
static struct destination *next_destination(struct sched *s, unsigned lanes, int64_t now_ms)
{
    for (unsigned i = 0; i < SCHED_LANES; i++) {
        unsigned lane = (s->turn + i) % SCHED_LANES;
        struct destination *d = lanes & 1u << lane ? lane_next(s, lane, now_ms) : NULL;
        if (!d)
            continue;
        s->turn = lane + 1;
        return d;
    }
    return NULL;
}

uint32_t sched_take(struct sched *s, unsigned lanes, int64_t now_ms)
{
    advance(s, now_ms);
    struct destination *d = next_destination(s, lanes, now_ms);
    if (!d)
        return 0;
    uint32_t handle = flow_take(s, d);
    struct item *i = item_at(s, handle);

    /* Not leave_state(): flow_take() has taken it out. */
    d->counts[SCHED_READY]--;
    s->counts[SCHED_READY]--;
    lane_begin(s, i, now_ms);
    enter_state(s, i, SCHED_ACTIVE);
    return handle;
}

uint32_t sched_peek_along(const struct sched *s, uint32_t item)
{
    const struct item *i = item_at(s, item);
    return flow_first(s, i->destination, i->sender);
}

/* Without a place in the window: it costs the destination no further connection, and says nothing
 * of its own about the site. */
void sched_take_along(struct sched *s, uint32_t handle)
{
    struct item *i = item_at(s, handle);

    assert(i->state == SCHED_READY);
    leave_state(s, handle, i);
    enter_state(s, i, SCHED_ACTIVE);
    settle(s, destination_at(s, i->destination));
}

static void hold(struct sched *s, struct item *i)
{
    i->flags &= (uint8_t)~ITEM_HOLD_ASKED;
    enter_state(s, i, SCHED_HELD);
}

/* Our own trouble is over soon, or somebody mends it: however often it failed elsewhere, it waits
 * no longer than after its third failure. No shorter either, for while it goes on no pause of its
 * site holds it back. */
enum { OURS_ATTEMPTS_MAX = 3 };

/* What we couldn't even begin, for hours perhaps, makes no later pause longer either. */
unsigned sched_failures(unsigned attempts, enum sched_result result)
{
    unsigned max = result == SCHED_RESULT_KEPT   ? 0
                   : result == SCHED_RESULT_OURS ? OURS_ATTEMPTS_MAX
                                                 : UINT16_MAX;
    return attempts < max ? attempts + 1 : attempts;
}

static int64_t pause_after(struct sched *s, const struct item *i, enum sched_result result)
{
    unsigned attempts = i->attempts;

    if (result == SCHED_RESULT_OURS && attempts > OURS_ATTEMPTS_MAX)
        attempts = OURS_ATTEMPTS_MAX;
    return retry_pause_ms(&s->config.retry, attempts, chance_next(&s->random));
}

/* The deadline comes before a hold that was asked for: what is given up is held as well. Unless its
 * sender couldn't be told now: then it is attempted again. */
static enum sched_verdict after_failure(struct sched *s, uint32_t handle, struct item *i,
                                        enum sched_result result, int64_t now_ms,
                                        int64_t *out_due_ms)
{
    i->attempts = (uint16_t)sched_failures(i->attempts, result);
    if ((int64_t)i->deadline_s * 1000 <= now_ms && !s->spares) {
        hold(s, i);
        return SCHED_VERDICT_EXPIRED;
    }
    if (i->flags & ITEM_HOLD_ASKED) {
        hold(s, i);
        return SCHED_VERDICT_HELD;
    }
    *out_due_ms = now_ms + pause_after(s, i, result);
    enter_pause(s, handle, i, *out_due_ms);
    return SCHED_VERDICT_RETRY;
}

/* No attempt is counted, and the deadline isn't looked at: an item expires only by an attempt that
 * failed. */
static enum sched_verdict after_loss(struct sched *s, uint32_t handle, struct item *i,
                                     int64_t now_ms, int64_t *out_due_ms)
{
    if (i->flags & ITEM_HOLD_ASKED) {
        hold(s, i);
        return SCHED_VERDICT_HELD;
    }
    *out_due_ms = now_ms + s->config.lost_pause_ms;
    enter_pause(s, handle, i, *out_due_ms);
    return SCHED_VERDICT_RETRY;
}

/* What the outcome says about the site. Those that went along say nothing of their own. A
 * recipient's own failure, or a refusal, is a success of the site: it has answered. */
static void judge_site(struct sched *s, struct site *site, enum sched_result result,
                       struct span why, int64_t now_ms)
{
    if (result == SCHED_RESULT_DESTINATION) {
        site_failed(s, site, why, now_ms);
        if (site->pausing)
            expire_after_failure(s, site, now_ms);
    } else if (result < SCHED_RESULT_OURS) {
        site_succeeded(s, site);
    }
}

enum sched_verdict sched_outcome(struct sched *s, uint32_t handle, enum sched_result result,
                                 struct span why, int64_t now_ms, int64_t *out_due_ms)
{
    struct item *i = item_at(s, handle);
    struct destination *d = destination_at(s, i->destination);
    bool judges = i->flags & ITEM_IN_WINDOW;
    enum sched_verdict verdict = SCHED_VERDICT_GONE;

    assert(i->state == SCHED_ACTIVE);
    leave_state(s, handle, i);
    switch (result) {
    case SCHED_RESULT_DONE:
        item_free(s, handle);
        break;
    case SCHED_RESULT_REFUSED:
    case SCHED_RESULT_UNFIT:
    case SCHED_RESULT_KEPT:
        i->attempts = (uint16_t)sched_failures(i->attempts, result);
        hold(s, i);
        verdict = SCHED_VERDICT_HELD;
        i->next = why_take(s, why);
        break;
    case SCHED_RESULT_LOST:
        verdict = after_loss(s, handle, i, now_ms, out_due_ms);
        break;
    case SCHED_RESULT_RECIPIENT:
    case SCHED_RESULT_DESTINATION:
    case SCHED_RESULT_OURS:
        verdict = after_failure(s, handle, i, result, now_ms, out_due_ms);
        i->next = why_take(s, why);
        break;
    }
    if (judges) {
        judge_site(s, site_at(s, d->site), result, why, now_ms);
        brake_result(s, &s->lanes[d->lane].brake, result, why, now_ms);
    }
    settle(s, d);
    return verdict;
}

void sched_spare(struct sched *s, bool all)
{
    s->spares = all;
}

bool sched_may_have_expired(const struct sched *s)
{
    return s->hand.goes;
}

static void give_up(struct sched *s, uint32_t handle)
{
    struct item *i = item_at(s, handle);

    leave_state(s, handle, i);
    hold(s, i);
    const struct destination *d = destination_at(s, i->destination);
    i->next = why_take(s, span_from_cstr(site_at(s, d->site)->why));
}

uint32_t sched_take_expired(struct sched *s, uint32_t *looks)
{
    uint32_t handle = expire_find(s, looks);

    if (handle)
        give_up(s, handle);
    return handle;
}

bool sched_expire_along(struct sched *s, uint32_t handle)
{
    bool due = expire_is_due(s, item_at(s, handle));

    if (due)
        give_up(s, handle);
    return due;
}

void sched_hold(struct sched *s, uint32_t handle, int64_t now_ms)
{
    struct item *i = item_at(s, handle);

    if (i->state == SCHED_ACTIVE) {
        i->flags |= ITEM_HOLD_ASKED;
    } else if (i->state != SCHED_HELD) {
        leave_state(s, handle, i);
        hold(s, i);
        settle(s, destination_at(s, i->destination));
    }
}

void sched_release(struct sched *s, uint32_t handle, int64_t due_ms, int64_t deadline_ms,
                   int64_t now_ms)
{
    struct item *i = item_at(s, handle);

    i->flags &= (uint8_t)~ITEM_HOLD_ASKED;
    if (i->state != SCHED_HELD)
        return;
    leave_state(s, handle, i);
    i->deadline_s = deadline_s(deadline_ms);
    enter_waiting(s, handle, i, due_ms, now_ms);
}

/* The site's pause ends as well, and its lane's: the administrator who asks has perhaps just mended
 * it. If not, one probe fails. */
void sched_retry_now(struct sched *s, uint32_t handle, int64_t now_ms)
{
    struct item *i = item_at(s, handle);

    if (i->state != SCHED_PAUSED && i->state != SCHED_READY)
        return;
    if (i->state == SCHED_PAUSED) {
        leave_state(s, handle, i);
        enter_ready(s, handle, i, now_ms);
    }
    const struct destination *d = destination_at(s, i->destination);
    site_resume(s, site_at(s, d->site));
    brake_probe(&s->lanes[d->lane].brake, now_ms);
}

/* Full lanes have no time: an outcome makes room, and the caller asks again then. */
int64_t sched_next_ms(const struct sched *s, unsigned lanes)
{
    int64_t next = INT64_MAX;

    for (unsigned lane = 0; lane < SCHED_LANES; lane++) {
        int64_t lane_ms = lanes & 1u << lane ? lane_next_ms(s, lane) : INT64_MAX;
        next = lane_ms < next ? lane_ms : next;
    }
    if (s->paused_items.count && s->paused_items.keys[0] < next)
        next = s->paused_items.keys[0];
    if (s->paused_sites.count && s->paused_sites.keys[0] < next)
        next = s->paused_sites.keys[0];
    return next;
}
