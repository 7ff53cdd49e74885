#include "../unit.h"

#include "ipc/frame.h"
#include <errno.h>

static const struct ipc_message sample = {
    .type = IPC_RCPT_VERDICT,
    .rcpt_verdict = {.action = IPC_RCPT_DENIED, .expands = true, .address = {"a@b", 3}}};

static void round_trip_byte_by_byte(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct ipc_frame frame;
    struct ipc_message back;
    size_t needed = 0;

    assert_int_equal(ipc_frame_encode(&sample, 77, false, &wire), 0);
    for (size_t size = 0; size < wire.size; size++) {
        struct span part = span_first(buffer_span(&wire), size);
        assert_int_equal(ipc_frame_parse(part, IPC_FRAME_HEADER + 100, &frame, &needed), 0);
        assert_int_equal(needed, size < IPC_FRAME_HEADER ? IPC_FRAME_HEADER : wire.size);
    }
    assert_int_equal(ipc_frame_parse(buffer_span(&wire), 1000, &frame, &needed), 1);
    assert_int_equal(frame.token, 77);
    assert_int_equal(frame.size, wire.size);
    assert_int_equal(ipc_frame_decode(&frame, &arena, &back), 0);
    assert_int_equal(back.type, IPC_RCPT_VERDICT);
    assert_int_equal(back.rcpt_verdict.action, IPC_RCPT_DENIED);
    assert_span(back.rcpt_verdict.address, "a@b");
    buffer_done(&wire);
    arena_done(&arena);
}

static void bad_headers(void **state)
{
    static const struct {
        const char *what;
        size_t at;
        uint8_t value;
    } cases[] = {{"a size over the limit", 3, 0x7f},
                 {"type none", 4, 0},
                 {"no such type", 5, 9},
                 {"an unknown flag", 6, 2}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer wire = BUFFER_INIT;
        struct ipc_frame frame;
        size_t needed;
        assert_int_equal(ipc_frame_encode(&sample, 1, false, &wire), 0);
        wire.data[cases[i].at] = (char)cases[i].value;
        assert_int_equal(ipc_frame_parse(buffer_span(&wire), 1 << 20, &frame, &needed), -EPROTO);
        buffer_done(&wire);
    }
}

static void too_long_a_field_leaves_the_output_as_it_was(void **state)
{
    static char text[IPC_TEXT_MAX + 1];
    struct buffer wire = BUFFER_INIT;
    struct ipc_message message = sample;

    assert_int_equal(ipc_frame_encode(&sample, 1, false, &wire), 0);
    size_t size = wire.size;
    message.rcpt_verdict.text = span_of(text, sizeof(text));
    assert_int_equal(ipc_frame_encode(&message, 1, false, &wire), -EINVAL);
    assert_int_equal(wire.size, size);
    buffer_done(&wire);
}

static void every_type_has_a_sound_row(void **state)
{
    for (unsigned type = IPC_CREDIT; type < IPC_TYPE_COUNT; type++) {
        const struct ipc_row *row = ipc_row(type);
        assert_non_null(row);
        assert_true(row->codec->size <= sizeof(struct ipc_message));
        if (row->reply) {
            assert_false(row->is_reply);
            assert_true(ipc_row(row->reply)->is_reply);
        }
    }
    assert_null(ipc_row(IPC_NONE));
    assert_null(ipc_row(IPC_TYPE_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_byte_by_byte), cmocka_unit_test(bad_headers),
        cmocka_unit_test(too_long_a_field_leaves_the_output_as_it_was),
        cmocka_unit_test(every_type_has_a_sound_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
