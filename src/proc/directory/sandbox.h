/* The directory's sandbox: no folder, no network, nothing beside the common system calls. */
#pragma once

#include "proc/common/process.h"

void directory_sandbox_enter(const struct process *process);
