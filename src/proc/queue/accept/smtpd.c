/*
 * The first file that sees bytes of an smtpd. What it may send is the table of handlers and nothing
 * else: the channel of one that says more is closed, for an smtpd of ours never would (ipc/).
 */
#include "proc/queue/accept/smtpd.h"

#include "base/clock.h"
#include "proc/queue/accept/intake.h"
#include "proc/queue/accept/pressure.h"
#include "proc/queue/accept/refusals.h"
#include "proc/queue/accept/upload.h"
#include <errno.h>
#include <stdlib.h>

static void on_commit(void *owner, const struct ipc_arrival *arrival)
{
    intake_commit(owner, arrival);
}

static void on_upload_chunk(void *owner, const struct ipc_arrival *arrival)
{
    upload_chunk(owner, arrival);
}

static void on_upload_abort(void *owner, const struct ipc_arrival *arrival)
{
    upload_abort(owner, arrival);
}

static void on_smtpd_event(void *owner, const struct ipc_arrival *arrival)
{
    events_take(owner, arrival);
}

/* Commits and uploads first: they have a pointer to the channel, for their answers and credit. */
static void drop_peer(struct queue_peer *peer)
{
    intake_drop_peer(peer);
    list_remove(&peer->link);
    ipc_channel_free(peer->channel);
    free(peer);
}

static void on_smtpd_lost(void *owner, struct ipc_channel *channel, int error)
{
    drop_peer(owner);
}

static const struct ipc_handler smtpd_handlers[] = {
    {IPC_COMMIT, on_commit},
    {IPC_UPLOAD_CHUNK, on_upload_chunk},
    {IPC_UPLOAD_ABORT, on_upload_abort},
    {IPC_EVENT, on_smtpd_event},
};
static const struct ipc_role smtpd_role = {"smtpd", smtpd_handlers, ARRAY_SIZE(smtpd_handlers),
                                           on_smtpd_lost, false};

/* A new channel for the same slot: the old process is dead or about to be, though we may not have
 * read its end of file yet. */
static void drop_old_smtpd(struct queue *q, unsigned index)
{
    LIST_EACH(&q->peers, link)
    {
        struct queue_peer *peer = CONTAINER_OF(link, struct queue_peer, link);
        if (peer->index == index) {
            ipc_channel_read_out(peer->channel); /* refusals that it told at its end */
            drop_peer(peer);
        }
    }
}

/* They stay: who follows an smtpd must not use its ids again either. NULL: no memory. */
static struct queue_origin *find_origin(struct queue *q, uint16_t number)
{
    uint64_t seed = 0;

    LIST_EACH(&q->origins, link)
    {
        struct queue_origin *origin = CONTAINER_OF(link, struct queue_origin, link);
        if (origin->ids.origin == number)
            return origin;
    }
    struct queue_origin *origin = calloc(1, sizeof(*origin));
    if (!origin || queue_random(&q->random, &seed, sizeof(seed)) < 0) {
        free(origin);
        return NULL;
    }
    /* A clock that went back since the start would make what comes now too old. */
    int64_t now_ms = clock_wall_us() / 1000;
    id_watch_init(&origin->ids, number, now_ms < q->started_ms ? now_ms : q->started_ms, seed);
    list_append(&q->origins, &origin->link);
    return origin;
}

int smtpd_join(struct queue *q, unsigned index, uint16_t number, int fd)
{
    struct queue_origin *origin = find_origin(q, number);
    struct queue_peer *peer = origin ? calloc(1, sizeof(*peer)) : NULL;

    if (!peer)
        return -ENOMEM;
    *peer = (struct queue_peer){.queue = q, .index = index, .origin = origin};
    list_init(&peer->uploads);
    list_init(&peer->commits);
    int r = ipc_channel_new(q->loop, fd, &smtpd_role, peer, &peer->channel);
    if (r < 0) {
        free(peer);
        return r;
    }
    drop_old_smtpd(q, index);
    id_watch_begin(&origin->ids, clock_wall_us() / 1000);
    list_append(&q->peers, &peer->link);
    pressure_tell(q, peer);
    return 0;
}

void smtpd_drop_all(struct queue *q)
{
    while (!list_is_empty(&q->peers))
        drop_peer(CONTAINER_OF(q->peers.next, struct queue_peer, link));
    for (struct list *link; (link = list_take_first(&q->origins));) {
        struct queue_origin *origin = CONTAINER_OF(link, struct queue_origin, link);
        id_watch_done(&origin->ids);
        free(origin);
    }
}
