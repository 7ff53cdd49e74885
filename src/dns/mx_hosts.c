/*
 * From the MX answer to the ordered list of hosts. A domain may publish any number: only the best
 * DNS_HOSTS_MAX are kept, while they are read.
 */
#include "dns/mx_impl.h"

#include <stdlib.h>

static bool is_own_name(const struct dns_mx *mx, const char *name)
{
    for (size_t i = 0; i < mx->rules.own_name_count; i++)
        if (span_equal_nocase(mx->rules.own_names[i], span_from_cstr(name)))
            return true;
    return false;
}

/* Who is us, or not better than us, is not asked for; those hosts are behind all others. */
static void ask_for_addresses(struct dns_mx *mx)
{
    unsigned open = 0;

    mx_cut_behind_self(mx);
    while (open < mx->host_count && mx->hosts[open].state == DNS_HOST_ASKED)
        open++;
    mx->stage = MX_STAGE_ADDRESSES;
    mx->questions[0] = MX_ANSWERED;
    mx->answered_count = mx->next_question = 1;
    mx->question_count = 1 + MX_FAMILIES * open;
}

/* Once. False, and ended: there is no memory. */
static bool make_room(struct dns_mx *mx, size_t count)
{
    mx->hosts = calloc(count, sizeof(*mx->hosts));
    mx->lookups = calloc(count, sizeof(*mx->lookups));
    if (mx->hosts && mx->lookups)
        return true;
    mx_finish(mx, DNS_OURS, "4.3.0", "out of memory");
    return false;
}

/* RFC 5321 5.1: without an MX the domain is its own host, with preference 0. */
void mx_take_implicit(struct dns_mx *mx)
{
    mx->implicit = true;
    if (!make_room(mx, 1))
        return;
    struct dns_host *host = &mx->hosts[0];
    mx->host_count = 1;
    memcpy(host->name, mx->domain, sizeof(host->name));
    if (is_own_name(mx, host->name))
        host->state = DNS_HOST_SELF;
    ask_for_addresses(mx);
}

static struct dns_host *find_host(struct dns_mx *mx, const char *name)
{
    for (size_t i = 0; i < mx->host_count; i++)
        if (strcmp(mx->hosts[i].name, name) == 0)
            return &mx->hosts[i];
    return NULL;
}

/* A free place, or when there is none that of the worst host, if it is worse than `preference`. So
 * a domain with thousands of hosts costs what its best ones do. */
static struct dns_host *make_place(struct dns_mx *mx, uint16_t preference)
{
    struct dns_host *worst = &mx->hosts[0];

    if (mx->host_count < DNS_HOSTS_MAX)
        return &mx->hosts[mx->host_count++];
    for (size_t i = 1; i < mx->host_count; i++)
        if (mx->hosts[i].preference > worst->preference)
            worst = &mx->hosts[i];
    return worst->preference > preference ? worst : NULL;
}

/* A host that is named twice counts with its better preference. */
static void add_host(struct dns_mx *mx, const struct dns_mx_record *record)
{
    struct dns_host *place = find_host(mx, record->exchange);

    if (place) {
        if (place->preference > record->preference)
            place->preference = record->preference;
        return;
    }
    place = make_place(mx, record->preference);
    if (!place)
        return;
    memcpy(place->name, record->exchange, sizeof(place->name));
    place->preference = record->preference;
    place->state = is_own_name(mx, place->name) ? DNS_HOST_SELF : DNS_HOST_ASKED;
}

static int by_preference(const void *left, const void *right)
{
    const struct dns_host *a = left, *b = right;

    return (a->preference > b->preference) - (a->preference < b->preference);
}

/* RFC 5321 5.1: equals in random order, so all are shuffled before they are sorted. */
static void order_hosts(struct dns_mx *mx)
{
    mx_shuffle(mx, mx->hosts, mx->host_count, sizeof(*mx->hosts));
    qsort(mx->hosts, mx->host_count, sizeof(*mx->hosts), by_preference);
}

/* A record that can't be read is left out; if none can, that is a trouble of its servers that may
 * pass. */
void mx_take_records(struct dns_mx *mx, const struct dns_answer *answer)
{
    struct dns_mx_record record;
    bool null_mx = false;
    size_t most = answer->rdata_count < DNS_HOSTS_MAX ? answer->rdata_count : DNS_HOSTS_MAX;

    if (!make_room(mx, most))
        return;
    for (size_t i = 0; i < answer->rdata_count; i++) {
        if (dns_rdata_mx(answer->rdata[i], &record) < 0)
            continue;
        /* The root can't be a mail server; beside other records it is a mistake (RFC 7505 3). */
        if (strcmp(record.exchange, ".") == 0)
            null_mx = true;
        else
            add_host(mx, &record);
    }
    if (mx->host_count == 0 && null_mx) {
        mx_finish(mx, DNS_PERMANENT, "5.1.10", "the domain %.256s accepts no mail (null MX)",
                  mx->domain);
        return;
    }
    if (mx->host_count == 0) {
        mx_finish(mx, DNS_TEMPORARY, "4.4.3", "the MX records of %.256s can't be read", mx->domain);
        return;
    }
    order_hosts(mx);
    ask_for_addresses(mx);
}
