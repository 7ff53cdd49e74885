#include "../unit.h"

#include "spool/index.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct id make_id(unsigned number)
{
    struct id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static struct spool_message *add(struct index *index, unsigned number, unsigned recipients)
{
    static struct envelope_recipient rows[8] = {
        {.address = {"a@A.example", 11}}, {.address = {"b@b.example", 11}},
        {.address = {"c@a.EXAMPLE", 11}}, {.address = {"d", 1}},
        {.address = {"e@b.example", 11}}, {.address = {"f@c.example", 11}}};
    struct envelope e = {.id = make_id(number), .recipients = rows, .recipient_count = recipients};
    struct spool_message *message;

    assert_int_equal(index_new_message(index, &e, NULL, 0, 5, 100, &message), 0);
    assert_int_equal(index_add(index, message), 0);
    return message;
}

static void drop(struct index *index, struct spool_message *message)
{
    index_remove(index, message);
    index_free_message(index, message);
}

static void finds_what_it_has(void **state)
{
    struct index index = {0};

    (void)state;
    for (unsigned i = 0; i < 6000; i++)
        add(&index, i, 1 + i % 6);
    for (unsigned i = 0; i < 6000; i += 2) {
        struct id id = make_id(i);
        drop(&index, index_find(&index, &id));
    }
    for (unsigned i = 0; i < 6000; i++) {
        struct id id = make_id(i);
        assert_int_equal(index_find(&index, &id) != NULL, i % 2);
    }
    assert_int_equal(index.messages, 3000);
    assert_int_equal(index.waiting, 3000 * 4);
    for (unsigned i = 1; i < 6000; i += 2) {
        struct id id = make_id(i);
        drop(&index, index_find(&index, &id));
    }
    assert_int_equal(index.waiting + index.row_bytes + index.domains.used, 0);
    index_done(&index);
}

static void interns_domains(void **state)
{
    struct index index = {0};
    struct spool_message *m = add(&index, 1, 6);

    (void)state;
    assert_int_equal(m->recipients[0].domain, m->recipients[2].domain);
    assert_int_equal(m->recipients[1].domain, m->recipients[4].domain);
    assert_span(domains_name(&index.domains, m->recipients[2].domain), "a.example");
    assert_span(domains_name(&index.domains, m->recipients[3].domain), "");
    uint32_t gone = m->recipients[5].domain;
    drop(&index, m);
    assert_span(domains_name(&index.domains, gone), "");
    index_done(&index);
}

static const struct {
    uint8_t before, outcome, after;
} outcomes[] = {
    {SPOOL_RECIPIENT_WAITING, SPOOL_OUTCOME_DEFERRED, SPOOL_RECIPIENT_WAITING},
    {SPOOL_RECIPIENT_WAITING, SPOOL_OUTCOME_HELD, SPOOL_RECIPIENT_HELD},
    {SPOOL_RECIPIENT_HELD, SPOOL_OUTCOME_DEFERRED, SPOOL_RECIPIENT_HELD},
    {SPOOL_RECIPIENT_HELD, SPOOL_OUTCOME_UNCERTAIN, SPOOL_RECIPIENT_HELD},
    {SPOOL_RECIPIENT_HELD, SPOOL_OUTCOME_RELEASED, SPOOL_RECIPIENT_WAITING},
    {SPOOL_RECIPIENT_HELD, SPOOL_OUTCOME_RETRIED, SPOOL_RECIPIENT_WAITING},
    {SPOOL_RECIPIENT_WAITING, SPOOL_OUTCOME_EXPIRED, SPOOL_RECIPIENT_WAITING},
    {SPOOL_RECIPIENT_WAITING, SPOOL_OUTCOME_DELIVERED, SPOOL_RECIPIENT_CLOSED},
    {SPOOL_RECIPIENT_HELD, SPOOL_OUTCOME_REMOVED, SPOOL_RECIPIENT_CLOSED},
};

static void outcomes_change_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        struct index index = {0};
        struct spool_message *m = add(&index, 1, 2);
        struct index_change hold = {.recipient = 1, .outcome = SPOOL_OUTCOME_HELD};
        struct index_change change = {
            .recipient = 1, .outcome = outcomes[i].outcome, .attempts = 4, .next_attempt_us = 9};
        if (outcomes[i].before == SPOOL_RECIPIENT_HELD)
            index_apply(&index, m, &hold);
        for (int twice = 0; twice < 2; twice++)
            index_apply(&index, m, &change);
        assert_int_equal(m->recipients[1].state, outcomes[i].after);
        assert_int_equal(index.held, outcomes[i].after == SPOOL_RECIPIENT_HELD);
        assert_int_equal(index.waiting, 1 + (outcomes[i].after == SPOOL_RECIPIENT_WAITING));
        assert_int_equal(m->waiting, 1 + (outcomes[i].after != SPOOL_RECIPIENT_CLOSED));
        index_done(&index);
    }
}

/* Whenever a notice is booked: the plan for the recipient stays. */
static void a_notice_changes_no_plan(void **state)
{
    struct index index = {0};
    struct spool_message *m = add(&index, 1, 2);
    struct index_change deferred = {
        .recipient = 1, .outcome = SPOOL_OUTCOME_DEFERRED, .attempts = 4, .next_attempt_us = 9};
    struct index_change notified = {
        .recipient = 1, .outcome = SPOOL_OUTCOME_NOTIFIED, .attempts = 3, .next_attempt_us = 7};

    (void)state;
    index_apply(&index, m, &deferred);
    assert_false(m->recipients[1].is_notified);
    index_apply(&index, m, &notified);
    assert_true(m->recipients[1].is_notified);
    assert_false(m->recipients[0].is_notified);
    assert_int_equal(m->recipients[1].attempts, 4);
    assert_int_equal(m->recipients[1].next_attempt_us, 9);
    index_apply(&index, m, &deferred);
    assert_true(m->recipients[1].is_notified);
    index_done(&index);
}

static void counts_what_lives_where(void **state)
{
    struct index index = {0};
    struct segment *a = segment_new(STORE_LOG, 1, 1000), *b = segment_new(STORE_LOG, 2, 1000);
    struct spool_message *m = add(&index, 1, 1), *n = add(&index, 2, 1);

    (void)state;
    index_set_home(m, a, 100, 50);
    index_set_home(n, a, 300, 60);
    assert_int_equal(a->live_messages, 2);
    assert_int_equal(a->live_bytes, 2 * (RECORD_HEADER_BYTES + 100) + 110);
    index_set_home(m, b, 100, 50);
    assert_int_equal(a->live_messages, 1);
    assert_int_equal(b->live_messages, 1);
    drop(&index, m);
    drop(&index, n);
    assert_int_equal(a->live_bytes + b->live_bytes + a->live_messages + b->live_messages, 0);
    segment_free(a, NULL);
    segment_free(b, NULL);
    index_done(&index);
}

static void expands_once(void **state)
{
    struct index index = {0};
    struct envelope_recipient children[] = {{.address = SPAN("x@x.example")},
                                            {.address = SPAN("y@y.example")}};
    struct spool_expansion expansion = {1, children, 2};
    struct id id = make_id(1);

    (void)state;
    add(&index, 1, 3);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(index_expand(&index, index_find(&index, &id), &expansion, 3), 0);
        struct spool_message *m = index_find(&index, &id);
        assert_int_equal(m->waiting, 4);
        assert_int_equal(index.waiting, 4);
        assert_null(index_recipient(m, 1));
        assert_non_null(index_recipient(m, 4));
        assert_span(domains_name(&index.domains, index_recipient(m, 4)->domain), "y.example");
    }
    drop(&index, index_find(&index, &id));
    assert_int_equal(index.domains.used, 0);
    index_done(&index);
}

/* Under 150 bytes for a message with one waiting recipient, malloc's own included. */
static void is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct spool_message) + sizeof(struct spool_recipient) + 16 +
                    2 * sizeof(void *) <
                150);
}

static struct spool_extents *extents_in(struct segment *segment, uint64_t bytes)
{
    struct spool_extents *extents = calloc(1, sizeof(*extents) + sizeof(extents->uses[0]));

    assert_non_null(extents);
    index_count_use(extents, segment, bytes, 1);
    return extents;
}

/* Whether the bulk or the home was known first, and through the row's becoming another one. */
static void home_and_bulk_are_both_kept(void **state)
{
    struct envelope_recipient children[] = {{.address = {"x@d.example", 11}},
                                            {.address = {"y@d.example", 11}}};
    struct spool_expansion expansion = {.parent = 0, .children = children, .child_count = 2};
    struct segment home = {0}, other = {0}, bulk = {0};
    struct index index = {0};
    struct spool_message *m = add(&index, 1, 1), *next = add(&index, 2, 1);

    index_set_home(m, &home, 8, 50);
    assert_ptr_equal(index_home(m), &home);
    assert_null(index_bulk(m));
    index_set_extents(m, extents_in(&bulk, 700));
    assert_ptr_equal(index_home(m), &home);
    assert_int_equal(home.live_messages, 1);
    assert_int_equal(bulk.live_bytes, 700);
    index_set_extents(next, extents_in(&bulk, 5));
    assert_null(index_home(next));
    index_set_home(next, &home, 16, 50);
    assert_int_equal(home.live_messages, 2);

    struct id id = make_id(1);
    assert_int_equal(index_expand(&index, m, &expansion, 1), 0);
    m = index_find(&index, &id);
    assert_int_equal(m->recipient_count, 3);
    assert_ptr_equal(index_home(m), &home);
    assert_int_equal(index_bulk(m)->uses[0].bytes, 700);
    index_set_home(m, &other, 0, 50);
    assert_int_equal(home.live_messages + other.live_messages, 2);
    index_set_extents(m, NULL);
    assert_ptr_equal(index_home(m), &other);
    assert_int_equal(bulk.live_bytes, 5);
    drop(&index, m);
    index_done(&index);
    assert_int_equal(home.live_messages + other.live_messages + bulk.live_messages, 0);
    assert_int_equal(home.live_bytes + other.live_bytes + bulk.live_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_it_has),           cmocka_unit_test(interns_domains),
        cmocka_unit_test(outcomes_change_states),      cmocka_unit_test(a_notice_changes_no_plan),
        cmocka_unit_test(counts_what_lives_where),     cmocka_unit_test(expands_once),
        cmocka_unit_test(home_and_bulk_are_both_kept), cmocka_unit_test(is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
