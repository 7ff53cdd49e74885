/*
 * What the senders of those who are held instead of returned were to be told: an administrator who
 * returns them after all tells it. In memory alone, and the oldest goes when there are too many:
 * then a sender reads only that an administrator sent his mail back.
 */
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/undelivered.h"

#include <stdlib.h>
#include <xxhash.h>

enum { KEPT_MAX = 4096 }; /* a megabyte or two; 20 when servers use very long words */

struct kept {
    struct list link;
    struct list bucket;
    struct id message;
    struct spool_status cause;
    char texts[];
};

static struct list *bucket_of(const struct queue *q, const struct id *message)
{
    struct returns *returns = q->returns;
    uint64_t hash = XXH3_64bits_withSeed(message->bytes, sizeof(message->bytes), returns->seed);

    return &returns->kept_buckets[hash % RETURNS_KEPT_BUCKETS];
}

static struct kept *find(const struct queue *q, const struct id *message, uint32_t recipient)
{
    LIST_EACH(bucket_of(q, message), link)
    {
        struct kept *k = CONTAINER_OF(link, struct kept, bucket);
        if (k->cause.recipient == recipient && id_equal(&k->message, message))
            return k;
    }
    return NULL;
}

static void forget(struct returns *returns, struct kept *k)
{
    list_remove(&k->link);
    list_remove(&k->bucket);
    returns->kept_count--;
    free(k);
}

static struct span put(char **at, struct span text)
{
    struct span copy = span_of(*at, text.size);

    if (text.size)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return copy;
}

static struct kept *kept_new(const struct id *message, const struct spool_status *cause)
{
    struct kept *k = malloc(sizeof(*k) + cause->status.size + cause->reply.size + cause->host.size +
                            cause->detail.size);
    char *at = k ? k->texts : NULL;

    if (!k)
        return NULL;
    *k = (struct kept){.message = *message, .cause = *cause};
    k->cause.status = put(&at, cause->status);
    k->cause.reply = put(&at, cause->reply);
    k->cause.host = put(&at, cause->host);
    k->cause.detail = put(&at, cause->detail);
    if (!cause->outcome) /* it is by now */
        k->cause.outcome = SPOOL_OUTCOME_DEFERRED;
    return k;
}

void kept_add(struct queue *q, const struct id *message, const struct spool_status *cause)
{
    struct returns *returns = q->returns;
    struct kept *k = kept_new(message, cause);

    kept_forget(q, message, cause->recipient);
    if (!k)
        return;
    list_append(&returns->kept, &k->link);
    list_append(bucket_of(q, message), &k->bucket);
    if (++returns->kept_count > KEPT_MAX)
        forget(returns, CONTAINER_OF(returns->kept.next, struct kept, link));
}

void kept_forget(struct queue *q, const struct id *message, uint32_t recipient)
{
    struct kept *k = find(q, message, recipient);

    if (k)
        forget(q->returns, k);
}

bool return_again(struct queue *q, struct spool_recipient *recipient)
{
    struct kept *k = find(q, &spool_recipient_message(recipient)->id, recipient->index);

    if (!k)
        return false;
    if (return_to_sender(q, recipient, &k->cause))
        forget(q->returns, k);
    return true;
}

void return_forget(struct queue *q, const struct spool_message *message)
{
    for (uint32_t i = 0; q->returns->kept_count && i < message->recipient_count; i++)
        kept_forget(q, &message->id, message->recipients[i].index);
}

void kept_init(struct returns *returns)
{
    list_init(&returns->kept);
    for (size_t i = 0; i < RETURNS_KEPT_BUCKETS; i++)
        list_init(&returns->kept_buckets[i]);
}

void kept_done(struct returns *returns)
{
    while (!list_is_empty(&returns->kept))
        forget(returns, CONTAINER_OF(returns->kept.next, struct kept, link));
}
