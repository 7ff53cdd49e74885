/* When the supervisor says that nobody collects the drop folder. */
#include "../../unit.h"

#include "proc/supervisor/supervisor.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/postbuch-test-XXXXXX";

static int setup(void **state)
{
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static void put(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void take(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static int teardown(void **state)
{
    return rmdir(folder);
}

enum { NAMES_MAX = 8 };

static bool look(struct drop_wait *w, int64_t now_ms)
{
    return drop_wait_look(w, folder, now_ms, NAMES_MAX);
}

/* A short one. */
static void pass(struct drop_wait *w, int64_t now_ms)
{
    drop_wait_pass_begins(w, now_ms);
    drop_wait_pass_ended(w);
}

/* After minutes in which it lay there as it was, and not before. */
static void one_that_stays(void **state)
{
    struct drop_wait w = {0};

    assert_false(look(&w, 1000));
    put("mail.a");
    assert_true(look(&w, 10000000));
    assert_string_equal(w.letter, "mail.a");
    pass(&w, 10000000);
    assert_true(look(&w, 10000000 + DROP_PATIENCE_MS - 1));
    assert_false(w.stuck);
    assert_true(look(&w, 10000000 + DROP_PATIENCE_MS));
    assert_true(w.stuck);
    take("mail.a");
    assert_false(look(&w, 10000001 + DROP_PATIENCE_MS));
    assert_false(w.stuck);
}

/* No pass comes to it while the server isn't ready. */
static void one_that_nobody_may_collect(void **state)
{
    struct drop_wait w = {.barred = true};

    put("mail.a");
    assert_true(look(&w, 1000));
    assert_true(look(&w, 1000 + DROP_PATIENCE_MS));
    assert_true(w.stuck);
    take("mail.a");
}

/* Others that come and go meanwhile don't hide it; and it isn't said of them. */
static void one_among_others(void **state)
{
    struct drop_wait w = {0};

    put("mail.stays");
    look(&w, 1000);
    pass(&w, 1000);
    put("mail.b");
    put("mail.c");
    look(&w, 1000 + DROP_PATIENCE_MS / 2);
    take("mail.b");
    look(&w, 1000 + DROP_PATIENCE_MS);
    assert_true(w.stuck);
    take("mail.stays");
    assert_true(look(&w, 2000 + DROP_PATIENCE_MS));
    assert_string_equal(w.letter, "mail.c");
    assert_false(w.stuck);
    take("mail.c");
}

/* A pass over many letters lasts longer than anybody's patience: who is in it may have his turn
 * yet, and who came after it began has the next one. */
static void a_long_pass(void **state)
{
    enum { EARLY = 1000, LATE = EARLY + 2 * DROP_PATIENCE_MS };
    struct drop_wait w = {0};

    drop_wait_pass_begins(&w, EARLY);
    put("mail.a");
    look(&w, EARLY + 1);
    look(&w, LATE);
    assert_false(w.stuck);
    drop_wait_pass_ended(&w);
    look(&w, LATE);
    assert_false(w.stuck);
    drop_wait_pass_begins(&w, LATE);
    look(&w, LATE + 1);
    assert_false(w.stuck);
    look(&w, LATE + DROP_PASS_MS - 1);
    assert_false(w.stuck);
    look(&w, LATE + DROP_PASS_MS); /* it hangs */
    assert_true(w.stuck);
    drop_wait_pass_ended(&w);
    drop_wait_pass_begins(&w, LATE + DROP_PASS_MS);
    look(&w, LATE + DROP_PASS_MS);
    assert_true(w.stuck); /* until it goes */
    drop_wait_pass_ended(&w);
    take("mail.a");
    put("mail.b"); /* what another letter's pass was is none of its own */
    look(&w, LATE + 2 * DROP_PASS_MS);
    look(&w, LATE + 3 * DROP_PASS_MS);
    assert_false(w.stuck);
    take("mail.b");
}

/* What was put off is tried, what is aside or half written is no mail that waits. */
static void other_names(void **state)
{
    struct drop_wait w = {0};

    put("tmp.a");
    put("aside.b");
    assert_false(look(&w, 1000));
    put("mail.since-1-1.c");
    assert_true(look(&w, 1000));
    assert_true(look(&w, 2000 + DROP_PATIENCE_MS));
    assert_false(w.stuck);
    take("tmp.a");
    take("aside.b");
    take("mail.since-1-1.c");
}

static void put_many(unsigned count, void (*act)(const char *name))
{
    char name[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "x%u", i);
        act(name);
    }
}

/* Names that any user makes hide no letter: where not all are read there may be mail, and the one
 * that was seen is found among however many. "." and ".." are names, too. */
static void among_too_many(void **state)
{
    struct drop_wait w = {0};

    put_many(NAMES_MAX - 2, put);
    assert_false(look(&w, 1000));
    assert_false(w.crowded);
    put("aside.one-more");
    assert_true(look(&w, 1000));
    assert_true(w.crowded);
    w.told_crowded = true;
    assert_true(look(&w, 2000));
    assert_true(w.told_crowded);
    put_many(NAMES_MAX - 2, take);
    assert_false(look(&w, 3000));
    assert_false(w.crowded || w.told_crowded);

    put("mail.a");
    assert_true(look(&w, 10000));
    pass(&w, 10000);
    put_many(5 * NAMES_MAX, put);
    assert_true(look(&w, 10000 + DROP_PATIENCE_MS));
    assert_string_equal(w.letter, "mail.a");
    assert_true(w.stuck);
    take("mail.a");
    put_many(5 * NAMES_MAX, take);
    take("aside.one-more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_nobody_may_collect, setup, teardown),
        cmocka_unit_test_setup_teardown(one_among_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(other_names, setup, teardown),
        cmocka_unit_test_setup_teardown(among_too_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
