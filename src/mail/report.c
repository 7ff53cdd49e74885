#include "mail/report.h"

#include "base/clock.h"
#include "base/printable.h"
#include "mail/event.h"
#include "mail/quoted_printable.h"
#include "mail/report_text.h"
#include <errno.h>
#include <stdio.h>

enum {
    WRAP_COLUMNS = 72,
    /* Of what is quoted in a field. Escaped it is up to four times as long, and a line may have 998
     * characters (RFC 5322 2.1.1). */
    FIELD_TEXT_MAX = 230,
    REPLY_SHOWN_MAX = 500,
};

/* RFC 3464 section 2.3.3. */
static const char *const actions[REPORT_KIND_COUNT] = {
    [REPORT_FAILED] = "failed",       [REPORT_DELAYED] = "delayed",   [REPORT_RELAYED] = "relayed",
    [REPORT_DELIVERED] = "delivered", [REPORT_EXPANDED] = "expanded",
};

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

/* Appends words of `text` in lines of at most WRAP_COLUMNS bytes, each behind `indent`. */
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
static void quote(struct buffer *out, struct span reply)
{
    reply = span_first(reply, REPLY_SHOWN_MAX);
    while (reply.size) {
        ptrdiff_t end = span_find(reply, '\n');
        struct span line = span_first(reply, end < 0 ? reply.size : (size_t)end);
        buffer_append_span(out, SPAN("    > "));
        printable_append(out, line);
        buffer_append_byte(out, '\n');
        reply = span_from(reply, line.size + 1);
    }
}

static void put_own_words(struct buffer *out, struct span words)
{
    if (words.size == 0)
        return;
    buffer_append_span(out, SPAN("    "));
    printable_append(out, span_first(words, REPLY_SHOWN_MAX));
    buffer_append_byte(out, '\n');
}

static void tell_recipient(const struct report *r, const struct report_recipient *recipient,
                           struct buffer *out)
{
    const struct report_words *words = &report_words[r->language];
    char host[300];

    buffer_append_byte(out, '\n');
    printable_append(out, recipient->address);
    buffer_append_byte(out, '\n');
    if (r->kind == REPORT_FAILED || r->kind == REPORT_DELAYED)
        wrap(out, "    ", span_from_cstr(report_explain(status_of(r, recipient), r->language)));
    put_own_words(out, recipient->why);
    if (!event_is_reply(recipient->reply)) {
        put_own_words(out, recipient->reply);
        return;
    }
    snprintf(host, sizeof(host), SPAN_FMT, SPAN_ARG(span_first(recipient->host, 255)));
    buffer_append_span(out, SPAN("    "));
    const char *at = strstr(words->reply, "%s");
    buffer_append(out, words->reply, (size_t)(at - words->reply));
    printable_append(out, span_from_cstr(host));
    buffer_printf(out, "%s\n", at + 2);
    quote(out, recipient->reply);
}

/* The original's Subject, as it stands, or "". */
static struct span find_subject(struct span header)
{
    while (header.size) {
        ptrdiff_t end = span_find(header, '\n');
        struct span line = span_first(header, end < 0 ? header.size : (size_t)end);
        if (span_starts_nocase(line, SPAN("Subject:"))) {
            line = span_from(line, sizeof("Subject:") - 1);
            if (line.size && line.data[line.size - 1] == '\r')
                line.size--;
            return span_trim(line);
        }
        header = span_from(header, line.size + 1);
    }
    return SPAN("");
}

static void put_with(struct buffer *out, const char *format, const char *value)
{
    struct buffer line = BUFFER_INIT;
    const char *at = strstr(format, "%s");

    buffer_append(&line, format, (size_t)(at - format));
    buffer_printf(&line, "%s%s", value, at + 2);
    wrap(out, "", buffer_span(&line));
    buffer_done(&line);
}

static void tell(const struct report *r, const char *postmaster, struct buffer *out)
{
    const struct report_words *words = &report_words[r->language];
    struct span subject = find_subject(r->header);
    char id[ID_TEXT + 1], time[CLOCK_RFC5322_SIZE];

    wrap(out, "", span_from_cstr(words->opening[r->kind]));
    for (size_t i = 0; i < r->recipient_count; i++)
        tell_recipient(r, &r->recipients[i], out);
    id_format(&r->original_id, id);
    clock_format_rfc5322(r->arrival_us, time);
    buffer_printf(out, "\n%s: %s, %s", words->message, id, time);
    if (subject.size) {
        buffer_append_span(out, SPAN("\n    "));
        printable_append(out, span_first(subject, 200));
    }
    buffer_append_byte(out, '\n');
    if (r->kind == REPORT_DELAYED && r->until_us) {
        clock_format_rfc5322(r->until_us, time);
        put_with(out, words->until, time);
    }
    buffer_append_byte(out, '\n');
    put_with(out, words->questions, postmaster);
}

/* ---- for programs ---- */

/* `utf8`: may be as it is; else its bytes beyond ASCII are escaped as controls are. */
static void put_printable(struct buffer *out, struct span text, bool utf8)
{
    for (; text.size && !utf8; text = span_from(text, 1)) {
        if ((unsigned char)text.data[0] < 0x80)
            printable_append(out, span_first(text, 1));
        else
            buffer_printf(out, "\\x%02x", (unsigned char)text.data[0]);
    }
    printable_append(out, text);
}

/* Text for a field: one line, controls escaped, cut. */
static void put_field_text(struct buffer *out, struct span text, bool utf8)
{
    text = span_first(text, FIELD_TEXT_MAX);
    while (text.size) {
        ptrdiff_t end = span_find(text, '\n');
        struct span line = span_first(text, end < 0 ? text.size : (size_t)end);
        put_printable(out, line, utf8);
        text = span_from(text, line.size + 1);
        if (text.size)
            buffer_append_byte(out, ' ');
    }
}

static void put_address(struct buffer *out, const char *name, struct span address)
{
    buffer_printf(out, "%s: %s;", name, has_eight_bit(address) ? "utf-8" : "rfc822");
    put_field_text(out, address, true);
    buffer_append_span(out, SPAN("\r\n"));
}

static void put_date(struct buffer *out, const char *name, int64_t time_us)
{
    char time[CLOCK_RFC5322_SIZE];

    if (!time_us)
        return;
    clock_format_rfc5322(time_us, time);
    buffer_printf(out, "%s: %s\r\n", name, time);
}

/* RFC 3464 section 2.3. Others' words may be UTF-8 where the whole part is (RFC 6533 section 3). */
static void put_recipient(const struct report *r, const struct report_recipient *recipient,
                          bool utf8, struct buffer *out)
{
    buffer_append_span(out, SPAN("\r\n"));
    if (recipient->original.size)
        put_address(out, "Original-Recipient", recipient->original);
    put_address(out, "Final-Recipient", recipient->address);
    buffer_printf(out, "Action: %s\r\nStatus: ", actions[r->kind]);
    put_field_text(out, status_of(r, recipient), utf8);
    buffer_append_span(out, SPAN("\r\n"));
    if (recipient->host.size) {
        buffer_append_span(out, SPAN("Remote-MTA: dns; "));
        put_field_text(out, recipient->host, utf8);
        buffer_append_span(out, SPAN("\r\n"));
    }
    if (recipient->reply.size || recipient->why.size) {
        buffer_printf(out, "Diagnostic-Code: %s; ",
                      event_is_reply(recipient->reply) ? "smtp" : "X-Postbuch");
        put_field_text(out, recipient->reply.size ? recipient->reply : recipient->why, utf8);
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

static void put_status_part(const struct report *r, const char *boundary, bool smtputf8,
                            struct buffer *out)
{
    char id[ID_TEXT + 1];

    put_part(out, boundary, smtputf8 ? "message/global-delivery-status" : "message/delivery-status",
             smtputf8 ? "8bit" : "7bit");
    id_format(&r->original_id, id);
    buffer_printf(out, "Reporting-MTA: dns; " SPAN_FMT "\r\nX-Postbuch-Id: %s\r\n",
                  SPAN_ARG(r->hostname), id);
    put_date(out, "Arrival-Date", r->arrival_us);
    for (size_t i = 0; i < r->recipient_count; i++)
        put_recipient(r, &r->recipients[i], smtputf8, out);
    buffer_append_span(out, SPAN("\r\n"));
}

/* At most `max` bytes, cut behind a line. */
static struct span cut_header(struct span header, size_t max)
{
    if (header.size <= max)
        return header;
    header = span_first(header, max);
    return span_first(header, (size_t)(span_find_last(header, '\n') + 1));
}

static void put_header_part(struct span header, const char *boundary, bool eight_bit,
                            struct buffer *out)
{
    put_part(out, boundary, eight_bit ? "message/global-headers" : "text/rfc822-headers",
             eight_bit ? "8bit" : "7bit");
    buffer_append_span(out, header);
    if (header.size && header.data[header.size - 1] != '\n')
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
    put_field_text(out, r->sender, true);
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

    for (size_t i = 0; i < r->recipient_count; i++)
        needs |=
            has_eight_bit(r->recipients[i].address) || has_eight_bit(r->recipients[i].original);
    return needs;
}

static int write_with(const struct report *r, struct span header, struct buffer *out,
                      struct report_made *out_made)
{
    struct report_made made = {.eight_bit = has_eight_bit(header), .smtputf8 = needs_utf8(r)};
    struct buffer text = BUFFER_INIT;
    char postmaster[600], boundary[ID_TEXT + 16], id[ID_TEXT + 1];

    if (r->postmaster.size)
        snprintf(postmaster, sizeof(postmaster), SPAN_FMT, SPAN_ARG(r->postmaster));
    else
        snprintf(postmaster, sizeof(postmaster), "postmaster@" SPAN_FMT, SPAN_ARG(r->hostname));
    id_format(&r->id, id);
    snprintf(boundary, sizeof(boundary), "=_%s_report", id);
    put_own_header(r, postmaster, boundary, out);
    put_part(out, boundary, "text/plain; charset=utf-8", "quoted-printable");
    tell(r, postmaster, &text);
    quoted_printable_append(out, buffer_span(&text));
    buffer_append_span(out, SPAN("\r\n"));
    put_status_part(r, boundary, made.smtputf8, out);
    put_header_part(header, boundary, made.eight_bit, out);
    buffer_printf(out, "--%s--\r\n", boundary);
    int error = buffer_error(&text) ? buffer_error(&text) : buffer_error(out);
    buffer_done(&text);
    made.eight_bit |= made.smtputf8;
    if (error == 0)
        *out_made = made;
    return error;
}

int report_write(const struct report *r, struct buffer *out, struct report_made *out_made)
{
    if (r->kind >= REPORT_KIND_COUNT || r->language >= REPORT_LANGUAGE_COUNT || !r->sender.size ||
        !r->recipient_count || r->recipient_count > REPORT_RECIPIENTS_MAX)
        return -EINVAL;
    int error = write_with(r, cut_header(r->header, REPORT_HEADER_MAX), out, out_made);
    if (error == 0 && out->size > REPORT_BYTES_MAX) {
        buffer_clear(out);
        error = write_with(r, cut_header(r->header, REPORT_HEADER_SHORT), out, out_made);
    }
    return error;
}
