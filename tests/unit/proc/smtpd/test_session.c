/* smtpd: a dialogue, by itself and with the directory. */
#include "world.h"

static void a_message(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "", "220");
    world_say(w, "EHLO x\r\n", "250");
    world_say(w, OPENING "DATA\r\n", "250 250 354");
    world_say(w, "hello\r\n.\r\nQUIT\r\n", "250 221");
    assert_true(w->closed);
    assert_int_equal(w->commits, 1);
    assert_int_equal(w->body_size, 7);
    assert_memory_equal(w->recipient, "canonical@a.test", 16);
    assert_int_equal(w->gone, 1);
    assert_int_equal(w->smtpd.accepted_messages, 1);
}

static void refusals_are_told(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "", "220");
    world_say(w,
              "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<eve@a.test>\r\nRCPT TO:<x@far.test>\r\n",
              "250 250 550 550");
    world_hang_up(w);
    assert_int_equal(w->events, 2);
    assert_int_equal(w->refused_by_gone, 2);
}

/* A letter to many, of whom some have left, reaches the others when one of ours sends it. */
static void strangers_only_are_cut_off_for_unknown_recipients(void **state)
{
    struct world *w = *state;

    for (int trusted = 0; trusted < 2; trusted++) {
        w->trusted = trusted;
        world_dial(w);
        world_say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n", "220 250 250");
        for (int i = 0; i < 99; i++)
            world_say(w, "RCPT TO:<eve@a.test>\r\n", "550");
        world_say(w, "RCPT TO:<eve@a.test>\r\n", trusted ? "550" : "550 421");
        if (trusted)
            world_say(w, "RCPT TO:<bob@a.test>\r\nDATA\r\n", "250 354");
        world_hang_up(w);
    }
}

static void recipients_to_be_relayed_are_taken(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "", "220");
    world_say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@relay.test>\r\n", "250 250 250");
    world_hang_up(w);
    assert_int_equal(w->events, 0);
    assert_int_equal(w->refused_by_gone, 0);
}

static void tickets_go_with_their_recipients(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "", "220");
    world_say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@relay.test>\r\n", "250 250 250");
    world_say(w, "RCPT TO:<x@far.test>\r\nRCPT TO:<eve@a.test>\r\nRCPT TO:<bob@a.test>\r\n",
              "550 550 250");
    world_say(w, "RCPT TO:<c@a.test>\r\nRCPT TO:<d@a.test>\r\nRCPT TO:<e@a.test>\r\nDATA\r\n",
              "250 250 250 354");
    world_say(w, "hello\r\n.\r\n", "250");
    assert_string_equal(w->tickets, "\1\4\5\6\7");
    world_hang_up(w);
}

/* It has never heard of a client that came before it. */
static void a_new_directory_is_told_who_is_there(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "", "220");
    world_say(w, "EHLO x\r\n" OPENING, "250 250 250");
    assert_int_equal(w->checks, 1);
    ipc_channel_free(w->directory);
    world_turns(w);
    world_join_directory(w);
    w->last_client = 0;
    world_say(w, "RCPT TO:<carol@a.test>\r\nRCPT TO:<dave@a.test>\r\n", "250 250");
    assert_int_equal(w->checks, 2);
    world_hang_up(w);
    assert_int_equal(w->gone, 1);
}

static void a_client_that_leaves_at_each_phase(void **state)
{
    static const char *const phases[] = {"",
                                         "EH",
                                         "EHLO x\r\n",
                                         "EHLO x\r\nMAIL FROM:<a@b.test>\r\n",
                                         "EHLO x\r\n" OPENING,
                                         "EHLO x\r\n" OPENING "DATA\r\nhel",
                                         "EHLO x\r\n" OPENING "BDAT 10\r\nhel"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        world_dial(w);
        assert_int_equal(send(w->client, phases[i], strlen(phases[i]), 0), strlen(phases[i]));
        world_turns(w);
        world_hang_up(w);
        buffer_clear(&w->said);
        assert_int_equal(w->smtpd.session_count, 0);
        assert_int_equal(w->gone, i + 1);
    }
    assert_int_equal(w->commits, 0);
}

/* What is answered for it is written, though more is asked at once. */
static void a_directory_that_hangs(void **state)
{
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);
    struct buffer recipients = BUFFER_INIT;

    l->settings.answer_timeout_ms = 1000;
    w->hold_recipients = true;
    for (int i = 0; i < 34; i++)
        buffer_printf(&recipients, "RCPT TO:<r%d@a.test>\r\n", i);
    buffer_append_byte(&recipients, '\0');
    world_dial(w);
    world_say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n", "220 250 250");
    world_say(w, recipients.data, "");
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    world_say(w, "",
              "451 451 451 451 451 451 451 451 451 451 451 451 451 451 451 451 "
              "451 451 451 451 451 451 451 451 451 451 451 451 451 451 451 451");
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    world_say(w, "", "451 451");
    buffer_done(&recipients);
}

/* As many lines as there are replies, the last of which begins with `code`. */
static void expect_replies(struct world *w, size_t count, const char *code)
{
    size_t lines = 0, start = 0;

    for (size_t i = 0; i < w->said.size; i++)
        if (w->said.data[i] == '\n' && ++lines < count)
            start = i + 1;
    assert_int_equal(lines, count);
    assert_memory_equal(w->said.data + start, code, 3);
    buffer_clear(&w->said);
}

/* More replies than are kept for a client that doesn't read: what was read goes on when they are
 * written, and nothing else would make it. */
static void all_of_a_pipeline_is_answered(void **state)
{
    static const struct {
        const char *mail, *last_reply;
        int recipients, recipients_max;
    } cases[] = {{"MAIL FROM:<a@b.test>\r\n", "354", 400, 100},
                 {"MAIL FROM:<a@b.test> SIZE=99999999\r\n", "503", 600, 1000}};
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer pipeline = BUFFER_INIT;
        l->settings.recipients_max = (uint32_t)cases[i].recipients_max;
        buffer_printf(&pipeline, "%s", cases[i].mail);
        for (int n = 0; n < cases[i].recipients; n++)
            buffer_printf(&pipeline, "RCPT TO:<r%d@a.test>\r\n", n);
        buffer_append_span(&pipeline, SPAN("DATA\r\n"));
        world_dial(w);
        world_say(w, "EHLO x\r\n", "220 250");
        assert_true(world_transmit(w, pipeline.data, pipeline.size));
        world_turns(w);
        expect_replies(w, (size_t)cases[i].recipients + 2, cases[i].last_reply);
        world_hang_up(w);
        buffer_done(&pipeline);
    }
}

/* It closed its side behind its last command. */
static void all_of_a_pipeline_is_answered_before_its_end(void **state)
{
    struct buffer pipeline = BUFFER_INIT;
    struct world *w = *state;

    buffer_printf(&pipeline, "MAIL FROM:<a@b.test>\r\n");
    for (int n = 0; n < 400; n++)
        buffer_printf(&pipeline, "RCPT TO:<r%d@a.test>\r\n", n);
    buffer_append_span(&pipeline, SPAN("RSET\r\n"));
    world_dial(w);
    world_say(w, "EHLO x\r\n", "220 250");
    assert_true(world_transmit(w, pipeline.data, pipeline.size));
    shutdown(w->client, SHUT_WR);
    world_turns(w);
    expect_replies(w, 402, "250");
    assert_true(w->closed);
    buffer_done(&pipeline);
}

static void pressure_defers_before_data(void **state)
{
    struct world *w = *state;
    struct ipc_message pressure = {.type = IPC_PRESSURE,
                                   .pressure = {.defer = true, .text = SPAN("the disk is full")}};

    assert_int_equal(ipc_notify(w->queue, &pressure), 0);
    world_dial(w);
    world_say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n", "220 250 452");
    pressure.pressure.defer = false;
    assert_int_equal(ipc_notify(w->queue, &pressure), 0);
    world_turns(w);
    world_say(w, "MAIL FROM:<a@b.test>\r\n", "250");
}

static void the_last_reply_arrives_though_the_client_talks_on(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "", "220");
    assert_true(world_transmit(w, "BDAT nonsense\r\n", 15));
    world_say(w, "NOOP\r\nNOOP\r\n", "501");
    assert_true(w->closed);
    assert_true(world_transmit(w, "NOOP\r\n", 6));
    world_turns(w);
    assert_int_equal(w->smtpd.session_count, 1);
    world_hang_up(w);
    assert_int_equal(w->smtpd.session_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_message),
        WORLD_TEST(refusals_are_told),
        WORLD_TEST(strangers_only_are_cut_off_for_unknown_recipients),
        WORLD_TEST(recipients_to_be_relayed_are_taken),
        WORLD_TEST(tickets_go_with_their_recipients),
        WORLD_TEST(a_new_directory_is_told_who_is_there),
        WORLD_TEST(a_client_that_leaves_at_each_phase),
        WORLD_TEST(a_directory_that_hangs),
        WORLD_TEST(all_of_a_pipeline_is_answered),
        WORLD_TEST(all_of_a_pipeline_is_answered_before_its_end),
        WORLD_TEST(pressure_defers_before_data),
        WORLD_TEST(the_last_reply_arrives_though_the_client_talks_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
