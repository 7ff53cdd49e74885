/*
 * The tables that are the file's grammar: each key with its type, bounds and place, so that the
 * manual, the checks and the structure can be held against one list. Bounds are what the rest of
 * the server is built for; defaults stand in conf_set_defaults().
 */
#include "conf/keys.h"

#include "conf/route_keys.h"
#include "conf/template.h"
#include "conf/value.h"
#include <errno.h>

#define KB UINT64_C(1024)
#define MB (KB * KB)
#define GB (KB * MB)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define KEYS(array) .keys = (array), .key_count = ARRAY_SIZE(array)

/* ---- keys that one version of the file shares with the next: read, checked, not built ---- */

static const char *const tls_words[] = {"none", "opportunistic", "require", "implicit", NULL};

static const struct conf_key tls_keys[] = {
    {"certificate", CONF_TYPE_PATH, CONF_UNKEPT, .required = true},
    {"key", CONF_TYPE_PATH, CONF_UNKEPT, .required = true},
};
static const struct conf_schema tls_schema = {.name = "`tls`", KEYS(tls_keys)};

static const struct conf_key resolver_keys[] = {
    {"servers", CONF_TYPE_SERVERS, offsetof(struct conf, resolver.servers),
     offsetof(struct conf, resolver.server_count), .max = CONF_SERVERS_MAX},
    {"trust_anchor", CONF_TYPE_PATH, offsetof(struct conf, resolver.trust_anchor)},
};
static const struct conf_schema resolver_schema = {.name = "`resolver`", KEYS(resolver_keys)};

static const struct conf_key web_keys[] = {
    {"address", CONF_TYPE_ADDRESSES, CONF_UNKEPT, .max = CONF_ADDRESSES_MAX, .required = true},
};
static const struct conf_schema web_schema = {.name = "`web`", KEYS(web_keys)};

/* ---- listen ---- */

static bool read_listen_name(struct conf_reader *r, const struct conf_node *n,
                             struct span *out_name)
{
    bool good = n->key.size > 0 && n->key.size <= CONF_NAME_MAX;

    for (size_t i = 0; i < n->key.size; i++) {
        char c = ascii_lower(n->key.data[i]);
        good &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    }
    *out_name = n->key;
    if (!good)
        conf_error(r->problems, n->key_place,
                   "a listener's name is up to %d letters, digits, `-` and `_`; choose another",
                   CONF_NAME_MAX);
    return good;
}

static const char *const service_words[] = {"mx", "submission", "pop3", NULL};
static const struct conf_key listen_keys[] = {
    {"address", CONF_TYPE_ADDRESSES, offsetof(struct conf_listen, addresses),
     offsetof(struct conf_listen, address_count), .max = CONF_ADDRESSES_MAX, .required = true},
    {"service", CONF_TYPE_WORD, offsetof(struct conf_listen, service), .words = service_words},
    {"tls", CONF_TYPE_WORD, offsetof(struct conf_listen, tls), .words = tls_words},
    {"normalize", CONF_TYPE_NETWORKS, offsetof(struct conf_listen, normalize),
     offsetof(struct conf_listen, normalize_count), .max = CONF_NETWORKS_MAX},
};
static const struct conf_schema listen_schema = {
    .name = "a listener",
    KEYS(listen_keys),
    .size = sizeof(struct conf_listen),
    .name_offset = offsetof(struct conf_listen, name),
    .place_offset = offsetof(struct conf_listen, place),
    .read_name = read_listen_name,
};

/* ---- domains ---- */

static bool read_domain_name(struct conf_reader *r, const struct conf_node *n,
                             struct span *out_name)
{
    return conf_read_domain(r, n->key_place, n->key, out_name);
}

/* The same reader as the mailbox process has: what it couldn't use would keep it from starting. */
static bool check_template(struct conf_reader *r, const struct conf_node *n, struct span path)
{
    struct conf_template template;
    const char *why;
    int error = conf_template_parse(path, &template, &why);

    if (error == -EINVAL)
        conf_error(r->problems, n->place, "%s; mend the path of the mailboxes", why);
    else if (error < 0)
        r->error = error;
    if (error < 0)
        return false;
    conf_template_done(&template);
    return true;
}

static bool read_deliver(struct conf_reader *r, const struct conf_node *n, void *target)
{
    struct conf_domain *domain = target;
    struct span text = n->text;

    if (span_starts_nocase(text, SPAN("maildir:"))) {
        struct span path;
        if (!conf_read_path(r, n, span_from(text, 8), &path) || !check_template(r, n, path))
            return false;
        domain->template = path;
        return true;
    }
    if (span_starts_nocase(text, SPAN("lmtp:")) || span_starts_nocase(text, SPAN("pipe:"))) {
        conf_error(r->problems, n->place,
                   "not built yet: delivery by `%.5s`; use maildir:/path/%%d/%%u", text.data);
        return false;
    }
    conf_error(r->problems, n->place, "`%.*s` is no way to deliver; write maildir:/path/%%d/%%u",
               SPAN_ARG(span_first(text, 80)));
    return false;
}

static const struct conf_key domain_keys[] = {
    {"deliver", CONF_TYPE_CUSTOM, .read = read_deliver, .required = true},
    {"users", CONF_TYPE_PATH, offsetof(struct conf_domain, users)},
    {"aliases", CONF_TYPE_PATH, offsetof(struct conf_domain, aliases)},
};
static const struct conf_schema domain_schema = {
    .name = "a domain",
    KEYS(domain_keys),
    .size = sizeof(struct conf_domain),
    .name_offset = offsetof(struct conf_domain, name),
    .place_offset = offsetof(struct conf_domain, place),
    .read_name = read_domain_name,
};

/* ---- groups of single settings ---- */

#define NUMBER(key, group, member, least, most)                                                    \
    {                                                                                              \
        key, CONF_TYPE_NUMBER, offsetof(struct conf, group.member), .min = (least), .max = (most)  \
    }
#define BYTES(key, group, member, least, most)                                                     \
    {                                                                                              \
        key, CONF_TYPE_SIZE, offsetof(struct conf, group.member), .min = (least), .max = (most)    \
    }
#define TIME(key, group, member, least, most)                                                      \
    {                                                                                              \
        key, CONF_TYPE_TIME, offsetof(struct conf, group.member), .min = (least), .max = (most)    \
    }

enum { RATE_MAX = 100000000 };

static const struct conf_key limits_keys[] = {
    /* RFC 5321 section 4.5.3.1.7 and .8: the least that a server takes. */
    BYTES("message_size", limits, message_size, 64 * KB, 1024 * GB),
    NUMBER("recipients", limits, recipients, 100, 10000),
    /* RFC 5321 section 6.3 asks for at least 100, but mail has passed a loop by far then. */
    NUMBER("hops", limits, hops, 10, 1000),
    NUMBER("connections", limits, connections, 1, 1000000),
    NUMBER("errors", limits, errors, 1, 10000),
    NUMBER("client_connections", limits, client_connections, 0, RATE_MAX),
    NUMBER("network_connections", limits, network_connections, 0, RATE_MAX),
    NUMBER("client_rate", limits, client_rate, 0, RATE_MAX),
    NUMBER("network_rate", limits, network_rate, 0, RATE_MAX),
    NUMBER("client_refusals", limits, client_refusals, 0, RATE_MAX),
    TIME("command_idle", limits, command_idle, SECOND, DAY),
    TIME("data_idle", limits, data_idle, SECOND, DAY),
    TIME("message_time", limits, message_time, SECOND, 7 * DAY),
    TIME("session_time", limits, session_time, SECOND, 30 * DAY),
    NUMBER("waiting", limits, waiting, 1, 1000000000),
    BYTES("disk_reserve", limits, disk_reserve, 0, 1024 * GB),
};
static const struct conf_schema limits_schema = {.name = "`limits`", KEYS(limits_keys)};

static const struct conf_key retry_keys[] = {
    TIME("first", retry, first, SECOND, 365 * DAY),
    TIME("max", retry, max, SECOND, 365 * DAY),
    TIME("give_up", retry, give_up, SECOND, 365 * DAY),
    TIME("delay_notice", retry, delay_notice, 0, 365 * DAY),
};
static const struct conf_schema retry_schema = {.name = "`retry`", KEYS(retry_keys)};

static const struct conf_key users_keys[] = {
    {"queue", CONF_TYPE_TEXT, offsetof(struct conf, users[CONF_USER_QUEUE])},
    {"network", CONF_TYPE_TEXT, offsetof(struct conf, users[CONF_USER_NETWORK])},
    {"directory", CONF_TYPE_TEXT, offsetof(struct conf, users[CONF_USER_DIRECTORY])},
    {"mailbox", CONF_TYPE_TEXT, offsetof(struct conf, users[CONF_USER_MAILBOX])},
};
static const struct conf_schema users_schema = {.name = "`users`", KEYS(users_keys)};

static const struct conf_key book_keys[] = {
    {"keep", CONF_TYPE_TIME, offsetof(struct conf, book_keep), .min = DAY, .max = 3650 * DAY},
    {"refusals", CONF_TYPE_TIME, offsetof(struct conf, book_refusals), .min = HOUR,
     .max = 3650 * DAY},
};
static const struct conf_schema book_schema = {.name = "`book`", KEYS(book_keys)};

static const struct conf_key mailbox_keys[] = {
    {"quota", CONF_TYPE_SIZE, offsetof(struct conf, quota)},
    {"threads", CONF_TYPE_NUMBER, offsetof(struct conf, mailbox_threads), .min = 1, .max = 1024},
};
static const struct conf_schema mailbox_schema = {.name = "`mailbox`", KEYS(mailbox_keys)};

static const char *const language_words[] = {"en", "de", "auto", NULL};
static const char *const receipts_words[] = {"own", "all", "none", NULL};
static const char *const double_bounce_words[] = {"book", "postmaster", NULL};
static const struct conf_key report_keys[] = {
    {"language", CONF_TYPE_WORD, offsetof(struct conf, report_language), .words = language_words},
    {"receipts", CONF_TYPE_WORD, offsetof(struct conf, receipts), .words = receipts_words},
    {"double_bounce", CONF_TYPE_WORD, offsetof(struct conf, double_bounce),
     .words = double_bounce_words},
};
static const struct conf_schema report_schema = {.name = "`report`", KEYS(report_keys)};

/* ---- the file ---- */

static bool read_spool(struct conf_reader *r, const struct conf_node *n, void *target)
{
    struct conf *c = target;
    struct span text = n->text;

    if (span_starts_nocase(text, SPAN("rados:"))) {
        conf_error(r->problems, n->place,
                   "not built yet: a spool on Ceph; use file:/var/spool/postbuch");
        return false;
    }
    if (span_starts_nocase(text, SPAN("file:")))
        text = span_from(text, 5);
    return conf_read_path(r, n, text, &c->spool);
}

static const char *const sandbox_words[] = {"kill", "errno", NULL};

static const struct conf_key file_keys[] = {
    {"hostname", CONF_TYPE_HOST, offsetof(struct conf, hostname), .required = true},
    {"banner", CONF_TYPE_TEXT, offsetof(struct conf, banner)},
    {"postmaster", CONF_TYPE_TEXT, offsetof(struct conf, postmaster)},
    {"spool", CONF_TYPE_CUSTOM, .read = read_spool},
    {"spool_segment_size", CONF_TYPE_SIZE, offsetof(struct conf, segment_size), .min = MB,
     .max = GB},
    {"ledger", CONF_TYPE_PATH, offsetof(struct conf, ledger)},
    {"control", CONF_TYPE_PATH, offsetof(struct conf, control)},
    {"drop", CONF_TYPE_PATH, offsetof(struct conf, drop)},
    {"sandbox", CONF_TYPE_WORD, offsetof(struct conf, sandbox), .words = sandbox_words},
    {"listen", CONF_TYPE_MAPS, offsetof(struct conf, listens), offsetof(struct conf, listen_count),
     .max = CONF_LISTENERS_MAX, .schema = &listen_schema},
    {"domains", CONF_TYPE_MAPS, offsetof(struct conf, domains), offsetof(struct conf, domain_count),
     .max = CONF_DOMAINS_MAX, .schema = &domain_schema},
    {"relays", CONF_TYPE_MAPS, offsetof(struct conf, relays), offsetof(struct conf, relay_count),
     .max = CONF_DOMAINS_MAX, .schema = &conf_relay_schema},
    {"routes", CONF_TYPE_MAPS, offsetof(struct conf, routes), offsetof(struct conf, route_count),
     .max = CONF_DOMAINS_MAX, .schema = &conf_route_schema},
    {"allow_private_mx", CONF_TYPE_BOOL, offsetof(struct conf, allow_private_mx)},
    {"report", CONF_TYPE_MAP, 0, .schema = &report_schema},
    {"trusted", CONF_TYPE_NETWORKS, offsetof(struct conf, trusted),
     offsetof(struct conf, trusted_count), .max = CONF_NETWORKS_MAX},
    {"retry", CONF_TYPE_MAP, 0, .schema = &retry_schema},
    {"limits", CONF_TYPE_MAP, 0, .schema = &limits_schema},
    {"users", CONF_TYPE_MAP, 0, .schema = &users_schema},
    {"book", CONF_TYPE_MAP, 0, .schema = &book_schema},
    {"mailbox", CONF_TYPE_MAP, 0, .schema = &mailbox_schema},
    {"tls", CONF_TYPE_MAP, CONF_UNKEPT, .schema = &tls_schema,
     .not_built = "TLS; STARTTLS is not offered, all sessions are in the clear"},
    {"resolver", CONF_TYPE_MAP, 0, .schema = &resolver_schema},
    {"web", CONF_TYPE_MAP, CONF_UNKEPT, .schema = &web_schema,
     .not_built = "the page; nobody listens on its address"},
};
const struct conf_schema conf_file_schema = {.name = "the configuration", KEYS(file_keys)};

void conf_set_defaults(struct conf *c)
{
    c->banner = SPAN("ESMTP Postbuch");
    c->spool = SPAN("/var/spool/postbuch");
    c->ledger = SPAN("/var/lib/postbuch/ledger");
    c->control = SPAN("/run/postbuch/control");
    c->drop = SPAN("/var/spool/postbuch-drop");
    c->segment_size = 64 * MB;
    c->retry = (struct conf_retry){5 * MINUTE, 4 * HOUR, 4 * DAY, 4 * HOUR};
    c->report_language = CONF_LANGUAGE_AUTO;
    c->users[CONF_USER_QUEUE] = SPAN("postbuch");
    c->users[CONF_USER_NETWORK] = SPAN("postbuch-net");
    c->users[CONF_USER_DIRECTORY] = SPAN("postbuch-auth");
    c->users[CONF_USER_MAILBOX] = SPAN("vmail");
    c->book_keep = 90 * DAY;
    c->book_refusals = 14 * DAY;
    c->mailbox_threads = 4;
    c->limits = (struct conf_limits){
        .message_size = 50 * MB,
        .recipients = 1000,
        .hops = 50,
        .connections = 10000,
        .errors = 20,
        .client_connections = 50,
        .network_connections = 500,
        .client_rate = 300,
        .network_rate = 3000,
        .client_refusals = 100,
        .command_idle = 5 * MINUTE, /* RFC 5321 section 4.5.3.2.7 */
        .data_idle = 3 * MINUTE,
        .message_time = 2 * HOUR,
        .session_time = 12 * HOUR,
        .waiting = 5000000,
        .disk_reserve = 256 * MB,
    };
}
