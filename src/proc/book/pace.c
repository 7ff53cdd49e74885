#include "proc/book/pace.h"

enum {
    GATHER_MS = 100, /* most local outcomes come sooner */
    REST_MS = 200,   /* a busy queue seals hundreds of groups a second */
    TROUBLE_MS = 5000,
};

static int64_t enter(struct pace *pace, enum pace_state state, int64_t ms)
{
    pace->state = state;
    return ms;
}

/* While a turn runs only the position is noted: its end looks. So does that of a pause after
 * trouble: who waits mustn't make a failing disk be tried more often. */
int64_t pace_sealed(struct pace *pace, bool is_awaited)
{
    pace->is_awaited |= is_awaited;
    if (pace->state == PACE_RUNNING || pace->state == PACE_STUCK)
        return PACE_AS_BEFORE;
    if (pace->is_awaited)
        return PACE_NOW;
    return pace->state == PACE_IDLE ? enter(pace, PACE_GATHERING, GATHER_MS) : PACE_AS_BEFORE;
}

int64_t pace_elapsed(struct pace *pace, bool has_work)
{
    return enter(pace, PACE_IDLE, has_work ? PACE_NOW : PACE_RETENTION_MS);
}

void pace_begin(struct pace *pace)
{
    *pace = (struct pace){PACE_RUNNING};
}

int64_t pace_ended(struct pace *pace, enum pace_end how, bool has_work)
{
    if (how == PACE_IN_TROUBLE)
        return enter(pace, PACE_STUCK, TROUBLE_MS);
    if (how == PACE_BEHIND || (pace->is_awaited && has_work))
        return enter(pace, PACE_IDLE, PACE_NOW);
    pace->is_awaited = false; /* who waited has it */
    return enter(pace, PACE_RESTING, REST_MS);
}
