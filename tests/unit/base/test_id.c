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

/* The bits as id.h has them; ids on disk are read by them for years. */
static void what_an_id_holds(void **state)
{
    struct id_maker maker;
    struct id id, back = {{7}};
    char text[ID_TEXT + 1];

    id_maker_init(&maker, 0xabcd, 0x12344);
    id = id_make(&maker, INT64_C(0x0123456789a) * 1000 + 999);
    const uint8_t expected[ID_BYTES] = {0x04, 0x8d, 0x15, 0x9e, 0x26, 0xaa, 0xf3, 0x41, 0x23, 0x45};
    assert_memory_equal(id.bytes, expected, ID_BYTES);
    assert_int_equal(id_time_ms(&id), 0x0123456789a);
    assert_int_equal(id_origin(&id), 0xabcd);
    id_format(&id, text);
    assert_string_equal(text, "0J6HB7H6NBSM28T5");
    assert_int_equal(id_parse(SPAN("0j6hb7h6nbsm28t5"), &back), 0);
    assert_true(id_equal(&id, &back));
    assert_int_equal(id_parse(SPAN("ZZZZZZZZZZZZZZZZ"), &back), 0);
    for (size_t i = 0; i < ID_BYTES; i++)
        assert_int_equal(back.bytes[i], 0xff);
    assert_int_equal(id_origin(&back), 0xffff);
    assert_int_equal(id_time_ms(&back), INT64_C(0x3ffffffffff));
    assert_int_equal(id_parse(SPAN("0000000000000000"), &back), 0);
    assert_true(id_is_zero(&back));
    assert_false(id_is_zero(&id));
}

static void texts_that_are_no_ids(void **state)
{
    static const char bad[] = {'U', 'u', '-', '/', ':', '@', '[', '`', '{', ' ', '\0', '\xff'};
    char text[ID_TEXT];
    struct id id;

    for (size_t at = 0; at < ID_TEXT; at++)
        for (size_t i = 0; i < sizeof(bad); i++) {
            memset(text, '0', sizeof(text));
            text[at] = bad[i];
            assert_int_equal(id_parse(span_of(text, sizeof(text)), &id), -EINVAL);
        }
    assert_int_equal(id_parse(SPAN(""), &id), -EINVAL);
}

/* Texts sort as their ids do: by time, then by origin, then by the counter. */
static void the_order_of_texts(void **state)
{
    struct id_maker low, high;
    struct id ids[4];
    char a[ID_TEXT + 1], b[ID_TEXT + 1];

    id_maker_init(&low, 1, 100);
    id_maker_init(&high, 2, 5);
    ids[0] = id_make(&low, 1000000);
    ids[1] = id_make(&low, 1000999);
    ids[2] = id_make(&high, 1000000);
    ids[3] = id_make(&low, 1001000);
    for (size_t i = 0; i + 1 < ARRAY_SIZE(ids); i++) {
        id_format(&ids[i], a);
        id_format(&ids[i + 1], b);
        assert_true(id_compare(&ids[i], &ids[i + 1]) < 0);
        assert_true(strcmp(a, b) < 0);
    }
    /* A clock before 1970 is one that isn't set. */
    id_maker_init(&low, 1, 0);
    ids[0] = id_make(&low, -5000000);
    assert_int_equal(id_time_ms(&ids[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_an_id_holds),
                                       cmocka_unit_test(texts_that_are_no_ids),
                                       cmocka_unit_test(the_order_of_texts),
                                       cmocka_unit_test(round_trip_and_order),
                                       cmocka_unit_test(rising_while_the_clock_is_held),
                                       cmocka_unit_test(look_alikes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
