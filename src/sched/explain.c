#include "sched/internal.h"

static enum sched_wait why_ready(const struct destination *d)
{
    if (d->place == DESTINATION_PAUSING)
        return SCHED_WAIT_DESTINATION;
    return d->active >= d->window ? SCHED_WAIT_WINDOW : SCHED_WAIT_TURN;
}

void sched_explain(const struct sched *s, uint32_t item, struct sched_explanation *out)
{
    const struct item *i = item_at(s, item);
    const struct destination *d = destination_at(s, i->destination);

    *out = (struct sched_explanation){.state = i->state,
                                      .deadline_ms = (int64_t)i->deadline_s * 1000,
                                      .attempts = i->attempts,
                                      .lane = d->lane,
                                      .destination = span_of(d->name, d->name_size),
                                      .why = span_from_cstr(d->why)};
    if (i->state == SCHED_PAUSED || (i->state == SCHED_HELD && !(i->flags & ITEM_IS_GIVEN_UP)))
        out->why = why_text(s, i->next);
    switch ((enum sched_state)i->state) {
    case SCHED_PAUSED:
        out->wait = SCHED_WAIT_PAUSE;
        out->until_ms = s->paused_items.keys[i->prev_or_place];
        if (d->place == DESTINATION_PAUSING && d->resume_ms > out->until_ms) {
            out->wait = SCHED_WAIT_DESTINATION;
            out->until_ms = d->resume_ms;
            out->why = span_from_cstr(d->why);
        }
        break;
    case SCHED_READY:
        out->wait = why_ready(d);
        if (out->wait == SCHED_WAIT_DESTINATION)
            out->until_ms = d->resume_ms;
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

bool sched_next_destination(const struct sched *s, uint32_t *cursor,
                            struct sched_destination_info *out)
{
    for (uint32_t h = *cursor + 1; h < s->destinations.next_fresh; h++) {
        const struct destination *d = destination_at(s, h);
        if (!d->name)
            continue;
        *out = (struct sched_destination_info){.name = span_of(d->name, d->name_size),
                                               .why = span_from_cstr(d->why),
                                               .window = d->window,
                                               .failures = d->failures,
                                               .resume_ms = d->resume_ms};
        memcpy(out->counts, d->counts, sizeof(out->counts));
        *cursor = h;
        return true;
    }
    *cursor = 0;
    return false;
}

void sched_count(const struct sched *s, struct sched_counters *out)
{
    memcpy(out->counts, s->counts, sizeof(out->counts));
    out->destinations = s->destinations.count;
    out->destinations_pausing = s->paused_destinations.count;
}
