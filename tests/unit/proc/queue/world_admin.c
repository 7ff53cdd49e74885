/* The administrator whom world.h plays. */
#include "world.h"

#include "../../../place.h"
#include "proc/queue/core/schedule.h"

#include <semaphore.h>
#include <stdio.h>

static void on_admin_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct world *w = owner;
    w->admin_lost = true;
}

static const struct ipc_role admin_role = {"queue", NULL, 0, on_admin_lost, false};

void world_join_admin(struct world *w)
{
    int fd = place_connect(w->folder);

    ipc_channel_free(w->admin);
    w->admin = NULL;
    w->admin_lost = false;
    assert_int_equal(ipc_channel_new(w->loop, fd, &admin_role, w, &w->admin), 0);
}

static void keep_rows(struct world *w, const struct ipc_queue_page *page)
{
    for (size_t i = 0; i < page->row_count && w->row_count < WORLD_PLACES_MAX; i++) {
        snprintf(w->addresses[w->row_count], sizeof(w->addresses[0]), SPAN_FMT,
                 SPAN_ARG(page->rows[i].address));
        w->rows[w->row_count++] = page->rows[i];
    }
}

/* "why|address by number next hop text|…" */
static void keep_ways(struct world *w, const struct ipc_route_told *told)
{
    buffer_append_span(&w->reply_text, told->why);
    for (size_t i = 0; i < told->way_count; i++)
        buffer_printf(&w->reply_text, "|" SPAN_FMT " %u " SPAN_FMT " " SPAN_FMT,
                      SPAN_ARG(told->ways[i].address), told->ways[i].by,
                      SPAN_ARG(told->ways[i].next_hop), SPAN_ARG(told->ways[i].text));
}

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    struct world *w = CONTAINER_OF(call, struct world, call);
    w->answered = true;
    if (!reply)
        return;
    w->reply = *reply;
    buffer_clear(&w->reply_text);
    if (reply->type == IPC_QUEUE_PAGE)
        keep_rows(w, &reply->queue_page);
    else if (reply->type == IPC_QUEUE_ACTED)
        buffer_append_span(&w->reply_text, reply->queue_acted.text);
    else if (reply->type == IPC_ROUTE_TOLD)
        keep_ways(w, &reply->route_told);
    else if (reply->type == IPC_RELOADED)
        buffer_append_span(&w->reply_text, reply->reloaded.text);
    else if (reply->type == IPC_STATUS)
        buffer_append_span(&w->reply_text, reply->status.json);
    else if (reply->type == IPC_QUEUE_SUMMARY)
        for (size_t i = 0; i < reply->queue_summary.row_count && i < ARRAY_SIZE(w->sums); i++)
            w->sums[i] = reply->queue_summary.rows[i];
}

static bool admin_is_answered(struct world *w, void *arg)
{
    return w->answered || w->admin_lost;
}

void world_ask(struct world *w, const struct ipc_message *ask)
{
    w->answered = false;
    w->reply = (struct ipc_message){0};
    w->call.fn = on_answer;
    assert_int_equal(ipc_call(w->admin, &w->call, ask), 0);
    world_until(w, admin_is_answered, NULL);
}

struct ipc_queue_acted world_act(struct world *w, struct ipc_queue_act wanted)
{
    struct ipc_message m = {.type = IPC_QUEUE_ACT, .queue_act = wanted};
    const struct ipc_message more = {.type = IPC_QUEUE_ACT_MORE};

    m.queue_act.index = UINT32_MAX;
    world_ask(w, &m);
    while (!w->reply.queue_acted.last)
        world_ask(w, &more);
    return w->reply.queue_acted;
}

void world_list(struct world *w, const struct ipc_queue_filter *filter)
{
    struct ipc_message ask = {.type = IPC_QUEUE_LIST, .queue_filter = *filter};
    w->row_count = 0;
    world_ask(w, &ask);
    while (!w->reply.queue_page.last) {
        assert_int_equal(w->reply.queue_page.error, 0);
        ask = (struct ipc_message){.type = IPC_QUEUE_MORE};
        world_ask(w, &ask);
    }
}

struct world *world_begin(void)
{
    struct world *w = world_new();

    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    return w;
}

struct world *world_begin_with_admin(enum world_mailbox does)
{
    struct world *w = world_begin();

    world_join_admin(w);
    w->mailbox_does = does;
    return w;
}

struct world_commit world_accept(struct world *w, const char *sender, const char *recipients)
{
    struct world_commit c;

    world_send(w, &c, sender, recipients, SPAN("hello\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c;
}

struct world_commit world_settle(struct world *w, const char *recipients)
{
    struct world_commit c = world_accept(w, "s@far.example", recipients);

    world_until(w, world_is_settled, NULL);
    return c;
}

struct spool_counts world_counts(struct world *w)
{
    struct spool_counts c;

    spool_get_counts(w->queue.spool, &c);
    return c;
}

struct sched_explanation world_explain(struct world *w, const struct id *id)
{
    struct spool_message *m = spool_find(w->queue.spool, id);
    struct sched_explanation e;

    assert_non_null(m);
    sched_explain(w->queue.sched, schedule_item(&m->recipients[0]), &e);
    return e;
}

bool world_has_answer(struct world *w, void *arg)
{
    return w->answered;
}

bool world_is_settled(struct world *w, void *arg)
{
    return w->queue.settling == 0 && dispatch_job_count(&w->queue) == 0 &&
           list_is_empty(&w->queue.unsettled) && !w->queue.committer.group;
}

void world_begin_act(struct world *w, enum ipc_queue_act_kind kind, const struct id *id,
                     uint32_t count)
{
    struct ipc_message ask = {.type = IPC_QUEUE_ACT,
                              .queue_act = {.act = kind, .filter.id = *id, .index = UINT32_MAX}};

    world_join_admin(w);
    world_ask(w, &ask);
    assert_int_equal(w->reply.queue_acted.count, count);
}

/* ---- a disk that takes its time ---- */

static sem_t going_on;
static bool stalled;

static void stall(struct io_job *job)
{
    sem_wait(&going_on);
}

static void went_on(struct io_job *job)
{
    stalled = false;
}

static bool is_going_on(struct world *w, void *arg)
{
    return !stalled && w->queue.settling == 0 && !w->queue.committer.group;
}

void world_stall_disk(struct world *w)
{
    static struct io_job job;

    job = (struct io_job){.run = stall, .done = went_on};
    sem_init(&going_on, 0, 0);
    stalled = true;
    io_pool_submit(w->queue.commit_pool, &job);
}

void world_let_disk_go_on(struct world *w)
{
    sem_post(&going_on);
    world_until(w, is_going_on, NULL);
    world_rest(w);
    sem_destroy(&going_on);
}
