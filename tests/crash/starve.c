/*
 * Preloaded into a server's processes: in the one that $STARVE names every $STARVE_EVERY-th
 * allocation fails, from two seconds after its first one on, so that it has started. starve.py says
 * what must hold.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GRACE_S = 2 };

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static unsigned long every; /* 0: this process isn't the one */
static time_t begin;
static atomic_ulong count;

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

__attribute__((constructor)) static void look(void)
{
    const char *who = getenv("STARVE"), *often = getenv("STARVE_EVERY");

    if (who && often && strcmp(who, program_invocation_short_name) == 0)
        every = strtoul(often, NULL, 10);
    begin = seconds();
}

static bool fails(void)
{
    if (!every || atomic_fetch_add(&count, 1) % every != every - 1 || seconds() < begin + GRACE_S)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    return fails() ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    return size && fails() ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t number, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, bytes);
}
