#include "lies.h"

#include "base/clock.h"
#include "mail/envelope.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ipc_channel *directory, *queue;
static struct id_maker ids;
static int own_listener = -1, own_channel = -1;

/* ---- what is told ---- */

struct lie {
    const char *what;
    bool (*tell)(struct lie *lie); /* false: it could not be told */
    struct ipc_call call;
};

static void on_reply(struct ipc_call *call, const struct ipc_message *reply);

static bool ask_client(struct lie *lie, int fd)
{
    static uint64_t number;
    struct ipc_message m = {.type = IPC_CLIENT_CHECK, .client_check.client = ++number};
    return ipc_call_lending(directory, &lie->call, &m, fd) == 0;
}

/* At whose other end root is. */
static bool channel_is_a_client(struct lie *lie)
{
    return ask_client(lie, own_channel);
}

static bool listener_is_a_client(struct lie *lie)
{
    return ask_client(lie, own_listener);
}

static bool rcpt_of(struct lie *lie, uint64_t client, struct span address)
{
    struct ipc_message m = {
        .type = IPC_RCPT_CHECK,
        .rcpt_check = {.client = client, .sender = SPAN("ceo@postbuch.test"), .address = address}};
    return ipc_call(directory, &lie->call, &m) == 0;
}

static bool recipient_of_the_channel(struct lie *lie)
{
    return rcpt_of(lie, 1, SPAN("victim@elsewhere.example"));
}

static bool recipient_of_nobody(struct lie *lie)
{
    return rcpt_of(lie, 99, SPAN("bob@postbuch.test"));
}

static bool commit(struct lie *lie, struct span recipient, struct id_maker *maker,
                   const uint8_t *tickets, size_t ticket_bytes)
{
    struct envelope_recipient to = {.address = recipient, .original = recipient};
    struct envelope e = {.id = id_make(maker, clock_wall_us()),
                         .sender = SPAN("ceo@postbuch.test"),
                         .recipients = &to,
                         .recipient_count = 1,
                         .size_bytes = 5,
                         .client = {.uid = UINT32_MAX, .service = SPAN("mx")}};
    struct buffer wire = BUFFER_INIT;
    bool told = codec_encode(&envelope_codec, &e, &wire) == 0;
    struct ipc_message m = {.type = IPC_COMMIT,
                            .commit = {.envelope = buffer_span(&wire),
                                       .tickets = span_of((const char *)tickets, ticket_bytes),
                                       .body = SPAN("spam\n")}};

    told = told && ipc_call(queue, &lie->call, &m) == 0;
    buffer_done(&wire);
    return told;
}

static bool foreign_without_ticket(struct lie *lie)
{
    return commit(lie, SPAN("victim@elsewhere.example"), &ids, NULL, 0);
}

static bool local_without_ticket(struct lie *lie)
{
    return commit(lie, SPAN("bob@postbuch.test"), &ids, NULL, 0);
}

static bool foreign_with_made_up_ticket(struct lie *lie)
{
    static const uint8_t ticket[IPC_TICKET_BYTES] = {1};
    return commit(lie, SPAN("victim@elsewhere.example"), &ids, ticket, sizeof(ticket));
}

static bool id_of_another(struct lie *lie)
{
    static const uint8_t ticket[IPC_TICKET_BYTES] = {2};
    struct id_maker other;

    id_maker_init(&other, (uint16_t)(ids.origin ^ 1), 1);
    return commit(lie, SPAN("bob@postbuch.test"), &other, ticket, sizeof(ticket));
}

static struct lie lies[] = {
    {"say that its own channel is a client", channel_is_a_client},
    {"say that its listener is a client", listener_is_a_client},
    {"relay for that channel", recipient_of_the_channel},
    {"ask for a client that isn't there", recipient_of_nobody},
    {"commit a foreign recipient", foreign_without_ticket},
    {"commit a local recipient", local_without_ticket},
    {"commit with a made-up ticket", foreign_with_made_up_ticket},
    {"commit with another's id", id_of_another},
};

/* ---- what becomes of it ---- */

static void tell_next(void)
{
    static size_t next;

    if (next == ARRAY_SIZE(lies)) {
        fprintf(stderr, "taken-over smtpd: lied, %zu lies\n", next);
        return;
    }
    struct lie *lie = &lies[next++];
    lie->call.fn = on_reply;
    if (!lie->tell(lie))
        fprintf(stderr, "taken-over smtpd: MISSES: %s\n", lie->what);
}

static bool is_believed(const struct ipc_message *reply)
{
    if (reply->type == IPC_CLIENT_VERDICT)
        return reply->client_verdict.action == IPC_CLIENT_ACCEPT;
    if (reply->type == IPC_RCPT_VERDICT)
        return reply->rcpt_verdict.action == IPC_RCPT_ACCEPT ||
               reply->rcpt_verdict.action == IPC_RCPT_RELAY;
    return reply->committed.result == IPC_COMMIT_ACCEPTED;
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct lie *lie = CONTAINER_OF(call, struct lie, call);
    bool believed = reply && is_believed(reply);

    fprintf(stderr, "taken-over smtpd: %s: %s\n", believed ? "ALLOWED" : "not believed", lie->what);
    tell_next();
}

static void on_pressure(void *owner, const struct ipc_arrival *arrival)
{
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static const struct ipc_handler handlers[] = {{IPC_PRESSURE, on_pressure}};
static const struct ipc_role role = {"the deceived", handlers, 1, on_lost, false};

int lies_peer(struct process *process, enum ipc_peer kind, int fd, int listener_fd)
{
    struct ipc_channel **channel = kind == IPC_PEER_QUEUE ? &queue : &directory;
    int r = *channel ? -EEXIST : ipc_channel_new(process->loop, fd, &role, NULL, channel);

    own_channel = fd;
    own_listener = listener_fd;
    if (r < 0 || !queue || !directory)
        return r;
    id_maker_init(&ids, process->origin, 1);
    tell_next();
    return 0;
}
