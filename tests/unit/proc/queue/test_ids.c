#include "../../unit.h"

#include "proc/queue/accept/ids.h"
#include <errno.h>

enum { ORIGIN = 0x8005 };

static const int64_t start_ms = INT64_C(1795284003000);

struct maker {
    struct id_watch watch;
    struct id_maker ids;
    int64_t now_ms;
};

static void open_maker(struct maker *m)
{
    *m = (struct maker){.now_ms = start_ms};
    id_watch_init(&m->watch, ORIGIN, start_ms, 42);
    id_maker_init(&m->ids, ORIGIN, 0);
}

static struct id make(struct maker *m, int64_t ms)
{
    struct id_maker at = m->ids;
    at.last_ms = 0;
    m->ids.counter++;
    return id_make(&at, ms * 1000);
}

static int take(struct maker *m, const struct id *id)
{
    return id_watch_take(&m->watch, id, m->now_ms);
}

static void each_is_used_once(void **state)
{
    struct maker m;
    open_maker(&m);
    struct id a = make(&m, start_ms), b = make(&m, start_ms), c = make(&m, start_ms + 5000);
    assert_int_equal(take(&m, &c), 0);
    assert_int_equal(take(&m, &a), 0); /* in any order */
    assert_int_equal(take(&m, &b), 0);
    assert_int_equal(take(&m, &a), -EALREADY);
    assert_int_equal(take(&m, &c), -EALREADY);
    id_watch_done(&m.watch);
}

static void only_its_own(void **state)
{
    static const uint16_t origins[] = {0, 5, ORIGIN - 1, ORIGIN + 1, 0xffff};
    struct maker m;
    open_maker(&m);
    for (size_t i = 0; i < ARRAY_SIZE(origins); i++) {
        m.ids.origin = origins[i];
        struct id id = make(&m, start_ms);
        assert_int_equal(id_origin(&id), origins[i]);
        assert_int_equal(take(&m, &id), -EACCES);
    }
    id_watch_done(&m.watch);
}

static void what_was_before_the_start_is_unknown(void **state)
{
    struct maker m;
    open_maker(&m);
    struct id old = make(&m, start_ms - 1), fresh = make(&m, start_ms);
    assert_int_equal(take(&m, &old), -ESTALE);
    assert_int_equal(take(&m, &fresh), 0);
    id_watch_done(&m.watch);
}

/* The elder ones are forgotten one by one, but never taken again. */
static void what_is_forgotten_is_too_old(void **state)
{
    enum { COUNT = 3 * IDS_REMEMBERED, STEP = 97 };
    static struct id ids[COUNT];
    struct maker m;
    open_maker(&m);
    for (size_t i = 0; i < COUNT; i++) {
        m.now_ms = start_ms + (int64_t)i;
        ids[i] = make(&m, m.now_ms);
        assert_int_equal(take(&m, &ids[i]), 0);
    }
    for (size_t i = 0; i < COUNT; i += STEP) {
        int r = take(&m, &ids[i]);
        if (r != -EALREADY && (r != -ESTALE || i + IDS_REMEMBERED > COUNT))
            fail_msg("id %zu of %d: %d", i, COUNT, r);
    }
    assert_true(m.watch.now.count <= IDS_REMEMBERED && m.watch.before.count <= IDS_REMEMBERED);
    id_watch_done(&m.watch);
}

static void a_clock_that_goes_back_stalls_nothing(void **state)
{
    struct maker m;
    open_maker(&m);
    struct id id = make(&m, start_ms);
    assert_int_equal(take(&m, &id), 0);
    m.now_ms = start_ms - INT64_C(366) * 86400 * 1000;
    for (int i = 0; i < 3; i++) {
        id = make(&m, m.now_ms + i);
        assert_int_equal(take(&m, &id), 0);
    }
    assert_int_equal(take(&m, &id), -EALREADY);
    id = make(&m, m.now_ms - 1);
    assert_int_equal(take(&m, &id), -ESTALE);
    /* A transaction takes its time, and many of them make the watch forget the first. */
    for (int64_t i = 0; i < 3 * IDS_REMEMBERED; i++) {
        id = make(&m, m.now_ms++);
        m.now_ms += i % 7;
        if (take(&m, &id) != 0)
            fail_msg("%d after the clock went back", (int)i);
    }
    id_watch_done(&m.watch);
}

/* The maker that runs goes on ahead of a clock that went back by less than a day, until all that is
 * remembered is ahead of it. The next one begins at the clock. */
static void after_a_clock_that_went_back_a_new_process_may_begin(void **state)
{
    enum { COUNT = 3 * IDS_REMEMBERED };
    struct maker m;
    open_maker(&m);
    struct id id = id_make(&m.ids, m.now_ms * 1000);
    assert_int_equal(take(&m, &id), 0);
    m.now_ms -= 2 * 3600 * 1000;
    for (int i = 0; i < COUNT; i++) {
        id = id_make(&m.ids, m.now_ms * 1000);
        m.now_ms += i % 16 == 0;
        if (take(&m, &id) != 0)
            fail_msg("%d of the process that ran", i);
    }
    assert_true(id_time_ms(&id) > m.now_ms);
    assert_int_equal(take(&m, &id), -EALREADY);
    id_maker_init(&m.ids, ORIGIN, 4711);
    id_watch_begin(&m.watch, m.now_ms);
    assert_int_equal(take(&m, &id), -EALREADY);
    for (int i = 0; i < COUNT; i++) {
        id = id_make(&m.ids, m.now_ms * 1000);
        m.now_ms += i % 16 == 0;
        if (take(&m, &id) != 0)
            fail_msg("%d of the process that came", i);
    }
    id_watch_done(&m.watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_used_once),
        cmocka_unit_test(only_its_own),
        cmocka_unit_test(what_was_before_the_start_is_unknown),
        cmocka_unit_test(what_is_forgotten_is_too_old),
        cmocka_unit_test(a_clock_that_goes_back_stalls_nothing),
        cmocka_unit_test(after_a_clock_that_went_back_a_new_process_may_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
