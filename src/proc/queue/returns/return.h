/*
 * Telling senders: who sent what can't be delivered is told by a report (RFC 3464), a message of
 * its own through the same spool; then the recipient is closed as returned. Never the other way
 * round: a crash in between makes a second report, not a missing one. In the same way senders are
 * told once that their mail waits, and of what they wanted a receipt for.
 *
 *   GATHERING ─▶ LOADING ─▶ FINDING ─▶ WRITING ─▶ KEEPING ──sealed──▶ booked as returned, notified
 *    ▲ ▲▼ others  envelope,  who is     the report  the report
 *    │ │  of the  header     the sender process     goes to the spool
 *    │ │  message
 *    │ EXPECTING, those that are being attempted
 *    └──────────── RESTING ◀── any step failed for now; longer each time, up to a minute
 *
 * A sender elsewhere isn't looked for: WRITING follows LOADING. FINDING follows itself when the
 * postmaster is told instead. Whoever nobody waits for any more, or nobody can be told of, is
 * freed.
 *
 * Nothing of this is on disk before the report is: after a restart the recipient is attempted again
 * and fails again; until then it is shown as held. The same is true of a notice of delay. A receipt
 * is made after its recipient was closed, so one that was under way at a crash is lost.
 *
 * An administrator's act, or a hold for damage, takes a failed recipient back before its report is
 * on its way to the disk: then the attempt is booked as one that failed for now, by the act itself
 * when that came behind the failure. While an act on a recipient is on its way there his report
 * rests, and no other act begins that would tell of the same failure; while the report is, its
 * recipients are left by all acts: at no time are both.
 *
 * A report that can't be delivered (null sender, RFC 5321 4.5.5), or whose sender doesn't exist, is
 * nobody's: its recipient is closed as discarded by the rule "double bounce", or the postmaster
 * gets a report about it, and of that one none.
 *
 * All of it is in memory, so it is bounded: RETURNS_MAX. While there are so many the scheduler
 * gives up nobody, and who failed is attempted again, as after trouble of our own.
 */
#pragma once

#include "mail/report.h"
#include "proc/queue/core/queue.h"

/* `seed`: random; keeps strangers from choosing hashes. */
void returns_init(struct queue *q, uint64_t seed);
void returns_done(struct queue *q);
/* A channel to the report process; owns `fd` on success. */
int returns_report(struct queue *q, int fd);
/* The report process is there and has so little to do that more may be given up, on purpose or
 * since their destinations are dead. */
bool returns_are_open(const struct queue *q);
/* So many wait to be told of that attempts had better wait as well; as long as reports are being
 * written, or whatever hinders these would stop all mail. */
bool returns_are_behind(const struct queue *q);
/* There is room for one more that failed for good. Else it should be attempted again: very many
 * wait to be told of, since reports can't be written or there are too many at once. */
bool returns_have_room(const struct queue *q);
/* What keeps senders from being told, as a word for `postbuch status`: "process" (that of reports
 * isn't there, and somebody waits for it), "full" (there is no room for more), "behind" (attempts
 * wait for reports), or "none". */
const char *returns_trouble(const struct queue *q);
/* What rests is tried again. */
void returns_tick(struct queue *q);
/* While the queue is closing: all is left to the next process, but who is held isn't attempted
 * there, so the book learns now how his attempt went. False: not of all, for want of memory. */
bool returns_close(struct queue *q);

/* This recipient failed for good. `cause` is copied: attempts, time, status, reply, host, detail.
 * Its outcome says as what it is booked already; 0: it isn't. The scheduler holds its item until
 * the return is booked; an administrator who acts on it before the report is written takes it back:
 * who is held is attempted again when he is released. False without the memory for it: he gets a
 * new item, and is attempted again in a minute. */
bool return_to_sender(struct queue *q, struct spool_recipient *recipient,
                      const struct spool_status *cause);

enum return_stage {
    RETURN_NONE,
    RETURN_WAITS,   /* for its report, which isn't on its way to the disk yet */
    RETURN_IS_KEPT, /* it is: the sender is told, whatever anybody does now */
};

/* How far its report is. With WAITS *out (NULL is fine) says how its attempt went, as DEFERRED, to
 * be booked in front of an act on it; its outcome is 0 when that is booked. Borrowed until anything
 * changes. */
enum return_stage return_stage(const struct queue *q, struct spool_recipient *recipient,
                               struct spool_status *out);
/* An act on it is on the disk; `told`: with how its attempt went. So it waits for its report no
 * more, unless it failed since the act was given and isn't held. What its sender was to be told is
 * kept for return_again() as long as it is held or goes back to him, and forgotten else. */
void return_take_back(struct queue *q, struct spool_recipient *recipient, bool told);
/* return_to_sender() with the cause that was kept. False: there is none, nothing happened. */
bool return_again(struct queue *q, struct spool_recipient *recipient);
/* The message goes: nothing need be kept of it. */
void return_forget(struct queue *q, const struct spool_message *message);

/* Its sender wants a receipt: DELIVERED, RELAYED, or EXPANDED (then `recipient` is the index of who
 * became several). Before the message goes; `what` is copied as above. */
void return_receipt(struct queue *q, struct spool_message *message, enum report_kind kind,
                    const struct spool_status *what);
/* A message was accepted: receipts for those that became several. */
void return_expanded(struct queue *q, struct spool_message *message, const struct parcel *parcel);
