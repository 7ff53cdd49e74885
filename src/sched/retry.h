/*
 * When to try again, and when to give up: pure arithmetic.
 *
 * The scheduler counts in monotonic milliseconds only. Records hold wall-clock time, and a wall
 * clock jumps: a machine boots in 1970 or a year ahead until NTP mends it. So wall-clock times are
 * turned into monotonic ones once, where a message enters the scheduler, and both results are
 * clamped: nothing waits longer than the longest pause, and nothing is overdue at once.
 */
#pragma once

#include "base/span.h"

struct retry_policy {
    int64_t first_ms;   /* after the first failure */
    int64_t max_ms;     /* doubling ends here */
    int64_t give_up_ms; /* after acceptance */
};

/* The pause after the `attempts`th failure in a row (1: the first): doubled each time, and up to a
 * quarter taken off by `random`, so that what failed together doesn't come back together. */
int64_t retry_pause_ms(const struct retry_policy *policy, unsigned attempts, uint64_t random);

/* The monotonic time of a recorded next attempt: never in the past, at most max_ms away. */
int64_t retry_due_ms(const struct retry_policy *policy, int64_t next_attempt_us, int64_t wall_us,
                     int64_t now_ms);

/* The monotonic deadline of a message accepted at `accepted_us`. Never before now + the grace
 * (the longest pause, at most a quarter of give_up_ms), so that a server that was down or whose
 * clock jumped still makes attempts; never after now + give_up_ms. */
int64_t retry_deadline_ms(const struct retry_policy *policy, int64_t accepted_us, int64_t wall_us,
                          int64_t now_ms);
