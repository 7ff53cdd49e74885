#include "../unit.h"

#include "base/numbers.h"

enum { COUNT = 3 * NUMBERS_LISTS };

struct thing {
    uint64_t number;
    struct list by_number;
};

static struct thing *find(struct numbers *numbers, uint64_t number, size_t *looked_at)
{
    LIST_EACH(numbers_list(numbers, number), link)
    {
        struct thing *thing = CONTAINER_OF(link, struct thing, by_number);
        ++*looked_at;
        if (thing->number == number)
            return thing;
    }
    return NULL;
}

static void found_among_few(void **state)
{
    static struct numbers numbers;
    static struct thing things[COUNT];
    size_t looked_at = 0;

    numbers_init(&numbers);
    for (uint64_t i = 0; i < COUNT; i++) {
        things[i].number = 1000000 + i;
        list_append(numbers_list(&numbers, things[i].number), &things[i].by_number);
    }
    for (uint64_t i = 0; i < COUNT; i += 2)
        list_remove(&things[i].by_number);
    for (uint64_t i = 0; i < COUNT; i++)
        assert_ptr_equal(find(&numbers, 1000000 + i, &looked_at), i % 2 ? &things[i] : NULL);
    assert_null(find(&numbers, UINT64_MAX, &looked_at));
    assert_true(looked_at <= 4 * COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_among_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
