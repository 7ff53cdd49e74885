/* Several questions at once on an administrator's channel, and the sums of what is answered. */
#pragma once

#include "world.h"

#include <errno.h>

/* Rows of pages that were asked for at once, and the errors of those that were too many. */
static struct asked {
    struct ipc_call calls[IPC_QUEUE_PAGES_ASKED + 2];
    size_t answered, rows, refused, lasts;
    int error;
} asked;

static inline void on_asked(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    asked.answered++;
    asked.rows += reply->queue_page.row_count;
    asked.refused += reply->queue_page.error == -EINVAL;
    asked.lasts += reply->queue_page.error == 0 && reply->queue_page.last;
}

/* For world_until(); `arg`: how many, a size_t. */
static inline bool is_answered(struct world *w, void *arg)
{
    return asked.answered == *(size_t *)arg;
}
