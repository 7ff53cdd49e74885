/*
 * From the addresses of hosts to the verdict. A host is good with one address that may be used; the
 * domain is found with one good host. Otherwise the kindest reason is given: what may pass by
 * itself before what somebody has to mend.
 */
#include "dns/mx_impl.h"

#include "dns/type.h"

static bool is_own_address(const struct dns_mx *mx, const struct dns_ip *ip)
{
    struct dns_ip inner = dns_ip_inner(ip);

    for (size_t i = 0; i < mx->rules.own_address_count; i++)
        if (dns_ip_equal(&mx->rules.own_addresses[i], &inner))
            return true;
    return false;
}

void mx_add_address(struct dns_mx *mx, size_t host, const struct dns_ip *ip)
{
    struct mx_lookup *lookup = &mx->lookups[host];
    unsigned family = ip_is_v4(ip->bytes) ? 1 : 0;
    const char *special = dns_ip_special(ip);

    /* Before the private ones are dropped: a host that is us is us, whatever its address
     * (RFC 5321 5.1). */
    if (is_own_address(mx, ip))
        mx->hosts[host].state = DNS_HOST_SELF;
    if (special && !mx->rules.allow_private) {
        lookup->forbidden = special;
        lookup->forbidden_ip = *ip;
    } else if (lookup->counts[family] < DNS_ADDRESSES_MAX) {
        lookup->addresses[family][lookup->counts[family]++] = *ip;
    }
}

void mx_take_addresses(struct dns_mx *mx, size_t host, unsigned family,
                       const struct dns_answer *answer)
{
    struct mx_lookup *lookup = &mx->lookups[host];
    uint16_t type = family ? DNS_TYPE_A : DNS_TYPE_AAAA;
    struct dns_ip ip;

    lookup->secure[family] = answer->security == DNS_SECURE;
    if (dns_answer_outcome(answer) == DNS_OUTCOME_FAILED) {
        lookup->failed = true;
        mx_note_failure(mx, mx->hosts[host].name, type, answer);
    }
    if (dns_answer_outcome(answer) != DNS_OUTCOME_DATA)
        return;
    for (size_t i = 0; i < answer->rdata_count; i++)
        if (dns_rdata_ip(type, answer->rdata[i], &ip) == 0)
            mx_add_address(mx, host, &ip);
}

/* The families take turns, so that a broken one costs one attempt only (RFC 8305 4). */
static void order_addresses(struct dns_mx *mx, size_t index)
{
    struct mx_lookup *lookup = &mx->lookups[index];
    struct dns_host *host = &mx->hosts[index];

    for (unsigned family = 0; family < MX_FAMILIES; family++)
        mx_shuffle(mx, lookup->addresses[family], lookup->counts[family], sizeof(struct dns_ip));
    for (size_t i = 0; i < DNS_ADDRESSES_MAX; i++)
        for (unsigned family = 0; family < MX_FAMILIES; family++)
            if (i < lookup->counts[family])
                host->addresses[host->address_count++] = lookup->addresses[family][i];
    host->secure = lookup->secure[0] && lookup->secure[1];
}

/* dns_mx_hurry() ends the asking at any question. An address literal has none. */
static bool was_asked(const struct dns_mx *mx, size_t index)
{
    const unsigned char *families = &mx->questions[1 + MX_FAMILIES * index];

    return mx->literal || (families[0] == MX_ANSWERED && families[1] == MX_ANSWERED);
}

/* With one family there the other's failure doesn't matter: the host can be reached. */
static void settle_host(struct dns_mx *mx, size_t index)
{
    const struct mx_lookup *lookup = &mx->lookups[index];
    struct dns_host *host = &mx->hosts[index];

    if (host->state != DNS_HOST_ASKED)
        return;
    order_addresses(mx, index);
    if (host->address_count)
        host->state = DNS_HOST_GOOD;
    else if (lookup->failed)
        host->state = DNS_HOST_FAILED;
    else if (was_asked(mx, index))
        host->state = lookup->forbidden ? DNS_HOST_FORBIDDEN : DNS_HOST_MISSING;
}

/* RFC 5321 section 5.1: from the best host that is us on, our own preference included, none may be
 * tried. Called twice, since addresses show more of who is us than names do. */
void mx_cut_behind_self(struct dns_mx *mx)
{
    size_t first = 0;

    while (first < mx->host_count && mx->hosts[first].state != DNS_HOST_SELF)
        first++;
    if (first == mx->host_count)
        return;
    uint16_t own = mx->hosts[first].preference;
    for (size_t i = 0; i < mx->host_count; i++)
        if (mx->hosts[i].preference >= own && mx->hosts[i].state != DNS_HOST_SELF)
            mx->hosts[i].state = DNS_HOST_BEHIND;
}

static const struct dns_host *find(const struct dns_mx *mx, enum dns_host_state state)
{
    for (size_t i = 0; i < mx->host_count; i++)
        if (mx->hosts[i].state == state)
            return &mx->hosts[i];
    return NULL;
}

static void finish_forbidden(struct dns_mx *mx, const struct dns_host *host)
{
    const struct mx_lookup *lookup = &mx->lookups[host - mx->hosts];
    char ip[IP_TEXT];

    ip_format(lookup->forbidden_ip.bytes, ip);
    mx_finish(
        mx, DNS_PERMANENT, "5.4.4",
        "the mail server %.256s of %.256s has only a %s address (%s), which is of no use from here",
        host->name, mx->domain, lookup->forbidden, ip);
}

static void finish_missing(struct dns_mx *mx, const struct dns_host *host)
{
    if (mx->implicit)
        mx_finish(mx, DNS_PERMANENT, "5.1.2",
                  "the domain %.256s has neither a mail server (MX) nor an address (A, AAAA)",
                  mx->domain);
    else
        mx_finish(mx, DNS_PERMANENT, "5.4.4",
                  "the mail server %.256s of %.256s has no address (A, AAAA)", host->name,
                  mx->domain);
}

/* One host that can be reached is enough; one that may be reachable later is a reason to wait. */
void mx_conclude(struct dns_mx *mx)
{
    const struct dns_host *host;

    mx_cut_behind_self(mx);
    for (size_t i = 0; i < mx->host_count; i++)
        settle_host(mx, i);
    if (find(mx, DNS_HOST_GOOD)) {
        mx_end(mx, DNS_FOUND, "");
    } else if (find(mx, DNS_HOST_FAILED) || find(mx, DNS_HOST_ASKED)) {
        mx_fail(mx);
    } else if ((host = find(mx, DNS_HOST_FORBIDDEN))) {
        finish_forbidden(mx, host);
    } else if ((host = find(mx, DNS_HOST_MISSING))) {
        finish_missing(mx, host);
    } else {
        host = find(mx, DNS_HOST_SELF);
        mx_finish(mx, DNS_PERMANENT, "5.4.6",
                  "mail for %.256s would come back to this server: its best mail server %.256s is "
                  "this one, "
                  "but %.256s is not in its `domains`",
                  mx->domain, host->name, mx->domain);
    }
}
