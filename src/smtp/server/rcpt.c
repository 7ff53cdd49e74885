#include "smtp/server/session.h"

#include <stdlib.h>

static const struct smtp_reply syntax = {501, "5.5.4", "write RCPT TO:<address>"};
static const struct smtp_reply no_parameters = {555, "5.5.4", "a parameter is not offered here"};
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

static bool is_full(const struct smtp_server *s)
{
    size_t count = s->transaction.envelope.recipient_count;

    return count >= s->settings->recipients_max || count >= ENVELOPE_RECIPIENTS_MAX;
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

void smtp_do_rcpt(struct smtp_server *s, const struct smtp_command *command)
{
    unsigned flags = ADDRESS_ALLOW_POSTMASTER;
    struct span rest = command->argument;
    struct address address;
    size_t size;

    if (!smtp_command_take_word(&rest, SPAN("TO:"))) {
        refuse(s, span_of("", 0), syntax);
        return;
    }
    if (s->transaction.envelope.smtputf8)
        flags |= ADDRESS_ALLOW_UTF8;
    enum address_result r = address_parse_path(rest, flags, &address, &size);
    if (r != ADDRESS_OK) {
        refuse_as(s, rest, true, smtp_path_reply(r, false));
        return;
    }
    struct span given = address_text(&address);
    if (rest.size != size) {
        refuse(s, given, no_parameters);
    } else if (is_full(s)) {
        refuse(s, given, too_many);
    } else {
        struct span copy = copy_address(s, &address);
        if (copy.data)
            smtp_ask(s, SMTP_ASK_RECIPIENT, copy,
                     arena_copy(&s->transaction.arena, address_text(&address)));
        else
            refuse(s, given, no_memory);
    }
}

static bool add(struct smtp_server *s, const struct smtp_question *q)
{
    struct smtp_transaction *t = &s->transaction;
    struct envelope *e = &t->envelope;

    if (e->recipient_count == t->recipient_capacity) {
        size_t capacity = t->recipient_capacity ? 4 * t->recipient_capacity : 4;
        struct envelope_recipient *grown = arena_alloc_array(&t->arena, capacity, sizeof(*grown));
        if (!grown)
            return false;
        if (e->recipient_count)
            memcpy(grown, e->recipients, e->recipient_count * sizeof(*grown));
        e->recipients = grown;
        t->recipient_capacity = capacity;
    }
    struct span address =
        q->answer.address.size ? arena_copy(&t->arena, q->answer.address) : q->address;
    if (!address.data)
        return false;
    e->recipients[e->recipient_count++] = (struct envelope_recipient){
        .address = address, .original = q->address, .flags = q->answer.recipient_flags};
    return true;
}

void smtp_on_recipient_answer(struct smtp_server *s, const struct smtp_question *q)
{
    if (q->answer.verdict != SMTP_ACCEPT) {
        const struct smtp_reply *usual =
            q->answer.verdict == SMTP_DEFER ? &deferred : &refusals[q->answer.verdict];
        refuse(s, q->given, smtp_answer_reply(&q->answer, &deferred, usual));
    } else if (add(s, q)) {
        smtp_say(s, &accepted);
    } else {
        refuse(s, q->given, no_memory);
    }
}
