/*
 * Our own trouble stops no site, so nothing of a site holds back what it fails: it goes through all
 * that is ready, as fast as it fails. So each lane has a brake. When OURS_IN_A_ROW attempts of a
 * lane have ended so and none otherwise, it begins one attempt at a time and then pauses, longer
 * each time. The first that ends otherwise lets all go. It doesn't wait for what came of the one
 * that it let go: an attempt may take long, and its trouble may be its own.
 */
#include "sched/internal.h"

enum { OURS_IN_A_ROW = 64, PAUSE_FIRST_MS = 5000, PAUSE_MAX_MS = 60000 };

bool brake_is_on(const struct brake *brake)
{
    return brake->ours >= OURS_IN_A_ROW;
}

bool brake_lets_go(const struct brake *brake, int64_t now_ms)
{
    return !brake_is_on(brake) || brake->until_ms <= now_ms;
}

static void pause_lane(struct brake *brake, int64_t now_ms)
{
    int64_t next_ms = brake->pause_ms * 2;

    brake->until_ms = now_ms + brake->pause_ms;
    brake->pause_ms = next_ms < PAUSE_MAX_MS ? next_ms : PAUSE_MAX_MS;
}

void brake_attempt(struct brake *brake, int64_t now_ms)
{
    if (brake_is_on(brake))
        pause_lane(brake, now_ms);
}

void brake_probe(struct brake *brake, int64_t now_ms)
{
    if (brake->until_ms > now_ms)
        brake->until_ms = now_ms;
}

static void trouble(struct sched *s, struct brake *brake, struct span why, int64_t now_ms)
{
    if (brake_is_on(brake))
        return; /* one of those that were still under way, or that it let go */
    if (++brake->ours < OURS_IN_A_ROW)
        return;
    brake->why = why_take(s, why);
    brake->pause_ms = PAUSE_FIRST_MS;
    pause_lane(brake, now_ms);
}

/* Of what was LOST nobody knows. */
void brake_result(struct sched *s, struct brake *brake, enum sched_result result, struct span why,
                  int64_t now_ms)
{
    if (result == SCHED_RESULT_OURS) {
        trouble(s, brake, why, now_ms);
    } else if (result != SCHED_RESULT_LOST) {
        why_release(s, brake->why);
        *brake = (struct brake){0};
    }
}
