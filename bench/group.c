#include "group.h"
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FILE_BYTES (INT64_C(256) << 20)

struct batch {
    char *bytes;
    size_t size, room;
    void **waiting;
    size_t count, waiting_room;
};

static struct {
    struct batch batches[2], *filling, *flying; /* flying: the thread has it */
    int file, event;
    off_t at;
    sem_t start;
} group;

static void *grow(void *memory, size_t *room, size_t needed, size_t item)
{
    if (needed <= *room)
        return memory;
    *room = needed * 2;
    memory = realloc(memory, *room * item);
    if (!memory)
        errx(1, "no memory");
    return memory;
}

static void write_all(const char *bytes, size_t size)
{
    while (size > 0) {
        size_t part =
            size < (size_t)(FILE_BYTES - group.at) ? size : (size_t)(FILE_BYTES - group.at);
        ssize_t n = pwrite(group.file, bytes, part, group.at);
        if (n <= 0)
            err(1, "write");
        bytes += n;
        size -= (size_t)n;
        group.at = (group.at + n) % FILE_BYTES;
    }
    if (fdatasync(group.file) < 0)
        err(1, "fdatasync");
}

static void *write_batches(void *arg)
{
    for (;;) {
        while (sem_wait(&group.start) < 0)
            ;
        write_all(group.flying->bytes, group.flying->size);
        if (eventfd_write(group.event, 1) < 0)
            err(1, "eventfd");
    }
    return NULL;
}

void group_open(const char *path)
{
    static char zeros[1 << 20];
    pthread_t thread;

    group.filling = &group.batches[0];
    group.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    group.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (group.file < 0 || group.event < 0)
        err(1, "%s", path);
    do
        write_all(zeros, sizeof(zeros));
    while (group.at > 0);
    if (sem_init(&group.start, 0, 0) < 0 || pthread_create(&thread, NULL, write_batches, NULL) != 0)
        errx(1, "no thread");
}

int group_fd(void)
{
    return group.event;
}

void group_add(const char *bytes, size_t size)
{
    struct batch *b = group.filling;

    b->bytes = grow(b->bytes, &b->room, b->size + size, 1);
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

void group_wait(void *who)
{
    struct batch *b = group.filling;

    b->waiting = grow(b->waiting, &b->waiting_room, b->count + 1, sizeof(*b->waiting));
    b->waiting[b->count++] = who;
}

void group_start(void)
{
    if (group.flying || group.filling->size == 0)
        return;
    group.flying = group.filling;
    group.filling = &group.batches[group.flying == &group.batches[0]];
    sem_post(&group.start);
}

void group_done(void (*tell)(void *who))
{
    struct batch *b = group.flying;
    eventfd_t count;

    if (eventfd_read(group.event, &count) < 0)
        return;
    for (size_t i = 0; i < b->count; i++)
        tell(b->waiting[i]);
    b->size = b->count = 0;
    group.flying = NULL;
}
