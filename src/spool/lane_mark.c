/*
 * The lane's mark: a file that names the lane which was begun here. What somebody puts beside our
 * segments may bear another spool's lane, and be newer and more; the mark says which are ours. One
 * that is damaged or missing names none: then the segments themselves must say it (recovery.c).
 *
 * One of an earlier lane must not stay beside ours: it would decide against us as soon as somebody
 * puts that lane's segments back. So where ours can't be written the old one goes, which needs no
 * room, and a task tries again.
 */
#include "spool/lane.h"

#include "base/fd.h"
#include <stdio.h>
#include <stdlib.h>

static const char NAME[] = "lane";

enum { TEXT_BYTES = 80 };

static struct span mark(const uint8_t lane[static SEGMENT_LANE_BYTES], char out[static TEXT_BYTES])
{
    int at = snprintf(out, TEXT_BYTES, "this folder's lane is ");

    for (int i = 0; i < SEGMENT_LANE_BYTES; i++)
        at += snprintf(out + at, TEXT_BYTES - (size_t)at, "%02x", lane[i]);
    snprintf(out + at, TEXT_BYTES - (size_t)at, "\n");
    return span_from_cstr(out);
}

int lane_mark_load(const struct spool *spool, struct lane_mark *out)
{
    *out = (struct lane_mark){0};
    int r = spool->ops->get_file(spool->store, NAME, TEXT_BYTES, &out->text, &out->size);
    return r < 0 && fd_is_shortage(-r) ? r : 0; /* what is there then isn't known */
}

bool lane_mark_names(const struct lane_mark *found, const uint8_t lane[static SEGMENT_LANE_BYTES])
{
    char text[TEXT_BYTES];

    return found->size && span_equal(span_of(found->text, found->size), mark(lane, text));
}

void lane_mark_done(struct lane_mark *found)
{
    free(found->text);
    *found = (struct lane_mark){0};
}

static int put(struct store *store, const uint8_t lane[static SEGMENT_LANE_BYTES])
{
    char text[TEXT_BYTES];
    struct iovec part = {text, mark(lane, text).size};

    return store->ops->put_file(store, NAME, &part, 1);
}

void lane_mark_save(struct spool *spool)
{
    int r = put(spool->store, spool->lane);

    if (r == 0)
        return;
    spool->mark_due = true;
    (void)spool->ops->remove_file(spool->store, NAME);
    append_alarm(spool, SPOOL_ALARM_FAILED, NULL, (struct spool_position){0}, "the lane's mark: %s",
                 strerror(-r));
}

struct mark_task {
    struct spool_task task;
    struct store *store;
    uint8_t lane[SEGMENT_LANE_BYTES];
};

static void mark_run(struct spool_task *task)
{
    struct mark_task *mark = CONTAINER_OF(task, struct mark_task, task);
    task->error = put(mark->store, mark->lane);
}

static void mark_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    spool->mark_due = task->error != 0;
    free(CONTAINER_OF(task, struct mark_task, task));
}

struct spool_task *lane_mark_take(struct spool *spool)
{
    struct mark_task *mark = spool->mark_due ? calloc(1, sizeof(*mark)) : NULL;

    if (!mark)
        return NULL;
    mark->store = spool->store;
    memcpy(mark->lane, spool->lane, sizeof(mark->lane));
    task_init(&mark->task, spool, mark_run, mark_finish);
    return &mark->task;
}
