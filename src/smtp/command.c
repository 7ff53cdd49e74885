/*
 * One table has all verbs, also those of other protocols and those that aren't offered: what a
 * client may say is one look-up, and each kind of refusal has its row. The line was limited by the
 * session (SMTP_LINE_MAX); here nothing is allocated or copied.
 */
#include "smtp/command.h"

#include <errno.h>

enum argument_rule { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_REQUIRED };

static const struct {
    const char *name;
    enum smtp_verb verb;
    enum argument_rule argument;
} grammar[] = {
    {"EHLO", SMTP_VERB_EHLO, ARGUMENT_REQUIRED},
    {"HELO", SMTP_VERB_HELO, ARGUMENT_REQUIRED},
    {"MAIL", SMTP_VERB_MAIL, ARGUMENT_REQUIRED},
    {"RCPT", SMTP_VERB_RCPT, ARGUMENT_REQUIRED},
    {"DATA", SMTP_VERB_DATA, ARGUMENT_NONE},
    {"BDAT", SMTP_VERB_BDAT, ARGUMENT_OPTIONAL}, /* a bare one ends the session: see bdat.c */
    {"RSET", SMTP_VERB_RSET, ARGUMENT_NONE},
    {"NOOP", SMTP_VERB_NOOP, ARGUMENT_OPTIONAL},
    {"QUIT", SMTP_VERB_QUIT, ARGUMENT_NONE},
    {"VRFY", SMTP_VERB_VRFY, ARGUMENT_REQUIRED},
    {"EXPN", SMTP_VERB_EXPN, ARGUMENT_REQUIRED},
    {"HELP", SMTP_VERB_HELP, ARGUMENT_OPTIONAL},
    {"STARTTLS", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"AUTH", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"ETRN", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"TURN", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"ATRN", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"SEND", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"SOML", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"SAML", SMTP_VERB_ABSENT, ARGUMENT_OPTIONAL},
    {"GET", SMTP_VERB_FOREIGN, ARGUMENT_OPTIONAL},
    {"POST", SMTP_VERB_FOREIGN, ARGUMENT_OPTIONAL},
    {"PUT", SMTP_VERB_FOREIGN, ARGUMENT_OPTIONAL},
    {"CONNECT", SMTP_VERB_FOREIGN, ARGUMENT_OPTIONAL},
    {"OPTIONS", SMTP_VERB_FOREIGN, ARGUMENT_OPTIONAL},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 5321 4.1.2: no grammar has one, not even within quotes. A tab is let through as a blank. */
static bool has_control_bytes(struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 127)
            return true;
    return false;
}

enum smtp_command_result smtp_command_parse(struct span line, struct smtp_command *out)
{
    size_t size = 0;

    while (size < line.size && !is_blank(line.data[size]))
        size++;
    *out = (struct smtp_command){.name = span_first(line, size),
                                 .argument = span_trim(span_from(line, size))};
    if (has_control_bytes(line))
        return SMTP_COMMAND_BAD_BYTES;
    for (size_t i = 0; i < ARRAY_SIZE(grammar); i++) {
        if (!span_equal_nocase(out->name, span_from_cstr(grammar[i].name)))
            continue;
        out->verb = grammar[i].verb;
        if (grammar[i].argument == ARGUMENT_NONE && out->argument.size)
            return SMTP_COMMAND_UNWANTED_ARGUMENT;
        if (grammar[i].argument == ARGUMENT_REQUIRED && out->argument.size == 0)
            return SMTP_COMMAND_MISSING_ARGUMENT;
        break;
    }
    return SMTP_COMMAND_OK;
}

bool smtp_command_take_word(struct span *text, struct span word)
{
    if (!span_starts_nocase(*text, word))
        return false;
    *text = span_trim(span_from(*text, word.size));
    return true;
}

static bool is_keyword_byte(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static size_t token_size(struct span text)
{
    size_t size = 0;

    while (size < text.size && !is_blank(text.data[size]))
        size++;
    return size;
}

int smtp_parameter_next(struct span *rest, struct smtp_parameter *out)
{
    struct span text = span_trim(*rest);

    if (text.size == 0)
        return 0;
    struct span token = span_first(text, token_size(text));
    ptrdiff_t equals = span_find(token, '=');
    struct span keyword = equals < 0 ? token : span_first(token, (size_t)equals);
    struct span value = equals < 0 ? span_of("", 0) : span_from(token, (size_t)equals + 1);

    *out = (struct smtp_parameter){.word = token};
    /* RFC 5321 4.1.2 esmtp-keyword begins with a letter or digit; esmtp-value isn't empty. */
    if (keyword.size == 0 || keyword.data[0] == '-' || (equals >= 0 && value.size == 0))
        return -EINVAL;
    for (size_t i = 0; i < keyword.size; i++)
        if (!is_keyword_byte(keyword.data[i]))
            return -EINVAL;
    /* RFC 5321 4.1.2 esmtp-value: no "=". UTF-8 is let through, as RFC 6531 3.3 allows. */
    if (span_find(value, '=') >= 0)
        return -EINVAL;
    *out = (struct smtp_parameter){token, keyword, value, equals >= 0};
    *rest = span_from(text, token.size);
    return 1;
}
