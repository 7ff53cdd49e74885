#include "../../unit.h"

#include "proc/smtpd/refusals.h"

struct sink {
    unsigned events, stands_for;
    struct event last;
    char reply[300];
    bool full;
};

static int sink(void *context, const struct event *event)
{
    struct sink *s = context;

    if (s->full)
        return -1;
    s->events++;
    s->stands_for += event->count;
    s->last = *event;
    memcpy(s->reply, event->reply.data, event->reply.size);
    s->reply[event->reply.size] = '\0';
    return 0;
}

static struct event refusal(uint8_t client, int64_t time_us)
{
    return (struct event){.kind = EVENT_REFUSED,
                          .time_us = time_us,
                          .count = 1,
                          .ip = {[15] = client},
                          .service = SPAN("mx"),
                          .recipient = SPAN("bob@a.test"),
                          .phase = SPAN("rcpt"),
                          .reply = SPAN("550 5.1.1 no")};
}

static void add(struct smtpd_refusals *r, uint8_t client, unsigned count, int64_t now_ms)
{
    for (unsigned i = 0; i < count; i++) {
        struct event event = refusal(client, now_ms * 1000 + i);
        smtpd_refusals_add(r, &event, now_ms);
    }
}

static void few_go_alone(void **state)
{
    struct sink s = {0};
    struct smtpd_refusals r;

    assert_int_equal(smtpd_refusals_init(&r, 1, sink, &s), 0);
    add(&r, 1, SMTPD_REFUSALS_ALONE, 1000);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE);
    assert_span(s.last.recipient, "bob@a.test");
    smtpd_refusals_flush(&r, 1000, true);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE);
    smtpd_refusals_done(&r);
}

static void a_flood_is_counted(void **state)
{
    struct sink s = {0};
    struct smtpd_refusals r;

    assert_int_equal(smtpd_refusals_init(&r, 1, sink, &s), 0);
    add(&r, 1, 100000, 1000);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE);
    smtpd_refusals_flush(&r, 1000 + SMTPD_REFUSALS_WINDOW_MS - 1, false);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE);
    smtpd_refusals_flush(&r, 1000 + SMTPD_REFUSALS_WINDOW_MS, false);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE + 1);
    assert_int_equal(s.stands_for, 100000);
    assert_int_equal(s.last.count, 100000 - SMTPD_REFUSALS_ALONE);
    assert_int_equal(s.last.time_us, 1000 * 1000 + SMTPD_REFUSALS_ALONE);
    assert_int_equal(s.last.until_us, 1000 * 1000 + 99999);
    assert_int_equal(s.last.recipient.size, 0);
    assert_string_equal(s.reply, "550 5.1.1 no");
    /* The next minute begins anew. */
    add(&r, 1, 1, 200000);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE + 2);
    assert_int_equal(s.last.count, 1);
    smtpd_refusals_done(&r);
}

static void nothing_is_lost_among_many_clients(void **state)
{
    struct sink s = {0};
    struct smtpd_refusals r;
    unsigned sum = 0;

    assert_int_equal(smtpd_refusals_init(&r, 1, sink, &s), 0);
    for (int round = 0; round < 50; round++)
        for (unsigned client = 0; client < 256; client++, sum += 3)
            add(&r, (uint8_t)client, 3, 1000 + round);
    smtpd_refusals_flush(&r, 2000, true);
    assert_int_equal(s.stands_for, sum);
    smtpd_refusals_done(&r);
}

static void what_cannot_be_sent_is_counted(void **state)
{
    struct sink s = {.full = true};
    struct smtpd_refusals r;

    assert_int_equal(smtpd_refusals_init(&r, 1, sink, &s), 0);
    add(&r, 1, 5, 1000);
    smtpd_refusals_flush(&r, 100000, false);
    assert_int_equal(s.events, 0);
    s.full = false;
    smtpd_refusals_flush(&r, 100001, false);
    assert_int_equal(s.events, 1);
    assert_int_equal(s.last.count, 5);
    smtpd_refusals_done(&r);
}

/* Users of this machine have no address: the one who floods is told from the others all the same.
 */
static void local_users_are_told_apart(void **state)
{
    struct sink s = {0};
    struct smtpd_refusals r;
    struct event of_one = refusal(0, 5000000), of_other = of_one;

    assert_int_equal(smtpd_refusals_init(&r, 1, sink, &s), 0);
    of_one.auth = SPAN("uid 1000");
    of_other.auth = SPAN("uid 33");
    for (int i = 0; i < SMTPD_REFUSALS_ALONE + 3; i++)
        smtpd_refusals_add(&r, &of_one, 5000);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE);
    smtpd_refusals_add(&r, &of_other, 5000);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE + 1);
    assert_span(s.last.auth, "uid 33");
    smtpd_refusals_flush(&r, 5000, true);
    assert_int_equal(s.events, SMTPD_REFUSALS_ALONE + 2);
    assert_int_equal(s.last.count, 3);
    assert_span(s.last.auth, "uid 1000");
    smtpd_refusals_done(&r);
}

/* What a counted event keeps, and what it leaves out since it differs between those it stands for.
 */
static void what_a_counted_event_says(void **state)
{
    char service[40] = "a service whose name is far too long", phase[40], reply[300];
    struct sink s = {0};
    struct smtpd_refusals r;
    struct event event = refusal(7, 5000000);

    assert_int_equal(smtpd_refusals_init(&r, 1, sink, &s), 0);
    add(&r, 7, SMTPD_REFUSALS_ALONE, 1000);
    memset(phase, 'p', sizeof(phase));
    memset(reply, 'r', sizeof(reply));
    event.helo = event.sender = event.tls = SPAN("text");
    event.service = span_from_cstr(service);
    event.port = 25;
    event.session = (struct id){{1}};
    event.reference = (struct id){{2}};
    smtpd_refusals_add(&r, &event, 1000);
    event.time_us = 6000000;
    event.reference = (struct id){{3}};
    event.count = 4;
    event.service = SPAN("other");
    event.phase = span_of(phase, sizeof(phase));
    event.reply = span_of(reply, sizeof(reply));
    smtpd_refusals_add(&r, &event, 1000);
    memset(phase, 'x', sizeof(phase)); /* it has copied what it keeps */
    memset(reply, 'x', sizeof(reply));
    memset(service, 'x', sizeof(service));
    smtpd_refusals_flush(&r, 1000, true);
    assert_int_equal(s.last.count, 5);
    assert_int_equal(s.last.kind, EVENT_REFUSED);
    assert_int_equal(s.last.ip[15], 7);
    assert_int_equal(s.last.time_us, 5000000);
    assert_int_equal(s.last.until_us, 6000000);
    assert_int_equal(s.last.reference.bytes[0], 2); /* the first one's, which its client was told */
    assert_int_equal(s.last.helo.size + s.last.sender.size + s.last.recipient.size, 0);
    assert_int_equal(s.last.tls.size + s.last.auth.size, 0);
    assert_int_equal(s.last.service.size, 32);
    assert_memory_equal(s.last.service.data, "a service whose name is far too ", 32);
    assert_int_equal(s.last.phase.size, EVENT_PHASE_MAX);
    assert_int_equal(s.last.phase.data[EVENT_PHASE_MAX - 1], 'p');
    assert_int_equal(strlen(s.reply), SMTPD_REFUSALS_REPLY_MAX);
    assert_int_equal(s.reply[0], 'r');
    smtpd_refusals_done(&r);
}

enum { CROWD = 3000, EACH = 30 };

static int count_by_client(void *context, const struct event *event)
{
    unsigned *counts = context;
    counts[event->ip[14] << 8 | event->ip[15]] += event->count;
    return 0;
}

/* More clients than places: each one's refusals are told as his own. */
static void nobody_answers_for_others(void **state)
{
    static unsigned counts[1 << 16];
    struct smtpd_refusals r;

    assert_int_equal(smtpd_refusals_init(&r, 1, count_by_client, counts), 0);
    for (int round = 0; round < 3; round++)
        for (unsigned client = 0; client < CROWD; client++)
            for (int i = 0; i < EACH; i++) {
                struct event event = refusal((uint8_t)client, 1000000);
                event.ip[14] = (uint8_t)(client >> 8);
                smtpd_refusals_add(&r, &event, 1000 + round);
            }
    smtpd_refusals_flush(&r, 2000, true);
    for (unsigned client = 0; client < CROWD; client++)
        assert_int_equal(counts[client], 3 * EACH);
    smtpd_refusals_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(few_go_alone),
                                       cmocka_unit_test(a_flood_is_counted),
                                       cmocka_unit_test(nothing_is_lost_among_many_clients),
                                       cmocka_unit_test(what_cannot_be_sent_is_counted),
                                       cmocka_unit_test(local_users_are_told_apart),
                                       cmocka_unit_test(what_a_counted_event_says),
                                       cmocka_unit_test(nobody_answers_for_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
