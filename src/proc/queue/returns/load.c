/* Reading envelope and header, or all of a message, for a report: on a thread. */
#include "proc/queue/returns/undelivered.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = REPORT_WHOLE_MAX + REPORT_HEADER_MAX /* ours in front, then the original's */ };

/* The header block ends at the first empty line. */
static size_t header_size(const char *text, size_t size)
{
    const char *end = memmem(text, size, "\r\n\r\n", 4);
    return end ? (size_t)(end - text) + 2 : size;
}

/* RFC 3461 4.3: only a failed message is brought back whole, and only as far as it is small. */
static bool is_wanted_whole(const struct undelivered *u)
{
    const struct envelope *e = &u->stored->envelope;

    return u->kind == REPORT_FAILED && e->returned == ENVELOPE_RETURN_FULL &&
           e->body != ENVELOPE_BODY_BINARYMIME && u->stored->body_bytes <= REPORT_WHOLE_MAX;
}

/* Header and body are one stream in the spool: our own fields (Received and so on) come first and
 * are cut off, since the sender is to get back what he sent. */
static int read_message(struct undelivered *u)
{
    ssize_t n;
    size_t size = 0;
    int r = spool_reader_load(u->reader, &u->stored);

    if (r < 0)
        return r;
    while (size < READ_BYTES &&
           (n = spool_reader_read(u->reader, size, u->header + size, READ_BYTES - size)) != 0) {
        if (n < 0)
            return (int)n;
        size += (size_t)n;
    }
    size_t own = u->stored->header_bytes < size ? (size_t)u->stored->header_bytes : size;
    memmove(u->header, u->header + own, size - own);
    u->whole = is_wanted_whole(u) && size - own == u->stored->body_bytes;
    u->header_bytes = u->whole ? size - own : header_size(u->header, size - own);
    return 0;
}

static void run_load(struct io_job *io)
{
    struct undelivered *u = CONTAINER_OF(io, struct undelivered, io);
    u->error = read_message(u);
}

static void loaded(struct io_job *io)
{
    struct undelivered *u = CONTAINER_OF(io, struct undelivered, io);
    u->loaded(u);
}

/* A receipt comes with a reader that was opened while its message was still there. */
int undelivered_load(struct undelivered *u, void (*done)(struct undelivered *u))
{
    struct queue *q = u->queue;
    struct spool_message *message = spool_find(q->spool, &u->id);

    u->header = malloc(READ_BYTES);
    if (!u->header || (!u->reader && !message))
        return -ENOMEM;
    int r = u->reader ? 0 : spool_reader_open(q->spool, message, &u->reader);
    if (r < 0)
        return r;
    u->loaded = done;
    u->io = (struct io_job){.run = run_load, .done = loaded};
    undelivered_set_state(u, UNDELIVERED_LOADING);
    io_pool_submit(q->work_pool, &u->io);
    return 0;
}
