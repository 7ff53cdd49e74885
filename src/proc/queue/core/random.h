/* Random bytes, fetched from the kernel for many messages at once. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct queue_random {
    uint8_t bytes[512];
    size_t left; /* the last ones are the next */
};

/* `size` at most 512. 0 or -EIO. */
int queue_random(struct queue_random *random, void *out, size_t size);
