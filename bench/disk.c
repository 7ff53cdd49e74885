/*
 * bench_disk FOLDER MEGABYTES: what the disk gives to one who writes so much in pieces of 1 MiB and
 * calls fdatasync() after each and after each 8, as a spool does: to new blocks, to allocated ones
 * and to ones that were written before; through the page cache, with the write-out begun after each
 * piece, and past it.
 */
#include "base/clock.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, ALIGN = 4096 };

enum blocks { NEW, ALLOCATED, WRITTEN, BLOCKS };
enum way { CACHED, EARLY, DIRECT, WAYS };

static const char *const blocks_names[] = {"new", "allocated", "written before"};
static const char *const way_names[] = {"page cache", "write-out begun early", "O_DIRECT"};

static void must(int is_good, const char *what)
{
    if (!is_good) {
        perror(what);
        exit(1);
    }
}

static void write_all(int fd, const char *piece, long megabytes, enum way way, long sync_every)
{
    for (long i = 0; i < megabytes; i++) {
        off_t at = (off_t)i * PIECE;
        must(pwrite(fd, piece, PIECE, at) == PIECE, "write");
        if (way == EARLY)
            must(sync_file_range(fd, at, PIECE, SYNC_FILE_RANGE_WRITE) == 0, "sync_file_range");
        if ((i + 1) % sync_every == 0 || i + 1 == megabytes)
            must(fdatasync(fd) == 0, "fdatasync");
    }
}

static int prepared(const char *path, const char *piece, long megabytes, enum blocks blocks)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    must(fd >= 0, path);
    if (blocks == ALLOCATED)
        must(fallocate(fd, 0, 0, (off_t)megabytes * PIECE) == 0, "fallocate");
    if (blocks == WRITTEN)
        write_all(fd, piece, megabytes, CACHED, megabytes);
    must(fsync(fd) == 0, "fsync");
    return fd;
}

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(const char *path, const char *piece, long megabytes, enum blocks blocks,
                    enum way way, long sync_every)
{
    int fd = prepared(path, piece, megabytes, blocks);

    if (way == DIRECT)
        must(fcntl(fd, F_SETFL, O_DIRECT) == 0, "O_DIRECT");
    double bytes = (double)megabytes * PIECE, cpu = cpu_us();
    int64_t started_us = clock_wall_us();
    write_all(fd, piece, megabytes, way, sync_every);
    double us = (double)(clock_wall_us() - started_us);
    printf("%-14s  %-21s  sync after %ld MiB: %5.0f MB/s, %4.0f us of CPU a MB\n",
           blocks_names[blocks], way_names[way], sync_every, bytes / us,
           (cpu_us() - cpu) / bytes * 1e6);
    fflush(stdout);
    close(fd);
    must(unlink(path) == 0, path);
}

int main(int argc, char **argv)
{
    static const long syncs[] = {1, 8};
    long megabytes = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    char *piece = aligned_alloc(ALIGN, PIECE), path[4096];

    if (megabytes <= 0 || !piece) {
        fprintf(stderr, "usage: bench_disk FOLDER MEGABYTES\n");
        return 2;
    }
    memset(piece, 'x', PIECE);
    snprintf(path, sizeof(path), "%s/bench-disk-%d", argv[1], (int)getpid());
    for (enum blocks blocks = 0; blocks < BLOCKS; blocks++)
        for (size_t i = 0; i < sizeof(syncs) / sizeof(syncs[0]); i++)
            for (enum way way = 0; way < WAYS; way++)
                measure(path, piece, megabytes, blocks, way, syncs[i]);
    free(piece);
    return 0;
}
