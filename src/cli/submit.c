/*
 * The dialogue is blocking and one command at a time, for one message to our own server: pipelining
 * would win nothing on a local socket. Its sticky error keeps the code straight: a broken
 * connection answers 0 to all that follows, which is neither 2xx, 4xx nor 5xx.
 */
#include "cli/submit.h"

#include "cli/connect.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    REPLY_MAX = 64 * 1024, /* of one reply, all its lines */
    TIMEOUT_S = 600,       /* RFC 5321 4.5.3.2.6: for the reply to the final dot */
    GREETING_S = 30,       /* a server with too many connections takes none: the drop folder does */
    PIECE_SIZE = 64 * 1024,
};

enum extension {
    EXTENSION_8BITMIME = 1,
    EXTENSION_SMTPUTF8 = 2,
    EXTENSION_SIZE = 4,
    EXTENSION_DSN = 8,
};

/* The connection. Errors are sticky: after `broken` every exchange gives code 0. */
struct dialogue {
    int fd;
    bool broken;
    unsigned extensions;
    struct buffer in;    /* received, not yet read as a reply */
    struct buffer out;   /* the command being made */
    struct buffer reply; /* text of the last reply: lines without codes, divided by blanks */
    int code;
};

/* The time limits are the socket's, so no call below waits longer than a whole reply may take.
 * `what`: SO_RCVTIMEO or SO_SNDTIMEO. */
static void wait_at_most(int fd, int what, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};

    setsockopt(fd, SOL_SOCKET, what, &limit, sizeof(limit));
}

int submit_connect(const char *path)
{
    int fd = cli_connect(path, GREETING_S * 1000);

    if (fd < 0)
        return fd;
    wait_at_most(fd, SO_RCVTIMEO, GREETING_S);
    wait_at_most(fd, SO_SNDTIMEO, TIMEOUT_S);
    return fd;
}

/* MSG_NOSIGNAL: a server that went away is an answer for the caller, not the end of the program. */
static void send_bytes(struct dialogue *d, struct span s)
{
    while (s.size && !d->broken) {
        ssize_t sent = send(d->fd, s.data, s.size, MSG_NOSIGNAL);
        if (sent > 0)
            s = span_from(s, (size_t)sent);
        else if (errno != EINTR)
            d->broken = true;
    }
}

/* The next line without its end, valid until the next call; empty and `broken` when there is none.
 */
static struct span receive_line(struct dialogue *d, size_t *consumed)
{
    buffer_consume(&d->in, *consumed);
    *consumed = 0;
    while (!d->broken) {
        ptrdiff_t end = span_find(buffer_span(&d->in), '\n');
        if (end >= 0) {
            *consumed = (size_t)end + 1;
            return span_trim(span_first(buffer_span(&d->in), end > 0 && d->in.data[end - 1] == '\r'
                                                                 ? (size_t)end - 1
                                                                 : (size_t)end));
        }
        void *room = buffer_reserve(&d->in, 4096);
        ssize_t got = room ? recv(d->fd, room, 4096, 0) : 0;
        if (got > 0)
            d->in.size += (size_t)got;
        else if (got == 0 || errno != EINTR)
            d->broken = true;
    }
    return span_of("", 0);
}

static void learn_extension(struct dialogue *d, struct span line)
{
    static const struct {
        const char *name;
        unsigned extension;
    } known[] = {{"8BITMIME", EXTENSION_8BITMIME},
                 {"SMTPUTF8", EXTENSION_SMTPUTF8},
                 {"SIZE", EXTENSION_SIZE},
                 {"DSN", EXTENSION_DSN}};
    ptrdiff_t end = span_find(line, ' ');
    struct span word = end < 0 ? line : span_first(line, (size_t)end);

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (span_equal_nocase(word, span_from_cstr(known[i].name)))
            d->extensions |= known[i].extension;
}

/* RFC 5321 4.2: "250-text" lines, then "250 text". Returns the code, 0 when the dialogue is over.
 */
static int receive_reply(struct dialogue *d)
{
    size_t consumed = 0;
    bool more = true;

    buffer_clear(&d->reply);
    d->code = 0;
    while (more && !d->broken) {
        uint64_t code;
        struct span line = receive_line(d, &consumed);
        if (d->broken)
            break;
        if (span_to_u64(span_first(line, 3), 599, &code) < 0 || code < 200 || line.size < 3 ||
            d->reply.size > REPLY_MAX) {
            d->broken = true;
            break;
        }
        more = line.size > 3 && line.data[3] == '-';
        d->code = (int)code;
        struct span text = span_from(line, 4);
        learn_extension(d, text);
        if (d->reply.size)
            buffer_append_byte(&d->reply, ' ');
        buffer_append_span(&d->reply, text);
    }
    buffer_consume(&d->in, consumed);
    /* 421: the server closes the connection, whatever was asked (RFC 5321 3.8). */
    d->broken |= d->code == 421;
    return d->broken ? 0 : d->code;
}

static int exchange(struct dialogue *d)
{
    d->broken |= buffer_error(&d->out) < 0;
    send_bytes(d, buffer_span(&d->out));
    buffer_clear(&d->out);
    return receive_reply(d);
}

/* Of a reply that wasn't the hoped-for one: a server that says neither no nor not now is none. */
static enum submit_result failure_of(const struct dialogue *d)
{
    if (d->broken || d->code < 400)
        return SUBMIT_UNREACHED;
    return d->code < 500 ? SUBMIT_DEFERRED : SUBMIT_REFUSED;
}

/* "what: code text" as a line of the report. */
static enum submit_result say(const struct dialogue *d, struct span what,
                              struct submit_report *report)
{
    buffer_append_span(&report->text, what);
    if (d->code)
        buffer_printf(&report->text, ": %d %.*s\n", d->code, SPAN_ARG(buffer_span(&d->reply)));
    else
        buffer_append_span(&report->text, SPAN(": the server broke off the dialogue\n"));
    return failure_of(d);
}

/* A letter is handed in by the server's own user, and would be booked as his: so the name says
 * whose it is. Anybody may say it; who said it, the server knows. */
static void say_name(struct dialogue *d, struct span owner)
{
    if (owner.size)
        buffer_printf(&d->out, "EHLO uid-%.*s.drop-folder\r\n", SPAN_ARG(owner));
    else
        buffer_append_span(&d->out, SPAN("EHLO localhost\r\n"));
}

static enum submit_result greet(struct dialogue *d, struct span owner, struct submit_report *report)
{
    if (receive_reply(d) != 220) {
        /* RFC 5321 3.1: 554 says that there is no service here. */
        d->broken = report->unheard = true;
        return say(d, SPAN("greeting"), report);
    }
    wait_at_most(d->fd, SO_RCVTIMEO, TIMEOUT_S);
    say_name(d, owner);
    return exchange(d) == 250 ? SUBMIT_ACCEPTED : say(d, SPAN("EHLO"), report);
}

/* A parameter that the server hasn't offered would be refused (RFC 5321 4.1.1.11): better a message
 * without its wishes than none. Sizes are those before the dots are doubled (RFC 1870 section 5).
 */
static enum submit_result send_mail_from(struct dialogue *d, const struct submission *s,
                                         struct submit_report *report)
{
    buffer_printf(&d->out, "MAIL FROM:<%.*s>", SPAN_ARG(s->sender));
    if (d->extensions & EXTENSION_SIZE)
        buffer_printf(&d->out, " SIZE=%zu", s->message.size);
    if (s->eight_bit && (d->extensions & EXTENSION_8BITMIME))
        buffer_append_span(&d->out, SPAN(" BODY=8BITMIME"));
    if (s->smtputf8 && (d->extensions & EXTENSION_SMTPUTF8))
        buffer_append_span(&d->out, SPAN(" SMTPUTF8"));
    if (s->ret.size && (d->extensions & EXTENSION_DSN))
        buffer_printf(&d->out, " RET=%.*s", SPAN_ARG(s->ret));
    if (s->envid.size && (d->extensions & EXTENSION_DSN))
        buffer_printf(&d->out, " ENVID=%.*s", SPAN_ARG(s->envid));
    buffer_append_span(&d->out, SPAN("\r\n"));
    return exchange(d) / 100 == 2 ? SUBMIT_ACCEPTED : say(d, SPAN("sender"), report);
}

/* What its recipients' answers mean for the message: without `partly` the worst of them. */
static enum submit_result judge_recipients(const struct submit_report *report,
                                           size_t accepted_count, bool partly)
{
    if (partly && accepted_count)
        return SUBMIT_ACCEPTED;
    return report->deferred_count  ? SUBMIT_DEFERRED
           : report->refused_count ? SUBMIT_REFUSED
                                   : SUBMIT_ACCEPTED;
}

/* A dialogue that breaks off here can be tried again, but not when nobody is to have the message
 * for those who were refused already. */
static enum submit_result send_recipients(struct dialogue *d, const struct submission *s,
                                          bool partly, struct submit_report *report)
{
    size_t accepted_count = 0;

    for (size_t i = 0; i < s->recipient_count; i++) {
        buffer_printf(&d->out, "RCPT TO:<%.*s>", SPAN_ARG(s->recipients[i]));
        if (s->notify.size && (d->extensions & EXTENSION_DSN))
            buffer_printf(&d->out, " NOTIFY=%.*s", SPAN_ARG(s->notify));
        buffer_append_span(&d->out, SPAN("\r\n"));
        enum submit_result result =
            exchange(d) / 100 == 2 ? SUBMIT_ACCEPTED : say(d, s->recipients[i], report);
        if (result == SUBMIT_UNREACHED)
            return report->refused_count && !partly ? SUBMIT_REFUSED : result;
        accepted_count += result == SUBMIT_ACCEPTED;
        report->refused_count += result == SUBMIT_REFUSED;
        report->deferred_count += result == SUBMIT_DEFERRED;
        if (report->each)
            report->each[i] = result;
    }
    return judge_recipients(report, accepted_count, partly);
}

/* RFC 5321 4.5.2: a dot at a line's start is doubled; the end is a line of one dot, which only a
 * CRLF before it makes one. Other line ends are for the server to refuse. */
static void send_stuffed(struct dialogue *d, struct span message)
{
    struct span tail = span_from(message, message.size < 2 ? 0 : message.size - 2);
    bool whole_lines = message.size == 0 || span_equal(tail, SPAN("\r\n"));

    while (message.size && !d->broken) {
        ptrdiff_t end = span_find(message, '\n');
        struct span line = end < 0 ? message : span_first(message, (size_t)end + 1);
        if (line.data[0] == '.')
            buffer_append_byte(&d->out, '.');
        buffer_append_span(&d->out, line);
        message = span_from(message, line.size);
        if (d->out.size >= PIECE_SIZE) {
            send_bytes(d, buffer_span(&d->out));
            buffer_clear(&d->out);
        }
    }
    buffer_append_span(&d->out, whole_lines ? SPAN(".\r\n") : SPAN("\r\n.\r\n"));
}

/* 354 or nothing (RFC 5321 4.3.2): after any other answer not a byte of the message may go out, the
 * server would read it as commands. */
static enum submit_result send_message(struct dialogue *d, const struct submission *s,
                                       struct submit_report *report)
{
    buffer_append_span(&d->out, SPAN("DATA\r\n"));
    if (exchange(d) != 354)
        return say(d, SPAN("message"), report);
    send_stuffed(d, s->message);
    if (exchange(d) / 100 != 2)
        return say(d, SPAN("message"), report);
    if (!report->refused_count && !report->deferred_count)
        buffer_clear(&report->text);
    buffer_append_span(&report->text, buffer_span(&d->reply));
    return SUBMIT_ACCEPTED;
}

/* QUIT after a refusal too: no client may close before it (RFC 5321 4.1.1.10). Its answer doesn't
 * matter any more. */
enum submit_result submit_send(int fd, const struct submission *s, bool partly,
                               struct submit_report *report)
{
    struct dialogue d = {.fd = fd, .in = BUFFER_LIMITED(REPLY_MAX)};

    enum submit_result result = greet(&d, s->owner, report);
    if (result == SUBMIT_ACCEPTED)
        result = send_mail_from(&d, s, report);
    if (result == SUBMIT_ACCEPTED)
        result = send_recipients(&d, s, partly, report);
    if (result == SUBMIT_ACCEPTED)
        result = send_message(&d, s, report);
    if (!d.broken) {
        buffer_append_span(&d.out, SPAN("QUIT\r\n"));
        exchange(&d);
    }
    buffer_done(&d.in);
    buffer_done(&d.out);
    buffer_done(&d.reply);
    return result;
}
