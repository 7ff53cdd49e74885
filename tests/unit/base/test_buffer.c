#include "../unit.h"

#include "base/buffer.h"
#include <errno.h>
#include <stdio.h>

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

static void hex_of_any_byte(void **state)
{
    struct buffer b = BUFFER_INIT;

    for (unsigned byte = 0; byte < 256; byte++) {
        char lower[3], upper[3];
        snprintf(lower, sizeof(lower), "%02x", byte);
        snprintf(upper, sizeof(upper), "%02X", byte);
        buffer_clear(&b);
        assert_int_equal(buffer_append_hex(&b, (unsigned char)byte, 'a'), 0);
        assert_span(buffer_span(&b), lower);
        buffer_clear(&b);
        assert_int_equal(buffer_append_hex(&b, (unsigned char)byte, 'A'), 0);
        assert_span(buffer_span(&b), upper);
    }
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows_and_consumes),
                                       cmocka_unit_test(hex_of_any_byte),
                                       cmocka_unit_test(limit_is_sticky)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
