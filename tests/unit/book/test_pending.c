#include "../unit.h"

#include "book/pending.h"

static struct id id_of(unsigned number)
{
    struct id id = {{1, 2, 3}};
    memcpy(id.bytes + 6, &number, 4);
    return id;
}

static char addresses[100][4];

static struct pending_entry entry_of(unsigned number)
{
    return (struct pending_entry){.message = id_of(number / 3),
                                  .index = number % 3,
                                  .address = {addresses[number % 100], 4},
                                  .original = {addresses[number % 7], 4},
                                  .state = {RECIPIENT_WAITING, number, number}};
}

static void what_was_added_is_found_until_it_is_cleared(void **state)
{
    struct pending *p;
    unsigned count = 0;

    for (int i = 0; i < 100; i++)
        memcpy(addresses[i], &i, 4);
    assert_int_equal(pending_new(&p), 0);
    for (int round = 0; round < 3; round++) {
        struct id none = id_of(0);
        assert_null(pending_find(p, &none, 0));
        for (count = 0; !pending_is_full(p); count++) {
            struct pending_entry e = entry_of(count);
            assert_null(pending_find(p, &e.message, e.index));
            assert_int_equal(pending_add(p, &e), 0);
        }
        assert_true(count > 1000);
        assert_int_equal(pending_count(p), count);
        for (unsigned i = 0; i < count; i++) {
            struct pending_entry e = entry_of(i);
            struct pending_entry *found = pending_find(p, &e.message, e.index);
            assert_non_null(found);
            assert_true(span_equal(found->address, e.address));
            assert_true(span_equal(found->original, e.original));
            found->state.state = RECIPIENT_DELIVERED;
            assert_ptr_equal(pending_at(p, i), found); /* in the order in which they came */
            assert_int_equal(pending_at(p, i)->state.state, RECIPIENT_DELIVERED);
            assert_null(pending_find(p, &e.message, e.index + 3));
        }
        pending_clear(p);
        assert_int_equal(pending_count(p), 0);
    }
    pending_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_until_it_is_cleared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
