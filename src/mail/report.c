/*
 * A report is written whole into a buffer, with as much of the original as `measures` says; when it
 * comes out larger than the spool keeps inline, or can't be converted for a station that takes only
 * 7 bits, it is written again with the next, smaller one. That
 * is simpler than adding up sizes beforehand, and most reports fit at once.
 */
#include "mail/report.h"

#include "base/clock.h"
#include "base/printable.h"
#include "mail/dsn.h"
#include "mail/event.h"
#include "mail/quoted_printable.h"
#include "mail/report_text.h"
#include "mail/seven_bit.h"
#include <errno.h>
#include <stdio.h>
#include <unistr.h>

enum {
    WRAP_COLUMNS = 72,
    /* Of what is quoted in a field. Escaped it is up to four times as long, and a line may have 998
     * characters (RFC 5322 2.1.1). */
    FIELD_TEXT_MAX = 230,
    FIELD_TEXT_SHORT = 80,
    REPLY_SHOWN_MAX = 500,
};

/* How much is quoted. What is too large when written one way is written the next one. */
struct measure {
    size_t header_max, reply_max, text_max;
    bool whole;
};

static const struct measure measures[] = {
    {REPORT_HEADER_MAX, REPLY_SHOWN_MAX, FIELD_TEXT_MAX, true},
    {REPORT_HEADER_MAX, REPLY_SHOWN_MAX, FIELD_TEXT_MAX, false},
    {REPORT_HEADER_SHORT, REPLY_SHOWN_MAX, FIELD_TEXT_MAX, false},
    {REPORT_HEADER_SHORT, FIELD_TEXT_SHORT, FIELD_TEXT_SHORT, false},
};

/* RFC 3464 section 2.3.3. */
static const char *const actions[REPORT_KIND_COUNT] = {
    [REPORT_FAILED] = "failed",       [REPORT_DELAYED] = "delayed",   [REPORT_RELAYED] = "relayed",
    [REPORT_DELIVERED] = "delivered", [REPORT_EXPANDED] = "expanded",
};

/* Of the class that the action says (RFC 3464 section 2.3.4): a report without a status is none. */
static const char *const default_status[REPORT_KIND_COUNT] = {
    [REPORT_FAILED] = "5.0.0",    [REPORT_DELAYED] = "4.0.0",  [REPORT_RELAYED] = "2.0.0",
    [REPORT_DELIVERED] = "2.0.0", [REPORT_EXPANDED] = "2.0.0",
};

static bool has_eight_bit(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] >= 0x80)
            return true;
    return false;
}

static struct span status_of(const struct report *r, const struct report_recipient *recipient)
{
    return recipient->status.size ? recipient->status : span_from_cstr(default_status[r->kind]);
}

/* ---- for people ---- */

/* Appends words of `text` in lines of at most WRAP_COLUMNS bytes, each behind `indent`. A word that
 * is longer stands alone in its line: addresses and URLs must not be cut. */
static void wrap(struct buffer *out, const char *indent, struct span text)
{
    size_t column = 0;

    while (text.size) {
        ptrdiff_t blank = span_find(text, ' ');
        struct span word = span_first(text, blank < 0 ? text.size : (size_t)blank);
        if (column && column + 1 + word.size > WRAP_COLUMNS) {
            buffer_append_byte(out, '\n');
            column = 0;
        }
        buffer_printf(out, "%s", column ? " " : indent);
        buffer_append_span(out, word);
        column += word.size + (column ? 1 : strlen(indent));
        text = span_from(text, word.size + 1);
    }
    buffer_append_byte(out, '\n');
}

/* A stranger's words, each of their lines behind "> ". */
static void quote(struct buffer *out, struct span reply, size_t max)
{
    reply = span_first(reply, max);
    for (struct span line; span_next_line(&reply, &line);) {
        buffer_append_span(out, SPAN("    > "));
        printable_append(out, line);
        buffer_append_byte(out, '\n');
    }
}

/* `format` with its %s as a paragraph. */
static void put_with(struct buffer *out, const char *indent, const char *format, struct span value)
{
    struct buffer line = BUFFER_INIT;
    const char *at = strstr(format, "%s");

    buffer_append(&line, format, (size_t)(at - format));
    printable_append(&line, value);
    buffer_printf(&line, "%s", at + 2);
    wrap(out, indent, buffer_span(&line));
    buffer_done(&line);
}

static void put_with_time(struct buffer *out, const char *indent, const char *format,
                          int64_t time_us)
{
    char time[CLOCK_RFC5322_SIZE];

    clock_format_rfc5322(time_us, time);
    put_with(out, indent, format, span_from_cstr(time));
}

/* A suggestion is for one address, so whoever has one is told of alone. */
static bool same_cause(const struct report_recipient *a, const struct report_recipient *b)
{
    return span_equal(a->status, b->status) && span_equal(a->host, b->host) &&
           span_equal(a->reply, b->reply) && span_equal(a->why, b->why) && a->end == b->end &&
           !a->instead.size && !b->instead.size;
}

/* Ours, so not quoted; escaped all the same, since they name hosts and paths that others chose. */
static void put_own_words(struct buffer *out, struct span words, size_t max)
{
    if (words.size == 0)
        return;
    buffer_append_span(out, SPAN("    "));
    printable_append(out, span_first(words, max));
    buffer_append_byte(out, '\n');
}

static bool is_given_up(const struct report *r, const struct report_recipient *recipient)
{
    return r->kind == REPORT_FAILED && recipient->end == REPORT_END_GIVEN_UP;
}

/* Without a status and a reply nobody can say that a server was reached. */
static const char *explain(const struct report *r, const struct report_recipient *recipient)
{
    if (is_given_up(r, recipient))
        return report_words[r->language].given_up;
    if (!recipient->status.size && !event_is_reply(recipient->reply))
        return report_words[r->language].unreached;
    return report_explain((enum report_kind)r->kind, status_of(r, recipient),
                          (enum report_language)r->language);
}

static void tell_cause(const struct report *r, const struct report_recipient *recipient,
                       const struct measure *m, struct buffer *out)
{
    const struct report_words *words = &report_words[r->language];

    if (r->kind == REPORT_FAILED || r->kind == REPORT_DELAYED)
        wrap(out, "    ", span_from_cstr(explain(r, recipient)));
    if (recipient->instead.size)
        put_with(out, "    ", words->instead, span_first(recipient->instead, FIELD_TEXT_MAX));
    if (recipient->end == REPORT_END_EXPIRED)
        put_with_time(out, "    ", words->expired, r->arrival_us);
    if (!is_given_up(r, recipient)) /* else they have been told, in the reader's language */
        put_own_words(out, recipient->why, m->reply_max);
    if (!event_is_reply(recipient->reply)) {
        put_own_words(out, recipient->reply, m->reply_max);
    } else {
        put_with(out, "    ", words->reply, span_first(recipient->host, m->text_max));
        quote(out, recipient->reply, m->reply_max);
    }
}

/* Recipients one after the other that share a cause share its text. */
static void tell_recipient(const struct report *r, size_t i, const struct measure *m,
                           struct buffer *out)
{
    const struct report_recipient *recipient = &r->recipients[i];

    if (i == 0 || !same_cause(recipient - 1, recipient))
        buffer_append_byte(out, '\n');
    printable_append(out, span_first(recipient->address, m->reply_max));
    buffer_append_byte(out, '\n');
    if (i + 1 == r->recipient_count || !same_cause(recipient, recipient + 1))
        tell_cause(r, recipient, m, out);
}

/* What there is of the header block, with its last CRLF. A message may have none at all: then it
 * begins with the empty line, and what comes before the next one is its body. */
static struct span header_of(struct span message)
{
    if (span_equal(span_first(message, 2), SPAN("\r\n")))
        return span_first(message, 0);
    const char *end = message.size ? memmem(message.data, message.size, "\r\n\r\n", 4) : NULL;
    return end ? span_first(message, (size_t)(end - message.data) + 2) : message;
}

/* The original's Subject, as it stands, or "". */
static struct span find_subject(struct span header)
{
    for (struct span line; span_next_line(&header, &line);) {
        if (span_starts_nocase(line, SPAN("Subject:"))) {
            line = span_from(line, sizeof("Subject:") - 1);
            if (line.size && line.data[line.size - 1] == '\r')
                line.size--;
            return span_trim(line);
        }
    }
    return SPAN("");
}

/* In the order in which a person asks: what happened, to whom and why, with which message, what
 * next, whom to ask. */
static void tell(const struct report *r, const char *postmaster, const struct measure *m,
                 struct buffer *out)
{
    const struct report_words *words = &report_words[r->language];
    struct span subject = find_subject(header_of(r->header));
    char id[ID_TEXT + 1], time[CLOCK_RFC5322_SIZE];

    wrap(out, "", span_from_cstr(words->opening[r->kind]));
    for (size_t i = 0; i < r->recipient_count; i++)
        tell_recipient(r, i, m, out);
    id_format(&r->original_id, id);
    clock_format_rfc5322(r->arrival_us, time);
    buffer_printf(out, "\n%s: %s, %s", words->message, id, time);
    if (subject.size) {
        buffer_append_span(out, SPAN("\n    "));
        printable_append(out, span_first(subject, 200));
    }
    buffer_append_byte(out, '\n');
    if (r->kind == REPORT_DELAYED && r->until_us)
        put_with_time(out, "", words->until, r->until_us);
    buffer_append_byte(out, '\n');
    put_with(out, "", words->questions, span_from_cstr(postmaster));
}

/* ---- for programs ---- */

/* `utf8`: may be as it is; else its bytes beyond ASCII are escaped as controls are. */
static void put_printable(struct buffer *out, struct span text, bool utf8)
{
    for (size_t size; text.size && !utf8; text = span_from(text, size)) {
        size = printable_plain_size(text);
        printable_append(out, span_first(text, size));
        if (size)
            continue;
        size = 1;
        buffer_append_span(out, SPAN("\\x"));
        buffer_append_hex(out, (unsigned char)text.data[0], 'a');
    }
    printable_append(out, text);
}

/* Text for a field of a report: one line, controls escaped, cut at `max` bytes before escaping. */
static void put_field_text(struct buffer *out, struct span text, size_t max, bool utf8)
{
    text = span_first(text, max);
    for (struct span line; span_next_line(&text, &line);) {
        put_printable(out, line, utf8);
        if (text.size)
            buffer_append_byte(out, ' ');
    }
}

/* RFC 3464 2.3.1 and 2.3.2; RFC 6533 section 3 for the type "utf-8". */
static void put_address(struct buffer *out, const char *name, struct span address)
{
    buffer_printf(out, "%s: %s;", name, has_eight_bit(address) ? "utf-8" : "rfc822");
    put_field_text(out, address, FIELD_TEXT_MAX, true);
    buffer_append_span(out, SPAN("\r\n"));
}

/* RFC 3464 section 2.3.1: as the sender gave it; what he gave none for, as he wrote it in RCPT. */
static void put_original(struct buffer *out, const struct report_recipient *recipient)
{
    struct buffer text = BUFFER_INIT;

    if (recipient->orcpt.size && dsn_original_decode(recipient->orcpt, &text) == 0) {
        buffer_append_span(out, SPAN("Original-Recipient: "));
        put_field_text(out, buffer_span(&text), ENVELOPE_ORCPT_MAX, true);
        buffer_append_span(out, SPAN("\r\n"));
    } else if (recipient->original.size) {
        put_address(out, "Original-Recipient", recipient->original);
    }
    buffer_done(&text);
}

static void put_date(struct buffer *out, const char *name, int64_t time_us)
{
    char time[CLOCK_RFC5322_SIZE];

    if (!time_us)
        return;
    clock_format_rfc5322(time_us, time);
    buffer_printf(out, "%s: %s\r\n", name, time);
}

/* RFC 3464 section 2.3. Others' words may be UTF-8 where the whole part is (RFC 6533 section 4). */
static void put_recipient(const struct report *r, const struct report_recipient *recipient,
                          const struct measure *m, bool utf8, struct buffer *out)
{
    buffer_append_span(out, SPAN("\r\n"));
    put_original(out, recipient);
    put_address(out, "Final-Recipient", recipient->address);
    buffer_printf(out, "Action: %s\r\nStatus: ", actions[r->kind]);
    put_field_text(out, status_of(r, recipient), m->text_max, utf8);
    buffer_append_span(out, SPAN("\r\n"));
    if (recipient->host.size) {
        buffer_append_span(out, SPAN("Remote-MTA: dns; "));
        put_field_text(out, recipient->host, m->text_max, utf8);
        buffer_append_span(out, SPAN("\r\n"));
    }
    if (recipient->reply.size || recipient->why.size) {
        buffer_printf(out, "Diagnostic-Code: %s; ",
                      event_is_reply(recipient->reply) ? "smtp" : "X-Postbuch");
        put_field_text(out, recipient->reply.size ? recipient->reply : recipient->why, m->text_max,
                       utf8);
        buffer_append_span(out, SPAN("\r\n"));
    }
    put_date(out, "Last-Attempt-Date", recipient->last_attempt_us);
    if (r->kind == REPORT_DELAYED)
        put_date(out, "Will-Retry-Until", r->until_us);
}

/* ---- the whole ---- */

static void put_part(struct buffer *out, const char *boundary, const char *type,
                     const char *encoding)
{
    buffer_printf(out, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
                  boundary, type, encoding);
}

/* RFC 3464 section 2.2.1. */
static void put_envelope_id(const struct report *r, struct buffer *out)
{
    struct buffer text = BUFFER_INIT;

    if (r->envelope_id.size && dsn_xtext_decode(r->envelope_id, &text) == 0) {
        buffer_append_span(out, SPAN("Original-Envelope-Id: "));
        put_field_text(out, buffer_span(&text), ENVELOPE_ENVID_MAX, false);
        buffer_append_span(out, SPAN("\r\n"));
    }
    buffer_done(&text);
}

static void put_status_part(const struct report *r, const char *boundary, const struct measure *m,
                            bool smtputf8, struct buffer *out)
{
    char id[ID_TEXT + 1];

    put_part(out, boundary, smtputf8 ? "message/global-delivery-status" : "message/delivery-status",
             smtputf8 ? "8bit" : "7bit");
    put_envelope_id(r, out);
    id_format(&r->original_id, id);
    buffer_printf(out, "Reporting-MTA: dns; " SPAN_FMT "\r\nX-Postbuch-Id: %s\r\n",
                  SPAN_ARG(r->hostname), id);
    put_date(out, "Arrival-Date", r->arrival_us);
    for (size_t i = 0; i < r->recipient_count; i++)
        put_recipient(r, &r->recipients[i], m, smtputf8, out);
    buffer_append_span(out, SPAN("\r\n"));
}

/* The header block with its last CRLF, at most `max` bytes, cut behind a line. */
static struct span cut_header(struct span message, size_t max)
{
    struct span header = header_of(message);

    if (header.size <= max)
        return header;
    header = span_first(header, max);
    return span_first(header, (size_t)(span_find_last(header, '\n') + 1));
}

/* What is brought back of the original. */
struct original {
    struct span text;
    const char *type;
    enum original_encoding { ORIGINAL_7BIT, ORIGINAL_8BIT, ORIGINAL_QUOTED } encoding;
};

static bool is_utf8(struct span text)
{
    return !u8_check((const uint8_t *)text.data, text.size);
}

/* RFC 6533 section 4: what is "global" is in UTF-8, and only a way that takes UTF-8 takes it. */
static struct original whole_original(const struct report *r, bool smtputf8)
{
    return (struct original){
        .text = r->header,
        .type = smtputf8 && is_utf8(header_of(r->header)) ? "message/global" : "message/rfc822",
        .encoding = has_eight_bit(r->header) ? ORIGINAL_8BIT : ORIGINAL_7BIT,
    };
}

/* RFC 6522 section 4: a header that isn't ASCII goes in quoted-printable, so that every station
 * takes the report. */
static struct original header_original(const struct report *r, size_t max, bool smtputf8)
{
    struct original o = {.text = cut_header(r->header, max), .type = "text/rfc822-headers"};

    if (!has_eight_bit(o.text))
        return o;
    if (smtputf8 && is_utf8(o.text)) {
        o.type = "message/global-headers";
        o.encoding = ORIGINAL_8BIT;
    } else {
        o.encoding = ORIGINAL_QUOTED;
    }
    return o;
}

/* Lines of text end in LF there; `lines` is the room for that, and holds the error of it. */
static void put_quoted(struct span text, struct buffer *lines, struct buffer *out)
{
    for (struct span line; span_next_line(&text, &line);) {
        size_t size = line.size - (line.size && line.data[line.size - 1] == '\r');
        buffer_append_span(lines, span_first(line, size));
        buffer_append_byte(lines, '\n');
    }
    quoted_printable_append(out, buffer_span(lines));
}

static void put_original_part(const struct original *original, const char *boundary,
                              struct buffer *lines, struct buffer *out)
{
    static const char *const names[] = {
        [ORIGINAL_7BIT] = "7bit", [ORIGINAL_8BIT] = "8bit", [ORIGINAL_QUOTED] = "quoted-printable"};
    struct span text = original->text;

    put_part(out, boundary, original->type, names[original->encoding]);
    if (original->encoding == ORIGINAL_QUOTED) {
        put_quoted(text, lines, out);
        return;
    }
    buffer_append_span(out, text);
    if (text.size && text.data[text.size - 1] != '\n')
        buffer_append_span(out, SPAN("\r\n"));
}

/* RFC 3464 section 2, RFC 3834 section 3.1.7 (Auto-Submitted). */
static void put_own_header(const struct report *r, const char *postmaster, const char *boundary,
                           struct buffer *out)
{
    const struct report_words *words = &report_words[r->language];
    char id[ID_TEXT + 1], time[CLOCK_RFC5322_SIZE];

    id_format(&r->id, id);
    clock_format_rfc5322(r->now_us, time);
    buffer_printf(out, "Date: %s\r\nFrom: %s <%s>\r\nTo: <", time, words->from, postmaster);
    put_field_text(out, r->sender, FIELD_TEXT_MAX, true);
    buffer_printf(out,
                  ">\r\nSubject: %s\r\nMessage-ID: <%s@" SPAN_FMT ">\r\n"
                  "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                  "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                  "\tboundary=\"%s\"\r\n\r\n",
                  words->subject[r->kind], id, SPAN_ARG(r->hostname), boundary);
}

static bool needs_utf8(const struct report *r)
{
    bool needs = has_eight_bit(r->sender);

    for (size_t i = 0; i < r->recipient_count; i++) {
        const struct report_recipient *one = &r->recipients[i];
        needs |= has_eight_bit(one->address) || has_eight_bit(one->original) ||
                 has_eight_bit(one->orcpt);
    }
    return needs;
}

static void format_postmaster(const struct report *r, char *out, size_t size)
{
    if (r->postmaster.size)
        snprintf(out, size, SPAN_FMT, SPAN_ARG(r->postmaster));
    else
        snprintf(out, size, "postmaster@" SPAN_FMT, SPAN_ARG(r->hostname));
}

static int write_with(const struct report *r, const struct measure *m, struct buffer *out,
                      struct report_made *out_made)
{
    struct report_made made = {.smtputf8 = needs_utf8(r)};
    struct original original = r->whole && m->whole
                                   ? whole_original(r, made.smtputf8)
                                   : header_original(r, m->header_max, made.smtputf8);
    struct buffer text = BUFFER_INIT, lines = BUFFER_INIT;
    char postmaster[600], boundary[ID_TEXT + 16], id[ID_TEXT + 1];

    format_postmaster(r, postmaster, sizeof(postmaster));
    id_format(&r->id, id);
    /* The report's own id is new, so no original can have been written around this boundary;
     * "=_" can't stand in quoted-printable (RFC 2045 6.7). */
    snprintf(boundary, sizeof(boundary), "=_%s_report", id);
    put_own_header(r, postmaster, boundary, out);
    put_part(out, boundary, "text/plain; charset=utf-8", "quoted-printable");
    tell(r, postmaster, m, &text);
    quoted_printable_append(out, buffer_span(&text));
    buffer_append_span(out, SPAN("\r\n"));
    put_status_part(r, boundary, m, made.smtputf8, out);
    put_original_part(&original, boundary, &lines, out);
    buffer_printf(out, "--%s--\r\n", boundary);
    int error = buffer_error(&text)    ? buffer_error(&text)
                : buffer_error(&lines) ? buffer_error(&lines)
                                       : buffer_error(out);
    buffer_done(&text);
    buffer_done(&lines);
    made.eight_bit = made.smtputf8 || original.encoding == ORIGINAL_8BIT;
    if (error == 0)
        *out_made = made;
    return error;
}

static bool is_sound(const struct report *r)
{
    return r->kind < REPORT_KIND_COUNT && r->language < REPORT_LANGUAGE_COUNT && r->sender.size &&
           r->recipient_count && r->recipient_count <= REPORT_RECIPIENTS_MAX;
}

/* A station that lacks 8BITMIME gets a converted one, and what can't be converted would be lost
 * there, since nobody is told of a report's end: that it must not come to, for want of memory
 * either. */
static bool suits_every_station(struct span text, const struct report_made *made)
{
    struct buffer converted = BUFFER_INIT;
    struct seven_bit *s = NULL;

    if (!made->eight_bit || made->smtputf8)
        return true;
    s = seven_bit_new();
    bool suits = s && seven_bit_feed(s, text, &converted) == 0 && seven_bit_end(s, &converted) == 0;
    seven_bit_free(s);
    buffer_done(&converted);
    return suits;
}

int report_write(const struct report *r, struct buffer *out, struct report_made *out_made)
{
    struct report_made made;

    if (!is_sound(r))
        return -EINVAL;
    for (size_t i = r->whole ? 0 : 1; i < ARRAY_SIZE(measures); i++) {
        buffer_clear(out);
        int error = write_with(r, &measures[i], out, &made);
        if (error)
            return error;
        if (out->size <= REPORT_BYTES_MAX && suits_every_station(buffer_span(out), &made)) {
            *out_made = made;
            return 0;
        }
    }
    buffer_clear(out);
    return -EMSGSIZE;
}
