#include "smtp/server/session.h"

static const struct smtp_reply fine = {250, "2.0.0", "still here"};

void smtp_do_noop(struct smtp_server *s, const struct smtp_command *command)
{
    smtp_say(s, &fine);
}
