/*
 * Lives of the queue on a disk that forgets, tears and fails (tests/crash/store_sim.h). The oracle
 * stands outside: an smtpd that wrote down what was acknowledged, and a mailbox that wrote down
 * what it was given. Accepted means delivered in the end, whatever happened in between; and nothing
 * is delivered twice but what was under way when something died.
 */
#include "world.h"

#include "store_sim.h"
#include <pthread.h>
#include <stdlib.h>

/* ---- the disk, for several threads ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct store_ops *inner;

struct locked {
    struct store base;
    struct store *store;
};

static struct store *inner_of(struct store *store)
{
    return CONTAINER_OF(store, struct locked, base)->store;
}

#define LOCKED(type, call)                                                                         \
    pthread_mutex_lock(&lock);                                                                     \
    type result = inner->call;                                                                     \
    pthread_mutex_unlock(&lock);                                                                   \
    return result

static int locked_open_lane(struct store *store, bool read_only)
{
    LOCKED(int, open_lane(inner_of(store), read_only));
}

static int locked_list(struct store *store,
                       void (*found)(void *arg, const struct store_entry *entry), void *arg)
{
    LOCKED(int, list(inner_of(store), found, arg));
}

static int locked_create(struct store *store, enum store_kind kind, uint64_t number,
                         uint64_t size_bytes, struct store_segment **out)
{
    LOCKED(int, create_segment(inner_of(store), kind, number, size_bytes, out));
}

static int locked_open(struct store *store, enum store_kind kind, uint64_t number, bool read_only,
                       struct store_segment **out)
{
    LOCKED(int, open_segment(inner_of(store), kind, number, read_only, out));
}

static int locked_write(struct store_segment *segment, uint64_t offset, const struct iovec *parts,
                        int count)
{
    LOCKED(int, write(segment, offset, parts, count));
}

static int locked_sync(struct store_segment *segment)
{
    LOCKED(int, sync(segment));
}

static ssize_t locked_read(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                           int flags)
{
    LOCKED(ssize_t, read(segment, offset, buf, size, flags));
}

static int locked_recycle(struct store_segment *segment, uint64_t new_number)
{
    LOCKED(int, recycle(segment, new_number));
}

static int locked_remove(struct store_segment *segment)
{
    LOCKED(int, remove(segment));
}

static int locked_set_aside(struct store_segment *segment, const char *reason)
{
    LOCKED(int, set_aside(segment, reason));
}

static void locked_close_segment(struct store_segment *segment)
{
    pthread_mutex_lock(&lock);
    inner->close_segment(segment);
    pthread_mutex_unlock(&lock);
}

static int locked_put_file(struct store *store, const char *name, const struct iovec *parts,
                           int count)
{
    LOCKED(int, put_file(inner_of(store), name, parts, count));
}

static int locked_get_file(struct store *store, const char *name, uint64_t max_bytes,
                           void **out_data, size_t *out_size)
{
    LOCKED(int, get_file(inner_of(store), name, max_bytes, out_data, out_size));
}

static int locked_remove_file(struct store *store, const char *name)
{
    LOCKED(int, remove_file(inner_of(store), name));
}

static int locked_remove_files(struct store *store, const char *prefix, const char *but)
{
    LOCKED(int, remove_files(inner_of(store), prefix, but));
}

static int locked_space(struct store *store, struct store_space *out)
{
    LOCKED(int, space(inner_of(store), out));
}

static void locked_close(struct store *store)
{
    pthread_mutex_lock(&lock);
    inner->close(inner_of(store));
    pthread_mutex_unlock(&lock);
    free(CONTAINER_OF(store, struct locked, base));
}

static const struct store_ops locked_ops = {
    .open_lane = locked_open_lane,
    .list = locked_list,
    .create_segment = locked_create,
    .open_segment = locked_open,
    .write = locked_write,
    .sync = locked_sync,
    .read = locked_read,
    .recycle = locked_recycle,
    .remove = locked_remove,
    .set_aside = locked_set_aside,
    .close_segment = locked_close_segment,
    .put_file = locked_put_file,
    .get_file = locked_get_file,
    .remove_file = locked_remove_file,
    .remove_files = locked_remove_files,
    .space = locked_space,
    .close = locked_close,
};

static struct store *open_locked(struct store_sim *disk)
{
    struct locked *l = calloc(1, sizeof(*l));
    assert_non_null(l);
    l->base.ops = &locked_ops;
    l->store = store_sim_open(disk);
    inner = l->store->ops;
    return &l->base;
}

/* ---- what the outside wrote down ---- */

enum { MESSAGES_MAX = 3000, RECIPIENTS = 3, IN_FLIGHT = 128 * 8 };

struct message {
    struct world_commit commit;
    unsigned recipients;
    bool accepted;
    unsigned delivered[RECIPIENTS];
};

struct life {
    struct world *w;
    struct store_sim *disk;
    struct prng prng;
    struct message *messages;
    size_t count, settled; /* all before `settled` are answered and written down */
    unsigned deaths;
};

static void on_delivery(void *arg, const struct id *id, uint32_t index)
{
    struct life *life = arg;
    for (size_t i = life->count; i-- > 0;)
        if (id_equal(&life->messages[i].commit.id, id)) {
            assert_in_range(index, 0, life->messages[i].recipients - 1);
            life->messages[i].delivered[index]++;
            return;
        }
    fail_msg("a message was delivered that nobody sent");
}

static void write_down(struct life *life)
{
    for (size_t i = 0; i < life->count; i++) {
        struct message *m = &life->messages[i];
        m->accepted |=
            m->commit.answered && !m->commit.lost && m->commit.result == IPC_COMMIT_ACCEPTED;
    }
}

/* ---- what happens ---- */

static void send_one(struct life *life)
{
    static const char *const lists[] = {"a@here.example", "a@here.example b@here.example",
                                        "a@here.example b@here.example c@here.example"};
    if (life->count == MESSAGES_MAX || !life->w->smtpd)
        return;
    struct message *m = &life->messages[life->count++];
    size_t list = prng_below(&life->prng, RECIPIENTS);
    m->recipients = (unsigned)list + 1;
    if (prng_chance(&life->prng, 500))
        world_send_large(life->w, &m->commit, lists[list], 70000 + prng_below(&life->prng, 200000));
    else
        world_send(life->w, &m->commit, "s@far.example", lists[list], SPAN("hello\r\n"));
}

static void answer_silent_jobs(struct life *life)
{
    static const enum world_mailbox moods[] = {MAILBOX_DELIVERS, MAILBOX_DELIVERS, MAILBOX_DEFERS,
                                               MAILBOX_IS_FULL};
    for (size_t i = 0; i < life->w->job_count && life->w->mailbox; i++) {
        struct world_job *job = &life->w->jobs[i];
        if (!job->answered && job->body.size == job->size_bytes)
            world_answer(life->w, job, moods[prng_below(&life->prng, ARRAY_SIZE(moods))]);
    }
}

static void lose_mailbox(struct life *life)
{
    life->deaths++;
    ipc_channel_free(life->w->mailbox);
    life->w->mailbox = NULL;
    for (size_t i = 0; i < life->w->job_count; i++)
        life->w->jobs[i].answered = true; /* nobody is there to hear it */
}

/* An administrator meddles, and doesn't wait for the answer. What he holds is released in the end.
 */
static void meddle(struct life *life)
{
    static const enum ipc_queue_act_kind kinds[] = {IPC_ACT_HOLD, IPC_ACT_RELEASE, IPC_ACT_RETRY,
                                                    IPC_ACT_REROUTE};
    static const char *const recipients[] = {"a@here.example", "b@here", ""};
    static const char *const hops[] = {"smtp:gate.example", "mx:other.example", "mx"};
    struct ipc_call call = {.fn = NULL};
    struct prng *prng = &life->prng;
    const struct ipc_message m = {
        .type = IPC_QUEUE_ACT,
        .queue_act = {.act = (uint8_t)kinds[prng_below(prng, ARRAY_SIZE(kinds))],
                      .filter = {.sender = SPAN("s@far.example"),
                                 .recipient = span_from_cstr(
                                     recipients[prng_below(prng, ARRAY_SIZE(recipients))])},
                      .index = UINT32_MAX,
                      .next_hop = span_from_cstr(hops[prng_below(prng, ARRAY_SIZE(hops))])}};

    if (prng_chance(prng, 3000))
        world_join_admin(life->w); /* the old one went away */
    if (ipc_call(life->w->admin, &call, &m) == 0)
        ipc_call_cancel(&call);
}

static void act(struct life *life)
{
    static const enum world_mailbox moods[] = {MAILBOX_DELIVERS, MAILBOX_DELIVERS,
                                               MAILBOX_IS_SILENT, MAILBOX_DEFERS, MAILBOX_IS_FULL};
    struct world *w = life->w;
    uint64_t dice = prng_below(&life->prng, 1000);
    if (dice < 600) {
        send_one(life);
    } else if (dice < 640) {
        w->mailbox_does = moods[prng_below(&life->prng, ARRAY_SIZE(moods))];
    } else if (dice < 700) {
        answer_silent_jobs(life);
    } else if (dice < 705) {
        lose_mailbox(life);
    } else if (dice < 720 && !w->mailbox) {
        world_join_mailbox(w);
    } else if (dice < 725) {
        write_down(life);
        world_join_smtpd(w); /* the old one's commits are lost */
    } else if (dice < 735) {
        meddle(life);
    } else if (w->job_count < WORLD_JOBS_MAX - IN_FLIGHT) {
        for (int i = 0; i < 3; i++)
            assert_int_equal(io_loop_turn(w->loop), 0);
    }
}

static void start(struct life *life)
{
    store_sim_set_faults(life->disk, &(struct store_sim_faults){0});
    life->w->store = open_locked(life->disk);
    world_start(life->w);
    world_join_smtpd(life->w);
    world_join_mailbox(life->w);
    world_join_smtp(life->w);
    world_join_admin(life->w);
    life->w->book_folds = true;
    world_join_book(life->w);
}

/* Faults come and go while it lives; then it dies in the middle of something. */
static void live_and_die(struct life *life)
{
    static const struct store_sim_faults faults = {.write_error = 30,
                                                   .write_full = 30,
                                                   .sync_error = 30,
                                                   .create_error = 500,
                                                   .directory_error = 500,
                                                   .file_error = 500};
    start(life);
    if (prng_chance(&life->prng, 5000)) {
        pthread_mutex_lock(&lock);
        store_sim_set_faults(life->disk, &faults);
        pthread_mutex_unlock(&lock);
    }
    for (int i = 0; i < 400; i++)
        act(life);
    pthread_mutex_lock(&lock);
    store_sim_stop(life->disk);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 3; i++)
        assert_int_equal(io_loop_turn(life->w->loop), 0);
    write_down(life);
    life->deaths++;
    world_kill(life->w);
    store_sim_restart(life->disk,
                      prng_chance(&life->prng, 5000) ? STORE_SIM_KILLED : STORE_SIM_POWER_CUT);
}

/* What is held then (the mutants' damaged messages) was not delivered: judge() counts it. */
static bool is_at_rest(struct world *w, void *arg)
{
    struct sched_counters c;
    sched_count(w->queue.sched, &c);
    return c.counts[SCHED_PAUSED] + c.counts[SCHED_READY] + c.counts[SCHED_ACTIVE] == 0 &&
           w->queue.settling == 0 && list_is_empty(&w->queue.unsettled);
}

static void release_all(struct world *w)
{
    struct ipc_message ask = {.type = IPC_QUEUE_ACT,
                              .queue_act = {.act = IPC_ACT_RELEASE,
                                            .filter.sender = SPAN("s@far.example"),
                                            .index = UINT32_MAX}};

    world_ask(w, &ask);
    ask.type = IPC_QUEUE_ACT_MORE;
    while (!w->reply.queue_acted.last)
        world_ask(w, &ask);
}

static void end_well(struct life *life)
{
    start(life);
    life->w->mailbox_does = MAILBOX_DELIVERS;
    release_all(life->w);
    world_until(life->w, is_at_rest, NULL);
}

/* How many recipients of accepted messages never got theirs. */
static size_t judge(struct life *life)
{
    size_t accepted = 0, duplicates = 0, lost = 0;
    for (size_t i = 0; i < life->count; i++) {
        struct message *m = &life->messages[i];
        accepted += m->accepted;
        for (unsigned r = 0; r < m->recipients; r++) {
            lost += m->accepted && m->delivered[r] == 0;
            duplicates += m->delivered[r] > 1 ? m->delivered[r] - 1 : 0;
        }
    }
    print_message("%zu sent, %zu accepted, %zu lost, %zu duplicates, %u deaths\n", life->count,
                  accepted, lost, duplicates, life->deaths);
    assert_in_range(duplicates, 0, life->deaths * IN_FLIGHT);
    return lost;
}

static size_t one_life(uint64_t seed, unsigned mutants)
{
    struct life life = {.w = world_new(),
                        .disk = store_sim_new(seed),
                        .prng = {seed},
                        .messages = calloc(MESSAGES_MAX, sizeof(struct message))};
    assert_non_null(life.messages);
    print_message("seed %llu: ", (unsigned long long)seed);
    store_sim_set_mutants(life.disk, mutants);
    life.w->on_delivery = on_delivery;
    life.w->on_delivery_arg = &life;
    life.w->conf.segment_size = 1 << 20;
    life.w->conf.retry_first_ms = 20;
    life.w->conf.retry_max_ms = 100;
    for (int i = 0; i < 5; i++)
        live_and_die(&life);
    end_well(&life);
    size_t lost = judge(&life);
    world_free(life.w);
    store_sim_free(life.disk);
    free(life.messages);
    return lost;
}

static void accepted_is_delivered_whatever_happens(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        assert_int_equal(one_life(seed, 0), 0);
}

/* The oracle must see what a broken server does: here the disk that never syncs; and the same
 * program with a queue that answers before the seal (mutant early-reply, meson.build). */
static void loss_is_seen(unsigned mutants)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        if (one_life(seed, mutants) > 0)
            return;
    fail_msg("no seed showed a loss: the oracle is blind");
}

static void a_disk_without_sync_is_caught(void **state)
{
    loss_is_seen(STORE_SIM_NO_LOG_SYNC);
}

static void an_early_reply_is_caught(void **state)
{
    loss_is_seen(0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted_is_delivered_whatever_happens),
                                       cmocka_unit_test(a_disk_without_sync_is_caught)};
    const struct CMUnitTest mutant[] = {cmocka_unit_test(an_early_reply_is_caught)};
    if (argc > 1 && strcmp(argv[1], "--mutant") == 0)
        return cmocka_run_group_tests(mutant, NULL, NULL);
    if (argc > 1) /* one seed, by hand */
        return one_life(strtoull(argv[1], NULL, 10), 0) > 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
