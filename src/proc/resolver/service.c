#include "proc/resolver/service.h"

#include "dns/name.h"
#include "dns/packet.h"
#include "dns/type.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A question under way:
 *
 *   waiting ──room──▶ asked ──answer──▶ replied, freed
 *     │                 └──deadline, or its asker went──▶ abandoned ──answer──▶ freed
 *     └──its asker went──▶ freed                              └──no answer, ever──▶ freed
 *
 * libunbound isn't told to stop: what it finds yet serves the next question from the cache. But for
 * want of memory it loses answers; their questions would hold their places for ever, and when they
 * have all of them nobody could ask any more. The deadline begins with the asking: who waits for
 * others' questions has lost none of his own time.
 */
struct query {
    struct list link; /* in a list of its asker, or in `abandoned` */
    struct service *service;
    struct service_asker *asker; /* NULL: abandoned */
    uint64_t token;
    struct io_timer *deadline; /* then of the abandoned one */
    int id;                    /* libunbound's */
    uint16_t type;
    char name[DNS_TEXT_SIZE];
};

static void free_query(struct query *q)
{
    list_remove(&q->link);
    io_timer_free(q->deadline);
    free(q);
}

/* Nobody is answered twice: without an asker its timer means something else. */
static void abandon(struct query *q)
{
    list_remove(&q->link);
    list_append(&q->service->abandoned, &q->link);
    q->asker = NULL;
    io_timer_set(q->deadline, q->service->forget_ms);
}

static void make_room(struct service *s)
{
    s->open_count--;
    io_defer(s->loop, &s->room);
}

/* on_answer() isn't called for it any more. Its place is free, its memory isn't: with a thread
 * libunbound only marks what is cancelled, and keeps it as long as it lives. */
static void forget(struct query *q)
{
    struct service *s = q->service;

    s->forgotten_count++;
    if (log_is_due(&s->forgotten, io_loop_now_ms(s->loop)))
        log_warn("libunbound has lost questions (%" PRIu64 " by now); is there memory enough?",
                 s->forgotten_count);
    ub_cancel(s->library, q->id);
    make_room(s);
    free_query(q);
}

static void reply_error(struct service_asker *asker, uint64_t token, int error, const char *why)
{
    const struct ipc_message reply = {.type = IPC_RESOLVED,
                                      .resolved = {.error = error, .why = span_from_cstr(why)}};

    asker->service->failed_count++;
    ipc_reply(asker->channel, token, &reply);
}

static void on_deadline(void *arg)
{
    struct query *q = arg;

    if (!q->asker) {
        forget(q);
        return;
    }
    q->service->late_count++;
    reply_error(q->asker, q->token, -ETIMEDOUT, "");
    abandon(q);
}

static uint8_t security_of(const struct ub_result *result)
{
    if (result->bogus)
        return IPC_SECURITY_BOGUS;
    return result->secure ? IPC_SECURITY_SECURE : IPC_SECURITY_INSECURE;
}

static size_t collect(const struct ub_result *result, struct ipc_rdata *out)
{
    size_t count = 0;

    /* What failed validation must not be used, so it isn't handed on. */
    if (result->bogus || !result->data)
        return 0;
    while (count < IPC_RDATA_COUNT_MAX && result->data[count]) {
        out[count].bytes = span_of(result->data[count], (size_t)result->len[count]);
        count++;
    }
    return count;
}

/* "There is none" must be said in due form before mail is returned for it. For MX it needn't be: an
 * address is asked for next. A lame server answers "no error, nothing here" for all names; one that
 * has the zone names its SOA (RFC 2308 section 2.2, types 1 and 2), without which the answer isn't
 * even to be cached (section 5). With a signature (secure) it was proved. */
static void doubt(const struct ub_result *result, struct ipc_resolved *r)
{
    if (r->rcode != DNS_RCODE_NOERROR || r->rdata_count || result->bogus || result->secure ||
        result->qtype == DNS_TYPE_MX ||
        dns_packet_has_soa(span_of(result->answer_packet, (size_t)result->answer_len)))
        return;
    r->rcode = DNS_RCODE_SERVFAIL;
    r->why = SPAN("an empty answer without SOA; the delegation may be lame");
}

static void reply_result(struct query *q, const struct ub_result *result)
{
    struct ipc_rdata rdata[IPC_RDATA_COUNT_MAX];
    struct ipc_message reply = {.type = IPC_RESOLVED};
    struct ipc_resolved *r = &reply.resolved;

    r->rcode = (uint8_t)result->rcode;
    r->security = security_of(result);
    r->rdata = rdata;
    r->rdata_count = collect(result, rdata);
    r->why = span_first(span_from_cstr(result->why_bogus), IPC_TEXT_MAX);
    doubt(result, r);
    q->service->bogus_count += result->bogus != 0;
    q->service->failed_count += r->rcode != DNS_RCODE_NOERROR && r->rcode != DNS_RCODE_NXDOMAIN;
    ipc_reply(q->asker->channel, q->token, &reply);
}

/* From within ub_process() only: the library runs in its own thread. */
static void on_answer(void *arg, int error, struct ub_result *result)
{
    struct query *q = arg;

    make_room(q->service);
    if (q->asker && error == 0)
        reply_result(q, result);
    else if (q->asker)
        reply_error(q->asker, q->token, -EIO, ub_strerror(error));
    ub_resolve_free(result);
    free_query(q);
}

/* The timer is set first: a question without a deadline must not exist. What can't be asked is
 * answered with -EIO, whatever it is: no domain is to blame for it. */
static void begin(struct query *q)
{
    struct service *s = q->service;

    if (io_timer_new(s->loop, on_deadline, q, &q->deadline) < 0 ||
        io_timer_set(q->deadline, s->deadline_ms) < 0 ||
        ub_resolve_async(s->library, q->name, q->type, DNS_CLASS_IN, q, on_answer, &q->id) != 0) {
        reply_error(q->asker, q->token, -EIO, "no memory, or libunbound refused");
        free_query(q);
        return;
    }
    s->open_count++;
    list_append(&q->asker->queries, &q->link);
}

/* The next one in the turn of its asker, or NULL. */
static struct query *take_waiting(struct service *s)
{
    for (size_t i = 0; i < SERVICE_ASKERS_MAX; i++) {
        struct list *link = list_take_first(&s->askers[s->turn++ % SERVICE_ASKERS_MAX].waiting);
        if (link)
            return CONTAINER_OF(link, struct query, link);
    }
    return NULL;
}

/* `open_count` counts what libunbound has, abandoned ones too: they take its memory until they end.
 * Growing without bound would cost everybody. */
static void on_room(struct io_deferred *room)
{
    struct service *s = CONTAINER_OF(room, struct service, room);
    struct query *q;

    while (s->open_count < s->open_max && (q = take_waiting(s)))
        begin(q);
}

/* Behind those that wait already, with the asker's other questions: IPC bounds their number. */
static void on_resolve(void *owner, const struct ipc_arrival *arrival)
{
    struct service_asker *asker = owner;
    struct service *s = asker->service;
    const struct ipc_resolve *question = &arrival->message->resolve;
    struct query *q = s->library ? calloc(1, sizeof(*q)) : NULL;
    uint8_t wire[DNS_WIRE_MAX];
    size_t size;

    s->question_count++;
    if (!q) {
        reply_error(asker, arrival->token, -EIO, s->library ? "no memory" : s->why_not);
        return;
    }
    *q = (struct query){
        .service = s, .asker = asker, .token = arrival->token, .type = question->type};
    if (dns_name_from_text(question->name, wire, &size) < 0 ||
        dns_name_to_text(span_of(wire, size), q->name, &size) < 0) {
        reply_error(asker, arrival->token, -EINVAL, "not a name");
        free(q);
        return;
    }
    list_append(&asker->waiting, &q->link);
    on_room(&s->room);
}

static void drop_asker(struct service_asker *asker)
{
    struct list *link;

    while ((link = list_take_first(&asker->waiting)))
        free_query(CONTAINER_OF(link, struct query, link));
    while ((link = list_take_first(&asker->queries)))
        abandon(CONTAINER_OF(link, struct query, link));
    ipc_channel_free(asker->channel);
    asker->channel = NULL;
}

static void on_asker_lost(void *owner, struct ipc_channel *channel, int error)
{
    drop_asker(owner);
}

static const struct ipc_handler handlers[] = {{IPC_RESOLVE, on_resolve}};
static const struct ipc_role role = {
    .peer_name = "asker",
    .handlers = handlers,
    .handler_count = ARRAY_SIZE(handlers),
    .lost = on_asker_lost,
};

/* Only smtp may ask: whoever else could would have a way out of its sandbox through the DNS. The
 * old channel goes after the new one is made, so that a failure leaves what was there. */
int service_connect(struct service *s, enum ipc_peer kind, unsigned index, int fd)
{
    struct ipc_channel *channel;
    int r = kind == IPC_PEER_SMTP && index < SERVICE_ASKERS_MAX ? 0 : -EINVAL;

    if (r == 0)
        r = ipc_channel_new(s->loop, fd, &role, &s->askers[index], &channel);
    if (r < 0) {
        close(fd);
        return r;
    }
    drop_asker(&s->askers[index]);
    s->askers[index].channel = channel;
    return 0;
}

static void on_readable(void *arg, int fd, unsigned events)
{
    struct service *s = arg;
    int r = ub_process(s->library);

    if (r)
        log_fatal("libunbound: %s", ub_strerror(r));
}

int service_init(struct service *s, struct io_loop *loop, struct ub_ctx *library,
                 const char *why_not)
{
    *s = (struct service){.loop = loop,
                          .library = library,
                          .why_not = why_not,
                          .deadline_ms = SERVICE_DEADLINE_MS,
                          .forget_ms = SERVICE_FORGET_MS,
                          .open_max = SERVICE_OPEN_MAX};
    s->room.fn = on_room;
    list_init(&s->abandoned);
    for (size_t i = 0; i < SERVICE_ASKERS_MAX; i++) {
        s->askers[i].service = s;
        list_init(&s->askers[i].queries);
        list_init(&s->askers[i].waiting);
    }
    if (!library)
        return 0;
    int r = io_watch_new(loop, ub_fd(library), on_readable, s, &s->watch);
    return r < 0 ? r : io_watch_set(s->watch, IO_READ);
}

/* libunbound first: what it still looks for belongs to the questions that are freed below. */
void service_done(struct service *s)
{
    struct list *link;

    for (size_t i = 0; i < SERVICE_ASKERS_MAX; i++)
        drop_asker(&s->askers[i]);
    io_watch_free(s->watch);
    io_defer_cancel(&s->room);
    if (s->library)
        ub_ctx_delete(s->library);
    while ((link = list_take_first(&s->abandoned)))
        free_query(CONTAINER_OF(link, struct query, link));
}
