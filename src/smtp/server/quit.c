#include "smtp/server/session.h"

static const struct smtp_reply bye = {221, "2.0.0", "goodbye"};

/* RFC 5321 section 4.1.1.10. In the middle of a message it drops that: nobody was promised
 * anything. */
void smtp_do_quit(struct smtp_server *s, const struct smtp_command *command)
{
    s->quit = true;
    smtp_close(s, &bye);
}
