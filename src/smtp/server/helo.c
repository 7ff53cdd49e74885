#include "smtp/server/session.h"

#include "mail/received.h"

#include <stdio.h>

static const struct smtp_reply bad_name = {501, "5.5.4",
                                           "give your host name or [address] (RFC 5321 4.1.1.1)"};
static const struct smtp_reply hello = {250, NULL, NULL};

/* RFC 5321 4.5.3.1.2. */
enum { HELO_MAX = 255 };

static bool is_word_byte(char c)
{
    return c > ' ' && c <= '~';
}

/* RFC 5321 4.1.4 forbids to refuse a name for being wrong; but it must be one word that can be
 * written down. Old devices in networks with `normalize` are helped to one. */
static bool can_be_taken(const struct smtp_server *s, struct span name)
{
    for (size_t i = 0; !s->client.normalize && i < name.size; i++)
        if (!is_word_byte(name.data[i]))
            return false;
    return name.size <= HELO_MAX;
}

static void keep_name(struct smtp_server *s, struct span name)
{
    buffer_clear(&s->helo);
    for (size_t i = 0; i < name.size; i++)
        buffer_append_byte(&s->helo, is_word_byte(name.data[i]) ? name.data[i] : '?');
}

/* The extensions that are offered (RFC 5321 4.1.1.1): SIZE with its limit, 0 for none (RFC 1870
 * section 4), then those without a parameter. */
static void list_extensions(struct smtp_server *s)
{
    static const char *const extensions[] = {
        "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "DSN", "HELP"};
    char size[32];

    snprintf(size, sizeof(size), "SIZE %llu", (unsigned long long)s->settings->message_size_max);
    smtp_reply_line(&s->out, &hello, span_from_cstr(size), false);
    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
        smtp_reply_line(&s->out, &hello, span_from_cstr(extensions[i]),
                        i + 1 == ARRAY_SIZE(extensions));
}

/* The client's address in the greeting tells whoever debugs a NAT what we see. */
static void greet(struct smtp_server *s)
{
    char ip[RECEIVED_CLIENT_MAX] = "local user", text[SMTP_REPLY_TEXT_MAX];

    if (s->client.uid == UINT32_MAX)
        received_format_ip(s->client.ip, ip);
    snprintf(text, sizeof(text), SPAN_FMT " at your service, %s", SPAN_ARG(s->settings->hostname),
             ip);
    smtp_reply_line(&s->out, &hello, span_from_cstr(text), !s->extended);
}

/* A refused one changes nothing (RFC 5321 section 4.1.4): what was under way goes on. */
void smtp_do_helo(struct smtp_server *s, const struct smtp_command *command)
{
    if (!can_be_taken(s, command->argument)) {
        smtp_say_error(s, &bad_name);
        return;
    }
    smtp_transaction_reset(s); /* RFC 5321 4.1.4: a later EHLO is like RSET */
    keep_name(s, command->argument);
    s->extended = command->verb == SMTP_VERB_EHLO;
    greet(s);
    if (s->extended)
        list_extensions(s);
    smtp_state_set(s, SMTP_STATE_READY);
}
