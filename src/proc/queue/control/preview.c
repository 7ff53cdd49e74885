/*
 * "Which way would mail for this address go now?" The directory tells who the address is, the
 * configuration which way each of those goes, and smtp what the DNS says about it. Nothing is sent
 * and nothing is booked.
 */
#include "proc/queue/control/client.h"

#include "mail/address.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/core/lane.h"
#include "proc/queue/core/route.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { INQUIRIES_MAX = 4 /* of a client, at the same time */, HOPS_MAX = 8 };

struct inquiry {
    struct list link;
    struct control_client *client;
    uint64_t token;
    struct arena arena;
    struct span address; /* canonical */
    struct ipc_route_told told;
    struct ipc_call directory;
    struct hop {
        struct inquiry *inquiry;
        struct ipc_call call;
        struct ipc_route_way *way;
    } hops[HOPS_MAX];
    size_t hop_count, waiting;
};

/* Calls that wait are cancelled, so none of their functions is called with a freed inquiry. */
static void inquiry_free(struct inquiry *q)
{
    ipc_call_cancel(&q->directory);
    for (size_t i = 0; i < q->hop_count; i++)
        ipc_call_cancel(&q->hops[i].call);
    list_remove(&q->link);
    arena_done(&q->arena);
    free(q);
}

static void answer(struct inquiry *q)
{
    struct ipc_message m = {.type = IPC_ROUTE_TOLD, .route_told = q->told};

    ipc_reply(q->client->channel, q->token, &m);
    inquiry_free(q);
}

static void end(struct inquiry *q, enum ipc_route_kind kind, const char *why)
{
    q->told.kind = (uint8_t)kind;
    q->told.why = span_from_cstr(why);
    answer(q);
}

/* ---- what smtp knows of each next hop ---- */

/* A text that is too long for the reply is left out as a whole; the one that stands there says that
 * nothing is known. */
static void keep(struct inquiry *q, struct span from, struct span *to)
{
    struct span copy = arena_copy(&q->arena, from);

    if (copy.data && copy.size <= IPC_ROUTE_TEXT_MAX)
        *to = copy;
}

static void on_routed(struct ipc_call *call, const struct ipc_message *reply)
{
    struct hop *hop = CONTAINER_OF(call, struct hop, call);
    struct inquiry *q = hop->inquiry;

    hop->way->text = SPAN("the smtp process could not tell\n");
    if (reply) {
        keep(q, reply->routed.text, &hop->way->text);
        keep(q, reply->routed.json, &hop->way->json);
    }
    if (--q->waiting == 0)
        answer(q);
}

/* One question for each next hop, not for each address: an alias of fifty colleagues at one domain
 * has one way. The process that would carry it is asked, since its cache of the DNS and its view of
 * the hosts decide. */
static void ask_smtp(struct inquiry *q, const struct route *route, struct ipc_route_way *way)
{
    struct queue *queue = q->client->queue;
    struct ipc_channel *smtp = queue->dispatch->carriers[lane_of(route)].channel;
    struct ipc_message m = {.type = IPC_ROUTE, .route.next_hop = route->next_hop};

    way->text = smtp ? SPAN("not asked: there are too many ways\n")
                     : SPAN("the smtp process is not there\n");
    if (!smtp || q->hop_count == HOPS_MAX)
        return;
    way->text = SPAN("the smtp process is too busy to tell\n");
    struct hop *hop = &q->hops[q->hop_count++];
    *hop = (struct hop){.inquiry = q, .call.fn = on_routed, .way = way};
    if (ipc_call(smtp, &hop->call, &m) == 0)
        q->waiting++;
}

/* ---- which way each address goes ---- */

/* Its own index when it is the first with this next hop. */
static uint32_t first_with(const struct ipc_route_told *told, struct span next_hop)
{
    uint32_t i = 0;

    while (i < told->way_count && (told->ways[i].by == IPC_ROUTE_BY_MAILBOX ||
                                   !span_equal(told->ways[i].next_hop, next_hop)))
        i++;
    return i;
}

static void add_way(struct inquiry *q, struct span address)
{
    struct ipc_route_told *told = &q->told;
    struct ipc_route_way *way = &told->ways[told->way_count];
    struct span local, domain;
    struct route route;

    address_split(address, &local, &domain);
    route_find(q->client->queue->conf, domain, &route);
    *way = (struct ipc_route_way){.address = arena_copy(&q->arena, address),
                                  .by = IPC_ROUTE_BY_MAILBOX,
                                  .next_hop = arena_copy(&q->arena, route.next_hop)};
    if (route.way == ROUTE_SMTP)
        way->by = (uint8_t)(!route.by         ? IPC_ROUTE_BY_MX
                            : route.by->relay ? IPC_ROUTE_BY_RELAY
                                              : IPC_ROUTE_BY_ROUTE);
    if (route.by)
        way->pattern = arena_copy(&q->arena, route.by->pattern);
    way->same_as =
        route.way == ROUTE_SMTP ? first_with(told, route.next_hop) : (uint32_t)told->way_count;
    if (route.way == ROUTE_SMTP && way->same_as == told->way_count)
        ask_smtp(q, &route, way);
    told->way_count++;
}

/* From here on `q` may be gone. */
static void add_ways(struct inquiry *q, const struct ipc_expanded_address *list, size_t count)
{
    size_t shown = count < IPC_ROUTE_WAYS ? count : IPC_ROUTE_WAYS;

    q->told.more = (uint32_t)(count - shown);
    q->told.ways = arena_alloc_array(&q->arena, shown + 1, sizeof(*q->told.ways));
    if (!q->told.ways) {
        end(q, IPC_ROUTE_UNSURE, "out of memory");
        return;
    }
    for (size_t i = 0; i < shown; i++)
        add_way(q, list[i].address);
    if (q->waiting == 0)
        answer(q);
}

/* ---- who the address is ---- */

static const char *why_unsure(int error)
{
    switch (error) {
    case -ENOLINK:
        return "its alias leads to nobody, the postmaster has to mend it";
    case -E2BIG:
        return "its alias has too many recipients, the postmaster has to mend it";
    case -EAGAIN:
        return "the users or aliases have errors, the postmaster has to mend them";
    default:
        return "out of memory";
    }
}

/* The directory's troubles are those for which accepted mail would wait. */
static void on_expanded(struct ipc_call *call, const struct ipc_message *reply)
{
    struct inquiry *q = CONTAINER_OF(call, struct inquiry, directory);

    if (!reply) {
        end(q, IPC_ROUTE_UNSURE, "the directory process went away");
        return;
    }
    const struct ipc_expanded *e = &reply->expanded;
    q->told.kind = e->is_user ? IPC_ROUTE_USER : IPC_ROUTE_ALIAS;
    if (e->error == -ENOENT)
        end(q, IPC_ROUTE_NOBODY, "there is no such user or alias");
    else if (e->error)
        end(q, IPC_ROUTE_UNSURE, why_unsure(e->error));
    else
        add_ways(q, e->addresses, e->address_count);
}

/* False: it is none, and `q` is gone. */
static bool take_address(struct inquiry *q, struct span text)
{
    struct address address;
    enum address_result r = address_parse(text, ADDRESS_ALLOW_UTF8, &address);

    if (r == ADDRESS_OK)
        q->address = arena_copy(&q->arena, address_text(&address));
    if (r == ADDRESS_OK && q->address.data)
        return true;
    end(q, IPC_ROUTE_BAD, r == ADDRESS_OK ? "out of memory" : address_result_text(r));
    return false;
}

static size_t count_of(struct list *list)
{
    size_t count = 0;

    LIST_EACH(list, link)
    count++;
    return count;
}

/* The same questions in the same order as when mail comes: first whether the domain is ours, then
 * who that is. */
static void begin(struct inquiry *q, struct span text)
{
    struct queue *queue = q->client->queue;
    struct span local, domain;

    if (!take_address(q, text))
        return;
    address_split(q->address, &local, &domain);
    if (!route_is_here(queue->conf, domain)) {
        if (domain.data[0] == '[') { /* as the directory says it (verdict.c) */
            end(q, IPC_ROUTE_NOBODY, "mail is not carried to addresses in brackets, name a domain");
            return;
        }
        add_ways(q, &(struct ipc_expanded_address){q->address}, 1);
        return;
    }
    struct ipc_message ask = {.type = IPC_EXPAND, .expand.address = q->address};
    q->directory.fn = on_expanded;
    if (!queue->directory || ipc_call(queue->directory, &q->directory, &ask) < 0)
        end(q, IPC_ROUTE_UNSURE, "the directory process is not there");
}

void inquiry_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct ipc_message busy = {.type = IPC_ROUTE_TOLD,
                               .route_told = {.kind = IPC_ROUTE_UNSURE, .why = SPAN("too busy")}};
    struct inquiry *q = count_of(&client->inquiries) < INQUIRIES_MAX ? calloc(1, sizeof(*q)) : NULL;

    if (!q) {
        ipc_reply(client->channel, arrival->token, &busy);
        return;
    }
    q->client = client;
    q->token = arrival->token;
    list_append(&client->inquiries, &q->link);
    begin(q, arrival->message->route_ask.address);
}

void inquiry_drop_all(struct control_client *client)
{
    while (!list_is_empty(&client->inquiries))
        inquiry_free(CONTAINER_OF(client->inquiries.next, struct inquiry, link));
}
