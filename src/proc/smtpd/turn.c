#include "proc/smtpd/smtpd.h"

#include "base/clock.h"

enum { LEAVE_MAX_MS = 1000, LEAVE_TICK_MS = 10 };

void smtpd_update_time(struct smtpd *smtpd)
{
    smtpd->time.monotonic_ms = io_loop_now_ms(smtpd->process.loop);
    smtpd->time.wall_us = clock_wall_us();
}

/* What the queue's socket hasn't taken would be lost with us. Not for ever, though: a queue may
 * hang, and there needn't be a supervisor any more that would end us. */
void smtpd_leave(struct smtpd *smtpd)
{
    int64_t now_ms = smtpd->time.monotonic_ms;

    if (!smtpd->leaving_ms)
        smtpd->leaving_ms = now_ms;
    smtpd_refusals_flush(&smtpd->refusals, now_ms, true);
    bool is_told = !smtpd->queue || ipc_channel_queued(smtpd->queue) == 0;
    if (is_told || now_ms - smtpd->leaving_ms >= LEAVE_MAX_MS ||
        io_timer_set(smtpd->tick, LEAVE_TICK_MS) < 0)
        process_exit(&smtpd->process, 0);
}

void smtpd_session_wake(struct smtpd_session *s)
{
    io_defer(s->smtpd->process.loop, &s->turn);
}
