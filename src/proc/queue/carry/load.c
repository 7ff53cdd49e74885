/* Reading stored messages for jobs, on threads. */
#include "proc/queue/carry/job.h"

#include <errno.h>
#include <stdlib.h>

/* A chunk is an extent of the spool, so that reading it is one read without a copy. */
enum { HEADER_MAX = 64 * 1024, CHUNK_MAX = 256 * 1024 };

/* Reads exactly `size` bytes at `offset`. On a thread. */
static int read_all(struct job *job, uint64_t offset, char *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t r = spool_reader_read(job->reader, offset + done, to + done, size - done);
        if (r <= 0)
            return r < 0 ? (int)r : -EBADMSG;
        done += (size_t)r;
    }
    return 0;
}

static int read_chunk(struct job *job)
{
    uint64_t left = job->stored->body_bytes - job->body_at;

    job->chunk_at = 0;
    job->chunk_size = left < CHUNK_MAX ? (size_t)left : CHUNK_MAX;
    return read_all(job, job->stored->header_bytes + job->body_at, job->chunk, job->chunk_size);
}

static int load(struct job *job)
{
    int r = spool_reader_load(job->reader, &job->stored);

    if (r < 0)
        return r;
    if (job->stored->header_bytes > HEADER_MAX)
        return -EBADMSG;
    job->header = malloc(HEADER_MAX);
    uint64_t body = job->stored->body_bytes;
    job->chunk = spool_memory(body < CHUNK_MAX ? (size_t)body + 1 : CHUNK_MAX);
    if (!job->header || !job->chunk)
        return -ENOMEM;
    r = read_all(job, 0, job->header, (size_t)job->stored->header_bytes);
    return r < 0 ? r : read_chunk(job);
}

static void run_load(struct io_job *io)
{
    struct job *job = CONTAINER_OF(io, struct job, io);
    job->error = load(job);
}

static void run_read(struct io_job *io)
{
    struct job *job = CONTAINER_OF(io, struct job, io);
    job->error = read_chunk(job);
}

static void on_read(struct io_job *io)
{
    struct job *job = CONTAINER_OF(io, struct job, io);

    job->reading = false;
    job->read_done(job);
}

static void submit(struct job *job, void (*run)(struct io_job *), void (*done)(struct job *))
{
    job->io.run = run;
    job->io.done = on_read;
    job->read_done = done;
    job->reading = true;
    io_pool_submit(job->queue->work_pool, &job->io);
}

int job_load(struct job *job, void (*done)(struct job *job))
{
    int r = spool_reader_open(job->queue->spool, job->message, &job->reader);

    if (r == 0)
        submit(job, run_load, done);
    return r;
}

void job_read_chunk(struct job *job, void (*done)(struct job *job))
{
    submit(job, run_read, done);
}
