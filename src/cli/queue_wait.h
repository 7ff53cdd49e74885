/* What a waiting recipient waits for, in words. */
#pragma once

#include "base/buffer.h"
#include "ipc/control.h"

/* The word for JSON ("turn"). */
const char *queue_wait_name(uint8_t wait);
/* "its next attempt in 4m30s: 452 4.2.2 mailbox full" */
void queue_format_wait(const struct ipc_queue_row *row, int64_t now_us, struct buffer *out);
/* Only "its next attempt in 4m30s". */
void queue_format_wait_only(const struct ipc_queue_row *row, int64_t now_us, struct buffer *out);
