#include "../conf/problems.h"

#include "people/aliases.h"

/* What the sink heard: "name=target;\mailbox;\n". */
static void on_name(void *owner, const struct address *name, struct conf_place place)
{
    struct buffer *heard = owner;

    buffer_printf(heard, "%s" SPAN_FMT "=", heard->size ? "\n" : "", SPAN_ARG(address_text(name)));
}

static void on_target(void *owner, const struct address *target, bool direct,
                      struct conf_place place)
{
    buffer_printf(owner, "%s" SPAN_FMT ";", direct ? "\\" : "", SPAN_ARG(address_text(target)));
}

static void files(void **state)
{
    static const struct {
        const char *name, *text, *heard, *problems;
    } cases[] = {
        {"empty", "", "", ""},
        {"one", "root: anna\n", "root=anna;", ""},
        {"several", "# c\n\nroot: anna, bob@a.test\r\nabuse:root\n",
         "root=anna;bob@a.test;\nabuse=root;", ""},
        {"goes on", "team: a,\n\tb\n  c, d\nx: y", "team=a;b;c;d;\nx=y;", ""},
        {"comment between", "team: a\n# c\n  b\n", "team=a;b;", ""},
        {"mailbox", "bob: \\bob, anna\n", "bob=\\bob;anna;", ""},
        {"quoted", "\"a:b\": \"c,d\"@a.test\n", "\"a:b\"=\"c,d\"@a.test;", ""},
        {"whole address", "info@A.test: anna\n", "info@a.test=anna;", ""},
        {"no colon", "root anna\n", "", "1:1: error: no colon"},
        {"first line indented", " x\n", "", "1:1: error: an indented line goes on"},
        {"no target", "root:\nabuse: anna\nlast: ,\n", "root=\nabuse=anna;\nlast=",
         "1:1: error: the alias has no target\n3:1: error: the alias has no target"},
        {"program", "root: |/bin/sh, \"|x y\"\n", "root=",
         "1:7: error: `|/bin/sh`: programs are not started\n1:17: error: `\"|x y\"`: programs"},
        {"file", "root: /var/mail/root\n", "root=", "1:7: error: `/var/mail/root`: files"},
        {"include", "list: anna, :Include:/etc/list\n", "list=anna;",
         "1:13: error: `:Include:/etc/list`: :include: is not read"},
        {"bad target", "root: a b, <x>, @c\n",
         "root=", "1:7: error: `a b` is not an address\n1:12: error: `<x>`\n1:17: error: `@c`"},
        {"bad name", "a b: anna\n", "", "1:1: error: `a b` can't be the name"},
        {"catch-all", "@a.test: anna\n", "", "1:1: error: `@a.test` can't be the name"},
        {"literal", "x@[192.0.2.1]: anna\n", "", "1:1: error: `x@[192.0.2.1]` can't be"},
        {"escapes", "\"a\\\"b:c\"@a.test: \"d\\\\\", \"e\\\",f\"@a.test\n",
         "\"a\\\"b:c\"@a.test=\"d\\\\\";\"e\\\",f\"@a.test;", ""},
        {"a backslash outside quotes", "a: \\b:c\n", "a=", "1:4: error: `\\b:c` is not"},
        {"a quote alone", "a: \"\n", "a=", "1:4: error: `\"` is not an address"},
        {"quoted include", "a: \":include:/x\"\n",
         "a=", "1:4: error: `\":include:/x\"`: :include:"},
        {"indented behind a comment", "# c\n b\nx: y\n", "x=y;",
         "2:1: error: an indented line goes on"},
        /* What goes on with a bad name is read all the same, for its own faults. */
        {"goes on with a bad name", "a b: c\n d, <e>\nx: y\n", "x=y;",
         "1:1: error: `a b` can't be the name\n2:5: error: `<e>` is not an address"},
        {"goes on with no colon", "a b\n d\nx: y\n", "x=y;", "1:1: error: no colon"},
        {"targets on the next line only", "a:\n b\n", "a=b;", ""},
        {"only a bad target", "a: <b>\n", "a=", "1:4: error: `<b>` is not an address"},
        {"CRLF", "a: b\r\nc: d\r\n", "a=b;\nc=d;", ""},
        {"no end", "a: b", "a=b;", ""},
        {"open quote", "\"root: anna\n", "", "1:1: error: no colon"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer heard = BUFFER_INIT;
        const struct aliases_sink sink = {&heard, on_name, on_target};
        struct conf_problems problems;
        conf_problems_init(&problems);
        aliases_read(span_from_cstr(cases[i].text), SPAN("aliases"), &problems, &sink);
        assert_problems(&problems, cases[i].name, cases[i].problems);
        assert_span(buffer_span(&heard), cases[i].heard);
        buffer_done(&heard);
        conf_problems_done(&problems);
    }
}

/* A NUL would be the end of what a person sees of the line. */
static void a_nul_is_told_of(void **state)
{
    struct buffer heard = BUFFER_INIT;
    const struct aliases_sink sink = {&heard, on_name, on_target};
    struct conf_problems problems;

    conf_problems_init(&problems);
    aliases_read(SPAN("a: b\n\0c: d\n e\n x\0: y\nz: a\n"), SPAN("aliases"), &problems, &sink);
    assert_problems(&problems, "NUL",
                    "2:1: error: the line holds a NUL byte\n4:1: error: the line holds a NUL byte");
    assert_span(buffer_span(&heard), "a=b;e;\nz=a;");
    buffer_done(&heard);
    conf_problems_done(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(a_nul_is_told_of)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
