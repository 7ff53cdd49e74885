/* Landlock (kernel 5.13 and later), as far as the running kernel has it. */
#pragma once

#include "proc/common/sandbox.h"

/* Denies all file access but beneath the sandbox's folders, all TCP bind and (unless it may
 * connect) connect, and signals and abstract sockets to the outside. Returns the kernel's version
 * of Landlock, 0 when it has none, or -errno. */
int landlock_enter(const struct sandbox *sandbox);
