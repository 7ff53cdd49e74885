#include "ledger_server.h"

#include <sys/socket.h>
#include <sys/un.h>

static void sound_book_balances(void **state)
{
    static const char *const words[] = {NULL}, *const json[] = {"--json", NULL};

    assert_int_equal(run(cli_audit, words), CLI_OK);
    assert_non_null(strstr(text, "Accepted recipients: 1, of 1 messages\n"));
    /* There is no spool: the next start will find nothing to wait. */
    assert_non_null(
        strstr(text, "The queue has 0 recipients waiting, by the spool of the stopped"));
    assert_non_null(strstr(text, "The book balances.\n"));
    assert_int_equal(run(cli_audit, json), CLI_OK);
    assert_string_equal(
        text, "{\"ok\":true,\"accepted\":1,\"waiting\":0,\"delivered\":1,"
              "\"relayed\":0,\"expanded\":0,\"returned\":0,\"discarded\":0,\"closed\":0,\"lost\":0,"
              "\"held\":0,\"messages\":1,\"events\":2,\"refusals\":0,"
              "\"files\":1,\"alarms\":0,\"remade\":0,\"queue_compared\":true,\"queue_waiting\":0,"
              "\"queue_stopped\":true,\"late_unexplained\":0,\"unfolded\":0,\"checkpoint\":null,"
              "\"acknowledged\":0,"
              "\"findings\":[]}\n");
}

static void what_is_off_is_named(void **state)
{
    static const char *const words[] = {NULL}, *const json[] = {"--json", NULL};
    char expected[128], id[ID_TEXT + 1];

    test_tamper(TEST_WEEK, "UPDATE entry SET state = 1");
    id_format(&message.envelope.id, id);
    assert_int_equal(run(cli_audit, words), CLI_BAD_NEWS);
    snprintf(expected, sizeof(expected),
             "state " TEST_WEEK " %s recipient 0: is booked as waiting, but", id);
    assert_non_null(strstr(text, expected));
    assert_int_equal(run(cli_audit, json), CLI_BAD_NEWS);
    snprintf(expected, sizeof(expected), "\"id\":\"%s\",\"recipient\":0}", id);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "{\"ok\":false,"));
    assert_int_equal(run(cli_audit, words), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "in 1 files, each in its place in the chain.\n"));
    test_tamper(TEST_WEEK, "UPDATE event SET status = '2.0.1' WHERE status = '2.0.0'");
    assert_int_equal(run(cli_audit, words), CLI_BAD_NEWS);
    assert_null(strstr(text, "each in its place"));
    assert_non_null(strstr(text, "in 1 files; what isn't as it was is named above.\n"));
}

static void wrong_usage_and_missing_book(void **state)
{
    static const char *const wrong[] = {"--since", "soon", NULL}, *const more[] = {"bob", NULL};
    static const char *const words[] = {NULL};
    char elsewhere[256];

    assert_int_equal(run(cli_audit, wrong), CLI_USAGE);
    assert_int_equal(run(cli_audit, more), CLI_USAGE);
    snprintf(elsewhere, sizeof(elsewhere), "sed -i 's,^ledger: .*,&/gone,' %s", config);
    assert_int_equal(system(elsewhere), 0);
    assert_int_equal(run(cli_audit, words), CLI_UNREACHED);
}

/* Behind a probe, or in the backlog of a destination that is back, nobody has a time, and the
 * book's next attempt was long ago: only the queue, which watches, knows whether one hangs. */
static void due_is_not_overdue(void **state)
{
    static const char *const words[] = {NULL};
    static const struct {
        struct ipc_queue_row row;
        int code;
    } cases[] = {
        {{.state = IPC_QUEUE_READY, .wait = IPC_WAIT_WINDOW}, CLI_OK},
        {{.state = IPC_QUEUE_READY, .wait = IPC_WAIT_TURN}, CLI_OK},
        {{.state = IPC_QUEUE_ACTIVE, .wait = IPC_WAIT_OUTCOME}, CLI_OK},
        {{.state = IPC_QUEUE_ACTIVE, .wait = IPC_WAIT_OUTCOME, .overdue = true}, CLI_BAD_NEWS},
        {{.state = IPC_QUEUE_HELD, .wait = IPC_WAIT_RELEASE}, CLI_OK},
        {{.state = IPC_QUEUE_PAUSED, .wait = IPC_WAIT_PAUSE, .next_attempt_us = INT64_MAX}, CLI_OK},
        {{.state = IPC_QUEUE_PAUSED, .wait = IPC_WAIT_PAUSE, .next_attempt_us = TEST_NOW_US},
         CLI_BAD_NEWS},
    };

    fold_waiting();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        played.rows[0] = cases[i].row;
        played.rows[1] =
            (struct ipc_queue_row){.state = IPC_QUEUE_HELD, .wait = IPC_WAIT_RELEASE, .index = 1};
        played.rows[0].id = played.rows[1].id = waiting.envelope.id;
        played.row_count = 2;
        int code = run_with_server(cli_audit, words);
        if (code != cases[i].code ||
            (code == CLI_BAD_NEWS) != (strstr(text, "should long have been") != NULL))
            fail_msg("case %zu: %d, %s%s", i, code, text, complaints);
    }
}

/* What it doesn't know yet may be the very attempt that seems to be missing. */
static void of_a_book_that_is_behind_nobody_is_overdue(void **state)
{
    static const char *const words[] = {NULL};

    fold_waiting();
    played.book_error = -ETIMEDOUT;
    assert_int_equal(run_with_server(cli_audit, words), CLI_BAD_NEWS);
    played.book_error = 0;
    assert_null(strstr(text, "should long have been"));
    assert_non_null(strstr(text, "The queue was not compared: the book doesn't catch up"));
}

/* A file that was damaged lacks what it had until the log was read again. */
static void a_book_that_is_made_anew_is_waited_for(void **state)
{
    static const char *const words[] = {NULL};

    played.row_count = 0;
    test_tamper("book.sqlite", "INSERT INTO lost SELECT kind, week, lane, segment, offset,"
                               " events + 1, head FROM chain");
    assert_int_equal(run_with_server(cli_audit, words), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "was damaged or removed when it had 3 events"));
    played.book_sql = "DELETE FROM lost"; /* as if it had come so far */
    assert_int_equal(run_with_server(cli_audit, words), CLI_OK);
    played.book_sql = NULL;
}

/* By the time the queue would be looked at it has caught up: then nothing would say why the files
 * lacked what they did when they were read. */
static void a_book_that_is_made_anew_for_long_is_told(void **state)
{
    static const char *const words[] = {NULL};

    played.row_count = 0;
    played.book_late = 1;
    test_tamper("book.sqlite", "INSERT INTO lost SELECT kind, week, lane, segment, offset,"
                               " events + 1, head FROM chain");
    assert_int_equal(run_with_server(cli_audit, words), CLI_BAD_NEWS);
    played.book_late = 0;
    assert_non_null(strstr(text, "was damaged or removed when it had 3 events"));
    assert_non_null(strstr(text, "The queue was not compared: the book doesn't catch up with the "
                                 "log, so what it lacks may only not be booked yet"));
}

/* Only the queue knows why they are late: that it doesn't tell is said, and nobody is blamed. */
static void of_a_queue_that_does_not_tell_the_late_are_counted(void **state)
{
    static const char *const words[] = {NULL}, *const json[] = {"--json", NULL};

    fold_waiting();
    played.list_error = -EIO;
    assert_int_equal(run_with_server(cli_audit, words), CLI_BAD_NEWS);
    assert_null(strstr(text, "should long have been"));
    assert_non_null(strstr(text, "The queue was not compared: the server could not be asked.\n"));
    assert_non_null(strstr(text, "\n2 recipients have missed the next attempt"));
    assert_non_null(strstr(complaints, "could not list the queue"));
    run_with_server(cli_audit, json);
    assert_non_null(strstr(text, "\"late_unexplained\":2,"));
    assert_non_null(strstr(text, "\"findings\":[]"));
    played.list_error = 0;
}

/* Connections of who went away stay in the queue of a server that takes none. */
static int make_full_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int result = 0, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", test_folder);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 0), 0);
    while (result == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        result = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
        close(fd);
    }
    assert_int_equal(result, EAGAIN);
    return listener;
}

static unsigned connections; /* that were asked for. The linker puts this in its place. */

int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    connections++;
    return __real_connect(fd, address, size);
}

/* It is there and hangs, or is stopped by a signal: nothing is well that nobody could ask for. It
 * is waited for once. */
static void a_server_that_takes_nobody_is_told(void **state)
{
    static const char *const words[] = {NULL};
    int listener = make_full_listener();

    connections = 0;
    assert_int_equal(run(cli_audit, words), CLI_BAD_NEWS);
    close(listener);
    assert_int_equal(connections, 1);
    assert_non_null(strstr(text, "The queue was not compared: the server takes no connection.\n"));
    assert_null(strstr(text, "The book balances."));
}

static bool at_terminal;

/* The linker puts this in its place (meson.build). */
int __real_isatty(int fd);
int __wrap_isatty(int fd);

int __wrap_isatty(int fd)
{
    return fd == STDERR_FILENO ? at_terminal : __real_isatty(fd);
}

static void who_waits_for_the_book_is_told(void **state)
{
    static const char *const words[] = {NULL};

    memset(&played, 0, sizeof(played));
    at_terminal = true;
    assert_int_equal(run_with_server(cli_audit, words), CLI_OK);
    at_terminal = false;
    assert_non_null(strstr(complaints, "\r\x1b[Kwaiting for the book\r\x1b[K"));
    assert_int_equal(run_with_server(cli_audit, words), CLI_OK);
    assert_string_equal(complaints, "");
}

/* ---- acknowledging ---- */

static char name[ID_TEXT + 1];

/* Of the message, or of none. */
static void book_damage(const struct id *id, int count)
{
    struct fold *fold = test_fold_open();

    for (int i = 0; i < count; i++) {
        struct event event = {.kind = EVENT_DAMAGED,
                              .time_us = TEST_NOW_US + i,
                              .recipient_index = EVENT_NO_RECIPIENT,
                              .actor_uid = EVENT_NO_ACTOR,
                              .reply = SPAN("its bytes are damaged")};
        if (id)
            event.message = *id;
        test_fold_event(fold, 1000 + (uint64_t)i, &event);
    }
    test_commit(fold);
    fold_close(fold);
    id_format(&message.envelope.id, name);
}

static void only_what_is_meant_is_acknowledged(void **state)
{
    const char *const words[] = {"--acknowledge", name, "--reason", "mended", NULL};
    const char *const json[] = {"--acknowledge", name, "--reason", "mended", "--json", NULL};
    const char *const other[] = {"--acknowledge", "0123456789abcdef", "--reason", "mended", NULL};

    book_damage(&message.envelope.id, 1);
    played.row_count = 0;
    assert_int_equal(run(cli_audit, words), CLI_UNREACHED);
    assert_non_null(strstr(complaints, "the server isn't running"));
    assert_int_equal(run_with_server(cli_audit, words), CLI_OK);
    assert_non_null(strstr(text, "its bytes are damaged"));
    assert_non_null(strstr(text, "1 finding acknowledged.\n"));
    assert_int_equal(run_with_server(cli_audit, json), CLI_OK);
    assert_non_null(strstr(text, "{\"ok\":true,\"acknowledged\":1,\"findings\":[{"));
    assert_string_equal(text + strlen(text) - 4, "}]}\n");
    assert_int_equal(run_with_server(cli_audit, other), CLI_BAD_NEWS);
    assert_non_null(strstr(complaints, "0123456789ABCDEF: nothing is off there"));
    assert_non_null(strstr(text, "0 findings acknowledged.\n"));
    test_tamper(TEST_WEEK, "UPDATE entry SET since_us = 1");
    assert_int_equal(run_with_server(cli_audit, words), CLI_BAD_NEWS);
    assert_non_null(strstr(complaints, "can't be acknowledged: state: has other times"));
    assert_non_null(strstr(text, "1 finding acknowledged.\n"));
}

/* A server that takes them bit by bit, has no room at first, or fails. */
static void many_go_in_pieces(void **state)
{
    static const char *const words[] = {"--acknowledge", "all",    "--yes",
                                        "--reason",      "mended", NULL};
    static const char *const wrong[] = {"--acknowledge", "all", "-y", "--reason", "x", NULL};

    book_damage(NULL, 600);
    played.row_count = 0;
    played.acknowledge_max = 100;
    played.acknowledge_busy = 2;
    if (run_with_server(cli_audit, words) != CLI_OK)
        fail_msg("%s", complaints);
    assert_non_null(strstr(text, "600 findings acknowledged.\n"));
    assert_int_equal(run_with_server(cli_audit, wrong), CLI_BAD_NEWS);
    assert_non_null(strstr(complaints, "not all of it could be booked: Invalid argument"));
    assert_non_null(strstr(text, "0 findings acknowledged.\n"));
    played.acknowledge_max = played.acknowledge_busy = 0;
}

static void who_is_there_all_the_same_is_told(void **state)
{
    static const char *const words[] = {"--acknowledge", "all",    "--yes",
                                        "--reason",      "mended", NULL};

    fold_waiting();
    played.row_count = 0;
    assert_int_equal(run_with_server(cli_audit, words), CLI_BAD_NEWS);
    assert_non_null(strstr(complaints, "2 said to be lost are in the queue, and were left alone"));
    assert_non_null(strstr(text, "0 findings acknowledged.\n"));
}

static void wrong_words_are_refused_before(void **state)
{
    static const struct {
        const char *words[6];
    } cases[] = {
        {{"--acknowledge"}},
        {{"--acknowledge", "all", "--yes"}},
        {{"--acknowledge", "all", "--yes", "--reason", ""}},
        {{"--acknowledge", "--reason", "x"}},
        {{"--acknowledge", "bob@aaa.example", "--reason", "x"}},
        {{"--reason", "x"}},
        {{"all"}},
        {{"--acknowledge", "0123456789abcdef", "--reason", "x", "--acknowledged"}},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *words[7] = {NULL};
        memcpy(words, cases[i].words, sizeof(cases[i].words));
        if (run(cli_audit, words) != CLI_USAGE)
            fail_msg("case %zu: %s", i, complaints);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sound_book_balances, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(what_is_off_is_named, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(due_is_not_overdue, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(of_a_book_that_is_behind_nobody_is_overdue, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_book_that_is_made_anew_is_waited_for, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_book_that_is_made_anew_for_long_is_told, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(of_a_queue_that_does_not_tell_the_late_are_counted, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(who_waits_for_the_book_is_told, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_server_that_takes_nobody_is_told, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(only_what_is_meant_is_acknowledged, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(many_go_in_pieces, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(who_is_there_all_the_same_is_told, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(wrong_words_are_refused_before, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(wrong_usage_and_missing_book, set_up, test_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
