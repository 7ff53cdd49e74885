#include "spool_world.h"

#include <errno.h>

static int setup(void **state)
{
    static struct world w;
    w = world_new();
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_done(*state);
    return 0;
}

struct tally {
    unsigned kinds[SPOOL_FOLLOWED_GONE + 1];
    struct spool_position last;
};

/* Reads on to the limit; each record starts where the one before said. */
static void read_all(struct spool_follower *f, struct tally *tally)
{
    struct spool_followed followed;
    int r;

    while ((r = spool_follower_next(f, &followed)) > 0) {
        tally->kinds[followed.kind]++;
        assert_true(spool_position_compare(followed.position, tally->last) >= 0);
        assert_true(spool_position_compare(followed.next, followed.position) > 0);
        tally->last = followed.next;
    }
    assert_int_equal(r, 0);
}

static struct spool_follower *follow(struct world *w, struct spool_position from)
{
    struct spool_follower *f;
    assert_int_equal(spool_follower_new(store_sim_open(w->disk), from, &f), 0);
    return f;
}

static unsigned alarms(struct world *w)
{
    struct tally tally = {0};
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    read_all(f, &tally);
    spool_follower_free(f);
    return tally.kinds[SPOOL_FOLLOWED_ALARM];
}

static void open_with_limits(struct world *w, uint32_t alarm, uint32_t limit)
{
    world_close(w);
    w->options.book_alarm_segments = alarm;
    w->options.book_limit_segments = limit;
    world_open(w);
}

static void fill(struct world *w, unsigned *number)
{
    int r;
    while ((r = world_accept(w, ++*number, 1, 7000)) == 0) {
        assert_int_equal(world_commit(w), 0);
        world_run(w);
        assert_true(*number < 10000);
    }
    assert_int_equal(r, -ENOSPC);
}

/* Nothing that the book hasn't read is written over: new mail stops before that fills the disk. */
static void a_book_behind_is_told_of_once_and_stops_mail(void **state)
{
    struct world *w = *state;
    const char *why;
    unsigned number = 0;
    open_with_limits(w, 2, 4);
    for (unsigned times = 1; times <= 2; times++) {
        assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_NONE);
        assert_string_equal(why, "");
        assert_int_equal(alarms(w), times - 1);
        fill(w, &number);
        assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_BOOK);
        assert_string_equal(why, "the book is too far behind");
        assert_int_equal(alarms(w), times);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
    }
}

/* Neither at a start, before the book has said a word, nor while its ledger is made anew does a
 * long log stop mail or alarm anybody; what comes to it does. */
static void a_book_that_reads_again_isnt_behind(void **state)
{
    struct world *w = *state;
    const char *why;
    unsigned number = 0;

    open_with_limits(w, 1000, 8);
    fill(w, &number);
    open_with_limits(w, 2, 4);
    struct spool_position start = spool_sealed_position(w->spool);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_NONE);
        assert_int_equal(alarms(w), 0);
        spool_book_synced(w->spool, start);
        spool_book_synced(w->spool, (struct spool_position){0});
    }
    spool_book_synced(w->spool, (struct spool_position){1, 0});
    assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_NONE);
    fill(w, &number);
    assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_BOOK);
    assert_int_equal(alarms(w), 1);
}

/* The first word of a book counts, however little it has. */
static void a_book_that_was_far_behind_at_the_start_is(void **state)
{
    struct world *w = *state;
    const char *why;
    unsigned number = 0;

    open_with_limits(w, 2, 4);
    fill(w, &number);
    open_with_limits(w, 2, 4);
    assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_NONE);
    spool_book_synced(w->spool, (struct spool_position){1, 0});
    assert_int_equal(spool_pressure(w->spool, &why), SPOOL_PRESSURE_BOOK);
}

static void sees_only_what_is_sealed(void **state)
{
    struct world *w = *state;
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct spool_followed followed;

    assert_int_equal(world_accept(w, 1, 3, 2000), 0);
    assert_int_equal(spool_event(w->spool, SPAN("refused"), NULL, NULL), 0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    assert_int_equal(spool_follower_next(f, &followed), 0);
    assert_int_equal(world_commit(w), 0);
    assert_int_equal(spool_follower_next(f, &followed), 0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_MESSAGE);
    assert_int_equal(followed.envelope->recipient_count, 3);
    assert_span(followed.envelope->recipients[2].address, "u2@d2.example");
    assert_int_equal(followed.body_bytes, 2000);
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_EVENT);
    assert_span(followed.event, "refused");
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_SEAL);
    assert_int_equal(spool_follower_next(f, &followed), 0);

    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_commit(w), 0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_STATUS);
    assert_int_equal(followed.status_count, 1);
    assert_int_equal(followed.statuses[0].recipient, 1);
    assert_span(followed.statuses[0].reply, "450 later");
    struct id expected = world_id(1);
    assert_true(id_equal(&followed.message, &expected));
    spool_follower_free(f);
}

/* Across segments, restarts of the spool, and from any record on. */
static void follows_everything_once(void **state)
{
    struct world *w = *state;
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct tally tally = {{0}};

    for (unsigned i = 1; i <= 120; i++) {
        assert_int_equal(world_accept(w, i, 1, 4000), 0);
        if (i % 3 == 0)
            world_run(w);
        if (i % 7 == 0) {
            spool_follower_set_limit(f, spool_sealed_position(w->spool));
            read_all(f, &tally);
        }
        if (i % 40 == 0) {
            spool_follower_free(f);
            world_crash(w, STORE_SIM_POWER_CUT);
            f = follow(w, tally.last);
        }
    }
    world_run(w);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    read_all(f, &tally);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_MESSAGE], w->done);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_DAMAGED], 0);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_GAP], 0);
    assert_int_equal(spool_position_compare(tally.last, spool_sealed_position(w->spool)), 0);
    spool_follower_free(f);
}

/* The book learns who came of whom: one record for each alias or list, with the number of its first
 * child. */
static void gives_each_expansion_with_its_first_child(void **state)
{
    struct world *w = *state;
    struct envelope_recipient own[] = {{.address = SPAN("list@a.example")},
                                       {.address = SPAN("bob@a.example")},
                                       {.address = SPAN("alias@a.example")}};
    struct envelope_recipient members[] = {{.address = SPAN("x@b.example")},
                                           {.address = SPAN("y@c.example")}};
    struct envelope_recipient target = {.address = SPAN("z@d.example")};
    struct spool_expansion expansions[] = {{0, members, 2}, {2, &target, 1}};
    struct envelope e = {
        .id = world_id(1), .accepted_us = 4711, .recipients = own, .recipient_count = 3};
    struct spool_accept a = {
        .envelope = &e, .body = SPAN("hello"), .expansions = expansions, .expansion_count = 2};
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct spool_followed followed;

    assert_int_equal(spool_accept(w->spool, &a, NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_MESSAGE);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(spool_follower_next(f, &followed), 1);
        assert_int_equal(followed.kind, SPOOL_FOLLOWED_EXPAND);
        assert_true(id_equal(&followed.message, &e.id));
        assert_int_equal(followed.time_us, 4711);
        assert_int_equal(followed.expansion->parent, expansions[i].parent);
        assert_int_equal(followed.first_child, i == 0 ? 3 : 5);
        assert_int_equal(followed.expansion->child_count, expansions[i].child_count);
        assert_span(followed.expansion->children[0].address,
                    i == 0 ? "x@b.example" : "z@d.example");
    }
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_SEAL);
    spool_follower_free(f);
}

/* A damaged record hides itself alone: its bytes are named, and what follows is given as ever. */
static void damage_is_given_as_a_record_and_passed_over(void **state)
{
    struct world *w = *state;
    struct spool_follower *f;
    struct spool_followed followed;
    struct tally tally = {{0}}, clean = {{0}};

    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(world_accept(w, i, 1, 500), 0);
        assert_int_equal(world_commit(w), 0);
    }
    const struct spool_message *third = world_find(w, 3);
    uint64_t number = index_home(third)->number, offset = third->offset;
    f = follow(w, (struct spool_position){0, 0});
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    read_all(f, &clean);
    spool_follower_free(f);
    assert_int_equal(
        store_sim_flip(w->disk, STORE_LOG, number, (offset + RECORD_HEADER_BYTES + 20) * 8), 0);
    f = follow(w, (struct spool_position){number, offset});
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_DAMAGED);
    assert_int_equal(followed.position.offset, offset);
    assert_true(followed.next.offset > offset + 500);
    spool_follower_free(f);
    f = follow(w, (struct spool_position){0, 0});
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    read_all(f, &tally);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_DAMAGED], 1);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_MESSAGE], clean.kinds[SPOOL_FOLLOWED_MESSAGE] - 1);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_SEAL], clean.kinds[SPOOL_FOLLOWED_SEAL]);
    assert_int_equal(spool_position_compare(tally.last, clean.last), 0);
    spool_follower_free(f);
}

/* What the disk doesn't give is asked for again, at the same place: nothing is passed over by a
 * disk that stumbles. */
static void what_cant_be_read_is_tried_again(void **state)
{
    struct world *w = *state;
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct spool_followed followed;
    struct tally tally = {{0}};

    for (unsigned i = 1; i <= 40; i++) {
        assert_int_equal(world_accept(w, i, 1, 7000), 0);
        world_run(w);
    }
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    assert_int_equal(spool_follower_next(f, &followed), 1);
    assert_int_equal(followed.kind, SPOOL_FOLLOWED_MESSAGE);
    tally.kinds[followed.kind]++;
    tally.last = followed.next;
    store_sim_set_stumbling(w->disk, 10000, 1000);
    int r = 1;
    while (r > 0) { /* what it has in memory already */
        r = spool_follower_next(f, &followed);
        if (r > 0) {
            tally.kinds[followed.kind]++;
            tally.last = followed.next;
        }
    }
    assert_int_equal(r, -EIO);
    assert_int_equal(spool_follower_next(f, &followed), -EIO);
    store_sim_set_stumbling(w->disk, 0, 0);
    read_all(f, &tally);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_MESSAGE], 40);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_DAMAGED] + tally.kinds[SPOOL_FOLLOWED_GAP], 0);
    spool_follower_free(f);
}

/* Told to read around it, the follower comes to the end all the same: what the disk doesn't give is
 * damage to it. */
static void reads_around_what_cant_be_read(void **state)
{
    struct world *w = *state;
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct spool_followed followed;
    struct tally tally = {{0}};
    int r = -EIO;

    for (unsigned i = 1; i <= 60; i++) {
        assert_int_equal(world_accept(w, i, 1, 7000), 0);
        world_run(w);
    }
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    spool_follower_read_around(f, true);
    store_sim_set_stumbling(w->disk, 4000, 20);
    for (unsigned tries = 0; r < 0 && tries < 10000; tries++)
        while ((r = spool_follower_next(f, &followed)) > 0) {
            tally.kinds[followed.kind]++;
            assert_true(spool_position_compare(followed.position, tally.last) >= 0);
            tally.last = followed.next;
        }
    store_sim_set_stumbling(w->disk, 0, 0);
    assert_int_equal(r, 0);
    assert_int_equal(spool_position_compare(tally.last, spool_sealed_position(w->spool)), 0);
    assert_true(tally.kinds[SPOOL_FOLLOWED_DAMAGED] > 0);
    assert_true(tally.kinds[SPOOL_FOLLOWED_MESSAGE] < 60);
    spool_follower_free(f);
}

/* ---- a place that stays unreadable ---- */

static struct {
    const struct store_ops *real;
    struct store_ops ops;
    uint64_t number;           /* the segment … */
    uint64_t offset, end;      /* … what of it the disk doesn't give … */
    uint64_t damaged_size;     /* … 0, or the segment's size: then its first header is damaged */
    struct store_segment *now; /* its handle, while it is open */
} bad;

static int open_bad(struct store *store, enum store_kind kind, uint64_t number, bool read_only,
                    struct store_segment **out)
{
    int r = bad.real->open_segment(store, kind, number, read_only, out);

    if (r == 0 && kind == STORE_LOG && number == bad.number)
        bad.now = *out;
    return r;
}

static void close_bad(struct store_segment *segment)
{
    if (segment == bad.now)
        bad.now = NULL;
    bad.real->close_segment(segment);
}

static ssize_t read_bad(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                        int flags)
{
    if (segment == bad.now && offset < bad.end && offset + size > bad.offset)
        return -EIO;
    bool is_damaged = segment == bad.now && bad.damaged_size;
    if (is_damaged && offset >= bad.damaged_size)
        return 0;
    ssize_t n = bad.real->read(segment, offset, buf, size, flags);
    if (is_damaged && offset == 0 && n > 0)
        memset(buf, 0xA5, (size_t)n);
    return n;
}

enum { BAD_SEGMENTS = 6, AROUND_TURNS = 3 };

static struct spool_follower *follow_bad(struct world *w)
{
    struct store *store = store_sim_open(w->disk);
    struct spool_follower *f;

    bad.real = store->ops;
    bad.ops = *bad.real;
    bad.ops.open_segment = open_bad;
    bad.ops.close_segment = close_bad;
    bad.ops.read = read_bad;
    store->ops = &bad.ops;
    assert_int_equal(spool_follower_new(store, (struct spool_position){0, 0}, &f), 0);
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    return f;
}

/* The turns of a book that goes around after some. Messages and turns that failed. */
static struct tally read_beside(struct world *w, unsigned *out_failed)
{
    struct spool_follower *f = follow_bad(w);
    struct spool_followed followed;
    struct tally tally = {{0}};
    int r = -EIO;

    for (*out_failed = 0; r < 0 && *out_failed < 2 * AROUND_TURNS; *out_failed += r < 0) {
        spool_follower_read_around(f, *out_failed >= AROUND_TURNS);
        while ((r = spool_follower_next(f, &followed)) > 0) {
            tally.kinds[followed.kind]++;
            tally.last = followed.next;
        }
        assert_true(r == 0 || r == -EIO);
    }
    assert_int_equal(r, 0);
    assert_int_equal(spool_position_compare(tally.last, spool_sealed_position(w->spool)), 0);
    spool_follower_free(f);
    return tally;
}

static void write_segments(struct world *w, uint64_t count)
{
    for (unsigned i = 1; spool_sealed_position(w->spool).segment < count; i++) {
        assert_int_equal(world_accept(w, i, 1, 7000), 0);
        world_run(w);
    }
}

/* The bad bytes in any segment cost nothing: the follower tells what it told without them. */
static struct tally expect_whole(struct world *w)
{
    unsigned failed;

    bad.number = 0;
    struct tally whole = read_beside(w, &failed);
    for (bad.number = 1; bad.number <= BAD_SEGMENTS; bad.number++) {
        struct tally tally = read_beside(w, &failed);
        assert_memory_equal(tally.kinds, whole.kinds, sizeof(whole.kinds));
        assert_int_equal(failed, 0);
    }
    return whole;
}

/* Where a segment ends its successor says, or the limit. */
static void a_trailer_that_nobody_needs_may_be_unreadable(void **state)
{
    struct world *w = *state;

    write_segments(w, BAD_SEGMENTS);
    bad.offset = w->options.segment_bytes - w->options.block_bytes;
    bad.end = w->options.segment_bytes;
    expect_whole(w);
}

/* One segment is gone then, and no more, and that is told. */
static void an_unreadable_header_costs_its_segment(void **state)
{
    struct world *w = *state;
    unsigned failed;

    write_segments(w, BAD_SEGMENTS);
    bad.offset = 0;
    bad.end = w->options.block_bytes; /* the copy says the same */
    struct tally whole = expect_whole(w);
    bad.end *= 2;
    for (bad.number = 2; bad.number < BAD_SEGMENTS; bad.number++) {
        struct tally tally = read_beside(w, &failed);
        assert_int_equal(failed, AROUND_TURNS);
        assert_in_range(tally.kinds[SPOOL_FOLLOWED_MESSAGE],
                        whole.kinds[SPOOL_FOLLOWED_MESSAGE] - 20,
                        whole.kinds[SPOOL_FOLLOWED_MESSAGE] - 10);
        assert_int_equal(tally.kinds[SPOOL_FOLLOWED_GAP] + tally.kinds[SPOOL_FOLLOWED_GONE], 1);
    }
}

/* Also not where the block size isn't known yet, and so where the header's copy lies. */
static void a_header_that_cant_be_read_now_is_not_gone(void **state)
{
    struct world *w = *state;
    struct spool_followed followed;

    write_segments(w, 1);
    bad.number = 1;
    bad.offset = w->options.block_bytes;
    bad.end = 2 * w->options.block_bytes;
    bad.damaged_size = w->options.segment_bytes;
    struct spool_follower *f = follow_bad(w);
    assert_int_equal(spool_follower_next(f, &followed), -EIO);
    spool_follower_free(f);
    bad.damaged_size = 0;
}

/* Read to its end, a segment may go: what comes after it is no gap, also when only the next look
 * tells that it had ended there. */
static void a_segment_that_was_read_may_go(void **state)
{
    struct world *w = *state;
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct tally tally = {{0}};

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 1; i <= 17; i++) {
            assert_int_equal(world_accept(w, round * 20 + i, 1, 7000), 0);
            world_run(w);
            assert_int_equal(world_status(w, round * 20 + i, 0, SPOOL_OUTCOME_RELAYED), 0);
            world_run(w);
        }
        spool_follower_set_limit(f, spool_sealed_position(w->spool));
        read_all(f, &tally);
        spool_book_synced(w->spool, tally.last);
        world_run(w);
    }
    assert_true(w->spool->counts.recycled > 10);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_MESSAGE], 20 * 17);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_STATUS], 20 * 17);
    assert_int_equal(tally.kinds[SPOOL_FOLLOWED_GAP] + tally.kinds[SPOOL_FOLLOWED_DAMAGED], 0);
    spool_follower_free(f);
}

/* ---- from the beginning of a log that doesn't have all any more ---- */

enum { MESSAGES = 300, BIG = 40, OWN = 3000 };

/* Who waits by what the log says, as a book that begins anew would have it. */
struct waiting {
    bool of[MESSAGES][2];
    unsigned restated, gone;
};

static unsigned number_of(const struct id *id)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct id one = world_id(i);
        if (id_equal(id, &one))
            return i;
    }
    fail_msg("a message that was never given");
    return 0;
}

static void only_named_wait(struct waiting *w, unsigned number, const bool named[2])
{
    for (unsigned r = 0; r < 2; r++)
        w->of[number][r] = w->of[number][r] && named[r];
}

static void take(struct waiting *w, const struct spool_followed *f)
{
    bool named[2] = {false};
    unsigned number = f->kind == SPOOL_FOLLOWED_GONE || f->kind == SPOOL_FOLLOWED_SEAL
                          ? 0
                          : number_of(&f->message);

    switch (f->kind) {
    case SPOOL_FOLLOWED_MESSAGE:
        w->of[number][0] = w->of[number][1] = true;
        break;
    case SPOOL_FOLLOWED_MOVED:
        for (size_t i = 0; i < f->waiting_count; i++)
            w->of[number][f->waiting[i].recipient] = true;
        break;
    case SPOOL_FOLLOWED_STATUS:
        for (size_t i = 0; i < f->status_count; i++)
            if (spool_outcome_is_final((enum spool_outcome)f->statuses[i].outcome))
                w->of[number][f->statuses[i].recipient] = false;
        break;
    case SPOOL_FOLLOWED_RESTATED:
        for (size_t i = 0; i < f->status_count; i++)
            named[f->statuses[i].recipient] = true;
        only_named_wait(w, number, named);
        assert_true(f->time_us > 0);
        w->restated++;
        assert_true(w->gone > 0);
        break;
    case SPOOL_FOLLOWED_GONE:
        w->gone++;
        break;
    default:
        assert_int_equal(f->kind, SPOOL_FOLLOWED_SEAL);
    }
}

static void follow_anew(struct world *w, struct waiting *out)
{
    struct spool_follower *f = follow(w, (struct spool_position){0, 0});
    struct spool_followed followed;
    int r;

    *out = (struct waiting){.gone = 0};
    spool_follower_set_limit(f, spool_sealed_position(w->spool));
    while ((r = spool_follower_next(f, &followed)) > 0)
        take(out, &followed);
    assert_int_equal(r, 0);
    spool_follower_free(f);
}

/* The first messages wait, but for some whose outcomes come later, among mail that passes. */
static void live(struct world *w)
{
    for (unsigned i = 1; i < MESSAGES; i++) {
        assert_int_equal(world_accept(w, i, 2, OWN), 0);
        assert_int_equal(world_commit(w), 0);
        if (i > BIG) {
            assert_int_equal(world_status(w, i, 0, SPOOL_OUTCOME_RELAYED), 0);
            assert_int_equal(world_status(w, i, 1, SPOOL_OUTCOME_DELIVERED), 0);
        }
        if (i > 2 * BIG && i % 10 == 0)
            assert_int_equal(world_status(w, i / 10, i / 10 % 2, SPOOL_OUTCOME_RETURNED), 0);
        world_run(w);
        spool_book_synced(w->spool, spool_sealed_position(w->spool));
        world_run(w);
    }
}

static void what_is_left_of_a_log_says_who_waits(void **state)
{
    struct world *w = *state;
    struct waiting waiting;
    unsigned count = 0;

    world_close(w);
    w->options.keep_segments = 1;
    world_open(w);
    live(w);
    follow_anew(w, &waiting);
    assert_true(waiting.gone > 0 && waiting.restated > 0);
    for (unsigned i = 1; i < MESSAGES; i++) {
        struct spool_message *m = world_find(w, i);
        for (uint32_t r = 0; r < 2; r++) {
            const struct spool_recipient *row = m ? spool_find_recipient(m, r) : NULL;
            bool waits = row && row->state != SPOOL_RECIPIENT_CLOSED;
            assert_int_equal(waiting.of[i][r], waits);
            count += waits;
        }
    }
    assert_true(count > BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sees_only_what_is_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_book_that_reads_again_isnt_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_book_that_was_far_behind_at_the_start_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_book_behind_is_told_of_once_and_stops_mail, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(follows_everything_once, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_each_expansion_with_its_first_child, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_given_as_a_record_and_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cant_be_read_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_around_what_cant_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_trailer_that_nobody_needs_may_be_unreadable, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_header_costs_its_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(a_header_that_cant_be_read_now_is_not_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_was_read_may_go, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_of_a_log_says_who_waits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
