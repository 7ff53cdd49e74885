/*
 * Allocations that fail, for tests that are linked with -Wl,--wrap=malloc,--wrap=calloc,
 * --wrap=realloc: one, or all from one on. Only those between failing_memory_arm() and
 * failing_memory_rest() count: the tested code's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

static struct {
    long countdown; /* allocations until the failure; <0: none any more */
    bool fails_on;  /* and all after it */
    bool armed;
} failing_memory = {.countdown = -1};

static inline void failing_memory_arm(void)
{
    failing_memory.armed = true;
}

static inline void failing_memory_rest(void)
{
    failing_memory.armed = false;
}

static bool failing_memory_now(void)
{
    if (!failing_memory.armed || failing_memory.countdown < 0)
        return false;
    if (failing_memory.countdown > 0) {
        failing_memory.countdown--;
        return false;
    }
    if (!failing_memory.fails_on)
        failing_memory.countdown = -1;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return failing_memory_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing_memory_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return failing_memory_now() ? NULL : __real_realloc(old, size);
}

/* Calls `run` with the first allocation failing, the second … until it needs fewer; then again with
 * all failing from there on. Returns how many allocations were tried. */
static inline long failing_memory_each(void (*run)(void))
{
    long n = 0;

    for (int on = 0; on < 2; on++) {
        failing_memory.fails_on = on;
        for (n = 0; n < 10000; n++) {
            failing_memory.countdown = n;
            run();
            if (failing_memory.countdown > 0)
                break; /* fewer allocations than that: all was tried */
        }
    }
    failing_memory.countdown = -1;
    return n;
}
