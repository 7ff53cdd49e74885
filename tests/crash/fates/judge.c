/* What must hold, of one who is attempted and of all when nothing is under way. */
#include "life.h"

#include <stdio.h>

enum { UNDER_WAY_TURNS = 3 }; /* a job was on its way to its carrier as the hold was sealed */

/* ---- who is attempted ---- */

/* An attempt before it in the same life, of which the queue knows or will know. */
static void judge_again(struct life *life, const struct letter *letter, uint32_t index,
                        const struct attempt *last)
{
    bool known = last->heard || (last->answered && carriers_may_answer(life, last));

    if (!last->answered && carriers_may_answer(life, last))
        notes_fail(&life->notes, "%s %u is attempted twice at a time", notes_text(letter), index);
    if (last->life == life->number && known && last->outcome == IPC_OUTCOME_DELIVERED)
        notes_fail(&life->notes, "%s %u is attempted, and was delivered", notes_text(letter),
                   index);
}

void judge_attempt(struct life *life, const struct letter *letter, uint32_t index)
{
    if (index >= letter->fate_count) {
        notes_fail(&life->notes, "%s has no recipient %u", notes_text(letter), index);
        return;
    }
    const struct fate *fate = &letter->fates[index];
    const struct attempt *last = notes_last_attempt(&life->notes, fate);
    if (fate->end)
        notes_fail(&life->notes, "%s %u is attempted behind its end %u", notes_text(letter), index,
                   fate->end);
    if (fate->is_held && life->turns - fate->held_at > UNDER_WAY_TURNS)
        notes_fail(&life->notes, "%s %u is attempted, and is held", notes_text(letter), index);
    if (last)
        judge_again(life, letter, index, last);
}

/* ---- at an end in good order ---- */

/* A refusal is booked with the return that it leads to: who still waits for that is attempted again
 * after the start. */
static bool must_be_booked(const struct life *life, const struct fate *fate,
                           const struct attempt *attempt)
{
    if (attempt->life != life->number || !attempt->heard || attempt->booked ||
        attempt->outcome == IPC_OUTCOME_UNTRIED)
        return false;
    return attempt->outcome != IPC_OUTCOME_FAILED || fate->end || fate->is_held;
}

void judge_end(struct life *life)
{
    const struct notes *notes = &life->notes;

    for (size_t i = 0; i < notes->letter_count && !life->was_faulty; i++) {
        const struct letter *letter = notes->letters[i];
        for (size_t f = 0; f < letter->fate_count; f++)
            for (size_t a = 0; a < letter->fates[f].attempt_count; a++) {
                const struct attempt *attempt = &notes->attempts[letter->fates[f].attempts[a]];
                if (must_be_booked(life, &letter->fates[f], attempt))
                    notes_fail(&life->notes, "%s %zu: result %lu is booked nowhere",
                               notes_text(letter), f, (unsigned long)attempt->serial);
            }
    }
}

/* ---- when the queue is empty ---- */

static bool is_delivered(const struct fate *fate)
{
    return fate->end == SPOOL_OUTCOME_DELIVERED || fate->end == SPOOL_OUTCOME_RELAYED;
}

static bool names(const struct letter *report, const struct fate *fate)
{
    for (size_t i = 0; i < report->named_count; i++)
        if (strcmp(report->named[i], fate->address) == 0)
            return true;
    return false;
}

/* Told by a report that the log has, and that is about him. */
static void judge_returned(struct life *life, const struct letter *letter, const struct fate *fate)
{
    const struct letter *report = notes_find(&life->notes, &fate->report);

    if (!report || !report->sealed || !report->is_report || report->kind != REPORT_FAILED ||
        !id_equal(&report->about, &letter->id) || !names(report, fate))
        notes_fail(&life->notes,
                   "%s to <%s> was returned by a report that isn't there or isn't its",
                   notes_text(letter), fate->address);
}

/* Nobody is told of reports, of whose sender there is none, and where he asked for it. */
static void judge_discarded(struct life *life, const struct letter *letter, const struct fate *fate)
{
    bool double_bounce = strncmp(fate->why, "double bounce: ", 15) == 0 &&
                         (!letter->sender[0] || strncmp(letter->sender, "gone@", 5) == 0);
    bool unwanted =
        strncmp(fate->why, "its sender asked not ", 21) == 0 &&
        ((letter->notify && !(letter->notify & ENVELOPE_NOTIFY_FAILURE)) || letter->is_report);

    if (!double_bounce && !unwanted)
        notes_fail(&life->notes, "%s to <%s> was discarded: %s", notes_text(letter), fate->address,
                   fate->why);
}

/* A hold or removal that the disk refused may be there after a crash all the same, and he was
 * attempted meanwhile. */
static bool may_have_come_back(const struct life *life, const struct letter *letter,
                               const struct fate *fate)
{
    return life->statistics.faulty && (letter->asked[IPC_ACT_HOLD] || fate->asked[IPC_ACT_HOLD] ||
                                       fate->end == SPOOL_OUTCOME_REMOVED);
}

static void judge_fate(struct life *life, const struct letter *letter, const struct fate *fate,
                       size_t index)
{
    unsigned booked = is_delivered(fate);

    if (!fate->end)
        notes_fail(&life->notes, "%s %zu has no end", notes_text(letter), index);
    if (fate->delivered < booked)
        notes_fail(&life->notes, "%s %zu is booked as delivered, and nobody has it",
                   notes_text(letter), index);
    if (fate->delivered > booked && !fate->said[SPOOL_OUTCOME_UNCERTAIN] &&
        !may_have_come_back(life, letter, fate))
        notes_fail(&life->notes, "%s %zu was delivered %u times, and the log has no doubt",
                   notes_text(letter), index, fate->delivered);
    if (fate->end == SPOOL_OUTCOME_REMOVED && !letter->asked[IPC_ACT_REMOVE] &&
        !fate->asked[IPC_ACT_REMOVE])
        notes_fail(&life->notes, "%s %zu is removed, and nobody asked for it", notes_text(letter),
                   index);
    if (!admin_is_obeyed(fate))
        notes_fail(&life->notes, "%s %zu: an act was said to be done, and is lost",
                   notes_text(letter), index);
    if (fate->said[SPOOL_OUTCOME_NOTIFIED] > 1)
        notes_fail(&life->notes, "%s %zu: its sender was told twice of the delay",
                   notes_text(letter), index);
    if (fate->end == SPOOL_OUTCOME_RETURNED)
        judge_returned(life, letter, fate);
    if (fate->end == SPOOL_OUTCOME_DISCARDED)
        judge_discarded(life, letter, fate);
}

/* What a report says is so. A failure's report is there before the end that it tells of, so a crash
 * in between may make a second one, or a lie; so may one that the disk refused and has all the
 * same. */
static void judge_report(struct life *life, const struct letter *report)
{
    struct letter *about = notes_find(&life->notes, &report->about);

    for (size_t i = 0; about && i < report->named_count; i++) {
        const struct fate *fate = notes_fate_named(about, report->named[i]);
        char text[ID_TEXT + 1];
        bool is_so = false;
        id_format(&report->id, text);
        if (!fate)
            is_so = false;
        else if (report->kind == REPORT_FAILED)
            is_so = (fate->end == SPOOL_OUTCOME_RETURNED && id_equal(&fate->report, &report->id)) ||
                    life->broken[report->life];
        else if (report->kind == REPORT_DELAYED) /* he may have had his end meanwhile */
            is_so = fate->said[SPOOL_OUTCOME_NOTIFIED] || fate->end;
        else
            is_so = is_delivered(fate) || fate->end == SPOOL_OUTCOME_EXPANDED;
        if (!is_so)
            notes_fail(&life->notes, "report %s of kind %u says of %s to <%s> what isn't so", text,
                       report->kind, notes_text(about), report->named[i]);
    }
}

void judge_all(struct life *life)
{
    for (size_t i = 0; i < life->notes.letter_count; i++) {
        const struct letter *letter = life->notes.letters[i];
        if (letter->accepted && !letter->sealed)
            notes_fail(&life->notes, "%s was accepted and is lost", notes_text(letter));
        if (letter->is_report && letter->sealed)
            judge_report(life, letter);
        for (size_t f = 0; f < letter->fate_count; f++)
            judge_fate(life, letter, &letter->fates[f], f);
    }
}
