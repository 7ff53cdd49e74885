#include "../../failing_memory.h"
#include "directory_test.h"

#include <errno.h>
#include <fcntl.h>

static void files_become_a_table(void **state)
{
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;

    generation_from(&g, &part, "anna@a.test:*:\n", "info: anna\n", (struct conf_client_limits){0});
    assert_int_equal(generation_finish(&g), 0);
    assert_int_equal(g.conf.generation, 5);
    assert_int_equal(people_user_count(g.people), 1);
    assert_int_equal(people_alias_count(g.people), 3); /* info, postmaster, abuse */
    assert_null(g.files);
    generation_done(&g);
    buffer_done(&part);
}

static void errors_leave_no_table(void **state)
{
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;

    generation_from(&g, &part, "anna\n", "", (struct conf_client_limits){0});
    assert_int_equal(generation_finish(&g), -EINVAL);
    assert_null(g.people);
    /* The same memory serves the next attempt. */
    generation_from(&g, &part, "anna@a.test:*:\n", "", (struct conf_client_limits){0});
    assert_int_equal(generation_finish(&g), 0);
    assert_non_null(g.people);
    generation_done(&g);
    buffer_done(&part);
}

/* People must not become unknown because a disk failed. */
static void an_unreadable_file_leaves_no_table(void **state)
{
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;

    generation_from(&g, &part, "anna@a.test:*:\n", "", (struct conf_client_limits){0});
    assert_int_equal(generation_add_file(&g, SPAN("/x"), open("/", O_RDONLY)), 0);
    assert_int_equal(generation_finish(&g), -EINVAL);
    assert_null(g.people);
    generation_done(&g);
    buffer_done(&part);
}

/* Whoever says -EINVAL isn't sent the files again. The first allocations are the file's entry. */
static void a_file_without_memory_is_wanted_again(void **state)
{
    char text[3000];
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;
    bool was_cut = false;

    memset(text, '#', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (long n = 0; n < 4; n++) {
        generation_from(&g, &part, "anna@a.test:*:\n", "", (struct conf_client_limits){0});
        failing_memory.countdown = n;
        failing_memory_arm();
        int r = generation_add_file(&g, SPAN("/x"), text_fd(text));
        failing_memory_rest();
        bool failed = failing_memory.countdown < 0;
        failing_memory.countdown = -1;
        was_cut = was_cut || (failed && r == 0);
        if (r == 0)
            assert_int_equal(generation_finish(&g), failed ? -ENOMEM : 0);
        else
            assert_int_equal(r, -ENOMEM);
        generation_done(&g);
    }
    assert_true(was_cut);
    buffer_done(&part);
}

/* Other domains, and the aliases, are good without it. */
static void an_empty_file_leaves_a_table(void **state)
{
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;

    generation_from(&g, &part, "", "info: x@y.test\n", (struct conf_client_limits){0});
    assert_int_equal(generation_finish(&g), 0);
    assert_int_equal(people_unsure_count(g.people), 1);
    generation_done(&g);
    buffer_done(&part);
}

static bool logs(struct generation *g, const char *what)
{
    int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
    char text[4096];

    assert_true(log >= 0 && saved >= 0 && dup2(log, STDERR_FILENO) >= 0);
    assert_int_equal(generation_finish(g), -EINVAL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = pread(log, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    close(log);
    return strstr(text, what) != NULL;
}

/* Who put users "back" into a file that only couldn't be read would have them twice. */
static void a_file_that_did_not_come_is_not_called_empty(void **state)
{
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;

    for (int i = 0; i < 2; i++) {
        generation_from(&g, &part, "", "", (struct conf_client_limits){0});
        g.files = NULL; /* they hold nothing that would have to be freed */
        assert_int_equal(logs(&g, i ? "the file is empty" : "didn't arrive"), i == 0);
        generation_done(&g);
    }
    buffer_done(&part);
}

static void a_missing_file_leaves_no_table(void **state)
{
    struct generation g = {0};
    struct buffer part = BUFFER_INIT;

    generation_from(&g, &part, "anna@a.test:*:\n", "", (struct conf_client_limits){0});
    g.files = g.files->next; /* the aliases, added last */
    assert_int_equal(generation_finish(&g), -EINVAL);
    assert_null(g.people);
    generation_done(&g);
    buffer_done(&part);
}

static void a_damaged_part_is_refused(void **state)
{
    struct generation g = {0};

    assert_int_equal(generation_begin(&g, SPAN("\x01\x02\x03")), -EBADMSG);
    generation_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_become_a_table),
        cmocka_unit_test(errors_leave_no_table),
        cmocka_unit_test(an_unreadable_file_leaves_no_table),
        cmocka_unit_test(a_file_without_memory_is_wanted_again),
        cmocka_unit_test(an_empty_file_leaves_a_table),
        cmocka_unit_test(a_file_that_did_not_come_is_not_called_empty),
        cmocka_unit_test(a_missing_file_leaves_no_table),
        cmocka_unit_test(a_damaged_part_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
