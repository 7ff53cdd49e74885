#include "cli/letter.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/drop.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PUT_OFF_MAX_S = 86400, /* for a server to recover, or a person to mend what it defers for */
    GAP_MAX_S = 3600,      /* longer without a try: the server was off, and the day begins anew */
    ROOM = NAME_MAX + 1,   /* of a name */
    NOTE_EVERY_S = 1800, /* a name for each try would be a write of the folder every few seconds */
};

/* What a name tells. */
struct put_off {
    int64_t since, last; /* seconds since 1970; `last`: a try that was noted; 0: not yet */
    const char *own;     /* what is the letter's own of its name */
};

static bool take_time(const char **at, char end, int64_t *out)
{
    size_t size = strcspn(*at, "-.");
    uint64_t time_s;

    if ((*at)[size] != end || span_to_u64(span_of(*at, size), INT64_MAX, &time_s) < 0)
        return false;
    *out = (int64_t)time_s;
    *at += size + 1;
    return true;
}

static struct put_off read_name(const char *name)
{
    const struct put_off none = {.own = name + sizeof(DROP_PREFIX) - 1};
    struct put_off told = {.own = name + sizeof(DROP_SINCE_PREFIX) - 1};

    if (strncmp(name, DROP_SINCE_PREFIX, sizeof(DROP_SINCE_PREFIX) - 1) != 0 ||
        !take_time(&told.own, '-', &told.since) || !take_time(&told.own, '.', &told.last))
        return none;
    return told;
}

/* Only the time in which the server tries counts. Any user may have made up the name, and the clock
 * may have been set back: times that can't be are none. */
static bool is_being_tried(const struct put_off *p, int64_t now_s)
{
    return p->since <= p->last && p->last <= now_s && p->last >= now_s - GAP_MAX_S;
}

/* No other letter's name is taken. Where the file system can't see to it, nobody can make a name
 * like this one but who made the letter. */
static int rename_new(int folder, const char *name, const char *to)
{
    if (renameat2(folder, name, folder, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL && renameat(folder, name, folder, to) == 0)
        return 0;
    return -errno;
}

/* Keeps what is the letter's own of its name, unless the name is taken: its writer may have made
 * that, too, even as a folder. A name that can't be changed stays, and comes again with the next
 * pass. */
static bool rename_letter(int folder, const char *name, const char *prefix, char out[static ROOM])
{
    /* The prefix may be longer than the one it replaces, and the name as long as names can be. */
    snprintf(out, ROOM, "%s%s", prefix, read_name(name).own);
    int result = rename_new(folder, name, out);

    if (result == -EEXIST || result == -EISDIR || result == -ENOTEMPTY || result == -ENOTDIR) {
        result = drop_make_name(prefix, out, ROOM);
        if (result == 0)
            result = rename_new(folder, name, out);
    }
    if (result < 0)
        log_error("%s can't be renamed: %s", name, strerror(-result));
    return result == 0;
}

void letter_set_aside(int folder, const char *name, const char *why)
{
    char aside[ROOM];

    if (rename_letter(folder, name, DROP_ASIDE_PREFIX, aside))
        log_error("%s in the drop folder is set aside as %s: %s", name, aside, why);
}

/* The times are in the name since the file is its writer's, who alone may change its own times. A
 * letter that is older than a day when a server first sees it has its day all the same. */
void letter_put_off(int folder, const char *name, const char *why)
{
    char later[ROOM], prefix[DROP_NAME_SIZE], cause[1024];
    int64_t now_s = clock_wall_us() / 1000000;
    struct put_off p = read_name(name);
    bool goes_on = is_being_tried(&p, now_s);

    if (goes_on && p.since < now_s - PUT_OFF_MAX_S) {
        snprintf(cause, sizeof(cause), "for a day it couldn't be handed over: %s", why);
        letter_set_aside(folder, name, cause);
    } else if (!goes_on || p.last < now_s - NOTE_EVERY_S) {
        snprintf(prefix, sizeof(prefix), DROP_SINCE_PREFIX "%lld-%lld.",
                 (long long)(goes_on ? p.since : now_s), (long long)now_s);
        if (rename_letter(folder, name, prefix, later))
            log_warn("%s in the drop folder waits as %s: %s", name, later, why);
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

/* Under a name of its own: the letter's may be taken by one that was set aside whole. */
static int write_refused(int folder, const char *name, const struct submission *s,
                         const enum submit_result *each, const char *why)
{
    char aside[DROP_NAME_SIZE];
    struct submission left;
    int result = pick(s, each, SUBMIT_REFUSED, &left);

    if (result < 0)
        return result;
    result = drop_write_at(folder, DROP_ASIDE_PREFIX, &left, aside);
    if (result == 0)
        log_error("%s in the drop folder: %zu of its recipients set aside as %s: %s", name,
                  left.recipient_count, aside, why);
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
                const struct submit_report *report, const char *why)
{
    int result = 0;

    if (report->refused_count)
        result = write_refused(folder, name, s, report->each, why);
    if (result == 0 && report->deferred_count)
        result = write_deferred(folder, name, s, report->each);
    if (result < 0) { /* a name can be had on a full disk, too */
        log_error("%s: what is left of it can't be written: %s", name, strerror(-result));
        letter_set_aside(folder, name, "some recipients weren't taken, the others have it");
    } else if (report->deferred_count) {
        letter_put_off(folder, name, why);
    } else if (unlinkat(folder, name, 0) < 0) {
        log_error("%s was sent and can't be removed: %s", name, strerror(errno));
    }
}
