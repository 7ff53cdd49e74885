#include "conf/user.h"

#include "conf/check.h"
#include "conf/tree.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

enum { NAME_BYTES = 256 }; /* useradd(8) allows far less */

static const char *const keys[CONF_USER_COUNT] = {
    [CONF_USER_QUEUE] = "queue",
    [CONF_USER_NETWORK] = "network",
    [CONF_USER_DIRECTORY] = "directory",
    [CONF_USER_MAILBOX] = "mailbox",
};

/* getpwnam(3) has many ways to say that nobody is called so. */
static bool means_nobody(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

int conf_user_ids(struct span name, struct conf_ids *out)
{
    char text[NAME_BYTES];

    if (name.size >= sizeof(text))
        return -ENOENT;
    snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(name));
    errno = 0;
    const struct passwd *entry = getpwnam(text);
    if (!entry)
        return means_nobody(errno) ? -ENOENT : -errno;
    if (entry->pw_uid == 0)
        return -EPERM;
    *out = (struct conf_ids){entry->pw_uid, entry->pw_gid};
    return 0;
}

void conf_user_explain(struct span name, int error, struct buffer *out)
{
    struct span shown = span_first(name, NAME_BYTES);

    if (error == -ENOENT)
        buffer_printf(out,
                      "there is no user `" SPAN_FMT "`; create it (useradd --system " SPAN_FMT
                      "), or name another under `users:`",
                      SPAN_ARG(shown), SPAN_ARG(shown));
    else if (error == -EPERM)
        buffer_printf(out, "user `" SPAN_FMT "` is root; name an ordinary one under `users:`",
                      SPAN_ARG(shown));
    else
        buffer_printf(out, "user `" SPAN_FMT "` can't be looked up now (%s)", SPAN_ARG(shown),
                      strerror(-error));
}

static void check_user(const struct conf *c, enum conf_user user, struct conf_problems *problems)
{
    bool is_root = geteuid() == 0;
    bool is_named = conf_tree_child(conf_tree_child(c->root, "users"), keys[user]);
    struct conf_place place = conf_place_of(c, "users", keys[user]);
    struct buffer why = BUFFER_INIT;
    struct conf_ids ids;

    int r = is_root || is_named ? conf_user_ids(c->users[user], &ids) : 0;
    if (r == 0)
        return;
    conf_user_explain(c->users[user], r, &why);
    if (is_root && (r == -ENOENT || r == -EPERM))
        conf_error(problems, place, SPAN_FMT, SPAN_ARG(buffer_span(&why)));
    else
        conf_warn(problems, place, SPAN_FMT, SPAN_ARG(buffer_span(&why)));
    buffer_done(&why);
}

void conf_check_users(const struct conf *c, const struct conf *running,
                      struct conf_problems *problems)
{
    for (enum conf_user user = 0; user < CONF_USER_COUNT; user++)
        if (!running || !span_equal(running->users[user], c->users[user]))
            check_user(c, user, problems);
}
