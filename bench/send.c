/*
 * Sends numbered messages by SMTP, as fast as the server takes them: one thread, epoll, a reply
 * awaited after each command, as smtp-source does, at a fraction of its CPU.
 *
 *   bench_send PORT SESSIONS PER_CONNECTION MESSAGES SECONDS BYTES TO [RECIPIENTS [DOMAINS]]
 *
 * PER_CONNECTION 0: one connection a session takes them all. It ends after MESSAGES, or begins no
 * more after SECONDS (0: no such limit). Message N goes to N and TO ("+@bench.test"), or where TO
 * begins with a letter to TO itself, and says N in its field X-Number. With RECIPIENTS it has so
 * many, numbered N × RECIPIENTS and on. With DOMAINS the number of one of so many stands before the
 * last label of the domain (+@bench.test: 7+@bench.3.test). A refused message is counted, and its
 * session goes on with a new connection. Sessions that hear nothing for long after SECONDS are
 * given up; the time is that until the last message was accepted. Prints one line of JSON, and
 * where it takes long now and then on standard error how far it is. MESSAGES 0: the sessions say
 * EHLO and stay until standard input ends.
 */
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    REPLY_MAX = 4096,
    HEAD_MAX = 512,
    FAILURES_MAX = 1000,
    PATIENCE_MS = 15000, /* for the end of what was begun in time */
    PROGRESS_MS = 15000,
};

/* What the session said last, and so what the reply is about. */
enum step { GREETING, EHLO, MAIL, RCPT, DATA, BODY, QUIT, STEPS };

static const char *const answers[STEPS] = {"220", "250", "250", "250", "354", "250", "221"};

struct session {
    int fd;
    enum step step;
    long number, on_connection, recipients; /* recipients: named for this message */
    char reply[REPLY_MAX];
    size_t replied;
    char head[HEAD_MAX];
    struct iovec out[2]; /* to be written: head or a command, and the body */
};

static struct {
    struct sockaddr_in server;
    struct session *sessions;
    char *body;
    size_t body_size;
    const char *to;
    long session_count, connected, per_connection, messages, begun, accepted, failed, connections,
        idle, open, recipients, domains;
    int64_t started_ms, last_ms, limit_ms, told_ms;
    char first_failure[160];
    int epoll;
} bench;

static void converse(struct session *s);

static void make_body(size_t size)
{
    bench.body = malloc(size + 8);
    for (size_t i = 0; i < size; i++)
        bench.body[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i / 72 % 26);
    memcpy(bench.body + size, "\r\n.\r\n", 5);
    bench.body_size = size + 5;
}

static void watch(struct session *s, int operation, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    epoll_ctl(bench.epoll, operation, s->fd, &e);
}

static void connect_session(struct session *s)
{
    int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(s->fd, (struct sockaddr *)&bench.server, sizeof(bench.server)) < 0 &&
        errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
    bench.connections++;
    s->step = GREETING;
    s->on_connection = 0;
    s->replied = 0;
    s->out[0].iov_len = s->out[1].iov_len = 0;
    watch(s, EPOLL_CTL_ADD, EPOLLIN);
}

/* The clock starts with the first message. */
static bool has_more(void)
{
    if (bench.started_ms == 0)
        bench.started_ms = clock_monotonic_ms();
    return bench.begun < bench.messages &&
           (bench.limit_ms == 0 || clock_monotonic_ms() < bench.started_ms + bench.limit_ms);
}

static void end_connection(struct session *s)
{
    close(s->fd);
    if (has_more())
        connect_session(s);
    else
        bench.open--;
}

static void fail(struct session *s, const char *why)
{
    if (bench.failed++ == 0)
        snprintf(bench.first_failure, sizeof(bench.first_failure), "%.*s",
                 (int)strcspn(why, "\r\n\"\\"), why);
    if (bench.failed > FAILURES_MAX) {
        fprintf(stderr, "too many failures; the first: %s\n", bench.first_failure);
        exit(1);
    }
    end_connection(s);
}

static void flush(struct session *s)
{
    struct iovec *out = s->out[0].iov_len > 0 ? s->out : s->out + 1;

    while (s->out[1].iov_len + s->out[0].iov_len > 0) {
        ssize_t n = writev(s->fd, out, out == s->out ? 2 : 1);
        if (n < 0 && errno == EAGAIN) {
            watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            fail(s, "the connection was lost");
            return;
        }
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)n < s->out[i].iov_len ? (size_t)n : s->out[i].iov_len;
            s->out[i].iov_base = (char *)s->out[i].iov_base + part;
            s->out[i].iov_len -= part;
            n -= (ssize_t)part;
        }
        out = s->out[0].iov_len > 0 ? s->out : s->out + 1;
    }
}

static void say(struct session *s, enum step step, int size)
{
    s->step = step;
    s->out[0] = (struct iovec){s->head, (size_t)size};
    flush(s);
}

static void say_body(struct session *s)
{
    int size = snprintf(s->head, sizeof(s->head),
                        "From: anna@bench.test\r\nTo: bench\r\nSubject: bench\r\n"
                        "Date: Sat, 21 Nov 2026 18:00:00 +0000\r\n"
                        "Message-ID: <%ld.%d@bench.test>\r\nX-Number: %012ld\r\n\r\n",
                        s->number, (int)getpid(), s->number);
    s->out[1] = (struct iovec){bench.body, bench.body_size};
    say(s, BODY, size);
}

static void begin_message(struct session *s)
{
    if (!has_more() || (bench.per_connection > 0 && s->on_connection == bench.per_connection)) {
        say(s, QUIT, snprintf(s->head, sizeof(s->head), "QUIT\r\n"));
        return;
    }
    s->on_connection++;
    s->number = bench.begun++;
    s->recipients = 0;
    say(s, MAIL, snprintf(s->head, sizeof(s->head), "MAIL FROM:<anna@bench.test>\r\n"));
}

static void name_recipient(struct session *s)
{
    long number = s->number * bench.recipients + s->recipients++;
    const char *label = strrchr(bench.to, '.');
    int size;

    if (*bench.to != '+')
        size = snprintf(s->head, sizeof(s->head), "RCPT TO:<%s>\r\n", bench.to);
    else if (bench.domains > 0 && label)
        size = snprintf(s->head, sizeof(s->head), "RCPT TO:<%ld%.*s.%ld%s>\r\n", number,
                        (int)(label - bench.to), bench.to, number % bench.domains, label);
    else
        size = snprintf(s->head, sizeof(s->head), "RCPT TO:<%ld%s>\r\n", number, bench.to);
    say(s, RCPT, size);
}

/* The server answered what it should. */
static void proceed(struct session *s)
{
    switch (s->step) {
    case GREETING:
        /* One after the other: servers with a short backlog lose connections of a crowd. */
        if (bench.connected < bench.session_count)
            connect_session(&bench.sessions[bench.connected++]);
        say(s, EHLO, snprintf(s->head, sizeof(s->head), "EHLO client.bench.test\r\n"));
        break;
    case BODY:
        bench.accepted++;
        bench.last_ms = clock_monotonic_ms();
        begin_message(s);
        break;
    case EHLO:
        if (bench.messages == 0)
            bench.idle++;
        else
            begin_message(s);
        break;
    case MAIL:
        name_recipient(s);
        break;
    case RCPT:
        if (s->recipients < bench.recipients)
            name_recipient(s);
        else
            say(s, DATA, snprintf(s->head, sizeof(s->head), "DATA\r\n"));
        break;
    case DATA:
        say_body(s);
        break;
    default:
        end_connection(s);
    }
}

/* A whole reply: its last line has a space behind the code. */
static bool is_whole(const struct session *s)
{
    const char *line = s->reply + s->replied - 2;

    if (s->replied < 6 || memcmp(line, "\r\n", 2) != 0)
        return false;
    while (line > s->reply && line[-1] != '\n')
        line--;
    return line[3] == ' ';
}

static void converse(struct session *s)
{
    ssize_t n = read(s->fd, s->reply + s->replied, sizeof(s->reply) - 1 - s->replied);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        fail(s, "the server closed the connection");
        return;
    }
    s->replied += (size_t)n;
    if (!is_whole(s))
        return;
    s->reply[s->replied] = '\0';
    s->replied = 0;
    if (strncmp(s->reply, answers[s->step], 3) != 0)
        fail(s, s->reply);
    else
        proceed(s);
}

static void on_event(const struct epoll_event *event)
{
    struct session *s = event->data.ptr;

    if (event->events & EPOLLOUT) {
        watch(s, EPOLL_CTL_MOD, EPOLLIN);
        flush(s);
    } else {
        converse(s);
    }
}

static bool is_late(void)
{
    return bench.limit_ms > 0 && bench.started_ms > 0 &&
           clock_monotonic_ms() > bench.started_ms + bench.limit_ms + PATIENCE_MS;
}

static void tell_progress(void)
{
    int64_t now_ms = clock_monotonic_ms();

    if (bench.started_ms == 0 || bench.messages == 0)
        return;
    if (bench.told_ms == 0)
        bench.told_ms = bench.started_ms;
    if (now_ms < bench.told_ms + PROGRESS_MS)
        return;
    bench.told_ms = now_ms;
    fprintf(stderr, "    %ld accepted in %.0f s\n", bench.accepted,
            (double)(now_ms - bench.started_ms) / 1000);
}

static void run(void)
{
    struct epoll_event events[256];

    while (bench.open > 0) {
        int n = epoll_wait(bench.epoll, events, 256, 1000);
        for (int i = 0; i < n; i++)
            on_event(&events[i]);
        tell_progress();
        if (is_late()) {
            bench.failed += bench.open;
            snprintf(bench.first_failure, sizeof(bench.first_failure), "no answer in time");
            return;
        }
        if (bench.messages == 0 && bench.idle == bench.session_count) {
            puts("{\"idle\": true}");
            fflush(stdout);
            while (getchar() != EOF)
                ;
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 8 || argc > 10) {
        fprintf(stderr, "usage: bench_send PORT SESSIONS PER_CONNECTION MESSAGES SECONDS BYTES TO "
                        "[RECIPIENTS [DOMAINS]]\n");
        return 2;
    }
    bench.server = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)atoi(argv[1])),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bench.open = bench.session_count = atol(argv[2]);
    bench.per_connection = atol(argv[3]);
    bench.messages = atol(argv[4]);
    bench.limit_ms = atol(argv[5]) * 1000;
    make_body((size_t)atol(argv[6]));
    bench.to = argv[7];
    bench.recipients = argc > 8 ? atol(argv[8]) : 1;
    bench.domains = argc > 9 ? atol(argv[9]) : 0;
    bench.epoll = epoll_create1(EPOLL_CLOEXEC);
    bench.sessions = calloc((size_t)bench.session_count, sizeof(*bench.sessions));
    connect_session(&bench.sessions[bench.connected++]);
    run();
    printf("{\"accepted\": %ld, \"failed\": %ld, \"first_failure\": \"%s\", \"connections\": %ld, "
           "\"started\": %.3f, \"seconds\": %.3f}\n",
           bench.accepted, bench.failed, bench.first_failure, bench.connections,
           (double)bench.started_ms / 1000, (double)(bench.last_ms - bench.started_ms) / 1000);
    return 0;
}
