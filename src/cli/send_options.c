/*
 * sendmail(1)'s options, as programs of forty years pass them. Those without a help text aren't
 * shown: they mean something only to Sendmail, or ask for what always happens here.
 */
#include "cli/send_options.h"

#include "mail/dsn.h"

enum key { KEY_COLLECT = 1, KEY_SUBMIT, KEY_HOSTNAME };

/* Letters are their own keys. What sendmail has and we need not is taken and ignored. */
static const struct cli_option options[] = {
    {NULL, 'f', "ADDRESS", "the envelope sender, also as 'Name <ADDRESS>' (default: you)", 'f'},
    {NULL, 'r', "ADDRESS", NULL, 'f'},
    {NULL, 'F', "NAME", "your name, for a From: that is missing", 'F'},
    {NULL, 't', NULL, "recipients are what To:, Cc: and Bcc: name", 't'},
    {NULL, 'i', NULL, "a line of one dot doesn't end the message", 'i'},
    {NULL, 'b', "MODE",
     "m: send (default); s: SMTP on standard input; p: as mailq; i: as newaliases", 'b'},
    {NULL, 'N', "WHEN", "receipts wanted: never, or success, failure, delay with commas", 'N'},
    {NULL, 'R', "WHAT", "what a bounce returns: full or hdrs", 'R'},
    {NULL, 'V', "ID", "an envelope id for receipts", 'V'},
    {NULL, 'v', NULL, "say what the server answered", 'v'},
    {NULL, 'o', "OPTION", "i: as -i; others are ignored", 'o'},
    {"collect", 0, "FOLDER", "hand in what waits in this drop folder", KEY_COLLECT},
    {"submit", 0, "SOCKET", NULL, KEY_SUBMIT},
    {"hostname", 0, "NAME", NULL, KEY_HOSTNAME},
    {NULL, 'A', "X", NULL, 'A'},
    {NULL, 'B', "X", NULL, 'A'},
    {NULL, 'C', "X", NULL, 'A'},
    {NULL, 'h', "X", NULL, 'A'},
    {NULL, 'L', "X", NULL, 'A'},
    {NULL, 'O', "X", NULL, 'A'},
    {NULL, 'p', "X", NULL, 'A'},
    {NULL, 'X', "X", NULL, 'A'},
    {NULL, 'D', "X", NULL, 'A'},
    {NULL, 'M', "X", NULL, 'A'},
    {NULL, 'q', "[X]", NULL, 'q'},
    {NULL, 'd', "[X]", NULL, 'A'},
    {NULL, 'e', "[X]", NULL, 'A'},
    {NULL, 'E', "[X]", NULL, 'A'},
    {NULL, 'Q', "[X]", NULL, 'A'},
    {NULL, 'I', NULL, NULL, 'I'},
    {NULL, 'G', NULL, NULL, 'A'},
    {NULL, 'c', NULL, NULL, 'A'},
    {NULL, 'l', NULL, NULL, 'A'},
    {NULL, 'n', NULL, NULL, 'A'},
    {NULL, 'm', NULL, NULL, 'A'},
    {NULL, 's', NULL, NULL, 'A'},
    {NULL, 'T', NULL, NULL, 'A'},
    {NULL, 'U', NULL, NULL, 'A'},
    {NULL, 'x', NULL, NULL, 'A'},
};

const struct cli_usage send_usage = {
    "send",
    "[--] [RECIPIENT…]",
    "Reads a message from standard input and sends it; takes the options of sendmail(1).\n"
    "While the server is down or defers the message it is kept in the drop folder, on disk,\n"
    "and the server collects it. Other options of sendmail are ignored. Exits 1 when it is\n"
    "refused, 75 when it is kept nowhere: try again.\n",
    false,
    options,
    ARRAY_SIZE(options)};

/* RFC 3461 4.1: NEVER alone, or a list of the others. */
static bool take_notify(struct send_wishes *w, const char *value)
{
    static const char *const words[] = {"never", "success", "failure", "delay"};
    struct span rest = span_from_cstr(value);
    struct buffer out = BUFFER_LIMITED(sizeof(w->notify) - 1);
    unsigned seen = 0;

    do {
        ptrdiff_t comma = span_find(rest, ',');
        struct span word = span_trim(comma < 0 ? rest : span_first(rest, (size_t)comma));
        unsigned bit = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
            if (span_equal_nocase(word, span_from_cstr(words[i])))
                bit = 1u << i;
        if (!bit || (seen & bit))
            break;
        seen |= bit;
        if (out.size)
            buffer_append_byte(&out, ',');
        for (size_t i = 0; i < word.size; i++)
            buffer_append_byte(&out, (char)(ascii_lower(word.data[i]) - ('a' - 'A')));
        rest = comma < 0 ? span_of("", 0) : span_from(rest, (size_t)comma + 1);
    } while (rest.size);
    bool good = rest.size == 0 && seen && (seen == 1 || !(seen & 1)) && !buffer_error(&out);
    if (good) {
        memcpy(w->notify, out.data, out.size);
        w->notify[out.size] = '\0'; /* a longer one may have come before: the last one counts */
    }
    buffer_done(&out);
    return good;
}

static bool take_ret(struct send_wishes *w, const char *value)
{
    bool full = span_equal_nocase(span_from_cstr(value), SPAN("full"));

    strcpy(w->ret, full ? "FULL" : "HDRS");
    return full || span_equal_nocase(span_from_cstr(value), SPAN("hdrs"));
}

static bool take_option(struct send_wishes *w, int key, const char *value)
{
    switch (key) {
    case 'f':
        w->sender = value;
        break;
    case 'F':
        w->full_name = value;
        break;
    case 't':
        w->extract = true;
        break;
    case 'o':
        w->dot_is_text |= value[0] == 'i';
        break;
    case 'i':
        w->dot_is_text = true;
        break;
    case 'b':
        w->mode = value[0];
        return value[0] && strchr("mspi", value[0]) && value[1] == '\0';
    case 'I':
        w->mode = 'i';
        break;
    case 'N':
        return take_notify(w, value);
    case 'R':
        return take_ret(w, value);
    case 'V':
        w->envid = value;
        return dsn_is_envelope_id(span_from_cstr(value));
    case 'v':
        w->verbose = true;
        break;
    case 'q':
        w->run_queue = true;
        break;
    case KEY_COLLECT:
        w->collect = value;
        break;
    case KEY_SUBMIT:
        w->submit = value;
        break;
    case KEY_HOSTNAME:
        w->hostname = value;
        break;
    default:
        break;
    }
    return true;
}

int send_parse_wishes(int argc, char **argv, struct send_wishes *w, int *out_code)
{
    struct cli_parser p;
    int key;

    *w = (struct send_wishes){.mode = 'm'};
    cli_parse_init(&p, &send_usage, argc, argv);
    while ((key = cli_parse_next(&p)) > 0) {
        if (!take_option(w, key, p.value)) {
            *out_code = cli_wrong_usage(&send_usage, "-%c %s makes no sense here", key, p.value);
            return -1;
        }
    }
    *out_code = p.exit_code;
    w->config = p.config;
    w->recipients = argv + p.first;
    w->recipient_count = argc - p.first;
    return key;
}
