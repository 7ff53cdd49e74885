/* Reading stored messages for jobs, on threads. One read at a time of a job: `reading` says that
 * the thread has it, and until it is back nothing here may be freed (job.c waits). */
#include "proc/queue/carry/load.h"

#include <errno.h>
#include <stdlib.h>

/* A chunk is an extent of the spool, so that reading it is one read without a copy. */
enum { HEADER_MAX = 64 * 1024, CHUNK_MAX = 256 * 1024 };

/* Reads exactly `size` bytes at `offset`. On a thread. */
static int read_all(struct job_load *l, uint64_t offset, char *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t r = spool_reader_read(l->reader, offset + done, to + done, size - done);
        if (r <= 0)
            return r < 0 ? (int)r : -EBADMSG;
        done += (size_t)r;
    }
    return 0;
}

/* A body that ends early is -EBADMSG: its length was sealed with it. */
static int read_chunk(struct job_load *l)
{
    uint64_t left = l->stored->body_bytes - l->body_at;

    l->chunk_at = 0;
    l->chunk_size = left < CHUNK_MAX ? (size_t)left : CHUNK_MAX;
    return read_all(l, l->stored->header_bytes + l->body_at, l->chunk, l->chunk_size);
}

/* On a thread. HEADER_MAX: our own fields, of which smtpd writes one; more is damage. */
static int load(struct job_load *l)
{
    int r = spool_reader_load(l->reader, &l->stored);

    if (r < 0)
        return r;
    if (l->stored->header_bytes > HEADER_MAX)
        return -EBADMSG;
    l->header = malloc((size_t)l->stored->header_bytes + 1);
    uint64_t body = l->stored->body_bytes;
    l->chunk = spool_memory(body < CHUNK_MAX ? (size_t)body + 1 : CHUNK_MAX);
    if (!l->header || !l->chunk)
        return -ENOMEM;
    r = read_all(l, 0, l->header, (size_t)l->stored->header_bytes);
    return r < 0 ? r : read_chunk(l);
}

static void run_load(struct io_job *io)
{
    struct job_load *l = CONTAINER_OF(io, struct job_load, io);
    l->error = load(l);
}

static void run_read(struct io_job *io)
{
    struct job_load *l = CONTAINER_OF(io, struct job_load, io);
    l->error = read_chunk(l);
}

static void on_read(struct io_job *io)
{
    struct job_load *l = CONTAINER_OF(io, struct job_load, io);

    l->reading = false;
    l->done(l);
}

static void submit(struct job_load *l, struct queue *q, void (*run)(struct io_job *),
                   void (*done)(struct job_load *load))
{
    l->io.run = run;
    l->io.done = on_read;
    l->done = done;
    l->reading = true;
    io_pool_submit(q->work_pool, &l->io);
}

int job_load(struct job_load *l, struct queue *q, struct spool_message *message,
             void (*done)(struct job_load *load))
{
    int r = spool_reader_open(q->spool, message, &l->reader);

    if (r == 0)
        submit(l, q, run_load, done);
    return r;
}

void job_load_chunk(struct job_load *l, struct queue *q, void (*done)(struct job_load *load))
{
    submit(l, q, run_read, done);
}

/* Closing the reader is also what sets a damaged message aside (spool.h). */
void job_unload(struct job_load *l, struct queue *q)
{
    if (l->reader)
        spool_reader_close(q->spool, l->reader);
    free(l->header);
    free(l->chunk);
    l->reader = NULL;
    l->stored = NULL;
    l->header = l->chunk = NULL;
}
