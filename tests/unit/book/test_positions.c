#include "../unit.h"

#include "book/positions.h"
#include <errno.h>

static struct book_position at(int64_t lane, uint64_t offset)
{
    return (struct book_position){.lane = (uint32_t)lane, .segment = 7, .offset = offset};
}

struct row {
    int64_t lane;
    uint64_t offset; /* 0: no row */
    bool is_damaged;
};

static const struct {
    const char *name;
    struct row lanes[3], copies[3], expected[3];
    bool was_damaged, is_new;
} cases[] = {
    {"nothing yet", {{0}}, {{0}}, {{0}}, false, false},
    {"of before there were copies", {{0, 100}, {1, 50}}, {{0}}, {{0, 100}, {1, 50}}, false, true},
    {"both say it", {{0, 100}, {1, 50}}, {{0, 100}, {1, 50}}, {{0, 100}, {1, 50}}, false, false},
    {"a row is damaged", {{0, 900}, {1, 50}}, {{0, 100}, {1, 50}}, {{0, 100}, {1, 50}}, true, true},
    {"a copy is damaged",
     {{0, 100}, {1, 50}},
     {{0, 100}, {1, 51, true}},
     {{0, 100}, {1, 50}},
     true,
     true},
    {"a row's lane is damaged",
     {{0, 100}, {65, 50}},
     {{0, 100}, {1, 50}},
     {{0, 100}, {1, 50}},
     true,
     true},
    {"a copy's lane is damaged",
     {{0, 100}, {1, 50}},
     {{0, 100}, {65, 50, true}},
     {{0, 100}, {1, 50}},
     true,
     true},
    {"a row is gone", {{0, 100}}, {{0, 100}, {1, 50}}, {{0, 100}, {1, 50}}, true, true},
    {"a lane that is none",
     {{0, 100}, {INT64_C(1) << 40, 50}},
     {{0, 100}, {1, 50}},
     {{0, 100}, {1, 50}},
     true,
     true},
    {"an older Postbuch began a lane",
     {{0, 100}, {1, 50}},
     {{0, 100}},
     {{0, 100}, {1, 50}},
     false,
     true},
};

static void fill(struct position_rows *rows, const struct row *from)
{
    for (int i = 0; i < 3 && from[i].offset; i++)
        assert_int_equal(positions_add_row(rows, from[i].lane, at(from[i].lane, from[i].offset),
                                           !from[i].is_damaged),
                         0);
}

static void two_copies_say_what_is_right(void **state)
{
    for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
        struct position_rows lanes = {.count = 0}, copies = {.count = 0};
        struct positions p;
        size_t expected = 0;
        fill(&lanes, cases[c].lanes);
        fill(&copies, cases[c].copies);
        positions_settle(&lanes, &copies, &p);
        for (; expected < 3 && cases[c].expected[expected].offset; expected++) {
            const struct row *row = &cases[c].expected[expected];
            const struct book_position *found = positions_find(&p, (uint32_t)row->lane);
            if (!found || found->offset != row->offset || found->segment != 7)
                fail_msg("%s: lane %d", cases[c].name, (int)row->lane);
        }
        if (p.count != expected || p.was_damaged != cases[c].was_damaged ||
            p.is_new != cases[c].is_new)
            fail_msg("%s: %zu lanes, damaged %d, new %d", cases[c].name, p.count, p.was_damaged,
                     p.is_new);
    }
}

static void the_sum_is_over_all_of_it(void **state)
{
    struct book_position a = {1, 2, 3}, b = a;

    assert_true(positions_sum(&a) == positions_sum(&b));
    for (int i = 0; i < 3; i++) {
        b = a;
        b.lane += i == 0;
        b.segment += i == 1;
        b.offset += i == 2;
        assert_false(positions_sum(&a) == positions_sum(&b));
    }
    assert_false(positions_sum(&(struct book_position){0}) == 0);
}

static void more_rows_than_lanes_are_refused(void **state)
{
    struct position_rows rows = {.count = 0};

    for (int i = 0; i < VOLUME_LANES_MAX; i++)
        assert_int_equal(positions_add_row(&rows, i, at(i, 1), true), 0);
    assert_int_equal(positions_add_row(&rows, 99, at(99, 1), true), -ENOSPC);
}

static void order_makes_no_difference(void **state)
{
    struct positions a = {.list = {at(0, 100), at(1, 200)}, .count = 2};
    struct positions b = {.list = {at(1, 200), at(0, 100)}, .count = 2};

    assert_true(positions_equal(&a, &a));
    assert_true(positions_equal(&a, &b));
    b.list[1].offset++;
    assert_false(positions_equal(&a, &b));
    b.list[1] = at(2, 100);
    assert_false(positions_equal(&a, &b));
    b = a;
    b.count = 1;
    assert_false(positions_equal(&a, &b));
    assert_false(positions_equal(&b, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_copies_say_what_is_right),
                                       cmocka_unit_test(the_sum_is_over_all_of_it),
                                       cmocka_unit_test(order_makes_no_difference),
                                       cmocka_unit_test(more_rows_than_lanes_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
