/*
 * Bodies over 64 KiB: chunks go to the spool's bulk as they come, each answered (and its credit
 * given back) when the spool can have more; the message's seal waits for the disk. What the spool
 * has no room for waits here; the credit that its smtpd doesn't get back bounds that.
 */
#include "proc/queue/accept/upload.h"

#include "proc/queue/accept/pressure.h"
#include <errno.h>
#include <stdlib.h>

struct upload {
    struct list link;
    struct queue_peer *peer;
    uint64_t number;
    struct spool_upload *spooled;
    struct list waiting; /* struct chunk: not yet given to the spool, in order */
    struct list given;   /* struct chunk: on their way to the disk */
    int error;           /* sticky: answered to every chunk, and no commit succeeds */
};

struct chunk {
    struct list link;
    struct upload *upload; /* NULL: gone, only the spool still knows the chunk */
    uint64_t token;
    size_t held_bytes;
    struct span bytes; /* of the arrival, or the copy */
    char *copy;        /* while it waits */
};

/* The latest used moves to the front: chunks of one come in runs. */
static struct upload *find(struct queue_peer *peer, uint64_t number)
{
    LIST_EACH(&peer->uploads, link)
    {
        struct upload *u = CONTAINER_OF(link, struct upload, link);
        if (u->number == number) {
            list_remove(&u->link);
            list_prepend(&peer->uploads, &u->link);
            return u;
        }
    }
    return NULL;
}

static void reply(struct ipc_channel *channel, uint64_t token, int error)
{
    struct ipc_message taken = {.type = IPC_UPLOAD_TAKEN, .upload_taken.error = error};
    ipc_reply(channel, token, &taken);
}

static void chunk_free(struct chunk *chunk)
{
    free(chunk->copy);
    free(chunk);
}

/* Its sender is told in short, and tries again: a person needs the cause. */
static void tell_trouble(struct queue *q, int error)
{
    /* "Too many users" are none, and no argument is a person's. */
    const char *text = error == -EUSERS   ? "an smtpd has too many at the same time"
                       : error == -EINVAL ? "an smtpd gave it no number"
                                          : strerror(-error);

    if (error != -EMSGSIZE && error != -ECANCELED &&
        log_is_due(&q->pressure->uploads, io_loop_now_ms(q->loop)))
        log_error("a large message can't be taken: %s", text);
}

static void fail(struct upload *u, int error)
{
    if (u->error)
        return;
    u->error = error;
    tell_trouble(u->peer->queue, error);
}

static void chunk_answer(struct chunk *chunk, int error)
{
    struct upload *u = chunk->upload;

    list_remove(&chunk->link);
    if (u) {
        if (error)
            fail(u, error);
        reply(u->peer->channel, chunk->token, error ? error : u->error);
        ipc_release(u->peer->channel, IPC_CLASS_BODY, chunk->held_bytes);
    }
    chunk_free(chunk);
}

static void on_written(void *arg, int error)
{
    chunk_answer(arg, error);
}

/* Gives waiting chunks to the spool as far as it takes them. Each may be answered (and freed)
 * before spool_upload_append() returns. So each is in `given` before the call, where upload_free()
 * finds it. */
static void give(struct upload *u)
{
    struct list *link;

    while ((link = list_take_first(&u->waiting))) {
        struct chunk *chunk = CONTAINER_OF(link, struct chunk, link);
        list_append(&u->given, link);
        int r =
            u->error ? u->error : spool_upload_append(u->spooled, chunk->bytes, on_written, chunk);
        if (r == -EAGAIN) {
            list_remove(link);
            list_prepend(&u->waiting, link);
            break;
        }
        if (r < 0)
            chunk_answer(chunk, r);
    }
    committer_kick(&u->peer->queue->committer);
}

/* The spool answers each given chunk with -ECANCELED, which nobody waits for any more. */
static void upload_free(struct upload *u)
{
    struct list *link;

    while ((link = list_take_first(&u->given)))
        CONTAINER_OF(link, struct chunk, link)->upload = NULL;
    while ((link = list_take_first(&u->waiting)))
        chunk_free(CONTAINER_OF(link, struct chunk, link));
    spool_upload_free(u->spooled);
    list_remove(&u->link);
    u->peer->upload_count--;
    free(u);
}

static int upload_new(struct queue_peer *peer, uint64_t number, struct upload **out)
{
    if (peer->upload_count >= PEER_UPLOADS_MAX)
        return -EUSERS; /* not -EMFILE, which the disk may answer */
    struct upload *u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    int r = spool_upload_new(peer->queue->spool, &u->spooled);
    if (r < 0) {
        free(u);
        return r;
    }
    u->peer = peer;
    u->number = number;
    list_init(&u->waiting);
    list_init(&u->given);
    list_prepend(&peer->uploads, &u->link);
    peer->upload_count++;
    *out = u;
    return 0;
}

/* The arrival's bytes end with it. */
static void keep(struct chunk *chunk)
{
    chunk->copy = malloc(chunk->bytes.size);
    if (!chunk->copy) {
        chunk_answer(chunk, -ENOMEM);
        return;
    }
    memcpy(chunk->copy, chunk->bytes.data, chunk->bytes.size);
    chunk->bytes.data = chunk->copy;
}

/* The first chunk makes the upload; the numbers are smtpd's own, and mean nothing to other peers.
 * What is over the size limit is remembered as the upload's error, so that the rest of it isn't
 * even given to the spool. */
void upload_chunk(struct queue_peer *peer, const struct ipc_arrival *arrival)
{
    const struct ipc_upload_chunk *m = &arrival->message->upload_chunk;
    const struct conf_queue *conf = peer->queue->conf;
    struct upload *u = find(peer, m->upload);
    int r = u ? 0 : m->upload == 0 ? -EINVAL : upload_new(peer, m->upload, &u);

    if (r < 0) {
        tell_trouble(peer->queue, r);
        reply(arrival->channel, arrival->token, r);
        return;
    }
    if (conf->message_size_max &&
        spool_upload_size(u->spooled) + m->bytes.size > conf->message_size_max)
        fail(u, -EMSGSIZE);
    struct chunk *chunk = malloc(sizeof(*chunk));
    if (!chunk) {
        fail(u, -ENOMEM);
        reply(arrival->channel, arrival->token, -ENOMEM);
        return;
    }
    *chunk = (struct chunk){
        .upload = u, .token = arrival->token, .held_bytes = ipc_hold(arrival), .bytes = m->bytes};
    list_append(&u->waiting, &chunk->link);
    give(u);
    /* The spool copies what it takes; what waits for it is in order, so this one is the last. */
    if (!list_is_empty(&u->waiting))
        keep(CONTAINER_OF(u->waiting.prev, struct chunk, link));
}

/* Answers the chunks that the spool has; what becomes of them is not this upload's any more. */
static void answer_given(struct upload *u, int error)
{
    struct list *link;

    while ((link = list_take_first(&u->given))) {
        struct chunk *chunk = CONTAINER_OF(link, struct chunk, link);
        reply(u->peer->channel, chunk->token, error);
        ipc_release(u->peer->channel, IPC_CLASS_BODY, chunk->held_bytes);
        chunk->upload = NULL;
    }
}

void upload_abort(struct queue_peer *peer, const struct ipc_arrival *arrival)
{
    struct upload *u = find(peer, arrival->message->upload_abort.upload);

    if (!u)
        return;
    while (!list_is_empty(&u->waiting))
        chunk_answer(CONTAINER_OF(u->waiting.next, struct chunk, link), -ECANCELED);
    answer_given(u, -ECANCELED);
    upload_free(u);
}

/* With chunks that wait the body isn't whole, whatever the commit says. */
struct spool_upload *upload_complete(struct queue_peer *peer, uint64_t number)
{
    struct upload *u = find(peer, number);

    if (!u || u->error || !list_is_empty(&u->waiting))
        return NULL;
    return u->spooled;
}

void upload_taken(struct queue_peer *peer, uint64_t number)
{
    struct upload *u = find(peer, number);

    if (!u)
        return;
    answer_given(u, 0); /* the message's own seal waits for their sync */
    u->spooled = NULL;
    upload_free(u);
}

void upload_resume(struct queue_peer *peer)
{
    LIST_EACH(&peer->uploads, link)
    {
        struct upload *u = CONTAINER_OF(link, struct upload, link);
        if (!list_is_empty(&u->waiting))
            give(u);
    }
}

void upload_drop_all(struct queue_peer *peer)
{
    while (!list_is_empty(&peer->uploads))
        upload_free(CONTAINER_OF(peer->uploads.next, struct upload, link));
}
