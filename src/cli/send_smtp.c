#include "cli/send_smtp.h"

#include "base/buffer.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/submit.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* How the lines of our side end. */
struct lines {
    enum { LINES_UNKNOWN, LINES_CRLF, LINES_LF } end;
    bool after_cr;
};

/* Scripts write LF alone, and then do so in their first line. Where that one ends with CRLF all
 * goes on as it is: a bare LF in such a stream was written by somebody else than the script, and
 * would, as a line's end, let him speak SMTP in its place. */
static void learn_end(struct lines *l, struct span piece)
{
    ptrdiff_t end = span_find(piece, '\n');

    if (end > 0)
        l->end = piece.data[end - 1] == '\r' ? LINES_CRLF : LINES_LF;
    else if (end == 0)
        l->end = l->after_cr ? LINES_CRLF : LINES_LF;
}

static int write_lines(struct lines *l, int to, struct span piece)
{
    struct buffer out = BUFFER_INIT;

    if (l->end == LINES_UNKNOWN)
        learn_end(l, piece);
    for (size_t i = 0; i < piece.size; i++) {
        if (l->end == LINES_LF && piece.data[i] == '\n' && !l->after_cr)
            buffer_append_byte(&out, '\r');
        buffer_append_byte(&out, piece.data[i]);
        l->after_cr = piece.data[i] == '\r';
    }
    int result = buffer_error(&out);
    if (result == 0)
        result = fd_write_all(to, buffer_span(&out));
    buffer_done(&out);
    return result;
}

/* Moves what is there from one side to the other; `lines` only of ours. False when that side has
 * ended. */
static bool pump(int from, int to, struct lines *lines)
{
    char piece[65536];
    ssize_t size = read(from, piece, sizeof(piece));

    if (size < 0 && errno == EINTR)
        return true;
    if (size <= 0)
        return false;
    struct span got = span_of(piece, (size_t)size);
    return (lines ? write_lines(lines, to, got) : fd_write_all(to, got)) == 0;
}

/* Two streams, and no understanding of either. Standard input that ends is handed on as the end of
 * our side only: the server's last replies must still come. */
int send_speak_smtp(const char *submit_path)
{
    int fd = submit_connect(submit_path);
    struct lines lines = {0};
    /* Nothing is read from our side before the greeting: a script may have written all its commands
     * at once, and a server takes who speaks first for a bot. */
    struct pollfd ends[] = {{.fd = -1, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    bool greeted = false;

    if (fd < 0) {
        puts("421 4.3.0 The mail server is not running\r");
        return cli_finish_output("send", CLI_UNREACHED);
    }
    for (;;) {
        if (poll(ends, ARRAY_SIZE(ends), -1) < 0 && errno != EINTR)
            break;
        if (ends[1].revents && !pump(fd, STDOUT_FILENO, NULL))
            break;
        if (ends[1].revents && !greeted) {
            greeted = true;
            ends[0].fd = STDIN_FILENO;
            continue;
        }
        if (ends[0].revents && !pump(STDIN_FILENO, fd, &lines)) {
            shutdown(fd, SHUT_WR);
            ends[0].fd = -1;
        }
    }
    close(fd);
    return CLI_OK;
}
