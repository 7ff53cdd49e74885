#include "book/entry_state.h"

/* After these no attempt is planned until somebody acts. */
static bool stops_attempts(unsigned kind)
{
    return kind == EVENT_HELD || kind == EVENT_EXPIRED;
}

bool entry_state_apply(struct entry_state *entry, unsigned kind, int64_t time_us,
                       int64_t next_attempt_us)
{
    enum recipient_state closed;

    if (entry->state == 0 && kind == EVENT_ACCEPTED) {
        *entry = (struct entry_state){RECIPIENT_WAITING, time_us, time_us};
        return true;
    }
    /* An entry ends once: what is booked afterwards is kept as an event and
     * changes nothing here. */
    if (entry->state != RECIPIENT_WAITING)
        return false;
    if (event_kind_closes(kind, &closed)) {
        *entry = (struct entry_state){closed, time_us, 0};
        return true;
    }
    if (!next_attempt_us && !stops_attempts(kind))
        return false;
    entry->next_attempt_us = next_attempt_us;
    return true;
}
