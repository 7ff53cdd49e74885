#include "smtp/server/session.h"

/* RFC 5321 3.5.3: neither yes nor no, so that nobody collects addresses here. */
static const struct smtp_reply perhaps = {252, "2.5.0", "not told here; try RCPT"};

void smtp_do_vrfy(struct smtp_server *s, const struct smtp_command *command)
{
    smtp_say(s, &perhaps);
}
