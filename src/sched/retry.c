/*
 * All differences saturate and all results are clamped: times come from records, which may be
 * damaged, and from clocks, which may be set to any year.
 */
#include "sched/retry.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Differences of wall-clock times that a damaged record may hold: saturating. */
static int64_t difference_ms(int64_t later_us, int64_t earlier_us)
{
    int64_t us;

    if (__builtin_sub_overflow(later_us, earlier_us, &us))
        return later_us > earlier_us ? INT64_MAX / 4 : INT64_MIN / 4;
    return us / 1000;
}

/* Taken off, never added: max_ms stays a promise. */
int64_t retry_pause_ms(const struct retry_policy *policy, unsigned attempts, uint64_t random)
{
    int64_t pause = policy->first_ms;

    for (unsigned i = 1; i < attempts && pause < policy->max_ms; i++)
        pause *= 2;
    if (pause > policy->max_ms)
        pause = policy->max_ms;
    return pause - (int64_t)(random % ((uint64_t)pause / 4 + 1));
}

/* What was due while the server was down goes at once; the scheduler paces it by destination. */
int64_t retry_due_ms(const struct retry_policy *policy, int64_t next_attempt_us, int64_t wall_us,
                     int64_t now_ms)
{
    return now_ms + clamp(difference_ms(next_attempt_us, wall_us), 0, policy->max_ms);
}

int64_t retry_deadline_ms(const struct retry_policy *policy, int64_t accepted_us, int64_t wall_us,
                          int64_t now_ms)
{
    int64_t quarter = policy->give_up_ms / 4;
    int64_t grace = policy->max_ms < quarter ? policy->max_ms : quarter;
    int64_t left = policy->give_up_ms - difference_ms(wall_us, accepted_us);

    return now_ms + clamp(left, grace, policy->give_up_ms);
}
