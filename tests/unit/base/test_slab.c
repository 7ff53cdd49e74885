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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(handles_start_at_one_and_come_back),
                                       cmocka_unit_test(elements_stay_where_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
