#include "../unit.h"

#include "sched/heap.h"

enum { COUNT = 2000 };
static uint32_t places[COUNT + 1];

static void moved(void *arg, uint32_t handle, uint32_t position)
{
    places[handle] = position;
}

static void gives_times_in_order_whatever_is_taken_out(void **state)
{
    struct heap heap;
    uint32_t random = 7;
    heap_init(&heap, moved, NULL);
    assert_int_equal(heap_reserve(&heap, COUNT), 0);
    for (uint32_t h = 1; h <= COUNT; h++) {
        random = random * 1664525 + 1013904223;
        heap_add(&heap, random >> 16, h);
    }
    for (uint32_t h = 3; h <= COUNT; h += 3) {
        assert_int_equal(heap.handles[places[h]], h);
        heap_remove(&heap, places[h]);
    }
    int64_t last = 0;
    for (uint32_t left = COUNT - COUNT / 3; left > 0; left--) {
        assert_int_equal(heap.count, left);
        assert_int_not_equal(heap.handles[0] % 3, 0);
        assert_true(heap.keys[0] >= last);
        last = heap.keys[0];
        heap_remove(&heap, 0);
    }
    heap_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_times_in_order_whatever_is_taken_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
