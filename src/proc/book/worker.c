/*
 * One turn: open what isn't open, look for what has expired, read to the limit or to the batch's
 * end, commit. Any trouble closes all; the next turn begins at what is committed, as after a crash,
 * so there is one way of recovering and it is used often.
 */
#include "proc/book/worker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "book/db.h"
#include "book/lease.h"
#include "book/ledger_check.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A batch ends by count or by time: so its transaction stays bounded, and what is folded is soon
 * told. UNREADABLE_TURNS tries with pauses between them before a place is given up. */
enum { BATCH_INPUTS = 20000, BATCH_MS = 200, UNREADABLE_TURNS = 20 };

static struct spool_position committed(const struct worker *w)
{
    struct book_position at = fold_position(w->fold, w->translator.lane);
    return (struct spool_position){at.segment, at.offset};
}

/* A limit before what was folded is that of another spool, made anew, or of one that lost its end:
 * the next lane begins. It is known in memory alone until something of it is committed, so after
 * trouble it is found again, and told once. */
static int check_lane(struct worker *w)
{
    uint32_t lane;

    if (spool_position_compare(w->limit, committed(w)) >= 0)
        return 0;
    int r = fold_next_lane(w->fold, &lane);
    if (r < 0)
        return r;
    w->translator.lane = lane;
    spool_follower_free(w->follower);
    w->follower = NULL;
    if (lane != w->announced_lane)
        w->new_lane = w->announced_lane = lane;
    return 0;
}

/* As long as nothing of the lane is committed; of a new lane that is so at its first turn. */
static int begin_lane(struct worker *w)
{
    struct book_position end = {w->translator.lane, w->limit.segment, w->limit.offset};

    return !w->follower && committed(w).segment == 0
               ? fold_begin_anew(w->fold, &end, w->translator.now_us)
               : 0;
}

static int need_lane(struct worker *w)
{
    int r = check_lane(w);
    return r < 0 ? r : begin_lane(w);
}

/* Before the first look, and then for good: the book of a server that was killed may still have a
 * batch at hand. */
static int need_lease(struct worker *w)
{
    int r = w->is_leased ? 0 : lease_take(w->ledger, &w->lease_fd);

    w->is_leased = r == 0;
    return r;
}

static int open_ledger(struct worker *w)
{
    int r = need_lease(w);

    if (r == 0 && !w->fold)
        r = fold_open(w->ledger, w->translator.now_us, &w->told, &w->fold);
    if (r < 0)
        return r;
    if (!w->translator.fold)
        w->translator.lane = fold_last_lane(w->fold);
    w->translator.fold = w->fold;
    w->translator.limit = w->limit;
    return 0;
}

/* At what is committed, which may be before what was folded in memory: follower and fold begin
 * together. */
static int open_log(struct worker *w)
{
    struct store *store;

    if (w->follower)
        return 0;
    int fd = openat(w->spool_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = store_file_new(fd, &store);
    if (r < 0) {
        close(fd); /* without memory the store didn't take it, and each turn tries again */
        return r;
    }
    return spool_follower_new(store, committed(w), &w->follower);
}

/* After trouble both are opened anew, at what was committed. */
static void close_all(struct worker *w)
{
    spool_follower_free(w->follower);
    w->follower = NULL;
    fold_close(w->fold);
    w->fold = w->translator.fold = NULL;
}

/* As for the log (count_unreadable): a file that can't be read for minutes counts as damaged. It is
 * set aside and made anew, or nothing would be booked for good. What can't be written stays sound,
 * so that doesn't count. */
static void count_unread_ledger(struct worker *w, int error)
{
    if (error != -EREMOTEIO)
        w->unread_ledger = 0;
    else if (++w->unread_ledger == UNREADABLE_TURNS)
        log_error(
            "the disk under the ledger still fails: what can't be read of it counts as damaged");
    db_read_around(w->unread_ledger >= UNREADABLE_TURNS);
}

static int trouble(struct worker *w, enum worker_trouble kind, int error)
{
    w->trouble = error == -EUCLEAN && kind == WORKER_LEDGER ? WORKER_DAMAGED : kind;
    w->error = db_plain_error(error);
    w->behind = true;
    count_unread_ledger(w, kind == WORKER_LEDGER ? error : 0);
    if (w->trouble == WORKER_DAMAGED)
        w->folded = (struct spool_position){0};
    close_all(w);
    return error;
}

/* A disk that stumbles is asked again; at a place that stays unreadable the book goes on with what
 * lies behind it, and has the damage. Until it has come to the limit then, one failed turn more is
 * enough: a header that each batch needs is no new place. */
static void count_unreadable(struct worker *w, int error)
{
    if (error >= 0 && w->behind && w->unreadable >= UNREADABLE_TURNS - 1)
        w->unreadable = UNREADABLE_TURNS - 1;
    else if (error != -EIO)
        w->unreadable = 0;
    else if (++w->unreadable == UNREADABLE_TURNS)
        log_error("a part of the spool's log can't be read: it is booked as damaged");
}

/* Ends only between records: the position that is committed must be where one begins. What lies
 * before a place that can't be read is sound: it is committed, and the next turn begins there. */
static int fold_batch(struct worker *w)
{
    int64_t end_ms = clock_monotonic_ms() + BATCH_MS;
    struct spool_followed record;
    int r;

    spool_follower_read_around(w->follower, w->unreadable >= UNREADABLE_TURNS);
    while ((r = spool_follower_next(w->follower, &record)) > 0) {
        int error = translate(&w->translator, &record);
        if (error < 0)
            return trouble(w, WORKER_LEDGER, error);
        if (fold_pending(w->fold) >= BATCH_INPUTS || clock_monotonic_ms() >= end_ms) {
            w->behind = true;
            break;
        }
    }
    if (r < 0 && fold_pending(w->fold) > 0) {
        w->behind = true;
        return 0;
    }
    count_unreadable(w, r);
    return r < 0 ? trouble(w, WORKER_LOG, r) : 0;
}

/* Before anything is pending, and whether or not the rest of the turn succeeds: on a full disk it
 * makes the room that the fold needs, and among the lanes that for the next one. Where not even
 * what goes can be noted the next turn tries it again, and soon: whoever keeps less now waits for
 * the room (end_retention). */
static int retain(struct worker *w)
{
    struct fold_deleted deleted = {0};

    if (!w->keep_before_us && !w->refusals_before_us)
        return 0;
    int r = fold_expire(w->fold, w->keep_before_us, w->refusals_before_us, w->translator.now_us,
                        &deleted);
    w->deleted_files += deleted.files;
    w->doubts |= deleted.doubts;
    if (r == 0)
        w->keep_before_us = w->refusals_before_us = 0;
    return r;
}

/* Behind the batch. Where that failed only retention may end the trouble, which hides that it
 * failed, too: so that is told once, and the next turn tries it again. Else that it failed is the
 * turn's trouble, and it has its hour. */
static void end_retention(struct worker *w, int retained, bool has_committed)
{
    bool is_told = w->trouble == WORKER_LEDGER && db_plain_error(retained) == w->error;
    bool is_hidden = retained < 0 && !has_committed && !is_told;

    if (is_hidden && !w->told_unretained)
        log_error("what is old can't be deleted from the ledger: %s", ledger_why(retained));
    w->told_unretained = is_hidden;
    if (has_committed && retained != -ENOSPC)
        w->keep_before_us = w->refusals_before_us = 0;
    if (has_committed && retained < 0)
        trouble(w, WORKER_LEDGER, retained);
}

/* Once, as soon as the book has all that the queue had: where less waits than by the book, a part
 * of the log is gone that nothing else tells of, such as a file that was removed. */
static void compare(struct worker *w)
{
    if (w->is_compared || spool_position_compare(w->folded, w->limit) != 0)
        return;
    w->waiting[1] = w->queue_waiting;
    int r = ledger_count_waiting(w->ledger, &w->waiting[0]);
    /* A file that can't be read is told where it hurts, and won't be readable in the next turn. */
    w->is_compared = !fd_is_shortage(-r);
    w->differs = r == 0 && w->waiting[0] != w->waiting[1];
}

static void drop_announced(char told[static WEEK_FILE_SIZE], char announced[static WEEK_FILE_SIZE])
{
    if (told[0] && strcmp(told, announced) == 0)
        told[0] = '\0';
    else if (told[0])
        memcpy(announced, told, WEEK_FILE_SIZE);
}

/* Each opening finds the same again for as long as it can't be noted, every few seconds. */
static void tell_once(struct worker *w)
{
    drop_announced(w->told.lacking, w->announced.lacking);
    drop_announced(w->told.displaced, w->announced.displaced);
}

/* Was something committed? */
static bool run_batch(struct worker *w)
{
    int r = need_lane(w);
    if (r < 0) {
        trouble(w, WORKER_LEDGER, r);
        return false;
    }
    r = open_log(w);
    if (r < 0) {
        trouble(w, WORKER_LOG, r);
        return false;
    }
    spool_follower_set_limit(w->follower, w->limit);
    if (fold_batch(w) < 0)
        return false;
    r = fold_commit(w->fold, w->translator.now_us);
    if (r < 0) {
        trouble(w, WORKER_LEDGER, r);
        return false;
    }
    w->folded = committed(w);
    return true;
}

/* Was something committed? */
static bool run_turn(struct worker *w)
{
    if (w->limit.segment == 0)
        return false; /* a new queue that recovers its spool: all of the log would lie behind it */
    w->translator.now_us = clock_wall_us();
    int r = open_ledger(w);
    if (r < 0) {
        trouble(w, WORKER_LEDGER, r);
        return false;
    }
    int retained = retain(w);
    bool has_committed = run_batch(w);
    end_retention(w, retained, has_committed); /* what is folded stays told, whatever it came to */
    if (w->trouble == WORKER_FINE) {
        count_unread_ledger(w, 0);
        compare(w);
    }
    return has_committed;
}

void worker_turn(struct io_job *job)
{
    struct worker *w = CONTAINER_OF(job, struct worker, job);

    w->trouble = WORKER_FINE;
    w->behind = false;
    bool has_committed = run_turn(w);
    tell_once(w);
    if (has_committed)
        w->announced = (struct ledger_told){.damage = ""};
}

void worker_done(struct worker *w)
{
    close_all(w);
    if (w->is_leased)
        close(w->lease_fd);
    w->is_leased = false;
    arena_done(&w->translator.arena);
}
