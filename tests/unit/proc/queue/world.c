#include "world.h"

#include "../../../place.h"

#include "base/clock.h"
#include "spool/follow.h"
#include "spool/lane.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct conf_queue_domain domains[] = {{.name = {"here.example", 12}}};

struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    place_make(w->folder, "/tmp");
    w->conf = (struct conf_queue){.hostname = SPAN("mail.here.example"),
                                  .segment_size = 4 << 20,
                                  .disk_reserve = 1,
                                  .waiting_max = 100000,
                                  .message_size_max = 8 << 20,
                                  .recipients_max = 1000,
                                  .retry_first_ms = 300000,
                                  .retry_max_ms = 14400000,
                                  .give_up_ms = INT64_C(4) * 86400000,
                                  .domains = domains,
                                  .domain_count = 1};
    id_maker_init(&w->ids, WORLD_ORIGIN, 1);
    assert_int_equal(io_loop_new(&w->loop), 0);
    return w;
}

/* A new queue gets a new key. */
static void give_key(struct world *w)
{
    static uint8_t key[TICKET_KEY_BYTES];
    key[0]++;
    assert_int_equal(ticket_office_open(&w->office, key), 0);
    assert_int_equal(tickets_use_key(&w->queue.tickets, key), 0);
}

int world_try_start(struct world *w)
{
    struct store *store = w->store ? w->store : place_store(w->folder);

    w->store = NULL;
    assert_int_equal(queue_start(&w->queue, w->loop, &w->conf), 0);
    assert_int_equal(queue_start_threads(&w->queue), 0);
    give_key(w);
    int r = queue_open(&w->queue, store);
    if (r < 0)
        queue_done(&w->queue);
    else
        assert_int_equal(control_listen(&w->queue, place_listen(w->folder)), 0);
    return r;
}

void world_start(struct world *w)
{
    assert_int_equal(world_try_start(w), 0);
}

static void leave(struct world *w)
{
    struct ipc_channel **ends[] = {&w->smtpd, &w->mailbox, &w->directory, &w->book, &w->admin};

    world_leave_smtp(w);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        ipc_channel_free(*ends[i]);
        *ends[i] = NULL;
    }
}

void world_forget_jobs(struct world *w)
{
    for (size_t i = 0; i < w->job_count; i++) {
        buffer_done(&w->jobs[i].header);
        buffer_done(&w->jobs[i].body);
    }
    memset(w->jobs, 0, w->job_count * sizeof(w->jobs[0]));
    w->job_count = w->delivered = 0;
}

void world_kill(struct world *w)
{
    leave(w);
    queue_done(&w->queue);
    world_forget_jobs(w);
}

static void on_closed(struct queue *q)
{
    CONTAINER_OF(q, struct world, queue)->closed = true;
}

static bool is_closed(struct world *w, void *arg)
{
    return w->closed;
}

void world_close(struct world *w)
{
    w->closed = false;
    queue_close(&w->queue, on_closed);
}

void world_until_closed(struct world *w)
{
    world_until(w, is_closed, NULL);
}

void world_stop(struct world *w)
{
    world_close(w);
    world_until_closed(w);
    world_kill(w);
}

void world_free(struct world *w)
{
    world_kill(w);
    world_remove(w);
}

void world_remove(struct world *w)
{
    io_loop_free(w->loop);
    place_remove(w->folder);
    buffer_done(&w->reply_text);
    ticket_office_done(&w->office);
    free(w);
}

void world_turn(struct world *w)
{
    if (w->on_turn) {
        w->on_turn(w);
        return;
    }
    assert_int_equal(io_loop_turn(w->loop), 0);
    usleep(50);
}

void world_until(struct world *w, bool (*done)(struct world *w, void *arg), void *arg)
{
    for (int i = 0; i < 200000; i++) {
        if (done(w, arg))
            return;
        world_turn(w);
    }
    fail_msg("it never came");
}

void world_rest(struct world *w)
{
    for (int i = 0, quiet = 0; i < 2000 && quiet < 100; i++) {
        assert_int_equal(io_loop_turn(w->loop), 0);
        usleep(200);
        quiet = committer_is_idle(&w->queue.committer) ? quiet + 1 : 0;
    }
}

/* ---- smtpd ---- */

static void on_smtpd_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct world *w = owner;
    w->smtpd_lost = true;
}

static void on_pressure(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    const struct ipc_pressure *p = &arrival->message->pressure;
    w->pressed = p->defer;
    snprintf(w->pressure, sizeof(w->pressure), SPAN_FMT, SPAN_ARG(p->text));
}

static const struct ipc_handler smtpd_handlers[] = {{IPC_PRESSURE, on_pressure}};
static const struct ipc_role smtpd_role = {"queue", smtpd_handlers, 1, on_smtpd_lost, false};

static void join_as(struct world *w, enum ipc_peer kind, unsigned index,
                    const struct ipc_role *role, struct ipc_channel **out)
{
    int fds[2];
    ipc_channel_free(*out);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[0], role, w, out), 0);
    assert_int_equal(queue_peer(&w->queue, kind, index, WORLD_ORIGIN, fds[1]), 0);
}

static void join(struct world *w, enum ipc_peer kind, const struct ipc_role *role,
                 struct ipc_channel **out)
{
    join_as(w, kind, 0, role, out);
}

void world_join_smtpd(struct world *w)
{
    w->smtpd_lost = false;
    join(w, IPC_PEER_SMTPD, &smtpd_role, &w->smtpd);
}

static void on_committed(struct ipc_call *call, const struct ipc_message *reply)
{
    struct world_commit *c = CONTAINER_OF(call, struct world_commit, call);
    c->answered = true;
    c->lost = !reply;
    if (!reply)
        return;
    c->result = reply->committed.result;
    snprintf(c->text, sizeof(c->text), SPAN_FMT, SPAN_ARG(reply->committed.text));
    c->world->committed++;
}

static size_t parse_recipients(const char *text, struct envelope_recipient *out, size_t max)
{
    size_t n = 0;
    for (const char *p = text; *p && n < max; n++) {
        size_t size = strcspn(p, " ");
        bool expands = *p == '+';
        struct span address = span_of(p + expands, size - expands), original = address;
        ptrdiff_t equals = span_find(address, '=');
        if (equals >= 0) {
            original = span_from(address, (size_t)equals + 1);
            address = span_first(address, (size_t)equals);
        }
        out[n] = (struct envelope_recipient){.address = address,
                                             .original = original,
                                             .flags = expands ? ENVELOPE_RECIPIENT_EXPANDS : 0};
        p += size + (p[size] == ' ');
    }
    return n;
}

/* As the directory would have allowed all of it. */
static void issue_tickets(struct world *w, const struct envelope *e, uint8_t *out)
{
    for (size_t i = 0; i < e->recipient_count; i++) {
        struct ticket_facts facts = {.ip = e->client.ip,
                                     .uid = e->client.uid,
                                     .sender = e->sender,
                                     .address = e->recipients[i].address,
                                     .expands =
                                         e->recipients[i].flags & ENVELOPE_RECIPIENT_EXPANDS};
        ticket_issue(&w->office, &facts, out + i * TICKET_BYTES);
    }
}

static void commit(struct world *w, struct world_commit *c, const char *sender,
                   const char *recipients, struct span body, uint64_t upload, uint64_t size)
{
    static struct envelope_recipient list[1000];
    struct envelope e = {
        .id = id_make(&w->ids, clock_wall_us() + w->id_offset_us),
        .sender = span_from_cstr(sender),
        .recipients = list,
        .recipient_count = parse_recipients(recipients, list, 1000),
        .size_bytes = size,
        .client = {.uid = w->uid, .service = SPAN("mx"), .protocol = SPAN("ESMTP")}};
    static uint8_t tickets[1000 * TICKET_BYTES];
    struct buffer wire = BUFFER_INIT;
    issue_tickets(w, &e, tickets);
    if (w->spoil)
        w->spoil(w, &e, tickets);
    assert_int_equal(codec_encode(&envelope_codec, &e, &wire), 0);
    struct ipc_message m = {
        .type = IPC_COMMIT,
        .commit = {.upload = upload,
                   .tickets = span_of((const char *)tickets, e.recipient_count * TICKET_BYTES),
                   .envelope = buffer_span(&wire),
                   .header = SPAN("Received: by here\r\n"),
                   .body = body}};
    *c = (struct world_commit){.world = w, .id = e.id, .call.fn = on_committed};
    int r;
    while ((r = ipc_call(w->smtpd, &c->call, &m)) == -EAGAIN)
        world_turn(w);
    assert_int_equal(r, 0);
    buffer_done(&wire);
}

void world_send(struct world *w, struct world_commit *c, const char *sender, const char *recipients,
                struct span body)
{
    commit(w, c, sender, recipients, body, 0, body.size);
}

char world_byte(size_t at)
{
    return (char)('a' + at * 31 % 26 + at / 65536 % 3);
}

struct chunk_call {
    struct ipc_call call;
    bool *done;
};

static void on_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    free(CONTAINER_OF(call, struct chunk_call, call));
}

void world_send_large(struct world *w, struct world_commit *c, const char *recipients, size_t size)
{
    static uint64_t upload;
    char *bytes = malloc(size);
    upload++;
    for (size_t i = 0; i < size; i++)
        bytes[i] = world_byte(i);
    for (size_t at = 0; at < size; at += IPC_CHUNK_MAX) {
        struct chunk_call *call = calloc(1, sizeof(*call));
        struct ipc_message m = {
            .type = IPC_UPLOAD_CHUNK,
            .upload_chunk = {.upload = upload,
                             .bytes = span_first(span_of(bytes + at, size - at), IPC_CHUNK_MAX)}};
        call->call.fn = on_taken;
        int r;
        while ((r = ipc_call(w->smtpd, &call->call, &m)) == -EAGAIN)
            world_turn(w);
        assert_int_equal(r, 0);
    }
    free(bytes);
    world_send_upload(w, c, recipients, upload, size);
}

void world_send_upload(struct world *w, struct world_commit *c, const char *recipients,
                       uint64_t upload, size_t size)
{
    commit(w, c, "s@far.example", recipients, SPAN(""), upload, size);
}

static bool is_answered(struct world *w, void *arg)
{
    return ((struct world_commit *)arg)->answered;
}

void world_until_answered(struct world *w, struct world_commit *c)
{
    world_until(w, is_answered, c);
}

enum ipc_commit_result world_commit(struct world *w, const char *recipients)
{
    struct world_commit c;
    world_send(w, &c, "s@far.example", recipients, SPAN("Subject: x\r\n\r\nhello\r\n"));
    world_until_answered(w, &c);
    assert_false(c.lost);
    return c.result;
}

/* ---- disk ---- */

static size_t damage_file(const char *path, const char *text)
{
    enum { SIZE = 4 << 20 };
    char *bytes = malloc(SIZE), *at = bytes;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t size = pread(fd, bytes, SIZE, 0);
    size_t count = 0;
    assert_true(size > 0);
    while ((at = memmem(at, (size_t)(bytes + size - at), text, strlen(text)))) {
        *at ^= 4;
        assert_int_equal(pwrite(fd, at, 1, at - bytes), 1);
        at++;
        count++;
    }
    close(fd);
    free(bytes);
    return count;
}

void world_damage(struct world *w, const char *text)
{
    char pattern[100];
    glob_t logs;
    size_t count = 0;
    snprintf(pattern, sizeof(pattern), "%s/spool/log-*", w->folder);
    assert_int_equal(glob(pattern, 0, NULL, &logs), 0);
    for (size_t i = 0; i < logs.gl_pathc; i++)
        count += damage_file(logs.gl_pathv[i], text);
    globfree(&logs);
    assert_true(count > 0);
}

/* ---- mailbox ---- */

static struct world_job *job_numbered(struct world *w, const struct ipc_channel *channel,
                                      uint64_t number)
{
    for (size_t i = w->job_count; i-- > 0;)
        if (w->jobs[i].number == number && w->jobs[i].channel == channel)
            return &w->jobs[i];
    fail_msg("no such job");
    return NULL;
}

void world_answer(struct world *w, struct world_job *job, enum world_mailbox how)
{
    static const struct ipc_job_outcome outcomes[] = {
        [MAILBOX_DELIVERS] = {0,
                              IPC_OUTCOME_DELIVERED,
                              IPC_SCOPE_RECIPIENT,
                              {"2.0.0", 5},
                              {"delivered", 9},
                              {"new/1", 5}},
        [MAILBOX_DEFERS] = {0,
                            IPC_OUTCOME_DEFERRED,
                            IPC_SCOPE_RECIPIENT,
                            {"4.2.2", 5},
                            {"over quota", 10},
                            {"", 0}},
        [MAILBOX_FAILS] = {0,
                           IPC_OUTCOME_FAILED,
                           IPC_SCOPE_RECIPIENT,
                           {"5.1.1", 5},
                           {"no such mailbox: /var/mail/x", 28},
                           {"", 0}},
        [MAILBOX_LOOPS] = {0,
                           IPC_OUTCOME_FAILED,
                           IPC_SCOPE_RECIPIENT,
                           {"5.4.6", 5},
                           {"it runs in a loop", 17},
                           {"", 0}},
        [MAILBOX_IS_FULL] = {0,
                             IPC_OUTCOME_DEFERRED,
                             IPC_SCOPE_DESTINATION,
                             {"4.3.1", 5},
                             {"disk full", 9},
                             {"", 0}},
        [MAILBOX_IS_ENDING] = {0,
                               IPC_OUTCOME_UNTRIED,
                               IPC_SCOPE_DESTINATION,
                               {"4.3.2", 5},
                               {"about to end", 12},
                               {"", 0}},
        [MAILBOX_IS_INTERRUPTED] = {0,
                                    IPC_OUTCOME_UNCERTAIN,
                                    IPC_SCOPE_DESTINATION,
                                    {"4.4.2", 5},
                                    {"connection lost", 15},
                                    {"", 0},
                                    {"mx.elsewhere.example", 20},
                                    {"192.0.2.7", 9}},
    };
    struct ipc_job_outcome list[8];
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {list, job->recipient_count}};
    for (size_t i = 0; i < job->recipient_count; i++) {
        list[i] = outcomes[how];
        list[i].index = job->indexes[i];
    }
    job->answered = true;
    if (how == MAILBOX_DELIVERS)
        w->delivered += job->recipient_count;
    assert_int_equal(ipc_reply(job->channel, job->token, &m), 0);
}

static void finish(struct world *w, struct world_job *job)
{
    if (w->on_job)
        w->on_job(w, job);
    else if (w->mailbox_does != MAILBOX_IS_SILENT)
        world_answer(w, job, w->mailbox_does);
}

static void on_job(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    const struct ipc_job *m = &arrival->message->job;
    assert_true(w->job_count < WORLD_JOBS_MAX);
    assert_true(m->recipient_count <= 8);
    struct world_job *job = &w->jobs[w->job_count++];
    *job = (struct world_job){.channel = arrival->channel,
                              .number = m->job,
                              .token = arrival->token,
                              .size_bytes = m->size_bytes,
                              .id = m->id,
                              .recipient_count = m->recipient_count};
    snprintf(job->next_hop, sizeof(job->next_hop), SPAN_FMT, SPAN_ARG(m->next_hop));
    snprintf(job->sender, sizeof(job->sender), SPAN_FMT, SPAN_ARG(m->sender));
    for (size_t i = 0; i < m->recipient_count; i++) {
        job->indexes[i] = m->recipients[i].index;
        snprintf(job->recipients[i], 100, SPAN_FMT, SPAN_ARG(m->recipients[i].address));
    }
    buffer_append_span(&job->header, m->header);
    buffer_append_span(&job->body, m->body);
    if (w->on_attempt)
        w->on_attempt(w, job);
    if (m->body.size == m->size_bytes)
        finish(w, job);
}

static void on_body(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    const struct ipc_job_body *m = &arrival->message->job_body;
    struct world_job *job = job_numbered(w, arrival->channel, m->job);
    struct ipc_message taken = {.type = IPC_JOB_TAKEN};
    assert_int_equal(ipc_reply(arrival->channel, arrival->token, &taken), 0);
    if (m->bytes.size == 0) {
        job->dropped = true;
        if (w->on_job)
            w->on_job(w, job);
        else
            world_answer(w, job,
                         MAILBOX_IS_FULL); /* all that it knows is that it came no further */
        return;
    }
    buffer_append_span(&job->body, m->bytes);
    if (job->body.size == job->size_bytes)
        finish(w, job);
}

static void on_mailbox_lost(void *owner, struct ipc_channel *channel, int error)
{
    assert_int_equal(error, 0);
}

/* Asked by an administrator: which way it would go. */
static void on_route(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    char text[200];
    struct ipc_message m = {.type = IPC_ROUTED};
    w->routes_asked++;
    snprintf(text, sizeof(text), "by " SPAN_FMT "\n", SPAN_ARG(arrival->message->route.next_hop));
    m.routed.text = span_from_cstr(text);
    if (!w->smtp_is_silent)
        assert_int_equal(ipc_reply(arrival->channel, arrival->token, &m), 0);
}

static const struct ipc_handler mailbox_handlers[] = {
    {IPC_JOB, on_job}, {IPC_JOB_BODY, on_body}, {IPC_ROUTE, on_route}};
static const struct ipc_role mailbox_role = {"queue", mailbox_handlers, 3, on_mailbox_lost, false};

void world_join_mailbox(struct world *w)
{
    join(w, IPC_PEER_MAILBOX, &mailbox_role, &w->mailbox);
}

void world_join_smtp_process(struct world *w, unsigned index)
{
    join_as(w, IPC_PEER_SMTP, index, &mailbox_role, &w->smtp[index]);
}

void world_join_smtp(struct world *w)
{
    for (unsigned i = 0; i < IPC_SMTP_PROCESSES; i++)
        world_join_smtp_process(w, i);
}

void world_leave_smtp(struct world *w)
{
    for (unsigned i = 0; i < IPC_SMTP_PROCESSES; i++) {
        ipc_channel_free(w->smtp[i]);
        w->smtp[i] = NULL;
    }
}

struct count {
    size_t wanted;
};

static bool has_jobs(struct world *w, void *arg)
{
    return w->job_count >= ((struct count *)arg)->wanted;
}

void world_until_jobs(struct world *w, size_t count)
{
    world_until(w, has_jobs, &(struct count){count});
    assert_int_equal(w->job_count, count);
}

static bool has_delivered(struct world *w, void *arg)
{
    struct spool_counts c;
    spool_get_counts(w->queue.spool, &c);
    return w->delivered >= ((struct count *)arg)->wanted && w->queue.settling == 0 &&
           dispatch_job_count(&w->queue) == 0;
}

void world_until_delivered(struct world *w, size_t count)
{
    world_until(w, has_delivered, &(struct count){count});
    assert_int_equal(w->delivered, count);
}

/* ---- directory: "list@" becomes three, "empty@" nobody, "gone@" leads to nobody, "huge@" to too
 * many, others can't be told now ---- */

/* More than half as many as a message may have. */
static struct ipc_expanded crowd(void)
{
    static struct ipc_expanded_address list[600];
    static char names[ARRAY_SIZE(list)][24];

    for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
        snprintf(names[i], sizeof(names[i]), "u%zu@here.example", i);
        list[i].address = span_from_cstr(names[i]);
    }
    return (struct ipc_expanded){.addresses = list, .address_count = ARRAY_SIZE(list)};
}

void world_expand(struct world *w)
{
    struct span address = span_from_cstr(w->expand);
    struct ipc_expanded_address away = {SPAN("someone@elsewhere.example")};
    struct ipc_expanded_address three[] = {
        {SPAN("a@here.example")}, {SPAN("b@here.example")}, {SPAN("c@here.example")}};
    struct ipc_expanded_address user = {SPAN("user@here.example")};
    struct ipc_message m = {.type = IPC_EXPANDED};
    if (span_starts_nocase(address, SPAN("user")))
        m.expanded = (struct ipc_expanded){.is_user = true, .addresses = &user, .address_count = 1};
    else if (span_starts_nocase(address, SPAN("list")))
        m.expanded = (struct ipc_expanded){.addresses = three, .address_count = 3};
    else if (span_starts_nocase(address, SPAN("crowd")))
        m.expanded = crowd();
    else if (span_starts_nocase(address, SPAN("away")))
        m.expanded = (struct ipc_expanded){.addresses = &away, .address_count = 1};
    else if (!span_starts_nocase(address, SPAN("empty")))
        m.expanded.error = span_starts_nocase(address, SPAN("gone"))   ? -ENOLINK
                           : span_starts_nocase(address, SPAN("huge")) ? -E2BIG
                                                                       : -EAGAIN;
    assert_int_equal(ipc_reply(w->directory, w->expand_token, &m), 0);
}

static void on_expand(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;

    snprintf(w->expand, sizeof(w->expand), SPAN_FMT, SPAN_ARG(arrival->message->expand.address));
    w->expand_token = arrival->token;
    w->expansions_asked++;
    if (!w->directory_is_slow)
        world_expand(w);
}

static const struct ipc_handler directory_handlers[] = {{IPC_EXPAND, on_expand}};
static const struct ipc_role directory_role = {"queue", directory_handlers, 1, on_mailbox_lost,
                                               false};

void world_join_directory(struct world *w)
{
    join(w, IPC_PEER_DIRECTORY, &directory_role, &w->directory);
}

/* ---- book ---- */

static void on_sealed(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    w->sealed = arrival->message->sealed;
    struct ipc_message m = {.type = IPC_FOLDED, .position = {w->sealed.segment, w->sealed.offset}};
    if (w->book_folds)
        assert_int_equal(ipc_notify(arrival->channel, &m), 0);
}

static const struct ipc_handler book_handlers[] = {{IPC_SEALED, on_sealed}};
static const struct ipc_role book_role = {"queue", book_handlers, 1, on_mailbox_lost, false};

void world_join_book(struct world *w)
{
    join(w, IPC_PEER_BOOK, &book_role, &w->book);
}

/* ---- its log and disk ---- */

struct spool_follower *world_follow(struct world *w)
{
    struct spool_follower *follower;
    struct store *store;
    char spool[96];

    snprintf(spool, sizeof(spool), "%s/spool", w->folder);
    int fd = open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(store_file_new(fd, &store), 0);
    assert_int_equal(spool_follower_new(store, (struct spool_position){0, 0}, &follower), 0);
    spool_follower_set_limit(follower, spool_sealed_position(w->queue.spool));
    return follower;
}

void world_each_event(struct world *w, void (*fn)(void *arg, const struct event *event), void *arg)
{
    struct spool_follower *follower = world_follow(w);
    struct spool_followed record;
    struct arena arena = ARENA_INIT;
    struct event event;
    int r;

    while ((r = spool_follower_next(follower, &record)) > 0) {
        if (record.kind != SPOOL_FOLLOWED_EVENT)
            continue;
        assert_int_equal(codec_decode(&event_codec, record.event, &arena, &event), 0);
        fn(arg, &event);
    }
    assert_int_equal(r, 0);
    spool_follower_free(follower);
    arena_done(&arena);
}

static int refuse_to_sync(struct store_segment *segment)
{
    return -EIO;
}

void world_set_disk(struct world *w, bool fails)
{
    static const struct store_ops *good;
    static struct store_ops bad;

    if (fails) {
        good = w->queue.spool->ops;
        bad = *good;
        bad.sync = refuse_to_sync;
    }
    w->queue.spool->ops = fails ? &bad : good;
}
