/*
 * For libFuzzer programs that make new SQLite files for each input: memory that costs SQLite less
 * than the sanitizer's. It is poisoned when it was freed and behind its end, so that whoever reads
 * what SQLite no longer holds is still found; replays of the corpora have the sanitizer's.
 */
#pragma once

#include "fuzz.h"

#include <sanitizer/asan_interface.h>
#include <sqlite3.h>

enum { FUZZ_SQLITE_HEAD = 16, FUZZ_SQLITE_POISON_MAX = 64 * 1024 };

void *__libc_malloc(size_t size);
void __libc_free(void *memory);

static inline int fuzz_sqlite_round(int size)
{
    return (size + 15) / 16 * 16;
}

static inline int fuzz_sqlite_size(void *memory)
{
    int size;

    memcpy(&size, (char *)memory - FUZZ_SQLITE_HEAD, sizeof(size));
    return size;
}

static inline void *fuzz_sqlite_malloc(int size)
{
    size = fuzz_sqlite_round(size);
    char *memory = __libc_malloc((size_t)size + 2 * FUZZ_SQLITE_HEAD);

    if (!memory)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(memory, (size_t)size + 2 * FUZZ_SQLITE_HEAD);
    memcpy(memory, &size, sizeof(size));
    if (size < FUZZ_SQLITE_POISON_MAX)
        ASAN_POISON_MEMORY_REGION(memory + FUZZ_SQLITE_HEAD + size, FUZZ_SQLITE_HEAD);
    return memory + FUZZ_SQLITE_HEAD;
}

static inline void fuzz_sqlite_free(void *memory)
{
    int size = fuzz_sqlite_size(memory);

    if (size < FUZZ_SQLITE_POISON_MAX) /* larger ones go back to the kernel */
        ASAN_POISON_MEMORY_REGION(memory, (size_t)size + FUZZ_SQLITE_HEAD);
    __libc_free((char *)memory - FUZZ_SQLITE_HEAD);
}

static inline void *fuzz_sqlite_realloc(void *memory, int size)
{
    int had = fuzz_sqlite_size(memory);
    void *larger = fuzz_sqlite_malloc(size);

    if (!larger)
        return NULL;
    memcpy(larger, memory, (size_t)(had < size ? had : size));
    fuzz_sqlite_free(memory);
    return larger;
}

static inline int fuzz_sqlite_init(void *data)
{
    return SQLITE_OK;
}

static inline void fuzz_sqlite_shutdown(void *data)
{
}

/* Before SQLite does anything. */
static inline void fuzz_sqlite_use(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = fuzz_sqlite_malloc,
        .xFree = fuzz_sqlite_free,
        .xRealloc = fuzz_sqlite_realloc,
        .xSize = fuzz_sqlite_size,
        .xRoundup = fuzz_sqlite_round,
        .xInit = fuzz_sqlite_init,
        .xShutdown = fuzz_sqlite_shutdown,
    };
    assert(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}
