#include "smtp/server/session.h"

static const struct smtp_reply help = {214, "2.0.0", NULL};

void smtp_do_help(struct smtp_server *s, const struct smtp_command *command)
{
    smtp_reply_line(&s->out, &help,
                    SPAN("EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP"), false);
    smtp_reply_line(&s->out, &help, SPAN("ask the postmaster of this host for more"), true);
}
