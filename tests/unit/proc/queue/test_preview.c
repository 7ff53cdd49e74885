/* Which way an address would go, for who asks. */
#include "world.h"

/* tests/lab/test_route_command.py asks the whole server. */
static void the_way_of_an_address_is_told(void **state)
{
    static struct conf_queue_route routes[] = {{{"relayed.example", 15}, {"host:h:25", 9}, true}};
    static const struct {
        const char *address;
        enum ipc_route_kind kind;
        const char *told;
    } cases[] = {
        {"list@here.example", IPC_ROUTE_ALIAS,
         "|a@here.example 0  |b@here.example 0  |c@here.example 0  "},
        {"User+x@here.example", IPC_ROUTE_USER, "|user@here.example 0  "},
        {"away@here.example", IPC_ROUTE_ALIAS,
         "|someone@elsewhere.example 3 mx:elsewhere.example the smtp process is not there\n"},
        {"x@[127.0.0.1]", IPC_ROUTE_NOBODY,
         "mail is not carried to addresses in brackets, name a domain"},
        {"unsure@here.example", IPC_ROUTE_UNSURE,
         "the users or aliases have errors, the postmaster has to mend them"},
        {"x@Relayed.Example", IPC_ROUTE_FOREIGN,
         "|x@relayed.example 1 host:h:25 the smtp process is not there\n"},
        {"x@far.example", IPC_ROUTE_FOREIGN,
         "|x@far.example 3 mx:far.example the smtp process is not there\n"},
        {"x@", IPC_ROUTE_BAD, NULL},
        {"", IPC_ROUTE_BAD, NULL},
    };
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    w->conf.routes = routes;
    w->conf.route_count = 1;
    world_join_directory(w);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ipc_message ask = {.type = IPC_ROUTE_ASK,
                                  .route_ask.address = span_from_cstr(cases[i].address)};
        world_ask(w, &ask);
        assert_int_equal(w->reply.route_told.kind, cases[i].kind);
        if (cases[i].told)
            assert_span(buffer_span(&w->reply_text), cases[i].told);
    }
    /* A client that goes away leaves nothing behind. */
    struct ipc_message ask = {.type = IPC_ROUTE_ASK, .route_ask.address = SPAN("a@here.example")};
    w->call.fn = NULL;
    assert_int_equal(ipc_call(w->admin, &w->call, &ask), 0);
    ipc_call_cancel(&w->call);
    io_loop_turn(w->loop);
    ipc_channel_free(w->admin);
    w->admin = NULL;
    world_rest(w);
    world_free(w);
}

static bool is_route_asked(struct world *w, void *arg)
{
    return w->routes_asked >= *(size_t *)arg;
}

/* Each next hop is asked for once, of the process that would carry there; its answer is shown. */
static void smtp_tells_of_the_way_to_each_next_hop(void **state)
{
    static struct conf_queue_route routes[] = {{{"relayed.example", 15}, {"host:h:25", 9}, true}};
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_message ask = {.type = IPC_ROUTE_ASK, .route_ask.address = SPAN("x@far.example")};
    size_t three = 3;
    w->conf.routes = routes;
    w->conf.route_count = 1;
    world_join_directory(w);
    world_join_smtp(w);
    world_ask(w, &ask);
    assert_span(buffer_span(&w->reply_text), "|x@far.example 3 mx:far.example by mx:far.example\n");
    ask.route_ask.address = SPAN("x@relayed.example");
    world_ask(w, &ask);
    assert_span(buffer_span(&w->reply_text), "|x@relayed.example 1 host:h:25 by host:h:25\n");
    assert_int_equal(w->routes_asked, 2);
    /* It goes away with the question: the rest is told all the same. */
    w->smtp_is_silent = true;
    w->answered = false;
    assert_int_equal(ipc_call(w->admin, &w->call, &ask), 0);
    world_until(w, is_route_asked, &three);
    assert_false(w->answered);
    world_leave_smtp(w);
    world_until(w, world_has_answer, NULL);
    assert_span(buffer_span(&w->reply_text),
                "|x@relayed.example 1 host:h:25 the smtp process could not tell\n");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smtp_tells_of_the_way_to_each_next_hop),
        cmocka_unit_test(the_way_of_an_address_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
