/* Names that are in the file more than once: domains, relays and routes, canonical here. */
#include "conf/check.h"

#include <errno.h>
#include <stdlib.h>

enum kind { KIND_DOMAIN, KIND_RELAY, KIND_ROUTE };

struct named {
    struct span name;
    struct conf_place place;
    enum kind kind;
};

/* By name, then by kind. */
static int compare(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = span_compare(a->name, b->name);

    return order ? order : (int)a->kind - (int)b->kind;
}

/* `b` comes after `a` in the order of compare(). */
static void report(struct conf_problems *problems, const struct named *a, const struct named *b)
{
    if (a->kind == b->kind)
        conf_error(problems, b->place,
                   "`%.*s` is listed twice in different case; keep one of the two",
                   SPAN_ARG(b->name));
    else if (a->kind == KIND_RELAY)
        conf_error(problems, b->place,
                   "`%.*s` is also in `relays:`, which says how it goes on; keep one of the two",
                   SPAN_ARG(b->name));
    else if (b->kind == KIND_RELAY)
        conf_error(problems, b->place,
                   "`%.*s` is also in `domains:`; mail is either delivered here or carried on, "
                   "keep one",
                   SPAN_ARG(b->name));
    else
        conf_warn(problems, b->place,
                  "`%.*s` is delivered here, so this route is never used; take it out",
                  SPAN_ARG(b->name));
}

static size_t add_routes(const struct conf_route *routes, size_t count, enum kind kind,
                         struct named *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (struct named){routes[i].name, routes[i].place, kind};
    return count;
}

int conf_check_names(const struct conf *c, struct conf_problems *problems)
{
    size_t count = 0;
    struct named *all = calloc(c->domain_count + c->relay_count + c->route_count + 1, sizeof(*all));

    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < c->domain_count; i++)
        all[count++] = (struct named){c->domains[i].name, c->domains[i].place, KIND_DOMAIN};
    count += add_routes(c->relays, c->relay_count, KIND_RELAY, all + count);
    count += add_routes(c->routes, c->route_count, KIND_ROUTE, all + count);
    qsort(all, count, sizeof(*all), compare);
    for (size_t i = 1; i < count; i++)
        if (span_equal(all[i].name, all[i - 1].name))
            report(problems, &all[i - 1], &all[i]);
    free(all);
    return 0;
}
