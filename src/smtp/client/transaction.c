/*
 * One message over a session: what it needs and whether the station can take it (before anything is
 * sent), the envelope, the body. A recipient's result moves from OPEN over PENDING and ACCEPTED to
 * an end; in a session it never goes back, and settle functions are the only ones that write ends.
 * Whose try came to nothing, and so is open for another session, its caller says.
 */
#include "smtp/client/session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { CHUNKS_MAX = 16 }; /* under way at a time, without a reply */

/* ---- results ---- */

void smtp_client_settle_as(struct smtp_client *c, struct smtp_client_recipient *r,
                           enum smtp_result result, const char *status, struct span text)
{
    r->result = result;
    r->text = arena_copy(&c->mail->arena, text);
    if (!r->text.data)
        r->text = SPAN("");
    snprintf(r->status, sizeof(r->status), "%s", status);
}

void smtp_client_settle(struct smtp_client *c, struct smtp_client_recipient *r,
                        enum smtp_result result)
{
    char status[SMTP_HEARD_STATUS_SIZE];

    smtp_heard_status(&c->heard, status);
    smtp_client_settle_as(c, r, result, status, smtp_heard_text(&c->heard));
}

/* One copy of the words serves all. */
void smtp_client_settle_all_as(struct smtp_client *c, enum smtp_result result, const char *status,
                               struct span text)
{
    const struct smtp_client_recipient *first = NULL;

    for (size_t i = 0; i < c->mail->recipient_count; i++) {
        struct smtp_client_recipient *r = &c->mail->recipients[i];
        if (r->result != SMTP_RESULT_PENDING && r->result != SMTP_RESULT_ACCEPTED)
            continue;
        if (!first)
            smtp_client_settle_as(c, r, result, status, text);
        r->result = result;
        r->everybodys = true;
        if (first) {
            r->text = first->text;
            memcpy(r->status, first->status, sizeof(r->status));
        }
        first = r;
    }
}

void smtp_client_settle_all(struct smtp_client *c, enum smtp_result result)
{
    char status[SMTP_HEARD_STATUS_SIZE];

    smtp_heard_status(&c->heard, status);
    smtp_client_settle_all_as(c, result, status, smtp_heard_text(&c->heard));
}

/* RFC 5321 section 4.2.1: 5yz isn't to be repeated, 4yz is. */
enum smtp_result smtp_client_result_of(const struct smtp_client *c)
{
    return c->heard.code >= 500 ? SMTP_RESULT_NEVER : SMTP_RESULT_LATER;
}

/* ---- what the message needs, and the station can ---- */

/* Canonical addresses hold none of these; a command line must not be broken out of in any case. */
static bool is_safe(struct span address)
{
    for (size_t i = 0; i < address.size; i++)
        if ((unsigned char)address.data[i] < ' ' || address.data[i] == 127)
            return false;
    return true;
}

/* The message's own header, with its last CRLF; all there is when it has no end yet. */
static struct span header_of(struct span body)
{
    for (size_t at = 0; at + 4 <= body.size; at++)
        if (body.data[at] == '\r' && memcmp(body.data + at, "\r\n\r\n", 4) == 0)
            return span_first(body, at + 2);
    return body;
}

static bool header_is_ascii(const struct smtp_client_mail *mail)
{
    return span_is_ascii(mail->header) && span_is_ascii(header_of(mail->body));
}

/* Declared, or there for all to see; a large body that wasn't declared is believed. */
static bool is_eight_bit(const struct smtp_client_mail *mail)
{
    bool whole = mail->body.size == mail->size_bytes;

    if (!whole)
        return mail->eight_bit || !span_is_ascii(mail->body);
    return !span_is_ascii(mail->body) || !span_is_ascii(mail->header);
}

static void refuse_all(struct smtp_client *c, const char *status, const char *text)
{
    smtp_client_settle_all_as(c, SMTP_RESULT_NEVER, status, span_from_cstr(text));
}

/* RFC 6531 3.2: an address in UTF-8 can't be written for a station that doesn't know of it. */
static void check_addresses(struct smtp_client *c)
{
    static const char no_utf8[] = "the next station doesn't offer SMTPUTF8, which addresses that "
                                  "are not ASCII need";
    bool utf8 = smtp_client_offers(c, SMTP_EXTENSION_SMTPUTF8) && c->mail->smtputf8;

    if (!is_safe(c->mail->sender))
        refuse_all(c, "5.1.7", "the sender's address can't be written in a command");
    else if (!utf8 && !span_is_ascii(c->mail->sender))
        refuse_all(c, "5.6.7", no_utf8);
    for (size_t i = 0; i < c->mail->recipient_count; i++) {
        struct smtp_client_recipient *r = &c->mail->recipients[i];
        if (r->result != SMTP_RESULT_PENDING)
            continue;
        if (!is_safe(r->address))
            smtp_client_settle_as(c, r, SMTP_RESULT_NEVER, "5.1.3",
                                  SPAN("the address can't be written in a command"));
        else if (!utf8 && !span_is_ascii(r->address))
            smtp_client_settle_as(c, r, SMTP_RESULT_NEVER, "5.6.7", span_from_cstr(no_utf8));
    }
}

/* RFC 1870 section 4 tells the limit: refused here, before a byte was sent, rather than by the
 * station after all were. */
static void check_size(struct smtp_client *c)
{
    char text[160];
    uint64_t size = c->mail->size_bytes + c->mail->header.size;

    if (c->size_max == 0 || size <= c->size_max)
        return;
    snprintf(text, sizeof(text),
             "the message has %" PRIu64 " bytes, and the next station takes at most %" PRIu64, size,
             c->size_max);
    refuse_all(c, "5.3.4", text);
}

/* RFC 6152 section 3: what a station can't take as it is becomes 7-bit MIME, or comes back. */
static void check_content(struct smtp_client *c)
{
    const struct smtp_client_mail *mail = c->mail;

    c->declare_utf8 = mail->smtputf8 && smtp_client_offers(c, SMTP_EXTENSION_SMTPUTF8);
    c->declare_8bit = false;
    /* RFC 3030 section 3 would need BINARYMIME and BDAT there, or a conversion that is nobody's
     * loss to make: smtpd doesn't take such mail. */
    if (mail->binary) {
        refuse_all(c, "5.6.3", "the message is binary, and can't be sent on as it is");
        return;
    }
    if (mail->smtputf8 && !c->declare_utf8 && !header_is_ascii(mail)) {
        refuse_all(c, "5.6.7",
                   "the next station doesn't offer SMTPUTF8, which the message's "
                   "header needs");
        return;
    }
    if (!is_eight_bit(mail))
        return;
    c->declare_8bit = smtp_client_offers(c, SMTP_EXTENSION_8BITMIME);
    if (c->declare_8bit)
        return;
    c->convert = seven_bit_new();
    if (!c->convert)
        smtp_client_settle_all_as(c, SMTP_RESULT_OURS, "4.3.0", SPAN("out of memory"));
}

/* ---- the course of a transaction ---- */

void smtp_client_drop_mail(struct smtp_client *c)
{
    seven_bit_free(c->convert);
    c->convert = NULL;
    buffer_done(&c->converted);
    buffer_done(&c->chunk);
    c->mail = NULL;
}

/* A station that gave its last answer before it had read all, mostly "too large", would read the
 * rest in front of the next message, and answer that: its answers could be taken for those to the
 * next message's commands. The rest can't be taken back but by closing the connection. */
void smtp_client_end_mail(struct smtp_client *c)
{
    if (c->out.size) {
        smtp_client_fail(c, "4.5.0", "it answered before it had read all that was said");
        return;
    }
    smtp_client_drop_mail(c);
    smtp_client_state_set(c, SMTP_CLIENT_READY);
}

static bool has_pending(const struct smtp_client *c)
{
    for (size_t i = 0; i < c->mail->recipient_count; i++)
        if (c->mail->recipients[i].result == SMTP_RESULT_PENDING)
            return true;
    return false;
}

/* What has an end already (from another host, or the transaction before) is left alone. */
static void mark_open(struct smtp_client_mail *mail)
{
    for (size_t i = 0; i < mail->recipient_count; i++) {
        struct smtp_client_recipient *r = &mail->recipients[i];
        if (!smtp_client_tries(mail, r))
            continue;
        r->result = SMTP_RESULT_PENDING;
        r->everybodys = false;
    }
}

/* RFC 2920 3.1: all up to DATA in one go. BDAT waits for the recipients' replies: its bytes would
 * be for nothing. */
static void send_envelope(struct smtp_client *c)
{
    size_t before;

    if (c->dirty)
        smtp_client_command(c, SMTP_CLIENT_RSET, "RSET");
    if (!smtp_client_offers(c, SMTP_EXTENSION_PIPELINING))
        return;
    smtp_client_say_mail(c);
    do {
        before = c->awaited.size;
        smtp_client_say_rcpt(c);
    } while (c->awaited.size != before);
    if (!c->chunking)
        smtp_client_say_data(c);
}

/* What the station can't take ends in its result before anything is sent; only what is left makes a
 * transaction. */
void smtp_client_begin(struct smtp_client *c, struct smtp_client_mail *mail)
{
    assert(c->state == SMTP_CLIENT_READY);
    c->mail = mail;
    c->mail_count++;
    c->answered = c->body_begun = c->mail_refused = c->verdict_known = false;
    c->mail_sent = c->data_sent = c->last_sent = false;
    c->sent = c->heard_of = c->accepted = 0;
    c->body_left = mail->size_bytes;
    c->chunking = smtp_client_offers(c, SMTP_EXTENSION_CHUNKING);
    mark_open(mail);
    check_size(c);
    check_addresses(c);
    if (has_pending(c))
        check_content(c);
    if (!has_pending(c)) {
        c->answered = true;
        smtp_client_end_mail(c);
        return;
    }
    smtp_client_be_patient(c);
    smtp_client_state_set(c, SMTP_CLIENT_ENVELOPE);
    send_envelope(c);
    smtp_client_go_on(c);
    smtp_client_check_memory(c); /* else it would wait for answers to what it never said */
}

/* All recipients have answered. Without PIPELINING DATA is said only now; with BDAT there is no
 * command between the envelope and the body. */
static void envelope_is_over(struct smtp_client *c)
{
    if (c->data_sent) {
        smtp_client_state_set(c, SMTP_CLIENT_OPENING);
    } else if (c->accepted == 0) {
        c->dirty = true;
        smtp_client_end_mail(c);
    } else if (c->chunking) {
        smtp_encode_init(&c->encode, false);
        smtp_client_state_set(c, SMTP_CLIENT_BODY);
    } else {
        smtp_client_say_data(c);
        smtp_client_state_set(c, SMTP_CLIENT_OPENING);
    }
}

/* With PIPELINING all was said by send_envelope() and this only waits; without it, one command
 * after the other, each when the one before is answered (RFC 2920 section 3.1). */
void smtp_client_go_on(struct smtp_client *c)
{
    size_t ahead = c->data_sent ? 1 : 0; /* DATA, when it was sent with the rest */

    if (c->awaited.size > ahead)
        return;
    if (!c->mail_sent) {
        smtp_client_say_mail(c);
        return;
    }
    if (!c->mail_refused && !c->data_sent)
        smtp_client_say_rcpt(c);
    if (c->awaited.size == ahead)
        envelope_is_over(c);
}

/* ---- the body ---- */

/* A bounded number of chunks without their replies: a station that refused the first one isn't sent
 * all the rest. */
bool smtp_client_wants_body(const struct smtp_client *c)
{
    size_t chunks_max = smtp_client_offers(c, SMTP_EXTENSION_PIPELINING) ? CHUNKS_MAX : 1;

    return c->state == SMTP_CLIENT_BODY && !c->verdict_known &&
           c->out.size < SMTP_CLIENT_OUTPUT_MARK && c->awaited.size < chunks_max;
}

/* Half a message by DATA can't be taken back but by closing the connection. Want of memory is no
 * fault of the message's. */
static void give_up_content(struct smtp_client *c, int error)
{
    if (error == -EINVAL)
        refuse_all(c, "5.6.3", seven_bit_problem(c->convert));
    else
        smtp_client_settle_all_as(c, SMTP_RESULT_OURS, "4.3.0", SPAN("out of memory"));
    c->verdict_known = c->dirty = true;
    if (!c->chunking)
        smtp_client_fail_ours(c, "closed: half of a message can't be taken back");
    else if (c->awaited.size == 0)
        smtp_client_end_mail(c);
}

static int encode(struct smtp_client *c, struct span in, struct buffer *out)
{
    if (!c->convert) {
        smtp_encode_feed(&c->encode, in, out);
        return 0;
    }
    int r = seven_bit_feed(c->convert, in, &c->converted);
    smtp_encode_feed(&c->encode, buffer_span(&c->converted), out);
    buffer_clear(&c->converted);
    return r;
}

static int encode_end(struct smtp_client *c, struct buffer *out)
{
    int r = 0;

    if (c->convert) {
        r = seven_bit_end(c->convert, &c->converted);
        smtp_encode_feed(&c->encode, buffer_span(&c->converted), out);
    }
    smtp_encode_end(&c->encode, out);
    return r;
}

/* RFC 3030 section 2: the size is said first, so a chunk is complete before its command goes out.
 */
static void send_chunk(struct smtp_client *c, bool last)
{
    if (c->chunk.size == 0 && !last)
        return;
    smtp_client_command(c, SMTP_CLIENT_BDAT, "BDAT %zu%s", c->chunk.size, last ? " LAST" : "");
    buffer_append_span(&c->out, buffer_span(&c->chunk));
    buffer_clear(&c->chunk);
}

/* smtp_encode_end() has ended the last line: the dot stands alone (RFC 5321 section 4.1.1.4). */
static void send_dot(struct smtp_client *c)
{
    buffer_append_span(&c->out, SPAN(".\r\n"));
    smtp_client_await(c, SMTP_CLIENT_DOT);
}

void smtp_client_body(struct smtp_client *c, struct span piece)
{
    struct buffer *out = c->chunking ? &c->chunk : &c->out;
    bool first = !c->body_begun, last = piece.size == c->body_left;
    int r = 0;

    assert(c->state == SMTP_CLIENT_BODY && piece.size <= c->body_left);
    smtp_client_end_our_turn(c);
    if (first)
        smtp_client_be_patient(c);
    c->body_begun = true;
    c->body_left -= piece.size;
    if (first)
        r = encode(c, c->mail->header, out);
    if (r == 0)
        r = encode(c, piece, out);
    if (r == 0 && last)
        r = encode_end(c, out);
    if (r == 0)
        r = buffer_error(out); /* before a chunk says how long it is */
    if (r < 0) {
        give_up_content(c, r);
        return;
    }
    c->last_sent = last;
    if (c->chunking)
        send_chunk(c, last);
    else if (last)
        send_dot(c);
    smtp_client_check_memory(c);
    if (last && c->state == SMTP_CLIENT_BODY)
        smtp_client_state_set(c, SMTP_CLIENT_FINAL);
}
