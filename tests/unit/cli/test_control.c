/* The client of the control socket, and the commands on top of it, against a process that plays the
 * server: pages, acts that take long, bad news, silence, and an end at any time. */
#include "command_run.h"
#include "played_server.h"

#include "cli/catchup.h"
#include "cli/control.h"
#include "cli/queue_act.h"
#include "cli/queue_damage.h"
#include <errno.h>
#include <sys/mman.h>

/* What the server does, and what it has seen: in memory of both processes. */
static struct shared {
    int pages;            /* of a listing */
    int dies_at;          /* the request, counted from 1, that it doesn't survive */
    int error;            /* of its last answer */
    bool silent;          /* it never answers */
    unsigned count, busy; /* recipients of an act */
    bool has_note;        /* of an act */
    bool done, partly;    /* a reload */
    unsigned damaged;     /* rows */
    unsigned set_aside;
    int requests, acts, dry_acts, pages_sent;
} * shared;

static char control[96];
static struct played_server server;

static bool dies_or_is_silent(void)
{
    if (++shared->requests == shared->dies_at)
        _exit(0);
    return shared->silent;
}

static void on_list(void *owner, const struct ipc_arrival *arrival)
{
    if (dies_or_is_silent())
        return;
    shared->pages_sent++;
    struct ipc_message m = {
        .type = IPC_QUEUE_PAGE,
        .queue_page = {.now_us = shared->pages_sent, .last = shared->pages_sent >= shared->pages}};
    if (m.queue_page.last && shared->error)
        m.queue_page = (struct ipc_queue_page){.error = shared->error};
    ipc_reply(arrival->channel, arrival->token, &m);
}

/* In two steps, as long work is told of. */
static void on_act(void *owner, const struct ipc_arrival *arrival)
{
    if (dies_or_is_silent())
        return;
    bool begins = arrival->message->type == IPC_QUEUE_ACT;
    shared->acts += begins;
    shared->dry_acts += begins && arrival->message->queue_act.dry;
    struct ipc_message m = {
        .type = IPC_QUEUE_ACTED,
        .queue_acted = {.last = !begins,
                        .error = begins ? 0 : shared->error,
                        .count = begins ? 1 : shared->count,
                        .busy = shared->busy,
                        .examined = begins ? 10 : 20,
                        .messages = 20,
                        .text = span_from_cstr(shared->has_note ? "mind it" : "")}};
    ipc_reply(arrival->channel, arrival->token, &m);
}

static void on_damage(void *owner, const struct ipc_arrival *arrival)
{
    struct ipc_queue_damaged rows[3] = {
        {.segment = 0x12, .offset = 345, .text = SPAN("\x1b[31m sum")}};
    struct ipc_message m = {.type = IPC_QUEUE_DAMAGE,
                            .queue_damage = {.rows = rows,
                                             .row_count = shared->damaged,
                                             .count = shared->damaged * 10,
                                             .set_aside = shared->set_aside}};

    if (!dies_or_is_silent())
        ipc_reply(arrival->channel, arrival->token, &m);
}

static void on_sync(void *owner, const struct ipc_arrival *arrival)
{
    struct ipc_message m = {.type = IPC_BOOK_SYNCED, .book_synced = {.error = shared->error}};

    if (!dies_or_is_silent())
        ipc_reply(arrival->channel, arrival->token, &m);
}

static void on_reload(void *owner, const struct ipc_arrival *arrival)
{
    struct ipc_message m = {
        .type = IPC_RELOADED,
        .reloaded = {.done = shared->done, .partly = shared->partly, .text = SPAN("smtpd[1] …\n")}};

    if (!dies_or_is_silent())
        ipc_reply(arrival->channel, arrival->token, &m);
}

static const struct ipc_handler handlers[] = {
    {IPC_QUEUE_LIST, on_list},    {IPC_QUEUE_MORE, on_list},         {IPC_QUEUE_ACT, on_act},
    {IPC_QUEUE_ACT_MORE, on_act}, {IPC_QUEUE_DAMAGE_ASK, on_damage}, {IPC_BOOK_SYNC, on_sync},
    {IPC_RELOAD, on_reload},
};
static const struct ipc_role role = {"a test", handlers, ARRAY_SIZE(handlers), played_server_lost,
                                     false};

static void start(struct shared does)
{
    *shared = does;
    played_server_start(&server, control, &role);
}

static void stop(void)
{
    played_server_stop(&server);
}

static struct cli_control *connect_to(void)
{
    struct cli_control *c = NULL;

    assert_int_equal(cli_control_open("test", control, &c), CLI_OK);
    return c;
}

/* ---- connecting ---- */

static void nobody_is_there(void **state)
{
    struct cli_control *c = NULL;

    assert_int_equal(cli_control_open("test", control, &c), CLI_UNREACHED);
    assert_int_equal(cli_control_try("test", control, &c), -ENOENT);
    assert_null(c);
    cli_control_close(NULL);
}

/* ---- listings ---- */

struct reader {
    int pages, ends_after;
};

static bool on_page(void *arg, const struct ipc_queue_page *page)
{
    struct reader *r = arg;

    assert_int_equal(page->now_us, ++r->pages); /* in their order */
    return r->pages != r->ends_after;
}

static int list(struct shared does, struct reader *r)
{
    struct ipc_queue_filter filter = {.states = 0};

    start(does);
    struct cli_control *c = connect_to();
    int code = cli_control_list(c, &filter, on_page, r);
    cli_control_close(c);
    stop();
    return code;
}

static void pages_come_in_their_order(void **state)
{
    for (int pages = 1; pages < 12; pages++) {
        struct reader r = {0};
        assert_int_equal(list((struct shared){.pages = pages}, &r), CLI_OK);
        assert_int_equal(r.pages, pages);
    }
}

static void who_has_enough_gets_no_more(void **state)
{
    struct reader r = {.ends_after = 3};

    assert_int_equal(list((struct shared){.pages = 100}, &r), CLI_OK);
    assert_int_equal(r.pages, 3);
}

static void an_error_ends_a_listing(void **state)
{
    struct reader r = {0};

    assert_int_equal(list((struct shared){.pages = 4, .error = -ENOMEM}, &r), CLI_BAD_NEWS);
    assert_int_equal(r.pages, 3);
}

/* Else half a listing would look like a whole one. */
static void a_server_that_ends_is_told_of(void **state)
{
    for (int dies_at = 1; dies_at < 6; dies_at++) {
        struct reader r = {0};
        assert_int_equal(list((struct shared){.pages = 100, .dies_at = dies_at}, &r),
                         CLI_UNREACHED);
        assert_true(r.pages < dies_at);
    }
}

static void a_server_that_keeps_silent_is_not_waited_for_for_ever(void **state)
{
    struct ipc_queue_filter filter = {.states = 0};
    struct reader r = {0};

    start((struct shared){.silent = true});
    struct cli_control *c = connect_to();
    cli_control_set_patience(c, 60);
    assert_int_equal(cli_control_list(c, &filter, on_page, &r), CLI_UNREACHED);
    const struct ipc_message ask = {.type = IPC_QUEUE_DAMAGE_ASK};
    assert_int_equal(cli_control_ask(c, &ask, NULL, NULL), CLI_UNREACHED);
    cli_control_close(c);
    stop();
}

/* Whoever asked for some is not told of all. */
static void an_empty_list_says_of_what(void **state)
{
    static const char *const all[] = {NULL}, *const some[] = {"--to", "x", NULL},
                             *const held[] = {"--state", "held", NULL};

    append("input", "");
    start((struct shared){.pages = 1});
    assert_int_equal(run(cli_queue, all), CLI_OK);
    assert_string_equal(text, "Nothing waits.\n");
    shared->pages_sent = 0;
    assert_int_equal(run(cli_queue, some), CLI_OK);
    assert_string_equal(text, "Nothing that waits fits.\n");
    shared->pages_sent = 0;
    assert_int_equal(run(cli_queue, held), CLI_OK);
    assert_string_equal(text, "Nothing that waits fits.\n");
    stop();
}

/* ---- acts ---- */

static bool at_terminal; /* standard input is one */

int __real_isatty(int fd);
int __wrap_isatty(int fd);

int __wrap_isatty(int fd)
{
    return fd == STDIN_FILENO ? at_terminal : __real_isatty(fd);
}

static int act(struct shared does, struct queue_act_wish wish)
{
    start(does);
    struct cli_control *c = connect_to();
    append("input", "y\n");
    fflush(stdout);
    int out = redirect(1, "output", O_WRONLY | O_TRUNC), in = redirect(0, "input", O_RDONLY);
    clearerr(stdin);
    __fpurge(stdin);
    int code = queue_act(c, &wish);
    fflush(stdout);
    restore(out, 1);
    restore(in, 0);
    read_back("output", text, sizeof(text));
    cli_control_close(c);
    stop();
    return code;
}

static const struct queue_act_wish hold = {.name = "hold", .act = {.act = IPC_ACT_HOLD}};

static void an_act_is_done_in_pieces(void **state)
{
    assert_int_equal(act((struct shared){.count = 3}, hold), CLI_OK);
    assert_string_equal(text, "3 recipients\n");
    assert_int_equal(shared->requests, 2);
    assert_int_equal(act((struct shared){.count = 1}, hold), CLI_OK);
    assert_string_equal(text, "1 recipient\n");
}

static void what_was_left_out_is_bad_news(void **state)
{
    assert_int_equal(act((struct shared){.count = 3, .busy = 1}, hold), CLI_BAD_NEWS);
    assert_string_equal(text, "3 recipients\n");
    assert_int_equal(act((struct shared){.error = -ENOENT}, hold), CLI_BAD_NEWS);
    assert_string_equal(text, "");
}

static void json_has_it_all(void **state)
{
    struct queue_act_wish wish = hold;

    wish.json = true;
    assert_int_equal(act((struct shared){.count = 2, .busy = 1, .error = -EBUSY}, wish),
                     CLI_BAD_NEWS);
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    assert_int_equal(json_integer_value(json_object_get(object, "recipients")), 2);
    assert_int_equal(json_integer_value(json_object_get(object, "under_way")), 1);
    assert_string_equal(json_string_value(json_object_get(object, "act")), "hold");
    assert_non_null(json_string_value(json_object_get(object, "error")));
    json_decref(object);
}

static void what_is_to_be_known_is_no_bad_news(void **state)
{
    struct queue_act_wish wish = hold;
    assert_int_equal(act((struct shared){.count = 3, .has_note = true}, wish), CLI_OK);
    assert_string_equal(text, "3 recipients\n");
    wish.json = true;
    assert_int_equal(act((struct shared){.count = 3, .has_note = true}, wish), CLI_OK);
    json_t *object = json_loads(text, 0, NULL);
    assert_true(json_is_null(json_object_get(object, "error")));
    assert_string_equal(json_string_value(json_object_get(object, "note")), "mind it");
    json_decref(object);
}

/* A program that removes many must say so; one message's recipients need no such word. */
static void what_cannot_be_undone_needs_a_yes(void **state)
{
    struct queue_act_wish removes = {.name = "remove", .act = {.act = IPC_ACT_REMOVE}};

    removes.act.filter.sender = SPAN("eve@a.test");
    assert_int_equal(act((struct shared){.count = 3}, removes), CLI_USAGE);
    assert_int_equal(shared->acts, 0);
    removes.yes = true;
    assert_int_equal(act((struct shared){.count = 3}, removes), CLI_OK);
    assert_int_equal(shared->acts, 1);
    assert_int_equal(shared->dry_acts, 0);
    removes.yes = false;
    removes.act.filter.id.bytes[0] = 1;
    assert_int_equal(act((struct shared){.count = 3}, removes), CLI_OK);
}

static void a_person_is_asked_of_how_many(void **state)
{
    struct queue_act_wish removes = {.name = "remove", .act = {.act = IPC_ACT_REMOVE}};
    char input[96];

    path_of("input", input);
    at_terminal = true;
    assert_int_equal(act((struct shared){.count = 3}, removes), CLI_OK);
    assert_int_equal(shared->acts, 2);
    assert_int_equal(shared->dry_acts, 1);
    unlink(input);
    append("input", "n\n");
    assert_int_equal(act((struct shared){.count = 3}, removes), CLI_BAD_NEWS);
    assert_int_equal(shared->acts, shared->dry_acts);
    unlink(input);
    at_terminal = false;
}

/* The act would look again, and might find some by then. */
static void who_was_not_asked_about_is_left_alone(void **state)
{
    struct queue_act_wish removes = {.name = "remove", .act = {.act = IPC_ACT_REMOVE}};

    at_terminal = true;
    for (int json = 0; json < 2; json++) {
        removes.json = json;
        assert_int_equal(act((struct shared){.busy = 1, .error = -EBUSY}, removes), CLI_BAD_NEWS);
        assert_int_equal(shared->acts, 1);
        assert_int_equal(shared->dry_acts, 1);
        assert_int_equal(strstr(text, "\"under_way\"") != NULL, json);
    }
    at_terminal = false;
}

static void an_act_whose_server_ends_is_no_success(void **state)
{
    assert_int_equal(act((struct shared){.count = 3, .dies_at = 1}, hold), CLI_UNREACHED);
    assert_int_equal(act((struct shared){.count = 3, .dies_at = 2}, hold), CLI_UNREACHED);
    assert_string_equal(text, "");
}

/* ---- damage, and waiting for the book ---- */

static int print_as_text(struct cli_control *c)
{
    return queue_damage_print(c, false);
}

static int print_as_json(struct cli_control *c)
{
    return queue_damage_print(c, true);
}

static int damage(struct shared does, int (*print)(struct cli_control *c))
{
    start(does);
    struct cli_control *c = connect_to();
    fflush(stdout);
    int out = redirect(1, "output", O_WRONLY | O_TRUNC);
    int code = print(c);
    fflush(stdout);
    restore(out, 1);
    read_back("output", text, sizeof(text));
    cli_control_close(c);
    stop();
    return code;
}

static void damage_is_bad_news(void **state)
{
    assert_int_equal(damage((struct shared){0}, print_as_text), CLI_OK);
    assert_int_equal(damage((struct shared){.damaged = 1}, print_as_text), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "log-0000000000000012, offset 345: "));
    assert_non_null(strstr(text, "the last 1 of 10"));
    assert_null(strchr(text, '\x1b')); /* a damaged record may hold anything */
    assert_int_equal(damage((struct shared){.damaged = 1}, print_as_json), CLI_BAD_NEWS);
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    json_decref(object);
    assert_int_equal(damage((struct shared){.dies_at = 1}, print_as_text), CLI_UNREACHED);
}

/* Of a message set aside by an earlier start this one found no place. */
static void the_hint_tells_what_there_is(void **state)
{
    assert_int_equal(damage((struct shared){0}, queue_damage_hint), CLI_OK);
    assert_string_equal(text, "");
    assert_int_equal(damage((struct shared){.damaged = 1}, queue_damage_hint), CLI_OK);
    assert_non_null(strstr(text, "found 10 places damaged"));
    assert_int_equal(damage((struct shared){.set_aside = 2}, queue_damage_hint), CLI_OK);
    assert_non_null(strstr(text, "set aside: 2"));
    assert_null(strstr(text, "places"));
}

static int wait_for_book(struct shared does, int timeout_ms)
{
    start(does);
    struct cli_control *c = connect_to();
    int r = cli_wait_for_book(c, timeout_ms);
    cli_control_close(c);
    stop();
    return r;
}

static void the_book_is_waited_for_and_not_for_ever(void **state)
{
    assert_int_equal(wait_for_book((struct shared){0}, 10000), 0);
    assert_int_equal(wait_for_book((struct shared){.error = -EPIPE}, 10000), -ETIMEDOUT);
    assert_int_equal(wait_for_book((struct shared){.silent = true}, 50), -ETIMEDOUT);
    assert_int_equal(wait_for_book((struct shared){.dies_at = 1}, 10000), -ENOTCONN);
}

/* A command asks on with the same connection. */
static void after_a_book_that_lags_behind_the_next_question_is_answered(void **state)
{
    struct ipc_queue_filter filter = {.states = 0};
    struct reader r = {0};

    start((struct shared){.silent = true, .pages = 2});
    struct cli_control *c = connect_to();
    assert_int_equal(cli_wait_for_book(c, 50), -ETIMEDOUT);
    shared->silent = false;
    assert_int_equal(cli_control_list(c, &filter, on_page, &r), CLI_OK);
    assert_int_equal(r.pages, 2);
    cli_control_close(c);
    stop();
}

static int reload(struct shared does)
{
    static const char *const none[] = {NULL};

    start(does);
    int code = run(cli_reload, none);
    stop();
    return code;
}

/* Who goes on with the old configuration is one too many. */
static void a_reload_is_good_when_all_have_it(void **state)
{
    append("input", "");
    assert_int_equal(reload((struct shared){.done = true}), CLI_OK);
    assert_int_equal(reload((struct shared){.done = true, .partly = true}), CLI_BAD_NEWS);
    assert_int_equal(reload((struct shared){0}), CLI_BAD_NEWS);
    assert_int_equal(reload((struct shared){.dies_at = 1}), CLI_UNREACHED);
}

static int add_user_here(const char *address)
{
    int errors = redirect(2, "errors", O_WRONLY | O_TRUNC);
    int code = run(cli_user, (const char *const[]){"add", address, "--no-login", NULL});

    restore(errors, 2);
    read_back("errors", text, sizeof(text));
    return code;
}

static int add_user(const char *address, struct shared does)
{
    start(does);
    int code = add_user_here(address);
    stop();
    return code;
}

static bool has_user(const char *address)
{
    char users[4096];

    read_back("users", users, sizeof(users));
    return strstr(users, address);
}

static void a_user_is_added_though_a_process_is_slow(void **state)
{
    append("input", "");
    assert_int_equal(add_user("a@postbuch.test", (struct shared){.done = true}), CLI_OK);
    assert_string_equal(text, "smtpd[1] …\n");
    assert_int_equal(add_user("b@postbuch.test", (struct shared){.done = true, .partly = true}),
                     CLI_OK);
    assert_true(has_user("b@postbuch.test:*:\n"));
    assert_int_equal(add_user_here("c@postbuch.test"), CLI_OK);
    assert_non_null(strstr(text, "isn't running"));
}

/* A script that is told to try again would find the address there, and one that is told of success
 * would think that the server knows it. */
static void a_server_that_does_not_know_of_a_user_is_told_of(void **state)
{
    append("input", "");
    assert_int_equal(add_user("d@postbuch.test", (struct shared){0}), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "users is changed, but"));
    assert_int_equal(add_user("e@postbuch.test", (struct shared){.dies_at = 1}), CLI_BAD_NEWS);
    assert_non_null(strstr(text, "users is changed, but"));
    assert_int_equal(symlink("control", control), 0); /* any error that isn't a server's absence */
    assert_int_equal(add_user_here("f@postbuch.test"), CLI_BAD_NEWS);
    unlink(control);
    assert_non_null(strstr(text, "users is changed, but"));
    assert_true(has_user("d@postbuch.test") && has_user("e@postbuch.test") &&
                has_user("f@postbuch.test"));
}

static int set_up_all(void **state)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || set_up(state) < 0)
        return -1;
    path_of("control", control);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(pages_come_in_their_order),
        cmocka_unit_test(who_has_enough_gets_no_more),
        cmocka_unit_test(an_error_ends_a_listing),
        cmocka_unit_test(a_server_that_ends_is_told_of),
        cmocka_unit_test(a_server_that_keeps_silent_is_not_waited_for_for_ever),
        cmocka_unit_test(an_empty_list_says_of_what),
        cmocka_unit_test(an_act_is_done_in_pieces),
        cmocka_unit_test(what_was_left_out_is_bad_news),
        cmocka_unit_test(json_has_it_all),
        cmocka_unit_test(what_is_to_be_known_is_no_bad_news),
        cmocka_unit_test(what_cannot_be_undone_needs_a_yes),
        cmocka_unit_test(a_person_is_asked_of_how_many),
        cmocka_unit_test(who_was_not_asked_about_is_left_alone),
        cmocka_unit_test(an_act_whose_server_ends_is_no_success),
        cmocka_unit_test(damage_is_bad_news),
        cmocka_unit_test(the_hint_tells_what_there_is),
        cmocka_unit_test(the_book_is_waited_for_and_not_for_ever),
        cmocka_unit_test(after_a_book_that_lags_behind_the_next_question_is_answered),
        cmocka_unit_test(a_reload_is_good_when_all_have_it),
        cmocka_unit_test(a_user_is_added_though_a_process_is_slow),
        cmocka_unit_test(a_server_that_does_not_know_of_a_user_is_told_of),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down);
}
