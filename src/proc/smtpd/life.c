/*
 * What all sessions share: peers, time, the tick, and the shutdown, which lets those who are
 * sending a message finish for a while and says 421 to the others (RFC 5321 section 3.8).
 */
#include "proc/smtpd/life.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

/* The supervisor kills after ten seconds. PART_MS: a client that reads at all has read its 421. */
enum { TICK_MS = 1000, PART_MS = 500, SHUTDOWN_MS = 7000 };

/* Sessions of the old generation keep it until they end; its sockets are closed now. */
void smtpd_use_coming(struct smtpd *smtpd)
{
    struct smtpd_generation *old = smtpd->in_force;

    smtpd->in_force = smtpd->coming;
    smtpd->coming = NULL;
    if (old)
        smtpd_generation_close(old);
    smtpd_generation_unref(old);
    smtpd_listeners_update(smtpd);
}

/* ---- peers ---- */

static void on_pressure(void *owner, const struct ipc_arrival *arrival)
{
    struct smtpd *smtpd = owner;
    const struct ipc_pressure *p = &arrival->message->pressure;

    smtpd->pressure = p->defer;
    snprintf(smtpd->pressure_text, sizeof(smtpd->pressure_text), SPAN_FMT, SPAN_ARG(p->text));
}

/* Sessions stay: what was asked of the process that is gone is answered with DEFER (ask.c), and the
 * next one may be there before the client asks again. */
static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct smtpd *smtpd = owner;

    if (channel == smtpd->directory) {
        smtpd->directory = NULL;
        smtpd_outbox_connect(&smtpd->to_directory, NULL);
    } else if (channel == smtpd->queue) {
        smtpd->queue = NULL;
        smtpd_outbox_connect(&smtpd->to_queue, NULL);
    }
    ipc_channel_free(channel);
    smtpd_listeners_update(smtpd);
}

static const struct ipc_role directory_role = {.peer_name = "directory", .lost = on_lost};

static const struct ipc_handler queue_handlers[] = {{IPC_PRESSURE, on_pressure}};
static const struct ipc_role queue_role = {
    .peer_name = "queue",
    .handlers = queue_handlers,
    .handler_count = ARRAY_SIZE(queue_handlers),
    .lost = on_lost,
};

static int connect_peer(struct smtpd *smtpd, const struct ipc_role *role, int fd,
                        struct ipc_channel **channel, struct smtpd_outbox *outbox)
{
    struct ipc_channel *old = *channel;
    int r = ipc_channel_new(smtpd->process.loop, fd, role, smtpd, channel);

    if (r < 0) {
        close(fd);
        return r;
    }
    smtpd_outbox_connect(outbox, *channel);
    ipc_channel_read_out(old); /* sealed mail needs its 250, or its client sends it again */
    ipc_channel_free(old);
    return 0;
}

int smtpd_connect(struct smtpd *smtpd, enum ipc_peer kind, int fd)
{
    int r = -EINVAL;

    /* Counted first: who waited for the old channel goes on at once. */
    if (kind == IPC_PEER_DIRECTORY) {
        smtpd->directory_epoch++;
        r = connect_peer(smtpd, &directory_role, fd, &smtpd->directory, &smtpd->to_directory);
    } else if (kind == IPC_PEER_QUEUE) {
        smtpd->pressure = false;
        smtpd->pressure_text[0] = '\0';
        smtpd->queue_epoch++;
        r = connect_peer(smtpd, &queue_role, fd, &smtpd->queue, &smtpd->to_queue);
    } else {
        close(fd);
    }
    smtpd_listeners_update(smtpd);
    return r;
}

/* ---- the process ---- */

/* Without credit it fails, and refusals.c counts it into an aggregate: events never queue up here.
 */
static int send_event(void *context, const struct event *event)
{
    struct smtpd *smtpd = context;
    struct buffer wire = BUFFER_INIT;
    int r = smtpd->queue ? codec_encode(&event_codec, event, &wire) : -EPIPE;

    if (r == 0) {
        struct ipc_message m = {.type = IPC_EVENT, .event.event = buffer_span(&wire)};
        r = ipc_notify(smtpd->queue, &m);
    }
    buffer_done(&wire);
    return r;
}

/* Who was told that we end has had the time to read it; who is sending a message has a while. */
static void end_sessions(struct smtpd *smtpd, int64_t ending_for_ms)
{
    if (ending_for_ms > SHUTDOWN_MS)
        smtpd_sessions_shutdown(smtpd, true);
    else if (ending_for_ms > PART_MS)
        smtpd_sessions_part(smtpd);
}

static void on_tick(void *arg)
{
    struct smtpd *smtpd = arg;

    smtpd_update_time(smtpd);
    if (smtpd->leaving_ms) {
        smtpd_leave(smtpd);
        return;
    }
    smtpd_sessions_expire(smtpd);
    smtpd_refusals_flush(&smtpd->refusals, smtpd->time.monotonic_ms, false);
    if (smtpd->accept_paused) {
        smtpd->accept_paused = false;
        smtpd_listeners_update(smtpd);
    }
    if (smtpd->ending_ms)
        end_sessions(smtpd, smtpd->time.monotonic_ms - smtpd->ending_ms);
    if (!smtpd->leaving_ms)
        io_timer_set(smtpd->tick, TICK_MS);
}

int smtpd_init(struct smtpd *smtpd)
{
    struct io_loop *loop = smtpd->process.loop;
    struct {
        uint64_t table;
        uint32_t ids;
    } seed = {0};

    list_init(&smtpd->sessions);
    smtpd->sessions_changed = smtpd_listeners_update;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return -EIO;
    smtpd_update_time(smtpd);
    id_maker_init(&smtpd->ids, smtpd->process.origin, seed.ids);
    int r = smtp_server_prepare();
    if (r == 0)
        r = smtpd_refusals_init(&smtpd->refusals, seed.table, send_event, smtpd);
    if (r == 0)
        r = io_timer_new(loop, on_tick, smtpd, &smtpd->tick);
    return r < 0 ? r : io_timer_set(smtpd->tick, TICK_MS);
}

/* The sockets go at once, not with the last session: the next server's supervisor, after one that
 * was killed, has to bind their addresses. */
void smtpd_end(struct smtpd *smtpd)
{
    smtpd->process.ending = true;
    smtpd_update_time(smtpd);
    smtpd->ending_ms = smtpd->time.monotonic_ms;
    if (smtpd->in_force)
        smtpd_generation_close(smtpd->in_force);
    if (smtpd->coming)
        smtpd_generation_close(smtpd->coming);
    smtpd_refusals_flush(&smtpd->refusals, smtpd->time.monotonic_ms, true);
    smtpd_sessions_shutdown(smtpd, false);
    if (smtpd->session_count == 0)
        smtpd_leave(smtpd);
}
