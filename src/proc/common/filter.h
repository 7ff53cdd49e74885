/*
 * The wall of system calls (seccomp, by libseccomp): what isn't allowed ends the process, or is
 * refused with EPERM (sandbox.h: `kill`). For all threads. Other threads than the calling one must
 * not have a filter of their own.
 */
#pragma once

#include "proc/common/sandbox.h"

/* 0 or -errno. */
int filter_enter(const struct sandbox *sandbox);
