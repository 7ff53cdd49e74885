#include "proc/common/spare.h"

#include "base/log.h"
#include <sys/resource.h>

/* A share grows with the limit, as the sockets of a configuration may be very many. */
enum { SPARE_MIN = 64, SPARE_SHARE = 8 };

static rlim_t spare;        /* 0: none are kept */
static struct rlimit usual; /* while more may be used */

static void set_limit(const struct rlimit *limit)
{
    if (setrlimit(RLIMIT_NOFILE, limit) < 0)
        log_warn("can't set the limit of descriptors: %m");
}

void spare_keep(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < 3 * SPARE_MIN)
        return;
    spare = limit.rlim_cur / SPARE_SHARE;
    if (spare < SPARE_MIN)
        spare = SPARE_MIN;
    limit.rlim_cur -= spare;
    set_limit(&limit);
}

/* The sandbox allows this limit alone, and only our own (filter.c). What somebody else has set for
 * us meanwhile, by prlimit(1), is kept. */
void spare_use(bool now)
{
    if (!spare || (now && getrlimit(RLIMIT_NOFILE, &usual) < 0))
        return;
    struct rlimit limit = usual;
    if (now)
        limit.rlim_cur += spare;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    set_limit(&limit);
}
