#include "smtp/client/session.h"

static struct smtp_client_recipient *next_pending(struct smtp_client *c, size_t *at)
{
    while (*at < c->mail->recipient_count) {
        struct smtp_client_recipient *r = &c->mail->recipients[(*at)++];
        if (r->result == SMTP_RESULT_PENDING)
            return r;
    }
    return NULL;
}

void smtp_client_say_rcpt(struct smtp_client *c)
{
    const struct smtp_client_recipient *r = next_pending(c, &c->sent);

    if (r)
        smtp_client_command(c, SMTP_CLIENT_RCPT, "RCPT TO:<" SPAN_FMT ">", SPAN_ARG(r->address));
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
            c->accepted++;
        } else {
            smtp_client_settle(c, r, is_too_many(c) ? SMTP_RESULT_AGAIN : smtp_client_result_of(c));
        }
    }
    smtp_client_go_on(c);
}
