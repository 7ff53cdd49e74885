/*
 * The report process: writes reports (mail/report.h) when the queue asks. It reads headers that
 * strangers wrote and writes mail, so it is alone with that: no files, no sockets, one peer.
 */
#include "proc/report/sandbox.h"
#include "proc/report/service.h"
#include <errno.h>
#include <stdlib.h>

struct report_process {
    struct process process;
    struct report_service service;
};

static struct report_process *of(struct process *process)
{
    return CONTAINER_OF(process, struct report_process, process);
}

static int configure(struct process *process, struct span part)
{
    return part.size ? -EBADMSG : 0;
}

static int start(struct process *process)
{
    report_sandbox_enter(process);
    return 0;
}

static int reload(struct process *process)
{
    return 0;
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    if (kind != IPC_PEER_QUEUE)
        return -EPROTO;
    return report_service_connect(&of(process)->service, process->loop, fd);
}

static bool has_peers(const struct process *process)
{
    return CONTAINER_OF(process, struct report_process, process)->service.queue;
}

static void status(struct process *process, struct buffer *json)
{
    buffer_printf(json, "\"written\":%llu", (unsigned long long)of(process)->service.written);
}

int main(void)
{
    static struct report_process p;
    static const struct process_spec spec = {.name = "report",
                                             .configure = configure,
                                             .start = start,
                                             .reload = reload,
                                             .peer = peer,
                                             .has_peers = has_peers,
                                             .status = status};

    return process_main(&p.process, &spec);
}
