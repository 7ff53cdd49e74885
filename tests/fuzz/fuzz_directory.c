/*
 * The directory against an smtpd and a queue that were taken over: any messages, well-formed or
 * not. Input: a byte that picks the peer, a byte for the type, the fields (fuzz_peer.h); type 0xFF
 * stands for raw bytes. Each call is answered at most once, a violation costs only its sender the
 * channel, and no recipient is
 * accepted in a domain that isn't served.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "proc/directory/service.h"
#include <fcntl.h>
#include <netinet/in.h>

enum { PEERS = 3, OPS_MAX = 40 };

static struct conf_directory_domain domains[] = {
    {.name = {"a.test", 6}, .users = {"users", 5}, .aliases = {"aliases", 7}}};
static struct conf_file names[] = {{.name = {"users", 5}}, {.name = {"aliases", 7}}};

struct play {
    struct io_loop *loop;
    struct service service;
    struct generation generation;
    struct fuzz_peer peers[PEERS];
};

static void make_people(struct generation *g)
{
    const struct people_file files[] = {
        {SPAN("users"), SPAN("anna@a.test:*:\nbob@a.test:*:\n")},
        {SPAN("aliases"), SPAN("both: anna, bob, c@b.test\nself: self\n")}};

    conf_problems_init(&g->problems);
    g->conf = (struct conf_directory){
        .domains = domains, .domain_count = 1, .files = names, .file_count = 2};
    assert(people_new(&g->conf, files, 2, &g->problems, &g->people) == 0);
}

static void begin(struct play *p)
{
    static const enum ipc_peer kinds[PEERS] = {IPC_PEER_SMTPD, IPC_PEER_SMTPD, IPC_PEER_QUEUE};

    assert(ticket_prepare() == 0 && io_loop_new(&p->loop) == 0);
    make_people(&p->generation);
    service_init(&p->service, p->loop, 1);
    service_use(&p->service, &p->generation);
    for (unsigned i = 0; i < PEERS; i++)
        assert(service_connect(&p->service, kinds[i], i % 2, fuzz_peer_open(&p->peers[i])) == 0);
}

static void end(struct play *p)
{
    for (unsigned i = 0; i < PEERS; i++)
        fuzz_peer_close(&p->peers[i]);
    service_done(&p->service);
    generation_done(&p->generation);
    io_loop_free(p->loop);
}

static bool is_here(struct span address)
{
    struct span domain = span_from(address, (size_t)(span_find(address, '@') + 1));

    return span_find(address, '@') < 0 || span_equal_nocase(domain, SPAN("a.test"));
}

static void on_message(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    const struct ipc_rcpt_verdict *v = &message->rcpt_verdict;

    if (message->type == IPC_RCPT_VERDICT &&
        (v->action == IPC_RCPT_ACCEPT || v->action == IPC_RCPT_RELAY))
        assert(is_here(v->address));
}

static void turn(struct play *p)
{
    for (int i = 0; i < 3; i++)
        assert(io_loop_turn(p->loop) == 0);
    for (unsigned i = 0; i < PEERS; i++)
        fuzz_peer_read(&p->peers[i], on_message, NULL);
}

/* What comes as "the client's connection": one that is, from 127.0.0.1, or none. */
static int gift(bool good)
{
    static int connection, nothing;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof(address);

    if (connection == 0) {
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
        assert(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
        assert(connect(client, (struct sockaddr *)&address, size) == 0);
        connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* it and the client stay */
        nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert(connection > 0 && nothing > 0 && close(listener) == 0);
    }
    return good ? connection : nothing;
}

static void op(struct play *p, struct span *in)
{
    struct fuzz_peer *peer = &p->peers[fuzz_take(in) % PEERS];
    uint8_t type = fuzz_take(in);

    peer->gift = gift(type & 128);
    if (type == 0xFF)
        fuzz_peer_send_raw(peer, in);
    else
        fuzz_peer_send_any(peer, type, in);
    turn(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct play p = {0};

    log_open("fuzz", LOG_LEVEL_ERROR);
    begin(&p);
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&p, &in);
    end(&p);
    return 0;
}
