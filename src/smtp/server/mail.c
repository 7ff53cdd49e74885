/*
 * MAIL: path, parameters, then the question whether this client may send now. The envelope is
 * filled in while the parameters are read; a refusal drops it with the transaction.
 */
#include "smtp/server/session.h"

#include "mail/dsn.h"
#include <errno.h>

static const struct smtp_reply syntax = {501, "5.5.4", "write MAIL FROM:<address> [parameters]"};
static const struct smtp_reply needs_utf8 = {
    553, "5.6.7", "the address is not ASCII, which needs the parameter SMTPUTF8"};
static const struct smtp_reply accepted = {250, "2.1.0", "sender noted"};
static const struct smtp_reply deferred = {452, "4.3.1",
                                           "new mail can't be taken now, please try later"};
static const struct smtp_reply rejected = {550, "5.7.1", "this sender is not accepted"};

/* How much a transaction may hold, over its recipients: about 1 KiB each (two blocks at least). */
enum { ARENA_BASE = 65536, ARENA_PER_RECIPIENT = 1200 + ENVELOPE_ORCPT_MAX };

/* Each takes the value and returns NULL or why not. */
static const struct smtp_reply *on_size(struct smtp_server *s, struct span value)
{
    uint64_t max = s->settings->message_size_max, size;
    int r = span_to_u64(value, max ? max : UINT64_MAX, &size);

    return r == -ERANGE ? &smtp_too_large
           : r < 0      ? &smtp_bad_parameter
                        : NULL; /* RFC 1870 section 6.1 */
}

/* RFC 6152 section 2. BINARYMIME isn't offered (RFC 3030 section 3), so it is a wrong value. */
static const struct smtp_reply *on_body(struct smtp_server *s, struct span value)
{
    if (span_equal_nocase(value, SPAN("8BITMIME")))
        s->transaction.envelope.body = ENVELOPE_BODY_8BITMIME;
    else if (!span_equal_nocase(value, SPAN("7BIT")))
        return &smtp_bad_parameter;
    return NULL;
}

/* RFC 6531 3.4: without a value. */
static const struct smtp_reply *on_smtputf8(struct smtp_server *s, struct span value)
{
    s->transaction.envelope.smtputf8 = true;
    return NULL;
}

/* RFC 3461 section 4.3. */
static const struct smtp_reply *on_ret(struct smtp_server *s, struct span value)
{
    return dsn_parse_return(value, &s->transaction.envelope.returned) < 0 ? &smtp_bad_parameter
                                                                          : NULL;
}

/* RFC 3461 section 4.4. */
static const struct smtp_reply *on_envid(struct smtp_server *s, struct span value)
{
    if (!dsn_is_envelope_id(value))
        return &smtp_bad_parameter;
    s->transaction.envelope.envelope_id = value; /* begin() copies it */
    return NULL;
}

static const struct {
    const char *keyword;
    bool has_value;
    const struct smtp_reply *(*take)(struct smtp_server *s, struct span value);
} parameters[] = {
    {"SIZE", true, on_size}, {"BODY", true, on_body},   {"SMTPUTF8", false, on_smtputf8},
    {"RET", true, on_ret},   {"ENVID", true, on_envid},
};

/* Each at most once: RFC 5321 doesn't say what the second would mean. */
static const struct smtp_reply *take_parameter(struct smtp_server *s, void *into,
                                               const struct smtp_parameter *p)
{
    unsigned *seen = into;

    for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
        if (!span_equal_nocase(p->keyword, span_from_cstr(parameters[i].keyword)))
            continue;
        if (p->has_value != parameters[i].has_value || (*seen & 1u << i))
            return &smtp_bad_parameter;
        *seen |= 1u << i;
        return parameters[i].take(s, p->value);
    }
    return &smtp_no_such_parameter;
}

enum address_result smtp_parse_path(const struct smtp_server *s, struct span text, unsigned flags,
                                    struct address *out, size_t *out_size)
{
    ptrdiff_t blank = span_find(text, ' ');
    struct span word = blank < 0 ? text : span_first(text, (size_t)blank);

    if (!s->client.normalize || (text.size && text.data[0] == '<'))
        return address_parse_path(text, flags, out, out_size);
    *out_size = word.size;
    return address_parse(word, flags & ~(unsigned)ADDRESS_ALLOW_NULL, out);
}

struct smtp_reply smtp_path_reply(enum address_result result, bool sender)
{
    struct smtp_reply reply = {501, sender ? "5.1.7" : "5.1.3", address_result_text(result)};

    if (result == ADDRESS_NEEDS_UTF8)
        reply = needs_utf8;
    return reply;
}

/* `quoted`: what the client wrote, or empty: then the sender is told. */
static void refuse_as(struct smtp_server *s, struct span sender, struct span quoted,
                      struct smtp_reply reply)
{
    smtp_refuse(s, &(struct smtp_refusal){.phase = "mail",
                                          .reply = reply,
                                          .address = quoted.size ? quoted : sender,
                                          .unparsed = quoted.size > 0,
                                          .sender = sender});
    smtp_expect_orphans(s);
    if (s->state != SMTP_STATE_CLOSING)
        smtp_transaction_reset(s);
}

static void refuse(struct smtp_server *s, struct span sender, struct smtp_reply reply)
{
    refuse_as(s, sender, SPAN(""), reply);
}

/* The arena's limit is the transaction's: whatever a client names, it holds no more of us than
 * this. */
static bool begin(struct smtp_server *s, const struct address *address)
{
    struct smtp_transaction *t = &s->transaction;

    t->arena.limit = ARENA_BASE + (size_t)s->settings->recipients_max * ARENA_PER_RECIPIENT;
    t->envelope.sender = arena_copy(&t->arena, address_text(address));
    t->envelope.envelope_id = arena_copy(&t->arena, t->envelope.envelope_id);
    return t->envelope.sender.data && t->envelope.envelope_id.data;
}

/* Nothing but a blank may follow the path (RFC 5321 section 4.1.1.2): `<a@b>SIZE=1` is no
 * parameter. */
void smtp_do_mail(struct smtp_server *s, const struct smtp_command *command)
{
    struct span rest = command->argument;
    struct address address;
    size_t size;

    if (!smtp_command_take_word(&rest, SPAN("FROM:"))) {
        refuse(s, span_of("", 0), syntax);
        return;
    }
    enum address_result r =
        smtp_parse_path(s, rest, ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_NULL, &address, &size);
    if (r != ADDRESS_OK) {
        refuse_as(s, rest, rest, smtp_path_reply(r, true));
        return;
    }
    struct span given = span_first(rest, size);
    rest = span_from(rest, size);
    if (rest.size && span_trim(rest).data == rest.data) {
        refuse(s, address_text(&address), syntax);
        return;
    }
    struct span word;
    unsigned seen = 0;
    const struct smtp_reply *problem = smtp_take_parameters(s, rest, take_parameter, &seen, &word);
    if (problem) {
        refuse_as(s, address_text(&address), word, *problem);
        return;
    }
    if (!s->transaction.envelope.smtputf8 && !span_is_ascii(given))
        problem = &needs_utf8;
    if (!problem && !begin(s, &address))
        problem = &smtp_no_memory;
    if (problem)
        refuse(s, address_text(&address), *problem);
    else
        smtp_ask(s, SMTP_ASK_SENDER, s->transaction.envelope.sender);
}

/* 452 rather than 421 when we can't take mail now: the session lives, and another sender may be
 * luckier. */
void smtp_on_sender_answer(struct smtp_server *s, const struct smtp_answer *answer)
{
    if (answer->verdict != SMTP_ACCEPT) {
        struct span sender = s->transaction.envelope.sender;
        refuse(s, sender, smtp_answer_reply(answer, &deferred, &rejected));
        return;
    }
    smtp_say(s, &accepted);
    smtp_state_set(s, SMTP_STATE_TRANSACTION);
}
