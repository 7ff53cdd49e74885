/*
 * A sorted array, looked up by binary search; generations are counted references, so a job that
 * began under one ends under it.
 */
#include "proc/mailbox/domains.h"

#include "base/log.h"
#include "mail/address.h"
#include <errno.h>
#include <stdlib.h>

/* The root at `path`; opened when it is a new one. A linear search, only at a start and a reload.
 * After the sandbox is on, -ENOENT is what makes the process end and be started anew, with the
 * roots of one generation alone: so they can't be too many. One that couldn't be opened is no
 * reason for that, as long as it is missing: there would be no end of it. */
static int find_root(struct mailbox_roots *roots, const char *path, const struct mailbox_root **out)
{
    for (size_t i = 0; i < roots->count; i++)
        if (strcmp(roots->list[i].path, path) == 0) {
            *out = &roots->list[i];
            return 0;
        }
    if (roots->sealed)
        return -ENOENT;
    if (roots->count == MAILBOX_ROOTS_MAX)
        return -E2BIG;
    struct mailbox_root *root = &roots->list[roots->count];
    int r = mailbox_root_open(root, path);
    if (r < 0)
        return r;
    roots->count++;
    *out = root;
    return 0;
}

static int add(struct mailbox_domain *domain, const struct conf_mailbox_domain *from,
               struct mailbox_roots *roots)
{
    const char *why = "";
    int r = conf_template_parse(from->template, &domain->way, &why);

    if (r == -EINVAL)
        log_error("mailboxes of " SPAN_FMT " at " SPAN_FMT ": %s", SPAN_ARG(from->name),
                  SPAN_ARG(from->template), why);
    if (r < 0)
        return r;
    domain->name = strndup(from->name.data, from->name.size);
    return domain->name ? find_root(roots, domain->way.prefix, &domain->root) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
    const struct mailbox_domain *one = a, *two = b;
    return span_compare(span_from_cstr(one->name), span_from_cstr(two->name));
}

int mailbox_domains_new(const struct conf_mailbox *part, struct mailbox_roots *roots,
                        struct mailbox_domains **out)
{
    struct mailbox_domains *domains = calloc(1, sizeof(*domains));
    int r = 0;

    if (!domains)
        return -ENOMEM;
    domains->references = 1;
    domains->list = calloc(part->domain_count + 1, sizeof(*domains->list));
    if (!domains->list)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < part->domain_count; i++)
        r = add(&domains->list[domains->count++], &part->domains[i], roots);
    if (r < 0) {
        mailbox_domains_release(domains);
        return r;
    }
    qsort(domains->list, domains->count, sizeof(*domains->list), by_name);
    *out = domains;
    return 0;
}

bool mailbox_domains_may_open_more(const struct mailbox_domains *domains)
{
    for (size_t i = 0; i < domains->count; i++)
        if (mailbox_root_may_have_come(domains->list[i].root))
            return true;
    return false;
}

struct mailbox_domains *mailbox_domains_hold(struct mailbox_domains *domains)
{
    domains->references++;
    return domains;
}

void mailbox_domains_release(struct mailbox_domains *domains)
{
    if (!domains || --domains->references > 0)
        return;
    for (size_t i = 0; i < domains->count; i++) {
        free(domains->list[i].name);
        conf_template_done(&domains->list[i].way);
    }
    free(domains->list);
    free(domains);
}

static int compare_key(const void *key, const void *element)
{
    const struct mailbox_domain *domain = element;
    return span_compare(*(const struct span *)key, span_from_cstr(domain->name));
}

const struct mailbox_domain *mailbox_domains_find(const struct mailbox_domains *domains,
                                                  struct span address)
{
    struct span local, domain;

    address_split(address, &local, &domain);
    if (domain.size == 0)
        return NULL;
    return bsearch(&domain, domains->list, domains->count, sizeof(*domains->list), compare_key);
}
