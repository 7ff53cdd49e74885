/*
 * `postbuch send` against a server that says anything. Input: flags, a message with a length byte
 * before it, then all the server says. What is sent are whole commands, and at most one message,
 * whose end only our dot makes; it counts as accepted only when the server had all of it.
 */
#include "fuzz.h"

#include "cli/submit.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAID_MAX = 16384 };

static const struct span recipients[] = {{"b@x", 3}, {"c@x", 3}};

static void read_all(int fd, struct buffer *out)
{
    ssize_t got = 1;

    while (got > 0) {
        char *room = buffer_reserve(out, 4096);
        assert(room);
        got = recv(fd, room, 4096, 0);
        out->size += got > 0 ? (size_t)got : 0;
    }
}

static bool is_command(struct span line)
{
    static const struct span starts[] = {SPAN("EHLO localhost"), SPAN("MAIL FROM:<a@x>"),
                                         SPAN("RCPT TO:<"), SPAN("DATA"), SPAN("QUIT")};

    for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
        if (span_starts_nocase(line, starts[i]))
            return true;
    return false;
}

/* Takes the message off, with its dot; lines that end in LF alone don't end it. */
static bool take_message(struct span *rest)
{
    bool whole = span_starts_nocase(*rest, SPAN(".\r\n"));
    size_t at = 0;

    while (!whole && at < rest->size &&
           !span_starts_nocase(span_from(*rest, at), SPAN("\r\n.\r\n")))
        at++;
    bool found = whole || at < rest->size;
    *rest = span_from(*rest, at + (whole ? 3 : 5));
    return found;
}

/* Whether a whole message is in what was sent. */
static bool check_sent(struct span rest)
{
    bool message = false;

    while (rest.size) {
        ptrdiff_t lf = span_find(rest, '\n');
        assert(lf > 0 && rest.data[lf - 1] == '\r');
        struct span line = span_first(rest, (size_t)lf - 1);
        assert(is_command(line) && span_find(line, '\r') < 0);
        rest = span_from(rest, (size_t)lf + 1);
        if (!span_equal(line, SPAN("DATA")) || rest.size == 0 || span_equal(rest, SPAN("QUIT\r\n")))
            continue;
        assert(!message);
        message = take_message(&rest);
        assert(message);
    }
    return message;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct submission s = {.sender = SPAN("a@x"), .recipients = recipients, .recipient_count = 2};
    enum submit_result each[2] = {SUBMIT_ACCEPTED};
    struct submit_report report = {.each = each};
    struct buffer sent = BUFFER_INIT;
    int fds[2];

    if (size < 2)
        return 0;
    struct span rest = span_of(data + 2, size - 2);
    s.message = span_first(rest, data[1]);
    rest = span_first(span_from(rest, s.message.size), SAID_MAX);
    s.eight_bit = data[0] & 2;
    s.smtputf8 = data[0] & 4;
    s.notify = data[0] & 8 ? SPAN("NEVER") : SPAN("");
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    assert(send(fds[1], rest.data, rest.size, MSG_NOSIGNAL) == (ssize_t)rest.size);
    shutdown(fds[1], SHUT_WR);
    enum submit_result result = submit_send(fds[0], &s, data[0] & 1, &report);
    close(fds[0]);
    read_all(fds[1], &sent);
    close(fds[1]);
    bool message = check_sent(buffer_span(&sent));
    assert(result != SUBMIT_ACCEPTED || message);
    assert(report.refused_count + report.deferred_count <= 2);
    for (size_t i = 0; i < 2; i++)
        assert(each[i] != SUBMIT_UNREACHED);
    buffer_done(&report.text);
    buffer_done(&sent);
    return 0;
}
