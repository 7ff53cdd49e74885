/*
 * What people ask: why is it still here, until when. Derived from the state at the moment of
 * asking, so that nothing needs to be kept for it but the last trouble in words.
 */
#include "sched/internal.h"

static void explain_ready(const struct sched *s, const struct site *site,
                          struct sched_explanation *out)
{
    const struct brake *brake = &s->lanes[site->lane].brake;

    if (site->pausing) {
        out->wait = SCHED_WAIT_DESTINATION;
        out->until_ms = site->resume_ms;
    } else if (brake_is_on(brake)) {
        out->wait = SCHED_WAIT_OURS;
        out->until_ms = brake->until_ms;
        out->why = why_text(s, brake->why);
    } else {
        out->wait = site_may_go(site) ? SCHED_WAIT_TURN : SCHED_WAIT_WINDOW;
    }
}

void sched_explain(const struct sched *s, uint32_t item, struct sched_explanation *out)
{
    const struct item *i = item_at(s, item);
    const struct destination *d = destination_at(s, i->destination);
    const struct site *site = site_at(s, d->site);

    *out = (struct sched_explanation){.state = i->state,
                                      .deadline_ms = (int64_t)i->deadline_s * 1000,
                                      .attempts = i->attempts,
                                      .lane = d->lane,
                                      .destination = span_of(d->name, d->name_size),
                                      .why = span_from_cstr(site->why)};
    if (i->state == SCHED_PAUSED || i->state == SCHED_HELD)
        out->why = why_text(s, i->next);
    switch ((enum sched_state)i->state) {
    case SCHED_PAUSED:
        out->wait = SCHED_WAIT_PAUSE;
        out->until_ms = s->paused_items.keys[i->prev_or_place];
        if (site->pausing && site->resume_ms > out->until_ms) {
            out->wait = SCHED_WAIT_DESTINATION;
            out->until_ms = site->resume_ms;
            out->why = span_from_cstr(site->why);
        }
        break;
    case SCHED_READY:
        explain_ready(s, site, out);
        break;
    case SCHED_ACTIVE:
        out->wait = SCHED_WAIT_OUTCOME;
        break;
    case SCHED_HELD:
    case SCHED_STATE_COUNT:
        out->wait = SCHED_WAIT_RELEASE;
        break;
    }
}

bool sched_destination(const struct sched *s, struct span name, unsigned lane,
                       struct sched_destination_info *out)
{
    uint32_t handle = destination_find(s, name, lane);

    if (!handle)
        return false;
    const struct destination *d = destination_at(s, handle);
    const struct site *site = site_at(s, d->site);
    *out = (struct sched_destination_info){.why = span_from_cstr(site->why),
                                           .window = site->window,
                                           .failures = site->failures,
                                           .resume_ms = site->resume_ms};
    memcpy(out->counts, d->counts, sizeof(out->counts));
    return true;
}

void sched_count(const struct sched *s, struct sched_counters *out)
{
    memcpy(out->counts, s->counts, sizeof(out->counts));
    out->destinations = s->destinations.count;
    out->destinations_pausing = s->paused_sites.count;
}
