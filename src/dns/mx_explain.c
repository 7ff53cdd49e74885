/* For people (`postbuch route`) and for the scheduler's sites: what the machine found, in words and
 * as one name. */
#include "dns/mx_impl.h"

#include <stdlib.h>

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Sorted, and without preferences: two domains with the same servers are one site, whatever each
 * calls first. */
int dns_mx_set(const struct dns_mx *mx, struct buffer *out)
{
    const char *names[DNS_HOSTS_MAX];

    for (size_t i = 0; i < mx->host_count; i++)
        names[i] = mx->hosts[i].name;
    qsort(names, mx->host_count, sizeof(*names), by_name);
    for (size_t i = 0; i < mx->host_count; i++)
        buffer_printf(out, "%s%s", i ? "," : "", names[i]);
    return buffer_error(out);
}

static const char *state_text(const struct dns_mx *mx, size_t index)
{
    switch (mx->hosts[index].state) {
    case DNS_HOST_ASKED:
        return "not asked for";
    case DNS_HOST_GOOD:
        return "";
    case DNS_HOST_FAILED:
        return "its addresses can't be found out now";
    case DNS_HOST_MISSING:
        return "has no address";
    case DNS_HOST_FORBIDDEN:
        return "has only private addresses or the like, which are not used";
    case DNS_HOST_SELF:
        return "is this server";
    case DNS_HOST_BEHIND:
        return "left out: not better than this server";
    }
    return "";
}

/* Those that are left out are shown, too: "why not there?" is what is asked most. */
static void explain_host(const struct dns_mx *mx, size_t index, struct buffer *out)
{
    const struct dns_host *host = &mx->hosts[index];
    char ip[IP_TEXT];

    buffer_printf(out, "  %5u  %s  %s", host->preference, host->name, state_text(mx, index));
    for (size_t i = 0; host->state == DNS_HOST_GOOD && i < host->address_count; i++) {
        ip_format(host->addresses[i].bytes, ip);
        buffer_printf(out, "%s%s", i ? ", " : "", ip);
    }
    buffer_append_byte(out, '\n');
}

int dns_mx_explain(const struct dns_mx *mx, struct buffer *out)
{
    const char *signature = mx->secure ? ", validated by DNSSEC" : "";

    if (mx->literal)
        buffer_printf(out, "%s is an address: no question to the DNS\n", mx->domain);
    else if (mx->implicit)
        buffer_printf(out, "%s has no MX%s; its own address counts\n", mx->domain, signature);
    else if (mx->host_count)
        buffer_printf(out, "%s has %zu MX%s\n", mx->domain, mx->host_count, signature);
    for (size_t i = 0; i < mx->host_count; i++)
        explain_host(mx, i, out);
    if (mx->verdict != DNS_PENDING && mx->verdict != DNS_FOUND)
        buffer_printf(out, "%s %s: " SPAN_FMT "\n", mx->status,
                      mx->verdict == DNS_PERMANENT ? "is returned" : "waits",
                      SPAN_ARG(buffer_span(&mx->text)));
    return buffer_error(out);
}
