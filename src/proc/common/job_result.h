/*
 * A carrier's answer to a job. The queue waits for it without a deadline, so one is always given:
 * texts come from stations and from the DNS, and one that is too long for the catalogue costs all
 * texts, never the outcome.
 */
#pragma once

#include "ipc/channel.h"

/* `result`: IPC_JOB_RESULT; its texts may be gone afterwards. */
void job_result_send(struct ipc_channel *queue, uint64_t token, struct ipc_message *result);
