/*
 * A reply means what its command was: `awaited` says which one that is, the table what it does.
 * That a reply comes in a state where its command can't be open would be our own bug, hence the
 * assertion.
 */
#include "smtp/client/session.h"

#include <assert.h>

#define IN(state) (1u << SMTP_CLIENT_##state)

/* In which states the reply to a command may come, and what it means. */
static const struct {
    unsigned legal;
    void (*on_reply)(struct smtp_client *c);
} verbs[SMTP_CLIENT_VERB_COUNT] = {
    [SMTP_CLIENT_CONNECT] = {IN(GREETING), smtp_client_on_greeting},
    [SMTP_CLIENT_EHLO] = {IN(HELLO), smtp_client_on_ehlo},
    [SMTP_CLIENT_HELO] = {IN(HELLO), smtp_client_on_helo},
    [SMTP_CLIENT_RSET] = {IN(ENVELOPE), smtp_client_on_rset},
    [SMTP_CLIENT_MAIL] = {IN(ENVELOPE), smtp_client_on_mail},
    [SMTP_CLIENT_RCPT] = {IN(ENVELOPE), smtp_client_on_rcpt},
    [SMTP_CLIENT_DATA] = {IN(OPENING), smtp_client_on_data},
    [SMTP_CLIENT_DOT] = {IN(FINAL), smtp_client_on_dot},
    [SMTP_CLIENT_BDAT] = {IN(BODY) | IN(FINAL), smtp_client_on_bdat},
    [SMTP_CLIENT_QUIT] = {IN(QUITTING), smtp_client_on_quit},
};

/* "Taken" or "go on", while the end of what it is about is still in our hands: the station has lost
 * count, or counts what it has not got. Believed, the message would be nowhere. A refusal may come
 * early, and ends the session (smtp_client_end_mail()). */
static bool is_early_yes(const struct smtp_client *c)
{
    return (c->state == SMTP_CLIENT_BODY || c->state == SMTP_CLIENT_FINAL) &&
           c->awaited.size == 0 && c->out.size && c->heard.code < 400;
}

/* Many say "too large" or "spam" while the message comes. Nothing is awaited then, but of what else
 * should it speak? By BDAT each chunk has its reply. */
static bool is_early_no(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_BODY && !c->chunking && c->heard.code >= 400 &&
           c->heard.code != 421;
}

/* The verdict on this message, no trouble of the host's. Half of it can't be taken back but by
 * closing the connection. */
static void take_early_no(struct smtp_client *c)
{
    smtp_client_settle_all(c, smtp_client_result_of(c));
    smtp_client_fail(c, "4.5.0", "it answered before it had read all that was said");
}

void smtp_client_on_line(struct smtp_client *c)
{
    if (c->awaited.size && c->awaited.data[0] == SMTP_CLIENT_EHLO)
        smtp_client_on_ehlo_line(c);
}

void smtp_client_on_reply(struct smtp_client *c)
{
    if (c->awaited.size == 0) {
        if (is_early_no(c))
            take_early_no(c);
        else if (c->heard.code >= 400 && smtp_client_was_kept_waiting(c))
            smtp_client_fail_late(c);
        else /* to what? Mostly "421 idle too long" */
            smtp_client_fail_heard(c);
        return;
    }
    enum smtp_client_verb verb = (enum smtp_client_verb)c->awaited.data[0];
    assert(verb < SMTP_CLIENT_VERB_COUNT && verbs[verb].legal & 1u << c->state);
    buffer_consume(&c->awaited, 1);
    /* RFC 5321 3.8: the station closes the channel, whatever it was asked. That was its verdict on
     * the whole message, too: it hasn't taken it. */
    if (c->heard.code == 421 && verb != SMTP_CLIENT_QUIT) {
        if (c->state == SMTP_CLIENT_FINAL)
            smtp_client_settle_all(c, SMTP_RESULT_HOST);
        smtp_client_fail_heard(c);
        return;
    }
    c->answered = true;
    if (is_early_yes(c)) {
        smtp_client_fail(c, "4.5.0", "it said yes to the message before it had the end of it");
        return;
    }
    verbs[verb].on_reply(c);
}
