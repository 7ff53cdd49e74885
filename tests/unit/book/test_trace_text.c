/* What trace_text.c and trace_sentence.c say of results that no ledger was asked for. */
#include "ledger_test.h"

#include "book/trace.h"
#include <time.h>

static const struct trace_style plain = {"", "", "", "", ""};

static void sizes_are_in_units_for_people(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } cases[] = {
        {0, ", 0 bytes,"},         {10239, ", 10239 bytes,"},
        {10240, ", 10.0 KiB,"},    {(10 << 20) - 1, ", 10240.0 KiB,"},
        {10 << 20, ", 10.0 MiB,"}, {UINT64_C(3) << 30, ", 3072.0 MiB,"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_message m = {.sender = SPAN("a@b.example"),
                                  .message_id = SPAN("<x@b>"),
                                  .size_bytes = cases[i].size,
                                  .uid = i % 2 ? 1000 : EVENT_NO_ACTOR};
        struct trace_result result = {.messages = &m, .message_count = 1};
        struct buffer out = BUFFER_INIT;
        assert_int_equal(trace_text(&result, TEST_NOW_US, &plain, &out), 0);
        buffer_append_byte(&out, '\0');
        if (!strstr(out.data, cases[i].text))
            fail_msg("missing: %s\nin: %s", cases[i].text, out.data);
        assert_true((i % 2) == (strstr(out.data, " from the local user with uid 1000") != NULL));
        buffer_done(&out);
    }
}

/* A letter of the drop folder: who handed it in, and whose it is. */
static void the_name_of_a_local_user_is_told(void **state)
{
    static const struct {
        struct span helo;
        const char *text;
    } cases[] = {
        {SPAN("localhost"), " from the local user with uid 999,"},
        {SPAN("uid-1000.drop-folder"), " from the local user with uid 999 (uid-1000.drop-folder),"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_message m = {.helo = cases[i].helo, .service = SPAN("local"), .uid = 999};
        struct trace_result result = {.messages = &m, .message_count = 1};
        struct buffer out = BUFFER_INIT;

        assert_int_equal(trace_text(&result, TEST_NOW_US, &plain, &out), 0);
        buffer_append_byte(&out, '\0');
        assert_non_null(strstr(out.data, cases[i].text));
        buffer_done(&out);
    }
}

/* Whoever reads one must know whether to wait, and whom to ask. */
static const struct sentence {
    enum recipient_state state;
    struct trace_event events[3];
    int64_t next_attempt_us;
    const char *part;
} sentences[] = {
    {RECIPIENT_WAITING,
     {{.kind = EVENT_ACCEPTED}},
     TEST_NOW_US + 9,
     "no attempt's outcome is booked yet, the"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_ACCEPTED}, {.kind = EVENT_HELD, .reply = {"virus", 5}, .actor_uid = 7}},
     0,
     "by the local user with uid 7 because \"virus\"; the administrator of this server must"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_HELD,
       .reply = {"552 full", 8},
       .detail = {"no report yet", 13},
       .actor_uid = EVENT_NO_ACTOR}},
     0,
     "00 because \"552 full\", \"no report yet\"; the administrator of this server must"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_HELD}, {.kind = EVENT_RELEASED}},
     0,
     "no attempt's outcome is booked yet; this server is responsible."},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_UNCERTAIN, .host = {"mx", 2}}},
     1,
     "because the acknowledgement of mx was lost (it may have arrived already), the next "
     "attempt is due; this"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_DEFERRED, .host = {"mx", 2}, .reply = {"450 grey", 8}}},
     1,
     "because mx said \"450 grey\", the"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_DEFERRED, .host = {"mx", 2}, .reply = {"no answer", 9}}},
     1,
     "because mx failed with \"no answer\", the"},
    {RECIPIENT_RELAYED,
     {{.kind = EVENT_UNCERTAIN, .host = {"mx", 2}}, {.kind = EVENT_RELAYED, .host = {"mx", 2}}},
     0,
     "; the acknowledgement of an earlier attempt was lost, so its recipient may have it twice;"
     " that station is responsible now"},
    {RECIPIENT_DELIVERED,
     {{.kind = EVENT_UNCERTAIN}, {.kind = EVENT_DELIVERED}},
     0,
     " was lost, so its recipient may have it twice; from here on its owner's"},
    {RECIPIENT_RETURNED,
     {{.kind = EVENT_UNCERTAIN}, {.kind = EVENT_RETURNED, .reply = {"550 no", 6}}},
     0,
     "\"550 no\"; the acknowledgement of an earlier attempt was lost, so its recipient may "
     "have got it all the same; its sender must act."},
    {RECIPIENT_DISCARDED,
     {{.kind = EVENT_UNCERTAIN}, {.kind = EVENT_REMOVED, .actor_uid = 0}},
     0,
     "uid 0; the acknowledgement of an earlier attempt was lost, so its recipient may have got "
     "it all the same; ask the administrator"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_UNCERTAIN},
      {.kind = EVENT_DEFERRED, .host = {"mx", 2}, .reply = {"451 later", 9}}},
     1,
     "said \"451 later\", the next attempt is due; the acknowledgement of an earlier attempt "
     "was lost, so it may have arrived already; this server keeps"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_UNCERTAIN}, {.kind = EVENT_HELD, .actor_uid = 7}},
     0,
     "uid 7; the acknowledgement of an earlier attempt was lost, so it may have arrived "
     "already; the administrator of this server must"},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_EXPIRED, .host = {"mx", 2}, .reply = {"451 later", 9}}},
     0,
     "\"451 later\"; it was given up, and this server is about to tell its sender."},
    {RECIPIENT_WAITING,
     {{.kind = EVENT_EXPIRED, .host = {"mx", 2}, .reply = {"451 later", 9}},
      {.kind = EVENT_RELEASED}},
     0,
     "\"451 later\"; this server keeps trying, and the administrator of mx can mend it."},
    {RECIPIENT_RETURNED,
     {{.kind = EVENT_RETURNED, .reply = {"550 no", 6}}},
     0,
     "Returned to anna@bbb.example at 1970-01-01 00:00:05 because of \"550 no\"; its sender"},
    {RECIPIENT_DISCARDED,
     {{.kind = EVENT_REMOVED, .actor_uid = 0}},
     0,
     "Removed at 1970-01-01 00:00:05 by the local user with uid 0; nobody"},
    {RECIPIENT_DISCARDED,
     {{.kind = EVENT_DISCARDED, .detail = {"no-spam", 7}, .actor_uid = EVENT_NO_ACTOR}},
     0,
     "Discarded at 1970-01-01 00:00:05 by the rule \"no-spam\"; nobody"},
    {RECIPIENT_DISCARDED,
     {{.kind = EVENT_DUPLICATE, .status = {"2.1.5", 5}, .actor_uid = EVENT_NO_ACTOR}},
     0,
     "A duplicate, closed at 1970-01-01 00:00:05: everybody whom bob+a@aaa.example stands for "
     "has another entry in this message"},
    {RECIPIENT_DISCARDED,
     {{.kind = EVENT_DISCARDED, .status = {"2.1.5", 5}, .actor_uid = EVENT_NO_ACTOR}},
     0,
     "A duplicate, closed at "},
    {RECIPIENT_CLOSED,
     {{.kind = EVENT_CLOSED}},
     0,
     "returned or discarded before 1970-01-01 00:00:05; which of these, only the ledger of"},
    {RECIPIENT_LOST,
     {{.kind = EVENT_LOST, .actor_uid = 8, .reply = {"wrong disk", 10}}, /* he was heard of again */
      {.kind = EVENT_LOST,
       .time_us = 5 * TEST_SECOND,
       .actor_uid = 7,
       .reply = {"disk fault", 10}}},
     0,
     "Lost: it waited here, and the queue didn't have it any more; so noted at 1970-01-01 "
     "00:00:05 by the local user with uid 7: \"disk fault\"; nobody will get it from here"},
};

static void sentences_say_who_must_act(void **state)
{
    struct trace_message m = {.sender = SPAN("anna@bbb.example")};

    for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
        struct trace_event events[3];
        struct buffer out = BUFFER_INIT;
        memcpy(events, sentences[i].events, sizeof(events));
        struct trace_entry e = {.state = (uint8_t)sentences[i].state,
                                .address = SPAN("bob@aaa.example"),
                                .original = SPAN("bob+a@aaa.example"),
                                .since_us = 5 * TEST_SECOND,
                                .next_attempt_us = sentences[i].next_attempt_us,
                                .events = events,
                                .event_count = 3};
        assert_int_equal(trace_sentence(&m, &e, TEST_NOW_US, &out), 0);
        buffer_append_byte(&out, '\0');
        if (!strstr(out.data, sentences[i].part))
            fail_msg("missing: %s\nin: %s", sentences[i].part, out.data);
        assert_int_equal(out.data[out.size - 2], '.');
        buffer_done(&out);
    }
}

static int use_utc(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

/* As it was typed; what only the log calls so is told by the detail. */
static void a_new_way_is_told_as_it_is_written(void **state)
{
    static const struct {
        struct span way, detail;
        const char *line;
    } cases[] = {
        {SPAN("host:localhost:9999"), SPAN("by uid 0"),
         " rerouted   smtp:localhost:9999 (by uid 0)\n"},
        {SPAN("host:[::1]:25,b.example:26"), SPAN("by uid 0"),
         " rerouted   smtp:[::1]:25,smtp:b.example:26 (by uid 0)\n"},
        {SPAN("mx:far.example"), SPAN("by uid 0"), " rerouted   mx:far.example (by uid 0)\n"},
        {SPAN("far.example"), SPAN("by uid 0"), " rerouted   far.example (by uid 0)\n"},
        {SPAN("return:"), SPAN("by uid 0: back to the sender"),
         " rerouted   (by uid 0: back to the sender)\n"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_message m = {.sender = SPAN("a@b.example")};
        struct trace_entry e = {.address = SPAN("x@far.example")};
        struct trace_event event = {.kind = EVENT_REROUTED,
                                    .host = cases[i].way,
                                    .detail = cases[i].detail,
                                    .actor_uid = EVENT_NO_ACTOR};
        struct buffer out = BUFFER_INIT;

        assert_int_equal(trace_text_event(&m, &e, &event, &out), 0);
        buffer_append_byte(&out, '\0');
        if (!strstr(out.data, cases[i].line))
            fail_msg("missing: %s\nin: %s", cases[i].line, out.data);
        buffer_done(&out);
    }
}

/* The server's own letters aren't those of a station, whose administrator could be asked. */
static void a_refusal_says_who_has_the_message(void **state)
{
    static const struct {
        struct span service, helo, reply;
        const char *line;
    } cases[] = {
        {SPAN("mx"), SPAN("evil.drop-folder"), SPAN("550 5.1.1 no"),
         "\n  Not accepted: this server never had it, the sending station must"},
        {SPAN("mx"), SPAN("far.example"), SPAN("451 4.3.0 no"),
         "\n  Not accepted for now: the sending station"},
        {SPAN("local"), SPAN("localhost"), SPAN("550 5.1.1 no"),
         "\n  Not accepted: the program of this machine that sent it was told so, and"},
        {SPAN("local"), SPAN(".drop-folder"), SPAN("451 4.3.0 no"),
         "\n  Not accepted for now: the program of this machine"},
        {SPAN("local"), SPAN("uid-1000.drop-folder"), SPAN("550 5.1.1 no"),
         "\n  Not accepted: it was left in the drop folder, and is set aside there as aside.…, the "
         "log"},
        {SPAN("local"), SPAN("uid-1000.drop-folder"), SPAN("451 4.3.0 no"),
         "\n  Not accepted for now: it was left in the drop folder, waits there and"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_refusal r = {.count = 1,
                                  .service = cases[i].service,
                                  .helo = cases[i].helo,
                                  .auth = SPAN("uid 1000"),
                                  .reply = cases[i].reply};
        struct trace_result result = {.refusals = &r, .refusal_count = 1};
        struct buffer out = BUFFER_INIT;

        assert_int_equal(trace_text(&result, TEST_NOW_US, &plain, &out), 0);
        buffer_append_byte(&out, '\0');
        if (!strstr(out.data, cases[i].line))
            fail_msg("missing: %s\nin: %s", cases[i].line, out.data);
        buffer_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_in_units_for_people),
        cmocka_unit_test(the_name_of_a_local_user_is_told),
        cmocka_unit_test(sentences_say_who_must_act),
        cmocka_unit_test(a_new_way_is_told_as_it_is_written),
        cmocka_unit_test(a_refusal_says_who_has_the_message),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}
