#include "../unit.h"

#include "base/buffer.h"
#include <errno.h>

static void grows_and_consumes(void **state)
{
    struct buffer b = BUFFER_INIT;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buffer_printf(&b, "%03d,", i), 0);
    assert_int_equal(b.size, 4000);
    buffer_consume(&b, 4 * 998);
    assert_span(buffer_span(&b), "998,999,");
    buffer_consume(&b, 100);
    assert_int_equal(b.size, 0);
    buffer_done(&b);
}

static void limit_is_sticky(void **state)
{
    struct buffer b = BUFFER_LIMITED(5);
    assert_int_equal(buffer_append(&b, "abc", 3), 0);
    assert_int_equal(buffer_append(&b, "def", 3), -EMSGSIZE);
    assert_int_equal(buffer_append(&b, "d", 1), -EMSGSIZE);
    assert_int_equal(buffer_error(&b), -EMSGSIZE);
    assert_span(buffer_span(&b), "abc");
    buffer_clear(&b);
    assert_int_equal(buffer_append(&b, "abcde", 5), 0);
    assert_null(buffer_reserve(&b, 1));
    buffer_done(&b);
    assert_int_equal(b.limit, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows_and_consumes),
                                       cmocka_unit_test(limit_is_sticky)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
