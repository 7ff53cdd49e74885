/*
 * What is off is told by name and counted; how far the audit is, too. Who is told may take his time
 * (a pager), and SQLite's log grows behind a file that is held open meanwhile: so findings wait
 * until it is closed. But a ledger that is wholly wrong has millions of them, so not all do.
 */
#include "book/audit_impl.h"

#include <stdio.h>

/* What `postbuch audit --json` prints; programs go by these words, so none is renamed. */
static const char *const names[AUDIT_KIND_COUNT] = {
    [AUDIT_FILE] = "file",
    [AUDIT_CHAIN] = "chain",
    [AUDIT_VALUE] = "value",
    [AUDIT_HEAD] = "head",
    [AUDIT_STATE] = "state",
    [AUDIT_ORPHAN] = "orphan",
    [AUDIT_EXPANSION] = "expansion",
    [AUDIT_OVERDUE] = "overdue",
    [AUDIT_NOT_IN_QUEUE] = "not_in_queue",
    [AUDIT_NOT_IN_BOOK] = "not_in_book",
    [AUDIT_DAMAGE] = "damage",
    [AUDIT_CHECKPOINT] = "checkpoint",
    [AUDIT_ALARM] = "alarm",
};

const char *audit_kind_name(enum audit_kind kind)
{
    return names[kind];
}

struct held_finding {
    struct held_finding *next;
    struct audit_finding finding;
    struct audit_acknowledged acknowledged;
};

/* False: there is no room for more. */
static bool hold(struct audit *audit, const struct audit_finding *finding)
{
    struct held_finding *h = arena_alloc(&audit->held, sizeof(*h));
    struct span text = arena_copy(&audit->held, span_from_cstr(finding->text));

    if (!h || !text.data)
        return false;
    h->finding = *finding;
    h->finding.text = text.data;
    if (finding->acknowledged) {
        h->acknowledged = *finding->acknowledged;
        h->finding.acknowledged = &h->acknowledged;
        if (h->acknowledged.reason.data) /* NULL: erased */
            h->acknowledged.reason = arena_copy(&audit->held, h->acknowledged.reason);
        if (finding->acknowledged->reason.data && !h->acknowledged.reason.data)
            return false;
    }
    *(audit->last_held ? &audit->last_held->next : &audit->first_held) = h;
    audit->last_held = h;
    return true;
}

void audit_tell_held(struct audit *audit)
{
    for (const struct held_finding *h = audit->first_held; h; h = h->next)
        audit->options->found(audit->options->arg, &h->finding);
    audit->first_held = audit->last_held = NULL;
    arena_clear(&audit->held);
}

/* `broken`: what speaks of a changed past rather than of a recipient's fate. `audit` says it apart,
 * since it is answered by looking for an intruder or a bad disk, not by looking at the queue. */
void audit_tell_finding(struct audit *audit, struct audit_finding finding)
{
    enum audit_kind kind = finding.kind;

    finding.file = audit->file;
    if (finding.acknowledged) {
        audit->counts->acknowledged++;
        if (!audit->options->with_acknowledged)
            return;
    } else {
        audit->counts->findings += kind != AUDIT_ALARM;
        audit->counts->broken += kind == AUDIT_FILE || kind == AUDIT_CHAIN || kind == AUDIT_VALUE ||
                                 kind == AUDIT_HEAD || kind == AUDIT_CHECKPOINT;
    }
    if (audit->db && hold(audit, &finding))
        return;
    audit_tell_held(audit); /* in their order */
    audit->options->found(audit->options->arg, &finding);
}

void audit_tell(struct audit *audit, enum audit_kind kind, const struct id *id, uint32_t index,
                const char *text)
{
    struct audit_finding finding = {.kind = kind, .recipient_index = index, .text = text};

    if (id)
        finding.id = *id;
    audit_tell_finding(audit, finding);
}

void audit_progress(struct audit *audit, uint64_t done, uint64_t total)
{
    enum { EVERY = 4096 };

    if (audit->options->progress && (done % EVERY == 0 || done == total))
        audit->options->progress(audit->options->arg, audit->file, done, total);
}

void audit_tell_damage(struct audit_queue *queue, enum audit_kind kind, const struct id *id,
                       const char *place, const char *text)
{
    struct audit *audit = queue->audit;

    snprintf(audit->file, sizeof(audit->file), "%s", place);
    audit_tell(audit, kind, id, EVENT_NO_RECIPIENT, text);
    audit->file[0] = '\0';
}
