/* Listings, sums and damage, as administrators ask for them. */
#include "asked.h"

#include "proc/queue/core/schedule.h"
#include "spool/index.h"
#include <errno.h>
#include <stdio.h>

static void listings_filter_and_page(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, 0);
    struct world_commit first = world_settle(w, "anna@here.example bob@here.example");
    world_settle(w, "x@elsewhere.example");
    for (int i = 0; i < 300; i++)
        world_settle(w, "carl@here.example");
    assert_int_equal(
        world_act(w, (struct ipc_queue_act){.act = IPC_ACT_HOLD,
                                            .filter.destination = SPAN("elsewhere.example")})
            .count,
        1);
    w->row_count = 0;
    static const struct {
        const char *what;
        struct ipc_queue_filter filter;
        size_t rows;
    } cases[] = {
        {"all", {.brief = false}, 303},
        {"brief", {.brief = true}, 303},
        {"recipient", {.recipient = {"BOB@here.example", 16}}, 1},
        {"part of one", {.recipient = {"arl", 3}}, 300},
        {"domain of a recipient", {.recipient = {"@Here.example", 13}}, 302},
        {"end of a domain", {.recipient = {"@ere.example", 12}}, 0},
        {"local part", {.recipient = {"bob@", 4}}, 1},
        {"at", {.recipient = {"@", 1}}, 303},
        {"domain of the sender", {.sender = {"@far.example", 12}}, 303},
        {"another domain", {.sender = {"@far.exampl", 11}}, 0},
        {"more than the sender", {.sender = {"@s@far.example", 14}}, 0},
        {"sender", {.sender = {"s@far.example", 13}}, 303},
        {"no such sender", {.sender = {"t@far.example", 13}}, 0},
        {"destination", {.destination = {"elsewhere.example", 17}}, 1},
        {"held", {.states = IPC_QUEUE_HELD}, 1},
        {"paused or ready", {.states = IPC_QUEUE_PAUSED | IPC_QUEUE_READY}, 302},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("%s\n", cases[i].what);
        world_list(w, &cases[i].filter);
        assert_int_equal(w->row_count, cases[i].rows);
    }
    world_list(w, &(struct ipc_queue_filter){.id = first.id});
    assert_int_equal(w->row_count, 2);
    assert_string_equal(w->addresses[0], "anna@here.example");
    assert_string_equal(w->addresses[1], "bob@here.example");
    assert_int_equal(w->rows[0].wait, IPC_WAIT_PAUSE);
    assert_int_equal(w->rows[0].attempts, 1);
    assert_int_equal(w->rows[0].size_bytes, strlen("hello\r\n")); /* as received: as in the book */
    assert_true(w->rows[0].next_attempt_us > w->rows[0].accepted_us);
    assert_true(w->rows[0].deadline_us > w->rows[0].next_attempt_us);
    world_list(w, &(struct ipc_queue_filter){.id = {{1}}});
    assert_int_equal(w->row_count, 0);
    world_free(w);
}

/* Its mail is at another domain, but the name under which it came is the alias's. */
static void an_alias_that_leads_elsewhere_is_found_by_its_name(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_queue_act remove = {.act = IPC_ACT_REMOVE,
                                   .filter.recipient = SPAN("away@HERE.example")};

    world_join_directory(w);
    world_settle(w, "+away@here.example x@elsewhere.example anna@here.example");
    world_list(w, &(struct ipc_queue_filter){.recipient = remove.filter.recipient});
    assert_int_equal(w->row_count, 1);
    assert_string_equal(w->addresses[0], "someone@elsewhere.example");
    world_list(w, &(struct ipc_queue_filter){.recipient = SPAN("someone@elsewhere.example")});
    assert_int_equal(w->row_count, 1);
    world_list(w, &(struct ipc_queue_filter){.recipient = SPAN("away@elsewhere.example")});
    assert_int_equal(w->row_count, 0);
    assert_int_equal(world_act(w, remove).count, 1);
    world_free(w);
}

static void a_message_of_many_recipients_takes_many_pages(void **state)
{
    enum { COUNT = 700 };
    static char text[COUNT * 20];
    char *at = text;
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "u%d@far%d.example ", i, i % 7);
    at[-1] = '\0';
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    world_settle(w, "early@here.example");
    struct world_commit c = world_settle(w, text);
    world_settle(w, "late@here.example");
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, COUNT + 2);
    static bool seen[COUNT];
    for (size_t i = 0; i < w->row_count; i++)
        if (id_equal(&w->rows[i].id, &c.id)) {
            assert_false(seen[w->rows[i].index]);
            seen[w->rows[i].index] = true;
        }
    world_free(w);
}

/* The audit compares with the book, which knows an outcome only when it is sealed. */
static void what_is_not_sealed_yet_still_waits(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c;
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_send(w, &c, "s@far.example", "anna@here.example bob@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_until_jobs(w, 1);
    struct spool_message *m = spool_find(w->queue.spool, &c.id);
    assert_non_null(m);
    schedule_close(&m->recipients[0]);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_int_equal(w->row_count, 2);
    assert_int_equal(w->rows[0].state, IPC_QUEUE_ACTIVE);
    assert_int_equal(w->rows[0].deadline_us, 0);
    assert_int_equal(w->rows[1].state, IPC_QUEUE_ACTIVE);
    world_free(w);
}

/* Until the next outcome books it, only the listing can say that an attempt may have been under
 * way. */
static void what_a_crash_left_open_is_told(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c;
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_until_jobs(w, 1);
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_int_equal(w->row_count, 1);
    assert_false(w->rows[0].doubtful);
    struct spool_message *m = spool_find(w->queue.spool, &c.id);
    assert_non_null(m);
    m->recipients[0].in_doubt = 1;
    world_list(w, &(struct ipc_queue_filter){.brief = true});
    assert_true(w->rows[0].doubtful);
    world_free(w);
}

static void more_without_a_listing_is_an_error(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    world_ask(w, &(struct ipc_message){.type = IPC_QUEUE_MORE});
    assert_int_equal(w->reply.queue_page.error, -EINVAL);
    world_free(w);
}

static bool all_answered(struct world *w, void *arg)
{
    return asked.answered == ARRAY_SIZE(asked.calls);
}

static void pages_may_be_asked_for_ahead(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    world_settle(w, "bob@here.example");
    world_settle(w, "anna@here.example");
    asked = (struct asked){0};
    for (size_t i = 0; i < ARRAY_SIZE(asked.calls); i++) {
        struct ipc_message ask = {.type = i ? IPC_QUEUE_MORE : IPC_QUEUE_LIST};
        asked.calls[i].fn = on_asked;
        assert_int_equal(ipc_call(w->admin, &asked.calls[i], &ask), 0);
    }
    world_until(w, all_answered, NULL);
    assert_int_equal(asked.rows, 2); /* each once, although there is one page */
    assert_int_equal(asked.refused, 2);
    assert_int_equal(asked.lasts, IPC_QUEUE_PAGES_ASKED);
    world_free(w);
}

struct pinned {
    const struct segment *segment;
    uint32_t before; /* by others */
};

static bool is_pinned(struct world *w, void *arg)
{
    const struct pinned *p = arg;
    return p->segment->pins > p->before;
}

static bool is_let_go(struct world *w, void *arg)
{
    return !is_pinned(w, arg);
}

/* A listing in a pager must not keep the spool's segments from being used again. */
static void who_does_not_ask_on_pins_nothing(void **state)
{
    enum { COUNT = 600 };
    static const struct ipc_message first = {.type = IPC_QUEUE_LIST},
                                    more = {.type = IPC_QUEUE_MORE};
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct world_commit c = {0};
    for (int i = 0; i < COUNT; i++)
        c = world_settle(w, "bob@here.example");
    struct pinned pinned = {.segment = index_home(spool_find(w->queue.spool, &c.id))};
    pinned.before = pinned.segment->pins;
    asked = (struct asked){0};
    for (size_t i = 1; asked.lasts == 0; i++) {
        asked.calls[0].fn = on_asked;
        assert_int_equal(ipc_call(w->admin, &asked.calls[0], i == 1 ? &first : &more), 0);
        world_until(w, is_answered, &i);
        assert_int_equal(asked.refused, 0);
        if (i > 1)
            continue;
        world_until(w, is_pinned, &pinned); /* the next page is read ahead */
        world_until(w, is_let_go, &pinned);
    }
    assert_int_equal(asked.rows, COUNT);
    world_free(w);
}

static void summary_counts_by_destination_and_age(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    world_join_smtp(w);
    for (int i = 0; i < 5; i++)
        world_settle(w, "a@here.example b@here.example");
    world_settle(w, "x@elsewhere.example");
    world_ask(w, &(struct ipc_message){.type = IPC_QUEUE_SUMMARY_ASK});
    assert_int_equal(w->reply.queue_summary.messages, 6);
    assert_int_equal(w->reply.queue_summary.recipients, 11);
    assert_int_equal(w->reply.queue_summary.destinations, 2);
    assert_int_equal(w->sums[0].paused, 10);
    assert_int_equal(w->sums[0].ages[0], 10);
    assert_int_equal(w->sums[1].paused, 1);
    assert_true(w->sums[0].window >= 16);
    world_free(w);
}

static char damage_text[200];

static void on_damage_told(struct ipc_call *call, const struct ipc_message *reply)
{
    const struct ipc_queue_damage *d = &reply->queue_damage;
    asked.answered++;
    asked.rows = d->row_count;
    asked.refused = d->set_aside;
    assert_int_equal(d->count, d->row_count);
    if (d->row_count)
        snprintf(damage_text, sizeof(damage_text), SPAN_FMT, SPAN_ARG(d->rows[0].text));
}

/* What `queue damage` shows: nothing on a good disk; else each, and how many messages it keeps. */
static void damage_is_told_to_who_asks(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_message ask = {.type = IPC_QUEUE_DAMAGE_ASK};
    for (size_t round = 1; round <= 2; round++) {
        asked = (struct asked){0};
        asked.calls[0].fn = on_damage_told;
        assert_int_equal(ipc_call(w->admin, &asked.calls[0], &ask), 0);
        world_until(w, is_answered, &(size_t){1});
        assert_int_equal(asked.rows, round - 1);
        assert_int_equal(asked.refused, round - 1);
        if (round == 2)
            break;
        struct world_commit c;
        world_send(w, &c, "s@far.example", "bob@here.example", SPAN("words to be lost\r\n"));
        world_until_answered(w, &c);
        world_until(w, world_is_settled, NULL);
        world_kill(w);
        world_damage(w, "words to be lost");
        world_start(w);
        world_join_admin(w);
        world_rest(w);
    }
    assert_string_equal(damage_text, "the message's bytes are damaged");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listings_filter_and_page),
        cmocka_unit_test(an_alias_that_leads_elsewhere_is_found_by_its_name),
        cmocka_unit_test(a_message_of_many_recipients_takes_many_pages),
        cmocka_unit_test(what_is_not_sealed_yet_still_waits),
        cmocka_unit_test(what_a_crash_left_open_is_told),
        cmocka_unit_test(more_without_a_listing_is_an_error),
        cmocka_unit_test(pages_may_be_asked_for_ahead),
        cmocka_unit_test(who_does_not_ask_on_pins_nothing),
        cmocka_unit_test(summary_counts_by_destination_and_age),
        cmocka_unit_test(damage_is_told_to_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
