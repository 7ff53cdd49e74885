/*
 * Every allocation on the loop's side fails once: the call says so or does less, nothing that was
 * acknowledged is lost, and the spool goes on. Linked with malloc and its kin wrapped.
 */
#include "spool_world.h"

#include <errno.h>
#include <stdlib.h>

enum { MESSAGES = 60, NEVER = -1 };

static long countdown = NEVER; /* allocations until one fails */
static bool armed;

static bool must_fail(void)
{
    return armed && countdown >= 0 && countdown-- == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}

void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return must_fail() ? NULL : __real_reallocarray(old, count, size);
}

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return must_fail() ? NULL : __real_aligned_alloc(align, size);
}

struct fate {
    bool is_accepted, is_delivered;
};

static void set(void *arg, int error)
{
    if (error == 0)
        *(bool *)arg = true;
}

static void accept_one(struct world *w, unsigned number, bool *out_is_accepted)
{
    static struct envelope_recipient recipient[] = {{.address = {"a@b.example", 11}},
                                                    {.address = {"c@d.example", 11}}};
    char *body = world_body(number, 3000);
    struct envelope e = {.id = world_id(number), .recipients = recipient, .recipient_count = 2};
    struct spool_accept a = {
        .envelope = &e, .header = SPAN("Received: from client\r\n"), .body = {body, 3000}};
    int r = 0;

    armed = true;
    if (number % 10 == 0) {
        a.body.size = 0;
        r = spool_upload_new(w->spool, &a.upload);
        for (int i = 0; r == 0 && i < 10; i++)
            r = spool_upload_append(a.upload, span_of(body + i * 300, 300), NULL, NULL);
    }
    if (r == 0)
        r = spool_accept(w->spool, &a, set, out_is_accepted);
    if (r < 0)
        spool_upload_free(a.upload);
    armed = false;
    assert_true(r == 0 || r == -ENOMEM);
    free(body);
}

static void deliver_one(struct world *w, unsigned number, bool *out_is_delivered)
{
    struct spool_message *m = world_find(w, number);
    struct spool_status statuses[] = {{.recipient = 0, .outcome = SPOOL_OUTCOME_DELIVERED},
                                      {.recipient = 1, .outcome = SPOOL_OUTCOME_RELAYED}};
    if (!m)
        return;
    armed = true;
    int r = spool_status(w->spool, m, statuses, 2, set, out_is_delivered);
    armed = false;
    assert_true(r == 0 || r == -ENOMEM || r == -EALREADY);
}

/* As world_run(), with the loop's side armed. */
static void run(struct world *w)
{
    for (int idle = 0; idle < 3; idle++) {
        struct spool_task *task;
        struct spool_group *group;
        armed = true;
        while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
            armed = false;
            spool_run_task(task);
            armed = true;
            spool_finish_task(w->spool, task, ++w->now_us);
            idle = 0;
        }
        group = spool_take_group(w->spool, ++w->now_us);
        armed = false;
        if (!group)
            continue;
        spool_write_group(group);
        armed = true;
        spool_finish_group(w->spool, group, ++w->now_us);
        armed = false;
        idle = 0;
    }
}

static void check(struct world *w, const struct fate *fates)
{
    for (unsigned i = 1; i <= MESSAGES; i++) {
        struct spool_message *m = world_find(w, i);
        if (fates[i].is_delivered)
            assert_null(m);
        else if (fates[i].is_accepted)
            assert_int_equal(world_check_body(w, i, 3000), 0);
    }
    assert_int_equal(spool_damage_count(w->spool), 0);
}

/* True when the allocation that was to fail never came. */
static bool live_once(long fail_at)
{
    struct fate fates[MESSAGES + 1] = {{0}};
    struct world w = world_new();

    w.options.checkpoint_segments = 2;
    w.options.checkpoint_rows = 5;
    w.options.keep_segments = 1;
    w.options.segment_bytes = 64 * 1024;
    world_open(&w);
    countdown = fail_at;
    for (unsigned i = 1; i <= MESSAGES; i++) {
        accept_one(&w, i, &fates[i].is_accepted);
        run(&w);
        if (i % 7)
            deliver_one(&w, i, &fates[i].is_delivered);
        run(&w);
        if (i % 10 == 0)
            spool_book_synced(w.spool, spool_sealed_position(w.spool));
    }
    bool is_over = countdown >= 0;
    countdown = NEVER;
    w.now_us += 10000000;
    run(&w);
    check(&w, fates);
    for (unsigned i = 1; i <= MESSAGES; i++) {
        if (i % 7)
            deliver_one(&w, i, &fates[i].is_delivered);
    }
    run(&w);
    world_crash(&w, STORE_SIM_POWER_CUT);
    check(&w, fates);
    assert_true(w.spool->index.messages <= MESSAGES / 7 + 1);
    world_done(&w);
    return is_over;
}

static void nothing_is_lost_without_memory(void **state)
{
    long fail_at = 0;

    (void)state;
    while (!live_once(fail_at))
        fail_at += 1 + fail_at / 40; /* the first ones each, later ones in steps */
    assert_true(fail_at > 300);
}

/* The sim store itself takes memory for granted: it gets it. */
static const struct store_ops *sim_ops;

#define UNARMED(name, parameters, arguments, result)                                               \
    static result unarmed_##name parameters                                                        \
    {                                                                                              \
        armed = false;                                                                             \
        result r = sim_ops->name arguments;                                                        \
        armed = true;                                                                              \
        return r;                                                                                  \
    }

UNARMED(open_lane, (struct store * s, bool read_only), (s, read_only), int)
UNARMED(list,
        (struct store * s, void (*found)(void *arg, const struct store_entry *entry), void *arg),
        (s, found, arg), int)
UNARMED(create_segment,
        (struct store * s, enum store_kind kind, uint64_t number, uint64_t size,
         struct store_segment **out),
        (s, kind, number, size, out), int)
UNARMED(open_segment,
        (struct store * s, enum store_kind kind, uint64_t number, bool read_only,
         struct store_segment **out),
        (s, kind, number, read_only, out), int)
UNARMED(read, (struct store_segment * s, uint64_t offset, void *buf, size_t size, int flags),
        (s, offset, buf, size, flags), ssize_t)
UNARMED(get_file,
        (struct store * s, const char *name, uint64_t max, void **out_data, size_t *out_size),
        (s, name, max, out_data, out_size), int)
UNARMED(put_file, (struct store * s, const char *name, const struct iovec *parts, int count),
        (s, name, parts, count), int)

static struct store *unarmed_store(struct store_sim *disk)
{
    static struct store_ops ops;
    struct store *store = store_sim_open(disk);

    sim_ops = store->ops;
    ops = *sim_ops;
    ops.open_lane = unarmed_open_lane;
    ops.list = unarmed_list;
    ops.create_segment = unarmed_create_segment;
    ops.open_segment = unarmed_open_segment;
    ops.read = unarmed_read;
    ops.get_file = unarmed_get_file;
    ops.put_file = unarmed_put_file;
    store->ops = &ops;
    return store;
}

/* Opening fails as a whole, and works the next time. */
static void opens_or_not(void **state)
{
    struct world w = world_new();
    bool has_failed = true;

    (void)state;
    world_open(&w);
    for (unsigned i = 1; i <= 20; i++)
        assert_int_equal(world_accept(&w, i, 3, 2000), 0);
    world_run(&w);
    for (long fail_at = 0; has_failed; fail_at += 1 + fail_at / 20) {
        world_close(&w);
        struct store *store = unarmed_store(w.disk);
        countdown = fail_at;
        armed = true;
        int r = spool_open(store, &w.options, 1, &w.spool, NULL);
        armed = false;
        has_failed = countdown < 0;
        countdown = NEVER;
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            world_open(&w);
        }
        for (unsigned i = 1; i <= 20; i++)
            assert_int_equal(world_check(&w, i, 3, 2000), 0);
        armed = false;
    }
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_without_memory),
        cmocka_unit_test(opens_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
