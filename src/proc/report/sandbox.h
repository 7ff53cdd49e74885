/* report's sandbox: nothing at all beside its channels. */
#pragma once

#include "proc/common/process.h"

void report_sandbox_enter(const struct process *process);
