/*
 * The users of the system that processes become. Asking for them may mean asking a server of the
 * network (nsswitch.conf(5)), so it is done at the start, and by who checks a configuration.
 */
#pragma once

#include "conf/conf.h"

struct conf_ids {
    uint32_t uid, gid;
};

/* 0; -ENOENT: there is no such user; -EPERM: it is root, which no process may be; or another
 * -errno: it can't be found out now. */
int conf_user_ids(struct span name, struct conf_ids *out);

/* Adds who is not there to `problems`: an error for root, whose server wouldn't start; for others,
 * who may write the configuration for another machine, a warning, unless the name is only the
 * default. Those that `running` (may be NULL) names alike are not asked for. */
void conf_check_users(const struct conf *c, const struct conf *running,
                      struct conf_problems *problems);

/* Appends why conf_user_ids() said `error` of him, and how to mend it. */
void conf_user_explain(struct span name, int error, struct buffer *out);
