/*
 * The queue is a moving target: a difference counts when it is there in two looks, each of which
 * asks the queue first and reads the book after it has caught up.
 */
#include "book/audit_impl.h"

#include <errno.h>

/* What the book has waiting, in all its files. */
static int collect_from_book(const char *folder, struct audit_set *out)
{
    struct ledger_list list;
    struct db db;
    int r = ledger_list(folder, &list);

    for (size_t i = 0; r >= 0 && i < list.count; i++) {
        if (list.files[i].kind != WEEK_ENTRIES)
            continue;
        if (audit_open_week(folder, &list.files[i], &db) < 0)
            continue; /* told already */
        r = audit_collect_waiting(&db, out);
        r = r == -ENOMEM ? r : 0;
        db_done(&db);
    }
    ledger_list_done(&list);
    audit_set_sort(out);
    return r;
}

/* One look at both sides. */
struct look {
    struct audit_queue queue;
    struct audit_set only_book, only_queue;
};

static void look_done(struct look *look)
{
    audit_queue_done(&look->queue);
    audit_set_done(&look->only_book);
    audit_set_done(&look->only_queue);
}

static int subtract(const struct audit_set *from, const struct audit_set *what,
                    struct audit_set *out)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < from->count; i++)
        if (!audit_set_find(what, &from->items[i]))
            r = audit_add_waiting(out, &from->items[i]);
    return r;
}

static int look(struct audit *audit, const char *folder, struct look *out)
{
    struct audit_set book = {0};
    int r;

    out->queue.audit = audit;
    r = audit->options->look_at_queue(audit->options->arg, &out->queue);
    audit_set_sort(&out->queue.waiting);
    if (r == 0)
        r = collect_from_book(folder, &book);
    if (r == 0)
        r = audit_apply_changes(&book, &out->queue);
    if (r == 0)
        r = subtract(&book, &out->queue.waiting, &out->only_book);
    if (r == 0)
        r = subtract(&out->queue.waiting, &book, &out->only_queue);
    audit_set_done(&book);
    return r;
}

/* A queue that forgot him can't say more than that: so he may be booked as lost. Of whom it has,
 * and the book hasn't, it will tell. */
static void tell_differences(struct audit *audit, const struct look *first,
                             const struct look *second)
{
    const struct audit_waiting *w = first->only_book.items, *end = w + first->only_book.count;

    for (; w < end; w++)
        if (audit_set_find(&second->only_book, w))
            audit_tell_for_good(audit, AUDIT_GOOD_NOT_IN_QUEUE, &w->id, w->index, SPAN(""),
                                "waits by the book, but the queue doesn't have it");
    w = first->only_queue.items;
    for (end = w + first->only_queue.count; w < end; w++)
        if (audit_set_find(&second->only_queue, w))
            audit_tell(audit, AUDIT_NOT_IN_BOOK, &w->id, w->index,
                       "waits in the queue, but not by the book");
}

static void count(struct audit_counts *counts, const struct audit_queue *queue)
{
    counts->queue_compared = true;
    counts->queue_stopped = !queue->is_live;
    counts->queue_waiting = queue->waiting.count;
    counts->unfolded = queue->unfolded_records;
}

/* Mail goes on while we look at a running server: only what differs twice in the same way is off.
 */
static int compare(struct audit *audit, const char *folder, struct look *first)
{
    struct look second = {.only_book = {0}};
    int r = look(audit, folder, first);
    bool again =
        r == 0 && first->queue.is_live && first->only_book.count + first->only_queue.count > 0;

    if (again)
        r = look(audit, folder, &second);
    if (r == 0) {
        tell_differences(audit, first, again ? &second : first);
        count(audit->counts, &first->queue);
    }
    look_done(&second);
    return r;
}

/* A running queue that knows when a recipient goes on explains why it is late by the book: its
 * destination pauses. Whom a queue that was compared doesn't have has had his end since his file
 * was walked; who is missing there is told by the comparison. Of whom a running queue didn't tell
 * nobody else knows: they are counted, or the audit of one who may not ask would ring whenever a
 * destination is dead. */
static void tell_late(struct audit *audit, const struct audit_queue *queue)
{
    for (size_t i = 0; i < audit->late.count; i++) {
        const struct audit_waiting *late = &audit->late.items[i];
        const struct audit_waiting *known = audit_set_find(&queue->waiting, late);
        if (!known && !audit->counts->queue_compared && queue->is_live)
            audit->counts->late_unexplained++;
        else if (known ? !known->is_planned : !audit->counts->queue_compared)
            audit_tell(audit, AUDIT_OVERDUE, &late->id, late->index,
                       "waits, but what comes next should long have been");
    }
}

int audit_check_queue(struct audit *audit, const char *folder)
{
    struct look first = {.only_book = {0}};
    int r = audit->options->look_at_queue ? compare(audit, folder, &first) : 0;

    if (r != -ETIMEDOUT)
        tell_late(audit, &first.queue);
    look_done(&first);
    return r == -ENOMEM ? r : 0;
}
