#include "../unit.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_alarm(int signal_number)
{
}

/* Exits with 0 when `size` bytes in the order of their numbers arrive, a few at a time. */
static void read_slowly(int fd, size_t size)
{
    unsigned char piece[777];
    size_t at = 0;
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0) {
        for (ssize_t i = 0; i < n; i++, at++)
            if (piece[i] != at % 251)
                _exit(1);
        usleep(200);
    }
    _exit(at == size ? 0 : 2);
}

/* More than a pipe holds, while signals break the calls off in the middle. */
static void all_of_it_arrives(void **state)
{
    static unsigned char bytes[300000];
    static const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {0};
    struct sigaction act = {.sa_handler = on_alarm}; /* without SA_RESTART */
    int ends[2], status;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = i % 251;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t reader = fork();
    if (reader == 0) {
        close(ends[1]);
        read_slowly(ends[0], sizeof(bytes));
    }
    assert_true(reader > 0);
    close(ends[0]);
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(fd_write_all(ends[1], span_of(bytes, sizeof(bytes))), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    close(ends[1]);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void what_fails_is_told(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    assert_int_equal(fd_write_all(-1, SPAN("x")), -EBADF);
    assert_int_equal(fd_write_all(-1, SPAN("")), 0);
    assert_true(full >= 0);
    assert_int_equal(fd_write_all(full, SPAN("x")), -ENOSPC);
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_of_it_arrives),
                                       cmocka_unit_test(what_fails_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
