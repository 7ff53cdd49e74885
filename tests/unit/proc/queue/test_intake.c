#include "world.h"

#include "base/clock.h"
#include "mail/event.h"
#include "proc/queue/accept/pressure.h"
#include "proc/queue/accept/refusals.h"
#include "spool/follow.h"
#include "spool/lane.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct world *begin(void)
{
    struct world *w = world_new();
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_directory(w);
    return w;
}

static size_t refusals;

int __real_spool_accept(struct spool *spool, const struct spool_accept *accept, spool_done_fn *done,
                        void *arg);
int __wrap_spool_accept(struct spool *spool, const struct spool_accept *accept, spool_done_fn *done,
                        void *arg);

int __wrap_spool_accept(struct spool *spool, const struct spool_accept *accept, spool_done_fn *done,
                        void *arg)
{
    int r = __real_spool_accept(spool, accept, done, arg);

    refusals += r == -EAGAIN;
    return r;
}

static void a_message_is_accepted_and_handed_on(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    world_send(w, &c, "anna@far.example", "bob@here.example", SPAN("Subject: x\r\n\r\nhello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 1);
    assert_true(id_equal(&w->jobs[0].id, &c.id));
    assert_string_equal(w->jobs[0].sender, "anna@far.example");
    assert_string_equal(w->jobs[0].recipients[0], "bob@here.example");
    assert_span(buffer_span(&w->jobs[0].header), "Received: by here\r\n");
    assert_span(buffer_span(&w->jobs[0].body), "Subject: x\r\n\r\nhello\r\n");
    assert_int_equal(w->queue.parcels.misses, 0);
    assert_int_equal(w->queue.parcels.bytes, 0);
    struct spool_counts counts;
    spool_get_counts(w->queue.spool, &counts);
    assert_int_equal(counts.messages, 0);
    world_free(w);
}

static void recipients_of_one_message_go_in_one_job(void **state)
{
    struct world *w = begin();
    assert_int_equal(world_commit(w, "a@here.example b@here.example c@here.example"),
                     IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 3);
    assert_int_equal(w->job_count, 1);
    world_free(w);
}

static void many_messages_share_groups(void **state)
{
    enum { COUNT = 2000 };
    static struct world_commit commits[COUNT];
    static char body[10000];
    struct world *w = begin();
    memset(body, 'x', sizeof(body));
    for (size_t i = 0; i < COUNT; i++)
        world_send(w, &commits[i], "s@far.example", "bob@here.example",
                   span_of(body, sizeof(body)));
    for (size_t i = 0; i < COUNT; i++) {
        world_until_answered(w, &commits[i]);
        assert_int_equal(commits[i].result, IPC_COMMIT_ACCEPTED);
    }
    world_until_delivered(w, COUNT);
    struct spool_counts counts;
    spool_get_counts(w->queue.spool, &counts);
    assert_true(counts.groups < COUNT);
    assert_int_equal(counts.messages, 0);
    world_free(w);
}

/* Whether a thread had a group with them at the end of any turn. */
static bool needs_the_thread(struct world *w, struct world_commit *commits, size_t count)
{
    bool needed = false;
    for (size_t i = 0; i < count; i++)
        world_send(w, &commits[i], "s@far.example", "bob@here.example", SPAN("x"));
    for (size_t i = 0; i < count;) {
        io_loop_turn(w->loop);
        needed |= w->queue.committer.group && w->queue.committer.messages;
        i += commits[i].answered;
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(commits[i].result, IPC_COMMIT_ACCEPTED);
    world_rest(w);
    assert_int_equal(w->queue.committer.messages, 0);
    return needed;
}

static void one_message_on_a_quick_disk_needs_no_thread(void **state)
{
    enum { QUICK = 1000 };
    static struct world_commit commits[2];
    struct world *w = begin();
    struct committer *committer = &w->queue.committer;
    world_rest(w);
    committer->quick_groups = 0;
    assert_true(needs_the_thread(w, commits, 1));
    committer->quick_groups = QUICK;
    assert_false(needs_the_thread(w, commits, 1));
    committer->quick_groups = QUICK;
    assert_true(needs_the_thread(w, commits, 2));
    world_free(w);
}

static void a_large_body_streams_in_and_out(void **state)
{
    enum { SIZE = 3 * 1000 * 1000 };
    struct world *w = begin();
    struct world_commit c;
    world_send_large(w, &c, "bob@here.example", SIZE);
    world_until_answered(w, &c);
    assert_string_equal(c.text, "");
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 1);
    assert_int_equal(w->jobs[0].body.size, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        if (w->jobs[0].body.data[i] != world_byte(i))
            fail_msg("byte %zu differs", i);
    assert_span(buffer_span(&w->jobs[0].header), "Received: by here\r\n");
    world_free(w);
}

static void what_an_smtpd_leaves_behind_is_freed(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    world_send_large(w, &c, "bob@here.example", 300000);
    struct ipc_call call = {.fn = NULL};
    struct ipc_message chunk = {.type = IPC_UPLOAD_CHUNK,
                                .upload_chunk = {.upload = 77, .bytes = SPAN("begun")}};
    assert_int_equal(ipc_call(w->smtpd, &call, &chunk), 0);
    ipc_call_cancel(&call);
    io_loop_turn(w->loop);
    ipc_channel_free(w->smtpd); /* in the middle of all of it */
    w->smtpd = NULL;
    assert_true(c.lost);
    world_rest(w);
    assert_true(list_is_empty(&w->queue.peers));
    world_join_smtpd(w);
    assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

static void an_aborted_upload_can_not_be_committed(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    struct ipc_message abort_it = {.type = IPC_UPLOAD_ABORT, .upload_abort = {.upload = 1}};
    world_send_large(w, &c, "bob@here.example", 200000);
    world_until_answered(w, &c);
    assert_int_equal(ipc_notify(w->smtpd, &abort_it), 0); /* too late: does nothing */
    world_until_delivered(w, 1);
    world_free(w);
}

static void aliases_are_expanded_once_for_all(void **state)
{
    struct world *w = begin();
    assert_int_equal(world_commit(w, "+list@here.example b@here.example"), IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 3); /* b only once */
    assert_int_equal(world_commit(w, "+empty@here.example"), IPC_COMMIT_DEFERRED);
    assert_int_equal(world_commit(w, "+unsure@here.example"), IPC_COMMIT_DEFERRED);
    ipc_channel_free(w->directory);
    w->directory = NULL;
    world_rest(w);
    assert_int_equal(world_commit(w, "+list@here.example"), IPC_COMMIT_DEFERRED);
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* Whom several aliases have in common, or who is named beside them, gets it once. */
static void who_is_on_two_lists_gets_one_copy(void **state)
{
    static const char *const recipients[] = {
        "+list@here.example +list-too@here.example",
        "+list@here.example +list-too@here.example +list-three@here.example",
        "+list@here.example a@here.example c@here.example b@here.example",
        "a@here.example +list@here.example b@here.example c@here.example",
    };

    for (size_t i = 0; i < ARRAY_SIZE(recipients); i++) {
        struct world *w = begin();
        struct spool_counts counts;
        size_t times[3] = {0};
        assert_int_equal(world_commit(w, recipients[i]), IPC_COMMIT_ACCEPTED);
        world_until_delivered(w, 3);
        world_rest(w);
        for (size_t j = 0; j < w->job_count; j++)
            for (size_t k = 0; k < w->jobs[j].recipient_count; k++) {
                assert_in_range(w->jobs[j].recipients[k][0], 'a', 'c');
                times[w->jobs[j].recipients[k][0] - 'a']++;
            }
        for (size_t k = 0; k < ARRAY_SIZE(times); k++)
            assert_int_equal(times[k], 1);
        spool_get_counts(w->queue.spool, &counts);
        assert_int_equal(counts.waiting, 0);
        world_free(w);
    }
}

/* However many: the aliases that are duplicates wait until their turn, but none of their people. */
static void two_large_aliases_of_the_same_are_one(void **state)
{
    struct world *w = world_new();
    struct spool_counts counts;

    world_start(w);
    world_join_smtpd(w);
    world_join_directory(w);
    assert_int_equal(world_commit(w, "+crowd@here.example u7@here.example +crowd-too@here.example"),
                     IPC_COMMIT_ACCEPTED);
    spool_get_counts(w->queue.spool, &counts);
    assert_int_equal(counts.waiting, 600 + 1);
    world_free(w);
}

static void lies_of_smtpd_are_refused(void **state)
{
    struct world *w = begin();
    struct world_commit c;
    struct ipc_message m = {.type = IPC_COMMIT, .commit.envelope = SPAN("not an envelope")};
    world_send(w, &c, "s@far.example", "", SPAN("no recipient"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_REJECTED);
    ipc_call_cancel(&c.call);
    c.answered = false;
    assert_int_equal(ipc_call(w->smtpd, &c.call, &m), 0);
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_REJECTED);
    /* An id is used once. */
    struct world_commit first, second;
    struct id_maker same = w->ids;
    world_send(w, &first, "s@far.example", "b@here.example", SPAN("x"));
    w->ids = same;
    world_send(w, &second, "s@far.example", "b@here.example", SPAN("y"));
    world_until_answered(w, &first);
    world_until_answered(w, &second);
    assert_int_equal(first.result, IPC_COMMIT_ACCEPTED);
    if (id_equal(&first.id, &second.id))
        assert_int_not_equal(second.result, IPC_COMMIT_ACCEPTED);
    assert_false(w->smtpd_lost);
    world_free(w);
}

static void an_address_is_one_line(void **state)
{
    static const struct {
        const char *sender, *recipient;
    } lies[] = {
        {"s@far.example\r\nBcc: x", "b@here.example"},
        {"s@far.example", "b@here.example\nX-Forged:1"},
        {"s@far.example", "b\x01@here.example"},
        {"s@far.example", "b\x7f@here.example"},
    };
    struct world *w = begin();
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct world_commit c;
        world_send(w, &c, lies[i].sender, lies[i].recipient, SPAN("x"));
        world_until_answered(w, &c);
        if (c.result != IPC_COMMIT_REJECTED)
            fail_msg("lie %zu was believed", i);
    }
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

static void an_id_of_another_time_is_refused_for_now(void **state)
{
    static const int days[] = {-4000, -3, 3, 4000};
    struct world *w = begin();
    for (size_t i = 0; i < ARRAY_SIZE(days); i++) {
        w->id_offset_us = days[i] * INT64_C(86400000000);
        if (world_commit(w, "b@here.example") != IPC_COMMIT_DEFERRED)
            fail_msg("an id of %d days from now was taken", days[i]);
    }
    world_free(w);
}

/* The last message's id again, although that message is long done. */
static void take_last_id(struct world *w, struct envelope *e, uint8_t *tickets)
{
    e->id = w->jobs[w->job_count - 1].id;
}

static void take_older_id(struct world *w, struct envelope *e, uint8_t *tickets)
{
    struct id_maker maker;
    id_maker_init(&maker, WORLD_ORIGIN, 1);
    e->id = id_make(&maker, (w->queue.started_ms - 1) * 1000);
}

static void take_foreign_id(struct world *w, struct envelope *e, uint8_t *tickets)
{
    struct id_maker maker;
    id_maker_init(&maker, WORLD_ORIGIN + 1, 1);
    e->id = id_make(&maker, clock_wall_us());
}

static void lie_about_the_recipient(struct world *w, struct envelope *e, uint8_t *tickets)
{
    e->recipients[1].address = SPAN("victim@elsewhere.example");
}

static void lie_about_the_sender(struct world *w, struct envelope *e, uint8_t *tickets)
{
    e->sender = SPAN("ceo@here.example");
}

static void lie_about_the_client(struct world *w, struct envelope *e, uint8_t *tickets)
{
    memcpy(e->client.ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
}

static void lie_about_the_user(struct world *w, struct envelope *e, uint8_t *tickets)
{
    e->client.uid = 1000;
}

static void lie_about_an_alias(struct world *w, struct envelope *e, uint8_t *tickets)
{
    e->recipients[0].flags ^= ENVELOPE_RECIPIENT_EXPANDS;
}

static uint8_t seen_tickets[2 * TICKET_BYTES];

static void keep_tickets(struct world *w, struct envelope *e, uint8_t *tickets)
{
    memcpy(seen_tickets, tickets, sizeof(seen_tickets));
}

static void use_tickets_again(struct world *w, struct envelope *e, uint8_t *tickets)
{
    memcpy(tickets, seen_tickets, sizeof(seen_tickets));
}

static void use_one_ticket_twice(struct world *w, struct envelope *e, uint8_t *tickets)
{
    e->recipients[1].address = e->recipients[0].address;
    memcpy(tickets + TICKET_BYTES, tickets, TICKET_BYTES);
}

static void make_tickets_up(struct world *w, struct envelope *e, uint8_t *tickets)
{
    memset(tickets, 0, 2 * TICKET_BYTES);
}

/* Who has taken over an smtpd can still use what the directory allows its clients: nothing else. */
static void a_taken_over_smtpd_is_no_open_relay(void **state)
{
    static const struct {
        const char *lie;
        void (*spoil)(struct world *w, struct envelope *e, uint8_t *tickets);
    } cases[] = {
        {"an id that was used", take_last_id},     {"an id from before the start", take_older_id},
        {"another process's id", take_foreign_id}, {"another recipient", lie_about_the_recipient},
        {"another sender", lie_about_the_sender},  {"another client", lie_about_the_client},
        {"a local user", lie_about_the_user},      {"an alias", lie_about_an_alias},
        {"used tickets", use_tickets_again},       {"a ticket for two", use_one_ticket_twice},
        {"no tickets", make_tickets_up},
    };
    struct world *w = begin();
    w->spoil = keep_tickets;
    assert_int_equal(world_commit(w, "a@here.example b@here.example"), IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 2);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        w->spoil = cases[i].spoil;
        if (world_commit(w, "a@here.example b@here.example") != IPC_COMMIT_DEFERRED)
            fail_msg("%s was taken", cases[i].lie);
    }
    w->spoil = NULL;
    assert_int_equal(world_commit(w, "a@here.example b@here.example"), IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 4);
    assert_false(w->smtpd_lost);
    world_free(w);
}

/* Sessions that were under way go on with what the directory before had allowed them. */
static void tickets_outlive_their_directory_once(void **state)
{
    static const uint8_t keys[2][TICKET_KEY_BYTES] = {"a new one", "and another"};
    struct world *w = begin();
    assert_int_equal(tickets_use_key(&w->queue.tickets, keys[0]), 0);
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    assert_int_equal(tickets_use_key(&w->queue.tickets, keys[1]), 0);
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_DEFERRED);
    assert_int_equal(w->queue.tickets.refused, 1);
    world_free(w);
}

static bool is_deferring(struct world *w, void *arg)
{
    return w->pressed;
}

static bool is_accepting(struct world *w, void *arg)
{
    return !is_deferring(w, arg);
}

/* A frozen file system: clients hear so at once, instead of after a minute behind their message. */
static void a_disk_that_hangs_defers_mail(void **state)
{
    struct world *w = begin();
    struct committer *c = &w->queue.committer;

    c->group = (struct spool_group *)(void *)w; /* nobody looks into it */
    c->taken_ms = io_loop_now_ms(w->loop) - 31000;
    world_until(w, is_deferring, NULL);
    assert_string_equal(w->pressure, "the disk with the spool does not answer");
    c->group = NULL;
    world_until(w, is_accepting, NULL);
    assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* The spool has too much that isn't written: commits wait for room, are answered in the end, and
 * none is lost or kept twice. Own mail (a report) waits with them. */
static void commits_wait_for_room_in_the_spool(void **state)
{
    enum { COUNT = 300 };
    static struct world_commit commits[COUNT];
    static char body[20000];
    struct world *w = begin();
    memset(body, 'x', sizeof(body));
    w->queue.spool->options.pending_bytes = 30000;
    refusals = 0;
    for (size_t i = 0; i < COUNT; i++)
        world_send(w, &commits[i], "s@far.example", "bob@here.example",
                   span_of(body, sizeof(body)));
    bool waited = false;
    for (size_t i = 0; i < COUNT;) {
        io_loop_turn(w->loop);
        waited |= !list_is_empty(&w->queue.waiting_room);
        while (i < COUNT && commits[i].answered)
            assert_int_equal(commits[i++].result, IPC_COMMIT_ACCEPTED);
    }
    assert_true(waited);
    assert_in_range(refusals, 1, COUNT); /* once each: none is tried again in vain */
    assert_true(list_is_empty(&w->queue.waiting_room));
    world_until_delivered(w, COUNT);
    assert_int_equal(w->queue.committer.messages, 0);
    world_free(w);
}

/* Its smtpd dies while commits wait for room: they are forgotten, not kept for a client that was
 * never answered. */
static void commits_that_wait_end_with_their_smtpd(void **state)
{
    enum { COUNT = 100 };
    static struct world_commit commits[COUNT];
    static char body[20000];
    struct world *w = begin();
    w->queue.spool->options.pending_bytes = 1;
    for (size_t i = 0; i < COUNT; i++)
        world_send(w, &commits[i], "s@far.example", "bob@here.example",
                   span_of(body, sizeof(body)));
    for (int i = 0; i < 1000 && list_is_empty(&w->queue.waiting_room); i++)
        io_loop_turn(w->loop);
    assert_false(list_is_empty(&w->queue.waiting_room));
    ipc_channel_free(w->smtpd);
    w->smtpd = NULL;
    world_rest(w);
    assert_true(list_is_empty(&w->queue.waiting_room));
    assert_int_equal(w->queue.committer.messages, 0);
    assert_int_equal(w->queue.parcels.bytes, 0);
    assert_true(w->delivered < COUNT);
    world_join_smtpd(w);
    assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* Over the limit, because its session is older than that: the next one says so at once, or takes
 * it. At the limit it is taken. */
static void what_is_too_large_is_deferred(void **state)
{
    static char body[1001];
    struct world *w = begin();
    struct world_commit c;
    w->conf.message_size_max = 1000;
    world_send(w, &c, "s@far.example", "bob@here.example", span_of(body, 1001));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_DEFERRED);
    assert_string_equal(c.text, "the message is too large");
    world_send(w, &c, "s@far.example", "bob@here.example", span_of(body, 1000));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* As above: each of them was told 250 by a session that is older than the limit. */
static void too_many_recipients_are_deferred(void **state)
{
    struct world *w = begin();
    w->conf.recipients_max = 1;
    w->uid = UINT32_MAX;
    assert_int_equal(world_commit(w, "bob@here.example ann@here.example"), IPC_COMMIT_DEFERRED);
    assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
    w->uid = 1000; /* a program here has no second message for the rest */
    assert_int_equal(world_commit(w, "bob@here.example ann@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* Memory is short when an smtpd is to be told. The linker puts this in its place (meson.build). */
static bool no_pressure_notice;
int __real_ipc_notify(struct ipc_channel *channel, const struct ipc_message *message);
int __wrap_ipc_notify(struct ipc_channel *channel, const struct ipc_message *message);

int __wrap_ipc_notify(struct ipc_channel *channel, const struct ipc_message *message)
{
    if (no_pressure_notice && message->type == IPC_PRESSURE)
        return -ENOMEM;
    return __real_ipc_notify(channel, message);
}

static bool is_without_pressure(struct world *w, void *arg)
{
    return !w->queue.pressure->defer;
}

static void pressure_is_told_and_kept(void **state)
{
    struct world *w = begin();
    w->conf.waiting_max = 1;
    w->mailbox_does = MAILBOX_IS_SILENT;
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    pressure_update(&w->queue);
    world_rest(w);
    assert_true(w->pressed);
    assert_string_equal(w->pressure, "too many messages are waiting");
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_DEFERRED);
    world_answer(w, &w->jobs[0], MAILBOX_DELIVERS);
    world_until_delivered(w, 1);
    world_rest(w);
    assert_false(w->pressed);
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* At once, and in both directions. */
static void the_disks_reserve_changes_with_a_reload(void **state)
{
    struct world *w = begin();
    struct conf_queue changed = w->conf;

    changed.disk_reserve = UINT64_MAX;
    assert_int_equal(queue_reconfigure(&w->queue, &changed), 0);
    world_rest(w);
    assert_true(w->pressed);
    assert_string_equal(w->pressure, "the spool's disk is nearly full");
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_DEFERRED);
    assert_int_equal(queue_reconfigure(&w->queue, &w->conf), 0);
    world_rest(w);
    assert_false(w->pressed);
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    world_free(w);
}

/* It would go on deferring until somebody restarts it. */
static void who_could_not_be_told_of_the_end_of_pressure_is_told_later(void **state)
{
    struct world *w = begin();
    w->conf.waiting_max = 1;
    w->mailbox_does = MAILBOX_IS_SILENT;
    assert_int_equal(world_commit(w, "b@here.example"), IPC_COMMIT_ACCEPTED);
    pressure_update(&w->queue);
    world_rest(w);
    assert_true(w->pressed);
    no_pressure_notice = true;
    world_answer(w, &w->jobs[0], MAILBOX_DELIVERS);
    world_until_delivered(w, 1);
    world_until(w, is_without_pressure, NULL);
    world_rest(w);
    assert_true(w->pressed);
    no_pressure_notice = false;
    pressure_update(&w->queue); /* as the tick does */
    world_rest(w);
    assert_false(w->pressed);
    world_free(w);
}

static void refusals_are_booked_and_a_flood_is_counted(void **state)
{
    struct world *w = begin();
    struct event event = {.kind = EVENT_REFUSED,
                          .time_us = 1,
                          .count = 1,
                          .recipient_index = EVENT_NO_RECIPIENT,
                          .reply = SPAN("550 5.1.1 no such mailbox")};
    struct buffer wire = BUFFER_INIT;
    assert_int_equal(codec_encode(&event_codec, &event, &wire), 0);
    struct ipc_message m = {.type = IPC_EVENT, .event.event = buffer_span(&wire)};
    for (int i = 0; i < 5000; i++) {
        int r;
        while ((r = ipc_notify(w->smtpd, &m)) == -EAGAIN)
            io_loop_turn(w->loop);
        assert_int_equal(r, 0);
    }
    m.event.event = SPAN("rubbish");
    assert_int_equal(ipc_notify(w->smtpd, &m), 0);
    world_rest(w);
    assert_int_equal(w->queue.events->booked + w->queue.events->dropped, 5001);
    assert_true(w->queue.events->booked >= 2000);
    assert_true(w->queue.events->dropped >= 1);
    events_tick(&w->queue);
    assert_int_equal(w->queue.events->unbooked, 0);
    world_rest(w);
    buffer_done(&wire);
    world_free(w);
}

/* The next event that smtpd's handing in left in the log. */
static struct event next_event(struct spool_follower *f, struct arena *arena)
{
    struct spool_followed record = {0};
    struct event event = {0};
    do
        assert_int_equal(spool_follower_next(f, &record), 1);
    while (record.kind != SPOOL_FOLLOWED_EVENT);
    assert_int_equal(codec_decode(&event_codec, record.event, arena, &event), 0);
    return event;
}

static struct spool_follower *follow(struct world *w)
{
    char folder[80];
    struct store *store;
    struct spool_follower *f;
    snprintf(folder, sizeof(folder), "%s/spool", w->folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(store_file_new(fd, &store), 0);
    assert_int_equal(spool_follower_new(store, (struct spool_position){0, 0}, &f), 0);
    spool_follower_set_limit(f, spool_sealed_position(w->queue.spool));
    return f;
}

static void what_smtpd_says_of_an_event_is_cut_to_what_it_may_say(void **state)
{
    struct world *w = begin();
    int64_t now_us = clock_wall_us(), hour_us = INT64_C(3600000000);
    const struct {
        int64_t told, until, told_least;
    } cases[] = {{now_us - hour_us / 2, now_us - hour_us / 4, now_us - hour_us / 2},
                 {1, 0, now_us},
                 {now_us + 100 * hour_us, now_us + 200 * hour_us, now_us},
                 {INT64_MIN, INT64_MIN, now_us},
                 {INT64_MAX, INT64_MAX, now_us}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct event lie = {.kind = EVENT_REFUSED,
                            .time_us = cases[i].told,
                            .until_us = cases[i].until,
                            .count = 1,
                            .message = {{1, 2, 3}},
                            .recipient_index = 0,
                            .actor_uid = 0,
                            .reply = SPAN("550 no")};
        struct buffer wire = BUFFER_INIT;
        assert_int_equal(codec_encode(&event_codec, &lie, &wire), 0);
        struct ipc_message m = {.type = IPC_EVENT, .event.event = buffer_span(&wire)};
        assert_int_equal(ipc_notify(w->smtpd, &m), 0);
        buffer_done(&wire);
    }
    world_rest(w);
    assert_int_equal(w->queue.events->booked, ARRAY_SIZE(cases));
    struct spool_follower *f = follow(w);
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct event e = next_event(f, &arena);
        if (e.time_us < cases[i].told_least || e.time_us > clock_wall_us() ||
            (e.until_us && (e.until_us < e.time_us || e.until_us > clock_wall_us())))
            fail_msg("case %zu: told as of %lld until %lld", i, (long long)e.time_us,
                     (long long)e.until_us);
        assert_true(id_is_zero(&e.message));
        assert_int_equal(e.recipient_index, EVENT_NO_RECIPIENT);
        assert_int_equal(e.actor_uid, EVENT_NO_ACTOR);
        assert_span(e.reply, "550 no");
    }
    arena_done(&arena);
    spool_follower_free(f);
    world_free(w);
}

/* Large ones are counted by their bytes: the book grows no faster for them. */
static void events_have_a_budget_of_bytes(void **state)
{
    enum { COUNT = 1000 };
    static char text[EVENT_REPLY_MAX];
    struct world *w = begin();
    memset(text, 'x', sizeof(text));
    struct event event = {
        .kind = EVENT_REFUSED, .time_us = 1, .count = 1, .reply = span_of(text, sizeof(text))};
    struct buffer wire = BUFFER_INIT;
    assert_int_equal(codec_encode(&event_codec, &event, &wire), 0);
    struct ipc_message m = {.type = IPC_EVENT, .event.event = buffer_span(&wire)};
    int64_t first = io_loop_now_ms(w->loop) / 1000;
    for (int i = 0; i < COUNT; i++) {
        int r;
        while ((r = ipc_notify(w->smtpd, &m)) == -EAGAIN)
            io_loop_turn(w->loop);
        assert_int_equal(r, 0);
    }
    world_rest(w);
    uint64_t seconds = (uint64_t)(io_loop_now_ms(w->loop) / 1000 - first + 1);
    uint64_t most = PEER_EVENT_BYTES_PER_SECOND / wire.size;
    assert_int_equal(w->queue.events->booked + w->queue.events->dropped, COUNT);
    assert_in_range(w->queue.events->booked, 1, most * seconds);
    buffer_done(&wire);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_accepted_and_handed_on),
        cmocka_unit_test(recipients_of_one_message_go_in_one_job),
        cmocka_unit_test(many_messages_share_groups),
        cmocka_unit_test(one_message_on_a_quick_disk_needs_no_thread),
        cmocka_unit_test(a_large_body_streams_in_and_out),
        cmocka_unit_test(what_an_smtpd_leaves_behind_is_freed),
        cmocka_unit_test(an_aborted_upload_can_not_be_committed),
        cmocka_unit_test(aliases_are_expanded_once_for_all),
        cmocka_unit_test(who_is_on_two_lists_gets_one_copy),
        cmocka_unit_test(two_large_aliases_of_the_same_are_one),
        cmocka_unit_test(lies_of_smtpd_are_refused),
        cmocka_unit_test(an_address_is_one_line),
        cmocka_unit_test(an_id_of_another_time_is_refused_for_now),
        cmocka_unit_test(a_taken_over_smtpd_is_no_open_relay),
        cmocka_unit_test(tickets_outlive_their_directory_once),
        cmocka_unit_test(what_smtpd_says_of_an_event_is_cut_to_what_it_may_say),
        cmocka_unit_test(events_have_a_budget_of_bytes),
        cmocka_unit_test(commits_wait_for_room_in_the_spool),
        cmocka_unit_test(commits_that_wait_end_with_their_smtpd),
        cmocka_unit_test(what_is_too_large_is_deferred),
        cmocka_unit_test(too_many_recipients_are_deferred),
        cmocka_unit_test(pressure_is_told_and_kept),
        cmocka_unit_test(the_disks_reserve_changes_with_a_reload),
        cmocka_unit_test(a_disk_that_hangs_defers_mail),
        cmocka_unit_test(who_could_not_be_told_of_the_end_of_pressure_is_told_later),
        cmocka_unit_test(refusals_are_booked_and_a_flood_is_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
