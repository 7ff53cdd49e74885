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

/* After minutes in which it lay there as it was, and not before. */
static void one_that_stays(void **state)
{
    struct drop_wait w = {0};

    assert_false(drop_wait_look(&w, folder, 1000));
    put("mail.a");
    assert_true(drop_wait_look(&w, folder, 10000000));
    assert_string_equal(w.letter, "mail.a");
    assert_true(drop_wait_look(&w, folder, 10000000 + DROP_PATIENCE_MS - 1));
    assert_false(w.stuck);
    assert_true(drop_wait_look(&w, folder, 10000000 + DROP_PATIENCE_MS));
    assert_true(w.stuck);
    take("mail.a");
    assert_false(drop_wait_look(&w, folder, 10000001 + DROP_PATIENCE_MS));
    assert_false(w.stuck);
}

/* Others that come and go meanwhile don't hide it; and it isn't said of them. */
static void one_among_others(void **state)
{
    struct drop_wait w = {0};

    put("mail.stays");
    drop_wait_look(&w, folder, 1000);
    put("mail.b");
    put("mail.c");
    drop_wait_look(&w, folder, 1000 + DROP_PATIENCE_MS / 2);
    take("mail.b");
    drop_wait_look(&w, folder, 1000 + DROP_PATIENCE_MS);
    assert_true(w.stuck);
    take("mail.stays");
    assert_true(drop_wait_look(&w, folder, 2000 + DROP_PATIENCE_MS));
    assert_string_equal(w.letter, "mail.c");
    assert_false(w.stuck);
    take("mail.c");
}

/* What was put off is tried, what is aside or half written is no mail that waits. */
static void other_names(void **state)
{
    struct drop_wait w = {0};

    put("tmp.a");
    put("aside.b");
    assert_false(drop_wait_look(&w, folder, 1000));
    put("mail.since-1-1.c");
    assert_true(drop_wait_look(&w, folder, 1000));
    assert_true(drop_wait_look(&w, folder, 2000 + DROP_PATIENCE_MS));
    assert_false(w.stuck);
    take("tmp.a");
    take("aside.b");
    take("mail.since-1-1.c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(one_among_others, setup, teardown),
        cmocka_unit_test_setup_teardown(other_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
