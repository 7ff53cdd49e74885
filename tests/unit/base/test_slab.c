#include "../unit.h"

#include "base/slab.h"

struct element {
    uint32_t a, b;
};

static void handles_start_at_one_and_come_back(void **state)
{
    struct slab slab;
    slab_init(&slab, sizeof(struct element));
    assert_int_equal(slab_alloc(&slab), 1);
    assert_int_equal(slab_alloc(&slab), 2);
    struct element *e = slab_at(&slab, 1);
    *e = (struct element){7, 7};
    slab_free(&slab, 1);
    assert_int_equal(slab.count, 1);
    assert_int_equal(slab_alloc(&slab), 1);
    e = slab_at(&slab, 1);
    assert_int_equal(e->a | e->b, 0);
    slab_done(&slab);
    assert_int_equal(slab.count, 0);
}

static void elements_stay_where_they_are(void **state)
{
    enum { COUNT = 5 * SLAB_CHUNK_COUNT };
    struct slab slab;
    slab_init(&slab, sizeof(struct element));
    uint32_t first = slab_alloc(&slab);
    struct element *kept = slab_at(&slab, first);
    for (uint32_t i = 1; i < COUNT; i++) {
        uint32_t h = slab_alloc(&slab);
        assert_int_not_equal(h, 0);
        ((struct element *)slab_at(&slab, h))->b = i;
    }
    assert_ptr_equal(slab_at(&slab, first), kept);
    for (uint32_t i = 1; i < COUNT; i++)
        assert_int_equal(((struct element *)slab_at(&slab, first + i))->b, i);
    slab_done(&slab);
}

/* As many as were freed come back, each once, before a fresh one is taken. */
static void freed_ones_are_used_again(void **state)
{
    enum { COUNT = 3000 };
    static bool in_use[COUNT + 1];
    struct slab slab;

    slab_init(&slab, sizeof(struct element));
    for (uint32_t i = 1; i <= COUNT; i++) {
        assert_int_equal(slab_alloc(&slab), i);
        in_use[i] = true;
    }
    for (uint32_t i = 1; i <= COUNT; i += 3) {
        memset(slab_at(&slab, i), 0xff, sizeof(struct element));
        slab_free(&slab, i);
        in_use[i] = false;
    }
    assert_int_equal(slab.count, COUNT - COUNT / 3);
    for (uint32_t i = 0; i < COUNT / 3; i++) {
        uint32_t handle = slab_alloc(&slab);
        assert_in_range(handle, 1, COUNT);
        assert_false(in_use[handle]);
        in_use[handle] = true;
        struct element *e = slab_at(&slab, handle);
        assert_int_equal(e->a | e->b, 0);
    }
    assert_int_equal(slab_alloc(&slab), COUNT + 1);
    assert_int_equal(slab.count, COUNT + 1);
    slab_done(&slab);
    /* It is as new. */
    assert_int_equal(slab_alloc(&slab), 1);
    slab_done(&slab);
}

/* An element may be no larger than the handle that it holds while it is free. */
static void the_smallest_elements(void **state)
{
    struct slab slab;

    slab_init(&slab, 4);
    for (uint32_t i = 1; i <= 2 * SLAB_CHUNK_COUNT; i++)
        *(uint32_t *)slab_at(&slab, slab_alloc(&slab)) = i;
    for (uint32_t i = 1; i <= 2 * SLAB_CHUNK_COUNT; i++)
        assert_int_equal(*(uint32_t *)slab_at(&slab, i), i);
    slab_free(&slab, 5);
    slab_free(&slab, 6);
    assert_int_equal(*(uint32_t *)slab_at(&slab, 7), 7);
    uint32_t one = slab_alloc(&slab), other = slab_alloc(&slab);
    assert_true((one == 5 && other == 6) || (one == 6 && other == 5));
    slab_done(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(freed_ones_are_used_again),
                                       cmocka_unit_test(the_smallest_elements),
                                       cmocka_unit_test(handles_start_at_one_and_come_back),
                                       cmocka_unit_test(elements_stay_where_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
