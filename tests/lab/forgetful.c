/*
 * A queue with a fault built in on purpose, for test_overdue.py: its scheduler forgets the second
 * recipient of each message. What watches over that looks more often than it does in production.
 * Linked around the real functions (meson.build).
 */
#include "proc/queue/core/overdue.h"

int __real_sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
                     uint32_t *out_item);
int __wrap_sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
                     uint32_t *out_item);
void __real_overdue_init(struct queue *q);
void __wrap_overdue_init(struct queue *q);

int __wrap_sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
                     uint32_t *out_item)
{
    const struct spool_recipient *recipient = entry->owner;

    if (recipient->index != 1)
        return __real_sched_add(sched, entry, now_ms, out_item);
    *out_item = 0;
    return 0;
}

void __wrap_overdue_init(struct queue *q)
{
    __real_overdue_init(q);
    q->overdue->grace_us = 500000;
    q->overdue->patience_ms = 1000;
    q->overdue->pause_ms = 200;
}
