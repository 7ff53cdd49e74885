#include "../../failing_memory.h"
#include "scratch.h"

#include "proc/mailbox/jobs.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The mailbox process without its sandbox, and beside it, on the same loop, a queue. */
struct bench {
    struct scratch *scratch;
    struct io_loop *loop;
    struct io_pool *pool;
    struct maildir maildir;
    struct mailbox_roots roots;
    struct jobs jobs;
    struct ipc_channel *queue;
    unsigned lost, ended;
    int gate[2];   /* threads wait at it */
    int own_fd;    /* of the mailbox, to the queue */
    uint64_t stop; /* its call for no more jobs, while `keeps_on` holds up the answer */
    bool keeps_on;
};

/* A call of the queue and what came of it. */
struct asked {
    struct ipc_call call;
    bool answered, failed;
    uint8_t outcome; /* of the first recipient */
    uint8_t scope;
    size_t outcomes;
    char status[16], text[256], place[512];
};

static struct bench b;

static void copy(struct span from, char *to, size_t size)
{
    snprintf(to, size, SPAN_FMT, SPAN_ARG(from));
}

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    struct asked *a = CONTAINER_OF(call, struct asked, call);

    a->answered = reply != NULL;
    a->failed = !reply;
    if (!reply || reply->type != IPC_JOB_RESULT || reply->job_result.outcome_count == 0)
        return;
    const struct ipc_job_outcome *o = reply->job_result.outcomes;
    a->outcomes = reply->job_result.outcome_count;
    a->outcome = o->outcome;
    a->scope = o->scope;
    copy(o->status, a->status, sizeof(a->status));
    copy(o->text, a->text, sizeof(a->text));
    copy(o->remote_id, a->place, sizeof(a->place));
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    b.lost++;
}

static void say_stopped(void)
{
    struct ipc_message reply = {.type = IPC_JOB_STOPPED};

    assert_int_equal(ipc_reply(b.queue, b.stop, &reply), 0);
}

static void on_stop(void *owner, const struct ipc_arrival *arrival)
{
    b.stop = arrival->token;
    if (!b.keeps_on)
        say_stopped();
}

static const struct ipc_handler handlers[] = {{IPC_JOB_STOP, on_stop}};
static const struct ipc_role role = {
    .peer_name = "mailbox", .handlers = handlers, .handler_count = 1, .lost = on_lost};

static void connect_queue(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(jobs_connect(&b.jobs, fds[0]), 0);
    b.own_fd = fds[0];
    assert_int_equal(ipc_channel_new(b.loop, fds[1], &role, NULL, &b.queue), 0);
}

static int setup(void **state)
{
    void *scratch;
    scratch_setup(&scratch);
    b = (struct bench){.scratch = scratch};
    assert_int_equal(pipe(b.gate), 0);
    char template[300];
    snprintf(template, sizeof(template), "%s/%%d/%%u", b.scratch->path);
    struct conf_mailbox_domain domain[] = {{SPAN("b.test"), span_from_cstr(template)},
                                           {SPAN("a.test"), span_from_cstr(template)}};
    struct conf_mailbox part = {.domains = domain, .domain_count = 2};
    struct mailbox_domains *domains;

    assert_int_equal(io_loop_new(&b.loop), 0);
    assert_int_equal(io_pool_new(b.loop, 3, &b.pool), 0);
    assert_int_equal(mailbox_domains_new(&part, &b.roots, &domains), 0);
    assert_int_equal(b.roots.count, 1);
    maildir_init(&b.maildir, SPAN("host.test"), 0, 8);
    assert_int_equal(jobs_init(&b.jobs, b.loop, b.pool, &b.maildir, 2), 0);
    jobs_configure(&b.jobs, domains);
    connect_queue();
    return 0;
}

static int teardown(void **state)
{
    close(b.gate[1]);
    io_pool_free(b.pool);
    close(b.gate[0]);
    ipc_channel_free(b.queue);
    jobs_done(&b.jobs);
    maildir_done(&b.maildir);
    io_loop_free(b.loop);
    close(b.roots.list[0].fd);
    free((void *)b.roots.list[0].path);
    void *scratch = b.scratch;
    return scratch_teardown(&scratch);
}

/* Turns the loop until the condition holds; ten seconds are for ever. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 10000 && !(condition); i_++) {                                       \
            io_loop_turn(b.loop);                                                                  \
            usleep(1000);                                                                          \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void ask(struct asked *a, const struct ipc_message *message)
{
    *a = (struct asked){.call = {.fn = on_answer}};
    assert_int_equal(ipc_call(b.queue, &a->call, message), 0);
}

static void send_job(struct asked *a, uint64_t number, const char *address, struct span body,
                     uint64_t size)
{
    struct ipc_job_recipient to = {.index = 7, .address = span_from_cstr(address)};
    struct ipc_message m = {.type = IPC_JOB,
                            .job = {.job = number,
                                    .sender = SPAN("al@c.test"),
                                    .header = SPAN("Received: x\r\n"),
                                    .body = body,
                                    .size_bytes = size,
                                    .recipients = &to,
                                    .recipient_count = 1}};
    ask(a, &m);
}

static void send_piece(struct asked *a, uint64_t number, struct span bytes)
{
    struct ipc_message m = {.type = IPC_JOB_BODY, .job_body = {number, bytes}};
    ask(a, &m);
}

static unsigned count(const char *folder)
{
    return scratch_count(b.scratch, folder);
}

static void whole_jobs(void **state)
{
    enum { COUNT = 200 };
    static struct asked asked[COUNT];
    size_t answered = 0;

    for (int i = 0; i < COUNT; i++)
        send_job(&asked[i], (uint64_t)i, i % 2 ? "bob@a.test" : "eve@b.test", SPAN("a: b\r\n"), 6);
    while (answered < COUNT) {
        UNTIL(asked[answered].answered);
        assert_int_equal(asked[answered].outcomes, 1);
        assert_int_equal(asked[answered].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(access(asked[answered].place, R_OK), 0);
        answered++;
    }
    assert_int_equal(count("a.test/bob/new"), COUNT / 2);
    assert_int_equal(count("b.test/eve/new"), COUNT / 2);
    assert_int_equal(b.jobs.delivered, COUNT);
    assert_int_equal(b.jobs.under_way, 0);
}

static void unknown_domain(void **state)
{
    struct asked a;
    send_job(&a, 1, "bob@aa.test", SPAN("x"), 1);
    UNTIL(a.answered);
    assert_int_equal(a.outcome, IPC_OUTCOME_DEFERRED);
    assert_string_equal(a.status, "4.3.5");
    send_job(&a, 2, "bob@a.tes", SPAN("x"), 1);
    UNTIL(a.answered);
    assert_int_equal(a.outcome, IPC_OUTCOME_DEFERRED);
}

/* Each would be told its sender alone, days later. */
static void a_trouble_of_the_system_is_told_once_in_a_while(void **state)
{
    struct asked a;

    send_job(&a, 1, "bob@b.test", SPAN("x"), 1);
    UNTIL(a.answered);
    assert_int_equal(b.jobs.alarm.told, 0);
    scratch_write(b.scratch, "a.test", "no folder");
    for (uint64_t i = 2; i < 5; i++) {
        send_job(&a, i, "bob@a.test", SPAN("x"), 1);
        UNTIL(a.answered);
        assert_int_equal(a.outcome, IPC_OUTCOME_DEFERRED);
    }
    assert_int_equal(b.jobs.alarm.told, 1);
}

static void empty_message(void **state)
{
    struct asked a;
    send_job(&a, 1, "bob@a.test", SPAN(""), 0);
    UNTIL(a.answered);
    assert_int_equal(a.outcome, IPC_OUTCOME_DELIVERED);
}

/* Sent faster than it can be written; the credit makes the sender wait. */
static void large_message(void **state)
{
    enum { PIECES = 600, SIZE = 60000 };
    static struct asked job, pieces[PIECES];
    char *bytes = malloc(SIZE), name[256];
    int sent = 0;

    for (int i = 0; i < SIZE; i++)
        bytes[i] = i % 60 == 58 ? '\r' : i % 60 == 59 ? '\n' : 'x';
    send_job(&job, 5, "bob@a.test", SPAN(""), (uint64_t)PIECES * SIZE);
    while (sent < PIECES) {
        struct ipc_message m = {.type = IPC_JOB_BODY, .job_body = {5, {bytes, SIZE}}};
        pieces[sent] = (struct asked){.call = {.fn = on_answer}};
        if (ipc_call(b.queue, &pieces[sent].call, &m) == 0)
            sent++;
        else
            io_loop_turn(b.loop);
    }
    UNTIL(job.answered);
    for (int i = 0; i < PIECES; i++)
        assert_true(pieces[i].answered);
    assert_int_equal(job.outcome, IPC_OUTCOME_DELIVERED);
    struct span file = scratch_only_file(b.scratch, "a.test/bob/new", name);
    size_t head = strlen("Return-Path: <al@c.test>\nDelivered-To: bob@a.test\nReceived: x\n");
    assert_int_equal(file.size, head + (size_t)PIECES * SIZE / 60 * 59);
    free((void *)file.data);
    free(bytes);
}

/* The queue can't go on, sends too much, or its channel ends: nothing stays in tmp/. */
static void large_message_that_breaks_off(void **state)
{
    struct asked job, piece, last;

    send_job(&job, 5, "bob@a.test", SPAN(""), 100);
    send_piece(&piece, 5, SPAN("Subject: half\r\n"));
    UNTIL(piece.answered);
    assert_int_equal(count("a.test/bob/tmp"), 1);
    send_piece(&last, 5, SPAN(""));
    UNTIL(job.answered && last.answered);
    assert_int_equal(job.outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(count("a.test/bob/tmp"), 0);

    send_job(&job, 6, "bob@a.test", SPAN(""), 10);
    send_piece(&piece, 6, SPAN("12345678901"));
    UNTIL(job.answered && piece.answered);
    assert_int_equal(job.outcome, IPC_OUTCOME_DEFERRED);
    assert_non_null(strstr(job.text, "more"));

    send_job(&job, 7, "bob@a.test", SPAN("first half"), 100);
    UNTIL(count("a.test/bob/tmp") == 1);
    ipc_channel_free(b.queue);
    b.queue = NULL;
    assert_true(job.failed);
    UNTIL(b.jobs.under_way == 0);
    assert_int_equal(count("a.test/bob/tmp"), 0);
    assert_int_equal(count("a.test/bob/new"), 0);

    connect_queue();
    send_job(&job, 8, "bob@a.test", SPAN("x"), 1);
    UNTIL(job.answered);
    assert_int_equal(job.outcome, IPC_OUTCOME_DELIVERED);
}

/* When no mailbox can take it, the answer doesn't wait for the rest of the message. */
static void large_message_for_a_full_mailbox(void **state)
{
    struct asked job, piece, late;

    maildir_set_quota(&b.maildir, 50);
    send_job(&job, 5, "bob@a.test", SPAN(""), 1000000);
    send_piece(&piece, 5, SPAN("Subject: x\r\n"));
    UNTIL(job.answered && piece.answered);
    assert_int_equal(job.outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(job.status, "5.2.3");
    send_piece(&late, 5, SPAN("more"));
    UNTIL(late.answered);
    assert_int_equal(b.jobs.under_way, 0);
}

static void too_many_large_messages(void **state)
{
    static struct asked jobs[JOBS_STREAMS_MAX + 1];

    for (unsigned i = 0; i <= JOBS_STREAMS_MAX; i++)
        send_job(&jobs[i], i, "bob@a.test", SPAN(""), 100);
    UNTIL(jobs[JOBS_STREAMS_MAX].answered);
    assert_int_equal(jobs[JOBS_STREAMS_MAX].outcome, IPC_OUTCOME_DEFERRED);
    assert_false(jobs[0].answered);
    ipc_channel_free(b.queue);
    b.queue = NULL;
    UNTIL(b.jobs.under_way == 0);
}

static void on_ended(void *owner)
{
    b.ended++;
}

/* What has begun to be committed is finished and answered, the rest is given back: no attempt of
 * its own, for the next process is there in a moment. */
static void end(void **state)
{
    struct asked stream, piece, whole, late;

    send_job(&stream, 5, "bob@a.test", SPAN(""), 100);
    send_piece(&piece, 5, SPAN("half"));
    UNTIL(piece.answered);
    send_job(&whole, 6, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.under_way == 2 || whole.answered);
    jobs_end(&b.jobs, on_ended, NULL);
    UNTIL(b.ended && stream.answered && whole.answered);
    assert_int_equal(stream.outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(count("a.test/bob/tmp"), 0);
    assert_int_equal(count("a.test/bob/new"), whole.outcome == IPC_OUTCOME_DELIVERED);
    send_job(&late, 7, "bob@a.test", SPAN("x"), 1);
    UNTIL(late.answered);
    assert_int_equal(late.outcome, IPC_OUTCOME_UNTRIED);
    assert_string_equal(late.status, "4.3.2");
}

/* More than the batches take at once: what waits for its turn is given back, too. */
static void who_waits_for_a_batch_is_given_back(void **state)
{
    enum { COUNT = 3 * JOBS_BATCH };
    static struct asked jobs[COUNT];
    unsigned delivered = 0, given_back = 0;

    for (unsigned i = 0; i < COUNT; i++)
        send_job(&jobs[i], i, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.under_way == COUNT || jobs[0].answered);
    jobs_end(&b.jobs, on_ended, NULL);
    UNTIL(b.ended);
    for (unsigned i = 0; i < COUNT; i++) {
        UNTIL(jobs[i].answered);
        delivered += jobs[i].outcome == IPC_OUTCOME_DELIVERED;
        given_back += jobs[i].outcome == IPC_OUTCOME_UNTRIED;
    }
    assert_int_equal(delivered + given_back, COUNT);
    assert_int_equal(count("a.test/bob/new"), delivered);
    assert_int_equal(b.jobs.deferred, 0);
}

/* The socket takes the answers bit by bit. With the end of the process they'd be lost. */
static void who_ends_has_told_all(void **state)
{
    enum { COUNT = 500 };
    static struct asked jobs[COUNT];
    const int little = 1;

    assert_int_equal(setsockopt(b.own_fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    for (unsigned i = 0; i < COUNT; i++)
        send_job(&jobs[i], i, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.under_way == COUNT || jobs[0].answered);
    jobs_end(&b.jobs, on_ended, NULL);
    UNTIL(b.ended);
    ipc_channel_free(b.jobs.queue);
    b.jobs.queue = NULL;
    UNTIL(b.lost);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(jobs[i].answered);
}

/* What was on its way when the queue heard that we end comes back untried; unread, it would be
 * taken for tried. */
static void who_ends_has_read_all(void **state)
{
    enum { COUNT = 20 };
    static struct asked late[COUNT];

    b.keeps_on = true;
    jobs_end(&b.jobs, on_ended, NULL);
    UNTIL(b.stop || b.ended);
    for (unsigned i = 0; i < COUNT; i++)
        send_job(&late[i], i, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.kept_count == COUNT || b.ended);
    assert_false(b.ended || late[0].answered);
    say_stopped();
    UNTIL(b.ended);
    ipc_channel_free(b.jobs.queue);
    b.jobs.queue = NULL;
    UNTIL(b.lost);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(late[i].answered);
        assert_int_equal(late[i].outcome, IPC_OUTCOME_UNTRIED);
    }
}

/* A disk that hangs: it has all threads of the pool until the gate is opened. */
static void wait_at_gate(struct io_job *work)
{
    char byte;
    while (read(b.gate[0], &byte, 1) < 0)
        continue;
}

static void pass_gate(struct io_job *work)
{
}

static void hang_disk(struct io_job stuck[3])
{
    for (int i = 0; i < 3; i++) {
        stuck[i] = (struct io_job){.run = wait_at_gate, .done = pass_gate};
        io_pool_submit(b.pool, &stuck[i]);
    }
}

/* The queue would send it again a second later, and again, as long as the disk hangs. */
static void who_comes_while_the_end_hangs_is_answered_at_the_end(void **state)
{
    struct asked first, stream, late, lost, large, piece;
    static struct io_job stuck[3];

    hang_disk(stuck);
    send_job(&first, 5, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.under_way == 1 && list_is_empty(&b.jobs.ready));
    send_job(&stream, 6, "bob@a.test", SPAN(""), 100);
    UNTIL(b.jobs.under_way == 2);
    jobs_end(&b.jobs, on_ended, NULL);
    send_job(&lost, 7, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.under_way == 3 || lost.answered);
    assert_false(lost.answered);

    /* A queue that was started anew sends it again: no more is kept than one queue has. */
    ipc_channel_free(b.queue);
    connect_queue();
    assert_int_equal(b.jobs.kept_count, 0);
    send_job(&late, 7, "bob@a.test", SPAN("x"), 1);
    send_job(&large, 8, "bob@a.test", SPAN("ha"), 100);
    send_piece(&piece, 8, SPAN("lf"));
    UNTIL(piece.answered); /* it holds no bytes and no credit */
    assert_false(late.answered || large.answered || b.ended);
    assert_int_equal(b.jobs.kept_count, 2);

    assert_int_equal(write(b.gate[1], "123", 3), 3);
    UNTIL(b.ended && late.answered && large.answered);
    assert_int_equal(late.outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(large.outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(b.jobs.under_way, 0);
    assert_int_equal(count("a.test/bob/new"), 1); /* the first, though nobody is told */
    assert_int_equal(count("a.test/bob/tmp"), 0);
}

/* A queue that sends again at once what was given back. */
struct stubborn {
    struct asked asked;
    uint64_t number;
    unsigned sent;
};

static void on_given_back(struct ipc_call *call, const struct ipc_message *reply);

static void send_stubbornly(struct stubborn *s)
{
    send_job(&s->asked, s->number, "bob@a.test", SPAN("x"), 1);
    s->asked.call.fn = on_given_back;
    s->sent++;
}

static void on_given_back(struct ipc_call *call, const struct ipc_message *reply)
{
    struct stubborn *s = CONTAINER_OF(call, struct stubborn, asked.call);

    on_answer(call, reply);
    if (reply && s->asked.outcome == IPC_OUTCOME_UNTRIED && !b.ended)
        send_stubbornly(s);
}

/* As under load: there is always something that came just now. */
static void who_goes_on_asking_does_not_put_off_the_end(void **state)
{
    enum { COUNT = 64 };
    static struct stubborn jobs[COUNT];
    static struct io_job stuck[3];
    struct asked first;

    hang_disk(stuck);
    send_job(&first, COUNT, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.jobs.under_way == 1 && list_is_empty(&b.jobs.ready));
    jobs_end(&b.jobs, on_ended, NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        jobs[i] = (struct stubborn){.number = i};
        send_stubbornly(&jobs[i]);
    }
    UNTIL(b.jobs.kept_count == COUNT);
    assert_int_equal(write(b.gate[1], "123", 3), 3);
    UNTIL(b.ended);
    for (unsigned i = 0; i < COUNT; i++)
        assert_in_range(jobs[i].sent, 1, 3);
}

static bool is_over(const struct asked *a)
{
    return a->answered || a->failed;
}

/* Delivered, or put off by nobody's fault; without an answer it may be either. */
static void assert_fate(const struct asked *a, unsigned *told)
{
    if (!a->answered)
        return;
    *told += a->outcome == IPC_OUTCOME_DELIVERED;
    if (a->outcome == IPC_OUTCOME_DELIVERED)
        return;
    assert_int_equal(a->outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a->scope, IPC_SCOPE_OURS);
}

static void deliver_short_of_memory(void)
{
    static struct asked small, large, piece, rest;
    static unsigned told, untold;

    ipc_channel_free(b.queue);
    connect_queue();
    send_job(&small, 1, "bob@a.test", SPAN("x"), 1);
    send_job(&large, 2, "bob@a.test", SPAN("ha"), 6);
    send_piece(&piece, 2, SPAN("lf"));
    send_piece(&rest, 2, SPAN("me"));
    failing_memory_arm();
    UNTIL(is_over(&small) && is_over(&large) && is_over(&piece) && is_over(&rest));
    failing_memory_rest();
    UNTIL(b.jobs.under_way == 0);
    assert_fate(&small, &told);
    assert_fate(&large, &told);
    untold += !small.answered + !large.answered;
    assert_in_range(count("a.test/bob/new"), told, told + untold);
    assert_int_equal(count("a.test/bob/tmp"), 0);
}

/* The process never ends for it: others' files may be in new/ and nobody told of them. */
static void memory_is_short(void **state)
{
    assert_true(failing_memory_each(deliver_short_of_memory) > 5);
}

static void on_outdated(void *owner)
{
    jobs_end(&b.jobs, on_ended, NULL);
}

static void replace_root(char away[static 300])
{
    snprintf(away, 300, "%s.away", b.scratch->path);
    assert_int_equal(rename(b.scratch->path, away), 0);
    assert_int_equal(mkdir(b.scratch->path, 0700), 0);
}

static void put_root_back(const char *away)
{
    assert_int_equal(rmdir(b.scratch->path), 0);
    assert_int_equal(rename(away, b.scratch->path), 0);
}

/* Of a small message and of a large one a thread finds it out. Neither was tried, what comes
 * meanwhile waits for the next process, and nothing goes into the old folder. */
static void another_folder_is_at_the_roots_path(void **state)
{
    struct asked small, large, late;
    static struct io_job stuck[3];
    char away[300];

    b.jobs.outdated = on_outdated;
    replace_root(away);
    hang_disk(stuck);
    send_job(&small, 5, "bob@a.test", SPAN("x"), 1);
    send_job(&large, 6, "bob@a.test", SPAN("half"), 100);
    UNTIL(b.jobs.under_way == 2);
    assert_int_equal(write(b.gate[1], "123", 3), 3);
    UNTIL(b.jobs.ending);
    send_job(&late, 7, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.ended && small.answered && large.answered);
    assert_int_equal(small.outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(large.outcome, IPC_OUTCOME_UNTRIED);
    UNTIL(late.answered);
    assert_int_equal(late.outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(b.jobs.alarm.told, 0);
    assert_int_equal(count(""), 0);
    put_root_back(away);
    assert_int_equal(count(""), 0);
}

/* The end would wait for the disk that hangs, and the mail for all other mailboxes with it. */
static void nobody_ends_for_another_folder_while_a_disk_hangs(void **state)
{
    struct job_work hanging = {.since_ms = io_loop_now_ms(b.loop) - JOBS_STUCK_MS - 1};
    struct asked small, large;
    char away[300];

    b.jobs.outdated = on_outdated;
    replace_root(away);
    list_append(&b.jobs.at_work, &hanging.link);
    assert_true(jobs_are_stuck(&b.jobs));
    send_job(&small, 5, "bob@a.test", SPAN("x"), 1);
    send_job(&large, 6, "bob@a.test", SPAN("half"), 100);
    UNTIL(small.answered && large.answered);
    assert_int_equal(small.outcome, IPC_OUTCOME_DEFERRED); /* untried it would be sent at once */
    assert_int_equal(small.scope, IPC_SCOPE_DESTINATION);
    assert_int_equal(large.outcome, IPC_OUTCOME_DEFERRED);
    assert_false(b.jobs.ending);
    assert_int_equal(b.jobs.alarm.told, 1);
    list_remove(&hanging.link);
    assert_false(jobs_are_stuck(&b.jobs));
    send_job(&small, 7, "bob@a.test", SPAN("x"), 1);
    UNTIL(b.ended && small.answered);
    assert_int_equal(small.outcome, IPC_OUTCOME_UNTRIED);
    put_root_back(away);
    assert_int_equal(count(""), 0);
}

/* A batch and a stream, whichever has its thread for too long. */
static void who_has_a_thread_for_long_is_stuck(void **state)
{
    static struct io_job stuck[3];
    const int64_t began_ms = io_loop_now_ms(b.loop);
    struct asked small, large;

    for (int i = 0; i < 2; i++) {
        hang_disk(stuck);
        if (i)
            send_job(&large, 6, "bob@a.test", SPAN("ha"), 100);
        else
            send_job(&small, 5, "bob@a.test", SPAN("x"), 1);
        UNTIL(!list_is_empty(&b.jobs.at_work));
        struct job_work *work = CONTAINER_OF(b.jobs.at_work.next, struct job_work, link);
        int64_t now_ms = io_loop_now_ms(b.loop);
        assert_in_range(work->since_ms, began_ms, now_ms);
        work->since_ms = now_ms - JOBS_STUCK_MS;
        assert_false(jobs_are_stuck(&b.jobs));
        work->since_ms--;
        assert_true(jobs_are_stuck(&b.jobs));
        assert_int_equal(write(b.gate[1], "123", 3), 3);
        UNTIL(list_is_empty(&b.jobs.at_work));
        assert_false(jobs_are_stuck(&b.jobs));
    }
    UNTIL(small.answered);
    assert_false(large.answered);
    ipc_channel_free(b.queue);
    b.queue = NULL;
    UNTIL(b.jobs.under_way == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(whole_jobs),
        TEST(unknown_domain),
        TEST(a_trouble_of_the_system_is_told_once_in_a_while),
        TEST(empty_message),
        TEST(large_message),
        TEST(large_message_that_breaks_off),
        TEST(large_message_for_a_full_mailbox),
        TEST(too_many_large_messages),
        TEST(end),
        TEST(who_waits_for_a_batch_is_given_back),
        TEST(who_ends_has_told_all),
        TEST(who_ends_has_read_all),
        TEST(who_comes_while_the_end_hangs_is_answered_at_the_end),
        TEST(who_goes_on_asking_does_not_put_off_the_end),
        TEST(another_folder_is_at_the_roots_path),
        TEST(nobody_ends_for_another_folder_while_a_disk_hangs),
        TEST(who_has_a_thread_for_long_is_stuck),
        TEST(memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
