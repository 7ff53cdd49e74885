#include "../unit.h"

#include "spool/record.h"
#include <endian.h>
#include <errno.h>

static const struct record_place place = {.salt = {1, 2, 3, 4, 5, 6, 7, 8}, .segment = 9};
enum { OFFSET = 4096 };

static size_t make_record(char *bytes)
{
    memset(bytes, 0, 128);
    record_begin(bytes, SPOOL_RECORD_EVENT, 11, 20);
    memcpy(bytes + RECORD_HEADER_BYTES, "meta-bytes.data-data-data-data-", 31);
    record_finish(bytes, &place, OFFSET);
    return record_bytes_at(bytes);
}

static void is_itself(void **state)
{
    char bytes[128];
    struct record_header header;

    (void)state;
    assert_int_equal(make_record(bytes), 72);
    assert_int_equal(record_parse(bytes, &place, OFFSET, &header), 0);
    assert_int_equal(header.type, SPOOL_RECORD_EVENT);
    assert_int_equal(header.meta_bytes, 11);
    assert_int_equal(header.data_bytes, 20);
    assert_true(header.meta_sum == record_sum(SPAN("meta-bytes.")));
    assert_true(header.data_sum == record_sum(SPAN("data-data-data-data-")));
    assert_int_equal(record_meta_bytes_at(bytes), 11);
    assert_int_equal(record_type_at(bytes), SPOOL_RECORD_EVENT);
}

static void is_no_record_elsewhere(void **state)
{
    char bytes[128];
    struct record_header header;
    struct record_place other = place;

    (void)state;
    make_record(bytes);
    assert_int_equal(record_parse(bytes, &place, OFFSET + 8, &header), -EBADMSG);
    other.segment++;
    assert_int_equal(record_parse(bytes, &other, OFFSET, &header), -EBADMSG);
    other = place;
    other.salt[15] ^= 1;
    assert_int_equal(record_parse(bytes, &other, OFFSET, &header), -EBADMSG);
}

static void feels_each_bit(void **state)
{
    char bytes[128];
    struct record_header header;

    (void)state;
    make_record(bytes);
    for (size_t bit = 0; bit < RECORD_HEADER_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(record_parse(bytes, &place, OFFSET, &header), -EBADMSG);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(record_parse(bytes, &place, OFFSET, &header), -EBADMSG);
}

/* A newer version or type, correctly summed, is refused by name. */
static void tells_a_newer_version(void **state)
{
    char bytes[128];
    struct record_header header;

    (void)state;
    make_record(bytes);
    bytes[9] = RECORD_VERSION + 1;
    record_finish(bytes, &place, OFFSET);
    assert_int_equal(record_parse(bytes, &place, OFFSET, &header), -EPROTONOSUPPORT);
    bytes[9] = RECORD_VERSION;
    bytes[8] = SPOOL_RECORD_SEAL + 1;
    record_finish(bytes, &place, OFFSET);
    assert_int_equal(record_parse(bytes, &place, OFFSET, &header), -EPROTONOSUPPORT);
}

/* docs/formats/spool.md has these offsets. */
static void lies_as_documented(void **state)
{
    static const char expected[] = "\x0b\0\0\0\x14\0\0\0\x04\x01\0\0\0\0\0\0";
    char bytes[128];

    (void)state;
    make_record(bytes);
    assert_memory_equal(bytes, expected, 16);
    assert_memory_equal(bytes + 40, "meta-bytes.data", 15);
    assert_int_equal(record_bytes(0, 0), 40);
    assert_int_equal(record_bytes(1, 0), 48);
    assert_int_equal(record_bytes(4, 4), 48);
}

static struct envelope_recipient recipients[] = {{.address = {"a@b.example", 11}},
                                                 {.address = {"c@d.example", 11}}};

static void encode(struct buffer *out, struct record_extent *extents, size_t count)
{
    struct record_net net[] = {{1, SPOOL_OUTCOME_HELD, 3, 99, SPAN("host:g.example:25")}};
    struct spool_expansion expansion = {0, recipients, 1};
    struct envelope envelope = {
        .sender = SPAN("x@y.example"), .recipients = recipients, .recipient_count = 2};
    struct record_message message = {.from = {7, 8},
                                     .first_attempt_us = -1,
                                     .header_bytes = 5,
                                     .body_bytes = 6,
                                     .extents = extents,
                                     .extent_count = count,
                                     .expansions = &expansion,
                                     .expansion_count = 1,
                                     .net = net,
                                     .net_count = 1};
    assert_int_equal(record_encode_message(&message, &envelope, out), 0);
}

static void message_round_trip(void **state)
{
    struct record_extent blank[2] = {{0}}, real[2] = {{1, 2, 3, 4}, {5, 6, 7, UINT64_MAX}};
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct record_message message;
    struct envelope envelope;

    (void)state;
    encode(&wire, blank, 2);
    record_patch_extents(wire.data, real, 2);
    assert_int_equal(
        record_decode_message(buffer_span(&wire), RECORD_VERSION, &arena, &message, &envelope), 0);
    assert_int_equal(message.from.segment, 7);
    assert_true(message.first_attempt_us == -1);
    assert_int_equal(message.extents[0].segment, 1);
    assert_int_equal(message.extents[1].bytes, 7);
    assert_true(message.extents[1].sum == UINT64_MAX);
    assert_int_equal(message.net[0].next_attempt_us, 99);
    assert_span(message.net[0].route, "host:g.example:25");
    assert_span(message.expansions[0].children[0].address, "a@b.example");
    assert_span(envelope.recipients[1].address, "c@d.example");
    arena_done(&arena);
    buffer_done(&wire);
}

/* Where an envelope may end that was written before it had the last fields. */
static bool is_older(size_t missing)
{
    return missing == 9 || missing == 8 || missing == 4;
}

/* As an earlier Postbuch wrote it: without the routes of the net state. */
static void reads_version_1(void **state)
{
    static const char route[] = "\x11\0\0\0host:g.example:25";
    struct buffer wire = BUFFER_INIT, old = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct record_message message;
    struct envelope envelope;

    encode(&wire, NULL, 0);
    char *at = memmem(wire.data, wire.size, route, sizeof(route) - 1);
    assert_non_null(at);
    size_t before = (size_t)(at - wire.data);
    buffer_append(&old, wire.data, before);
    buffer_append_span(&old, span_from(buffer_span(&wire), before + sizeof(route) - 1));
    uint32_t part;
    memcpy(&part, old.data, sizeof(part));
    part = htole32(le32toh(part) - (uint32_t)sizeof(route) + 1);
    memcpy(old.data, &part, sizeof(part));
    assert_int_equal(
        record_decode_message(buffer_span(&old), RECORD_VERSION, &arena, &message, &envelope),
        -EBADMSG);
    assert_int_equal(record_decode_message(buffer_span(&old), 1, &arena, &message, &envelope), 0);
    assert_int_equal(message.net[0].attempts, 3);
    assert_span(message.net[0].route, "");
    assert_span(envelope.sender, "x@y.example");
    arena_done(&arena);
    buffer_done(&wire);
    buffer_done(&old);
}

static void message_a_byte_at_a_time(void **state)
{
    struct record_extent extents[1] = {{1, 2, 3, 4}};
    struct buffer wire = BUFFER_INIT;
    struct record_message message;
    struct envelope envelope;

    (void)state;
    encode(&wire, extents, 1);
    for (size_t size = 0; size < wire.size; size++) {
        struct arena arena = ARENA_INIT;
        struct span part = span_of(wire.data, size);
        assert_int_equal(record_decode_message(part, RECORD_VERSION, &arena, &message, &envelope),
                         is_older(wire.size - size) ? 0 : -EBADMSG);
        arena_done(&arena);
    }
    buffer_done(&wire);
}

static void seal_has_its_size(void **state)
{
    struct record_seal seal = {.sequence = 1};
    struct buffer wire = BUFFER_INIT;

    (void)state;
    assert_int_equal(codec_encode(&record_seal_codec, &seal, &wire), 0);
    assert_int_equal(wire.size, RECORD_SEAL_META_BYTES);
    buffer_done(&wire);
}

static void chain_feels_order(void **state)
{
    (void)state;
    assert_true(record_chain(record_chain(0, 1), 2) != record_chain(record_chain(0, 2), 1));
    assert_true(record_chain(0, 0) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_itself),          cmocka_unit_test(is_no_record_elsewhere),
        cmocka_unit_test(feels_each_bit),     cmocka_unit_test(tells_a_newer_version),
        cmocka_unit_test(lies_as_documented), cmocka_unit_test(message_round_trip),
        cmocka_unit_test(reads_version_1),    cmocka_unit_test(message_a_byte_at_a_time),
        cmocka_unit_test(seal_has_its_size),  cmocka_unit_test(chain_feels_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
