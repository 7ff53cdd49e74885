#include "../unit.h"

#include "base/chance.h"

/* The first numbers of splitmix64 from 0, as its author's program gives them. */
static void comes_again_from_its_seed(void **state)
{
    static const uint64_t expected[] = {UINT64_C(0xe220a8397b1dcdaf), UINT64_C(0x6e789e6aa1b965f4),
                                        UINT64_C(0x06c45d188009454f)};

    for (int round = 0; round < 2; round++) {
        uint64_t seed = 0;
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
            assert_true(chance_next(&seed) == expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_again_from_its_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
