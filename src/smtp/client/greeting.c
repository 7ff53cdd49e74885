#include "smtp/client/session.h"

/* A station that won't talk to us (554, or anything else) says nothing about a recipient. */
void smtp_client_on_greeting(struct smtp_client *c)
{
    if (!smtp_client_heard_yes(c)) {
        smtp_client_fail_heard(c);
        return;
    }
    smtp_client_state_set(c, SMTP_CLIENT_HELLO);
    smtp_client_say_ehlo(c);
}
