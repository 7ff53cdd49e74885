#include "../unit.h"

#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
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
        {"0s", 0, INT64_C(1795284003000000)},
        {"1s", 0, INT64_C(1795284002000000)},
        {"2m", 0, INT64_C(1795283883000000)},
        {"1w", 0, INT64_C(1794679203000000)},
        {"1000000s", 0, INT64_C(1794284003000000)},
        {"1000001s", -EINVAL, 0},
        {"99999999999999999999s", -EINVAL, 0},
        {"1h30m", -EINVAL, 0},
        {"1H", -EINVAL, 0},
        {"5", -EINVAL, 0},
        {"2026-11-21t18:00:03.120z", 0, INT64_C(1795284003120000)},
        {"2026-11-21T18:00:03.1234567Z", 0, INT64_C(1795284003123456)},
        {"2026-11-21T18:00:03.000001Z", 0, INT64_C(1795284003000001)},
        {"2026-11-21T18:00Z", 0, INT64_C(1795284000000000)},
        {"2026-11-21Z", 0, INT64_C(1795219200000000)},
        {"2026-11-21T18:00:03-00:30", 0, INT64_C(1795285803000000)},
        {"2026-11-21T18:00:03+00:30", 0, INT64_C(1795282203000000)},
        {"2026-11-22T17:59:03+23:59", 0, INT64_C(1795284003000000)},
        {"2026-11-21T18:00:03+24:00", -EINVAL, 0},
        {"2026-11-21T18:00:03+00:60", -EINVAL, 0},
        {"2026-11-21T18:00:03x01:00", -EINVAL, 0},
        {"2026-11-21T18:00:03+01:00x", -EINVAL, 0},
        {"2026-11-21T18:00:03+01", -EINVAL, 0},
        {"2026-11-21T18:00:03ZZ", -EINVAL, 0},
        {"2026-11-21T24:00:00Z", -EINVAL, 0},
        {"2026-11-21T18:60:00Z", -EINVAL, 0},
        {"2026-13-01", -EINVAL, 0},
        {"2026-11-32", -EINVAL, 0},
        {"2026-11-21x18:00", -EINVAL, 0},
        {"2026-11-21T18:00:03.1200000000000000000000000000000000000000000Z", -EINVAL, 0}, /* 64 */
        {"2026-11-21T18:00:03.120000000000000000000000000000000000000000Z", 0,
         INT64_C(1795284003120000)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t out = 0;
        assert_int_equal(clock_parse(span_from_cstr(cases[i].text), now, &out), cases[i].result);
        assert_true(out == cases[i].wall_us);
    }
}

static void a_nul_is_no_end(void **state)
{
    int64_t out = 7;

    assert_int_equal(clock_parse(SPAN("1h\0x"), 0, &out), -EINVAL);
    assert_int_equal(clock_parse(SPAN("2026-11-21\0"), 0, &out), -EINVAL);
    assert_int_equal(out, 7);
}

/* What people type is meant as the clock on the wall showed it then, summer or winter. */
static void local_times_have_summers(void **state)
{
    char date[CLOCK_RFC5322_SIZE], text[CLOCK_RFC3339_SIZE];
    int64_t out;

    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    assert_int_equal(clock_parse(SPAN("2026-07-01 12:00"), 0, &out), 0);
    assert_int_equal(out, INT64_C(1782900000000000)); /* 10:00 UTC */
    clock_format_rfc5322(out, date);
    assert_string_equal(date, "Wed, 1 Jul 2026 12:00:00 +0200");
    clock_format_local(out, text);
    assert_string_equal(text, "2026-07-01 12:00:00");
    assert_int_equal(clock_parse(SPAN("2026-12-01 12:00"), 0, &out), 0);
    clock_format_rfc5322(out, date);
    assert_string_equal(date, "Tue, 1 Dec 2026 12:00:00 +0100");
    setenv("TZ", "NST3:30", 1);
    tzset();
    clock_format_rfc5322(INT64_C(1795284003120000), date);
    assert_string_equal(date, "Sat, 21 Nov 2026 14:30:03 -0330");
    setenv("TZ", "XST-5:45", 1);
    tzset();
    clock_format_rfc5322(INT64_C(1795284003120000), date);
    assert_string_equal(date, "Sat, 21 Nov 2026 23:45:03 +0545");
    setenv("TZ", "CET-1", 1);
    tzset();
}

/* Every weekday and month has its name (RFC 5322 3.3), in any language of the system. */
static void names_of_days_and_months(void **state)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char date[CLOCK_RFC5322_SIZE], expected[8];

    for (int64_t day = 0; day < 7; day++) {
        clock_format_rfc5322(day * INT64_C(86400000000), date);
        snprintf(expected, sizeof(expected), "%s, ", days[day]);
        assert_int_equal(strncmp(date, expected, 5), 0);
    }
    for (int64_t month = 0; month < 12; month++) {
        clock_format_rfc5322((month * 31 + 10) * INT64_C(86400000000), date);
        assert_non_null(strstr(date, months[month]));
    }
}

/* The monotonic clocks are one; the wall clock is some way into this century. */
static void the_clocks_themselves(void **state)
{
    int64_t us = clock_monotonic_us(), ms = clock_monotonic_ms(), later_us = clock_monotonic_us();

    assert_true(us / 1000 <= ms && ms <= later_us / 1000);
    assert_true(clock_wall_us() > INT64_C(1700000000000000));
    assert_true(clock_wall_us() < INT64_C(4000000000000000));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_nul_is_no_end),
                                       cmocka_unit_test(local_times_have_summers),
                                       cmocka_unit_test(names_of_days_and_months),
                                       cmocka_unit_test(the_clocks_themselves),
                                       cmocka_unit_test(formats),
                                       cmocka_unit_test(parses),
                                       cmocka_unit_test(durations),
                                       cmocka_unit_test(between_two_times)};
    setenv("TZ", "CET-1", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
