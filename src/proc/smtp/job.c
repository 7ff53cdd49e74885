/*
 * A job's journey. The table of legal steps is in set_state(); every path ends in finish(), which
 * answers the queue.
 *
 *   RESOLVING ──▶ CONNECTING ──▶ GREETING ──▶ MAIL ──▶ OVER
 *
 *   RESOLVING      ──▶ GREETING     a connection that is idle is used again
 *   GREETING, MAIL ──▶ CONNECTING   the next host
 *   GREETING, MAIL ──▶ RESOLVING    all of them anew, when the connection had been used before
 *   MAIL           ──▶ GREETING     once more, for those that were too many at once
 *
 * OVER may follow any: there is no way, nobody answers, or the job is dropped.
 */
#include "proc/smtp/job.h"

#include "base/log.h"
#include "mail/envelope.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 8 << 20 };

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

/* ---- its end ---- */

static void job_free(struct smtp_job *job)
{
    list_remove(&job->link);
    list_remove(&job->by_number);
    job->proc->job_count--;
    smtp_race_done(&job->race);
    smtp_way_done(&job->way);
    smtp_job_body_done(&job->body);
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
    smtp_outcomes_answer(&job->outcomes, job->token, job->epoch,
                         job->has_way ? buffer_span(&job->way.mx_set) : SPAN(""));
    job_free(job);
    if (proc->ending_ms && proc->job_count == 0)
        io_timer_set(proc->tick, 0);
}

static void note_own_trouble(struct smtp_job *job, const char *status, const char *text)
{
    smtp_outcomes_own_trouble(&job->outcomes, status, text);
}

/* ---- connecting ---- */

static struct span host_of(const struct smtp_job *job, size_t target)
{
    return job->way.hosts[smtp_race_target(&job->race, target)->host];
}

/* Once we were in trouble ourselves the others aren't all tried: that counts, not how the one that
 * was under way ended. */
static void on_connect_failed(struct smtp_race *race, size_t target, int error)
{
    struct smtp_job *job = CONTAINER_OF(race, struct smtp_job, race);
    const struct smtp_target *t = smtp_race_target(race, target);
    struct dns_ip ip;
    char ip_text[IP_TEXT], text[SMTP_TROUBLE_TEXT];

    if (smtp_race_is_stopped(race))
        return;
    memcpy(ip.bytes, t->ip, sizeof(ip.bytes));
    ip_format(ip.bytes, ip_text);
    snprintf(text, sizeof(text), "can't connect to [%s]:%u: %s", ip_text, t->port,
             error == ETIMEDOUT ? "no answer" : strerror(error));
    if (smtp_race_is_our_own(error))
        note_own_trouble(job, "4.3.0", text);
    else
        smtp_outcomes_trouble(&job->outcomes, "4.4.1", host_of(job, target),
                              span_from_cstr(ip_text), text);
}

static bool is_again(const struct smtp_job *job, const struct smtp_target *station)
{
    return job->comes_again && smtp_target_is_same(station, &job->again_at);
}

/* Nor is anybody named again to a station that has put off all who are left. */
static bool leaves_out(const struct smtp_race *race, const struct smtp_target *target)
{
    const struct smtp_job *job = CONTAINER_OF(race, struct smtp_job, race);

    return (job->spent && smtp_target_is_same(target, &job->spent_at)) ||
           (is_again(job, target) && smtp_outcomes_are_put_off(&job->outcomes));
}

static void on_connected(struct smtp_race *race, size_t target, int fd)
{
    struct smtp_job *job = CONTAINER_OF(race, struct smtp_job, race);
    const struct smtp_target *station = smtp_race_target(race, target);

    job->target = target;
    job->mail.rest_only = is_again(job, station);
    job->from_race = true;
    job->has_served = false;
    job->connection = smtp_connection_new(job->proc, &job->user, job->next_hop, fd,
                                          host_of(job, target), station);
    if (job->connection) {
        set_state(job, SMTP_JOB_GREETING);
        return;
    }
    note_own_trouble(job, "4.3.0", "out of memory");
    finish(job);
}

static void on_nobody_left(struct smtp_race *race)
{
    finish(CONTAINER_OF(race, struct smtp_job, race));
}

static const struct smtp_race_owner race_owner = {
    .leaves_out = leaves_out,
    .failed = on_connect_failed,
    .connected = on_connected,
    .over = on_nobody_left,
};

static void on_way(struct smtp_way *way)
{
    struct smtp_job *job = CONTAINER_OF(way, struct smtp_job, way);

    job->has_way = true;
    if (way->failed) {
        smtp_outcomes_way_trouble(&job->outcomes, way);
        finish(job);
        return;
    }
    set_state(job, SMTP_JOB_CONNECTING);
    if (smtp_race_begin(&job->race, way->targets, way->target_count) < 0) {
        note_own_trouble(job, "4.3.0", "out of memory");
        finish(job);
    }
}

/* ---- the session ---- */

static bool give_body(struct smtp_connection_user *user)
{
    struct smtp_job *job = CONTAINER_OF(user, struct smtp_job, user);

    return job->state == SMTP_JOB_MAIL && smtp_job_body_give(&job->body, job->connection->client);
}

/* Only with the body's first piece at hand: what the message needs (8BITMIME, SMTPUTF8) shows in
 * it, and a station isn't kept waiting in the middle. */
static void begin_mail(struct smtp_job *job)
{
    if (!smtp_job_body_first(&job->body, &job->mail.body)) {
        smtp_job_body_ask(&job->body); /* or it is on its way */
        return;
    }
    smtp_outcomes_begin(&job->outcomes);
    set_state(job, SMTP_JOB_MAIL);
    smtp_client_begin(job->connection->client, &job->mail);
    smtp_connection_wake(job->connection);
}

/* A kept connection that ends before it has answered anything was kept too long, also when it does
 * so while the message's body is still waited for. So was one that has just taken this message for
 * some, where a station takes one message a connection: once for each that it took. */
static bool is_stale(const struct smtp_job *job)
{
    const struct smtp_client *client = job->connection->client;

    return (!job->from_race || job->has_served) && !smtp_client_trouble_is_ours(client) &&
           (job->state == SMTP_JOB_GREETING || smtp_client_was_stale(client));
}

/* Also when there was a way: what was tried on it may be tried again. */
static void look_for_way(struct smtp_job *job)
{
    smtp_race_done(&job->race);
    smtp_race_init(&job->race, job->proc, &race_owner);
    smtp_way_done(&job->way);
    job->has_way = false;
    smtp_way_begin(&job->way, job->proc, job->next_hop, on_way);
}

/* The goodbye of such a station came along with its word for those whom it took. */
static bool is_served_out(const struct smtp_job *job)
{
    const struct smtp_client *client = job->connection->client;

    return smtp_client_is_over(client) && !smtp_client_trouble_is_ours(client) &&
           smtp_outcomes_has_rest(&job->outcomes) && smtp_outcomes_took_some(&job->outcomes);
}

/* For the rest, whatever station comes between: what this one said is remembered with its address,
 * as the next connection may be to another. */
static void come_again(struct smtp_job *job)
{
    const struct smtp_target *station = &job->connection->address;

    smtp_outcomes_put_off(&job->outcomes, is_again(job, station));
    job->again_at = *station;
    job->comes_again = job->mail.rest_only = true;
}

/* What is open goes to the next host, if there is one and the message is still at hand. A reused
 * connection says little of its host, so the way is looked for anew; an address that refused us on
 * it (spent) is left out, one whose connection had only come to its end (stale) is tried again. */
static void go_to_next_host(struct smtp_job *job, bool stale)
{
    struct smtp_connection *c = job->connection;
    bool goes_on = job->from_race && !stale;

    if (goes_on) {
        set_state(job, SMTP_JOB_CONNECTING);
    } else {
        job->spent = !stale;
        job->spent_at = c->address;
        set_state(job, SMTP_JOB_RESOLVING);
    }
    job->connection = NULL;
    smtp_connection_release(c);
    if (goes_on)
        smtp_race_go_on(&job->race, job->target);
    else
        look_for_way(job);
}

/* A body that was streamed is gone, so there is no second host for it; when we end, or are in
 * trouble ourselves, the queue tries later. */
static void mail_is_over(struct smtp_job *job)
{
    struct smtp_connection *c = job->connection;
    struct smtp_outcomes *o = &job->outcomes;
    bool stale = is_stale(job);

    if (stale)
        smtp_outcomes_forget(o);
    else
        smtp_outcomes_take(o, c);
    if (is_served_out(job)) {
        come_again(job);
        stale = true;
    }
    if (!smtp_outcomes_has_open(o) || smtp_outcomes_are_ours(o) || job->body.consumed ||
        job->proc->ending_ms) {
        finish(job);
    } else if (smtp_client_is_ready(c->client) && smtp_outcomes_has_rest(o) &&
               smtp_outcomes_got_anywhere(o)) {
        /* Without the last, a station that takes one at a time, and then not the message, would be
         * asked for ever. */
        come_again(job);
        job->has_served = true;
        set_state(job, SMTP_JOB_GREETING);
        begin_mail(job);
    } else {
        if (!stale)
            smtp_outcomes_leave(o);
        go_to_next_host(job, stale);
    }
}

/* With another host our own trouble would be the same, and a trouble of that host hide it. */
static void greeting_failed(struct smtp_job *job)
{
    const struct smtp_client *client = job->connection->client;
    bool ours = smtp_client_trouble_is_ours(client), stale = is_stale(job);

    if (stale)
        smtp_outcomes_forget(&job->outcomes);
    else
        smtp_outcomes_session_trouble(&job->outcomes, job->connection);
    if (ours)
        finish(job);
    else
        go_to_next_host(job, stale);
}

static void on_session(struct smtp_connection_user *user)
{
    struct smtp_job *job = CONTAINER_OF(user, struct smtp_job, user);
    struct smtp_connection *c = job->connection;
    bool ready = smtp_client_is_ready(c->client), over = smtp_client_is_over(c->client);

    if (job->state == SMTP_JOB_MAIL && (ready || over)) {
        mail_is_over(job);
    } else if (job->state == SMTP_JOB_GREETING && ready) {
        begin_mail(job);
    } else if (job->state == SMTP_JOB_GREETING && over) {
        greeting_failed(job);
    }
}

/* ---- what the queue says ---- */

static int copy_recipients(struct smtp_job *job, const struct ipc_job *from)
{
    size_t n = from->recipient_count;
    struct smtp_client_mail *mail = &job->mail;

    mail->recipients = arena_alloc_array(&job->arena, n + 1, sizeof(*mail->recipients));
    if (!mail->recipients)
        return -ENOMEM;
    mail->recipient_count = n;
    for (size_t i = 0; i < n; i++) {
        mail->recipients[i].address = arena_copy(&job->arena, from->recipients[i].address);
        mail->recipients[i].notify = from->recipients[i].notify;
        mail->recipients[i].orcpt = arena_copy(&job->arena, from->recipients[i].orcpt);
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

/* All that can fail for want of memory. */
static int fill(struct smtp_job *job, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;
    int r = copy_job(job, from);

    if (r == 0)
        r = smtp_outcomes_init(&job->outcomes, job->proc, &job->arena, &job->mail, from);
    if (r == 0 && from->body.size)
        r = smtp_job_body_add(&job->body, arrival, from->body, 0);
    return r;
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
    job->arena = ARENA_LIMITED(ARENA_BYTES);
    job->mail.arena = ARENA_LIMITED(ARENA_BYTES);
    job->user = (struct smtp_connection_user){on_session, give_body};
    smtp_job_body_init(&job->body, proc, from);
    smtp_race_init(&job->race, proc, &race_owner);
    list_append(&proc->jobs, &job->link);
    list_append(numbers_list(&proc->numbered, job->number), &job->by_number);
    proc->job_count++;
    if (fill(job, arrival) == 0)
        return job;
    job_free(job);
    return NULL;
}

/* A connection that is idle is taken before anybody is asked for the way: it is the same next hop,
 * and all three handshakes are saved. */
static void begin(struct smtp_job *job)
{
    job->connection = smtp_connection_reuse(job->proc, &job->user, job->next_hop);
    if (!job->connection) {
        smtp_way_begin(&job->way, job->proc, job->next_hop, on_way);
        return;
    }
    set_state(job, SMTP_JOB_GREETING);
    begin_mail(job);
}

void smtp_job_new(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;

    if (from->body.size > from->size_bytes)
        log_fatal("the queue sent a job whose body is larger than it says");
    struct smtp_job *job = new_job(proc, arrival);
    if (!job) {
        smtp_outcomes_refuse(proc, arrival);
        return;
    }
    /* The word for whatever ends the job before a station had a part in it. */
    note_own_trouble(job, "4.3.2", "the smtp process is about to end");
    job->outcomes.given_up = proc->ending_ms != 0;
    if (job->outcomes.given_up)
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
        smtp_client_give_up(job->connection->client, why);
        smtp_outcomes_take(&job->outcomes, job->connection);
    } else {
        note_own_trouble(job, "4.3.2", why);
        if (job->connection)
            smtp_client_give_up(job->connection->client, why);
    }
    finish(job);
}

/* NULL, or why the job can't go on. A piece that the session couldn't have at once was kept. */
static const char *take_piece(struct smtp_job *job, const struct ipc_arrival *arrival,
                              bool *out_kept)
{
    struct span bytes = arrival->message->job_body.bytes;

    if (bytes.size == 0)
        return "the queue can't read the whole message now";
    if (bytes.size > job->body.to_come)
        return "the queue sent more of the message than it had announced";
    if (job->state == SMTP_JOB_MAIL &&
        smtp_job_body_pass(&job->body, job->connection->client, bytes))
        return NULL;
    if (smtp_job_body_add(&job->body, arrival, bytes, arrival->token) < 0)
        return "no memory for a piece of the message";
    *out_kept = true;
    return NULL;
}

/* A piece that was kept is confirmed when the session has had it, any other one at once: also that
 * of a job that was answered already, for it was on its way then. */
void smtp_job_piece(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    struct smtp_job *job = find(proc, arrival->message->job_body.job);
    bool kept = false;
    const char *why = job ? take_piece(job, arrival, &kept) : NULL;

    if (job && !why && job->connection)
        smtp_connection_wake(job->connection);
    if (!kept) {
        struct ipc_message reply = {.type = IPC_JOB_TAKEN};
        ipc_reply(arrival->channel, arrival->token, &reply);
    }
    if (why)
        drop(job, why);
}

void smtp_jobs_drop(struct smtp_proc *proc, enum smtp_job_state last, const char *why)
{
    LIST_EACH(&proc->jobs, link)
    {
        struct smtp_job *job = CONTAINER_OF(link, struct smtp_job, link);
        if (job->state > last)
            continue;
        job->outcomes.given_up = true;
        drop(job, why);
    }
}
