/* Each case in a process of its own: what was given up doesn't come back. */
#include "../../unit.h"

#include "proc/common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int opened; /* a descriptor or -errno, by a thread */

static void *open_users(void *arg)
{
    int fd = open("/etc/passwd", O_RDONLY);
    opened = fd < 0 ? -errno : fd;
    return NULL;
}

static void *idle(void *arg)
{
    pause();
    return NULL;
}

static pthread_t thread;

static int start_thread(void *arg)
{
    return -pthread_create(&thread, NULL, arg, NULL);
}

static void enter(int (*start_threads)(void *arg), void *arg)
{
    const struct sandbox sandbox = {.uid = SANDBOX_STAY,
                                    .gid = SANDBOX_STAY,
                                    .root_fd = -1,
                                    .syscalls = sandbox_file_syscalls,
                                    .syscall_count = sandbox_file_syscall_count,
                                    .start_threads = start_threads,
                                    .arg = arg};
    sandbox_enter(&sandbox);
}

/* How the process ended that ran it. */
static int run(void (*in_child)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        in_child();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void enter_with_a_thread(void)
{
    start_thread(idle);
    enter(NULL, NULL);
}

static void a_thread_may_not_be_there_before(void **state)
{
    int status = run(enter_with_a_thread);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void enter_and_start_a_thread(void)
{
    enter(start_thread, open_users);
    pthread_join(thread, NULL);
    _exit(opened == -EACCES ? 0 : 1);
}

static void a_thread_is_behind_the_walls(void **state)
{
    int status = run(enter_and_start_a_thread);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void touch_output(void)
{
    enter(NULL, NULL);
    _exit(dup(STDOUT_FILENO) < 0 && errno == EPERM && lseek(STDERR_FILENO, 0, SEEK_CUR) < 0 &&
                  errno == EPERM && write(STDERR_FILENO, "", 0) == 0
              ? 0
              : 1);
}

static void the_log_is_written_and_nothing_else(void **state)
{
    int status = run(touch_output);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_may_not_be_there_before),
        cmocka_unit_test(a_thread_is_behind_the_walls),
        cmocka_unit_test(the_log_is_written_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
