/* A played server beside a ledger: it says how far its book is, and what waits in its queue. */
#pragma once

#include "ledger_command.h"
#include "played_server.h"

static struct {
    int book_error;       /* of its book, when it is asked to catch up */
    uint32_t book_late;   /* so often it doesn't in time */
    const char *book_sql; /* what that book does to the main file then */
    uint32_t syncs;       /* how often it was asked to */
    void (*news)(void);   /* what it folds when it is asked again */
    int list_error;       /* of its queue, instead of a page */
    bool list_kills;      /* it goes away instead */
    bool sync_kills;      /* it does so when its book is asked for */
    struct ipc_queue_row rows[4];
    size_t row_count;
    uint32_t acknowledge_max, acknowledge_busy; /* takes so many at a time, and at first none */
    struct span recipient, sender, destination; /* of the only filter that fits them */
} played;

static struct test_message waiting;

/* One more message, to bob and carl, who wait: bob's next attempt was due long ago. */
static inline void fold_waiting(void)
{
    struct fold *fold = test_fold_open();
    test_message_at(&waiting, TEST_NOW_US, 2, 2);
    struct book_input input = test_input_message(300, &waiting);
    test_fold_one(fold, &input);
    struct book_status deferred = test_status(waiting.envelope.id, 0, EVENT_DEFERRED);
    test_fold_status(fold, 400, &deferred);
    test_commit(fold);
    fold_close(fold);
}

static inline void played_sync(void *owner, const struct ipc_arrival *arrival)
{
    if (played.sync_kills)
        _exit(0);
    struct ipc_message m = {.type = IPC_BOOK_SYNCED, .book_synced = {.error = played.book_error}};

    if (played.book_late) {
        played.book_late--;
        m.book_synced.error = -ETIMEDOUT;
    }
    if (played.book_sql)
        test_tamper("book.sqlite", played.book_sql);
    if (played.syncs++ && played.news)
        played.news();
    ipc_reply(arrival->channel, arrival->token, &m);
}

static inline void played_list(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_queue_filter *filter = &arrival->message->queue_filter;
    bool fits = span_equal(filter->recipient, played.recipient) &&
                span_equal(filter->sender, played.sender) &&
                span_equal(filter->destination, played.destination);
    struct ipc_message m = {.type = IPC_QUEUE_PAGE,
                            .queue_page = {.now_us = TEST_NOW_US,
                                           .error = played.list_error,
                                           .last = true,
                                           .rows = played.rows,
                                           .row_count = fits ? played.row_count : 0}};

    if (played.list_kills)
        _exit(0);
    ipc_reply(arrival->channel, arrival->token, &m);
}

static inline void played_damage(void *owner, const struct ipc_arrival *arrival)
{
    struct ipc_message m = {.type = IPC_QUEUE_DAMAGE};
    ipc_reply(arrival->channel, arrival->token, &m);
}

/* Who is said to be lost it has. */
static inline void played_acknowledge(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_acknowledge *a = &arrival->message->acknowledge;
    struct ipc_message m = {.type = IPC_ACKNOWLEDGE_DONE, .acknowledge_done = {.error = 0}};
    struct ipc_acknowledge_done *done = &m.acknowledge_done;

    if (played.acknowledge_busy) {
        played.acknowledge_busy--;
        done->error = -EAGAIN;
    } else {
        done->taken = a->row_count;
        if (played.acknowledge_max && done->taken > played.acknowledge_max)
            done->taken = played.acknowledge_max;
    }
    for (size_t i = 0; i < done->taken; i++)
        done->left_alone += a->rows[i].lost;
    if (!span_equal(a->reason, SPAN("mended")))
        done->error = -EINVAL;
    ipc_reply(arrival->channel, arrival->token, &m);
}

/* Runs the command while the server is there. */
static inline int run_with_server(int (*command)(int, char **), const char *const *words)
{
    static const struct ipc_handler handlers[] = {{IPC_BOOK_SYNC, played_sync},
                                                  {IPC_QUEUE_LIST, played_list},
                                                  {IPC_ACKNOWLEDGE, played_acknowledge},
                                                  {IPC_QUEUE_DAMAGE_ASK, played_damage}};
    static const struct ipc_role role = {"a test", handlers, ARRAY_SIZE(handlers),
                                         played_server_lost, false};
    struct played_server server;
    char control[128];

    snprintf(control, sizeof(control), "%s/control", test_folder);
    played_server_start(&server, control, &role);
    int code = run(command, words);
    played_server_stop(&server);
    return code;
}
