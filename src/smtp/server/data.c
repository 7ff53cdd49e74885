#include "smtp/server/body.h"

static const struct smtp_reply go_on = {354, NULL, "go on, end with <CR><LF>.<CR><LF>"};

/* RFC 5321 section 3.3: without a recipient DATA is answered 503 or 554, so that a client that
 * pipelined it doesn't send a message for nobody. */
const struct smtp_reply *smtp_check_data(const struct smtp_server *s)
{
    return s->transaction.envelope.recipient_count ? NULL : &smtp_no_recipients;
}

void smtp_do_data(struct smtp_server *s, const struct smtp_command *command)
{
    s->body = smtp_body_new(s, true);
    if (!s->body) {
        smtp_close(s, &smtp_no_memory_closing);
        return;
    }
    s->message_started_ms = s->time->monotonic_ms;
    smtp_say(s, &go_on);
    smtp_state_set(s, SMTP_STATE_DATA);
}

size_t smtp_data_input(struct smtp_server *s, struct span in)
{
    size_t used = smtp_body_feed(s->body, in);

    s->progress_ms = s->time->monotonic_ms;
    if (smtp_body_has_ended(s->body))
        smtp_message_end(s);
    return used;
}
