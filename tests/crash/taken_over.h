/* What a taken-over process tries (taken_over.c), and who may do it. */
#pragma once

#include <errno.h>
#include <stddef.h>

enum role { SMTPD, SMTP, RESOLVER, REPORT, DIRECTORY, MAILBOX, QUEUE, BOOK };

struct act {
    const char *what;
    long (*act)(void);
    unsigned may;  /* 1 << enum role: who needs it */
    unsigned owns; /* likewise: whose work it is, so that it isn't tried */
};

extern const struct act shared_acts[];
extern const size_t shared_act_count;

/* A socket that all smtpds share, or whatever else of that kind the process was handed; -1. */
int taken_over_listener(void);

/* Of calls that the kernel refuses only for want of the right descriptor: was it the filter? */
static inline long past_filter(long result)
{
    return result < 0 && errno == EPERM ? result : 0;
}
