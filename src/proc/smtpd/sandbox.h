/* smtpd's sandbox: sockets it was handed, and accept. No files, no connect, no other process. */
#pragma once

#include "proc/common/process.h"

void smtpd_sandbox_enter(const struct process *process);
