/*
 * What the audit found and can't be mended is ticked off: an event for each finding, with the uid
 * that the kernel named, and an answer when all are on disk. What of it counts the audit decides,
 * by what the book has; of a recipient that is said to be lost the queue knows better, though, and
 * books nothing when it has him.
 */
#include "proc/queue/control/client.h"

#include "base/clock.h"
#include "proc/queue/core/event.h"
#include <errno.h>
#include <stdlib.h>

struct acknowledgement {
    struct control_client *client; /* NULL: gone */
    uint64_t token;
    uint32_t pending; /* events on their way to the disk */
    uint32_t taken, left_alone;
    bool appended; /* all that there was room for */
    int error;     /* the first */
};

static void answer(struct control_client *client, uint64_t token,
                   const struct ipc_acknowledge_done *done)
{
    struct ipc_message m = {.type = IPC_ACKNOWLEDGE_DONE, .acknowledge_done = *done};
    ipc_reply(client->channel, token, &m);
}

static void end_if_done(struct acknowledgement *a)
{
    struct control_client *client = a->client;
    struct ipc_acknowledge_done done = {a->error, a->taken, a->left_alone};

    if (!a->appended || a->pending)
        return;
    if (client) {
        client->acknowledgement = NULL;
        answer(client, a->token, &done);
    }
    free(a);
}

static void on_sealed(void *arg, int error)
{
    struct acknowledgement *a = arg;

    a->pending--;
    if (error && (!a->error || a->error == -EAGAIN))
        a->error = error;
    end_if_done(a);
}

/* ---- one of them ---- */

static bool has(const struct queue *q, const struct ipc_acknowledge_row *row)
{
    struct spool_message *m = spool_find(q->spool, &row->message);
    return m && (row->index == UINT32_MAX || spool_find_recipient(m, row->index));
}

/* A moment of its own for each, by which a book that follows the log a second time tells two of one
 * entry apart. */
static int book(struct acknowledgement *a, const struct ipc_acknowledge_row *row,
                struct span reason, int64_t time_us)
{
    struct event event = {.kind = row->lost ? EVENT_LOST : EVENT_ACKNOWLEDGED,
                          .time_us = time_us,
                          .count = 1,
                          .reference = row->token,
                          .message = row->message,
                          .recipient_index = row->index,
                          .actor_uid = a->client->uid,
                          .reply = reason};

    if (row->lost && (id_is_zero(&row->message) || row->index == UINT32_MAX))
        return -EINVAL;
    if (row->lost && has(a->client->queue, row)) {
        a->left_alone++;
        return 0;
    }
    int r = event_book(a->client->queue, &event, on_sealed, a);
    a->pending += r == 0;
    return r;
}

/* ---- in and out ---- */

/* No answer before the last is appended, although the spool may say at once that it takes none. */
static void book_all(struct acknowledgement *a, const struct ipc_acknowledge *wanted)
{
    int64_t now_us = clock_wall_us();
    int r = 0;

    for (size_t i = 0; r == 0 && i < wanted->row_count; i++) {
        r = book(a, &wanted->rows[i], wanted->reason, now_us + (int64_t)i);
        a->taken += r == 0;
    }
    if (r < 0 && !a->error)
        a->error = r;
    a->appended = true;
    end_if_done(a);
}

void acknowledge_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    const struct ipc_acknowledge *wanted = &arrival->message->acknowledge;
    struct ipc_acknowledge_done refused = {.error = -EBUSY};
    struct acknowledgement *a = NULL;

    if (!client->acknowledgement) {
        refused.error = wanted->reason.size ? -ENOMEM : -EINVAL;
        a = wanted->reason.size ? calloc(1, sizeof(*a)) : NULL;
    }
    if (!a) {
        answer(client, arrival->token, &refused);
        return;
    }
    *a = (struct acknowledgement){.client = client, .token = arrival->token};
    client->acknowledgement = a;
    book_all(a, wanted);
}

void acknowledge_drop(struct control_client *client)
{
    if (client->acknowledgement)
        client->acknowledgement->client = NULL;
    client->acknowledgement = NULL;
}
