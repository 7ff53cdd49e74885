/* The book's thread against a real spool and a real ledger, each in a folder. */
#include "../../book/failing_read.h"

#include "book/audit.h"
#include "book/schema.h"
#include "proc/book/worker.h"
#include "spool/spool.h"
#include <fcntl.h>
#include <sys/stat.h>

static char spool_folder[128];
static struct spool *spool;
static int64_t now_us;
static struct worker worker;

/* ---- a spool ---- */

static int open_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void open_spool(void)
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
    assert_int_equal(spool_open(store, &options, now_us, &spool), 0);
}

static bool run_group(void)
{
    struct spool_group *group = spool_take_group(spool, ++now_us);
    if (!group)
        return false;
    spool_write_group(group);
    spool_finish_group(spool, group, ++now_us);
    return true;
}

static void run_spool(void)
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

static int set_up(void **state)
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

static int tear_down(void **state)
{
    worker_done(&worker);
    close(worker.spool_fd);
    spool_close(spool);
    return test_ledger_remove(state);
}

/* ---- mail ---- */

static struct test_message message;

static struct id accept_body(unsigned number, size_t recipients, struct span body)
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

static struct id accept_message(unsigned number, size_t recipients)
{
    return accept_body(number, recipients, SPAN("Subject: hello\r\n\r\nhello\r\n"));
}

static struct spool_status status_of(uint32_t recipient, enum spool_outcome outcome)
{
    return (struct spool_status){.recipient = recipient,
                                 .outcome = (uint8_t)outcome,
                                 .attempts = 1,
                                 .time_us = TEST_NOW_US + TEST_SECOND,
                                 .next_attempt_us = TEST_NOW_US + 300 * TEST_SECOND,
                                 .reply = SPAN("so it is"),
                                 .host = SPAN("mail.aaa.example")};
}

static void settle(const struct id *id, const struct spool_status *statuses, size_t count)
{
    struct spool_message *row = spool_find(spool, id);
    assert_non_null(row);
    assert_int_equal(spool_status(spool, row, statuses, count, NULL, NULL), 0);
    run_spool();
}

static void turn(void)
{
    struct spool_counts counts;

    spool_get_counts(spool, &counts);
    worker.limit = spool_sealed_position(spool);
    worker.queue_waiting = counts.waiting + counts.held - counts.unsealed;
    do
        worker_turn(&worker.job);
    while (worker.behind && worker.trouble == WORKER_FINE);
}

static void on_found(void *arg, const struct audit_finding *f)
{
    print_error("%s %s: %s\n", audit_kind_name(f->kind), f->file, f->text);
}

static struct audit_counts audit(void)
{
    struct audit_options options = {.now_us = TEST_NOW_US, .found = on_found};
    struct audit_counts counts;

    assert_int_equal(audit_run(test_folder, &options, &counts), 0);
    return counts;
}

/* ---- tests ---- */

static void what_the_spool_keeps_is_booked(void **state)
{
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    struct buffer wire = BUFFER_INIT;
    struct spool_status statuses[] = {status_of(0, SPOOL_OUTCOME_DELIVERED),
                                      status_of(1, SPOOL_OUTCOME_DEFERRED),
                                      status_of(2, SPOOL_OUTCOME_DISCARDED)};

    struct id id = accept_message(1, 3);
    settle(&id, statuses, 3);
    assert_int_equal(codec_encode(&event_codec, &refusal, &wire), 0);
    assert_int_equal(spool_event(spool, buffer_span(&wire), NULL, NULL), 0);
    assert_int_equal(spool_event(spool, SPAN("nonsense"), NULL, NULL), 0);
    run_spool();
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    assert_int_equal(worker.translator.strange, 1);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 3);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 1);
    assert_int_equal(c.states[RECIPIENT_WAITING], 1);
    assert_int_equal(c.states[RECIPIENT_DISCARDED], 1);
    assert_int_equal(c.refusals, 1);
    buffer_done(&wire);
}

/* The log has no outcome of its own for it. */
static void an_alias_of_whom_is_there_is_a_duplicate(void **state)
{
    struct spool_status statuses[] = {status_of(0, SPOOL_OUTCOME_DELIVERED),
                                      status_of(1, SPOOL_OUTCOME_DISCARDED),
                                      status_of(2, SPOOL_OUTCOME_DISCARDED)};
    struct id id = accept_message(1, 3);

    statuses[1].status = SPAN("2.1.5");
    statuses[2].status = SPAN("5.1.1");
    settle(&id, statuses, 3);
    turn();
    assert_int_equal(test_number(TEST_WEEK, "SELECT kind FROM event WHERE recipient_index = 1"
                                            " AND kind <> 3"),
                     EVENT_DUPLICATE);
    assert_int_equal(test_number(TEST_WEEK, "SELECT kind FROM event WHERE recipient_index = 2"
                                            " AND kind <> 3"),
                     EVENT_DISCARDED);
    assert_int_equal(audit().states[RECIPIENT_DISCARDED], 2);
}

/* Once after the start, and only when the book has all that the queue had. */
static void what_waits_is_compared(void **state)
{
    struct spool_status held[] = {status_of(0, SPOOL_OUTCOME_HELD),
                                  status_of(1, SPOOL_OUTCOME_DELIVERED)};
    struct id id = accept_message(1, 4);

    settle(&id, held, 2);
    turn();
    assert_true(worker.is_compared);
    assert_false(worker.differs);
    assert_int_equal(worker.waiting[0], 3);

    worker_done(&worker);
    worker = (struct worker){.ledger = test_folder, .spool_fd = worker.spool_fd};
    worker.limit = spool_sealed_position(spool);
    worker.queue_waiting = 2; /* as if one's file were gone */
    worker_turn(&worker.job);
    assert_true(worker.is_compared && worker.differs);
    assert_int_equal(worker.waiting[0], 3);
    assert_int_equal(worker.waiting[1], 2);
    worker.differs = false;
    accept_message(2, 1);
    turn();
    assert_false(worker.differs);
}

/* What the spool says of itself, and what can't be read, are in the book too. */
static void alarms_and_damage_are_booked(void **state)
{
    struct spool_alarm alarm = {
        .kind = SPOOL_ALARM_TAIL, .time_us = TEST_NOW_US, .text = SPAN("set aside as tail-1")};
    struct spool_followed records[] = {
        {.kind = SPOOL_FOLLOWED_ALARM, .alarm = &alarm},
        {.kind = SPOOL_FOLLOWED_DAMAGED},
        {.kind = SPOOL_FOLLOWED_GAP},
    };

    accept_message(1, 1);
    turn();
    worker.translator.now_us = TEST_NOW_US;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        records[i].position = worker.folded;
        records[i].next = (struct spool_position){worker.folded.segment + 1, 1000 * (i + 1)};
        assert_int_equal(translate(&worker.translator, &records[i]), 0);
    }
    test_commit(worker.fold);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 2); /* a tail was never acknowledged: only an alarm */
    assert_int_equal(c.alarms, 1);
    assert_int_equal(c.events, 4);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE kind = 20"), 2);
}

/* From the log: who came of whom, and that the parent itself waits for nothing. */
static void expansions_are_booked(void **state)
{
    struct envelope_recipient children[] = {
        {.address = SPAN("x@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {1}},
        {.address = SPAN("y@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {2}}};
    struct spool_expansion expansion = {.parent = 1, .children = children, .child_count = 2};
    struct spool_status delivered = status_of(3, SPOOL_OUTCOME_DELIVERED);
    struct spool_accept accept = {.envelope = &message.envelope,
                                  .header = SPAN(""),
                                  .body = SPAN("hello"),
                                  .expansions = &expansion,
                                  .expansion_count = 1};

    test_message_at(&message, TEST_NOW_US, 1, 2);
    assert_int_equal(spool_accept(spool, &accept, NULL, NULL), 0);
    run_spool();
    turn();
    settle(&message.envelope.id, &delivered, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 4);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry WHERE parent = 1 AND"
                                            " recipient_index IN (2, 3)"),
                     2);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.states[RECIPIENT_EXPANDED], 1);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 1);
    assert_int_equal(c.states[RECIPIENT_WAITING], 2);
}

/* Compaction moved a message of which the book lost the file: what still waits is booked. */
static void moved_messages_are_understood(void **state)
{
    struct envelope_recipient children[] = {
        {.address = SPAN("x@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {1}},
        {.address = SPAN("y@aaa.example"), .original = SPAN("carl@bbb.example"), .key = {2}}};
    struct spool_expansion expansions[] = {{.parent = 1, .children = children, .child_count = 2}};
    struct record_net waiting[] = {{.recipient = 0}, {.recipient = 3}, {.recipient = 99}};
    struct test_message m;

    accept_message(1, 1);
    turn();
    test_message_at(&m, TEST_NOW_US, 50, 2);
    struct spool_followed record = {.kind = SPOOL_FOLLOWED_MOVED,
                                    .position = worker.folded,
                                    .next = {worker.folded.segment + 1, 1000},
                                    .envelope = &m.envelope,
                                    .expansions = expansions,
                                    .expansion_count = 1,
                                    .waiting = waiting,
                                    .waiting_count = 3};
    assert_int_equal(translate(&worker.translator, &record), 0);
    test_commit(worker.fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry"), 3);
    assert_int_equal(test_number(TEST_WEEK,
                                 "SELECT count(*) FROM entry WHERE"
                                 " recipient = 'y@aaa.example' AND recipient_index = 3 AND"
                                 " parent = 1"),
                     1);
}

/* The book has his recipients from an expansion alone, and one's end is in no log any more. */
static void who_does_not_wait_by_a_moved_record_is_closed(void **state)
{
    struct envelope_recipient children[] = {{.address = SPAN("x@aaa.example"), .key = {1}},
                                            {.address = SPAN("y@aaa.example"), .key = {2}}};
    struct spool_expansion expansion = {.parent = 1, .children = children, .child_count = 2};
    struct record_net waiting[] = {{.recipient = 0}, {.recipient = 3}};
    struct fold *fold = test_fold_open();
    struct book_position until = {0, 10, 0};
    struct translator t = {.fold = fold, .now_us = TEST_NOW_US, .limit = {10, 0}};
    struct test_message m;

    test_message_at(&m, TEST_NOW_US, 1, 2);
    struct spool_followed records[] = {
        {.kind = SPOOL_FOLLOWED_GONE, .next = {1, 50}},
        {.kind = SPOOL_FOLLOWED_EXPAND,
         .next = {1, 100},
         .message = m.envelope.id,
         .time_us = TEST_NOW_US,
         .expansion = &expansion,
         .first_child = 2},
        {.kind = SPOOL_FOLLOWED_MOVED,
         .next = {1, 200},
         .message = m.envelope.id,
         .time_us = TEST_NOW_US + TEST_SECOND,
         .envelope = &m.envelope,
         .expansions = &expansion,
         .expansion_count = 1,
         .waiting = waiting,
         .waiting_count = 2},
    };
    assert_int_equal(fold_begin_anew(fold, &until, TEST_NOW_US), 0);
    for (size_t i = 0; i < ARRAY_SIZE(records); i++)
        assert_int_equal(translate(&t, &records[i]), 0);
    test_commit(fold);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM entry WHERE state = 1"), 2);
    assert_int_equal(test_number(TEST_WEEK, "SELECT state FROM entry WHERE recipient_index = 2"),
                     RECIPIENT_CLOSED);
    arena_done(&t.arena);
    fold_close(fold);
}

static void it_goes_on_where_it_stopped(void **state)
{
    for (unsigned i = 1; i <= 6; i++) {
        struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);
        struct id id = accept_message(i, 1);
        turn();
        settle(&id, &delivered, 1);
        if (i % 2)
            turn();
        worker_done(&worker); /* the process ends */
    }
    turn();
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 6);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 6);
}

static void damaged_ledger_is_made_anew_from_the_log(void **state)
{
    char path[256];
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);

    struct id id = accept_message(1, 2);
    turn();
    worker_done(&worker);
    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    test_tamper(TEST_WEEK, "PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "no longer a database", 20, 0), 20);
    close(fd);

    settle(&id, &delivered, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_DAMAGED);
    assert_memory_equal(worker.told.damage, TEST_WEEK ".damaged-",
                        sizeof(TEST_WEEK ".damaged-") - 1);
    assert_true(worker.behind);
    assert_int_equal(worker.folded.segment, 0); /* so that the log is kept */
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 2);
    assert_int_equal(c.states[RECIPIENT_DELIVERED], 1);
}

/* ---- a ledger made anew ---- */

enum { KEPT = 30, BODY = 3000, FIRST_PASSING = 1000 };

/* Mail comes and goes until the log has come to that segment. */
static void pass_mail(uint64_t segment)
{
    static const char body[BODY];
    static unsigned number;
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);

    while (spool_sealed_position(spool).segment < segment) {
        struct id id = accept_body(FIRST_PASSING + number++, 1, span_of(body, sizeof(body)));
        settle(&id, &delivered, 1);
        turn();
        spool_book_synced(spool, worker.folded);
        run_spool();
    }
}

static bool has_segment(unsigned number)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/log-%016x", spool_folder, number);
    return access(path, F_OK) == 0;
}

static void in_ledger(const char *command)
{
    char line[300];

    snprintf(line, sizeof(line), "cd %s && %s", test_folder, command);
    assert_int_equal(system(line), 0);
}

static void start_again(void)
{
    worker_done(&worker);
    worker = (struct worker){.ledger = test_folder, .spool_fd = worker.spool_fd};
}

/* Most that lies in the first segment waits, so it stays. The outcomes of the rest are in the
 * second, which goes. */
static void let_outcomes_go(void)
{
    static const char body[BODY];
    struct spool_status two[] = {status_of(1, SPOOL_OUTCOME_DELIVERED),
                                 status_of(2, SPOOL_OUTCOME_RELAYED)};
    struct spool_status one = status_of(0, SPOOL_OUTCOME_RETURNED);

    for (unsigned i = 1; i <= KEPT; i++)
        accept_body(i, 1, span_of(body, sizeof(body)));
    struct id three = accept_message(KEPT + 1, 3), single = accept_message(KEPT + 2, 1);
    turn();
    start_again();
    in_ledger("mkdir copy && cp *.sqlite* copy");
    pass_mail(2);
    settle(&three, two, 2);
    settle(&single, &one, 1);
    pass_mail(12);
    assert_true(has_segment(1));
    assert_false(has_segment(2));
    start_again();
}

static struct audit_counts turn_and_audit(void)
{
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_true(worker.is_compared);
    assert_false(worker.differs);
    struct audit_counts c = audit();
    assert_int_equal(c.states[RECIPIENT_WAITING], KEPT + 1);
    /* Of the mail that passed one may lie where the segment changed. */
    assert_in_range(c.states[RECIPIENT_CLOSED], 3, 4);
    return c;
}

/* It has the messages whose outcomes went with a segment of the log, and learns that these had
 * their end. */
static void ledger_made_anew_waits_for_nobody(void **state)
{
    let_outcomes_go();
    in_ledger("rm *.sqlite*");
    struct audit_counts c = turn_and_audit();
    assert_int_equal(c.findings, 0);
    start_again();
    assert_int_equal(turn_and_audit().findings, 0);
    assert_int_equal(test_number(TEST_WEEK, "SELECT count(*) FROM event WHERE kind = 22"),
                     c.states[RECIPIENT_CLOSED]);
}

/* The queue was started again, and recovers its spool: a turn in between reads nothing, and begins
 * no other lane. */
static void a_queue_that_recovers_is_waited_for(void **state)
{
    let_outcomes_go();
    in_ledger("rm *.sqlite*");
    for (int round = 0; round < 2; round++) {
        worker.limit = (struct spool_position){0};
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_FINE);
        assert_false(worker.behind);
        assert_int_equal(worker.is_compared, round > 0);
        assert_int_equal(turn_and_audit().findings, 0);
        assert_int_equal(worker.translator.lane, 0);
    }
}

/* What is lost with it stays a finding, but nobody waits for ever. */
static void week_made_anew_waits_for_nobody(void **state)
{
    let_outcomes_go();
    in_ledger("rm " TEST_WEEK "*");
    struct audit_counts c = turn_and_audit();
    assert_string_equal(worker.told.lacking, TEST_WEEK);
    assert_int_equal(c.findings, 1);
    assert_int_equal(c.broken, 0);
}

/* The log lacks nothing that the book of before hadn't read; the book stays a witness. */
static void ledger_that_is_whole_believes_itself(void **state)
{
    let_outcomes_go();
    turn();
    assert_false(worker.differs);
    struct audit_counts c = audit();
    assert_int_equal(c.states[RECIPIENT_CLOSED], 0);
    assert_int_equal(c.findings, 0);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM anew WHERE found_us"), 0);
}

/* They are of no message: each is in the week of the day on which this runs. */
static int64_t count_gaps(void)
{
    struct ledger_list list;
    char name[WEEK_FILE_SIZE];
    int64_t count = 0;

    assert_int_equal(ledger_list(test_folder, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        week_file(list.files[i].kind, list.files[i].week, name);
        count += test_number(name, "SELECT count(*) FROM event WHERE kind = 20");
    }
    ledger_list_done(&list);
    return count;
}

/* The segment of its position is still there, and what came next isn't. */
static void ledger_of_before_says_what_it_never_read(void **state)
{
    let_outcomes_go();
    assert_int_equal(count_gaps(), 0);
    in_ledger("rm *.sqlite* && cp copy/* .");
    turn();
    assert_true(worker.differs);
    int64_t gaps = count_gaps();
    assert_true(gaps > 0);
    assert_int_equal(audit().states[RECIPIENT_CLOSED], 0);
    start_again();
    turn();
    assert_int_equal(count_gaps(), gaps);
}

/* The server was killed, and its book still has the ledger when the next one starts. */
static void one_book_writes_at_a_time(void **state)
{
    struct worker first;

    accept_message(1, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    first = worker;
    worker = (struct worker){.ledger = test_folder, .spool_fd = first.spool_fd};
    accept_message(2, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -EWOULDBLOCK);
    assert_int_equal(worker.folded.segment, 0);
    assert_true(worker.behind);
    worker_done(&first);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 2);
}

/* Nothing is lost when the ledger can't be written for a while. */
static void it_tries_again_after_trouble(void **state)
{
    char gone[160];

    accept_message(1, 1);
    snprintf(gone, sizeof(gone), "%s/gone", test_folder);
    worker.ledger = gone;
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_true(worker.error < 0 && worker.behind);
    worker.ledger = test_folder;
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 1);
}

static ssize_t failing_write(int fd, const void *from, size_t size, off_t at)
{
    errno = EIO;
    return -1;
}

/* Of SQLite's; NULL: its own again. */
static void set_writes(ssize_t (*call)(int fd, const void *from, size_t size, off_t at))
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)call);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)call);
}

/* Whose -wal is full. */
static ino_t full_file;

static ssize_t write_unless_full(int fd, const void *from, size_t size, off_t at)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_ino != full_file)
        return pwrite(fd, from, size, at);
    errno = ENOSPC;
    return -1;
}

static void fill_disk_under(const char *name)
{
    char path[200];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s-wal", test_folder, name);
    assert_int_equal(stat(path, &st), 0);
    full_file = st.st_ino;
    set_writes(write_unless_full);
}

/* That a log ends too early is told once, however often the ledger can't be written then. */
static void a_new_lane_is_told_once(void **state)
{
    accept_message(1, 1);
    turn();
    worker.limit.offset /= 2;
    fill_disk_under("book.sqlite");
    for (int round = 0; round < 2; round++) {
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.new_lane, round == 0 ? 1 : 0);
        worker.new_lane = 0;
    }
    set_writes(NULL);
    worker_turn(&worker.job);
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.translator.lane, 1);
    assert_int_equal(worker.new_lane, 0);
}

/* A main file with one more would count as damaged, and the log be followed as another's. */
static void a_lane_too_many_is_not_begun(void **state)
{
    accept_message(1, 1);
    turn();
    start_again();
    test_tamper("book.sqlite",
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 63)"
                " INSERT INTO lane SELECT i, segment, offset FROM n, lane WHERE lane.lane = 0");
    worker.limit = (struct spool_position){1, 1};
    for (int round = 0; round < 2; round++) {
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.error, -E2BIG);
    }
    assert_string_equal(worker.told.damage, "");
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM lane"), VOLUME_LANES_MAX);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
}

/* Of a lane that a file still needs retention takes nothing, but it makes room of the others. */
static void retention_makes_room_for_a_lane(void **state)
{
    accept_message(1, 1);
    turn();
    start_again();
    test_tamper("book.sqlite",
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 63)"
                " INSERT INTO lane SELECT i, segment, offset FROM n, lane WHERE lane.lane = 0");
    test_tamper("book.sqlite", "INSERT INTO lost SELECT kind, week, lane.lane, lane.segment,"
                               " lane.offset, events, head FROM chain, lane");
    worker.limit = (struct spool_position){1, 1};
    for (int round = 0; round < 2; round++) {
        worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US - 30 * TEST_DAY;
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, round == 0 ? WORKER_LEDGER : WORKER_FINE);
        test_tamper("book.sqlite", "DELETE FROM lost");
    }
    assert_int_equal(worker.new_lane, VOLUME_LANES_MAX);
    assert_int_equal(test_number("book.sqlite", "SELECT count(*) FROM lane"), 2);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(test_number("book.sqlite", "SELECT max(lane) FROM lane"), VOLUME_LANES_MAX);
    start_again();
    turn();
    assert_int_equal(worker.translator.lane, VOLUME_LANES_MAX);
    assert_int_equal(audit().accepted, 1);
}

/* Whoever keeps less to make room gets the room. */
static void retention_runs_on_a_full_disk(void **state)
{
    struct event refusal = test_refusal(1, "nobody@aaa.example");
    struct buffer wire = BUFFER_INIT;

    assert_int_equal(codec_encode(&event_codec, &refusal, &wire), 0);
    assert_int_equal(spool_event(spool, buffer_span(&wire), NULL, NULL), 0);
    accept_message(1, 1);
    turn();
    accept_message(2, 1);
    fill_disk_under(TEST_WEEK);
    worker.keep_before_us = TEST_NOW_US - 30 * TEST_DAY;
    worker.refusals_before_us = TEST_NOW_US + 30 * TEST_DAY;
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -ENOSPC);
    assert_int_equal(worker.deleted_files, 1);
    assert_int_equal(worker.keep_before_us, 0);
    set_writes(NULL);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 2);
    buffer_done(&wire);
}

/* What goes must be noted first: the next turn tries it again, or it would be an hour. */
static void retention_without_any_room_is_tried_again(void **state)
{
    accept_message(1, 1);
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);
    settle(&message.envelope.id, &delivered, 1);
    turn();
    fill_disk_under("book.sqlite");
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US + 30 * TEST_DAY;
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(worker.error, -ENOSPC);
    assert_int_equal(worker.deleted_files, 0);
    set_writes(NULL);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.deleted_files, 1);
    assert_int_equal(worker.keep_before_us, 0);
}

/* What each opening finds again for as long as the disk is full. */
static void assert_told_once(const char *text)
{
    for (int round = 0; round < 3; round++) {
        turn();
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.error, -ENOSPC);
        assert_string_equal(text, round == 0 ? TEST_WEEK : "");
        worker.told = (struct ledger_told){.damage = ""};
    }
    set_writes(NULL);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_string_equal(text, "");
}

static void what_a_file_lacks_is_told_once(void **state)
{
    accept_message(1, 1);
    for (int again = 0; again < 2; again++) {
        turn();
        worker_done(&worker);
        in_ledger("rm " TEST_WEEK "*");
        fill_disk_under("book.sqlite");
        assert_told_once(worker.told.lacking);
    }
    assert_int_equal(audit().accepted, 1);
}

static void what_is_displaced_is_told_once(void **state)
{
    accept_message(1, 1);
    turn();
    worker_done(&worker);
    test_tamper(TEST_WEEK, "UPDATE lane SET offset = offset + 65536");
    fill_disk_under(TEST_WEEK);
    assert_told_once(worker.told.displaced);
    assert_int_equal(audit().findings, 0);
}

/* The main file must know what each file has before anything is booked. */
static void what_cannot_be_read_is_named(void **state)
{
    accept_message(1, 1);
    turn();
    worker_done(&worker);
    in_ledger("rm book.sqlite*");
    test_fail_reads(TEST_WEEK);
    turn();
    test_reads_succeed();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_string_equal(worker.told.unread, TEST_WEEK);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 1);
}

/* The spool's folder was emptied: its log starts at the first position again. */
static void new_spool_is_a_new_lane(void **state)
{
    char command[256];

    accept_message(1, 1);
    accept_message(2, 1);
    turn();
    spool_close(spool);
    snprintf(command, sizeof(command), "rm -rf %s/*", spool_folder);
    assert_int_equal(system(command), 0);
    open_spool();
    accept_message(3, 1);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(worker.translator.lane, 1);
    worker_done(&worker);
    accept_message(4, 1);
    turn();
    assert_int_equal(worker.translator.lane, 1);
    struct audit_counts c = audit();
    assert_int_equal(c.findings, 0);
    assert_int_equal(c.accepted, 4);
}

static void retention_runs_when_asked(void **state)
{
    struct spool_status delivered = status_of(0, SPOOL_OUTCOME_DELIVERED);

    struct id id = accept_message(1, 1);
    settle(&id, &delivered, 1);
    turn();
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US + 30 * TEST_DAY;
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_true(worker.deleted_files >= 1);
    assert_int_equal(audit().accepted, 0);
}

/* Else the log could never be reused, and mail would be refused in the end. */
static void what_is_folded_is_told_though_retention_fails(void **state)
{
    char path[200], marks[120];

    accept_message(1, 1);
    worker.keep_before_us = worker.refusals_before_us = TEST_NOW_US - 30 * TEST_DAY;
    snprintf(path, sizeof(path), "%s/book-2026-W01.sqlite", test_folder);
    snprintf(marks, sizeof(marks),
             "PRAGMA application_id = %d; PRAGMA user_version = 99; CREATE TABLE newer (a)",
             SCHEMA_APPLICATION_ID);
    test_tamper("book-2026-W01.sqlite", marks);
    turn();
    assert_int_equal(worker.trouble, WORKER_LEDGER);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    assert_int_equal(unlink(path), 0);
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
}

static void assert_turns_fail(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        turn();
        assert_int_equal(worker.trouble, WORKER_LEDGER);
        assert_int_equal(worker.error, -EIO);
        assert_string_equal(worker.told.damage, "");
    }
}

enum { READ_TURNS = 20 }; /* that fail before a file is given up */

/* What can't be written is sound, and at a stumble afterwards it is none that was given up. */
static void failing_writes_do_not_count_as_reads(void **state)
{
    accept_message(1, 1);
    turn();
    accept_message(2, 1);
    set_writes(failing_write);
    assert_turns_fail(READ_TURNS + 2);
    set_writes(NULL);
    test_fail_reads(TEST_WEEK);
    assert_turns_fail(2);
    test_reads_succeed();
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(audit().accepted, 2);
}

static void what_cannot_be_read_for_long_is_set_aside(void **state)
{
    accept_message(1, 1);
    turn();
    worker_done(&worker);
    accept_message(2, 1);
    test_fail_reads(TEST_WEEK);
    assert_turns_fail(READ_TURNS);
    turn();
    assert_int_equal(worker.trouble, WORKER_DAMAGED);
    assert_non_null(strstr(worker.told.damage, TEST_WEEK));
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    test_reads_succeed();
    assert_int_equal(audit().accepted, 2);
}

/* ---- parts of the log that can't be read ---- */

static int64_t clock_ms, clock_step_ms; /* a step makes a batch end after a few records */

int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void)
{
    return clock_ms += clock_step_ms;
}

/* Some segments of it, that the book hasn't read yet. */
static void fill_log(void)
{
    static const char body[BODY];

    for (unsigned i = 1; spool_sealed_position(spool).segment < 5; i++)
        accept_body(i, 1, span_of(body, sizeof(body)));
    worker.limit = spool_sealed_position(spool);
}

static void fail_reads_of_segment(unsigned number, off_t from, off_t until)
{
    char path[200];
    struct stat st;

    snprintf(path, sizeof(path), "%s/log-%016x", spool_folder, number);
    assert_int_equal(stat(path, &st), 0);
    failing_read = (typeof(failing_read)){.file = st.st_ino, .from = from, .until = until};
}

/* Turns until all is folded; how many of them failed. */
static unsigned count_failed_turns(unsigned *out_turns)
{
    unsigned failed = 0;

    for (*out_turns = 0; *out_turns < 2000; ++*out_turns) {
        worker_turn(&worker.job);
        failed += worker.trouble == WORKER_LOG;
        if (spool_position_compare(worker.folded, worker.limit) == 0)
            break;
    }
    assert_int_equal(worker.trouble, WORKER_FINE);
    return failed;
}

/* A header between the book and the limit is asked for at the start of each batch that follows a
 * trouble, and of each segment: it is given up once, not for each of them anew. */
static void a_header_is_given_up_once(void **state)
{
    unsigned turns;

    fill_log();
    fail_reads_of_segment(4, 0, 1024);
    clock_step_ms = 40;
    unsigned failed = count_failed_turns(&turns);
    clock_step_ms = 0;
    worker_turn(&worker.job); /* the last batch may have ended just at the limit */
    test_reads_succeed();
    assert_true(turns > 2 * READ_TURNS);
    assert_in_range(failed, READ_TURNS, READ_TURNS + 4); /* one for each segment */
    assert_int_equal(worker.unreadable, 0);
}

static void what_lies_before_an_unreadable_place_is_booked(void **state)
{
    fill_log();
    fail_reads_of_segment(2, 64 * 1024, 65 * 1024);
    worker_turn(&worker.job);
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_true(worker.behind); /* so the next turn is at once */
    assert_true(audit().accepted > 0);
    for (unsigned i = 0; i < READ_TURNS; i++) {
        worker_turn(&worker.job);
        assert_int_equal(worker.trouble, WORKER_LOG);
        assert_int_equal(worker.error, -EIO);
    }
    turn();
    assert_int_equal(worker.trouble, WORKER_FINE);
    assert_int_equal(spool_position_compare(worker.folded, worker.limit), 0);
    test_reads_succeed();
}

int main(void)
{
#define WORKER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WORKER_TEST(what_the_spool_keeps_is_booked),
        WORKER_TEST(an_alias_of_whom_is_there_is_a_duplicate),
        WORKER_TEST(alarms_and_damage_are_booked),
        WORKER_TEST(what_waits_is_compared),
        WORKER_TEST(expansions_are_booked),
        WORKER_TEST(moved_messages_are_understood),
        WORKER_TEST(who_does_not_wait_by_a_moved_record_is_closed),
        WORKER_TEST(it_goes_on_where_it_stopped),
        WORKER_TEST(damaged_ledger_is_made_anew_from_the_log),
        WORKER_TEST(ledger_made_anew_waits_for_nobody),
        WORKER_TEST(a_queue_that_recovers_is_waited_for),
        WORKER_TEST(week_made_anew_waits_for_nobody),
        WORKER_TEST(ledger_that_is_whole_believes_itself),
        WORKER_TEST(ledger_of_before_says_what_it_never_read),
        WORKER_TEST(one_book_writes_at_a_time),
        WORKER_TEST(it_tries_again_after_trouble),
        WORKER_TEST(new_spool_is_a_new_lane),
        WORKER_TEST(a_new_lane_is_told_once),
        WORKER_TEST(a_lane_too_many_is_not_begun),
        WORKER_TEST(retention_makes_room_for_a_lane),
        WORKER_TEST(retention_runs_on_a_full_disk),
        WORKER_TEST(retention_without_any_room_is_tried_again),
        WORKER_TEST(what_a_file_lacks_is_told_once),
        WORKER_TEST(what_is_displaced_is_told_once),
        WORKER_TEST(what_cannot_be_read_is_named),
        WORKER_TEST(retention_runs_when_asked),
        WORKER_TEST(failing_writes_do_not_count_as_reads),
        WORKER_TEST(what_cannot_be_read_for_long_is_set_aside),
        WORKER_TEST(a_header_is_given_up_once),
        WORKER_TEST(what_lies_before_an_unreadable_place_is_booked),
        WORKER_TEST(what_is_folded_is_told_though_retention_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
