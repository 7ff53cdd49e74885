#include "../unit.h"

#include "cli/why.h"

enum { NOW_S = 1000000 };
#define US(seconds) ((int64_t)(seconds)*1000000)

static struct trace_entry entry_with(struct trace_event *event)
{
    return (struct trace_entry){
        .state = RECIPIENT_WAITING, .events = event, .event_count = event ? 1 : 0};
}

static void remedies(void **state)
{
    static const struct {
        uint8_t wait;
        const char *status, *reply, *part;
        uint8_t kind;
    } cases[] = {
        {IPC_WAIT_TURN, "", "", "as soon as its turn comes", 0},
        {IPC_WAIT_WINDOW, "4.4.1", "refused", "attempts under way has ended", EVENT_DEFERRED},
        {IPC_WAIT_RELEASE, "", "", "an administrator must act", 0},
        {IPC_WAIT_OURS, "4.3.0", "memory is short", "trouble of its own", EVENT_DEFERRED},
        {IPC_WAIT_CARRIER, "", "", "postbuch status", 0},
        {IPC_WAIT_RETURN, "5.1.1", "550 no", "nothing needs to be done", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.2.2", "452 full", "make room in the mailbox", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.2.2", "the mailbox is full", "administrator here", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.3.1", "452 4.3.1 no", "whoever runs that station", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.3.1", "can't write", "administrator of this server", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.3.5", "451 4.3.5 no", "whoever runs that station", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.3.5", "can't open", "administrator of this server", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.3.2", "memory is short", "this server was short", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.7.28", "421 4.7.28 rate", "that station's rules", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.7.650", "451 4.7.650 busy", "that station's rules", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.2.9", "x", "whoever runs the recipient's mailbox", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.4.1", "connection refused", "reroute", EVENT_DEFERRED},
        {IPC_WAIT_DESTINATION, "4.4.3", "SERVFAIL", "name servers", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.7.1", "no", "greylisting", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.5.0", "450 4.5.0 Greylisted, come back", "waiting is all",
         EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "4.9.9", "odd", "postbuch queue retry", EVENT_DEFERRED},
        {IPC_WAIT_PAUSE, "", "", "comes twice", EVENT_UNCERTAIN},
        {IPC_WAIT_PAUSE, "", "", "waits for its time", 0},
        {IPC_WAIT_PAUSE, "4.4.", "x", "postbuch queue retry", EVENT_DEFERRED},
        {99, "", "", "waits for its time", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_event event = {.kind = cases[i].kind,
                                    .status = span_from_cstr(cases[i].status),
                                    .reply = span_from_cstr(cases[i].reply)};
        struct trace_entry entry = entry_with(cases[i].kind ? &event : NULL);
        const struct ipc_queue_row row = {.wait = cases[i].wait};
        const char *remedy = why_remedy(&row, &entry);
        if (!strstr(remedy, cases[i].part))
            fail_msg("case %zu: %s", i, remedy);
    }
    assert_non_null(why_remedy(&(struct ipc_queue_row){.wait = IPC_WAIT_PAUSE}, NULL));
}

static void every_wait_has_a_remedy(void **state)
{
    for (uint8_t wait = 0; wait < IPC_WAIT_COUNT; wait++)
        assert_non_null(why_remedy(&(struct ipc_queue_row){.wait = wait}, NULL));
}

/* The book has the words after a restart, when the queue has forgotten them. */
static void says_all(void **state)
{
    struct trace_event events[] = {{.kind = EVENT_DEFERRED,
                                    .time_us = US(NOW_S - 60),
                                    .host = SPAN("mx.far.example"),
                                    .reply = SPAN("450 4.2.2 \x1b full"),
                                    .status = SPAN("4.2.2")},
                                   {.kind = EVENT_HELD, .detail = SPAN("by uid 7")}};
    struct trace_entry entry = {
        .state = RECIPIENT_WAITING, .events = events, .event_count = ARRAY_SIZE(events)};
    const struct ipc_queue_row row = {.wait = IPC_WAIT_DESTINATION,
                                      .attempts = 2,
                                      .destination = SPAN("host:gate.example:25"),
                                      .next_attempt_us = US(NOW_S + 60),
                                      .deadline_us = US(NOW_S + 3600),
                                      .why = SPAN("connection refused"),
                                      .doubtful = true};
    static const char *const parts[] = {
        "waits for the end of its destination's pause in 1m, at ",
        "after 2 attempts\n",
        "    an administrator chose its way: smtp:gate.example:25\n",
        "mx.far.example said: 450 4.2.2 ",
        "others failed there: connection refused\n",
        ": by uid 7\n",
        "it may have arrived, and arrives twice\n",
        "to succeed: the recipient must make room",
        "is given up by a failed attempt after ",
    };
    struct buffer out = BUFFER_INIT;

    why_append(&row, &entry, US(NOW_S), &out);
    buffer_append_byte(&out, '\0');
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (!strstr(out.data, parts[i]))
            fail_msg("%s lacks: %s", out.data, parts[i]);
    assert_null(strchr(out.data, '\x1b'));
    buffer_done(&out);
    assert_span(why_trouble(&row, NULL), "connection refused");
}

/* An administrator who released it would undo the return. */
static void of_who_goes_back_nothing_is_asked(void **state)
{
    const struct ipc_queue_row row = {
        .wait = IPC_WAIT_RETURN, .attempts = 1, .deadline_us = US(NOW_S + 3600)};
    struct buffer out = BUFFER_INIT;

    why_append(&row, NULL, US(NOW_S), &out);
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data, "it goes back: nothing needs to be done"));
    assert_null(strstr(out.data, "must act"));
    assert_null(strstr(out.data, "is given up by a failed attempt"));
    buffer_done(&out);
}

/* As an administrator writes it, so that it can be copied into a command. */
static void ways_read_as_they_are_written(void **state)
{
    static const struct {
        struct span destination;
        const char *line;
    } cases[] = {
        {SPAN("host:[::1]:2525,gate.example:25"),
         "    an administrator chose its way: smtp:[::1]:2525,smtp:gate.example:25\n"},
        {SPAN("mx:far.example"), "    an administrator chose its way: mx:far.example\n"},
        {SPAN("return:"), "    an administrator sends it back\n"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct ipc_queue_row row = {.destination = cases[i].destination};
        struct buffer out = BUFFER_INIT;
        why_append(&row, NULL, US(NOW_S), &out);
        buffer_append_byte(&out, '\0');
        if (!strstr(out.data, cases[i].line))
            fail_msg("%s lacks: %s", out.data, cases[i].line);
        buffer_done(&out);
    }
}

/* An IPv6 literal has colons, as an administrator's next hop has. */
static void literal_is_no_reroute(void **state)
{
    const struct ipc_queue_row row = {.destination = SPAN("[IPv6:2001:db8::1]")};
    struct buffer out = BUFFER_INIT;

    why_append(&row, NULL, US(NOW_S), &out);
    buffer_append_byte(&out, '\0');
    assert_null(strstr(out.data, "administrator chose"));
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remedies),
        cmocka_unit_test(every_wait_has_a_remedy),
        cmocka_unit_test(says_all),
        cmocka_unit_test(of_who_goes_back_nothing_is_asked),
        cmocka_unit_test(ways_read_as_they_are_written),
        cmocka_unit_test(literal_is_no_reroute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
