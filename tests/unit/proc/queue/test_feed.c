/* The queue's word to the book, and the book's. */
#include "asked.h"

#include "proc/queue/core/feed.h"
#include <errno.h>

static void book_sync_waits_for_the_book(void **state)
{
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_message sync = {.type = IPC_BOOK_SYNC};
    world_settle(w, "a@here.example");
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
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct ipc_message sync = {.type = IPC_BOOK_SYNC};
    size_t one = 1;
    asked = (struct asked){0};
    world_settle(w, "a@here.example");
    world_join_book(w); /* which never folds */
    world_rest(w);
    assert_false(w->sealed.is_awaited);
    asked.calls[0].fn = on_book_answer;
    assert_int_equal(ipc_call(w->admin, &asked.calls[0], &sync), 0);
    world_rest(w);
    assert_int_equal(asked.answered, 0);
    assert_true(w->sealed.is_awaited); /* told anew, since it takes its time with what it knows */
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
    struct world *w = world_begin_with_admin(MAILBOX_DEFERS);
    struct spool_position end = spool_sealed_position(w->queue.spool);
    world_join_book(w);
    world_settle(w, "a@here.example");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(book_sync_waits_for_the_book),
        cmocka_unit_test(who_waits_for_the_book_is_told_of_its_end),
        cmocka_unit_test(a_book_that_is_ahead_of_the_log_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
