/*
 * Random histories with random crashes: batches that are dropped, files that commit before the
 * others, reopening. In the end the ledger must be the one of a run without any trouble, chain by
 * chain, and the audit must have nothing to say. A failing seed replays: it is printed.
 */
#include "ledger_test.h"

#include "book/audit.h"

enum { SEEDS = 10, INPUTS = 60, MESSAGES = 20, WEEKS = 3 };

static uint64_t random_state;

static unsigned pick(unsigned limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % limit;
}

/* ---- a history ---- */

struct history {
    struct test_message messages[MESSAGES];
    size_t message_count;
    unsigned entries[MESSAGES]; /* so far, with children */
    bool closed[MESSAGES][16];
    struct envelope_recipient children[INPUTS][2];
    union {
        struct book_expand expand;
        struct book_status status;
        struct event event;
    } parts[INPUTS];
    struct book_input inputs[INPUTS];
    size_t count;
};

static void new_message(struct history *h, struct book_input *input)
{
    struct test_message *m = &h->messages[h->message_count];

    test_message_at(m, TEST_NOW_US - pick(WEEKS) * 7 * TEST_DAY, (unsigned)h->message_count + 1,
                    1 + pick(4));
    h->entries[h->message_count++] = (unsigned)m->envelope.recipient_count;
    input->kind = BOOK_MESSAGE;
    input->message = &m->envelope;
}

static void new_expansion(struct history *h, size_t at, unsigned message, unsigned parent)
{
    struct book_expand *e = &h->parts[at].expand;

    for (unsigned i = 0; i < 2; i++)
        h->children[at][i] = (struct envelope_recipient){.address = SPAN("child@aaa.example"),
                                                         .original = SPAN("team@aaa.example"),
                                                         .key = {(uint8_t)at, (uint8_t)i}};
    *e = (struct book_expand){.message = h->messages[message].envelope.id,
                              .parent = parent,
                              .first_child = h->entries[message],
                              .time_us = TEST_NOW_US + (int64_t)at,
                              .children = h->children[at],
                              .child_count = 2};
    h->entries[message] += 2;
    h->closed[message][parent] = true;
    h->inputs[at].kind = BOOK_EXPAND;
    h->inputs[at].expand = e;
}

static void new_status(struct history *h, size_t at, unsigned message, unsigned entry)
{
    static const enum event_kind kinds[] = {EVENT_DELIVERED, EVENT_DEFERRED, EVENT_RELAYED,
                                            EVENT_HELD,      EVENT_DEFERRED, EVENT_NOTIFIED};
    struct book_status *s = &h->parts[at].status;
    enum recipient_state closed;

    *s = test_status(h->messages[message].envelope.id, entry, kinds[pick(ARRAY_SIZE(kinds))]);
    s->time_us += (int64_t)at;
    h->closed[message][entry] = event_kind_closes(s->kind, &closed);
    h->inputs[at].kind = BOOK_STATUS;
    h->inputs[at].status = s;
}

static void new_refusal(struct history *h, size_t at)
{
    struct event *e = &h->parts[at].event;

    *e = test_refusal((unsigned)at, "nobody@aaa.example");
    e->time_us -= pick(WEEKS) * 7 * TEST_DAY;
    h->inputs[at].kind = BOOK_EVENT;
    h->inputs[at].event = e;
}

static void add_input(struct history *h)
{
    size_t at = h->count++;

    h->inputs[at].end = (struct book_position){.segment = 1 + at / 20, .offset = 100 + at * 8};
    if (h->message_count == 0 || (h->message_count < MESSAGES && pick(3) == 0)) {
        new_message(h, &h->inputs[at]);
        return;
    }
    unsigned message = pick((unsigned)h->message_count), entry = pick(h->entries[message]);
    if (h->closed[message][entry] || pick(5) == 0)
        new_refusal(h, at);
    else if (h->entries[message] < 12 && pick(4) == 0)
        new_expansion(h, at, message, entry);
    else
        new_status(h, at, message, entry);
}

/* ---- a run with trouble ---- */

/* The crash lies between the commits of the files: one volume's is done, the others' aren't. */
static void crash_with_one_file_ahead(const struct history *h, size_t from, size_t to)
{
    struct chain *chain;
    struct volume *v;
    enum week_kind kind = pick(3) ? WEEK_ENTRIES : WEEK_REFUSALS;
    int week = week_of_us(TEST_NOW_US) - (int)pick(WEEKS);

    assert_int_equal(chain_new(&chain), 0);
    assert_int_equal(volume_open(test_folder, kind, week, chain, &v), 0);
    for (size_t i = from; i < to; i++) {
        const struct book_input *input = &h->inputs[i];
        const struct id *id = input->kind == BOOK_MESSAGE  ? &input->message->id
                              : input->kind == BOOK_EXPAND ? &input->expand->message
                              : input->kind == BOOK_STATUS ? &input->status->message
                                                           : NULL;
        enum week_kind its_kind = id ? WEEK_ENTRIES : WEEK_REFUSALS;
        int its_week = id ? week_of_id(id) : week_of_us(input->event->time_us);
        if (its_kind == kind && its_week == week)
            assert_int_equal(volume_fold(v, input), 0);
    }
    assert_int_equal(volume_commit(v), 0);
    volume_close(v);
    chain_free(chain);
}

static size_t index_of(const struct history *h, const struct book_position *at)
{
    size_t i = 0;
    while (i < h->count && book_position_compare(&h->inputs[i].end, at) <= 0)
        i++;
    return i;
}

static void fold_with_trouble(const struct history *h)
{
    struct fold *fold = test_fold_open();
    size_t next = 0;

    while (next < h->count) {
        size_t end = next + 1 + pick(12);
        end = end < h->count ? end : h->count;
        for (size_t i = next; i < end; i++)
            test_fold_one(fold, &h->inputs[i]);
        unsigned fate = pick(4);
        if (fate == 0) {
            fold_close(fold); /* killed before any commit */
            fold = test_fold_open();
        } else if (fate == 1) {
            fold_close(fold);
            crash_with_one_file_ahead(h, next, end);
            fold = test_fold_open();
        } else
            test_commit(fold);
        struct book_position at = fold_position(fold, 0);
        next = index_of(h, &at);
    }
    fold_close(fold);
}

static void fold_smoothly(const struct history *h)
{
    struct fold *fold = test_fold_open();

    for (size_t i = 0; i < h->count; i++)
        test_fold_one(fold, &h->inputs[i]);
    test_commit(fold);
    fold_close(fold);
}

/* ---- what came out ---- */

struct result {
    struct chain_hash heads[2 * WEEKS];
    struct audit_counts counts;
};

static void on_found(void *arg, const struct audit_finding *f)
{
    print_error("%s %s: %s\n", audit_kind_name(f->kind), f->file, f->text);
}

static void read_head(enum week_kind kind, int week, struct chain_hash *out)
{
    static const char *const sql[] = {"SELECT head FROM lane"};
    char name[WEEK_FILE_SIZE], path[256];
    struct db db;

    memset(out, 0, sizeof(*out));
    week_file(kind, week, name);
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    if (db_open(path, DB_READ, sql, 1, &db) < 0)
        return;
    sqlite3_stmt *s = db_statement(&db, 0);
    if (s && db_step(s) == 1)
        db_column_fixed(s, 0, out->bytes, CHAIN_HASH_BYTES);
    db_done(&db);
}

static struct result read_result(void)
{
    struct audit_options options = {.now_us = TEST_NOW_US - TEST_DAY, .found = on_found};
    struct result result;

    memset(&result, 0, sizeof(result));
    for (int i = 0; i < WEEKS; i++) {
        read_head(WEEK_ENTRIES, week_of_us(TEST_NOW_US) - i, &result.heads[2 * i]);
        read_head(WEEK_REFUSALS, week_of_us(TEST_NOW_US) - i, &result.heads[2 * i + 1]);
    }
    /* Old entries are overdue by now: far in the past nothing is. */
    options.now_us = TEST_NOW_US - 100 * TEST_DAY;
    assert_int_equal(audit_run(test_folder, &options, &result.counts), 0);
    result.counts.files = 0; /* a crash may leave a file without rows */
    return result;
}

static void trouble_leaves_no_trace(void **state)
{
    static struct history h;

    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        memset(&h, 0, sizeof(h));
        random_state = seed;
        while (h.count < INPUTS)
            add_input(&h);

        test_ledger_make(NULL);
        fold_smoothly(&h);
        struct result smooth = read_result();
        test_ledger_remove(NULL);
        test_ledger_make(NULL);
        fold_with_trouble(&h);
        struct result troubled = read_result();
        test_ledger_remove(NULL);

        if (smooth.counts.findings || troubled.counts.findings ||
            memcmp(&smooth, &troubled, sizeof(smooth)) != 0)
            fail_msg("seed %u", seed);
        assert_true(smooth.counts.accepted >= h.message_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trouble_leaves_no_trace)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
