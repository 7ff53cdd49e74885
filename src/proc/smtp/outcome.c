#include "proc/smtp/outcome.h"

#include "base/log.h"
#include "proc/common/job_result.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int smtp_outcomes_init(struct smtp_outcomes *o, struct smtp_proc *proc, struct arena *arena,
                       struct smtp_client_mail *mail, const struct ipc_job *from)
{
    size_t n = mail->recipient_count;

    o->proc = proc;
    o->arena = arena;
    o->mail = mail;
    o->indexes = arena_alloc_array(arena, n + 1, sizeof(*o->indexes));
    o->tried = arena_alloc_array(arena, n + 1, sizeof(*o->tried));
    o->places = arena_alloc_array(arena, n + 1, sizeof(*o->places));
    o->list = arena_alloc_array(arena, n + 1, sizeof(*o->list));
    if (!o->indexes || !o->tried || !o->places || !o->list)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        o->indexes[i] = from->recipients[i].index;
    return 0;
}

/* ---- on the way ---- */

/* Cut when it is too long, and counted as cut: `earlier_size` never goes beyond the end. A trouble
 * without a host is not a station that was tried. */
static void note_earlier(struct smtp_outcomes *o, const struct smtp_place *place, struct span text)
{
    char *at = o->earlier + o->earlier_size;
    size_t room = sizeof(o->earlier) - o->earlier_size;

    if (place->host.size == 0 || room <= sizeof("tried before: "))
        return;
    int n =
        snprintf(at, room, "%s" SPAN_FMT ": " SPAN_FMT,
                 o->earlier_size ? "; " : "tried before: ", SPAN_ARG(place->host), SPAN_ARG(text));
    o->earlier_size += (size_t)n < room ? (size_t)n : room - 1;
}

static void set_trouble(struct smtp_outcomes *o, const char *status, const char *text,
                        struct smtp_place place)
{
    note_earlier(o, &o->trouble_place, o->trouble);
    snprintf(o->trouble_status, sizeof(o->trouble_status), "%s", status);
    o->trouble = arena_copy(o->arena, span_from_cstr(text));
    if (!o->trouble.data)
        o->trouble = SPAN("");
    place.earlier = o->earlier_size;
    o->trouble_place = place;
}

/* A name of the DNS is up to 1,003 characters (each byte may be escaped): cut as a connection keeps
 * it, so that the answer has room for it. */
void smtp_outcomes_trouble(struct smtp_outcomes *o, const char *status, struct span host,
                           struct span ip, const char *text)
{
    host = span_first(host, SMTP_HOST_SIZE - 1);
    set_trouble(o, status, text,
                (struct smtp_place){.host = arena_copy(o->arena, host),
                                    .ip = arena_copy(o->arena, ip),
                                    .scope = IPC_SCOPE_DESTINATION});
}

void smtp_outcomes_own_trouble(struct smtp_outcomes *o, const char *status, const char *text)
{
    set_trouble(o, status, text, (struct smtp_place){.scope = IPC_SCOPE_OURS});
}

void smtp_outcomes_session_trouble(struct smtp_outcomes *o, const struct smtp_connection *c)
{
    char text[SMTP_TROUBLE_TEXT];

    snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(smtp_client_trouble(c->client)));
    if (smtp_client_trouble_is_ours(c->client))
        smtp_outcomes_own_trouble(o, smtp_client_trouble_status(c->client), text);
    else
        smtp_outcomes_trouble(o, smtp_client_trouble_status(c->client), span_from_cstr(c->host),
                              span_from_cstr(c->ip_text), text);
}

/* A domain that has no place for mail is the end for each recipient. */
void smtp_outcomes_way_trouble(struct smtp_outcomes *o, const struct smtp_way *way)
{
    char text[SMTP_TROUBLE_TEXT];

    snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(way->text));
    if (way->ours)
        smtp_outcomes_own_trouble(o, way->status, text);
    else
        smtp_outcomes_trouble(o, way->status, SPAN(""), SPAN(""), text);
    for (size_t i = 0; way->permanent && i < o->mail->recipient_count; i++) {
        struct smtp_client_recipient *r = &o->mail->recipients[i];
        if (!smtp_result_is_open(r->result))
            continue;
        r->result = SMTP_RESULT_NEVER;
        r->text = arena_copy(o->arena, way->text);
        snprintf(r->status, sizeof(r->status), "%s", way->status);
        o->places[i] = (struct smtp_place){0};
    }
}

/* ---- at a station ---- */

/* Who has an outcome already (an earlier station took the message for him) isn't tried at this one,
 * and keeps what he has. */
void smtp_outcomes_begin(struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        o->tried[i] = smtp_client_tries(o->mail, &o->mail->recipients[i]);
}

/* The trouble is behind us: a station was found. */
static void leave_trouble(struct smtp_outcomes *o)
{
    note_earlier(o, &o->trouble_place, o->trouble);
    o->trouble_place = (struct smtp_place){.scope = IPC_SCOPE_DESTINATION};
}

/* RFC 3463 section 3: X.1 is an address, X.2 a mailbox, X.6 the content. Others fare no worse for
 * it: one sender whose domain can't be found must not hold up their mail. */
static bool is_about_message(const char *status)
{
    return strlen(status) > 3 && status[3] == '.' && strchr("126", status[2]);
}

/* A host's trouble concerns the destination, and a 4yz for the whole message before its body, which
 * says "not now" to anybody, unless it says whom it means. After the body it may be the message. */
static bool concerns_destination(const struct smtp_client_recipient *r, bool before_body)
{
    return r->result == SMTP_RESULT_HOST || (r->result == SMTP_RESULT_LATER && r->everybodys &&
                                             before_body && !is_about_message(r->status));
}

/* Our own trouble is no station's. */
static struct smtp_place place_of(const struct smtp_outcomes *o,
                                  const struct smtp_client_recipient *r, struct smtp_place station,
                                  bool before_body)
{
    station.earlier = o->earlier_size;
    if (r->result == SMTP_RESULT_OURS)
        return (struct smtp_place){.earlier = o->earlier_size, .scope = IPC_SCOPE_OURS};
    if (concerns_destination(r, before_body))
        station.scope = IPC_SCOPE_DESTINATION;
    return station;
}

/* Also whom the session itself refused, by what the station had offered: all that it knew of that
 * is old. */
void smtp_outcomes_forget(struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->tried[i])
            o->mail->recipients[i].result = SMTP_RESULT_OPEN;
    smtp_outcomes_own_trouble(o, "4.4.2", "the connection that was kept had ended");
}

void smtp_outcomes_take(struct smtp_outcomes *o, const struct smtp_connection *c)
{
    struct smtp_place station = {.host = arena_copy(o->arena, span_from_cstr(c->host)),
                                 .ip = arena_copy(o->arena, span_from_cstr(c->ip_text)),
                                 .scope = IPC_SCOPE_RECIPIENT};
    bool before_body = !smtp_client_has_begun_body(c->client);

    leave_trouble(o);
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->tried[i])
            o->places[i] = place_of(o, &o->mail->recipients[i], station, before_body);
}

bool smtp_outcomes_are_ours(const struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->mail->recipients[i].result == SMTP_RESULT_OURS)
            return true;
    return false;
}

bool smtp_outcomes_has_open(const struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (smtp_result_is_open(o->mail->recipients[i].result))
            return true;
    return false;
}

bool smtp_outcomes_has_rest(const struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->tried[i] && o->mail->recipients[i].result <= SMTP_RESULT_AGAIN)
            return true;
    return false;
}

void smtp_outcomes_put_off(struct smtp_outcomes *o, bool again)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++) {
        struct smtp_client_recipient *r = &o->mail->recipients[i];
        r->put_off = (again && r->put_off) || (o->tried[i] && r->result == SMTP_RESULT_LATER);
    }
}

bool smtp_outcomes_are_put_off(const struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (smtp_result_is_open(o->mail->recipients[i].result) && !o->mail->recipients[i].put_off)
            return false;
    return true;
}

bool smtp_outcomes_got_anywhere(const struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->tried[i] && !smtp_result_is_open(o->mail->recipients[i].result))
            return true;
    return false;
}

bool smtp_outcomes_took_some(const struct smtp_outcomes *o)
{
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->tried[i] && o->mail->recipients[i].result == SMTP_RESULT_TAKEN)
            return true;
    return false;
}

/* This station hasn't taken the message for him, in its last transaction or one before. */
static bool is_left(const struct smtp_outcomes *o, size_t i)
{
    const struct smtp_client_recipient *r = &o->mail->recipients[i];

    return (o->tried[i] || (o->mail->rest_only && r->put_off)) && smtp_result_is_open(r->result);
}

/* The index of the first of those who are tried elsewhere, by whose result; else their number. */
static size_t first_left(const struct smtp_outcomes *o, bool host)
{
    size_t i = 0, n = o->mail->recipient_count;

    while (i < n && !(is_left(o, i) && (o->mail->recipients[i].result == SMTP_RESULT_HOST) == host))
        i++;
    return i;
}

/* All of a station have the same words. */
static void make_trouble(struct smtp_outcomes *o, size_t recipient)
{
    const struct smtp_client_recipient *r = &o->mail->recipients[recipient];

    memcpy(o->trouble_status, r->status, sizeof(o->trouble_status));
    o->trouble = r->text;
    o->trouble_place = o->places[recipient];
    for (size_t i = 0; i < o->mail->recipient_count; i++)
        if (o->tried[i] && o->mail->recipients[i].result == SMTP_RESULT_HOST)
            o->mail->recipients[i].result = SMTP_RESULT_OPEN;
}

/* Else what the station said to the first of them. */
void smtp_outcomes_leave(struct smtp_outcomes *o)
{
    size_t n = o->mail->recipient_count, host = first_left(o, true), other = first_left(o, false);

    if (host < n)
        make_trouble(o, host);
    else if (other < n)
        note_earlier(o, &o->places[other], o->mail->recipients[other].text);
}

/* ---- the answer ---- */

/* UNCERTAIN: the body went out, and no answer came. The queue decides whether that is tried again;
 * this process must not turn it into either. */
static enum ipc_outcome outcome_kind(enum smtp_result result)
{
    switch (result) {
    case SMTP_RESULT_TAKEN:
        return IPC_OUTCOME_DELIVERED;
    case SMTP_RESULT_NEVER:
        return IPC_OUTCOME_FAILED;
    case SMTP_RESULT_UNCERTAIN:
        return IPC_OUTCOME_UNCERTAIN;
    default:
        return IPC_OUTCOME_DEFERRED;
    }
}

static struct ipc_job_outcome outcome_of(const struct smtp_outcomes *o, size_t i)
{
    const struct smtp_client_recipient *r = &o->mail->recipients[i];
    /* Not tried at all, or the last try got no answer about it: the way's trouble tells more. */
    bool untried = r->result == SMTP_RESULT_OPEN;
    const struct smtp_place *place = untried ? &o->trouble_place : &o->places[i];

    return (struct ipc_job_outcome){
        .index = o->indexes[i],
        .outcome =
            (uint8_t)(untried && o->given_up ? IPC_OUTCOME_UNTRIED : outcome_kind(r->result)),
        .scope = (uint8_t)place->scope,
        .status = span_from_cstr(untried ? o->trouble_status : r->status),
        .text = untried ? o->trouble : r->text,
        .remote_id = r->result == SMTP_RESULT_TAKEN ? smtp_remote_id(r->text) : SPAN(""),
        .knows_wish = r->result == SMTP_RESULT_TAKEN && r->knows_wish,
        .host = place->host,
        .ip = place->ip,
        .earlier = span_of(o->earlier, place->earlier),
    };
}

static void count(struct smtp_proc *proc, enum ipc_outcome outcome)
{
    proc->relayed += outcome == IPC_OUTCOME_DELIVERED;
    proc->failed += outcome == IPC_OUTCOME_FAILED;
    proc->uncertain += outcome == IPC_OUTCOME_UNCERTAIN;
    proc->deferred += outcome == IPC_OUTCOME_DEFERRED;
}

void smtp_outcomes_answer(struct smtp_outcomes *o, uint64_t token, uint64_t epoch,
                          struct span mx_set)
{
    size_t n = o->mail->recipient_count;
    struct ipc_message m = {.type = IPC_JOB_RESULT};
    struct ipc_job_outcome *list = o->list;

    for (size_t i = 0; i < n; i++) {
        list[i] = outcome_of(o, i);
        count(o->proc, list[i].outcome);
    }
    m.job_result = (struct ipc_job_result){
        .outcomes = list,
        .outcome_count = n,
        .mx_set = mx_set,
    };
    /* Another queue knows nothing of this job: it has booked it as uncertain, or was never told. */
    if (!o->proc->queue || epoch != o->proc->epoch)
        return;
    job_result_send(o->proc->queue, token, &m);
}

void smtp_outcomes_refuse(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;
    struct ipc_message m = {.type = IPC_JOB_RESULT};
    static struct ipc_job_outcome list[IPC_JOB_RECIPIENTS_MAX];

    log_warn("no memory for a job: it is put off");
    for (size_t i = 0; i < from->recipient_count; i++) {
        list[i] = (struct ipc_job_outcome){.index = from->recipients[i].index,
                                           .outcome = IPC_OUTCOME_DEFERRED,
                                           .scope = IPC_SCOPE_OURS,
                                           .status = SPAN("4.3.0"),
                                           .text = SPAN("no memory for it now")};
        count(proc, IPC_OUTCOME_DEFERRED);
    }
    m.job_result =
        (struct ipc_job_result){.outcomes = list, .outcome_count = from->recipient_count};
    job_result_send(arrival->channel, arrival->token, &m);
}
