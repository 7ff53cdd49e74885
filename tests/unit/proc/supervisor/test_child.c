/* How a process ended, and what is said of it. */
#include "../../unit.h"

#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <signal.h>
#include <stdio.h>

static struct supervisor supervisor;
static struct child *const child = &supervisor.children[0];
static char error_text[200];

void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error_text, sizeof(error_text), format, args);
    va_end(args);
}

/* ---- what the supervisor's other parts would do ---- */

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    return 0;
}

void readiness_look(struct supervisor *s)
{
}

static void on_restart(void *arg)
{
}

static void an_end_in_order_is_no_error(void **state)
{
    static const struct {
        int status; /* as waitpid(2) says it */
        bool stopping;
        const char *error;
    } cases[] = {
        {0, true, ""},
        {0, false, ""},
        {1 << 8, false, "directory[100] exited with status 1"},
        {1 << 8, true, "directory[100] exited with status 1"},
        {SIGSEGV, false, "directory[100] was killed by signal 11 (Segmentation fault)"},
    };

    log_open("test", LOG_LEVEL_ERROR + 1);
    assert_int_equal(io_loop_new(&supervisor.loop), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        *child = (struct child){.supervisor = &supervisor,
                                .kind = &kinds[0],
                                .pid = 100,
                                .stopping = cases[i].stopping};
        assert_int_equal(io_timer_new(supervisor.loop, on_restart, child, &child->restart), 0);
        error_text[0] = '\0';
        child_ended(child, cases[i].status);
        assert_string_equal(error_text, cases[i].error);
        assert_int_equal(child->pause_ms != 0, !cases[i].stopping); /* is it started again? */
        io_timer_free(child->restart);
    }
    io_loop_free(supervisor.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_end_in_order_is_no_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
