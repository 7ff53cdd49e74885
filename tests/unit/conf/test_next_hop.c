#include "../unit.h"

#include "conf/next_hop.h"
#include <errno.h>

static const struct {
    const char *text, *canonical; /* NULL: refused */
} cases[] = {
    {"mx", ""},
    {"MX", ""},
    {"mx:Other.Example", "mx:other.example"},
    {"smtp:gate.example", "host:gate.example:25"},
    {"smtp:Gate.Example:2525", "host:gate.example:2525"},
    {"smtp:192.0.2.1", "host:192.0.2.1:25"},
    {"smtp:[2001:db8::1]:26", "host:[2001:db8::1]:26"},
    {"smtp:[2001:DB8:0:0::0:1]", "host:[2001:db8::1]:25"},
    {"SMTP:192.0.2.1:65535", "host:192.0.2.1:65535"},
    {"smtp:b\xc3\xbc"
     "cher.example",
     "host:xn--bcher-kva.example:25"},
    {"smtp:a.example,smtp:b.example:26", "host:a.example:25,b.example:26"},
    {"", NULL},
    {"mx:", NULL},
    {"mx:a b", NULL},
    {"mx:[192.0.2.1]", NULL},
    {"smtp:", NULL},
    {"smtp::25", NULL},
    {"smtp:gate.example:", NULL},
    {"smtp:gate.example:0", NULL},
    {"smtp:gate.example:65536", NULL},
    {"smtp:gate.example:x", NULL},
    {"smtp:2001:db8::1", NULL},
    {"smtp:[192.0.2.1]", NULL},
    {"smtp:a.example,", NULL},
    {"smtp:a.example,b.example", NULL},
    {"gate.example:25", NULL},
    {"return:", NULL},
    {"mx:a.example,mx:b.example", NULL},
    {"mx:a.example:25", NULL},
    {"mx,smtp:a.example", NULL},
    {"smtp:[2001:db8::1]:", NULL},
    {"smtp:[2001:db8::1]25", NULL},
    {"smtp:[2001:db8::1", NULL},
    {"smtp:[]", NULL},
    {"smtp:[a.example]", NULL},
    {"smtp:[::ffff:192.0.2.1]", NULL},
    {"smtp:192.0.2.1:25:26", NULL},
    {"smtp:a.example:-1", NULL},
    {"smtp: a.example", NULL},
    {",smtp:a.example", NULL},
    {"host:gate.example:25", NULL},
};

static void reads_what_people_write(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_LIMITED(100);
        int r = conf_read_next_hop(span_from_cstr(cases[i].text), &out);
        if (r != (cases[i].canonical ? 0 : -EINVAL))
            fail_msg("%s: %d", cases[i].text, r);
        if (r == 0)
            assert_span(buffer_span(&out), cases[i].canonical);
        buffer_done(&out);
    }
}

static void has_a_limit(void **state)
{
    struct buffer out = BUFFER_LIMITED(20);

    assert_int_equal(conf_read_next_hop(SPAN("smtp:a-long-name.example"), &out), -EMSGSIZE);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_people_write),
        cmocka_unit_test(has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
