#include "ledger_test.h"

#include "book/audit.h"
#include "book/main_file.h"

/* ---- a run, and what it found ---- */

enum { TOLD_MAX = 64 };

struct told {
    struct audit_finding findings[TOLD_MAX];
    size_t count;
    struct audit_counts counts;
    /* What the queue is said to have, a row for each time it is asked. */
    struct audit_waiting queue[2][4];
    size_t queue_counts[2];
    int asked, queue_error;
    bool is_stopped;
    struct audit_change changes[8];
    size_t change_count;
};

static struct test_message one, two;

static void on_found(void *arg, const struct audit_finding *finding)
{
    static char texts[TOLD_MAX][400];
    struct told *told = arg;

    assert_true(strlen(finding->text) > 5);
    if (told->count < TOLD_MAX) {
        told->findings[told->count] = *finding;
        told->findings[told->count].text = texts[told->count]; /* theirs is borrowed */
        snprintf(texts[told->count], sizeof(texts[0]), "%s", finding->text);
    }
    told->count++;
}

static int look_at_queue(void *arg, struct audit_queue *out)
{
    struct told *told = arg;
    int row = told->asked++ ? 1 : 0;

    for (size_t i = 0; i < told->queue_counts[row]; i++)
        audit_add_waiting(&out->waiting, &told->queue[row][i]);
    for (size_t i = 0; i < told->change_count; i++)
        audit_add_change(out, &told->changes[i].item.id, told->changes[i].item.index,
                         told->changes[i].waits);
    out->is_live = !told->is_stopped;
    return told->queue_error;
}

static void run(struct told *told, bool with_queue)
{
    struct audit_options options = {.now_us = TEST_NOW_US + 400 * TEST_SECOND,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .arg = told,
                                    .found = on_found,
                                    .look_at_queue = with_queue ? look_at_queue : NULL};
    told->count = 0;
    assert_int_equal(audit_run(test_folder, &options, &told->counts), 0);
    assert_int_equal(told->counts.findings, told->count);
}

/* Who is told may be a pager that waits for its reader: meanwhile the book must be able to give
 * back SQLite's log. */
static void on_found_by_a_pager(void *arg, const struct audit_finding *finding)
{
    unsigned *found = arg;
    int64_t is_busy = -1;
    char path[128];
    struct db db;

    ++*found;
    assert_string_equal(finding->file, TEST_WEEK);
    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    assert_int_equal(db_open(path, DB_WRITE, NULL, 0, &db), 0);
    assert_int_equal(db_exec(&db, "UPDATE message SET uid = 1"), 0);
    assert_int_equal(db_number(&db, "PRAGMA wal_checkpoint(TRUNCATE)", &is_busy), 0);
    assert_int_equal(is_busy, 0);
    db_done(&db);
}

static void who_is_told_holds_up_no_book(void **state)
{
    unsigned found = 0;
    struct audit_options options = {.now_us = TEST_NOW_US + 400 * TEST_SECOND,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .arg = &found,
                                    .found = on_found_by_a_pager};
    struct audit_counts counts;

    test_tamper(TEST_WEEK, "UPDATE entry SET state = 5");
    assert_int_equal(audit_run(test_folder, &options, &counts), 0);
    assert_true(found > 2);
    assert_int_equal(counts.findings, found);
}

/* Two weeks, an expansion, an outcome of each sort, refusals, an alarm. */
static int make_ledger(void **state)
{
    static const struct envelope_recipient children[] = {
        {.address = {"dora@aaa.example", 16}, .original = {"carl@bbb.example", 16}, .key = {3}},
        {.address = {"emil@ccc.example", 16}, .original = {"carl@bbb.example", 16}, .key = {4}}};

    if (test_ledger_make(state) < 0)
        return -1;
    struct fold *fold = test_fold_open();
    test_message_at(&one, TEST_NOW_US, 1, 3);
    test_message_at(&two, TEST_NOW_US - 7 * TEST_DAY, 2, 1);
    struct book_expand expand = {.message = one.envelope.id,
                                 .parent = 1,
                                 .first_child = 3,
                                 .time_us = TEST_NOW_US,
                                 .children = children,
                                 .child_count = 2};
    struct book_input inputs[] = {
        test_input_message(100, &one),
        {.kind = BOOK_EXPAND, .end = {.segment = 1, .offset = 200}, .expand = &expand},
        test_input_message(300, &two),
    };
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++)
        test_fold_one(fold, &inputs[i]);
    struct book_status statuses[] = {
        test_status(one.envelope.id, 0, EVENT_DELIVERED),
        test_status(one.envelope.id, 2, EVENT_DISCARDED),
        test_status(one.envelope.id, 3, EVENT_RELAYED),
        test_status(one.envelope.id, 4, EVENT_RETURNED),
        test_status(two.envelope.id, 0, EVENT_DEFERRED),
    };
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        test_fold_status(fold, 400 + i * 100, &statuses[i]);
    struct event refusals[] = {test_refusal(1, "x@aaa.example"), test_refusal(2, "y@aaa.example")};
    struct event alarm = {.kind = EVENT_ALARM,
                          .time_us = TEST_NOW_US,
                          .recipient_index = EVENT_NO_RECIPIENT,
                          .key = {9},
                          .reference = test_id(77),
                          .actor_uid = EVENT_NO_ACTOR,
                          .reply = SPAN("disk nearly full")};
    test_fold_event(fold, 1000, &refusals[0]);
    test_fold_event(fold, 1100, &refusals[1]);
    test_fold_event(fold, 1200, &alarm);
    test_commit(fold);
    fold_close(fold);
    return 0;
}

/* ---- the law ---- */

static void sound_ledger_balances(void **state)
{
    struct told told = {0};

    run(&told, false);
    if (told.count)
        fail_msg("%s: %s", told.findings[0].file, told.findings[0].text);
    const struct audit_counts *c = &told.counts;
    assert_int_equal(c->accepted, 6);
    assert_int_equal(c->states[RECIPIENT_DELIVERED], 1);
    assert_int_equal(c->states[RECIPIENT_RELAYED], 1);
    assert_int_equal(c->states[RECIPIENT_EXPANDED], 1);
    assert_int_equal(c->states[RECIPIENT_RETURNED], 1);
    assert_int_equal(c->states[RECIPIENT_DISCARDED], 1);
    assert_int_equal(c->states[RECIPIENT_WAITING], 1);
    assert_int_equal(c->messages, 2);
    assert_int_equal(c->refusals, 2);
    assert_int_equal(c->events, 13);
    assert_false(c->queue_compared);
}

/* Every stored value of every table, changed one at a time, must be found. */
static void every_changed_value_is_found(void **state)
{
    static const struct {
        const char *file, *table, *column;
    } columns[] = {
        {TEST_WEEK, "message", "accepted_us"},
        {TEST_WEEK, "message", "sender"},
        {TEST_WEEK, "message", "size_bytes"},
        {TEST_WEEK, "message", "digest"},
        {TEST_WEEK, "message", "message_id"},
        {TEST_WEEK, "message", "session"},
        {TEST_WEEK, "message", "helo"},
        {TEST_WEEK, "message", "ip"},
        {TEST_WEEK, "message", "port"},
        {TEST_WEEK, "message", "service"},
        {TEST_WEEK, "message", "protocol"},
        {TEST_WEEK, "message", "tls"},
        {TEST_WEEK, "message", "auth"},
        {TEST_WEEK, "entry", "recipient"},
        {TEST_WEEK, "entry", "original"},
        {TEST_WEEK, "entry", "key"},
        {TEST_WEEK, "entry", "parent"},
        {TEST_WEEK, "entry", "state"},
        {TEST_WEEK, "entry", "since_us"},
        {"book-2026-W46.sqlite", "entry", "next_attempt_us"},
        {TEST_WEEK, "event", "lane"},
        {TEST_WEEK, "event", "message"},
        {TEST_WEEK, "event", "recipient_index"},
        {TEST_WEEK, "event", "kind"},
        {TEST_WEEK, "event", "time_us"},
        {"book-2026-W46.sqlite", "event", "next_attempt_us"},
        {TEST_WEEK, "event", "station"},
        {TEST_WEEK, "event", "reply"},
        {TEST_WEEK, "event", "status"},
        {TEST_WEEK, "event", "remote_id"},
        {TEST_WEEK, "event", "tls"},
        {TEST_WEEK, "event", "detail"},
        {TEST_WEEK, "event", "reference"},
        {TEST_WEEK, "event", "key"},
        {TEST_WEEK, "event", "commitment"},
        {TEST_WEEK, "event", "link"},
        {TEST_WEEK, "station", "host"},
        {TEST_WEEK, "station", "ip"},
        {TEST_WEEK, "lane", "segment"},
        {TEST_WEEK, "lane", "offset"},
        {TEST_WEEK, "lane", "events"},
        {TEST_WEEK, "lane", "head"},
        {TEST_REFUSALS, "refusal", "reference"},
        {TEST_REFUSALS, "refusal", "session"},
        {TEST_REFUSALS, "refusal", "time_us"},
        {TEST_REFUSALS, "refusal", "until_us"},
        {TEST_REFUSALS, "refusal", "count"},
        {TEST_REFUSALS, "refusal", "ip"},
        {TEST_REFUSALS, "refusal", "port"},
        {TEST_REFUSALS, "refusal", "helo"},
        {TEST_REFUSALS, "refusal", "sender"},
        {TEST_REFUSALS, "refusal", "recipient"},
        {TEST_REFUSALS, "refusal", "phase"},
        {TEST_REFUSALS, "refusal", "reply"},
        {TEST_REFUSALS, "refusal", "key"},
        {TEST_REFUSALS, "refusal", "commitment"},
        {TEST_REFUSALS, "refusal", "link"},
        {TEST_REFUSALS, "lane", "offset"},
        {"book.sqlite", "chain", "segment"},
        {"book.sqlite", "chain", "offset"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        const char *t = columns[i].table, *c = columns[i].column;
        struct told told = {0};
        char sql[512];
        test_ledger_remove(NULL);
        make_ledger(NULL);
        snprintf(sql, sizeof(sql),
                 "UPDATE %s SET %s = CASE typeof(%s) WHEN 'integer' THEN %s + 1 WHEN 'text' THEN"
                 " %s || 'x' ELSE randomblob(length(%s)) END WHERE rowid IN"
                 " (SELECT rowid FROM %s WHERE %s IS NOT NULL ORDER BY 1 DESC LIMIT 1)",
                 t, c, c, c, c, c, t, c);
        if (strcmp(t, "message") == 0 || strcmp(t, "entry") == 0) { /* without rowid */
            char *where = strstr(sql, " WHERE rowid");
            snprintf(where, sizeof(sql) - (size_t)(where - sql), " WHERE %s IS NOT NULL", c);
        }
        test_tamper(columns[i].file, sql);
        run(&told, false);
        if (told.count == 0)
            fail_msg("a change of %s.%s was not found", t, c);
    }
}

static bool names(const struct told *told, enum audit_kind kind, const struct id *id,
                  uint32_t index)
{
    for (size_t i = 0; i < told->count; i++) {
        const struct audit_finding *f = &told->findings[i];
        if (f->kind == kind && id_equal(&f->id, id) && f->recipient_index == index)
            return true;
    }
    return false;
}

static void findings_name_the_entry(void **state)
{
    static const struct {
        const char *sql;
        enum audit_kind kind;
        uint32_t index;
    } cases[] = {
        {"UPDATE entry SET state = 2 WHERE recipient_index = 3", AUDIT_STATE, 3},
        {"UPDATE event SET kind = 8 WHERE recipient_index = 3 AND kind = 7", AUDIT_CHAIN, 3},
        {"UPDATE event SET reply = 'another' WHERE recipient_index = 0 AND kind = 8", AUDIT_VALUE,
         0},
        {"UPDATE event SET commitment = zeroblob(32) WHERE recipient_index = 4 AND kind = 3",
         AUDIT_VALUE, 4},
        {"UPDATE entry SET key = zeroblob(16) WHERE recipient_index = 0", AUDIT_VALUE, 0},
        {"DELETE FROM event WHERE recipient_index = 2 AND kind = 12", AUDIT_STATE, 2},
        {"DELETE FROM entry WHERE recipient_index = 0", AUDIT_ORPHAN, 0},
        {"DELETE FROM entry WHERE parent = 1", AUDIT_EXPANSION, 1},
        {"UPDATE entry SET parent = 0 WHERE recipient_index = 3", AUDIT_EXPANSION, 3},
        {"INSERT INTO event SELECT NULL, lane, message, recipient_index, kind, time_us,"
         " next_attempt_us, station, reply, status, remote_id, tls, actor_uid, detail, reference,"
         " key, commitment, link FROM event WHERE kind = 7",
         AUDIT_STATE, 3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct told told = {0};
        test_ledger_remove(NULL);
        make_ledger(NULL);
        test_tamper(TEST_WEEK, cases[i].sql);
        run(&told, false);
        if (!names(&told, cases[i].kind, &one.envelope.id, cases[i].index))
            fail_msg("not named: %s", cases[i].sql);
    }
}

/* In a file that was damaged once, that is what the damage left; the sums tell it. */
static void orphans_of_a_remade_file_are_counted(void **state)
{
    struct told told = {0};

    test_tamper("book.sqlite",
                "INSERT INTO damage VALUES ('" TEST_WEEK "', '" TEST_WEEK ".damaged-1', 1)");
    struct fold *fold = test_fold_open();
    struct book_status late = test_status(test_id(900), 0, EVENT_DELIVERED);
    test_fold_status(fold, 3000, &late);
    test_commit(fold);
    fold_close(fold);
    run(&told, false);
    assert_int_equal(told.count, 0);
    assert_int_equal(told.counts.remade, 1);
    assert_int_equal(told.counts.alarms, 1);
    test_tamper("book.sqlite", "DELETE FROM damage");
    run(&told, false);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.findings[0].kind, AUDIT_ORPHAN);
}

/* A message whose record was damaged, and comes by a later one: nothing of its story was changed.
 */
static void outcomes_before_their_message_are_sound(void **state)
{
    struct told told = {0};
    struct test_message late;
    struct fold *fold = test_fold_open();

    test_message_at(&late, TEST_NOW_US, 77, 2);
    struct book_status before = test_status(late.envelope.id, 0, EVENT_DEFERRED),
                       after = test_status(late.envelope.id, 0, EVENT_DELIVERED),
                       other = test_status(late.envelope.id, 1, EVENT_DELIVERED);
    struct book_input message = test_input_message(3100, &late);
    test_fold_status(fold, 3000, &before);
    test_commit(fold);
    test_fold_one(fold, &message);
    test_fold_status(fold, 3200, &after);
    test_fold_status(fold, 3300, &other);
    test_commit(fold);
    fold_close(fold);
    run(&told, false);
    assert_int_equal(told.count, 0);
    test_tamper(TEST_WEEK, "UPDATE event SET reply = 'another' WHERE reply LIKE '451%'");
    run(&told, false);
    assert_true(told.count > 0);
    assert_int_equal(told.findings[0].kind, AUDIT_VALUE);
}

static void cut_off_end_is_found(void **state)
{
    struct told told = {0};

    test_tamper(TEST_REFUSALS, "DELETE FROM refusal WHERE seq = 2");
    run(&told, false);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.findings[0].kind, AUDIT_HEAD);
}

/* Erasing a person's values together with the keys leaves a chain that verifies. */
/* What its own note can't show, since that is gone with it, the main file's does. */
static void files_that_lack_events_are_found(void **state)
{
    static const struct {
        const char *file, *sql;
        enum audit_kind kind;
    } cases[] = {
        {TEST_REFUSALS, NULL, AUDIT_FILE},
        {"book-2026-W46.sqlite", NULL, AUDIT_FILE},
        {TEST_REFUSALS, "DELETE FROM refusal; DELETE FROM lane", AUDIT_HEAD},
        {TEST_REFUSALS, "", AUDIT_FILE},
        {TEST_REFUSALS,
         "DELETE FROM refusal WHERE seq = 2;"
         "UPDATE lane SET events = 1, head = (SELECT link FROM refusal WHERE seq = 1)",
         AUDIT_HEAD},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct told told = {0};
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", test_folder, cases[i].file);
        if (cases[i].sql && !cases[i].sql[0])
            assert_int_equal(truncate(path, 0), 0);
        else if (cases[i].sql)
            test_tamper(cases[i].file, cases[i].sql);
        else
            assert_int_equal(unlink(path), 0);
        run(&told, false);
        if (told.count != 1 || told.findings[0].kind != cases[i].kind)
            fail_msg("%d: %d told, %s", (int)i, (int)told.count, told.findings[0].text);
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

/* Made whole from the log there is nothing to tell; else that it isn't stays known. */
static void what_a_removed_file_had_is_looked_for(void **state)
{
    static const struct event_case {
        const char *name;
        bool log_has_it, goes_on;
    } cases[] = {{"the log has all", true, false},
                 {"the log has nothing", false, false},
                 {"the log has nothing, and mail goes on", false, true}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct event refusals[] = {
            test_refusal(1, "x@aaa.example"), test_refusal(2, "y@aaa.example"),
            test_refusal(3, "x@aaa.example"), test_refusal(4, "x@aaa.example"),
            test_refusal(5, "x@aaa.example")};
        struct told told = {0};
        char path[128];
        print_message("%s\n", cases[i].name);
        snprintf(path, sizeof(path), "%s/" TEST_REFUSALS, test_folder);
        assert_int_equal(unlink(path), 0);
        struct fold *fold = test_fold_open();
        assert_string_equal(test_told.lacking, TEST_REFUSALS);
        for (size_t j = cases[i].log_has_it ? 0 : 2; j < (cases[i].goes_on ? 5 : 2); j++)
            test_fold_event(fold, 1000 + j * 100, &refusals[j]);
        test_commit(fold);
        fold_close(fold);
        run(&told, false);
        assert_int_equal(told.count, !cases[i].log_has_it);
        if (told.count)
            assert_int_equal(told.findings[0].kind, AUDIT_DAMAGE);
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

static void erased_person_leaves_a_sound_chain(void **state)
{
    struct told told = {0};

    test_erase_persons();
    run(&told, false);
    if (told.count)
        fail_msg("%s", told.findings[0].text);
    test_tamper(TEST_WEEK, "UPDATE event SET commitment = zeroblob(32) WHERE seq = 2");
    run(&told, false);
    assert_true(told.count > 0);
}

static void value_gone_without_its_key_is_found(void **state)
{
    struct told told = {0};

    test_tamper(TEST_WEEK, "UPDATE entry SET recipient = NULL WHERE recipient LIKE 'bob@%'");
    run(&told, false);
    assert_true(names(&told, AUDIT_VALUE, &one.envelope.id, 0));
}

static void overdue_entries_are_found(void **state)
{
    struct told told = {0};
    struct audit_options options = {.now_us = TEST_NOW_US + 300 * TEST_SECOND + 3600 * TEST_SECOND,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .arg = &told,
                                    .found = on_found};

    assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
    assert_int_equal(told.count, 0);
    options.now_us++;
    assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
    assert_int_equal(told.count, 1);
    assert_true(names(&told, AUDIT_OVERDUE, &two.envelope.id, 0));
}

static void held_entries_are_not_overdue(void **state)
{
    struct told told = {0};
    struct fold *fold = test_fold_open();
    struct book_status held = test_status(two.envelope.id, 0, EVENT_HELD);

    test_fold_status(fold, 2000, &held);
    test_commit(fold);
    fold_close(fold);
    run(&told, false);
    assert_int_equal(told.count, 0);
    assert_int_equal(told.counts.held, 1);
}

static void since_skips_old_weeks(void **state)
{
    struct told told = {0};
    struct audit_options options = {.since_us = TEST_NOW_US - 2 * TEST_DAY,
                                    .now_us = TEST_NOW_US,
                                    .arg = &told,
                                    .found = on_found};

    assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
    assert_int_equal(told.counts.files, 2);
    assert_int_equal(told.counts.messages, 1);
}

static void unreadable_files_are_findings(void **state)
{
    struct told told = {0};

    test_tamper(TEST_WEEK, "PRAGMA user_version=7");
    run(&told, false);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.findings[0].kind, AUDIT_FILE);
    assert_int_equal(told.counts.files, 3);
}

/* The book is just making the file. */
static void file_without_tables_is_empty(void **state)
{
    struct told told = {0};

    test_tamper("book-2026-W40.sqlite", "PRAGMA user_version");
    run(&told, false);
    assert_int_equal(told.count, 0);
    assert_int_equal(told.counts.files, 4);
}

/* Retention that comes to the second file while the first one is checked: notes it, then takes its
 * -wal, then the file. */
enum { GOES_LATER, LACKS_WAL, IS_GONE };
static int stage;

static void retention(void *arg, const char *file, uint64_t done, uint64_t total)
{
    struct main_file_heads heads = {0};
    struct main_file *main;
    char path[128];

    if (strcmp(file, TEST_WEEK) != 0 || done != total)
        return;
    assert_int_equal(main_file_open(test_folder, &main), 0);
    assert_int_equal(main_file_heads(main, &heads), 0);
    for (size_t i = 0; i < heads.count; i++)
        if (heads.list[i].week < week_of_us(TEST_NOW_US))
            assert_int_equal(main_file_note_deleted(main, &heads.list[i], 1, TEST_NOW_US), 0);
    free(heads.list);
    main_file_close(main);
    snprintf(path, sizeof(path), "%s/book-2026-W46.sqlite", test_folder);
    if (stage == LACKS_WAL)
        test_tamper("book-2026-W46.sqlite", "DELETE FROM event; DELETE FROM entry; "
                                            "DELETE FROM message; DELETE FROM lane");
    if (stage == IS_GONE)
        assert_int_equal(unlink(path), 0);
}

static void retention_meanwhile_is_no_finding(void **state)
{
    for (stage = GOES_LATER; stage <= IS_GONE; stage++) {
        struct told told = {0};
        struct marks marks = {0};
        struct audit_options options = {.now_us = TEST_NOW_US + 400 * TEST_SECOND,
                                        .overdue_us = 3600 * TEST_SECOND,
                                        .reached = &marks,
                                        .arg = &told,
                                        .found = on_found};
        assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
        assert_int_equal(told.count, 0);
        options.expected = &marks;
        options.reached = NULL;
        options.progress = retention;
        assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
        if (told.count)
            fail_msg("stage %d: %s %s", stage, told.findings[0].file, told.findings[0].text);
        assert_int_equal(told.counts.files, 2);
        marks_done(&marks);
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

/* ---- the queue ---- */

static void the_same_waiting_set_is_fine(void **state)
{
    struct told told = {.queue_counts = {1}};

    told.queue[0][0] = (struct audit_waiting){.id = two.envelope.id};
    run(&told, true);
    assert_int_equal(told.count, 0);
    assert_true(told.counts.queue_compared);
    assert_int_equal(told.asked, 1);
    assert_int_equal(told.counts.queue_waiting, 1);
}

static void what_differs_twice_is_told(void **state)
{
    struct told told = {.queue_counts = {1, 1}};

    told.queue[0][0] = told.queue[1][0] = (struct audit_waiting){.id = one.envelope.id};
    run(&told, true);
    assert_int_equal(told.count, 2);
    assert_true(names(&told, AUDIT_NOT_IN_QUEUE, &two.envelope.id, 0));
    assert_true(names(&told, AUDIT_NOT_IN_BOOK, &one.envelope.id, 0));
}

/* What was just delivered, or just came, differs once. */
static void what_differs_once_is_mail_going_on(void **state)
{
    struct told told = {.queue_counts = {2, 1}};

    told.queue[0][0] = told.queue[1][0] = (struct audit_waiting){.id = two.envelope.id};
    told.queue[0][1] = (struct audit_waiting){.id = one.envelope.id};
    run(&told, true);
    assert_int_equal(told.asked, 2);
    assert_int_equal(told.count, 0);
}

static void queue_that_cannot_be_asked_is_not_compared(void **state)
{
    struct told told = {.queue_error = -EPIPE};

    run(&told, true);
    assert_int_equal(told.count, 0);
    assert_false(told.counts.queue_compared);
}

/* What the log says and the book doesn't know yet counts as if it were folded; the last word on a
 * recipient is the one that counts. */
static void rest_of_the_log_counts(void **state)
{
    struct id three = test_id(3);
    struct told told = {.is_stopped = true,
                        .queue_counts = {1},
                        .queue = {{{.id = three, .index = 1}}},
                        .changes = {{.item = {.id = three, .index = 0}, .waits = true},
                                    {.item = {.id = three, .index = 1}, .waits = true},
                                    {.item = {.id = two.envelope.id}, .waits = false},
                                    {.item = {.id = three, .index = 0}, .waits = false}},
                        .change_count = 4};

    run(&told, true);
    assert_int_equal(told.count, 0);
    assert_true(told.counts.queue_stopped);
}

/* Nothing goes on in a stopped server: what differs once is off. */
static void stopped_queue_is_looked_at_once(void **state)
{
    struct told told = {.is_stopped = true};

    run(&told, true);
    assert_int_equal(told.asked, 1);
    assert_int_equal(told.count, 1);
    assert_true(names(&told, AUDIT_NOT_IN_QUEUE, &two.envelope.id, 0));
}

/* Its destination pauses: the queue knows until when. */
static void late_but_planned_is_not_overdue(void **state)
{
    struct told told = {.queue_counts = {1, 1}};
    struct audit_options options = {.now_us = TEST_NOW_US + TEST_DAY,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .arg = &told,
                                    .found = on_found,
                                    .look_at_queue = look_at_queue};

    for (int planned = 0; planned < 2; planned++) {
        told.queue[0][0] = (struct audit_waiting){.id = two.envelope.id, .is_planned = planned};
        told.asked = 0;
        told.count = 0;
        assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
        assert_int_equal(told.count, !planned);
    }
}

/* Who was late when his file was walked, and had his end before the queue was asked. */
static void late_and_then_delivered_is_not_overdue(void **state)
{
    struct told told = {.queue_counts = {0, 1}};
    struct audit_options options = {.now_us = TEST_NOW_US + TEST_DAY,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .arg = &told,
                                    .found = on_found,
                                    .look_at_queue = look_at_queue};

    told.queue[1][0] = (struct audit_waiting){.id = two.envelope.id, .is_planned = true};
    assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
    assert_int_equal(told.count, 0);
    assert_int_equal(told.counts.late_unexplained, 0);
    told = (struct told){.queue_error = -ETIMEDOUT};
    assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
    assert_int_equal(told.count, 0);
    assert_int_equal(told.counts.late_unexplained, 0);
}

/* Only a running queue knows why; of a stopped one nobody will ever say otherwise. */
static void late_beside_a_queue_that_does_not_tell_is_counted(void **state)
{
    struct audit_options options = {.now_us = TEST_NOW_US + TEST_DAY,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .found = on_found,
                                    .look_at_queue = look_at_queue};

    for (int stopped = 0; stopped < 2; stopped++) {
        struct told told = {.queue_error = -EPIPE, .is_stopped = stopped};
        options.arg = &told;
        assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
        assert_int_equal(told.count, stopped);
        assert_int_equal(told.counts.late_unexplained, !stopped);
    }
}

/* Whom it told of before it broke off isn't unknown. */
static void listing_that_breaks_off_explains_what_it_had(void **state)
{
    struct audit_options options = {.now_us = TEST_NOW_US + TEST_DAY,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .found = on_found,
                                    .look_at_queue = look_at_queue};

    for (int planned = 0; planned < 2; planned++) {
        struct told told = {.queue_error = -EPIPE, .queue_counts = {1}};
        told.queue[0][0] = (struct audit_waiting){.id = two.envelope.id, .is_planned = planned};
        options.arg = &told;
        assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
        assert_int_equal(told.count, !planned);
        assert_int_equal(told.counts.late_unexplained, 0);
        assert_false(told.counts.queue_compared);
    }
}

static void booked_damage_is_named(void **state)
{
    struct told told = {0};
    struct fold *fold = test_fold_open();
    struct event damaged = {.kind = EVENT_DAMAGED,
                            .time_us = TEST_NOW_US,
                            .message = two.envelope.id,
                            .recipient_index = EVENT_NO_RECIPIENT,
                            .actor_uid = EVENT_NO_ACTOR,
                            .reply = SPAN("the message's bytes are damaged")};

    test_fold_event(fold, 2000, &damaged);
    test_commit(fold);
    fold_close(fold);
    run(&told, false);
    assert_int_equal(told.count, 1);
    assert_true(names(&told, AUDIT_DAMAGE, &two.envelope.id, 0));
    assert_int_equal(told.counts.alarms, 1);
}

/* What happened is no fault of the ledger: alarms are told when asked for, and are no findings. */
static void alarms_are_told_when_asked_for(void **state)
{
    for (int asked = 0; asked < 2; asked++) {
        struct told told = {.count = 0};
        struct audit_options options = {.now_us = TEST_NOW_US + 400 * TEST_SECOND,
                                        .overdue_us = 3600 * TEST_SECOND,
                                        .with_alarms = asked,
                                        .arg = &told,
                                        .found = on_found};
        assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
        assert_int_equal(told.counts.alarms, 1);
        assert_int_equal(told.counts.findings, 0);
        assert_int_equal(told.counts.broken, 0);
        assert_int_equal(told.count, asked);
        if (asked)
            assert_int_equal(told.findings[0].kind, AUDIT_ALARM);
    }
}

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, make_ledger, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(sound_ledger_balances),
        LEDGER_TEST(every_changed_value_is_found),
        LEDGER_TEST(findings_name_the_entry),
        LEDGER_TEST(who_is_told_holds_up_no_book),
        LEDGER_TEST(orphans_of_a_remade_file_are_counted),
        LEDGER_TEST(outcomes_before_their_message_are_sound),
        LEDGER_TEST(cut_off_end_is_found),
        LEDGER_TEST(files_that_lack_events_are_found),
        LEDGER_TEST(what_a_removed_file_had_is_looked_for),
        LEDGER_TEST(erased_person_leaves_a_sound_chain),
        LEDGER_TEST(value_gone_without_its_key_is_found),
        LEDGER_TEST(overdue_entries_are_found),
        LEDGER_TEST(held_entries_are_not_overdue),
        LEDGER_TEST(since_skips_old_weeks),
        LEDGER_TEST(unreadable_files_are_findings),
        LEDGER_TEST(file_without_tables_is_empty),
        LEDGER_TEST(retention_meanwhile_is_no_finding),
        LEDGER_TEST(the_same_waiting_set_is_fine),
        LEDGER_TEST(what_differs_twice_is_told),
        LEDGER_TEST(what_differs_once_is_mail_going_on),
        LEDGER_TEST(queue_that_cannot_be_asked_is_not_compared),
        LEDGER_TEST(rest_of_the_log_counts),
        LEDGER_TEST(stopped_queue_is_looked_at_once),
        LEDGER_TEST(late_but_planned_is_not_overdue),
        LEDGER_TEST(late_and_then_delivered_is_not_overdue),
        LEDGER_TEST(late_beside_a_queue_that_does_not_tell_is_counted),
        LEDGER_TEST(listing_that_breaks_off_explains_what_it_had),
        LEDGER_TEST(booked_damage_is_named),
        LEDGER_TEST(alarms_are_told_when_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
