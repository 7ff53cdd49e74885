/*
 * Replays scripts against a client session: "replay_smtp_client FILE...". Each runs with the
 * station's bytes whole and a byte at a time, with the same expectations; then the connection
 * breaks after each byte of input, and every recipient must have a result that fits.
 *
 * A line of a script is "K: text"; in the text \r \n \0 \t \\ \xNN stand for bytes. Empty lines and
 * lines that begin with '#' are skipped.
 *   S: a line from the station, CRLF is added        s: bytes from the station, as they are
 *   L: N text      the text N times                  C: the next line of output; '*' is anything
 *   N:             no more output for now            W: the rest of the output; '*' is anything
 *   R: "RESULT STATUS TEXT" of the next recipient    Y: the session is ready
 *   O: it is over; the trouble as "STATUS TEXT"      T: ms   time passes
 *   D: ms until the deadline                         E: the station closes the connection
 *   Q: quit      H: 1 or 0: output stays unwritten     B: it reads N bytes of that
 *   mail FROM [8bit] [utf8] [binary] [hdrs] [envid=ID]     wish NOTIFY-NUMBER ORCPT
 *   to ADDRESS     text BYTES     more BYTES (a next piece)
 *   hole N (bytes of the body that never come)
 *   header BYTES    send     again (what is still open, once more)     session (another one begins)
 */
#include "mail/envelope.h"
#include "script_text.h"
#include "smtp/client/client.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECIPIENTS = 16, PIECES = 64 };

struct run {
    const char *file;
    unsigned line;
    bool bytewise;
    long budget; /* bytes until the connection breaks; -1: it doesn't */
    size_t fed;
    int64_t now_ms;
    bool held;
    struct smtp_client_settings settings;
    struct smtp_client *client;
    struct buffer output; /* not looked at yet */
    struct smtp_client_mail mail;
    struct smtp_client_recipient recipients[RECIPIENTS];
    struct span pieces[PIECES];
    size_t piece_count, pieces_given, results_at;
};

static const char *const results[] = {"open",    "again",    "host",  "ours",  "later",
                                      "pending", "accepted", "taken", "never", "uncertain"};

static void fail(const struct run *r, const char *what, struct span got)
{
    fprintf(stderr, "%s:%u: %s (bytewise %d): \"" SPAN_FMT "\"\n", r->file, r->line, what,
            r->bytewise, SPAN_ARG(got));
    exit(1);
}

/* Whatever is said, lines end with CRLF, and CR and LF are nowhere else. */
static void check_output(const struct run *r, struct span out)
{
    for (size_t i = 0; i < out.size; i++)
        if (out.data[i] == '\n' && (i == 0 || out.data[i - 1] != '\r'))
            fail(r, "a bare LF in", out);
}

static void pump(struct run *r)
{
    for (;;) {
        struct span out = smtp_client_output(r->client);
        if (out.size && !r->held) {
            buffer_append_span(&r->output, out);
            smtp_client_sent(r->client, out.size);
        }
        if (!smtp_client_wants_body(r->client) || r->pieces_given == r->piece_count)
            break;
        smtp_client_body(r->client, r->pieces[r->pieces_given++]);
    }
    check_output(r, buffer_span(&r->output));
}

static void read_held(struct run *r, size_t size)
{
    struct span out = span_first(smtp_client_output(r->client), size);

    buffer_append_span(&r->output, out);
    smtp_client_sent(r->client, out.size);
}

static void feed(struct run *r, struct span bytes)
{
    if (r->budget >= 0 && bytes.size > (size_t)r->budget)
        bytes = span_first(bytes, (size_t)r->budget);
    if (r->budget >= 0)
        r->budget -= (long)bytes.size;
    r->fed += bytes.size;
    while (bytes.size) {
        struct span piece = r->bytewise ? span_first(bytes, 1) : bytes;
        smtp_client_input(r->client, piece);
        pump(r);
        bytes = span_from(bytes, piece.size);
    }
}

static void expect_line(struct run *r, struct span pattern)
{
    struct span all = buffer_span(&r->output);
    ptrdiff_t lf = span_find(all, '\n');

    if (lf < 1 || all.data[lf - 1] != '\r')
        fail(r, "no line of output, there is", all);
    if (!script_matches(pattern, span_first(all, (size_t)lf - 1)))
        fail(r, "the client said", span_first(all, (size_t)lf - 1));
    buffer_consume(&r->output, (size_t)lf + 1);
}

static void expect_text(struct run *r, struct span pattern, const char *word, const char *status,
                        struct span text)
{
    struct buffer got = BUFFER_INIT;

    buffer_printf(&got, "%s%s%s ", word, *word ? " " : "", status);
    buffer_append_span(&got, text);
    if (!script_matches(pattern, span_trim(buffer_span(&got))))
        fail(r, "it was", buffer_span(&got));
    buffer_done(&got);
}

static void expect_result(struct run *r, struct span pattern)
{
    if (r->results_at == r->mail.recipient_count)
        fail(r, "there is no other recipient", pattern);
    const struct smtp_client_recipient *to = &r->recipients[r->results_at++];
    expect_text(r, pattern, results[to->result], to->status, to->text);
}

static void check_deadline(struct run *r, long ms)
{
    char text[32];

    snprintf(text, sizeof(text), "%ld", (long)(smtp_client_deadline_ms(r->client) - r->now_ms));
    if (strtol(text, NULL, 10) != ms)
        fail(r, "the deadline is in", span_from_cstr(text));
}

static void expect(struct run *r, char key, struct span text)
{
    switch (key) {
    case 'C':
        expect_line(r, text);
        break;
    case 'N':
        if (r->output.size)
            fail(r, "there is more output", buffer_span(&r->output));
        break;
    case 'W':
        if (!script_matches(text, buffer_span(&r->output)))
            fail(r, "the output is", buffer_span(&r->output));
        buffer_clear(&r->output);
        break;
    case 'R':
        expect_result(r, text);
        break;
    case 'Y':
        if (!smtp_client_is_ready(r->client))
            fail(r, "the session isn't ready", smtp_client_trouble(r->client));
        break;
    case 'O':
        if (!smtp_client_is_over(r->client))
            fail(r, "the session goes on", text);
        expect_text(r, text, "", smtp_client_trouble_status(r->client),
                    smtp_client_trouble(r->client));
        break;
    default:
        fail(r, "unknown key", text);
    }
}

static bool act(struct run *r, char key, char *text)
{
    char *rest;

    switch (key) {
    case 'S':
        feed(r, script_unescape(text));
        feed(r, SPAN("\r\n"));
        return true;
    case 's':
        feed(r, script_unescape(text));
        return true;
    case 'L':
        for (unsigned long n = strtoul(text, &rest, 10), i = 0; i < n; i++)
            feed(r, i == 0 ? script_unescape(rest + 1) : span_from_cstr(rest + 1));
        return true;
    case 'T':
        r->now_ms += strtol(text, NULL, 10);
        smtp_client_expire(r->client);
        return true;
    case 'D':
        if (r->budget < 0)
            check_deadline(r, strtol(text, NULL, 10));
        return true;
    case 'E':
        smtp_client_lost(r->client, "it closed the connection");
        pump(r);
        return true;
    case 'Q':
        smtp_client_quit(r->client);
        pump(r);
        return true;
    case 'B':
        read_held(r, strtoul(text, NULL, 10));
        return true;
    case 'H':
        r->held = *text == '1';
        pump(r);
        return true;
    default:
        return false;
    }
}

static void forget_mail(struct run *r)
{
    arena_done(&r->mail.arena);
    r->mail = (struct smtp_client_mail){.recipients = r->recipients};
    r->piece_count = r->pieces_given = r->results_at = 0;
}

static void begin_mail(struct run *r, const char *text)
{
    forget_mail(r);
    r->mail.sender = span_first(span_from_cstr(text), strcspn(text, " "));
    r->mail.eight_bit = strstr(text, " 8bit");
    r->mail.smtputf8 = strstr(text, " utf8");
    r->mail.binary = strstr(text, " binary");
    r->mail.returned = strstr(text, " hdrs") ? ENVELOPE_RETURN_HEADER : ENVELOPE_RETURN_ANY;
    const char *id = strstr(text, " envid=");
    if (id)
        r->mail.envelope_id = span_of(id + 7, strcspn(id + 7, " "));
}

static void add_piece(struct run *r, char *text)
{
    struct span piece = script_unescape(text);

    assert(r->piece_count < PIECES);
    r->pieces[r->piece_count++] = piece;
    r->mail.size_bytes += piece.size;
    r->mail.body = r->pieces[0];
}

static void add_recipient(struct run *r, char *text)
{
    assert(r->mail.recipient_count < RECIPIENTS);
    r->recipients[r->mail.recipient_count++] =
        (struct smtp_client_recipient){.address = script_unescape(text)};
}

/* "wish NUMBER ORCPT": of the last recipient. */
static void add_wish(struct run *r, char *text)
{
    struct smtp_client_recipient *to = &r->recipients[r->mail.recipient_count - 1];
    char *rest;

    assert(r->mail.recipient_count);
    to->notify = (uint8_t)strtoul(text, &rest, 10);
    to->orcpt = span_trim(script_unescape(rest));
}

static void send_mail(struct run *r)
{
    if (r->piece_count == 0)
        r->pieces[r->piece_count++] = SPAN("");
    r->pieces_given = r->results_at = 0;
    if (smtp_client_is_ready(r->client))
        smtp_client_begin(r->client, &r->mail);
    else if (r->budget < 0)
        fail(r, "not ready to send", SPAN(""));
    pump(r);
}

static void begin_session(struct run *r)
{
    smtp_client_free(r->client);
    forget_mail(r);
    buffer_clear(&r->output);
    r->held = false;
    r->client = smtp_client_new(&r->settings, &r->now_ms);
    assert(r->client);
}

static void run_line(struct run *r, char *line)
{
    char *blank = strchr(line, ' '), *text = blank ? blank + 1 : line + strlen(line);

    if (*line == '\0' || *line == '#')
        return;
    if (line[1] == ':') {
        if (!act(r, *line, text) && r->budget < 0)
            expect(r, *line, script_unescape(text));
    } else if (strncmp(line, "mail ", 5) == 0) {
        begin_mail(r, text);
    } else if (strncmp(line, "to ", 3) == 0) {
        add_recipient(r, text);
    } else if (strncmp(line, "wish ", 5) == 0) {
        add_wish(r, text);
    } else if (strncmp(line, "text ", 5) == 0 || strncmp(line, "more ", 5) == 0) {
        add_piece(r, text);
    } else if (strncmp(line, "hole ", 5) == 0) {
        r->mail.size_bytes += strtoul(text, NULL, 10);
    } else if (strncmp(line, "header ", 7) == 0) {
        r->mail.header = script_unescape(text);
    } else if (strcmp(line, "send") == 0 || strcmp(line, "again") == 0) {
        send_mail(r);
    } else if (strcmp(line, "session") == 0) {
        begin_session(r);
    } else {
        fail(r, "not a line of a script", span_from_cstr(line));
    }
}

static void run_script(struct run *r, char *script)
{
    char *rest = script, *line;

    r->now_ms = 1000;
    r->settings = (struct smtp_client_settings){SPAN("mx.test"), smtp_client_timeouts_default};
    begin_session(r);
    while (r->budget != 0 && (line = strsep(&rest, "\n"))) {
        r->line++;
        run_line(r, line);
    }
}

/* Nothing may be left in between: the caller must know what to tell the queue. */
static void check_results(const struct run *r)
{
    for (size_t i = 0; i < r->mail.recipient_count; i++)
        if (r->recipients[i].result == SMTP_RESULT_PENDING ||
            r->recipients[i].result == SMTP_RESULT_ACCEPTED)
            fail(r, "a recipient without a result", r->recipients[i].address);
}

static void done(struct run *r)
{
    smtp_client_free(r->client);
    arena_done(&r->mail.arena);
    buffer_done(&r->output);
}

static size_t play(const char *file, char *script, bool bytewise)
{
    struct run r = {.file = file, .bytewise = bytewise, .budget = -1};

    run_script(&r, script);
    if (r.output.size)
        fail(&r, "output was left", buffer_span(&r.output));
    size_t fed = r.fed;
    done(&r);
    return fed;
}

static void cut(const char *file, char *script, size_t budget)
{
    struct run r = {.file = file, .budget = (long)budget};

    run_script(&r, script);
    if (!smtp_client_is_over(r.client))
        smtp_client_lost(r.client, "it closed the connection");
    assert(smtp_client_is_over(r.client));
    check_results(&r);
    done(&r);
}

static void test_file(const char *name)
{
    char *text = script_read(name), *copy;
    size_t fed = 0;

    for (int way = 0; way < 2; way++, free(copy)) {
        copy = strdup(text);
        fed = play(name, copy, way & 1);
    }
    for (size_t budget = 1; budget < fed; budget += 1 + fed / 500, free(copy)) {
        copy = strdup(text);
        cut(name, copy, budget);
    }
    free(text);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        test_file(argv[i]);
    printf("%d scripts\n", argc - 1);
    return argc < 2;
}
