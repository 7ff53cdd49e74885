#include "smtp/server/session.h"

static const struct smtp_reply flushed = {250, "2.0.0", "nothing is under way now"};

/* RFC 5321 section 4.1.1.5: also before EHLO, and the greeting of the client is kept. */
void smtp_do_rset(struct smtp_server *s, const struct smtp_command *command)
{
    smtp_transaction_reset(s);
    smtp_state_set(s, smtp_resting_state(s));
    smtp_say(s, &flushed);
}
