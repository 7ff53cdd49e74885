#include "../unit.h"

#include "conf/conf.h"

static const char text[] =
    "hostname: mail.aaa.example\n"
    "postmaster: anna@aaa.example\n"
    "trusted: 10.0.0.0/8\n"
    "listen:\n"
    "  mx: { address: \"127.0.0.1:25\", normalize: 192.0.2.0/24 }\n"
    "  sub: { address: \"127.0.0.1:587\", service: submission }\n"
    "domains:\n"
    "  aaa.example: { deliver: \"maildir:/m/%d/%u\", users: /u, aliases: /a }\n"
    "  bbb.example: { deliver: \"maildir:/m/%d/%u\", users: /u }\n"
    "limits: { client_rate: 7, message_size: 1M, recipients: 200 }\n"
    "resolver: { servers: [192.0.2.1, \"::1@5353\"], trust_anchor: /k }\n"
    "mailbox: { quota: 1G }\n"
    "relays: { inside.example: { to: \"smtp:10.0.0.5:25\" } }\n"
    "routes:\n"
    "  \"*\": { to: [\"smtp:a.example:25\", \"smtp:b.example:26\"] }\n"
    "  ccc.example: { to: mx }\n"
    "report: { language: de }\n"
    "allow_private_mx: yes\n";

static int setup(void **state)
{
    static struct conf c;
    struct conf_problems problems;

    conf_problems_init(&problems);
    int r = conf_parse(span_from_cstr(text), SPAN("f"), SPAN("/"), &problems, &c);
    conf_problems_done(&problems);
    *state = &c;
    return r;
}

static int teardown(void **state)
{
    conf_done(*state);
    return 0;
}

static void smtpd_gets_what_is_built(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_smtpd part;

    assert_int_equal(conf_cut_smtpd(*state, 3, 3, &arena, &part), 0);
    assert_int_equal(part.generation, 3);
    assert_span(part.hostname, "mail.aaa.example");
    assert_int_equal(part.listener_count, 1); /* submission isn't built yet */
    assert_span(part.listeners[0].name, "mx");
    assert_int_equal(part.listeners[0].normalize_count, 1);
    assert_int_equal(part.message_size_max, 1 << 20);
    assert_int_equal(part.recipients_max, 200);
    assert_int_equal(part.connections_max, 3334); /* a third of 10000, rounded up */
    assert_int_equal(part.command_timeout_ms, 300000);
    arena_done(&arena);
}

static void queue_finds_domains_by_name_and_knows_the_first(void **state)
{
    const struct conf *written = *state;
    struct conf_domain turned[] = {written->domains[1], written->domains[0]};
    struct arena arena = ARENA_INIT;
    struct conf other = *written;
    struct conf_queue part;

    assert_int_equal(conf_cut_queue(written, 3, &arena, &part), 0);
    assert_span(part.domains[0].name, "aaa.example");
    assert_int_equal(part.first_domain, 0);
    other.domains = turned;
    assert_int_equal(conf_cut_queue(&other, 3, &arena, &part), 0);
    assert_span(part.domains[0].name, "aaa.example");
    assert_int_equal(part.first_domain, 1);
    other.domain_count = 0;
    assert_int_equal(conf_cut_queue(&other, 3, &arena, &part), 0);
    assert_int_equal(part.first_domain, 0);
    arena_done(&arena);
}

static void directory_gets_each_file_once(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_directory part;

    assert_int_equal(conf_cut_directory(*state, 3, &arena, &part), 0);
    assert_int_equal(part.domain_count, 2);
    assert_int_equal(part.file_count, 2);
    assert_span(part.files[0].name, "/u");
    assert_span(part.files[1].name, "/a");
    assert_span(part.domains[1].users, "/u");
    assert_int_equal(part.domains[1].aliases.size, 0);
    assert_int_equal(part.trusted_count, 1);
    assert_int_equal(part.relay_count, 1);
    assert_span(part.relays[0].name, "inside.example");
    assert_int_equal(part.limits.client_rate, 7);
    assert_span(part.postmaster, "anna@aaa.example");
    assert_span(part.postmaster_place.file, "f");
    assert_int_equal(part.postmaster_place.line, 2);
    assert_int_equal(part.postmaster_place.column, 1);
    arena_done(&arena);
}

static void queue_gets_all_routes_sorted(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_queue part;

    assert_int_equal(conf_cut_queue(*state, 3, &arena, &part), 0);
    assert_int_equal(part.route_count, 3);
    assert_span(part.routes[0].pattern, "*");
    assert_span(part.routes[0].next_hop, "host:a.example:25,b.example:26");
    assert_span(part.routes[1].pattern, "ccc.example");
    assert_span(part.routes[1].next_hop, "mx");
    assert_span(part.routes[2].pattern, "inside.example");
    assert_int_equal(part.report_language, CONF_LANGUAGE_DE);
    arena_done(&arena);
}

static void smtp_knows_where_we_listen(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_smtp part;

    assert_int_equal(conf_cut_smtp(*state, 3, &arena, &part), 0);
    assert_span(part.hostname, "mail.aaa.example");
    assert_int_equal(part.own_count, 2);
    assert_int_equal(part.own[1].port, 587);
    assert_true(part.allow_private_mx);
    arena_done(&arena);
}

static size_t parse_addresses(const char *list, struct conf_address *out)
{
    size_t count = 0;

    for (const char *p = list; *p;) {
        size_t size = strcspn(p, " ");
        assert_int_equal(conf_address_parse(span_of(p, size), &out[count++]), 0);
        p += size + (p[size] == ' ');
    }
    return count;
}

static void any_address_is_each_of_the_machine(void **state)
{
    static const struct {
        const char *listens, *machine, *own;
    } cases[] = {
        {"0.0.0.0:25", "192.0.2.1:1 [2001:db8::1]:1 127.0.0.1:1", "192.0.2.1:25 127.0.0.1:25"},
        {"[::]:25", "192.0.2.1:1 [2001:db8::1]:1", "[2001:db8::1]:25"},
        {"192.0.2.1:25", "192.0.2.9:1", "192.0.2.1:25"},
        {"0.0.0.0:25 192.0.2.7:587", "192.0.2.1:1", "192.0.2.1:25 192.0.2.7:587"},
        {"0.0.0.0:25", "", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_address listens[4], machine[4];
        struct arena arena = ARENA_INIT;
        struct conf_smtp part = {.own = listens,
                                 .own_count = parse_addresses(cases[i].listens, listens)};
        struct buffer own = BUFFER_INIT;
        char one[CONF_NETWORK_TEXT];

        size_t count = parse_addresses(cases[i].machine, machine);
        assert_int_equal(conf_cut_smtp_own(&part, machine, count, &arena), 0);
        for (size_t k = 0; k < part.own_count; k++) {
            conf_address_format(&part.own[k], one);
            buffer_printf(&own, "%s%s", k ? " " : "", one);
        }
        assert_span(buffer_span(&own), cases[i].own);
        buffer_done(&own);
        arena_done(&arena);
    }
}

/* A machine may have more addresses than anybody foresaw: the list is as long as it may be. */
static void addresses_of_a_machine_with_very_many(void **state)
{
    enum { MOST = CONF_LISTENERS_MAX * CONF_ADDRESSES_MAX, MANY = MOST + 2 };
    static struct conf_address machine[MANY];
    struct conf_address listens[2];
    struct arena arena = ARENA_INIT;
    struct conf_smtp part = {.own = listens,
                             .own_count = parse_addresses("0.0.0.0:25 192.0.2.1:26", listens)};

    for (size_t i = 0; i < MANY; i++) {
        parse_addresses("10.0.0.0:1", &machine[i]);
        machine[i].ip[IP_BYTES - 2] = (uint8_t)(i >> 8);
        machine[i].ip[IP_BYTES - 1] = (uint8_t)i;
    }
    assert_int_equal(conf_cut_smtp_own(&part, machine, MANY, &arena), 0);
    assert_int_equal(part.own_count, MOST);
    assert_memory_equal(part.own[MOST - 1].ip, machine[MOST - 1].ip, IP_BYTES);
    arena_done(&arena);
}

static void resolver_gets_servers_and_anchor(void **state)
{
    struct conf_resolver part;

    assert_int_equal(conf_cut_resolver(*state, 3, &part), 0);
    assert_int_equal(part.server_count, 2);
    assert_int_equal(part.servers[0].port, 53);
    assert_int_equal(part.servers[1].port, 5353);
    assert_span(part.trust_anchor, "/k");
}

static void the_others(void **state)
{
    struct arena arena = ARENA_INIT;
    struct conf_queue queue;
    struct conf_book book;
    struct conf_mailbox mailbox;

    assert_int_equal(conf_cut_queue(*state, 3, &arena, &queue), 0);
    assert_int_equal(queue.domain_count, 2);
    assert_span(queue.domains[1].name, "bbb.example");
    assert_int_equal(queue.segment_size, 64 << 20);
    assert_int_equal(queue.retry_first_ms, 300000);
    assert_int_equal(conf_cut_book(*state, 3, &book), 0);
    assert_span(book.ledger, "/var/lib/postbuch/ledger");
    assert_int_equal(conf_cut_mailbox(*state, 3, 12, 34, &arena, &mailbox), 0);
    assert_int_equal(mailbox.uid, 12);
    assert_int_equal(mailbox.gid, 34);
    assert_int_equal(mailbox.quota, 1 << 30);
    assert_span(mailbox.domains[0].template, "/m/%d/%u");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(smtpd_gets_what_is_built, setup, teardown),
        cmocka_unit_test_setup_teardown(directory_gets_each_file_once, setup, teardown),
        cmocka_unit_test_setup_teardown(queue_gets_all_routes_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(smtp_knows_where_we_listen, setup, teardown),
        cmocka_unit_test(any_address_is_each_of_the_machine),
        cmocka_unit_test(addresses_of_a_machine_with_very_many),
        cmocka_unit_test_setup_teardown(resolver_gets_servers_and_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(queue_finds_domains_by_name_and_knows_the_first, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
