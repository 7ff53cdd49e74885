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

/* No two have a byte in common, whatever their sizes and however many blocks that takes. */
static void nothing_overlaps(void **state)
{
    struct arena a = ARENA_INIT;
    struct {
        unsigned char *at;
        size_t size;
    } parts[600];

    for (int round = 0; round < 3; round++) {
        size_t handed_out = 0;
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
            parts[i].size = i % 97 == 96 ? 9000 : i * 7 % 131;
            parts[i].at = arena_alloc(&a, parts[i].size);
            assert_non_null(parts[i].at);
            memset(parts[i].at, (int)(i & 0xff), parts[i].size);
            handed_out += parts[i].size;
        }
        assert_true(a.used >= handed_out);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
            for (size_t k = 0; k < parts[i].size; k++)
                assert_int_equal(parts[i].at[k], i & 0xff);
        if (round == 1)
            arena_done(&a);
        else
            arena_clear(&a);
        assert_int_equal(a.used, 0);
    }
    arena_done(&a);
}

/* What was handed out counts, not what the blocks take; clearing gives all of it back. */
static void the_limit_is_exact_and_comes_back(void **state)
{
    struct arena a = ARENA_LIMITED(4096);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            assert_non_null(arena_alloc(&a, 1024));
        assert_int_equal(a.used, 4096);
        assert_null(arena_alloc(&a, 1));
        assert_null(arena_copy(&a, SPAN("")).data); /* its NUL needs a place */
        if (round == 1)
            arena_done(&a);
        else
            arena_clear(&a);
        assert_int_equal(a.limit, 4096);
    }
    arena_done(&a);
}

static void copies_serve_as_strings(void **state)
{
    struct arena a = ARENA_INIT;

    memset(arena_alloc(&a, 64), 0xff, 64);
    arena_clear(&a);
    struct span copy = arena_copy(&a, span_first(SPAN("hello world"), 5));
    assert_int_equal(copy.size, 5);
    assert_string_equal(copy.data, "hello");
    copy = arena_copy(&a, span_of(NULL, 0));
    assert_int_equal(copy.size, 0);
    assert_string_equal(copy.data, "");
    copy = arena_copy(&a, SPAN("a\0b"));
    assert_int_equal(copy.size, 3);
    assert_memory_equal(copy.data, "a\0b", 4);
    arena_done(&a);
}

static void arrays(void **state)
{
    struct arena a = ARENA_INIT;
    uint64_t *numbers = arena_alloc_array(&a, 1000, sizeof(*numbers));

    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(numbers[i], 0);
        numbers[i] = i;
    }
    assert_non_null(arena_alloc_array(&a, 0, 8));
    assert_non_null(arena_alloc_array(&a, 8, 0));
    assert_null(arena_alloc_array(&a, SIZE_MAX / 8 + 1, 8)); /* would be 0 */
    assert_null(arena_alloc_array(&a, SIZE_MAX, SIZE_MAX));
    assert_int_equal(numbers[999], 999);
    arena_done(&a);
}

static void what_came_to_nothing_is_given_back(void **state)
{
    struct arena a = ARENA_INIT;
    struct arena_mark none = arena_mark(&a);

    assert_non_null(arena_alloc(&a, 5000));
    arena_rewind(&a, none);
    assert_int_equal(a.used, 0);
    assert_null(a.blocks);
    char *kept = memset(arena_alloc(&a, 100), 'k', 100);
    struct arena_mark mark = arena_mark(&a);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 16; size <= 8192; size *= 2)
            memset(arena_alloc(&a, size), 'x', size);
        arena_rewind(&a, mark);
        assert_int_equal(a.used, mark.used);
        assert_ptr_equal(arena_alloc(&a, 1), kept + 112); /* right behind it */
        arena_rewind(&a, mark);
    }
    assert_int_equal(kept[99], 'k');
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_overlaps),
                                       cmocka_unit_test(the_limit_is_exact_and_comes_back),
                                       cmocka_unit_test(copies_serve_as_strings),
                                       cmocka_unit_test(arrays),
                                       cmocka_unit_test(what_came_to_nothing_is_given_back),
                                       cmocka_unit_test(allocates_zeroed_and_aligned),
                                       cmocka_unit_test(limit_and_overflow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
