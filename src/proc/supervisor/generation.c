/*
 * A new configuration is read, checked and its sockets bound before anything of the old one is let
 * go: whatever fails on the way, the old one is in force as it was.
 */
#include "proc/supervisor/supervisor.h"

#include "base/fd.h"
#include "base/log.h"
#include "conf/anchor.h"
#include "people/people.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Of one reload. Warnings leave room in its answer for who hasn't taken it; errors, of which each
 * may name a long path, for the line that tells how many more there are. */
enum { WARNINGS_BYTES = 20000, LEFT_BYTES = 10000 };

/* Who has no generation at all keeps mail waiting, and has nothing to be disturbed in. */
enum { RESEND_ROUNDS_MAX = 3600000 / ROUND_MS, RESEND_ROUNDS_BARE = 300000 / ROUND_MS };

static void append(const struct conf_problem *problem, struct buffer *out)
{
    conf_problem_format(problem, out);
    buffer_append_byte(out, '\n');
}

static bool has_room(const struct buffer *out, enum conf_severity severity)
{
    return severity == CONF_WARNING ? out->size <= WARNINGS_BYTES
                                    : !out->limit || out->size + LEFT_BYTES <= out->limit;
}

/* As many as there is room for. */
static void append_problems(struct conf_problems *problems, struct buffer *out)
{
    size_t told = 0;

    conf_problems_sort(problems);
    for (size_t i = 0; i < problems->count; i++) {
        const struct conf_problem *problem = &problems->items[i];
        if (!has_room(out, problem->severity))
            continue;
        append(problem, out);
        told++;
    }
    if (told < problems->error_count + problems->warning_count)
        buffer_printf(out, "and %zu more; postbuch check-config tells all\n",
                      problems->error_count + problems->warning_count - told);
}

/* A folder of mailboxes that isn't there yet, on a disk that comes late, keeps the server from no
 * other mail (mailbox/root.h), and from no reload. In what is new it is a mistake, as a rule. */
static int prepare_folders(const struct supervisor *s, const struct conf *conf)
{
    bool is_first = s->generation == 0;
    int r = folders_prepare(conf, s->users);

    if (r < 0)
        return r;
    r = folders_prepare_mailboxes(conf, &s->conf, &s->users[CONF_USER_MAILBOX]);
    return is_first ? 0 : r;
}

/* Bound first, then the old ones are closed: a socket that both name is taken over, so no client
 * finds its port shut. */
static int use(struct supervisor *s, struct conf *conf, struct buffer *text)
{
    struct listener *listeners;

    int r = prepare_folders(s, conf);
    if (r == 0)
        r = listeners_open(conf, s->listeners, &listeners);
    if (r < 0) {
        buffer_printf(text,
                      "the sockets or folders of this configuration can't be had: %s; the "
                      "log says which\n",
                      strerror(-r));
        return r;
    }
    listeners_close(s->listeners, listeners);
    s->listeners = listeners;
    conf_done(&s->conf);
    s->conf = *conf;
    s->generation++;
    return 0;
}

/* ---- the first ---- */

/* Once: a process that is started again must become who it was, also when nobody can be asked just
 * then. */
static void find_users(struct supervisor *s, const struct conf *conf)
{
    struct buffer why = BUFFER_INIT;

    for (size_t i = 0; i < CONF_USER_COUNT; i++) {
        s->users[i] = (struct conf_ids){UINT32_MAX, UINT32_MAX};
        int r = geteuid() == 0 ? conf_user_ids(conf->users[i], &s->users[i]) : 0;
        if (r < 0) {
            conf_user_explain(conf->users[i], r, &why);
            log_fatal(SPAN_FMT, SPAN_ARG(buffer_span(&why)));
        }
    }
}

/* The users and aliases files are not checked: without them the directory defers mail, which is
 * better than no server at all. */
void generation_first(struct supervisor *s)
{
    struct conf_problems problems;
    struct buffer text = BUFFER_INIT;
    struct conf conf = {0};

    conf_problems_init(&problems);
    int r = conf_load(s->config_file, &problems, &conf);
    append_problems(&problems, &text);
    conf_problems_done(&problems);
    if (text.size)
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buffer_span(&text)));
    if (r < 0)
        log_fatal("%s: can't be used; postbuch check-config shows the same", s->config_file);
    find_users(s, &conf);
    buffer_clear(&text);
    if (use(s, &conf, &text) < 0)
        log_fatal("can't start");
    buffer_done(&text);
}

/* ---- a later one ---- */

/* Before they are read: what changes in between is one change too many, not one unseen. */
static int look(const struct conf *conf, struct buffer seen[static IPC_PEER_COUNT])
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < kind_count; i++)
        r = part_look(&kinds[i], conf, &seen[kinds[i].peer]);
    return r;
}

static void forget(struct buffer seen[static IPC_PEER_COUNT])
{
    for (size_t i = 0; i < IPC_PEER_COUNT; i++)
        buffer_done(&seen[i]);
}

/* Nobody is asked for users who stay the same. */
static int load(const struct supervisor *s, struct conf_problems *problems, struct conf *out,
                struct buffer seen[static IPC_PEER_COUNT], bool *out_kept)
{
    size_t kept = 0;
    int r = conf_load(s->config_file, problems, out);

    if (r == 0)
        r = look(out, seen);
    if (r == 0) {
        conf_check_users(out, &s->conf, problems);
        r = people_check_files(out, problems);
        int anchor = anchor_check_file(out, problems);
        r = r < 0 ? r : anchor;
    }
    if (r == 0)
        r = conf_keep_fixed(&s->conf, out, problems, &kept);
    *out_kept = kept > 0;
    return r == 0 && problems->error_count ? -EINVAL : r;
}

/* Who can't be sent it goes on with the old one, and gets it again (generation_round()), or when it
 * starts the next time. One that is just ending does so at once. */
static void tell(struct child *child)
{
    int r = part_send(child);

    if (r == -EPIPE) {
        child->ready = false;
        kill(child->pid, SIGKILL);
    } else if (r < 0) {
        log_error("%s[%d] can't be sent the new configuration and goes on with the one before: %s",
                  ipc_peer_name(child->kind->peer), child->pid, strerror(-r));
    }
}

/* That may be over in a moment; errors in files aren't. */
static bool may_take_it_now(const struct child *child)
{
    int why = child->unsent ? child->unsent : child->kept;

    return child->ready && !child->untaken && (fd_is_shortage(-why) || why == -EAGAIN);
}

/* The first round is one of its pause, half a minute at most. */
static bool is_pause_over(struct child *child)
{
    if (child->resend_in && --child->resend_in)
        return false;
    unsigned max = child->has_one ? RESEND_ROUNDS_MAX : RESEND_ROUNDS_BARE;
    child->resend_pause = child->resend_pause ? 2 * child->resend_pause : 1;
    if (child->resend_pause > max)
        child->resend_pause = max;
    child->resend_in = child->resend_pause;
    return true;
}

/* 0; -ESTALE: a file of it has changed since the reload, or is being changed. One that an editor
 * has just cut short may be valid, and those behind the cut would be unknown. */
static int compare_files(const struct child *child)
{
    const struct supervisor *s = child->supervisor;
    struct buffer now = BUFFER_INIT;
    int r = part_look(child->kind, &s->conf, &now);

    if (r == 0 && !span_equal(buffer_span(&now), buffer_span(&s->seen[child->kind->peer])))
        r = -ESTALE;
    buffer_done(&now);
    return r;
}

static void tell_again(struct child *child)
{
    int r = child->has_one ? compare_files(child) : 0;

    if (r == 0)
        tell(child);
    else
        log_error("%s[%d] isn't sent the new configuration again: %s",
                  ipc_peer_name(child->kind->peer), child->pid,
                  r == -ESTALE
                      ? "a file of it has changed since the reload; reload when it is finished"
                      : strerror(-r));
}

void generation_round(struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        if (child->channel && !child->stopping && may_take_it_now(child) && is_pause_over(child))
            tell_again(child);
    }
}

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    struct conf_problems problems;
    struct conf conf = {0};
    struct buffer seen[IPC_PEER_COUNT] = {0};

    conf_problems_init(&problems);
    int r = load(s, &problems, &conf, seen, out_kept);
    append_problems(&problems, out_text);
    if (r < 0 && !problems.error_count)
        buffer_printf(out_text, "the new configuration can't be read: %s\n", strerror(-r));
    conf_problems_done(&problems);
    if (r == -EINVAL)
        log_error("reload: the new configuration has errors; the old one stays");
    else if (r < 0)
        log_error("reload: the new configuration can't be read: %s; the old one stays",
                  strerror(-r));
    else if ((r = use(s, &conf, out_text)) < 0)
        log_error("reload: the new configuration's sockets or folders can't be had: %s; the old "
                  "one stays",
                  strerror(-r));
    if (r < 0) {
        conf_done(&conf);
        forget(seen);
        return -EINVAL;
    }
    forget(s->seen);
    memcpy(s->seen, seen, sizeof(seen));
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        child->resend_in = child->resend_pause = 0;
        if (child->channel && !child->stopping)
            tell(child);
    }
    log_info("reload: generation %llu is in force", (unsigned long long)s->generation);
    return 0;
}
