#include "problems.h"

#include "conf/tree.h"
#include <errno.h>

static int parse(struct span text, struct arena *arena, struct conf_problems *problems,
                 struct conf_node **root)
{
    conf_problems_init(problems);
    return conf_tree_parse(text, SPAN("test.yaml"), arena, problems, root);
}

static void nodes_know_their_places(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_problems problems;
    struct conf_node *root;

    assert_int_equal(parse(SPAN("a: no\nlist: [ 1, \"x: y\" ]\nmap:\n  inner: { deep: 0x1 }\n"),
                           &arena, &problems, &root),
                     0);
    const struct conf_node *n = conf_tree_child(root, "a");
    assert_span(n->text, "no"); /* stays text: no "Norway problem" */
    assert_int_equal(n->place.line, 1);
    assert_int_equal(n->place.column, 4);
    n = conf_tree_child(root, "list");
    assert_int_equal(n->child_count, 2);
    assert_span(n->first->next->text, "x: y");
    n = conf_tree_child(conf_tree_child(conf_tree_child(root, "map"), "inner"), "deep");
    assert_span(n->text, "0x1");
    assert_int_equal(n->key_place.line, 4);
    assert_int_equal(n->key_place.column, 12);
    assert_null(conf_tree_child(n, "x"));
    assert_null(conf_tree_child(NULL, "x"));
    conf_problems_done(&problems);
    arena_done(&arena);
}

static void refused(void **state)
{
    static const struct {
        const char *name, *text;
        int result;
        const char *problems;
    } cases[] = {
        {"empty", "", -EINVAL, "1:1: error: the file sets nothing"},
        {"comment only", "# nothing\n", -EINVAL, "1:1: error: the file sets nothing"},
        {"no map", "- a\n- b\n", -EINVAL, "1:1: error: the file must be"},
        {"anchor", "a: &x 1\nb: 2\n", 0, "1:4: error: anchors (&x)"},
        {"alias", "a: &x 1\nb: *x\n", 0, "1:4: error: anchors\n2:4: error: aliases (*x)"},
        {"alias as key", "a: &x k\n? *x\n: 1\n", 0, "1:4: error: anchors\n2:3: error: aliases"},
        {"billion laughs", "a: &a [x]\nb: &b [*a, *a]\n", 0,
         "1:4: error: anchors\n2:4: error: anchors\n2:8: error: aliases\n2:12: error: aliases"},
        {"tag", "a: !!int 1\nb: !x {}\nc: ! d\n", 0,
         "1:4: error: tags (tag:yaml.org,2002:int)\n2:4: error: tags (!x)\n3:4: error: tags (!)"},
        {"duplicates", "a: 1\nb: 2\na: 3\nb: 4\na: 5\n", 0,
         "3:1: error: `a` is set twice, first in line 1\n4:1: error: `b` is set twice\n"
         "5:1: error: `a` is set twice, first in line 3"},
        {"duplicate inside", "m: { x: 1, x: 2 }\n", 0, "1:12: error: `x` is set twice"},
        {"map as key", "{ a: 1 }: 2\n", -EINVAL, "1:1: error: a key must be text"},
        {"list as key", "? [a]\n: 2\n", -EINVAL, "1:3: error: a key must be text"},
        {"two documents", "a: 1\n---\nb: 2\n", -EINVAL, "2:1: error: a second document"},
        {"tab", "a:\n\tb: 1\n", -EINVAL,
         "2:1: error: not YAML: found character that cannot start "
         "any token; a tab can't indent"},
        {"open quote", "a: \"b\n", -EINVAL,
         "2:1: error: not YAML: found unexpected end of stream; "
         "close the quote"},
        {"colon", "a: b: c\n", -EINVAL,
         "1:5: error: not YAML: mapping values are not allowed in "
         "this context; put a value"},
        {"open bracket", "a: [1, 2\nb: 3\n", -EINVAL, "error: not YAML"},
        {"control", "a: \"\\x07\"\nb: \"x\\ny\"\n", 0,
         "1:4: error: control characters\n2:4: error: control characters"},
        {"not UTF-8", "a: b\nc: \xff\n", -EINVAL, "2:4: error: not text in UTF-8"},
        {"depth", "a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", -EINVAL, "error: nested too deep"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct conf_problems problems;
        struct conf_node *root = NULL;
        assert_int_equal(parse(span_from_cstr(cases[i].text), &arena, &problems, &root),
                         cases[i].result);
        assert_problems(&problems, cases[i].name, cases[i].problems);
        assert_true(cases[i].result == 0 || root == NULL);
        conf_problems_done(&problems);
        arena_done(&arena);
    }
}

/* As a file is read that an editor has just truncated: reload must not end the supervisor. */
static void no_bytes_at_all(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_problems problems;
    struct conf_node *root;

    assert_int_equal(parse((struct span){0}, &arena, &problems, &root), -EINVAL);
    assert_int_equal(problems.count, 1);
    conf_problems_done(&problems);
    arena_done(&arena);
}

static void bounded(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_problems problems;
    struct conf_node *root;
    struct buffer text = BUFFER_INIT;

    buffer_printf(&text, "a: [");
    for (int i = 0; i < CONF_TREE_NODES_MAX; i++)
        buffer_printf(&text, "1,");
    buffer_printf(&text, "]\n");
    assert_int_equal(parse(buffer_span(&text), &arena, &problems, &root), -EINVAL);
    assert_problems(&problems, "nodes", "too many values");
    conf_problems_done(&problems);

    buffer_clear(&text);
    assert_non_null(
        memset(buffer_reserve(&text, CONF_TREE_TEXT_MAX + 1), '#', CONF_TREE_TEXT_MAX + 1));
    text.size = CONF_TREE_TEXT_MAX + 1;
    assert_int_equal(parse(buffer_span(&text), &arena, &problems, &root), -EINVAL);
    assert_problems(&problems, "size", "0:0: error: the file is larger");
    conf_problems_done(&problems);
    buffer_done(&text);
    arena_done(&arena);
}

/* More is counted than kept. */
static void many_problems(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_problems problems;
    struct conf_node *root;
    struct buffer text = BUFFER_INIT;

    for (int i = 0; i < 1000; i++)
        buffer_printf(&text, "same: 1\n");
    assert_int_equal(parse(buffer_span(&text), &arena, &problems, &root), 0);
    assert_int_equal(problems.count, CONF_PROBLEMS_MAX);
    assert_int_equal(problems.error_count, 999);
    conf_problems_done(&problems);
    buffer_done(&text);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nodes_know_their_places),
                                       cmocka_unit_test(refused), cmocka_unit_test(no_bytes_at_all),
                                       cmocka_unit_test(bounded), cmocka_unit_test(many_problems)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
