#include "../unit.h"

#include "conf/problem.h"
#include <stdio.h>

static struct conf_place at(const char *file, uint32_t line, uint32_t column)
{
    return (struct conf_place){span_from_cstr(file), line, column};
}

/* All problems in their order, a line each. */
static void assert_all(const struct conf_problems *p, const char *expected)
{
    struct buffer found = BUFFER_INIT;

    for (size_t i = 0; i < p->count; i++) {
        conf_problem_format(&p->items[i], &found);
        buffer_append_byte(&found, '\n');
    }
    assert_span(buffer_span(&found), expected);
    buffer_done(&found);
}

static void sorted_within_files(void **state)
{
    struct conf_problems p;

    conf_problems_init(&p);
    conf_error(&p, at("z", 9, 1), "a");
    conf_warn(&p, at("a", 2, 1), "b");
    conf_error(&p, at("z", 2, 7), "c");
    conf_warn(&p, at("z", 2, 7), "d");
    conf_error(&p, at("a", 1, 1), "e");
    conf_error(&p, at("z", 2, 3), "f");
    conf_error(&p, at("a", 0, 0), "g");
    conf_warn(&p, at("a", 4, 0), "h");
    conf_problems_sort(&p);
    assert_all(&p, "z:2:3: error: f\nz:2:7: error: c\nz:2:7: warning: d\nz:9:1: error: a\n"
                   "a: error: g\na:1:1: error: e\na:2:1: warning: b\na:4: warning: h\n");
    assert_int_equal(p.error_count, 5);
    assert_int_equal(p.warning_count, 3);
    conf_problems_done(&p);
}

static void the_same_is_told_once(void **state)
{
    struct conf_problems p;

    conf_problems_init(&p);
    for (int i = 0; i < 3; i++)
        conf_error(&p, at("f", 1, 1), "same");
    conf_error(&p, at("f", 1, 2), "same");
    conf_error(&p, at("g", 1, 1), "same");
    assert_int_equal(p.error_count, 3);
    conf_problems_done(&p);
}

/* The name may be gone when the problem is shown. */
static void names_are_copied(void **state)
{
    char name[] = "users";
    struct conf_problems p;

    conf_problems_init(&p);
    conf_error(&p, at(name, 1, 1), "x");
    memset(name, '!', sizeof(name) - 1);
    assert_all(&p, "users:1:1: error: x\n");
    conf_problems_done(&p);
}

static void long_texts_are_cut(void **state)
{
    struct conf_problems p;
    char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    conf_problems_init(&p);
    conf_error(&p, at("f", 1, 1), "%s", text);
    assert_int_equal(p.items[0].text.size, 399);
    conf_problems_done(&p);
}

/* Users who receive nothing may be very many, and the broken alias behind them only one. */
static void errors_are_kept_before_warnings(void **state)
{
    enum { MORE = 3 };
    struct conf_problems p;

    conf_problems_init(&p);
    conf_error(&p, at("f", 1, 1), "first");
    for (uint32_t i = 0; i < CONF_PROBLEMS_MAX; i++)
        conf_warn(&p, at("users", i + 1, 1), "receives nothing");
    for (uint32_t i = 0; i < MORE; i++)
        conf_error(&p, at("aliases", i + 1, 1), "broken");
    conf_warn(&p, at("aliases", 9, 1), "too late");
    assert_int_equal(p.count, CONF_PROBLEMS_MAX);
    assert_int_equal(p.error_count, 1 + MORE);
    assert_int_equal(p.warning_count, CONF_PROBLEMS_MAX + 1);
    conf_problems_sort(&p);
    assert_span(p.items[0].text, "first");
    assert_int_equal(p.items[CONF_PROBLEMS_MAX - MORE - 1].place.line,
                     CONF_PROBLEMS_MAX - MORE - 1);
    for (uint32_t i = 0; i < MORE; i++) {
        const struct conf_problem *last = &p.items[CONF_PROBLEMS_MAX - MORE + i];
        assert_int_equal(last->severity, CONF_ERROR);
        assert_span(last->place.file, "aliases");
        assert_int_equal(last->place.line, i + 1);
    }
    conf_problems_done(&p);
}

static void more_errors_than_are_kept(void **state)
{
    struct conf_problems p;

    conf_problems_init(&p);
    for (uint32_t i = 0; i <= CONF_PROBLEMS_MAX; i++)
        conf_error(&p, at("f", i + 1, 1), "broken");
    assert_int_equal(p.count, CONF_PROBLEMS_MAX);
    assert_int_equal(p.error_count, CONF_PROBLEMS_MAX + 1);
    assert_int_equal(p.items[CONF_PROBLEMS_MAX - 1].place.line, CONF_PROBLEMS_MAX);
    conf_problems_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sorted_within_files),
                                       cmocka_unit_test(the_same_is_told_once),
                                       cmocka_unit_test(names_are_copied),
                                       cmocka_unit_test(long_texts_are_cut),
                                       cmocka_unit_test(errors_are_kept_before_warnings),
                                       cmocka_unit_test(more_errors_than_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
