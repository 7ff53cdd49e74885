/*
 * The whole smtp process, but for its sandbox, between a queue, a resolver and stations that are
 * all hostile: jobs for any next hop, pieces that fit or don't, answers to DNS questions with any
 * records, any replies; each may go at any time. Input: a byte that picks what happens, then its
 * fields (fuzz_peer.h). The first byte of all says whether every job goes by MX.
 *
 * It doesn't end; each job is answered at most once, with an outcome for each recipient by its
 * index, and all are answered when it ends: as soon as the queue has said that no more come, not
 * before. Mail that goes by MX is never carried to a private, loopback or own address, whatever the
 * resolver says. No connection is left open.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "dns/type.h"
#include "proc/smtp/job.h"
#include "proc/smtp/proc.h"
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>

enum { OPS_MAX = 60, JOBS_MAX = 64, STATIONS_MAX = 256, QUESTIONS_MAX = 64 };

static struct conf_address own[] = {
    {.ip = {[10] = 0xff, [11] = 0xff, [12] = 198, 51, 100, 7}, .port = 25}};
static const struct conf_smtp conf = {.hostname = {"mx.test", 7}, .own = own, .own_count = 1};

static struct play {
    struct smtp_proc proc;
    struct fuzz_peer queue, resolver;
    int stations[STATIONS_MAX]; /* the other ends of its connections; -1: closed */
    size_t station_count;
    struct {
        uint64_t token;
        size_t recipients;
        uint32_t indexes[FUZZ_LIST_MAX];
    } asked[JOBS_MAX];
    size_t asked_count;
    struct {
        uint64_t token;
        uint16_t type;
    } questions[QUESTIONS_MAX];
    size_t question_count;
    int64_t passed_ms;
    bool by_mx, raw;
} play;

/* ---- the world beyond its sockets, linked in place of the real one ---- */

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
int64_t __real_io_loop_now_ms(const struct io_loop *loop);
int64_t __wrap_io_loop_now_ms(const struct io_loop *loop);

int __wrap_socket(int domain, int type, int protocol)
{
    int fds[2];

    if (domain != AF_INET && domain != AF_INET6)
        return __real_socket(domain, type, protocol);
    if (play.station_count == STATIONS_MAX) {
        errno = EMFILE;
        return -1;
    }
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    play.stations[play.station_count++] = fds[0];
    return fds[1];
}

static bool is_private(const uint8_t *bytes)
{
    uint32_t ip;

    memcpy(&ip, bytes, sizeof(ip));
    ip = ntohl(ip);
    return ip >> 24 == 127 || ip >> 24 == 10 || ip >> 24 == 0 || ip >> 20 == 0xAC1 ||
           ip >> 16 == 0xC0A8 || ip >> 16 == 0xA9FE;
}

static bool is_forbidden_v4(const uint8_t *bytes)
{
    return is_private(bytes) || memcmp(bytes, own[0].ip + IP_V4_AT, 4) == 0;
}

/* RFC 8215 and RFC 6052 2.2: a network's own translator, whose prefix has 96 bits, or 64. */
static bool is_forbidden_behind_nat64(const uint8_t *ip)
{
    return is_private(ip + 12) || (ip[9] != 0 && is_private(ip + 9));
}

static bool is_forbidden(const struct sockaddr *address)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b},
                         local_nat64[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    const uint8_t *ip = v6->sin6_addr.s6_addr;

    if (address->sa_family == AF_INET)
        return is_forbidden_v4((const uint8_t *)&v4->sin_addr);
    if (memcmp(ip, nat64, sizeof(nat64)) == 0)
        return is_forbidden_v4(ip + sizeof(nat64));
    if (ip[0] == 0x20 && ip[1] == 0x02)
        return is_private(ip + 2);
    if (memcmp(ip, local_nat64, sizeof(local_nat64)) == 0)
        return is_forbidden_behind_nat64(ip);
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ||
           IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) || IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ||
           (ip[0] & 0xFE) == 0xFC;
}

/* The last byte of the address says how it goes. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    const uint8_t *bytes = (const uint8_t *)address;
    uint8_t last = bytes[address->sa_family == AF_INET ? 7 : 23];

    assert(!play.by_mx || play.raw || !is_forbidden(address));
    errno = last % 4 == 3 ? ECONNREFUSED : EINPROGRESS;
    return last % 4 == 0 ? 0 : -1;
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    memset(out, 0, size);
    return (ssize_t)size;
}

int64_t __wrap_io_loop_now_ms(const struct io_loop *loop)
{
    return __real_io_loop_now_ms(loop) + play.passed_ms;
}

/* ---- what it says ---- */

static void check_result(const struct ipc_frame *frame, const struct ipc_job_result *result)
{
    for (size_t i = 0; i < play.asked_count; i++) {
        if (play.asked[i].token != frame->token)
            continue;
        assert(result->outcome_count == play.asked[i].recipients);
        for (size_t k = 0; k < result->outcome_count; k++)
            assert(result->outcomes[k].index == play.asked[i].indexes[k]);
        play.asked[i] = play.asked[--play.asked_count];
        return;
    }
    assert(play.raw);
}

static void on_queue_message(void *arg, const struct ipc_frame *frame,
                             const struct ipc_message *message)
{
    if (message->type == IPC_JOB_RESULT)
        check_result(frame, &message->job_result);
}

static void on_question(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    if (message->type != IPC_RESOLVE || play.question_count == QUESTIONS_MAX)
        return;
    play.questions[play.question_count].token = frame->token;
    play.questions[play.question_count++].type = message->resolve.type;
}

static bool waits_for_stopped(void)
{
    for (size_t i = 0; i < play.queue.call_count; i++)
        if (play.queue.calls[i].type == IPC_JOB_STOP)
            return true;
    return false;
}

static void turn(void)
{
    char drain[4096];

    for (int i = 0; i < 3; i++)
        assert(io_loop_turn(play.proc.process.loop) == 0);
    fuzz_peer_read(&play.queue, on_queue_message, NULL);
    fuzz_peer_read(&play.resolver, on_question, NULL);
    for (size_t i = 0; i < play.station_count; i++)
        while (play.stations[i] >= 0 && read(play.stations[i], drain, sizeof(drain)) > 0)
            ;
    assert(!play.proc.process.ending || play.queue.fd < 0 || !waits_for_stopped());
}

/* All that it does once a second is due. */
static void let_pass(int64_t ms)
{
    play.passed_ms += ms;
    assert(io_timer_set(play.proc.tick, 0) == 0);
}

/* ---- a place for it ---- */

static void connect_queue(void)
{
    fuzz_peer_close(&play.queue);
    play.asked_count = 0;
    assert(smtp_proc_connect_queue(&play.proc, fuzz_peer_open(&play.queue)) == 0);
}

static void connect_resolver(void)
{
    fuzz_peer_close(&play.resolver);
    play.question_count = 0;
    assert(smtp_proc_connect_resolver(&play.proc, fuzz_peer_open(&play.resolver)) == 0);
}

static void begin(uint8_t how)
{
    play = (struct play){.by_mx = how & 1, .queue.fd = -1, .resolver.fd = -1};
    assert(io_loop_new(&play.proc.process.loop) == 0 && smtp_proc_init(&play.proc, &conf) == 0);
    connect_queue();
    connect_resolver();
}

/* Time enough for all that it gives a shutdown, and the answer that lets it go. */
static void end(void)
{
    struct ipc_message stopped = {.type = IPC_JOB_STOPPED};

    smtp_proc_end(&play.proc);
    turn();
    if (waits_for_stopped())
        fuzz_peer_send(&play.queue, &stopped, 0);
    turn();
    let_pass(2 * SMTP_ENDING_MS);
    turn();
    let_pass(0); /* the queue has read what came of that */
    turn();
    assert(play.proc.job_count == 0);
    if (!play.raw && play.queue.fd >= 0) { /* else it was cut off for a violation */
        assert(play.asked_count == 0);
        assert(play.proc.process.ending);
    }
    smtp_proc_done(&play.proc);
    assert(play.proc.connection_count == 0);
    for (size_t i = 0; i < play.station_count; i++) {
        char byte;
        assert(play.stations[i] < 0 || read(play.stations[i], &byte, 1) >= 0 || errno != EAGAIN);
        if (play.stations[i] >= 0)
            close(play.stations[i]);
    }
    fuzz_peer_close(&play.queue);
    fuzz_peer_close(&play.resolver);
    io_loop_free(play.proc.process.loop);
}

/* ---- what happens ---- */

static struct span make_next_hop(uint8_t how, struct span own_words)
{
    static const char *const hops[] = {"mx:a.test", "mx:b.test", "host:c.test:25",
                                       "host:192.0.2.4:25,[2001:db8::4]:2525"};

    if (play.by_mx)
        return span_from_cstr(hops[how & 1]);
    return how & 4 ? own_words : span_from_cstr(hops[how & 3]);
}

static void note_job(const struct ipc_job *job)
{
    if (play.asked_count == JOBS_MAX)
        return;
    play.asked[play.asked_count].token = fuzz_peer_new_token(&play.queue) - 1;
    play.asked[play.asked_count].recipients = job->recipient_count;
    for (size_t i = 0; i < job->recipient_count; i++)
        play.asked[play.asked_count].indexes[i] = job->recipients[i].index;
    play.asked_count++;
}

static void send_job(struct span *in)
{
    struct ipc_message m = {.type = IPC_JOB};
    struct arena arena = ARENA_INIT;
    uint8_t how = fuzz_take(in);

    fuzz_fill(ipc_row(IPC_JOB)->codec, in, &arena, &m.job);
    m.job.job %= 4;
    m.job.next_hop = make_next_hop(how, m.job.next_hop);
    if (!(how & 8) || m.job.size_bytes < m.job.body.size) /* else more is to come */
        m.job.size_bytes = m.job.body.size;
    for (size_t i = 0; i < m.job.recipient_count && !(how & 16); i++)
        m.job.recipients[i].address = SPAN("bob@a.test");
    if (!(how & 16))
        m.job.sender = SPAN("al@b.test");
    uint64_t before = play.queue.asked;
    fuzz_peer_send(&play.queue, &m, 0);
    if (play.queue.asked > before) /* else it couldn't be encoded */
        note_job(&m.job);
    arena_done(&arena);
}

static void send_piece(struct span *in)
{
    fuzz_peer_send_piece(&play.queue, in);
}

/* Jobs come by send_job(), so that they are noted. */
static void send_other(struct span *in)
{
    uint8_t type = fuzz_take(in);

    if (type == 0xFF) {
        play.raw = true;
        fuzz_peer_send_raw(&play.queue, in);
    } else if (type % IPC_TYPE_COUNT != IPC_JOB && type % IPC_TYPE_COUNT != IPC_ROUTE) {
        fuzz_peer_send_any(&play.queue, type, in);
    }
}

/* A record of the type that was asked for: an address from the input, an MX, or any bytes. */
static struct span make_record(uint16_t type, struct span *in, struct arena *arena)
{
    static const char mx[] = "\0\012\001m\001a\004test";
    uint8_t how = fuzz_take(in);
    size_t size = type == DNS_TYPE_A ? 4 : 16;
    char *bytes = arena_alloc(arena, size);

    assert(bytes);
    if (how & 128)
        return fuzz_take_span(in, arena, IPC_RDATA_MAX);
    if (type == DNS_TYPE_MX)
        return span_of(mx, sizeof(mx));
    fuzz_take_bytes(in, bytes, size);
    if (how & 1) /* a good one, but for its end */
        memcpy(bytes, size == 4 ? "\300\0\002" : "\x20\x01\x0d\xb8", size == 4 ? 3 : 4);
    return span_of(bytes, size);
}

static void answer_question(struct span *in)
{
    struct ipc_message m = {.type = IPC_RESOLVED};
    struct arena arena = ARENA_INIT;
    struct ipc_rdata rdata[4];
    struct buffer frame = BUFFER_INIT;
    uint8_t how = fuzz_take(in);

    if (!play.question_count)
        return;
    size_t which = how % play.question_count;
    m.resolved.rdata = rdata;
    m.resolved.rdata_count = (how >> 4) % 5;
    m.resolved.rcode = how & 8 ? fuzz_take(in) % 6 : 0;
    m.resolved.security = how & 8 ? fuzz_take(in) % 3 : 0;
    for (size_t i = 0; i < m.resolved.rdata_count; i++)
        rdata[i].bytes = make_record(play.questions[which].type, in, &arena);
    if (ipc_frame_encode(&m, play.questions[which].token, false, &frame) == 0)
        buffer_append_span(&play.resolver.out, buffer_span(&frame));
    play.questions[which] = play.questions[--play.question_count];
    fuzz_peer_flush(&play.resolver);
    buffer_done(&frame);
    arena_done(&arena);
}

static void send_resolver(struct span *in)
{
    uint8_t type = fuzz_take(in);

    if (type == 0xFF)
        fuzz_peer_send_raw(&play.resolver, in);
    else
        fuzz_peer_send_any(&play.resolver, type, in);
}

static void speak_as_station(struct span *in)
{
    static const char *const replies[] = {"220 m ESMTP\r\n",
                                          "250-m\r\n250-PIPELINING\r\n250 SIZE 1000\r\n",
                                          "250 ok\r\n",
                                          "354 go\r\n",
                                          "450 later\r\n",
                                          "550 5.1.1 no\r\n",
                                          "421 bye\r\n",
                                          "250-m\r\n250-CHUNKING\r\n250-DSN\r\n250 SMTPUTF8\r\n",
                                          "250 ok\r\n250 ok\r\n354 go\r\n"};
    struct arena arena = ARENA_INIT;
    uint8_t which = fuzz_take(in), how = fuzz_take(in);

    if (!play.station_count)
        return;
    int *fd = &play.stations[play.station_count - 1 - which % play.station_count];
    if (how < 128) {
        fuzz_say(*fd, span_from_cstr(replies[how % ARRAY_SIZE(replies)]));
    } else if (how < 240) {
        fuzz_say(*fd, fuzz_take_span(in, &arena, 100000));
    } else if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    arena_done(&arena);
}

static void pass_time(struct span *in)
{
    let_pass((int64_t)fuzz_take(in) * 5000);
}

static void op(struct span *in)
{
    static void (*const acts[])(struct span *) = {
        send_job,         send_job,         send_piece,       send_piece,    send_other,
        answer_question,  answer_question,  answer_question,  send_resolver, speak_as_station,
        speak_as_station, speak_as_station, speak_as_station, pass_time};
    uint8_t which = fuzz_take(in);

    if (play.queue.fd < 0 || which == 0xFF)
        connect_queue();
    if (play.resolver.fd < 0 || which == 0xFE)
        connect_resolver();
    if (which == 0xFD)
        assert(smtp_proc_use(&play.proc, &conf) == 0);
    else if (which == 0xFC)
        smtp_proc_end(&play.proc);
    else if (which < 0xFC)
        acts[which % ARRAY_SIZE(acts)](in);
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);

    log_open("fuzz", LOG_LEVEL_ERROR + 1);
    signal(SIGPIPE, SIG_IGN); /* as process_main() does */
    begin(fuzz_take(&in));
    for (int i = 0; in.size && i < OPS_MAX && !play.proc.process.ending; i++)
        op(&in);
    end();
    return 0;
}
