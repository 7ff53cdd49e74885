#include "stage.h"
#include "base/clock.h"
#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum { ORIGIN = 1 }; /* of the played smtpd's ids */

static const uint8_t ticket_key[TICKET_KEY_BYTES] = "as the directory would draw";

void stage_open_queue(struct queue *queue, struct io_loop *loop, const char *folder,
                      int64_t retry_ms)
{
    static struct conf_queue_domain domain = {.name = {"here.example", 12}};
    static struct conf_queue conf = {.segment_size = 64 << 20,
                                     .disk_reserve = 1,
                                     .retry_max_ms = 14400000,
                                     .give_up_ms = 345600000,
                                     .domains = &domain,
                                     .domain_count = 1};
    struct store *store;

    conf.retry_first_ms = retry_ms;
    int r = store_file_new(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &store);
    if (r == 0)
        r = queue_start(queue, loop, &conf);
    if (r == 0)
        r = queue_open(queue, store);
    if (r < 0)
        errx(1, "%s: %s", folder, strerror(-r));
}

void stage_pair(int fds[static 2])
{
    const int bytes = 1 << 20;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        err(1, "socketpair");
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
}

void stage_admit(struct queue *queue, int smtpd)
{
    tickets_use_key(&queue->tickets, ticket_key);
    queue_peer(queue, IPC_PEER_SMTPD, 0, ORIGIN, smtpd);
}

void stage_sender_init(struct stage_sender *sender)
{
    id_maker_init(&sender->ids, ORIGIN, 1);
    if (ticket_prepare() < 0 || ticket_office_open(&sender->office, ticket_key) < 0)
        errx(1, "tickets");
}

void stage_send(struct stage_sender *sender, struct ipc_call *call, struct span from,
                struct span to, struct span body)
{
    struct envelope_recipient r = {.address = to, .original = to};
    struct envelope e = {.id = id_make(&sender->ids, clock_wall_us()),
                         .sender = from,
                         .recipients = &r,
                         .recipient_count = 1,
                         .size_bytes = body.size,
                         .message_id = SPAN("<12345@far.example>"),
                         .client = {.service = SPAN("mx"), .protocol = SPAN("ESMTP")}};
    struct ticket_facts facts = {
        .ip = e.client.ip, .uid = e.client.uid, .sender = from, .address = to};
    struct buffer wire = BUFFER_INIT;
    uint8_t ticket[TICKET_BYTES];

    codec_encode(&envelope_codec, &e, &wire);
    ticket_issue(&sender->office, &facts, ticket);
    struct ipc_message m = {.type = IPC_COMMIT,
                            .commit = {.envelope = buffer_span(&wire),
                                       .tickets = span_of((const char *)ticket, sizeof(ticket)),
                                       .header = SPAN("Received: from far by here; today\r\n"),
                                       .body = body}};
    if (ipc_call(sender->smtpd, call, &m) < 0)
        errx(1, "the queue is gone");
    buffer_done(&wire);
}
