#include "smtp/server/session.h"

static const struct smtp_reply secret = {550, "5.7.2", "lists are not expanded here"};

void smtp_do_expn(struct smtp_server *s, const struct smtp_command *command)
{
    smtp_say_error(s, &secret);
}
