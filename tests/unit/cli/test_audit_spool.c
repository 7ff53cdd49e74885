/* What a stopped server's spool says, on a real folder: what waits, what the book doesn't know yet,
 * damage; and nothing of it beside a server. */
#include "../book/ledger_test.h"

#include "cli/audit_spool.h"
#include "spool/spool.h"
#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>

enum { MESSAGES = 12, BODY = 5000 };

static char spool_folder[96];
static uint32_t checkpoint_segments; /* 0: as always */

static const struct spool_options *options(void)
{
    static struct spool_options o;

    o = spool_options_default;
    o.segment_bytes = 1 << 20;
    o.reserve_bytes = o.reserve_inodes = 0;
    if (checkpoint_segments)
        o.checkpoint_segments = checkpoint_segments;
    return &o;
}

static struct spool *open_spool(void)
{
    int fd = open(spool_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct store *store;
    struct spool *spool;

    assert_true(fd >= 0);
    assert_int_equal(store_file_new(fd, &store), 0);
    assert_int_equal(spool_open(store, options(), TEST_NOW_US, &spool, NULL), 0);
    return spool;
}

static void run(struct spool *spool)
{
    struct spool_group *group;

    while ((group = spool_take_group(spool, TEST_NOW_US))) {
        spool_write_group(group);
        spool_finish_group(spool, group, TEST_NOW_US);
    }
}

static void run_tasks(struct spool *spool)
{
    struct spool_task *task;

    while ((task = spool_take_task(spool, TEST_NOW_US))) {
        spool_run_task(task);
        spool_finish_task(spool, task, TEST_NOW_US);
    }
}

static char body_byte(unsigned number)
{
    return (char)('a' + number);
}

static void accept_message(struct spool *spool, unsigned number)
{
    struct test_message m;
    char body[BODY];

    test_message_at(&m, TEST_NOW_US, number, 2);
    memset(body, body_byte(number), sizeof(body));
    m.envelope.size_bytes = sizeof(body);
    SHA256((const unsigned char *)body, sizeof(body), m.envelope.digest);
    struct spool_accept accept = {.envelope = &m.envelope, .body = {body, sizeof(body)}};
    assert_int_equal(spool_accept(spool, &accept, NULL, NULL), 0);
}

static struct id message_id(unsigned number)
{
    return test_id_at(TEST_NOW_US, number);
}

static void deliver(struct spool *spool, unsigned number)
{
    struct id id = message_id(number);
    struct spool_status status = {
        .recipient = 0, .outcome = SPOOL_OUTCOME_DELIVERED, .time_us = TEST_NOW_US};

    assert_int_equal(spool_status(spool, spool_find(spool, &id), &status, 1, NULL, NULL), 0);
}

/* Of 12 messages to two, one recipient of each third one has it. */
static int make_spool(void **state)
{
    if (test_ledger_make(state) < 0)
        return -1;
    snprintf(spool_folder, sizeof(spool_folder), "%s/spool", test_folder);
    mkdir(spool_folder, 0700);
    struct spool *spool = open_spool();
    for (unsigned i = 0; i < MESSAGES; i++)
        accept_message(spool, i);
    run(spool);
    for (unsigned i = 0; i < MESSAGES; i += 3)
        deliver(spool, i);
    run(spool);
    spool_close(spool);
    return 0;
}

/* ---- the audit with it ---- */

struct told {
    unsigned findings, damages;
    struct id id;
    int error;
    struct spool_obstacle obstacle;
    bool quick;
};

static void on_found(void *arg, const struct audit_finding *finding)
{
    struct told *told = arg;

    told->findings++;
    told->damages += finding->kind == AUDIT_DAMAGE;
    told->id = finding->id;
}

static int look(void *arg, struct audit_queue *out)
{
    struct told *told = arg;
    struct cli_audit_spool audit = {
        .spool = spool_folder, .ledger = test_folder, .quick = told->quick};

    told->error = cli_audit_spool(&audit, out, &told->obstacle);
    return told->error;
}

static struct audit_counts audit(struct told *told)
{
    struct audit_counts counts;
    struct audit_options o = {.now_us = TEST_NOW_US,
                              .overdue_us = TEST_DAY,
                              .arg = told,
                              .found = on_found,
                              .look_at_queue = look};

    *told = (struct told){.quick = told->quick};
    assert_int_equal(audit_run(test_folder, &o, &counts), 0);
    return counts;
}

/* The ledger is empty: all that the log says is still to be folded. */
static void what_the_book_does_not_know_balances(void **state)
{
    struct told told = {0};
    struct audit_counts c = audit(&told);

    assert_int_equal(told.error, 0);
    assert_int_equal(told.findings, 0);
    assert_true(c.queue_compared && c.queue_stopped);
    assert_int_equal(c.queue_waiting, 2 * MESSAGES - MESSAGES / 3);
    assert_int_equal(c.unfolded, MESSAGES + MESSAGES / 3);
}

/* The book says that it has folded all, and has nothing. */
static void what_the_book_should_know_is_missed(void **state)
{
    struct told told = {0};
    struct fold *fold = test_fold_open();
    struct book_position end = {.segment = 1, .offset = 1 << 20};
    struct spool *spool = open_spool();

    end.offset = spool_sealed_position(spool).offset;
    spool_close(spool);
    assert_int_equal(fold_skip(fold, &end), 0);
    test_commit(fold);
    fold_close(fold);
    struct audit_counts c = audit(&told);
    assert_int_equal(c.unfolded, 0);
    assert_int_equal(told.findings, 2 * MESSAGES - MESSAGES / 3);
}

static void nothing_is_said_beside_a_server(void **state)
{
    struct spool *spool = open_spool();
    struct told told = {0};
    struct audit_counts c = audit(&told);

    assert_int_equal(told.error, -EBUSY);
    assert_int_equal(told.findings, 0);
    assert_false(c.queue_compared);
    spool_close(spool);
    audit(&told);
    assert_int_equal(told.error, 0);
}

static void missing_spool_is_an_error(void **state)
{
    struct told told = {0};

    strcat(spool_folder, "/none");
    audit(&told);
    assert_int_equal(told.error, -ENOENT);
}

static long find_run(FILE *f, char byte)
{
    long at = 0;
    int c, count = 0;

    for (rewind(f); (c = fgetc(f)) != EOF; at++) {
        count = c == byte ? count + 1 : 0;
        if (count == 1000)
            return at;
    }
    return -1;
}

static void damage_body(unsigned number)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/log-0000000000000001", spool_folder);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    long at = find_run(f, body_byte(number));
    assert_true(at > 0);
    fseek(f, at, SEEK_SET);
    fputc('#', f);
    fclose(f);
}

static void is_named_once(unsigned number, bool quick)
{
    struct told told = {.quick = quick};
    struct id id = message_id(number);

    audit(&told);
    assert_int_equal(told.error, 0);
    assert_int_equal(told.damages, 1);
    assert_true(id_equal(&told.id, &id));
}

/* The first start finds it; the second one has it from the checkpoint and finds nothing. What was
 * booked then may have been acknowledged since. */
static void what_an_earlier_start_set_aside_is_named_once(void **state)
{
    struct spool_counts counts;

    damage_body(7);
    for (unsigned start = 0; start < 2; start++) {
        checkpoint_segments = 1;
        struct spool *spool = open_spool();
        checkpoint_segments = 0;
        spool_get_counts(spool, &counts);
        assert_int_equal(counts.set_aside, 1);
        assert_int_equal(spool_damage_count(spool), start == 0);
        run(spool);
        run_tasks(spool);
        spool_close(spool);
        is_named_once(7, false);
        is_named_once(7, true);
    }
}

/* A byte of a body in the newest segment, and (after another start) in a closed one. */
static void damaged_body_is_named(void **state)
{
    char path[160];
    struct told told = {0};

    snprintf(path, sizeof(path), "%s/log-0000000000000001", spool_folder);
    for (int closed = 0; closed < 2; closed++) {
        FILE *f = fopen(path, "r+");
        assert_non_null(f);
        long at = find_run(f, body_byte(7));
        assert_true(at > 0);
        fseek(f, at, SEEK_SET);
        fputc('#', f);
        fflush(f);
        struct id id = message_id(7);
        audit(&told);
        assert_int_equal(told.findings, 1);
        assert_int_equal(told.damages, 1);
        assert_true(id_equal(&told.id, &id));
        told.quick = true; /* recovery reads the newest segment's bodies in any case */
        audit(&told);
        assert_int_equal(told.damages, !closed);
        told.quick = false;
        fseek(f, at, SEEK_SET);
        fputc(body_byte(7), f);
        fclose(f);
        audit(&told);
        assert_int_equal(told.findings, 0);
        struct spool *spool = open_spool();
        accept_message(spool, 100 + (unsigned)closed);
        run(spool);
        spool_close(spool);
    }
}

int main(void)
{
#define SPOOL_TEST(f) cmocka_unit_test_setup_teardown(f, make_spool, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        SPOOL_TEST(what_the_book_does_not_know_balances),
        SPOOL_TEST(what_the_book_should_know_is_missed),
        SPOOL_TEST(nothing_is_said_beside_a_server),
        SPOOL_TEST(missing_spool_is_an_error),
        SPOOL_TEST(damaged_body_is_named),
        SPOOL_TEST(what_an_earlier_start_set_aside_is_named_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
