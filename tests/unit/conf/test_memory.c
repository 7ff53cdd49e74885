/* Out of memory at any allocation: what wasn't looked at isn't sound. */
#include "../failing_memory.h"
#include "../unit.h"

#include "conf/anchor.h"
#include <errno.h>
#include <stdlib.h>

static const char conflicting[] =
    "hostname: mail.aaa.example\n"
    "listen: { mx: { address: [\"127.0.0.1:25\"] } }\n"
    "domains: { aaa.example: { deliver: \"maildir:/m/%u\", users: /u } }\n"
    "relays: { aaa.example: { to: mx } }\n";

/* Delivered here and carried on: the checks across the file find it, with what memory they get. */
static void parse(void)
{
    struct conf_problems problems;
    struct conf c;

    conf_problems_init(&problems);
    failing_memory_arm();
    int r = conf_parse(span_from_cstr(conflicting), SPAN("f.yaml"), SPAN("/etc"), &problems, &c);
    failing_memory_rest();
    assert_true(r == -EINVAL || r == -ENOMEM);
    assert_true(r != -EINVAL || problems.error_count > 0);
    conf_done(&c);
    conf_problems_done(&problems);
}

static void a_conflict_is_never_overlooked(void **state)
{
    assert_true(failing_memory_each(parse) > 2);
}

static void check_anchor(void)
{
    failing_memory_arm();
    int r = anchor_check(SPAN("; of the root\n. IN SOA . . 1 1 1 1 1\n. IN DS 20326 8 2 E06D\n"));
    failing_memory_rest();
    assert_true(r == 0 || r == -ENOMEM);
}

static void an_anchor_is_not_called_useless_for_want_of_memory(void **state)
{
    assert_true(failing_memory_each(check_anchor) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conflict_is_never_overlooked),
        cmocka_unit_test(an_anchor_is_not_called_useless_for_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
