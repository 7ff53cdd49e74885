#include "../unit.h"

#include "base/id.h"
#include <errno.h>

static void round_trip_and_order(void **state)
{
    struct id_maker maker;
    struct id last = {{0}};
    id_maker_init(&maker, 0xbeef, 0x3ffffe);
    for (int i = 0; i < 100; i++) {
        struct id id = id_make(&maker, INT64_C(1795284003000000) + (i + 3) / 4 * 1000), back;
        char text[ID_TEXT + 1];
        id_format(&id, text);
        assert_int_equal(strlen(text), ID_TEXT);
        assert_int_equal(id_parse(span_from_cstr(text), &back), 0);
        assert_true(id_equal(&id, &back));
        assert_false(id_equal(&id, &last));
        assert_int_equal(id_time_ms(&id), INT64_C(1795284003000) + (i + 3) / 4);
        last = id;
    }
    int64_t last_us = id_time_ms(&last) * 1000, day_us = INT64_C(86400000000);
    struct id earlier = id_make(&maker, last_us - day_us + 1000);
    assert_true(id_time_ms(&earlier) == id_time_ms(&last));
    struct id corrected = id_make(&maker, last_us - day_us);
    assert_int_equal(id_time_ms(&corrected), (last_us - day_us) / 1000);
}

/* The clock stands, then stays behind, while the counter goes round more than twice. */
static void rising_while_the_clock_is_held(void **state)
{
    int64_t now_us = INT64_C(1795284003000000);
    struct id_maker maker;
    id_maker_init(&maker, 1, 0x200000);
    struct id last = id_make(&maker, now_us), id;
    for (int i = 0; i < 9000000; i++) {
        id = id_make(&maker, i < 3000000 ? now_us : now_us - 3600000000);
        if (id_compare(&last, &id) >= 0)
            fail_msg("the id after %d isn't greater", i);
        last = id;
    }
    assert_int_equal(id_time_ms(&last), now_us / 1000 + 2);
    id = id_make(&maker, now_us + 2000);
    assert_true(id_compare(&last, &id) < 0);
    assert_int_equal(id_time_ms(&id), now_us / 1000 + 2);
    id = id_make(&maker, now_us + 3000);
    assert_int_equal(id_time_ms(&id), now_us / 1000 + 3);
}

static void look_alikes(void **state)
{
    struct id a, b;
    assert_int_equal(id_parse(SPAN("0123456789ABCDEF"), &a), 0);
    assert_int_equal(id_parse(SPAN("oi23456789abcdef"), &b), 0);
    assert_true(id_equal(&a, &b));
    assert_int_equal(id_parse(SPAN("oL23456789abcdef"), &b), 0);
    assert_true(id_equal(&a, &b));
    assert_int_equal(id_parse(SPAN("u123456789abcdef"), &b), -EINVAL);
    assert_int_equal(id_parse(SPAN("0123456789ABCDE"), &b), -EINVAL);
    assert_int_equal(id_parse(SPAN("0123456789ABCDEFG"), &b), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip_and_order),
                                       cmocka_unit_test(rising_while_the_clock_is_held),
                                       cmocka_unit_test(look_alikes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
