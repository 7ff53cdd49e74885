/*
 * RCPT: recipients that are pending are walked twice, by what was sent and by what was heard;
 * replies come in order, so the second walk finds whom each is for.
 */
#include "smtp/client/session.h"

#include "mail/dsn.h"

static struct smtp_client_recipient *next_pending(struct smtp_client *c, size_t *at)
{
    while (*at < c->mail->recipient_count) {
        struct smtp_client_recipient *r = &c->mail->recipients[(*at)++];
        if (r->result == SMTP_RESULT_PENDING)
            return r;
    }
    return NULL;
}

/* RFC 3461 5.2.1: what the sender asked for goes with it, word for word; an address in UTF-8 in
 * ASCII, for a station that knows no other (RFC 6533 section 3). */
static void put_wish(const struct smtp_client *c, const struct smtp_client_recipient *r,
                     struct buffer *out)
{
    char notify[DSN_NOTIFY_TEXT];

    if (!smtp_client_offers(c, SMTP_EXTENSION_DSN))
        return;
    dsn_format_notify(r->notify, notify);
    if (r->notify)
        buffer_printf(out, " NOTIFY=%s", notify);
    if (!dsn_is_original(r->orcpt, true))
        return; /* none, or nothing that may stand in a command */
    size_t before = out->size;
    buffer_append_span(out, SPAN(" ORCPT="));
    size_t start = out->size;
    if (c->declare_utf8)
        buffer_append_span(out, r->orcpt);
    else
        dsn_original_ascii(r->orcpt, out);
    /* Escapes make it longer, perhaps longer than a station takes (RFC 3461 section 4.2): a name in
     * a report isn't worth the recipient. */
    if (out->size - start > ENVELOPE_ORCPT_MAX)
        out->size = before;
}

void smtp_client_say_rcpt(struct smtp_client *c)
{
    const struct smtp_client_recipient *r = next_pending(c, &c->sent);
    struct buffer wish = BUFFER_INIT;

    if (!r)
        return;
    put_wish(c, r, &wish);
    if (buffer_error(&wish))
        buffer_clear(&wish);
    smtp_client_command(c, SMTP_CLIENT_RCPT, "RCPT TO:<" SPAN_FMT ">" SPAN_FMT,
                        SPAN_ARG(r->address), SPAN_ARG(buffer_span(&wish)));
    buffer_done(&wish);
}

/* RFC 5321 4.5.3.1.10: too many recipients at once; 552 is what some say instead. */
static bool is_too_many(const struct smtp_client *c)
{
    return c->accepted > 0 && (c->heard.code == 452 || c->heard.code == 552);
}

void smtp_client_on_rcpt(struct smtp_client *c)
{
    if (!c->mail_refused) { /* else it has its result */
        struct smtp_client_recipient *r = next_pending(c, &c->heard_of);
        if (smtp_client_heard_yes(c)) {
            r->result = SMTP_RESULT_ACCEPTED;
            r->knows_wish = smtp_client_offers(c, SMTP_EXTENSION_DSN);
            c->accepted++;
        } else {
            smtp_client_settle(c, r, is_too_many(c) ? SMTP_RESULT_AGAIN : smtp_client_result_of(c));
        }
    }
    smtp_client_go_on(c);
}
