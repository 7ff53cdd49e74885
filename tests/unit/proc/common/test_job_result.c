#include "../../failing_memory.h"
#include "../../unit.h"

#include "proc/common/job_result.h"
#include <sys/socket.h>

enum { JOBS = 32 };

static struct {
    struct ipc_channel *queue, *carrier;
    uint64_t tokens[JOBS];
    size_t token_count;
    unsigned answers, lost;
    struct ipc_job_outcome last;
    char status[16];
    size_t text_bytes, host_bytes, mx_set_bytes;
} b;

static void on_job(void *owner, const struct ipc_arrival *arrival)
{
    b.tokens[b.token_count++] = arrival->token;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    *(channel == b.queue ? &b.queue : &b.carrier) = NULL;
    ipc_channel_free(channel);
    b.lost++;
}

static const struct ipc_handler handlers[] = {{IPC_JOB, on_job}};
static const struct ipc_role carrier_role = {
    .peer_name = "queue", .handlers = handlers, .handler_count = 1, .lost = on_lost};
static const struct ipc_role queue_role = {.peer_name = "carrier", .lost = on_lost};

static void on_result(struct ipc_call *call, const struct ipc_message *m)
{
    if (!m)
        return;
    assert_int_equal(m->job_result.outcome_count, 1);
    b.answers++;
    b.last = m->job_result.outcomes[0];
    memcpy(b.status, b.last.status.data, b.last.status.size);
    b.text_bytes = b.last.text.size;
    b.host_bytes = b.last.host.size;
    b.mx_set_bytes = m->job_result.mx_set.size;
}

static void turns(struct io_loop *loop)
{
    for (int i = 0; i < 20; i++)
        io_loop_turn(loop);
}

static struct io_loop *connect_both(void)
{
    struct io_loop *loop;
    int fds[2];

    memset(&b, 0, sizeof(b));
    assert_int_equal(io_loop_new(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(ipc_channel_new(loop, fds[0], &queue_role, NULL, &b.queue), 0);
    assert_int_equal(ipc_channel_new(loop, fds[1], &carrier_role, NULL, &b.carrier), 0);
    return loop;
}

static void part_both(struct io_loop *loop)
{
    ipc_channel_free(b.queue);
    ipc_channel_free(b.carrier);
    io_loop_free(loop);
}

static void answer(struct ipc_job_outcome outcome, size_t mx_set_bytes)
{
    static char text[IPC_MX_SET_MAX + 1];
    struct ipc_message job = {.type = IPC_JOB},
                       result = {.type = IPC_JOB_RESULT,
                                 .job_result = {.outcomes = &outcome,
                                                .outcome_count = 1,
                                                .mx_set = span_of(text, mx_set_bytes)}};
    struct ipc_call call = {.fn = on_result};
    struct io_loop *loop = connect_both();

    assert_int_equal(ipc_call(b.queue, &call, &job), 0);
    turns(loop);
    job_result_send(b.carrier, b.tokens[0], &result);
    turns(loop);
    assert_false(ipc_call_is_pending(&call));
    part_both(loop);
}

static const struct ipc_job_outcome uncertain = {.index = 7,
                                                 .outcome = IPC_OUTCOME_UNCERTAIN,
                                                 .scope = IPC_SCOPE_RECIPIENT,
                                                 .status = {"4.4.2", 5},
                                                 .text = {"it closed", 9},
                                                 .host = {"mx.test", 7}};

static void what_fits_is_told(void **state)
{
    answer(uncertain, IPC_MX_SET_MAX);
    assert_int_equal(b.answers, 1);
    assert_int_equal(b.text_bytes, 9);
    assert_int_equal(b.host_bytes, 7);
    assert_int_equal(b.mx_set_bytes, IPC_MX_SET_MAX);
}

/* The outcome is told all the same: the queue would wait for ever. */
static void a_text_too_long_costs_the_texts_only(void **state)
{
    static char text[IPC_TEXT_MAX + 1];
    struct ipc_job_outcome host = uncertain, words = uncertain;

    host.host = words.text = span_of(text, sizeof(text));
    for (int i = 0; i < 3; i++) {
        answer(i == 0 ? host : i == 1 ? words : uncertain, i == 2 ? IPC_MX_SET_MAX + 1 : 3);
        assert_int_equal(b.answers, 1);
        assert_int_equal(b.lost, 0);
        assert_int_equal(b.last.index, 7);
        assert_int_equal(b.last.outcome, IPC_OUTCOME_UNCERTAIN);
        assert_int_equal(b.last.scope, IPC_SCOPE_RECIPIENT);
        assert_string_equal(b.status, "4.4.2");
        assert_int_equal(b.host_bytes, 0);
        assert_int_equal(b.mx_set_bytes, 0);
    }
}

/* What can't be told at all ends the channel: then the queue knows. */
static void no_answer_is_no_silence(void **state)
{
    struct ipc_job_outcome impossible = uncertain;

    impossible.outcome = UINT8_MAX;
    answer(impossible, 0);
    assert_int_equal(b.answers, 0);
    assert_int_equal(b.lost, 2);
}

static size_t told, told_texts;

static void on_some_result(struct ipc_call *call, const struct ipc_message *m)
{
    if (!m)
        return;
    told += m->job_result.outcome_count;
    for (size_t i = 0; i < m->job_result.outcome_count; i++)
        told_texts += m->job_result.outcomes[i].text.size > 100;
}

/* So many jobs end in one turn, each with so many outcomes, and no allocation is given any more. */
static void answer_without_memory(size_t jobs, size_t outcomes)
{
    static struct ipc_job_outcome list[IPC_JOB_RECIPIENTS_MAX];
    static char text[150];
    struct ipc_message job = {.type = IPC_JOB};
    struct ipc_call calls[JOBS] = {0};
    struct io_loop *loop = connect_both();

    for (size_t i = 0; i < jobs; i++) {
        calls[i].fn = on_some_result;
        assert_int_equal(ipc_call(b.queue, &calls[i], &job), 0);
    }
    turns(loop);
    assert_int_equal(b.token_count, jobs);
    failing_memory.countdown = 0;
    failing_memory.fails_on = true;
    failing_memory_arm();
    for (size_t i = 0; i < jobs; i++) {
        struct ipc_message result = {
            .type = IPC_JOB_RESULT,
            .job_result = {.outcomes = list, .outcome_count = (uint32_t)outcomes}};
        for (size_t k = 0; k < outcomes; k++) {
            list[k] = uncertain;
            list[k].text = span_of(text, sizeof(text));
        }
        job_result_send(b.carrier, b.tokens[i], &result);
    }
    failing_memory_rest();
    failing_memory.countdown = -1;
    told = told_texts = 0;
    turns(loop);
    assert_int_equal(b.lost, 0);
    assert_int_equal(told, jobs * outcomes);
    part_both(loop);
}

/* Else the channel would be lost, and all that the jobs' stations took would be sent again. */
static void every_answer_finds_room(void **state)
{
    answer_without_memory(JOBS, 1);
    assert_int_equal(told_texts, JOBS);
    answer_without_memory(2, IPC_JOB_RECIPIENTS_MAX);
    assert_int_equal(told_texts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_told), cmocka_unit_test(a_text_too_long_costs_the_texts_only),
        cmocka_unit_test(no_answer_is_no_silence), cmocka_unit_test(every_answer_finds_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
