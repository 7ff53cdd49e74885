/* A random life of many destinations that share sites and part again, watched from inside. */
#include "replay.h"

#include "sched/internal.h"
#include <stdio.h>

enum { ITEMS = 400, DESTINATIONS = 3000, STEPS = 40000, LANES = 2 };
enum { SHARE_DOUBTFUL = 12, SHARE_UNPROVEN = 20, SHARE_ALL = 40 };

struct life {
    struct sched *sched;
    int64_t now;
    uint32_t random, count;
    uint32_t items[ITEMS];
};

static uint32_t dice(struct life *life, uint32_t sides)
{
    life->random = life->random * 1664525 + 1013904223;
    return (life->random >> 8) % sides;
}

static uint32_t place_of(const struct life *life, uint32_t item)
{
    uint32_t i = 0;

    while (life->items[i] != item)
        i++;
    return i;
}

static void drop(struct life *life, uint32_t place)
{
    life->items[place] = life->items[--life->count];
}

static void add(struct life *life)
{
    char name[20];
    uint32_t popular = dice(life, 2) ? 8 : DESTINATIONS;
    struct sched_entry entry = {.owner = life,
                                .lane = dice(life, LANES),
                                .sender = dice(life, 3),
                                .due_ms = life->now + (dice(life, 4) ? 0 : HOUR),
                                .deadline_ms = life->now + DAY,
                                .attempts = dice(life, 2),
                                .held = dice(life, 20) == 0};

    if (life->count == ITEMS)
        return;
    snprintf(name, sizeof(name), "d%u.example", dice(life, popular));
    entry.destination = span_from_cstr(name);
    assert_int_equal(sched_add(life->sched, &entry, life->now, &life->items[life->count++]), 0);
}

static void end_one(struct life *life, uint32_t place)
{
    static const struct span hosts[] = {SPAN(""), SPAN("mx1"), SPAN("mx2"), SPAN("mx3")};
    static const enum sched_result results[] = {
        SCHED_RESULT_DONE,        SCHED_RESULT_DONE,        SCHED_RESULT_RECIPIENT,
        SCHED_RESULT_DESTINATION, SCHED_RESULT_DESTINATION, SCHED_RESULT_LOST,
        SCHED_RESULT_REFUSED,     SCHED_RESULT_OURS,        SCHED_RESULT_UNFIT};
    int64_t due_ms;
    uint32_t item = life->items[place];

    sched_group(life->sched, item, hosts[dice(life, ARRAY_SIZE(hosts))]);
    if (sched_outcome(life->sched, item, results[dice(life, ARRAY_SIZE(results))], SPAN("why"),
                      life->now, &due_ms) == SCHED_VERDICT_GONE)
        drop(life, place);
    uint32_t looks = dice(life, 2) ? UINT32_MAX : dice(life, 20);
    while ((item = sched_take_expired(life->sched, &looks))) {
        place = place_of(life, item);
        sched_remove(life->sched, item, life->now);
        drop(life, place);
    }
}

static void take(struct life *life)
{
    uint32_t item = sched_take(life->sched, 1 + dice(life, 3), life->now);
    uint32_t along = item ? sched_peek_along(life->sched, item) : 0;

    if (along && dice(life, 2))
        sched_take_along(life->sched, along);
}

static void act(struct life *life, uint32_t place)
{
    uint32_t item = life->items[place];

    switch (dice(life, 5)) {
    case 0:
        sched_hold(life->sched, item, life->now);
        break;
    case 1:
    case 2:
        sched_release(life->sched, item, life->now, life->now + DAY, life->now);
        break;
    case 3:
        sched_retry_now(life->sched, item, life->now);
        break;
    default:
        sched_remove(life->sched, item, life->now);
        drop(life, place);
        break;
    }
}

static void step(struct life *life)
{
    uint32_t what = dice(life, 100), place = life->count ? dice(life, life->count) : 0;

    if (what < 30)
        add(life);
    else if (what < 60)
        take(life);
    else if (what < 62)
        life->now += 10 * MINUTE;
    else if (life->count == 0)
        return;
    else if (item_at(life->sched, life->items[place])->state == SCHED_ACTIVE)
        end_one(life, place);
    else if (what < 75)
        act(life, place);
}

/* ---- what must hold after each step ---- */

static uint32_t length_of(const struct list *list)
{
    uint32_t n = 0;

    LIST_EACH(list, link)
    n++;
    return n;
}

static void check_destination(const struct sched *s, const struct destination *d, uint32_t *places)
{
    const struct site *site = site_at(s, d->site);

    assert_int_equal(site->handle, d->site);
    assert_int_equal(site->lane, d->lane);
    /* Who has something ready is in the ring, or waits for its site. */
    assert_int_equal(d->counts[SCHED_READY] > 0, d->place != DESTINATION_IDLE);
    assert_true(d->active <= d->counts[SCHED_ACTIVE]);
    places[d->place]++;
}

static uint32_t check_site(const struct site *site)
{
    uint32_t active = 0, runnable = 0;

    LIST_EACH(&site->members, link)
    {
        const struct destination *d = CONTAINER_OF(link, struct destination, member);
        assert_int_equal(d->site, site->handle);
        active += d->active;
        runnable += d->place == DESTINATION_RUNNABLE;
    }
    assert_true(active == site->active && site->window > 0 && length_of(&site->members) > 0);
    /* Nobody waits for room that is there, unless as many others go first. */
    if (site_may_go(site) && !list_is_empty(&site->waiting))
        assert_true(runnable >= site->window - site->active);
    return length_of(&site->waiting);
}

/* A crowd is in the ring while it has destinations, which are those whose next item is by its
 * senders; and the crowds' attempts are all attempts. */
static uint32_t check_ring(struct sched *s, const struct ring *ring, unsigned trust,
                           uint32_t under_way)
{
    uint32_t in_crowds = 0, with_some = 0, shared = 0;

    for (const struct crowd *crowd = ring->crowds; crowd < ring->crowds + CROWDS; crowd++) {
        under_way -= crowd->under_way;
        with_some += !list_is_empty(&crowd->destinations);
        assert_int_equal(list_is_linked(&crowd->link), !list_is_empty(&crowd->destinations));
        if (list_is_empty(&crowd->destinations))
            continue;
        LIST_EACH(&crowd->destinations, link)
        {
            const struct destination *d = CONTAINER_OF(link, struct destination, link);
            assert_int_equal(site_at(s, d->site)->trust, trust);
            assert_ptr_equal(d->crowd, crowd);
            assert_ptr_equal(lane_crowd(s, d), crowd);
            assert_int_equal(list_is_linked(&d->shared), length_of(&d->flows) > 1);
            shared += list_is_linked(&d->shared);
            in_crowds++;
        }
        shared -= length_of(&crowd->shared);
    }
    assert_int_equal(under_way, 0);
    assert_int_equal(shared, 0);
    assert_int_equal(with_some, length_of(&ring->turns));
    return in_crowds;
}

/* Places that are counted without an attempt, or an attempt without a place, would add up. */
static uint32_t check_lane(const struct life *life, unsigned number)
{
    const struct sched *s = life->sched;
    const struct lane *lane = &s->lanes[number];
    uint32_t under_way[SITE_TRUST_COUNT] = {0}, in_rings = 0;

    for (uint32_t i = 0; i < life->count; i++) {
        const struct item *item = item_at(s, life->items[i]);
        if (item->flags & ITEM_IN_WINDOW && destination_at(s, item->destination)->lane == number)
            under_way[item->flags >> ITEM_TRUST_SHIFT]++;
    }
    assert_memory_equal(under_way, lane->under_way, sizeof(under_way));
    assert_true(under_way[SITE_DOUBTFUL] <= SHARE_DOUBTFUL);
    assert_true(under_way[SITE_DOUBTFUL] + under_way[SITE_FRESH] <= SHARE_UNPROVEN);
    assert_true(under_way[SITE_DOUBTFUL] + under_way[SITE_FRESH] + under_way[SITE_PROVEN] <=
                SHARE_ALL);
    for (size_t trust = 0; trust < SITE_TRUST_COUNT; trust++)
        in_rings += check_ring(life->sched, &lane->rings[trust], trust, under_way[trust]);
    return in_rings;
}

static void check(const struct life *life)
{
    const struct sched *s = life->sched;
    uint32_t places[3] = {0}, waiting = 0, pausing = 0, in_rings = 0, destinations = 0, sites = 0;

    for (uint32_t h = 1; h < s->destinations.next_fresh; h++)
        if (destination_at(s, h)->name) {
            check_destination(s, destination_at(s, h), places);
            destinations++;
        }
    for (uint32_t h = 1; h < s->sites.next_fresh; h++)
        if (site_at(s, h)->handle == h) {
            waiting += check_site(site_at(s, h));
            pausing += site_at(s, h)->pausing;
            sites++;
        }
    for (unsigned i = 0; i < SCHED_LANES; i++)
        in_rings += check_lane(life, i);
    assert_int_equal(destinations, s->destinations.count);
    assert_int_equal(sites, s->sites.count);
    assert_int_equal(in_rings, places[DESTINATION_RUNNABLE]);
    assert_int_equal(waiting, places[DESTINATION_WAITING]);
    assert_int_equal(pausing, s->paused_sites.count);
    assert_int_equal(length_of(&s->unused), s->unused_count);
}

static void sites_keep_their_books(void **state)
{
    struct sched_config config = replay_config();
    struct replay r = {.now = DAY};

    for (unsigned i = 0; i < LANES; i++)
        config.shares[i] = (struct sched_share){SHARE_DOUBTFUL, SHARE_UNPROVEN, SHARE_ALL};
    assert_int_equal(sched_new(&config, &r.sched), 0);
    struct life life = {.sched = r.sched, .now = r.now, .random = 7};

    for (int i = 0; i < STEPS; i++) {
        step(&life);
        if (i % 50 == 0)
            check(&life);
    }
    /* In the end all of it goes. */
    for (uint32_t i = 0; i < life.count; i++)
        sched_release(r.sched, life.items[i], life.now, INT64_MAX / 2, life.now);
    while (life.count) {
        uint32_t item = sched_take(r.sched, ~0u, life.now);
        for (uint32_t i = 0; !item && i < life.count; i++)
            if (item_at(r.sched, life.items[i])->state == SCHED_ACTIVE)
                item = life.items[i];
        int64_t due_ms;
        if (!item) {
            assert_true(sched_next_ms(r.sched, ~0u) < INT64_MAX);
            life.now = sched_next_ms(r.sched, ~0u);
            continue;
        }
        uint32_t place = place_of(&life, item);
        sched_outcome(r.sched, item, SCHED_RESULT_DONE, SPAN(""), life.now, &due_ms);
        drop(&life, place);
    }
    check(&life);
    replay_end(&r);
}

/* The only one that was to go is held: another one goes. */
static void who_is_held_leaves_its_place(void **state)
{
    struct replay r = replay_start();
    uint32_t first, second;

    replay_add(&r, 1, "a.example", "");
    replay_add(&r, 2, "b.example", "");
    first = sched_take(r.sched, ~0u, r.now);
    second = sched_take(r.sched, ~0u, r.now);
    sched_group(r.sched, first, SPAN("mx"));
    sched_group(r.sched, second, SPAN("mx"));
    replay_outcome(&r, first, SCHED_RESULT_DESTINATION);
    replay_outcome(&r, second, SCHED_RESULT_DESTINATION);
    first = replay_add(&r, 3, "a.example", "");
    second = replay_add(&r, 4, "b.example", "");
    assert_int_equal(sched_take(r.sched, ~0u, r.now), 0); /* the site pauses */
    sched_retry_now(r.sched, first, r.now);
    sched_hold(r.sched, first, r.now);
    assert_int_equal(sched_take(r.sched, ~0u, r.now), second);
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sites_keep_their_books),
                                       cmocka_unit_test(who_is_held_leaves_its_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
