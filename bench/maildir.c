/*
 * How many messages a second Maildirs take: threads × messages a batch, all into one mailbox.
 *
 *   bench_maildir FOLDER [MESSAGES [BYTES]]
 *
 * Each row delivers into a fresh mailbox below FOLDER and removes nothing: ext4 avoids inodes that
 * were deleted in the last minutes and looks at each of them, so a run behind a removal measures
 * that.
 */
#include "proc/mailbox/maildir.h"
#include "base/clock.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { THREADS_MAX = 16, BATCH_MAX = 64 };

static struct run {
    struct maildir maildir;
    struct mailbox_root root;
    char box[64];
    unsigned batch;
    atomic_int left;
    char *bytes;
    size_t size;
} run;

static void begin(struct maildir_delivery *d)
{
    struct iovec part = {run.bytes, run.size};
    *d = (struct maildir_delivery){.fd = -1};
    maildir_begin(&run.maildir, d, &run.root, run.box, run.size);
    maildir_write(&run.maildir, d, &part, 1, 0);
}

static void *deliver(void *arg)
{
    static _Thread_local struct maildir_delivery deliveries[BATCH_MAX];
    struct maildir_delivery *list[BATCH_MAX];

    while (atomic_fetch_sub(&run.left, (int)run.batch) > 0) {
        for (unsigned i = 0; i < run.batch; i++)
            begin(list[i] = &deliveries[i]);
        maildir_commit(&run.maildir, list, run.batch);
        for (unsigned i = 0; i < run.batch; i++)
            if (list[i]->outcome.result != IPC_OUTCOME_DELIVERED) {
                fprintf(stderr, "%s\n", list[i]->outcome.text);
                exit(1);
            }
    }
    return NULL;
}

static double cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void measure(unsigned threads, unsigned batch, int messages)
{
    pthread_t ids[THREADS_MAX];
    double cpu = cpu_ms();
    int64_t start = clock_wall_us();

    snprintf(run.box, sizeof(run.box), "bench-%lld", (long long)start);
    run.batch = batch;
    atomic_store(&run.left, messages);
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, deliver, NULL);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double seconds = (double)(clock_wall_us() - start) / 1e6;
    printf("%7u %6u %10.0f %12.3f\n", threads, batch, messages / seconds,
           (cpu_ms() - cpu) / messages);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const unsigned thread_counts[] = {1, 2, 4, 8, 16}, batches[] = {1, 8, 32, 64};
    int messages = argc > 2 ? atoi(argv[2]) : 2048;

    if (argc < 2)
        return 2;
    run.size = argc > 3 ? (size_t)atoi(argv[3]) : 10240;
    run.bytes = malloc(run.size + 1);
    memset(run.bytes, 'x', run.size);
    run.root = (struct mailbox_root){open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC), argv[1]};
    maildir_init(&run.maildir, SPAN("bench"), 0, 8);
    printf("%7s %6s %10s %12s\n", "threads", "batch", "messages/s", "CPU ms each");
    for (size_t t = 0; t < ARRAY_SIZE(thread_counts); t++)
        for (size_t b = 0; b < ARRAY_SIZE(batches); b++)
            measure(thread_counts[t], batches[b], messages);
    maildir_done(&run.maildir);
    free(run.bytes);
    return 0;
}
