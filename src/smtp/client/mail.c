#include "smtp/client/session.h"

#include "mail/dsn.h"
#include <inttypes.h>
#include <stdio.h>

void smtp_client_say_mail(struct smtp_client *c)
{
    const struct smtp_client_mail *mail = c->mail;
    static const char *const returns[] = {
        [ENVELOPE_RETURN_FULL] = " RET=FULL", [ENVELOPE_RETURN_HEADER] = " RET=HDRS"};
    bool dsn = smtp_client_offers(c, SMTP_EXTENSION_DSN);
    const char *returned = dsn && returns[mail->returned] ? returns[mail->returned] : "";
    struct span id = dsn && dsn_is_envelope_id(mail->envelope_id) ? mail->envelope_id : SPAN("");
    char size[40] = "";

    /* RFC 1870 section 6.3: a conversion may make it a little larger than is said here. */
    if (smtp_client_offers(c, SMTP_EXTENSION_SIZE))
        snprintf(size, sizeof(size), " SIZE=%" PRIu64, mail->size_bytes + mail->header.size);
    smtp_client_command(c, SMTP_CLIENT_MAIL, "MAIL FROM:<" SPAN_FMT ">%s%s%s%s%s" SPAN_FMT,
                        SPAN_ARG(mail->sender), size, c->declare_8bit ? " BODY=8BITMIME" : "",
                        c->declare_utf8 ? " SMTPUTF8" : "", returned, id.size ? " ENVID=" : "",
                        SPAN_ARG(id));
    c->mail_sent = true;
}

/* The replies to the rest of a pipelined envelope still come, and are counted but not looked at. */
void smtp_client_on_mail(struct smtp_client *c)
{
    if (!smtp_client_heard_yes(c)) {
        c->mail_refused = true;
        smtp_client_settle_all(c, smtp_client_result_of(c));
    }
    smtp_client_go_on(c);
}
