/* The queue's figures for `postbuch status`, as members of a JSON object. */
#include "proc/queue/status.h"

#include "proc/queue/accept/pressure.h"
#include "proc/queue/accept/refusals.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/carry/dispatch.h"
#include "proc/queue/core/overdue.h"
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/returns.h"
#include <inttypes.h>

/* Names are a promise to who reads the JSON; counters are since the start of the process. */
static void add(struct buffer *json, const char *name, uint64_t value)
{
    buffer_printf(json, "%s\"%s\":%" PRIu64,
                  json->size && json->data[json->size - 1] != '{' ? "," : "", name, value);
}

static void add_schedule(const struct queue *q, struct buffer *json)
{
    struct sched_counters c;

    sched_count(q->sched, &c);
    add(json, "paused", c.counts[SCHED_PAUSED]);
    add(json, "ready", c.counts[SCHED_READY]);
    add(json, "active", c.counts[SCHED_ACTIVE]);
    add(json, "held", c.counts[SCHED_HELD]);
    add(json, "destinations", c.destinations);
    add(json, "destinations_pausing", c.destinations_pausing);
}

static void add_spool(const struct queue *q, struct buffer *json)
{
    struct spool_counts c;

    spool_get_counts(q->spool, &c);
    buffer_printf(json, ",\"spool\":{");
    add(json, "messages", c.messages);
    add(json, "waiting", c.waiting);
    add(json, "held", c.held);
    add(json, "set_aside", c.set_aside);
    add(json, "memory_bytes", c.memory_bytes);
    add(json, "pending_bytes", c.pending_bytes);
    add(json, "groups", c.groups);
    add(json, "records", c.records);
    add(json, "bytes_written", c.bytes_written);
    add(json, "log_segments", c.log_segments);
    add(json, "bulk_segments", c.bulk_segments);
    add(json, "spare_segments", c.spare_segments);
    add(json, "compacted", c.compacted);
    add(json, "recycled", c.recycled);
    add(json, "book_lag_segments", c.book_lag_segments);
    buffer_printf(json, "}");
}

/* What is still to be told, not yet in the spool. */
static void add_reports(const struct queue *q, struct buffer *json)
{
    const struct returns *r = q->returns;

    buffer_printf(json, ",\"reports\":{");
    add(json, "failed", r->failed.all);
    add(json, "delayed", r->delayed.all);
    add(json, "receipts", r->receipts.all);
    add(json, "under_way", r->busy);
    add(json, "put_off", r->failed.resting + r->delayed.resting + r->receipts.resting);
    add(json, "memory_bytes", r->bytes);
    buffer_printf(json, ",\"trouble\":\"%s\"}", returns_trouble(q));
}

void queue_status(const struct queue *q, struct buffer *json)
{
    add(json, "accepted", q->accepted);
    add(json, "deferred_at_reception", q->deferred);
    add(json, "rejected_at_reception", q->rejected);
    add(json, "delivered", q->dispatch->delivered);
    add(json, "relayed", q->dispatch->relayed);
    add(json, "attempts_deferred", q->dispatch->deferred);
    add(json, "attempts_refused", q->dispatch->refused);
    add(json, "attempts_uncertain", q->dispatch->uncertain);
    add(json, "attempts_lost", q->dispatch->lost);
    add(json, "returned", q->returns->returned);
    add(json, "double_bounces", q->returns->double_bounces);
    add(json, "delays_told", q->returns->notified);
    add(json, "receipts_sent", q->returns->receipted);
    add(json, "jobs", dispatch_job_count(q));
    add_schedule(q, json);
    add(json, "events_booked", q->events->booked);
    add(json, "events_dropped", q->events->dropped);
    add(json, "delivered_from_memory", q->parcels.hits);
    add(json, "delivered_from_disk", q->parcels.misses);
    /* Our own words and numbers: nothing to escape. */
    buffer_printf(json, ",\"defers\":%s,\"defers_why\":\"%s", q->pressure->defer ? "true" : "false",
                  q->pressure->text);
    pressure_append_figures(q, json);
    buffer_printf(json, "\"");
    overdue_status(q, json);
    add_reports(q, json);
    add_spool(q, json);
}
