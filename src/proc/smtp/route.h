/* "Where would mail go now?": IPC_ROUTE. */
#pragma once

#include "proc/smtp/smtp.h"

void smtp_route_begin(struct smtp_proc *proc, const struct ipc_arrival *arrival);
/* What is under way is answered: not known. */
void smtp_routes_drop(struct smtp_proc *proc);
