#include "../unit.h"

/* Not by malloc, whatever this is built with. */
#define CELLS_OWN
#include "base/cells.c"

struct element {
    uint64_t a, b;
};

static void cells_are_zero_and_come_back(void **state)
{
    struct cells cells = {.size = sizeof(struct element)};
    struct element *first = cells_alloc(&cells), *second = cells_alloc(&cells);
    assert_ptr_not_equal(first, second);
    *first = (struct element){7, 7};
    cells_free(&cells, first);
    assert_int_equal(cells.count, 1);
    first = cells_alloc(&cells);
    assert_int_equal(first->a | first->b, 0);
    cells_free(&cells, first);
    cells_free(&cells, second);
    cells_free(&cells, NULL);
    assert_int_equal(cells.count, 0);
    assert_null(cells.chunks);
}

/* Many chunks, freed in another order; none lies in another. */
static void cells_are_apart(void **state)
{
    enum { COUNT = 5000 };
    static struct element *all[COUNT];
    struct cells cells = {.size = sizeof(struct element)};

    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < COUNT; i++) {
            all[i] = cells_alloc(&cells);
            assert_non_null(all[i]);
            *all[i] = (struct element){i, round};
        }
        for (uint64_t i = 0; i < COUNT; i++)
            assert_true(all[i]->a == i && all[i]->b == round);
        for (uint64_t i = 0; i < COUNT; i++)
            cells_free(&cells, all[i * 7 % COUNT]);
    }
    assert_int_equal(cells.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_zero_and_come_back),
        cmocka_unit_test(cells_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
