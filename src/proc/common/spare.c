#include "proc/common/spare.h"

#include "base/log.h"
#include <sys/resource.h>

static bool is_kept;
static struct rlimit usual; /* while more may be used */

static void set_limit(const struct rlimit *limit)
{
    if (setrlimit(RLIMIT_NOFILE, limit) < 0)
        log_warn("can't set the limit of descriptors: %m");
}

void spare_keep(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < 3 * SPARE_DESCRIPTORS)
        return;
    limit.rlim_cur -= SPARE_DESCRIPTORS;
    set_limit(&limit);
    is_kept = true;
}

/* The sandbox allows this limit alone, and only our own (filter.c). What somebody else has set for
 * us meanwhile, by prlimit(1), is kept. */
void spare_use(bool now)
{
    if (!is_kept || (now && getrlimit(RLIMIT_NOFILE, &usual) < 0))
        return;
    struct rlimit limit = usual;
    if (now)
        limit.rlim_cur += SPARE_DESCRIPTORS;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    set_limit(&limit);
}
