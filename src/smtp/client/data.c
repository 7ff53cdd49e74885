#include "smtp/client/session.h"

void smtp_client_say_data(struct smtp_client *c)
{
    smtp_client_command(c, SMTP_CLIENT_DATA, "DATA");
    c->data_sent = true;
}

/* It was sent ahead, and there is nobody to send a message to: an empty one ends it (RFC 2920
 * 3.1), and whatever the verdict on it, nobody gets it. */
static void send_nothing(struct smtp_client *c)
{
    buffer_append_span(&c->out, SPAN(".\r\n"));
    smtp_client_await(c, SMTP_CLIENT_DOT);
    c->last_sent = true;
    smtp_client_state_set(c, SMTP_CLIENT_FINAL);
}

/* RFC 5321 section 4.3.2: only 354 says "go on"; another 3yz or a 2yz is no dialogue, and the
 * message may not be sent into it. */
void smtp_client_on_data(struct smtp_client *c)
{
    if (c->heard.code == 354 && c->accepted == 0) {
        send_nothing(c);
    } else if (c->heard.code == 354) {
        smtp_encode_init(&c->encode, true);
        smtp_client_state_set(c, SMTP_CLIENT_BODY);
    } else if (c->heard.code >= 400) {
        smtp_client_settle_all(c, smtp_client_result_of(c));
        c->dirty = true;
        smtp_client_end_mail(c);
    } else {
        smtp_client_fail_heard(c);
    }
}

void smtp_client_on_dot(struct smtp_client *c)
{
    if (smtp_client_heard_yes(c))
        smtp_client_settle_all(c, SMTP_RESULT_TAKEN);
    else if (c->heard.code >= 400)
        smtp_client_settle_all(c, smtp_client_result_of(c));
    else /* "go on" isn't a verdict */
        smtp_client_settle_all_as(c, SMTP_RESULT_UNCERTAIN, "4.5.0", smtp_heard_text(&c->heard));
    smtp_client_end_mail(c);
}
