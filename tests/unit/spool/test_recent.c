#include "../unit.h"

#include "spool/recent.h"
#include <stdlib.h>

enum { EXTENT = 8192 };

static struct recent_extent *take(struct recent *recent, char with)
{
    struct recent_extent *extent = recent_take(recent);
    assert_non_null(extent);
    assert_int_equal((uintptr_t)extent->data % 4096, 0);
    memset(extent->data, with, EXTENT);
    return extent;
}

static bool has(struct recent *recent, uint64_t segment, uint64_t offset, uint32_t bytes, char with)
{
    char got[EXTENT];
    bool found = recent_read(recent, segment, offset, bytes, got);

    for (uint32_t i = 0; found && i < bytes; i++)
        assert_int_equal(got[i], with);
    return found;
}

static void kept_is_found(void **state)
{
    struct recent recent;

    recent_init(&recent, EXTENT, 4 * EXTENT);
    recent_keep(&recent, take(&recent, 'a'), 1, 4096, EXTENT);
    recent_keep(&recent, take(&recent, 'b'), 2, 4096, 100);
    assert_true(has(&recent, 1, 4096, EXTENT, 'a'));
    assert_true(has(&recent, 2, 4096, 100, 'b'));
    assert_false(has(&recent, 2, 4096, 101, 'b'));
    assert_false(has(&recent, 2, 8192, 100, 'b'));
    assert_false(has(&recent, 3, 4096, 100, 'b'));
    recent_drop(&recent, take(&recent, 'c'));
    recent_drop(&recent, NULL);
    recent_done(&recent);
}

/* The oldest goes first, and its memory serves again. */
static void memory_is_bounded(void **state)
{
    struct recent recent;

    recent_init(&recent, EXTENT, 3 * EXTENT + 1);
    for (uint64_t i = 0; i < 10; i++) {
        recent_keep(&recent, take(&recent, (char)('0' + i)), 1, i * EXTENT, EXTENT);
        assert_true(recent.total_bytes <= 3 * EXTENT);
    }
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(has(&recent, 1, i * EXTENT, EXTENT, (char)('0' + i)), i >= 7);
    recent_done(&recent);
}

/* What is being filled may take more than the limit; then nothing is kept. */
static void what_is_in_use_comes_first(void **state)
{
    struct recent_extent *extents[5];
    struct recent recent;

    recent_init(&recent, EXTENT, 2 * EXTENT);
    for (size_t i = 0; i < ARRAY_SIZE(extents); i++)
        extents[i] = take(&recent, 'x');
    for (size_t i = 0; i < ARRAY_SIZE(extents); i++)
        recent_keep(&recent, extents[i], 1, i * EXTENT, EXTENT);
    assert_int_equal(recent.total_bytes, 2 * EXTENT);
    assert_false(has(&recent, 1, 2 * EXTENT, EXTENT, 'x'));
    assert_true(has(&recent, 1, 3 * EXTENT, EXTENT, 'x'));
    assert_true(has(&recent, 1, 4 * EXTENT, EXTENT, 'x'));
    recent_done(&recent);
}

static void a_limit_of_nothing_keeps_nothing(void **state)
{
    struct recent recent;

    recent_init(&recent, EXTENT, 0);
    recent_keep(&recent, take(&recent, 'a'), 1, 0, EXTENT);
    assert_false(has(&recent, 1, 0, EXTENT, 'a'));
    assert_int_equal(recent.total_bytes, 0);
    recent_done(&recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kept_is_found),
                                       cmocka_unit_test(memory_is_bounded),
                                       cmocka_unit_test(what_is_in_use_comes_first),
                                       cmocka_unit_test(a_limit_of_nothing_keeps_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
