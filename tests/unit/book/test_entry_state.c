#include "../unit.h"

#include "book/entry_state.h"

static const struct {
    const char *name;
    struct {
        unsigned kind;
        int64_t time, next;
    } events[5];
    struct entry_state end;
} cases[] = {
    {"nothing", {{0}}, {0, 0, 0}},
    {"accepted", {{EVENT_ACCEPTED, 5}}, {RECIPIENT_WAITING, 5, 5}},
    {"deferred", {{EVENT_ACCEPTED, 5}, {EVENT_DEFERRED, 6, 60}}, {RECIPIENT_WAITING, 5, 60}},
    {"held", {{EVENT_ACCEPTED, 5}, {EVENT_HELD, 6}}, {RECIPIENT_WAITING, 5, 0}},
    {"released",
     {{EVENT_ACCEPTED, 5}, {EVENT_HELD, 6}, {EVENT_RELEASED, 7, 8}},
     {RECIPIENT_WAITING, 5, 8}},
    {"notified keeps the plan",
     {{EVENT_ACCEPTED, 5}, {EVENT_DEFERRED, 6, 60}, {EVENT_NOTIFIED, 7}},
     {RECIPIENT_WAITING, 5, 60}},
    {"expired", {{EVENT_ACCEPTED, 5}, {EVENT_EXPIRED, 6}}, {RECIPIENT_WAITING, 5, 0}},
    {"delivered", {{EVENT_ACCEPTED, 5}, {EVENT_DELIVERED, 9}}, {RECIPIENT_DELIVERED, 9, 0}},
    {"ends once",
     {{EVENT_ACCEPTED, 5}, {EVENT_DELIVERED, 9}, {EVENT_RETURNED, 10}, {EVENT_DEFERRED, 11, 12}},
     {RECIPIENT_DELIVERED, 9, 0}},
    {"lost", {{EVENT_ACCEPTED, 5}, {EVENT_LOST, 9}}, {RECIPIENT_LOST, 9, 0}},
    {"lost, and nothing was heard",
     {{EVENT_ACCEPTED, 5}, {EVENT_LOST, 9}, {EVENT_ACKNOWLEDGED, 10}, {EVENT_DAMAGED, 11}},
     {RECIPIENT_LOST, 9, 0}},
    {"lost, and delivered",
     {{EVENT_ACCEPTED, 5}, {EVENT_LOST, 9}, {EVENT_DELIVERED, 10}},
     {RECIPIENT_DELIVERED, 10, 0}},
    {"lost, and tried again",
     {{EVENT_ACCEPTED, 5}, {EVENT_LOST, 9}, {EVENT_DEFERRED, 10, 60}},
     {RECIPIENT_WAITING, 10, 60}},
    {"delivered isn't lost",
     {{EVENT_ACCEPTED, 5}, {EVENT_DELIVERED, 9}, {EVENT_LOST, 10}},
     {RECIPIENT_DELIVERED, 9, 0}},
    {"not before acceptance", {{EVENT_DELIVERED, 9}}, {0, 0, 0}},
};

static void events_make_the_state(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct entry_state entry = {0};
        for (size_t k = 0; k < ARRAY_SIZE(cases[i].events) && cases[i].events[k].kind; k++)
            entry_state_apply(&entry, cases[i].events[k].kind, cases[i].events[k].time,
                              cases[i].events[k].next);
        if (memcmp(&entry, &cases[i].end, sizeof(entry)) != 0)
            fail_msg("%s", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(events_make_the_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
