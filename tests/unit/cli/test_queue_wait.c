#include "../unit.h"

#include "cli/queue_wait.h"

enum { NOW_S = 1000000 };
#define US(seconds) ((int64_t)(seconds)*1000000)

static void waits(void **state)
{
    static const struct {
        struct ipc_queue_row row;
        const char *text;
    } cases[] = {
        {{.wait = IPC_WAIT_TURN}, "its turn"},
        {{.wait = IPC_WAIT_PAUSE, .next_attempt_us = US(NOW_S + 270)}, "its next attempt in 4m30s"},
        {{.wait = IPC_WAIT_PAUSE, .next_attempt_us = US(NOW_S - 5)}, "its next attempt"},
        {{.wait = IPC_WAIT_DESTINATION,
          .next_attempt_us = US(NOW_S + 60),
          .why = {"452 4.2.2 full", 14}},
         "the end of its destination's pause in 1m: 452 4.2.2 full"},
        {{.wait = IPC_WAIT_OURS, .next_attempt_us = US(NOW_S + 20), .why = {"no memory", 9}},
         "trouble of this server to end; it tries one again in 20s: no memory"},
        {{.wait = IPC_WAIT_RELEASE}, "an administrator who releases it"},
        {{.wait = 99}, "(unknown)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        queue_format_wait(&cases[i].row, US(NOW_S), &out);
        assert_span(buffer_span(&out), cases[i].text);
        buffer_done(&out);
    }
}

static void every_wait_has_a_name(void **state)
{
    for (uint8_t wait = 0; wait < IPC_WAIT_COUNT; wait++)
        assert_string_not_equal(queue_wait_name(wait), "unknown");
    assert_string_equal(queue_wait_name(IPC_WAIT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits),
        cmocka_unit_test(every_wait_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
