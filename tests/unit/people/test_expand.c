#include "people_test.h"

#include <errno.h>

static const char users[] = "anna@a.test:*:\nbob@a.test:*:\ncarl@a.test:*:\n";
static const char aliases[] = "one@a.test: anna\n"
                              "team@a.test: anna, bob, one, anna+x\n"
                              "deep@a.test: team, carl\n"
                              "bob@a.test: bob, carl\n" /* a copy to himself */
                              "carl@a.test: anna\n"     /* his mail goes on */
                              "both@a.test: \\carl, carl\n"
                              "x@a.test: y\ny@a.test: x\n" /* a circle */
                              "z@a.test: y, anna\n"
                              "gone@a.test: dora\n"
                              "half@a.test: dora, anna\n"
                              "far@a.test: anna, x@y.test\n"
                              "deepfar@a.test: far\n"
                              "twicefar@a.test: x@y.test, far, z@y.test\n";

struct expected {
    const char *address;
    int result;
    const char *to;
};

static void check(const struct people *people, const struct expected *cases, size_t count_of_cases)
{
    for (size_t i = 0; i < count_of_cases; i++) {
        struct arena arena = ARENA_INIT;
        struct buffer found = BUFFER_INIT;
        struct span *to = NULL;
        size_t count = 0;
        assert_int_equal(
            people_expand(people, span_from_cstr(cases[i].address), &arena, &to, &count),
            cases[i].result);
        for (size_t j = 0; j < count; j++)
            buffer_printf(&found, SPAN_FMT " ", SPAN_ARG(to[j]));
        assert_span(buffer_span(&found), cases[i].to);
        buffer_done(&found);
        arena_done(&arena);
    }
}

static void expansions(void **state)
{
    static const struct expected cases[] = {
        {"one@a.test", 0, "anna@a.test "},
        {"team@a.test", 0, "anna@a.test bob@a.test "}, /* each once */
        {"deep@a.test", 0, "anna@a.test bob@a.test "},
        {"one+x@a.test", 0, "anna@a.test "},
        {"bob@a.test", 0, "bob@a.test anna@a.test "},
        {"carl@a.test", 0, "anna@a.test "},
        {"both@a.test", 0, "carl@a.test anna@a.test "},
        {"x@a.test", -ENOLINK, ""},
        {"z@a.test", 0, "anna@a.test "},
        {"gone@a.test", -ENOLINK, ""},
        {"half@a.test", 0, "anna@a.test "},
        {"far@a.test", 0, "anna@a.test x@y.test "},
        {"deepfar@a.test", 0, "anna@a.test x@y.test "},
        {"twicefar@a.test", 0, "x@y.test z@y.test anna@a.test "},
        {"postmaster@b.test", 0, "anna@a.test "},
        {"anna@a.test", -ENOENT, ""},
        {"nobody@a.test", -ENOENT, ""},
        {"one@d.test", -ENOENT, ""},
        {"not an address", -ENOENT, ""},
    };
    struct fixture f;

    fixture_init(&f, "anna@a.test", users, aliases);
    assert_int_equal(f.result, 0);
    check(f.people, cases, ARRAY_SIZE(cases));
    fixture_done(&f);
}

/* Nobody who may have been in the empty file loses his copy. */
static void with_an_empty_users_file(void **state)
{
    static const struct expected cases[] = {
        {"far@a.test", 0, "x@y.test "}, {"deep@a.test", 0, "x@y.test "},
        {"half@a.test", -EAGAIN, ""},   {"copy@a.test", -EAGAIN, ""},
        {"none@a.test", -EAGAIN, ""},   {"anna@a.test", -ENOENT, ""},
    };
    struct fixture f;

    fixture_init(&f, "", "",
                 "far@a.test: x@y.test\ndeep@a.test: far\n"
                 "half@a.test: x@y.test, anna\ncopy@a.test: \\copy, x@y.test\n"
                 "none@a.test: anna\n");
    assert_int_equal(f.result, 0);
    check(f.people, cases, ARRAY_SIZE(cases));
    fixture_done(&f);
}

/* A chain as long as allowed, one that is longer, and more users than allowed. */
static void bounded(void **state)
{
    struct buffer many = BUFFER_INIT, chain = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct span *to;
    size_t count;
    struct fixture f;

    buffer_printf(&chain, "all@a.test: u0\nmore@a.test: u0\n");
    for (int i = 0; i <= PEOPLE_EXPANSION_MAX; i++)
        buffer_printf(&many, "u%d@a.test:*:\n", i);
    chain.size = 0;
    buffer_printf(&chain, "all@a.test: u0\n");
    for (int i = 1; i < PEOPLE_EXPANSION_MAX; i++)
        buffer_printf(&chain, " u%d\n", i);
    buffer_printf(&chain, "more@a.test: all, u%d\nlong0@a.test: u0\n", PEOPLE_EXPANSION_MAX);
    for (int i = 1; i < 3000; i++)
        buffer_printf(&chain, "long%d@a.test: long%d\n", i, i - 1);
    buffer_append_byte(&many, '\0');
    buffer_append_byte(&chain, '\0');
    fixture_init(&f, "u0@a.test", many.data, chain.data);
    assert_int_equal(f.result, 0);
    assert_int_equal(people_expand(f.people, SPAN("all@a.test"), &arena, &to, &count), 0);
    assert_int_equal(count, PEOPLE_EXPANSION_MAX);
    assert_int_equal(people_expand(f.people, SPAN("more@a.test"), &arena, &to, &count), -E2BIG);
    assert_int_equal(people_expand(f.people, SPAN("long900@a.test"), &arena, &to, &count), 0);
    assert_int_equal(people_expand(f.people, SPAN("long2999@a.test"), &arena, &to, &count), -E2BIG);
    fixture_done(&f);
    arena_done(&arena);
    buffer_done(&many);
    buffer_done(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(expansions),
                                       cmocka_unit_test(with_an_empty_users_file),
                                       cmocka_unit_test(bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
