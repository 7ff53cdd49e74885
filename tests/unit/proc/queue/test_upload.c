/* Large bodies, chunk by chunk: what waits for the spool, what is aborted, and what is no upload.
 */
#include "world.h"

#include "proc/queue/accept/peer.h"
#include "spool/lane.h"
#include <errno.h>
#include <stdio.h>

enum { CHUNKS_MAX = 200, UPLOAD = 4711 };

struct chunk {
    struct ipc_call call;
    struct world *world;
    bool answered;
    int error;
};

static struct chunk chunks[CHUNKS_MAX];

/* What the log has last. The linker puts this in its place (meson.build). */
static char logged[200];
void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(logged, sizeof(logged), format, args);
    va_end(args);
}
static size_t chunk_count;

/* How the spool fails; 0: it doesn't. */
static int spool_error;
int __real_spool_upload_append(struct spool_upload *upload, struct span bytes,
                               void (*done)(void *arg, int error), void *arg);
int __wrap_spool_upload_append(struct spool_upload *upload, struct span bytes,
                               void (*done)(void *arg, int error), void *arg);

int __wrap_spool_upload_append(struct spool_upload *upload, struct span bytes,
                               void (*done)(void *arg, int error), void *arg)
{
    return spool_error ? spool_error : __real_spool_upload_append(upload, bytes, done, arg);
}

static struct world *begin(void)
{
    struct world *w = world_new();
    chunk_count = 0;
    world_start(w);
    world_join_smtpd(w);
    world_join_mailbox(w);
    world_join_directory(w);
    return w;
}

static void on_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    struct chunk *c = CONTAINER_OF(call, struct chunk, call);
    c->answered = true;
    c->error = reply ? reply->upload_taken.error : -EPIPE;
}

/* Bytes `at`… of the body that world_byte() makes. */
static struct chunk *send_chunk(struct world *w, uint64_t upload, size_t at, size_t size)
{
    static char bytes[IPC_CHUNK_MAX];
    struct chunk *c = &chunks[chunk_count++];
    struct ipc_message m = {.type = IPC_UPLOAD_CHUNK,
                            .upload_chunk = {.upload = upload, .bytes = span_of(bytes, size)}};
    int r;

    assert_true(size <= sizeof(bytes) && chunk_count <= CHUNKS_MAX);
    for (size_t i = 0; i < size; i++)
        bytes[i] = world_byte(at + i);
    *c = (struct chunk){.call.fn = on_taken, .world = w};
    while ((r = ipc_call(w->smtpd, &c->call, &m)) == -EAGAIN)
        io_loop_turn(w->loop);
    assert_int_equal(r, 0);
    return c;
}

static bool is_taken(struct world *w, void *arg)
{
    return ((struct chunk *)arg)->answered;
}

static void abort_upload(struct world *w, uint64_t upload)
{
    struct ipc_message m = {.type = IPC_UPLOAD_ABORT, .upload_abort = {.upload = upload}};
    assert_int_equal(ipc_notify(w->smtpd, &m), 0);
}

/* So little that each chunk finds the one before it on its way. */
static void narrow(struct world *w)
{
    w->queue.spool->options.upload_bytes = 1;
    w->queue.spool->options.ahead_bytes = 0;
}

/* Commits what was sent, and compares what comes out at the mailbox. */
static void commit_and_compare(struct world *w, size_t size)
{
    struct world_commit c;

    world_send_upload(w, &c, "bob@here.example", UPLOAD, size);
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    world_until_delivered(w, 1);
    assert_int_equal(w->jobs[0].body.size, size);
    for (size_t i = 0; i < size; i++)
        if (w->jobs[0].body.data[i] != world_byte(i))
            fail_msg("byte %zu differs", i);
}

/* The spool says "later" to nearly each chunk: all come through, whole and in their order. */
static void chunks_wait_for_the_disk_in_their_order(void **state)
{
    enum { SIZE = 2 * 1000 * 1000 };
    struct world *w = begin();

    narrow(w);
    for (size_t at = 0; at < SIZE; at += IPC_CHUNK_MAX)
        send_chunk(w, UPLOAD, at, at + IPC_CHUNK_MAX < SIZE ? IPC_CHUNK_MAX : SIZE - at);
    world_until(w, is_taken, &chunks[chunk_count - 1]);
    for (size_t i = 0; i < chunk_count; i++) {
        assert_true(chunks[i].answered);
        assert_int_equal(chunks[i].error, 0);
    }
    commit_and_compare(w, SIZE);
    assert_int_equal(w->queue.spool->bulk_pending_bytes, 0);
    world_free(w);
}

/* A commit that overtook a chunk, or says another size than came: that body isn't the one that the
 * client sent. */
static void a_commit_of_another_size_is_rejected(void **state)
{
    static const struct {
        uint64_t upload;
        size_t size;
    } lies[] = {{UPLOAD, 999}, {UPLOAD, 1001}, {UPLOAD, 0}, {UPLOAD + 1, 1000}};
    struct world *w = begin();
    struct world_commit c;

    world_until(w, is_taken, send_chunk(w, UPLOAD, 0, 1000));
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        world_send_upload(w, &c, "bob@here.example", lies[i].upload, lies[i].size);
        world_until_answered(w, &c);
        if (c.result == IPC_COMMIT_ACCEPTED)
            fail_msg("lie %zu was believed", i);
    }
    commit_and_compare(w, 1000);
    assert_int_equal(w->job_count, 1);
    world_free(w);
}

static struct queue_peer *peer_of(struct world *w)
{
    return CONTAINER_OF(w->queue.peers.next, struct queue_peer, link);
}

/* An upload in the middle: chunks that the spool has but didn't write, or that wait for it. */
static void send_half(struct world *w, bool waits)
{
    narrow(w);
    if (!waits)
        w->queue.spool->options.upload_bytes = 32 << 20;
    for (size_t i = 0; i < 20; i++)
        send_chunk(w, UPLOAD, i * IPC_CHUNK_MAX, IPC_CHUNK_MAX);
    while (peer_of(w)->upload_count == 0)
        io_loop_turn(w->loop);
}

static void assert_nothing_left(struct world *w)
{
    world_rest(w);
    assert_int_equal(w->queue.spool->bulk_pending_bytes, 0);
    assert_true(list_is_empty(&w->queue.spool->uploads));
}

/* The client went away in the middle: all its chunks are answered, and nothing is left. */
static void an_abort_answers_all_and_frees_all(void **state)
{
    for (int waits = 0; waits < 2; waits++) {
        struct world *w = begin();
        unsigned canceled = 0;
        send_half(w, waits);
        abort_upload(w, UPLOAD);
        abort_upload(w, UPLOAD + 1); /* never heard of */
        world_until(w, is_taken, &chunks[chunk_count - 1]);
        for (size_t i = 0; i < chunk_count; i++) {
            assert_true(chunks[i].answered);
            assert_true(chunks[i].error == 0 || chunks[i].error == -ECANCELED);
            canceled += chunks[i].error == -ECANCELED;
        }
        assert_true(canceled > 0);
        assert_nothing_left(w);
        assert_int_equal(peer_of(w)->upload_count, 0);
        assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
        world_free(w);
    }
}

/* The process itself went away: nobody is answered, nothing is left. */
static void a_lost_smtpd_leaves_no_half_upload(void **state)
{
    for (int waits = 0; waits < 2; waits++) {
        struct world *w = begin();
        send_half(w, waits);
        ipc_channel_free(w->smtpd);
        w->smtpd = NULL;
        assert_nothing_left(w);
        assert_true(list_is_empty(&w->queue.peers));
        world_join_smtpd(w);
        assert_int_equal(world_commit(w, "bob@here.example"), IPC_COMMIT_ACCEPTED);
        world_free(w);
    }
}

/* Over the limit of size the rest isn't even written; the commit doesn't make it a message. */
static void what_is_over_the_limit_of_size_is_refused_at_once(void **state)
{
    struct world *w = begin();
    struct chunk *c;

    w->conf.message_size_max = 3 * IPC_CHUNK_MAX;
    for (size_t i = 0; i < 3; i++) {
        c = send_chunk(w, UPLOAD, i * IPC_CHUNK_MAX, IPC_CHUNK_MAX);
        world_until(w, is_taken, c);
        assert_int_equal(c->error, 0);
    }
    for (size_t i = 0; i < 2; i++) { /* sticky */
        c = send_chunk(w, UPLOAD, 0, 1);
        world_until(w, is_taken, c);
        assert_int_equal(c->error, -EMSGSIZE);
    }
    abort_upload(w, UPLOAD);
    world_rest(w);
    assert_true(list_is_empty(&w->queue.spool->uploads));
    world_free(w);
}

static void a_chunk_without_a_number_is_no_upload(void **state)
{
    struct world *w = begin();
    struct chunk *c = send_chunk(w, 0, 0, 100);

    world_until(w, is_taken, c);
    assert_int_equal(c->error, -EINVAL);
    assert_string_equal(logged, "a large message can't be taken: an smtpd gave it no number");
    assert_true(list_is_empty(&w->queue.spool->uploads));
    world_free(w);
}

/* Its own uploads are counted; another's aren't touched by that. */
static void a_peer_has_so_many_uploads_at_the_same_time(void **state)
{
    struct world *w = begin();
    struct chunk *c = send_chunk(w, UPLOAD, 0, 10);

    world_until(w, is_taken, c);
    struct queue_peer *peer = peer_of(w);
    assert_int_equal(peer->upload_count, 1);
    peer->upload_count = PEER_UPLOADS_MAX;
    c = send_chunk(w, UPLOAD + 1, 0, 10);
    world_until(w, is_taken, c);
    assert_int_equal(c->error, -EUSERS);
    assert_string_equal(logged,
                        "a large message can't be taken: an smtpd has too many at the same time");
    c = send_chunk(w, UPLOAD, 10, 10); /* the one that is there goes on */
    world_until(w, is_taken, c);
    assert_int_equal(c->error, 0);
    peer->upload_count = 1;
    world_free(w);
}

/* That isn't the smtpd's limit, and an administrator can mend it. */
static void who_finds_no_descriptors_says_so(void **state)
{
    struct world *w = begin();

    spool_error = -EMFILE;
    struct chunk *c = send_chunk(w, UPLOAD, 0, 10);
    world_until(w, is_taken, c);
    spool_error = 0;
    assert_int_equal(c->error, -EMFILE);
    assert_string_equal(logged, "a large message can't be taken: Too many open files");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_wait_for_the_disk_in_their_order),
        cmocka_unit_test(a_commit_of_another_size_is_rejected),
        cmocka_unit_test(an_abort_answers_all_and_frees_all),
        cmocka_unit_test(a_lost_smtpd_leaves_no_half_upload),
        cmocka_unit_test(what_is_over_the_limit_of_size_is_refused_at_once),
        cmocka_unit_test(a_chunk_without_a_number_is_no_upload),
        cmocka_unit_test(a_peer_has_so_many_uploads_at_the_same_time),
        cmocka_unit_test(who_finds_no_descriptors_says_so)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
