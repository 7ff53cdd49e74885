#include "ledger_test.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A small history: two messages, one with an expansion, outcomes, a refusal, an act. */
enum { HISTORY = 9 };

struct history {
    struct test_message one, two;
    struct envelope_recipient children[2];
    struct book_expand expand;
    struct book_status deferred, delivered, relayed;
    struct event refused, held, act;
    struct book_input inputs[HISTORY];
};

static void make_history(struct history *h)
{
    test_message_at(&h->one, TEST_NOW_US, 1, 2);
    /* The second message is of the week before, so that two week files are at work. */
    test_message_at(&h->two, TEST_NOW_US - 7 * TEST_DAY, 2, 1);
    h->children[0] = (struct envelope_recipient){.address = SPAN("dora@aaa.example"),
                                                 .original = SPAN("team@aaa.example")};
    h->children[1] = (struct envelope_recipient){.address = SPAN("emil@ccc.example"),
                                                 .original = SPAN("team@aaa.example")};
    h->expand = (struct book_expand){.message = h->one.envelope.id,
                                     .parent = 1,
                                     .first_child = 2,
                                     .time_us = TEST_NOW_US,
                                     .children = h->children,
                                     .child_count = 2};
    h->deferred = test_status(h->two.envelope.id, 0, EVENT_DEFERRED);
    h->delivered = test_status(h->one.envelope.id, 0, EVENT_DELIVERED);
    h->relayed = test_status(h->one.envelope.id, 3, EVENT_RELAYED);
    h->refused = test_refusal(1, "nobody@aaa.example");
    h->held = (struct event){.kind = EVENT_HELD,
                             .time_us = TEST_NOW_US,
                             .count = 1,
                             .message = h->one.envelope.id,
                             .recipient_index = EVENT_NO_RECIPIENT,
                             .actor_uid = 1000,
                             .reply = SPAN("suspicious")};
    h->act = (struct event){.kind = EVENT_ALARM,
                            .time_us = TEST_NOW_US,
                            .count = 1,
                            .recipient_index = EVENT_NO_RECIPIENT,
                            .key = {5},
                            .actor_uid = EVENT_NO_ACTOR,
                            .reply = SPAN("disk nearly full")};
    const struct book_input inputs[HISTORY] = {
        {.kind = BOOK_MESSAGE, .message = &h->one.envelope},
        {.kind = BOOK_EXPAND, .expand = &h->expand},
        {.kind = BOOK_MESSAGE, .message = &h->two.envelope},
        {.kind = BOOK_EVENT, .event = &h->refused},
        {.kind = BOOK_STATUS, .status = &h->deferred},
        {.kind = BOOK_EVENT, .event = &h->held},
        {.kind = BOOK_STATUS, .status = &h->delivered},
        {.kind = BOOK_EVENT, .event = &h->act},
        {.kind = BOOK_STATUS, .status = &h->relayed},
    };
    memcpy(h->inputs, inputs, sizeof(inputs));
    for (int i = 0; i < HISTORY; i++)
        h->inputs[i].end = (struct book_position){.segment = 1, .offset = (uint64_t)(i + 1) * 100};
}

/* Follows the log as the process would: from the position on, only what is behind it. */
static void follow(struct fold *fold, const struct history *h, int until)
{
    for (int i = 0; i < until; i++) {
        struct book_position at = fold_position(fold, 0);
        if (book_position_compare(&h->inputs[i].end, &at) > 0)
            test_fold_one(fold, &h->inputs[i]);
    }
}

static void assert_whole_history(void)
{
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 4);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 12);
    assert_int_equal(test_number(TEST_WEEK, "SELECT events FROM lane"), 12);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE kind = 14"), 4);
    assert_int_equal(test_number("book-2026-W46.sqlite", "SELECT count(*) FROM event"), 2);
    assert_int_equal(test_number(TEST_REFUSALS, "SELECT count(*) FROM refusal"), 1);
    assert_int_equal(test_number("book.sqlite", "SELECT offset FROM lane"), HISTORY * 100);
}

/* The main file and the files of weeks say the same position of each chain. */
static void assert_same_positions(void)
{
    static const struct {
        const char *file;
        int kind, weeks_before;
    } files[] = {{TEST_WEEK, 0, 0}, {"book-2026-W46.sqlite", 0, 1}, {TEST_REFUSALS, 1, 0}};
    char sql[120];

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(sql, sizeof(sql),
                 "SELECT offset * 1000 + events FROM chain WHERE kind = %d AND week = %d",
                 files[i].kind, week_of_us(TEST_NOW_US) - files[i].weeks_before);
        assert_int_equal(test_number("book.sqlite", sql),
                         test_number(files[i].file, "SELECT offset * 1000 + events FROM lane"));
    }
}

static void every_input_leaves_its_rows(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    assert_int_equal(fold_pending(fold), HISTORY);
    test_commit(fold);
    assert_int_equal(fold_pending(fold), 0);
    fold_close(fold);
    assert_whole_history();
    assert_int_equal(test_number(TEST_WEEK, "SELECT sum(state = 1) FROM entry"), 1);
    assert_int_equal(test_number(TEST_WEEK, "SELECT state FROM entry WHERE recipient_index = 1"),
                     RECIPIENT_EXPANDED);
    assert_int_equal(test_number(TEST_WEEK, "SELECT parent FROM entry WHERE recipient_index = 3"),
                     1);
    assert_int_equal(test_number("book-2026-W46.sqlite", "SELECT next_attempt_us FROM entry") -
                         h.deferred.next_attempt_us,
                     0);
}

static void nothing_counts_before_the_commit(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 0);
    fold = test_fold_open();
    assert_true(fold_position(fold, 0).offset == 0);
    fold_close(fold);
}

static int64_t head_of(const char *file)
{
    /* The first seven bytes of the head as a number: enough to compare. */
    return test_number(file, "SELECT CAST('0' || (SELECT group_concat(unicode(substr(hex(head), n,"
                             " 1)), '') FROM (SELECT 1 n UNION SELECT 2 UNION SELECT 3 UNION"
                             " SELECT 4 UNION SELECT 5 UNION SELECT 6)) AS INTEGER) FROM lane");
}

/* A crash between the commits of the files: some week files are ahead of the main file. */
static void crash_between_commits_doubles_nothing(void **state)
{
    struct history h;
    struct chain *chain;

    make_history(&h);
    assert_int_equal(chain_new(&chain), 0);
    for (int cut = 0; cut < HISTORY; cut += 3)
        for (unsigned ahead = 1; ahead < 7; ahead++) {
            test_ledger_remove(NULL);
            test_ledger_make(NULL);
            struct fold *fold = test_fold_open();
            follow(fold, &h, cut);
            test_commit(fold);
            fold_close(fold);

            /* The batch that crashes: each file on its own, those of the set get to commit. */
            for (unsigned file = 0; file < 3; file++) {
                struct volume *v;
                enum week_kind kind = file == 2 ? WEEK_REFUSALS : WEEK_ENTRIES;
                int week = week_of_us(TEST_NOW_US) - (file == 1);
                assert_int_equal(volume_open(test_folder, kind, week, chain, &v), 0);
                for (int i = cut; i < HISTORY; i++) {
                    bool refusal = i == 3, old = i == 2 || i == 4;
                    if (file == (refusal ? 2u : old ? 1u : 0u))
                        assert_int_equal(volume_fold(v, &h.inputs[i]), 0);
                }
                if (ahead & 1u << file)
                    assert_int_equal(volume_commit(v), 0);
                volume_close(v);
            }

            fold = test_fold_open();
            assert_string_equal(test_told.displaced, "");
            follow(fold, &h, HISTORY);
            test_commit(fold);
            fold_close(fold);
            assert_whole_history();
            assert_same_positions();
        }
    chain_free(chain);
}

static void book_made_again_has_the_same_chain(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_commit(fold);
    fold_close(fold);
    int64_t head = head_of(TEST_WEEK), refusals = head_of(TEST_REFUSALS);

    test_ledger_remove(NULL);
    test_ledger_make(NULL);
    fold = test_fold_open();
    for (int i = 1; i <= HISTORY; i++) { /* in other batches */
        follow(fold, &h, i);
        test_commit(fold);
    }
    fold_close(fold);
    assert_true(head_of(TEST_WEEK) == head);
    assert_true(head_of(TEST_REFUSALS) == refusals);
}

static void damaged_file_is_set_aside_and_made_anew(void **state)
{
    struct history h;
    char path[128], aside[256];
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_commit(fold);
    fold_close(fold);

    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    test_tamper(TEST_WEEK, "PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "garbage, not a database", 23, 0), 23);
    close(fd);

    fold = test_fold_open();
    h.act.time_us++;
    struct book_input more = h.inputs[7];
    more.end.offset = HISTORY * 100 + 50;
    assert_int_equal(fold_input(fold, &more, TEST_NOW_US), -EUCLEAN);
    assert_string_equal(test_told.damage, TEST_WEEK ".damaged-1795284003");
    assert_true(fold_position(fold, 0).offset == 0);
    h.act.time_us--;
    follow(fold, &h, HISTORY);
    test_commit(fold);
    fold_close(fold);
    assert_whole_history();
    snprintf(aside, sizeof(aside), "%s.damaged-1795284003", path);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM damage"), 1);
}

static void copy_file(const char *from, const char *to)
{
    char path[128], bytes[200000];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", test_folder, from);
    int in = open(path, O_RDONLY);
    assert_true(in >= 0 && fstat(in, &st) == 0 && st.st_size <= (off_t)sizeof(bytes));
    assert_int_equal(read(in, bytes, (size_t)st.st_size), st.st_size);
    snprintf(path, sizeof(path), "%s/%s", test_folder, to);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(out >= 0);
    assert_int_equal(write(out, bytes, (size_t)st.st_size), st.st_size);
    close(in);
    close(out);
}

/* What is gone of a file that stays in its place, or with it, comes again from the log. */
static void files_that_lack_events_are_folded_again(void **state)
{
    static const struct {
        const char *name, *file;
        enum { REMOVED, EMPTY, OLDER, ANOTHER, UPGRADED } how;
    } cases[] = {
        {"a week removed", TEST_WEEK, REMOVED},
        {"refusals removed", TEST_REFUSALS, REMOVED},
        {"a week without events now", "book-2026-W46.sqlite", REMOVED},
        {"a week emptied", TEST_WEEK, EMPTY},
        {"a week as it was before", TEST_WEEK, OLDER},
        {"a week of another kind", TEST_WEEK, ANOTHER},
        {"a week removed, known from an earlier version", TEST_WEEK, UPGRADED},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct history h;
        struct fold *fold = test_fold_open();
        char path[128];

        print_message("%s\n", cases[i].name);
        make_history(&h);
        follow(fold, &h, 4);
        test_commit(fold);
        fold_close(fold);
        copy_file(cases[i].file, "older");
        fold = test_fold_open();
        assert_string_equal(test_told.lacking, "");
        follow(fold, &h, HISTORY);
        test_commit(fold);
        fold_close(fold);

        snprintf(path, sizeof(path), "%s/%s", test_folder, cases[i].file);
        if (cases[i].how == UPGRADED) {
            test_tamper("book.sqlite", "DROP TABLE chain");
            fold_close(test_fold_open());
        }
        if (cases[i].how == REMOVED || cases[i].how == UPGRADED)
            assert_int_equal(unlink(path), 0);
        else if (cases[i].how == EMPTY)
            assert_int_equal(truncate(path, 0), 0);
        else
            copy_file(cases[i].how == OLDER ? "older" : TEST_REFUSALS, cases[i].file);
        fold = test_fold_open();
        if (cases[i].how == ANOTHER) { /* found when it is needed */
            struct book_input more = h.inputs[7];
            more.end.offset = HISTORY * 100 + 50;
            assert_int_equal(fold_input(fold, &more, TEST_NOW_US), -EUCLEAN);
        } else {
            assert_string_equal(test_told.lacking, cases[i].file);
        }
        assert_true(fold_position(fold, 0).offset == 0);
        follow(fold, &h, HISTORY);
        test_commit(fold);
        fold_close(fold);
        assert_whole_history();
        assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM damage"), 1);
        fold = test_fold_open(); /* once */
        assert_string_equal(test_told.lacking, "");
        assert_true(fold_position(fold, 0).offset == HISTORY * 100);
        fold_close(fold);
        test_ledger_remove(state);
        test_ledger_make(state);
    }
}

/* A damaged byte in one of the two copies of a position; in the file itself it would have events
 * passed over. */
static void wrong_positions_are_set_right(void **state)
{
    static const char *const files[] = {TEST_WEEK, "book-2026-W46.sqlite", TEST_REFUSALS};
    static const char *const chains[] = {
        " WHERE kind = 0 AND week = (SELECT max(week) FROM chain)",
        " WHERE kind = 0 AND week = (SELECT min(week) FROM chain)",
        " WHERE kind = 1",
    };
    static const char *const damages[] = {"offset = offset + 65536", "offset = offset - 64",
                                          "segment = 257"};

    for (size_t i = 0; i < 2 * ARRAY_SIZE(files) * ARRAY_SIZE(damages); i++) {
        size_t file = i / 2 % ARRAY_SIZE(files);
        bool in_main = i % 2;
        struct history h;
        char sql[200];
        test_ledger_remove(state);
        test_ledger_make(state);
        struct fold *fold = test_fold_open();
        make_history(&h);
        follow(fold, &h, 5); /* each file has something */
        test_commit(fold);
        fold_close(fold);
        snprintf(sql, sizeof(sql), "UPDATE %s SET %s%s", in_main ? "chain" : "lane",
                 damages[i / 2 / ARRAY_SIZE(files)], in_main ? chains[file] : "");
        test_tamper(in_main ? "book.sqlite" : files[file], sql);
        fold = test_fold_open();
        assert_string_equal(test_told.displaced, files[file]);
        assert_string_equal(test_told.lacking, "");
        assert_same_positions();
        follow(fold, &h, HISTORY);
        test_commit(fold);
        fold_close(fold);
        assert_whole_history();
        assert_same_positions();
        fold = test_fold_open();
        assert_string_equal(test_told.displaced, "");
        fold_close(fold);
    }
}

/* While all is folded again the main file's own position says nothing of files that are ahead. */
static void wrong_positions_stay_while_all_is_folded_again(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_commit(fold);
    fold_close(fold);
    test_tamper("book.sqlite", "UPDATE lane SET offset = 200; DELETE FROM position");
    test_tamper("book-2026-W46.sqlite", "UPDATE lane SET offset = offset - 64");
    fold = test_fold_open();
    assert_string_equal(test_told.displaced, "");
    fold_close(fold);
    assert_int_equal(test_number("book-2026-W46.sqlite", "SELECT offset FROM lane"), 500 - 64);
}

static void newer_files_are_refused(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_commit(fold);
    fold_close(fold);
    test_tamper(TEST_WEEK, "PRAGMA user_version=3");
    fold = test_fold_open();
    struct book_input more = h.inputs[7];
    more.end.offset = HISTORY * 100 + 50;
    assert_int_equal(fold_input(fold, &more, TEST_NOW_US), -EPROTONOSUPPORT);
    assert_true(fold_position(fold, 0).offset == HISTORY * 100);
    fold_close(fold);

    test_tamper("book.sqlite", "PRAGMA user_version=3");
    assert_int_equal(fold_open(test_folder, TEST_NOW_US, &test_told, &fold), -EPROTONOSUPPORT);
}

static void entries_end_once(void **state)
{
    struct test_message m;
    struct fold *fold = test_fold_open();

    test_message_at(&m, TEST_NOW_US, 1, 1);
    struct book_input input = test_input_message(100, &m);
    test_fold_one(fold, &input);
    struct book_status first = test_status(m.envelope.id, 0, EVENT_DELIVERED);
    struct book_status late = test_status(m.envelope.id, 0, EVENT_DEFERRED);
    late.time_us += 5 * TEST_SECOND;
    test_fold_status(fold, 200, &first);
    test_fold_status(fold, 300, &late);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT state FROM entry"), RECIPIENT_DELIVERED);
    assert_true(test_number(TEST_WEEK, "SELECT since_us FROM entry") == first.time_us);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 3);
}

/* A message that was moved in the log is not booked twice; a book made anew has what still waits.
 */
static void moved_messages_are_booked_only_when_unknown(void **state)
{
    struct test_message m;
    struct envelope_recipient child = {
        .address = SPAN("dora@aaa.example"), .original = SPAN("bob@aaa.example"), .key = {7}};
    test_message_at(&m, TEST_NOW_US, 1, 3);
    const struct book_waiting waiting[] = {{1, EVENT_NO_RECIPIENT, &m.recipients[1]},
                                           {3, 0, &child}};
    struct book_moved moved = {
        .message = &m.envelope, .waiting = waiting, .waiting_count = ARRAY_SIZE(waiting)};
    struct book_input message = test_input_message(100, &m);
    struct book_input again = {
        .kind = BOOK_MOVED, .end = {.segment = 1, .offset = 200}, .moved = &moved};

    struct fold *fold = test_fold_open();
    test_fold_one(fold, &message);
    test_fold_one(fold, &again);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT offset FROM lane"), 100);
    assert_int_equal(test_number("book.sqlite", "SELECT offset FROM lane"), 200);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 3);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 3);

    test_ledger_remove(NULL);
    test_ledger_make(NULL);
    fold = test_fold_open();
    test_fold_one(fold, &again);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 2);
    assert_int_equal(test_number(TEST_WEEK, "SELECT parent FROM entry WHERE recipient_index = 3"),
                     0);
}

/* The MESSAGE couldn't be read, but what it was expanded into could; then compaction moves it,
 * where the disk reads again, or the log is read again as another lane. */
static void children_that_came_without_their_message_are_the_same_ones(void **state)
{
    struct envelope_recipient children[] = {
        {.address = SPAN("x@aaa.example"), .original = SPAN("bob@aaa.example"), .key = {7}},
        {.address = SPAN("y@aaa.example"), .original = SPAN("bob@aaa.example"), .key = {8}}};
    struct test_message m;
    test_message_at(&m, TEST_NOW_US, 1, 1);
    const struct book_waiting waiting[] = {{1, 0, &children[0]}, {2, 0, &children[1]}};
    struct book_moved moved = {
        .message = &m.envelope, .waiting = waiting, .waiting_count = ARRAY_SIZE(waiting)};
    struct book_expand expand = {.message = m.envelope.id,
                                 .first_child = 1,
                                 .time_us = TEST_NOW_US,
                                 .children = children,
                                 .child_count = 2};
    struct book_status delivered = test_status(m.envelope.id, 1, EVENT_DELIVERED);
    enum { SAME_BATCH, NEXT_BATCH, NEXT_LANE, WAYS };

    for (int way = 0; way < WAYS; way++) {
        uint32_t lane = way == NEXT_LANE;
        struct book_input inputs[] = {
            {.kind = BOOK_EXPAND, .end = {0, 1, 100}, .expand = &expand},
            {.kind = BOOK_MOVED, .end = {0, 1, 200}, .moved = &moved},
            {.kind = BOOK_STATUS, .end = {lane, 1, 300}, .status = &delivered},
        };
        struct book_input again[] = {
            {.kind = BOOK_MESSAGE, .end = {1, 1, 50}, .message = &m.envelope},
            {.kind = BOOK_EXPAND, .end = {1, 1, 100}, .expand = &expand},
        };
        struct fold *fold = test_fold_open();
        test_fold_one(fold, &inputs[0]);
        if (way != SAME_BATCH)
            test_commit(fold);
        if (way != NEXT_LANE)
            test_fold_one(fold, &inputs[1]);
        for (size_t i = 0; way == NEXT_LANE && i < ARRAY_SIZE(again); i++)
            test_fold_one(fold, &again[i]);
        test_fold_one(fold, &inputs[2]);
        test_commit(fold);
        fold_close(fold);
        assert_int_equal(
            test_number(TEST_WEEK, "SELECT state FROM entry WHERE recipient_index = 1"),
            RECIPIENT_DELIVERED);
        assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE kind = 3"
                                                " AND recipient_index > 0"),
                         2);
        test_ledger_remove(NULL);
        test_ledger_make(NULL);
    }
}

/* A second lane asks whether it knows an event, and two of one moment aren't the same. */
static void damages_of_one_moment_are_all_booked(void **state)
{
    struct event first = {.kind = EVENT_DAMAGED,
                          .time_us = TEST_NOW_US,
                          .count = 1,
                          .recipient_index = EVENT_NO_RECIPIENT,
                          .actor_uid = EVENT_NO_ACTOR,
                          .reply = SPAN("the log is damaged here")},
                 second = first;
    struct book_input inputs[] = {
        {.kind = BOOK_EVENT, .end = {1, 1, 100}, .event = &first},
        {.kind = BOOK_EVENT, .end = {1, 1, 200}, .event = &second},
        {.kind = BOOK_EVENT, .end = {2, 1, 100}, .event = &first}, /* said again */
    };
    struct fold *fold = test_fold_open();

    second.reply = SPAN("the log is damaged there");
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++)
        test_fold_one(fold, &inputs[i]);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 2);
}

/* ---- a ledger made anew ---- */

static void fold_restated(struct fold *fold, uint64_t offset, const struct test_message *m,
                          const uint32_t *waiting, size_t count)
{
    struct book_restated again = {m->envelope.id, TEST_NOW_US + 9, waiting, count};
    struct book_input input = {
        .kind = BOOK_RESTATED, .end = {.segment = 1, .offset = offset}, .restated = &again};
    test_fold_one(fold, &input);
}

static const struct book_position gone_at = {.segment = 1, .offset = 150},
                                  log_end = {.segment = 1, .offset = 1000};

/* Four recipients, of whom one was delivered by what the log still has, and one waits. */
static void fold_made_anew(struct fold *fold, struct test_message *m)
{
    static const uint32_t waiting[] = {0, 3, 3};

    test_message_at(m, TEST_NOW_US, 1, 4);
    struct book_input accepted = test_input_message(100, m);
    struct book_status delivered = test_status(m->envelope.id, 1, EVENT_DELIVERED);
    test_fold_one(fold, &accepted);
    test_fold_status(fold, 200, &delivered);
    fold_restated(fold, 300, m, waiting, ARRAY_SIZE(waiting));
}

static void assert_states(unsigned first, unsigned second, unsigned third, unsigned fourth)
{
    const unsigned states[] = {first, second, third, fourth};
    char sql[100];

    for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
        snprintf(sql, sizeof(sql), "SELECT state FROM entry WHERE recipient_index = %u", i);
        assert_int_equal(test_number(TEST_WEEK, sql), states[i]);
    }
}

enum { WAITS = RECIPIENT_WAITING, DELIVERED = RECIPIENT_DELIVERED, CLOSED = RECIPIENT_CLOSED };

/* The process may end anywhere: it knows again that its ledger is made anew, and closes once. */
static void who_is_not_said_to_wait_is_closed(void **state)
{
    struct test_message m;
    struct fold *fold = test_fold_open();

    assert_int_equal(fold_begin_anew(fold, &log_end, TEST_NOW_US), 0);
    assert_int_equal(fold_note_gone(fold, &gone_at, &log_end, TEST_NOW_US), 1);
    assert_int_equal(fold_note_gone(fold, &gone_at, &log_end, TEST_NOW_US), 0);
    fold_close(fold);
    for (int i = 0; i < 3; i++) {
        fold = test_fold_open();
        fold_made_anew(fold, &m);
        if (i > 0)
            test_commit(fold);
        fold_close(fold);
    }
    assert_states(WAITS, DELIVERED, CLOSED, WAITS);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 6);
    assert_int_equal(test_number(TEST_WEEK, "SELECT since_us FROM entry WHERE recipient_index = 2"),
                     TEST_NOW_US + 9);

    fold = test_fold_open(); /* in a later batch, with others between */
    fold_restated(fold, 400, &m, NULL, 0);
    fold_restated(fold, 500, &m, NULL, 0);
    test_commit(fold);
    fold_close(fold);
    assert_states(CLOSED, DELIVERED, CLOSED, CLOSED);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 8);
}

/* A book that has read all is asked by nobody: whom the queue loses must come up. */
static void what_is_said_again_is_not_believed_without_need(void **state)
{
    struct test_message m;
    struct fold *fold = test_fold_open();

    fold_made_anew(fold, &m); /* it isn't */
    assert_int_equal(fold_note_gone(fold, &gone_at, &log_end, TEST_NOW_US), 0);
    fold_restated(fold, 400, &m, NULL, 0);
    assert_int_equal(fold_begin_anew(fold, &log_end, TEST_NOW_US), 0);
    fold_restated(fold, 500, &m, NULL, 0); /* nothing is found to be gone */
    struct book_position late = {.segment = 2, .offset = 10};
    assert_int_equal(fold_note_gone(fold, &late, &late, TEST_NOW_US), 0);
    fold_restated(fold, 600, &m, NULL, 0);
    test_commit(fold);
    assert_states(WAITS, DELIVERED, WAITS, WAITS);
    fold_close(fold);
}

/* While the log is caught up with, more of it may go, and is said again behind it. */
static void the_end_of_believing_moves_with_the_log(void **state)
{
    struct test_message early, late;
    struct fold *fold = test_fold_open();
    struct book_position later = {.segment = 7, .offset = 1000};
    struct book_restated again = {.time_us = TEST_NOW_US};
    struct book_input input = {.kind = BOOK_RESTATED, .restated = &again};

    assert_int_equal(fold_begin_anew(fold, &log_end, TEST_NOW_US), 0);
    test_message_at(&early, TEST_NOW_US, 1, 2);
    test_message_at(&late, TEST_NOW_US, 2, 3);
    struct book_input accepted[] = {test_input_message(100, &early),
                                    test_input_message(120, &late)};
    test_fold_one(fold, &accepted[0]);
    test_fold_one(fold, &accepted[1]);
    assert_int_equal(fold_note_gone(fold, &gone_at, &log_end, TEST_NOW_US), 1);
    assert_int_equal(fold_note_gone(fold, &gone_at, &later, TEST_NOW_US), 0);
    again.message = early.envelope.id;
    input.end = (struct book_position){.segment = 8, .offset = 5000};
    test_fold_one(fold, &input);
    again.message = late.envelope.id;
    input.end = (struct book_position){.segment = 9};
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry WHERE state = 1"), 3);
}

static void remove_week(void)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    assert_int_equal(unlink(path), 0);
}

/* Of two weeks one is taken away; who is said to wait no more is closed in that one alone. */
static void a_week_that_has_read_all_believes_itself(void **state)
{
    const struct book_position until = {.segment = 3, .offset = 0};
    struct test_message lost, kept;
    struct fold *fold = test_fold_open();

    test_message_at(&lost, TEST_NOW_US, 1, 1);
    test_message_at(&kept, TEST_NOW_US - 7 * TEST_DAY, 2, 1);
    struct book_input both[] = {test_input_message(100, &lost), test_input_message(200, &kept)};
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < ARRAY_SIZE(both); i++)
            test_fold_one(fold, &both[i]);
        test_commit(fold);
        fold_close(fold);
        if (!again)
            remove_week();
        fold = test_fold_open();
        assert_int_equal(fold_position(fold, 0).segment, again);
        if (again)
            continue;
        assert_int_equal(fold_begin_anew(fold, &log_end, TEST_NOW_US), 0);
        assert_int_equal(fold_note_gone(fold, &gone_at, &log_end, TEST_NOW_US), 1);
    }
    fold_restated(fold, 300, &lost, NULL, 0);
    fold_restated(fold, 400, &kept, NULL, 0);
    assert_int_equal(fold_skip(fold, &until), 0);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT state FROM entry"), CLOSED);
    assert_int_equal(test_number("book-2026-W46.sqlite", "SELECT state FROM entry"), WAITS);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM remade"), 0);
}

/* The log of before is another: what was read of it stays. */
static void the_next_log_makes_nothing_anew(void **state)
{
    const struct book_position end = {1, 9, 1000}, at = {1, 4, 100};
    struct test_message m;
    struct fold *fold = test_fold_open();

    test_message_at(&m, TEST_NOW_US, 1, 1);
    struct book_input accepted = test_input_message(100, &m);
    test_fold_one(fold, &accepted);
    test_commit(fold);
    assert_int_equal(fold_begin_anew(fold, &end, TEST_NOW_US), 0);
    assert_int_equal(fold_note_gone(fold, &at, &end, TEST_NOW_US), 0);
    const struct book_position behind = {1, 9, 1001};
    assert_true(fold_is_anew(fold, &at) && fold_is_anew(fold, &end));
    assert_false(fold_is_anew(fold, &behind));
    struct book_restated again = {.message = m.envelope.id, .time_us = TEST_NOW_US};
    struct book_input input = {.kind = BOOK_RESTATED, .end = {1, 5, 100}, .restated = &again};
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT state FROM entry"), WAITS);
}

/* What holds nothing for the book still moves the position. */
static void skipped_records_move_the_position(void **state)
{
    struct fold *fold = test_fold_open();
    struct book_position at = {.segment = 3, .offset = 4711};

    assert_int_equal(fold_skip(fold, &at), 0);
    assert_int_equal(fold_pending(fold), 0);
    test_commit(fold);
    fold_close(fold);
    fold = test_fold_open();
    assert_true(fold_position(fold, 0).segment == 3 && fold_position(fold, 0).offset == 4711);
    fold_close(fold);
}

/* A spool made anew starts at the first position again, in a lane and a chain of its own. */
static void lanes_have_positions_and_chains_of_their_own(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_commit(fold);
    assert_int_equal(fold_last_lane(fold), 0);
    struct test_message m;
    test_message_at(&m, TEST_NOW_US, 50, 1);
    struct book_input input = test_input_message(100, &m);
    input.end.lane = fold_last_lane(fold) + 1;
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    fold = test_fold_open();
    assert_int_equal(fold_last_lane(fold), 1);
    assert_true(fold_position(fold, 0).offset == HISTORY * 100);
    assert_true(fold_position(fold, 1).offset == 100);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT events FROM lane WHERE lane = 1"), 1);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM message"), 2);
}

/* A spool that lost its end, or is an older copy, is followed from its beginning as another lane.
 */
static void log_in_another_lane_adds_only_what_is_new(void **state)
{
    struct history h;
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_commit(fold);
    for (int i = 0; i < HISTORY; i++) {
        h.inputs[i].end.lane = 1;
        test_fold_one(fold, &h.inputs[i]);
    }
    test_commit(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE lane = 0"), 12);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 12);
    assert_int_equal(test_number("book-2026-W46.sqlite", "SELECT count(*) FROM event"), 2);
    assert_int_equal(test_number(TEST_REFUSALS, "SELECT count(*) FROM refusal"), 1);
    struct book_status again = h.delivered; /* an older copy delivers again */
    again.time_us += TEST_SECOND;
    struct book_input input = {.kind = BOOK_STATUS,
                               .end = {.lane = 1, .segment = 1, .offset = HISTORY * 100 + 100},
                               .status = &again};
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE lane = 1"), 1);
}

/* An older version booked what the log says as discarded, too. */
static void a_duplicate_that_was_booked_as_discarded_is_known(void **state)
{
    struct fold *fold = test_fold_open();
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, 1, 1);
    struct book_status closed = test_status(m.envelope.id, 0, EVENT_DISCARDED);
    struct book_input input = test_input_message(100, &m);
    test_fold_one(fold, &input);
    test_fold_status(fold, 200, &closed);
    test_commit(fold);
    input.end.lane = 1;
    test_fold_one(fold, &input);
    closed.kind = EVENT_DUPLICATE;
    input = (struct book_input){.kind = BOOK_STATUS, .end = {1, 1, 200}, .status = &closed};
    test_fold_one(fold, &input);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event"), 2);
}

/* The main file alone knew that the log at hand isn't the first. */
static void last_lane_is_known_without_the_main_file(void **state)
{
    struct history h;
    struct test_message m;
    char path[128];
    struct fold *fold = test_fold_open();

    make_history(&h);
    follow(fold, &h, HISTORY);
    test_message_at(&m, TEST_NOW_US, 50, 1);
    struct book_input first = test_input_message(100, &m);
    first.end.lane = 1;
    test_fold_one(fold, &first);
    test_commit(fold);
    fold_close(fold);
    snprintf(path, sizeof(path), "%s/" MAIN_FILE_NAME, test_folder);
    assert_int_equal(unlink(path), 0);
    fold = test_fold_open();
    assert_int_equal(fold_last_lane(fold), 1);
    assert_true(fold_position(fold, 1).segment == 0);
    test_message_at(&m, TEST_NOW_US, 51, 1);
    struct book_input second = test_input_message(200, &m);
    second.end.lane = 1;
    test_fold_one(fold, &first);
    test_fold_one(fold, &second);
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT events FROM lane WHERE lane = 1"), 2);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM message"), 3);
}

static void many_weeks_at_once_stay_bounded(void **state)
{
    struct fold *fold = test_fold_open();

    for (unsigned i = 0; i < 40; i++) {
        struct test_message m;
        test_message_at(&m, TEST_NOW_US - (i % 20) * 7 * TEST_DAY, i, 1);
        struct book_input input = test_input_message((i + 1) * 100, &m);
        test_fold_one(fold, &input);
    }
    test_commit(fold);
    fold_close(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 2);
    assert_int_equal(test_number("book-2026-W28.sqlite", "SELECT count(*) FROM entry"), 2);
}

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, test_ledger_make, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(every_input_leaves_its_rows),
        LEDGER_TEST(nothing_counts_before_the_commit),
        LEDGER_TEST(crash_between_commits_doubles_nothing),
        LEDGER_TEST(book_made_again_has_the_same_chain),
        LEDGER_TEST(damaged_file_is_set_aside_and_made_anew),
        LEDGER_TEST(files_that_lack_events_are_folded_again),
        LEDGER_TEST(wrong_positions_are_set_right),
        LEDGER_TEST(wrong_positions_stay_while_all_is_folded_again),
        LEDGER_TEST(newer_files_are_refused),
        LEDGER_TEST(entries_end_once),
        LEDGER_TEST(moved_messages_are_booked_only_when_unknown),
        LEDGER_TEST(children_that_came_without_their_message_are_the_same_ones),
        LEDGER_TEST(damages_of_one_moment_are_all_booked),
        LEDGER_TEST(who_is_not_said_to_wait_is_closed),
        LEDGER_TEST(what_is_said_again_is_not_believed_without_need),
        LEDGER_TEST(the_end_of_believing_moves_with_the_log),
        LEDGER_TEST(a_week_that_has_read_all_believes_itself),
        LEDGER_TEST(the_next_log_makes_nothing_anew),
        LEDGER_TEST(skipped_records_move_the_position),
        LEDGER_TEST(lanes_have_positions_and_chains_of_their_own),
        LEDGER_TEST(log_in_another_lane_adds_only_what_is_new),
        LEDGER_TEST(a_duplicate_that_was_booked_as_discarded_is_known),
        LEDGER_TEST(last_lane_is_known_without_the_main_file),
        LEDGER_TEST(many_weeks_at_once_stay_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
