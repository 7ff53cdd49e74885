#include "world.h"

#include "../../../place.h"
#include "proc/queue/core/feed.h"
#include "proc/queue/core/schedule.h"
#include "spool/index.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world *begin(void)
{
    return world_begin_with_admin(MAILBOX_DEFERS);
}

static struct world_commit send_to(struct world *w, const char *recipients)
{
    struct world_commit c;
    world_send(w, &c, "s@far.example", recipients, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    world_until(w, world_is_settled, NULL);
    return c;
}

static struct ipc_queue_acted act(struct world *w, enum ipc_queue_act_kind kind,
                                  const struct id *id, const char *destination)
{
    struct ipc_queue_act wanted = {.act = kind, .filter.destination = span_from_cstr(destination)};
    if (id)
        wanted.filter.id = *id;
    return world_act(w, wanted);
}

static void listings_filter_and_page(void **state)
{
    struct world *w = begin();
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, 0);
    struct world_commit first = send_to(w, "anna@here.example bob@here.example");
    send_to(w, "x@elsewhere.example");
    for (int i = 0; i < 300; i++)
        send_to(w, "carl@here.example");
    assert_int_equal(act(w, IPC_ACT_HOLD, NULL, "elsewhere.example").count, 1);
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
    struct world *w = begin();
    struct ipc_queue_act remove = {.act = IPC_ACT_REMOVE,
                                   .filter.recipient = SPAN("away@HERE.example")};

    world_join_directory(w);
    send_to(w, "+away@here.example x@elsewhere.example anna@here.example");
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
    struct world *w = begin();
    send_to(w, "early@here.example");
    struct world_commit c = send_to(w, text);
    send_to(w, "late@here.example");
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
    struct world *w = begin();
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
    struct world *w = begin();
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
    struct world *w = begin();
    world_ask(w, &(struct ipc_message){.type = IPC_QUEUE_MORE});
    assert_int_equal(w->reply.queue_page.error, -EINVAL);
    world_free(w);
}

/* Rows of pages that were asked for at once, and the errors of those that were too many. */
struct asked {
    struct ipc_call calls[IPC_QUEUE_PAGES_ASKED + 2];
    size_t answered, rows, refused, lasts;
    int error;
};

static struct asked asked;

static void on_asked(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    asked.answered++;
    asked.rows += reply->queue_page.row_count;
    asked.refused += reply->queue_page.error == -EINVAL;
    asked.lasts += reply->queue_page.error == 0 && reply->queue_page.last;
}

static bool all_answered(struct world *w, void *arg)
{
    return asked.answered == ARRAY_SIZE(asked.calls);
}

static void pages_may_be_asked_for_ahead(void **state)
{
    struct world *w = begin();
    send_to(w, "bob@here.example");
    send_to(w, "anna@here.example");
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

static bool is_answered(struct world *w, void *arg)
{
    return asked.answered == *(size_t *)arg;
}

/* A listing in a pager must not keep the spool's segments from being used again. */
static void who_does_not_ask_on_pins_nothing(void **state)
{
    enum { COUNT = 600 };
    static const struct ipc_message first = {.type = IPC_QUEUE_LIST},
                                    more = {.type = IPC_QUEUE_MORE};
    struct world *w = begin();
    struct world_commit c = {0};
    for (int i = 0; i < COUNT; i++)
        c = send_to(w, "bob@here.example");
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

static void hold_release_and_retry(void **state)
{
    struct world *w = begin();
    struct world_commit c = send_to(w, "bob@here.example");
    assert_int_equal(w->job_count, 1);

    assert_int_equal(act(w, IPC_ACT_RETRY, &c.id, "").count, 1);
    world_until_jobs(w, 2);
    world_until(w, world_is_settled, NULL);

    struct ipc_queue_acted acted = act(w, IPC_ACT_HOLD, &c.id, "");
    assert_int_equal(acted.error, 0);
    assert_int_equal(acted.count, 1);
    assert_int_equal(act(w, IPC_ACT_RETRY, &c.id, "").error, -ENOENT);
    assert_int_equal(act(w, IPC_ACT_HOLD, &c.id, "").error, -ENOENT);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_RELEASE);

    /* It stays held over a restart. */
    world_kill(w);
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_admin(w);
    world_rest(w);
    assert_int_equal(w->job_count, 0);
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").count, 1);
    world_until_delivered(w, 1);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").error, -ENOENT);
    assert_int_equal(act(w, IPC_ACT_RETRY, NULL, "").error, -EINVAL);
    world_free(w);
}

static void acts_on_a_destination(void **state)
{
    struct world *w = begin();
    for (int i = 0; i < 20; i++)
        send_to(w, "a@here.example b@here.example");
    send_to(w, "x@elsewhere.example");
    assert_int_equal(act(w, IPC_ACT_HOLD, NULL, "HERE.example").count, 40);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 40);
    w->mailbox_does = MAILBOX_DELIVERS;
    assert_int_equal(act(w, IPC_ACT_RELEASE, NULL, "here.example").count, 40);
    world_until_delivered(w, 40);
    world_free(w);
}

static struct ipc_queue_filter from(const char *sender)
{
    return (struct ipc_queue_filter){.sender = span_from_cstr(sender)};
}

static void send_as(struct world *w, const char *sender, const char *recipients)
{
    struct world_commit c;
    world_send(w, &c, sender, recipients, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_until(w, world_is_settled, NULL);
}

static size_t waiting(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->queue.spool, &c);
    return c.waiting + c.held;
}

static void removes_by_sender_and_recipient(void **state)
{
    struct world *w = begin();
    for (int i = 0; i < 300; i++)
        send_as(w, i % 3 ? "spam@far.example" : "good@far.example",
                "anna@here.example bob@here.example");
    struct ipc_queue_act remove = {.act = IPC_ACT_REMOVE, .filter = from("SPAM@far.example")};
    remove.filter.recipient = SPAN("bob@here.example");
    remove.dry = true;
    assert_int_equal(world_act(w, remove).count, 200);
    assert_int_equal(waiting(w), 600);
    remove.dry = false;
    struct ipc_queue_acted acted = world_act(w, remove);
    assert_int_equal(acted.count, 200);
    assert_int_equal(acted.examined, 300);
    assert_int_equal(waiting(w), 400);
    remove.filter.recipient = SPAN("");
    assert_int_equal(world_act(w, remove).count, 200);
    assert_int_equal(world_act(w, remove).error, -ENOENT);
    world_list(w, &(struct ipc_queue_filter){.sender = SPAN("good@far.example")});
    assert_int_equal(w->row_count, 200);
    assert_int_equal(waiting(w), 200);
    /* No item is left over in the scheduler. */
    struct sched_counters counters;
    sched_count(w->queue.sched, &counters);
    assert_int_equal(counters.counts[SCHED_HELD], 0);
    assert_int_equal(counters.counts[SCHED_PAUSED] + counters.counts[SCHED_READY], 200);
    world_free(w);
}

static void finds_the_null_sender(void **state)
{
    struct world *w = begin();
    send_as(w, "", "anna@here.example");
    send_as(w, "s@far.example", "anna@here.example");
    world_list(w, &(struct ipc_queue_filter){.sender = SPAN("<>")});
    assert_int_equal(w->row_count, 1);
    struct ipc_queue_act hold = {.act = IPC_ACT_HOLD, .filter = from("<>")};
    assert_int_equal(world_act(w, hold).count, 1);
    world_free(w);
}

static void what_is_under_way_is_left_alone(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    w->mailbox_does = MAILBOX_IS_SILENT;
    world_send(w, &c, "s@far.example", "anna@here.example", SPAN("hello\r\n"));
    world_until_answered(w, &c);
    world_until_jobs(w, 1);
    struct ipc_queue_acted acted = world_act(
        w, (struct ipc_queue_act){.act = IPC_ACT_REMOVE, .filter = from("s@far.example")});
    assert_int_equal(acted.error, -EBUSY);
    assert_int_equal(acted.busy, 1);
    assert_int_equal(waiting(w), 1);
    world_free(w);
}

static void assert_goes(struct world *w, const struct id *id, const char *where)
{
    struct spool_message *m = spool_find(w->queue.spool, id);
    assert_non_null(m);
    assert_span(spool_domain(w->queue.spool, m->recipients[0].domain), where);
}

static void reroutes_and_back(void **state)
{
    struct world *w = begin();
    struct world_commit c = send_to(w, "anna@here.example");
    struct ipc_queue_act reroute = {
        .act = IPC_ACT_REROUTE, .filter = from("s@far.example"), .next_hop = SPAN("smtp:")};
    assert_int_equal(world_act(w, reroute).error, -EINVAL);
    reroute.next_hop = SPAN("smtp:Gate.example:2525");
    assert_int_equal(world_act(w, reroute).count, 1);
    assert_goes(w, &c.id, "host:gate.example:2525");
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("gate.example:2525")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_CARRIER);

    world_kill(w);
    world_start(w);
    world_join_admin(w);
    w->mailbox_does = MAILBOX_DEFERS;
    world_join_smtp(w);
    world_until_jobs(w, 1);
    world_until(w, world_is_settled, NULL);
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("gate.example:2525")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_PAUSE);

    w->mailbox_does = MAILBOX_DELIVERS;
    world_join_mailbox(w);
    reroute.next_hop = SPAN("mx");
    reroute.filter.recipient = SPAN("anna@here.example");
    assert_int_equal(world_act(w, reroute).count, 1);
    world_until_delivered(w, 1);
    assert_int_equal(w->queue.dispatch->delivered, 1);
    world_free(w);
}

/* What is held stays so, and then goes the new way. */
static void reroutes_what_is_held(void **state)
{
    struct world *w = begin();
    struct world_commit c = send_to(w, "anna@here.example");
    assert_int_equal(act(w, IPC_ACT_HOLD, &c.id, "").count, 1);
    struct ipc_queue_act reroute = {
        .act = IPC_ACT_REROUTE, .filter.id = c.id, .next_hop = SPAN("mx:other.example")};
    assert_int_equal(world_act(w, reroute).count, 1);
    world_list(w, &(struct ipc_queue_filter){.states = IPC_QUEUE_HELD});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").count, 1);
    world_list(w, &(struct ipc_queue_filter){.destination = SPAN("other.example")});
    assert_int_equal(w->row_count, 1);
    assert_int_equal(w->rows[0].wait, IPC_WAIT_CARRIER);
    world_free(w);
}

static void summary_counts_by_destination_and_age(void **state)
{
    struct world *w = begin();
    world_join_smtp(w);
    for (int i = 0; i < 5; i++)
        send_to(w, "a@here.example b@here.example");
    send_to(w, "x@elsewhere.example");
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

static void one_act_at_a_time(void **state)
{
    struct world *w = begin();
    struct world_commit c = send_to(w, "bob@here.example");
    struct ipc_message hold = {.type = IPC_QUEUE_ACT,
                               .queue_act = {.filter.id = c.id, .index = UINT32_MAX}};
    struct ipc_call unheard = {.fn = NULL};
    assert_int_equal(ipc_call(w->admin, &unheard, &hold), 0);
    ipc_call_cancel(&unheard);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").error, -EBUSY);
    world_until(w, world_is_settled, NULL);
    assert_int_equal(act(w, IPC_ACT_RELEASE, &c.id, "").count, 1);
    world_free(w);
}

static void book_sync_waits_for_the_book(void **state)
{
    struct world *w = begin();
    struct ipc_message sync = {.type = IPC_BOOK_SYNC};
    send_to(w, "a@here.example");
    world_ask(w, &sync);
    assert_int_equal(w->reply.book_synced.error, -EPIPE);
    w->book_folds = true;
    world_join_book(w);
    world_ask(w, &sync);
    assert_int_equal(w->reply.book_synced.error, 0);
    struct spool_position sealed = spool_sealed_position(w->queue.spool);
    assert_int_equal(w->sealed.segment, sealed.segment);
    assert_int_equal(w->sealed.offset, sealed.offset);
    world_free(w);
}

static void on_book_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    asked.answered++;
    asked.error = reply->book_synced.error;
}

/* Who waits for the book is told when it goes away: it may never come back. */
static void who_waits_for_the_book_is_told_of_its_end(void **state)
{
    struct world *w = begin();
    struct ipc_message sync = {.type = IPC_BOOK_SYNC};
    size_t one = 1;
    asked = (struct asked){0};
    send_to(w, "a@here.example");
    world_join_book(w); /* which never folds */
    asked.calls[0].fn = on_book_answer;
    assert_int_equal(ipc_call(w->admin, &asked.calls[0], &sync), 0);
    world_rest(w);
    assert_int_equal(asked.answered, 0);
    ipc_channel_free(w->book);
    w->book = NULL;
    world_until(w, is_answered, &one);
    assert_int_equal(asked.error, -EPIPE);
    assert_null(w->queue.feed->book);
    /* Another book is told the position anew, as it may have lost what the one before had. */
    w->book_folds = true;
    w->sealed = (struct ipc_sealed){0};
    world_join_book(w);
    world_ask(w, &sync);
    assert_int_equal(w->reply.book_synced.error, 0);
    assert_int_equal(w->sealed.offset, spool_sealed_position(w->queue.spool).offset);
    world_free(w);
}

/* The word of a book that claims to have read what it wasn't told of yet frees nothing. */
static void a_book_that_is_ahead_of_the_log_is_not_believed(void **state)
{
    struct world *w = begin();
    struct spool_position end = spool_sealed_position(w->queue.spool);
    world_join_book(w);
    send_to(w, "a@here.example");
    world_rest(w);
    end = spool_sealed_position(w->queue.spool);
    const struct ipc_position claims[] = {
        {end.segment, end.offset + 1}, {end.segment + 1, 0}, {UINT64_MAX, UINT64_MAX}};
    for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
        struct ipc_message m = {.type = IPC_FOLDED, .position = claims[i]};
        assert_int_equal(ipc_notify(w->book, &m), 0);
        world_rest(w);
        assert_int_equal(w->queue.feed->folded.segment, 0);
    }
    struct ipc_message all = {.type = IPC_FOLDED, .position = {end.segment, end.offset}},
                       less = {.type = IPC_FOLDED, .position = {end.segment, end.offset - 1}};
    assert_int_equal(ipc_notify(w->book, &all), 0);
    world_rest(w);
    assert_int_equal(w->queue.feed->folded.offset, end.offset);
    /* One that is made anew goes back, and the next one may have nothing at all. */
    assert_int_equal(ipc_notify(w->book, &less), 0);
    world_rest(w);
    assert_int_equal(w->queue.feed->folded.offset, end.offset - 1);
    world_join_book(w);
    world_rest(w);
    assert_int_equal(w->queue.feed->folded.segment, 0);
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
    struct world *w = begin();
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

/* ---- the supervisor ---- */

static struct ipc_channel *supervisor;

static bool admin_has_answer(struct world *w, void *arg)
{
    return w->answered;
}

static void on_supervised(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    struct ipc_message m = {.type = IPC_STATUS, .status.json = SPAN("{\"all\": 1}")};
    if (arrival->message->type == IPC_RELOAD)
        m = (struct ipc_message){.type = IPC_RELOADED,
                                 .reloaded = {.done = true, .text = SPAN("done\n")}};
    if (!w->smtp_is_silent)
        assert_int_equal(ipc_reply(arrival->channel, arrival->token, &m), 0);
}

static const struct ipc_handler supervisor_handlers[] = {{IPC_STATUS_ASK, on_supervised},
                                                         {IPC_RELOAD, on_supervised}};
static const struct ipc_role supervisor_role = {.peer_name = "queue",
                                                .handlers = supervisor_handlers,
                                                .handler_count = 2},
                             queue_role = {.peer_name = "supervisor"};

static void join_supervisor(struct world *w)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[0], &supervisor_role, w, &supervisor), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], &queue_role, w, &w->queue.supervisor), 0);
}

static void supervisor_is_asked_for_what_is_its_own(void **state)
{
    static const struct {
        enum ipc_type type;
        const char *without, *with;
    } cases[] = {{IPC_STATUS_ASK, "{}", "{\"all\": 1}"},
                 {IPC_RELOAD, "the supervisor does not answer\n", "done\n"}};
    struct world *w = begin();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ipc_message ask = {.type = cases[i].type};
        world_ask(w, &ask);
        assert_span(buffer_span(&w->reply_text), cases[i].without);
        join_supervisor(w);
        world_ask(w, &ask);
        assert_span(buffer_span(&w->reply_text), cases[i].with);
        /* It dies with the question. */
        w->smtp_is_silent = true;
        w->answered = false;
        assert_int_equal(ipc_call(w->admin, &w->call, &ask), 0);
        world_rest(w);
        assert_false(w->answered);
        ipc_channel_free(w->queue.supervisor);
        w->queue.supervisor = NULL;
        world_until(w, admin_has_answer, NULL);
        assert_span(buffer_span(&w->reply_text), cases[i].without);
        ipc_channel_free(supervisor);
        w->smtp_is_silent = false;
    }
    world_free(w);
}

static void a_client_may_leave_at_any_time(void **state)
{
    static const enum ipc_type types[] = {IPC_QUEUE_LIST, IPC_QUEUE_SUMMARY_ASK, IPC_BOOK_SYNC,
                                          IPC_STATUS_ASK, IPC_QUEUE_ACT};
    struct world *w = begin();
    struct world_commit c = send_to(w, "a@here.example");
    world_join_book(w); /* which never answers */
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct ipc_message m = {.type = types[i]};
        if (m.type == IPC_QUEUE_ACT)
            m.queue_act = (struct ipc_queue_act){.filter.id = c.id, .index = UINT32_MAX};
        world_join_admin(w);
        w->call.fn = NULL;
        assert_int_equal(ipc_call(w->admin, &w->call, &m), 0);
        ipc_call_cancel(&w->call);
        io_loop_turn(w->loop);
        io_loop_turn(w->loop);
        ipc_channel_free(w->admin);
        w->admin = NULL;
        world_rest(w);
    }
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, 1);
    world_free(w);
}

/* Descriptors are short. The linker puts this in its place (meson.build). */
static bool no_descriptors;
static unsigned accepts, strangers; /* so many of these knock */
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    accepts++;
    if (strangers) {
        strangers--;
        return open("/dev/null", O_RDONLY | O_CLOEXEC); /* whose uid nobody knows */
    }
    if (!no_descriptors)
        return __real_accept4(fd, address, size, flags);
    errno = EMFILE;
    return -1;
}

/* What the kernel says of those who knock; 0: the truth. */
static uid_t uid_of_peer;
static int peer_error;
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    int r = __real_getsockopt(fd, level, name, value, size);

    if (name != SO_PEERCRED || r < 0)
        return r;
    if (uid_of_peer)
        ((struct ucred *)value)->uid = uid_of_peer;
    errno = peer_error;
    return peer_error ? -1 : 0;
}

/* What the log has of refusals. */
static char refusals[400];
void __wrap_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_info(const char *format, ...)
{
    size_t size = strlen(refusals);
    va_list args;

    if (strncmp(format, "control connection", 18) != 0)
        return;
    va_start(args, format);
    vsnprintf(refusals + size, sizeof(refusals) - size, format, args);
    va_end(args);
    strncat(refusals, "\n", sizeof(refusals) - strlen(refusals) - 1);
}

/* Who may not come in can't keep the loop busy with refusing him. */
static void few_are_let_in_a_turn(void **state)
{
    struct world *w = begin();

    ipc_channel_free(w->admin);
    w->admin = NULL;
    world_rest(w);
    strangers = 100;
    accepts = 0;
    world_join_admin(w);
    assert_int_equal(io_loop_turn(w->loop), 0);
    assert_in_range(accepts, 1, 16);
    world_list(w, &(struct ipc_queue_filter){0}); /* let in, when it is its turn */
    assert_int_equal(strangers, 0);
    world_free(w);
}

/* The one that knocks would wake the loop in each of its turns. */
static void who_comes_when_descriptors_are_short_waits(void **state)
{
    enum { TURNS = 100 }; /* of world_rest() */
    struct world *w = begin();

    ipc_channel_free(w->admin);
    w->admin = NULL;
    world_rest(w);
    no_descriptors = true;
    accepts = 0;
    world_join_admin(w);
    world_rest(w);
    assert_in_range(accepts, 1, TURNS / 2);
    no_descriptors = false;
    world_list(w, &(struct ipc_queue_filter){0}); /* let in, and answered */
    world_free(w);
}

/* Time that went by, and answers that lie unread. */
static int64_t passed_ms;
static size_t unread;
int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);
size_t __real_ipc_channel_queued(const struct ipc_channel *channel);
size_t __wrap_ipc_channel_queued(const struct ipc_channel *channel);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + passed_ms;
}

size_t __wrap_ipc_channel_queued(const struct ipc_channel *channel)
{
    return unread ? unread : __real_ipc_channel_queued(channel);
}

static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static int knock(struct world *w)
{
    int fd = place_connect(w->folder);
    assert_int_equal(io_loop_turn(w->loop), 0); /* takes it in: the backlog is short */
    return fd;
}

static void is_refused(struct world *w)
{
    int fd = knock(w);
    world_rest(w);
    assert_true(is_closed(fd));
    close(fd);
}

/* Pagers and hung programs, as many as there may be: an administrator gets in all the same, but
 * nobody is sent away for him who waits for an answer, has just come, or asked just now. */
static void who_is_idle_makes_room(void **state)
{
    struct ipc_message sync = {.type = IPC_BOOK_SYNC};
    struct ipc_call call = {.fn = on_asked};
    struct world *w = begin();
    struct ipc_channel *busy = w->admin, *asker;
    int idle[CONTROL_CLIENTS_MAX - 2];

    send_to(w, "a@here.example");
    world_join_book(w); /* which never answers */
    assert_int_equal(ipc_call(busy, &call, &sync), 0);
    w->admin = NULL;
    world_join_admin(w);
    world_rest(w);
    for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
        idle[i] = knock(w);
    is_refused(w);
    passed_ms = 11000;
    world_list(w, &(struct ipc_queue_filter){0});
    asker = w->admin;
    w->admin = NULL;
    unread = 1;
    is_refused(w);
    unread = 0;
    assert_false(is_closed(idle[0]));
    world_join_admin(w);
    world_list(w, &(struct ipc_queue_filter){0});
    assert_true(is_closed(idle[0]));
    assert_false(is_closed(idle[1]));
    assert_false(w->admin_lost);
    unread = 1;
    passed_ms += 600000; /* what nobody has read for so long nobody will */
    close(knock(w));
    world_rest(w);
    assert_true(w->admin_lost); /* the asker */
    assert_false(is_closed(idle[1]));
    assert_true(ipc_call_is_pending(&call));
    passed_ms = 0;
    unread = 0;
    for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
        close(idle[i]);
    ipc_call_cancel(&call);
    ipc_channel_free(asker);
    ipc_channel_free(busy);
    world_free(w);
}

/* Strangers' refusals are told once in a while; an administrator's are told all the same. */
static void strangers_hide_no_refusal_of_an_administrator(void **state)
{
    char expected[200];
    int in[CONTROL_CLIENTS_MAX - 1];
    struct world *w = begin();

    world_rest(w);
    refusals[0] = '\0';
    uid_of_peer = 54321;
    is_refused(w);
    is_refused(w);
    assert_string_equal(refusals,
                        "control connection of uid 54321 refused: Operation not permitted\n");
    uid_of_peer = 0;
    peer_error = ENOMEM;
    refusals[0] = '\0';
    is_refused(w);
    peer_error = 0;
    assert_string_equal(refusals,
                        "control connection refused, nobody knows whose: Cannot allocate memory\n");
    world_free(w);
    w = begin();
    world_rest(w);
    uid_of_peer = 54321;
    is_refused(w);
    uid_of_peer = 0;
    refusals[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(in); i++)
        in[i] = knock(w);
    is_refused(w);
    for (size_t i = 0; i < ARRAY_SIZE(in); i++)
        close(in[i]);
    snprintf(expected, sizeof(expected), "control connection of uid %u refused: Too many users\n",
             geteuid());
    assert_string_equal(refusals, expected);
    world_free(w);
}

/* Its supervisor is gone, and the next one must be able to bind the address. */
static void who_is_in_is_served_when_nobody_comes_in_any_more(void **state)
{
    struct world *w = begin();
    struct sockaddr_un address;
    int fd = place_socket(w->folder, &address);

    world_rest(w); /* until the administrator is in */
    control_stop_listening(w->queue.control);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    control_tick(w->queue.control);
    send_to(w, "a@here.example");
    world_list(w, &(struct ipc_queue_filter){0});
    assert_int_equal(w->row_count, 1);
    close(fd);
    world_free(w);
}

static void what_no_client_may_say_ends_its_channel(void **state)
{
    struct world *w = begin();
    struct ipc_message m = {.type = IPC_UPLOAD_ABORT, .upload_abort = {.upload = 1}};
    assert_int_equal(ipc_notify(w->admin, &m), 0);
    world_rest(w);
    assert_true(w->admin_lost);
    world_free(w);
}

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
    struct world *w = begin();
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
    struct world *w = begin();
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
    world_until(w, admin_has_answer, NULL);
    assert_span(buffer_span(&w->reply_text),
                "|x@relayed.example 1 host:h:25 the smtp process could not tell\n");
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
        cmocka_unit_test(hold_release_and_retry),
        cmocka_unit_test(acts_on_a_destination),
        cmocka_unit_test(removes_by_sender_and_recipient),
        cmocka_unit_test(finds_the_null_sender),
        cmocka_unit_test(what_is_under_way_is_left_alone),
        cmocka_unit_test(reroutes_and_back),
        cmocka_unit_test(reroutes_what_is_held),
        cmocka_unit_test(summary_counts_by_destination_and_age),
        cmocka_unit_test(one_act_at_a_time),
        cmocka_unit_test(book_sync_waits_for_the_book),
        cmocka_unit_test(who_waits_for_the_book_is_told_of_its_end),
        cmocka_unit_test(a_book_that_is_ahead_of_the_log_is_not_believed),
        cmocka_unit_test(damage_is_told_to_who_asks),
        cmocka_unit_test(supervisor_is_asked_for_what_is_its_own),
        cmocka_unit_test(smtp_tells_of_the_way_to_each_next_hop),
        cmocka_unit_test(a_client_may_leave_at_any_time),
        cmocka_unit_test(few_are_let_in_a_turn),
        cmocka_unit_test(who_comes_when_descriptors_are_short_waits),
        cmocka_unit_test(who_is_idle_makes_room),
        cmocka_unit_test(strangers_hide_no_refusal_of_an_administrator),
        cmocka_unit_test(the_way_of_an_address_is_told),
        cmocka_unit_test(who_is_in_is_served_when_nobody_comes_in_any_more),
        cmocka_unit_test(what_no_client_may_say_ends_its_channel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
