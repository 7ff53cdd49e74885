/* "Where would mail go now?": IPC_ROUTE. */
#pragma once

#include "proc/smtp/smtp.h"

/* The arrival is answered with words and JSON, at once or when the resolver has told, exactly once
 * as long as its queue is there. */
void smtp_route_begin(struct smtp_proc *proc, const struct ipc_arrival *arrival);
/* What is under way is answered: not known. */
void smtp_routes_drop(struct smtp_proc *proc);
