#include "proc/directory/service.h"

#include "base/log.h"
#include "proc/directory/verdict.h"
#include <errno.h>
#include <unistd.h>

enum { ANSWER_MEMORY_MAX = 16 * 1024 * 1024 };

static bool is_trusted(const struct service *s, const uint8_t ip[static CONF_IP_BYTES])
{
    const struct conf_directory *conf = &s->generation->conf;

    return conf_networks_contain(conf->trusted, conf->trusted_count, ip);
}

static void on_client_check(void *owner, const struct ipc_arrival *arrival)
{
    struct service_smtpd *from = owner;
    struct service *s = from->service;
    const struct ipc_client_check *check = &arrival->message->client_check;
    struct ipc_message reply = {.type = IPC_CLIENT_VERDICT};
    /* Programs on this machine: smtpd got them over a Unix socket, they have no address. */
    bool trusted = span_equal(check->service, SPAN("local")) || is_trusted(s, check->ip);
    enum limits_verdict verdict =
        limits_connect(&s->limits, &from->holder, check->ip, trusted, io_loop_now_ms(s->loop));

    s->client_count++;
    s->deferred_client_count += verdict != LIMITS_FINE;
    verdict_on_client(verdict, trusted, &reply.client_verdict);
    ipc_reply(arrival->channel, arrival->token, &reply);
}

static void on_client_gone(void *owner, const struct ipc_arrival *arrival)
{
    struct service_smtpd *from = owner;
    struct service *s = from->service;
    const struct ipc_client_gone *gone = &arrival->message->client_gone;

    limits_disconnect(&s->limits, &from->holder, gone->ip, gone->refused, io_loop_now_ms(s->loop));
}

static enum verdict_relay relay_of(const struct service *s, const struct ipc_rcpt_check *check)
{
    const struct conf_directory *conf = &s->generation->conf;

    if (check->uid != UINT32_MAX || is_trusted(s, check->ip))
        return VERDICT_RELAY_ALL;
    for (size_t i = 0; i < conf->relay_count; i++)
        if (span_equal(conf->relays[i].name, check->domain))
            return VERDICT_RELAY_DOMAIN;
    return VERDICT_RELAY_NONE;
}

static void on_rcpt_check(void *owner, const struct ipc_arrival *arrival)
{
    struct service_smtpd *from = owner;
    struct service *s = from->service;
    const struct ipc_rcpt_check *check = &arrival->message->rcpt_check;
    struct ipc_message reply = {.type = IPC_RCPT_VERDICT};

    arena_clear(&s->arena);
    verdict_on_recipient(s->generation->people, check->local, check->domain, relay_of(s, check),
                         &s->arena, &reply.rcpt_verdict);
    s->recipient_count++;
    s->refused_recipient_count +=
        reply.rcpt_verdict.action != IPC_RCPT_ACCEPT && reply.rcpt_verdict.action != IPC_RCPT_RELAY;
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

static void drop_smtpd(struct service_smtpd *smtpd)
{
    struct service *s = smtpd->service;

    if (!smtpd->channel)
        return;
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
}

void service_done(struct service *s)
{
    for (size_t i = 0; i < SERVICE_SMTPD_MAX; i++)
        if (s->smtpd[i].channel)
            drop_smtpd(&s->smtpd[i]);
    ipc_channel_free(s->queue);
    s->queue = NULL;
    limits_done(&s->limits);
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
    smtpd->channel = channel;
    return 0;
}

static int connect_queue(struct service *s, int fd)
{
    struct ipc_channel *channel;
    int r = ipc_channel_new(s->loop, fd, &queue_role, s, &channel);

    if (r < 0)
        return r;
    ipc_channel_free(s->queue);
    s->queue = channel;
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
