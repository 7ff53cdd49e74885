#include "../unit.h"

#include "spool/segment.h"
#include "store_sim.h"
#include <errno.h>

enum { SIZE = 65536, BLOCK = 512 };

static const struct segment_header sample = {
    .block_bytes = BLOCK,
    .number = 5,
    .size_bytes = SIZE,
    .lane = {1, 2, 3},
    .salt = {4, 5, 6},
    .created_us = 77,
    .previous_end = {4, 1000},
    .previous_seal = {4, 900},
    .previous_sum = 0x1122334455667788,
    .previous_sequence = 42,
};

static void header_round_trip(void **state)
{
    char bytes[SEGMENT_HEADER_BYTES];
    struct segment_header back;

    (void)state;
    segment_encode_header(&sample, bytes);
    assert_int_equal(segment_decode_header(span_of(bytes, sizeof(bytes)), &back), 0);
    assert_int_equal(back.previous_end.offset, 1000);
    assert_int_equal(back.previous_sequence, 42);
    assert_memory_equal(back.salt, sample.salt, sizeof(back.salt));
    /* docs/formats/spool.md has these offsets. */
    assert_memory_equal(bytes, "Postbuch\1\0\0\0\0\2\0\0\5", 17);
    assert_memory_equal(bytes + 32, sample.lane, 16);
    assert_memory_equal(bytes + 48, sample.salt, 16);
    assert_int_equal(bytes[72], 4);
    assert_int_equal((uint8_t)bytes[104], 0x88);
    assert_int_equal(bytes[112], 42);
}

static void header_feels_each_bit(void **state)
{
    char bytes[SEGMENT_HEADER_BYTES];
    struct segment_header back;

    (void)state;
    segment_encode_header(&sample, bytes);
    for (size_t size = 0; size < sizeof(bytes); size++)
        assert_int_equal(segment_decode_header(span_of(bytes, size), &back), -EBADMSG);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        int r = segment_decode_header(span_of(bytes, sizeof(bytes)), &back);
        /* A higher format number says: newer. */
        bool is_format = bit / 8 >= 8 && bit / 8 < 12 && bit != 64;
        assert_int_equal(r, is_format ? -EPROTONOSUPPORT : -EBADMSG);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void trailer_round_trip(void **state)
{
    struct segment_trailer trailer = {.number = 5, .end = 3000, .footer_bytes = 7}, back;
    char bytes[SEGMENT_TRAILER_BYTES];

    (void)state;
    segment_encode_trailer(&trailer, bytes);
    assert_int_equal(segment_decode_trailer(span_of(bytes, sizeof(bytes)), &back), 0);
    assert_int_equal(back.end, 3000);
    assert_int_equal(back.footer_bytes, 7);
    bytes[40] ^= 1;
    assert_int_equal(segment_decode_trailer(span_of(bytes, sizeof(bytes)), &back), -EBADMSG);
}

static struct store_segment *make_segment(struct store *store)
{
    struct store_segment *handle;
    assert_int_equal(store->ops->open_lane(store, false), 0);
    assert_int_equal(store->ops->create_segment(store, STORE_LOG, 5, SIZE, &handle), 0);
    return handle;
}

static void put(struct store *store, struct store_segment *handle, uint64_t offset,
                const void *bytes, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    assert_int_equal(store->ops->write(handle, offset, &part, 1), 0);
}

static const struct {
    const char *name;
    bool first, second; /* copies that are good */
    bool has_garbage;
    uint64_t number; /* of the file */
    int result;
    bool is_blank;
} headers[] = {
    {"both", true, true, false, 5, 0, false},
    {"only the first", true, false, true, 5, 0, false},
    {"only the copy", false, true, true, 5, 0, false},
    {"zeros", false, false, false, 5, -EBADMSG, true},
    {"garbage", false, false, true, 5, -EBADMSG, false},
    {"of an earlier life", true, true, false, 6, -EBADMSG, true},
    {"of a later number: misnamed", true, true, false, 4, -ESTALE, false},
    {"misnamed, with one copy", false, true, true, 4, -ESTALE, false},
    {"misnamed, without its copy", true, false, true, 4, -ESTALE, false},
};

static void header_is_read(void **state)
{
    char bytes[SEGMENT_HEADER_BYTES], garbage[SEGMENT_HEADER_BYTES];

    (void)state;
    segment_encode_header(&sample, bytes);
    memset(garbage, 0x55, sizeof(garbage));
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct store_sim *disk = store_sim_new(1);
        struct store *store = store_sim_open(disk);
        struct store_segment *handle = make_segment(store);
        struct segment_header header;
        bool is_blank = false;

        if (headers[i].first || headers[i].has_garbage)
            put(store, handle, 0, headers[i].first ? bytes : garbage, sizeof(bytes));
        if (headers[i].second || headers[i].has_garbage)
            put(store, handle, BLOCK, headers[i].second ? bytes : garbage, sizeof(bytes));
        int r = segment_read_header(store->ops, handle, headers[i].number, BLOCK, 0, &header,
                                    &is_blank);
        if (r != headers[i].result || is_blank != headers[i].is_blank)
            fail_msg("%s: %d, blank %d", headers[i].name, r, is_blank);
        if (r == -ESTALE)
            assert_int_equal(header.number, sample.number);
        store->ops->close_segment(handle);
        store->ops->close(store);
        store_sim_free(disk);
    }
}

static void concerns_are_noted_once(void **state)
{
    struct segment *segment = segment_new(STORE_LOG, 9, SIZE);

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (uint64_t other = 1; other <= 20; other++)
            segment_add_concern(segment, other);
    }
    assert_int_equal(segment->concern_count, 19); /* itself is none */
    segment_free(segment, NULL);
    segment_free(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_round_trip),       cmocka_unit_test(header_feels_each_bit),
        cmocka_unit_test(trailer_round_trip),      cmocka_unit_test(header_is_read),
        cmocka_unit_test(concerns_are_noted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
