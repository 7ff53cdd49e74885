#include "ledger_server.h"

#include <errno.h>
#include <poll.h>

static void exit_codes_and_output(void **state)
{
    static const struct {
        const char *words[4];
        int code;
        const char *part; /* of the output; "" for none at all */
    } cases[] = {
        {{"bob@aaa.example"}, CLI_OK, "its owner's mail program is responsible.\n"},
        {{"--json", "bob@aaa.example"}, CLI_OK, "\"state\":\"delivered\""},
        {{"bob@aaa.example", "--json"}, CLI_OK, "\"state\":\"delivered\""},
        {{"nobody@aaa.example"}, CLI_BAD_NEWS, ""},
        {{"bob@aaa.example", "nobody@aaa.example"}, CLI_BAD_NEWS, "bob@aaa.example: delivered"},
        {{"--state", "delivered"}, CLI_OK, "bob@aaa.example: delivered"},
        {{"--state", "waiting"}, CLI_BAD_NEWS, ""},
        {{"--since", "2026-11-21T18:00:00Z"}, CLI_OK, "Message "},
        {{"--since", "2026-11-22T18:00:00Z"}, CLI_BAD_NEWS, ""},
        {{"--since", "yesterday"}, CLI_USAGE, ""},
        {{"--state", "gone"}, CLI_USAGE, ""},
        {{"--limit", "0", "x"}, CLI_USAGE, ""},
        {{NULL}, CLI_USAGE, ""},
        {{""}, CLI_USAGE, ""},
        {{"", "--state", "delivered"}, CLI_USAGE, ""},
        {{"bob@aaa.example", ""}, CLI_USAGE, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(run(cli_trace, cases[i].words), cases[i].code);
        if (cases[i].part[0] == '\0')
            assert_string_equal(text, "");
        else
            assert_non_null(strstr(text, cases[i].part));
    }
}

static void fold_remote_id(const char *remote_id)
{
    struct fold *fold = test_fold_open();
    struct test_message other;

    test_message_at(&other, TEST_NOW_US, 3, 2);
    struct book_input input = test_input_message(500, &other);
    test_fold_one(fold, &input);
    struct book_status relayed = test_status(other.envelope.id, 1, EVENT_RELAYED);
    relayed.remote_id = span_from_cstr(remote_id);
    test_fold_status(fold, 600, &relayed);
    test_commit(fold);
    fold_close(fold);
}

/* As `postbuch send` does, unless it is what a station said. */
static void a_name_is_completed(void **state)
{
    static const char *const bob[] = {"BOB", NULL}, *const nobody[] = {"nobody", NULL},
                             *const id[] = {"0123456789abcdef", NULL};

    assert_int_equal(run(cli_trace, bob), CLI_OK);
    assert_non_null(strstr(text, "bob@aaa.example: delivered"));
    assert_int_equal(run(cli_trace, nobody), CLI_BAD_NEWS);
    assert_non_null(strstr(complaints, "nothing is known of nobody, nor of nobody@aaa.example\n"));
    assert_int_equal(run(cli_trace, id), CLI_BAD_NEWS);
    assert_non_null(strstr(complaints, "nothing is known of 0123456789abcdef\n"));
    fold_remote_id("BOB");
    assert_int_equal(run(cli_trace, bob), CLI_OK);
    assert_non_null(strstr(text, "carl@bbb.example: relayed"));
    assert_null(strstr(text, "bob@aaa.example: delivered"));
}

static void book_that_cannot_be_read_is_told(void **state)
{
    static const char *const words[] = {"bob@aaa.example", NULL};
    char elsewhere[256];

    snprintf(elsewhere, sizeof(elsewhere), "sed -i 's,^ledger: .*,&/gone,' %s", config);
    assert_int_equal(system(elsewhere), 0);
    assert_int_equal(run(cli_trace, words), CLI_UNREACHED);
    assert_string_equal(text, "");
}

/* ---- beside a server ---- */

static void play_rows(size_t count)
{
    memset(&played, 0, sizeof(played));
    for (size_t i = 0; i < count; i++)
        played.rows[i] = (struct ipc_queue_row){.id = waiting.envelope.id,
                                                .index = (uint32_t)i,
                                                .address = waiting.recipients[i].address,
                                                .state = IPC_QUEUE_READY,
                                                .wait = IPC_WAIT_TURN};
    played.row_count = count;
}

static void assert_told(const char *part, bool is)
{
    if (is != (strstr(text, part) != NULL))
        fail_msg("%s \"%s\": %s", is ? "lacks" : "has", part, text);
}

/* Nothing that the book doesn't say may be taken for an answer. */
static void a_book_that_is_behind_is_told(void **state)
{
    static const char *const bob[] = {"bob@aaa.example", NULL}, *const nobody[] = {
                                                                    "nobody@aaa.example", NULL};
    char id[ID_TEXT + 1];

    fold_waiting();
    id_format(&waiting.envelope.id, id);
    const char *const show[] = {"show", id, NULL};
    for (int behind = 0; behind < 2; behind++) {
        play_rows(0);
        played.book_error = behind ? -ETIMEDOUT : 0;
        assert_int_equal(run_with_server(cli_trace, bob), CLI_OK);
        assert_int_equal(strstr(complaints, "the book is behind the log") != NULL, behind);
        assert_told("The queue doesn't have it", !behind);
        assert_int_equal(run_with_server(cli_trace, nobody), CLI_BAD_NEWS);
        assert_int_equal(strstr(complaints, "the book is behind the log") != NULL, behind);
        play_rows(2);
        played.book_error = behind ? -EPIPE : 0;
        assert_int_equal(run_with_server(cli_queue, show), CLI_OK);
        assert_int_equal(strstr(complaints, "the book is behind the log") != NULL, behind);
    }
}

static void fold_bobs_end(void)
{
    struct fold *fold = test_fold_open();
    struct book_status delivered = test_status(waiting.envelope.id, 0, EVENT_DELIVERED);

    test_fold_status(fold, 9000, &delivered);
    test_commit(fold);
    fold_close(fold);
}

/* It waited when the book was read, and not any more when the queue was asked: bob is told of as
 * he is by then. Carl is in neither, so he is missing. */
static void what_ends_meanwhile_is_not_missing(void **state)
{
    static const char *const anna[] = {"anna@bbb.example", NULL};

    fold_waiting();
    play_rows(0);
    played.news = fold_bobs_end;
    assert_int_equal(run_with_server(cli_trace, anna), CLI_OK);
    assert_told("bob@aaa.example: delivered", true);
    assert_told("bob@aaa.example: waiting", false);
    assert_told("carl@bbb.example: waiting", true);
    const char *first = strstr(text, "The queue doesn't have it: ");
    assert_non_null(first);
    assert_non_null(strstr(first, " to carl@bbb.example\n    nobody tries it any more"));
    assert_null(strstr(first + 1, "The queue doesn't have it: "));
}

/* Of many recipients of a message only those that were asked for. */
static void why_not_yet_is_told_of_whom_was_asked_for(void **state)
{
    static const char *const bob[] = {"bob@aaa.example", NULL},
                             *const carl[] = {"carl@bbb.example", NULL},
                             *const both[] = {"anna@bbb.example", NULL};

    fold_waiting();
    play_rows(2);
    assert_int_equal(run_with_server(cli_trace, bob), CLI_OK);
    assert_told(" to bob@aaa.example\n    waits for its turn", true);
    assert_told("carl@", false);
    assert_int_equal(run_with_server(cli_trace, carl), CLI_OK);
    assert_told(" to carl@bbb.example\n    waits for its turn", true);
    assert_told(" to bob@", false);
    assert_int_equal(run_with_server(cli_trace, both), CLI_OK);
    assert_told(" to bob@aaa.example\n    waits for its turn", true);
    assert_told(" to carl@bbb.example\n    waits for its turn", true);
}

static struct timeval patience; /* of who connected last: SO_SNDTIMEO (unix(7)) */
static bool takes_nobody;       /* the server's queue of connections is full */

/* The linker puts this in its place (meson.build). */
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    socklen_t length = sizeof(patience);

    if (!takes_nobody)
        return __real_connect(fd, address, size);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, &length), 0);
    errno = EAGAIN;
    return -1;
}

/* The book is read without it, so it is waited for as long as for its book. */
static void a_server_that_takes_nobody_is_left_soon(void **state)
{
    static const char *const bob[] = {"bob@aaa.example", NULL};

    takes_nobody = true;
    assert_int_equal(run(cli_trace, bob), CLI_OK);
    takes_nobody = false;
    assert_non_null(strstr(complaints, "the server takes no connection"));
    assert_told("is responsible.", true);
    assert_int_equal(patience.tv_sec, 2);
    assert_int_equal(patience.tv_usec, 0);
}

/* Of several things only the first finds out. */
static void a_server_that_goes_away_is_told_once(void **state)
{
    static const char *const both[] = {"bob@aaa.example", "carl@bbb.example", NULL};
    static const char away[] = "the server went away";

    fold_waiting();
    play_rows(2);
    played.list_kills = true;
    assert_int_equal(run_with_server(cli_trace, both), CLI_OK);
    assert_told("carl@bbb.example", true);
    const char *first = strstr(complaints, away);
    assert_non_null(first);
    assert_null(strstr(first + 1, away));
}

/* As of whom it refuses: a command that asks on tells it in one sentence. */
static void a_server_that_was_gone_before_is_told_the_same(void **state)
{
    char id[ID_TEXT + 1];

    fold_waiting();
    id_format(&waiting.envelope.id, id);
    const char *const show[] = {"show", id, NULL};
    play_rows(2);
    played.sync_kills = true;
    assert_int_equal(run_with_server(cli_queue, show), CLI_UNREACHED);
    assert_non_null(strstr(complaints, "the server went away before it answered"));
    assert_null(strstr(complaints, strerror(EPIPE)));
}

/* The queue has addresses in canonical form. */
static void queue_is_asked_for_an_address_as_it_has_it(void **state)
{
    static const struct {
        const char *words[5];
        struct span sender, recipient, destination;
    } cases[] = {
        {{"--to", "bob@M\xc3\xbcller.example", "--from", "\"anna\"@BBB.example"},
         {"anna@bbb.example", 16},
         {"bob@xn--mller-kva.example", 25}},
        {{"--to", "@M\xc3\xbcller.example", "--from", "@BBB.example"},
         {"@bbb.example", 12},
         {"@xn--mller-kva.example", 22}},
        {{"--destination", "m\xc3\xbcller.example", "--to", "no @domain"},
         {"", 0},
         {"no @domain", 10},
         {"xn--mller-kva.example", 21}},
        {{"--destination", "host:Relay.example:25"},
         {"", 0},
         {"", 0},
         {"host:Relay.example:25", 21}},
    };

    fold_waiting();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        play_rows(1);
        played.recipient = cases[i].recipient;
        played.sender = cases[i].sender;
        played.destination = cases[i].destination;
        assert_int_equal(run_with_server(cli_queue, cases[i].words), CLI_OK);
        assert_told("its turn", true);
    }
}

/* ---- following ---- */

/* What comes through the pipe up to `part`; fails when that doesn't come for long, but before the
 * limit of a test (30 s), or nobody would see what it fails with. */
static void read_until(int fd, const char *part)
{
    size_t size = 0;

    for (text[0] = '\0'; !strstr(text, part);) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 20000) != 1)
            fail_msg("it doesn't say \"%s\", but: %s", part, text);
        ssize_t n = read(fd, text + size, sizeof(text) - 1 - size);
        assert_true(n > 0);
        size += (size_t)n;
        text[size] = '\0';
    }
}

/* By an option, or NULL, or by a text. */
static pid_t follow(const char *option, const char *what, int *out_fd)
{
    char *argv[] = {(char *)"trace",    (char *)"--config", config,
                    (char *)"--follow", (char *)option,     (char *)what};
    int ends[2];

    if (!option)
        argv[4] = argv[5];

    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        optind = 0;
        _exit(cli_trace(ARRAY_SIZE(argv) - !option, argv));
    }
    close(ends[1]);
    *out_fd = ends[0];
    return pid;
}

static void who_follows_is_told_of_refusals(void **state)
{
    struct event refusal = test_refusal(1, "bob@aaa.example");
    char first[ID_TEXT + 1], second[ID_TEXT + 1];
    int fd;

    pid_t pid = follow(NULL, "bob@aaa.example", &fd);
    read_until(fd, "is responsible.\n");
    struct fold *fold = test_fold_open();
    test_fold_event(fold, 700, &refusal);
    test_commit(fold);
    read_until(fd, "ask its administrator.\n");
    id_format(&refusal.reference, first);
    assert_told(first, true);
    refusal = test_refusal(2, "bob@aaa.example");
    test_fold_event(fold, 800, &refusal);
    test_commit(fold);
    fold_close(fold);
    id_format(&refusal.reference, second);
    read_until(fd, "ask its administrator.\n");
    assert_told(second, true);
    assert_told(first, false); /* once is enough */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
}

/* Every one of many that come between two looks, and what was there before the newest of them. */
static void who_follows_is_told_of_all(void **state)
{
    struct test_message came[6];
    int fd;

    pid_t pid = follow("--limit=1", "bob@aaa.example", &fd);
    read_until(fd, "is responsible.\n");
    struct fold *fold = test_fold_open();
    for (unsigned i = 0; i < ARRAY_SIZE(came); i++) {
        test_message_at(&came[i], TEST_NOW_US + i * TEST_SECOND, 60 + i, 1);
        struct book_input input = test_input_message(6000 + i, &came[i]);
        test_fold_one(fold, &input);
    }
    test_commit(fold);
    for (unsigned i = 0; i < ARRAY_SIZE(came); i++) {
        char id[ID_TEXT + 1];
        if (i == 0)
            read_until(fd, "accepted");
        id_format(&came[i].envelope.id, id);
        if (!strstr(text, id))
            read_until(fd, id);
    }
    struct book_status delivered = test_status(came[0].envelope.id, 0, EVENT_DELIVERED);
    test_fold_status(fold, 6100, &delivered);
    test_commit(fold);
    fold_close(fold);
    read_until(fd, "delivered");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
}

/* It isn't among those of the state any more. Nothing tells when the first look was, so
 * what comes may be found by it, or be news. */
static void who_follows_a_state_is_told_of_its_end(void **state)
{
    int fd;
    pid_t pid = follow("--state=waiting", "carl@bbb.example", &fd);

    fold_waiting();
    read_until(fd, "carl@bbb.example");
    struct fold *fold = test_fold_open();
    struct book_status returned = test_status(waiting.envelope.id, 1, EVENT_RETURNED);
    test_fold_status(fold, 9000, &returned);
    test_commit(fold);
    fold_close(fold);
    read_until(fd, "carl@bbb.example returned");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exit_codes_and_output, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_name_is_completed, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(book_that_cannot_be_read_is_told, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_book_that_is_behind_is_told, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(what_ends_meanwhile_is_not_missing, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(why_not_yet_is_told_of_whom_was_asked_for, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_server_that_takes_nobody_is_left_soon, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_server_that_goes_away_is_told_once, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(a_server_that_was_gone_before_is_told_the_same, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(queue_is_asked_for_an_address_as_it_has_it, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(who_follows_is_told_of_refusals, set_up,
                                        test_ledger_remove),
        cmocka_unit_test_setup_teardown(who_follows_is_told_of_all, set_up, test_ledger_remove),
        cmocka_unit_test_setup_teardown(who_follows_a_state_is_told_of_its_end, set_up,
                                        test_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
