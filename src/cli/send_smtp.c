#include "cli/send_smtp.h"

#include "base/buffer.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/submit.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What our side says, on its way to the server. */
struct ours {
    enum { LINES_UNKNOWN, LINES_CRLF, LINES_LF } end; /* how its lines end */
    bool after_cr;
    bool ended;
    struct buffer out; /* read, and not sent yet */
};

/* Scripts write LF alone, and then do so in their first line. Where that one ends with CRLF all
 * goes on as it is: a bare LF in such a stream was written by somebody else than the script, and
 * would, as a line's end, let him speak SMTP in its place. */
static void learn_end(struct ours *o, struct span piece)
{
    ptrdiff_t end = span_find(piece, '\n');

    if (end > 0)
        o->end = piece.data[end - 1] == '\r' ? LINES_CRLF : LINES_LF;
    else if (end == 0)
        o->end = o->after_cr ? LINES_CRLF : LINES_LF;
}

static void take_lines(struct ours *o, struct span piece)
{
    if (o->end == LINES_UNKNOWN)
        learn_end(o, piece);
    for (size_t i = 0; i < piece.size; i++) {
        if (o->end == LINES_LF && piece.data[i] == '\n' && !o->after_cr)
            buffer_append_byte(&o->out, '\r');
        buffer_append_byte(&o->out, piece.data[i]);
        o->after_cr = piece.data[i] == '\r';
    }
}

/* Handed on as the end of our side only: the server's last replies must still come. */
static void end_ours(struct ours *o, int to)
{
    o->ended = true;
    buffer_clear(&o->out);
    shutdown(to, SHUT_WR);
}

static void read_ours(struct ours *o, int to)
{
    char piece[65536];
    ssize_t size = read(STDIN_FILENO, piece, sizeof(piece));

    if (size > 0)
        take_lines(o, span_of(piece, (size_t)size));
    if (size == 0 || (size < 0 && errno != EINTR) || buffer_error(&o->out))
        end_ours(o, to);
}

/* What the socket takes: a server may wait for its replies to be read, and who waited for that
 * server would never read them. */
static void send_ours(struct ours *o, int to)
{
    ssize_t sent = send(to, o->out.data, o->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent >= 0)
        buffer_consume(&o->out, (size_t)sent);
    else if (errno != EINTR && errno != EAGAIN)
        end_ours(o, to);
}

/* False when the server's side has ended. */
static bool copy_replies(int from)
{
    char piece[65536];
    ssize_t size = read(from, piece, sizeof(piece));

    if (size < 0 && errno == EINTR)
        return true;
    return size > 0 && fd_write_all(STDOUT_FILENO, span_of(piece, (size_t)size)) == 0;
}

/* Two streams, and no understanding of either. Nothing is read from our side before the greeting: a
 * script may have written all its commands at once, and a server takes who speaks first for a bot.
 */
static void exchange(struct ours *o, int fd)
{
    bool greeted = false;

    for (;;) {
        bool waits = o->out.size > 0;
        struct pollfd ends[] = {
            {.fd = greeted && !waits && !o->ended ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = fd, .events = waits ? POLLIN | POLLOUT : POLLIN}};
        if (poll(ends, ARRAY_SIZE(ends), -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        if (ends[1].revents & ~POLLOUT) {
            if (!copy_replies(fd))
                return;
            greeted = true;
        }
        if (ends[1].revents & POLLOUT)
            send_ours(o, fd);
        if (ends[0].revents)
            read_ours(o, fd);
    }
}

int send_speak_smtp(const char *submit_path)
{
    int fd = submit_connect(submit_path);
    struct ours ours = {.ended = false};

    if (fd < 0) {
        puts("421 4.3.0 The mail server is not running\r");
        return cli_finish_output("send", CLI_UNREACHED);
    }
    exchange(&ours, fd);
    buffer_done(&ours.out);
    close(fd);
    return CLI_OK;
}
