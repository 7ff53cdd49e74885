/* smtp may open TCP connections; no files, no listening, nothing else. */
#pragma once

#include "proc/common/process.h"

void smtp_sandbox_enter(const struct process *process);
