/* What is told and what is booked is the same: the ids in replies, in the header and in the
 * envelope, who the client is, and what the backend said of each recipient. */
#include "talk.h"

#include <arpa/inet.h>

/* Of the last message and the last refusal. */
static struct {
    struct envelope envelope;
    char helo[40], auth[20], service[10], protocol[10], sender[600], recipient[600], phase[10],
        reply[600];
    char tickets[8 * SMTP_TICKET_BYTES];
    size_t tickets_size;
    struct {
        char address[80], original[80];
        uint8_t flags;
    } recipients[4];
    struct event event;
    unsigned refusals;
    size_t wishes;
    unsigned first_notify;
} seen;

static void keep(char *out, size_t size, struct span text)
{
    assert_true(text.size < size);
    snprintf(out, size, SPAN_FMT, SPAN_ARG(text));
}

static void on_message(struct talk *t, const struct smtp_message *m)
{
    const struct envelope *e = m->envelope;

    seen.envelope = *e;
    seen.wishes = e->wish_count;
    seen.first_notify = e->wish_count ? e->wishes[0].notify : 0;
    keep(seen.helo, sizeof(seen.helo), e->client.helo);
    keep(seen.service, sizeof(seen.service), e->client.service);
    keep(seen.protocol, sizeof(seen.protocol), e->client.protocol);
    seen.tickets_size = m->tickets.size;
    if (m->tickets.size <= sizeof(seen.tickets))
        memcpy(seen.tickets, m->tickets.data, m->tickets.size);
    for (size_t i = 0; i < e->recipient_count && i < ARRAY_SIZE(seen.recipients); i++) {
        keep(seen.recipients[i].address, 80, e->recipients[i].address);
        keep(seen.recipients[i].original, 80, e->recipients[i].original);
        seen.recipients[i].flags = e->recipients[i].flags;
    }
}

static void on_refused(struct talk *t, const struct event *event)
{
    struct buffer wire = BUFFER_INIT;

    assert_int_equal(codec_encode(&event_codec, event, &wire), 0);
    buffer_done(&wire);
    seen.event = *event;
    seen.refusals++;
    keep(seen.helo, sizeof(seen.helo), event->helo);
    keep(seen.auth, sizeof(seen.auth), event->auth);
    keep(seen.service, sizeof(seen.service), event->service);
    keep(seen.sender, sizeof(seen.sender), event->sender);
    keep(seen.recipient, sizeof(seen.recipient), event->recipient);
    keep(seen.phase, sizeof(seen.phase), event->phase);
    keep(seen.reply, sizeof(seen.reply), event->reply);
}

static void begin(struct talk *t)
{
    memset(&seen, 0, sizeof(seen));
    t->on_message = on_message;
    t->on_refused = on_refused;
    t->client.uid = UINT32_MAX;
    t->client.port = 4711;
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::25", t->client.ip), 1);
    talk_begin(t);
}

/* The word of `line` that is an id, read. */
static struct id id_in(const char *line, const char *before)
{
    struct id id;
    const char *at = strstr(line, before);

    assert_non_null(at);
    assert_int_equal(id_parse(span_of(at + strlen(before), ID_TEXT), &id), 0);
    return id;
}

static void assert_client(const struct talk *t, const struct id *session, const uint8_t *ip,
                          uint16_t port)
{
    assert_true(id_equal(session, &t->client.session));
    assert_memory_equal(ip, t->client.ip, 16);
    assert_int_equal(port, 4711);
    assert_string_equal(seen.helo, "client.test");
    assert_string_equal(seen.service, "mx");
}

static void what_is_told_of_a_message_is_what_is_kept(void **state)
{
    struct talk t = {0};
    char id[ID_TEXT + 1];

    begin(&t);
    struct id session = id_in(talk_hear(&t, "220 mx.test ESMTP "), "ESMTP ");
    assert_true(id_equal(&session, &t.client.session));
    talk_say(&t, "HELO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n.\r\n");
    for (int i = 0; i < 3; i++)
        talk_hear(&t, "250 ");
    talk_hear(&t, "354 ");
    struct id told = id_in(talk_hear(&t, "250 2.0.0 queued as "), "queued as ");
    assert_true(id_equal(&told, &seen.envelope.id));
    assert_false(id_equal(&told, &session) || id_is_zero(&told));
    assert_client(&t, &seen.envelope.client.session, seen.envelope.client.ip,
                  seen.envelope.client.port);
    assert_int_equal(seen.envelope.client.uid, UINT32_MAX);
    assert_int_equal(seen.envelope.accepted_us, t.time.wall_us);
    assert_string_equal(seen.protocol, "SMTP");
    id_format(&told, id);
    buffer_append_byte(&t.header, '\0');
    assert_non_null(strstr(t.header.data, "Received: from client.test ([IPv6:2001:db8::25])\r\n"));
    assert_non_null(strstr(t.header.data, id));
    talk_done(&t);
}

static void what_is_told_of_a_refusal_is_what_is_booked(void **state)
{
    struct talk t = {.answer = {.verdict = SMTP_UNKNOWN}};

    begin(&t);
    t.answer.verdict = SMTP_ACCEPT;
    talk_hear(&t, "220 ");
    talk_say(&t, "HELO client.test\r\nMAIL FROM:<a@b.test>\r\n");
    talk_hear(&t, "250 ");
    talk_hear(&t, "250 ");
    t.answer.verdict = SMTP_UNKNOWN;
    talk_say(&t, "RCPT TO:<nobody@d.test>\r\n");
    const char *line = talk_hear(&t, "550 5.1.1 <nobody@d.test>: there is no such mailbox here");
    struct id told = id_in(line, "(reference ");
    assert_true(id_equal(&told, &seen.event.reference));
    assert_int_equal(strncmp(line, seen.reply, strlen(seen.reply)), 0);
    assert_string_equal(seen.phase, "rcpt");
    assert_string_equal(seen.sender, "a@b.test");
    assert_string_equal(seen.recipient, "nobody@d.test");
    assert_client(&t, &seen.event.session, seen.event.ip, seen.event.port);
    assert_int_equal(seen.event.time_us, t.time.wall_us);
    assert_int_equal(seen.event.recipient_index, EVENT_NO_RECIPIENT);
    talk_done(&t);
}

/* A stranger's command may be longer than what the book keeps of an address. */
static void a_long_refused_address_is_cut(void **state)
{
    struct talk t = {0};
    char line[1200] = "";

    begin(&t);
    talk_hear(&t, "220 ");
    memset(line, 'x', 1000);
    memcpy(line, "MAIL FROM:", 10);
    memcpy(line + 1000, "\r\n", 3);
    talk_say(&t, "HELO client.test\r\n");
    talk_hear(&t, "250 ");
    talk_say(&t, line);
    assert_true(strlen(talk_hear(&t, "501 5.1.7 xxx")) < 512);
    assert_int_equal(strlen(seen.sender), ENVELOPE_ADDRESS_MAX);
    talk_say(&t, "MAIL FROM:<a@b.test>\r\n");
    talk_hear(&t, "250 ");
    memcpy(line, "RCPT TO:", 8);
    talk_say(&t, line);
    assert_true(strlen(talk_hear(&t, "501 5.1.3 ")) < 512);
    assert_int_equal(strlen(seen.recipient), ENVELOPE_ADDRESS_MAX);
    talk_done(&t);
}

/* The directory says where a recipient goes, and that it looked: both stay with that one. */
static void what_the_backend_says_of_a_recipient_stays_with_him(void **state)
{
    struct talk t = {0};

    begin(&t);
    talk_open(&t, "");
    memset(t.answer.ticket, 'B', SMTP_TICKET_BYTES);
    t.answer.address = SPAN("moved@elsewhere.test");
    t.answer.recipient_flags = ENVELOPE_RECIPIENT_EXPANDS;
    talk_say(&t, "RCPT TO:<second@d.test>\r\n");
    t.answer = (struct smtp_answer){.verdict = SMTP_REJECT};
    talk_say(&t, "RCPT TO:<refused@d.test>\r\n");
    t.answer = (struct smtp_answer){0};
    memset(t.answer.ticket, 'C', SMTP_TICKET_BYTES);
    talk_say(&t, "RCPT TO:<third@d.test>\r\nDATA\r\n.\r\n");
    assert_int_equal(seen.envelope.recipient_count, 3);
    assert_int_equal(seen.tickets_size, 3 * SMTP_TICKET_BYTES);
    for (size_t i = 0; i < 3; i++)
        for (size_t byte = 0; byte < SMTP_TICKET_BYTES; byte++)
            assert_int_equal(seen.tickets[i * SMTP_TICKET_BYTES + byte], "\0BC"[i]);
    assert_string_equal(seen.recipients[0].address, "c@d.test");
    assert_string_equal(seen.recipients[1].address, "moved@elsewhere.test");
    assert_string_equal(seen.recipients[1].original, "second@d.test");
    assert_int_equal(seen.recipients[1].flags, ENVELOPE_RECIPIENT_EXPANDS);
    assert_string_equal(seen.recipients[2].address, "third@d.test");
    assert_int_equal(seen.recipients[2].flags, 0);
    talk_done(&t);
}

/* The book knows either, and the queue that it is one. */
static void who_is_named_in_two_ways_stands_there_twice(void **state)
{
    static const char *const names[] = {"bob+b", "ann", "bob", "Bob+B", "bob+a", "BOB", "bob+b"};
    static const char *const originals[] = {"bob+b@d.test", "ann@d.test", "bob@d.test",
                                            "bob+a@d.test"};
    struct talk t = {0};
    char line[80];

    begin(&t);
    talk_hear(&t, "220 ");
    talk_say(&t, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        bool is_ann = strcmp(names[i], "ann") == 0;
        t.answer.address = is_ann ? SPAN("ann@d.test") : SPAN("bob@d.test");
        snprintf(line, sizeof(line), "RCPT TO:<%s@d.test> NOTIFY=%s\r\n", names[i],
                 i == 0 ? "NEVER" : "SUCCESS");
        talk_say(&t, line);
    }
    t.answer.address = SPAN("");
    talk_say(&t, "DATA\r\n.\r\n");
    assert_int_equal(seen.envelope.recipient_count, ARRAY_SIZE(originals));
    for (size_t i = 0; i < ARRAY_SIZE(originals); i++) {
        assert_string_equal(seen.recipients[i].original, originals[i]);
        assert_string_equal(seen.recipients[i].address, i == 1 ? "ann@d.test" : "bob@d.test");
    }
    assert_int_equal(seen.wishes, 2);
    assert_int_equal(seen.first_notify, ENVELOPE_NOTIFY_SUCCESS);
    talk_done(&t);
}

/* Which refusals count as what: a limit or trouble of ours is nobody's fault. */
static void what_counts_towards_the_end_of_a_session(void **state)
{
    static const struct {
        const char *command;
        enum smtp_verdict verdict;
        bool error, refusal;
    } cases[] = {
        {"RCPT TO:<e@d.test>\r\n", SMTP_UNKNOWN, false, true},
        {"RCPT TO:<e@d.test>\r\n", SMTP_DEFER, false, false},
        {"RCPT TO:<e@d.test> X=1\r\n", SMTP_ACCEPT, true, false},
        {"RCPT TO:<e@d.test> NOTIFY=X\r\n", SMTP_ACCEPT, true, false},
        {"RCPT TO:<@>\r\n", SMTP_ACCEPT, true, false},
        {"MAIL FROM:<e@d.test>\r\n", SMTP_ACCEPT, true, false}, /* 503 */
        {"WHAT\r\n", SMTP_ACCEPT, true, false},
        {"EXPN x\r\n", SMTP_ACCEPT, true, false},
        {"VRFY x\r\n", SMTP_ACCEPT, false, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (int limit = 0; limit < 2; limit++) {
            struct talk t = {
                .settings = {.errors_max = limit ? 2 : 0, .refusals_max = limit ? 0 : 2}};
            bool ends = limit ? cases[i].error : cases[i].refusal;
            begin(&t);
            talk_open(&t, "");
            t.answer.verdict = cases[i].verdict;
            talk_say(&t, cases[i].command);
            assert_false(smtp_server_is_over(t.server));
            talk_say(&t, cases[i].command);
            if (smtp_server_is_over(t.server) != ends)
                print_error("%s", cases[i].command);
            assert_int_equal(smtp_server_is_over(t.server), ends);
            talk_done(&t);
        }
}

/* A letter of ours to many, of whom some have left, reaches the others. */
static void who_is_trusted_may_be_refused_recipients(void **state)
{
    struct talk t = {.settings = {.refusals_max = 2}, .trusted = true};

    begin(&t);
    talk_open(&t, "");
    t.answer.verdict = SMTP_UNKNOWN;
    for (int i = 0; i < 10; i++) {
        talk_say(&t, "RCPT TO:<e@d.test>\r\n");
        talk_hear(&t, "550 5.1.1 ");
    }
    assert_int_equal(seen.refusals, 10);
    assert_false(smtp_server_is_over(t.server));
    talk_done(&t);
}

/* He has no address that could tell who it was. */
static void a_refusal_names_the_local_user(void **state)
{
    struct talk t = {.client.uid = 1000};

    memset(&seen, 0, sizeof(seen));
    t.on_refused = on_refused;
    talk_begin(&t);
    talk_open(&t, "");
    talk_say(&t, "RCPT TO:<two words@d.test>\r\n");
    assert_int_equal(seen.refusals, 1);
    assert_string_equal(seen.auth, "uid 1000");
    talk_done(&t);
}

/* Refused senders are counted by who refuses them, not here. */
static void a_refused_sender_is_no_recipient(void **state)
{
    struct talk t = {.settings = {.refusals_max = 1}};

    begin(&t);
    t.answer.verdict = SMTP_REJECT;
    talk_hear(&t, "220 ");
    talk_say(&t, "HELO x\r\nMAIL FROM:<a@b.test>\r\nMAIL FROM:<a@b.test>\r\n");
    assert_int_equal(seen.refusals, 2);
    assert_false(smtp_server_is_over(t.server));
    talk_done(&t);
}

/* A station with much mail for people who are unknown keeps its connection, and its good mail comes
 * through; one that says DATA without end doesn't. */
static void a_pipelined_data_behind_refused_recipients_is_no_error(void **state)
{
    struct talk t = {.settings = {.errors_max = 2}};

    begin(&t);
    talk_open(&t, "");
    for (int i = 0; i < 10; i++) {
        t.answer.verdict = SMTP_ACCEPT;
        talk_say(&t, "RSET\r\nMAIL FROM:<a@b.test>\r\n");
        talk_hear(&t, "250 ");
        talk_hear(&t, "250 ");
        t.answer.verdict = SMTP_UNKNOWN;
        talk_say(&t, "RCPT TO:<e@d.test>\r\nDATA\r\n");
        talk_hear(&t, "550 5.1.1 ");
        talk_hear(&t, "554 5.5.1 ");
    }
    talk_say(&t, "DATA\r\n");
    assert_false(smtp_server_is_over(t.server));
    talk_say(&t, "DATA\r\n");
    assert_true(smtp_server_is_over(t.server));
    talk_done(&t);
}

static void too_many_recipients_are_nobodys_fault(void **state)
{
    struct talk t = {.settings = {.recipients_max = 1, .errors_max = 1, .refusals_max = 1}};

    begin(&t);
    talk_open(&t, "");
    for (int i = 0; i < 3; i++) {
        talk_say(&t, "RCPT TO:<e@d.test>\r\n");
        talk_hear(&t, "452 4.5.3 <e@d.test>: too many recipients");
    }
    assert_int_equal(seen.refusals, 3);
    assert_false(smtp_server_is_over(t.server));
    talk_done(&t);
}

/* The envelope's own limit holds whatever is configured. */
/* Eleven aliases of 940 each: the queue wouldn't take it, and the client could only come back with
 * the same. */
static void no_message_has_aliases_with_more_members_than_an_envelope_holds(void **state)
{
    struct talk t = {.settings = {.recipients_max = 100, .errors_max = 1, .refusals_max = 1}};
    char line[40];

    begin(&t);
    talk_open(&t, "");
    t.answer.recipient_flags = ENVELOPE_RECIPIENT_EXPANDS;
    t.answer.members = 940;
    for (int i = 0; i < 10; i++) {
        snprintf(line, sizeof(line), "RCPT TO:<e%d@d.test>\r\n", i);
        talk_say(&t, line);
        talk_hear(&t, "250 ");
    }
    talk_say(&t, "RCPT TO:<e10@d.test>\r\n");
    talk_hear(&t, "452 4.5.3 <e10@d.test>: too many recipients");
    talk_say(&t, "RCPT TO:<e3@d.test>\r\n"); /* one that is in the envelope: no more by it */
    talk_hear(&t, "250 ");
    t.answer.members = ENVELOPE_RECIPIENTS_MAX - 9400;
    talk_say(&t, "RCPT TO:<e11@d.test>\r\n");
    talk_hear(&t, "250 ");
    t.answer = (struct smtp_answer){0};
    talk_say(&t, "RCPT TO:<f@d.test>\r\nDATA\r\n.\r\n");
    assert_int_equal(seen.envelope.recipient_count, 13);
    talk_done(&t);
}

static void no_message_has_more_recipients_than_an_envelope(void **state)
{
    struct talk t = {.settings = {.recipients_max = 20000}};
    char line[64];

    begin(&t);
    talk_open(&t, "");
    for (unsigned i = 1; i < ENVELOPE_RECIPIENTS_MAX; i++) {
        snprintf(line, sizeof(line), "RCPT TO:<%u@d.test>\r\n", i);
        talk_say(&t, line);
        talk_hear(&t, "250 2.1.5");
    }
    talk_say(&t, "RCPT TO:<one.more@d.test>\r\n");
    talk_hear(&t, "452 4.5.3 <one.more@d.test>: too many");
    talk_say(&t, "DATA\r\n.\r\n");
    assert_int_equal(seen.envelope.recipient_count, ENVELOPE_RECIPIENTS_MAX);
    talk_done(&t);
}

/* What a refused MAIL asked for isn't the next one's. */
static void a_refused_sender_leaves_nothing(void **state)
{
    struct talk t = {0};

    begin(&t);
    talk_hear(&t, "220 ");
    talk_say(&t, "EHLO client.test\r\n"
                 "MAIL FROM:<a@b.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=x NONSENSE=1\r\n"
                 "MAIL FROM:<\xc3\xbc@b.test>\r\n"
                 "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n.\r\n");
    assert_int_equal(t.messages, 1);
    assert_false(seen.envelope.smtputf8);
    assert_int_equal(seen.envelope.body, ENVELOPE_BODY_7BIT);
    assert_int_equal(seen.envelope.returned, ENVELOPE_RETURN_ANY);
    assert_int_equal(seen.envelope.envelope_id.size, 0);
    assert_string_equal(seen.protocol, "ESMTP");
    talk_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_of_a_message_is_what_is_kept),
        cmocka_unit_test(what_is_told_of_a_refusal_is_what_is_booked),
        cmocka_unit_test(a_long_refused_address_is_cut),
        cmocka_unit_test(what_the_backend_says_of_a_recipient_stays_with_him),
        cmocka_unit_test(who_is_named_in_two_ways_stands_there_twice),
        cmocka_unit_test(what_counts_towards_the_end_of_a_session),
        cmocka_unit_test(who_is_trusted_may_be_refused_recipients),
        cmocka_unit_test(a_refusal_names_the_local_user),
        cmocka_unit_test(a_refused_sender_is_no_recipient),
        cmocka_unit_test(a_pipelined_data_behind_refused_recipients_is_no_error),
        cmocka_unit_test(too_many_recipients_are_nobodys_fault),
        cmocka_unit_test(no_message_has_aliases_with_more_members_than_an_envelope_holds),
        cmocka_unit_test(no_message_has_more_recipients_than_an_envelope),
        cmocka_unit_test(a_refused_sender_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
