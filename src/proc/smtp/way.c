/*
 * From a next hop to addresses: "mx:DOMAIN" by the rules of src/dns, "host:HOST:PORT,..." by the
 * names and literals in their order. The resolver is asked; nobody else is.
 *
 * A way has at most QUESTIONS_MAX questions under way, when all ways together have very many, both
 * of one host, and with still more one: so it always goes on, and nobody's questions take the place
 * of another's. Who has one under way goes on with its answer; who hasn't, and finds the channel's
 * window full, waits for it.
 */
#include "proc/smtp/way.h"

#include "base/chance.h"
#include "dns/ip.h"
#include "dns/rdata.h"
#include "dns/type.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct question {
    struct list link;
    struct ipc_call call;
    struct smtp_way *way;
    unsigned number; /* of the MX machine */
    uint16_t host, port, type;
    struct span name; /* the MX machine's, or in the way's arena */
};

/* HURRY_MS: then so many questions have waited for silent name servers that those left wait for the
 * next attempt. More than a time-out of the resolver: hosts behind four dead ones get their turn.
 */
enum { SMTP_PORT = 25, QUESTIONS_MAX = DNS_QUESTIONS_OPEN, HURRY_MS = 30000 };

static void fail(struct smtp_way *way, enum dns_verdict verdict, const char *status,
                 const char *text)
{
    way->failed = true;
    way->permanent = verdict == DNS_PERMANENT;
    way->ours = verdict == DNS_OURS;
    way->status = status;
    way->text = arena_copy(&way->arena, span_from_cstr(text));
    if (!way->text.data)
        way->text = SPAN("");
}

static void add_target(struct smtp_way *way, size_t host, uint16_t port, const struct dns_ip *ip)
{
    if (way->target_count == SMTP_WALK_TARGETS_MAX)
        return;
    struct smtp_target *t = &way->targets[way->target_count++];
    *t = (struct smtp_target){.host = (uint16_t)host, .port = port};
    memcpy(t->ip, ip->bytes, sizeof(t->ip));
}

/* Here we listen ourselves: the message would come back. */
static bool is_self(const struct smtp_way *way, const struct dns_ip *ip, uint16_t port)
{
    const struct conf_smtp *conf = way->proc->conf;
    struct dns_ip inner = dns_ip_inner(ip);

    for (size_t i = 0; i < conf->own_count; i++)
        if (conf->own[i].port == port &&
            memcmp(conf->own[i].ip, inner.bytes, sizeof(inner.bytes)) == 0)
            return true;
    return false;
}

/* A host of a route. */
static void add_host_target(struct smtp_way *way, size_t host, uint16_t port,
                            const struct dns_ip *ip)
{
    if (is_self(way, ip, port))
        way->leads_back = true;
    else
        add_target(way, host, port, ip);
}

static int by_host(const void *a, const void *b)
{
    const struct smtp_target *left = a, *right = b;
    return (left->host > right->host) - (left->host < right->host);
}

/* Hosts come in the order of trying; one without a usable address isn't among the targets. */
static void take_mx_hosts(struct smtp_way *way)
{
    size_t count;
    const struct dns_host *hosts = dns_mx_hosts(way->mx, &count);

    for (size_t i = 0; i < count && way->host_count < SMTP_HOSTS_MAX; i++) {
        if (hosts[i].state != DNS_HOST_GOOD)
            continue;
        for (size_t k = 0; k < hosts[i].address_count; k++)
            add_target(way, way->host_count, SMTP_PORT, &hosts[i].addresses[k]);
        way->hosts[way->host_count++] = arena_copy(&way->arena, span_from_cstr(hosts[i].name));
    }
}

/* Whom the attempt says something about. Until hosts are known that is the domain alone: it has a
 * name that no other domain's hosts have. Hosts are named also when none could be used. Our own
 * trouble says nothing of either. */
static void name_site(struct smtp_way *way)
{
    size_t count = 0;

    if (way->mx)
        dns_mx_hosts(way->mx, &count);
    if (way->ours || count)
        buffer_clear(&way->mx_set);
    if (!way->ours && count)
        dns_mx_set(way->mx, &way->mx_set);
}

/* Of several reasons the one that tells most: what couldn't be asked, then what failed, for either
 * may hide an address; then a name that doesn't exist, which may be a slip of the pen. */
enum { LACK_FAILED = DNS_OUTCOME_FAILED, LACK_OURS };
static_assert((int)DNS_OUTCOME_DATA < (int)DNS_OUTCOME_NO_DATA &&
                  (int)DNS_OUTCOME_NO_DATA < (int)DNS_OUTCOME_NO_NAME &&
                  (int)DNS_OUTCOME_NO_NAME < (int)DNS_OUTCOME_FAILED,
              "in this order");

static void note_lack(struct smtp_way *way, const struct question *q,
                      const struct dns_answer *answer)
{
    struct buffer text = BUFFER_INIT;
    unsigned rank = dns_answer_is_ours(answer) ? LACK_OURS : dns_answer_outcome(answer);
    struct span name = span_first(q->name, 256);

    if (rank <= way->lack_rank)
        return;
    way->lack_rank = rank;
    if (rank >= LACK_FAILED)
        dns_answer_explain(answer, name, q->type, &text);
    else if (rank == DNS_OUTCOME_NO_NAME)
        buffer_printf(&text, SPAN_FMT " does not exist (NXDOMAIN)", SPAN_ARG(name));
    else
        buffer_printf(&text, SPAN_FMT " has no address (A, AAAA)", SPAN_ARG(name));
    way->lack = arena_copy(&way->arena, buffer_span(&text));
    buffer_done(&text);
}

/* As with an MX (routing.md), but a route is the administrator's: nothing is returned for it. */
static void fail_for_lack(struct smtp_way *way)
{
    char text[1024];

    snprintf(text, sizeof(text), "no host of the route has a known address%s" SPAN_FMT,
             way->lack.size ? ": " : "", SPAN_ARG(way->lack));
    if (way->lack_rank == LACK_OURS)
        fail(way, DNS_OURS, "4.3.0", text);
    else
        fail(way, DNS_TEMPORARY, way->lack_rank == LACK_FAILED ? "4.4.3" : "4.4.4", text);
}

/* All answers are there. The owner is told from the loop's next turn: a way that is known at once
 * would else end a job that has just begun. */
static void conclude(struct smtp_way *way)
{
    if (!way->failed && way->mx && dns_mx_verdict(way->mx) != DNS_FOUND) {
        char text[1024];
        snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(dns_mx_text(way->mx)));
        fail(way, dns_mx_verdict(way->mx), dns_mx_status(way->mx), text);
    } else if (!way->failed && way->mx) {
        take_mx_hosts(way);
    }
    qsort(way->targets, way->target_count, sizeof(way->targets[0]), by_host);
    if (!way->failed && way->target_count == 0 && way->leads_back)
        fail(way, DNS_TEMPORARY, "4.3.5",
             "the route leads back to this server: where it was set, in `routes:`, in `relays:` or "
             "by a reroute, it must be mended");
    if (!way->failed && way->target_count == 0)
        fail_for_lack(way);
    name_site(way);
    io_defer(way->proc->process.loop, &way->turn);
}

static void on_turn(struct io_deferred *turn)
{
    struct smtp_way *way = CONTAINER_OF(turn, struct smtp_way, turn);
    way->done(way);
}

static void take_host_answer(struct smtp_way *way, const struct question *q,
                             const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->rdata_count; i++) {
        struct dns_ip ip;
        if (dns_rdata_ip(q->type, answer->rdata[i], &ip) == 0)
            add_host_target(way, q->host, q->port, &ip);
    }
}

static void take_answer(struct question *q, const struct dns_answer *answer)
{
    struct smtp_way *way = q->way;

    list_remove(&q->link);
    if (way->mx)
        dns_mx_answer(way->mx, q->number, answer);
    else if (dns_answer_outcome(answer) == DNS_OUTCOME_DATA)
        take_host_answer(way, q, answer);
    else
        note_lack(way, q, answer);
    free(q);
}

static void go_on(struct smtp_way *way);

/* No reply is an answer too: the resolver's end must not leave a job waiting. The rdata are
 * borrowed until this returns. */
static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct question *q = CONTAINER_OF(call, struct question, call);
    struct smtp_way *way = q->way;
    struct dns_answer answer = {.error = -EIO, .why = SPAN("the resolver went away")};
    struct span rdata[IPC_RDATA_COUNT_MAX];

    way->proc->now_ms = io_loop_now_ms(way->proc->process.loop);
    if (reply) {
        const struct ipc_resolved *r = &reply->resolved;
        for (size_t i = 0; i < r->rdata_count; i++)
            rdata[i] = r->rdata[i].bytes;
        answer =
            (struct dns_answer){r->error, r->rcode, r->security, rdata, r->rdata_count, r->why};
    }
    way->question_count--;
    way->proc->question_count--;
    take_answer(q, &answer);
    if (way->addresses_ms && way->proc->now_ms - way->addresses_ms > HURRY_MS)
        dns_mx_hurry(way->mx);
    go_on(way);
}

/* They come in pairs, for AAAA and for A of each host: a silent host takes the time of one. */
static bool is_second_of_pair(const struct smtp_way *way)
{
    return way->question_count == 1 && way->last_type == DNS_TYPE_AAAA;
}

static bool may_ask(const struct smtp_way *way)
{
    uint32_t all = way->proc->question_count;

    return way->question_count == 0 ||
           (way->question_count < QUESTIONS_MAX && all < SMTP_QUESTIONS_SHARED) ||
           (is_second_of_pair(way) && all < SMTP_QUESTIONS_PAIRED);
}

static void add_question(struct smtp_way *way, struct question from)
{
    struct question *q = malloc(sizeof(*q));

    if (!q) {
        fail(way, DNS_OURS, "4.3.0", "out of memory");
        return;
    }
    *q = from;
    q->way = way;
    list_append(&way->waiting, &q->link);
}

/* Of the machine one at a time: what it has given out must be asked. */
static struct question *next_question(struct smtp_way *way)
{
    struct dns_question from;

    if (list_is_empty(&way->waiting) && way->mx && dns_mx_question(way->mx, &from)) {
        if (from.type != DNS_TYPE_MX && !way->addresses_ms)
            way->addresses_ms = way->proc->now_ms;
        add_question(
            way, (struct question){.number = from.number, .type = from.type, .name = from.name});
    }
    if (way->failed || list_is_empty(&way->waiting))
        return NULL;
    return CONTAINER_OF(way->waiting.next, struct question, link);
}

/* 0: asked. -EAGAIN: there is no room for it now. Otherwise it can't be asked. */
static int ask(struct question *q)
{
    struct ipc_message m = {.type = IPC_RESOLVE, .resolve = {.name = q->name, .type = q->type}};
    struct smtp_way *way = q->way;
    struct ipc_channel *resolver = way->proc->resolver;
    int r;

    q->call.fn = on_reply;
    r = resolver ? ipc_call(resolver, &q->call, &m) : -EPIPE;
    if (r == -EAGAIN && way->question_count == 0)
        ipc_wait(resolver, &way->room);
    if (r < 0)
        return r;
    list_remove(&q->link);
    list_append(&way->questions, &q->link);
    way->last_type = q->type;
    way->question_count++;
    way->proc->question_count++;
    return 0;
}

/* A question that can't be asked is answered at once with "not now", by the same function as a true
 * one: so none is ever missing when the answers are counted. */
static void go_on(struct smtp_way *way)
{
    static const struct dns_answer unasked = {.error = -EIO,
                                              .why = SPAN("the resolver can't be asked now")};
    struct question *q;
    int r = 0;

    while (r != -EAGAIN && may_ask(way) && (q = next_question(way))) {
        r = ask(q);
        if (r < 0 && r != -EAGAIN)
            take_answer(q, &unasked);
    }
    if (list_is_empty(&way->questions) && (way->failed || list_is_empty(&way->waiting)))
        conclude(way);
}

static void on_room(struct ipc_waiter *room)
{
    struct smtp_way *way = CONTAINER_OF(room, struct smtp_way, room);

    way->proc->now_ms = io_loop_now_ms(way->proc->process.loop);
    go_on(way);
}

static void begin_mx(struct smtp_way *way, struct span domain)
{
    struct smtp_proc *proc = way->proc;
    struct dns_mx_rules rules = {
        .allow_private = proc->conf->allow_private_mx,
        .own_names = &proc->conf->hostname,
        .own_name_count = 1,
        .own_addresses = proc->own_addresses,
        .own_address_count = proc->own_address_count,
        .seed = chance_next(&proc->chance),
    };

    buffer_printf(&way->mx_set, "?" SPAN_FMT, SPAN_ARG(domain));
    int r = dns_mx_new(domain, &rules, &way->mx);
    if (r == -EINVAL)
        fail(way, DNS_PERMANENT, "5.1.2", "the domain can't be a name of the DNS");
    else if (r < 0)
        fail(way, DNS_OURS, "4.3.0", "out of memory");
}

/* "name", "192.0.2.1" or "[2001:db8::1]". */
static void begin_host(struct smtp_way *way, struct span host, uint16_t port)
{
    struct dns_ip ip;
    uint16_t number = (uint16_t)way->host_count;

    if (way->host_count == SMTP_HOSTS_MAX)
        return;
    way->hosts[way->host_count++] = arena_copy(&way->arena, host);
    if (host.size > 2 && host.data[0] == '[')
        host = span_of(host.data + 1, host.size - 2);
    if (ip_parse(host, ip.bytes) == 0) {
        add_host_target(way, number, port, &ip);
        return;
    }
    struct question q = {.host = number, .port = port, .name = way->hosts[number]};
    q.type = DNS_TYPE_AAAA;
    add_question(way, q);
    q.type = DNS_TYPE_A;
    add_question(way, q);
}

/* In the order in which the administrator named them: that is their preference. */
static void begin_hosts(struct smtp_way *way, struct span list)
{
    while (list.size && !way->failed) {
        ptrdiff_t comma = span_find(list, ',');
        struct span one = comma < 0 ? list : span_first(list, (size_t)comma);
        ptrdiff_t colon = span_find_last(one, ':');
        uint64_t port;
        if (colon <= 0 || span_to_u64(span_from(one, (size_t)colon + 1), UINT16_MAX, &port) < 0)
            fail(way, DNS_TEMPORARY, "4.3.5", "the route can't be read");
        else
            begin_host(way, span_first(one, (size_t)colon), (uint16_t)port);
        list = comma < 0 ? SPAN("") : span_from(list, (size_t)comma + 1);
    }
}

void smtp_way_begin(struct smtp_way *way, struct smtp_proc *proc, struct span next_hop,
                    void (*done)(struct smtp_way *way))
{
    *way = (struct smtp_way){.proc = proc, .done = done, .turn.fn = on_turn, .room.fn = on_room};
    list_init(&way->questions);
    list_init(&way->waiting);
    way->mx_set.limit = IPC_MX_SET_MAX;
    if (span_starts_nocase(next_hop, SPAN("mx:")))
        begin_mx(way, span_from(next_hop, 3));
    else if (span_starts_nocase(next_hop, SPAN("host:")))
        begin_hosts(way, span_from(next_hop, 5));
    else
        fail(way, DNS_TEMPORARY, "4.3.5", "the next hop can't be read");
    go_on(way);
}

static void free_questions(struct list *questions)
{
    for (struct list *link; (link = list_take_first(questions));) {
        struct question *q = CONTAINER_OF(link, struct question, link);
        ipc_call_cancel(&q->call);
        free(q);
    }
}

/* Cancelled: none of the functions is called any more with a way that is gone. */
void smtp_way_done(struct smtp_way *way)
{
    if (!way->proc)
        return;
    ipc_wait_cancel(&way->room);
    way->proc->question_count -= way->question_count;
    free_questions(&way->questions);
    free_questions(&way->waiting);
    io_defer_cancel(&way->turn);
    dns_mx_free(way->mx);
    arena_done(&way->arena);
    buffer_done(&way->mx_set);
    way->proc = NULL;
}
