/*
 * Mail that programs left while no smtpd was there (docs/formats/drop.md). The supervisor looks
 * only whether something lies there; reading is the collector's, as an ordinary user.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program whose dialogue broke off (smtpd died under it) leaves its message there too. */
enum {
    LOOK_AGAIN_MS = 10000,
    COUNTED_MAX = 100000, /* names that are looked at for the status: any user may make more */
};

/* docs/formats/drop.md: whole files. Any user may have put them there; their names are all that is
 * looked at here. */
static bool has_mail(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry = NULL;

    if (!dir)
        return false;
    do {
        entry = readdir(dir);
    } while (entry && strncmp(entry->d_name, "mail.", 5) != 0);
    closedir(dir);
    return entry != NULL;
}

/* docs/formats/drop.md: the names alone tell what became of a letter so far. */
void drop_status(const struct supervisor *s, struct buffer *json)
{
    unsigned letters = 0, put_off = 0, set_aside = 0;
    struct dirent *entry;
    char folder[PATH_MAX];

    snprintf(folder, sizeof(folder), SPAN_FMT, SPAN_ARG(s->conf.drop));
    DIR *dir = s->conf.drop.size ? opendir(folder) : NULL;
    for (unsigned i = 0; dir && i < COUNTED_MAX && (entry = readdir(dir)); i++) {
        letters += strncmp(entry->d_name, "mail.", 5) == 0;
        put_off += strncmp(entry->d_name, "mail.since-", 11) == 0;
        set_aside += strncmp(entry->d_name, "aside.", 6) == 0;
    }
    if (dir)
        closedir(dir);
    buffer_printf(json, ",\"drop\":{\"letters\":%u,\"put_off\":%u,\"set_aside\":%u}", letters,
                  put_off, set_aside);
}

/* The collector reads what any user wrote: it is no process of ours but the program again, as the
 * user whose the folder is. */
static void run_collector(struct supervisor *s, const char *folder)
{
    const char *program = getenv("POSTBUCH_PROGRAM");
    const struct conf_ids *user = &s->users[CONF_USER_QUEUE];
    uid_t uid = user->uid;
    gid_t gid = user->gid;

    pid_t pid = fork();
    if (pid < 0)
        log_error("the drop folder waits: %s", strerror(errno));
    if (pid > 0)
        s->collector_pid = pid;
    if (pid != 0)
        return;
    if (uid != UINT32_MAX &&
        (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
        _exit(1);
    execlp(program ? program : "postbuch", "postbuch", "send", "--config", s->config_file,
           "--collect", folder, (char *)NULL);
    _exit(127);
}

static void look(void *arg)
{
    struct supervisor *s = arg;
    char folder[PATH_MAX];

    if (s->stopping)
        return;
    snprintf(folder, sizeof(folder), SPAN_FMT, SPAN_ARG(s->conf.drop));
    if (!s->collector_pid && has_mail(folder))
        run_collector(s, folder);
    io_timer_set(s->drop_timer, LOOK_AGAIN_MS);
}

void drop_watch(struct supervisor *s)
{
    if (!s->conf.drop.size)
        return;
    if (io_timer_new(s->loop, look, s, &s->drop_timer) < 0)
        log_fatal("no memory");
    look(s);
}

void drop_collector_ended(struct supervisor *s, int status)
{
    s->collector_pid = 0;
    /* 1: something was set aside, which the collector has told; 75: the rest waits for next time.
     */
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 75)
        log_error("collecting the drop folder failed (status %d)", status);
}
