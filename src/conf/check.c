/*
 * Each check looks at the whole structure and says what is wrong and how to mend it, at the place
 * of the key. `whole` keeps a value that was dropped for an error from being reported as missing.
 */
#include "conf/check.h"

#include "conf/tree.h"
#include "conf/value.h"
#include "mail/address.h"

struct check {
    const struct conf *conf;
    struct conf_problems *problems;
    bool whole; /* no value was dropped for an error, so what is missing was never there */
};

struct conf_place conf_place_of(const struct conf *c, const char *group, const char *key)
{
    const struct conf_node *node = c->root, *inner;

    if (group && (inner = conf_tree_child(node, group)))
        node = inner;
    if (key && (inner = conf_tree_child(node, key)))
        node = inner;
    return node->key.size ? node->key_place : (struct conf_place){c->file, 1, 1};
}

static struct conf_place place_of(const struct check *k, const char *group, const char *key)
{
    return conf_place_of(k->conf, group, key);
}

static void check_hostname(struct check *k)
{
    if (k->conf->hostname.size && span_find(k->conf->hostname, '.') < 0)
        conf_warn(k->problems, place_of(k, NULL, "hostname"),
                  "`hostname` has no dot; other servers expect a full name like mail.example.org");
}

static void check_listener(struct check *k, const struct conf_listen *l)
{
    /* What isn't built is a warning where mail only fails to come in, and an error where it would
     * come in unprotected: a person who asked for TLS must not learn it from a wiretap. */
    if (l->service == CONF_SERVICE_SUBMISSION || l->service == CONF_SERVICE_POP3)
        conf_warn(k->problems, l->place,
                  "not built yet: the service of `%.*s`; nobody listens there", SPAN_ARG(l->name));
    else if (l->tls == CONF_TLS_REQUIRE || l->tls == CONF_TLS_IMPLICIT)
        conf_error(k->problems, l->place,
                   "not built yet: TLS, so `%.*s` would take in the clear what you want protected; "
                   "take `tls:` out",
                   SPAN_ARG(l->name));
    if (k->whole && l->service == CONF_SERVICE_MX && l->address_count == 0)
        conf_warn(k->problems, l->place, "`%.*s` has no address; nobody listens there",
                  SPAN_ARG(l->name));
}

/* The kernel wouldn't give both: the same, or one of them is all of its family. */
static bool exclude_each_other(const struct conf_address *a, const struct conf_address *b)
{
    if (a->port != b->port || ip_is_v4(a->ip) != ip_is_v4(b->ip))
        return false;
    return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0 || conf_ip_is_any(a->ip) ||
           conf_ip_is_any(b->ip);
}

/* Whether an earlier listener, or this one before `end`, has the address, or all or one of them. */
static bool address_taken(const struct conf *c, size_t listener, size_t end)
{
    const struct conf_address *address = &c->listens[listener].addresses[end];

    for (size_t i = 0; i <= listener; i++) {
        size_t count = i == listener ? end : c->listens[i].address_count;
        for (size_t j = 0; j < count; j++)
            if (exclude_each_other(&c->listens[i].addresses[j], address))
                return true;
    }
    return false;
}

static void check_listeners(struct check *k)
{
    const struct conf *c = k->conf;

    if (k->whole && c->listen_count == 0)
        conf_warn(k->problems, place_of(k, NULL, "listen"),
                  "nobody listens, so no mail comes in; add `listen: { mx: { address: "
                  "[\"0.0.0.0:25\", \"[::]:25\"] } }`");
    for (size_t i = 0; i < c->listen_count; i++) {
        check_listener(k, &c->listens[i]);
        for (size_t j = 0; j < c->listens[i].address_count; j++)
            if (address_taken(c, i, j))
                conf_error(k->problems, c->listens[i].place,
                           "`%.*s` names an address that is listed before, by itself or as one of "
                           "all (0.0.0.0, [::]); take one of the two out",
                           SPAN_ARG(c->listens[i].name));
    }
}

/* "%%" is a percent and hides what follows it. */
static bool has_mark(struct span template, char mark)
{
    for (size_t i = 0; i + 1 < template.size; i++)
        if (template.data[i] == '%') {
            if (template.data[i + 1] == mark)
                return true;
            i++;
        }
    return false;
}

static void check_template(struct check *k, const struct conf_domain *d)
{
    if (d->template.size == 0)
        return;
    if (!has_mark(d->template, 'u'))
        conf_warn(k->problems, d->place,
                  "all users of `%.*s` share one mailbox; put %%u into `deliver:`",
                  SPAN_ARG(d->name));
    if (has_mark(d->template, 'd'))
        return;
    for (const struct conf_domain *other = k->conf->domains; other < d; other++)
        if (span_equal(other->template, d->template)) {
            conf_warn(k->problems, d->place,
                      "users of the same name in `%.*s` and `%.*s` share a mailbox; put %%d into "
                      "`deliver:`",
                      SPAN_ARG(other->name), SPAN_ARG(d->name));
            return;
        }
}

static void check_domains(struct check *k)
{
    const struct conf *c = k->conf;

    if (k->whole && c->domain_count == 0)
        conf_warn(k->problems, place_of(k, NULL, "domains"),
                  "no domain is delivered here, so every recipient is refused; add `domains:`");
    conf_check_circles(c, k->problems);
    for (size_t i = 0; i < c->domain_count; i++) {
        const struct conf_domain *d = &c->domains[i];
        if (k->whole && d->users.size == 0)
            conf_warn(k->problems, d->place, "`%.*s` has no `users:`; %s", SPAN_ARG(d->name),
                      d->aliases.size ? "only its aliases can receive mail"
                                      : "all mail for it is refused");
        check_template(k, d);
    }
}

/* What was dropped for an error has its default, of which the file says nothing. */
static bool is_read(const struct check *k, const char *key, uint64_t ms)
{
    const struct conf_node *node = conf_tree_child(conf_tree_child(k->conf->root, "retry"), key);
    uint64_t written;

    return !node || (conf_duration_parse(node->text, &written) == 0 && written == ms);
}

/* A first pause over the longest can't be meant; short lives may be, on a test server. */
static void check_retry(struct check *k)
{
    const struct conf_retry *r = &k->conf->retry;
    bool first = is_read(k, "first", r->first), give_up = is_read(k, "give_up", r->give_up);

    if (r->first > r->max && first && is_read(k, "max", r->max))
        conf_error(k->problems, place_of(k, "retry", "first"),
                   "the first pause is longer than the longest; make `first` at most `max`");
    if (r->give_up < r->first && first && give_up)
        conf_warn(k->problems, place_of(k, "retry", "give_up"),
                  "mail is given up before the first retry; make `give_up` longer than `first`");
    else if (r->give_up < UINT64_C(86400000))
        conf_warn(k->problems, place_of(k, "retry", "give_up"),
                  "mail is given up in less than a day; RFC 5321 section 4.5.4.1 asks for 4 or 5");
}

/* Whoever is trusted may relay: all is an open relay, and refused. From a /8 (IPv4) and a /16
 * (IPv6) down it may be a company's own network; larger ones belong to providers. */
static void check_trusted(struct check *k)
{
    const struct conf_node *list = conf_tree_child(k->conf->root, "trusted");

    for (size_t i = 0; i < k->conf->trusted_count; i++) {
        const struct conf_network *n = &k->conf->trusted[i];
        bool v4 = ip_is_v4(n->ip) && n->prefix >= 96;
        char text[CONF_NETWORK_TEXT];
        conf_network_format(n, text);
        if (n->prefix == (v4 ? 96 : 0))
            conf_error(k->problems, list->key_place,
                       "%s trusts everybody: an open relay; name your own networks", text);
        else if (n->prefix < (v4 ? 96 + 8 : 16))
            conf_warn(k->problems, list->key_place,
                      "%s trusts a large part of the Internet; name your own networks", text);
    }
}

/* Else `trace` couldn't tell of mail that still waits. */
static void check_book(struct check *k)
{
    if (k->conf->book_keep < k->conf->retry.give_up)
        conf_warn(k->problems, place_of(k, "book", "keep"),
                  "mail may wait longer than the book is kept; make `keep` longer than "
                  "`retry: give_up`");
}

/* Equal paths only: one within another is legal, and a symlink is found when it is opened. */
void conf_check_folders(const struct conf *c, struct conf_problems *problems)
{
    const struct {
        const char *key;
        struct span path;
    } folders[] = {
        {"spool", c->spool}, {"ledger", c->ledger}, {"drop", c->drop}, {"control", c->control}};

    for (size_t i = 1; i < ARRAY_SIZE(folders); i++)
        for (size_t j = 0; j < i; j++)
            if (span_equal(folders[i].path, folders[j].path))
                conf_error(problems, conf_place_of(c, NULL, folders[i].key),
                           "`%s` and `%s` are the same path; give each its own", folders[i].key,
                           folders[j].key);
}

static void check_segment_size(struct check *k)
{
    if (k->conf->segment_size % 65536)
        conf_error(k->problems, place_of(k, NULL, "spool_segment_size"),
                   "`spool_segment_size` must be a multiple of 64K; write it like 64M");
}

/* sockaddr_un has 108 bytes (unix(7)). */
static void check_control(struct check *k)
{
    if (k->conf->control.size > 107)
        conf_error(k->problems, place_of(k, NULL, "control"),
                   "the path of the control socket is longer than 107 bytes; choose a shorter one");
}

static const struct conf_domain *find_domain(const struct conf *c, struct span name)
{
    for (size_t i = 0; i < c->domain_count; i++)
        if (span_equal_nocase(c->domains[i].name, name))
            return &c->domains[i];
    return NULL;
}

/* He must be somebody here: mail to him may not depend on another server, for it tells of what is
 * wrong with the way there. */
static void check_postmaster(struct check *k)
{
    struct span address = k->conf->postmaster;
    struct address parsed;

    if (address.size == 0)
        return;
    if (address_parse(address, ADDRESS_ALLOW_UTF8, &parsed) != ADDRESS_OK)
        conf_error(k->problems, place_of(k, NULL, "postmaster"),
                   "`%.*s` is not an address; write it like anna@example.org",
                   SPAN_ARG(span_first(address, 80)));
    else if (!find_domain(k->conf, address_domain(&parsed)))
        conf_error(
            k->problems, place_of(k, NULL, "postmaster"),
            "the domain of `%.*s` is not in `domains:`; name somebody who has a mailbox here",
            SPAN_ARG(span_first(address, 80)));
}

int conf_check(const struct conf *c, struct conf_problems *problems)
{
    struct check k = {c, problems, problems->error_count == 0};

    check_hostname(&k);
    check_listeners(&k);
    check_domains(&k);
    check_retry(&k);
    check_trusted(&k);
    check_book(&k);
    conf_check_folders(c, problems);
    check_segment_size(&k);
    check_control(&k);
    check_postmaster(&k);
    return conf_check_names(c, problems);
}
