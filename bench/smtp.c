/*
 * How many messages a second the smtp process carries on, and what each costs it in CPU: a child is
 * the smtp process (without its sandbox), this one plays the queue.
 *
 *   bench_smtp NEXT_HOP MESSAGES BODY_BYTES IN_FLIGHT      (NEXT_HOP: host:127.0.0.1:2626)
 *
 * At the other end anything that takes mail: `smtp-sink 127.0.0.1:2626 100`.
 */
#include "base/clock.h"
#include "mail/envelope.h"
#include "proc/smtp/proc.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct slot {
    struct ipc_call call;
    struct player *player;
};

struct player {
    struct io_loop *loop;
    struct ipc_channel *smtp;
    struct span next_hop, body;
    long to_send, done, messages;
    long outcomes[IPC_OUTCOME_UNCERTAIN + 1];
};

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    fprintf(stderr, "the smtp process is gone\n");
    exit(1);
}

static const struct ipc_role role = {.peer_name = "smtp", .lost = on_lost};

static void on_result(struct ipc_call *call, const struct ipc_message *reply);

static void send_next(struct slot *slot)
{
    struct player *p = slot->player;
    struct ipc_job_recipient to = {0, SPAN("bob@far.example"), SPAN("bob@far.example")};
    struct ipc_message m = {.type = IPC_JOB,
                            .job = {.job = (uint64_t)p->to_send,
                                    .sender = SPAN("anna@here.example"),
                                    .header = SPAN("Received: from here.example\r\n"),
                                    .body = p->body,
                                    .size_bytes = p->body.size,
                                    .next_hop = p->next_hop,
                                    .recipients = &to,
                                    .recipient_count = 1}};

    if (p->to_send == 0)
        return;
    p->to_send--;
    slot->call.fn = on_result;
    if (ipc_call(p->smtp, &slot->call, &m) < 0)
        abort();
}

static void on_result(struct ipc_call *call, const struct ipc_message *reply)
{
    struct slot *slot = CONTAINER_OF(call, struct slot, call);
    struct player *p = slot->player;

    p->outcomes[reply->job_result.outcomes[0].outcome]++;
    if (++p->done == p->messages)
        io_loop_stop(p->loop);
    else
        send_next(slot);
}

static void run_smtp(int fd)
{
    static const struct conf_smtp conf = {.hostname = {"bench.example", 13}};
    struct smtp_proc *proc = calloc(1, sizeof(*proc));

    if (!proc || io_loop_new(&proc->process.loop) < 0)
        exit(1);
    if (smtp_proc_init(proc, &conf) < 0 || smtp_proc_connect_queue(proc, fd) < 0)
        exit(1);
    io_loop_run(proc->process.loop);
    exit(0);
}

static struct span make_body(size_t size)
{
    char *body = malloc(size + 16);

    memcpy(body, "Subject: x\r\n\r\n", 14);
    for (size_t i = 14; i < size; i++)
        body[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
    memcpy(body + size, "\r\n", 2);
    return span_of(body, size + 2);
}

static void report(const struct player *p, int64_t took_ms, pid_t child)
{
    struct rusage used;

    kill(child, SIGKILL);
    wait4(child, NULL, 0, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("%ld messages in %.2f s: %.0f/s, %.0f us CPU each; relayed %ld deferred %ld failed %ld "
           "uncertain %ld; %ld KiB\n",
           p->messages, (double)took_ms / 1000,
           (double)p->messages * 1000 / (double)(took_ms ? took_ms : 1),
           cpu * 1e6 / (double)p->messages, p->outcomes[IPC_OUTCOME_DELIVERED],
           p->outcomes[IPC_OUTCOME_DEFERRED], p->outcomes[IPC_OUTCOME_FAILED],
           p->outcomes[IPC_OUTCOME_UNCERTAIN], used.ru_maxrss);
}

int main(int argc, char **argv)
{
    struct player p = {0};
    int fds[2];

    if (argc != 5 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
        return 2;
    long in_flight = strtol(argv[4], NULL, 10);
    p.next_hop = span_from_cstr(argv[1]);
    p.messages = p.to_send = strtol(argv[2], NULL, 10);
    p.body = make_body(strtoul(argv[3], NULL, 10));
    pid_t child = fork();
    if (child == 0) {
        close(fds[1]);
        run_smtp(fds[0]);
    }
    close(fds[0]);
    struct slot *slots = calloc((size_t)in_flight, sizeof(*slots));
    if (!slots || io_loop_new(&p.loop) < 0 ||
        ipc_channel_new(p.loop, fds[1], &role, &p, &p.smtp) < 0)
        return 1;
    int64_t started_ms = clock_monotonic_ms();
    for (long i = 0; i < in_flight; i++) {
        slots[i].player = &p;
        send_next(&slots[i]);
    }
    io_loop_run(p.loop);
    report(&p, clock_monotonic_ms() - started_ms, child);
    return p.outcomes[IPC_OUTCOME_DELIVERED] == p.messages ? 0 : 1;
}
