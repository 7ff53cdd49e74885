#include "../unit.h"

#include "base/arena.h"

static void allocates_zeroed_and_aligned(void **state)
{
    struct arena a = ARENA_INIT;
    for (size_t size = 0; size < 10000; size += 37) {
        char *p = arena_alloc(&a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
    }
    arena_clear(&a);
    assert_int_equal(a.used, 0);
    char *again = arena_alloc(&a, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(again[i], 0);
    arena_done(&a);
}

static void limit_and_overflow(void **state)
{
    struct arena a = ARENA_LIMITED(1000);
    assert_null(arena_alloc(&a, 1001));
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_alloc(&a, 900));
    assert_null(arena_alloc_array(&a, SIZE_MAX / 2, 4));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_span(arena_copy(&a, SPAN("kept")), "kept");
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocates_zeroed_and_aligned),
                                       cmocka_unit_test(limit_and_overflow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
