#include "proc/common/job_result.h"

#include "base/log.h"
#include <errno.h>

/* The status stays: it comes from an array of a few characters (mailbox, smtp), and says why. */
static void drop_texts(struct ipc_job_result *result, struct span instead)
{
    for (size_t i = 0; i < result->outcome_count; i++) {
        struct ipc_job_outcome *o = &result->outcomes[i];
        o->text = instead;
        o->remote_id = o->host = o->ip = o->earlier = SPAN("");
    }
    result->mx_set = SPAN("");
}

void job_result_send(struct ipc_channel *queue, uint64_t token, struct ipc_message *result)
{
    int r = ipc_try_reply(queue, token, result);

    if (r < 0) {
        log_error("a job's texts can't be told, it is answered without them: %s",
                  r == -ENOMEM ? "memory is short" : "they are too long");
        drop_texts(&result->job_result,
                   r == -ENOMEM ? SPAN("what was said about it found no memory")
                                : SPAN("what was said about it is too long to be told"));
        r = ipc_reply(queue, token, result);
    }
    if (r < 0)
        log_error("can't answer a job: %s", strerror(-r));
}
