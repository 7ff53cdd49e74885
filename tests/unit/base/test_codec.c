#include "../unit.h"

#include "base/codec.h"
#include "base/id.h"
#include <errno.h>

struct item {
    uint16_t number;
    struct span name;
};

struct sample {
    bool flag;
    uint32_t count;
    int64_t time_us;
    struct id id;
    struct span text;
    struct item *items;
    size_t item_count;
    uint8_t added_later;
};

CODEC_DEFINE(static, item_codec, struct item, CODEC_UINT(struct item, number, 1000),
             CODEC_SPAN(struct item, name, 10));
static const struct codec_field sample_fields[] = {
    CODEC_UINT(struct sample, flag, 1),
    CODEC_UINT(struct sample, count, UINT32_MAX),
    CODEC_INT(struct sample, time_us),
    CODEC_FIXED(struct sample, id),
    CODEC_SPAN(struct sample, text, 20),
    CODEC_LIST(struct sample, items, item_count, 3, &item_codec),
    CODEC_UINT(struct sample, added_later, 255),
};
static const struct codec sample_codec = {"sample", sizeof(struct sample), sample_fields,
                                          ARRAY_SIZE(sample_fields), 6};

static struct item two_items[] = {{7, {"seven", 5}}, {1000, {"", 0}}};
static const struct sample full = {.flag = true,
                                   .count = 0xdeadbeef,
                                   .time_us = -5,
                                   .id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
                                   .text = {"hello", 5},
                                   .items = two_items,
                                   .item_count = 2,
                                   .added_later = 9};

static void round_trip(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct sample back;

    assert_int_equal(codec_encode(&sample_codec, &full, &wire), 0);
    assert_int_equal(codec_decode(&sample_codec, buffer_span(&wire), &arena, &back), 0);
    assert_true(back.flag);
    assert_int_equal(back.count, 0xdeadbeef);
    assert_true(back.time_us == -5);
    assert_true(id_equal(&back.id, &full.id));
    assert_span(back.text, "hello");
    assert_int_equal(back.item_count, 2);
    assert_span(back.items[0].name, "seven");
    assert_int_equal(back.items[1].number, 1000);
    assert_int_equal(back.added_later, 9);
    /* An older writer's value ends before the added field; one byte is missing. */
    assert_int_equal(
        codec_decode(&sample_codec, span_first(buffer_span(&wire), wire.size - 1), &arena, &back),
        0);
    assert_int_equal(back.added_later, 0);
    buffer_done(&wire);
    arena_done(&arena);
}

/* Every prefix and every single-byte change either decodes or fails cleanly. */
static void damaged(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_LIMITED(1 << 20);
    struct sample back = {0};

    assert_int_equal(codec_encode(&sample_codec, &full, &wire), 0);
    for (size_t size = 0; size < wire.size - 1; size++) {
        arena_clear(&arena);
        assert_int_equal(
            codec_decode(&sample_codec, span_first(buffer_span(&wire), size), &arena, &back),
            -EBADMSG);
    }
    assert_int_equal(back.count, 0); /* untouched */
    for (size_t at = 0; at < wire.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            arena_clear(&arena);
            wire.data[at] ^= (char)(1 << bit);
            int r = codec_decode(&sample_codec, buffer_span(&wire), &arena, &back);
            assert_true(r == 0 || r == -EBADMSG);
            wire.data[at] ^= (char)(1 << bit);
        }
    buffer_append_byte(&wire, 0);
    assert_int_equal(codec_decode(&sample_codec, buffer_span(&wire), &arena, &back), -EBADMSG);
    buffer_done(&wire);
    arena_done(&arena);
}

static void encoder_holds_maxima(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct sample big = full;
    big.text = SPAN("more than twenty bytes of text");
    assert_int_equal(codec_encode(&sample_codec, &big, &wire), -EINVAL);
    big = full;
    big.item_count = 4;
    assert_int_equal(codec_encode(&sample_codec, &big, &wire), -EINVAL);
    buffer_done(&wire);
}

/* The bytes themselves: they lie on disks and come from other versions. */
static void the_wire_form(void **state)
{
    static const char expected[] = "\x01"                             /* flag */
                                   "\xef\xbe\xad\xde"                 /* count */
                                   "\xfb\xff\xff\xff\xff\xff\xff\xff" /* time_us */
                                   "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"
                                   "\x05\0\0\0hello"
                                   "\x02\0\0\0"
                                   "\x07\0\x05\0\0\0seven"
                                   "\xe8\x03\0\0\0\0"
                                   "\x09";
    struct buffer wire = BUFFER_INIT;

    assert_int_equal(codec_encode(&sample_codec, &full, &wire), 0);
    assert_int_equal(wire.size, sizeof(expected) - 1);
    assert_memory_equal(wire.data, expected, wire.size);
    buffer_done(&wire);
}

/* `wire` with the byte at `at` set to `value`. */
static int decode_changed(struct buffer *wire, size_t at, char value)
{
    struct arena arena = ARENA_INIT;
    struct sample back;
    char before = wire->data[at];

    wire->data[at] = value;
    int r = codec_decode(&sample_codec, buffer_span(wire), &arena, &back);
    wire->data[at] = before;
    arena_done(&arena);
    return r;
}

/* Each maximum holds to the value, for writers and for readers. */
static void maxima_are_exact(void **state)
{
    struct item items[4] = {{1000, {"0123456789", 10}}, {0, {"", 0}}, {1, {"", 0}}};
    struct sample most = full, more;
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct sample back;

    most.text = SPAN("exactly twenty bytes");
    most.items = items;
    most.item_count = 3;
    most.added_later = 255;
    assert_int_equal(codec_encode(&sample_codec, &most, &wire), 0);
    assert_int_equal(codec_decode(&sample_codec, buffer_span(&wire), &arena, &back), 0);
    assert_span(back.items[0].name, "0123456789");
    assert_int_equal(decode_changed(&wire, 0, 2), -EBADMSG);           /* flag */
    assert_int_equal(decode_changed(&wire, 23, 21), -EBADMSG);         /* text */
    assert_int_equal(decode_changed(&wire, 47, 4), -EBADMSG);          /* items */
    assert_int_equal(decode_changed(&wire, 51, (char)0xe9), -EBADMSG); /* items[0].number */
    more = most;
    more.text = SPAN("exactly twenty-1 byte");
    buffer_clear(&wire);
    assert_int_equal(codec_encode(&sample_codec, &more, &wire), -EINVAL);
    more = most;
    items[0].number = 1001;
    assert_int_equal(codec_encode(&sample_codec, &more, &wire), -EINVAL);
    items[0].number = 1000;
    items[2].name = SPAN("0123456789a");
    assert_int_equal(codec_encode(&sample_codec, &more, &wire), -EINVAL);
    arena_done(&arena);
    buffer_done(&wire);
}

static void no_room_for_what_is_read(void **state)
{
    struct buffer wire = BUFFER_INIT, small = BUFFER_LIMITED(10);
    struct sample back = {.count = 77};

    assert_int_equal(codec_encode(&sample_codec, &full, &small), -EMSGSIZE);
    assert_int_equal(codec_encode(&sample_codec, &full, &wire), 0);
    for (size_t limit = 1; limit < sizeof(struct sample) + 2 * sizeof(struct item); limit += 16) {
        struct arena arena = ARENA_LIMITED(limit);
        assert_int_equal(codec_decode(&sample_codec, buffer_span(&wire), &arena, &back), -ENOMEM);
        assert_int_equal(back.count, 77);
        arena_done(&arena);
    }
    buffer_done(&wire);
    buffer_done(&small);
}

static void nothing_is_a_list_of_none(void **state)
{
    struct sample none = full, back;
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;

    none.items = NULL;
    none.item_count = 0;
    none.text = span_of(NULL, 0);
    assert_int_equal(codec_encode(&sample_codec, &none, &wire), 0);
    assert_int_equal(codec_decode(&sample_codec, buffer_span(&wire), &arena, &back), 0);
    assert_int_equal(back.item_count, 0);
    assert_int_equal(back.text.size, 0);
    arena_done(&arena);
    buffer_done(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_wire_form),
                                       cmocka_unit_test(maxima_are_exact),
                                       cmocka_unit_test(no_room_for_what_is_read),
                                       cmocka_unit_test(nothing_is_a_list_of_none),
                                       cmocka_unit_test(round_trip),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(encoder_holds_maxima)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
