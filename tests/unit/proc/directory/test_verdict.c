#include "../../people/people_test.h"

#include "proc/directory/verdict.h"
#include <errno.h>

#define NONE VERDICT_RELAY_NONE
#define DOMAIN VERDICT_RELAY_DOMAIN
#define ALL VERDICT_RELAY_ALL

static const char users[] = "anna@a.test:*:\nbob@a.test:*:\n";
static const char aliases[] = "info@a.test: anna, bob\nlost@a.test: nobody\nfar@a.test: x@y.test\n";

static void recipients(void **state)
{
    static const struct {
        const char *local, *domain;
        enum verdict_relay relay;
        enum ipc_rcpt_action action;
        bool expands;
        const char *address, *text;
    } cases[] = {
        {"anna", "a.test", NONE, IPC_RCPT_ACCEPT, false, "anna@a.test", ""},
        {"anna+x", "a.test", NONE, IPC_RCPT_ACCEPT, false, "anna@a.test", ""},
        {"info", "a.test", NONE, IPC_RCPT_ACCEPT, true, "info@a.test", ""},
        {"carl", "a.test", NONE, IPC_RCPT_UNKNOWN, false, "", ""},
        {"carl", "a.test", ALL, IPC_RCPT_UNKNOWN, false, "", ""},
        {"lost", "a.test", NONE, IPC_RCPT_DEFER, false, "lost@a.test", "leads to nobody"},
        {"far", "a.test", NONE, IPC_RCPT_ACCEPT, true, "far@a.test", ""},
        {"x", "y.test", NONE, IPC_RCPT_DENIED, false, "", ""},
        {"x", "y.test", DOMAIN, IPC_RCPT_RELAY, false, "", ""},
        {"x", "y.test", ALL, IPC_RCPT_RELAY, false, "", ""},
        {"x", "[192.0.2.1]", ALL, IPC_RCPT_REJECT, false, "", "in brackets"},
        {"", "", ALL, IPC_RCPT_UNKNOWN, false, "", ""},
        /* A relay domain is no way for strangers to get elsewhere. */
        {"eve%z.test", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"z.test!eve", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"eve@z.test", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"%z.test", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"!eve", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"@z.test", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"eve@", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"@a,@b:eve", "y.test", DOMAIN, IPC_RCPT_REJECT, false, "", "names a way"},
        {"eve+x", "y.test", DOMAIN, IPC_RCPT_RELAY, false, "", ""},
        {"", "y.test", DOMAIN, IPC_RCPT_RELAY, false, "", ""},
        {"x", "[IPv6:2001:db8::1]", DOMAIN, IPC_RCPT_REJECT, false, "", "in brackets"},
        {"eve%z.test", "y.test", ALL, IPC_RCPT_RELAY, false, "", ""},
        /* Spellings by which open relays were found: one local part, a foreign domain. */
        {"anna%a.test", "y.test", NONE, IPC_RCPT_DENIED, false, "", ""},
        {"a.test!anna", "y.test", NONE, IPC_RCPT_DENIED, false, "", ""},
        {"x@y.test", "a.test", NONE, IPC_RCPT_UNKNOWN, false, "", ""},
        {"x%y.test", "a.test", NONE, IPC_RCPT_UNKNOWN, false, "", ""},
        {"y.test!x", "a.test", NONE, IPC_RCPT_UNKNOWN, false, "", ""},
        {"postmaster", "", NONE, IPC_RCPT_ACCEPT, true, "postmaster@a.test", ""},
        {"anna", "", NONE, IPC_RCPT_UNKNOWN, false, "", ""},
        {"anna", "[127.0.0.1]", NONE, IPC_RCPT_DENIED, false, "", ""},
    };
    struct fixture f;

    fixture_init(&f, "anna@a.test", users, aliases);
    assert_int_equal(f.result, 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct ipc_rcpt_verdict verdict;
        verdict_on_recipient(f.people, span_from_cstr(cases[i].local),
                             span_from_cstr(cases[i].domain), cases[i].relay, &arena, &verdict);
        assert_int_equal(verdict.action, cases[i].action);
        assert_int_equal(verdict.expands, cases[i].expands);
        assert_int_equal(verdict.members > 0, cases[i].expands);
        assert_span(verdict.address, cases[i].address);
        if (*cases[i].text)
            assert_non_null(
                memmem(verdict.text.data, verdict.text.size, cases[i].text, strlen(cases[i].text)));
        else
            assert_int_equal(verdict.text.size, 0);
        arena_done(&arena);
    }
    fixture_done(&f);
}

static void without_a_table_all_is_deferred(void **state)
{
    struct arena arena = ARENA_INIT;
    struct ipc_rcpt_verdict verdict;
    struct ipc_expanded expanded;

    verdict_on_recipient(NULL, SPAN("anna"), SPAN("a.test"), ALL, &arena, &verdict);
    assert_int_equal(verdict.action, IPC_RCPT_DEFER);
    verdict_expand(NULL, SPAN("anna@a.test"), &arena, &expanded);
    assert_int_equal(expanded.error, -EAGAIN);
    arena_done(&arena);
}

static void an_alias_may_lead_elsewhere(void **state)
{
    struct arena arena = ARENA_INIT;
    struct ipc_expanded expanded;
    struct fixture f;

    fixture_init(&f, "anna@a.test", users, aliases);
    verdict_expand(f.people, SPAN("far@a.test"), &arena, &expanded);
    assert_int_equal(expanded.error, 0);
    assert_int_equal(expanded.address_count, 1);
    assert_span(expanded.addresses[0].address, "x@y.test");
    assert_false(expanded.is_user);
    verdict_expand(f.people, SPAN("Anna+x@a.test"), &arena, &expanded);
    assert_int_equal(expanded.error, 0);
    assert_span(expanded.addresses[0].address, "anna@a.test");
    assert_true(expanded.is_user);
    arena_done(&arena);
    fixture_done(&f);
}

/* What isn't in an empty users file may have been. */
static void with_an_empty_users_file_nobody_is_unknown(void **state)
{
    static const struct {
        const char *local;
        enum ipc_rcpt_action action;
        int expanded;
    } cases[] = {
        {"far", IPC_RCPT_ACCEPT, 0},
        {"anna", IPC_RCPT_DEFER, -EAGAIN},
        {"info", IPC_RCPT_DEFER, -EAGAIN},
    };
    struct fixture f;

    fixture_init(&f, "", "", aliases);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct ipc_rcpt_verdict verdict;
        struct ipc_expanded expanded;
        char address[64];
        snprintf(address, sizeof(address), "%s@a.test", cases[i].local);
        verdict_on_recipient(f.people, span_from_cstr(cases[i].local), SPAN("a.test"), NONE, &arena,
                             &verdict);
        assert_int_equal(verdict.action, cases[i].action);
        assert_int_equal(verdict.text.size > 0, verdict.action == IPC_RCPT_DEFER);
        verdict_expand(f.people, span_from_cstr(address), &arena, &expanded);
        assert_int_equal(expanded.error, cases[i].expanded);
        arena_done(&arena);
    }
    fixture_done(&f);
}

/* In the order of the file, each of them. */
static void an_alias_becomes_all_of_its_targets(void **state)
{
    static const char *const expected[] = {"bob@a.test", "x@y.test", "anna@a.test"};
    struct arena arena = ARENA_INIT;
    struct ipc_expanded expanded;
    struct fixture f;

    fixture_init(&f, "anna@a.test", users, "all@a.test: bob, x@y.test, anna, bob\n");
    verdict_expand(f.people, SPAN("all@a.test"), &arena, &expanded);
    assert_int_equal(expanded.error, 0);
    assert_int_equal(expanded.address_count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_span(expanded.addresses[i].address, expected[i]);
    arena_done(&arena);
    fixture_done(&f);
}

/* Want of memory is no want of a user. */
static void without_memory_nobody_is_unknown(void **state)
{
    struct fixture f;

    fixture_init(&f, "anna@a.test", users, aliases);
    for (size_t limit = 1; limit < 60000; limit = 2 * limit + 7) {
        struct arena arena = ARENA_LIMITED(limit);
        struct ipc_rcpt_verdict verdict;
        struct ipc_expanded expanded;
        verdict_on_recipient(f.people, SPAN("info"), SPAN("a.test"), NONE, &arena, &verdict);
        assert_true(verdict.action == IPC_RCPT_DEFER || verdict.action == IPC_RCPT_ACCEPT);
        assert_int_equal(verdict.expands, verdict.action == IPC_RCPT_ACCEPT);
        assert_int_equal(verdict.text.size > 0, verdict.action == IPC_RCPT_DEFER);
        arena_clear(&arena);
        verdict_expand(f.people, SPAN("anna@a.test"), &arena, &expanded);
        assert_true(expanded.error == -ENOMEM || (limit > 1 && expanded.error == 0));
        arena_done(&arena);
    }
    fixture_done(&f);
}

static void expansions(void **state)
{
    static const struct {
        const char *address;
        int error;
        size_t count;
    } cases[] = {
        {"info@a.test", 0, 2},    {"anna@a.test", 0, 1},
        {"anna+x@a.test", 0, 1},  {"nobody@a.test", -ENOENT, 0},
        {"x@y.test", -ENOENT, 0}, {"lost@a.test", -ENOLINK, 0},
        {"", -ENOENT, 0},
    };
    struct fixture f;

    fixture_init(&f, "anna@a.test", users, aliases);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct ipc_expanded expanded;
        verdict_expand(f.people, span_from_cstr(cases[i].address), &arena, &expanded);
        assert_int_equal(expanded.error, cases[i].error);
        assert_int_equal(expanded.address_count, cases[i].count);
        if (cases[i].count)
            assert_span(expanded.addresses[0].address, "anna@a.test");
        arena_done(&arena);
    }
    fixture_done(&f);
}

static void clients(void **state)
{
    struct ipc_client_verdict verdict;

    verdict_on_client(LIMITS_FINE, &verdict);
    assert_int_equal(verdict.action, IPC_CLIENT_ACCEPT);
    assert_int_equal(verdict.text.size, 0);
    for (int i = LIMITS_TOO_MANY; i <= LIMITS_TOO_BAD; i++) {
        verdict_on_client(i, &verdict);
        assert_int_equal(verdict.action, IPC_CLIENT_DEFER);
        assert_true(verdict.text.size > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recipients),
                                       cmocka_unit_test(without_a_table_all_is_deferred),
                                       cmocka_unit_test(with_an_empty_users_file_nobody_is_unknown),
                                       cmocka_unit_test(expansions),
                                       cmocka_unit_test(an_alias_may_lead_elsewhere),
                                       cmocka_unit_test(clients),
                                       cmocka_unit_test(an_alias_becomes_all_of_its_targets),
                                       cmocka_unit_test(without_memory_nobody_is_unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
