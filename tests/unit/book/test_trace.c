#include "../failing_memory.h"
#include "ledger_test.h"

#include "base/clock.h"
#include "book/trace.h"
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static const struct trace_style plain = {"", "", "", "", ""};

/* A ledger with two messages, an expansion, outcomes of each sort and a refusal. */
static struct test_message one, two;

static int make_ledger(void **state)
{
    static const struct envelope_recipient children[] = {
        {.address = {"dora@aaa.example", 16}, .original = {"carl@bbb.example", 16}}};

    setenv("TZ", "UTC", 1);
    tzset();
    if (test_ledger_make(state) < 0)
        return -1;
    struct fold *fold = test_fold_open();
    test_message_at(&one, TEST_NOW_US, 1, 2);
    test_message_at(&two, TEST_NOW_US - 10 * TEST_DAY, 2, 1);
    two.envelope.message_id = SPAN("<two\x1b[2J\xff@bbb.example>");
    struct book_input input = test_input_message(100, &one);
    test_fold_one(fold, &input);
    struct book_expand expand = {.message = one.envelope.id,
                                 .parent = 1,
                                 .first_child = 2,
                                 .time_us = TEST_NOW_US,
                                 .children = children,
                                 .child_count = 1};
    input = (struct book_input){
        .kind = BOOK_EXPAND, .end = {.segment = 1, .offset = 200}, .expand = &expand};
    test_fold_one(fold, &input);
    input = test_input_message(300, &two);
    test_fold_one(fold, &input);
    struct book_status delivered = test_status(one.envelope.id, 0, EVENT_DELIVERED);
    struct book_status relayed = test_status(one.envelope.id, 2, EVENT_RELAYED);
    struct book_status deferred = test_status(two.envelope.id, 0, EVENT_DEFERRED);
    test_fold_status(fold, 400, &delivered);
    test_fold_status(fold, 500, &relayed);
    test_fold_status(fold, 600, &deferred);
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    refusal.count = 3;
    refusal.until_us = refusal.time_us + TEST_SECOND;
    test_fold_event(fold, 700, &refusal);
    test_commit(fold);
    fold_close(fold);
    return 0;
}

static void run(const char *what, struct trace_result *out)
{
    struct trace_query query = {.what = span_from_cstr(what), .limit = 10};
    assert_int_equal(trace_run(test_folder, &query, out), 0);
    assert_int_equal(out->skipped.size, 0);
}

static void everything_is_found_by_its_names(void **state)
{
    char id[ID_TEXT + 1], session[ID_TEXT + 1], reference[ID_TEXT + 1], refused_in[ID_TEXT + 1];
    struct id tmp;

    id_format(&one.envelope.id, id);
    id_format(&one.envelope.client.session, session);
    tmp = test_id(5001);
    id_format(&tmp, reference);
    tmp = test_id(7000);
    id_format(&tmp, refused_in);
    const struct {
        const char *what;
        size_t messages, refusals;
    } cases[] = {
        {"anna@bbb.example", 2, 0}, /* sender */
        {"ANNA@BBB.example", 2, 0}, /* people type as they like */
        {"bob@aaa.example", 2, 0},
        {"dora@aaa.example", 1, 0}, /* a child */
        {"nobody@aaa.example", 0, 1},
        {"spam@evil.example", 0, 1},
        {"<one@bbb.example>", 1, 0},
        {"one@bbb.example", 1, 0},
        {id, 1, 0},
        {session, 1, 0},
        {reference, 0, 1},
        {refused_in, 0, 1},
        {"1322454835128", 1, 0}, /* what the next station called it */
        {"elsewhere@aaa.example", 0, 0},
        {"132245483512", 0, 0},
        {"' OR 1=1 --", 0, 0},
        {"<>", 0, 0},
        {"", 2, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_result result;
        run(cases[i].what, &result);
        assert_int_equal(result.message_count, cases[i].messages);
        assert_int_equal(result.refusal_count, cases[i].refusals);
        assert_false(result.more);
        trace_result_done(&result);
    }
}

static void the_null_sender_is_found(void **state)
{
    struct fold *fold = test_fold_open();
    struct trace_result result;
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, 25, 2);
    m.envelope.sender = SPAN("");
    struct book_input input = test_input_message(2500, &m);
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    run("<>", &result);
    assert_int_equal(result.message_count, 1);
    assert_true(id_equal(&result.messages[0].id, &m.envelope.id));
    assert_int_equal(result.messages[0].entry_count, 2);
    trace_result_done(&result);
}

/* Its messages of two weeks, and what it was refused. */
static void a_session_is_told_whole(void **state)
{
    struct fold *fold = test_fold_open();
    struct id session = test_id(7000);
    struct trace_result result;
    char text[ID_TEXT + 1];

    for (unsigned i = 0; i < 2; i++) {
        struct test_message m;
        test_message_at(&m, TEST_NOW_US + i * 7 * TEST_DAY, 20 + i, 1);
        m.envelope.client.session = session;
        struct book_input input = test_input_message(2000 + i, &m);
        test_fold_one(fold, &input);
    }
    test_commit(fold);
    fold_close(fold);
    id_format(&session, text);
    run(text, &result);
    assert_int_equal(result.message_count, 2);
    assert_int_equal(result.refusal_count, 1);
    trace_result_done(&result);
}

/* Booked in canonical form, looked for as people write it. */
static void addresses_are_found_in_any_spelling(void **state)
{
    static const struct {
        const char *what;
        size_t messages, refusals;
    } cases[] = {
        {"bob@xn--mller-kva.example", 1, 0},        {"Bob@M\xc3\xbcLLER.example", 1, 0},
        {"\"bob\"@m\xc3\xbcller.example", 1, 0},    {"anna@[IPv6:2001:0db8:0::1]", 1, 0},
        {"dora@m\xc3\xbcller.example", 0, 2}, /* as it came, and as it was read */
        {"dora@xn--mller-kva.example", 0, 1},       {"carl@m\xc3\xbcller.example", 0, 0},
        {"no address@m\xc3\xbcller.example", 0, 1},
    };
    static const char *const refused[] = {"dora@xn--mller-kva.example",
                                          "dora@m\xc3\xbcller.example",
                                          "no address@m\xc3\xbcller.example"};
    struct fold *fold = test_fold_open();
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, 30, 1);
    m.envelope.sender = SPAN("anna@[IPv6:2001:db8::1]");
    m.recipients[0].address = m.recipients[0].original = SPAN("bob@xn--mller-kva.example");
    struct book_input input = test_input_message(3000, &m);
    test_fold_one(fold, &input);
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        struct event refusal = test_refusal(30 + i, refused[i]);
        test_fold_event(fold, 3100 + i, &refusal);
    }
    test_commit(fold);
    fold_close(fold);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_result result;
        run(cases[i].what, &result);
        if (result.message_count != cases[i].messages || result.refusal_count != cases[i].refusals)
            fail_msg("%s: %zu messages, %zu refusals", cases[i].what, result.message_count,
                     result.refusal_count);
        trace_result_done(&result);
    }
}

/* The one who was written to with a detail, as his correspondents know him. */
static void a_plus_address_is_found_as_it_was_written(void **state)
{
    static const struct {
        const char *what;
        size_t limit, messages, entries; /* of the newest message that is told */
        int64_t accepted_us;
    } cases[] = {
        {"bob+shop@aaa.example", 10, 2, 1, TEST_NOW_US},
        {"Bob+Shop@AAA.example", 10, 2, 1, TEST_NOW_US},
        {"bob+shop@aaa.example", 1, 1, 1, TEST_NOW_US},
        {"bob+other@aaa.example", 10, 0, 0, 0},
        {"+bob@aaa.example", 10, 0, 0, 0},
        {"bob@aaa.example", 10, 4, 1, TEST_NOW_US},
    };
    struct fold *fold = test_fold_open();
    struct test_message sent, got;

    test_message_at(&sent, TEST_NOW_US - 5 * TEST_SECOND, 50, 1);
    sent.envelope.sender = SPAN("bob+shop@aaa.example");
    test_message_at(&got, TEST_NOW_US, 51, 2);
    got.recipients[0].original = SPAN("bob+shop@aaa.example");
    struct book_input input = test_input_message(5000, &got);
    test_fold_one(fold, &input);
    input = test_input_message(5100, &sent);
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        size_t k = i % ARRAY_SIZE(cases);
        struct trace_query query = {.what = span_from_cstr(cases[k].what), .limit = cases[k].limit};
        struct trace_result result;
        if (i == ARRAY_SIZE(cases))
            test_tamper(TEST_WEEK, "DELETE FROM fresh"); /* no aid, as after an erasure */
        assert_int_equal(trace_run(test_folder, &query, &result), 0);
        if (result.message_count != cases[k].messages)
            fail_msg("%s: %zu messages", cases[k].what, result.message_count);
        if (result.message_count) {
            const struct trace_message *last = &result.messages[result.message_count - 1];
            assert_int_equal(last->accepted_us, cases[k].accepted_us);
            assert_int_equal(last->entry_count, cases[k].entries);
        }
        assert_int_equal(result.more, cases[k].limit == 1);
        trace_result_done(&result);
    }
}

static void since_state_and_limit_narrow_it(void **state)
{
    static const struct {
        struct trace_query query;
        size_t messages;
        bool more;
    } cases[] = {
        {{.what = {"anna@bbb.example", 16}, .since_us = TEST_NOW_US - TEST_DAY, .limit = 10}, 1},
        {{.what = {"anna@bbb.example", 16}, .since_us = TEST_NOW_US + 1, .limit = 10}, 0},
        {{.what = {"anna@bbb.example", 16}, .limit = 1}, 1, true},
        {{.state = RECIPIENT_WAITING, .limit = 10}, 1},
        {{.state = RECIPIENT_RELAYED, .limit = 10}, 1},
        {{.state = RECIPIENT_RETURNED, .limit = 10}, 0},
        {{.what = {"bob@aaa.example", 15}, .state = RECIPIENT_WAITING, .limit = 10}, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_result result;
        assert_int_equal(trace_run(test_folder, &cases[i].query, &result), 0);
        assert_int_equal(result.message_count, cases[i].messages);
        assert_int_equal(result.more, cases[i].more);
        for (size_t k = 0; k < result.message_count && cases[i].query.state; k++)
            for (size_t e = 0; e < result.messages[k].entry_count; e++)
                assert_int_equal(result.messages[k].entries[e].state, cases[i].query.state);
        trace_result_done(&result);
    }
}

/* The newest is told even so; what isn't told takes no memory. */
static void a_result_is_bounded(void **state)
{
    struct trace_query query = {.what = SPAN("anna@bbb.example"), .limit = 10, .bytes = 1};
    struct trace_result all, result;

    run("anna@bbb.example", &all);
    assert_true(all.message_count > 1);
    assert_false(all.more_messages);
    assert_int_equal(trace_run(test_folder, &query, &result), 0);
    assert_int_equal(result.message_count, 1);
    assert_true(result.more && result.more_messages);
    assert_true(id_equal(&result.messages[0].id, &all.messages[all.message_count - 1].id));
    trace_result_done(&result);

    query = (struct trace_query){.state = RECIPIENT_RETURNED, .limit = 10};
    assert_int_equal(trace_run(test_folder, &query, &result), 0);
    assert_int_equal(result.message_count, 0);
    assert_int_equal(result.arena.used, 10 * (sizeof(*result.messages) + sizeof(*result.refusals)));
    trace_result_done(&result);
    trace_result_done(&all);
}

static void one_of_many_recipients_comes_with_its_children(void **state)
{
    struct trace_result result;

    run("carl@bbb.example", &result);
    assert_int_equal(result.messages[0].entry_count, 2);
    assert_span(result.messages[0].entries[0].address, "carl@bbb.example");
    assert_span(result.messages[0].entries[1].address, "dora@aaa.example");
    assert_int_equal(result.messages[0].entries[0].child_count, 1);
    assert_int_equal(result.messages[0].entries[1].child_count, 0);
    trace_result_done(&result);
    run("<one@bbb.example>", &result);
    assert_int_equal(result.messages[0].entry_count, 3);
    trace_result_done(&result);
}

/* However its address is spelled; that of the sender means all. */
static void one_of_many_recipients_is_told_alone(void **state)
{
    static const struct {
        const char *what;
        size_t entries;
    } cases[] = {
        {"bob@xn--mller-kva.example", 1},      {"Bob@m\xc3\xbcller.example", 1},
        {"\"bob\"@m\xc3\xbcller.example", 1},  {"carl@[IPv6:2001:0db8:0::1]", 1},
        {"\"erna\"@m\xc3\xbcller.example", 4}, {"", 4},
    };
    struct fold *fold = test_fold_open();
    struct test_message m;

    test_message_at(&m, TEST_NOW_US + TEST_SECOND, 30, 4);
    m.envelope.sender = SPAN("erna@xn--mller-kva.example");
    m.recipients[0].address = m.recipients[0].original = SPAN("bob@xn--mller-kva.example");
    m.recipients[1].address = m.recipients[1].original = SPAN("carl@[IPv6:2001:db8::1]");
    struct book_input input = test_input_message(3000, &m);
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    /* Erased, which is no match for who asks for all. */
    test_tamper(TEST_WEEK, "UPDATE entry SET recipient = NULL, original = NULL"
                           " WHERE recipient = 'emil@ccc.example'");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_result result;
        run(cases[i].what, &result);
        assert_true(result.message_count > 0);
        const struct trace_message *found = &result.messages[result.message_count - 1];
        if (found->entry_count != cases[i].entries)
            fail_msg("%s: %zu entries", cases[i].what, found->entry_count);
        trace_result_done(&result);
    }
}

/* Of a long list each recipient is counted, once, with the one that it came from. */
static void children_are_counted(void **state)
{
    enum { MANY = 3000 };
    static struct envelope_recipient children[MANY];
    struct trace_result result;
    struct fold *fold = test_fold_open();

    for (size_t i = 0; i < MANY; i++)
        children[i].address = children[i].original = SPAN("member@aaa.example");
    for (uint32_t parent = 0; parent < 3; parent += 2) {
        struct book_expand expand = {.message = one.envelope.id,
                                     .parent = parent,
                                     .first_child = 3 + parent * MANY,
                                     .time_us = TEST_NOW_US,
                                     .children = children,
                                     .child_count = MANY - parent};
        struct book_input input = {
            .kind = BOOK_EXPAND, .end = {.segment = 1, .offset = 800 + parent}, .expand = &expand};
        test_fold_one(fold, &input);
    }
    test_commit(fold);
    fold_close(fold);
    run("<one@bbb.example>", &result);
    const struct trace_message *m = &result.messages[0];
    assert_int_equal(m->entry_count, 3 + MANY + MANY - 2);
    for (size_t i = 0; i < m->entry_count; i++)
        assert_int_equal(m->entries[i].child_count, i == 0   ? MANY
                                                    : i == 1 ? 1
                                                    : i == 2 ? MANY - 2
                                                             : 0);
    trace_result_done(&result);
}

/* The golden one: programs rely on these bytes. */
static const char golden[] =
#include "trace_golden.inc"
    ;

static void json_is_as_promised(void **state)
{
    struct trace_result result;
    struct buffer out = BUFFER_INIT;

    run("bob@aaa.example", &result);
    assert_int_equal(trace_json(&result, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, golden);
    buffer_done(&out);
    trace_result_done(&result);
}

static void json_of_a_refusal(void **state)
{
    struct trace_result result;
    struct buffer out = BUFFER_INIT;

    run("nobody@aaa.example", &result);
    assert_int_equal(trace_json(&result, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data, "\"kind\":\"refused\",\"time\":\"2026-11-21T18:00:03.120Z\","
                                     "\"until\":\"2026-11-21T18:00:04.120Z\",\"count\":3,"
                                     "\"from\":{\"ip\":\"192.0.2.9\",\"helo\":\"evil.example\""));
    assert_non_null(
        strstr(out.data, "\"phase\":\"rcpt\",\"reply\":\"550 5.1.1 no such mailbox\"}"));
    buffer_done(&out);
    trace_result_done(&result);
}

static void text_tells_the_story(void **state)
{
    struct trace_result result;
    struct buffer out = BUFFER_INIT;

    run("anna@bbb.example", &result);
    assert_int_equal(trace_text(&result, TEST_NOW_US + 60 * TEST_SECOND, &plain, &out), 0);
    buffer_append_byte(&out, '\0');
    static const char *const lines[] = {
        " from anna@bbb.example, 4211 bytes, Message-ID <one@bbb.example>\n",
        "  received 2026-11-21 18:00:03 from mx.bbb.example [192.0.2.7], mx, ESMTPS, TLSv1.3,"
        " logged in as anna, session ",
        "  to bob@aaa.example: delivered\n    2026-11-21 18:00:03  accepted\n"
        "    2026-11-21 18:00:04  delivered  mail.aaa.example: stored\n",
        "  Delivered into the mailbox bob@aaa.example on mail.aaa.example at 2026-11-21 18:00:04;"
        " from here on its owner's mail program is responsible.\n",
        "  to carl@bbb.example: expanded\n",
        "  carl@bbb.example stands for 1 recipient that the message had not yet, since 2026-11-21 "
        "18:00:03;",
        "  to dora@aaa.example (for carl@bbb.example): relayed\n",
        "  Handed on to mx1.bbb.example [10.0.0.0] at 2026-11-21 18:00:04, which took it with \"451"
        " 4.4.1 try again\" as \"1322454835128\"; that station is responsible now, ask its"
        " postmaster.\n",
        "  Waiting here since 2026-11-11 18:00:03 (10d) because mx1.bbb.example [10.0.0.0] said"
        " \"451 4.4.1 try again\", the next attempt is at 2026-11-21 18:05:03; this server keeps"
        " trying, and the administrator of mx1.bbb.example can mend it.\n",
        "Message-ID <two\\x1b[2J\\xff@bbb.example>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (!strstr(out.data, lines[i]))
            fail_msg("missing: %s\nin: %s", lines[i], out.data);
    for (size_t i = 0; i + 1 < out.size; i++)
        assert_true(out.data[i] == '\n' || ((unsigned char)out.data[i] >= 32));
    buffer_done(&out);
    trace_result_done(&result);
}

/* Whoever reads it must know whether to wait, and whom to ask: never this server's users. */
static void text_tells_a_refusal_and_who_has_the_message(void **state)
{
    static const struct {
        const char *recipient, *reply;
        unsigned count;
        const char *lines[4];
    } cases[] = {
        {"nobody@aaa.example",
         NULL, /* as make_ledger() folded it */
         3,
         {"2026-11-21 18:00:03 of evil.example [192.0.2.9] at rcpt\n"
          "  from spam@evil.example to nobody@aaa.example in session ",
          "\n  answered: 550 5.1.1 no such mailbox\n",
          "\n  and 2 more like it until 2026-11-21 18:00:04\n",
          "\n  Not accepted: this server never had it, the sending station must tell"}},
        {"later@aaa.example",
         "451 4.7.1 greylisted",
         1,
         {"\n  answered: 451 4.7.1 greylisted\n  Not accepted for now: the sending station keeps"}},
    };
    struct fold *fold = test_fold_open();

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct event refusal = test_refusal(50 + i, cases[i].recipient);
        refusal.reply = cases[i].reply ? span_from_cstr(cases[i].reply) : SPAN("");
        if (cases[i].reply)
            test_fold_event(fold, 900 + i, &refusal);
    }
    test_commit(fold);
    fold_close(fold);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace_result result;
        struct buffer out = BUFFER_INIT;
        run(cases[i].recipient, &result);
        assert_int_equal(result.refusal_count, 1);
        assert_int_equal(trace_text(&result, TEST_NOW_US, &plain, &out), 0);
        buffer_append_byte(&out, '\0');
        for (size_t k = 0; k < ARRAY_SIZE(cases[i].lines) && cases[i].lines[k]; k++)
            if (!strstr(out.data, cases[i].lines[k]))
                fail_msg("missing: %s\nin: %s", cases[i].lines[k], out.data);
        if (cases[i].count == 1)
            assert_null(strstr(out.data, "more like it"));
        buffer_done(&out);
        trace_result_done(&result);
    }
}

/* What --follow prints: one line for each, also of who has no address. */
static void each_event_is_one_line(void **state)
{
    struct trace_result result;
    struct buffer out = BUFFER_INIT;
    size_t lines = 0;

    run("anna@bbb.example", &result);
    for (size_t i = 0; i < result.message_count; i++)
        for (size_t k = 0; k < result.messages[i].entry_count; k++) {
            const struct trace_entry *e = &result.messages[i].entries[k];
            for (size_t n = 0; n < e->event_count; n++) {
                size_t before = out.size;
                assert_int_equal(trace_text_event(&result.messages[i], e, &e->events[n], &out), 0);
                assert_ptr_equal(memchr(out.data + before, '\n', out.size - before),
                                 out.data + out.size - 1);
                lines++;
            }
        }
    assert_true(lines > 5);
    struct trace_entry nobody = {.address = SPAN("")};
    struct trace_event removed = {.kind = EVENT_REMOVED, .time_us = TEST_NOW_US, .actor_uid = 7};
    assert_int_equal(trace_text_event(&result.messages[0], &nobody, &removed, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data,
                           " bob@aaa.example deferred   mx1.bbb.example [10.0.0.0] TLSv1.3"
                           ": 451 4.4.1 try again, next attempt 2026-11-21 18:05:03\n"));
    assert_non_null(strstr(out.data, " <> removed    by uid 7\n"));
    buffer_done(&out);
    trace_result_done(&result);
}

static void hostile_text_stays_valid_json(void **state)
{
    struct trace_result result;
    struct buffer out = BUFFER_INIT;

    run("anna@bbb.example", &result);
    assert_int_equal(trace_json(&result, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data, "\"<two\\u001B[2J\\uFFFD@bbb.example>\""));
    buffer_done(&out);
    trace_result_done(&result);
}

/* Its fate is theirs, so they are shown beside it, and nothing is red. */
static void a_duplicate_is_shown_with_the_others(void **state)
{
    static const enum event_kind kinds[] = {EVENT_DUPLICATE, EVENT_DISCARDED};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        static const struct trace_style style = {"", "", "", "<RED>", ""};
        struct fold *fold = test_fold_open();
        struct buffer out = BUFFER_INIT;
        struct trace_result result;
        struct test_message m;
        test_message_at(&m, TEST_NOW_US, 40 + (unsigned)i, 2);
        m.recipients[1].address = m.recipients[1].original = SPAN("ops@aaa.example");
        struct book_input input = test_input_message(4000 + 100 * i, &m);
        test_fold_one(fold, &input);
        struct book_status closed = test_status(m.envelope.id, 1, kinds[i]);
        closed.status = SPAN("2.1.5");
        closed.reply = SPAN("");
        test_fold_status(fold, 4010 + 100 * i, &closed);
        test_commit(fold);
        fold_close(fold);
        run("ops@aaa.example", &result);
        assert_int_equal(result.message_count, i + 1);
        assert_int_equal(result.messages[i].entry_count, 2);
        assert_int_equal(trace_text(&result, TEST_NOW_US, &style, &out), 0);
        buffer_append_byte(&out, '\0');
        assert_null(strstr(out.data, "<RED>"));
        assert_null(strstr(out.data, "nobody will get it"));
        assert_non_null(strstr(out.data, "everybody whom ops@aaa.example stands for"));
        buffer_done(&out);
        trace_result_done(&result);
    }
}

/* ---- files ---- */

static void erased_values_are_shown_as_such(void **state)
{
    struct trace_result result;
    struct buffer out = BUFFER_INIT;

    test_tamper(TEST_WEEK, "UPDATE message SET sender = NULL WHERE sender LIKE 'anna@%'");
    run("<one@bbb.example>", &result);
    assert_int_equal(trace_text(&result, TEST_NOW_US, &plain, &out), 0);
    assert_int_equal(trace_json(&result, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data, " from (erased), 4211"));
    assert_non_null(strstr(out.data, "\"sender\":null"));
    buffer_done(&out);
    trace_result_done(&result);
}

static void damaged_and_newer_files_are_named(void **state)
{
    struct trace_query query = {.what = SPAN("anna@bbb.example"), .limit = 10};
    struct trace_result result;

    test_tamper(TEST_WEEK, "PRAGMA user_version=99");
    assert_int_equal(trace_run(test_folder, &query, &result), 0);
    assert_int_equal(result.message_count, 1);
    assert_span(buffer_span(&result.skipped),
                TEST_WEEK ": written by another version of Postbuch\n");
    trace_result_done(&result);
    char id[ID_TEXT + 1];
    struct id own = test_id(1);
    id_format(&own, id); /* whose week is the one that can't be read */
    query.what = span_from_cstr(id);
    assert_int_equal(trace_run(test_folder, &query, &result), 0);
    assert_int_equal(result.message_count, 0);
    assert_span(buffer_span(&result.skipped),
                TEST_WEEK ": written by another version of Postbuch\n");
    trace_result_done(&result);
    assert_int_equal(trace_run("/nonexistent", &query, &result), -ENOENT);
    trace_result_done(&result);
}

static void readers_see_commits_while_the_fold_writes(void **state)
{
    struct fold *fold = test_fold_open();
    struct test_message m;
    struct trace_result result;

    test_message_at(&m, TEST_NOW_US, 9, 1);
    m.envelope.sender = SPAN("new@bbb.example");
    struct book_input input = test_input_message(900, &m);
    test_fold_one(fold, &input);
    run("new@bbb.example", &result);
    assert_int_equal(result.message_count, 0);
    trace_result_done(&result);
    test_commit(fold);
    run("new@bbb.example", &result);
    assert_int_equal(result.message_count, 1);
    trace_result_done(&result);
    fold_close(fold);
}

static bool is_whole(const struct trace_result *result)
{
    for (size_t i = 0; i < result->message_count; i++) {
        const struct trace_message *m = &result->messages[i];
        if (!m->sender.data || !m->message_id.data || !m->entries[0].address.data)
            return false;
    }
    return result->message_count == 2;
}

/* A text that there is no memory for would look as if somebody had erased it. */
static void want_of_memory_is_no_erasure(void **state)
{
    struct trace_query query = {.what = SPAN("anna@bbb.example"), .limit = 10};
    struct trace_result result;
    unsigned failed = 0;

    test_tamper(TEST_WEEK, "UPDATE message SET message_id = hex(zeroblob(50000))");
    for (long at = 0;; at++) {
        failing_memory.countdown = at;
        failing_memory_arm();
        int r = trace_run(test_folder, &query, &result);
        failing_memory_rest();
        bool was_reached = failing_memory.countdown < 0;
        if (r == 0 && result.skipped.size == 0 && !is_whole(&result))
            fail_msg("without allocation %ld texts lack", at);
        failed += r == -ENOMEM;
        trace_result_done(&result);
        if (!was_reached)
            break;
    }
    assert_true(failed > 0);
}

/* Another user may read the files, but neither write them nor make files beside them. */
static void another_user_can_read(void **state)
{
    char command[256];

    if (geteuid() != 0)
        skip();
    snprintf(command, sizeof(command), "chmod 755 %s && chmod 644 %s/*", test_folder, test_folder);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(system(command), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct trace_query query = {.what = SPAN("anna@bbb.example"), .limit = 10};
            struct trace_result result;
            if (setuid(65534) < 0 || trace_run(test_folder, &query, &result) < 0)
                _exit(9);
            _exit(result.message_count == 2 && result.skipped.size == 0 ? 0 : 8);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        /* The second time without the files that a writer leaves beside. */
        snprintf(command, sizeof(command), "rm -f %s/*-shm && chmod 755 %s", test_folder,
                 test_folder);
        test_tamper(TEST_WEEK, "PRAGMA wal_checkpoint(TRUNCATE)");
        test_tamper("book-2026-W46.sqlite", "PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/* Of a server that was killed: what was committed last lies in the -wal alone. */
static void copy_as_of_a_killed_server(void)
{
    char command[300];
    struct fold *fold = test_fold_open();
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, 77, 1);
    struct book_input input = test_input_message(100000, &m);
    test_fold_one(fold, &input);
    test_commit(fold);
    snprintf(
        command, sizeof(command),
        "cd %s && mkdir copy && cp *.sqlite *-wal copy && chmod 755 . copy && chmod 644 copy/*",
        test_folder);
    assert_int_equal(system(command), 0);
    fold_close(fold);
}

/* Without it messages would seem unknown, and a chain cut short. */
static void a_log_that_cannot_be_read_is_told(void **state)
{
    char copy[100];
    struct trace_query query = {.what = SPAN("anna@bbb.example"), .limit = 10};
    struct trace_result result;

    if (geteuid() != 0)
        skip();
    copy_as_of_a_killed_server();
    snprintf(copy, sizeof(copy), "%s/copy", test_folder);
    pid_t pid = fork();
    if (pid == 0) {
        if (setuid(65534) < 0 || trace_run(copy, &query, &result) < 0)
            _exit(9);
        _exit(result.skipped.size &&
                      strstr((char *)result.skipped.data, TEST_WEEK ": what its -wal")
                  ? 0
                  : 8);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(trace_run(copy, &query, &result), 0);
    assert_int_equal(result.message_count, 3);
    assert_int_equal(result.skipped.size, 0);
    trace_result_done(&result);
}

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, make_ledger, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(everything_is_found_by_its_names),
        LEDGER_TEST(the_null_sender_is_found),
        LEDGER_TEST(addresses_are_found_in_any_spelling),
        LEDGER_TEST(a_plus_address_is_found_as_it_was_written),
        LEDGER_TEST(since_state_and_limit_narrow_it),
        LEDGER_TEST(a_result_is_bounded),
        LEDGER_TEST(one_of_many_recipients_comes_with_its_children),
        LEDGER_TEST(one_of_many_recipients_is_told_alone),
        LEDGER_TEST(children_are_counted),
        LEDGER_TEST(json_is_as_promised),
        LEDGER_TEST(json_of_a_refusal),
        LEDGER_TEST(a_session_is_told_whole),
        LEDGER_TEST(text_tells_the_story),
        LEDGER_TEST(text_tells_a_refusal_and_who_has_the_message),
        LEDGER_TEST(each_event_is_one_line),
        LEDGER_TEST(hostile_text_stays_valid_json),
        LEDGER_TEST(a_duplicate_is_shown_with_the_others),
        LEDGER_TEST(erased_values_are_shown_as_such),
        LEDGER_TEST(damaged_and_newer_files_are_named),
        LEDGER_TEST(readers_see_commits_while_the_fold_writes),
        LEDGER_TEST(want_of_memory_is_no_erasure),
        LEDGER_TEST(another_user_can_read),
        LEDGER_TEST(a_log_that_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
