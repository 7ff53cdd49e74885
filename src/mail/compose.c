/*
 * Both steps of compose.h, and between them the recipients. The header's fields go on byte for
 * byte: what a person wrote is completed, never mended.
 */
#include "mail/compose.h"

#include "base/clock.h"
#include "mail/address.h"
#include "mail/address_list.h"
#include "mail/display_name.h"
#include "mail/field.h"

#include <errno.h>
#include <unistr.h>

/* ---- step 1: lines ---- */

/* What the line holds so far. A dot is held back where it may be the end. */
enum { LINE_EMPTY, LINE_DOT, LINE_TEXT };

/* With dot_ends (sendmail without -i) a lone dot is the end, as in SMTP; else it is a line like any
 * other, and smtp/client/encode.c doubles it on the wire. */
static void end_line(struct compose_lines *c, struct buffer *out)
{
    if (c->line == LINE_DOT && c->dot_ends) {
        c->ended = true;
        return;
    }
    buffer_append_span(out, SPAN("\r\n"));
    c->line = LINE_EMPTY;
}

static void on_line_byte(struct compose_lines *c, char byte, struct buffer *out)
{
    bool second_of_crlf = byte == '\n' && c->after_cr;

    c->after_cr = byte == '\r';
    if (second_of_crlf)
        return;
    if (byte == '\r' || byte == '\n') {
        end_line(c, out);
        return;
    }
    if (c->line == LINE_EMPTY && byte == '.' && c->dot_ends) {
        c->line = LINE_DOT;
        return;
    }
    if (c->line == LINE_DOT)
        buffer_append_byte(out, '.');
    buffer_append_byte(out, byte);
    c->line = LINE_TEXT;
}

/* The bytes of `s` before the first CR or LF. */
static size_t run_size(struct span s)
{
    size_t size = 0;

    while (size < s.size && s.data[size] != '\r' && s.data[size] != '\n')
        size++;
    return size;
}

int compose_lines_feed(struct compose_lines *c, struct span piece, struct buffer *out)
{
    while (piece.size && !c->ended) {
        size_t run = c->line == LINE_TEXT ? run_size(piece) : 0;
        if (run)
            buffer_append(out, piece.data, run);
        else
            on_line_byte(c, piece.data[0], out);
        c->after_cr &= run == 0;
        piece = span_from(piece, run ? run : 1);
    }
    return buffer_error(out);
}

int compose_lines_end(struct compose_lines *c, struct buffer *out)
{
    if (!c->ended && c->line != LINE_EMPTY)
        end_line(c, out);
    c->ended = true;
    return buffer_error(out);
}

/* ---- recipients ---- */

void compose_init(struct composed *c)
{
    *c = (struct composed){.arena = ARENA_INIT};
}

void compose_done(struct composed *c)
{
    arena_done(&c->arena);
    buffer_done(&c->message);
    buffer_done(&c->bad);
}

/* An unclosed quote goes on to the line's end, which nobody wants to read. */
static int say_bad(struct composed *c, struct span text)
{
    while (text.size && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    buffer_clear(&c->bad);
    buffer_append_span(&c->bad, text);
    return -EINVAL;
}

/* The address parser sees the whole text with its domain, so nothing is joined unchecked. */
int compose_address(struct composed *c, struct span text, struct span origin, struct span *out)
{
    struct address a;
    struct buffer whole = BUFFER_INIT;

    if (text.size == 0 || span_equal(text, SPAN("<>"))) {
        *out = span_of("", 0);
        return 0;
    }
    buffer_append_span(&whole, text);
    if (address_parse(text, ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_NO_DOMAIN, &a) == ADDRESS_OK &&
        address_domain(&a).size == 0)
        buffer_printf(&whole, "@%.*s", SPAN_ARG(origin));
    int result = buffer_error(&whole);
    if (result == 0 && address_parse(buffer_span(&whole), ADDRESS_ALLOW_UTF8, &a) != ADDRESS_OK)
        result = say_bad(c, text);
    buffer_done(&whole);
    if (result < 0)
        return result;
    struct span copy = arena_copy(&c->arena, address_text(&a));
    if (!copy.data)
        return -ENOMEM;
    c->smtputf8 |= !span_is_ascii(copy);
    *out = copy;
    return 0;
}

/* First as it stands: what a program names is an address as a rule, and no list's syntax is in its
 * way then. */
int compose_sender(struct composed *c, struct span text, struct span origin, struct span *out)
{
    struct buffer one = BUFFER_INIT, more = BUFFER_INIT;
    struct span rest = text;
    int result = compose_address(c, text, origin, out);

    if (result == -EINVAL && address_list_next(&rest, &one) > 0 &&
        address_list_next(&rest, &more) == 0)
        result = compose_address(c, buffer_span(&one), origin, out);
    if (result == -EINVAL)
        say_bad(c, text);
    else
        buffer_clear(&c->bad);
    buffer_done(&one);
    buffer_done(&more);
    return result;
}

/* Linear: a list of 10,000 costs 50 million comparisons of mostly unequal lengths, once, in the
 * sender's own process. */
static bool is_known(const struct composed *c, struct span address)
{
    for (size_t i = 0; i < c->recipient_count; i++)
        if (span_equal(c->recipients[i], address))
            return true;
    return false;
}

static int add_recipient(struct composed *c, struct span address)
{
    if (is_known(c, address))
        return 0;
    if (c->recipient_count == COMPOSE_RECIPIENTS_MAX)
        return -E2BIG;
    if (c->recipient_count == c->recipient_room) {
        size_t room = c->recipient_room ? 2 * c->recipient_room : 16;
        struct span *more = arena_alloc_array(&c->arena, room, sizeof(*more));
        if (!more)
            return -ENOMEM;
        if (c->recipient_count)
            memcpy(more, c->recipients, c->recipient_count * sizeof(*more));
        c->recipients = more;
        c->recipient_room = room;
    }
    c->recipients[c->recipient_count++] = address;
    return 0;
}

int compose_add_recipients(struct composed *c, struct span list, struct span origin)
{
    struct buffer one = BUFFER_INIT;
    int result;

    while ((result = address_list_next(&list, &one)) > 0) {
        struct span address;
        result = compose_address(c, buffer_span(&one), origin, &address);
        if (result == 0)
            result = address.size ? add_recipient(c, address) : say_bad(c, SPAN("<>"));
        if (result < 0)
            break;
    }
    if (result == -EINVAL && c->bad.size == 0)
        say_bad(c, buffer_span(&one));
    buffer_done(&one);
    return result;
}

/* ---- step 2: the header ---- */

/* Which fields there are, and what becomes of them. */
enum known {
    KNOWN_FROM = 1,
    KNOWN_DATE = 2,
    KNOWN_MESSAGE_ID = 4,
    KNOWN_RECIPIENTS = 8,
    KNOWN_RESENT_RECIPIENTS = 16,
    KNOWN_DROPPED = 32, /* never sent on */
};

static unsigned know(const struct field *f)
{
    static const struct {
        const char *name;
        unsigned known;
    } fields[] = {
        {"From", KNOWN_FROM},
        {"Date", KNOWN_DATE},
        {"Message-ID", KNOWN_MESSAGE_ID},
        {"To", KNOWN_RECIPIENTS},
        {"Cc", KNOWN_RECIPIENTS},
        {"Bcc", KNOWN_RECIPIENTS | KNOWN_DROPPED},
        {"Resent-To", KNOWN_RESENT_RECIPIENTS},
        {"Resent-Cc", KNOWN_RESENT_RECIPIENTS},
        {"Resent-Bcc", KNOWN_RESENT_RECIPIENTS | KNOWN_DROPPED},
        {"Return-Path", KNOWN_DROPPED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (field_is(f, fields[i].name))
            return fields[i].known;
    return 0;
}

/* The line that mbox files put in front of a message is none of its fields. Programs that pipe mail
 * on leave it there, and with it in front the header would be no header. */
static struct span without_mbox_line(struct span lines)
{
    ptrdiff_t end = span_find(lines, '\n');

    if (end >= 0 &&
        (span_starts_nocase(lines, SPAN("From ")) || span_starts_nocase(lines, SPAN(">From "))))
        return span_from(lines, (size_t)end + 1);
    return lines;
}

/* Read from what the program gave, Bcc included, before that field is left out. */
static int extract_recipients(struct composed *c, struct span header, unsigned from,
                              struct span origin)
{
    struct field f;
    int result = 0;

    while (result == 0 && field_next(&header, &f))
        if (know(&f) & from)
            result = compose_add_recipients(c, f.value, origin);
    return result;
}

/* RFC 6409 sections 8.2 and 8.3: who takes a submission may add date and id. A null sender's
 * message is from nobody; the field must be there (RFC 5322 3.6), so it names the system. */
static void add_missing(const struct compose_input *in, unsigned known, struct buffer *out)
{
    char date[CLOCK_RFC5322_SIZE];

    if (!(known & KNOWN_FROM)) {
        buffer_append_span(out, SPAN("From: "));
        display_name_write(in->full_name, out);
        buffer_append_span(out, in->full_name.size ? SPAN(" <") : SPAN("<"));
        if (in->sender.size)
            buffer_append_span(out, in->sender);
        else
            buffer_printf(out, "MAILER-DAEMON@%.*s", SPAN_ARG(in->origin));
        buffer_append_span(out, SPAN(">\r\n"));
    }
    if (!(known & KNOWN_DATE)) {
        clock_format_rfc5322(in->now_us, date);
        buffer_printf(out, "Date: %s\r\n", date);
    }
    if (!(known & KNOWN_MESSAGE_ID))
        buffer_printf(out, "Message-ID: <%.*s>\r\n", SPAN_ARG(in->message_id));
}

/* Valid UTF-8 beyond ASCII can be announced; other bytes are some old charset and go as 8-bit.
 * Announcing these as SMTPUTF8 would be a lie that the next station may find out. */
static bool header_is_utf8(struct span header)
{
    return !span_is_ascii(header) && !u8_check((const uint8_t *)header.data, header.size);
}

/* Where Resent- fields are, they alone say who gets it (RFC 5322 section 3.6.6): To and Cc are
 * those of the first sending. */
int compose_message(struct composed *c, const struct compose_input *in)
{
    struct span rest = without_mbox_line(in->lines), header;
    unsigned known = 0;
    struct field f;

    header = rest;
    while (field_next(&rest, &f)) {
        unsigned this = know(&f);
        known |= this;
        if (!(this & KNOWN_DROPPED))
            buffer_append_span(&c->message, f.whole);
    }
    header.size -= rest.size;
    if (in->extract) {
        int result = extract_recipients(
            c, header, known & KNOWN_RESENT_RECIPIENTS ? KNOWN_RESENT_RECIPIENTS : KNOWN_RECIPIENTS,
            in->origin);
        if (result < 0)
            return result;
    }
    add_missing(in, known, &c->message);
    c->smtputf8 |= header_is_utf8(buffer_span(&c->message));
    /* A body that began without an empty line gets one: else its first line would be
     * a bad field. */
    if (!span_starts_nocase(rest, SPAN("\r\n")))
        buffer_append_span(&c->message, SPAN("\r\n"));
    buffer_append_span(&c->message, rest);
    c->eight_bit = !span_is_ascii(buffer_span(&c->message));
    return buffer_error(&c->message);
}
