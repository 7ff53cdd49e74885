/* From what was read to the report in the spool. */
#include "proc/queue/returns/undelivered.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/event.h"
#include "proc/queue/accept/commit.h"
#include "proc/queue/core/mutant.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/settle.h"
#include "proc/queue/returns/suggest.h"
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { QUOTED_MAX = 600 }; /* of words in a report's question: a report shows no more */

/* In the envelope of a report to the postmaster, of which nobody is told any more. */
static const char double_bounce[] = "double bounce";
static const char report_service[] = "report";

/* Who gets the report. */
static struct span reader_of(const struct undelivered *u)
{
    return u->to_postmaster ? span_of(u->postmaster, u->postmaster_bytes)
                            : u->stored->envelope.sender;
}

/* ---- the report goes to the spool ---- */

/* Only now has its sender been told: the outcome of the recipients is booked behind it, never
 * before. */
static void on_kept(void *arg, enum ipc_commit_result result)
{
    struct undelivered *u = arg;

    if (result == IPC_COMMIT_ACCEPTED)
        undelivered_told(u);
    else
        undelivered_rest(u);
}

/* What must never happen (core/mutant.h). */
static void nobody_waits(void *arg, enum ipc_commit_result result)
{
}

/* RFC 3461 section 6.1: the null sender, and nobody is to be told of the report itself. RFC 5321
 * section 4.5.5: so a report that fails makes none of its own. */
static int keep(struct undelivered *u, const struct ipc_reported *made)
{
    struct envelope_wish wish = {.notify = ENVELOPE_NOTIFY_NEVER, .original = SPAN("")};
    struct envelope_recipient recipient = {.address = reader_of(u),
                                           .original = reader_of(u),
                                           .flags =
                                               u->reader_expands ? ENVELOPE_RECIPIENT_EXPANDS : 0};
    struct envelope e = {.id = u->report_id,
                         .sender = SPAN(""),
                         .recipients = &recipient,
                         .recipient_count = 1,
                         .body = made->eight_bit ? ENVELOPE_BODY_8BITMIME : ENVELOPE_BODY_7BIT,
                         .smtputf8 = made->smtputf8,
                         .size_bytes = made->message.size,
                         .client = {.uid = UINT32_MAX,
                                    .service = span_from_cstr(report_service),
                                    .helo = span_from_cstr(u->to_postmaster ? double_bounce : ""),
                                    .protocol = span_from_cstr(report_service)},
                         .wishes = &wish,
                         .wish_count = 1};
    struct buffer wire = BUFFER_INIT;

    u->settlement = settlement_new(u->queue, u->count);
    if (!u->settlement)
        return -ENOMEM;
    SHA256((const unsigned char *)made->message.data, made->message.size, e.digest);
    int r = codec_encode(&envelope_codec, &e, &wire);
    if (r == 0)
        r = commit_own(u->queue, buffer_span(&wire), made->message,
                       QUEUE_MUTANT == MUTANT_RETURN_UNTOLD ? nobody_waits : on_kept, u);
    if (r == 0 && QUEUE_MUTANT == MUTANT_RETURN_UNTOLD)
        undelivered_told(u);
    buffer_done(&wire);
    return r;
}

/* The text is borrowed from the reply, so it goes into the spool before this returns. It isn't kept
 * when it names who was held or released meanwhile: another one is written without them.
 * -EMSGSIZE: so many recipients don't fit one report; half of them get another. */
static void on_written(struct ipc_call *call, const struct ipc_message *reply)
{
    struct undelivered *u = CONTAINER_OF(call, struct undelivered, call);
    int error = reply ? reply->reported.error : -EPIPE;

    if (!undelivered_goes_on(u))
        return;
    if (u->count < u->named) {
        undelivered_rest(u);
        return;
    }
    undelivered_set_state(u, UNDELIVERED_KEEPING);
    if (error == 0)
        error = keep(u, &reply->reported);
    if (error == 0)
        return;
    if (error == -EMSGSIZE)
        undelivered_split(u);
    else if (error != -EPIPE)
        log_error("report: it could not be written: %s", strerror(-error));
    undelivered_rest(u);
}

/* ---- the report is written ---- */

/* Whom Germans and their neighbours write to is mostly told in German, unless it is configured. */
static enum report_language language_of(const struct queue *q, struct span address)
{
    static const char *const german[] = {".de", ".at", ".ch", ".li"};

    if (q->conf->report_language != CONF_LANGUAGE_AUTO)
        return q->conf->report_language == CONF_LANGUAGE_DE ? REPORT_GERMAN : REPORT_ENGLISH;
    for (size_t i = 0; i < ARRAY_SIZE(german); i++) {
        struct span end = span_from_cstr(german[i]);
        if (address.size > end.size &&
            span_equal_nocase(span_from(address, address.size - end.size), end))
            return REPORT_GERMAN;
    }
    return REPORT_ENGLISH;
}

/* The configured one; else the sender's own when we serve its domain, else the first domain's. */
static struct span postmaster_of(const struct undelivered *u, char out[static ENVELOPE_ADDRESS_MAX])
{
    const struct conf_queue *conf = u->queue->conf;
    struct span domain = address_domain_of(u->stored->envelope.sender);

    if (conf->postmaster.size)
        return conf->postmaster;
    if (!route_is_here(u->queue->conf, domain))
        domain = conf->first_domain < conf->domain_count ? conf->domains[conf->first_domain].name
                                                         : conf->hostname;
    int size = snprintf(out, ENVELOPE_ADDRESS_MAX, "postmaster@" SPAN_FMT,
                        SPAN_ARG(span_first(domain, 255)));
    return span_of(out, (size_t)size);
}

/* A domain that doesn't exist, takes no mail or can't be found is perhaps mistyped. */
static bool is_about_domain(struct span status)
{
    return span_equal(status, SPAN("5.1.2")) || span_equal(status, SPAN("5.1.10")) ||
           span_equal(status, SPAN("5.4.4"));
}

/* What the mailbox process says names paths, and the quota and use of its owner, which are nobody
 * else's: strangers learn the first part of it (ipc/catalogue.h); the book has all of it. Nor is
 * the mailbox a station (RFC 3464 section 2.3.5: no Remote-MTA). */
static void leave_out_ours(const struct undelivered *u, const struct envelope_recipient *r,
                           struct ipc_report_recipient *out)
{
    const struct conf_queue *conf = u->queue->conf;
    bool here = r ? route_is_here(conf, address_domain_of(r->address))
                  : span_equal(out->host, conf->hostname);
    const char *end = out->reply.size ? memmem(out->reply.data, out->reply.size, ": ", 2) : NULL;

    if (!here || event_is_reply(out->reply))
        return;
    out->host = SPAN("");
    if (end)
        out->reply = span_first(out->reply, (size_t)(end - out->reply.data));
}

static void fill_recipient(struct undelivered *u, const struct spool_status *cause,
                           struct ipc_report_recipient *out)
{
    struct wish_source source = undelivered_source(u);
    const struct envelope_recipient *r = spool_stored_recipient(u->stored, cause->recipient);
    char instead[ENVELOPE_ADDRESS_MAX];

    *out = (struct ipc_report_recipient){.status = cause->status,
                                         .host = span_first(cause->host, QUOTED_MAX),
                                         .reply = span_first(cause->reply, QUOTED_MAX),
                                         .why = span_first(cause->detail, QUOTED_MAX),
                                         .orcpt = wish_find(&source, cause->recipient).original,
                                         .instead = SPAN(""),
                                         .last_attempt_us = cause->time_us};
    if (u->kind == REPORT_FAILED && cause->outcome == SPOOL_OUTCOME_EXPIRED) {
        out->end = REPORT_END_EXPIRED;
        out->status = SPAN("4.4.7"); /* RFC 3463 3.5: delivery time expired */
    }
    if (cause->outcome == SPOOL_OUTCOME_REROUTED) { /* outcome_give_back(), after no attempt */
        out->end = REPORT_END_GIVEN_UP;
        out->last_attempt_us = 0;
    }
    leave_out_ours(u, r, out);
    if (!r)
        return;
    out->address = r->address;
    out->original = span_equal(r->address, r->original) ? SPAN("") : r->original;
    if (u->kind == REPORT_FAILED && is_about_domain(cause->status))
        out->instead = arena_copy(
            &u->arena, span_of(instead, suggest_address(u->queue->conf, r->address, instead)));
}

/* The report process gets what the report says and nothing else: not the message's body unless all
 * of it is to be returned, and not the spool. */
static void ask_for_report(struct undelivered *u, struct ipc_report_recipient *recipients)
{
    struct queue *q = u->queue;
    const struct envelope *e = &u->stored->envelope;
    char postmaster[ENVELOPE_ADDRESS_MAX];
    int64_t now_us = clock_wall_us();
    struct ipc_message ask = {
        .type = IPC_REPORT,
        .report = {.kind = (uint8_t)u->kind,
                   .language = (uint8_t)language_of(q, reader_of(u)),
                   .id = id_make(&q->returns->ids, now_us),
                   .now_us = now_us,
                   .hostname = q->conf->hostname,
                   .postmaster = postmaster_of(u, postmaster),
                   .original_id = u->id,
                   .sender = reader_of(u),
                   .arrival_us = e->accepted_us,
                   .until_us = e->accepted_us + (int64_t)q->conf->give_up_ms * 1000,
                   .header = span_of(u->header, u->header_bytes),
                   .whole = u->whole,
                   .envelope_id = e->envelope_id,
                   .recipients = recipients,
                   .recipient_count = u->count}};

    if (!u->whole)
        ask.report.header = span_first(ask.report.header, REPORT_HEADER_MAX);
    u->named = u->count;
    u->report_id = ask.report.id;
    id_format(&u->report_id, u->report_text);
    u->call.fn = on_written;
    undelivered_set_state(u, UNDELIVERED_WRITING);
    u->needs_report = !q->returns->report;
    if (!q->returns->report || ipc_call(q->returns->report, &u->call, &ask) < 0)
        undelivered_rest(u);
}

static void write_report(struct undelivered *u)
{
    struct ipc_report_recipient recipients[REPORT_RECIPIENTS_MAX] __attribute__((uninitialized));

    for (size_t i = 0; i < u->count; i++)
        fill_recipient(u, &u->causes[i], &recipients[i]);
    ask_for_report(u, recipients);
}

/* ---- who gets it? ---- */

static void find_reader(struct undelivered *u);

/* Nobody is told of a report to the postmaster, so nothing goes round in a circle. */
static bool is_double_already(const struct undelivered *u)
{
    const struct envelope *e = &u->stored->envelope;

    return u->to_postmaster || (span_equal(e->client.service, span_from_cstr(report_service)) &&
                                span_equal(e->client.helo, span_from_cstr(double_bounce)));
}

/* It can't be told to its sender. Only failures: a lost notice of a delay harms nobody, and a
 * receipt that can't be given is no loss of mail. */
static void fall_back(struct undelivered *u, const char *why)
{
    if (u->kind != REPORT_FAILED ||
        u->queue->conf->double_bounce != CONF_DOUBLE_BOUNCE_POSTMASTER || is_double_already(u)) {
        undelivered_untold(u, why);
        return;
    }
    u->to_postmaster = true;
    struct span address = postmaster_of(u, u->postmaster);
    u->postmaster_bytes = span_first(address, sizeof(u->postmaster)).size;
    memmove(u->postmaster, address.data, u->postmaster_bytes);
    find_reader(u);
}

/* These are answers, and no later try will change them: that sender doesn't exist here, or is an
 * alias that nobody is behind, or more than one message may go to. All else means that the
 * directory can't tell now. NULL: he may be found. */
static const char *why_nobody(int error)
{
    switch (error) {
    case -ENOENT:
        return "the sender's mailbox doesn't exist";
    case -ENOLINK:
        return "the sender is an alias that leads to nobody";
    case -E2BIG:
        return "the sender is an alias with too many recipients";
    default:
        return NULL;
    }
}

static void on_reader_found(struct ipc_call *call, const struct ipc_message *reply)
{
    struct undelivered *u = CONTAINER_OF(call, struct undelivered, call);
    int error = reply ? reply->expanded.error : -EPIPE;

    if (!undelivered_goes_on(u))
        return;
    if (error) {
        const char *why = why_nobody(error);
        if (why)
            fall_back(u, why);
        else
            undelivered_rest(u);
        return;
    }
    u->reader_expands = reply->expanded.address_count != 1 ||
                        !span_equal(reply->expanded.addresses[0].address, reader_of(u));
    write_report(u);
}

/* A local sender may be forged, or an alias; mailboxes are never made for who doesn't exist. */
static void find_reader(struct undelivered *u)
{
    struct queue *q = u->queue;
    struct ipc_message ask = {.type = IPC_EXPAND, .expand.address = reader_of(u)};

    u->reader_expands = false;
    if (!route_is_here(q->conf, address_domain_of(reader_of(u)))) {
        write_report(u);
        return;
    }
    u->call.fn = on_reader_found;
    undelivered_set_state(u, UNDELIVERED_FINDING);
    if (!q->directory || ipc_call(q->directory, &u->call, &ask) < 0)
        undelivered_rest(u);
}

/* In this order: what needs no telling any more, what can't be told now, what may not be told to
 * its sender, what he didn't want, and then the report. A null sender ends here (RFC 5321 4.5.5).
 */
void undelivered_loaded(struct undelivered *u)
{
    bool receipt = undelivered_is_receipt(u);

    u->to_postmaster = false;
    if (!undelivered_goes_on(u))
        return;
    if (receipt && u->error == -EBADMSG)
        undelivered_free(u);
    else if ((u->queue->closing && !receipt) || u->error)
        undelivered_rest(u); /* a damaged message is set aside when the reader closes */
    else if (!u->stored->envelope.sender.size)
        fall_back(u, "it is a report itself, and nobody is told of those");
    else if (!undelivered_drop_unwanted(u))
        undelivered_free(u);
    else
        find_reader(u);
}
