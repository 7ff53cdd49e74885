#include "../unit.h"

#include "base/table.h"

static bool is(const void *key, uint32_t handle)
{
    return *(const uint32_t *)key == handle;
}

static uint32_t find(const struct table *t, uint32_t hash, uint32_t handle)
{
    return table_find(t, hash, is, &handle);
}

static void equal_hashes_are_told_apart(void **state)
{
    struct table t = TABLE_INIT;
    assert_int_equal(find(&t, 5, 1), 0);
    for (uint32_t h = 1; h <= 20; h++)
        assert_int_equal(table_insert(&t, 5, h), 0);
    table_remove(&t, 5, 7);
    table_remove(&t, 5, 7);
    table_remove(&t, 6, 99);
    for (uint32_t h = 1; h <= 20; h++)
        assert_int_equal(find(&t, 5, h), h == 7 ? 0 : h);
    assert_int_equal(t.count, 19);
    table_done(&t);
}

/* Against a plain array, with hashes that collide and wrap around the end of the table. */
static void agrees_with_a_model(void **state)
{
    enum { HANDLES = 500 };
    static bool in[HANDLES + 1];
    struct table t = TABLE_INIT;
    uint32_t random = 1;
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t h = 1 + (random >> 8) % HANDLES, hash = UINT32_MAX - h / 7;
        if (in[h])
            table_remove(&t, hash, h);
        else
            assert_int_equal(table_insert(&t, hash, h), 0);
        in[h] = !in[h];
        uint32_t other = 1 + (random >> 20) % HANDLES;
        assert_int_equal(find(&t, UINT32_MAX - other / 7, other), in[other] ? other : 0);
    }
    table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_hashes_are_told_apart),
                                       cmocka_unit_test(agrees_with_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
