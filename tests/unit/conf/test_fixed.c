/* What a reload can't change keeps its value, and is told at its key. */
#include "problems.h"

#include "conf/conf.h"

static const char before[] = "hostname: a.example\n"
                             "spool: file:/s\n"
                             "spool_segment_size: 64M\n"
                             "ledger: /l\n"
                             "sandbox: kill\n"
                             "mailbox: { threads: 4 }\n"
                             "users: { queue: q, network: n, directory: d, mailbox: m }\n";

static void assert_kept(const char *name, const char *then_text, const char *expected, size_t count)
{
    struct conf_problems problems;
    struct conf running, coming;
    size_t kept = 99;

    conf_problems_init(&problems);
    parse_sound(before, &running);
    parse_sound(then_text, &coming);
    assert_int_equal(conf_keep_fixed(&running, &coming, &problems, &kept), 0);
    assert_int_equal(kept, count);
    assert_problems(&problems, name, expected);
    conf_done(&running); /* nothing of it may be needed still */
    assert_span(coming.spool, "/s");
    assert_span(coming.ledger, "/l");
    assert_int_equal(coming.segment_size, 64 << 20);
    assert_int_equal(coming.sandbox, CONF_SANDBOX_KILL);
    assert_int_equal(coming.mailbox_threads, 4);
    assert_span(coming.users[CONF_USER_QUEUE], "q");
    assert_span(coming.users[CONF_USER_NETWORK], "n");
    assert_span(coming.users[CONF_USER_DIRECTORY], "d");
    assert_span(coming.users[CONF_USER_MAILBOX], "m");
    conf_done(&coming);
    conf_problems_done(&problems);
}

static void what_stays_the_same_is_not_told(void **state)
{
    assert_kept("the same", before, "", 0);
}

static void each_key_is_told_at_its_place(void **state)
{
    assert_kept("all others",
                "hostname: b.example\n"
                "spool: file:/s2\n"
                "spool_segment_size: 16M\n"
                "ledger: l2\n"
                "sandbox: errno\n"
                "mailbox: { threads: 8 }\n"
                "users:\n"
                "  mailbox: m2\n"
                "  directory: d2\n"
                "  network: n2\n"
                "  queue: q2\n",
                "2:1: warning: `spool` can't be changed by a reload: it stays `/s` until\n"
                "3:1: warning: `spool_segment_size` can't be changed by a reload\n"
                "4:1: warning: `ledger` can't be changed by a reload: it stays `/l` until\n"
                "5:1: warning: `sandbox` can't be changed by a reload\n"
                "6:12: warning: `mailbox: threads` can't be changed by a reload\n"
                "8:3: warning: `users: mailbox` can't be changed by a reload: it stays `m` until\n"
                "9:3: warning: `users: directory` can't be changed by a reload: it stays `d`\n"
                "10:3: warning: `users: network` can't be changed by a reload: it stays `n`\n"
                "11:3: warning: `users: queue` can't be changed by a reload: it stays `q` until\n",
                9);
}

/* The default comes back: told at the file's start, for there is no key. */
static void a_key_that_was_taken_out(void **state)
{
    assert_kept("taken out",
                "hostname: a.example\n"
                "ledger: /l\n"
                "users: { queue: q, network: n, mailbox: m }\n",
                "1:1: warning: `spool` can't be changed by a reload: it stays `/s` until\n"
                "3:1: warning: `users: directory` can't be changed by a reload: it stays `d`\n",
                2);
}

/* Its own words are sound, and the server would go on with both in one folder. */
static void what_is_new_may_not_take_the_path_of_what_stays(void **state)
{
    assert_kept("a taken path",
                "hostname: a.example\n"
                "spool: file:/s2\n"
                "drop: /s\n"
                "spool_segment_size: 64M\n"
                "ledger: /l\n"
                "sandbox: kill\n"
                "mailbox: { threads: 4 }\n"
                "users: { queue: q, network: n, directory: d, mailbox: m }\n",
                "2:1: warning: `spool` can't be changed by a reload: it stays `/s` until\n"
                "3:1: error: `drop` and `spool` are the same path; give each its own\n",
                1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_the_same_is_not_told),
        cmocka_unit_test(each_key_is_told_at_its_place),
        cmocka_unit_test(a_key_that_was_taken_out),
        cmocka_unit_test(what_is_new_may_not_take_the_path_of_what_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
