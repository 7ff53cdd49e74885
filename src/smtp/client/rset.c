#include "smtp/client/session.h"

/* A station that can't even forget is in trouble. */
void smtp_client_on_rset(struct smtp_client *c)
{
    if (!smtp_client_heard_yes(c)) {
        smtp_client_fail_heard(c);
        return;
    }
    c->dirty = false;
    smtp_client_go_on(c);
}
