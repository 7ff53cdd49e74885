/*
 * Phase by phase (kind.c): first who takes mail in; then the queue, with the smtp processes, which
 * tell it what came of each attempt; last those that the queue needs until its own end: for what it
 * still delivers, for reports, and the book, which follows the log to its end.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <signal.h>

enum { PHASE_MS = 10000 }; /* who has not ended by then is killed */

void stop_go_on(struct supervisor *s)
{
    for (; s->stop_phase < STOP_PHASES; s->stop_phase++) {
        bool running = false;
        for (size_t i = 0; i < s->child_count; i++) {
            struct child *child = &s->children[i];
            if (child->kind->stop_phase != s->stop_phase)
                continue;
            if (!child->stopping)
                child_stop(child);
            running |= child_is_running(child);
        }
        if (running) {
            io_timer_set(s->stop_timer, PHASE_MS);
            return;
        }
    }
    io_loop_stop(s->loop);
}

static void on_timeout(void *arg)
{
    struct supervisor *s = arg;

    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        if (child->stopping && child_is_running(child)) {
            log_error("%s[%d] doesn't end, killing it", ipc_peer_name(child->kind->peer),
                      child->pid);
            kill(child->pid, SIGKILL);
        }
    }
}

int stop_init(struct supervisor *s)
{
    return io_timer_new(s->loop, on_timeout, s, &s->stop_timer);
}

void stop_begin(struct supervisor *s)
{
    if (s->stopping)
        return;
    log_info("stopping");
    readiness_notify("STOPPING=1");
    s->stopping = true;
    stop_go_on(s);
}
