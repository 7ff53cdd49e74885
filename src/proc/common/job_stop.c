#include "proc/common/job_stop.h"

static void on_stopped(struct ipc_call *call, const struct ipc_message *reply)
{
    struct job_stop *stop = CONTAINER_OF(call, struct job_stop, call);

    stop->done = reply != NULL;
    if (stop->done && stop->stopped)
        stop->stopped(stop);
}

void job_stop_ask(struct job_stop *stop, struct ipc_channel *queue)
{
    struct ipc_message m = {.type = IPC_JOB_STOP};

    stop->call.fn = on_stopped;
    if (queue && !stop->done && !ipc_call_is_pending(&stop->call))
        ipc_call(queue, &stop->call, &m);
}

bool job_stop_has_told_all(const struct job_stop *stop, struct ipc_channel *queue)
{
    return !queue || (stop->done && ipc_channel_queued(queue) == 0);
}
