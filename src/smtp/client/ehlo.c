/*
 * What the station offers (RFC 5321 4.1.1.1). Unknown keywords are left alone; what was said before
 * is forgotten, as STARTTLS will need (RFC 3207 section 4.2).
 */
#include "smtp/client/session.h"

static const struct {
    const char *keyword;
    enum smtp_extension extension;
} known[] = {
    {"PIPELINING", SMTP_EXTENSION_PIPELINING}, {"SIZE", SMTP_EXTENSION_SIZE},
    {"8BITMIME", SMTP_EXTENSION_8BITMIME},     {"SMTPUTF8", SMTP_EXTENSION_SMTPUTF8},
    {"CHUNKING", SMTP_EXTENSION_CHUNKING},     {"DSN", SMTP_EXTENSION_DSN},
};

void smtp_client_say_ehlo(struct smtp_client *c)
{
    smtp_client_command(c, SMTP_CLIENT_EHLO, "EHLO " SPAN_FMT, SPAN_ARG(c->settings->hostname));
}

static void take_extension(struct smtp_client *c, struct span line)
{
    ptrdiff_t blank = span_find(line, ' ');
    struct span keyword = blank < 0 ? line : span_first(line, (size_t)blank);
    struct span value = blank < 0 ? SPAN("") : span_trim(span_from(line, (size_t)blank + 1));

    keyword = span_trim(keyword);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (span_equal_nocase(keyword, span_from_cstr(known[i].keyword)))
            c->extensions |= known[i].extension;
    if (span_equal_nocase(keyword, SPAN("SIZE")))
        span_to_u64(value, UINT64_MAX, &c->size_max); /* RFC 1870 section 4: may be missing */
}

/* The one that ended last; empty when it wasn't kept whole. */
static struct span last_line(const struct smtp_heard *heard)
{
    struct span text = smtp_heard_text(heard), line = SPAN("");

    while (heard->kept < SMTP_HEARD_KEPT && smtp_heard_line(&text, &line))
        ;
    return line;
}

/* Line by line, as there may be more of them than is kept of a reply. The first is a greeting. */
void smtp_client_on_ehlo_line(struct smtp_client *c)
{
    if (!smtp_client_heard_yes(c))
        return;
    if (c->heard.lines == 1) {
        c->extensions = 0;
        c->size_max = 0;
    } else {
        take_extension(c, last_line(&c->heard));
    }
    if (c->heard.kept > SMTP_HEARD_KEPT / 2)
        smtp_heard_forget(&c->heard);
}

/* A station that doesn't know EHLO is asked once more in the old way (RFC 5321 3.2). */
void smtp_client_on_ehlo(struct smtp_client *c)
{
    if (smtp_client_heard_yes(c)) {
        smtp_client_state_set(c, SMTP_CLIENT_READY);
    } else if (c->heard.code >= 500) {
        smtp_client_command(c, SMTP_CLIENT_HELO, "HELO " SPAN_FMT, SPAN_ARG(c->settings->hostname));
    } else {
        smtp_client_fail_heard(c);
    }
}

void smtp_client_on_helo(struct smtp_client *c)
{
    if (smtp_client_heard_yes(c))
        smtp_client_state_set(c, SMTP_CLIENT_READY);
    else
        smtp_client_fail_heard(c);
}
