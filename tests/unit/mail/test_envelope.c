#include "../unit.h"

#include "mail/envelope.h"
#include <errno.h>

static struct envelope_wish wishes[] = {
    {1, ENVELOPE_NOTIFY_NEVER, {"", 0}},
    {3, ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_DELAY, {"rfc822;a@b", 10}},
};
static struct envelope_recipient recipients[4] = {{{"a@b", 3}, {"a@b", 3}, 0, {0}},
                                                  {{"b@b", 3}, {"b@b", 3}, 0, {0}},
                                                  {{"c@b", 3}, {"c@b", 3}, 0, {0}},
                                                  {{"d@b", 3}, {"d@b", 3}, 0, {0}}};
static const struct envelope asked = {.sender = {"", 0},
                                      .recipients = recipients,
                                      .recipient_count = 4,
                                      .returned = ENVELOPE_RETURN_FULL,
                                      .envelope_id = {"QQ+2B", 5},
                                      .wishes = wishes,
                                      .wish_count = 2};

static void wishes_come_back(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct envelope e;

    assert_int_equal(codec_encode(&envelope_codec, &asked, &wire), 0);
    assert_int_equal(codec_decode(&envelope_codec, buffer_span(&wire), &arena, &e), 0);
    assert_int_equal(e.returned, ENVELOPE_RETURN_FULL);
    assert_span(e.envelope_id, "QQ+2B");
    assert_true(envelope_wishes_are_sound(&e));
    assert_int_equal(envelope_wish_of(&e, 0).notify, 0);
    assert_int_equal(envelope_wish_of(&e, 1).notify, ENVELOPE_NOTIFY_NEVER);
    assert_int_equal(envelope_wish_of(&e, 2).notify, 0);
    assert_int_equal(envelope_wish_of(&e, 3).notify, 10);
    assert_span(envelope_wish_of(&e, 3).original, "rfc822;a@b");
    arena_done(&arena);
    buffer_done(&wire);
}

/* However many wishes there are, each is found, and only where it is. */
static void each_wish_is_found(void **state)
{
    struct envelope_wish many[9];

    for (size_t count = 0; count <= ARRAY_SIZE(many); count++) {
        struct envelope e = {.wishes = many, .wish_count = count};
        for (uint32_t i = 0; i < count; i++)
            many[i] = (struct envelope_wish){3 * i + 1, (uint8_t)(i + 1), SPAN("")};
        for (uint32_t at = 0; at < 30; at++) {
            struct envelope_wish wish = envelope_wish_of(&e, at);
            bool there = at % 3 == 1 && at / 3 < count;
            assert_int_equal(wish.recipient, at);
            assert_int_equal(wish.notify, there ? at / 3 + 1 : 0);
        }
    }
}

/* What the first version wrote ends before the wishes. */
static void an_older_envelope_is_read(void **state)
{
    struct envelope old = asked, e;
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    const size_t grown = 1 + 4 + 4; /* returned, envelope_id, wishes, all empty */

    old.returned = 0;
    old.envelope_id = SPAN("");
    old.wish_count = 0;
    assert_int_equal(codec_encode(&envelope_codec, &old, &wire), 0);
    wire.size -= grown;
    assert_int_equal(codec_decode(&envelope_codec, buffer_span(&wire), &arena, &e), 0);
    assert_int_equal(e.recipient_count, 4);
    assert_int_equal(e.wish_count, 0);
    assert_int_equal(e.envelope_id.size, 0);
    wire.size--;
    assert_int_equal(codec_decode(&envelope_codec, buffer_span(&wire), &arena, &e), -EBADMSG);
    arena_done(&arena);
    buffer_done(&wire);
}

static void unsound_wishes(void **state)
{
    static struct {
        const char *name;
        struct envelope_wish wishes[2];
    } cases[] = {
        {"no such recipient", {{1, 1, {"", 0}}, {4, 1, {"", 0}}}},
        {"twice the same", {{1, 1, {"", 0}}, {1, 1, {"", 0}}}},
        {"not in order", {{3, 1, {"", 0}}, {1, 1, {"", 0}}}},
        {"never and delay", {{1, 9, {"", 0}}, {3, 1, {"", 0}}}},
        {"a line in it", {{1, 1, {"rfc822;a\nb", 10}}, {3, 1, {"", 0}}}},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct envelope e = asked;
        e.wishes = cases[i].wishes;
        if (envelope_wishes_are_sound(&e))
            fail_msg("%s was taken", cases[i].name);
    }
    struct envelope e = asked;
    assert_true(envelope_wishes_are_sound(&e));
    e.envelope_id = SPAN("a b");
    assert_false(envelope_wishes_are_sound(&e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_come_back),
        cmocka_unit_test(each_wish_is_found),
        cmocka_unit_test(an_older_envelope_is_read),
        cmocka_unit_test(unsound_wishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
