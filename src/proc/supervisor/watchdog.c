/*
 * A loop that hangs takes all with it that its process does: of the queue or the directory there is
 * only one. So who is ready is asked each round, by the question for its figures, as `postbuch
 * status` asks; threads may wait for a disk as long as they like, the loop answers beside them.
 *
 *   answers ──SILENT_ALARM rounds──▶ people are told ──SILENT_END──▶ it is killed, if that helps
 *
 * It helps when the loop goes round in itself or waits for what never comes (R and S in proc(5)).
 * It doesn't when a disk keeps it (D): it would end only when the disk answers, and with it the
 * hanging; nor does it end who was stopped by a person, or is looked at in a debugger (T, t). Who
 * was in such a state has the whole time to answer when he is let go on.
 *
 * Rounds are counted, not seconds: when the whole machine stood still, or we did, only one has
 * passed, and there is time for an answer until the next. By SIGKILL, for a dump of the process,
 * which would hold mail, can't be had anyway (common/sandbox.c).
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    struct child *child = CONTAINER_OF(call, struct child, ping);

    if (reply && child->silent >= SILENT_ALARM)
        log_info("%s[%d] answers again", ipc_peer_name(child->kind->peer), child->pid);
    child->silent = 0;
}

/* proc(5): behind the name, which may hold parentheses. Of the first thread, which runs the loop.
 * '?': nobody can tell. */
static char state_of(int pid)
{
    char path[64], line[512];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return '?';
    bool is_read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    const char *end = is_read ? strrchr(line, ')') : NULL;
    return end && end[1] == ' ' && end[2] ? end[2] : '?';
}

static const char *word_for(char state)
{
    switch (state) {
    case 'R':
        return "it is busy without end";
    case 'S':
        return "it waits for something";
    case 'D':
        return "it waits for a disk";
    case 'T':
    case 't':
        return "it was stopped, or is in a debugger";
    default:
        return "nobody knows why";
    }
}

static bool would_end_help(char state)
{
    return state == 'R' || state == 'S';
}

static void suspect(struct child *child)
{
    const char *name = ipc_peer_name(child->kind->peer);
    unsigned silent_s = ++child->silent * (ROUND_MS / 1000);
    char state = child->silent >= SILENT_ALARM ? state_of(child->pid) : '?';

    if (child->silent == SILENT_ALARM)
        log_error("ALARM: %s[%d] hasn't answered for %u s: %s", name, child->pid, silent_s,
                  word_for(state));
    if (child->silent >= SILENT_ALARM && !would_end_help(state))
        child->silent = SILENT_ALARM;
    if (child->silent < SILENT_END)
        return;
    log_error("ALARM: %s[%d] hasn't answered for %u s and is ended, to be started again: %s", name,
              child->pid, silent_s, word_for(state));
    kill(child->pid, SIGKILL);
}

void watchdog_round(struct supervisor *s)
{
    const struct ipc_message ask = {.type = IPC_STATUS_ASK};

    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        if (!child->channel || !child->ready || child->stopping)
            continue;
        if (ipc_call_is_pending(&child->ping)) {
            suspect(child);
            continue;
        }
        child->ping.fn = on_answer;
        ipc_call(child->channel, &child->ping, &ask); /* if it fails, the next round asks */
    }
}
