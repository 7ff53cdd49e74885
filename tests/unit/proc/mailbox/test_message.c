#include "scratch.h"

#include "proc/mailbox/message.h"
#include <stdlib.h>

static struct maildir m;
static struct conf_template way;

static int setup(void **state)
{
    const char *why;
    maildir_init(&m, SPAN("host.test"), 0, 8);
    assert_int_equal(conf_template_parse(SPAN("/mail/%d/%u"), &way, &why), 0);
    return scratch_setup(state);
}

static int teardown(void **state)
{
    conf_template_done(&way);
    maildir_done(&m);
    return scratch_teardown(state);
}

static void run(struct mailbox_message *msg, struct span body, size_t step)
{
    struct maildir_delivery *list[8];

    msg->size_bytes = msg->header.size + body.size;
    mailbox_message_begin(&m, msg);
    for (size_t at = 0; at < body.size; at += step)
        mailbox_message_feed(&m, msg, span_first(span_from(body, at), step));
    mailbox_message_end(&m, msg);
    for (size_t i = 0; i < msg->recipient_count; i++)
        list[i] = &msg->recipients[i].delivery;
    maildir_commit(&m, list, msg->recipient_count);
    mailbox_message_done(msg);
}

static void assert_stored(const struct scratch *s, const char *folder, const char *expected)
{
    char name[256];
    struct span file = scratch_only_file(s, folder, name);
    assert_span(file, expected);
    free((void *)file.data);
}

/* Two mailboxes get the same message, each under its own address; unknown ones only an outcome. */
static void several_recipients(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to[] = {
        {SPAN("bob@a.test"), &s->root, &way},   {SPAN("Eve@a.test"), &s->root, &way},
        {SPAN("bob@unknown.test"), NULL, NULL}, {SPAN("bob@a.test\nX-Evil: 1"), &s->root, &way},
        {SPAN("nobody"), &s->root, &way},
    };
    struct mailbox_message msg = {.sender = SPAN("al@b.test"),
                                  .header = SPAN("Received: x\r\n\ty\r\n"),
                                  .recipients = to,
                                  .recipient_count = ARRAY_SIZE(to)};

    run(&msg, SPAN("Subject: s\r\n\r\nbody\r\n.\r\nlast"), 3);
    assert_stored(s, "a.test/bob/new",
                  "Return-Path: <al@b.test>\nDelivered-To: bob@a.test\nReceived: x\n\ty\n"
                  "Subject: s\n\nbody\n.\nlast");
    assert_stored(s, "a.test/eve/new",
                  "Return-Path: <al@b.test>\nDelivered-To: Eve@a.test\nReceived: x\n\ty\n"
                  "Subject: s\n\nbody\n.\nlast");
    assert_int_equal(to[2].delivery.outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(to[3].delivery.outcome.result, IPC_OUTCOME_FAILED);
    assert_int_equal(to[4].delivery.outcome.result, IPC_OUTCOME_FAILED);
    assert_string_equal(to[4].delivery.outcome.status, "5.1.3");
}

/* Sizes in the name: what the file has, and what it had on the wire. */
static void sizes_in_the_name(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to = {SPAN("bob@a.test"), &s->root, &way};
    struct mailbox_message msg = {.recipients = &to, .recipient_count = 1};
    const char *file = "Return-Path: <>\nDelivered-To: bob@a.test\na: b\n\nc\n";
    char expected[64];

    run(&msg, SPAN("a: b\r\n\r\nc\r\n"), 100);
    assert_stored(s, "a.test/bob/new", file);
    snprintf(expected, sizeof(expected), ",S=%zu,W=%zu", strlen(file), strlen(file) + 5);
    assert_non_null(strstr(to.delivery.outcome.place, expected));
}

/* A body without lines (BINARYMIME) stays as it is. */
static void binary(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to = {SPAN("bob@a.test"), &s->root, &way};
    struct mailbox_message msg = {.recipients = &to, .recipient_count = 1, .binary = true};

    run(&msg, SPAN("a: b\r\n\r\n\r\n\r\x01\n"), 2);
    assert_stored(s, "a.test/bob/new",
                  "Return-Path: <>\nDelivered-To: bob@a.test\na: b\r\n\r\n\r\n\r\x01\n");
}

/* Only the mailbox that it was in before refuses it. */
static void loops(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to[] = {{SPAN("bob@a.test"), &s->root, &way},
                                     {SPAN("eve@a.test"), &s->root, &way}};
    struct mailbox_message msg = {.recipients = to, .recipient_count = 2};

    run(&msg, SPAN("Delivered-To: BOB@a.test\r\n\r\nx\r\n"), 5);
    assert_int_equal(to[0].delivery.outcome.result, IPC_OUTCOME_FAILED);
    assert_string_equal(to[0].delivery.outcome.status, "5.4.6");
    assert_int_equal(to[1].delivery.outcome.result, IPC_OUTCOME_DELIVERED);
    assert_int_equal(scratch_count(s, "a.test/bob/new"), 0);
    assert_int_equal(scratch_count(s, "a.test/bob/tmp"), 0);
}

/* What is held back until the next byte tells whether a line ends is there when none comes. */
static void carriage_return_is_the_last_byte(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to = {SPAN("bob@a.test"), &s->root, &way};
    struct mailbox_message msg = {.recipients = &to, .recipient_count = 1};

    run(&msg, SPAN("a: b\r\n\r\nc\r"), 3);
    assert_stored(s, "a.test/bob/new", "Return-Path: <>\nDelivered-To: bob@a.test\na: b\n\nc\r");
}

/* Neither address may begin another header field, or look like something else in a terminal. */
static void control_bytes_in_an_address(void **state)
{
    static const struct {
        const char *sender, *address;
        enum ipc_outcome result;
    } cases[] = {
        {"al@b.test", "\nbob@a.test", IPC_OUTCOME_FAILED},
        {"al@b.test", "bob\x1f@a.test", IPC_OUTCOME_FAILED},
        {"al@b.test", "bob\x7f@a.test", IPC_OUTCOME_FAILED},
        {"\ral@b.test", "bob@a.test", IPC_OUTCOME_FAILED},
        {"al@b.test\n", "bob@a.test", IPC_OUTCOME_FAILED},
        {"\"a l\"@b.test", "bob@a.test", IPC_OUTCOME_DELIVERED},
        {"j\xc3\xb6@b.test", "b\xc3\xb6@a.test", IPC_OUTCOME_DELIVERED},
        {"~}@b.test", "bob~@a.test", IPC_OUTCOME_DELIVERED},
    };
    struct scratch *s = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct mailbox_recipient to = {span_from_cstr(cases[i].address), &s->root, &way};
        struct mailbox_message msg = {
            .sender = span_from_cstr(cases[i].sender),
            .recipients = &to,
            .recipient_count = 1,
        };
        run(&msg, SPAN("a: b\r\n\r\nc\r\n"), 100);
        assert_int_equal(to.delivery.outcome.result, cases[i].result);
        if (cases[i].result == IPC_OUTCOME_FAILED)
            assert_string_equal(to.delivery.outcome.status, "5.1.3");
    }
}

/* Large ones go to the disk as they come, and are the same. */
static void large(void **state)
{
    enum { LINES = 100000 };
    struct scratch *s = *state;
    struct mailbox_recipient to = {SPAN("bob@a.test"), &s->root, &way};
    struct mailbox_message msg = {.recipients = &to, .recipient_count = 1};
    struct buffer sent = BUFFER_INIT, stored = BUFFER_INIT;
    char name[256], expected[64];

    buffer_append_span(&stored, SPAN("Return-Path: <>\nDelivered-To: bob@a.test\n"));
    for (int i = 0; i < LINES; i++) {
        buffer_printf(&sent, "%d line with some text\r\n", i);
        buffer_printf(&stored, "%d line with some text\n", i);
    }
    run(&msg, buffer_span(&sent), 65536);
    struct span file = scratch_only_file(s, "a.test/bob/new", name);
    assert_true(span_equal(file, buffer_span(&stored)));
    /* Each line end was counted once, though it went to the disk in several parts. */
    snprintf(expected, sizeof(expected), ",S=%zu,W=%zu", stored.size, stored.size + LINES + 2);
    assert_non_null(strstr(to.delivery.outcome.place, expected));
    free((void *)file.data);
    buffer_done(&sent);
    buffer_done(&stored);
}

/* A message whose end never comes leaves nothing. */
static void abandoned(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to = {SPAN("bob@a.test"), &s->root, &way};
    struct mailbox_message msg = {.recipients = &to, .recipient_count = 1};

    mailbox_message_begin(&m, &msg);
    mailbox_message_feed(&m, &msg, SPAN("Subject: half"));
    mailbox_message_abandon(&m, &msg, IPC_OUTCOME_DEFERRED, "the queue went away");
    assert_int_equal(to.delivery.outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(to.delivery.outcome.scope, IPC_SCOPE_OURS);
    assert_string_equal(to.delivery.outcome.text, "the queue went away");
    mailbox_message_done(&msg);
    assert_int_equal(scratch_count(s, "a.test/bob/tmp"), 0);
    assert_int_equal(scratch_count(s, "a.test/bob/new"), 0);
}

/* Bytes that were lost for want of memory: nothing is delivered with a hole, and none of those who
 * were to get it is to blame. Who has an outcome of his own keeps it. */
static void memory_is_short(void **state)
{
    struct scratch *s = *state;
    struct mailbox_recipient to[] = {{SPAN("bob@a.test"), &s->root, &way},
                                     {SPAN("nobody"), &s->root, &way}};
    struct mailbox_message msg = {.recipients = to, .recipient_count = 2};

    msg.held = BUFFER_LIMITED(10);
    run(&msg, SPAN("Subject: longer than that\r\n\r\n"), 5);
    assert_int_equal(to[0].delivery.outcome.result, IPC_OUTCOME_DEFERRED);
    assert_int_equal(to[0].delivery.outcome.scope, IPC_SCOPE_OURS);
    assert_string_equal(to[0].delivery.outcome.text, "memory is short");
    assert_int_equal(to[1].delivery.outcome.result, IPC_OUTCOME_FAILED);
    assert_int_equal(to[1].delivery.outcome.scope, IPC_SCOPE_RECIPIENT);
    assert_int_equal(scratch_count(s, "a.test/bob/tmp"), 0);
    assert_int_equal(scratch_count(s, "a.test/bob/new"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(several_recipients),
        TEST(sizes_in_the_name),
        TEST(binary),
        TEST(loops),
        TEST(large),
        TEST(abandoned),
        TEST(memory_is_short),
        TEST(carriage_return_is_the_last_byte),
        TEST(control_bytes_in_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
