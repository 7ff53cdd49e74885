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

/* Each way to append meets the limit at its last byte; a formatted text needs room for a NUL. */
static void the_last_byte(void **state)
{
    struct buffer b = BUFFER_LIMITED(8);

    assert_int_equal(buffer_append(&b, "1234567", 7), 0);
    assert_int_equal(buffer_append_byte(&b, '8'), 0);
    assert_int_equal(buffer_append(&b, "", 0), 0);
    assert_int_equal(buffer_append_byte(&b, '9'), -EMSGSIZE);
    assert_span(buffer_span(&b), "12345678");
    buffer_clear(&b);
    assert_int_equal(buffer_error(&b), 0);
    assert_int_equal(buffer_printf(&b, "%s", "1234567"), 0);
    buffer_clear(&b);
    assert_int_equal(buffer_printf(&b, "%s", "12345678"), -EMSGSIZE);
    assert_int_equal(b.size, 0);
    assert_int_equal(buffer_append(&b, "1", 1), -EMSGSIZE); /* sticky */
    buffer_clear(&b);
    assert_int_equal(buffer_append_hex(&b, 0xab, 'a'), 0);
    char *room = buffer_reserve(&b, 6);
    assert_non_null(room);
    memcpy(room, "cdefgh", 6);
    b.size += 6;
    assert_span(buffer_span(&b), "abcdefgh");
    buffer_done(&b);
}

static void impossible_sizes(void **state)
{
    struct buffer b = BUFFER_INIT;

    assert_int_equal(buffer_append(&b, "abc", 3), 0);
    assert_null(buffer_reserve(&b, SIZE_MAX));
    assert_int_not_equal(buffer_error(&b), 0);
    assert_span(buffer_span(&b), "abc");
    buffer_clear(&b);
    assert_null(buffer_reserve(&b, SIZE_MAX / 2 + 1));
    buffer_done(&b);
    assert_int_equal(buffer_error(&b), 0);
    assert_int_equal(buffer_append_span(&b, SPAN("again")), 0);
    assert_span(buffer_span(&b), "again");
    buffer_done(&b);
}

/* What was appended stays what it was while the memory moves. */
static void growing_keeps_the_bytes(void **state)
{
    struct buffer b = BUFFER_INIT;

    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(buffer_append_byte(&b, (char)(i * 31)), 0);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (char)(i * 31));
    assert_in_range(b.capacity, 100000, 4 * 100000);
    buffer_consume(&b, 0);
    assert_int_equal(b.size, 100000);
    buffer_consume(&b, 99999);
    assert_int_equal(b.size, 1);
    assert_int_equal(b.data[0], (char)(99999u * 31));
    buffer_consume(&b, 1);
    assert_int_equal(b.size, 0);
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_byte),           cmocka_unit_test(impossible_sizes),
        cmocka_unit_test(growing_keeps_the_bytes), cmocka_unit_test(grows_and_consumes),
        cmocka_unit_test(hex_of_any_byte),         cmocka_unit_test(limit_is_sticky)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
