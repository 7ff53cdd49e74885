#include "../../unit.h"

#include "proc/queue/core/route.h"
#include <stdio.h>

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static struct conf_queue_domain domains[] = {{.name = NAME("here.example")}};
static struct conf_queue_route routes[] = {
    /* as sorted by the supervisor */
    {NAME("*"), NAME("host:smart.example:25,spare.example:26")},
    {NAME(".b.example"), NAME("host:below.example:25")},
    {NAME(".c.b.example"), NAME("host:deeper.example:25")},
    {NAME(".test"), NAME("mx")},
    {NAME("b.example"), NAME("host:gate.example:25")},
    {NAME("direct.b.example"), NAME("mx")},
};
static const struct conf_queue conf = {
    .domains = domains, .domain_count = 1, .routes = routes, .route_count = ARRAY_SIZE(routes)};

static void the_most_exact_route(void **state)
{
    static const struct {
        const char *domain;
        enum route_way way;
        const char *next_hop, *destination;
    } cases[] = {
        {"here.example", ROUTE_MAILBOX, "", "here.example"},
        {"HERE.example", ROUTE_MAILBOX, "", "HERE.example"},
        {"sub.here.example", ROUTE_SMTP, "host:smart.example:25,spare.example:26",
         "smart.example:25,spare.example:26"},
        {"b.example", ROUTE_SMTP, "host:gate.example:25", "gate.example:25"},
        {"xb.example", ROUTE_SMTP, "host:smart.example:25,spare.example:26",
         "smart.example:25,spare.example:26"},
        {"a.b.example", ROUTE_SMTP, "host:below.example:25", "below.example:25"},
        {"x.a.b.example", ROUTE_SMTP, "host:below.example:25", "below.example:25"},
        {"c.b.example", ROUTE_SMTP, "host:below.example:25", "below.example:25"},
        {"x.c.b.example", ROUTE_SMTP, "host:deeper.example:25", "deeper.example:25"},
        {"direct.b.example", ROUTE_SMTP, "mx:direct.b.example", "direct.b.example"},
        {"a.test", ROUTE_SMTP, "mx:a.test", "a.test"},
        {"test", ROUTE_SMTP, "host:smart.example:25,spare.example:26",
         "smart.example:25,spare.example:26"},
        {"", ROUTE_SMTP, "host:smart.example:25,spare.example:26",
         "smart.example:25,spare.example:26"},
        {"[192.0.2.1]", ROUTE_SMTP, "host:smart.example:25,spare.example:26",
         "smart.example:25,spare.example:26"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct route route;
        route_find(&conf, span_from_cstr(cases[i].domain), &route);
        assert_int_equal(route.way, cases[i].way);
        assert_span(route.next_hop, cases[i].next_hop);
        assert_span(route.destination, cases[i].destination);
    }
}

static void without_routes_by_mx(void **state)
{
    const struct conf_queue none = {0};
    char longest[CONF_TEXT_MAX];
    struct route route;

    route_find(&none, SPAN("b.example"), &route);
    assert_int_equal(route.way, ROUTE_SMTP);
    assert_span(route.next_hop, "mx:b.example");
    memset(longest, 'x', sizeof(longest));
    route_find(&none, span_of(longest, sizeof(longest)), &route);
    assert_int_equal(route.next_hop.size, sizeof(longest) + 3);
}

/* Each of the many is found, by whatever place it has in the table; and nobody else. */
static void many_domains(void **state)
{
    enum { COUNT = 1000 };
    static char names[COUNT][24];
    static struct conf_queue_domain many[COUNT];
    const struct conf_queue large = {.domains = many, .domain_count = COUNT};
    struct route route;

    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "d%04d.example", i);
        many[i] = (struct conf_queue_domain){.name = span_from_cstr(names[i])};
    }
    for (int i = 0; i < COUNT; i++) {
        route_find(&large, many[i].name, &route);
        assert_int_equal(route.way, ROUTE_MAILBOX);
        assert_true(route_names(&large, many[i].name));
    }
    route_find(&large, SPAN("d0000.exampl"), &route);
    assert_int_equal(route.way, ROUTE_SMTP);
    assert_false(route_names(&large, SPAN("z.example")));
}

static void named_by_a_route(void **state)
{
    assert_true(route_names(&conf, SPAN("here.example")));
    assert_true(route_names(&conf, routes[2].pattern));
    assert_false(route_names(&conf, SPAN("nobody.example")));
}

/* Each of the many is found, by whatever place it has in the table. */
static void many_routes(void **state)
{
    enum { COUNT = 1000 };
    static char names[COUNT][24];
    static struct conf_queue_route many[COUNT];
    const struct conf_queue large = {.routes = many, .route_count = COUNT};

    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "d%04d.example", i);
        many[i] = (struct conf_queue_route){span_from_cstr(names[i]), NAME("host:h:25")};
    }
    for (int i = 0; i < COUNT; i++) {
        struct route route;
        route_find(&large, many[i].pattern, &route);
        assert_span(route.next_hop, "host:h:25");
    }
}

static void fingerprints(void **state)
{
    struct conf_queue_route changed[ARRAY_SIZE(routes)];
    struct conf_queue other = conf;
    uint64_t was = route_fingerprint(&conf);

    other.retry_first_ms = 7;
    assert_true(route_fingerprint(&other) == was);
    memcpy(changed, routes, sizeof(routes));
    other.routes = changed;
    assert_true(route_fingerprint(&other) == was);
    changed[2].next_hop = SPAN("mx");
    assert_true(route_fingerprint(&other) != was);
    changed[2] = routes[2];
    changed[2].pattern = SPAN(".d.b.example");
    assert_true(route_fingerprint(&other) != was);
    other = conf;
    other.domain_count = 0;
    assert_true(route_fingerprint(&other) != was);
    other = conf;
    other.route_count--;
    assert_true(route_fingerprint(&other) != was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_exact_route), cmocka_unit_test(without_routes_by_mx),
        cmocka_unit_test(many_domains),         cmocka_unit_test(named_by_a_route),
        cmocka_unit_test(many_routes),          cmocka_unit_test(fingerprints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
