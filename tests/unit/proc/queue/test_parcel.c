#include "../../unit.h"

#include "proc/queue/core/parcel.h"
#include <errno.h>

static struct span wire_of(struct buffer *buffer, uint8_t number)
{
    struct envelope_recipient r = {.address = SPAN("b@x"), .original = SPAN("b@x")};
    struct envelope e = {.id = {{1, number}}, .recipients = &r, .recipient_count = 1};
    buffer_clear(buffer);
    assert_int_equal(codec_encode(&envelope_codec, &e, buffer), 0);
    return buffer_span(buffer);
}

static void found_by_id_until_freed(void **state)
{
    struct parcels parcels;
    struct parcel *p, *q;
    struct buffer wire = BUFFER_INIT;
    parcels_init(&parcels, 1 << 20, 5);
    assert_int_equal(parcel_new(&parcels, wire_of(&wire, 1), SPAN("H"), SPAN("B"), &p), 0);
    assert_int_equal(parcel_new(&parcels, wire_of(&wire, 1), SPAN("H"), SPAN("B"), &q), -EEXIST);
    assert_int_equal(parcel_new(&parcels, SPAN("?"), SPAN("H"), SPAN("B"), &q), -EBADMSG);
    struct id id = {{1, 1}}, other = {{1, 2}};
    assert_ptr_equal(parcel_find(&parcels, &id), p);
    assert_null(parcel_find(&parcels, &other));
    assert_span(p->header, "H");
    assert_span(p->body, "B");
    parcel_free(&parcels, p);
    assert_null(parcel_find(&parcels, &id));
    buffer_done(&wire);
    parcels_done(&parcels);
}

static void the_oldest_make_room(void **state)
{
    struct parcels parcels;
    struct buffer wire = BUFFER_INIT;
    static char body[10000];
    parcels_init(&parcels, 35000, 5);
    for (uint8_t i = 1; i <= 10; i++) {
        struct parcel *p;
        assert_int_equal(
            parcel_new(&parcels, wire_of(&wire, i), SPAN(""), span_of(body, sizeof(body)), &p), 0);
        parcel_cache(&parcels, p);
        assert_true(parcels.bytes <= 35000);
    }
    for (uint8_t i = 1; i <= 10; i++) {
        struct id id = {{1, i}};
        assert_int_equal(parcel_find(&parcels, &id) != NULL, i > 7);
    }
    buffer_done(&wire);
    parcels_done(&parcels);
}

static void the_old_go_with_time(void **state)
{
    struct parcels parcels;
    struct buffer wire = BUFFER_INIT;
    struct parcel *first, *second;
    struct id one = {{1, 1}}, two = {{1, 2}};

    parcels_init(&parcels, 35000, 5);
    assert_int_equal(parcel_new(&parcels, wire_of(&wire, 1), SPAN(""), SPAN("B"), &first), 0);
    parcel_cache(&parcels, first);
    assert_int_equal(parcels_age(&parcels), 0);
    assert_int_equal(parcel_new(&parcels, wire_of(&wire, 2), SPAN(""), SPAN("B"), &second), 0);
    parcel_cache(&parcels, second);
    for (int i = 1; i < PARCEL_SECONDS; i++)
        assert_int_equal(parcels_age(&parcels), 0);
    assert_non_null(parcel_find(&parcels, &one));
    assert_true(parcels_age(&parcels) > 0);
    assert_null(parcel_find(&parcels, &one));
    assert_non_null(parcel_find(&parcels, &two));
    assert_true(parcels_age(&parcels) > 0);
    assert_int_equal(parcels.bytes, 0);
    assert_int_equal(parcels_age(&parcels), 0);
    buffer_done(&wire);
    parcels_done(&parcels);
}

static void children_come_behind_the_envelopes_own(void **state)
{
    struct envelope_recipient own[2] = {{.address = SPAN("0")}, {.address = SPAN("1")}};
    struct envelope_recipient first[1] = {{.address = SPAN("2")}};
    struct envelope_recipient second[2] = {{.address = SPAN("3")}, {.address = SPAN("4")}};
    struct spool_expansion expansions[2] = {{0, first, 1}, {1, second, 2}};
    struct parcel p = {.envelope = {.recipients = own, .recipient_count = 2},
                       .expansions = expansions,
                       .expansion_count = 2};
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(parcel_recipient(&p, i)->address.data[0], '0' + (int)i);
    assert_null(parcel_recipient(&p, 5));
    assert_null(parcel_recipient(&p, UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_by_id_until_freed),
                                       cmocka_unit_test(the_oldest_make_room),
                                       cmocka_unit_test(the_old_go_with_time),
                                       cmocka_unit_test(children_come_behind_the_envelopes_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
