#include "../unit.h"

#include "base/clock.h"
#include "book/week.h"

static const struct {
    const char *time;
    const char *file;
} cases[] = {
    /* The edges of years, from the calendar of ISO 8601. */
    {"1970-01-01T00:00:00Z", "book-1970-W01.sqlite"},
    {"2020-12-31T23:59:59Z", "book-2020-W53.sqlite"},
    {"2021-01-03T23:59:59Z", "book-2020-W53.sqlite"},
    {"2021-01-04T00:00:00Z", "book-2021-W01.sqlite"},
    {"2024-12-29T23:59:59Z", "book-2024-W52.sqlite"},
    {"2024-12-30T00:00:00Z", "book-2025-W01.sqlite"},
    {"2026-11-15T23:59:59Z", "book-2026-W46.sqlite"},
    {"2026-11-16T00:00:00Z", "book-2026-W47.sqlite"},
    {"2026-11-22T23:59:59Z", "book-2026-W47.sqlite"},
    {"2027-01-03T12:00:00Z", "book-2026-W53.sqlite"},
};

static void weeks_have_the_calendars_name(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char name[WEEK_FILE_SIZE];
        int64_t us;
        assert_int_equal(clock_parse(span_from_cstr(cases[i].time), 0, &us), 0);
        week_file(WEEK_ENTRIES, week_of_us(us), name);
        assert_string_equal(name, cases[i].file);
    }
}

static void every_name_reads_back(void **state)
{
    for (int week = 0; week < 5000; week++) {
        char name[WEEK_FILE_SIZE];
        enum week_kind kind;
        int got;
        week_file(WEEK_REFUSALS, week, name);
        assert_int_equal(week_parse_file(name, &kind, &got), 0);
        assert_int_equal(kind, WEEK_REFUSALS);
        assert_int_equal(got, week);
        assert_int_equal(week_of_us(week_end_us(week) - 1), week);
        assert_int_equal(week_of_us(week_end_us(week)), week + 1);
    }
}

static void other_names_are_refused(void **state)
{
    static const char *const names[] = {
        "book.sqlite",
        "book-2026-W47.sqlite-wal",
        "book-2026-W47.sqlite.damaged-1",
        "book-2026-W54.sqlite",
        "book-2025-W53.sqlite",
        "book-2026-W00.sqlite",
        "book-2026-W7.sqlite",
        "book-26-W47.sqlite",
        "xbook-2026-W47.sqlite",
        "",
    };
    enum week_kind kind;
    int week;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_true(week_parse_file(names[i], &kind, &week) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weeks_have_the_calendars_name),
        cmocka_unit_test(every_name_reads_back),
        cmocka_unit_test(other_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
