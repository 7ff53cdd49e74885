#include "../unit.h"

#include "mail/event.h"
#include <errno.h>

static const struct event sample = {
    .kind = EVENT_REFUSED,
    .time_us = 1763748003120000,
    .until_us = 1763748063120000,
    .count = 600,
    .reference = {{1, 2, 3}},
    .session = {{4, 5, 6}},
    .recipient_index = EVENT_NO_RECIPIENT,
    .key = {7},
    .ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7},
    .port = 4711,
    .actor_uid = EVENT_NO_ACTOR,
    .service = {"mx", 2},
    .helo = {"evil\0.example", 13},
    .sender = {"a@bbb.example", 13},
    .recipient = {"nobody@aaa.example", 18},
    .phase = {"rcpt", 4},
    .reply = {"550 5.1.1 no such mailbox", 25},
};

static void encode_sample(struct buffer *out)
{
    assert_int_equal(codec_encode(&event_codec, &sample, out), 0);
}

static void event_comes_back(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct event got;

    encode_sample(&wire);
    assert_int_equal(codec_decode(&event_codec, buffer_span(&wire), &arena, &got), 0);
    assert_int_equal(got.kind, EVENT_REFUSED);
    assert_int_equal(got.count, 600);
    assert_true(got.until_us == sample.until_us);
    assert_int_equal(got.recipient_index, EVENT_NO_RECIPIENT);
    assert_true(id_equal(&got.reference, &sample.reference));
    assert_memory_equal(got.ip, sample.ip, 16);
    assert_true(span_equal(got.helo, sample.helo));
    assert_span(got.reply, "550 5.1.1 no such mailbox");
    assert_span(got.auth, "");
    arena_done(&arena);
    buffer_done(&wire);
}

static void every_cut_is_refused(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct event got = {.port = 99};

    encode_sample(&wire);
    for (size_t size = 0; size < wire.size; size++)
        assert_int_equal(codec_decode(&event_codec, span_of(wire.data, size), &arena, &got),
                         -EBADMSG);
    assert_int_equal(got.port, 99);
    arena_done(&arena);
    buffer_done(&wire);
}

static void unknown_kinds_are_refused(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct event got;

    encode_sample(&wire);
    wire.data[0] = (char)EVENT_KIND_COUNT;
    assert_int_equal(codec_decode(&event_codec, buffer_span(&wire), &arena, &got), -EBADMSG);
    arena_done(&arena);
    buffer_done(&wire);
}

static void every_kind_and_state_has_a_word(void **state)
{
    for (unsigned kind = 1; kind < EVENT_KIND_COUNT; kind++)
        assert_string_not_equal(event_kind_name(kind), "unknown");
    assert_string_equal(event_kind_name(0), "unknown");
    assert_string_equal(event_kind_name(EVENT_KIND_COUNT), "unknown");
    for (unsigned s = 1; s < RECIPIENT_STATE_COUNT; s++)
        assert_int_equal(recipient_state_parse(span_from_cstr(recipient_state_name(s))), s);
    assert_int_equal(recipient_state_parse(SPAN("alarm")), 0);
    assert_int_equal(recipient_state_parse(SPAN("")), 0);
    assert_int_equal(recipient_state_parse(SPAN("Waiting")), RECIPIENT_WAITING);
    assert_string_equal(recipient_state_name(0), "unknown");
    assert_string_equal(recipient_state_name(RECIPIENT_STATE_COUNT), "unknown");
}

static void replies_begin_with_a_code(void **state)
{
    static const char *const replies[] = {"250", "550 no", "451-4.3.0 a\n451 b", "200", "599 x"};
    static const char *const others[] = {"",
                                         "5",
                                         "55",
                                         "5500",
                                         "25x",
                                         "2x0",
                                         "x50",
                                         "25:",
                                         "25/",
                                         "199 x",
                                         "600",
                                         "250_x",
                                         "250\n",
                                         "150 x",
                                         "650 x",
                                         "the domain has none",
                                         "can't connect"};

    for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
        assert_true(event_is_reply(span_from_cstr(replies[i])));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(event_is_reply(span_from_cstr(others[i])));
}

static void statuses_and_patterns(void **state)
{
    static const struct {
        const char *status, *pattern;
        bool fits;
    } cases[] = {
        {"4.7.1", "?.7.1", true},   {"4.7.28", "?.7.?", true},
        {"4.7.650", "?.7.?", true}, {"4.7.28", "?.7.2", false},
        {"4.7.2", "?.7.28", false}, {"5.1.10", "?.1.10", true},
        {"4.7.", "?.7.?", false},   {"4.7", "?.7.?", false},
        {"", "?.?.?", false},       {"", "", true},
        {"4.7.1 ", "?.7.?", false}, {"4.x.1", "?.?.?", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(event_status_fits(span_from_cstr(cases[i].status), cases[i].pattern),
                         cases[i].fits);
}

static void closing_kinds_name_their_state(void **state)
{
    static const struct {
        enum event_kind kind;
        enum recipient_state closed; /* 0: stays open */
    } cases[] = {
        {EVENT_ACCEPTED, 0},
        {EVENT_DEFERRED, 0},
        {EVENT_UNCERTAIN, 0},
        {EVENT_EXPIRED, 0},
        {EVENT_HELD, 0},
        {EVENT_DELIVERED, RECIPIENT_DELIVERED},
        {EVENT_RELAYED, RECIPIENT_RELAYED},
        {EVENT_EXPANDED, RECIPIENT_EXPANDED},
        {EVENT_RETURNED, RECIPIENT_RETURNED},
        {EVENT_REMOVED, RECIPIENT_DISCARDED},
        {EVENT_DISCARDED, RECIPIENT_DISCARDED},
        {EVENT_DUPLICATE, RECIPIENT_DISCARDED},
        {EVENT_RELEASED, 0},
        {EVENT_REROUTED, 0},
        {EVENT_ALARM, 0},
        {EVENT_CLOSED, RECIPIENT_CLOSED},
        {EVENT_ACKNOWLEDGED, 0},
        {EVENT_LOST, RECIPIENT_LOST},
        {EVENT_KIND_COUNT, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum recipient_state closed = 0;
        assert_int_equal(event_kind_closes(cases[i].kind, &closed), cases[i].closed != 0);
        assert_int_equal(closed, cases[i].closed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_comes_back),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(unknown_kinds_are_refused),
        cmocka_unit_test(every_kind_and_state_has_a_word),
        cmocka_unit_test(statuses_and_patterns),
        cmocka_unit_test(closing_kinds_name_their_state),
        cmocka_unit_test(replies_begin_with_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
