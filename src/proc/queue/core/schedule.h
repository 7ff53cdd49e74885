/* Between the spool's rows and the scheduler's items. */
#pragma once

#include "proc/queue/core/queue.h"

/* All that waits is gone through, a slice at a time: once memory was short, or routes have changed.
 */
struct schedule {
    bool wanted;    /* from the beginning, behind what is under way */
    bool under_way; /* at `cursor` of spool_walk() */
    size_t cursor;
    struct io_timer *timer; /* the next slice */
};

/* 0 or -errno. */
int schedule_init(struct queue *q);
void schedule_done(struct queue *q);
/* Somebody may have no item, or lie elsewhere than his route leads: the tick begins to look for
 * him, among all. */
void schedule_want(struct queue *q);
/* Once a second, or at once. */
void schedule_tick(struct queue *q);

/* A message that came is scheduled; what can't be now is by the tick. */
void schedule_added(struct queue *q, struct spool_message *message);
/* The spool's hooks; arg is the queue. */
void schedule_changed(void *arg, struct spool_recipient *recipient);
void schedule_gone(void *arg, struct spool_message *message);
/* The log says that it may be attempted by now: so a start after a crash takes it for one that was
 * under way. What goes sooner than planned isn't. */
bool schedule_is_known_due(const struct spool_recipient *recipient, int64_t wall_us);
/* At the start after a crash: whatever was due then is in doubt, unless it was held already. When
 * that was is the clock's word, but not before the last message came: the clock may have been set
 * since, and what comes from now on is in no doubt, whatever it says. */
void schedule_doubt(struct queue *q);
/* The next attempt of who is held from now on: 0, for there is none. A time when an attempt may be
 * under way, or was at an earlier crash: then the next crash finds him in doubt, too. */
int64_t schedule_held_us(const struct spool_recipient *recipient, bool is_attempted);
/* Schedules every waiting recipient, at the start. 0 or -errno. */
int schedule_all(struct queue *q);
/* Who lies elsewhere than his route leads goes there at once, also when he is held on the disk: at
 * each change of the routes, at the end of each of his attempts, and when an act on him is sealed.
 * Without memory he stays as he is, and the tick tries again. */
void schedule_follow(struct queue *q, struct spool_recipient *recipient);
/* The same, wherever his item lies. Nothing while he is being attempted. */
void schedule_again(struct queue *q, struct spool_recipient *recipient);
/* The item of a recipient; 0 when it has none. */
uint32_t schedule_item(const struct spool_recipient *recipient);
/* It has its outcome, which is on its way to the disk: never schedule it again. */
void schedule_close(struct spool_recipient *recipient);
/* The wall-clock time of a monotonic one, as the clocks stand now. */
int64_t schedule_wall_us(const struct queue *q, int64_t monotonic_ms);
/* Whose words e->why are, nearly: the destination's domain, or the first host of a route. Empty
 * when no station said them. Borrowed from it. */
struct span schedule_said_by(const struct sched_explanation *e);
/* What the configuration says of pauses and deadlines. */
struct retry_policy schedule_retry(const struct conf_queue *conf);
/* What the configuration means for the scheduler. `seed`: see struct sched_config. */
struct sched_config schedule_config(const struct conf_queue *conf, uint64_t seed);
