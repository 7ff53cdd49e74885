/*
 * Mail that programs left while no smtpd was there (docs/formats/drop.md). The supervisor looks
 * only whether something lies there; reading is the collector's, as an ordinary user.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include "mail/drop_names.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program whose dialogue broke off (smtpd died under it) leaves its message there too. */
enum { LOOK_AGAIN_MS = 10000 };

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static bool waits(const char *name)
{
    return begins(name, DROP_PREFIX) && !begins(name, DROP_SINCE_PREFIX);
}

/* Where names aren't read to their end there is mail: the collector reads them all. */
static bool find_first(struct drop_wait *wait, DIR *dir, unsigned names_max)
{
    struct dirent *entry;
    bool has_mail = false;
    unsigned count = 0;

    while (count < names_max && (entry = readdir(dir))) {
        count++;
        has_mail |= begins(entry->d_name, DROP_PREFIX);
        if (!*wait->letter && waits(entry->d_name))
            snprintf(wait->letter, sizeof(wait->letter), "%s", entry->d_name);
    }
    wait->crowded = count == names_max && readdir(dir);
    return has_mail || wait->crowded;
}

void drop_wait_pass_begins(struct drop_wait *wait, int64_t now_ms)
{
    wait->passing = true;
    wait->pass_began_ms = now_ms;
}

void drop_wait_pass_ended(struct drop_wait *wait)
{
    wait->passed_over |= *wait->letter && wait->passing && wait->pass_began_ms >= wait->since_ms;
    wait->passing = false;
}

/* Among many letters it may have to wait for its turn: in this pass, or, when it came too late for
 * that, in the next. */
static bool is_stuck(const struct drop_wait *wait, int64_t now_ms)
{
    if (!*wait->letter || now_ms - wait->since_ms < DROP_PATIENCE_MS)
        return false;
    return wait->passing ? now_ms - wait->pass_began_ms >= DROP_PASS_MS
                         : wait->passed_over || wait->barred;
}

/* docs/formats/drop.md: whole files. Any user may have put them there; their names are all that is
 * looked at here. What was put off is being seen to: it has a day, and is told of anyway. The
 * letter that was seen is asked for by its name: where any user can make names, it need not be
 * among the first. */
bool drop_wait_look(struct drop_wait *wait, const char *folder, int64_t now_ms, unsigned names_max)
{
    DIR *dir = opendir(folder);
    struct stat st;
    bool has_mail =
        dir && *wait->letter && fstatat(dirfd(dir), wait->letter, &st, AT_SYMLINK_NOFOLLOW) == 0;

    if (!has_mail) {
        wait->letter[0] = '\0';
        wait->since_ms = now_ms;
        wait->told = wait->stuck = wait->passed_over = wait->crowded = false;
        has_mail = dir && find_first(wait, dir, names_max);
    }
    if (dir)
        closedir(dir);
    wait->told_crowded &= wait->crowded;
    wait->stuck |= is_stuck(wait, now_ms);
    return has_mail;
}

/* docs/formats/drop.md: the names alone tell what became of a letter so far. */
void drop_status(const struct supervisor *s, struct buffer *json)
{
    unsigned letters = 0, put_off = 0, set_aside = 0, count = 0;
    struct dirent *entry;
    char folder[PATH_MAX];

    snprintf(folder, sizeof(folder), SPAN_FMT, SPAN_ARG(s->conf.drop));
    DIR *dir = s->conf.drop.size ? opendir(folder) : NULL;
    while (dir && count <= DROP_NAMES_MAX && (entry = readdir(dir))) {
        count++;
        letters += begins(entry->d_name, DROP_PREFIX);
        put_off += begins(entry->d_name, DROP_SINCE_PREFIX);
        set_aside += begins(entry->d_name, DROP_ASIDE_PREFIX);
    }
    if (dir)
        closedir(dir);
    buffer_printf(json,
                  ",\"drop\":{\"letters\":%u,\"put_off\":%u,\"set_aside\":%u,\"crowded\":%s,"
                  "\"stuck\":%s}",
                  letters, put_off, set_aside, count > DROP_NAMES_MAX ? "true" : "false",
                  s->drop_wait.stuck ? "true" : "false");
}

/* In the child. The program is opened before the rights go: it, too, may lie where only root gets
 * to. */
static void execute(char **argv, const struct conf_ids *user)
{
    const char *program = getenv("POSTBUCH_PROGRAM");
    int fd = program ? open(program, O_PATH | O_CLOEXEC) : -1;
    uid_t uid = user->uid;
    gid_t gid = user->gid;

    if (uid != UINT32_MAX &&
        (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)) {
        log_error("the drop folder waits: can't become user %u: %s", uid, strerror(errno));
        return;
    }
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return;
    if (fd >= 0)
        fexecve(fd, argv, environ);
    else
        execvp("postbuch", argv);
    log_error("the drop folder waits: %s: %s", program ? program : "postbuch", strerror(errno));
}

/* The collector reads what any user wrote: it is no process of ours but the program again, as the
 * user whose the folder is. It is told all that it needs: the configuration may be one that this
 * user can't read, or be broken since. */
static void run_collector(struct supervisor *s, char *folder)
{
    struct span control = s->conf.control;
    char submit[PATH_MAX], hostname[256];
    char *argv[] = {"postbuch", "send",       "--collect", folder, "--submit",
                    submit,     "--hostname", hostname,    NULL};

    snprintf(submit, sizeof(submit), SPAN_FMT "submit",
             SPAN_ARG(span_first(control, (size_t)(span_find_last(control, '/') + 1))));
    snprintf(hostname, sizeof(hostname), SPAN_FMT, SPAN_ARG(s->conf.hostname));
    drop_wait_pass_begins(&s->drop_wait, io_loop_now_ms(s->loop));
    pid_t pid = fork();
    if (pid < 0) {
        log_error("the drop folder waits: %s", strerror(errno));
        drop_wait_pass_ended(&s->drop_wait);
    }
    if (pid > 0)
        s->collector_pid = pid;
    if (pid != 0)
        return;
    execute(argv, &s->users[CONF_USER_QUEUE]);
    _exit(127);
}

/* Whatever keeps the collector from it: `send` has said that this mail is safe. */
static void look_for_stuck(struct supervisor *s, const char *folder)
{
    struct drop_wait *wait = &s->drop_wait;

    if (!wait->stuck || wait->told)
        return;
    wait->told = true;
    log_error("ALARM: the drop folder isn't collected: %s/%s waits for more than %d minutes",
              folder, wait->letter, DROP_PATIENCE_MS / 60000);
}

/* Each look and each pass reads them all; most of them are no mail that anybody will collect. */
static void look_for_crowd(struct supervisor *s, const char *folder)
{
    struct drop_wait *wait = &s->drop_wait;

    if (!wait->crowded || wait->told_crowded)
        return;
    wait->told_crowded = true;
    log_error("ALARM: the drop folder %s has more than %d names: see whose they are", folder,
              DROP_NAMES_MAX);
}

static void look(void *arg)
{
    struct supervisor *s = arg;
    char folder[PATH_MAX];

    if (s->stopping)
        return;
    snprintf(folder, sizeof(folder), SPAN_FMT, SPAN_ARG(s->conf.drop));
    s->drop_wait.barred = !s->announced;
    bool has_mail = drop_wait_look(&s->drop_wait, folder, io_loop_now_ms(s->loop), DROP_NAMES_MAX);
    look_for_crowd(s, folder);
    look_for_stuck(s, folder);
    if (!s->collector_pid && has_mail && !s->drop_wait.barred)
        run_collector(s, folder);
    io_timer_set(s->drop_timer, LOOK_AGAIN_MS);
}

void drop_watch(struct supervisor *s)
{
    if (!s->conf.drop.size)
        return;
    if (!s->drop_timer && io_timer_new(s->loop, look, s, &s->drop_timer) < 0)
        log_fatal("no memory");
    look(s);
}

/* 0: all is collected; 1: something was set aside, or the folder can't be used, which the collector
 * has told; 75: the rest waits for next time. */
void drop_collector_ended(struct supervisor *s, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

    s->collector_pid = 0;
    drop_wait_pass_ended(&s->drop_wait);
    if (WIFSIGNALED(status))
        log_error("collecting the drop folder was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (code != 0 && code != 1 && code != 75)
        log_error("collecting the drop folder failed: exit status %d", code);
}
