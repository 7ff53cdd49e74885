#include "bench.h"

#include "dns/type.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

struct bench bench;

void bench_copy(struct span from, char *to, size_t size)
{
    snprintf(to, size, SPAN_FMT, SPAN_ARG(from));
}

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    struct asked *a = CONTAINER_OF(call, struct asked, call);

    a->answers++;
    if (reply)
        bench_copy(reply->job_result.mx_set, a->mx_set, sizeof(a->mx_set));
    for (size_t i = 0; reply && i < reply->job_result.outcome_count && i < 4; i++) {
        const struct ipc_job_outcome *o = &reply->job_result.outcomes[i];
        a->count++;
        a->of[i].outcome = o->outcome;
        a->of[i].scope = o->scope;
        bench_copy(o->status, a->of[i].status, sizeof(a->of[i].status));
        bench_copy(o->text, a->of[i].text, sizeof(a->of[i].text));
        bench_copy(o->remote_id, a->of[i].remote_id, sizeof(a->of[i].remote_id));
        bench_copy(o->host, a->of[i].host, sizeof(a->of[i].host));
        bench_copy(o->ip, a->of[i].ip, sizeof(a->of[i].ip));
        bench_copy(o->earlier, a->of[i].earlier, sizeof(a->of[i].earlier));
    }
}

static void on_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    CONTAINER_OF(call, struct asked, chunk)->taken++;
}

void bench_on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static void on_wanted(void *owner, const struct ipc_arrival *arrival)
{
    bench.wanted = arrival->message->job_wanted.job;
}

void bench_say_stopped(void)
{
    struct ipc_message reply = {.type = IPC_JOB_STOPPED};
    assert_int_equal(ipc_reply(bench.queue, bench.stop, &reply), 0);
}

static void on_stop(void *owner, const struct ipc_arrival *arrival)
{
    bench.stop = arrival->token;
    if (!bench.keeps_on)
        bench_say_stopped();
}

static const struct ipc_handler queue_handlers[] = {{IPC_JOB_WANTED, on_wanted},
                                                    {IPC_JOB_STOP, on_stop}};
static const struct ipc_role queue_role = {"smtp", queue_handlers, 2, bench_on_lost, false};

/* Every name is 127.0.0.1 (with 127.0.0.2 in front of it, if it begins with "pair"), but those that
 * don't exist, and the hosts of an MX: there connect() fails at once, for want of an interface. */
static void on_question(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_resolve *q = &arrival->message->resolve;
    struct ipc_rdata loopback = {SPAN("\x7f\0\0\x01")},
                     nowhere = {SPAN("\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01")},
                     pair[] = {{SPAN("\x7f\0\0\x02")}, loopback};
    struct ipc_message reply = {.type = IPC_RESOLVED};

    bench.questions++;
    if (bench.silent || (bench.hosts_are_silent && span_starts_nocase(q->name, SPAN("h"))))
        return;
    if (bench.broken)
        reply.resolved.error = -EIO;
    else if (span_starts_nocase(q->name, SPAN("none")))
        reply.resolved.rcode = DNS_RCODE_NXDOMAIN;
    else if (span_starts_nocase(q->name, SPAN("lame")))
        reply.resolved.rcode = DNS_RCODE_SERVFAIL;
    else if (q->type == DNS_TYPE_MX)
        reply.resolved = (struct ipc_resolved){.rdata = bench.mx, .rdata_count = bench.mx_count};
    else if (q->type == DNS_TYPE_AAAA && bench.mx_count)
        reply.resolved = (struct ipc_resolved){.rdata = &nowhere, .rdata_count = 1};
    else if (span_starts_nocase(q->name, SPAN("bare")))
        reply.resolved.rcode = DNS_RCODE_NOERROR;
    else if (q->type == DNS_TYPE_A && span_starts_nocase(q->name, SPAN("pair")))
        reply.resolved = (struct ipc_resolved){.rdata = pair, .rdata_count = 2};
    else if (q->type == DNS_TYPE_A && !bench.mx_count)
        reply.resolved = (struct ipc_resolved){.rdata = &loopback, .rdata_count = 1};
    ipc_reply(arrival->channel, arrival->token, &reply);
}

static const struct ipc_handler resolver_handlers[] = {{IPC_RESOLVE, on_question}};
static const struct ipc_role resolver_role = {"smtp", resolver_handlers, 1, bench_on_lost, false};

void bench_connect_peers(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(smtp_proc_connect_queue(&bench.proc, fds[0]), 0);
    bench.own_fd = fds[0];
    assert_int_equal(
        ipc_channel_new(bench.proc.process.loop, fds[1], &queue_role, NULL, &bench.queue), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(smtp_proc_connect_resolver(&bench.proc, fds[0]), 0);
    assert_int_equal(
        ipc_channel_new(bench.proc.process.loop, fds[1], &resolver_role, NULL, &bench.resolver), 0);
}

const struct conf_smtp bench_conf = {.hostname = {"mx.test", 7}};

int bench_set_up(void **state)
{
    bench = (struct bench){0};
    assert_int_equal(io_loop_new(&bench.proc.process.loop), 0);
    assert_int_equal(smtp_proc_init(&bench.proc, &bench_conf), 0);
    bench_connect_peers();
    station_open(&bench.first, bench.proc.process.loop);
    station_open(&bench.second, bench.proc.process.loop);
    return 0;
}

int bench_tear_down(void **state)
{
    ipc_channel_free(bench.queue);
    ipc_channel_free(bench.resolver);
    smtp_proc_done(&bench.proc);
    station_close(&bench.first);
    station_close(&bench.second);
    io_loop_free(bench.proc.process.loop);
    return 0;
}

void bench_ask_for(struct asked *a, const char *next_hop, struct span body, uint64_t size,
                   struct ipc_job_recipient *to, size_t recipients)
{
    struct ipc_message m = {.type = IPC_JOB,
                            .job = {.job = 1,
                                    .sender = SPAN("alice@a.test"),
                                    .header = SPAN("Received: x\r\n"),
                                    .body = body,
                                    .size_bytes = size,
                                    .next_hop = span_from_cstr(next_hop),
                                    .recipients = to,
                                    .recipient_count = recipients}};

    *a = (struct asked){.call.fn = on_answer, .chunk.fn = on_taken};
    assert_int_equal(ipc_call(bench.queue, &a->call, &m), 0);
}

void bench_ask(struct asked *a, const char *next_hop, struct span body, uint64_t size,
               size_t recipients)
{
    struct ipc_job_recipient to[] = {{0, SPAN("bob@b.test"), SPAN("bob@b.test")},
                                     {7, SPAN("carol@b.test"), SPAN("carol@b.test")}};

    bench_ask_for(a, next_hop, body, size, to, recipients);
}

void bench_deliver(struct asked *a, const char *next_hop)
{
    struct span body = SPAN("A: b\r\n\r\n.hello\r\n");

    bench_ask(a, next_hop, body, body.size, 1);
    UNTIL(a->answers);
}

const char *bench_to_first(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "host:127.0.0.1:%u", bench.first.port);
    return text;
}

const char *bench_to_both(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "host:one.test:%u,two.test:%u", bench.first.port,
             bench.second.port);
    return text;
}

void bench_assert_ours(const struct asked *a)
{
    assert_int_equal(a->count, 1);
    assert_int_equal(a->of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a->of[0].scope, IPC_SCOPE_OURS);
    assert_string_equal(a->of[0].status, "4.3.0");
    assert_string_equal(a->of[0].host, "");
}
