/*
 * Whom a site's failure gives up: all that is READY there and past its deadline. That may be a
 * million items, so they aren't sought in the turn of the failure. A hand goes round all items, as
 * far as the caller has time for, and takes each that it finds. Whom it hasn't reached when the
 * site's pause ends, be it by time, an administrator or a success, waits as before: then the next
 * attempt decides.
 *
 * Each site keeps a bound below the deadlines of what is READY there, so that failures which give
 * up nobody send no hand round.
 */
#include "sched/internal.h"

void expire_bound(struct site *site, uint32_t deadline_s)
{
    if (deadline_s < site->earliest_s)
        site->earliest_s = deadline_s;
}

/* The bound is made anew on the way round: of what the hand leaves, and of what comes meanwhile. */
void expire_after_failure(struct sched *s, struct site *site, int64_t now_ms)
{
    site->failed_s = (uint32_t)(now_ms / 1000);
    if (site->earliest_s > site->failed_s)
        return;
    site->earliest_s = UINT32_MAX;
    s->hand.end = s->hand.at;
    s->hand.goes = true;
}

bool expire_is_due(const struct sched *s, const struct item *i)
{
    const struct site *site = site_at(s, destination_at(s, i->destination)->site);
    return i->state == SCHED_READY && site->pausing && i->deadline_s <= site->failed_s;
}

static uint32_t step(struct sched *s)
{
    uint32_t at = s->hand.at;

    s->hand.at = at + 1 < s->items.next_fresh ? at + 1 : 1;
    s->hand.goes = s->hand.at != s->hand.end;
    return at;
}

uint32_t expire_find(struct sched *s, uint32_t *looks)
{
    while (s->hand.goes && *looks) {
        uint32_t handle = step(s);
        --*looks;
        const struct item *i = item_at(s, handle);
        if (i->state != SCHED_READY)
            continue;
        if (expire_is_due(s, i))
            return handle;
        expire_bound(site_at(s, destination_at(s, i->destination)->site), i->deadline_s);
    }
    return 0;
}
