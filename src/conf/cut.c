/* Cuts the configuration into the parts that the processes get. */
#include "conf/conf.h"

#include "conf/check.h"
#include <errno.h>
#include <stdlib.h>

static void *allocate(struct arena *arena, size_t count, size_t size)
{
    return arena_alloc_array(arena, count ? count : 1, size);
}

int conf_cut_smtpd(const struct conf *c, uint64_t generation, unsigned processes,
                   struct arena *arena, struct conf_smtpd *out)
{
    struct conf_listener *listeners = allocate(arena, c->listen_count, sizeof(*listeners));
    size_t count = 0;

    if (!listeners)
        return -ENOMEM;
    for (size_t i = 0; i < c->listen_count; i++)
        if (c->listens[i].service == CONF_SERVICE_MX)
            listeners[count++] = (struct conf_listener){
                .name = c->listens[i].name,
                .service = SPAN("mx"),
                .normalize = c->listens[i].normalize,
                .normalize_count = c->listens[i].normalize_count,
            };
    *out = (struct conf_smtpd){
        .generation = generation,
        .hostname = c->hostname,
        .banner = c->banner,
        .listeners = listeners,
        .listener_count = count,
        .message_size_max = c->limits.message_size,
        .recipients_max = (uint32_t)c->limits.recipients,
        .hops_max = (uint32_t)c->limits.hops,
        /* Who has his share stops accepting, and the others take what comes. */
        .connections_max = (uint32_t)((c->limits.connections + processes - 1) / processes),
        .errors_max = (uint32_t)c->limits.errors,
        /* The bounds in keys.c keep all of these within 32 bits. */
        .command_timeout_ms = (uint32_t)c->limits.command_idle,
        .data_timeout_ms = (uint32_t)c->limits.data_idle,
        .message_timeout_ms = (uint32_t)c->limits.message_time,
        .session_timeout_ms = (uint32_t)c->limits.session_time,
    };
    return 0;
}

static int by_pattern(const void *left, const void *right)
{
    const struct conf_queue_route *a = left, *b = right;

    return span_compare(a->pattern, b->pattern);
}

static int by_name(const void *left, const void *right)
{
    const struct conf_queue_domain *a = left, *b = right;

    return span_compare(a->name, b->name);
}

/* Sorts them. Returns where the first one has come. The first of the file has a meaning of its own
 * (`first_domain`), which sorting would lose. */
static uint32_t sort_domains(struct conf_queue_domain *domains, size_t count)
{
    struct conf_queue_domain first = count ? domains[0] : (struct conf_queue_domain){0};

    qsort(domains, count, sizeof(*domains), by_name);
    const struct conf_queue_domain *found =
        count ? bsearch(&first, domains, count, sizeof(*domains), by_name) : domains;
    return (uint32_t)(found - domains);
}

/* Relays and routes are one list for the queue; the directory alone asks whom they let in. */
static size_t add_routes(struct conf_queue_route *routes, size_t count,
                         const struct conf_route *from, size_t from_count, bool relay)
{
    for (size_t i = 0; i < from_count; i++)
        routes[count++] = (struct conf_queue_route){from[i].name, from[i].next_hop, relay};
    return count;
}

/* Sorted here once, so that the queue looks domains and routes up by binary search for each
 * recipient. */
int conf_cut_queue(const struct conf *c, uint64_t generation, struct arena *arena,
                   struct conf_queue *out)
{
    struct conf_queue_domain *domains = allocate(arena, c->domain_count, sizeof(*domains));
    struct conf_queue_route *routes =
        allocate(arena, c->relay_count + c->route_count, sizeof(*routes));

    if (!domains || !routes)
        return -ENOMEM;
    for (size_t i = 0; i < c->domain_count; i++)
        domains[i] = (struct conf_queue_domain){c->domains[i].name};
    uint32_t first_domain = sort_domains(domains, c->domain_count);
    size_t route_count = add_routes(routes, 0, c->relays, c->relay_count, true);
    route_count = add_routes(routes, route_count, c->routes, c->route_count, false);
    qsort(routes, route_count, sizeof(*routes), by_pattern);
    *out = (struct conf_queue){
        .generation = generation,
        .hostname = c->hostname,
        .spool = c->spool,
        .segment_size = c->segment_size,
        .disk_reserve = c->limits.disk_reserve,
        .waiting_max = c->limits.waiting,
        .message_size_max = c->limits.message_size,
        .recipients_max = (uint32_t)c->limits.recipients,
        .retry_first_ms = c->retry.first,
        .retry_max_ms = c->retry.max,
        .give_up_ms = c->retry.give_up,
        .delay_notice_ms = c->retry.delay_notice,
        .domains = domains,
        .domain_count = c->domain_count,
        .first_domain = first_domain,
        .routes = routes,
        .route_count = route_count,
        .postmaster = c->postmaster,
        .report_language = c->report_language,
        .receipts = c->receipts,
        .double_bounce = c->double_bounce,
    };
    return 0;
}

int conf_cut_book(const struct conf *c, uint64_t generation, struct conf_book *out)
{
    *out = (struct conf_book){
        .generation = generation,
        .spool = c->spool,
        .ledger = c->ledger,
        .keep_ms = c->book_keep,
        .refusals_keep_ms = c->book_refusals,
    };
    return 0;
}

/* Each file once, though several domains may name it: it is opened and read once. From the end,
 * since neighbours most often share theirs. */
static void add_file(struct conf_file *files, size_t *count, struct span name)
{
    if (name.size == 0)
        return;
    for (size_t i = *count; i > 0; i--)
        if (span_equal(files[i - 1].name, name))
            return;
    files[(*count)++].name = name;
}

int conf_cut_directory(const struct conf *c, uint64_t generation, struct arena *arena,
                       struct conf_directory *out)
{
    struct conf_directory_domain *domains = allocate(arena, c->domain_count, sizeof(*domains));
    struct conf_file *files = allocate(arena, 2 * c->domain_count, sizeof(*files));
    struct conf_relay_domain *relays = allocate(arena, c->relay_count, sizeof(*relays));
    size_t file_count = 0;

    if (!domains || !files || !relays)
        return -ENOMEM;
    for (size_t i = 0; i < c->domain_count; i++) {
        const struct conf_domain *d = &c->domains[i];
        domains[i] = (struct conf_directory_domain){d->name, d->users, d->aliases};
        add_file(files, &file_count, d->users);
        add_file(files, &file_count, d->aliases);
    }
    for (size_t i = 0; i < c->relay_count; i++)
        relays[i].name = c->relays[i].name;
    *out = (struct conf_directory){
        .generation = generation,
        .hostname = c->hostname,
        .postmaster = c->postmaster,
        .postmaster_place = conf_place_of(c, NULL, "postmaster"),
        .domains = domains,
        .domain_count = c->domain_count,
        .relays = relays,
        .relay_count = c->relay_count,
        .files = files,
        .file_count = file_count,
        .trusted = c->trusted,
        .trusted_count = c->trusted_count,
        .limits = {.client_connections = (uint32_t)c->limits.client_connections,
                   .network_connections = (uint32_t)c->limits.network_connections,
                   .client_rate = (uint32_t)c->limits.client_rate,
                   .network_rate = (uint32_t)c->limits.network_rate,
                   .client_refusals = (uint32_t)c->limits.client_refusals},
    };
    return 0;
}

int conf_cut_mailbox(const struct conf *c, uint64_t generation, uint32_t uid, uint32_t gid,
                     struct arena *arena, struct conf_mailbox *out)
{
    struct conf_mailbox_domain *domains = allocate(arena, c->domain_count, sizeof(*domains));

    if (!domains)
        return -ENOMEM;
    for (size_t i = 0; i < c->domain_count; i++)
        domains[i] = (struct conf_mailbox_domain){c->domains[i].name, c->domains[i].template};
    *out = (struct conf_mailbox){
        .generation = generation,
        .hostname = c->hostname,
        .uid = uid,
        .gid = gid,
        .threads = (uint32_t)c->mailbox_threads,
        .domains = domains,
        .domain_count = c->domain_count,
        .quota = c->quota,
    };
    return 0;
}

int conf_cut_smtp(const struct conf *c, uint64_t generation, struct arena *arena,
                  struct conf_smtp *out)
{
    size_t count = 0;

    for (size_t i = 0; i < c->listen_count; i++)
        count += c->listens[i].address_count;
    struct conf_address *own = allocate(arena, count, sizeof(*own));
    if (!own)
        return -ENOMEM;
    count = 0;
    for (size_t i = 0; i < c->listen_count; i++)
        for (size_t j = 0; j < c->listens[i].address_count; j++)
            own[count++] = c->listens[i].addresses[j];
    *out = (struct conf_smtp){
        .generation = generation,
        .hostname = c->hostname,
        .own = own,
        .own_count = count,
        .allow_private_mx = c->allow_private_mx,
    };
    return 0;
}

enum { OWN_MAX = CONF_LISTENERS_MAX * CONF_ADDRESSES_MAX };

/* A listener on 0.0.0.0 or [::] stands for each address of the machine: smtp must know them all,
 * for an MX that names one of them is this server itself (RFC 5321 5.1). */
int conf_cut_smtp_own(struct conf_smtp *part, const struct conf_address *machine, size_t count,
                      struct arena *arena)
{
    struct conf_address *own = allocate(arena, OWN_MAX, sizeof(*own));
    size_t n = 0;

    if (!own)
        return -ENOMEM;
    for (size_t i = 0; i < part->own_count && n < OWN_MAX; i++) {
        const struct conf_address *listener = &part->own[i];
        if (!conf_ip_is_any(listener->ip))
            own[n++] = *listener;
        for (size_t k = 0; conf_ip_is_any(listener->ip) && k < count && n < OWN_MAX; k++) {
            if (ip_is_v4(machine[k].ip) != ip_is_v4(listener->ip))
                continue;
            own[n] = machine[k];
            own[n++].port = listener->port;
        }
    }
    part->own = own;
    part->own_count = n;
    return 0;
}

int conf_cut_resolver(const struct conf *c, uint64_t generation, struct conf_resolver *out)
{
    *out = (struct conf_resolver){
        .generation = generation,
        .servers = c->resolver.servers,
        .server_count = c->resolver.server_count,
        .trust_anchor = c->resolver.trust_anchor,
    };
    return 0;
}
