#include "../../unit.h"

#include "proc/book/pace.h"

/* A message, and its outcome a little later: one turn has both. */
static void what_comes_within_a_moment_shares_a_turn(void **state)
{
    struct pace p = {PACE_IDLE};

    assert_true(pace_sealed(&p, false) > 0);
    assert_int_equal(pace_sealed(&p, false), PACE_AS_BEFORE);
    assert_int_equal(pace_elapsed(&p, true), PACE_NOW);
    pace_begin(&p);
    assert_true(pace_ended(&p, PACE_DONE, false) > 0);
    assert_int_equal(pace_elapsed(&p, false), PACE_RETENTION_MS);
    assert_int_equal(p.state, PACE_IDLE);
}

static void a_busy_queue_has_pauses_between_turns(void **state)
{
    struct pace p = {PACE_IDLE};

    for (int i = 0; i < 3; i++) {
        pace_begin(&p);
        assert_int_equal(pace_sealed(&p, false), PACE_AS_BEFORE);
        assert_true(pace_ended(&p, PACE_DONE, true) > 0);
        assert_int_equal(pace_sealed(&p, false), PACE_AS_BEFORE);
        assert_int_equal(pace_elapsed(&p, true), PACE_NOW);
    }
    pace_begin(&p);
    assert_int_equal(pace_ended(&p, PACE_BEHIND, true), PACE_NOW);
}

/* Whatever goes on, but for trouble; and no longer than until he has it. */
static void who_waits_has_a_turn_at_once(void **state)
{
    struct pace p = {PACE_IDLE};

    assert_int_equal(pace_sealed(&p, true), PACE_NOW);
    pace_begin(&p);
    pace_ended(&p, PACE_DONE, false);
    assert_int_equal(pace_sealed(&p, true), PACE_NOW);
    pace_begin(&p);
    assert_int_equal(pace_sealed(&p, true), PACE_AS_BEFORE);
    assert_int_equal(pace_ended(&p, PACE_DONE, true), PACE_NOW);
    pace_begin(&p);
    assert_true(pace_ended(&p, PACE_DONE, true) > 0);

    pace_begin(&p);
    pace_sealed(&p, true);
    assert_true(pace_ended(&p, PACE_DONE, false) > 0); /* all that was awaited is folded */
    assert_int_equal(pace_sealed(&p, false), PACE_AS_BEFORE);
    assert_int_equal(pace_elapsed(&p, false), PACE_RETENTION_MS);
    assert_true(pace_sealed(&p, false) > 0);

    p = (struct pace){PACE_IDLE};
    pace_sealed(&p, false);
    assert_int_equal(pace_sealed(&p, true), PACE_NOW);
}

static void trouble_is_not_tried_again_at_once(void **state)
{
    struct pace p = {PACE_IDLE};

    pace_begin(&p);
    pace_sealed(&p, true);
    assert_true(pace_ended(&p, PACE_IN_TROUBLE, true) > 1000);
    assert_int_equal(pace_sealed(&p, true), PACE_AS_BEFORE);
    assert_int_equal(pace_elapsed(&p, true), PACE_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_within_a_moment_shares_a_turn),
        cmocka_unit_test(a_busy_queue_has_pauses_between_turns),
        cmocka_unit_test(who_waits_has_a_turn_at_once),
        cmocka_unit_test(trouble_is_not_tried_again_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
