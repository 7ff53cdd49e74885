/* Interned names: found whatever their case, counted, their indexes used again, against a plain
 * model. */
#include "../unit.h"

#include "spool/domains.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t use(struct domains *d, const char *name)
{
    uint32_t index = DOMAIN_NONE;

    assert_int_equal(domains_use(d, span_from_cstr(name), &index), 0);
    return index;
}

static void one_name_is_one_index_whatever_its_case(void **state)
{
    struct domains d = {0};
    uint32_t index = use(&d, "Mail.Example");

    assert_int_equal(use(&d, "mail.example"), index);
    assert_int_equal(use(&d, "MAIL.EXAMPLE"), index);
    assert_span(domains_name(&d, index), "mail.example");
    assert_int_not_equal(use(&d, "mail.exampl"), index);
    assert_int_not_equal(use(&d, "mail.examplee"), index);
    assert_int_equal(d.used, 3);
    domains_done(&d);
}

/* The hash takes names in pieces: those that differ in the last byte of a piece, or behind it. */
static void names_around_the_size_of_a_piece_differ(void **state)
{
    struct domains d = {0};
    char name[200];
    uint32_t indexes[100];

    memset(name, 'a', sizeof(name));
    for (size_t size = 30; size < 130; size++) {
        struct span it = span_of(name, size);
        assert_int_equal(domains_use(&d, it, &indexes[size - 30]), 0);
        for (size_t i = 0; i < size - 30; i++)
            assert_int_not_equal(indexes[i], indexes[size - 30]);
        name[size - 1] = 'B';
        uint32_t other;
        assert_int_equal(domains_use(&d, it, &other), 0);
        assert_int_not_equal(other, indexes[size - 30]);
        name[size - 1] = 'a';
    }
    assert_int_equal(d.used, 200);
    domains_done(&d);
}

static void the_empty_name_is_one_as_well(void **state)
{
    struct domains d = {0};
    uint32_t index = use(&d, "");

    assert_int_equal(use(&d, ""), index);
    domains_release(&d, index);
    assert_int_equal(d.used, 1);
    domains_release(&d, index);
    assert_int_equal(d.used, 0);
    domains_done(&d);
}

static void the_last_use_frees_name_and_index(void **state)
{
    struct domains d = {0};
    uint32_t index = use(&d, "a.example"), kept = use(&d, "b.example");

    domains_use_again(&d, index);
    domains_release(&d, index);
    assert_span(domains_name(&d, index), "a.example");
    domains_release(&d, index);
    assert_span(domains_name(&d, index), "");
    assert_int_equal(use(&d, "c.example"), index); /* used again */
    assert_span(domains_name(&d, kept), "b.example");
    assert_int_not_equal(use(&d, "a.example"), index);
    domains_done(&d);
}

static void who_was_never_there_has_no_name(void **state)
{
    struct domains d = {0};

    assert_span(domains_name(&d, 0), "");
    use(&d, "a.example");
    assert_span(domains_name(&d, 1), "");
    assert_span(domains_name(&d, DOMAIN_NONE), "");
    domains_done(&d);
}

/* Many names come and go in any order, over several sizes of the table. */
static void it_agrees_with_a_plain_list(void **state)
{
    enum { NAMES = 2000, STEPS = 40000 };
    struct domains d = {0};
    uint32_t uses[NAMES] = {0}, indexes[NAMES], distinct = 0;
    size_t most = 0;
    char name[32];

    srand(7);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % NAMES;
        bool adds = rand() % 100 < (step < STEPS / 2 ? 60 : 30);
        snprintf(name, sizeof(name), "%s%u.example", step % 2 ? "D" : "d", i);
        if (adds) {
            uint32_t index = use(&d, name);
            if (uses[i])
                assert_int_equal(index, indexes[i]);
            distinct += uses[i]++ == 0;
            indexes[i] = index;
        } else if (uses[i]) {
            domains_release(&d, indexes[i]);
            distinct -= --uses[i] == 0;
        }
        assert_int_equal(d.used, distinct);
        most = distinct > most ? distinct : most;
    }
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "d%u.example", i);
        if (uses[i])
            assert_span(domains_name(&d, indexes[i]), name);
        for (; uses[i]; uses[i]--)
            domains_release(&d, indexes[i]);
    }
    assert_int_equal(d.used, 0);
    assert_int_equal(d.name_bytes, 0);
    assert_true(d.row_count <= most + 1); /* rows of names that went were used again */
    assert_true(domains_memory(&d) >= d.row_count * sizeof(struct domain));
    domains_done(&d);
    assert_int_equal(domains_memory(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_is_one_index_whatever_its_case),
        cmocka_unit_test(names_around_the_size_of_a_piece_differ),
        cmocka_unit_test(the_empty_name_is_one_as_well),
        cmocka_unit_test(the_last_use_frees_name_and_index),
        cmocka_unit_test(who_was_never_there_has_no_name),
        cmocka_unit_test(it_agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
