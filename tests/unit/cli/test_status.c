#include "../unit.h"

#include "cli/status_print.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW_US INT64_C(1795284063000000)

/* What `print` writes to standard output, to be freed. */
static char *printed(json_t *status, bool figures)
{
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    char *text = calloc(1, 8192);

    assert_non_null(file);
    assert_non_null(text);
    assert_non_null(status);
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    if (figures)
        assert_int_equal(status_print_figures(status), 0);
    else
        status_print_health(status, NOW_US);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

#define PROCESS(NAME, INDEX, READY, STARTS, FIGURES)                                               \
    "{\"name\":\"" NAME "\",\"index\":" INDEX ",\"pid\":1,\"ready\":" READY ",\"starts\":" STARTS  \
    ",\"figures\":" FIGURES "}"
#define STATUS(PROCESSES)                                                                          \
    "{\"version\":\"1.2\",\"started\":\"2026-11-21T18:00:03.120Z\",\"generation\":2,"              \
    "\"processes\":[" PROCESSES "]}"
#define SMTPD                                                                                      \
    PROCESS("smtpd", "0", "true", "1", "{\"refusals\":3}")                                         \
    "," PROCESS("smtpd", "1", "true", "1", "{\"refusals\":4}")
#define FULL(FULL)                                                                                 \
    "{\"processes\":[" WELL_BOOK "," WELL_QUEUE                                                    \
    "," PROCESS("smtpd", "0", "true", "1", "{\"full\":" FULL "}") "," PROCESS(                     \
        "smtpd", "1", "true", "1", "{\"full\":false}") "]}"
#define SPOOL(ASIDE, LAG)                                                                          \
    "\"spool\":{\"messages\":1,\"waiting\":2,\"held\":1,\"set_aside\":" ASIDE                      \
    ",\"book_lag_segments\":" LAG "}"

#define WELL_BOOK PROCESS("book", "0", "true", "1", "{\"trouble\":\"none\"}")
#define WELL_QUEUE PROCESS("queue", "0", "true", "1", "{\"spool\":{\"messages\":1,\"waiting\":1}}")
/* All is well but for the directory's figures and what stands beside the processes. */
#define WELL(DIRECTORY, BESIDE)                                                                    \
    "{\"processes\":[" PROCESS("directory", "0", "true", "1",                                      \
                               DIRECTORY) "," WELL_BOOK "," WELL_QUEUE "]" BESIDE "}"
/* All is well but for what else the queue counts. */
#define QUEUE(FIGURES)                                                                             \
    "{\"processes\":[" WELL_BOOK "," PROCESS(                                                      \
        "queue", "0", "true", "1", "{\"spool\":{\"messages\":1,\"waiting\":1}," FIGURES "}") "]}"
#define REPORTS(FAILED, UNDER_WAY, TROUBLE)                                                        \
    "\"reports\":{\"failed\":" FAILED ",\"delayed\":0,\"receipts\":0,\"under_way\":" UNDER_WAY     \
    ",\"put_off\":0,\"trouble\":\"" TROUBLE "\"}"

static void health(void **state)
{
    static const struct {
        const char *status;
        const char *has[4];
        bool bad;
    } cases[] = {
        {STATUS(SMTPD "," PROCESS("book", "0", "true", "1", "{\"trouble\":\"none\"}") "," PROCESS(
             "queue", "0", "true", "1",
             "{\"accepted\":1,\"defers\":false,\"overdue\":0," SPOOL("0", "1") "}")),
         {"Postbuch 1.2 runs since 2026-11-21 19:00:03, for 59s, configuration generation 2",
          "Processes  4 of 4 ready\nNew mail   is taken\n",
          "Waiting    2 recipients of 1 message, 1 held\nBook       up to date\n",
          "Received   1 message, and 7 refusals\n"}},
        {FULL("false"), {"New mail   is taken\n"}},
        {FULL("true"),
         {"New mail   is taken, but 1 of 2 smtpd have all connections that they may have"},
         true},
        {STATUS(PROCESS("book", "0", "true", "1", "{\"trouble\":\"log\"}") "," PROCESS(
             "queue", "0", "true", "3",
             "{\"defers\":true,\"defers_why\":\"disk\\u001b\",\"overdue\":4," SPOOL("2", "9") "}")),
         {"2 of 2 ready, 2 restarts\n", "is deferred: disk\\x1b\n",
          "; 4 overdue (postbuch audit names them); 2 messages damaged and set aside",
          "Book       stands still: the log can't be read"},
         true},
        {STATUS(PROCESS("book", "0", "true", "1", "{\"trouble\":\"none\"}") "," PROCESS(
             "queue", "0", "false", "1", "{" SPOOL("0", "5") "}")),
         {"1 of 2 ready; not ready: queue\n", "5 segments of the log behind\n"},
         true},
        {STATUS(PROCESS("book", "0", "false", "1", "null") "," PROCESS("queue", "0", "false", "1",
                                                                       "null")),
         {"0 of 2 ready; not ready: book, queue\n", "Queue      doesn't answer\n",
          "Book       doesn't answer\n"},
         true},
        {STATUS("{\"name\":\"directory\",\"ready\":true,\"answers\":false,\"figures\":null},"
                "{\"name\":\"report\",\"ready\":true,\"answers\":true,\"figures\":null},"
                "{\"name\":\"smtp\",\"ready\":true,\"answers\":false,\"figures\":null},"
                "{\"name\":\"smtp\",\"ready\":false,\"answers\":false,\"figures\":null}"),
         {"3 of 4 ready; not ready: smtp; doesn't answer: directory, smtp\n"},
         true},
        {STATUS(PROCESS("book", "0", "true", "1", "{\"trouble\":\"none\",\"turn_ms\":400}")),
         {"Book       up to date\n"},
         true}, /* the queue doesn't answer */
        {STATUS(PROCESS("book", "0", "true", "1", "{\"trouble\":\"none\",\"turn_ms\":40000}")),
         {"Book       doesn't get on: its disk stalls"},
         true},
        {STATUS(WELL_BOOK "," WELL_QUEUE
                          "," PROCESS("resolver", "0", "true", "1", "{\"usable\":false}")),
         {"so mail to other servers waits (see the server's log): resolver\n"},
         true},
        {WELL("{\"usable\":true,\"unsure_domains\":0}", ""),
         {"New mail   is taken\nWaiting"},
         false},
        {WELL("{\"usable\":false,\"unsure_domains\":0}", ""),
         {"New mail   is deferred: users and aliases have errors"},
         true},
        {WELL("{\"usable\":true,\"unsure_domains\":2}", ""),
         {"New mail   is taken, but of 2 domains only for known names: a users file is empty\n"},
         true},
        {WELL("null", ""), {"New mail   is deferred: the directory of users doesn't answer"}, true},
        {WELL("{}", ",\"drop\":{\"letters\":0,\"put_off\":0,\"set_aside\":0}"),
         {"1 message\nBook"},
         false},
        {WELL("{}", ",\"drop\":{\"letters\":1,\"put_off\":0,\"set_aside\":0}"),
         {"Dropped    1 message to be collected\n"},
         false},
        {WELL("{}", ",\"drop\":{\"letters\":2,\"put_off\":0,\"set_aside\":0,\"stuck\":true}"),
         {"Dropped    2 messages to be collected; they aren't collected (the server's log says "
          "why)\n"},
         true},
        {WELL("{}", ",\"drop\":{\"letters\":3,\"put_off\":2,\"set_aside\":4}"),
         {"Dropped    3 messages to be collected; 2 put off; 4 set aside (the server's log says"},
         true},
        {WELL("{}", ",\"drop\":{\"letters\":3,\"put_off\":0,\"set_aside\":0,\"crowded\":true}"),
         {"Dropped    at least 3 messages to be collected; there are more files than are counted "
          "(the"},
         true},
        {QUEUE(REPORTS("0", "0", "none")), {"1 message\nBook"}, false},
        {QUEUE("\"reports\":{\"failed\":3,\"delayed\":2,\"receipts\":1,\"under_way\":1,"
               "\"put_off\":2,\"trouble\":\"none\"}"),
         {"1 message\nReports    5 to be made, 1 under way, 2 put off\nBook"},
         false},
        {QUEUE(REPORTS("2112", "64", "behind")),
         {"Reports    2048 to be made, 64 under way; attempts wait until there are fewer\n"},
         true},
        {QUEUE(REPORTS("8192", "0", "full")),
         {"; nobody is given up: there is no room for more of them\n"},
         true},
        {QUEUE(REPORTS("0", "0", "process")),
         {"Reports    0 to be made, 0 under way; nobody is given up: the report process isn't"},
         true},
        {"[1]", {"0 of 0 ready"}, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *status = json_loads(cases[i].status, 0, NULL);
        char *text = printed(status, false);
        print_message("%s\n", text);
        for (size_t k = 0; k < ARRAY_SIZE(cases[i].has) && cases[i].has[k]; k++)
            assert_non_null(strstr(text, cases[i].has[k]));
        assert_int_equal(status_is_bad(status), cases[i].bad);
        free(text);
        json_decref(status);
    }
}

#define RUNS(NAME, INDEX, STARTS, RUNNING_MS, FIGURES)                                             \
    "{\"name\":\"" NAME "\",\"index\":" INDEX ",\"ready\":true,\"starts\":" STARTS                 \
    ",\"running_ms\":" RUNNING_MS ",\"figures\":" FIGURES "}"
#define COUNTS(QUEUE, FIRST, SECOND)                                                                           \
    STATUS(                                                                                                    \
        WELL_BOOK                                                                                              \
        "," RUNS("queue", "0", QUEUE, "{\"accepted\":5,\"delivered\":4,\"spool\":{\"messages\":1}}") "," RUNS( \
            "smtpd", "0", FIRST, "{\"refusals\":3}") "," RUNS("smtpd", "1", SECOND,                            \
                                                              "{\"refusals\":4}"))
#define STARTED_ONCE "1", "59000"
#define STARTED_AGAIN "2", "20000"
#define AGAIN_BEFORE "7", "40000"

/* One that was started again counts from then on, and the head names the server's start. */
static void what_the_counts_are_since(void **state)
{
    static const struct {
        const char *status, *received, *completed;
    } cases[] = {
        {COUNTS(STARTED_ONCE, STARTED_ONCE, STARTED_ONCE), "5 messages, and 7 refusals\n",
         "0 attempts deferred\n"},
        {COUNTS(STARTED_AGAIN, STARTED_ONCE, STARTED_ONCE),
         "5 messages (since 2026-11-21 19:00:43 only), and 7 refusals\n",
         "0 attempts deferred (since 2026-11-21 19:00:43 only)\n"},
        {COUNTS(STARTED_ONCE, STARTED_ONCE, STARTED_AGAIN),
         "5 messages, and 7 refusals (1 of 2 smtpd count since 2026-11-21 19:00:43 only)\n",
         "0 attempts deferred\n"},
        {COUNTS(AGAIN_BEFORE, STARTED_AGAIN, AGAIN_BEFORE),
         "5 messages (since 2026-11-21 19:00:23 only), and 7 refusals (2 of 2 smtpd count since "
         "2026-11-21 19:00:43 only)\n",
         "0 attempts deferred (since 2026-11-21 19:00:23 only)\n"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *status = json_loads(cases[i].status, 0, NULL);
        char *text = printed(status, false);
        if (!strstr(text, cases[i].received) || !strstr(text, cases[i].completed))
            fail_msg("case %zu: %s", i, text);
        free(text);
        json_decref(status);
    }
}

static void figures(void **state)
{
    json_t *status = json_loads(STATUS(SMTPD), 0, NULL);
    char *text = printed(status, true);

    assert_non_null(strstr(text, "smtpd.refusals "));
    assert_non_null(strstr(text, "smtpd.1.refusals "));
    free(text);
    json_decref(status);
}

static void *no_memory(size_t size)
{
    return NULL;
}

static void figures_without_memory(void **state)
{
    json_t *status = json_loads("{\"queue\":{\"waiting\":12}}", 0, NULL);

    assert_non_null(status);
    json_set_alloc_funcs(no_memory, free);
    int r = status_print_figures(status);
    json_set_alloc_funcs(malloc, free);
    assert_int_equal(r, -ENOMEM);
    json_decref(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health), cmocka_unit_test(what_the_counts_are_since),
        cmocka_unit_test(figures), cmocka_unit_test(figures_without_memory)};

    setenv("TZ", "Europe/Berlin", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
