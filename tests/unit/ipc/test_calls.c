/* Slots of calls: a token is good for one reply of one type, and the peer can't owe more than the
 * window, whatever is cancelled. */
#include "../unit.h"

#include "ipc/calls.h"
#include <errno.h>
#include <stdlib.h>

static void a_token_is_good_once(void **state)
{
    struct ipc_calls calls = {0};
    struct ipc_call first = {0}, second = {0}, *taken = NULL;
    uint64_t a, b;

    assert_int_equal(ipc_calls_add(&calls, &first, IPC_EXPANDED, &a), 0);
    assert_int_equal(ipc_calls_add(&calls, &second, IPC_COMMITTED, &b), 0);
    assert_true(a != b);
    assert_int_equal(ipc_calls_take(&calls, b, IPC_COMMITTED, &taken), 0);
    assert_ptr_equal(taken, &second);
    assert_int_equal(ipc_calls_take(&calls, b, IPC_COMMITTED, &taken), -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, a, IPC_EXPANDED, &taken), 0);
    assert_ptr_equal(taken, &first);
    assert_int_equal(calls.pending, 0);
    ipc_calls_done(&calls);
}

/* A peer that answers with another type, invents tokens, or repeats one whose slot has another call
 * by now. */
static void forged_replies_reach_nobody(void **state)
{
    struct ipc_calls calls = {0};
    struct ipc_call call = {0}, later = {0}, *taken = NULL;
    uint64_t old, token;

    assert_int_equal(ipc_calls_take(&calls, 0, IPC_EXPANDED, &taken), -EPROTO);
    assert_int_equal(ipc_calls_add(&calls, &call, IPC_EXPANDED, &old), 0);
    assert_int_equal(ipc_calls_take(&calls, old, IPC_COMMITTED, &taken), -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, old, IPC_NONE, &taken), -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, old + 1, IPC_EXPANDED, &taken), -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, old | UINT32_MAX, IPC_EXPANDED, &taken), -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, old ^ UINT64_C(1) << 32, IPC_EXPANDED, &taken),
                     -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, old, IPC_EXPANDED, &taken), 0);
    assert_int_equal(ipc_calls_add(&calls, &later, IPC_EXPANDED, &token), 0);
    assert_int_equal((uint32_t)token, (uint32_t)old); /* the same slot */
    assert_int_equal(ipc_calls_take(&calls, old, IPC_EXPANDED, &taken), -EPROTO);
    assert_int_equal(ipc_calls_take(&calls, token, IPC_EXPANDED, &taken), 0);
    assert_ptr_equal(taken, &later);
    ipc_calls_done(&calls);
}

/* Else a peer that never answers could be asked for ever, by calling and cancelling. */
static void cancelled_calls_count_until_their_replies_come(void **state)
{
    struct ipc_calls calls = {0};
    struct ipc_call *some = calloc(IPC_CALL_WINDOW, sizeof(*some)), one = {0}, *taken = &one;
    uint64_t *tokens = calloc(IPC_CALL_WINDOW, sizeof(*tokens)), token;

    for (size_t i = 0; i < IPC_CALL_WINDOW; i++) {
        assert_int_equal(ipc_calls_add(&calls, &some[i], IPC_EXPANDED, &tokens[i]), 0);
        ipc_calls_cancel(&calls, &some[i]);
    }
    assert_int_equal(ipc_calls_add(&calls, &one, IPC_EXPANDED, &token), -EAGAIN);
    assert_null(ipc_calls_take_any(&calls)); /* nobody is to be told */
    assert_int_equal(ipc_calls_take(&calls, tokens[4711], IPC_EXPANDED, &taken), 0);
    assert_null(taken);
    assert_int_equal(ipc_calls_add(&calls, &one, IPC_EXPANDED, &token), 0);
    assert_int_equal(ipc_calls_add(&calls, &some[0], IPC_EXPANDED, &token), -EAGAIN);
    ipc_calls_done(&calls);
    free(some);
    free(tokens);
}

static void cancelling_what_is_none_harms_nobody(void **state)
{
    struct ipc_calls calls = {0};
    struct ipc_call call = {0}, stranger = {0}, *taken = NULL;
    uint64_t token;

    ipc_calls_cancel(&calls, &stranger);
    assert_int_equal(ipc_calls_add(&calls, &call, IPC_EXPANDED, &token), 0);
    stranger.slot = call.slot; /* as one has that was answered long ago */
    ipc_calls_cancel(&calls, &stranger);
    assert_int_equal(ipc_calls_take(&calls, token, IPC_EXPANDED, &taken), 0);
    assert_ptr_equal(taken, &call);
    ipc_calls_done(&calls);
}

static void at_the_end_each_is_told_once(void **state)
{
    enum { CALLS = 100 };
    struct ipc_calls calls = {0};
    struct ipc_call some[CALLS] = {0}, *call;
    unsigned told = 0;
    uint64_t token;

    for (size_t i = 0; i < CALLS; i++)
        assert_int_equal(ipc_calls_add(&calls, &some[i], IPC_EXPANDED, &token), 0);
    for (size_t i = 0; i < CALLS; i += 10)
        ipc_calls_cancel(&calls, &some[i]);
    while ((call = ipc_calls_take_any(&calls))) {
        assert_in_range(call, &some[0], &some[CALLS - 1]);
        assert_true((call - some) % 10 != 0);
        told++;
    }
    assert_int_equal(told, 90);
    ipc_calls_done(&calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_good_once),
        cmocka_unit_test(forged_replies_reach_nobody),
        cmocka_unit_test(cancelled_calls_count_until_their_replies_come),
        cmocka_unit_test(cancelling_what_is_none_harms_nobody),
        cmocka_unit_test(at_the_end_each_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
