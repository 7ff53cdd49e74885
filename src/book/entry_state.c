#include "book/entry_state.h"

/* After these no attempt is planned until somebody acts. */
static bool stops_attempts(unsigned kind)
{
    return kind == EVENT_HELD || kind == EVENT_EXPIRED;
}

/* What only happens to who waits in the queue, or has had his end there. */
static bool is_heard_of(unsigned kind)
{
    switch (kind) {
    case EVENT_CONNECTED:
    case EVENT_REFUSED:
    case EVENT_ACCEPTED:
    case EVENT_NOTIFIED:
    case EVENT_DAMAGED:
    case EVENT_ALARM:
    case EVENT_ACKNOWLEDGED:
    case EVENT_LOST:
        return false;
    default:
        return true;
    }
}

/* A waiting one. */
static bool apply(struct entry_state *entry, unsigned kind, int64_t time_us,
                  int64_t next_attempt_us)
{
    enum recipient_state closed;

    if (event_kind_closes(kind, &closed)) {
        *entry = (struct entry_state){closed, time_us, 0};
        return true;
    }
    if (!next_attempt_us && !stops_attempts(kind))
        return false;
    entry->next_attempt_us = next_attempt_us;
    return true;
}

bool entry_state_apply(struct entry_state *entry, unsigned kind, int64_t time_us,
                       int64_t next_attempt_us)
{
    if (entry->state == 0 && kind == EVENT_ACCEPTED) {
        *entry = (struct entry_state){RECIPIENT_WAITING, time_us, time_us};
        return true;
    }
    if (entry->state == RECIPIENT_LOST && is_heard_of(kind)) {
        *entry = (struct entry_state){RECIPIENT_WAITING, time_us, 0};
        apply(entry, kind, time_us, next_attempt_us);
        return true;
    }
    /* An entry ends once: what is booked afterwards is kept as an event and
     * changes nothing here. */
    return entry->state == RECIPIENT_WAITING && apply(entry, kind, time_us, next_attempt_us);
}
