#include "proc/queue/return.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/report.h"
#include "proc/queue/commit.h"
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPEN_MAX = 100 };
enum { HEADER_BYTES = 2 * REPORT_HEADER_MAX /* ours in front, then the original's */ };

enum undelivered_state {
    UNDELIVERED_GATHERING,
    UNDELIVERED_LOADING,
    UNDELIVERED_FINDING,
    UNDELIVERED_WRITING,
    UNDELIVERED_KEEPING,
    UNDELIVERED_RESTING,
};

/* Some recipients of one message, on their way back to its sender. */
struct undelivered {
    struct list link;
    struct queue *queue;
    struct id id; /* of the message, which an administrator may take away meanwhile */
    enum undelivered_state state;
    struct arena arena; /* of the causes */
    struct spool_status causes[REPORT_RECIPIENTS_MAX];
    size_t count;

    struct io_job io;
    struct spool_reader *reader;
    const struct spool_stored *stored;
    char *header;
    size_t header_bytes;
    int error;

    struct ipc_call call;
    bool sender_expands;
    struct id report_id;
    char report_text[ID_TEXT + 1];
};

/* The one place where the state changes. */
static void set_state(struct undelivered *u, enum undelivered_state state)
{
    struct returns *returns = &u->queue->returns;

    list_remove(&u->link);
    list_append(state == UNDELIVERED_RESTING ? &returns->resting : &returns->open, &u->link);
    u->state = state;
}

static void forget_load(struct undelivered *u)
{
    if (u->reader)
        spool_reader_close(u->queue->spool, u->reader);
    u->reader = NULL;
    u->stored = NULL;
    free(u->header);
    u->header = NULL;
}

bool returns_are_open(const struct queue *q)
{
    return q->returns.count < OPEN_MAX;
}

static void undelivered_free(struct undelivered *u)
{
    if (!u->queue->closing)
        dispatch_kick(u->queue); /* there is room for another one */
    forget_load(u);
    ipc_call_cancel(&u->call);
    list_remove(&u->link);
    u->queue->returns.count--;
    arena_done(&u->arena);
    free(u);
}

static void rest(struct undelivered *u)
{
    forget_load(u);
    set_state(u, UNDELIVERED_RESTING);
}

/* ---- booked ---- */

/* Its row, as long as it still waits for us: nobody released or removed it. */
static struct spool_recipient *still_held(const struct undelivered *u, uint32_t index)
{
    struct spool_message *message = spool_find(u->queue->spool, &u->id);
    struct spool_recipient *r = message ? spool_find_recipient(message, index) : NULL;
    uint32_t item = r ? schedule_item(r) : 0;
    struct sched_explanation e;

    if (!item || r->is_closing)
        return NULL;
    sched_explain(u->queue->sched, item, &e);
    return e.state == SCHED_HELD ? r : NULL;
}

/* Those that are ours no more are left out. True when some are left. */
static bool drop_released(struct undelivered *u)
{
    size_t kept = 0;

    for (size_t i = 0; i < u->count; i++)
        if (still_held(u, u->causes[i].recipient))
            u->causes[kept++] = u->causes[i];
    u->count = kept;
    return kept > 0;
}

static void book(struct undelivered *u, enum spool_outcome outcome, const char *detail)
{
    struct queue *q = u->queue;

    if (!drop_released(u)) {
        undelivered_free(u);
        return;
    }
    for (size_t i = 0; i < u->count; i++) {
        struct spool_recipient *r = still_held(u, u->causes[i].recipient);
        u->causes[i].outcome = (uint8_t)outcome;
        u->causes[i].time_us = clock_wall_us();
        u->causes[i].next_attempt_us = 0;
        if (outcome == SPOOL_OUTCOME_RETURNED)
            u->causes[i].remote_id = span_from_cstr(u->report_text);
        u->causes[i].detail = span_from_cstr(detail);
        sched_remove(q->sched, schedule_item(r), io_loop_now_ms(q->loop));
        schedule_close(r);
    }
    settle(q, spool_find(q->spool, &u->id), u->causes, u->count);
    undelivered_free(u);
}

static void book_double_bounce(struct undelivered *u, const char *why)
{
    u->queue->returns.double_bounces += u->count;
    book(u, SPOOL_OUTCOME_DISCARDED, why);
}

/* ---- the report goes to the spool ---- */

static void on_kept(void *arg, enum ipc_commit_result result)
{
    struct undelivered *u = arg;

    if (result != IPC_COMMIT_ACCEPTED) {
        rest(u);
        return;
    }
    u->queue->returns.returned += u->count;
    book(u, SPOOL_OUTCOME_RETURNED, "its sender was told by a report");
}

static void fill_envelope(const struct undelivered *u, const struct ipc_reported *made,
                          struct envelope_recipient *recipient, struct envelope *e)
{
    *recipient =
        (struct envelope_recipient){.address = u->stored->envelope.sender,
                                    .original = u->stored->envelope.sender,
                                    .flags = u->sender_expands ? ENVELOPE_RECIPIENT_EXPANDS : 0};
    *e = (struct envelope){
        .id = u->report_id,
        .sender = SPAN(""),
        .recipients = recipient,
        .recipient_count = 1,
        .body = made->eight_bit ? ENVELOPE_BODY_8BITMIME : ENVELOPE_BODY_7BIT,
        .smtputf8 = made->smtputf8,
        .size_bytes = made->message.size,
        .client = {.uid = UINT32_MAX, .service = SPAN("report"), .protocol = SPAN("report")}};
    SHA256((const unsigned char *)made->message.data, made->message.size, e->digest);
}

static int keep(struct undelivered *u, const struct ipc_reported *made)
{
    struct envelope_recipient recipient;
    struct envelope envelope;
    struct buffer wire = BUFFER_INIT;

    fill_envelope(u, made, &recipient, &envelope);
    int r = codec_encode(&envelope_codec, &envelope, &wire);
    if (r == 0)
        r = commit_own(u->queue, buffer_span(&wire), made->message, on_kept, u);
    buffer_done(&wire);
    return r;
}

static void on_written(struct ipc_call *call, const struct ipc_message *reply)
{
    struct undelivered *u = CONTAINER_OF(call, struct undelivered, call);

    set_state(u, UNDELIVERED_KEEPING);
    if (!reply || reply->reported.error) {
        if (reply)
            log_error("report: it could not be written: %s", strerror(-reply->reported.error));
        rest(u);
    } else if (keep(u, &reply->reported) < 0) {
        rest(u);
    }
}

/* ---- the report is written ---- */

/* Whom Germans and their neighbours write to is mostly told in German. */
static enum report_language language_of(const struct queue *q, struct span address)
{
    static const char *const german[] = {".de", ".at", ".ch", ".li"};

    for (size_t i = 0; i < ARRAY_SIZE(german); i++) {
        struct span end = span_from_cstr(german[i]);
        if (address.size > end.size &&
            span_equal_nocase(span_from(address, address.size - end.size), end))
            return REPORT_GERMAN;
    }
    return q->conf->report_language == CONF_LANGUAGE_DE ? REPORT_GERMAN : REPORT_ENGLISH;
}

static struct span domain_of(struct span address)
{
    return span_from(address, (size_t)(span_find_last(address, '@') + 1));
}

/* The configured one; else the sender's own when we serve its domain, else the first domain's. */
static struct span postmaster_of(const struct undelivered *u, char out[static ENVELOPE_ADDRESS_MAX])
{
    const struct conf_queue *conf = u->queue->conf;
    struct span domain = domain_of(u->stored->envelope.sender);

    if (conf->postmaster.size)
        return conf->postmaster;
    if (!queue_serves(u->queue, domain))
        domain = conf->domain_count ? conf->domains[0].name : conf->hostname;
    int size = snprintf(out, ENVELOPE_ADDRESS_MAX, "postmaster@" SPAN_FMT,
                        SPAN_ARG(span_first(domain, 255)));
    return span_of(out, (size_t)size);
}

static void fill_recipients(const struct undelivered *u, struct ipc_report_recipient *out)
{
    for (size_t i = 0; i < u->count; i++) {
        const struct spool_status *cause = &u->causes[i];
        const struct envelope_recipient *r = spool_stored_recipient(u->stored, cause->recipient);
        out[i] = (struct ipc_report_recipient){.status = cause->status,
                                               .host = cause->host,
                                               .reply = cause->reply,
                                               .why = cause->detail,
                                               .last_attempt_us = cause->time_us};
        if (r) {
            out[i].address = r->address;
            out[i].original = span_equal(r->address, r->original) ? SPAN("") : r->original;
        }
    }
}

static void write_report(struct undelivered *u)
{
    struct queue *q = u->queue;
    struct ipc_report_recipient recipients[REPORT_RECIPIENTS_MAX];
    struct span header = span_of(u->header, u->header_bytes);
    char postmaster[ENVELOPE_ADDRESS_MAX];
    struct ipc_message ask = {
        .type = IPC_REPORT,
        .report = {.kind = REPORT_FAILED,
                   .language = (uint8_t)language_of(q, u->stored->envelope.sender),
                   .id = id_make(&q->returns.ids, clock_wall_us()),
                   .now_us = clock_wall_us(),
                   .hostname = q->conf->hostname,
                   .postmaster = postmaster_of(u, postmaster),
                   .original_id = u->id,
                   .sender = u->stored->envelope.sender,
                   .arrival_us = u->stored->envelope.accepted_us,
                   .header = span_first(header, REPORT_HEADER_MAX),
                   .recipients = recipients,
                   .recipient_count = u->count}};

    fill_recipients(u, recipients);
    u->report_id = ask.report.id;
    id_format(&u->report_id, u->report_text);
    u->call.fn = on_written;
    set_state(u, UNDELIVERED_WRITING);
    if (!q->returns.report || ipc_call(q->returns.report, &u->call, &ask) < 0)
        rest(u);
}

/* ---- who is the sender? ---- */

static void on_sender_found(struct ipc_call *call, const struct ipc_message *reply)
{
    struct undelivered *u = CONTAINER_OF(call, struct undelivered, call);
    struct span sender = u->stored->envelope.sender;

    if (!reply || (reply->expanded.error && reply->expanded.error != -ENOENT)) {
        rest(u);
        return;
    }
    if (reply->expanded.error == -ENOENT) {
        book_double_bounce(u, "double bounce: the sender's mailbox doesn't exist");
        return;
    }
    u->sender_expands = reply->expanded.address_count != 1 ||
                        !span_equal(reply->expanded.addresses[0].address, sender);
    write_report(u);
}

/* A local sender may be forged, or an alias; mailboxes are never made for who doesn't exist. */
static void find_sender(struct undelivered *u)
{
    struct queue *q = u->queue;
    struct span sender = u->stored->envelope.sender;
    struct ipc_message ask = {.type = IPC_EXPAND, .expand.address = sender};

    u->sender_expands = false;
    if (!sender.size) {
        book_double_bounce(u, "double bounce: it is a report itself, and nobody is told of those");
        return;
    }
    if (!queue_serves(q, domain_of(sender))) {
        write_report(u);
        return;
    }
    u->call.fn = on_sender_found;
    set_state(u, UNDELIVERED_FINDING);
    if (!q->directory || ipc_call(q->directory, &u->call, &ask) < 0)
        rest(u);
}

/* ---- envelope and header, on a thread ---- */

/* The header block ends at the first empty line. */
static size_t header_size(const char *text, size_t size)
{
    const char *end = memmem(text, size, "\r\n\r\n", 4);
    return end ? (size_t)(end - text) + 2 : size;
}

static int read_header(struct undelivered *u)
{
    ssize_t n;
    size_t size = 0;
    int r = spool_reader_load(u->reader, &u->stored);

    if (r < 0)
        return r;
    while (size < HEADER_BYTES &&
           (n = spool_reader_read(u->reader, size, u->header + size, HEADER_BYTES - size)) != 0) {
        if (n < 0)
            return (int)n;
        size += (size_t)n;
    }
    size_t own = u->stored->header_bytes < size ? (size_t)u->stored->header_bytes : size;
    memmove(u->header, u->header + own, size - own);
    u->header_bytes = header_size(u->header, size - own);
    return 0;
}

static void run_load(struct io_job *io)
{
    struct undelivered *u = CONTAINER_OF(io, struct undelivered, io);
    u->error = read_header(u);
}

static void loaded(struct io_job *io)
{
    struct undelivered *u = CONTAINER_OF(io, struct undelivered, io);

    if (!drop_released(u))
        undelivered_free(u);
    else if (u->queue->closing || u->error)
        rest(u); /* a damaged message is set aside when the reader closes */
    else
        find_sender(u);
}

static void start(struct undelivered *u)
{
    struct queue *q = u->queue;
    struct spool_message *message = spool_find(q->spool, &u->id);

    if (!message || !drop_released(u)) {
        undelivered_free(u);
        return;
    }
    u->header = malloc(HEADER_BYTES);
    if (!u->header || spool_reader_open(q->spool, message, &u->reader) < 0) {
        rest(u);
        return;
    }
    u->io = (struct io_job){.run = run_load, .done = loaded};
    set_state(u, UNDELIVERED_LOADING);
    io_pool_submit(q->work_pool, &u->io);
}

static void on_kick(struct io_deferred *deferred)
{
    struct queue *q = CONTAINER_OF(deferred, struct queue, returns.kick);

    LIST_EACH(&q->returns.open, link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, link);
        if (u->state == UNDELIVERED_GATHERING)
            start(u);
    }
}

/* ---- in and out ---- */

static struct undelivered *gathering_for(struct queue *q, const struct id *id)
{
    LIST_EACH(&q->returns.open, link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, link);
        if (u->state == UNDELIVERED_GATHERING && id_equal(&u->id, id) &&
            u->count < REPORT_RECIPIENTS_MAX)
            return u;
    }
    return NULL;
}

static struct undelivered *undelivered_new(struct queue *q, const struct id *id)
{
    struct undelivered *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->queue = q;
    u->id = *id;
    q->returns.count++;
    set_state(u, UNDELIVERED_GATHERING);
    return u;
}

static int copy_cause(struct undelivered *u, const struct spool_status *cause)
{
    struct spool_status *to = &u->causes[u->count];

    *to = *cause;
    to->status = arena_copy(&u->arena, cause->status);
    to->reply = arena_copy(&u->arena, cause->reply);
    to->host = arena_copy(&u->arena, cause->host);
    to->detail = arena_copy(&u->arena, cause->detail);
    to->tls = to->remote_id = SPAN("");
    if (!to->status.data || !to->reply.data || !to->host.data || !to->detail.data)
        return -ENOMEM;
    u->count++;
    return 0;
}

void return_to_sender(struct queue *q, struct spool_recipient *recipient,
                      const struct spool_status *cause)
{
    const struct id *id = &spool_recipient_message(recipient)->id;
    struct undelivered *u = gathering_for(q, id);

    if (!u)
        u = undelivered_new(q, id);
    if (!u || copy_cause(u, cause) < 0) {
        log_error("out of memory: a recipient is held instead of being returned");
        if (u && !u->count)
            undelivered_free(u);
        return;
    }
    io_defer(q->loop, &q->returns.kick);
}

void returns_tick(struct queue *q)
{
    LIST_EACH(&q->returns.resting, link)
    set_state(CONTAINER_OF(link, struct undelivered, link), UNDELIVERED_GATHERING);
    if (!q->closing && !list_is_empty(&q->returns.open))
        io_defer(q->loop, &q->returns.kick);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct queue *q = owner;

    if (q->returns.report == channel)
        q->returns.report = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_role report_role = {.peer_name = "report", .lost = on_lost};

int returns_report(struct queue *q, int fd)
{
    struct ipc_channel *old = q->returns.report;
    int r = ipc_channel_new(q->loop, fd, &report_role, q, &q->returns.report);

    if (r == 0)
        ipc_channel_free(old);
    return r;
}

void returns_init(struct queue *q)
{
    list_init(&q->returns.open);
    list_init(&q->returns.resting);
    q->returns.kick.fn = on_kick;
}

void returns_done(struct queue *q)
{
    struct list *link;
    struct ipc_channel *report = q->returns.report;

    io_defer_cancel(&q->returns.kick);
    q->returns.report = NULL;
    ipc_channel_free(report);
    while ((link = list_take_first(&q->returns.open)) ||
           (link = list_take_first(&q->returns.resting)))
        undelivered_free(CONTAINER_OF(link, struct undelivered, link));
}
