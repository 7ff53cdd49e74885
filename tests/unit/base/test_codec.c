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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(damaged),
                                       cmocka_unit_test(encoder_holds_maxima)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
