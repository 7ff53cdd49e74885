/*
 * smtp: carries mail to the next station. It takes jobs from the queue, asks the resolver, and
 * opens connections to strangers; it has no files and listens to nobody.
 */
#include "proc/smtp/proc.h"
#include "proc/smtp/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

static struct smtp_proc *proc_of(struct process *process)
{
    return CONTAINER_OF(process, struct smtp_proc, process);
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    struct smtp_proc *proc = proc_of(process);
    int r = kind == IPC_PEER_QUEUE      ? smtp_proc_connect_queue(proc, fd)
            : kind == IPC_PEER_RESOLVER ? smtp_proc_connect_resolver(proc, fd)
                                        : -EINVAL;
    if (r < 0)
        close(fd);
    return r;
}

static bool has_peers(const struct process *process)
{
    const struct smtp_proc *proc = CONTAINER_OF(process, struct smtp_proc, process);

    return proc->queue && proc->resolver;
}

static int start(struct process *process)
{
    struct smtp_proc *proc = proc_of(process);
    int r = smtp_proc_init(proc, process->coming);

    if (r == 0)
        smtp_sandbox_enter(process);
    return r;
}

static int reload(struct process *process)
{
    return smtp_proc_use(proc_of(process), process->coming);
}

static void shut_down(struct process *process)
{
    smtp_proc_end(proc_of(process));
}

static void status(struct process *process, struct buffer *json)
{
    const struct smtp_proc *proc = proc_of(process);

    buffer_printf(json,
                  "\"jobs\":%u,\"connections\":%u,\"idle\":%u,\"sessions\":%" PRIu64
                  ",\"reused\":%" PRIu64 ",\"relayed\":%" PRIu64 ",\"deferred\":%" PRIu64
                  ",\"failed\":%" PRIu64 ",\"uncertain\":%" PRIu64,
                  proc->job_count, proc->connection_count, proc->idle_count, proc->sessions,
                  proc->reused, proc->relayed, proc->deferred, proc->failed, proc->uncertain);
}

static const struct process_spec spec = {
    .name = "smtp",
    .part = &conf_smtp_codec,
    .start = start,
    .reload = reload,
    .peer = peer,
    .has_peers = has_peers,
    .shutdown = shut_down,
    .status = status,
};

int main(void)
{
    static struct smtp_proc proc;
    return process_main(&proc.process, &spec);
}
