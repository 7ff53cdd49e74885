#include "spool_world.h"

#include <errno.h>

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

static uint64_t unsealed(struct world *w)
{
    struct spool_counts counts;

    spool_get_counts(w->spool, &counts);
    return counts.unsealed;
}

static void accepted_only_when_sealed(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_accept(w, 1, 3, 2000), 0);
    assert_null(world_find(w, 1));
    assert_int_equal(unsealed(w), 3);
    struct spool_group *group = spool_take_group(w->spool, 1);
    assert_non_null(group);
    assert_null(spool_take_group(w->spool, 1));
    spool_write_group(group);
    assert_int_equal(w->done, 0);
    spool_finish_group(w->spool, group, 2);
    assert_int_equal(w->done, 1);
    assert_int_equal(unsealed(w), 0);
    struct spool_message *message = world_find(w, 1);
    assert_non_null(message);
    assert_int_equal(message->waiting, 3);
    assert_span(spool_domain(w->spool, message->recipients[1].domain), "d1.example");
    assert_int_equal(world_check(w, 1, 3, 2000), 0);
    assert_int_equal(world_accept(w, 1, 1, 10), -EEXIST);
}

static void survives(struct world *w, enum store_sim_restart how)
{
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(world_accept(w, i, 1 + i % 3, 100 * i), 0);
        if (i % 4 == 0)
            assert_int_equal(world_commit(w), 0);
    }
    assert_int_equal(world_status(w, 5, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 5, 0, SPOOL_OUTCOME_DELIVERED), -EALREADY);
    assert_int_equal(world_status(w, 5, 1, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_status(w, 5, 2, SPOOL_OUTCOME_HELD), 0);
    assert_int_equal(world_status(w, 6, 0, SPOOL_OUTCOME_REMOVED), 0);
    assert_int_equal(world_commit(w), 0);
    assert_null(world_find(w, 6));
    world_crash(w, how);
    for (unsigned i = 1; i <= 20; i++) {
        if (i != 6)
            assert_int_equal(world_check(w, i, 1 + i % 3, 100 * i), 0);
    }
    assert_null(world_find(w, 6));
    struct spool_message *message = world_find(w, 5);
    assert_int_equal(message->waiting, 2);
    assert_null(spool_find_recipient(message, 0));
    assert_int_equal(spool_find_recipient(message, 1)->attempts, 3);
    assert_int_equal(spool_find_recipient(message, 1)->next_attempt_us, 777);
    assert_int_equal(spool_find_recipient(message, 2)->state, SPOOL_RECIPIENT_HELD);
}

static void survives_a_kill(void **state)
{
    survives(*state, STORE_SIM_KILLED);
}

static void survives_a_power_cut(void **state)
{
    survives(*state, STORE_SIM_POWER_CUT);
    world_crash(*state, STORE_SIM_POWER_CUT);
    assert_int_equal(world_check(*state, 5, 3, 500), 0);
}

static void rolls_over_segments(void **state)
{
    struct world *w = *state;
    struct spool_counts counts;

    for (unsigned i = 1; i <= 100; i++) {
        assert_int_equal(world_accept(w, i, 1, 5000), 0);
        if (i % 3 == 0)
            world_run(w);
    }
    world_run(w);
    spool_get_counts(w->spool, &counts);
    assert_true(counts.log_segments >= 5);
    assert_int_equal(w->done, 100);
    world_crash(w, STORE_SIM_POWER_CUT);
    for (unsigned i = 1; i <= 100; i++)
        assert_int_equal(world_check(w, i, 1, 5000), 0);
}

/* More is pending than a segment takes, in records that all fit: blocks have more memory. */
static void small_segments_take_what_is_pending(void **state)
{
    struct world *w = *state;
    struct spool_counts counts;

    world_close(w);
    w->options.segment_bytes = 16ull * w->options.block_bytes;
    w->options.group_bytes = 1 << 20;
    world_open(w);
    for (unsigned i = 1; i <= 60; i++)
        assert_int_equal(world_accept(w, i, 1, 1000), 0);
    assert_int_equal(world_accept(w, 61, 1, 8 * 1024), -EMSGSIZE);
    world_run(w);
    spool_get_counts(w->spool, &counts);
    assert_int_equal(w->done, 60);
    assert_int_equal(w->failed, 0);
    assert_true(counts.log_segments >= 10);
    world_crash(w, STORE_SIM_POWER_CUT);
    for (unsigned i = 1; i <= 60; i++)
        assert_int_equal(world_check(w, i, 1, 1000), 0);
}

static void keeps_expansions(void **state)
{
    struct world *w = *state;
    struct envelope_recipient own[] = {{.address = SPAN("list@a.example")},
                                       {.address = SPAN("bob@a.example")}};
    struct envelope_recipient children[] = {{.address = SPAN("x@b.example")},
                                            {.address = SPAN("y@c.example")}};
    struct spool_expansion expansion = {0, children, 2};
    struct envelope e = {.id = world_id(1), .recipients = own, .recipient_count = 2};
    struct spool_accept a = {
        .envelope = &e, .body = SPAN("hello"), .expansions = &expansion, .expansion_count = 1};
    const struct spool_stored *stored;
    struct spool_reader *reader;

    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
    for (int round = 0; round < 2; round++) {
        struct spool_message *message = world_find(w, 1);
        assert_non_null(message);
        assert_int_equal(message->waiting, 3);
        assert_null(spool_find_recipient(message, 0));
        struct spool_recipient *child = spool_find_recipient(message, 3);
        assert_non_null(child);
        assert_ptr_equal(spool_recipient_message(child), message);
        assert_span(spool_domain(w->spool, child->domain), "c.example");
        assert_int_equal(spool_reader_open(w->spool, message, &reader), 0);
        assert_int_equal(spool_reader_load(reader, &stored), 0);
        assert_span(spool_stored_recipient(stored, 2)->address, "x@b.example");
        assert_span(spool_stored_recipient(stored, 3)->address, "y@c.example");
        assert_null(spool_stored_recipient(stored, 4));
        spool_reader_close(w->spool, reader);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
    expansion.parent = 2;
    e.id = world_id(2);
    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), -EINVAL);
}

static void assert_goes_to(struct world *w, unsigned number, uint32_t recipient, const char *where)
{
    struct spool_message *message = world_find(w, number);

    assert_non_null(message);
    assert_span(spool_domain(w->spool, spool_find_recipient(message, recipient)->domain), where);
}

static void reroute(struct world *w, const char *where)
{
    struct spool_status status = {
        .recipient = 1, .outcome = SPOOL_OUTCOME_REROUTED, .host = span_from_cstr(where)};
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &status, 1, NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
}

static void goes_where_it_was_rerouted(void **state)
{
    struct world *w = *state;
    struct spool_status nowhere = {.recipient = 1, .outcome = SPOOL_OUTCOME_REROUTED};

    assert_int_equal(world_accept(w, 1, 2, 100), 0);
    assert_int_equal(world_commit(w), 0);
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &nowhere, 1, NULL, NULL), -EINVAL);
    reroute(w, "host:gate.example:25");
    for (int i = 0; i < 2; i++) {
        assert_goes_to(w, 1, 0, "d0.example");
        assert_goes_to(w, 1, 1, "host:gate.example:25");
        world_crash(w, STORE_SIM_POWER_CUT);
    }
    /* Others' names come and go meanwhile. */
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    world_run(w);
    world_close(w);
    world_open(w);
    assert_goes_to(w, 1, 1, "host:gate.example:25");
    reroute(w, "d1.example");
    world_crash(w, STORE_SIM_KILLED);
    assert_goes_to(w, 1, 1, "d1.example");
    assert_int_equal(w->spool->index.domains.used, 2);
}

/* What isn't sealed changes nothing, and keeps no name. */
static void failed_rerouting_changes_nothing(void **state)
{
    struct world *w = *state;
    struct spool_status status = {
        .recipient = 1, .outcome = SPOOL_OUTCOME_REROUTED, .host = SPAN("host:gate.example:25")};

    assert_int_equal(world_accept(w, 1, 2, 100), 0);
    assert_int_equal(world_commit(w), 0);
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &status, 1, NULL, NULL), 0);
    assert_goes_to(w, 1, 1, "d1.example");
    assert_int_equal(w->spool->index.domains.used, 3);
    world_close(w);
    world_open(w);
    assert_goes_to(w, 1, 1, "d1.example");
    assert_int_equal(w->spool->index.domains.used, 2);
}

/* Equal senders are known as such after a restart too. */
static void knows_equal_senders(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_accept(w, 1, 1, 100), 0);
    assert_int_equal(world_accept(w, 2, 2, 100), 0);
    assert_int_equal(world_commit(w), 0);
    uint32_t sender = world_find(w, 1)->sender;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_find(w, 2)->sender, sender);
        assert_int_not_equal(spool_sender_hash(w->spool, SPAN("another@far.example")), sender);
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_int_equal(world_find(w, 1)->sender, sender);
    }
}

static void takes_large_bodies(void **state)
{
    struct world *w = *state;

    assert_int_equal(world_accept_large(w, 1, 300000), 0);
    assert_int_equal(world_accept_large(w, 2, 16384), 0);
    assert_int_equal(world_accept_large(w, 3, 0), 0);
    world_run(w);
    assert_int_equal(w->done, 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 2, 300000), 0);
        assert_int_equal(world_check(w, 2, 2, 16384), 0);
        assert_int_equal(world_check(w, 3, 2, 0), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
    assert_int_equal(world_accept(w, 4, 1, 9000), -EMSGSIZE);
}

static void lists_in_order(void **state)
{
    struct world *w = *state;
    struct spool_listing *listing;
    struct spool_message *message;
    unsigned seen = 0;

    for (unsigned i = 700; i > 0; i--) { /* more than a byte has values */
        assert_int_equal(world_accept(w, i, 1, 10), 0);
        if (i % 50 == 1)
            world_run(w);
    }
    assert_int_equal(spool_listing_new(w->spool, &listing), 0);
    assert_int_equal(world_status(w, 7, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_commit(w), 0);
    while ((message = spool_listing_next(listing)) != NULL) {
        if (++seen == 7)
            seen++;
        struct id expected = world_id(seen);
        assert_true(id_equal(&message->id, &expected));
    }
    assert_int_equal(seen, 700);
    spool_listing_free(listing);
}

static void restart(struct world *w)
{
    world_close(w);
    world_open(w);
}

static void what_was_sealed_since_is_no_good_end(void **state)
{
    struct world *w = *state;

    assert_false(spool_ended_well(w->spool));
    assert_int_equal(world_accept(w, 1, 1, 10), 0);
    world_run(w);
    assert_int_equal(spool_end(w->spool), 0);
    restart(w);
    assert_true(spool_ended_well(w->spool));
    world_crash(w, STORE_SIM_KILLED);
    assert_false(spool_ended_well(w->spool));

    assert_int_equal(spool_end(w->spool), 0);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.name_error = 10000});
    restart(w); /* the mark stays */
    assert_false(spool_ended_well(w->spool));
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    world_run(w);
    world_crash(w, STORE_SIM_KILLED);
    assert_false(spool_ended_well(w->spool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepted_only_when_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_a_power_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(rolls_over_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(small_segments_take_what_is_pending, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_expansions, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_where_it_was_rerouted, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_rerouting_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_equal_senders, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_large_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sealed_since_is_no_good_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
