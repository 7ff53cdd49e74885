#include "proc/queue/returns/suggest.h"

#include "conf/value.h"

/* Where most private mail of German and English speakers goes: mistyped most often, and a wrong
 * guess among these harms nobody, since it is only printed in a report. */
static const char *const well_known[] = {
    "gmail.com",  "googlemail.com", "outlook.com", "hotmail.com", "live.com",       "yahoo.com",
    "icloud.com", "aol.com",        "gmx.de",      "gmx.net",     "gmx.at",         "gmx.ch",
    "web.de",     "t-online.de",    "freenet.de",  "arcor.de",    "posteo.de",      "mailbox.org",
    "bluewin.ch", "proton.me",      "hotmail.de",  "outlook.de",  "protonmail.com",
};

struct nearest {
    struct span domain, found;
    unsigned distance; /* more than this is too far */
};

/* Names of less than four bytes are near to everything. */
static void look_at(struct nearest *n, struct span candidate)
{
    if (candidate.size < 4 || span_equal_nocase(candidate, n->domain))
        return;
    unsigned distance = conf_edit_distance(n->domain, candidate, n->distance);
    if (distance < n->distance || (distance == n->distance && !n->found.size)) {
        n->distance = distance;
        n->found = candidate;
    }
}

/* One slip in a short name, two in a longer one. */
static struct span find(const struct conf_queue *conf, struct span domain)
{
    struct nearest n = {.domain = domain, .distance = domain.size < 8 ? 1 : 2};

    for (size_t i = 0; i < conf->domain_count; i++)
        look_at(&n, conf->domains[i].name);
    for (size_t i = 0; i < conf->route_count; i++)
        if (conf->routes[i].pattern.size && conf->routes[i].pattern.data[0] != '.')
            look_at(&n, conf->routes[i].pattern);
    for (size_t i = 0; i < ARRAY_SIZE(well_known); i++)
        look_at(&n, span_from_cstr(well_known[i]));
    return n.found;
}

size_t suggest_address(const struct conf_queue *conf, struct span address,
                       char out[static ENVELOPE_ADDRESS_MAX])
{
    size_t local = (size_t)(span_find_last(address, '@') + 1);
    struct span found = local ? find(conf, span_from(address, local)) : SPAN("");

    if (!found.size || local + found.size > ENVELOPE_ADDRESS_MAX)
        return 0;
    memcpy(out, address.data, local);
    memcpy(out + local, found.data, found.size);
    return local + found.size;
}
