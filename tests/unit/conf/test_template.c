#include "../unit.h"

#include "conf/template.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *why;

static struct conf_template parsed(const char *text)
{
    struct conf_template t;
    assert_int_equal(conf_template_parse(span_from_cstr(text), &t, &why), 0);
    return t;
}

static void prefix_and_rest(void **state)
{
    static const struct {
        const char *text, *prefix, *rest;
    } cases[] = {
        {"/var/mail/%d/%u", "/var/mail", "%d/%u"},
        {"/%u", "/", "%u"},
        {"//srv///mail//%u@%d//Maildir/", "/srv/mail", "%u@%d/Maildir"},
        {"/srv/m%%il/x%u", "/srv/m%il", "x%u"},
        {"/srv/all", "/srv", "all"},
        {"/home/%u/%%/..m", "/home", "%u/%%/..m"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_template t = parsed(cases[i].text);
        assert_string_equal(t.prefix, cases[i].prefix);
        assert_string_equal(t.rest, cases[i].rest);
        conf_template_done(&t);
    }
}

static void refused_templates(void **state)
{
    static const struct span cases[] = {
        SPAN(""),        SPAN("var/%u"),  SPAN("/"),        SPAN("///"), SPAN("/a/../%u"),
        SPAN("/a/./%u"), SPAN("/%u/.."),  SPAN("/%x"),      SPAN("/a%"), SPAN("/%u%d"),
        SPAN("/%u-%d"),  SPAN("/%u%%%d"), SPAN("/a\0b/%u"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_template t = {0};
        why = NULL;
        assert_int_equal(conf_template_parse(cases[i], &t, &why), -EINVAL);
        assert_non_null(why);
        assert_null(t.prefix);
    }
}

static void expansion(void **state)
{
    static const struct {
        const char *text;
        struct span address;
        const char *path;
    } cases[] = {
        {"/m/%d/%u", SPAN("bob@postbuch.test"), "postbuch.test/bob"},
        {"/m/%d/%u", SPAN("Bob.Smith@Postbuch.Test"), "postbuch.test/bob.smith"},
        {"/m/%d/%u", SPAN("..@x.test"), "x.test/%2E."},
        {"/m/%d/%u", SPAN(".@x.test"), "x.test/%2E"},
        {"/m/%d/%u", SPAN(".hidden@x.test"), "x.test/%2Ehidden"},
        {"/m/%d/%u", SPAN("../../etc@x.test"), "x.test/%2E.%2F..%2Fetc"},
        {"/m/%d/%u", SPAN("a/b@x.test"), "x.test/a%2Fb"},
        {"/m/%d/%u", SPAN("a\0b@x.test"), "x.test/a%00b"},
        {"/m/%d/%u", SPAN("a:b@x.test"), "x.test/a%3Ab"},
        {"/m/%d/%u", SPAN("a%2Fb@x.test"), "x.test/a%252fb"},
        {"/m/%d/%u", SPAN("%u@x.test"), "x.test/%25u"},
        {"/m/%d/%u", SPAN("\"john doe\"@x.test"), "x.test/%22john%20doe%22"},
        {"/m/%d/%u", SPAN("\"a@b\"@x.test"), "x.test/%22a%40b%22"},
        {"/m/%d/%u", SPAN("m\xc3\xbcller@x.test"), "x.test/m\xc3\xbcller"},
        {"/m/%d/%u", SPAN("u@[192.0.2.1]"), "%5B192.0.2.1%5D/u"},
        {"/m/%d/%u", SPAN("u@."), "%2E/u"},
        {"/m/%d/%u", SPAN("u@.."), "%2E./u"},
        {"/m/%d/%u", SPAN("a+tag_x-y=z@x.test"), "x.test/a+tag_x-y=z"},
        {"/m/%u@%d/Maildir", SPAN("bob@x.test"), "bob@x.test/Maildir"},
        {"/m/%%%u", SPAN("bob@x.test"), "%bob"},
        {"/m/all", SPAN("bob@x.test"), "all"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char path[CONF_TEMPLATE_PATH_MAX];
        struct conf_template t = parsed(cases[i].text);
        assert_int_equal(conf_template_expand(&t, cases[i].address, path), 0);
        assert_string_equal(path, cases[i].path);
        conf_template_done(&t);
    }
}

static void refused_addresses(void **state)
{
    static const struct span cases[] = {SPAN(""), SPAN("@"), SPAN("bob"), SPAN("bob@"),
                                        SPAN("@x.test")};
    struct conf_template t = parsed("/m/%d/%u");
    char path[CONF_TEMPLATE_PATH_MAX] = "untouched";

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(conf_template_expand(&t, cases[i], path), -EINVAL);
    assert_string_equal(path, "untouched");
    conf_template_done(&t);
}

/* 255 bytes fit into a component, 256 don't; and encoding counts. */
static void too_long(void **state)
{
    struct conf_template t = parsed("/m/%d/%u"), deep = parsed("/m/%u/%u/%u/%u/%u");
    char address[400], path[CONF_TEMPLATE_PATH_MAX];

    for (int size = 250; size < 260; size++) {
        snprintf(address, sizeof(address), "%0*d@x.test", size, 0);
        assert_int_equal(conf_template_expand(&t, span_from_cstr(address), path),
                         size <= 255 ? 0 : -ENAMETOOLONG);
    }
    memset(address, ':', 86);
    strcpy(address + 86, "@x.test");
    assert_int_equal(conf_template_expand(&t, span_from_cstr(address), path), -ENAMETOOLONG);
    assert_int_equal(conf_template_expand(&t, span_from_cstr(address + 1), path), 0);
    snprintf(address, sizeof(address), "%0*d@x.test", 250, 0);
    assert_int_equal(conf_template_expand(&deep, span_from_cstr(address), path), -ENAMETOOLONG);
    conf_template_done(&t);
    conf_template_done(&deep);
}

/* Any two local parts of up to two bytes that differ not only in case have different paths, and
 * none leaves its place. */
static void one_to_one(void **state)
{
    enum { COUNT = 256 + 256 * 256 };
    struct conf_template t = parsed("/m/%u@%d");
    char(*paths)[32] = calloc(COUNT, sizeof(*paths));
    char path[CONF_TEMPLATE_PATH_MAX];

    for (int i = 0; i < COUNT; i++) {
        char address[8];
        size_t size = 0;
        int two = i - 256;
        if (two >= 0)
            address[size++] = (char)(two >> 8);
        address[size++] = (char)i;
        memcpy(address + size, "@x", 2);
        bool upper = false;
        for (size_t k = 0; k < size; k++)
            upper = upper || address[k] != ascii_lower(address[k]);
        assert_int_equal(conf_template_expand(&t, span_of(address, size + 2), path), 0);
        assert_null(strchr(path, '/'));
        assert_true(path[0] != '.');
        if (!upper)
            strcpy(paths[i], path);
        else
            snprintf(paths[i], 32, "/%d", i); /* folded: not compared */
    }
    qsort(paths, COUNT, sizeof(*paths), (int (*)(const void *, const void *))strcmp);
    for (int i = 1; i < COUNT; i++)
        assert_string_not_equal(paths[i - 1], paths[i]);
    free(paths);
    conf_template_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_and_rest), cmocka_unit_test(refused_templates),
        cmocka_unit_test(expansion),       cmocka_unit_test(refused_addresses),
        cmocka_unit_test(too_long),        cmocka_unit_test(one_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
