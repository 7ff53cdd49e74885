#include "../unit.h"

#include "cli/queue_print.h"

#include <stdlib.h>

enum { NOW_S = 1000000 };
#define US(seconds) ((int64_t)(seconds)*1000000)

static void states(void **state)
{
    for (unsigned bit = IPC_QUEUE_PAUSED; bit <= IPC_QUEUE_HELD; bit <<= 1)
        assert_int_equal(queue_state_by_name(queue_state_name((uint8_t)bit)), bit);
    assert_int_equal(queue_state_by_name("gone"), 0);
}

/* A hostile address or reply must neither break JSON nor be left out. */
static void hostile_rows(void **state)
{
    struct ipc_queue_row row = {
        .address = {"a\xff\"\n@x", 6}, .why = {"nul\0\x1b", 5}, .state = IPC_QUEUE_HELD};
    json_t *json = queue_row_json(&row);
    char *text = json_dumps(json, JSON_COMPACT);

    assert_non_null(text);
    assert_non_null(strstr(text, "\"address\":\"a\\\\xff\\\"\\\\x0a@x\""));
    assert_non_null(strstr(text, "\"why\":\"nul\\u0000\\u001B\""));
    assert_non_null(strstr(text, "\"sender\":\"\""));
    assert_non_null(strstr(text, "\"next_attempt\":null"));
    free(text);
    json_decref(json);
}

static void summaries(void **state)
{
    struct ipc_queue_sum rows[] = {{.destination = SPAN("aaa.example"),
                                    .paused = 3,
                                    .ages = {0, 0, 3},
                                    .oldest_us = US(NOW_S - 60)}};
    struct ipc_queue_summary summary = {.messages = 2,
                                        .recipients = 3,
                                        .destinations = 1,
                                        .rows = rows,
                                        .row_count = 1,
                                        .now_us = US(NOW_S)};
    json_t *json = queue_summary_json(&summary);
    json_t *row = json_array_get(json_object_get(json, "destinations"), 0);

    assert_int_equal(json_integer_value(json_object_get(json, "recipients")), 3);
    assert_int_equal(json_array_size(json_object_get(row, "ages")), IPC_QUEUE_AGES);
    assert_int_equal(queue_print_summary(&summary), 0);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states),
        cmocka_unit_test(hostile_rows),
        cmocka_unit_test(summaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
