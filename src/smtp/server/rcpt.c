/*
 * RCPT: path, parameters, then the question who that is. Up to SMTP_RECIPIENT_QUESTIONS_MAX
 * pipelined ones are under way at once; the envelope takes recipients in the order of the commands.
 * One that is refused without a question waits for its turn (smtp_hold_line()).
 */
#include "smtp/server/session.h"

#include "mail/dsn.h"

static const struct smtp_reply syntax = {501, "5.5.4", "write RCPT TO:<address> [parameters]"};
static const struct smtp_reply no_such_parameter = {555, "5.5.4",
                                                    "a parameter is not offered here"};
static const struct smtp_reply bad_parameter = {501, "5.5.4", "a parameter can't be read"};
static const struct smtp_reply too_many = {
    452, "4.5.3", "too many recipients; send the message again for the rest"};
static const struct smtp_reply no_memory = {451, "4.3.0", "out of memory, please try later"};
static const struct smtp_reply accepted = {250, "2.1.5", "recipient noted"};
static const struct smtp_reply deferred = {
    451, "4.3.0", "this recipient can't be looked up now, please try later"};

static const struct smtp_reply refusals[] = {
    [SMTP_UNKNOWN] = {550, "5.1.1", "there is no such mailbox here"},
    [SMTP_FOREIGN] = {550, "5.7.1", "we don't deliver for this domain, and you may not relay"},
    [SMTP_NO_ROUTE] = {550, "5.4.4", "there is no way from here to this domain"},
    [SMTP_REJECT] = {550, "5.7.1", "this recipient is not accepted"},
};

static void refuse_as(struct smtp_server *s, struct span given, bool unparsed,
                      struct smtp_reply reply)
{
    s->transaction.was_refused = true;
    smtp_refuse(s, &(struct smtp_refusal){.phase = "rcpt",
                                          .reply = reply,
                                          .address = given,
                                          .unparsed = unparsed,
                                          .recipient = given});
}

static void refuse(struct smtp_server *s, struct span address, struct smtp_reply reply)
{
    refuse_as(s, address, false, reply);
}

/* Without a question. */
static void refuse_line(struct smtp_server *s, struct span given, bool unparsed,
                        struct smtp_reply reply)
{
    if (!smtp_hold_line(s))
        refuse_as(s, given, unparsed, reply);
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

/* RFC 3461 4.1 and 4.2. NULL, or why it can't be taken. Each at most once, as in MAIL. */
static const struct smtp_reply *take_parameter(struct smtp_server *s, struct envelope_wish *wish,
                                               const struct smtp_parameter *p)
{
    if (span_equal_nocase(p->keyword, SPAN("NOTIFY"))) {
        if (wish->notify || dsn_parse_notify(p->value, &wish->notify) < 0)
            return &bad_parameter;
    } else if (span_equal_nocase(p->keyword, SPAN("ORCPT"))) {
        if (wish->original.size || !dsn_is_original(p->value, s->transaction.envelope.smtputf8))
            return &bad_parameter;
        wish->original = p->value;
    } else {
        return &no_such_parameter;
    }
    return NULL;
}

static const struct smtp_reply *take_parameters(struct smtp_server *s, struct span rest,
                                                struct envelope_wish *wish)
{
    struct smtp_parameter p;
    int r;

    if (rest.size && span_trim(rest).data == rest.data)
        return &syntax; /* nothing between the path and it */
    while ((r = smtp_parameter_next(&rest, &p)) > 0) {
        const struct smtp_reply *problem =
            s->extended ? take_parameter(s, wish, &p) : &no_such_parameter;
        if (problem)
            return problem;
    }
    return r < 0 ? &bad_parameter : NULL;
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
        refuse_line(s, address_text(address), false, no_memory);
}

void smtp_do_rcpt(struct smtp_server *s, const struct smtp_command *command)
{
    unsigned flags = ADDRESS_ALLOW_POSTMASTER;
    struct span rest = command->argument;
    struct envelope_wish wish = {.original = SPAN("")};
    struct address address;
    size_t size;

    if (!smtp_command_take_word(&rest, SPAN("TO:"))) {
        refuse_line(s, span_of("", 0), false, syntax);
        return;
    }
    if (s->transaction.envelope.smtputf8)
        flags |= ADDRESS_ALLOW_UTF8;
    enum address_result r = smtp_parse_path(s, rest, flags, &address, &size);
    if (r != ADDRESS_OK) {
        refuse_line(s, rest, true, smtp_path_reply(r, false));
        return;
    }
    const struct smtp_reply *problem = take_parameters(s, span_from(rest, size), &wish);
    if (!problem && smtp_recipients_are_full(s))
        problem = &too_many;
    if (problem)
        refuse_line(s, address_text(&address), false, *problem);
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
        refuse(s, q->given, no_memory);
    }
}
