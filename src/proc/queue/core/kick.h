/* Something may go: dispatch looks at the end of this turn. */
#pragma once

struct queue;

void dispatch_kick(struct queue *q);
