/*
 * Which command is legal in which state: the only place that knows. A command passes three gates:
 * its grammar, the table, and its own check; then its file does it.
 */
#include "smtp/server/session.h"

#define IN(state) (1u << SMTP_STATE_##state)
#define ANY (IN(GREETED) | IN(READY) | IN(TRANSACTION) | IN(CHUNKS))

enum { BUSY = 1 }; /* carries mail on: doesn't count as an idle command */

static const struct verb {
    unsigned legal; /* states */
    unsigned flags;
    const struct smtp_reply *(*check)(const struct smtp_server *s);
    void (*proceed)(struct smtp_server *s, const struct smtp_command *command);
} verbs[SMTP_VERB_COUNT] = {
    [SMTP_VERB_HELO] = {ANY, 0, NULL, smtp_do_helo},
    [SMTP_VERB_EHLO] = {ANY, 0, NULL, smtp_do_helo},
    [SMTP_VERB_MAIL] = {IN(READY), 0, NULL, smtp_do_mail},
    [SMTP_VERB_RCPT] = {IN(TRANSACTION), BUSY, NULL, smtp_do_rcpt},
    [SMTP_VERB_DATA] = {IN(TRANSACTION), BUSY, smtp_check_data, smtp_do_data},
    [SMTP_VERB_BDAT] = {ANY, BUSY, NULL, smtp_do_bdat}, /* its bytes must be read in any case */
    [SMTP_VERB_RSET] = {ANY, 0, NULL, smtp_do_rset},
    [SMTP_VERB_NOOP] = {ANY, 0, NULL, smtp_do_noop},
    [SMTP_VERB_QUIT] = {ANY, 0, NULL, smtp_do_quit},
    [SMTP_VERB_VRFY] = {ANY, 0, NULL, smtp_do_vrfy},
    [SMTP_VERB_EXPN] = {ANY, 0, NULL, smtp_do_expn},
    [SMTP_VERB_HELP] = {ANY, 0, NULL, smtp_do_help},
};

static const struct smtp_reply unknown = {500, "5.5.1", "this command is not known"};
static const struct smtp_reply absent = {502, "5.5.1", "this command is not offered"};
static const struct smtp_reply foreign = {421, "4.7.0", "this is a mail server, closing"};
static const struct smtp_reply bad_bytes = {500, "5.5.2", "control characters in a command"};
static const struct smtp_reply missing = {501, "5.5.4", "this command needs an argument"};
static const struct smtp_reply unwanted = {501, "5.5.4", "this command takes no argument"};
static const struct smtp_reply too_idle = {450, "4.7.0", "too many commands without mail"};

/* What to do first, by the state in which a command came too early or too late. */
static const struct smtp_reply out_of_order[] = {
    [SMTP_STATE_GREETED] = {503, "5.5.1", "say EHLO first"},
    [SMTP_STATE_READY] = {503, "5.5.1", "begin with MAIL"},
    [SMTP_STATE_TRANSACTION] = {503, "5.5.1", "a message has already begun; RSET drops it"},
    [SMTP_STATE_CHUNKS] = {503, "5.5.1", "a message is under way by BDAT; RSET drops it"},
};

static const struct smtp_reply *why_not(const struct smtp_server *s, enum smtp_command_result r,
                                        enum smtp_verb verb)
{
    if (r == SMTP_COMMAND_BAD_BYTES)
        return &bad_bytes;
    if (verb == SMTP_VERB_UNKNOWN)
        return &unknown;
    if (verb == SMTP_VERB_ABSENT)
        return &absent;
    if (!(verbs[verb].legal & 1u << s->state))
        return &out_of_order[s->state];
    if (r == SMTP_COMMAND_MISSING_ARGUMENT)
        return &missing;
    if (r == SMTP_COMMAND_UNWANTED_ARGUMENT)
        return &unwanted;
    return verbs[verb].check ? verbs[verb].check(s) : NULL;
}

/* What a client sends together with MAIL (RFC 2920 section 3.1). */
static bool follows_mail(enum smtp_verb verb)
{
    return verb == SMTP_VERB_RCPT || verb == SMTP_VERB_DATA || verb == SMTP_VERB_BDAT;
}

static void refuse(struct smtp_server *s, enum smtp_verb verb, const struct smtp_reply *reply)
{
    if (smtp_hold_line(s))
        return;
    /* A DATA that was sent together with recipients who were refused, and counted as such. */
    bool behind_refused = verb == SMTP_VERB_DATA && s->transaction.was_refused;
    if (verb == SMTP_VERB_DATA)
        s->transaction.was_refused = false;
    if (follows_mail(verb) && reply == &out_of_order[SMTP_STATE_READY])
        smtp_say_without_mail(s, reply);
    else if (behind_refused)
        smtp_say(s, reply);
    else
        smtp_say_error(s, reply);
    if (verb == SMTP_VERB_MAIL && s->state == SMTP_STATE_READY)
        smtp_expect_orphans(s);
}

void smtp_run_command(struct smtp_server *s, struct span line)
{
    struct smtp_command command;
    enum smtp_command_result r = smtp_command_parse(line, &command);

    if (command.verb == SMTP_VERB_FOREIGN) {
        smtp_refuse(s, &(struct smtp_refusal){.phase = "connect", .reply = foreign});
        smtp_close(s, NULL);
        return;
    }
    const struct smtp_reply *refusal = why_not(s, r, command.verb);
    if (!follows_mail(command.verb))
        s->orphans_left = 0;
    if (refusal) {
        refuse(s, command.verb, refusal);
        return;
    }
    if (!(verbs[command.verb].flags & BUSY) && command.verb != SMTP_VERB_QUIT &&
        ++s->idle_commands > SMTP_IDLE_COMMANDS_MAX) {
        refuse(s, command.verb, &too_idle);
        return;
    }
    verbs[command.verb].proceed(s, &command);
}
