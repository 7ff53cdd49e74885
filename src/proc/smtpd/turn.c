#include "proc/smtpd/smtpd.h"

#include "base/clock.h"

void smtpd_update_time(struct smtpd *smtpd)
{
    smtpd->time.monotonic_ms = io_loop_now_ms(smtpd->process.loop);
    smtpd->time.wall_us = clock_wall_us();
}

void smtpd_leave(struct smtpd *smtpd)
{
    smtpd_refusals_flush(&smtpd->refusals, smtpd->time.monotonic_ms, true);
    process_exit(&smtpd->process, 0);
}

void smtpd_session_wake(struct smtpd_session *s)
{
    io_defer(s->smtpd->process.loop, &s->turn);
}
