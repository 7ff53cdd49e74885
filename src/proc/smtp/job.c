/*
 * A job's journey. The table of legal steps is in set_state(); every path ends in finish(), which
 * answers the queue.
 *
 *   RESOLVING ──▶ CONNECTING ◀──next host──┐
 *       ▲              │                   │
 *       │              ▼                   │
 *       │           GREETING ──▶ MAIL ─────┤──▶ OVER
 *       └── a reused connection that failed┘
 */
#include "proc/smtp/smtp.h"

#include "base/log.h"
#include "mail/envelope.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ARENA_BYTES = 8 << 20 };

static void walk_on(struct smtp_job *job);
static void finish(struct smtp_job *job);

static void set_state(struct smtp_job *job, enum smtp_job_state state)
{
#define TO(state) (1u << SMTP_JOB_##state)
    static const unsigned legal[] = {
        [SMTP_JOB_RESOLVING] = TO(CONNECTING) | TO(GREETING) | TO(OVER),
        [SMTP_JOB_CONNECTING] = TO(GREETING) | TO(OVER),
        [SMTP_JOB_GREETING] = TO(MAIL) | TO(CONNECTING) | TO(RESOLVING) | TO(OVER),
        [SMTP_JOB_MAIL] = TO(GREETING) | TO(CONNECTING) | TO(RESOLVING) | TO(OVER),
        [SMTP_JOB_OVER] = 0,
    };
#undef TO
    assert(legal[job->state] & 1u << state);
    job->state = state;
}

/* ---- memory ---- */

static void free_attempt(struct smtp_attempt *a)
{
    if (a->fd < 0)
        return;
    io_watch_free(a->watch);
    close(a->fd);
    a->fd = -1;
}

static void settle_piece(struct smtp_job *job, struct smtp_piece *piece)
{
    struct smtp_proc *proc = job->proc;

    list_remove(&piece->link);
    if (proc->queue && job->epoch == proc->epoch) {
        struct ipc_message reply = {.type = IPC_JOB_TAKEN};
        if (piece->token)
            ipc_reply(proc->queue, piece->token, &reply);
        ipc_release(proc->queue, IPC_CLASS_BODY, piece->held);
    }
    free(piece);
}

static struct smtp_piece *first_piece(const struct smtp_job *job)
{
    return list_is_empty(&job->pieces) ? NULL
                                       : CONTAINER_OF(job->pieces.next, struct smtp_piece, link);
}

static void job_free(struct smtp_job *job)
{
    struct smtp_piece *piece;

    list_remove(&job->link);
    list_remove(&job->by_number);
    job->proc->job_count--;
    for (size_t i = 0; i < ARRAY_SIZE(job->attempts); i++)
        free_attempt(&job->attempts[i]);
    io_timer_free(job->timer);
    smtp_way_done(&job->way);
    while ((piece = first_piece(job)))
        settle_piece(job, piece);
    arena_done(&job->mail.arena);
    arena_done(&job->arena);
    free(job);
}

/* The job is answered; a session that still carries the message ends with it. */
static void finish(struct smtp_job *job)
{
    struct smtp_proc *proc = job->proc;
    struct smtp_connection *c = job->connection;

    set_state(job, SMTP_JOB_OVER);
    if (c) {
        job->connection = NULL;
        smtp_connection_release(c);
    }
    smtp_job_answer(job);
    job_free(job);
    if (proc->ending_ms && proc->job_count == 0)
        io_timer_set(proc->tick, 0);
}

static bool has_open(const struct smtp_job *job, enum smtp_result at_most)
{
    for (size_t i = 0; i < job->mail.recipient_count; i++)
        if (job->mail.recipients[i].result <= at_most)
            return true;
    return false;
}

/* ---- trouble on the way ---- */

static void note_trouble(struct smtp_job *job, const char *status, struct span host, struct span ip,
                         const char *text)
{
    smtp_job_note_earlier(job, &job->trouble_place, span_from_cstr(job->trouble));
    snprintf(job->trouble_status, sizeof(job->trouble_status), "%s", status);
    snprintf(job->trouble, sizeof(job->trouble), "%s", text);
    job->trouble_place = (struct smtp_place){arena_copy(&job->arena, host),
                                             arena_copy(&job->arena, ip), job->earlier_size, true};
}

/* The trouble is behind us: a station was found. */
static void leave_trouble(struct smtp_job *job)
{
    smtp_job_note_earlier(job, &job->trouble_place, span_from_cstr(job->trouble));
    job->trouble_place = (struct smtp_place){0};
}

static void note_session_trouble(struct smtp_job *job, const struct smtp_connection *c)
{
    char text[sizeof(job->trouble)];

    snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(smtp_client_trouble(c->client)));
    note_trouble(job, smtp_client_trouble_status(c->client), span_from_cstr(c->host),
                 span_from_cstr(c->ip_text), text);
}

/* The domain itself has no place for mail: for each recipient that is the end. */
static void fail_way(struct smtp_job *job)
{
    const struct smtp_way *way = &job->way;
    char text[sizeof(job->trouble)];

    snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(way->text));
    note_trouble(job, way->status, SPAN(""), SPAN(""), text);
    for (size_t i = 0; way->permanent && i < job->mail.recipient_count; i++) {
        struct smtp_client_recipient *r = &job->mail.recipients[i];
        if (!smtp_result_is_open(r->result))
            continue;
        r->result = SMTP_RESULT_NEVER;
        r->text = arena_copy(&job->arena, way->text);
        snprintf(r->status, sizeof(r->status), "%s", way->status);
        job->places[i] = (struct smtp_place){0};
    }
    finish(job);
}

/* ---- connecting ---- */

static struct span host_of(const struct smtp_job *job, size_t target)
{
    return job->way.hosts[smtp_walk_target(&job->walk, target)->host];
}

static void connect_failed(struct smtp_job *job, size_t target, int error)
{
    const struct smtp_target *t = smtp_walk_target(&job->walk, target);
    struct dns_ip ip;
    char ip_text[DNS_IP_TEXT], text[sizeof(job->trouble)];

    memcpy(ip.bytes, t->ip, sizeof(ip.bytes));
    dns_ip_format(&ip, ip_text);
    snprintf(text, sizeof(text), "can't connect to [%s]:%u: %s", ip_text, t->port,
             error == ETIMEDOUT ? "no answer" : strerror(error));
    note_trouble(job, "4.4.1", host_of(job, target), span_from_cstr(ip_text), text);
}

static void connected(struct smtp_attempt *a)
{
    struct smtp_job *job = a->job;
    int fd = a->fd;

    io_watch_free(a->watch);
    a->fd = -1;
    smtp_walk_connected(&job->walk, a->target);
    for (size_t i = 0; i < ARRAY_SIZE(job->attempts); i++)
        free_attempt(&job->attempts[i]);
    job->target = a->target;
    job->from_walk = true;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    job->connection = smtp_connection_new(job, fd, host_of(job, a->target),
                                          smtp_walk_target(&job->walk, a->target)->ip);
    if (job->connection) {
        set_state(job, SMTP_JOB_GREETING);
        walk_on(job); /* the losers of the race are dropped */
        return;
    }
    note_trouble(job, "4.3.0", SPAN(""), SPAN(""), "out of memory");
    finish(job);
}

static void on_connect(void *arg, int fd, unsigned events)
{
    struct smtp_attempt *a = arg;
    struct smtp_job *job = a->job;
    int error = 0;
    socklen_t size = sizeof(error);

    job->proc->now_ms = io_loop_now_ms(job->proc->process.loop);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error == 0) {
        connected(a);
        return;
    }
    connect_failed(job, a->target, error);
    smtp_walk_failed(&job->walk, a->target);
    free_attempt(a);
    walk_on(job);
}

static socklen_t fill_address(const struct smtp_target *t, struct sockaddr_storage *out)
{
    struct dns_ip ip;

    memcpy(ip.bytes, t->ip, sizeof(ip.bytes));
    *out = (struct sockaddr_storage){0};
    if (dns_ip_is_v4(&ip)) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(t->port);
        memcpy(&v4->sin_addr, t->ip + 12, 4);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(t->port);
    memcpy(&v6->sin6_addr, t->ip, sizeof(v6->sin6_addr));
    return sizeof(*v6);
}

/* 0: under way (or done: the socket is writable then). */
static int begin_attempt(struct smtp_attempt *a, size_t target)
{
    struct smtp_job *job = a->job;
    struct sockaddr_storage address;
    socklen_t size = fill_address(smtp_walk_target(&job->walk, target), &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return error;
    }
    if (io_watch_new(job->proc->process.loop, fd, on_connect, a, &a->watch) < 0) {
        close(fd);
        return ENOMEM;
    }
    a->fd = fd;
    a->target = target;
    io_watch_set(a->watch, IO_WRITE);
    return 0;
}

static void start_connecting(struct smtp_job *job, size_t target)
{
    const struct smtp_target *t = smtp_walk_target(&job->walk, target);
    size_t i = 0;

    if (job->spent && memcmp(t->ip, job->spent_ip, sizeof(t->ip)) == 0) {
        smtp_walk_failed(&job->walk, target); /* it was asked already, on an older connection */
        return;
    }
    while (i + 1 < ARRAY_SIZE(job->attempts) && job->attempts[i].fd >= 0)
        i++;
    int error = begin_attempt(&job->attempts[i], target);
    if (error == 0)
        return;
    connect_failed(job, target, error);
    smtp_walk_failed(&job->walk, target);
}

static void drop_target(struct smtp_job *job, size_t target)
{
    for (size_t i = 0; i < ARRAY_SIZE(job->attempts); i++) {
        if (job->attempts[i].fd < 0 || job->attempts[i].target != target)
            continue;
        if (!job->connection)
            connect_failed(job, target, ETIMEDOUT);
        free_attempt(&job->attempts[i]);
    }
}

static void walk_on(struct smtp_job *job)
{
    int64_t now_ms = job->proc->now_ms, due_ms;
    enum smtp_walk_act act;
    size_t target;

    while ((act = smtp_walk_step(&job->walk, now_ms, &target)) == SMTP_WALK_CONNECT ||
           act == SMTP_WALK_DROP)
        if (act == SMTP_WALK_CONNECT)
            start_connecting(job, target);
        else
            drop_target(job, target);
    due_ms = smtp_walk_due_ms(&job->walk);
    if (due_ms == INT64_MAX)
        io_timer_clear(job->timer);
    else
        io_timer_set(job->timer, due_ms > now_ms ? due_ms - now_ms : 0);
    if (act == SMTP_WALK_OVER)
        finish(job);
}

static void on_timer(void *arg)
{
    struct smtp_job *job = arg;

    job->proc->now_ms = io_loop_now_ms(job->proc->process.loop);
    if (job->state == SMTP_JOB_CONNECTING)
        walk_on(job);
}

static void on_way(struct smtp_way *way)
{
    struct smtp_job *job = CONTAINER_OF(way, struct smtp_job, way);

    job->has_way = true;
    if (way->failed) {
        fail_way(job);
        return;
    }
    smtp_walk_init(&job->walk, way->targets, way->target_count);
    if (io_timer_new(job->proc->process.loop, on_timer, job, &job->timer) < 0) {
        note_trouble(job, "4.3.0", SPAN(""), SPAN(""), "out of memory");
        finish(job);
        return;
    }
    set_state(job, SMTP_JOB_CONNECTING);
    walk_on(job);
}

/* ---- the session ---- */

bool smtp_job_give_body(struct smtp_job *job)
{
    struct smtp_client *client = job->connection->client;
    struct smtp_piece *piece = first_piece(job);
    bool empty = job->mail.size_bytes == 0;

    if (job->state != SMTP_JOB_MAIL || !smtp_client_wants_body(client) || (!piece && !empty))
        return false;
    smtp_client_body(client, piece ? span_of(piece->bytes, piece->size) : SPAN(""));
    if (piece && piece->size < job->mail.size_bytes) { /* a whole one may be needed again */
        job->consumed = true;
        settle_piece(job, piece);
    }
    return true;
}

/* The queue may have kept the body back until a station is there. */
static void ask_for_body(struct smtp_job *job)
{
    struct ipc_message m = {.type = IPC_JOB_WANTED, .job_wanted = {.job = job->number}};
    bool ask = !job->asked && job->proc->queue && job->epoch == job->proc->epoch;
    int r = ask ? ipc_notify(job->proc->queue, &m) : 0;

    job->asked = true;
    if (r < 0 && r != -EPIPE)
        log_fatal("can't ask for the body of a job: %s", strerror(-r));
}

static void begin_mail(struct smtp_job *job)
{
    struct smtp_piece *piece = first_piece(job);

    if (!piece && job->mail.size_bytes) {
        ask_for_body(job); /* or it is on its way */
        return;
    }
    job->mail.body = piece ? span_of(piece->bytes, piece->size) : SPAN("");
    for (size_t i = 0; i < job->mail.recipient_count; i++)
        job->tried[i] = smtp_result_is_open(job->mail.recipients[i].result);
    set_state(job, SMTP_JOB_MAIL);
    smtp_client_begin(job->connection->client, &job->mail);
    smtp_connection_wake(job->connection);
}

static void note_places(struct smtp_job *job, const struct smtp_connection *c)
{
    struct span host = arena_copy(&job->arena, span_from_cstr(c->host));
    struct span ip = arena_copy(&job->arena, span_from_cstr(c->ip_text));
    bool before_body = !smtp_client_has_begun_body(c->client);

    leave_trouble(job);
    for (size_t i = 0; i < job->mail.recipient_count; i++) {
        const struct smtp_client_recipient *r = &job->mail.recipients[i];
        if (job->tried[i])
            job->places[i] = (struct smtp_place){
                host, ip, job->earlier_size,
                r->result == SMTP_RESULT_HOST ||
                    (r->result == SMTP_RESULT_LATER && r->everybodys && before_body)};
    }
}

/* What the station said to the first of those for whom another one is tried. */
static void note_refusal(struct smtp_job *job)
{
    for (size_t i = 0; i < job->mail.recipient_count; i++) {
        if (!job->tried[i] || !smtp_result_is_open(job->mail.recipients[i].result))
            continue;
        smtp_job_note_earlier(job, &job->places[i], job->mail.recipients[i].text);
        return;
    }
}

/* What is open goes to the next host, if there is one and the message is still at hand. */
static void go_to_next_host(struct smtp_job *job)
{
    struct smtp_connection *c = job->connection;
    bool from_walk = job->from_walk;

    job->connection = NULL;
    if (from_walk) {
        smtp_walk_failed(&job->walk, job->target);
        set_state(job, SMTP_JOB_CONNECTING);
    } else {
        job->spent = !smtp_client_was_stale(c->client);
        memcpy(job->spent_ip, c->ip, sizeof(job->spent_ip));
        set_state(job, SMTP_JOB_RESOLVING);
    }
    smtp_connection_release(c);
    if (from_walk)
        walk_on(job);
    else
        smtp_way_begin(&job->way, job->proc, job->next_hop, on_way);
}

/* The transaction was the last one for some recipient. Else a station that takes one at a time, and
 * then not the message, would be asked for ever. */
static bool got_anywhere(const struct smtp_job *job)
{
    for (size_t i = 0; i < job->mail.recipient_count; i++)
        if (job->tried[i] && !smtp_result_is_open(job->mail.recipients[i].result))
            return true;
    return false;
}

static void mail_is_over(struct smtp_job *job)
{
    struct smtp_connection *c = job->connection;

    note_places(job, c);
    if (!has_open(job, SMTP_RESULT_LATER) || job->consumed || job->proc->ending_ms) {
        finish(job);
    } else if (smtp_client_is_ready(c->client) && has_open(job, SMTP_RESULT_AGAIN) &&
               got_anywhere(job)) {
        set_state(job, SMTP_JOB_GREETING);
        begin_mail(job);
    } else {
        note_refusal(job);
        go_to_next_host(job);
    }
}

void smtp_job_on_session(struct smtp_job *job)
{
    struct smtp_connection *c = job->connection;
    bool ready = smtp_client_is_ready(c->client), over = smtp_client_is_over(c->client);

    if (job->state == SMTP_JOB_MAIL && (ready || over)) {
        mail_is_over(job);
    } else if (job->state == SMTP_JOB_GREETING && ready) {
        begin_mail(job);
    } else if (job->state == SMTP_JOB_GREETING && over) {
        note_session_trouble(job, c);
        go_to_next_host(job);
    }
}

/* ---- what the queue says ---- */

static int copy_recipients(struct smtp_job *job, const struct ipc_job *from)
{
    size_t n = from->recipient_count;
    struct smtp_client_mail *mail = &job->mail;

    mail->recipients = arena_alloc_array(&job->arena, n + 1, sizeof(*mail->recipients));
    job->indexes = arena_alloc_array(&job->arena, n + 1, sizeof(*job->indexes));
    job->tried = arena_alloc_array(&job->arena, n + 1, sizeof(*job->tried));
    job->places = arena_alloc_array(&job->arena, n + 1, sizeof(*job->places));
    job->outcomes = arena_alloc_array(&job->arena, n + 1, sizeof(*job->outcomes));
    if (!mail->recipients || !job->indexes || !job->tried || !job->places || !job->outcomes)
        return -ENOMEM;
    mail->recipient_count = n;
    for (size_t i = 0; i < n; i++) {
        mail->recipients[i].address = arena_copy(&job->arena, from->recipients[i].address);
        mail->recipients[i].notify = from->recipients[i].notify;
        mail->recipients[i].orcpt = arena_copy(&job->arena, from->recipients[i].orcpt);
        job->indexes[i] = from->recipients[i].index;
        if (!mail->recipients[i].address.data || !mail->recipients[i].orcpt.data)
            return -ENOMEM;
    }
    return 0;
}

static int copy_job(struct smtp_job *job, const struct ipc_job *from)
{
    struct smtp_client_mail *mail = &job->mail;

    job->next_hop = arena_copy(&job->arena, from->next_hop);
    mail->sender = arena_copy(&job->arena, from->sender);
    mail->header = arena_copy(&job->arena, from->header);
    mail->size_bytes = from->size_bytes;
    mail->eight_bit = from->body_type == ENVELOPE_BODY_8BITMIME;
    mail->binary = from->body_type == ENVELOPE_BODY_BINARYMIME;
    mail->smtputf8 = from->smtputf8;
    mail->returned = from->returned;
    mail->envelope_id = arena_copy(&job->arena, from->envelope_id);
    if (!mail->envelope_id.data || !job->next_hop.data || !mail->sender.data || !mail->header.data)
        return -ENOMEM;
    return copy_recipients(job, from);
}

static int add_piece(struct smtp_job *job, struct span bytes, uint64_t token,
                     const struct ipc_arrival *arrival)
{
    struct smtp_piece *piece = malloc(sizeof(*piece) + bytes.size);

    if (!piece)
        return -ENOMEM;
    *piece = (struct smtp_piece){.token = token, .held = ipc_hold(arrival), .size = bytes.size};
    memcpy(piece->bytes, bytes.data, bytes.size);
    list_append(&job->pieces, &piece->link);
    job->to_come -= bytes.size;
    return 0;
}

static void begin(struct smtp_job *job)
{
    job->connection = smtp_connection_reuse(job->proc, job->next_hop);
    if (!job->connection) {
        smtp_way_begin(&job->way, job->proc, job->next_hop, on_way);
        return;
    }
    job->connection->job = job;
    set_state(job, SMTP_JOB_GREETING);
    begin_mail(job);
}

static struct smtp_job *new_job(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;
    struct smtp_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->proc = proc;
    job->number = from->job;
    job->token = arrival->token;
    job->epoch = proc->epoch;
    job->to_come = from->size_bytes;
    job->arena = ARENA_LIMITED(ARENA_BYTES);
    job->mail.arena = ARENA_LIMITED(ARENA_BYTES);
    list_init(&job->pieces);
    for (size_t i = 0; i < ARRAY_SIZE(job->attempts); i++)
        job->attempts[i] = (struct smtp_attempt){.job = job, .fd = -1};
    list_append(&proc->jobs, &job->link);
    list_append(numbers_list(&proc->numbered, job->number), &job->by_number);
    proc->job_count++;
    if (copy_job(job, from) == 0 &&
        (!from->body.size || add_piece(job, from->body, 0, arrival) == 0))
        return job;
    job_free(job);
    return NULL;
}

void smtp_job_new(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;

    if (from->body.size > from->size_bytes)
        log_fatal("the queue sent a job whose body is larger than it says");
    struct smtp_job *job = new_job(proc, arrival);
    if (!job) {
        smtp_job_refuse(proc, arrival);
        return;
    }
    note_trouble(job, "4.3.2", SPAN(""), SPAN(""), "the smtp process is about to end");
    job->given_up = proc->ending_ms != 0;
    if (job->given_up)
        finish(job);
    else
        begin(job);
}

static struct smtp_job *find(struct smtp_proc *proc, uint64_t number)
{
    LIST_EACH(numbers_list(&proc->numbered, number), link)
    {
        struct smtp_job *job = CONTAINER_OF(link, struct smtp_job, by_number);
        if (job->number == number && job->epoch == proc->epoch)
            return job;
    }
    return NULL;
}

/* Gives a job up, wherever it is; a message that a session has half sent ends with the session. */
static void drop(struct smtp_job *job, const char *why)
{
    if (job->state == SMTP_JOB_MAIL) {
        smtp_client_lost(job->connection->client, why);
        note_places(job, job->connection);
    } else {
        note_trouble(job, "4.3.2", SPAN(""), SPAN(""), why);
        if (job->connection)
            smtp_client_lost(job->connection->client, why);
    }
    finish(job);
}

/* A piece that the station can have at once needs no memory of its own. */
static bool send_straight(struct smtp_job *job, struct span bytes)
{
    if (job->state != SMTP_JOB_MAIL || first_piece(job) || bytes.size == job->mail.size_bytes ||
        !smtp_client_wants_body(job->connection->client))
        return false;
    job->to_come -= bytes.size;
    job->consumed = true;
    smtp_client_body(job->connection->client, bytes);
    return true;
}

/* A piece of a job that was answered already is only confirmed: it was on its way then. */
void smtp_job_body(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    const struct ipc_job_body *body = &arrival->message->job_body;
    struct smtp_job *job = find(proc, body->job);

    const char *why = body->bytes.size ? "the queue sent more of the message than it had announced"
                                       : "the queue can't read the whole message now";

    bool straight = false;

    if (job && body->bytes.size > 0 && body->bytes.size <= job->to_come) {
        straight = send_straight(job, body->bytes);
        why = !straight && add_piece(job, body->bytes, arrival->token, arrival) < 0
                  ? "no memory for a piece of the message"
                  : NULL;
    }
    if (!why && job->connection)
        smtp_connection_wake(job->connection);
    if (!why && !straight)
        return;
    struct ipc_message reply = {.type = IPC_JOB_TAKEN};
    ipc_reply(arrival->channel, arrival->token, &reply);
    if (why && job)
        drop(job, why);
}

void smtp_jobs_drop(struct smtp_proc *proc, bool unbegun, const char *why)
{
    LIST_EACH(&proc->jobs, link)
    {
        struct smtp_job *job = CONTAINER_OF(link, struct smtp_job, link);
        if (unbegun && job->state == SMTP_JOB_MAIL)
            continue;
        job->given_up = true;
        drop(job, why);
    }
}
