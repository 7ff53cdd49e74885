/*
 * The client session against a station that keeps its books. The station reads what the session
 * sends as strictly as the RFCs allow, answers as the input says (yes, no, not now, wrong, cut
 * off, late), and knows what it took. The first bytes choose the message.
 *
 * Whatever happens: a command is whole and known; nothing is sent ahead that the station hasn't
 * offered; a message arrives byte for byte, or as 7-bit where it must; each recipient has exactly
 * one result, TAKEN if and only if the station said so, UNCERTAIN only if it had all and its
 * verdict was lost.
 */
#include "fuzz.h"

#include "mail/envelope.h"
#include "smtp/client/client.h"

enum { RECIPIENTS = 3, MAILS_MAX = 3, STEPS_MAX = 400, WAITING_MAX = 64 };

enum command { GREETING, HELLO, RSET, MAIL, RCPT, DATA, MESSAGE, CHUNK, LAST_CHUNK, QUIT };

enum reading { READ_LINE, READ_MESSAGE, READ_CHUNK };

/* A transaction as the station sees it. */
struct transaction {
    bool mail, refused_chunk, whole, taken;
    bool rcpt[RECIPIENTS];
    struct buffer content;
};

struct station {
    struct buffer in;   /* from the session, not read yet */
    struct buffer wire; /* to the session, not delivered yet */
    enum reading reading;
    size_t chunk_left;
    bool chunk_last;
    struct {
        enum command command;
        int recipient;
    } waiting[WAITING_MAX]; /* commands without an answer */
    size_t waiting_count;
    unsigned offers;
    bool utf8;             /* declared for the transaction */
    bool open;             /* it waits for more of a transaction: MAIL would be out of place … */
    bool refused_to_reset; /* … unless it is to blame itself */
    struct transaction now;
};

struct play {
    struct span input;
    int64_t now_ms;
    struct smtp_client *client;
    struct smtp_client_mail mail;
    struct smtp_client_recipient recipients[RECIPIENTS];
    struct span body, first;
    size_t given, piece;
    bool carrying, begun;
    struct station station;
};

static uint8_t take(struct play *p)
{
    uint8_t byte = p->input.size ? (uint8_t)p->input.data[0] : 0;
    p->input = span_from(p->input, 1);
    return byte;
}

/* ---- the station reads ---- */

static void await(struct station *s, enum command command, int recipient)
{
    assert(s->waiting_count < WAITING_MAX);
    s->waiting[s->waiting_count].command = command;
    s->waiting[s->waiting_count++].recipient = recipient;
}

static bool offers(const struct station *s, enum smtp_extension extension)
{
    return s->offers & extension;
}

static bool has_word(struct span line, const char *word)
{
    return memmem(line.data, line.size, word, strlen(word)) != NULL;
}

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] > 127)
            return false;
    return true;
}

static void on_mail(struct station *s, struct span line)
{
    assert(span_starts_nocase(line, SPAN("MAIL FROM:<a@a.test>")));
    assert(!has_word(line, " SIZE=") || offers(s, SMTP_EXTENSION_SIZE));
    assert(!has_word(line, " BODY=") || offers(s, SMTP_EXTENSION_8BITMIME));
    s->utf8 = has_word(line, " SMTPUTF8");
    assert(!s->utf8 || offers(s, SMTP_EXTENSION_SMTPUTF8));
    assert(!has_word(line, " RET=") || offers(s, SMTP_EXTENSION_DSN));
    assert(!has_word(line, " ENVID=") || offers(s, SMTP_EXTENSION_DSN));
    await(s, MAIL, 0);
}

static void on_rcpt(struct station *s, struct span line)
{
    int number = line.data[sizeof("RCPT TO:<") - 1] - '0';

    assert(span_starts_nocase(line, SPAN("RCPT TO:<")) && number >= 0 && number < RECIPIENTS);
    assert(!has_word(line, " NOTIFY=") || offers(s, SMTP_EXTENSION_DSN));
    assert(!has_word(line, " ORCPT=") || offers(s, SMTP_EXTENSION_DSN));
    assert(s->utf8 || is_ascii(line));
    await(s, RCPT, number);
}

static void on_bdat(struct station *s, struct span line)
{
    uint64_t size;
    struct span number = span_from(line, sizeof("BDAT ") - 1);
    ptrdiff_t blank = span_find(number, ' ');

    assert(offers(s, SMTP_EXTENSION_CHUNKING));
    s->chunk_last = blank >= 0;
    if (blank >= 0) {
        assert(span_equal(span_from(number, (size_t)blank), SPAN(" LAST")));
        number = span_first(number, (size_t)blank);
    }
    assert(span_to_u64(number, 1 << 24, &size) == 0);
    s->chunk_left = size;
    s->reading = READ_CHUNK;
}

static void forget(struct station *s)
{
    struct buffer content = s->now.content;

    buffer_clear(&content);
    s->now = (struct transaction){.content = content};
}

static void on_command(struct station *s, struct span line)
{
    assert(s->waiting_count == 0 || offers(s, SMTP_EXTENSION_PIPELINING));
    if (span_starts_nocase(line, SPAN("EHLO ")) || span_starts_nocase(line, SPAN("HELO ")))
        await(s, HELLO, line.data[0] == 'H');
    else if (span_equal(line, SPAN("RSET")))
        await(s, RSET, 0);
    else if (span_starts_nocase(line, SPAN("MAIL ")))
        on_mail(s, line);
    else if (span_starts_nocase(line, SPAN("RCPT ")))
        on_rcpt(s, line);
    else if (span_equal(line, SPAN("DATA")))
        await(s, DATA, 0);
    else if (span_starts_nocase(line, SPAN("BDAT ")))
        on_bdat(s, line);
    else if (span_equal(line, SPAN("QUIT")))
        await(s, QUIT, 0);
    else
        assert(!"a command that is known");
}

/* A line, with its CRLF; false: it isn't whole yet. */
static bool take_line(struct station *s, struct span *out)
{
    struct span in = buffer_span(&s->in);
    ptrdiff_t lf = span_find(in, '\n');

    if (lf < 0)
        return false;
    assert(lf > 0 && in.data[lf - 1] == '\r');
    *out = span_first(in, (size_t)lf + 1);
    assert(span_find(span_first(*out, (size_t)lf - 1), '\r') < 0);
    return true;
}

static bool read_line(struct station *s)
{
    struct span line;

    if (!take_line(s, &line))
        return false;
    on_command(s, span_first(line, line.size - 2));
    buffer_consume(&s->in, line.size);
    return true;
}

static bool read_message(struct station *s)
{
    struct span line;

    if (!take_line(s, &line))
        return false;
    if (span_equal(line, SPAN(".\r\n"))) {
        s->reading = READ_LINE;
        s->now.whole = true;
        await(s, MESSAGE, 0);
    } else {
        buffer_append_span(&s->now.content, line.data[0] == '.' ? span_from(line, 1) : line);
    }
    buffer_consume(&s->in, line.size);
    return true;
}

static bool read_chunk(struct station *s)
{
    struct span part = span_first(buffer_span(&s->in), s->chunk_left);

    if (part.size == 0 && s->chunk_left)
        return false;
    buffer_append_span(&s->now.content, part);
    buffer_consume(&s->in, part.size);
    s->chunk_left -= part.size;
    if (s->chunk_left)
        return false;
    s->reading = READ_LINE;
    s->now.whole = s->chunk_last;
    await(s, s->chunk_last ? LAST_CHUNK : CHUNK, 0);
    return true;
}

/* After DATA nothing may come before its answer. */
static bool is_data_open(const struct station *s)
{
    return s->waiting_count && s->waiting[s->waiting_count - 1].command == DATA;
}

static void read_all(struct station *s)
{
    bool more = true;

    while (more) {
        assert(!is_data_open(s) || s->in.size == 0);
        more = s->reading == READ_LINE      ? read_line(s)
               : s->reading == READ_MESSAGE ? read_message(s)
                                            : read_chunk(s);
    }
}

/* ---- the station answers ---- */

/* What a byte of input means: mostly the hoped-for code. */
static int choose_code(uint8_t how, int hoped_for)
{
    static const int codes[] = {421, 450, 452, 500, 550, 552, 554, 250, 354, 220, 299, 399};

    return how < 2 * ARRAY_SIZE(codes) ? codes[how / 2] : hoped_for;
}

static void say_extensions(struct station *s, uint8_t which)
{
    static const struct {
        const char *line;
        enum smtp_extension extension;
    } all[] = {{"PIPELINING", SMTP_EXTENSION_PIPELINING}, {"SIZE 4000", SMTP_EXTENSION_SIZE},
               {"8BITMIME", SMTP_EXTENSION_8BITMIME},     {"SMTPUTF8", SMTP_EXTENSION_SMTPUTF8},
               {"chunking ", SMTP_EXTENSION_CHUNKING},    {"DSN", SMTP_EXTENSION_DSN}};

    s->offers = 0;
    buffer_append_span(&s->wire, SPAN("250-station\r\n"));
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (!(which >> i & 1))
            continue;
        s->offers |= all[i].extension;
        buffer_printf(&s->wire, "250-%s\r\n", all[i].line);
    }
}

static void judge(struct station *s, int code)
{
    s->open = false;
    s->now.taken = code / 100 == 2 && !s->now.refused_chunk;
}

static void reset(struct station *s, bool yes)
{
    s->refused_to_reset |= !yes;
    s->open &= !yes;
    if (yes)
        forget(s);
}

static void open_transaction(struct station *s, bool yes)
{
    assert(!s->open || s->refused_to_reset);
    s->open = s->now.mail = yes;
}

/* What the answer does to the transaction. */
static void apply(struct station *s, enum command command, int recipient, int code)
{
    bool yes = code / 100 == 2;

    if (command == RSET)
        reset(s, yes);
    else if (command == MAIL)
        open_transaction(s, yes);
    else if (command == RCPT)
        s->now.rcpt[recipient] = yes && s->now.mail;
    else if (command == DATA && code == 354)
        s->reading = READ_MESSAGE;
    else if (command == MESSAGE || command == LAST_CHUNK)
        judge(s, code);
    else if (command == CHUNK)
        s->now.refused_chunk |= !yes;
}

static void answer(struct play *p)
{
    struct station *s = &p->station;
    enum command command = s->waiting[0].command;
    int recipient = s->waiting[0].recipient;
    int hoped_for = command == GREETING ? 220 : command == DATA ? 354 : command == QUIT ? 221 : 250;
    uint8_t how = take(p);
    int code = choose_code(how, hoped_for);

    memmove(s->waiting, s->waiting + 1, --s->waiting_count * sizeof(s->waiting[0]));
    if (command == HELLO && recipient == 0 && code / 100 == 2)
        say_extensions(s, take(p));
    apply(s, command, recipient, code);
    if (how & 1 && command != HELLO)
        buffer_printf(&s->wire, "%d-first\r\n", code);
    buffer_printf(&s->wire, "%d last\r\n", code);
}

/* ---- the message ---- */

static void choose(struct play *p)
{
    uint8_t what = take(p), size = take(p);

    p->body = span_first(p->input, size);
    p->input = span_from(p->input, p->body.size);
    p->first = what & 4 ? p->body : span_first(p->body, p->body.size / 2);
    p->piece = 1 + (what & 3) * 7u;
    p->mail = (struct smtp_client_mail){.sender = SPAN("a@a.test"),
                                        .recipients = p->recipients,
                                        .recipient_count = 1 + (what >> 3) % RECIPIENTS,
                                        .header = SPAN("Received: x\r\n"),
                                        .body = p->first,
                                        .size_bytes = p->body.size,
                                        .smtputf8 = what & 64,
                                        .returned = ENVELOPE_RETURN_HEADER,
                                        .envelope_id = SPAN("e+3D1"),
                                        .eight_bit = what & 128};
    for (int i = 0; i < RECIPIENTS; i++)
        p->recipients[i].address =
            (struct span[]){SPAN("0@b.test"), SPAN("1@b.test"), SPAN("2\xc3\xa4@b.test")}[i];
}

/* As tests/fuzz/fuzz_smtp_encode.c proves it. */
static void mend(struct span in, struct buffer *out)
{
    for (size_t i = 0; i < in.size; i++) {
        char c = in.data[i], next = i + 1 < in.size ? in.data[i + 1] : '\n';
        if (c == '\n' || (c == '\r' && i + 1 == in.size))
            buffer_append_span(out, SPAN("\r\n"));
        else if (c != '\r' || next != '\n')
            buffer_append_byte(out, c == '\r' ? ' ' : c);
    }
    if (out->size && out->data[out->size - 1] != '\n')
        buffer_append_span(out, SPAN("\r\n"));
}

/* A message for nobody is empty (RFC 2920 3.1). */
static void check_content(struct play *p)
{
    const bool *rcpt = p->station.now.rcpt;
    struct span got = buffer_span(&p->station.now.content);
    struct buffer all = BUFFER_INIT, wanted = BUFFER_INIT;
    bool known = p->mail.eight_bit || !is_ascii(p->first);

    buffer_append_span(&all, p->mail.header);
    buffer_append_span(&all, p->body);
    mend(buffer_span(&all), &wanted);
    if (!rcpt[0] && !rcpt[1] && !rcpt[2])
        assert(got.size == 0);
    else if (known && !offers(&p->station, SMTP_EXTENSION_8BITMIME))
        assert(is_ascii(got));
    else
        assert(span_equal(got, buffer_span(&wanted)));
    buffer_done(&all);
    buffer_done(&wanted);
}

/* The session has let go of the message. */
static void check_results(struct play *p)
{
    const struct station *s = &p->station;
    bool delivered = s->wire.size == 0;

    for (size_t i = 0; i < p->mail.recipient_count; i++) {
        enum smtp_result result = p->recipients[i].result;
        bool taken = s->now.taken && s->now.rcpt[i];
        assert(result != SMTP_RESULT_PENDING && result != SMTP_RESULT_ACCEPTED);
        assert(result != SMTP_RESULT_TAKEN || taken);
        assert(!taken || p->recipients[i].knows_wish == offers(s, SMTP_EXTENSION_DSN));
        assert(!taken || !delivered || result == SMTP_RESULT_TAKEN);
        assert(!taken || result == SMTP_RESULT_TAKEN || result == SMTP_RESULT_UNCERTAIN);
        assert(result != SMTP_RESULT_UNCERTAIN || (s->now.whole && s->now.rcpt[i]));
    }
    if (s->now.taken)
        check_content(p);
    p->carrying = false;
}

/* ---- the play ---- */

static void begin(struct play *p)
{
    for (size_t i = 0; i < RECIPIENTS; i++)
        p->recipients[i].result = SMTP_RESULT_OPEN;
    assert(p->station.in.size == 0 && p->station.waiting_count == 0);
    forget(&p->station);
    p->given = 0;
    p->begun = false;
    p->carrying = true;
    smtp_client_begin(p->client, &p->mail);
}

static void give_body(struct play *p)
{
    while (smtp_client_wants_body(p->client)) {
        size_t size = p->begun ? p->piece : p->first.size;
        struct span piece = span_first(span_from(p->body, p->given), size);
        p->begun = true;
        p->given += piece.size;
        smtp_client_body(p->client, piece);
    }
}

static void send(struct play *p, size_t most)
{
    struct span out = span_first(smtp_client_output(p->client), most);

    buffer_append_span(&p->station.in, out);
    smtp_client_sent(p->client, out.size);
    read_all(&p->station);
}

static void deliver(struct play *p, size_t most)
{
    struct buffer *wire = &p->station.wire;
    struct buffer piece = BUFFER_INIT;

    buffer_append_span(&piece, span_first(buffer_span(wire), most));
    buffer_consume(wire, piece.size);
    smtp_client_input(p->client, buffer_span(&piece));
    buffer_done(&piece);
}

static void go_on(struct play *p)
{
    if (p->carrying && (smtp_client_is_ready(p->client) || smtp_client_is_over(p->client)))
        check_results(p);
    if (smtp_client_is_ready(p->client) && smtp_client_mail_count(p->client) < MAILS_MAX)
        begin(p);
    else if (smtp_client_is_ready(p->client))
        smtp_client_quit(p->client);
    if (!smtp_client_is_over(p->client))
        give_body(p);
}

static void step(struct play *p)
{
    uint8_t how = take(p);

    go_on(p);
    send(p, how & 1 ? 1 + how / 8 : SIZE_MAX);
    while (p->station.waiting_count && !(how & 2)) {
        answer(p);
        if (how & 8)
            break;
    }
    deliver(p, how & 4 ? 1 + how / 16 : SIZE_MAX);
    if (how == 0xFF) {
        p->now_ms += 200000;
        smtp_client_expire(p->client);
    } else if (how == 0xFE) {
        smtp_client_lost(p->client, "it closed the connection");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct smtp_client_settings settings = {SPAN("mx.test"), smtp_client_timeouts_default};
    struct play p = {.input = span_of(data, size), .now_ms = 1};

    choose(&p);
    p.client = smtp_client_new(&settings, &p.now_ms);
    assert(p.client);
    await(&p.station, GREETING, 0);
    for (int i = 0; p.input.size && i < STEPS_MAX && !smtp_client_is_over(p.client); i++)
        step(&p);
    if (!smtp_client_is_over(p.client))
        smtp_client_lost(p.client, "it closed the connection");
    go_on(&p);
    assert(smtp_client_is_over(p.client) && !p.carrying);
    smtp_client_free(p.client);
    arena_done(&p.mail.arena);
    buffer_done(&p.station.in);
    buffer_done(&p.station.wire);
    buffer_done(&p.station.now.content);
    return 0;
}
