/* What is trusted how much, and how a lane's places are shared by that. */
#include "replay.h"

#include "sched/internal.h"
#include <stdio.h>

enum { DOUBTFUL = 4, UNPROVEN = 10 };

static struct replay start(void)
{
    struct sched_config config = replay_config();
    struct replay r = {.now = DAY};

    config.shares[0] = (struct sched_share){DOUBTFUL, UNPROVEN, UINT32_MAX};
    assert_int_equal(sched_new(&config, &r.sched), 0);
    return r;
}

static uint32_t add_by(struct replay *r, uint32_t sender, const char *kind, uint32_t number,
                       unsigned attempts)
{
    char name[40];
    uint32_t item = 0;

    snprintf(name, sizeof(name), "%s%u.example", kind, number);
    struct sched_entry entry = {.owner = owner_of(number),
                                .destination = span_from_cstr(name),
                                .sender = sender,
                                .deadline_ms = r->now + 4 * DAY,
                                .attempts = attempts};
    assert_int_equal(sched_add(r->sched, &entry, r->now, &item), 0);
    return item;
}

/* A message that failed so often before; `number` names the destination, and is its sender. */
static uint32_t add_to(struct replay *r, const char *kind, uint32_t number, unsigned attempts)
{
    return add_by(r, number, kind, number, attempts);
}

static struct span destination_of(const struct replay *r, uint32_t item)
{
    struct sched_explanation e;

    sched_explain(r->sched, item, &e);
    return e.destination;
}

static bool goes_to(const struct replay *r, uint32_t item, const char *kind)
{
    return item && span_starts_nocase(destination_of(r, item), span_from_cstr(kind));
}

static uint32_t take(struct replay *r)
{
    return sched_take(r->sched, ~0u, r->now);
}

static uint32_t take_all(struct replay *r, uint32_t *out_last)
{
    uint32_t count = 0, item;

    while ((item = take(r))) {
        count++;
        *out_last = item;
    }
    return count;
}

static void prove(struct replay *r, const char *kind, uint32_t number)
{
    uint32_t item = add_to(r, kind, number, 0);

    assert_int_equal(take(r), item);
    replay_outcome(r, item, SCHED_RESULT_DONE);
}

static enum site_trust trust_in(const struct replay *r, uint32_t item)
{
    const struct sched *s = r->sched;
    return site_at(s, destination_at(s, item_at(s, item)->destination)->site)->trust;
}

static void trust_follows_what_a_site_shows(void **state)
{
    struct replay r = start();
    uint32_t item = add_to(&r, "a", 1, 0);

    assert_int_equal(trust_in(&r, item), SITE_FRESH);
    take(&r);
    replay_outcome(&r, item, SCHED_RESULT_LOST);
    assert_int_equal(trust_in(&r, item), SITE_FRESH); /* nobody knows */
    r.now = r.due;
    take(&r);
    replay_outcome(&r, item, SCHED_RESULT_DESTINATION);
    assert_int_equal(trust_in(&r, item), SITE_DOUBTFUL);
    add_to(&r, "a", 1, 0);
    assert_int_equal(trust_in(&r, item), SITE_DOUBTFUL); /* more mail proves nothing */
    r.now = r.due;
    assert_int_equal(replay_take_item(&r, &item), 1);
    replay_outcome(&r, item, SCHED_RESULT_RECIPIENT); /* but somebody is there */
    assert_int_equal(trust_in(&r, item), SITE_PROVEN);
    replay_end(&r);
}

/* Whom we couldn't send has not shown a thing: it isn't reached, nor is it to blame. */
static void our_own_trouble_says_nothing_of_the_site(void **state)
{
    struct replay r = start();
    uint32_t item = add_to(&r, "a", 1, 3), window;
    const struct sched *s = r.sched;
    const struct site *site = site_at(s, destination_at(s, item_at(s, item)->destination)->site);

    take(&r);
    window = site->window;
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_OURS), SCHED_VERDICT_RETRY);
    assert_int_equal(item_at(s, item)->attempts, 3);
    assert_int_equal(site->trust, SITE_DOUBTFUL);
    r.now = r.due;
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_UNFIT), SCHED_VERDICT_HELD);
    assert_int_equal(site->trust, SITE_DOUBTFUL);
    assert_int_equal(site->window, window);
    assert_false(site->had_trouble);
    assert_int_equal(site->active, 0);
    replay_end(&r);
}

/* It ends soon, as a rule: who failed often waits no longer than who failed thrice. */
static void our_own_trouble_pauses_nobody_for_long(void **state)
{
    struct replay r = start();
    uint32_t item = add_to(&r, "a", 1, 10);

    take(&r);
    replay_outcome(&r, item, SCHED_RESULT_OURS);
    assert_in_range(r.due - r.now, 15 * MINUTE, 20 * MINUTE);
    r.now = r.due;
    assert_int_equal(replay_take_item(&r, &item), 1);
    replay_outcome(&r, item, SCHED_RESULT_RECIPIENT);
    assert_in_range(r.due - r.now, 3 * HOUR, 4 * HOUR);
    replay_end(&r);
}

/* Hours of it don't make the pauses after a later trouble of its own long. */
static void our_own_trouble_counts_only_so_often(void **state)
{
    struct replay r = start();
    uint32_t item = add_to(&r, "a", 1, 0);

    for (int i = 0; i < 10; i++) {
        assert_int_equal(take(&r), item);
        replay_outcome(&r, item, SCHED_RESULT_OURS);
        r.now = r.due;
    }
    assert_int_equal(item_at(r.sched, item)->attempts, 3);
    assert_int_equal(take(&r), item);
    replay_outcome(&r, item, SCHED_RESULT_RECIPIENT);
    assert_in_range(r.due - r.now, 30 * MINUTE, 40 * MINUTE);
    assert_int_equal(sched_failures(3, SCHED_RESULT_OURS), 3);
    assert_int_equal(sched_failures(10, SCHED_RESULT_OURS), 10);
    assert_int_equal(sched_failures(UINT16_MAX, SCHED_RESULT_RECIPIENT), UINT16_MAX);
    replay_end(&r);
}

/* One refused connection among many mails is no reason to let a large site wait. */
static void only_a_pause_costs_a_proven_site_its_trust(void **state)
{
    struct replay r = start();
    uint32_t items[8], n = 0;

    prove(&r, "a", 1);
    prove(&r, "a", 1);
    for (int i = 0; i < 8; i++)
        add_to(&r, "a", 1, 0);
    while (n < 8 && (items[n] = take(&r)))
        n++;
    assert_true(n >= 5);
    for (uint32_t i = 0; i < n; i++) {
        replay_outcome(&r, items[i], SCHED_RESULT_DESTINATION);
        const struct sched *s = r.sched;
        const struct site *site =
            site_at(s, destination_at(s, item_at(s, items[i])->destination)->site);
        assert_int_equal(site->trust, site->pausing ? SITE_DOUBTFUL : SITE_PROVEN);
        assert_true(i > 0 || !site->pausing);
    }
    assert_int_equal(trust_in(&r, items[0]), SITE_DOUBTFUL);
    replay_end(&r);
}

/* After a start: what failed before is doubtful until there is mail that was never tried. */
static void what_failed_before_the_start_is_doubtful(void **state)
{
    struct replay r = start();
    uint32_t old = add_to(&r, "a", 1, 3);

    assert_int_equal(trust_in(&r, old), SITE_DOUBTFUL);
    add_to(&r, "a", 1, 0);
    assert_int_equal(trust_in(&r, old), SITE_FRESH);
    replay_end(&r);
}

static void domains_of_one_site_share_their_trust(void **state)
{
    struct replay r = start();
    uint32_t known = add_to(&r, "a", 1, 0), other = add_to(&r, "b", 1, 4);

    assert_int_equal(take(&r), other); /* doubtful and fresh ones take turns */
    assert_int_equal(take(&r), known);
    sched_group(r.sched, known, SPAN("mx"));
    sched_group(r.sched, other, SPAN("mx"));
    replay_outcome(&r, known, SCHED_RESULT_RECIPIENT);
    assert_int_equal(trust_in(&r, other), SITE_PROVEN);
    /* It began as a doubtful one, and ends as one. */
    assert_int_equal(r.sched->lanes[0].under_way[SITE_DOUBTFUL], 1);
    replay_outcome(&r, other, SCHED_RESULT_RECIPIENT);
    for (int i = 0; i < SITE_TRUST_COUNT; i++)
        assert_int_equal(r.sched->lanes[0].under_way[i], 0);
    replay_end(&r);
}

static void places_are_shared_by_trust(void **state)
{
    struct replay r = start();
    uint32_t item, last = 0;

    prove(&r, "proven", 1);
    for (uint32_t i = 0; i < 100; i++)
        add_to(&r, "doubtful", i, 1);
    assert_int_equal(take_all(&r, &last), DOUBTFUL);
    for (uint32_t i = 0; i < 100; i++)
        add_to(&r, "fresh", i, 0);
    assert_int_equal(take_all(&r, &last), UNPROVEN - DOUBTFUL);
    for (uint32_t i = 0; i < 3; i++) {
        item = add_to(&r, "proven", 1, 0);
        assert_int_equal(take(&r), item);
    }
    assert_int_equal(take(&r), 0);
    /* Whose attempt ends makes a place for its like. */
    replay_outcome(&r, last, SCHED_RESULT_DONE);
    assert_true(goes_to(&r, take(&r), "fresh"));
    assert_int_equal(take(&r), 0);
    replay_end(&r);
}

/* The other lane has its own places, and none is kept from its destinations. */
static void a_lane_without_shares_holds_nobody_back(void **state)
{
    struct replay r = start();

    for (uint32_t i = 0; i < 100; i++) {
        char name[32];
        uint32_t item;
        snprintf(name, sizeof(name), "d%u.example", i);
        struct sched_entry entry = {.owner = owner_of(1),
                                    .destination = span_from_cstr(name),
                                    .lane = i % 2,
                                    .sender = i,
                                    .deadline_ms = r.now + DAY,
                                    .attempts = 1};
        assert_int_equal(sched_add(r.sched, &entry, r.now, &item), 0);
    }
    uint32_t last, count = take_all(&r, &last);
    assert_int_equal(count, 50 + DOUBTFUL);
    replay_end(&r);
}

/* Who waits for the end of a pause isn't overlooked while others wait for a place. */
static void waiting_for_a_place_is_no_reason_to_ask_again(void **state)
{
    struct replay r = start();
    uint32_t item, last;

    prove(&r, "proven", 1);
    item = add_to(&r, "proven", 1, 0);
    assert_int_equal(take(&r), item);
    replay_outcome(&r, item, SCHED_RESULT_RECIPIENT);
    for (uint32_t i = 0; i < 100; i++)
        add_to(&r, "doubtful", i, 1);
    assert_int_equal(sched_next_ms(r.sched, ~0u), INT64_MIN);
    assert_int_equal(take_all(&r, &last), DOUBTFUL);
    assert_int_equal(sched_next_ms(r.sched, ~0u), r.due);
    r.now = r.due;
    assert_int_equal(take(&r), item);
    replay_end(&r);
}

static void rings_take_turns(void **state)
{
    struct replay r = start();
    static const char *const kinds[] = {"doubtful", "fresh", "proven"};
    uint32_t of[3] = {0};

    for (uint32_t i = 0; i < 4; i++)
        prove(&r, "proven", i);
    for (uint32_t i = 0; i < 8; i++) {
        add_to(&r, "proven", i % 4, 0);
        add_to(&r, "fresh", i, 0);
        add_to(&r, "doubtful", i, 1);
    }
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t item = take(&r);
        for (int k = 0; k < 3; k++)
            of[k] += goes_to(&r, item, kinds[k]);
        assert_true(of[0] <= i / 3 + 1 && of[1] <= i / 3 + 1 && of[2] <= i / 3 + 1);
    }
    replay_end(&r);
}

/* ---- what one sender may have under way ---- */

enum { BULK = 1000, ANNA, BOB };

/* DOUBTFUL, FRESH or PROVEN: he gets three quarters, the next one three quarters of what is left,
 * and so on; and each again as much as ended. */
static void assert_shared_by_senders(struct replay *r, const char *kind, unsigned attempts,
                                     uint32_t places)
{
    uint32_t taken = 0, last = 0;

    for (uint32_t sender = BULK; taken < places; sender++) {
        uint32_t left = places - taken;
        for (uint32_t i = 0; i < 200; i++)
            add_by(r, sender, kind, i, attempts);
        uint32_t got = take_all(r, &last);
        assert_int_equal(got, (left * 3 + 3) / 4);
        taken += got;
    }
    assert_int_equal(sched_next_ms(r->sched, ~0u), INT64_MAX);
    replay_outcome(r, last, SCHED_RESULT_DONE);
}

static void a_sender_leaves_a_quarter(void **state)
{
    static const struct sched_share share = {40, 100, 200};
    struct sched_config config = replay_config();
    struct replay r = {.now = DAY};

    config.shares[0] = share;
    assert_int_equal(sched_new(&config, &r.sched), 0);
    for (uint32_t i = 0; i < 200; i++)
        prove(&r, "proven", i);
    assert_shared_by_senders(&r, "doubtful", 1, share.doubtful);
    replay_end(&r);
    assert_int_equal(sched_new(&config, &r.sched), 0);
    assert_shared_by_senders(&r, "fresh", 0, share.unproven);
    replay_end(&r);
    assert_int_equal(sched_new(&config, &r.sched), 0);
    for (uint32_t i = 0; i < 200; i++)
        prove(&r, "proven", i);
    assert_shared_by_senders(&r, "proven", 0, share.all);
    replay_end(&r);
}

/* Each trust has its own account of him, but what is left for all is left for each of them. */
static void a_sender_of_every_kind_leaves_a_quarter_of_a_quarter_of_a_quarter(void **state)
{
    struct sched_config config = replay_config();
    struct replay r = {.now = DAY};
    uint32_t last;

    config.shares[0] = (struct sched_share){2048, 3072, 4096};
    assert_int_equal(sched_new(&config, &r.sched), 0);
    for (uint32_t i = 0; i < 4000; i++)
        prove(&r, "proven", i);
    for (uint32_t i = 0; i < 4000; i++)
        add_by(&r, BULK, "proven", i, 0);
    assert_int_equal(take_all(&r, &last), 3072);
    for (uint32_t i = 0; i < 4000; i++)
        add_by(&r, BULK, "fresh", i, 0);
    assert_int_equal(take_all(&r, &last), 768);
    for (uint32_t i = 0; i < 4000; i++)
        add_by(&r, BULK, "doubtful", i, 1);
    assert_int_equal(take_all(&r, &last), 192);
    replay_end(&r);
}

/* His newsletter goes there as well: who has little under way shows whether anybody is there. */
static void who_has_less_under_way_goes_first_to_a_new_site(void **state)
{
    struct replay r = start();
    uint32_t last, bulk = 0, first;

    for (uint32_t i = 0; i < 100; i++)
        bulk = add_by(&r, BULK, "fresh", i, 0);
    assert_int_equal(take_all(&r, &last), (UNPROVEN * 3 + 3) / 4);
    first = add_by(&r, ANNA, "fresh", 99, 0);
    assert_int_equal(take(&r), first);
    assert_int_equal(take(&r), 0); /* what is next there has enough under way */
    replay_outcome(&r, first, SCHED_RESULT_DONE);
    assert_int_equal(take(&r), bulk); /* and now it is known */
    replay_end(&r);
}

/* At a site that is known they take turns, whatever each has under way elsewhere. */
static void at_a_proven_site_nobody_goes_first(void **state)
{
    struct replay r = start();
    uint32_t bulk[2], anna, bob;

    for (uint32_t i = 0; i < 3; i++)
        prove(&r, "proven", i);
    add_by(&r, BULK, "proven", 1, 0);
    add_by(&r, BULK, "proven", 2, 0);
    assert_true(take(&r) && take(&r));
    bulk[0] = add_by(&r, BULK, "proven", 0, 0);
    bulk[1] = add_by(&r, BULK, "proven", 0, 0);
    anna = add_by(&r, ANNA, "proven", 0, 0);
    bob = add_by(&r, BOB, "proven", 0, 0);
    assert_int_equal(take(&r), bulk[0]);
    assert_int_equal(take(&r), anna);
    assert_int_equal(take(&r), bob);
    assert_int_equal(take(&r), bulk[1]);
    replay_end(&r);
}

/* The crowd follows who is next there: else what is left would wait for somebody who is gone. */
static void who_leaves_takes_his_turn_with_him(void **state)
{
    struct replay r = start();
    uint32_t bulk, anna;

    for (uint32_t i = 0; i < 100; i++)
        add_by(&r, BULK, "fresh", i, 0);
    bulk = add_by(&r, BULK, "shared", 1, 0);
    anna = add_by(&r, ANNA, "shared", 1, 0);
    for (uint32_t i = 0; i < (UNPROVEN * 3 + 3) / 4; i++) /* who was first there has enough then */
        assert_true(goes_to(&r, take(&r), "fresh"));
    sched_hold(r.sched, bulk, r.now);
    assert_int_equal(take(&r), anna);
    replay_end(&r);
}

/* ---- overtaking who has enough under way ---- */

static const struct sched_share shared_places = {40, 100, 200};

static struct replay start_sharing(void)
{
    struct sched_config config = replay_config();
    struct replay r = {.now = DAY};

    config.shares[0] = shared_places;
    assert_int_equal(sched_new(&config, &r.sched), 0);
    return r;
}

/* A wrong word about what may go is a loop that never sleeps, or one that sleeps too long. */
static uint32_t take_as_told(struct replay *r)
{
    bool ready = sched_next_ms(r->sched, ~0u) == INT64_MIN;
    uint32_t item = take(r);

    assert_true(item || !ready);
    return item;
}

/* Very many sites keep silent to one sender, and one that doesn't is behind them: whoever else has
 * mail for that one, no matter since when, gets there at once; he himself with his next attempt. */
static void assert_overtaken(struct replay *r, const char *kind, unsigned attempts, uint32_t places)
{
    uint32_t silent[200], taken = 0, bulk, anna[2], bob, item;

    for (uint32_t i = 0; i < 200; i++)
        add_by(r, BULK, kind, i, attempts);
    bulk = add_by(r, BULK, kind, 200, attempts);
    anna[0] = add_by(r, ANNA, kind, 200, attempts);
    anna[1] = add_by(r, ANNA, kind, 200, attempts);
    bob = add_by(r, BOB, kind, 200, attempts);
    while (taken < (places * 3 + 3) / 4) {
        silent[taken++] = take(r);
        assert_int_equal(item_at(r->sched, silent[taken - 1])->sender, BULK);
    }
    assert_int_equal(take_as_told(r), anna[0]);
    assert_int_equal(take_as_told(r), bob);
    assert_int_equal(take_as_told(r), anna[1]);
    assert_int_equal(take_as_told(r), 0);
    assert_int_equal(sched_next_ms(r->sched, ~0u), INT64_MAX);
    while (!(item = take_as_told(r)))
        replay_outcome(r, silent[--taken], SCHED_RESULT_DONE);
    assert_int_equal(item, bulk);
}

static void who_has_enough_holds_up_nobody_at_his_destinations(void **state)
{
    struct replay r = start_sharing();

    assert_overtaken(&r, "doubtful", 1, shared_places.doubtful);
    replay_end(&r);
    r = start_sharing();
    assert_overtaken(&r, "fresh", 0, shared_places.unproven);
    replay_end(&r);
    r = start_sharing();
    for (uint32_t i = 0; i <= 200; i++)
        prove(&r, "proven", i);
    assert_overtaken(&r, "proven", 0, shared_places.all);
    replay_end(&r);
}

/* There is always mail of others, as much as the site takes: his isn't kept from it for ever. */
static void who_is_overtaken_goes_before_his_other_mail(void **state)
{
    struct replay r = start_sharing();
    uint32_t silent[200], taken = 0, bulk, item;

    for (uint32_t i = 0; i <= 200; i++)
        prove(&r, "proven", i);
    for (uint32_t i = 0; i < 200; i++)
        add_by(&r, BULK, "proven", i, 0);
    bulk = add_by(&r, BULK, "proven", 200, 0);
    for (uint32_t i = 0; i < 100; i++)
        add_by(&r, ANNA, "proven", 200, 0);
    while (item_at(r.sched, item = take(&r))->sender == BULK)
        silent[taken++] = item;
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t last = item;
        take_all(&r, &last); /* now the site is full */
        replay_outcome(&r, item, SCHED_RESULT_RECIPIENT);
        assert_int_equal(item_at(r.sched, item = take_as_told(&r))->sender, ANNA);
    }
    replay_outcome(&r, item, SCHED_RESULT_RECIPIENT);
    for (uint32_t i = 0; i < 70; i++)
        replay_outcome(&r, silent[--taken], SCHED_RESULT_DONE);
    while (item_at(r.sched, item = take_as_told(&r))->sender == ANNA)
        ;
    assert_int_equal(item, bulk);
    replay_end(&r);
}

/* How many calls until that one goes; those before have nothing. */
static uint32_t calls_until(struct replay *r, uint32_t wanted)
{
    uint32_t calls = 1, item;

    while (!(item = take_as_told(r)) && calls < 100)
        calls++;
    assert_int_equal(item, wanted);
    return calls;
}

/* Two have enough, and very many destinations in common: each call looks at some of these. */
static void who_may_go_is_found_among_very_many_destinations(void **state)
{
    struct replay r = start_sharing();
    uint32_t last, anna;

    for (uint32_t i = 0; i < 600; i++)
        prove(&r, "proven", i);
    for (uint32_t i = 0; i < 600; i++) {
        add_by(&r, BULK, "proven", i, 0);
        add_by(&r, BULK + 100, "proven", 599 - i, 0);
    }
    while (take_all(&r, &last))
        ;
    for (uint32_t i = 570; i < 600; i += 6) {
        anna = add_by(&r, ANNA, "proven", i, 0);
        assert_in_range(calls_until(&r, anna), 1, 2 * 600 / 64 + 2);
        replay_outcome(&r, anna, SCHED_RESULT_DONE);
    }
    replay_end(&r);
}

static const struct crowd *crowd_of(struct replay *r, uint32_t sender)
{
    struct flow flow = {.sender = sender};
    struct destination d = {.site = 1};

    list_init(&d.flows);
    list_append(&d.flows, &flow.link);
    return lane_crowd(r->sched, &d);
}

/* Nor do very many senders whose fate is his keep him from one destination. */
static void who_may_go_is_found_among_very_many_senders(void **state)
{
    struct replay r = start_sharing();
    uint32_t last, anna, senders = 0;

    for (uint32_t i = 0; i <= 200; i++)
        prove(&r, "proven", i);
    for (uint32_t i = 0; i <= 200; i++)
        add_by(&r, BULK, "proven", i, 0);
    assert_int_equal(take_all(&r, &last), 150);
    for (uint32_t sender = BULK + 100; senders < 300; sender++)
        if (crowd_of(&r, sender) == crowd_of(&r, BULK)) {
            add_by(&r, sender, "proven", 200, 0);
            senders++;
        }
    anna = add_by(&r, ANNA, "proven", 200, 0);
    assert_in_range(calls_until(&r, anna), 2, 300 / 64 + 2);
    replay_end(&r);
}

/* ---- black holes by the thousand, with a process that can have PLACES attempts under way ---- */

enum { PLACES = 400, HANG_ROUNDS = 20, BLACK_HOLES = 10000 };

struct hole {
    uint32_t item;
    int64_t until;
};

struct process {
    struct replay replay;
    struct hole hung[PLACES];
    uint32_t busy, answered, attempts;
};

static struct process process_start(void)
{
    struct process p = {.replay.now = DAY};
    struct sched_config config = replay_config();

    config.shares[0] = (struct sched_share){PLACES / 2, PLACES / 4 * 3, PLACES};
    assert_int_equal(sched_new(&config, &p.replay.sched), 0);
    return p;
}

static void begin_attempts(struct process *p)
{
    struct replay *r = &p->replay;

    for (uint32_t item; p->busy < PLACES && (item = take(r)); p->attempts++)
        p->hung[p->busy++] =
            (struct hole){item, r->now + (goes_to(r, item, "hole") ? HANG_ROUNDS : 1)};
}

static void end_attempts(struct process *p)
{
    struct replay *r = &p->replay;

    for (uint32_t i = 0; i < p->busy;) {
        if (p->hung[i].until > r->now) {
            i++;
            continue;
        }
        bool hole = goes_to(r, p->hung[i].item, "hole");
        replay_outcome(r, p->hung[i].item, hole ? SCHED_RESULT_DESTINATION : SCHED_RESULT_DONE);
        p->answered += !hole;
        p->hung[i] = p->hung[--p->busy];
    }
}

static void go_round(struct process *p)
{
    begin_attempts(p);
    p->replay.now++;
    end_attempts(p);
}

/* All of them due at once, tried before or never: mail for who has just answered goes in the round
 * in which it comes, and first mail for somebody new soon. */
static void black_holes_hold_up_nobody(void **state)
{
    struct process p = process_start();

    add_to(&p.replay, "good", 1, 0);
    go_round(&p);
    assert_int_equal(p.answered, 1);
    for (uint32_t i = 0; i < BLACK_HOLES; i++)
        add_to(&p.replay, "hole", i, i % 4 != 0);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t before = p.answered;
        add_to(&p.replay, "good", 1, 0);
        go_round(&p);
        assert_int_equal(p.answered, before + 1);
    }
    assert_true(p.attempts > 2000); /* nor are the black holes left alone */
    replay_end(&p.replay);
}

/* One sender's are all due for the first time: another's goes in the round in which it comes. */
static void first_mail_doesnt_wait_for_anothers_first_mail(void **state)
{
    struct process p = process_start();

    for (uint32_t i = 0; i < BLACK_HOLES; i++)
        add_by(&p.replay, BULK, "hole", i, 0);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t before = p.answered;
        go_round(&p);
        for (uint32_t i = 0; i < 10; i++)
            add_by(&p.replay, ANNA, "new", round * 10 + i, 0);
        go_round(&p);
        assert_int_equal(p.answered, before + 10);
    }
    assert_true(p.attempts > 200 * 2 / HANG_ROUNDS * PLACES / 2); /* nor do those starve */
    replay_end(&p.replay);
}

/* Once what was never tried has failed, first mail for a new domain goes at once as well. */
static void first_mail_doesnt_wait_for_what_failed_before(void **state)
{
    struct process p = process_start();

    for (uint32_t i = 0; i < BLACK_HOLES; i++)
        add_to(&p.replay, "hole", i, 1);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t before = p.answered;
        for (uint32_t i = 0; i < 50; i++)
            add_to(&p.replay, "new", round * 50 + i, 0);
        go_round(&p);
        assert_int_equal(p.answered, before + 50);
    }
    replay_end(&p.replay);
}

/* Many new destinations that do answer use all places that anybody unknown may have. */
static void new_destinations_are_not_serialized(void **state)
{
    struct process p = process_start();
    uint32_t rounds = 0;

    for (uint32_t i = 0; i < 10000; i++)
        add_to(&p.replay, "new", i, 0);
    for (; p.answered < 10000; rounds++)
        go_round(&p);
    assert_int_equal(rounds, (10000 + PLACES / 4 * 3 - 1) / (PLACES / 4 * 3));
    replay_end(&p.replay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trust_follows_what_a_site_shows),
        cmocka_unit_test(our_own_trouble_says_nothing_of_the_site),
        cmocka_unit_test(our_own_trouble_pauses_nobody_for_long),
        cmocka_unit_test(our_own_trouble_counts_only_so_often),
        cmocka_unit_test(only_a_pause_costs_a_proven_site_its_trust),
        cmocka_unit_test(what_failed_before_the_start_is_doubtful),
        cmocka_unit_test(domains_of_one_site_share_their_trust),
        cmocka_unit_test(places_are_shared_by_trust),
        cmocka_unit_test(a_lane_without_shares_holds_nobody_back),
        cmocka_unit_test(waiting_for_a_place_is_no_reason_to_ask_again),
        cmocka_unit_test(rings_take_turns),
        cmocka_unit_test(a_sender_leaves_a_quarter),
        cmocka_unit_test(a_sender_of_every_kind_leaves_a_quarter_of_a_quarter_of_a_quarter),
        cmocka_unit_test(who_has_less_under_way_goes_first_to_a_new_site),
        cmocka_unit_test(at_a_proven_site_nobody_goes_first),
        cmocka_unit_test(who_leaves_takes_his_turn_with_him),
        cmocka_unit_test(who_has_enough_holds_up_nobody_at_his_destinations),
        cmocka_unit_test(who_is_overtaken_goes_before_his_other_mail),
        cmocka_unit_test(who_may_go_is_found_among_very_many_destinations),
        cmocka_unit_test(who_may_go_is_found_among_very_many_senders),
        cmocka_unit_test(black_holes_hold_up_nobody),
        cmocka_unit_test(first_mail_doesnt_wait_for_anothers_first_mail),
        cmocka_unit_test(first_mail_doesnt_wait_for_what_failed_before),
        cmocka_unit_test(new_destinations_are_not_serialized)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
