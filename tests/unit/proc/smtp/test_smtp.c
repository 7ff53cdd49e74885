#include "../../unit.h"

#include "dns/name.h"
#include "dns/type.h"
#include "mail/envelope.h"
#include "proc/smtp/connection.h"
#include "proc/smtp/job.h"
#include "proc/smtp/proc.h"
#include "station.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The smtp process without its sandbox; beside it, on the same loop, a queue, a resolver that knows
 * nothing, and two stations. */
static struct bench {
    struct smtp_proc proc;
    struct ipc_channel *queue, *resolver;
    int own_fd;      /* of the process, to the queue */
    uint64_t wanted; /* the job whose body the process asked for */
    struct station first, second;
    unsigned questions;
    bool silent, broken;     /* the resolver */
    struct ipc_rdata mx[40]; /* what it says to any question for an MX */
    size_t mx_count;
    bool hosts_are_silent; /* whose names begin with "h" */
} b;

struct asked {
    struct ipc_call call, chunk;
    unsigned answers, taken;
    size_t count;
    char mx_set[300];
    struct {
        uint8_t outcome, scope;
        char status[16], text[512], remote_id[64], host[300], ip[64], earlier[512];
    } of[4];
};

static void copy(struct span from, char *to, size_t size)
{
    snprintf(to, size, SPAN_FMT, SPAN_ARG(from));
}

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    struct asked *a = CONTAINER_OF(call, struct asked, call);

    a->answers++;
    if (reply)
        copy(reply->job_result.mx_set, a->mx_set, sizeof(a->mx_set));
    for (size_t i = 0; reply && i < reply->job_result.outcome_count && i < 4; i++) {
        const struct ipc_job_outcome *o = &reply->job_result.outcomes[i];
        a->count++;
        a->of[i].outcome = o->outcome;
        a->of[i].scope = o->scope;
        copy(o->status, a->of[i].status, sizeof(a->of[i].status));
        copy(o->text, a->of[i].text, sizeof(a->of[i].text));
        copy(o->remote_id, a->of[i].remote_id, sizeof(a->of[i].remote_id));
        copy(o->host, a->of[i].host, sizeof(a->of[i].host));
        copy(o->ip, a->of[i].ip, sizeof(a->of[i].ip));
        copy(o->earlier, a->of[i].earlier, sizeof(a->of[i].earlier));
    }
}

static void on_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    CONTAINER_OF(call, struct asked, chunk)->taken++;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static void on_wanted(void *owner, const struct ipc_arrival *arrival)
{
    b.wanted = arrival->message->job_wanted.job;
}

static const struct ipc_handler queue_handlers[] = {{IPC_JOB_WANTED, on_wanted}};
static const struct ipc_role queue_role = {"smtp", queue_handlers, 1, on_lost, false};

/* Every name is 127.0.0.1 (with 127.0.0.2 in front of it, if it begins with "pair"), but those that
 * don't exist, and the hosts of an MX: there connect() fails at once, for want of an interface. */
static void on_question(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_resolve *q = &arrival->message->resolve;
    struct ipc_rdata loopback = {SPAN("\x7f\0\0\x01")},
                     nowhere = {SPAN("\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01")},
                     pair[] = {{SPAN("\x7f\0\0\x02")}, loopback};
    struct ipc_message reply = {.type = IPC_RESOLVED};

    b.questions++;
    if (b.silent || (b.hosts_are_silent && span_starts_nocase(q->name, SPAN("h"))))
        return;
    if (b.broken)
        reply.resolved.error = -EIO;
    else if (span_starts_nocase(q->name, SPAN("none")))
        reply.resolved.rcode = DNS_RCODE_NXDOMAIN;
    else if (span_starts_nocase(q->name, SPAN("lame")))
        reply.resolved.rcode = DNS_RCODE_SERVFAIL;
    else if (q->type == DNS_TYPE_MX)
        reply.resolved = (struct ipc_resolved){.rdata = b.mx, .rdata_count = b.mx_count};
    else if (q->type == DNS_TYPE_AAAA && b.mx_count)
        reply.resolved = (struct ipc_resolved){.rdata = &nowhere, .rdata_count = 1};
    else if (span_starts_nocase(q->name, SPAN("bare")))
        reply.resolved.rcode = DNS_RCODE_NOERROR;
    else if (q->type == DNS_TYPE_A && span_starts_nocase(q->name, SPAN("pair")))
        reply.resolved = (struct ipc_resolved){.rdata = pair, .rdata_count = 2};
    else if (q->type == DNS_TYPE_A && !b.mx_count)
        reply.resolved = (struct ipc_resolved){.rdata = &loopback, .rdata_count = 1};
    ipc_reply(arrival->channel, arrival->token, &reply);
}

static const struct ipc_handler resolver_handlers[] = {{IPC_RESOLVE, on_question}};
static const struct ipc_role resolver_role = {"smtp", resolver_handlers, 1, on_lost, false};

static void connect_peers(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(smtp_proc_connect_queue(&b.proc, fds[0]), 0);
    b.own_fd = fds[0];
    assert_int_equal(ipc_channel_new(b.proc.process.loop, fds[1], &queue_role, NULL, &b.queue), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(smtp_proc_connect_resolver(&b.proc, fds[0]), 0);
    assert_int_equal(
        ipc_channel_new(b.proc.process.loop, fds[1], &resolver_role, NULL, &b.resolver), 0);
}

static const struct conf_smtp conf = {.hostname = {"mx.test", 7}};

static int setup(void **state)
{
    b = (struct bench){0};
    assert_int_equal(io_loop_new(&b.proc.process.loop), 0);
    assert_int_equal(smtp_proc_init(&b.proc, &conf), 0);
    connect_peers();
    station_open(&b.first, b.proc.process.loop);
    station_open(&b.second, b.proc.process.loop);
    return 0;
}

static int teardown(void **state)
{
    ipc_channel_free(b.queue);
    ipc_channel_free(b.resolver);
    smtp_proc_done(&b.proc);
    station_close(&b.first);
    station_close(&b.second);
    io_loop_free(b.proc.process.loop);
    return 0;
}

/* Turns the loop until the condition holds; ten seconds are for ever. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 10000 && !(condition); i_++) {                                       \
            io_loop_turn(b.proc.process.loop);                                                     \
            usleep(1000);                                                                          \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void ask_for(struct asked *a, const char *next_hop, struct span body, uint64_t size,
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
    assert_int_equal(ipc_call(b.queue, &a->call, &m), 0);
}

static void ask(struct asked *a, const char *next_hop, struct span body, uint64_t size,
                size_t recipients)
{
    struct ipc_job_recipient to[] = {{0, SPAN("bob@b.test"), SPAN("bob@b.test")},
                                     {7, SPAN("carol@b.test"), SPAN("carol@b.test")}};

    ask_for(a, next_hop, body, size, to, recipients);
}

static void deliver(struct asked *a, const char *next_hop)
{
    struct span body = SPAN("A: b\r\n\r\n.hello\r\n");

    ask(a, next_hop, body, body.size, 1);
    UNTIL(a->answers);
}

static const char *to_first(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "host:127.0.0.1:%u", b.first.port);
    return text;
}

static const char *to_both(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "host:one.test:%u,two.test:%u", b.first.port, b.second.port);
    return text;
}

static void delivers(void **state)
{
    struct asked a;

    deliver(&a, to_first());
    assert_int_equal(a.count, 1);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_string_equal(a.of[0].text, "250 2.0.0 Ok: queued as ABC123");
    assert_string_equal(a.of[0].status, "2.0.0");
    assert_string_equal(a.of[0].remote_id, "ABC123");
    assert_string_equal(a.of[0].host, "127.0.0.1");
    assert_string_equal(a.of[0].ip, "127.0.0.1");
    assert_span(buffer_span(&b.first.message), "Received: x\r\nA: b\r\n\r\n..hello\r\n");
    assert_int_equal(b.questions, 0);
}

static void reuses_connections(void **state)
{
    struct asked a;

    for (int i = 0; i < 5; i++) {
        deliver(&a, to_first());
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    }
    assert_int_equal(b.first.connections, 1);
    assert_int_equal(b.proc.reused, 4);
    /* The station hung up meanwhile: the message deserves a new connection. */
    station_hang_up(&b.first);
    deliver(&a, to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    b.first.drop_at_mail = true;
    deliver(&a, to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED); /* the new one did it, too */
    assert_int_equal(b.first.connections, 3);
}

static void goes_to_the_next_host(void **state)
{
    static const struct {
        const char *greeting, *mail, *rcpt, *data, *end, *earlier;
    } cases[] = {{.greeting = "554 5.7.1 no", .earlier = "tried before: one0.test: 554 5.7.1 no"},
                 {.greeting = "hello", .earlier = "tried before: one1.test: this is no SMTP reply"},
                 {.mail = "451 4.3.0 no", .earlier = "tried before: one2.test: 451 4.3.0 no"},
                 {.rcpt = "450 4.2.0 grey", .earlier = "tried before: one3.test: 450 4.2.0 grey"},
                 {.data = "452 4.3.1 full", .earlier = "tried before: one4.test: 452 4.3.1 full"},
                 {.end = "451 4.3.0 no", .earlier = "tried before: one5.test: 451 4.3.0 no"},
                 {.mail = "421 4.3.2 bye", .earlier = "tried before: one6.test: 421 4.3.2 bye"}};
    struct asked a;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        b.first.greeting = cases[i].greeting;
        b.first.mail = cases[i].mail;
        b.first.rcpt = cases[i].rcpt;
        b.first.data = cases[i].data;
        b.first.end = cases[i].end;
        char name[128];
        snprintf(name, sizeof(name), "host:one%zu.test:%u,two.test:%u", i, b.first.port,
                 b.second.port);
        deliver(&a, name);
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
        assert_string_equal(a.of[0].host, "two.test");
        assert_ptr_equal(strstr(a.of[0].earlier, cases[i].earlier), a.of[0].earlier);
        assert_null(strchr(a.of[0].earlier, ';'));
        assert_int_equal(b.second.messages, i + 1);
    }
}

/* A station that takes one recipient at a time gets the message as often as there are some … */
static void comes_again_for_the_rest(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.recipients_max = 1;
    ask(&a, to_first(), body, body.size, 2);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(b.first.messages, 2);
}

/* … on a connection each, when it takes one message a connection; … */
static void comes_again_on_another_connection(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("a@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}, {3, SPAN("d@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.recipients_max = 1;
    b.first.one_message = true;
    for (int kept = 0; kept < 2; kept++) { /* also when it is a kept one first */
        ask_for(&a, to_first(), body, body.size, to, ARRAY_SIZE(to));
        UNTIL(a.answers);
        for (size_t i = 0; i < ARRAY_SIZE(to); i++)
            assert_int_equal(a.of[i].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(b.first.messages, 4 * (kept + 1));
        assert_int_equal(b.first.connections, 4 * (kept + 1));
    }
    /* Without any progress it is the host's trouble. */
    b.first.end = "451 4.3.0 not now";
    ask_for(&a, to_first(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    assert_int_equal(a.of[3].outcome, IPC_OUTCOME_DEFERRED);
    assert_in_range(b.first.connections, 9, 10);
}

/* … whom it told to come later isn't asked for again at once, but at the next host; … */
static void comes_again_not_for_the_greylisted(void **state)
{
    struct ipc_job_recipient to[] = {{0, SPAN("grey@b.test")},
                                     {1, SPAN("b@b.test")},
                                     {2, SPAN("c@b.test")},
                                     {3, SPAN("d@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.recipients_max = 1;
    for (unsigned round = 1; round <= 3; round++) {
        b.first.one_message = round == 2; /* also when it takes one message a connection … */
        if (round == 3)                   /* … and says so */
            b.first.end = "250 2.0.0 Ok\r\n421 4.3.2 one message a connection";
        ask_for(&a, to_both(), body, body.size, to, ARRAY_SIZE(to));
        UNTIL(a.answers);
        assert_int_equal(b.first.messages, 3 * round);
        for (size_t i = 1; i < ARRAY_SIZE(to); i++)
            assert_int_equal(a.of[i].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(b.first.greylisted, round);
        assert_int_equal(b.second.greylisted, round);
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
        assert_string_equal(a.of[0].text, "450 4.2.0 greylisted");
        assert_string_equal(a.of[0].earlier, "tried before: one.test: 450 4.2.0 greylisted");
        assert_string_equal(a.of[0].host, "two.test");
        station_hang_up(&b.first);
        station_hang_up(&b.second);
        UNTIL(b.proc.connection_count == 0);
    }
}

/* … but the next one is, when the station doesn't take the rest either; … */
static void the_next_host_gets_the_greylisted(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("grey@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.recipients_max = 1;
    b.first.one_message = b.first.one_connection = true;
    ask_for(&a, to_both(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    assert_int_equal(b.first.messages, 1);
    assert_int_equal(b.second.messages, 1);
    assert_int_equal(b.second.greylisted, 1);
    assert_string_equal(a.of[0].host, "two.test");
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[2].outcome, IPC_OUTCOME_DELIVERED);
}

/* … and when that one has had its turn, the first isn't asked about them once more; … */
static void the_greylisted_come_not_back(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("grey@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.greeting = "421 4.3.2 not now";
    b.second.recipients_max = 1;
    b.second.one_message = true;
    ask_for(&a, to_both(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(b.second.messages);
    b.first.greeting = NULL; /* so it is the first of the new way */
    UNTIL(a.answers);
    assert_int_equal(b.first.greylisted, 1);
    assert_int_equal(b.second.greylisted, 1);
    assert_int_equal(b.second.connections, 1);
    assert_string_equal(a.of[0].host, "one.test");
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[2].outcome, IPC_OUTCOME_DELIVERED);
}

/* … also when its goodbye comes along with its word for the one before; … */
static void comes_again_after_a_goodbye(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("a@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}, {3, SPAN("d@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.recipients_max = 1;
    b.first.end = "250 2.0.0 Ok\r\n421 4.3.2 one message a connection";
    ask_for(&a, to_first(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
        assert_int_equal(a.of[i].outcome, IPC_OUTCOME_DELIVERED);
        assert_string_equal(a.of[i].earlier, ""); /* no trouble at all */
    }
    assert_int_equal(b.first.messages, 4);
    assert_int_equal(b.first.connections, 4);
    /* A message that it may have taken or not is no progress. */
    b.first.drop_at_end = true;
    ask_for(&a, to_first(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_UNCERTAIN);
    assert_int_equal(a.of[3].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(b.first.connections, 5);
}

/* … but only as long as that gets anywhere. */
static void comes_again_not_for_ever(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    b.first.recipients_max = 1;
    b.first.end = "451 4.3.0 not now";
    ask(&a, to_both(), body, body.size, 2);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(b.first.messages, 1);
    assert_int_equal(b.second.messages, 1);
}

static void passes_a_closed_port(void **state)
{
    struct asked a;
    char both[128];

    snprintf(both, sizeof(both), "%s,127.0.0.1:%u", to_first(), b.second.port);
    station_close(&b.first);
    deliver(&a, both);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    deliver(&a, to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].status, "4.4.1");
    assert_non_null(strstr(a.of[0].text, "Connection refused"));
    station_open(&b.first, b.proc.process.loop);
}

/* To whoever has a host on this link. */
static void allow_private_hosts(void)
{
    static const struct conf_smtp near = {.hostname = {"mx.test", 7}, .allow_private_mx = true};

    assert_int_equal(smtp_proc_use(&b.proc, &near), 0);
}

/* The longest name that the DNS has, each byte of which is written as four characters. */
static struct span longest_mx(char rdata[static 2 + DNS_WIRE_MAX])
{
    static const size_t labels[] = {63, 63, 63, 61};
    size_t size = 2;

    memset(rdata, 1, 2 + DNS_WIRE_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
        rdata[size] = (char)labels[i];
        size += 1 + labels[i];
    }
    rdata[size++] = 0;
    return span_of(rdata, size);
}

/* … and is answered all the same: whoever asked waits for ever otherwise. */
static void tells_of_hosts_with_the_longest_names(void **state)
{
    char rdata[2 + DNS_WIRE_MAX];
    struct asked a;

    allow_private_hosts();
    b.mx[b.mx_count++].bytes = longest_mx(rdata);
    deliver(&a, "mx:evil.test");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].status, "4.4.1");
    assert_non_null(strstr(a.of[0].text, "can't connect to [fe80::1]:25"));
    assert_int_equal(strlen(a.of[0].host), SMTP_HOST_SIZE - 1);
    assert_int_equal(b.proc.job_count, 0);
}

/* What failed before any host was known is the domain's alone: others at the hosts that it had
 * before must neither wait for it nor be helped by it. */
static void tells_whom_a_trouble_is_about(void **state)
{
    static const struct {
        const char *next_hop, *host, *set;
        enum ipc_scope scope;
    } cases[] = {
        {"mx:lame.test", NULL, "?lame.test", IPC_SCOPE_DESTINATION},
        {"mx:none.test", NULL, "?none.test", IPC_SCOPE_RECIPIENT},
        {"mx:far.test", "\0\012\1b\0", "b", IPC_SCOPE_DESTINATION},
        {"mx:far.test", "\0\012\4lame\1x\0", "lame.x", IPC_SCOPE_DESTINATION},
        {"mx:far.test", "\0\012\4none\1x\0", "none.x", IPC_SCOPE_RECIPIENT},
        {"mx:far.test", "\0\012\0", "?far.test", IPC_SCOPE_RECIPIENT}, /* null MX */
    };
    static const size_t sizes[] = {0, 0, 5, 10, 10, 3};
    struct asked a;

    allow_private_hosts();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        b.mx_count = cases[i].host != NULL;
        b.mx[0].bytes = span_of(cases[i].host, sizes[i]);
        deliver(&a, cases[i].next_hop);
        assert_int_not_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(a.of[0].scope, cases[i].scope);
        assert_string_equal(a.mx_set, cases[i].set);
    }
    b.broken = true;
    deliver(&a, "mx:far.test");
    assert_int_equal(a.of[0].scope, IPC_SCOPE_OURS);
    assert_string_equal(a.mx_set, "");
}

/* Each host's name servers keep silent. */
static void publish_silent_hosts(void)
{
    static char rdata[40][2 + 5 + 1];

    for (size_t i = 0; i < ARRAY_SIZE(rdata); i++) {
        snprintf(rdata[i], sizeof(rdata[i]), "%c%c%ch%03zu", 1, 10, 4, i);
        b.mx[i].bytes = span_of(rdata[i], sizeof(rdata[i]));
    }
    b.mx_count = ARRAY_SIZE(rdata);
    b.hosts_are_silent = true;
}

static void turn_some(void)
{
    for (int i = 0; i < 50; i++)
        io_loop_turn(b.proc.process.loop);
}

/* A domain of many such hosts takes no more of the resolver than one of four, … */
static void many_silent_hosts_take_few_questions(void **state)
{
    struct asked a;

    publish_silent_hosts();
    ask(&a, "mx:evil.test", SPAN("x"), 1, 1);
    UNTIL(b.questions >= 1 + 8);
    turn_some();
    assert_int_equal(b.questions, 1 + 8);
    assert_int_equal(a.answers, 0);
}

/* … when many are open both of one host at a time, … */
static void a_silent_host_takes_the_time_of_one_question(void **state)
{
    static const unsigned others[] = {SMTP_QUESTIONS_SHARED, SMTP_QUESTIONS_PAIRED};

    publish_silent_hosts();
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        struct asked a;
        b.questions = 0;
        b.proc.question_count = others[i];
        ask(&a, "mx:evil.test", SPAN("x"), 1, 1);
        UNTIL(b.questions >= 3 - i);
        turn_some();
        assert_int_equal(b.questions, 3 - i); /* with the MX */
        smtp_jobs_drop(&b.proc, SMTP_JOB_MAIL, "the test goes on");
        UNTIL(a.answers);
        assert_int_equal(b.proc.question_count, others[i]);
    }
    b.proc.question_count = 0;
}

/* … and very many such attempts one each: others aren't refused, nor do they wait. */
static void very_many_silent_hosts_hold_up_nobody(void **state)
{
    enum { ATTEMPTS = 600 };
    static struct asked evil[ATTEMPTS];
    struct asked a;

    publish_silent_hosts();
    for (size_t i = 0; i < ATTEMPTS; i++)
        ask(&evil[i], "mx:evil.test", SPAN("x"), 1, 1);
    UNTIL(b.questions >= ATTEMPTS + SMTP_QUESTIONS_SHARED);
    turn_some();
    assert_in_range(b.proc.question_count, ATTEMPTS, SMTP_QUESTIONS_PAIRED + ATTEMPTS);
    b.mx_count = 0;
    deliver(&a, to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    smtp_jobs_drop(&b.proc, SMTP_JOB_MAIL, "the test is over");
    assert_int_equal(b.proc.question_count, 0);
}

static uint64_t kept[IPC_CALL_WINDOW];
static size_t kept_count;

static void keep_question(void *owner, const struct ipc_arrival *arrival)
{
    kept[kept_count++] = arrival->token;
}

static const struct ipc_handler keeping_handlers[] = {{IPC_RESOLVE, keep_question}};
static const struct ipc_role keeping_role = {"smtp", keeping_handlers, 1, on_lost, false};

static void no_matter(struct ipc_call *call, const struct ipc_message *reply)
{
}

/* More questions than the channel has calls for: who hasn't one under way waits for it. */
static void a_full_channel_is_waited_for(void **state)
{
    static struct ipc_call calls[IPC_CALL_WINDOW];
    struct ipc_message m = {.type = IPC_RESOLVE, .resolve.name = SPAN("x.test")};
    struct ipc_message failed = {.type = IPC_RESOLVED, .resolved.rcode = DNS_RCODE_SERVFAIL};
    struct ipc_channel *keeper;
    struct asked a;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(smtp_proc_connect_resolver(&b.proc, fds[0]), 0);
    assert_int_equal(ipc_channel_new(b.proc.process.loop, fds[1], &keeping_role, NULL, &keeper), 0);
    kept_count = 0;
    for (size_t i = 0; i < IPC_CALL_WINDOW; i++) {
        calls[i] = (struct ipc_call){.fn = no_matter};
        assert_int_equal(ipc_call(b.proc.resolver, &calls[i], &m), 0);
    }
    UNTIL(kept_count == IPC_CALL_WINDOW);
    ask(&a, "mx:far.test", SPAN("x"), 1, 1);
    UNTIL(b.proc.job_count == 1);
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.proc.question_count, 0);
    kept_count = 0;
    assert_int_equal(ipc_reply(keeper, kept[7], &failed), 0);
    UNTIL(b.proc.question_count == 1 && kept_count == 1);
    assert_int_equal(ipc_reply(keeper, kept[0], &failed), 0);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION); /* it was asked */
    ipc_channel_free(keeper);
}

/* Answers for good come from the first host that gives one. */
static void returns(void **state)
{
    struct asked a;

    b.first.rcpt = "550-5.1.1 no\r\n550 5.1.1 bob";
    deliver(&a, to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[0].text, "550-5.1.1 no\n550 5.1.1 bob");
    assert_string_equal(a.of[0].host, "one.test");
    assert_int_equal(b.second.connections, 0);
}

/* The second station's greeting is what is told; and the words of the first one. */
static void assert_second_refused(const struct asked *a, const char *earlier)
{
    assert_int_equal(a->of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a->of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a->of[0].status, "4.7.1");
    assert_string_equal(a->of[0].text, "554 5.7.1 listed");
    assert_string_equal(a->of[0].host, "two.test");
    assert_string_equal(a->of[0].earlier, earlier);
}

static void tells_the_last_trouble(void **state)
{
    struct asked a;

    b.first.greeting = b.second.greeting = "554 5.7.1 listed";
    deliver(&a, to_both());
    assert_second_refused(&a, "tried before: one.test: 554 5.7.1 listed");
}

/* Also when the one before had got as far as a session. */
static void a_later_trouble_is_the_last(void **state)
{
    struct asked a;

    b.first.mail = "421 4.3.2 bye";
    b.second.greeting = "554 5.7.1 listed";
    deliver(&a, to_both());
    assert_second_refused(&a, "tried before: one.test: 421 4.3.2 bye");
    /* The words of a session's end, when nothing else comes. */
    deliver(&a, to_first());
    assert_string_equal(a.of[0].text, "421 4.3.2 bye");
    assert_string_equal(a.of[0].status, "4.3.2");
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].host, "127.0.0.1");
    assert_string_equal(a.of[0].earlier, "");
}

/* What failed then is told, not that a kept connection had ended. */
static void blames_no_station_for_a_stale_connection(void **state)
{
    struct asked a;

    deliver(&a, to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    b.first.drop_at_mail = true;
    b.first.greeting = b.second.greeting = "554 5.7.1 listed";
    deliver(&a, to_both());
    assert_int_equal(b.first.connections, 2);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_string_equal(a.of[0].text, "554 5.7.1 listed");
    assert_string_equal(a.of[0].host, "two.test");
    assert_string_equal(a.of[0].earlier, "tried before: one.test: 554 5.7.1 listed");
}

/* Whom its station's EHLO ruled out before a byte was sent isn't refused by nobody: he is tried at
 * the next one with the others. */
static void refuses_nobody_on_a_stale_connection(void **state)
{
    struct ipc_job_recipient to[] = {{0, SPAN("bob@b.test")}, {7, SPAN("k\xc3\xa4the@b.test")}};
    struct span body = SPAN("A: b\r\n\r\n.hello\r\n");
    struct asked a;

    deliver(&a, to_first());
    b.first.drop_at_mail = true;
    ask_for(&a, to_first(), body, body.size, to, 2);
    UNTIL(a.answers);
    assert_int_equal(b.first.connections, 2);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[1].status, "5.6.7");
    assert_string_equal(a.of[1].host, "127.0.0.1");
    assert_string_equal(a.of[1].ip, "127.0.0.1");
}

/* Who has a bad address doesn't hold up the mail of others to the same place; "too many from you"
 * does. */
static void tells_a_bad_sender_from_a_busy_host(void **state)
{
    static const struct {
        const char *mail, *data;
        enum ipc_scope scope;
    } cases[] = {
        {"451 4.1.8 the sender's domain can't be found", NULL, IPC_SCOPE_RECIPIENT},
        {"451 4.7.1 too many from you", NULL, IPC_SCOPE_DESTINATION},
        {"451 not now", NULL, IPC_SCOPE_DESTINATION},
        {NULL, "451 4.1.8 the sender's domain can't be found", IPC_SCOPE_RECIPIENT},
        {NULL, "451 4.3.1 the disk is full", IPC_SCOPE_DESTINATION},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct asked a;
        b.first.mail = cases[i].mail;
        b.first.data = cases[i].data;
        deliver(&a, to_first());
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
        assert_int_equal(a.of[0].scope, cases[i].scope);
    }
}

/* No other host gets it: it may be there already. */
static void is_uncertain(void **state)
{
    struct asked a;

    b.first.drop_at_end = true;
    deliver(&a, to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_UNCERTAIN);
    assert_int_equal(b.second.connections, 0);
}

static void knows_dead_domains(void **state)
{
    struct asked a;

    deliver(&a, "mx:none.test");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[0].status, "5.1.2");
    ipc_channel_free(b.resolver);
    b.resolver = NULL;
    UNTIL(!b.proc.resolver);
    deliver(&a, "mx:b.test");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    deliver(&a, "nonsense");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].status, "4.3.5");
}

/* Whoever wrote the route is told which name is wrong, or which server fails. */
static void tells_why_a_route_has_no_address(void **state)
{
    static const struct {
        const char *next_hop, *status, *why;
    } cases[] = {
        {"host:none.test:25", "4.4.4", "none.test does not exist (NXDOMAIN)"},
        {"host:bare.test:25", "4.4.4", "bare.test has no address (A, AAAA)"},
        {"host:lame.test:25", "4.4.3", "the question for the AAAA of lame.test failed: SERVFAIL"},
        /* What tells most. */
        {"host:bare.test:25,none.test:25", "4.4.4", "none.test does not exist (NXDOMAIN)"},
        {"host:none.test:25,lame.test:25,bare.test:25", "4.4.3",
         "the question for the AAAA of lame.test failed: SERVFAIL"},
    };
    struct asked a;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[200];
        snprintf(text, sizeof(text), "no host of the route has a known address: %s", cases[i].why);
        deliver(&a, cases[i].next_hop);
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
        assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
        assert_string_equal(a.of[0].status, cases[i].status);
        assert_string_equal(a.of[0].text, text);
    }
}

static void assert_is_ours(const struct asked *a)
{
    assert_int_equal(a->count, 1);
    assert_int_equal(a->of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a->of[0].scope, IPC_SCOPE_OURS);
    assert_string_equal(a->of[0].status, "4.3.0");
    assert_string_equal(a->of[0].host, "");
}

/* Nothing was learnt of the destination: others' mail there must not wait for it. */
static void blames_nobody_for_a_resolver_that_fails(void **state)
{
    struct asked a;

    b.broken = true;
    deliver(&a, "mx:b.test");
    assert_is_ours(&a);
    deliver(&a, to_both());
    assert_is_ours(&a);
    assert_string_equal(a.of[0].text,
                        "no host of the route has a known address: the question for the AAAA of "
                        "one.test failed: the resolver couldn't ask");
    ipc_channel_free(b.resolver);
    b.resolver = NULL;
    UNTIL(!b.proc.resolver);
    deliver(&a, "mx:b.test");
    assert_is_ours(&a);
    deliver(&a, to_both());
    assert_is_ours(&a);
}

static void blames_nobody_for_want_of_descriptors(void **state)
{
    struct rlimit before, none;
    struct asked a;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    deliver(&a, to_first());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_is_ours(&a);
    assert_non_null(strstr(a.of[0].text, "Too many open files"));
}

enum { PIECE = 50000, PIECES = 40 };

/* A station on 127.0.0.2 that doesn't answer: its queue is full. Linux drops a SYN then. */
static unsigned be_silent(int fds[static 3])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    socklen_t size = sizeof(a);

    for (int i = 0; i < 3; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&a, size), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    assert_int_equal(getsockname(fds[0], (struct sockaddr *)&a, &size), 0);
    for (int i = 1; i < 3; i++)
        connect(fds[i], (struct sockaddr *)&a, size);
    return ntohs(a.sin_port);
}

/* Of two addresses the second can't be tried, and the first then fails by itself: not its fault
 * alone, so it isn't blamed, nor is the next host asked. */
static void blames_nobody_for_want_of_descriptors_in_a_race(void **state)
{
    struct rlimit before, none;
    char next_hop[64];
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct smtp_job *job = NULL;
    struct asked a;
    int fds[3];

    snprintf(next_hop, sizeof(next_hop), "host:pair.test:%u,127.0.0.1:%u", be_silent(fds),
             b.first.port);
    ask(&a, next_hop, body, body.size, 1);
    UNTIL(b.proc.job_count);
    job = CONTAINER_OF(b.proc.jobs.next, struct smtp_job, link);
    UNTIL(job->race.walk.tries == 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(a.answers || job->race.walk.tries == 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(a.answers, 0); /* it might still answer */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    UNTIL(a.answers);
    assert_is_ours(&a);
    assert_non_null(strstr(a.of[0].text, "Too many open files"));
    assert_int_equal(b.first.connections, 0);
}

static void send_piece(struct asked *a, const char *bytes, size_t size)
{
    struct ipc_message m = {.type = IPC_JOB_BODY,
                            .job_body = {.job = 1, .bytes = span_of(bytes, size)}};
    unsigned taken = a->taken;

    assert_int_equal(ipc_call(b.queue, &a->chunk, &m), 0);
    UNTIL(a->taken > taken);
}

/* A body that the queue kept back comes when a station is there. */
static void asks_for_a_body_that_was_kept_back(void **state)
{
    struct asked a;

    ask(&a, to_first(), SPAN(""), 7, 1);
    assert_int_equal(b.wanted, 0);
    UNTIL(b.wanted == 1);
    assert_int_equal(b.first.connections, 1);
    assert_int_equal(a.answers, 0);
    send_piece(&a, "hello\r\n", 7);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
}

/* … also when the one that was kept ends while it is waited for. */
static void a_connection_may_end_while_the_body_is_waited_for(void **state)
{
    struct asked a;

    deliver(&a, to_first());
    ask(&a, to_first(), SPAN(""), 7, 1);
    UNTIL(b.wanted == 1);
    assert_int_equal(b.first.connections, 1);
    station_hang_up(&b.first);
    UNTIL(b.first.connections == 2 || a.answers);
    assert_int_equal(a.answers, 0);
    send_piece(&a, "hello\r\n", 7);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
}

static void streams(const char *ehlo)
{
    static char piece[PIECE];
    struct asked a;

    for (size_t i = 0; i < PIECE; i += 50) {
        memset(piece + i, '.', 48);
        memcpy(piece + i + 48, "\r\n", 2);
    }
    b.first.ehlo = ehlo;
    ask(&a, to_first(), SPAN(""), (uint64_t)PIECE * PIECES, 1);
    for (int i = 0; i < PIECES; i++)
        send_piece(&a, piece, PIECE);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    size_t dots = ehlo ? 0 : (size_t)PIECES * PIECE / 50;
    assert_int_equal(b.first.message.size, strlen("Received: x\r\n") + PIECE * PIECES + dots);
}

/* "own" is one address that we listen on; the other stations are somebody else's. */
static void never_carries_mail_back_to_itself(void **state)
{
    static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    struct conf_address own = {.port = (uint16_t)b.first.port};
    struct asked a;

    memcpy(own.ip, loopback, sizeof(own.ip));
    struct conf_smtp with_own = {.hostname = SPAN("mx.test"), .own = &own, .own_count = 1};
    assert_int_equal(smtp_proc_use(&b.proc, &with_own), 0);
    deliver(&a, to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_string_equal(a.of[0].status, "4.3.5");
    assert_non_null(strstr(a.of[0].text, "leads back to this server"));
    deliver(&a, to_both()); /* the second one is another port of this machine */
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(b.first.connections, 0);
    deliver(&a, "mx:b.test"); /* all names are 127.0.0.1 */
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[0].status, "5.4.6");
}

static void streams_large_messages(void **state)
{
    streams(NULL);
}

static void streams_in_chunks(void **state)
{
    streams("250-x\r\n250-CHUNKING\r\n250 PIPELINING");
}

static void lets_go_of_a_body_that_cannot_come(void **state)
{
    struct asked a;
    char piece[100] = "";

    memset(piece, 'x', sizeof(piece));
    ask(&a, to_first(), SPAN(""), 1000, 1);
    send_piece(&a, piece, sizeof(piece));
    send_piece(&a, piece, 0);
    UNTIL(a.answers);
    assert_is_ours(&a);
    assert_int_equal(b.first.messages, 0);
}

static void ends(void **state)
{
    struct asked a, late;

    b.first.greeting = "220-wait";
    ask(&a, to_first(), SPAN(""), 0, 2);
    UNTIL(b.first.connections);
    smtp_proc_end(&b.proc);
    ask(&late, to_first(), SPAN(""), 0, 1);
    UNTIL(a.answers && late.answers);
    assert_int_equal(a.count, 2);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(late.of[0].outcome, IPC_OUTCOME_UNTRIED);
}

/* The socket takes the answers bit by bit. With the end of the process they'd be lost. */
static void ends_when_all_is_told(void **state)
{
    enum { COUNT = 500 };
    static struct asked asked[COUNT];
    const int little = 1;

    assert_int_equal(setsockopt(b.own_fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    b.silent = true;
    for (size_t i = 0; i < COUNT; i++)
        ask(&asked[i], to_both(), SPAN(""), 0, 2);
    UNTIL(b.proc.job_count == COUNT);
    smtp_proc_end(&b.proc);
    UNTIL(b.proc.process.ending);
    ipc_channel_free(b.proc.queue);
    b.proc.queue = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        UNTIL(asked[i].answers);
        assert_int_equal(asked[i].count, 2);
        assert_int_equal(asked[i].of[1].outcome, IPC_OUTCOME_UNTRIED);
    }
}

static void loses_the_queue(void **state)
{
    struct asked a;

    b.first.greeting = "220-wait";
    ask(&a, to_first(), SPAN(""), 0, 1);
    UNTIL(b.first.connections);
    ipc_channel_free(b.queue);
    b.queue = NULL;
    UNTIL(b.proc.job_count == 0 && b.proc.connection_count == 0);
}

static char routed[512];

static void on_routed(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    copy(reply->routed.text, routed, sizeof(routed));
}

static void explains_a_route(void **state)
{
    struct ipc_message m = {.type = IPC_ROUTE,
                            .route.next_hop = SPAN("host:one.test:26,[2001:db8::1]:25")};
    struct asked a = {.call.fn = on_routed};

    assert_int_equal(ipc_call(b.queue, &a.call, &m), 0);
    UNTIL(!ipc_call_is_pending(&a.call));
    assert_string_equal(routed, "one.test [127.0.0.1]:26\n[2001:db8::1] [2001:db8::1]:25\n");
    assert_int_equal(b.questions, 2);
    assert_int_equal(b.proc.connection_count, 0);
}

/* Its connection is there: that needs nothing of the old configuration. */
static void a_reload_leaves_alone_who_has_a_connection(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a, asking;

    b.first.greeting = "220-wait";
    ask(&a, to_first(), body, body.size, 1);
    UNTIL(b.first.connections);
    b.silent = true;
    ask(&asking, "mx:b.test", body, body.size, 1);
    UNTIL(b.questions);
    assert_int_equal(smtp_proc_use(&b.proc, &conf), 0);
    UNTIL(asking.answers);
    assert_int_equal(asking.of[0].outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(a.answers, 0);
    assert_int_equal(write(b.first.peers[0].fd, "220 go\r\n", 8), 8);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(b.first.connections, 1);
}

/* Where it leads nobody may answer, and the new route lead elsewhere: without an attempt that
 * counts. */
static void a_reload_stops_who_is_connecting(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    ask(&a, to_first(), body, body.size, 1);
    UNTIL(b.proc.job_count);
    assert_int_equal(CONTAINER_OF(b.proc.jobs.next, struct smtp_job, link)->state,
                     SMTP_JOB_CONNECTING);
    assert_int_equal(smtp_proc_use(&b.proc, &conf), 0);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(b.first.messages, 0);
}

/* Whoever asked would wait for ever. */
static void a_reload_answers_who_asks_for_a_route(void **state)
{
    struct ipc_message m = {.type = IPC_ROUTE, .route.next_hop = SPAN("host:one.test:26")};
    struct asked a = {.call.fn = on_routed};

    b.silent = true;
    assert_int_equal(ipc_call(b.queue, &a.call, &m), 0);
    UNTIL(b.questions);
    assert_int_equal(smtp_proc_use(&b.proc, &conf), 0);
    UNTIL(!ipc_call_is_pending(&a.call));
    assert_non_null(strstr(routed, "ask again"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(delivers),
        TEST(reuses_connections),
        TEST(goes_to_the_next_host),
        TEST(comes_again_for_the_rest),
        TEST(comes_again_on_another_connection),
        TEST(comes_again_not_for_the_greylisted),
        TEST(the_next_host_gets_the_greylisted),
        TEST(the_greylisted_come_not_back),
        TEST(comes_again_after_a_goodbye),
        TEST(comes_again_not_for_ever),
        TEST(passes_a_closed_port),
        TEST(tells_of_hosts_with_the_longest_names),
        TEST(tells_whom_a_trouble_is_about),
        TEST(many_silent_hosts_take_few_questions),
        TEST(a_silent_host_takes_the_time_of_one_question),
        TEST(very_many_silent_hosts_hold_up_nobody),
        TEST(a_full_channel_is_waited_for),
        TEST(returns),
        TEST(tells_the_last_trouble),
        TEST(a_later_trouble_is_the_last),
        TEST(blames_no_station_for_a_stale_connection),
        TEST(refuses_nobody_on_a_stale_connection),
        TEST(tells_a_bad_sender_from_a_busy_host),
        TEST(is_uncertain),
        TEST(knows_dead_domains),
        TEST(tells_why_a_route_has_no_address),
        TEST(blames_nobody_for_a_resolver_that_fails),
        TEST(blames_nobody_for_want_of_descriptors),
        TEST(blames_nobody_for_want_of_descriptors_in_a_race),
        TEST(never_carries_mail_back_to_itself),
        TEST(asks_for_a_body_that_was_kept_back),
        TEST(a_connection_may_end_while_the_body_is_waited_for),
        TEST(streams_large_messages),
        TEST(streams_in_chunks),
        TEST(lets_go_of_a_body_that_cannot_come),
        TEST(ends),
        TEST(ends_when_all_is_told),
        TEST(loses_the_queue),
        TEST(explains_a_route),
        TEST(a_reload_leaves_alone_who_has_a_connection),
        TEST(a_reload_stops_who_is_connecting),
        TEST(a_reload_answers_who_asks_for_a_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
