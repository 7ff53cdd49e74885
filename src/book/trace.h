/*
 * Tracing: what the ledger knows of a message, read-only, while the fold may be writing. The result
 * is plain structures; trace_json.c and trace_text.c show them. All texts may be hostile (they came
 * by the network) and are NULL spans when they were erased.
 */
#pragma once

#include "base/arena.h"
#include "mail/event.h"

struct trace_query {
    struct span what; /* address, Message-ID, queue id, remote id, reference, session id; "": any */
    int64_t since_us; /* 0: no limit */
    enum recipient_state state; /* 0: any */
    size_t limit;               /* newest that many messages, and as many refusals; > 0 */
    size_t bytes; /* no message more when the result has grown to so many; 0: no bound */
};

/* Texts as booked; what the kind doesn't have is "" (or NULL, when a whole row was erased). */
struct trace_event {
    uint8_t kind; /* enum event_kind */
    int64_t time_us;
    int64_t next_attempt_us;
    struct span host, ip, reply, status, remote_id, tls, detail;
    uint32_t actor_uid; /* EVENT_NO_ACTOR */
};

struct trace_entry {
    uint32_t index;
    uint32_t parent; /* EVENT_NO_RECIPIENT: none */
    struct span address, original;
    uint8_t state;              /* enum recipient_state */
    int64_t since_us;           /* when it came into this state */
    int64_t next_attempt_us;    /* 0: none */
    struct trace_event *events; /* in the order in which they were booked */
    size_t event_count;
    size_t child_count; /* of all that the message has, whether or not the query asked for them */
};

struct trace_message {
    struct id id;
    int64_t accepted_us;
    struct span sender, message_id;
    uint64_t size_bytes;
    struct id session;
    struct span helo, ip, service, protocol, tls, auth;
    uint16_t port;
    uint32_t uid; /* EVENT_NO_ACTOR */
    struct trace_entry *entries;
    size_t entry_count;
};

/* The entry of this index, or NULL. */
static inline const struct trace_entry *trace_entry_at(const struct trace_message *m,
                                                       uint32_t index)
{
    for (size_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].index == index)
            return &m->entries[i];
    return NULL;
}

struct trace_refusal {
    struct id reference, session;
    int64_t time_us, until_us;
    uint32_t count;
    uint16_t port;
    struct span ip, service, helo, tls, auth, sender, recipient, phase, reply;
};

struct trace_result {
    struct arena arena;
    struct trace_message *messages; /* the oldest first */
    size_t message_count;
    struct trace_refusal *refusals; /* the oldest first */
    size_t refusal_count;
    bool more;             /* the limit or the bound cut something off … */
    bool more_messages;    /* … and of messages it did */
    bool out_of_memory;    /* a text is lacking: trace_run() failed */
    struct buffer skipped; /* a line for each file that couldn't be read: "name: why" */
};

/* 0; -ENOENT or -EACCES when the folder can't be read; -ENOMEM. A file that is damaged, newer or
 * closed to this user is skipped and named. trace_result_done() is fine after any of them. */
int trace_run(const char *folder, const struct trace_query *query, struct trace_result *out);
void trace_result_done(struct trace_result *result);

/* ---- trace_json.c ---- */

/* One line of JSON for each message and refusal; docs/manual/trace.md. 0 or -ENOMEM. */
int trace_json(const struct trace_result *result, struct buffer *out);

/* ---- trace_text.c ---- */

/* Escape sequences for a terminal, or all "". Borrowed, static. */
struct trace_style {
    const char *bold, *dim, *good, *bad, *reset;
};

/* All of the result as paragraphs for people, in local time. 0 or -ENOMEM. */
int trace_text(const struct trace_result *result, int64_t now_us, const struct trace_style *style,
               struct buffer *out);
/* One event as one line, with the recipient, for --follow. 0 or -ENOMEM. */
int trace_text_event(const struct trace_message *message, const struct trace_entry *entry,
                     const struct trace_event *event, struct buffer *out);
/* Behind a blank, where an administrator sent it: not as the log has it (docs/formats/spool.md) but
 * as he writes it, "smtp:HOST:PORT", several with commas, "mx:DOMAIN", or a domain. False: back to
 * its sender; nothing is appended. */
bool trace_text_way(struct span way, struct buffer *out);

/* ---- trace_sentence.c ---- */

/* Where responsibility for this recipient lies now, and whom to ask: one sentence, appended without
 * a newline. `now_us`: of the wall clock, for "is due" and ages. 0 or -ENOMEM. */
int trace_sentence(const struct trace_message *message, const struct trace_entry *entry,
                   int64_t now_us, struct buffer *out);
/* Why it waits, in the last station's words or ours; "" when it doesn't wait. Borrowed. */
struct span trace_why(const struct trace_entry *entry);
/* The event that gave it to who has it now, or NULL. Borrowed from `entry`, as the next two. */
const struct trace_event *trace_holder(const struct trace_entry *entry);
/* The last event that says why an attempt didn't succeed, or NULL. */
const struct trace_event *trace_trouble(const struct trace_entry *entry);
/* Closed because whom it stands for has the message by other entries. */
bool trace_is_duplicate(const struct trace_entry *entry);
/* The event that keeps a waiting entry held, or NULL. */
const struct trace_event *trace_held(const struct trace_entry *entry);
