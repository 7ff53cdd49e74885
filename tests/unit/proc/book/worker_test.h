/*
 * The book's thread against a real spool and a real ledger, each in a folder. The test is linked
 * with --wrap=clock_monotonic_ms: its clock stands, so no batch ends by time unless the test says
 * so.
 */
#pragma once

#include "../../book/ledger_test.h"

#include "book/audit.h"
#include "proc/book/worker.h"
#include "spool/spool.h"
#include <fcntl.h>
#include <sys/stat.h>

static char spool_folder[128];
static struct spool *spool;
static int64_t now_us;
static struct worker worker;

static int64_t clock_ms, clock_step_ms; /* a step makes a batch end after a few records */

int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void)
{
    return clock_ms += clock_step_ms;
}

/* ---- a spool ---- */

static inline int open_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline void open_spool(void)
{
    struct spool_options options = spool_options_default;
    struct store *store;

    options.segment_bytes = 128 * 1024;
    options.bulk_segment_bytes = 256 * 1024;
    options.block_bytes = 512;
    options.group_bytes = 32 * 1024;
    options.extent_bytes = 16 * 1024;
    options.inline_bytes = 8 * 1024;
    options.reserve_bytes = options.reserve_inodes = 0;
    options.keep_segments = 1;
    assert_int_equal(store_file_new(open_folder(spool_folder), &store), 0);
    assert_int_equal(spool_open(store, &options, now_us, &spool, NULL), 0);
}

static inline bool run_group(void)
{
    struct spool_group *group = spool_take_group(spool, ++now_us);
    if (!group)
        return false;
    spool_write_group(group);
    spool_finish_group(spool, group, ++now_us);
    return true;
}

static inline void run_spool(void)
{
    struct spool_task *task;
    bool again = true;

    while (again) {
        again = false;
        while ((task = spool_take_task(spool, ++now_us))) {
            spool_run_task(task);
            spool_finish_task(spool, task, ++now_us);
            again = true;
        }
        while (run_group())
            again = true;
    }
}

static inline int set_up(void **state)
{
    if (test_ledger_make(state) < 0)
        return -1;
    snprintf(spool_folder, sizeof(spool_folder), "%s/spool", test_folder);
    if (mkdir(spool_folder, 0700) < 0)
        return -1;
    now_us = TEST_NOW_US;
    open_spool();
    worker = (struct worker){.ledger = test_folder, .spool_fd = open_folder(spool_folder)};
    return 0;
}

static inline int tear_down(void **state)
{
    worker_done(&worker);
    close(worker.spool_fd);
    spool_close(spool);
    return test_ledger_remove(state);
}

/* ---- mail ---- */

static struct test_message message;

static inline struct id accept_body(unsigned number, size_t recipients, struct span body)
{
    struct spool_accept accept = {.envelope = &message.envelope,
                                  .header = SPAN("Received: here\r\n"),
                                  .body = body,
                                  .first_attempt_us = now_us};

    test_message_at(&message, TEST_NOW_US, number, recipients);
    message.envelope.size_bytes = accept.body.size;
    assert_int_equal(spool_accept(spool, &accept, NULL, NULL), 0);
    run_spool();
    return message.envelope.id;
}

static inline struct id accept_message(unsigned number, size_t recipients)
{
    return accept_body(number, recipients, SPAN("Subject: hello\r\n\r\nhello\r\n"));
}

static inline struct spool_status status_of(uint32_t recipient, enum spool_outcome outcome)
{
    return (struct spool_status){.recipient = recipient,
                                 .outcome = (uint8_t)outcome,
                                 .attempts = 1,
                                 .time_us = TEST_NOW_US + TEST_SECOND,
                                 .next_attempt_us = TEST_NOW_US + 300 * TEST_SECOND,
                                 .reply = SPAN("so it is"),
                                 .host = SPAN("mail.aaa.example")};
}

static inline void settle(const struct id *id, const struct spool_status *statuses, size_t count)
{
    struct spool_message *row = spool_find(spool, id);
    assert_non_null(row);
    assert_int_equal(spool_status(spool, row, statuses, count, NULL, NULL), 0);
    run_spool();
}

/* ---- the book ---- */

static inline void turn(void)
{
    struct spool_counts counts;

    spool_get_counts(spool, &counts);
    worker.limit = spool_sealed_position(spool);
    worker.queue_waiting = counts.waiting + counts.held - counts.unsealed;
    do
        worker_turn(&worker.job);
    while (worker.behind && worker.trouble == WORKER_FINE);
}

static inline void start_again(void)
{
    worker_done(&worker);
    worker = (struct worker){.ledger = test_folder, .spool_fd = worker.spool_fd};
}

static inline void on_found(void *arg, const struct audit_finding *f)
{
    print_error("%s %s: %s\n", audit_kind_name(f->kind), f->file, f->text);
}

static inline struct audit_counts audit(void)
{
    struct audit_options options = {.now_us = TEST_NOW_US, .found = on_found};
    struct audit_counts counts;

    assert_int_equal(audit_run(test_folder, &options, &counts), 0);
    return counts;
}

static inline void in_ledger(const char *command)
{
    char line[300];

    snprintf(line, sizeof(line), "cd %s && %s", test_folder, command);
    assert_int_equal(system(line), 0);
}

#define WORKER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
