/* A stored message as it is read for a job, on threads: first all but the body's end, then the rest
 * chunk by chunk. */
#pragma once

#include "proc/queue/core/queue.h"

struct job_load {
    struct spool_reader *reader;
    const struct spool_stored *stored; /* NULL: not read */
    struct io_job io;
    void (*done)(struct job_load *load);
    bool reading;                /* `io` is on a thread */
    int error;                   /* of the last read */
    char *header;                /* header_bytes */
    char *chunk;                 /* of the body, read at once */
    size_t chunk_size, chunk_at; /* bytes of it; how many of them went */
    uint64_t body_at;            /* how much of the body went */
};

/* Reads envelope, header and the first chunk; then calls `done`, which finds load->error. 0 or
 * -errno. */
int job_load(struct job_load *load, struct queue *q, struct spool_message *message,
             void (*done)(struct job_load *load));
/* Reads the next chunk of the body, likewise. */
void job_load_chunk(struct job_load *load, struct queue *q, void (*done)(struct job_load *load));
/* What was read is of no more use. Nothing is on a thread. */
void job_unload(struct job_load *load, struct queue *q);
