#include "../unit.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Standard error while a test runs; what it got comes back from heard(). */
static int real_stderr, ends[2];

static int listen_to_stderr(void **state)
{
    real_stderr = dup(STDERR_FILENO);
    unsetenv("JOURNAL_STREAM");
    if (real_stderr < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    return dup2(ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int leave_stderr(void **state)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const char *heard(void)
{
    static char text[8192];
    ssize_t size = read(ends[0], text, sizeof(text) - 1);

    text[size > 0 ? size : 0] = '\0';
    return text;
}

/* A line without its process id, which is another each time. */
static const char *after_pid(const char *line)
{
    const char *at = strstr(line, "]: ");
    return at ? at + 3 : "";
}

static void a_line_names_process_and_severity(void **state)
{
    char expected[64];

    log_open("queue", LOG_LEVEL_DEBUG);
    log_warn("disk %s is %d%% full", "a", 90);
    snprintf(expected, sizeof(expected), "queue[%d]: warn: disk a is 90%% full\n", (int)getpid());
    assert_string_equal(heard(), expected);
    log_debug("d");
    log_info("i");
    log_error("e");
    const char *lines = heard();
    assert_non_null(strstr(lines, "debug: d\n"));
    assert_non_null(strstr(lines, "info: i\n"));
    assert_non_null(strstr(lines, "error: e\n"));
}

static void what_is_below_the_level_is_not_written(void **state)
{
    log_open("queue", LOG_LEVEL_ERROR);
    log_debug("d");
    log_info("i");
    log_warn("w");
    assert_string_equal(heard(), "");
    log_error("e");
    assert_string_equal(after_pid(heard()), "error: e\n");
}

static void the_journal_gets_priorities(void **state)
{
    char stream[64];
    struct stat st;

    assert_int_equal(fstat(ends[1], &st), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open("queue", LOG_LEVEL_INFO);
    log_error("e");
    assert_memory_equal(heard(), "<3>queue[", 9);
    log_info("i");
    assert_memory_equal(heard(), "<6>queue[", 9);
}

/* The variable is inherited also by who writes elsewhere. */
static void nobody_else_gets_priorities(void **state)
{
    char other_device[64], other_inode[64], more[64];
    struct stat st;

    assert_int_equal(fstat(ends[1], &st), 0);
    uintmax_t device = st.st_dev, inode = st.st_ino;
    snprintf(other_device, sizeof(other_device), "%ju:%ju", device + 1, inode);
    snprintf(other_inode, sizeof(other_inode), "%ju:%ju", device, inode + 1);
    snprintf(more, sizeof(more), "%ju:%ju:", device, inode);
    const char *streams[] = {other_device, other_inode, more, "", ":", "8", "8:", ":8", "a:b"};
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        setenv("JOURNAL_STREAM", streams[i], 1);
        log_open("queue", LOG_LEVEL_INFO);
        log_error("e");
        assert_memory_equal(heard(), "queue[", 6);
    }
}

static void strangers_text_can_not_act(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"a\r\nqueue[1]: info: forged", "a\\x0d\\x0aqueue[1]: info: forged"},
        {"\x1b[2J", "\\x1b[2J"},
        {"\x7f", "\\x7f"},
        {"grüße.example", "grüße.example"},
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b2J"}, /* CSI of one character, as UTF-8 */
        {"\x9b"
         "2J",
         "\\x9b2J"},
        {"\xe2\x80\xae"
         "moc.rednu",
         "\\xe2\\x80\\xaemoc.rednu"}, /* reads from right to left */
        {"back\\slash", "back\\slash"},
    };

    log_open("queue", LOG_LEVEL_INFO);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char expected[128];
        log_info("%s", cases[i].text);
        snprintf(expected, sizeof(expected), "info: %s\n", cases[i].shown);
        assert_string_equal(after_pid(heard()), expected);
    }
}

/* It would hang here. */
static void a_reader_that_does_not_read_costs_lines_only(void **state)
{
    static char text[1 << 20];
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    dup2(fds[1], STDERR_FILENO);
    log_open("queue", LOG_LEVEL_INFO);
    log_never_wait();
    alarm(60);
    for (int i = 0; i < 10000; i++)
        log_info("line %d of many that are long enough for the pipe to be full before the end", i);
    alarm(0);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 60000);
    assert_null(strstr(text, "lost"));
    log_info("it reads again");
    memset(text, 0, sizeof(text));
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, " lines of the log were lost"));
    assert_non_null(strstr(text, "info: it reads again"));
    dup2(ends[1], STDERR_FILENO);
    assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK); /* whoever else writes there may wait */
    close(fds[0]);
    close(fds[1]);
}

/* Also where the cut would fall into a character or an escape. */
static void a_long_line_is_cut_and_still_ends(void **state)
{
    static const char *const units[] = {"x", "\n", "ü", "\xf0\x9f\x93\xae"};
    char text[8000];

    log_open("queue", LOG_LEVEL_INFO);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        size_t size = strlen(units[i]);
        for (size_t at = 0; at + size < sizeof(text); at += size)
            memcpy(text + at, units[i], size + 1);
        log_info("%s", text);
        const char *line = heard();
        assert_in_range(strlen(line), 2000, 2048);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    }
}

static int status_of(void (*end)(const char *format, ...))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        end("no way on");
        _exit(77);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void fatal_exits_and_panic_aborts(void **state)
{
    log_open("queue", LOG_LEVEL_ERROR);
    int status = status_of(log_fatal);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_string_equal(after_pid(heard()), "fatal: no way on\n");
    status = status_of(log_panic);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_string_equal(after_pid(heard()), "panic: no way on\n");
}

/* %m must tell of the caller's errno, whatever the log itself has called before. */
static void errno_reaches_the_format(void **state)
{
    log_open("queue", LOG_LEVEL_INFO);
    errno = ENOSPC;
    log_info("write: %m");
    assert_string_equal(after_pid(heard()), "info: write: No space left on device\n");
}

#define HEARD(test) cmocka_unit_test_setup_teardown(test, listen_to_stderr, leave_stderr)

static void a_person_is_told_seldom(void **state)
{
    struct log_seldom trouble = {0};

    assert_true(log_is_due(&trouble, 5));
    assert_false(log_is_due(&trouble, 6));
    assert_false(log_is_due(&trouble, 600004));
    assert_true(log_is_due(&trouble, 600005));
    assert_int_equal(trouble.told, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEARD(a_line_names_process_and_severity),
        HEARD(what_is_below_the_level_is_not_written),
        HEARD(the_journal_gets_priorities),
        HEARD(nobody_else_gets_priorities),
        HEARD(strangers_text_can_not_act),
        HEARD(a_long_line_is_cut_and_still_ends),
        HEARD(fatal_exits_and_panic_aborts),
        HEARD(errno_reaches_the_format),
        HEARD(a_reader_that_does_not_read_costs_lines_only),
        cmocka_unit_test(a_person_is_told_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
