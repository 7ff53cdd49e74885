#include "life.h"

#include "../../fuzz/fuzz_world.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { REST_TURNS = 30, TURNS_MAX = 20000 };

void life_say(struct life *life, const char *format, ...)
{
    va_list arguments;

    if (!life->verbose)
        return;
    printf("%u.%u ", life->number, life->turns);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* ---- time and threads ---- */

static void run_pool(struct life *life, struct io_pool *pool)
{
    for (uint64_t n = prng_below(&life->prng, 4); n > 0 && fuzz_pool_run(pool); n--)
        ;
    for (uint64_t n = prng_below(&life->prng, 4); n > 0 && fuzz_pool_finish(pool); n--)
        ;
}

static void work(struct life *life)
{
    if (prng_chance(&life->prng, life->slowness))
        return;
    LIST_EACH(&fuzz_world.pools, link)
    {
        run_pool(life, CONTAINER_OF(link, struct io_pool, link));
    }
}

/* Answers are looked at before threads go on: they mustn't say what only these will do. */
void life_turn(struct life *life)
{
    life->turns++;
    while (fuzz_world_ring())
        ;
    if (life->world->closed) /* the loop is left */
        return;
    assert_int_equal(io_loop_turn(life->world->loop), 0);
    log_read(life);
    senders_look(life);
    work(life);
}

static void on_turn(struct world *w)
{
    life_turn(w->player);
}

void life_pass(struct life *life, int64_t ms)
{
    fuzz_world.passed_us += ms * 1000;
}

static bool is_at_work(const struct life *life)
{
    LIST_EACH(&fuzz_world.pools, link)
    {
        const struct io_pool *pool = CONTAINER_OF(link, struct io_pool, link);
        if (!list_is_empty(&pool->waiting) || !list_is_empty(&pool->finished))
            return true;
    }
    return !committer_is_idle(&life->world->queue.committer);
}

void life_rest(struct life *life)
{
    unsigned slowness = life->slowness;

    life->slowness = 0;
    for (int i = 0, quiet = 0; i < TURNS_MAX && quiet < REST_TURNS; i++) {
        life_turn(life);
        quiet = is_at_work(life) ? 0 : quiet + 1;
    }
    life->slowness = slowness;
    carriers_were_heard(life);
}

/* ---- the disk ---- */

void life_set_faults(struct life *life, bool on)
{
    static const struct store_sim_faults faults = {.write_error = 300,
                                                   .write_full = 300,
                                                   .sync_error = 600,
                                                   .create_error = 1000,
                                                   .directory_error = 1000,
                                                   .file_error = 1000};

    store_sim_set_faults(life->disk, on ? &faults : &(struct store_sim_faults){0});
    life->faulty = on;
    life->was_faulty |= on;
    life->broken[life->number] |= on;
    life->statistics.faulty += on;
}

/* ---- configuration ---- */

void life_reconfigure(struct life *life)
{
    static struct conf_queue_route routes[] = {
        {{"far.test", 8}, {"host:relay.example:25", 21}, true},
        {{"other.test", 10}, {"host:other.example:2525", 23}, false}};
    struct conf_queue *conf = &life->world->conf;
    size_t first = prng_below(&life->prng, ARRAY_SIZE(routes));

    conf->routes = routes + first;
    conf->route_count = prng_below(&life->prng, ARRAY_SIZE(routes) - first + 1);
    assert_int_equal(queue_reconfigure(&life->world->queue, conf), 0);
    life_say(life, "%zu routes from now on", conf->route_count);
}

/* Some senders are told of all that may be told, and mail is given up within a few turns. */
static void configure(struct conf_queue *conf, uint64_t seed)
{
    conf->segment_size = 1 << 20;
    conf->delay_notice_ms = 4 * 3600 * 1000;
    conf->give_up_ms = (seed % 3 ? 8 : 96) * 3600 * 1000;
    conf->postmaster = SPAN("user-postmaster@here.example");
    conf->double_bounce = seed % 2 ? CONF_DOUBLE_BOUNCE_POSTMASTER : CONF_DOUBLE_BOUNCE_BOOK;
    conf->receipts = seed % 5 ? CONF_RECEIPTS_ALL : CONF_RECEIPTS_OWN;
}

/* ---- life and death ---- */

void life_begin(struct life *life, uint64_t seed, unsigned mutants, bool verbose)
{
    fuzz_world_begin();
    *life = (struct life){.prng = {seed}, .verbose = verbose};
    notes_init(&life->notes);
    list_init(&life->sent);
    list_init(&life->asked);
    life->disk = store_sim_new(seed);
    store_sim_set_mutants(life->disk, mutants);
    life->world = world_new();
    life->world->player = life;
    life->world->on_turn = on_turn;
    configure(&life->world->conf, seed);
    fuzz_world.random = seed;
}

void life_free(struct life *life)
{
    log_close(life);
    world_remove(life->world);
    store_sim_free(life->disk);
    notes_done(&life->notes);
}

/* A start may be cut as well. */
static void start_queue(struct life *life)
{
    uint64_t cut = prng_chance(&life->prng, 2000) ? 1 + prng_below(&life->prng, 40) : 0;

    for (;;) {
        life->world->store = store_sim_open(life->disk);
        store_sim_stop_after(life->disk, cut);
        int r = world_try_start(life->world);
        if (r == 0 && !store_sim_stopped(life->disk))
            break;
        assert_true(store_sim_stopped(life->disk));
        if (r == 0)
            world_kill(life->world);
        life_say(life, "its start is cut");
        life->statistics.crashes++;
        store_sim_restart(life->disk, STORE_SIM_POWER_CUT);
        cut = 0;
    }
    store_sim_stop_after(life->disk, 0);
}

void life_start(struct life *life)
{
    life->number++;
    assert_true(life->number < LIVES_MAX);
    life_set_faults(life, false);
    life->was_faulty = false;
    life->world->closed = false;
    life->slowness = (unsigned)prng_below(&life->prng, 9000);
    start_queue(life);
    id_maker_init(&life->world->queue.returns->ids, WORLD_ORIGIN + 1,
                  (uint32_t)prng_next(&life->prng)); /* as main.c does */
    life->runs = true;
    senders_join(life);
    for (unsigned i = 0; i < CARRIERS_PLAYED; i++)
        carriers_join(life, i);
    senders_join_report(life);
    world_join_directory(life->world);
    world_join_book(life->world);
    admin_join(life);
    life_say(life, "started");
}

static void leave(struct life *life)
{
    admin_leave(life);
    for (unsigned i = 0; i < CARRIERS_PLAYED; i++)
        carriers_leave(life, i);
    senders_leave_report(life);
    senders_leave(life);
    world_kill(life->world);
    log_close(life);
    life->runs = false;
}

void life_crash(struct life *life, bool power_cut)
{
    life_say(life, power_cut ? "the power is cut" : "it is killed");
    life->statistics.crashes++;
    life->broken[life->number] = true;
    store_sim_stop(life->disk);
    leave(life);
    store_sim_restart(life->disk, power_cut ? STORE_SIM_POWER_CUT : STORE_SIM_KILLED);
}

void life_end(struct life *life)
{
    life_say(life, "it is told to end");
    life->statistics.ends++;
    life_set_faults(life, false);
    world_close(life->world);
    for (int i = 0; i < TURNS_MAX && !life->world->closed && !store_sim_stopped(life->disk); i++) {
        carriers_answer(life, false);
        life_turn(life);
        life_pass(life, 1);
    }
    if (store_sim_stopped(life->disk)) { /* it died on the way */
        life_crash(life, prng_chance(&life->prng, 5000));
        return;
    }
    if (!life->world->closed)
        notes_fail(&life->notes, "it doesn't end");
    log_read(life);
    carriers_were_heard(life);
    judge_end(life);
    leave(life);
}
