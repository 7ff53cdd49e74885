/*
 * What counts from the server's start to its end. Some of it is walled in by sandboxes, and all of
 * it would come to a part of the processes only: a queue that is started again would write another
 * spool than the one that the book reads.
 */
#include "conf/conf.h"

#include "conf/check.h"
#include <errno.h>

#define MEMBER(member) offsetof(struct conf, member), sizeof(((struct conf *)NULL)->member)

static const struct fixed {
    const char *group, *key, *shown;
    size_t offset, size;
    bool is_text;
} fixed[] = {
    {NULL, "spool", "spool", MEMBER(spool), true},
    {NULL, "spool_segment_size", "spool_segment_size", MEMBER(segment_size), false},
    {NULL, "ledger", "ledger", MEMBER(ledger), true},
    {NULL, "sandbox", "sandbox", MEMBER(sandbox), false},
    {"mailbox", "threads", "mailbox: threads", MEMBER(mailbox_threads), false},
    {"users", "queue", "users: queue", MEMBER(users[CONF_USER_QUEUE]), true},
    {"users", "network", "users: network", MEMBER(users[CONF_USER_NETWORK]), true},
    {"users", "directory", "users: directory", MEMBER(users[CONF_USER_DIRECTORY]), true},
    {"users", "mailbox", "users: mailbox", MEMBER(users[CONF_USER_MAILBOX]), true},
};

static bool is_equal(const struct fixed *f, const void *a, const void *b)
{
    const struct span *left = a, *right = b;

    return f->is_text ? span_equal(*left, *right) : memcmp(a, b, f->size) == 0;
}

static void warn(const struct fixed *f, const void *value, const struct conf *coming,
                 struct conf_problems *problems)
{
    struct conf_place place = conf_place_of(coming, f->group, f->key);
    const struct span *text = value;

    if (f->is_text)
        conf_warn(
            problems, place,
            "`%s` can't be changed by a reload: it stays `%.*s` until the server is restarted",
            f->shown, SPAN_ARG(*text));
    else
        conf_warn(problems, place,
                  "`%s` can't be changed by a reload: it stays as it was until the server is "
                  "restarted",
                  f->shown);
}

/* Into the configuration that is to outlive the one it comes from. */
static int copy(const struct fixed *f, const void *value, struct arena *arena, void *out)
{
    struct span text;

    if (!f->is_text) {
        memcpy(out, value, f->size);
        return 0;
    }
    memcpy(&text, value, sizeof(text));
    text = arena_copy(arena, text);
    if (!text.data)
        return -ENOMEM;
    memcpy(out, &text, sizeof(text));
    return 0;
}

int conf_keep_fixed(const struct conf *running, struct conf *coming, struct conf_problems *problems,
                    size_t *out_kept)
{
    size_t kept = 0;

    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        const void *value = (const char *)running + fixed[i].offset;
        void *own = (char *)coming + fixed[i].offset;
        if (is_equal(&fixed[i], value, own))
            continue;
        warn(&fixed[i], value, coming, problems);
        if (copy(&fixed[i], value, &coming->arena, own) < 0)
            return -ENOMEM;
        kept++;
    }
    *out_kept = kept;
    if (kept) /* what is new may have taken the path that another one was to leave */
        conf_check_folders(coming, problems);
    return 0;
}
