#include "replay.h"

static const struct retry_policy policy = {
    .first_ms = 5 * MINUTE, .max_ms = 4 * HOUR, .give_up_ms = 4 * DAY};

static void pauses_double_up_to_the_longest(void **state)
{
    static const struct {
        unsigned attempts;
        int64_t pause_ms;
    } cases[] = {{1, 5 * MINUTE},   {2, 10 * MINUTE}, {3, 20 * MINUTE},      {6, 160 * MINUTE},
                 {7, 240 * MINUTE}, {8, 4 * HOUR},    {UINT16_MAX, 4 * HOUR}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t quarter = cases[i].pause_ms / 4;
        assert_int_equal(retry_pause_ms(&policy, cases[i].attempts, 0), cases[i].pause_ms);
        assert_int_equal(retry_pause_ms(&policy, cases[i].attempts, (uint64_t)quarter),
                         cases[i].pause_ms - quarter);
        for (uint64_t random = 1; random; random *= 978) {
            int64_t pause = retry_pause_ms(&policy, cases[i].attempts, random);
            assert_in_range(pause, cases[i].pause_ms - quarter, cases[i].pause_ms);
        }
    }
}

/* Wall clock now: 1000 days. Monotonic now: 1 day. */
#define WALL_US (INT64_C(1000) * DAY * 1000)
#define YEAR_US (INT64_C(365) * DAY * 1000)

static void recorded_attempts_stay_near(void **state)
{
    static const struct {
        const char *what;
        int64_t next_us, wait_ms;
    } cases[] = {
        {"as recorded", WALL_US + HOUR * INT64_C(1000), HOUR},
        {"long past", WALL_US - YEAR_US, 0},
        {"the clock went back a year", WALL_US + YEAR_US, 4 * HOUR},
        {"damaged", INT64_MAX, 4 * HOUR},
        {"damaged the other way", INT64_MIN, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("%s\n", cases[i].what);
        assert_int_equal(retry_due_ms(&policy, cases[i].next_us, WALL_US, DAY),
                         DAY + cases[i].wait_ms);
    }
}

static void deadlines_leave_room_for_attempts(void **state)
{
    static const struct {
        const char *what;
        int64_t accepted_us, left_ms;
    } cases[] = {
        {"new", WALL_US, 4 * INT64_C(1) * DAY},
        {"three days old", WALL_US - 3 * INT64_C(1000) * DAY, DAY},
        {"the clock went ahead a year", WALL_US - YEAR_US, 4 * HOUR},
        {"the clock went back a year", WALL_US + YEAR_US, 4 * INT64_C(1) * DAY},
        {"damaged", INT64_MIN, 4 * HOUR},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("%s\n", cases[i].what);
        assert_int_equal(retry_deadline_ms(&policy, cases[i].accepted_us, WALL_US, DAY),
                         DAY + cases[i].left_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pauses_double_up_to_the_longest),
                                       cmocka_unit_test(recorded_attempts_stay_near),
                                       cmocka_unit_test(deadlines_leave_room_for_attempts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
