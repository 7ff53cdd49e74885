/*
 * Takes messages by SMTP, forgets them, and counts each number: the station behind the servers that
 * bench/compare lets relay. One thread, epoll.
 *
 *   bench_take PORT [FILE]
 *
 * With FILE it writes what it takes there in groups and answers a message when it is synced
 * (group.h): an acceptor that does nothing else, to estimate what this machine allows.
 *
 * The number is what stands before the plus sign of the recipient (see send.c). It counts once the
 * final dot is answered. The command XCOUNT is answered with
 * "250 MESSAGES DISTINCT-NUMBERS LARGEST-NUMBER-OF-COPIES BYTES CONNECTIONS".
 */
#include "group.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048,
    NUMBERS_MAX = 1 << 22,
    RECIPIENTS_MAX = 1000,
    READ_BYTES = 1 << 18,
    OUT_MAX = 8192,
};

static const char end_of_data[] = "\r\n.\r\n";

struct client {
    int fd;
    bool in_data;
    size_t matched; /* bytes of end_of_data seen at the end of what came */
    char line[LINE_MAX_BYTES];
    size_t line_size;
    long numbers[RECIPIENTS_MAX];
    size_t number_count;
    char out[OUT_MAX];
    size_t out_size;
    bool quits;
    bool waits, gone; /* for the sync of its message; its end came meanwhile */
};

static struct {
    unsigned char copies[NUMBERS_MAX];
    long messages, distinct, most_copies, connections;
    unsigned long long bytes;
    int epoll;
    bool keeps; /* what it takes, in a file */
    char input[READ_BYTES];
} bench;

static void say(struct client *c, const char *text)
{
    size_t size = strlen(text);

    if (c->out_size + size <= sizeof(c->out)) {
        memcpy(c->out + c->out_size, text, size);
        c->out_size += size;
    }
}

static void count_message(struct client *c)
{
    bench.messages++;
    for (size_t i = 0; i < c->number_count; i++) {
        unsigned char *copies = &bench.copies[c->numbers[i]];
        if (*copies < 255)
            ++*copies;
        bench.distinct += *copies == 1;
        bench.most_copies = *copies > bench.most_copies ? *copies : bench.most_copies;
    }
    c->number_count = 0;
}

static void add_recipient(struct client *c)
{
    const char *address = memchr(c->line, '<', c->line_size);
    long number = address ? strtol(address + 1, NULL, 10) : -1;

    if (number < 0 || number >= NUMBERS_MAX || c->number_count == RECIPIENTS_MAX) {
        say(c, "550 5.1.1 no number\r\n");
        return;
    }
    c->numbers[c->number_count++] = number;
    say(c, "250 2.1.5 Ok\r\n");
}

static void say_counts(struct client *c)
{
    char text[200];

    snprintf(text, sizeof(text), "250 %ld %ld %ld %llu %ld\r\n", bench.messages, bench.distinct,
             bench.most_copies, bench.bytes, bench.connections);
    say(c, text);
}

static void obey(struct client *c)
{
    if (strncasecmp(c->line, "EHLO", 4) == 0) {
        say(c, "250-take.bench.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250 8BITMIME\r\n");
    } else if (strncasecmp(c->line, "RCPT", 4) == 0) {
        add_recipient(c);
    } else if (strncasecmp(c->line, "DATA", 4) == 0) {
        c->in_data = true;
        c->matched = 2; /* a dot right here ends an empty message */
        say(c, "354 go on\r\n");
    } else if (strncasecmp(c->line, "XCOUNT", 6) == 0) {
        say_counts(c);
    } else if (strncasecmp(c->line, "QUIT", 4) == 0) {
        c->quits = true;
        say(c, "221 2.0.0 Bye\r\n");
    } else {
        c->number_count = 0;
        say(c, "250 2.0.0 Ok\r\n");
    }
}

static void say_taken(struct client *c)
{
    say(c, "250 2.0.0 Ok: taken\r\n");
}

/* Bytes of a body up to its end, or all; the end may come in pieces. */
static size_t find_end(struct client *c, const char *bytes, size_t size)
{
    size_t i = 0;

    while (i < size && c->matched < 5) {
        if (c->matched == 0) { /* a quick way to what may be the end */
            const char *next = memchr(bytes + i, '\r', size - i);
            if (!next)
                return size;
            i = (size_t)(next - bytes);
        }
        char byte = bytes[i++];
        c->matched = byte == end_of_data[c->matched] ? c->matched + 1 : byte == '\r';
    }
    return i;
}

static size_t take_data(struct client *c, const char *bytes, size_t size)
{
    size_t part = find_end(c, bytes, size);

    if (bench.keeps)
        group_add(bytes, part);
    if (c->matched < 5)
        return part;
    c->in_data = false;
    count_message(c);
    c->waits = bench.keeps;
    if (c->waits)
        group_wait(c);
    else
        say_taken(c);
    return part;
}

static size_t take_command(struct client *c, const char *bytes, size_t size)
{
    const char *end = memchr(bytes, '\n', size);
    size_t part = end ? (size_t)(end - bytes) + 1 : size;

    if (c->line_size + part < sizeof(c->line)) {
        memcpy(c->line + c->line_size, bytes, part);
        c->line_size += part;
    }
    if (end) {
        c->line[c->line_size] = '\0';
        obey(c);
        c->line_size = 0;
    }
    return part;
}

static void flush(struct client *c)
{
    ssize_t n = c->out_size > 0 ? write(c->fd, c->out, c->out_size) : 0;

    c->quits = c->quits || n != (ssize_t)c->out_size;
    c->out_size = 0;
}

static void close_unless_waiting(struct client *c)
{
    c->gone = true;
    if (c->waits) { /* on_synced() closes it; until then it is not heard */
        epoll_ctl(bench.epoll, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    close(c->fd);
    free(c);
}

static void on_input(struct client *c)
{
    ssize_t n = read(c->fd, bench.input, sizeof(bench.input));
    size_t at = 0;

    if (n < 0 && errno == EAGAIN)
        return;
    while (n > 0 && at < (size_t)n)
        at += c->in_data ? take_data(c, bench.input + at, (size_t)n - at)
                         : take_command(c, bench.input + at, (size_t)n - at);
    bench.bytes += at;
    flush(c);
    c->quits = c->quits || n <= 0;
    if (c->quits)
        close_unless_waiting(c);
}

static void on_synced(void *who)
{
    struct client *c = who;

    c->waits = false;
    say_taken(c);
    flush(c);
    if (c->gone)
        close_unless_waiting(c);
}

/* `what` tells the events of a client from those of the listener and of the file. */
static void watch(int fd, void *what)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};

    epoll_ctl(bench.epoll, EPOLL_CTL_ADD, fd, &e);
}

static void on_connection(int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct client *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

    if (!c)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->fd = fd;
    bench.connections++;
    watch(fd, c);
    say(c, "220 take.bench.test ESMTP\r\n");
    flush(c);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 4096) < 0) {
        perror("bench_take");
        exit(1);
    }
    return listener;
}

int main(int argc, char **argv)
{
    static char is_listener, is_file;
    struct epoll_event events[256];

    if (argc < 2 || argc > 3)
        return 2;
    bench.epoll = epoll_create1(EPOLL_CLOEXEC);
    bench.keeps = argc > 2;
    if (bench.keeps) {
        group_open(argv[2]);
        watch(group_fd(), &is_file);
    }
    int listener = listen_on((uint16_t)atoi(argv[1]));
    watch(listener, &is_listener);
    for (;;) {
        int n = epoll_wait(bench.epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &is_listener)
                on_connection(listener);
            else if (events[i].data.ptr == &is_file)
                group_done(on_synced);
            else
                on_input(events[i].data.ptr);
        }
        if (bench.keeps)
            group_start();
    }
}
