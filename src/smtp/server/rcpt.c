/*
 * RCPT: path, parameters, then the question who that is. Up to SMTP_RECIPIENT_QUESTIONS_MAX
 * pipelined ones are under way at once; the envelope takes recipients in the order of the commands.
 * One that is refused without a question waits for its turn (smtp_hold_line()).
 */
#include "smtp/server/session.h"

#include "mail/dsn.h"

static const struct smtp_reply syntax = {501, "5.5.4", "write RCPT TO:<address> [parameters]"};
static const struct smtp_reply too_many = {
    452, "4.5.3", "too many recipients; send the message again for the rest"};
static const struct smtp_reply accepted = {250, "2.1.5", "recipient noted"};
static const struct smtp_reply deferred = {
    451, "4.3.0", "this recipient can't be looked up now, please try later"};

static const struct smtp_reply refusals[] = {
    [SMTP_UNKNOWN] = {550, "5.1.1", "there is no such mailbox here"},
    [SMTP_FOREIGN] = {550, "5.7.1", "we don't deliver for this domain, and you may not relay"},
    [SMTP_REJECT] = {550, "5.7.1", "this recipient is not accepted"},
};

/* `quoted`: what the client wrote, or empty: then the recipient is told. */
static void refuse_as(struct smtp_server *s, struct span given, struct span quoted,
                      struct smtp_reply reply)
{
    s->transaction.was_refused = true;
    smtp_refuse(s, &(struct smtp_refusal){.phase = "rcpt",
                                          .reply = reply,
                                          .address = quoted.size ? quoted : given,
                                          .unparsed = quoted.size > 0,
                                          .recipient = given});
}

static void refuse(struct smtp_server *s, struct span address, struct smtp_reply reply)
{
    refuse_as(s, address, SPAN(""), reply);
}

/* Without a question. */
static void refuse_line(struct smtp_server *s, struct span given, struct span quoted,
                        struct smtp_reply reply)
{
    if (!smtp_hold_line(s))
        refuse_as(s, given, quoted, reply);
}

/* "postmaster" alone is the one of this host (RFC 5321 4.5.1). */
static struct span copy_address(struct smtp_server *s, const struct address *address)
{
    struct arena *arena = &s->transaction.arena;
    struct buffer full = BUFFER_LIMITED(ENVELOPE_ADDRESS_MAX);

    if (address_domain(address).size)
        return arena_copy(arena, address_text(address));
    buffer_append_span(&full, SPAN("postmaster@"));
    buffer_append_span(&full, s->settings->hostname);
    struct span copy =
        buffer_error(&full) ? span_of(NULL, 0) : arena_copy(arena, buffer_span(&full));
    buffer_done(&full);
    return copy;
}

/* RFC 3461 4.1 and 4.2. Each at most once, as in MAIL. */
static const struct smtp_reply *take_parameter(struct smtp_server *s, void *into,
                                               const struct smtp_parameter *p)
{
    struct envelope_wish *wish = into;

    if (span_equal_nocase(p->keyword, SPAN("NOTIFY"))) {
        if (wish->notify || dsn_parse_notify(p->value, &wish->notify) < 0)
            return &smtp_bad_parameter;
    } else if (span_equal_nocase(p->keyword, SPAN("ORCPT"))) {
        if (wish->original.size || !dsn_is_original(p->value, s->transaction.envelope.smtputf8))
            return &smtp_bad_parameter;
        wish->original = p->value;
    } else {
        return &smtp_no_such_parameter;
    }
    return NULL;
}

/* All that the question holds lives as long as the transaction. */
static void ask(struct smtp_server *s, const struct address *address, struct envelope_wish *wish)
{
    struct arena *arena = &s->transaction.arena;
    struct span copy = copy_address(s, address);
    struct span given = arena_copy(arena, address_text(address));

    wish->original = arena_copy(arena, wish->original);
    if (copy.data && given.data && wish->original.data)
        smtp_ask_recipient(s, copy, given, wish);
    else
        refuse_line(s, address_text(address), SPAN(""), smtp_no_memory);
}

void smtp_do_rcpt(struct smtp_server *s, const struct smtp_command *command)
{
    unsigned flags = ADDRESS_ALLOW_POSTMASTER;
    struct span rest = command->argument;
    struct envelope_wish wish = {.original = SPAN("")};
    struct address address;
    size_t size;

    if (!smtp_command_take_word(&rest, SPAN("TO:"))) {
        refuse_line(s, SPAN(""), SPAN(""), syntax);
        return;
    }
    if (s->transaction.envelope.smtputf8)
        flags |= ADDRESS_ALLOW_UTF8;
    enum address_result r = smtp_parse_path(s, rest, flags, &address, &size);
    if (r != ADDRESS_OK) {
        refuse_line(s, rest, rest, smtp_path_reply(r, false));
        return;
    }
    rest = span_from(rest, size);
    if (rest.size && span_trim(rest).data == rest.data) { /* nothing between the path and it */
        refuse_line(s, address_text(&address), SPAN(""), syntax);
        return;
    }
    struct span word;
    const struct smtp_reply *problem = smtp_take_parameters(s, rest, take_parameter, &wish, &word);
    if (problem)
        refuse_line(s, address_text(&address), word, *problem);
    else if (smtp_recipients_are_full(s))
        refuse_line(s, address_text(&address), SPAN(""), too_many);
    else
        ask(s, &address, &wish);
}

void smtp_on_recipient_answer(struct smtp_server *s, const struct smtp_question *q)
{
    if (q->answer.verdict != SMTP_ACCEPT) {
        const struct smtp_reply *usual =
            q->answer.verdict == SMTP_DEFER ? &deferred : &refusals[q->answer.verdict];
        refuse(s, q->given, smtp_answer_reply(&q->answer, &deferred, usual));
    } else if (smtp_recipient_is_too_much(s, q)) {
        refuse(s, q->given, too_many);
    } else if (smtp_recipients_are_full(s)) { /* by those that were asked for at the same time */
        refuse(s, q->given, too_many);
    } else if (smtp_recipient_add(s, q)) {
        smtp_say(s, &accepted);
    } else {
        refuse(s, q->given, smtp_no_memory);
    }
}
