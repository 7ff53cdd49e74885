#include "smtp/server/session.h"

static const struct smtp_reply bye = {221, "2.0.0", "goodbye"};

void smtp_do_quit(struct smtp_server *s, const struct smtp_command *command)
{
    s->quit = true;
    smtp_close(s, &bye);
}
