#include "cli/letter.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/drop.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Time enough for a server to recover, or for a person to mend what it defers for. */
enum { PUT_OFF_MAX_S = 86400 };

/* Since when it is put off; 0: not yet. Any user may have made up the name: a time that is still to
 * come is none. *out_own: what is the letter's own of its name. */
static int64_t put_off_since(const char *name, int64_t now_s, const char **out_own)
{
    const char *digits = name + sizeof(DROP_SINCE_PREFIX) - 1;
    uint64_t since;

    *out_own = name + sizeof(DROP_PREFIX) - 1;
    if (strncmp(name, DROP_SINCE_PREFIX, sizeof(DROP_SINCE_PREFIX) - 1) != 0)
        return 0;
    size_t size = strcspn(digits, ".");
    if (!digits[size] || span_to_u64(span_of(digits, size), (uint64_t)now_s, &since) < 0)
        return 0;
    *out_own = digits + size + 1;
    return (int64_t)since;
}

/* A name that can't be changed stays, and comes again with the next pass. */
static void rename_letter(int folder, const char *name, const char *to)
{
    if (renameat(folder, name, folder, to) < 0)
        log_error("%s can't be renamed: %s", name, strerror(errno));
}

void letter_set_aside(int folder, const char *name, const char *why)
{
    char aside[NAME_MAX + 1];
    const char *own;

    put_off_since(name, clock_wall_us() / 1000000, &own);
    /* The prefix may be longer than the one it replaces, and the name as long as names can be. */
    snprintf(aside, sizeof(aside), DROP_ASIDE_PREFIX "%s", own);
    log_error("%s in the drop folder is set aside as %s: %s", name, aside, why);
    rename_letter(folder, name, aside);
}

/* The time is in the name since the file is its writer's, who alone may change its own times. A
 * letter that is older than a day when a server first sees it has its day all the same. */
void letter_put_off(int folder, const char *name, const char *why)
{
    char later[NAME_MAX + 1], cause[1024];
    int64_t now_s = clock_wall_us() / 1000000;
    const char *own;
    int64_t since = put_off_since(name, now_s, &own);

    if (since && since < now_s - PUT_OFF_MAX_S) {
        snprintf(cause, sizeof(cause), "for a day it couldn't be handed over: %s", why);
        letter_set_aside(folder, name, cause);
    } else if (!since) {
        snprintf(later, sizeof(later), DROP_SINCE_PREFIX "%lld.%s", (long long)now_s, own);
        log_warn("%s in the drop folder waits as %s: %s", name, later, why);
        rename_letter(folder, name, later);
    }
}

/* ---- what is left of one ---- */

/* The same for those of its recipients whose answer was `of`. */
static int pick(const struct submission *s, const enum submit_result *each, enum submit_result of,
                struct submission *out)
{
    struct span *left = calloc(s->recipient_count, sizeof(*left));

    if (!left)
        return -ENOMEM;
    *out = *s;
    out->recipients = left;
    out->recipient_count = 0;
    for (size_t i = 0; i < s->recipient_count; i++)
        if (each[i] == of)
            left[out->recipient_count++] = s->recipients[i];
    return 0;
}

static int write_refused(int folder, const struct submission *s, const enum submit_result *each)
{
    struct submission left;
    int result = pick(s, each, SUBMIT_REFUSED, &left);

    if (result < 0)
        return result;
    result = drop_write_at(folder, DROP_ASIDE_PREFIX, &left);
    free((void *)left.recipients);
    return result;
}

static int write_deferred(int folder, const char *name, const struct submission *s,
                          const enum submit_result *each)
{
    struct submission left;
    int result = pick(s, each, SUBMIT_DEFERRED, &left);

    if (result < 0)
        return result;
    result = drop_replace_at(folder, name, &left);
    free((void *)left.recipients);
    return result;
}

void letter_cut(int folder, const char *name, const struct submission *s,
                const struct submit_report *report)
{
    int result = 0;

    if (report->refused_count)
        result = write_refused(folder, s, report->each);
    if (result == 0 && report->deferred_count)
        result = write_deferred(folder, name, s, report->each);
    if (result < 0) { /* a name can be had on a full disk, too */
        log_error("%s: what is left of it can't be written: %s", name, strerror(-result));
        letter_set_aside(folder, name, "some recipients weren't taken, the others have it");
    } else if (report->deferred_count) {
        letter_put_off(folder, name, "these recipients must come later, the others have it");
    } else if (unlinkat(folder, name, 0) < 0) {
        log_error("%s was sent and can't be removed: %s", name, strerror(errno));
    }
}
