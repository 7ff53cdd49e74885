/* The manual and the schema tell the same: every key is described, every example is accepted. */
#include "problems.h"

#include "conf/file.h"
#include "conf/keys.h"
#include <errno.h>

static void read_doc(const char *name, struct buffer *out)
{
    struct conf_problems problems;
    char path[4096];

    snprintf(path, sizeof(path), DOCS "/%s", name);
    conf_problems_init(&problems);
    assert_int_equal(conf_file_read(span_from_cstr(path), &problems, out), 0);
    assert_int_equal(buffer_append_byte(out, '\0'), 0);
    conf_problems_done(&problems);
}

/* Each key stands in the text as `key` or at the end of a path like `book: key`. */
static void assert_described(const char *text, const char *before, const char *after,
                             const struct conf_schema *schema)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct conf_key *key = &schema->keys[i];
        char wanted[80], in_path[80];
        snprintf(wanted, sizeof(wanted), "%s%s", before, key->name);
        snprintf(in_path, sizeof(in_path), " %s%s", key->name, after);
        if (!strstr(text, wanted) && !strstr(text, in_path))
            fail_msg("`%s` of %s is not described", key->name, schema->name);
        if (key->schema)
            assert_described(text, before, after, key->schema);
    }
}

static void every_key_is_described(void **state)
{
    struct buffer manual = BUFFER_INIT, page = BUFFER_INIT;

    read_doc("manual/configuration.md", &manual);
    read_doc("man/postbuch.conf.5", &page);
    assert_described(manual.data, "`", "`", &conf_file_schema);
    assert_described(page.data, " ", " ", &conf_file_schema);
    buffer_done(&manual);
    buffer_done(&page);
}

/* Parses the text from `start` to `end`. */
static void assert_accepted(const char *start, const char *end)
{
    struct conf_problems problems;
    struct conf c;

    assert_non_null(end);
    conf_problems_init(&problems);
    int r = conf_parse(span_of(start, (size_t)(end - start)), SPAN("example"), SPAN("/etc"),
                       &problems, &c);
    for (size_t i = 0; r < 0 && i < problems.count; i++)
        fprintf(stderr, SPAN_FMT "\n", SPAN_ARG(problems.items[i].text));
    assert_int_equal(r, 0);
    conf_done(&c);
    conf_problems_done(&problems);
}

static void every_example_is_accepted(void **state)
{
    struct buffer manual = BUFFER_INIT, page = BUFFER_INIT;
    size_t examples = 0;

    read_doc("manual/configuration.md", &manual);
    for (const char *at = manual.data; (at = strstr(at, "```yaml\n")); examples++) {
        at += strlen("```yaml\n");
        assert_accepted(at, strstr(at, "```"));
    }
    assert_int_equal(examples, 3);
    read_doc("man/postbuch.conf.5", &page);
    const char *example = strstr(page.data, ".Bd -literal\n");
    assert_non_null(example);
    assert_accepted(example + strlen(".Bd -literal\n"), strstr(example, ".Ed"));
    buffer_done(&manual);
    buffer_done(&page);
}

static void defaults_are_what_the_manual_says(void **state)
{
    struct buffer manual = BUFFER_INIT;
    struct conf c = {0};

    read_doc("manual/configuration.md", &manual);
    conf_set_defaults(&c);
    assert_int_equal(c.limits.message_size, 50 << 20);
    assert_non_null(strstr(manual.data, "| `message_size` | `50M` |"));
    assert_int_equal(c.limits.client_connections, 50);
    assert_non_null(strstr(manual.data, "| `client_connections` | `50` |"));
    assert_int_equal(c.limits.command_idle, 300000);
    assert_non_null(strstr(manual.data, "| `command_idle` | `5m` |"));
    assert_int_equal(c.retry.give_up, 4 * 86400000);
    assert_non_null(strstr(manual.data, "| `give_up` | `4d` |"));
    buffer_done(&manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_key_is_described),
                                       cmocka_unit_test(every_example_is_accepted),
                                       cmocka_unit_test(defaults_are_what_the_manual_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
