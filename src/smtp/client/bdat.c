#include "smtp/client/session.h"

/*
 * Each chunk has its reply. A refusal is the verdict on the whole message; no more of it is sent,
 * and RSET comes before the next one (RFC 3030 section 2).
 */
static void refuse(struct smtp_client *c)
{
    if (!c->verdict_known)
        smtp_client_settle_all(c, smtp_client_result_of(c));
    c->verdict_known = true;
    c->dirty = true;
}

/* All chunks but the last are answered 250 when they were taken; the verdict is on the last. */
void smtp_client_on_bdat(struct smtp_client *c)
{
    bool last = c->last_sent && c->awaited.size == 0;

    if (!smtp_client_heard_yes(c))
        refuse(c);
    else if (last && !c->verdict_known)
        smtp_client_settle_all(c, SMTP_RESULT_TAKEN);
    if (last || (c->verdict_known && c->awaited.size == 0))
        smtp_client_end_mail(c);
}
