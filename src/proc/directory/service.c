/*
 * Who asks what, and the counting around it; what is decided is verdict.c's. Everything is answered
 * at once from memory: the directory never waits for anything.
 */
#include "proc/directory/service.h"

#include "base/log.h"
#include "proc/directory/verdict.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Far over what an expansion of PEOPLE_EXPANSION_MAX addresses takes. */
enum { ANSWER_MEMORY_MAX = 16 * 1024 * 1024 };

/* Users of this machine, and clients of the trusted networks: without a look at what the client
 * says, for the kernel told who he is (clients.h). */
static bool may_relay(const struct service *s, const struct client_peer *peer)
{
    const struct conf_directory *conf = &s->generation->conf;

    return peer->uid != UINT32_MAX ||
           conf_networks_contain(conf->trusted, conf->trusted_count, peer->ip);
}

/* Only who is really connected is a client; where the word of smtpd would do, a taken-over one
 * could be anybody. */
static void admit(struct service_smtpd *from, uint64_t number, const struct client_peer *peer,
                  struct ipc_client_verdict *out)
{
    struct service *s = from->service;
    int64_t now_ms = io_loop_now_ms(s->loop);
    bool trusted = may_relay(s, peer);
    enum limits_verdict verdict =
        limits_connect(&s->limits, &from->holder, peer->ip, trusted, now_ms);

    verdict_on_client(verdict, out);
    out->trusted = trusted;
    if (verdict != LIMITS_FINE)
        return;
    if (clients_add(&s->clients, &from->clients, from->holder.id, number, peer) < 0) {
        limits_disconnect(&s->limits, &from->holder, peer->ip, 0, now_ms);
        out->action = IPC_CLIENT_DEFER;
        out->text = SPAN("there is no room for one more connection");
    }
}

/* The descriptor is looked at and closed at once: the directory must not hold strangers'
 * connections open, nor be able to read from them. */
static void on_client_check(void *owner, const struct ipc_arrival *arrival)
{
    struct service_smtpd *from = owner;
    struct service *s = from->service;
    struct ipc_message reply = {
        .type = IPC_CLIENT_VERDICT,
        .client_verdict = {.action = IPC_CLIENT_DEFER, .text = SPAN("the connection has gone")}};
    struct client_peer peer;
    int r = client_identify(arrival->fd, &peer);

    close(arrival->fd);
    if (r == 0)
        admit(from, arrival->message->client_check.client, &peer, &reply.client_verdict);
    else if (r == -EACCES && s->impostor_count++ == 0)
        log_warn("smtpd asks about something that is no client's connection");
    s->client_count++;
    s->deferred_client_count += reply.client_verdict.action != IPC_CLIENT_ACCEPT;
    ipc_reply(arrival->channel, arrival->token, &reply);
}

/* An unknown one is none of its own: nothing is counted off for it. */
static void on_client_gone(void *owner, const struct ipc_arrival *arrival)
{
    struct service_smtpd *from = owner;
    struct service *s = from->service;
    const struct ipc_client_gone *gone = &arrival->message->client_gone;
    struct client *client = clients_find(&s->clients, from->holder.id, gone->client);

    if (!client)
        return;
    limits_disconnect(&s->limits, &from->holder, client->peer.ip, gone->refused,
                      io_loop_now_ms(s->loop));
    clients_remove(&s->clients, client);
}

/* Trusted first: who may send anywhere isn't held to the relay domains. These are few and compared
 * by bytes, both sides being canonical. */
static enum verdict_relay relay_of(const struct service *s, const struct client_peer *peer,
                                   struct span domain)
{
    const struct conf_directory *conf = &s->generation->conf;

    if (may_relay(s, peer))
        return VERDICT_RELAY_ALL;
    for (size_t i = 0; i < conf->relay_count; i++)
        if (span_equal(conf->relays[i].name, domain))
            return VERDICT_RELAY_DOMAIN;
    return VERDICT_RELAY_NONE;
}

static bool is_taken(const struct ipc_rcpt_verdict *verdict)
{
    return verdict->action == IPC_RCPT_ACCEPT || verdict->action == IPC_RCPT_RELAY;
}

/* Each queue gets a key of its own: it doesn't know which tickets the one before has taken. */
static int send_key(struct service *s)
{
    struct ipc_message m = {.type = IPC_TICKET_KEY};
    uint8_t *key = m.ticket_key.key;

    if (getrandom(key, IPC_TICKET_KEY_BYTES, 0) != IPC_TICKET_KEY_BYTES)
        return -EIO;
    int r = ticket_office_open(&s->tickets, key);
    if (r == 0)
        r = ipc_notify(s->queue, &m);
    explicit_bzero(key, IPC_TICKET_KEY_BYTES);
    return r;
}

/* Without a key the queue defers all mail, which is safe, and wrong only as long as memory is
 * short: it is tried again with each ticket. */
static void give_key(struct service *s)
{
    int r = send_key(s);

    s->owes_key = r < 0;
    if (r < 0 && log_is_due(&s->keyless, io_loop_now_ms(s->loop)))
        log_error("no key for tickets: %s; mail is deferred until there is one", strerror(-r));
}

/* The queue takes the recipient only with a ticket that says the same. */
static void issue_ticket(struct service *s, const struct client_peer *peer,
                         const struct ipc_rcpt_check *check, struct ipc_rcpt_verdict *verdict)
{
    if (s->owes_key && s->queue)
        give_key(s);
    if (!verdict->address.size)
        verdict->address = check->address;
    struct ticket_facts facts = {.ip = peer->ip,
                                 .uid = peer->uid,
                                 .sender = check->sender,
                                 .address = verdict->address,
                                 .expands = verdict->expands};
    ticket_issue(&s->tickets, &facts, verdict->ticket);
}

/* Parsed again here, though smtpd has: what is decided on must not depend on how a taken-over smtpd
 * spells it. */
static void decide(struct service *s, const struct client *client,
                   const struct ipc_rcpt_check *check, struct ipc_rcpt_verdict *out)
{
    struct address address;

    *out = (struct ipc_rcpt_verdict){.action = IPC_RCPT_DEFER};
    if (!client)
        return;
    if (address_parse(check->address, ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_POSTMASTER, &address) !=
        ADDRESS_OK) {
        out->action = IPC_RCPT_UNKNOWN;
        return;
    }
    struct span domain = address_domain(&address);
    verdict_on_recipient(s->generation->people, address_raw_local(&address), domain,
                         relay_of(s, &client->peer, domain), &s->arena, out);
    if (is_taken(out))
        issue_ticket(s, &client->peer, check, out);
}

/* The arena is cleared at the start, not at the end: the reply is written from it. */
static void on_rcpt_check(void *owner, const struct ipc_arrival *arrival)
{
    struct service_smtpd *from = owner;
    struct service *s = from->service;
    const struct ipc_rcpt_check *check = &arrival->message->rcpt_check;
    struct ipc_message reply = {.type = IPC_RCPT_VERDICT};

    arena_clear(&s->arena);
    decide(s, clients_find(&s->clients, from->holder.id, check->client), check,
           &reply.rcpt_verdict);
    s->recipient_count++;
    s->refused_recipient_count += !is_taken(&reply.rcpt_verdict);
    ipc_reply(arrival->channel, arrival->token, &reply);
}

static void on_expand(void *owner, const struct ipc_arrival *arrival)
{
    struct service *s = owner;
    struct ipc_message reply = {.type = IPC_EXPANDED};

    arena_clear(&s->arena);
    verdict_expand(s->generation->people, arrival->message->expand.address, &s->arena,
                   &reply.expanded);
    ipc_reply(arrival->channel, arrival->token, &reply);
}

/* Its clients are gone with it: their connections are closed by the kernel, or were never there. */
static void drop_smtpd(struct service_smtpd *smtpd)
{
    struct service *s = smtpd->service;
    struct list *link;

    if (!smtpd->channel)
        return;
    while ((link = list_take_first(&smtpd->clients)))
        clients_remove(&s->clients, CONTAINER_OF(link, struct client, link));
    limits_holder_done(&s->limits, &smtpd->holder, io_loop_now_ms(s->loop));
    ipc_channel_free(smtpd->channel);
    smtpd->channel = NULL;
}

static void on_smtpd_lost(void *owner, struct ipc_channel *channel, int error)
{
    drop_smtpd(owner);
}

static void on_queue_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct service *s = owner;

    ipc_channel_free(s->queue);
    s->queue = NULL;
}

static const struct ipc_handler smtpd_handlers[] = {
    {IPC_CLIENT_CHECK, on_client_check},
    {IPC_CLIENT_GONE, on_client_gone},
    {IPC_RCPT_CHECK, on_rcpt_check},
};
static const struct ipc_role smtpd_role = {
    .peer_name = "smtpd",
    .handlers = smtpd_handlers,
    .handler_count = ARRAY_SIZE(smtpd_handlers),
    .lost = on_smtpd_lost,
    .takes_fds = true,
};

static const struct ipc_handler queue_handlers[] = {{IPC_EXPAND, on_expand}};
static const struct ipc_role queue_role = {
    .peer_name = "queue",
    .handlers = queue_handlers,
    .handler_count = ARRAY_SIZE(queue_handlers),
    .lost = on_queue_lost,
};

void service_init(struct service *s, struct io_loop *loop, uint64_t seed)
{
    *s = (struct service){.loop = loop, .arena = ARENA_LIMITED(ANSWER_MEMORY_MAX)};
    limits_init(&s->limits, seed);
    clients_init(&s->clients, seed);
}

void service_done(struct service *s)
{
    for (size_t i = 0; i < SERVICE_SMTPD_MAX; i++)
        if (s->smtpd[i].channel)
            drop_smtpd(&s->smtpd[i]);
    ipc_channel_free(s->queue);
    s->queue = NULL;
    limits_done(&s->limits);
    clients_done(&s->clients);
    ticket_office_done(&s->tickets);
    arena_done(&s->arena);
}

void service_use(struct service *s, const struct generation *generation)
{
    s->generation = generation;
    limits_configure(&s->limits, &generation->conf.limits);
}

static int connect_smtpd(struct service *s, unsigned index, int fd)
{
    struct service_smtpd *smtpd = &s->smtpd[index];
    struct ipc_channel *channel;
    int r = ipc_channel_new(s->loop, fd, &smtpd_role, smtpd, &channel);

    if (r < 0)
        return r;
    smtpd->service = s;
    drop_smtpd(smtpd);
    limits_holder_init(&smtpd->holder, index);
    list_init(&smtpd->clients);
    smtpd->channel = channel;
    return 0;
}

/* Also when it gets no key: to refuse the channel would stop expansions, too. */
static int connect_queue(struct service *s, int fd)
{
    struct ipc_channel *channel;
    int r = ipc_channel_new(s->loop, fd, &queue_role, s, &channel);

    if (r < 0)
        return r;
    ipc_channel_free(s->queue);
    s->queue = channel;
    give_key(s);
    return 0;
}

int service_connect(struct service *s, enum ipc_peer kind, unsigned index, int fd)
{
    int r = -EINVAL;

    if (kind == IPC_PEER_SMTPD && index < SERVICE_SMTPD_MAX)
        r = connect_smtpd(s, index, fd);
    else if (kind == IPC_PEER_QUEUE && index == 0)
        r = connect_queue(s, fd);
    if (r < 0)
        close(fd);
    return r;
}
