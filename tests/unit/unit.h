/* What every cmocka test includes, in the order that cmocka wants it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

/* Compares a span with a C string, showing both when they differ. */
#define assert_span(actual, expected)                                                              \
    do {                                                                                           \
        struct span actual_ = (actual);                                                            \
        assert_int_equal(actual_.size, strlen(expected));                                          \
        assert_memory_equal(actual_.data, expected, actual_.size);                                 \
    } while (0)
