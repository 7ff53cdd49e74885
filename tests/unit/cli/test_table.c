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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(aligned),
                                       cmocka_unit_test(measured_as_seen),
                                       cmocka_unit_test(hostile_text_is_shown_not_obeyed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
