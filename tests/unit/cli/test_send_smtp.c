/* `send -bs` between a script and a server. */
#include "command_run.h"

#include "cli/send_smtp.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LINES = 100000 };

static char submit[96];

/* Answers each line, and reads no other before somebody took the answer, as servers may. */
static void *answer(void *arg)
{
    int *listener = arg;
    int fd = accept4(*listener, NULL, NULL, SOCK_CLOEXEC);
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char line[64];

    fputs("220 here\r\n", out);
    fflush(out);
    while (fgets(line, sizeof(line), in)) {
        fprintf(out, "250 heard %s", line);
        fflush(out);
    }
    fclose(in);
    fclose(out);
    return NULL;
}

static int listen_here(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    path_of("submit", submit);
    strcpy(address.sun_path, submit);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    return listener;
}

static int speak(void)
{
    int listener = listen_here();
    pthread_t server;

    assert_int_equal(pthread_create(&server, NULL, answer, &listener), 0);
    int out = redirect(1, "output", O_WRONLY | O_TRUNC), in = redirect(0, "input", O_RDONLY);
    int code = send_speak_smtp(submit);
    restore(out, 1);
    restore(in, 0);
    pthread_join(server, NULL);
    close(listener);
    unlink(submit);
    return code;
}

static void write_lines(int count, const char *end)
{
    char path[96];

    path_of("input", path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < count; i++)
        fprintf(f, "%d%s", i, end);
    fclose(f);
}

static void assert_answers(int count)
{
    char path[96], line[64], expected[64];

    path_of("output", path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_string_equal(fgets(line, sizeof(line), f), "220 here\r\n");
    for (int i = 0; i < count; i++) {
        snprintf(expected, sizeof(expected), "250 heard %d\r\n", i);
        assert_string_equal(fgets(line, sizeof(line), f), expected);
    }
    assert_null(fgets(line, sizeof(line), f));
    fclose(f);
}

static void both_ends_of_lines(void **state)
{
    fflush(stdout);
    write_lines(3, "\n");
    assert_int_equal(speak(), CLI_OK);
    assert_answers(3);
    write_lines(3, "\r\n");
    assert_int_equal(speak(), CLI_OK);
    assert_answers(3);
}

/* Far more than the socket holds in either direction. */
static void who_says_much_at_once_is_answered_to_the_end(void **state)
{
    fflush(stdout);
    write_lines(LINES, "\n");
    assert_int_equal(speak(), CLI_OK);
    assert_answers(LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_lines),
        cmocka_unit_test(who_says_much_at_once_is_answered_to_the_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
