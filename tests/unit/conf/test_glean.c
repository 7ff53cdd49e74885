/* Where the server is, by configurations with errors; and when that can't be known. */
#include "../unit.h"

#include "conf/glean.h"
#include <errno.h>

#define H "hostname: h.example\n"
#define PLACES "spool: /s\nledger: /l\ncontrol: /c\ndrop: /d\n"

static void places(void **state)
{
    static const struct {
        const char *name, *text;
        const char *control, *drop; /* NULL: it can't be known */
        const char *domain;         /* the first; "": none; NULL: can't be known */
    } cases[] = {
        {"no error", "hostname: h.example\ncontrol: /c\ndrop: d\ndomains: {a.example: {}}\n", "/c",
         "/etc/d", "a.example"},
        {"nothing that is needed", "retry: 3\n", "/run/postbuch/control",
         "/var/spool/postbuch-drop", NULL},
        {"an empty file", "", "/run/postbuch/control", "/var/spool/postbuch-drop", NULL},
        {"errors in values", H "control: /c\nlimits: {recipients: many}\nretry: 3\ndrop: /d\n",
         "/c", "/d", ""},
        {"an error in a domain", H "domains:\n  a.example:\n    delivr: x\n  b.example: y\n",
         "/run/postbuch/control", "/var/spool/postbuch-drop", "a.example"},
        {"no YAML",
         "# the control socket\ncontrol: /c\n" H "retry: \"h.example\ndrop: /d\n"
         "domains:\n  a.example:\n    users: /u\n",
         "/c", "/d", "a.example"},
        {"no YAML, with other words", "control: /c\ndrop: /d\nhostname: \"h # no control\n", NULL},
        {"a tab", H "control: /c\nlisten:\n\tmx: 1\ndrop: /d\n", "/c", "/d", ""},
        {"no YAML in the domains", H "control: /c\ndomains:\n  a.example: [\ndrop: /d\n", "/c",
         "/d", NULL},
        {"brackets over lines", H "control: /c\nlisten: {\n  a: b,\n}\nretry: [\ndrop: /d\n", "/c",
         "/d", ""},
        {"the first domain's name", H "domains:\n  a..example: {}\n  b.example: {}\n",
         "/run/postbuch/control", "/var/spool/postbuch-drop", NULL},
        {"the first domain twice",
         H "domains:\n  a.example: {}\n  a.example: {}\n  b.example: {}\n", "/run/postbuch/control",
         "/var/spool/postbuch-drop", NULL},
        {"domains, and no map", H "domains: a.example\n", "/run/postbuch/control",
         "/var/spool/postbuch-drop", NULL},
        {"domains, and none", H "domains: {}\n", "/run/postbuch/control",
         "/var/spool/postbuch-drop", NULL},
        {"a hostname that is none", "hostname: [h]\ndomains: {a.example: {}}\n",
         "/run/postbuch/control", "/var/spool/postbuch-drop", NULL},
        {"a hostname in no YAML",
         "spool: /s\nhostname: \"h.example\ndomains:\n  a.example: {}\ndrop: /d\n",
         "/run/postbuch/control", "/d", NULL},
        {"two hostnames", "hostname: h.example\nhostname: a.example\ndomains: {a.example: {}}\n",
         "/run/postbuch/control", "/var/spool/postbuch-drop", NULL},
        {"a slip in the domains' name", PLACES H "domain:\n  a.example: {}\n", "/c", "/d", NULL},
        {"the same beside others", PLACES H "domain: {a.example: {}}\ndomains: {b.example: {}}\n",
         "/c", "/d", NULL},
        {"the same in no YAML", PLACES H "domain:\n  a.example: [\nretry: 3\n", "/c", "/d", NULL},
        {"a text can't mean the domains", PLACES H "foo: bar\ndomains: {b.example: {}}\n", "/c",
         "/d", "b.example"},
        {"the place itself", "control: /c\ndrop: [/d]\n", NULL},
        {"the place without a value", "control:\ndrop: /d\n", NULL},
        {"the place in no YAML", "control: /c\ndrop: \"/d\n", NULL},
        {"the place twice", "drop: /d\ncontrol: /c\ndrop: /e\n", NULL},
        {"the place twice in no YAML", "drop: /d\nfoo: [\ncontrol: /c\ndrop: /e\n", NULL},
        {"a slip in its name", "control: /c\ndrp: /d\n", NULL},
        {"a slip in its name, and no path in its value",
         "spool: /s\nledger: /l\ndrop: /d\ncontrl: c\n", NULL},
        {"a slip in its name, and no value", "contrl:\n", NULL},
        {"a slip in its name, in no YAML", "contrl: c\nhostname: \"h\n", NULL},
        {"a slip in its name, that itself is no YAML", "spool: /s\ncontrl: \"c\n", NULL},
        {"any unknown key, where a place has its default", "control: /c\nfoo: bar\ndrop: /d\n",
         NULL},
        {"a slip that can't mean it", PLACES "postmster: a/b\n", "/c", "/d", NULL},
        {"indented", "hostname: h.example\n control: /c\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf c = {0};
        bool domains_known;
        int r = conf_glean_text(span_from_cstr(cases[i].text), SPAN("f.yaml"), SPAN("/etc"), &c,
                                &domains_known);
        print_message("%s\n", cases[i].name);
        assert_int_equal(r, cases[i].control ? 0 : -EINVAL);
        if (r < 0)
            continue;
        assert_span(c.control, cases[i].control);
        assert_span(c.drop, cases[i].drop);
        assert_int_equal(domains_known, cases[i].domain != NULL);
        if (domains_known)
            assert_span(c.domain_count ? c.domains[0].name : SPAN(""), cases[i].domain);
        conf_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
