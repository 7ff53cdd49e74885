/*
 * What every fuzz target includes. A target reads `size` bytes as its parser's hostile input,
 * asserts what must hold of the result and returns 0. It must be deterministic and quick, and free
 * all that it took.
 */
#pragma once

#include "base/span.h"

/* Assertions stay on in every build of the fuzz targets. */
#undef NDEBUG
#include <assert.h>

/* For what only checks: no input is worth keeping for the way through it, and to be told of each
 * byte takes longer than the check. */
#ifdef __clang__
#define FUZZ_UNSEEN __attribute__((noinline, no_sanitize("coverage")))
#else
#define FUZZ_UNSEEN
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
