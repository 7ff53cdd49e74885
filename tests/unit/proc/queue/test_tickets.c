/* What a commit must bring: one good ticket for each recipient, of this key of the directory or of
 * the one before. */
#include "../../failing_memory.h"
#include "../../unit.h"

#include "proc/queue/core/tickets.h"
#include <errno.h>

enum { RECIPIENTS = 3 };

static const uint8_t keys[3][TICKET_KEY_BYTES] = {"first", "second", "third"};

struct world {
    struct tickets tickets;
    struct ticket_office office;
    struct envelope_recipient recipients[RECIPIENTS];
    struct envelope envelope;
    uint8_t wire[RECIPIENTS + 1][TICKET_BYTES];
};

static void use_key(struct world *w, size_t key)
{
    ticket_office_done(&w->office);
    assert_int_equal(ticket_office_open(&w->office, keys[key]), 0);
    assert_int_equal(tickets_use_key(&w->tickets, keys[key]), 0);
}

static void set_up(struct world *w)
{
    *w = (struct world){.envelope = {.sender = SPAN("anna@a.test"),
                                     .recipients = w->recipients,
                                     .recipient_count = RECIPIENTS,
                                     .client.uid = UINT32_MAX}};
    w->recipients[0].address = SPAN("bob@b.test");
    w->recipients[1].address = SPAN("eve@b.test");
    w->recipients[2].address = SPAN("all@b.test");
    w->recipients[2].flags = ENVELOPE_RECIPIENT_EXPANDS;
    assert_int_equal(ticket_prepare(), 0);
}

static void tear_down(struct world *w)
{
    tickets_done(&w->tickets);
    ticket_office_done(&w->office);
}

static void issue(struct world *w, size_t recipient)
{
    const struct envelope_recipient *r = &w->recipients[recipient];
    struct ticket_facts facts = {.ip = w->envelope.client.ip,
                                 .uid = w->envelope.client.uid,
                                 .sender = w->envelope.sender,
                                 .address = r->address,
                                 .expands = r->flags & ENVELOPE_RECIPIENT_EXPANDS};

    ticket_issue(&w->office, &facts, w->wire[recipient]);
}

static void issue_all(struct world *w)
{
    for (size_t i = 0; i < RECIPIENTS; i++)
        issue(w, i);
}

static bool take(struct world *w)
{
    return tickets_take(&w->tickets, &w->envelope,
                        span_of((const char *)w->wire, w->envelope.recipient_count * TICKET_BYTES));
}

static void good_ones_are_taken_once(void **state)
{
    struct world w;

    set_up(&w);
    use_key(&w, 0);
    issue_all(&w);
    assert_true(take(&w));
    assert_false(take(&w)); /* the same message a second time */
    assert_int_equal(w.tickets.refused, 1);
    issue_all(&w);
    assert_true(take(&w));
    tear_down(&w);
}

static void before_the_first_key_none_is_good(void **state)
{
    struct world w;

    set_up(&w);
    assert_int_equal(ticket_office_open(&w.office, keys[0]), 0);
    issue_all(&w);
    assert_false(take(&w));
    tear_down(&w);
}

/* The directory sends it once: it must not be lost, or all mail would be deferred until a restart.
 */
static void a_key_that_found_no_memory_is_used_later(void **state)
{
    struct world w;

    set_up(&w);
    use_key(&w, 0);
    issue_all(&w);
    assert_int_equal(ticket_office_open(&w.office, keys[1]), 0);
    failing_memory.countdown = 0;
    failing_memory.fails_on = true;
    failing_memory_arm();
    assert_int_equal(tickets_use_key(&w.tickets, keys[1]), -ENOMEM);
    assert_true(take(&w)); /* by the key that is there */
    issue_all(&w);
    assert_false(take(&w));
    failing_memory_rest();
    assert_true(take(&w));
    assert_false(take(&w));
    tear_down(&w);
}

/* What was asked of a directory that has ended since was allowed too; of the one before that, no
 * more. */
static void the_key_before_is_good_and_no_older_one(void **state)
{
    struct world w;

    set_up(&w);
    use_key(&w, 0);
    issue_all(&w);
    use_key(&w, 1);
    issue(&w, 1); /* two of the old key, one of the new one */
    assert_true(take(&w));
    issue_all(&w);
    use_key(&w, 2);
    use_key(&w, 0);
    assert_false(take(&w));
    tear_down(&w);
}

static void each_recipient_needs_its_own(void **state)
{
    struct world w;

    set_up(&w);
    use_key(&w, 0);
    issue_all(&w);
    memcpy(w.wire[1], w.wire[0], TICKET_BYTES);
    assert_false(take(&w));
    issue_all(&w);
    memset(w.wire[2], 0, TICKET_BYTES);
    assert_false(take(&w));
    tear_down(&w);
}

/* One too many or too few, or part of one: none is looked at. */
static void their_number_is_that_of_the_recipients(void **state)
{
    struct world w;

    set_up(&w);
    use_key(&w, 0);
    issue_all(&w);
    for (size_t size = 0; size <= sizeof(w.wire); size++)
        if (size != RECIPIENTS * TICKET_BYTES)
            assert_false(
                tickets_take(&w.tickets, &w.envelope, span_of((const char *)w.wire, size)));
    assert_true(take(&w));
    tear_down(&w);
}

static void what_the_envelope_says_must_be_what_was_allowed(void **state)
{
    struct world w;

    set_up(&w);
    use_key(&w, 0);
    issue_all(&w);
    w.envelope.sender = SPAN("");
    assert_false(take(&w));
    issue_all(&w);
    w.envelope.client.uid = 0;
    assert_false(take(&w));
    issue_all(&w);
    w.envelope.client.ip[15] = 1;
    assert_false(take(&w));
    issue_all(&w);
    w.recipients[0].flags = ENVELOPE_RECIPIENT_EXPANDS;
    assert_false(take(&w));
    issue_all(&w);
    assert_true(take(&w));
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_are_taken_once),
        cmocka_unit_test(before_the_first_key_none_is_good),
        cmocka_unit_test(a_key_that_found_no_memory_is_used_later),
        cmocka_unit_test(the_key_before_is_good_and_no_older_one),
        cmocka_unit_test(each_recipient_needs_its_own),
        cmocka_unit_test(their_number_is_that_of_the_recipients),
        cmocka_unit_test(what_the_envelope_says_must_be_what_was_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
