#include "../../unit.h"

#include "proc/directory/limits.h"

enum { MINUTE = 60 * 1000 };

static const int64_t start = 1000 * (int64_t)MINUTE;

struct world {
    struct limits limits;
    struct limits_holder holder;
};

static void world_init(struct world *w, struct conf_client_limits max)
{
    limits_init(&w->limits, 42);
    limits_configure(&w->limits, &max);
    limits_holder_init(&w->holder, 7);
}

static void world_done(struct world *w)
{
    limits_holder_done(&w->limits, &w->holder, start);
    limits_done(&w->limits);
}

static enum limits_verdict come(struct world *w, const char *from, int64_t now_ms)
{
    uint8_t ip[IP_BYTES];

    assert_int_equal(ip_parse(span_from_cstr(from), ip), 0);
    return limits_connect(&w->limits, &w->holder, ip, false, now_ms);
}

static void go(struct world *w, const char *from, uint32_t refused, int64_t now_ms)
{
    uint8_t ip[IP_BYTES];

    assert_int_equal(ip_parse(span_from_cstr(from), ip), 0);
    limits_disconnect(&w->limits, &w->holder, ip, refused, now_ms);
}

static void connections_at_once(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 2, .network_connections = 3});
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    assert_int_equal(come(&w, "192.0.2.2", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.3", start), LIMITS_TOO_MANY); /* its /24 is full */
    assert_int_equal(come(&w, "192.0.3.1", start), LIMITS_FINE);
    go(&w, "192.0.2.1", 0, start);
    assert_int_equal(come(&w, "192.0.2.3", start), LIMITS_FINE);
    world_done(&w);
}

static void ipv6_counts_by_64_and_48(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 1, .network_connections = 2});
    assert_int_equal(come(&w, "2001:db8:1:1::1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "2001:db8:1:1:ffff::2", start), LIMITS_TOO_MANY);
    assert_int_equal(come(&w, "2001:db8:1:2::1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "2001:db8:1:3::1", start), LIMITS_TOO_MANY);
    assert_int_equal(come(&w, "2001:db8:2:1::1", start), LIMITS_FINE);
    go(&w, "2001:db8:1:1:abcd::9", 0, start); /* the same client under another address */
    assert_int_equal(come(&w, "2001:db8:1:1::1", start), LIMITS_FINE);
    world_done(&w);
}

static void connections_a_minute(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_rate = 10});
    for (int i = 0; i < 10; i++) {
        assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
        go(&w, "192.0.2.1", 0, start);
    }
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_FAST);
    assert_int_equal(come(&w, "192.0.2.2", start), LIMITS_FINE);
    /* The window slides: half a minute into the next one, half of the ten still count. */
    int64_t later = start + MINUTE + MINUTE / 2;
    for (int i = 0; i < 5; i++)
        assert_int_equal(come(&w, "192.0.2.1", later), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", later), LIMITS_TOO_FAST);
    assert_int_equal(come(&w, "192.0.2.1", start + 4 * MINUTE), LIMITS_FINE);
    world_done(&w);
}

static void refused_recipients(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_refusals = 100});
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    go(&w, "192.0.2.1", 99, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    go(&w, "192.0.2.1", 1, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_BAD);
    assert_int_equal(come(&w, "192.0.2.2", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start + 9 * MINUTE), LIMITS_TOO_BAD);
    assert_int_equal(come(&w, "192.0.2.1", start + 11 * MINUTE), LIMITS_FINE);
    /* A count that runs over stays at its end. */
    go(&w, "192.0.2.1", UINT32_MAX, start + 11 * MINUTE);
    assert_int_equal(come(&w, "192.0.2.2", start + 11 * MINUTE), LIMITS_FINE);
    go(&w, "192.0.2.2", UINT32_MAX, start + 11 * MINUTE);
    assert_int_equal(come(&w, "192.0.2.1", start + 12 * MINUTE), LIMITS_TOO_BAD);
    world_done(&w);
}

static void a_refused_connection_is_not_counted(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 1});
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    go(&w, "192.0.2.1", 0, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    world_done(&w);
}

static void the_exempt_are_counted_but_not_refused(void **state)
{
    uint8_t ip[IP_BYTES];
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 1});
    assert_int_equal(ip_parse(SPAN("192.0.2.1"), ip), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(limits_connect(&w.limits, &w.holder, ip, true, start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    world_done(&w);
}

static void a_dead_holder_gives_back(void **state)
{
    struct limits_holder other;
    uint8_t ip[IP_BYTES];
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 3});
    limits_holder_init(&other, 8);
    assert_int_equal(ip_parse(SPAN("192.0.2.1"), ip), 0);
    assert_int_equal(limits_connect(&w.limits, &other, ip, false, start), LIMITS_FINE);
    assert_int_equal(limits_connect(&w.limits, &other, ip, false, start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    limits_holder_done(&w.limits, &other, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    world_done(&w);
}

static void a_lying_holder_changes_nothing(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 1, .client_refusals = 1});
    for (int i = 0; i < 3; i++)
        go(&w, "192.0.2.1", 1000, start); /* never came */
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    go(&w, "192.0.2.1", 0, start);
    go(&w, "192.0.2.1", 0, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    world_done(&w);
}

/* A neighbour's connections count for the network, his refusals don't: they say who is bad. */
static void neighbours(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){.network_rate = 4, .client_refusals = 1});
    for (int i = 0; i < 4; i++) {
        char ip[16] = "192.0.2.1";
        ip[8] = (char)('1' + i);
        assert_int_equal(come(&w, ip, start), LIMITS_FINE);
        go(&w, ip, 50, start);
    }
    assert_int_equal(come(&w, "192.0.2.9", start), LIMITS_TOO_FAST);
    assert_int_equal(come(&w, "192.0.3.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.9", start + 3 * MINUTE), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start + 3 * MINUTE), LIMITS_TOO_BAD);
    world_done(&w);
}

/* Who is over several limits is told of the one that passes soonest. */
static void which_limit_is_told(void **state)
{
    struct world w;

    world_init(&w, (struct conf_client_limits){
                       .client_connections = 1, .client_rate = 2, .client_refusals = 1});
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    go(&w, "192.0.2.1", 0, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    go(&w, "192.0.2.1", 9, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_FAST);
    assert_int_equal(come(&w, "192.0.2.1", start + 3 * MINUTE), LIMITS_TOO_BAD);
    world_done(&w);
}

/* A reload's limits count from the next connection on, with what was counted before. */
static void limits_that_change(void **state)
{
    const struct conf_client_limits none = {0}, two = {.client_connections = 2};
    struct world w;

    world_init(&w, none);
    for (int i = 0; i < 50; i++)
        assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    limits_configure(&w.limits, &two);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    assert_int_equal(come(&w, "192.0.2.2", start), LIMITS_FINE);
    for (int i = 0; i < 49; i++)
        go(&w, "192.0.2.1", 0, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    world_done(&w);
}

/* What one holder has is nothing to the other: it can't give it back. */
static void holders_have_their_own(void **state)
{
    struct limits_holder other;
    uint8_t ip[IP_BYTES];
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 1});
    limits_holder_init(&other, 8);
    assert_int_equal(ip_parse(SPAN("192.0.2.1"), ip), 0);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    limits_disconnect(&w.limits, &other, ip, 0, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    limits_holder_done(&w.limits, &other, start);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    world_done(&w);
}

/* A flood of addresses costs no more than the bound, and doesn't free who is connected. */
static void bounded(void **state)
{
    uint8_t ip[IP_BYTES] = {[10] = 0xff, [11] = 0xff, [12] = 10};
    struct world w;

    world_init(&w, (struct conf_client_limits){.client_connections = 1});
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE);
    for (uint32_t i = 0; i < LIMITS_COUNTERS_MAX + 5000; i++) {
        ip[13] = (uint8_t)(i >> 16);
        ip[14] = (uint8_t)(i >> 8);
        ip[15] = (uint8_t)i;
        assert_int_equal(limits_connect(&w.limits, &w.holder, ip, false, start), LIMITS_FINE);
        limits_disconnect(&w.limits, &w.holder, ip, 0, start);
        assert_true(w.limits.counters.count <= LIMITS_COUNTERS_MAX);
    }
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_TOO_MANY);
    /* Much later the crowd is forgotten bit by bit. */
    uint32_t before = w.limits.counters.count;
    for (int i = 0; i < 1000; i++) {
        ip[12] = (uint8_t)(11 + i / 256);
        ip[15] = (uint8_t)i;
        limits_connect(&w.limits, &w.holder, ip, false, start + 60 * MINUTE);
    }
    assert_true(w.limits.counters.count < before);
    world_done(&w);
}

/* With room for one counter more there is none for a client and its network. */
static void one_counter_is_left(void **state)
{
    uint8_t ip[IP_BYTES] = {[10] = 0xff, [11] = 0xff, [12] = 10};
    struct world w;

    world_init(&w, (struct conf_client_limits){.network_connections = 2});
    for (uint32_t i = 0; i < LIMITS_COUNTERS_MAX / 2; i++) {
        /* Each in a network of its own, but for the last. */
        uint32_t network = i + 1 < LIMITS_COUNTERS_MAX / 2 ? i : 0;
        ip[12] = (uint8_t)(network >> 16);
        ip[13] = (uint8_t)(network >> 8);
        ip[14] = (uint8_t)network;
        ip[15] = network == i ? 1 : 2;
        assert_int_equal(limits_connect(&w.limits, &w.holder, ip, false, start), LIMITS_FINE);
    }
    assert_int_equal(w.limits.counters.count, LIMITS_COUNTERS_MAX - 1);
    assert_int_equal(come(&w, "192.0.2.1", start), LIMITS_FINE); /* uncounted */
    go(&w, "192.0.2.1", 0, start);
    for (ip[15] = 1; ip[15] <= 2; ip[15]++) /* those two make room */
        limits_disconnect(&w.limits, &w.holder, ip, 0, start);
    assert_int_equal(come(&w, "192.0.2.2", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.3", start), LIMITS_FINE);
    assert_int_equal(come(&w, "192.0.2.4", start), LIMITS_TOO_MANY);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_at_once),
        cmocka_unit_test(ipv6_counts_by_64_and_48),
        cmocka_unit_test(connections_a_minute),
        cmocka_unit_test(refused_recipients),
        cmocka_unit_test(a_refused_connection_is_not_counted),
        cmocka_unit_test(the_exempt_are_counted_but_not_refused),
        cmocka_unit_test(a_dead_holder_gives_back),
        cmocka_unit_test(a_lying_holder_changes_nothing),
        cmocka_unit_test(neighbours),
        cmocka_unit_test(which_limit_is_told),
        cmocka_unit_test(limits_that_change),
        cmocka_unit_test(holders_have_their_own),
        cmocka_unit_test(bounded),
        cmocka_unit_test(one_counter_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
