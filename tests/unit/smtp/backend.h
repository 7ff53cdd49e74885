/* What of smtpd's part does nothing, for tests that play the rest of it. */
#pragma once

#include "smtp/server.h"

static inline void backend_cancel(void *context, struct smtp_question *q)
{
}

static inline int backend_upload(void *context, struct span piece)
{
    return 0;
}

static inline void backend_upload_abort(void *context)
{
}

static inline void backend_refused(void *context, const struct event *event)
{
}

/* Of origin 1. */
static inline struct id backend_make_id(void *context)
{
    static struct id_maker ids;
    if (ids.origin == 0)
        id_maker_init(&ids, 1, 1);
    return id_make(&ids, 1000000);
}

static inline void backend_wake(void *context)
{
}
