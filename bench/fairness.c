/*
 * Does a slow or dead destination, or a sender with very much mail, hold up others? The real queue
 * between a played smtpd and played smtp processes that answer by the destination's name:
 *
 *   live…   takes the message at once
 *   slow…   takes it after SLOW_MS
 *   dead…   nobody answers: trouble of the destination, told after DEAD_MS
 *   hole…   likewise, after HOLE_MS
 *
 *   bench_fairness FOLDER [PART [MESSAGES [WAITING]]]
 *
 * Parts, all of them unless one is named:
 *
 * rates: to a live destination, accepted and handed on, with an empty queue and with ten dead
 *    destinations for which WAITING messages (10,000) wait each: MESSAGES (20,000) a round, in
 * turns. first, senders, later, silent: HOLES destinations are due at once and nobody answers: at
 * their first attempt; likewise, each message by a sender of its own; at a later attempt; after
 * they had answered. How long does a message to who has just taken one wait, and one to a new
 *    destination?
 * bulk: one sender has 50,000 messages for a slow destination: how long does another sender's
 *    message wait, to elsewhere and to the same one?
 *
 * FOLDER is on the file system to measure and should be empty.
 */
#include "base/clock.h"
#include "stage.h"
#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    IN_FLIGHT = 200,
    DEAD = 10,
    BULK = 50000,
    SLOW_MS = 1000,
    DEAD_MS = 5000,
    HOLES = 20000,
    SILENT = 5000,
    SILENT_EACH = 3,
    HOLE_MS = 20000,
    SOON_MS = 2000,
    ROUNDS = 5,
    RETRY_MS = 300000,
};

/* ---- one queue and its players, on one loop ---- */

/* A job whose answer takes its time. */
struct pending {
    struct list link;
    struct ipc_channel *channel;
    uint64_t token;
    int64_t due_ms;
    bool is_dead;
};

enum fate { SLOW, DEAD_FATE, HOLE, FATES };

struct slot {
    struct ipc_call call;
    bool busy;
};

static struct {
    struct queue queue;
    struct stage_sender sender;
    struct io_loop *loop;
    struct ipc_channel *smtp[IPC_SMTP_PROCESSES];
    struct slot slots[IN_FLIGHT];
    struct list pending[FATES]; /* struct pending, the first due first */
    struct io_timer *timer;
    long accepted, live, attempts_at_dead, attempts_at_holes;
    enum { HOLES_HANG, HOLES_FAIL, HOLES_ANSWER } holes;
    char marked_sender[64]; /* whose job is waited for */
    int64_t marked_ms;
} world;

static void answer(struct ipc_channel *channel, uint64_t token, bool is_dead)
{
    struct ipc_job_outcome outcome = {
        .outcome = is_dead ? IPC_OUTCOME_DEFERRED : IPC_OUTCOME_DELIVERED,
        .scope = is_dead ? IPC_SCOPE_DESTINATION : IPC_SCOPE_RECIPIENT,
        .status = is_dead ? SPAN("4.4.1") : SPAN("2.0.0"),
        .text = is_dead ? SPAN("connection timed out") : SPAN("250 2.0.0 taken"),
        .host = SPAN("mx.example")};
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {&outcome, 1}};

    ipc_reply(channel, token, &m);
}

static void answer_due(struct list *list)
{
    while (!list_is_empty(list)) {
        struct pending *p = CONTAINER_OF(list->next, struct pending, link);
        if (p->due_ms > io_loop_now_ms(world.loop))
            return;
        list_remove(&p->link);
        answer(p->channel, p->token, p->is_dead);
        free(p);
    }
}

static void on_timer(void *arg)
{
    for (int i = 0; i < FATES; i++)
        answer_due(&world.pending[i]);
    io_timer_set(world.timer, 2);
}

static void answer_later(struct ipc_channel *channel, uint64_t token, enum fate fate)
{
    static const int after_ms[FATES] = {SLOW_MS, DEAD_MS, HOLE_MS};
    struct pending *p = malloc(sizeof(*p));

    assert(p);
    *p = (struct pending){.channel = channel,
                          .token = token,
                          .due_ms = io_loop_now_ms(world.loop) + after_ms[fate],
                          .is_dead = fate != SLOW};
    list_append(&world.pending[fate], &p->link);
}

static void on_job(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_job *job = &arrival->message->job;
    struct span name = span_from(job->next_hop, strlen("mx:"));
    bool is_dead = span_starts_nocase(name, SPAN("dead"));
    bool is_hole = span_starts_nocase(name, SPAN("hole"));

    if (!world.marked_ms && span_equal(job->sender, span_from_cstr(world.marked_sender)))
        world.marked_ms = clock_wall_us() / 1000;
    world.attempts_at_dead += is_dead;
    world.attempts_at_holes += is_hole;
    if (is_dead || (is_hole && world.holes == HOLES_HANG) ||
        span_starts_nocase(name, SPAN("slow"))) {
        answer_later(arrival->channel, arrival->token, is_hole ? HOLE : is_dead ? DEAD_FATE : SLOW);
        return;
    }
    world.live += !is_hole;
    answer(arrival->channel, arrival->token, is_hole && world.holes == HOLES_FAIL);
}

static void on_pressure(void *owner, const struct ipc_arrival *arrival)
{
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    exit(1);
}

static const struct ipc_handler smtp_handlers[] = {{IPC_JOB, on_job}};
static const struct ipc_role smtp_role = {"queue", smtp_handlers, 1, on_lost, false};
static const struct ipc_handler smtpd_handlers[] = {{IPC_PRESSURE, on_pressure}};
static const struct ipc_role smtpd_role = {"queue", smtpd_handlers, 1, on_lost, false};

static void on_committed(struct ipc_call *call, const struct ipc_message *reply)
{
    struct slot *slot = CONTAINER_OF(call, struct slot, call);

    assert(reply && reply->committed.result == IPC_COMMIT_ACCEPTED);
    slot->busy = false;
    world.accepted++;
}

static void send_by(struct slot *slot, const char *sender, const char *recipient)
{
    static char body[1024];

    memset(body, 'x', sizeof(body));
    *slot = (struct slot){.call.fn = on_committed, .busy = true};
    stage_send(&world.sender, &slot->call, span_from_cstr(sender), span_from_cstr(recipient),
               span_of(body, sizeof(body)));
}

/* Sends so many, as many at the same time as there are slots, until all are accepted. */
static void send_all(long count, const char *sender, const char *recipient)
{
    long end = world.accepted + count, sent = 0;

    while (world.accepted < end) {
        for (int i = 0; i < IN_FLIGHT && sent < count; i++)
            if (!world.slots[i].busy) {
                send_by(&world.slots[i], sender, recipient);
                sent++;
            }
        io_loop_turn(world.loop);
    }
}

static int join(const struct ipc_role *role, struct ipc_channel **out)
{
    int fds[2];

    stage_pair(fds);
    if (ipc_channel_new(world.loop, fds[0], role, NULL, out) < 0)
        exit(1);
    return fds[1];
}

static void begin(const char *folder, int64_t retry_ms)
{
    mkdir(folder, 0700);
    for (int i = 0; i < FATES; i++)
        list_init(&world.pending[i]);
    io_loop_new(&world.loop);
    stage_open_queue(&world.queue, world.loop, folder, retry_ms);
    stage_sender_init(&world.sender);
    stage_admit(&world.queue, join(&smtpd_role, &world.sender.smtpd));
    for (unsigned i = 0; i < IPC_SMTP_PROCESSES; i++)
        queue_peer(&world.queue, IPC_PEER_SMTP, i, 0, join(&smtp_role, &world.smtp[i]));
    io_timer_new(world.loop, on_timer, NULL, &world.timer);
    io_timer_set(world.timer, 2);
}

/* ---- 1: in turns ---- */

struct figures {
    double rate, cpu_us; /* messages a second; CPU of queue and players for each */
};

static double cpu_us(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static struct figures run_round(long messages)
{
    long end = world.live + messages;
    int64_t start_us = clock_wall_us();
    double cpu = cpu_us();

    send_all(messages, "anna@here.example", "bob@live.example");
    while (world.live < end)
        io_loop_turn(world.loop);
    return (struct figures){(double)messages * 1e6 / (double)(clock_wall_us() - start_us),
                            (cpu_us() - cpu) / (double)messages};
}

/* A process with a queue of its own; each byte on the pipe asks for a round. */
static int instance(const char *folder, long messages, long waiting)
{
    int fds[2];
    char byte = 0, recipient[64];
    struct figures figures;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        exit(1);
    if (fork()) {
        close(fds[1]);
        return fds[0];
    }
    close(fds[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    begin(folder, RETRY_MS);
    for (int i = 0; waiting && i < DEAD; i++) {
        snprintf(recipient, sizeof(recipient), "bob@dead%d.example", i);
        send_all(waiting, "anna@here.example", recipient);
    }
    while (write(fds[1], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1) {
        figures = run_round(messages);
        if (write(fds[1], &figures, sizeof(figures)) != sizeof(figures))
            break;
    }
    _exit(0);
}

static struct figures ask_round(int fd)
{
    struct figures figures = {0};
    char byte = 0;

    if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1 ||
        read(fd, &figures, sizeof(figures)) != sizeof(figures))
        exit(1);
    return figures;
}

static void compare(const char *folder, long messages, long waiting)
{
    char empty[512], full[512];
    double seconds[2] = {0}, cpu[2] = {0};

    snprintf(empty, sizeof(empty), "%s/empty", folder);
    snprintf(full, sizeof(full), "%s/full", folder);
    int fds[2] = {instance(empty, messages, 0), instance(full, messages, waiting)};
    for (int round = 0; round < ROUNDS; round++) {
        struct figures f[2];
        for (int i = 0; i < 2; i++) {
            f[i] = ask_round(fds[i]);
            seconds[i] += (double)messages / f[i].rate;
            cpu[i] += f[i].cpu_us / ROUNDS;
        }
        printf("to a live destination: %.0f messages/s with an empty queue, %.0f with %d dead "
               "destinations of %ld: %.2f\n",
               f[0].rate, f[1].rate, DEAD, waiting, f[1].rate / f[0].rate);
        fflush(stdout);
    }
    printf("in all: %.2f; CPU a message %.1f us and %.1f us: %.2f\n", seconds[0] / seconds[1],
           cpu[0], cpu[1], cpu[1] / cpu[0]);
    close(fds[1]); /* the second has a copy of the first's */
    close(fds[0]);
    while (wait(NULL) > 0)
        ;
}

/* ---- 2: one sender with very much ---- */

static void time_one(const char *sender, const char *recipient)
{
    snprintf(world.marked_sender, sizeof(world.marked_sender), "%s", sender);
    world.marked_ms = 0;
    int64_t start_ms = clock_wall_us() / 1000;
    send_all(1, sender, recipient);
    while (!world.marked_ms)
        io_loop_turn(world.loop);
    printf("%s to %s: handed on after %" PRId64 " ms\n", sender, recipient,
           world.marked_ms - start_ms);
}

static void overtake(const char *folder)
{
    char slow[512];
    struct sched_counters c;

    snprintf(slow, sizeof(slow), "%s/slow", folder);
    begin(slow, RETRY_MS);
    send_all(BULK, "bulk@here.example", "bob@slow.example");
    sched_count(world.queue.sched, &c);
    printf(
        "bulk@here.example has %u messages waiting for slow.example, which takes each in %d ms\n",
        c.counts[SCHED_READY] + c.counts[SCHED_ACTIVE], SLOW_MS);
    time_one("carl@here.example", "bob@live.example");
    time_one("dora@here.example", "bob@slow.example");
}

/* ---- 3: very many dead ones at once ---- */

static const struct hole_part {
    const char *name, *what;
    int holes;        /* with a message each */
    bool own_senders; /* each message is by another one */
    int before;       /* enum, what they do first */
} hole_parts[] = {
    {"first", "at the first attempt", HOLES, false, HOLES_HANG},
    {"senders", "at the first attempt, all by different senders", HOLES, true, HOLES_HANG},
    {"later", "at a later attempt", HOLES, false, HOLES_FAIL},
    {"silent", "after they had answered", SILENT, false, HOLES_ANSWER},
};

static void send_to_holes(const struct hole_part *part)
{
    long end = world.accepted + part->holes;
    char sender[64] = "anna@here.example", recipient[64];

    for (long sent = 0; world.accepted < end;) {
        for (int i = 0; i < IN_FLIGHT && sent < part->holes; i++) {
            if (world.slots[i].busy)
                continue;
            if (part->own_senders)
                snprintf(sender, sizeof(sender), "anna%ld@here.example", sent);
            snprintf(recipient, sizeof(recipient), "bob@hole%ld.example", sent++);
            send_by(&world.slots[i], sender, recipient);
        }
        io_loop_turn(world.loop);
    }
}

/* Until what may go has gone. */
static void turn_for(int64_t ms)
{
    for (int64_t end = io_loop_now_ms(world.loop) + ms; io_loop_now_ms(world.loop) < end;)
        io_loop_turn(world.loop);
}

static void time_beside_holes(const char *sender, const char *recipient)
{
    long before = world.attempts_at_holes;

    time_one(sender, recipient);
    printf("  attempts at black holes begun meanwhile: %ld\n", world.attempts_at_holes - before);
    fflush(stdout);
}

/* All have had their first attempt, and failed or answered; the latter get more. */
static void meet_holes(const struct hole_part *part)
{
    world.holes = part->before;
    send_to_holes(part);
    if (part->before == HOLES_HANG)
        return;
    while (world.attempts_at_holes < part->holes)
        io_loop_turn(world.loop);
    world.holes = HOLES_HANG;
    for (int i = 0; part->before == HOLES_ANSWER && i < SILENT_EACH; i++)
        send_to_holes(part);
}

static void beside_holes(const char *folder, const struct hole_part *part)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", folder, part->name);
    begin(path, part->before == HOLES_FAIL ? SOON_MS : RETRY_MS);
    send_all(1, "anna@here.example", "bob@live.example");
    while (!world.live)
        io_loop_turn(world.loop);
    meet_holes(part);
    turn_for(SOON_MS); /* those that were attempted are due again */
    printf("%d destinations don't answer, %s; %ld attempts have begun\n", part->holes, part->what,
           world.attempts_at_holes);
    time_beside_holes("carl@here.example", "bob@live.example");
    time_beside_holes("dora@here.example", "bob@new.example");
}

/* Each part is a process of its own. */
static bool begins_part(const char *wanted, const char *name)
{
    if (strcmp(wanted, "all") != 0 && strcmp(wanted, name) != 0)
        return false;
    fflush(stdout);
    if (fork()) {
        wait(NULL);
        return false;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return true;
}

static void end_part(void)
{
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *part = argc > 2 ? argv[2] : "all";

    if (argc < 2) {
        fprintf(stderr, "usage: bench_fairness FOLDER [PART [MESSAGES [WAITING]]]\n");
        return 2;
    }
    if (begins_part(part, "rates")) {
        compare(argv[1], argc > 3 ? atol(argv[3]) : 20000, argc > 4 ? atol(argv[4]) : 10000);
        end_part();
    }
    for (size_t i = 0; i < ARRAY_SIZE(hole_parts); i++)
        if (begins_part(part, hole_parts[i].name)) {
            beside_holes(argv[1], &hole_parts[i]);
            end_part();
        }
    if (begins_part(part, "bulk")) {
        overtake(argv[1]);
        end_part();
    }
    return 0;
}
