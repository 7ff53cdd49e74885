/*
 * The queue between processes that were all taken over: smtpd, directory, mailbox, smtp, report,
 * book and an administrator send any messages, well-formed or not, and answer its calls with
 * anything. Input: a byte that picks the peer, and whether the disk is slow (from SLOW on what is
 * under way stays so), a byte for the type, the fields (fuzz_peer.h); type 0xFF stands for raw
 * bytes, 0xFE for the peer's end, 0xFD for time that passes. A commit's envelope is well-formed,
 * too, and what a good smtpd would send where the input doesn't say otherwise, with the directory's
 * tickets.
 *
 * The queue doesn't end; a violation costs only its sender the channel; each call is answered at
 * most once; a message that was said to be accepted is in the spool, or all of it has its fate.
 */
#include "fuzz_peer.h"
#include "fuzz_world.h"

#include "base/log.h"
#include "mail/event.h"
#include "proc/queue/control/control.h"
#include "proc/queue/life.h"
#include "store_sim.h"
#include <stdio.h>
#include <sys/un.h>

enum { ORIGIN = 7 }; /* of the ids that smtpd may make */
enum { SMTPD, MAILBOX, SMTP, DIRECTORY, REPORT, BOOK, ADMIN, PEERS };
enum { OPS_MAX = 24, TURNS_MAX = 300, SLOW = 32 * PEERS };

static const enum ipc_peer kinds[] = {IPC_PEER_SMTPD,     IPC_PEER_MAILBOX, IPC_PEER_SMTP,
                                      IPC_PEER_DIRECTORY, IPC_PEER_REPORT,  IPC_PEER_BOOK};
static struct conf_queue_domain domains[] = {{.name = {"here.test", 9}}};

struct play {
    struct store_sim *disk;
    struct sockaddr_un control;
    struct io_loop *loop;
    struct queue queue;
    struct conf_queue conf;
    struct fuzz_peer peers[PEERS];
    struct id_maker ids;
    struct ticket_office office;
    struct {
        uint64_t token;
        struct id id;
        bool expands, forged; /* its tickets are not what the directory issued */
    } commits[OPS_MAX];       /* without an answer yet */
    size_t commit_count;
    bool results; /* somebody has reported on a job: a message may be gone by now */
};

/* ---- a place for it ---- */

/* The control socket, which has a name that the kernel made. */
static int listen_somewhere(struct play *p)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(p->control);

    p->control.sun_family = AF_UNIX;
    assert(bind(fd, (struct sockaddr *)&p->control, sizeof(sa_family_t)) == 0);
    assert(listen(fd, 10) == 0 && getsockname(fd, (struct sockaddr *)&p->control, &size) == 0);
    return fd;
}

static void join_admin(struct play *p)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 6; /* NUL and five digits */

    assert(connect(fd, (struct sockaddr *)&p->control, size) == 0);
    p->peers[ADMIN] = (struct fuzz_peer){.fd = fd};
}

static void begin(struct play *p)
{
    static const uint8_t key[TICKET_KEY_BYTES] = {1};

    fuzz_world_begin();
    p->disk = store_sim_new(1);
    p->conf = (struct conf_queue){.hostname = SPAN("mail.here.test"),
                                  .segment_size = 320 << 10, /* an extent and a header */
                                  .disk_reserve = 1,
                                  .waiting_max = 1000,
                                  .message_size_max = 1 << 20,
                                  .recipients_max = 100,
                                  .retry_first_ms = 300000,
                                  .retry_max_ms = 14400000,
                                  .give_up_ms = INT64_C(4) * 86400000,
                                  .domains = domains,
                                  .domain_count = 1};
    id_maker_init(&p->ids, ORIGIN, 1);
    assert(io_loop_new(&p->loop) == 0);
    assert(queue_start(&p->queue, p->loop, &p->conf) == 0);
    assert(queue_start_threads(&p->queue) == 0);
    assert(ticket_office_open(&p->office, key) == 0);
    assert(tickets_use_key(&p->queue.tickets, key) == 0);
    assert(queue_open(&p->queue, store_sim_open(p->disk)) == 0);
    assert(control_listen(&p->queue, listen_somewhere(p)) == 0);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        assert(queue_peer(&p->queue, kinds[i], 0, ORIGIN, fuzz_peer_open(&p->peers[i])) == 0);
    join_admin(p);
}

static void end(struct play *p)
{
    for (unsigned i = 0; i < PEERS; i++)
        fuzz_peer_close(&p->peers[i]);
    queue_done(&p->queue);
    ticket_office_done(&p->office);
    io_loop_free(p->loop);
    store_sim_free(p->disk);
}

/* ---- turns ---- */

/* What was accepted is there. */
static void on_answer(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    struct play *p = arg;

    for (size_t i = 0; message->type == IPC_COMMITTED && i < p->commit_count; i++) {
        if (p->commits[i].token != frame->token)
            continue;
        bool accepted = message->committed.result == IPC_COMMIT_ACCEPTED;
        assert(!accepted || !p->commits[i].forged);
        assert(!accepted || p->results || p->commits[i].expands ||
               spool_find(p->queue.spool, &p->commits[i].id));
        p->commits[i] = p->commits[--p->commit_count];
        return;
    }
}

/* Until all that is under way has come to its end; `slow`: the disk does nothing meanwhile. */
static void turn(struct play *p, bool slow)
{
    for (int i = 0, idle = 0; i < TURNS_MAX && idle < 2; i++) {
        bool busy = fuzz_world_ring();
        assert(io_loop_turn(p->loop) == 0);
        busy |= !slow && fuzz_world_work();
        idle = busy ? 0 : idle + 1;
    }
    for (unsigned i = 0; i < PEERS; i++)
        fuzz_peer_read(&p->peers[i], i == SMTPD ? on_answer : NULL, p);
}

/* ---- messages ---- */

static void note_commit(struct play *p, const struct envelope *e, bool forged)
{
    bool expands = false;

    for (size_t i = 0; i < e->recipient_count; i++)
        expands |= e->recipients[i].flags & ENVELOPE_RECIPIENT_EXPANDS;
    p->commits[p->commit_count].token = fuzz_peer_new_token(&p->peers[SMTPD]);
    p->commits[p->commit_count].expands = expands;
    p->commits[p->commit_count].forged = forged && e->recipient_count;
    p->commits[p->commit_count++].id = e->id;
}

/* As the directory would have allowed all of it; `forged`: with one bit wrong. */
static struct span make_tickets(struct play *p, const struct envelope *e, bool forged,
                                struct arena *arena)
{
    size_t size = e->recipient_count * TICKET_BYTES;
    uint8_t *tickets = arena_alloc(arena, size + 1);

    assert(tickets);
    for (size_t i = 0; i < e->recipient_count; i++) {
        struct ticket_facts facts = {.ip = e->client.ip,
                                     .uid = e->client.uid,
                                     .sender = e->sender,
                                     .address = e->recipients[i].address,
                                     .expands =
                                         e->recipients[i].flags & ENVELOPE_RECIPIENT_EXPANDS};
        ticket_issue(&p->office, &facts, tickets + i * TICKET_BYTES);
    }
    if (forged && size)
        tickets[size - 1] ^= 1;
    return span_of(tickets, size);
}

/* An envelope in its wire form: by the input, or in the usual way. */
static void make_commit(struct play *p, struct span *in, struct arena *arena, struct ipc_commit *m)
{
    uint8_t how = fuzz_take(in);
    struct envelope e = {0};
    struct buffer wire = BUFFER_INIT;
    static const char *const domain[] = {"here.test", "far.test"};

    fuzz_fill(&envelope_codec, in, arena, &e);
    if (!(how & 1))
        e.id = id_make(&p->ids, clock_wall_us());
    if (!(how & 2))
        e.size_bytes = m->body.size;
    for (size_t i = 0; i < e.recipient_count && !(how & 4); i++) {
        char *address = arena_alloc(arena, 32);
        snprintf(address, 32, "%u@%s", (unsigned)i, domain[(how >> 3 & 1) ^ (i & 1)]);
        e.recipients[i].address = e.recipients[i].original = span_from_cstr(address);
    }
    if (!(how & 16))
        e.wish_count = 0;
    note_commit(p, &e, how & 32);
    m->envelope = SPAN("");
    if (codec_encode(&envelope_codec, &e, &wire) == 0)
        m->envelope = arena_copy(arena, buffer_span(&wire));
    m->tickets = make_tickets(p, &e, how & 32, arena);
    m->header = SPAN("Received: x\r\n");
    buffer_done(&wire);
}

static struct span make_event(struct span *in, struct arena *arena)
{
    struct event event = {0};
    struct buffer wire = BUFFER_INIT;
    struct span copy = SPAN("");

    fuzz_fill(&event_codec, in, arena, &event);
    if (codec_encode(&event_codec, &event, &wire) == 0)
        copy = arena_copy(arena, buffer_span(&wire));
    buffer_done(&wire);
    return copy;
}

/* What is bytes to the catalogue, but has a form of its own. */
static void make_parts(struct play *p, unsigned which, struct ipc_message *m, struct span *in,
                       struct arena *arena)
{
    uint8_t how = fuzz_take(in);

    if (how & 128)
        return;
    if (m->type == IPC_COMMIT && which == SMTPD) {
        m->commit.upload = how & 3;
        make_commit(p, in, arena, &m->commit);
    } else if (m->type == IPC_EVENT) {
        m->event.event = make_event(in, arena);
    } else if (m->type == IPC_UPLOAD_CHUNK) {
        m->upload_chunk.upload = how & 3;
    } else if (m->type == IPC_UPLOAD_ABORT) {
        m->upload_abort.upload = how & 3;
    }
}

/* A peer that was sent away comes back, as the supervisor would have it. */
static void revive(struct play *p, unsigned which)
{
    if (p->peers[which].fd >= 0)
        return;
    if (which == SMTPD)
        p->commit_count = 0;
    if (which == ADMIN)
        join_admin(p);
    else
        assert(queue_peer(&p->queue, kinds[which], 0, ORIGIN, fuzz_peer_open(&p->peers[which])) ==
               0);
}

static void op(struct play *p, struct span *in)
{
    uint8_t first = fuzz_take(in), type = fuzz_take(in);
    unsigned which = first % PEERS;
    struct arena arena = ARENA_INIT;
    struct ipc_message message = {.type = (enum ipc_type)(type % IPC_TYPE_COUNT)};
    const struct ipc_row *row = ipc_row(message.type);

    revive(p, which);
    if (type == 0xFF) {
        fuzz_peer_send_raw(&p->peers[which], in);
    } else if (type == 0xFE) {
        fuzz_peer_close(&p->peers[which]);
    } else if (type == 0xFD) {
        fuzz_world_pass(fuzz_take(in));
    } else if (row) {
        fuzz_fill(row->codec, in, &arena, (char *)&message + offsetof(struct ipc_message, credit));
        make_parts(p, which, &message, in, &arena);
        p->results |= message.type == IPC_JOB_RESULT;
        fuzz_peer_send(&p->peers[which], &message, type);
    }
    arena_done(&arena);
    turn(p, first >= SLOW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct play p;
    struct span in = span_of(data, size);

    log_open("fuzz", LOG_LEVEL_ERROR);
    p = (struct play){0};
    begin(&p);
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&p, &in);
    end(&p);
    return 0;
}
