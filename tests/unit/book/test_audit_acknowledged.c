/* What was ticked off isn't told any more; anything else is, also of the same entry, and whatever
 * somebody changes in the files. */
#include "ledger_test.h"

#include "book/audit.h"
#include "book/trace.h"

enum { TOLD_MAX = 16 };

#define OLD_WEEK "book-2026-W46.sqlite"

struct told {
    struct audit_finding findings[TOLD_MAX], acknowledged[TOLD_MAX];
    size_t count, acknowledged_count;
    struct audit_acknowledged by;
    char reason[64];
    struct audit_counts counts;
    bool has_queue;
    struct audit_waiting waiting[2];
    size_t waiting_count;
};

static struct test_message one, two;
static uint64_t offset;

static void on_found(void *arg, const struct audit_finding *finding)
{
    struct told *told = arg;
    bool done = finding->acknowledged != NULL;
    struct audit_finding *list = done ? told->acknowledged : told->findings;
    size_t *count = done ? &told->acknowledged_count : &told->count;

    if (done) {
        told->by = *finding->acknowledged;
        snprintf(told->reason, sizeof(told->reason), SPAN_FMT, SPAN_ARG(told->by.reason));
    }
    assert_in_range(*count, 0, TOLD_MAX - 1);
    list[(*count)++] = *finding;
}

static int look_at_queue(void *arg, struct audit_queue *out)
{
    struct told *told = arg;

    for (size_t i = 0; i < told->waiting_count; i++)
        assert_int_equal(audit_add_waiting(&out->waiting, &told->waiting[i]), 0);
    return 0;
}

static void run(struct told *told)
{
    struct audit_options options = {.now_us = TEST_NOW_US + 400 * TEST_SECOND,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .with_acknowledged = true,
                                    .arg = told,
                                    .found = on_found,
                                    .look_at_queue = told->has_queue ? look_at_queue : NULL};

    told->count = told->acknowledged_count = 0;
    assert_int_equal(audit_run(test_folder, &options, &told->counts), 0);
    assert_int_equal(told->counts.findings, told->count);
    assert_int_equal(told->counts.acknowledged, told->acknowledged_count);
    options.with_acknowledged = false;
    size_t count = told->count, done = told->acknowledged_count;
    told->count = told->acknowledged_count = 0;
    assert_int_equal(audit_run(test_folder, &options, &told->counts), 0);
    assert_int_equal(told->count, count);
    assert_int_equal(told->acknowledged_count, 0);
    assert_int_equal(told->counts.acknowledged, done);
    told->acknowledged_count = done;
}

/* Two messages, of this week and of the one before; both wait. */
static int make_ledger(void **state)
{
    if (test_ledger_make(state) < 0)
        return -1;
    struct fold *fold = test_fold_open();
    test_message_at(&one, TEST_NOW_US, 1, 2);
    test_message_at(&two, TEST_NOW_US - 7 * TEST_DAY, 2, 1);
    struct book_input inputs[] = {test_input_message(100, &one), test_input_message(200, &two)};
    struct book_status statuses[] = {test_status(one.envelope.id, 0, EVENT_DELIVERED),
                                     test_status(one.envelope.id, 1, EVENT_DELIVERED),
                                     test_status(two.envelope.id, 0, EVENT_DEFERRED)};
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++)
        test_fold_one(fold, &inputs[i]);
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        test_fold_status(fold, 300 + i * 100, &statuses[i]);
    test_commit(fold);
    fold_close(fold);
    offset = 1000;
    return 0;
}

static void book(const struct event *event)
{
    struct fold *fold = test_fold_open();

    test_fold_event(fold, offset += 100, event);
    test_commit(fold);
    fold_close(fold);
}

static struct event damaged(const struct test_message *m, const char *words)
{
    struct event e = {.kind = EVENT_DAMAGED,
                      .time_us = TEST_NOW_US - 7 * TEST_DAY,
                      .recipient_index = EVENT_NO_RECIPIENT,
                      .actor_uid = EVENT_NO_ACTOR,
                      .reply = span_from_cstr(words)};
    if (m)
        e.message = m->envelope.id;
    return e;
}

static struct event act(enum event_kind kind, const struct audit_finding *f)
{
    return (struct event){.kind = (uint8_t)kind,
                          .time_us = TEST_NOW_US,
                          .message = f->id,
                          .recipient_index = f->recipient_index,
                          .key = {7},
                          .reference = f->token,
                          .actor_uid = 4711,
                          .reply = SPAN("the disk was replaced")};
}

static void acknowledge(const struct told *told)
{
    for (size_t i = 0; i < told->count; i++) {
        assert_false(id_is_zero(&told->findings[i].token));
        struct event e = act(EVENT_ACKNOWLEDGED, &told->findings[i]);
        e.time_us += (int64_t)i;
        book(&e);
    }
}

static void expect(struct told *told, size_t findings, size_t acknowledged)
{
    run(told);
    if (told->count != findings || told->acknowledged_count != acknowledged)
        fail_msg("%zu findings, %zu acknowledged: %s", told->count, told->acknowledged_count,
                 told->count ? "the first is off" : "");
}

/* ---- what is ticked off ---- */

static void dealt_with_damage_is_not_off(void **state)
{
    const struct test_message *const about[] = {&two, &one, NULL};

    for (size_t i = 0; i < ARRAY_SIZE(about); i++) {
        struct told told = {.count = 0};
        struct event event = damaged(about[i], "its bytes are damaged");
        size_t count = about[i] == &one ? 2 : 1; /* one of each recipient */
        book(&event);
        expect(&told, count, 0);
        acknowledge(&told);
        expect(&told, 0, count);
        assert_int_equal(told.acknowledged[0].kind, AUDIT_DAMAGE);
        assert_int_equal(told.by.uid, 4711);
        assert_string_equal(told.reason, "the disk was replaced");
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

static void the_next_damage_is_told(void **state)
{
    const struct test_message *const about[] = {&two, NULL};

    for (size_t i = 0; i < ARRAY_SIZE(about); i++) {
        struct told told = {.count = 0};
        struct event first = damaged(about[i], "its bytes are damaged"), later = first,
                     other = first;
        later.time_us++;
        other.reply = SPAN("its envelope is damaged");
        book(&first);
        run(&told);
        acknowledge(&told);
        book(&later);
        expect(&told, 1, 1);
        acknowledge(&told);
        expect(&told, 0, 2);
        book(&other);
        expect(&told, 1, 2);
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

/* Each names one finding: not that of another message, recipient or time, and no live fault. */
static void it_covers_what_it_names_only(void **state)
{
    struct told told = {.count = 0};
    struct event event = damaged(&one, "its bytes are damaged");
    struct event lone = damaged(NULL, "the log is damaged");

    book(&event);
    run(&told);
    assert_int_equal(told.count, 2);
    assert_false(id_equal(&told.findings[0].token, &told.findings[1].token));
    struct event act_on_other = act(EVENT_ACKNOWLEDGED, &told.findings[0]);
    act_on_other.recipient_index = 1 - act_on_other.recipient_index;
    book(&act_on_other);
    act_on_other.message = two.envelope.id;
    act_on_other.recipient_index = 0;
    book(&act_on_other);
    act_on_other.message = (struct id){{0}};
    act_on_other.recipient_index = EVENT_NO_RECIPIENT;
    book(&act_on_other);
    expect(&told, 2, 0);
    book(&lone);
    run(&told);
    struct event of_lone = act(EVENT_ACKNOWLEDGED, &told.findings[told.count - 1]);
    of_lone.message = one.envelope.id; /* lies elsewhere, and isn't looked for there */
    book(&of_lone);
    expect(&told, 3, 0);
}

/* ---- no hole ---- */

static void a_changed_book_is_told_all_the_same(void **state)
{
    static const struct {
        const char *file, *sql;
    } changes[] = {
        {TEST_WEEK, "UPDATE event SET reply = 'all is well' WHERE kind = 20"},
        {TEST_WEEK, "UPDATE event SET time_us = time_us + 1 WHERE kind = 20"},
        {TEST_WEEK, "UPDATE event SET commitment = randomblob(32) WHERE kind = 20"},
        {TEST_WEEK, "UPDATE event SET reply = 'by order' WHERE kind = 23"},
        {TEST_WEEK, "UPDATE event SET actor_uid = 0 WHERE kind = 23"},
        {TEST_WEEK, "UPDATE event SET reference = randomblob(10) WHERE kind = 23"},
        {TEST_WEEK, "DELETE FROM event WHERE kind = 23"},
        {TEST_WEEK, "DELETE FROM event WHERE kind = 20"},
        {TEST_WEEK, "DELETE FROM entry WHERE recipient_index = 1"},
        {OLD_WEEK, "UPDATE event SET reply = 'all is well' WHERE kind = 20"},
        {OLD_WEEK, "DELETE FROM event WHERE kind = 20"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        struct told told = {.count = 0};
        struct event event = damaged(&one, "its bytes are damaged");
        struct event lone = damaged(NULL, "the log is damaged");
        book(&event);
        book(&lone);
        run(&told);
        acknowledge(&told);
        expect(&told, 0, 3);
        test_tamper(changes[i].file, changes[i].sql);
        run(&told);
        if (told.count == 0)
            fail_msg("hidden: %s", changes[i].sql);
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

/* What acknowledges is an event of a chain; also where old weeks are left out. */
static void a_forged_acknowledgement_is_told(void **state)
{
    static const char forged[] =
        "INSERT INTO event SELECT NULL, 0, NULL, NULL, 23, time_us, NULL, NULL, 'fine', '', NULL,"
        " '', 0, '', x'%s', NULL, zeroblob(32), zeroblob(32) FROM event LIMIT 1;"
        "UPDATE lane SET events = events + 1, head = zeroblob(32)";
    struct told told = {.count = 0};
    struct event lone = damaged(NULL, "the log is damaged");
    char token[2 * ID_BYTES + 1], sql[512];

    lone.time_us = TEST_NOW_US;
    book(&lone);
    run(&told);
    assert_int_equal(told.count, 1);
    for (size_t i = 0; i < ID_BYTES; i++)
        snprintf(token + 2 * i, 3, "%02x", told.findings[0].token.bytes[i]);
    snprintf(sql, sizeof(sql), forged, token);
    test_tamper(OLD_WEEK, sql);
    struct audit_options options = {.now_us = TEST_NOW_US + 400 * TEST_SECOND,
                                    .since_us = TEST_NOW_US - TEST_DAY,
                                    .overdue_us = 3600 * TEST_SECOND,
                                    .arg = &told,
                                    .found = on_found};
    told.count = 0;
    assert_int_equal(audit_run(test_folder, &options, &told.counts), 0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.findings[0].kind, AUDIT_DAMAGE);
    run(&told);
    assert_true(told.counts.broken > 0);
}

/* Who is erased takes neither the damage nor what was said of it along. */
static void an_erased_reason_acknowledges(void **state)
{
    struct told told = {.count = 0};
    struct event event = damaged(&one, "its bytes are damaged");

    book(&event);
    run(&told);
    acknowledge(&told);
    test_erase_persons();
    expect(&told, 0, 2);
    assert_null(told.by.reason.data);
}

/* ---- what the ledger lacks ---- */

static void orphans_and_lost_files_can_be_ticked_off(void **state)
{
    struct told told = {.count = 0};
    struct fold *fold = test_fold_open();
    struct book_status late = test_status(test_id(900), 3, EVENT_DELIVERED);
    struct event refusal = test_refusal(1, "x@aaa.example");
    char path[128];

    test_fold_status(fold, offset += 100, &late);
    test_fold_event(fold, offset += 100, &refusal);
    test_commit(fold);
    fold_close(fold);
    snprintf(path, sizeof(path), "%s/" TEST_REFUSALS, test_folder);
    assert_int_equal(unlink(path), 0);
    expect(&told, 2, 0); /* the file, which the next start looks for */
    fold_close(test_fold_open());
    expect(&told, 2, 0);
    assert_int_equal(told.findings[0].kind, AUDIT_ORPHAN);
    assert_int_equal(told.findings[1].kind, AUDIT_DAMAGE);
    acknowledge(&told);
    expect(&told, 0, 2);
    late.time_us += TEST_SECOND; /* nothing new: it still has no beginning */
    fold = test_fold_open();
    test_fold_status(fold, offset += 100, &late);
    test_commit(fold);
    fold_close(fold);
    expect(&told, 0, 2);
}

/* One entry may lack both: who acknowledges one hasn't seen the other. */
static void a_child_and_a_parent_are_two_findings(void **state)
{
    struct told told = {.count = 0};
    struct id tokens[2];
    size_t n = 0;

    test_tamper(TEST_WEEK, "UPDATE entry SET parent = 0, state = 4 WHERE recipient_index = 1");
    run(&told);
    for (size_t i = 0; i < told.count; i++)
        if (told.findings[i].kind == AUDIT_EXPANSION) {
            assert_in_range(n, 0, 1);
            assert_int_equal(told.findings[i].recipient_index, 1);
            tokens[n++] = told.findings[i].token;
        }
    assert_int_equal(n, 2);
    assert_false(id_equal(&tokens[0], &tokens[1]));
}

/* ---- lost from the queue ---- */

static void lost_by_the_queue_is_booked_as_such(void **state)
{
    struct told told = {.has_queue = true};

    expect(&told, 1, 0);
    assert_int_equal(told.findings[0].kind, AUDIT_NOT_IN_QUEUE);
    struct event event = act(EVENT_LOST, &told.findings[0]);
    book(&event);
    expect(&told, 0, 1);
    assert_int_equal(told.counts.states[RECIPIENT_LOST], 1);
    assert_int_equal(told.counts.states[RECIPIENT_WAITING], 0);
    assert_int_equal(told.by.uid, 4711);
    assert_string_equal(told.reason, "the disk was replaced");
    /* Somebody finds the file of the spool that it was in. */
    told.waiting[0] = (struct audit_waiting){.id = two.envelope.id};
    told.waiting_count = 1;
    expect(&told, 1, 1);
    assert_int_equal(told.findings[0].kind, AUDIT_NOT_IN_BOOK);
    assert_true(id_is_zero(&told.findings[0].token));
}

static void who_is_heard_of_again_was_not_lost(void **state)
{
    static const struct {
        enum event_kind kind;
        enum recipient_state state;
    } cases[] = {{EVENT_DEFERRED, RECIPIENT_WAITING}, {EVENT_DELIVERED, RECIPIENT_DELIVERED}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct told told = {.has_queue = true};
        run(&told);
        struct event event = act(EVENT_LOST, &told.findings[0]);
        struct book_status status = test_status(two.envelope.id, 0, cases[i].kind);
        book(&event);
        struct fold *fold = test_fold_open();
        test_fold_status(fold, offset += 100, &status);
        test_commit(fold);
        fold_close(fold);
        told.waiting[0] = (struct audit_waiting){.id = two.envelope.id};
        told.waiting_count = cases[i].state == RECIPIENT_WAITING;
        expect(&told, 0, 0);
        assert_int_equal(told.counts.states[cases[i].state],
                         cases[i].state == RECIPIENT_DELIVERED ? 3 : 1);
        test_ledger_remove(state);
        assert_int_equal(make_ledger(state), 0);
    }
}

/* What counts is who said it when it was so: not before that, and not once it was known. */
static void who_is_lost_twice_was_lost_by_the_second(void **state)
{
    static const char *const reasons[] = {"the first disk", "the second disk", "a third"};
    struct told told = {.has_queue = true};

    run(&told);
    struct event event = act(EVENT_LOST, &told.findings[0]);
    struct book_status status = test_status(two.envelope.id, 0, EVENT_DEFERRED);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        event.time_us += TEST_SECOND;
        event.reply = span_from_cstr(reasons[i]);
        book(&event);
        if (i > 0)
            continue;
        struct fold *fold = test_fold_open();
        test_fold_status(fold, offset += 100, &status);
        test_commit(fold);
        fold_close(fold);
    }
    expect(&told, 0, 1);
    assert_string_equal(told.reason, "the second disk");

    struct trace_query query = {.what = SPAN(""), .state = RECIPIENT_LOST, .limit = 1};
    struct trace_result result;
    assert_int_equal(trace_run(test_folder, &query, &result), 0);
    assert_int_equal(result.message_count, 1);
    const struct trace_event *by = trace_holder(&result.messages[0].entries[0]);
    assert_non_null(by);
    assert_true(span_equal(by->reply, SPAN("the second disk")));
    trace_result_done(&result);
}

/* The outcome was on its way when it was said to be lost: it has one end, and that is fine. */
static void delivered_before_is_not_lost(void **state)
{
    struct told told = {.has_queue = false};
    struct audit_finding f = {.id = one.envelope.id, .recipient_index = 0};
    struct event event = act(EVENT_LOST, &f);

    book(&event);
    expect(&told, 0, 0);
    assert_int_equal(told.counts.states[RECIPIENT_LOST], 0);
}

/* An overdue recipient, a state that doesn't fit, a broken chain: nothing that is over. */
static void live_faults_have_no_token(void **state)
{
    struct told told = {.has_queue = true};

    told.waiting[0] = (struct audit_waiting){.id = one.envelope.id};
    told.waiting[1] = (struct audit_waiting){.id = two.envelope.id};
    told.waiting_count = 2;
    test_tamper(TEST_WEEK, "UPDATE entry SET state = 5 WHERE recipient_index = 1;"
                           "UPDATE event SET link = randomblob(32) WHERE seq = 1;"
                           "UPDATE event SET reply = 'another' WHERE kind = 8");
    test_tamper(OLD_WEEK, "UPDATE entry SET next_attempt_us = 1");
    run(&told);
    assert_true(told.count >= 6);
    for (size_t i = 0; i < told.count; i++)
        if (!id_is_zero(&told.findings[i].token))
            fail_msg("%s", audit_kind_name(told.findings[i].kind));
}

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, make_ledger, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(dealt_with_damage_is_not_off),
        LEDGER_TEST(the_next_damage_is_told),
        LEDGER_TEST(it_covers_what_it_names_only),
        LEDGER_TEST(a_changed_book_is_told_all_the_same),
        LEDGER_TEST(a_forged_acknowledgement_is_told),
        LEDGER_TEST(an_erased_reason_acknowledges),
        LEDGER_TEST(orphans_and_lost_files_can_be_ticked_off),
        LEDGER_TEST(a_child_and_a_parent_are_two_findings),
        LEDGER_TEST(lost_by_the_queue_is_booked_as_such),
        LEDGER_TEST(who_is_heard_of_again_was_not_lost),
        LEDGER_TEST(who_is_lost_twice_was_lost_by_the_second),
        LEDGER_TEST(delivered_before_is_not_lost),
        LEDGER_TEST(live_faults_have_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
