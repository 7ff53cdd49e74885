/* Notices of delay. */
#pragma once

struct queue;

/* Once a second: a part of all that waits is looked at. */
void delay_tick(struct queue *q);
