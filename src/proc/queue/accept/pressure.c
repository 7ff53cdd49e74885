/*
 * Pressure: when new mail must be deferred (452 before DATA), and why. Every smtpd is told when
 * that changes, and a commit that was under way is answered accordingly.
 */
#include "proc/queue/accept/pressure.h"

#include <inttypes.h>
#include <stdio.h>

/* What waits is counted by the scheduler, held ones too: each takes memory until somebody acts. */
static const char *reason(const struct queue *q)
{
    const char *why = NULL;
    struct sched_counters c;

    switch (spool_pressure(q->spool, &why)) {
    case SPOOL_PRESSURE_NONE:
    case SPOOL_PRESSURE_BUSY: /* credit slows smtpd down by itself */
        break;
    case SPOOL_PRESSURE_FULL:
    case SPOOL_PRESSURE_ROOM:
    case SPOOL_PRESSURE_FAILED:
    case SPOOL_PRESSURE_BOOK:
        return why ? why : "the spool can't take mail";
    }
    if (committer_hangs(&q->committer))
        return "the disk with the spool does not answer";
    sched_count(q->sched, &c);
    uint64_t waiting = (uint64_t)c.counts[SCHED_PAUSED] + c.counts[SCHED_READY] +
                       c.counts[SCHED_ACTIVE] + c.counts[SCHED_HELD];
    return q->conf->waiting_max && waiting >= q->conf->waiting_max ? "too many messages are waiting"
                                                                   : NULL;
}

void pressure_append_figures(const struct queue *q, struct buffer *out)
{
    enum spool_pressure pressure = spool_pressure(q->spool, NULL);
    struct spool_room room;

    if (pressure != SPOOL_PRESSURE_FULL && pressure != SPOOL_PRESSURE_ROOM)
        return;
    spool_get_room(q->spool, &room);
    buffer_printf(out, ": %" PRIu64 "M are free", room.free_bytes >> 20);
    if (pressure == SPOOL_PRESSURE_ROOM)
        buffer_printf(out, ", a file takes %" PRIu64 "M (spool_segment_size)",
                      room.segment_bytes >> 20);
    if (room.free_bytes < room.reserve_bytes)
        buffer_printf(out, ", the reserve is %" PRIu64 "M (limits: disk_reserve)",
                      room.reserve_bytes >> 20);
}

void pressure_tell(struct queue *q, struct queue_peer *peer)
{
    struct ipc_message m = {
        .type = IPC_PRESSURE,
        .pressure = {.defer = q->pressure->defer, .text = span_from_cstr(q->pressure->text)}};

    peer->untold = ipc_notify(peer->channel, &m) < 0;
}

/* At a limit it comes and goes with each message: a person is told once in a while. */
static void log_deferring(const struct queue *q)
{
    struct pressure *p = q->pressure;
    struct buffer figures = BUFFER_INIT;

    pressure_append_figures(q, &figures);
    if (log_is_due(&p->alarm, io_loop_now_ms(q->loop)))
        log_error("ALARM: new mail is deferred: %s" SPAN_FMT, p->text,
                  SPAN_ARG(buffer_span(&figures)));
    else
        log_debug("new mail is deferred: %s" SPAN_FMT, p->text, SPAN_ARG(buffer_span(&figures)));
    buffer_done(&figures);
}

/* Who couldn't be told before is told now: one that wasn't told of the end would defer for ever. */
static void tell_all(struct queue *q, bool changed)
{
    LIST_EACH(&q->peers, link)
    {
        struct queue_peer *peer = CONTAINER_OF(link, struct queue_peer, link);
        if (changed || peer->untold)
            pressure_tell(q, peer);
    }
}

static void change(struct queue *q, const char *why)
{
    q->pressure->defer = why != NULL;
    snprintf(q->pressure->text, sizeof(q->pressure->text), "%s", why ? why : "");
    if (why)
        log_deferring(q);
    else
        log_info("new mail is accepted again");
}

void pressure_update(struct queue *q)
{
    const char *why = reason(q);
    bool changed =
        q->pressure->defer != (why != NULL) || (why && strcmp(why, q->pressure->text) != 0);

    if (changed)
        change(q, why);
    tell_all(q, changed);
}
