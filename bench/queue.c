/*
 * How many messages a second go through the queue, and what each costs it in CPU: a child process
 * plays smtpd and mailbox, so that what is measured here is the queue alone.
 *
 *   bench_queue FOLDER MESSAGES BODY_BYTES IN_FLIGHT [wait [DESTINATIONS]]
 *   bench_queue FOLDER serve SOCKET
 *
 * With `wait` everything is deferred, by the mailbox, or by smtp for so many destinations; then it
 * tells what that many waiting recipients take in memory and on disk, and how long a start with
 * them takes. With `serve` it serves what is in the folder on a control socket until it is killed,
 * for `postbuch queue` with a configuration that names it.
 * FOLDER is on the file system to measure and should be empty.
 */
#include "base/clock.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/carry/dispatch.h"
#include "proc/queue/control/control.h"
#include "stage.h"
#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY_MS = 14400000 }; /* so that they stay where they are for hours */

/* ---- the child ---- */

struct slot {
    struct ipc_call call;
    struct player *player;
};

struct player {
    struct io_loop *loop;
    struct stage_sender sender;
    struct ipc_channel *carriers[CARRIERS];
    long to_send, accepted, done, messages, started, in_flight, destinations;
    bool defers;
    struct span body;
    struct slot *slots;
};

/* At each destination in turn, or here. */
static struct span next_address(const struct player *p, char *to, size_t size)
{
    if (p->destinations == 0)
        return SPAN("bob@here.example");
    snprintf(to, size, "bob@d%ld.example", p->to_send % p->destinations);
    return span_from_cstr(to);
}

static void send_next(struct slot *slot)
{
    struct player *p = slot->player;
    char text[64];

    if (p->to_send == 0)
        return;
    p->to_send--;
    stage_send(&p->sender, &slot->call, SPAN("anna@far.example"),
               next_address(p, text, sizeof(text)), p->body);
}

static void on_committed(struct ipc_call *call, const struct ipc_message *reply)
{
    struct slot *slot = CONTAINER_OF(call, struct slot, call);

    assert(reply && reply->committed.result == IPC_COMMIT_ACCEPTED);
    slot->player->accepted++;
    send_next(slot);
}

static void on_job(void *owner, const struct ipc_arrival *arrival)
{
    struct player *p = owner;
    struct ipc_job_outcome outcome = {.outcome =
                                          p->defers ? IPC_OUTCOME_DEFERRED : IPC_OUTCOME_DELIVERED,
                                      .status = SPAN("2.0.0"),
                                      .text = SPAN("delivered into the mailbox"),
                                      .remote_id = SPAN("/var/mail/bob/new/123")};
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};

    ipc_reply(arrival->channel, arrival->token, &m);
    if (++p->done == p->messages)
        io_loop_stop(p->loop);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    exit(1);
}

static const struct ipc_handler handlers[] = {{IPC_JOB, on_job}};
static const struct ipc_role carrier_role = {"queue", handlers, 1, on_lost, false};

/* The queue is there: it takes no ids from before its start. */
static void on_pressure(void *owner, const struct ipc_arrival *arrival)
{
    struct player *p = owner;

    for (; p->started < p->in_flight; p->started++) {
        p->slots[p->started] = (struct slot){.call.fn = on_committed, .player = p};
        send_next(&p->slots[p->started]);
    }
}

static const struct ipc_handler smtpd_handlers[] = {{IPC_PRESSURE, on_pressure}};
static const struct ipc_role smtpd_role = {"queue", smtpd_handlers, 1, on_lost, false};

/* What the command line says. */
struct wish {
    const char *folder;
    long messages, in_flight, destinations;
    size_t body_bytes;
    bool waits;
};

static int play(int smtpd, const int *carriers, const struct wish *wish)
{
    struct player p = {.to_send = wish->messages,
                       .messages = wish->messages,
                       .defers = wish->waits,
                       .in_flight = wish->in_flight,
                       .destinations = wish->destinations};
    char *body = malloc(wish->body_bytes);

    memset(body, 'x', wish->body_bytes);
    p.body = span_of(body, wish->body_bytes);
    p.slots = calloc((size_t)wish->in_flight, sizeof(*p.slots));
    stage_sender_init(&p.sender);
    io_loop_new(&p.loop);
    ipc_channel_new(p.loop, smtpd, &smtpd_role, &p, &p.sender.smtpd);
    for (int i = 0; i < CARRIERS; i++)
        ipc_channel_new(p.loop, carriers[i], &carrier_role, &p, &p.carriers[i]);
    io_loop_run(p.loop);
    return 0;
}

/* ---- the queue ---- */

static struct queue queue;
static struct io_timer *watch;
static long wanted;

static void on_watch(void *arg)
{
    struct io_loop *loop = arg;

    if ((long)(queue.dispatch->delivered + queue.dispatch->deferred) == wanted &&
        queue.settling == 0)
        io_loop_stop(loop);
    else
        io_timer_set(watch, 5);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void report(int64_t wall_us)
{
    struct rusage use;
    struct spool_counts c;
    double n = (double)wanted;

    getrusage(RUSAGE_SELF, &use);
    spool_get_counts(queue.spool, &c);
    printf("%.0f messages/s, %.1f us user + %.1f us system of the queue's CPU a message, "
           "%" PRIu64 " groups (%.1f messages each), %" PRIu64 " from memory, %" PRIu64
           " from disk\n",
           n / ((double)wall_us / 1e6), seconds(use.ru_utime) / n * 1e6,
           seconds(use.ru_stime) / n * 1e6, c.groups, n / (double)c.groups, queue.parcels.hits,
           queue.parcels.misses);
}

static double megabytes_on_disk(const char *folder)
{
    char path[512];
    double blocks = 0;
    struct dirent *entry;
    struct stat st;
    DIR *dir = opendir(folder);

    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            blocks += (double)st.st_blocks;
    }
    if (dir)
        closedir(dir);
    return blocks * 512 / 1e6;
}

static void report_waiting(struct io_loop *loop, const struct wish *wish)
{
    struct mallinfo2 before, after;

    io_timer_free(watch);
    queue_done(&queue);
    printf("%.0f MB on disk\n", megabytes_on_disk(wish->folder));
    before = mallinfo2();
    int64_t begin = clock_wall_us();
    stage_open_queue(&queue, loop, wish->folder, RETRY_MS);
    int64_t took = clock_wall_us() - begin;
    after = mallinfo2();
    printf("start in %.2f s, %.0f bytes a waiting recipient\n", (double)took / 1e6,
           (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
               (double)wanted);
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
        exit(1);
    return fd;
}

static int serve(const char *folder, const char *path)
{
    struct io_loop *loop;

    io_loop_new(&loop);
    stage_open_queue(&queue, loop, folder, RETRY_MS);
    if (control_listen(&queue, listen_on(path)) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    return io_loop_run(loop);
}

static void run(int smtpd, const int *carriers, const struct wish *wish)
{
    struct io_loop *loop;

    io_loop_new(&loop);
    stage_open_queue(&queue, loop, wish->folder, RETRY_MS);
    stage_admit(&queue, smtpd);
    for (unsigned i = 0; i < CARRIERS; i++)
        dispatch_connect(&queue, i, carriers[i]);
    io_timer_new(loop, on_watch, loop, &watch);
    io_timer_set(watch, 5);
    int64_t begin = clock_wall_us();
    io_loop_run(loop);
    report(clock_wall_us() - begin);
    if (wish->waits)
        report_waiting(loop, wish);
}

static void make_pairs(int smtpd[static 2], int queue_ends[static CARRIERS],
                       int player_ends[static CARRIERS])
{
    int pair[2];

    stage_pair(smtpd);
    for (int i = 0; i < CARRIERS; i++) {
        stage_pair(pair);
        player_ends[i] = pair[0];
        queue_ends[i] = pair[1];
    }
}

int main(int argc, char **argv)
{
    int smtpd[2], queue_ends[CARRIERS], player_ends[CARRIERS];

    if (argc == 4)
        return serve(argv[1], argv[3]);
    if (argc < 5) {
        fprintf(stderr, "usage: bench_queue FOLDER MESSAGES BODY_BYTES IN_FLIGHT "
                        "[wait [DESTINATIONS]]\n");
        return 2;
    }
    const struct wish wish = {.folder = argv[1],
                              .messages = atol(argv[2]),
                              .body_bytes = (size_t)atol(argv[3]),
                              .in_flight = atol(argv[4]),
                              .waits = argc > 5,
                              .destinations = argc > 6 ? atol(argv[6]) : 0};
    wanted = wish.messages;
    make_pairs(smtpd, queue_ends, player_ends);
    if (fork() == 0) {
        close(smtpd[1]);
        for (int i = 0; i < CARRIERS; i++)
            close(queue_ends[i]);
        return play(smtpd[0], player_ends, &wish);
    }
    close(smtpd[0]);
    for (int i = 0; i < CARRIERS; i++)
        close(player_ends[i]);
    run(smtpd[1], queue_ends, &wish);
    return 0;
}
