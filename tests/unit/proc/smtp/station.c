#include "station.h"

#undef NDEBUG
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* In one piece: what "comes along" with a reply must. */
static void say(struct station_peer *p, const char *text, const char *usual)
{
    struct buffer line = BUFFER_INIT;

    assert(buffer_printf(&line, "%s\r\n", text ? text : usual) == 0);
    assert(write(p->fd, line.data, line.size) == (ssize_t)line.size);
    buffer_done(&line);
}

static void hang_up(struct station_peer *p)
{
    if (p->fd < 0)
        return;
    io_watch_free(p->watch);
    close(p->fd);
    p->fd = -1;
    buffer_done(&p->in);
}

static void end_message(struct station_peer *p)
{
    struct station *s = p->station;

    p->in_data = false;
    s->messages++;
    p->messages++;
    if (s->drop_at_end)
        hang_up(p);
    else
        say(p, s->end, "250 2.0.0 Ok: queued as ABC123");
}

static void on_command(struct station_peer *p, struct span line)
{
    struct station *s = p->station;

    buffer_append_span(&s->commands, line);
    buffer_append_byte(&s->commands, '\n');
    if (span_starts_nocase(line, SPAN("EHLO"))) {
        say(p, s->ehlo, "250-station.test\r\n250 PIPELINING");
    } else if (span_starts_nocase(line, SPAN("MAIL"))) {
        p->recipients = 0;
        if ((s->drop_at_mail && s->messages) || (s->one_message && p->messages))
            hang_up(p);
        else
            say(p, s->mail, "250 2.1.0 ok");
    } else if (span_starts_nocase(line, SPAN("RCPT"))) {
        if (span_starts_nocase(line, SPAN("RCPT TO:<grey"))) {
            s->greylisted++;
            say(p, NULL, "450 4.2.0 greylisted");
            return;
        }
        bool fits = !s->recipients_max || p->recipients++ < s->recipients_max;
        say(p, fits ? s->rcpt : "452 4.5.3 too many", "250 2.1.5 ok");
    } else if (span_starts_nocase(line, SPAN("DATA"))) {
        say(p, s->data, "354 go on");
        p->in_data = !s->data;
        buffer_clear(&s->message);
    } else if (span_starts_nocase(line, SPAN("BDAT "))) {
        p->chunk_left = strtoul(line.data + 5, NULL, 10);
        p->chunk_last = line.data[line.size - 1] == 'T';
    } else if (span_starts_nocase(line, SPAN("RSET"))) {
        s->resets++;
        say(p, NULL, "250 ok");
    } else if (span_starts_nocase(line, SPAN("QUIT"))) {
        say(p, NULL, "221 bye");
        hang_up(p);
    } else {
        say(p, NULL, "500 what?");
    }
}

static void on_line(struct station_peer *p, struct span line)
{
    struct station *s = p->station;

    assert(line.size && line.data[line.size - 1] == '\r');
    if (!p->in_data) {
        on_command(p, span_first(line, line.size - 1));
    } else if (span_equal(line, SPAN(".\r"))) {
        end_message(p);
    } else {
        buffer_append_span(&s->message, line);
        buffer_append_byte(&s->message, '\n');
    }
}

static void take_chunk(struct station_peer *p)
{
    struct station *s = p->station;
    size_t size = p->in.size < p->chunk_left ? p->in.size : p->chunk_left;

    buffer_append(&s->message, p->in.data, size);
    buffer_consume(&p->in, size);
    p->chunk_left -= size;
    if (p->chunk_left)
        return;
    if (p->chunk_last)
        end_message(p);
    else
        say(p, NULL, "250 ok");
}

static void on_bytes(void *arg, int fd, unsigned events)
{
    struct station_peer *p = arg;
    char bytes[65536];
    ssize_t n = read(fd, bytes, sizeof(bytes));

    if (n <= 0) {
        hang_up(p);
        return;
    }
    buffer_append(&p->in, bytes, (size_t)n);
    while (p->fd >= 0 && p->in.size) {
        if (p->chunk_left) {
            take_chunk(p);
            continue;
        }
        ptrdiff_t lf = span_find(buffer_span(&p->in), '\n');
        if (lf < 0)
            break;
        char *line = strndup(p->in.data, (size_t)lf);
        buffer_consume(&p->in, (size_t)lf + 1);
        on_line(p, span_of(line, (size_t)lf));
        free(line);
    }
}

static void stop_listening(struct station *s)
{
    if (s->fd < 0)
        return;
    io_watch_free(s->watch);
    close(s->fd);
    s->fd = -1;
}

static void on_knock(void *arg, int fd, unsigned events)
{
    struct station *s = arg;
    struct station_peer *p = &s->peers[0];

    while (p->fd >= 0)
        assert(++p < s->peers + STATION_CONNECTIONS);
    p->fd = accept(fd, NULL, NULL);
    assert(p->fd >= 0);
    p->in_data = false;
    p->chunk_left = 0;
    p->messages = 0;
    p->station = s;
    s->connections++;
    if (s->one_connection)
        stop_listening(s);
    assert(io_watch_new(s->loop, p->fd, on_bytes, p, &p->watch) == 0);
    io_watch_set(p->watch, IO_READ);
    say(p, s->greeting, "220 station.test");
}

void station_open(struct station *s, struct io_loop *loop)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);

    *s = (struct station){.loop = loop, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    for (int i = 0; i < STATION_CONNECTIONS; i++)
        s->peers[i].fd = -1;
    assert(bind(s->fd, (struct sockaddr *)&a, size) == 0 && listen(s->fd, 16) == 0);
    assert(getsockname(s->fd, (struct sockaddr *)&a, &size) == 0);
    s->port = ntohs(a.sin_port);
    assert(io_watch_new(loop, s->fd, on_knock, s, &s->watch) == 0);
    io_watch_set(s->watch, IO_READ);
}

void station_hang_up(struct station *s)
{
    for (int i = 0; i < STATION_CONNECTIONS; i++)
        hang_up(&s->peers[i]);
}

void station_close(struct station *s)
{
    station_hang_up(s);
    stop_listening(s);
    buffer_done(&s->commands);
    buffer_done(&s->message);
}
