#include "../unit.h"

#include "book/chain.h"
#include <stdio.h>

static struct chain *chain;

static int set_up(void **state)
{
    return chain_new(&chain);
}

static int tear_down(void **state)
{
    chain_free(chain);
    return 0;
}

static void hex(const struct chain_hash *hash, char out[static 65])
{
    for (int i = 0; i < CHAIN_HASH_BYTES; i++)
        sprintf(out + 2 * i, "%02x", hash->bytes[i]);
}

static const uint8_t key[ENVELOPE_KEY_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                9, 10, 11, 12, 13, 14, 15, 16};

static struct chain_record sample(void)
{
    return (struct chain_record){
        .kind = EVENT_ACCEPTED,
        .message = {{1}},
        .parent = EVENT_NO_RECIPIENT,
        .time_us = 5,
        .actor_uid = EVENT_NO_ACTOR,
        .service = SPAN("mx"),
        .personal = {[CHAIN_SENDER] = SPAN("a@b.example"), [CHAIN_REPLY] = SPAN("250 ok")}};
}

/* Computed once by hand with Python's hashlib and hmac after docs/formats/book.md: these bytes are
 * fixed for ever. */
static void the_bytes_are_those_of_the_format(void **state)
{
    struct chain_record record = sample();
    struct chain_hash first, commitment, link;
    char text[65];

    assert_int_equal(chain_first(chain, WEEK_ENTRIES, 2968, 0, &first), 0);
    hex(&first, text);
    assert_string_equal(text, "a2e7b6e23532b0783f66662041838bfb8280b3932536128ef3c6cbcc12e12ad2");
    assert_int_equal(chain_commit(chain, key, &record, &commitment), 0);
    hex(&commitment, text);
    assert_string_equal(text, "e46fcbaa63ec248e6fff7f9d6321668fdd0685d4b5395d70ca2879544e22749b");
    assert_int_equal(chain_link(chain, &first, &record, &commitment, &link), 0);
    hex(&link, text);
    assert_string_equal(text, "f4eb60b282baaa80f305d8ed35efdec6149ac604a02d1c9c14c5a5f4a324f4b8");
}

static void every_personal_field_and_the_key_count(void **state)
{
    struct chain_hash seen[CHAIN_PERSONAL_COUNT + 2];
    struct chain_record record = {.personal = {{0}}};
    size_t count = 0;

    assert_int_equal(chain_commit(chain, key, &record, &seen[count++]), 0);
    for (int i = 0; i < CHAIN_PERSONAL_COUNT; i++) {
        struct chain_record one = {.kind = EVENT_ACCEPTED};
        one.personal[i] = SPAN("x");
        assert_int_equal(chain_commit(chain, key, &one, &seen[count++]), 0);
    }
    static const uint8_t other[ENVELOPE_KEY_BYTES] = {1};
    struct chain_record again = {.personal = {[0] = SPAN("x")}};
    assert_int_equal(chain_commit(chain, other, &again, &seen[count++]), 0);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(chain_hash_equal(&seen[i], &seen[k]));
}

/* A field that isn't in the link could be changed unseen. */
static void every_plain_field_counts(void **state)
{
    struct chain_record base = sample(), r[17];
    struct chain_hash zero = {{0}}, links[17];

    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        r[i] = base;
    r[1].kind++;
    r[2].message.bytes[9]++;
    r[3].recipient_index++;
    r[4].parent = 0;
    r[5].time_us++;
    r[6].next_attempt_us++;
    r[7].until_us++;
    r[8].count++;
    r[9].actor_uid = 0;
    r[10].status = SPAN("s");
    r[11].host = SPAN("s");
    r[12].remote_id = SPAN("s");
    r[13].tls = SPAN("s");
    r[14].session.bytes[0]++;
    r[15].size_bytes++;
    r[16].digest[31]++;
    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        assert_int_equal(chain_link(chain, &zero, &r[i], &zero, &links[i]), 0);
        for (size_t k = 0; k < i; k++)
            assert_false(chain_hash_equal(&links[i], &links[k]));
    }
}

static void each_file_and_lane_starts_elsewhere(void **state)
{
    struct chain_hash first[4];

    chain_first(chain, WEEK_ENTRIES, 1, 0, &first[0]);
    chain_first(chain, WEEK_REFUSALS, 1, 0, &first[1]);
    chain_first(chain, WEEK_ENTRIES, 2, 0, &first[2]);
    chain_first(chain, WEEK_ENTRIES, 1, 1, &first[3]);
    for (size_t i = 0; i < ARRAY_SIZE(first); i++)
        for (size_t k = 0; k < i; k++)
            assert_false(chain_hash_equal(&first[i], &first[k]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_those_of_the_format),
        cmocka_unit_test(every_personal_field_and_the_key_count),
        cmocka_unit_test(every_plain_field_counts),
        cmocka_unit_test(each_file_and_lane_starts_elsewhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
