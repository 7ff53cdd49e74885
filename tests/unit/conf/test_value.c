#include "../unit.h"

#include "conf/value.h"
#include <errno.h>

static void sizes(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},
        {"50M", 0, 50 << 20},
        {"64k", 0, 65536},
        {"64KB", 0, 65536},
        {"12b", 0, 12},
        {"3K", 0, 3 << 10},
        {"3MB", 0, 3 << 20},
        {"3G", 0, 3ULL << 30},
        {"3gb", 0, 3ULL << 30},
        {"3Tb", 0, 3ULL << 40},
        {"16777215T", 0, 16777215ULL << 40},
        {"007", 0, 7},
        {"0x10", -EINVAL, 0},
        {"5P", -EINVAL, 0},
        {" 5", -EINVAL, 0},
        {"5 ", -EINVAL, 0},
        {"1M5K", -EINVAL, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"1T", 0, 1ULL << 40},
        {"18446744073709551615", 0, UINT64_MAX},
        {"16777216T", -ERANGE, 0},
        {"99999999999999999999", -ERANGE, 0},
        {"M", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"5 M", -EINVAL, 0},
        {"5MM", -EINVAL, 0},
        {"-5M", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bytes = 77;
        assert_int_equal(conf_size_parse(span_from_cstr(cases[i].text), &bytes), cases[i].result);
        assert_true(bytes == (cases[i].result ? 77 : cases[i].bytes));
    }
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t ms;
    } cases[] = {
        {"0", 0, 0},
        {"5m", 0, 300000},
        {"4h", 0, 14400000},
        {"4d", 0, 345600000},
        {"1h30m", 0, 5400000},
        {"250ms", 0, 250},
        {"1s5ms", 0, 1005},
        {"1w1d1h1m1s1ms", 0, 694861001},
        {"1m1m", 0, 120000},
        {"0s", 0, 0},
        {"00", -EINVAL, 0},
        {"1h30", -EINVAL, 0},
        {"h", -EINVAL, 0},
        {"1.5h", -EINVAL, 0},
        {"1y", -EINVAL, 0},
        {"18446744073709551615ms", 0, UINT64_MAX},
        {"18446744073709551616ms", -ERANGE, 0},
        {"2W", 0, 1209600000},
        {"5", -EINVAL, 0},
        {"5x", -EINVAL, 0},
        {"m5", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"1h 30m", -EINVAL, 0},
        {"-1h", -EINVAL, 0},
        {"30500568904943w", -ERANGE, 0},
        {"18446744073709551615ms1ms", -ERANGE, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t ms = 77;
        assert_int_equal(conf_duration_parse(span_from_cstr(cases[i].text), &ms), cases[i].result);
        assert_true(ms == (cases[i].result ? 77 : cases[i].ms));
    }
}

static void values_are_written(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {{0, "0"},           {100, "100"},          {1023, "1023"},
                 {1024, "1K"},       {1536 << 10, "1536K"}, {64 << 20, "64M"},
                 {1ULL << 30, "1G"}, {5ULL << 40, "5T"},    {UINT64_MAX, "18446744073709551615"}};
    static const struct {
        uint64_t ms;
        const char *text;
    } times[] = {{0, "0"},         {1, "1ms"},        {1000, "1s"},
                 {90000, "90s"},   {300000, "5m"},    {5400000, "90m"},
                 {14400000, "4h"}, {345600000, "4d"}, {604800000, "1w"}};
    struct buffer out = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        buffer_clear(&out);
        conf_size_format(sizes[i].bytes, &out);
        assert_span(buffer_span(&out), sizes[i].text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        buffer_clear(&out);
        conf_duration_format(times[i].ms, &out);
        assert_span(buffer_span(&out), times[i].text);
    }
    buffer_done(&out);
}

static void truths(void **state)
{
    bool value = true;

    assert_int_equal(conf_bool_parse(SPAN("No"), &value), 0);
    assert_false(value);
    assert_int_equal(conf_bool_parse(SPAN("on"), &value), 0);
    assert_true(value);
    assert_int_equal(conf_bool_parse(SPAN("1"), &value), -EINVAL);
    assert_int_equal(conf_bool_parse(SPAN(""), &value), -EINVAL);
}

static void distances(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned max, distance;
    } cases[] = {
        {"hostname", "hostname", 3, 0},
        {"hostnmae", "hostname", 3, 1},
        {"hotname", "hostname", 3, 1},
        {"Hostname", "hostname", 3, 0},
        {"", "abc", 5, 3},
        {"abc", "", 5, 3},
        {"abc", "xyz", 2, 3},
        {"listne", "listen", 2, 1},
        {"LISTNE", "listen", 2, 1},
        {"ilsten", "listen", 2, 1},
        {"listenn", "listen", 2, 1},
        {"xlisten", "listen", 2, 1},
        {"lisxten", "listen", 2, 1},
        {"lixten", "listen", 2, 1},
        {"ba", "ab", 2, 1},
        {"a", "b", 2, 1},
        {"", "", 2, 0},
        {"ca", "abc", 9, 3}, /* what was swapped isn't touched again */
        {"abcd", "badc", 9, 2},
        {"abc", "xyz", 3, 3},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmn", "abcdefghijklmnopqrstuvwxyzabcdefghijklm", 2,
         1},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmno", "abcdefghijklmnopqrstuvwxyzabcdefghijklmno",
         2, 3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(conf_edit_distance(span_from_cstr(cases[i].a), span_from_cstr(cases[i].b),
                                            cases[i].max),
                         cases[i].distance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(durations),
                                       cmocka_unit_test(values_are_written),
                                       cmocka_unit_test(truths), cmocka_unit_test(distances)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
