/* What the log says, in its order, as a book would read it. */
#include "life.h"

#include <stdio.h>

static void open_log(struct life *life)
{
    if (life->follower)
        return;
    assert_int_equal(spool_follower_new(store_sim_open(life->disk), life->at, &life->follower), 0);
}

void log_close(struct life *life)
{
    spool_follower_free(life->follower);
    life->follower = NULL;
}

static struct letter *letter_of(struct life *life, const struct spool_followed *record)
{
    struct letter *letter = notes_find(&life->notes, &record->message);

    if (!letter)
        notes_fail(&life->notes, "the log speaks of a message that nobody sent or wrote");
    return letter;
}

static void take_message(struct life *life, const struct spool_followed *record)
{
    struct letter *letter = letter_of(life, record);

    if (!letter)
        return;
    if (letter->sealed)
        notes_fail(&life->notes, "the log has %s twice", notes_text(letter));
    letter->sealed = true;
    life->statistics.reports += letter->is_report;
    for (size_t i = 0; i < record->envelope->recipient_count; i++)
        notes_add_fate(letter, record->envelope->recipients[i].address);
}

static void take_expansion(struct life *life, const struct spool_followed *record)
{
    struct letter *letter = letter_of(life, record);
    const struct spool_expansion *e = record->expansion;

    if (!letter)
        return;
    if (e->parent >= letter->fate_count || record->first_child != letter->fate_count ||
        letter->fates[e->parent].end) {
        notes_fail(&life->notes, "%s: an expansion that can't be", notes_text(letter));
        return;
    }
    letter->fates[e->parent].end = SPOOL_OUTCOME_EXPANDED;
    for (size_t i = 0; i < e->child_count; i++)
        notes_add_fate(letter, e->children[i].address);
}

/* ---- statuses ---- */

/* Of which attempt it tells; NULL: of none. */
static struct attempt *attempt_told(struct life *life, const struct spool_status *s)
{
    const struct span mark = SPAN("result ");
    const struct span *texts[] = {&s->reply, &s->detail};
    uint64_t serial;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (span_starts_nocase(*texts[i], mark) &&
            span_to_u64(span_from(*texts[i], mark.size), life->notes.attempt_count, &serial) == 0 &&
            serial > 0)
            return &life->notes.attempts[serial - 1];
    return NULL;
}

/* EXPIRED and RETURNED name the last attempt's words, which are booked for themselves as well. */
static void take_attempt(struct life *life, const struct letter *letter,
                         const struct spool_status *s)
{
    struct attempt *attempt = attempt_told(life, s);
    bool tells_only = s->outcome == SPOOL_OUTCOME_EXPIRED || s->outcome == SPOOL_OUTCOME_RETURNED ||
                      s->outcome == SPOOL_OUTCOME_DISCARDED;

    if (!attempt)
        return;
    if (!tells_only && attempt->booked_itself)
        notes_fail(&life->notes, "%s %u: result %lu is booked twice", notes_text(letter),
                   s->recipient, (unsigned long)attempt->serial);
    attempt->booked_itself |= !tells_only;
    attempt->booked = true;
}

static void take_end(struct life *life, struct fate *fate, const struct spool_status *s)
{
    fate->end = s->outcome;
    life->statistics.returned += s->outcome == SPOOL_OUTCOME_RETURNED;
    life->statistics.removed += s->outcome == SPOOL_OUTCOME_REMOVED;
    life->statistics.discarded += s->outcome == SPOOL_OUTCOME_DISCARDED;
    if (s->outcome == SPOOL_OUTCOME_RETURNED && id_parse(s->remote_id, &fate->report) < 0)
        notes_fail(&life->notes, "<%s> was returned by a report without an id", fate->address);
    if (s->outcome == SPOOL_OUTCOME_DISCARDED)
        snprintf(fate->why, sizeof(fate->why), SPAN_FMT, SPAN_ARG(s->detail));
}

static void take_status(struct life *life, struct letter *letter, const struct spool_status *s)
{
    if (s->recipient >= letter->fate_count) {
        notes_fail(&life->notes, "%s has no recipient %u", notes_text(letter), s->recipient);
        return;
    }
    struct fate *fate = &letter->fates[s->recipient];
    life_say(life, "%s %u: the log says %u (" SPAN_FMT ") (" SPAN_FMT ")", notes_text(letter),
             s->recipient, s->outcome, SPAN_ARG(s->reply), SPAN_ARG(s->detail));
    if (fate->end)
        notes_fail(&life->notes, "%s %u: %u is booked behind its end %u", notes_text(letter),
                   s->recipient, s->outcome, fate->end);
    fate->said[s->outcome]++;
    fate->said_by_admin[s->outcome] += span_starts_nocase(s->detail, SPAN("by uid "));
    if (s->outcome == SPOOL_OUTCOME_HELD || s->outcome == SPOOL_OUTCOME_RELEASED) {
        fate->is_held = s->outcome == SPOOL_OUTCOME_HELD;
        fate->held_at = life->turns;
    }
    if (spool_outcome_is_final(s->outcome))
        take_end(life, fate, s);
    take_attempt(life, letter, s);
}

static void take_statuses(struct life *life, const struct spool_followed *record)
{
    struct letter *letter = letter_of(life, record);

    for (size_t i = 0; letter && i < record->status_count; i++)
        take_status(life, letter, &record->statuses[i]);
}

/* ---- records ---- */

static void take(struct life *life, const struct spool_followed *record)
{
    switch (record->kind) {
    case SPOOL_FOLLOWED_MESSAGE:
        take_message(life, record);
        break;
    case SPOOL_FOLLOWED_EXPAND:
        take_expansion(life, record);
        break;
    case SPOOL_FOLLOWED_STATUS:
        take_statuses(life, record);
        break;
    case SPOOL_FOLLOWED_DAMAGED:
    case SPOOL_FOLLOWED_GAP:
    case SPOOL_FOLLOWED_GONE:
        notes_fail(&life->notes, "the log has damage or lacks a part");
        break;
    case SPOOL_FOLLOWED_EVENT:
    case SPOOL_FOLLOWED_ALARM:
    case SPOOL_FOLLOWED_MOVED:
    case SPOOL_FOLLOWED_RESTATED:
    case SPOOL_FOLLOWED_SEAL:
        break;
    }
}

void log_read(struct life *life)
{
    struct spool_position limit = spool_sealed_position(life->world->queue.spool);
    struct spool_followed record;
    int r = 1;

    if (spool_position_compare(limit, life->at) <= 0 || store_sim_stopped(life->disk))
        return;
    open_log(life);
    spool_follower_set_limit(life->follower, limit);
    while (!life_failed(life) && (r = spool_follower_next(life->follower, &record)) > 0) {
        take(life, &record);
        life->at = record.next;
    }
    if (r < 0 && !store_sim_stopped(life->disk))
        notes_fail(&life->notes, "the log can't be read: %s", strerror(-r));
}

void log_fold(struct life *life)
{
    const struct ipc_message m = {.type = IPC_FOLDED,
                                  .position = {life->at.segment, life->at.offset}};

    log_read(life);
    if (life->world->book && life->world->sealed.segment)
        assert_int_equal(ipc_notify(life->world->book, &m), 0);
}
