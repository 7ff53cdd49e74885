/*
 * The queue process: its part of the configuration, threads, sandbox, spool, then peers.
 */
#include "base/log.h"
#include "proc/common/process.h"
#include "proc/queue/control/control.h"
#include "proc/queue/life.h"
#include "proc/queue/returns/returns.h"
#include "proc/queue/sandbox.h"
#include "proc/queue/status.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct queue_process {
    struct process process;
    struct queue queue;
    int control_fd; /* came before the start; -1: none */
};

static struct queue_process *of(struct process *process)
{
    return CONTAINER_OF(process, struct queue_process, process);
}

/* The control socket, the only one that we listen on. At the start it comes before the spool is
 * open, and waits: who asks then would see an empty queue. */
static int listener(struct process *process, struct span name, struct span service, int fd)
{
    struct queue_process *p = of(process);

    if (process->started)
        return control_listen(&p->queue, fd);
    if (p->control_fd >= 0)
        close(p->control_fd);
    p->control_fd = fd;
    return 0;
}

static int open_spool_folder(struct span path)
{
    char text[CONF_PATH_MAX + 1];

    if (path.size > CONF_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(text, path.data, path.size);
    text[path.size] = '\0';
    int fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int start_threads(void *arg)
{
    return queue_start_threads(arg);
}

/* What needs the system is opened first (the spool's folder, random bytes); then come the walls,
 * with the threads between them, and only behind them are bytes of the disk and of other processes
 * read. */
static int start(struct process *process)
{
    struct queue_process *p = of(process);
    struct store *store;

    const struct conf_queue *conf = process->coming;
    int fd = open_spool_folder(conf->spool);
    if (fd < 0)
        return fd;
    int r = queue_start(&p->queue, process->loop, conf);
    if (r < 0)
        return r;
    p->queue.supervisor = process->supervisor;
    uint32_t start = 0; /* of the counter in ids of our own: not that of the last life */
    queue_random(&p->queue.random, &start, sizeof(start));
    id_maker_init(&p->queue.returns->ids, process->origin, start);
    queue_sandbox(process, fd, start_threads, &p->queue);
    r = store_file_new(fd, &store);
    if (r == 0)
        r = queue_open(&p->queue, store);
    if (r == 0 && p->control_fd >= 0)
        r = control_listen(&p->queue, p->control_fd);
    return r;
}

static int reload(struct process *process)
{
    return queue_reconfigure(&of(process)->queue, process->coming);
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    return queue_peer(&of(process)->queue, kind, index, process->peer_origin, fd);
}

static void on_closed(struct queue *q)
{
    struct queue_process *p = CONTAINER_OF(q, struct queue_process, queue);
    process_exit(&p->process, 0);
}

/* While its supervisor waits for it, administrators may still ask; the next server's supervisor has
 * to bind the address. */
static void shutdown_queue(struct process *process)
{
    if (process->is_orphan)
        control_stop_listening(of(process)->queue.control);
    queue_close(&of(process)->queue, on_closed);
}

static void status(struct process *process, struct buffer *json)
{
    queue_status(&of(process)->queue, json);
}

/* What a listing or checkpoint of a million messages took for a moment goes back to the system:
 * else the allocator, having seen it freed, would serve the next one from memory that it keeps. */
enum { LARGE_BYTES = 4 << 20 };

int main(void)
{
    static struct queue_process p = {.control_fd = -1};
    static const struct process_spec spec = {.name = "queue",
                                             .part = &conf_queue_codec,
                                             .listener = listener,
                                             .start = start,
                                             .reload = reload,
                                             .peer = peer,
                                             .shutdown = shutdown_queue,
                                             .status = status};

    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
    int code = process_main(&p.process, &spec);
    queue_done(&p.queue);
    return code;
}
