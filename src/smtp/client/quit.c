#include "smtp/client/session.h"

void smtp_client_quit(struct smtp_client *c)
{
    if (c->state != SMTP_CLIENT_READY)
        return;
    smtp_client_command(c, SMTP_CLIENT_QUIT, "QUIT");
    smtp_client_state_set(c, SMTP_CLIENT_QUITTING);
}

void smtp_client_on_quit(struct smtp_client *c)
{
    smtp_client_state_set(c, SMTP_CLIENT_CLOSED);
}
