#include "people_test.h"

#include <errno.h>

static const char users[] = "Anna@a.test:*:\nbob@a.test:*:\nanna@b.test:*:\n\"b b\"@b.test:*:\n";
static const char aliases[] = "info: anna, bob\nbob: \\bob, anna\nonly@b.test: anna\n"
                              "postmaster@b.test: anna\n";

static void who_is_here(void **state)
{
    static const struct {
        const char *local, *domain;
        enum people_kind kind;
        const char *address;
    } cases[] = {
        {"anna", "a.test", PEOPLE_USER, "Anna@a.test"},
        {"ANNA", "a.test", PEOPLE_USER, "Anna@a.test"},
        {"anna", "b.test", PEOPLE_USER, "anna@b.test"},
        {"anna+lists", "a.test", PEOPLE_USER, "Anna@a.test"},
        {"anna+a+b", "a.test", PEOPLE_USER, "Anna@a.test"},
        {"+anna", "a.test", PEOPLE_NOBODY, NULL},
        {"b b", "b.test", PEOPLE_USER, "\"b b\"@b.test"},
        {"bob", "a.test", PEOPLE_ALIAS, "bob@a.test"},
        {"bob", "b.test", PEOPLE_ALIAS, "bob@b.test"},
        {"info+x", "a.test", PEOPLE_ALIAS, "info@a.test"},
        {"only", "b.test", PEOPLE_ALIAS, "only@b.test"},
        {"only", "a.test", PEOPLE_NOBODY, NULL},
        {"carl", "a.test", PEOPLE_NOBODY, NULL},
        {"", "a.test", PEOPLE_NOBODY, NULL},
        {"anna", "c.test", PEOPLE_NOBODY, NULL},
        {"anna", "d.test", PEOPLE_FOREIGN, NULL},
        {"anna", "xa.test", PEOPLE_FOREIGN, NULL},
        {"anna", "", PEOPLE_FOREIGN, NULL},
        {"anna@a.test", "d.test", PEOPLE_FOREIGN, NULL},
        {"postmaster", "a.test", PEOPLE_ALIAS, "postmaster@a.test"},
        {"Postmaster", "", PEOPLE_ALIAS, "postmaster@a.test"},
        {"abuse", "c.test", PEOPLE_ALIAS, "abuse@c.test"},
    };
    struct fixture f;

    fixture_init(&f, "", users, aliases);
    assert_int_equal(f.result, 0);
    assert_int_equal(people_user_count(f.people), 4);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span address = SPAN("");
        assert_int_equal(people_find(f.people, span_from_cstr(cases[i].local),
                                     span_from_cstr(cases[i].domain), &address),
                         cases[i].kind);
        if (cases[i].address)
            assert_span(address, cases[i].address);
        else
            assert_int_equal(address.size, 0);
    }
    fixture_done(&f);
}

static void a_bare_postmaster_lives_where_it_is_configured(void **state)
{
    struct span address;
    struct fixture f;

    fixture_init(&f, "anna@b.test", users, "");
    assert_problems(&f.problems, "configured", "");
    assert_int_equal(people_find(f.people, SPAN("postmaster"), SPAN(""), &address), PEOPLE_ALIAS);
    assert_span(address, "postmaster@b.test");
    fixture_done(&f);
}

/* By the line that names him, and once for all domains that he stands in for. */
static void a_postmaster_who_is_nobody_is_told(void **state)
{
    struct fixture f;

    fixture_init(&f, "zed@b.test", users, "");
    assert_problems(&f.problems, "nobody", "7:1: warning: `zed@b.test` is nobody here");
    assert_span(f.problems.items[0].place.file, "conf");
    fixture_done(&f);
}

static void problems_are_found(void **state)
{
    static const struct {
        const char *name, *users, *aliases;
        int result;
        const char *problems;
    } cases[] = {
        {"good", "anna@a.test:*:\n", "info: anna\nanna@b.test: anna@a.test\n", 0, ""},
        {"nothing left of it", "", "info: anna@a.test\n", 0,
         "warning: the file is empty, as after a power cut"},
        {"both files wrong", "anna\n", "info\n", -EINVAL,
         "1:1: error: no colon\n1:1: error: no colon"},
        {"user twice", "anna@a.test:*:\nANNA@a.test:*:\n", "", -EINVAL,
         "2:1: error: `ANNA@a.test` is listed twice, first in line 1"},
        {"foreign user", "anna@x.test:*:\nanna@a.test:*:\n", "", 0,
         "1:1: warning: `anna@x.test` receives nothing: "
         "its domain is not delivered here"},
        {"other file", "anna@c.test:*:\nanna@a.test:*:\n", "x@c.test: anna\n", 0,
         "1:1: warning: `anna@c.test` receives nothing: its domain names another `users:` file\n"
         "1:1: warning: `x@c.test` receives nothing: its domain names another `aliases:` file"},
        {"alias twice", "anna@a.test:*:\nanna@b.test:*:\n", "info: anna\ninfo: anna\n", -EINVAL,
         "2:1: error: the alias `info` is set twice, first in line 1"},
        {"nobody", "anna@a.test:*:\n", "info@a.test: anna, carl\n", 0,
         "1:20: warning: `carl@a.test` is nobody here"},
        {"no such mailbox", "anna@a.test:*:\n", "info@a.test: \\info\n", 0,
         "1:14: warning: `info@a.test` is nobody here"},
        {"foreign target", "anna@a.test:*:\n", "info@a.test: anna, x@y.test\n", 0, ""},
        {"address in brackets", "anna@a.test:*:\n", "info@a.test: x@[192.0.2.1]\n", -EINVAL,
         "1:14: error: `x@[192.0.2.1]`: mail is not carried to addresses in brackets"},
        {"circle", "anna@a.test:*:\n", "x@a.test: y\ny@a.test: z\nz@a.test: x\n", 0,
         "3:11: warning: aliases lead in a circle: x@a.test <- z@a.test <- y@a.test <- ..."},
        {"copy to oneself, who is no user", "anna@a.test:*:\n", "x@a.test: x\n", 0,
         "1:11: warning: `x@a.test` is nobody here"},
        {"copy to one who was lost", "", "anna@a.test: anna, x@y.test\n", 0,
         "warning: the file is empty, as after a power cut"},
        {"copy to oneself", "anna@a.test:*:\nbob@a.test:*:\n", "anna@a.test: anna, bob\n", 0, ""},
        {"two ways to one", "anna@a.test:*:\n", "x@a.test: y, z\ny@a.test: anna\nz@a.test: y\n", 0,
         ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture f;
        fixture_init(&f, "anna@a.test", cases[i].users, cases[i].aliases);
        assert_int_equal(f.result, cases[i].result);
        assert_true((f.people != NULL) == (f.result == 0));
        assert_problems(&f.problems, cases[i].name, cases[i].problems);
        fixture_done(&f);
    }
}

/* A line of its own for each, so that names are told by their lines. */
static void put_alias(struct buffer *out, const char *name, int count)
{
    buffer_printf(out, "%s:", name);
    for (int i = 0; i < count; i++)
        buffer_printf(out, "%s u%d@y.test", i ? "," : "", i);
    buffer_append_byte(out, '\n');
}

/* Mail to it would be deferred for days, and nobody know before. */
static void aliases_that_are_too_large(void **state)
{
    struct buffer file = BUFFER_INIT;
    struct fixture f;

    put_alias(&file, "fits@a.test", PEOPLE_EXPANSION_MAX);
    put_alias(&file, "large@a.test", PEOPLE_EXPANSION_MAX + 1);
    buffer_printf(&file, "above@a.test: large, x@y.test\n"); /* once that one is mended */
    put_alias(&file, "some@a.test", 600);
    put_alias(&file, "many@a.test", 900);
    buffer_printf(&file, "again@a.test: some, many\n"); /* the same people */
    buffer_printf(&file, "sum@a.test: fits, x@y.test\n");
    buffer_append_byte(&file, '\0');
    fixture_init(&f, "anna@a.test", "anna@a.test:*:\n", file.data);
    assert_int_equal(f.result, 0);
    assert_problems(&f.problems, "large",
                    "2:1: warning: `large@a.test` leads to more than 1000 addresses, mail to it is "
                    "deferred; divide it\n"
                    "7:1: warning: `sum@a.test` leads to more than 1000 addresses, mail to it is "
                    "deferred; divide it");
    fixture_done(&f);
    buffer_done(&file);
}

static void without_a_postmaster_the_first_user_is_it(void **state)
{
    struct fixture f;

    fixture_init(&f, "", "bob@b.test:*:\n", "abuse: postmaster\n");
    assert_problems(&f.problems, "roles",
                    "warning: `postmaster@a.test` is nobody's, so `bob@b.test` gets its mail\n"
                    "warning: `postmaster@b.test` is nobody's, so `bob@b.test` gets its mail\n"
                    "warning: `postmaster@c.test` is nobody's, so `bob@b.test` gets its mail\n"
                    "warning: `abuse@c.test` is nobody's, so `bob@b.test` gets its mail");
    fixture_done(&f);
}

/* Of two domains one's file is empty: that one's unknown names may have been in it. */
static void an_empty_file_casts_doubt_on_its_own_domains(void **state)
{
    static const struct {
        const char *local, *domain;
        enum people_kind kind;
    } cases[] = {
        {"anna", "a.test", PEOPLE_UNSURE},       {"info", "a.test", PEOPLE_ALIAS},
        {"postmaster", "a.test", PEOPLE_UNSURE}, /* not to bob: he is of another domain */
        {"", "a.test", PEOPLE_UNSURE},           {"bob", "b.test", PEOPLE_USER},
        {"anna", "b.test", PEOPLE_NOBODY},       {"postmaster", "b.test", PEOPLE_ALIAS},
        {"x", "c.test", PEOPLE_FOREIGN},
    };
    struct conf_directory_domain domains[] = {
        {.name = SPAN("a.test"), .users = SPAN("users"), .aliases = SPAN("aliases")},
        {.name = SPAN("b.test"), .users = SPAN("others"), .aliases = SPAN("aliases")}};
    struct conf_file names[] = {
        {.name = SPAN("users")}, {.name = SPAN("others")}, {.name = SPAN("aliases")}};
    const struct conf_directory part = {
        .domains = domains, .domain_count = 2, .files = names, .file_count = 3};
    const struct people_file files[] = {{SPAN("users"), SPAN("")},
                                        {SPAN("others"), SPAN("bob@b.test:*:\n")},
                                        {SPAN("aliases"), SPAN("info@a.test: bob@b.test\n")}};
    struct conf_problems problems;
    struct people *people;
    struct span address;

    conf_problems_init(&problems);
    assert_int_equal(people_new(&part, files, ARRAY_SIZE(files), &problems, &people), 0);
    assert_int_equal(problems.error_count, 0);
    assert_int_equal(people_unsure_count(people), 1);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(people_find(people, span_from_cstr(cases[i].local),
                                     span_from_cstr(cases[i].domain), &address),
                         cases[i].kind);
    people_free(people);
    conf_problems_done(&problems);
}

static void nobody_at_all(void **state)
{
    struct span address;
    struct fixture f;

    fixture_init(&f, "", "# none yet\n", "");
    assert_int_equal(f.result, 0);
    assert_int_equal(people_find(f.people, SPAN("postmaster"), SPAN(""), &address), PEOPLE_NOBODY);
    assert_int_equal(people_unsure_count(f.people), 0);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_here),
        cmocka_unit_test(a_bare_postmaster_lives_where_it_is_configured),
        cmocka_unit_test(a_postmaster_who_is_nobody_is_told),
        cmocka_unit_test(problems_are_found),
        cmocka_unit_test(aliases_that_are_too_large),
        cmocka_unit_test(without_a_postmaster_the_first_user_is_it),
        cmocka_unit_test(an_empty_file_casts_doubt_on_its_own_domains),
        cmocka_unit_test(nobody_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
