#include "../unit.h"

#include "cli/cli.h"

#include <stdlib.h>

static const struct cli_column columns[] = {{"id", false}, {"size", true}, {"why", false}};

static void assert_prints(struct cli_table *t, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    assert_non_null(to);
    assert_int_equal(cli_table_print(t, to), 0);
    fclose(to);
    assert_string_equal(text, expected);
    free(text);
}

static void aligned(void **state)
{
    struct cli_table t;

    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    assert_prints(&t, "id  size  why\n");
    cli_table_add(&t, SPAN("A1"));
    cli_table_add_number(&t, 12345);
    cli_table_add(&t, SPAN("full"));
    cli_table_add(&t, SPAN("B"));
    cli_table_add_number(&t, 7);
    cli_table_add(&t, SPAN(""));
    assert_prints(&t, "id   size  why\nA1  12345  full\nB       7  \n");
    cli_table_done(&t);
}

/* Two columns a character in East Asian scripts, none for a combining mark. */
static void measured_as_seen(void **state)
{
    struct cli_table t;

    cli_table_init(&t, columns, 2);
    cli_table_add(&t, SPAN("\xe9\x83\xb5\xe4\xbe\xbf"));
    cli_table_add(&t, SPAN("1"));
    cli_table_add(&t, SPAN("e\xcc\x81"));
    cli_table_add(&t, SPAN("2"));
    assert_prints(&t, "id    size\n\xe9\x83\xb5\xe4\xbe\xbf     1\ne\xcc\x81        2\n");
    cli_table_done(&t);
}

static void hostile_text_is_shown_not_obeyed(void **state)
{
    struct cli_table t;

    cli_table_init(&t, columns, 1);
    cli_table_add(&t, span_of("a\n\x1b[2J\0b", 8));
    assert_prints(&t, "id\na\\x0a\\x1b[2J\\x00b\n");
    cli_table_done(&t);
}

/* Later pages of a listing have no titles, but columns as wide as their own cells and the titles.
 */
static void pages_without_titles(void **state)
{
    struct cli_table t;

    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    t.untitled = true;
    assert_prints(&t, "");
    cli_table_add(&t, SPAN("longer than its title"));
    cli_table_add_number(&t, 0);
    cli_table_add(&t, SPAN("x"));
    assert_prints(&t, "longer than its title     0  x\n");
    cli_table_done(&t);
}

static void numbers_of_any_size(void **state)
{
    static const struct cli_column column[] = {{"n", true}};
    struct cli_table t;

    cli_table_init(&t, column, 1);
    cli_table_add_number(&t, 0);
    cli_table_add_number(&t, 10);
    cli_table_add_number(&t, UINT64_MAX);
    assert_prints(&t, "                   n\n                   0\n                  10\n"
                      "18446744073709551615\n");
    cli_table_done(&t);
}

/* A cell that is wider than those before it widens its column only. */
static void each_column_has_its_width(void **state)
{
    struct cli_table t;

    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    cli_table_add(&t, SPAN("a"));
    cli_table_add(&t, SPAN("123456"));
    cli_table_add(&t, SPAN("first"));
    cli_table_add(&t, SPAN("abcd"));
    cli_table_add(&t, SPAN("1"));
    cli_table_add(&t, SPAN("a very long last one"));
    assert_prints(&t,
                  "id      size  why\na     123456  first\nabcd       1  a very long last one\n");
    cli_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(aligned),
                                       cmocka_unit_test(measured_as_seen),
                                       cmocka_unit_test(hostile_text_is_shown_not_obeyed),
                                       cmocka_unit_test(pages_without_titles),
                                       cmocka_unit_test(numbers_of_any_size),
                                       cmocka_unit_test(each_column_has_its_width)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
