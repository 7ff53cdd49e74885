#include "store_contract.h"

#include "store_sim.h"
#include <errno.h>
#include <stdlib.h>

enum { SEGMENT = 32 * 1024 };

struct rig {
    struct store_sim *sim;
    struct store *store;
    struct store_segment *segment;
};

static struct rig rig_new(uint64_t seed)
{
    struct rig rig = {.sim = store_sim_new(seed)};
    rig.store = store_sim_open(rig.sim);
    assert_int_equal(rig.store->ops->open_lane(rig.store, false), 0);
    assert_int_equal(rig.store->ops->create_segment(rig.store, STORE_LOG, 1, SEGMENT, &rig.segment),
                     0);
    return rig;
}

static void rig_close(struct rig *rig)
{
    rig->store->ops->close_segment(rig->segment);
    rig->store->ops->close(rig->store);
}

static void rig_done(struct rig *rig)
{
    rig_close(rig);
    store_sim_free(rig->sim);
}

/* Crash, restart, and the same segment again. */
static void rig_crash(struct rig *rig, enum store_sim_restart how)
{
    store_sim_stop(rig->sim);
    rig_close(rig);
    store_sim_restart(rig->sim, how);
    rig->store = store_sim_open(rig->sim);
    assert_int_equal(rig->store->ops->open_lane(rig->store, false), 0);
    assert_int_equal(rig->store->ops->open_segment(rig->store, STORE_LOG, 1, false, &rig->segment),
                     0);
}

static int fill(struct rig *rig, uint64_t offset, char byte, size_t size)
{
    char *data = malloc(size);
    memset(data, byte, size);
    int r = rig->store->ops->write(rig->segment, offset, &(struct iovec){data, size}, 1);
    free(data);
    return r;
}

/* How many of `size` bytes at `offset` are `byte`. */
static size_t count_bytes(struct rig *rig, uint64_t offset, char byte, size_t size, int flags)
{
    char *data = malloc(size);
    size_t count = 0;
    assert_int_equal(rig->store->ops->read(rig->segment, offset, data, size, flags), size);
    for (size_t i = 0; i < size; i++)
        count += data[i] == byte;
    free(data);
    return count;
}

static struct store *open_sim(void *arg)
{
    return store_sim_open(arg);
}

static void contract(void **state)
{
    struct store_sim *sim = store_sim_new(1);
    store_contract_run(&(struct store_contract){open_sim, sim});
    store_sim_free(sim);
}

/* Synced bytes survive when they share no sector with newer ones; over the seeds, unsynced ones do
 * so wholly, in part and not at all, in units of sectors or as bytes that nobody wrote. */
static void power_cut_harms_the_unsynced(void **state)
{
    unsigned all = 0, none = 0, torn = 0, garbled = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct rig rig = rig_new(seed);
        assert_int_equal(fill(&rig, 0, 'a', 3072), 0);
        assert_int_equal(rig.store->ops->sync(rig.segment), 0);
        assert_int_equal(fill(&rig, 3072, 'b', 10000), 0);
        rig_crash(&rig, STORE_SIM_POWER_CUT);
        assert_int_equal(count_bytes(&rig, 0, 'a', 3072, 0), 3072);
        size_t kept = count_bytes(&rig, 3072, 'b', 10000, 0);
        size_t lost = count_bytes(&rig, 3072, 0, 10000, 0);
        all += kept == 10000;
        none += lost == 10000;
        torn += kept > 0 && lost > 0;
        garbled += kept + lost < 10000 - 100;
        rig_done(&rig);
    }
    assert_true(all > 5 && none > 5 && torn > 5 && garbled > 5);
}

static void kill_keeps_the_page_cache(void **state)
{
    struct rig rig = rig_new(3);
    assert_int_equal(fill(&rig, 0, 'a', 5000), 0);
    rig_crash(&rig, STORE_SIM_KILLED);
    assert_int_equal(count_bytes(&rig, 0, 'a', 5000, 0), 5000);
    assert_int_equal(count_bytes(&rig, 0, 'a', 5000, STORE_READ_DIRECT), 0);
    assert_int_equal(rig.store->ops->sync(rig.segment), 0);
    rig_crash(&rig, STORE_SIM_POWER_CUT);
    assert_int_equal(count_bytes(&rig, 0, 'a', 5000, 0), 5000);
    rig_done(&rig);
}

/* What makes a retried fsync a liar: the second one succeeds, the page cache agrees, the disk
 * doesn't have it. */
static void failed_sync_is_forgotten(void **state)
{
    unsigned lied = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct rig rig = rig_new(seed);
        assert_int_equal(fill(&rig, 0, 'a', 5000), 0);
        store_sim_set_faults(rig.sim, &(struct store_sim_faults){.sync_error = 10000});
        assert_int_equal(rig.store->ops->sync(rig.segment), -EIO);
        store_sim_set_faults(rig.sim, &(struct store_sim_faults){0});
        assert_int_equal(rig.store->ops->sync(rig.segment), 0);
        assert_int_equal(count_bytes(&rig, 0, 'a', 5000, 0), 5000);
        size_t on_disk = count_bytes(&rig, 0, 'a', 5000, STORE_READ_DIRECT);
        rig_crash(&rig, STORE_SIM_POWER_CUT);
        assert_int_equal(count_bytes(&rig, 0, 'a', 5000, 0), on_disk);
        lied += on_disk < 5000;
        rig_done(&rig);
    }
    assert_true(lied > 10);
}

static void evicted_pages_show_the_disk(void **state)
{
    struct rig rig = rig_new(1);
    size_t on_disk = 5000;
    for (int i = 0; i < 100 && on_disk == 5000; i++) {
        assert_int_equal(fill(&rig, 0, 'a' + i % 26, 5000), 0);
        store_sim_set_faults(rig.sim, &(struct store_sim_faults){.sync_error = 10000});
        assert_int_equal(rig.store->ops->sync(rig.segment), -EIO);
        on_disk = count_bytes(&rig, 0, 'a' + i % 26, 5000, STORE_READ_DIRECT);
        assert_int_equal(fill(&rig, 8192, '!', 100), 0);
        store_sim_set_faults(rig.sim, &(struct store_sim_faults){.evict = 10000});
        assert_int_equal(count_bytes(&rig, 0, 'a' + i % 26, 5000, 0), on_disk);
        assert_int_equal(count_bytes(&rig, 8192, '!', 100, 0), 100); /* dirty pages stay */
    }
    assert_true(on_disk < 5000);
    rig_done(&rig);
}

static void write_faults_leave_a_part(void **state)
{
    struct rig rig = rig_new(5);
    unsigned part = 0;
    static const struct {
        struct store_sim_faults faults;
        int error;
    } cases[] = {{{.write_error = 10000}, -EIO}, {{.write_full = 10000}, -ENOSPC}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (int round = 0; round < 20; round++) {
            store_sim_set_faults(rig.sim, &(struct store_sim_faults){0});
            assert_int_equal(fill(&rig, 0, 0, 1000), 0);
            store_sim_set_faults(rig.sim, &cases[i].faults);
            assert_int_equal(fill(&rig, 0, 'a', 1000), cases[i].error);
            size_t written = count_bytes(&rig, 0, 'a', 1000, 0);
            assert_in_range(written, 0, 999);
            part += written > 0;
        }
    assert_true(part > 20);
    store_sim_set_faults(rig.sim, &(struct store_sim_faults){0});
    assert_int_equal(fill(&rig, SEGMENT - 10, 'a', 11), -EFBIG);
    rig_done(&rig);
}

static void capacity_is_a_limit(void **state)
{
    struct rig rig = rig_new(1);
    struct store_segment *more;
    struct store_space space;
    char byte = 'x';

    store_sim_set_capacity(rig.sim, 2 * SEGMENT);
    assert_int_equal(rig.store->ops->create_segment(rig.store, STORE_BULK, 1, SEGMENT, &more), 0);
    rig.store->ops->close_segment(more);
    assert_int_equal(rig.store->ops->space(rig.store, &space), 0);
    assert_int_equal(space.free_bytes, 0);
    assert_int_equal(rig.store->ops->create_segment(rig.store, STORE_BULK, 2, SEGMENT, &more),
                     -ENOSPC);
    assert_int_equal(rig.store->ops->put_file(rig.store, "f", &(struct iovec){&byte, 1}, 1),
                     -ENOSPC);
    assert_int_equal(rig.store->ops->open_segment(rig.store, STORE_BULK, 1, false, &more), 0);
    assert_int_equal(rig.store->ops->remove(more), 0);
    assert_int_equal(rig.store->ops->create_segment(rig.store, STORE_BULK, 2, SEGMENT, &more), 0);
    rig.store->ops->close_segment(more);
    rig_done(&rig);
}

/* With its directory syncs, put_file is all of the old or all of the new at any crash; without them
 * (the mutant) even an old, acknowledged one comes back. */
static void file_after_crash(unsigned mutants, unsigned *out_old, unsigned *out_new)
{
    *out_old = *out_new = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig rig = rig_new(seed);
        struct iovec old = {"old", 3}, new = {"newer", 5};
        void *data = NULL;
        size_t size;
        assert_int_equal(rig.store->ops->put_file(rig.store, "f", &old, 1), 0);
        store_sim_set_mutants(rig.sim, mutants);
        if (!mutants)
            store_sim_stop_after(rig.sim, 1);
        assert_int_equal(rig.store->ops->put_file(rig.store, "f", &new, 1), mutants ? 0 : -EIO);
        rig_crash(&rig, STORE_SIM_POWER_CUT);
        assert_int_equal(rig.store->ops->get_file(rig.store, "f", 100, &data, &size), 0);
        assert_true(size == 3 ? memcmp(data, "old", 3) == 0 : memcmp(data, "newer", 5) == 0);
        *(size == 3 ? out_old : out_new) += 1;
        free(data);
        rig_done(&rig);
    }
}

static void names_and_crashes(void **state)
{
    unsigned old, new;
    file_after_crash(0, &old, &new);
    assert_true(old > 5 && new > 5);
    file_after_crash(STORE_SIM_NO_DIRECTORY_SYNC, &old, &new);
    assert_true(old > 5 && new > 5);
}

static void stop_comes_at_the_nth_operation(void **state)
{
    struct rig rig = rig_new(1);
    store_sim_stop_after(rig.sim, 3);
    assert_int_equal(fill(&rig, 0, 'a', 100), 0);
    assert_int_equal(rig.store->ops->sync(rig.segment), 0);
    assert_false(store_sim_stopped(rig.sim));
    assert_int_equal(fill(&rig, 100, 'b', 100), -EIO);
    assert_true(store_sim_stopped(rig.sim));
    assert_int_equal(rig.store->ops->sync(rig.segment), -EIO);
    char byte;
    assert_int_equal(rig.store->ops->read(rig.segment, 0, &byte, 1, 0), -EIO);
    assert_int_equal(store_sim_operations(rig.sim), 5); /* with opening and creation */
    rig_crash(&rig, STORE_SIM_POWER_CUT);
    assert_int_equal(count_bytes(&rig, 0, 'a', 100, 0), 100);
    rig_done(&rig);
}

static void swallowed_sync_loses(void **state)
{
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rig rig = rig_new(seed);
        store_sim_set_mutants(rig.sim, STORE_SIM_NO_LOG_SYNC);
        assert_int_equal(fill(&rig, 0, 'a', 100), 0);
        assert_int_equal(rig.store->ops->sync(rig.segment), 0);
        rig_crash(&rig, STORE_SIM_POWER_CUT);
        lost += count_bytes(&rig, 0, 'a', 100, 0) == 0;
        rig_done(&rig);
    }
    assert_true(lost > 3);
}

static void flips_are_seen_and_bounded(void **state)
{
    struct rig rig = rig_new(1);
    assert_int_equal(store_sim_flip(rig.sim, STORE_LOG, 1, 8 * 77 + 1), 0);
    assert_int_equal(count_bytes(&rig, 77, 2, 1, 0), 1);
    assert_int_equal(count_bytes(&rig, 77, 2, 1, STORE_READ_DIRECT), 1);
    assert_int_equal(store_sim_flip(rig.sim, STORE_LOG, 1, 8 * SEGMENT), -ERANGE);
    assert_int_equal(store_sim_flip(rig.sim, STORE_BULK, 1, 0), -ENOENT);
    assert_int_equal(store_sim_flip_file(rig.sim, "none", 0), -ENOENT);
    assert_int_equal(rig.store->ops->set_aside(rig.segment, "a reason"), 0);
    assert_int_equal(store_sim_count_aside(rig.sim), 1);
    rig.store->ops->close(rig.store);
    store_sim_free(rig.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(contract),
                                       cmocka_unit_test(power_cut_harms_the_unsynced),
                                       cmocka_unit_test(kill_keeps_the_page_cache),
                                       cmocka_unit_test(failed_sync_is_forgotten),
                                       cmocka_unit_test(evicted_pages_show_the_disk),
                                       cmocka_unit_test(write_faults_leave_a_part),
                                       cmocka_unit_test(capacity_is_a_limit),
                                       cmocka_unit_test(names_and_crashes),
                                       cmocka_unit_test(stop_comes_at_the_nth_operation),
                                       cmocka_unit_test(swallowed_sync_loses),
                                       cmocka_unit_test(flips_are_seen_and_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
