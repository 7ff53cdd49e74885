#include "../unit.h"

#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void formats(void **state)
{
    char text[CLOCK_RFC3339_SIZE], date[CLOCK_RFC5322_SIZE];
    clock_format_rfc3339(INT64_C(1795284003120000), text);
    assert_string_equal(text, "2026-11-21T18:00:03.120Z");
    clock_format_rfc3339(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format_rfc3339(INT64_MIN, text); /* a damaged file may have it */
    assert_non_null(strstr(text, ".224Z"));
    clock_format_rfc5322(INT64_C(1795284003120000), date);
    assert_string_equal(date, "Sat, 21 Nov 2026 19:00:03 +0100");
}

static void parses(void **state)
{
    const int64_t now = INT64_C(1795284003000000);
    static const struct {
        const char *text;
        int result;
        int64_t wall_us;
    } cases[] = {
        {"2026-11-21T18:00:03.120Z", 0, INT64_C(1795284003120000)},
        {"2026-11-21T19:00:03+01:00", 0, INT64_C(1795284003000000)},
        {"2026-11-21 19:00", 0, INT64_C(1795284000000000)},
        {"2026-11-21", 0, INT64_C(1795215600000000)},
        {"1h", 0, INT64_C(1795280403000000)},
        {"3d", 0, INT64_C(1795024803000000)},
        {"3y", -EINVAL, 0},
        {"-3d", -EINVAL, 0},
        {"2026-11-21T19:00:03+25:00", -EINVAL, 0},
        {"2026-11-21Tnoon", -EINVAL, 0},
        {"yesterday", -EINVAL, 0},
        {"2026-11-21 19:00:03.12", 0, INT64_C(1795284003120000)},
        {"2026-11-21T15:00:03-03:00", 0, INT64_C(1795284003000000)},
        {" 2026-11-21", -EINVAL, 0},
        {"2026- 1-21", -EINVAL, 0},
        {"2026-11-21  19:00", -EINVAL, 0},
        {"2026-11-21T 9:00", -EINVAL, 0},
        {"2026-11-21 19: 0", -EINVAL, 0},
        {"2026-11-21 19:00 ", -EINVAL, 0},
        {"2026-11-21\t19:00", -EINVAL, 0},
        {"2026-11-21T19:00:03.Z", -EINVAL, 0},
        {"2026-11-21.5", -EINVAL, 0},
        {"2026-11-21T19:00:03 +01:00", -EINVAL, 0},
        {"2026-11-21T19:00:03+ 1:00", -EINVAL, 0},
        {"2026-11-21T19:00:03+-1:00", -EINVAL, 0},
        {" 1h", -EINVAL, 0},
        {"1h ", -EINVAL, 0},
        {"+1h", -EINVAL, 0},
        {"", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t out = 0;
        assert_int_equal(clock_parse(span_from_cstr(cases[i].text), now, &out), cases[i].result);
        assert_true(out == cases[i].wall_us);
    }
}

static void durations(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},      {999, "999ms"},      {1000, "1s"},    {61000, "1m1s"},
                 {3600000, "1h"}, {187200000, "2d4h"}, {86400000, "1d"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[32];
        clock_format_duration(cases[i].ms, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void between_two_times(void **state)
{
    static const struct {
        int64_t from_us, to_us;
        const char *text;
    } cases[] = {
        {1000000, 13000000, "12s"}, {13000000, 1000000, "0ms"},    {5, 5, "0ms"},
        {-6000000, 6000000, "12s"}, {INT64_MAX, INT64_MIN, "0ms"},
    };
    char out[32];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        clock_format_between(cases[i].from_us, cases[i].to_us, out);
        assert_string_equal(out, cases[i].text);
    }
    clock_format_between(INT64_MIN, INT64_MAX, out); /* no overflow */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(formats), cmocka_unit_test(parses),
                                       cmocka_unit_test(durations),
                                       cmocka_unit_test(between_two_times)};
    setenv("TZ", "CET-1", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
