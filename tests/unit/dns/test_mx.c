/* Domains in all shapes: a case is a small world of names, and what must come of it. */
#include "dns_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct record {
    const char *name;
    unsigned short type;
    const char *rdata[8]; /* none: NOERROR without data */
    unsigned char rcode;
    int error;
};

struct world {
    const char *name;
    const char *domain;
    struct record records[8]; /* what isn't here is NOERROR without data */
    const char *own_name, *own_address;
    bool allow_private;
    const char *status; /* "": found */
    const char *hosts;  /* "name/preference=addresses …", good ones only; or part of the text */
};

#define MX DNS_TYPE_MX
#define A DNS_TYPE_A
#define AAAA DNS_TYPE_AAAA
#define D "d.example"

static const struct world worlds[] = {
    {"one MX",
     D,
     {{D, MX, {"10 mx.example"}}, {"mx.example", A, {"192.0.2.1"}}},
     .status = "",
     .hosts = "mx.example/10=192.0.2.1"},
    {"the lowest preference first",
     D,
     {{D, MX, {"30 c.example", "5 a.example", "20 b.example"}},
      {"a.example", A, {"192.0.2.1"}},
      {"b.example", A, {"192.0.2.2"}},
      {"c.example", A, {"192.0.2.3"}}},
     .status = "",
     .hosts = "a.example/5=192.0.2.1 b.example/20=192.0.2.2 c.example/30=192.0.2.3"},
    {"families take turns",
     D,
     {{D, MX, {"10 mx.example"}},
      {"mx.example", A, {"192.0.2.1"}},
      {"mx.example", AAAA, {"2001:db8::1"}}},
     .status = "",
     .hosts = "mx.example/10=2001:db8::1,192.0.2.1"},
    {"the same host twice counts with its better preference",
     D,
     {{D, MX, {"20 mx.example", "10 MX.example", "15 b.example"}},
      {"mx.example", A, {"192.0.2.1"}},
      {"b.example", A, {"192.0.2.2"}}},
     .status = "",
     .hosts = "mx.example/10=192.0.2.1 b.example/15=192.0.2.2"},
    {"no MX, an A", D, {{D, A, {"192.0.2.1"}}}, .status = "", .hosts = D "/0=192.0.2.1"},
    {"no MX, an AAAA", D, {{D, AAAA, {"2001:db8::1"}}}, .status = "", .hosts = D "/0=2001:db8::1"},
    {"nothing at all", D, {{0}}, .status = "5.1.2", .hosts = "neither a mail server (MX) nor"},
    {"no such domain",
     D,
     {{D, MX, .rcode = DNS_RCODE_NXDOMAIN}, {D, A, {"192.0.2.1"}}},
     .status = "5.1.2",
     .hosts = "does not exist"},
    {"SERVFAIL for the MX never leads to the address",
     D,
     {{D, MX, .rcode = DNS_RCODE_SERVFAIL}, {D, A, {"192.0.2.1"}}},
     .status = "4.4.3",
     .hosts = "the MX of " D " failed: SERVFAIL"},
    {"null MX",
     D,
     {{D, MX, {"0 ."}}, {D, A, {"192.0.2.1"}}},
     .status = "5.1.10",
     .hosts = "accepts no mail"},
    {"null MX beside another is a mistake",
     D,
     {{D, MX, {"0 .", "10 mx.example"}}, {"mx.example", A, {"192.0.2.1"}}},
     .status = "",
     .hosts = "mx.example/10=192.0.2.1"},
    {"a host that doesn't exist is passed over",
     D,
     {{D, MX, {"10 gone.example", "20 mx.example"}},
      {"gone.example", A, .rcode = DNS_RCODE_NXDOMAIN},
      {"gone.example", AAAA, .rcode = DNS_RCODE_NXDOMAIN},
      {"mx.example", A, {"192.0.2.1"}}},
     .status = "",
     .hosts = "mx.example/20=192.0.2.1"},
    {"no host has an address",
     D,
     {{D, MX, {"10 gone.example"}}},
     .status = "5.4.4",
     .hosts = "gone.example of " D " has no address"},
    {"one host can't be asked for, the other has no address",
     D,
     {{D, MX, {"10 gone.example", "20 mx.example"}}, {"mx.example", A, .error = -ETIMEDOUT}},
     .status = "4.4.3",
     .hosts = "the A of mx.example failed: no name server answered in time"},
    {"our own trouble is the reason, whatever failed before",
     D,
     {{D, MX, {"10 a.example", "20 b.example", "30 c.example"}},
      {"a.example", AAAA, .rcode = DNS_RCODE_SERVFAIL},
      {"b.example", A, .error = -EIO},
      {"c.example", A, .error = -ETIMEDOUT}},
     .status = "4.3.0",
     .hosts = "the A of b.example failed: the resolver couldn't ask"},
    {"our own trouble at the MX",
     D,
     {{D, MX, .error = -EIO}},
     .status = "4.3.0",
     .hosts = "the MX of " D " failed: the resolver couldn't ask"},
    {"the best host can't be asked for, the next can",
     D,
     {{D, MX, {"10 a.example", "20 b.example"}},
      {"a.example", A, .rcode = DNS_RCODE_SERVFAIL},
      {"b.example", A, {"192.0.2.2"}}},
     .status = "",
     .hosts = "b.example/20=192.0.2.2"},
    {"one family fails, the other is there",
     D,
     {{D, MX, {"10 a.example"}},
      {"a.example", AAAA, .rcode = DNS_RCODE_SERVFAIL},
      {"a.example", A, {"192.0.2.2"}}},
     .status = "",
     .hosts = "a.example/10=192.0.2.2"},
    {"a private address",
     D,
     {{D, MX, {"10 mx.example"}}, {"mx.example", A, {"10.1.2.3"}}},
     .status = "5.4.4",
     .hosts = "only a private address (10.1.2.3)"},
    {"loopback",
     D,
     {{D, MX, {"10 mx.example"}}, {"mx.example", AAAA, {"::1"}}},
     .status = "5.4.4",
     .hosts = "only a loopback address (::1)"},
    {"the domain's own address is private",
     D,
     {{D, A, {"192.168.1.1"}}},
     .status = "5.4.4",
     .hosts = "only a private address (192.168.1.1)"},
    {"a private address beside a public one",
     D,
     {{D, MX, {"10 mx.example"}}, {"mx.example", A, {"10.1.2.3", "192.0.2.1"}}},
     .status = "",
     .hosts = "mx.example/10=192.0.2.1"},
    {"a private host before a public one",
     D,
     {{D, MX, {"10 a.example", "20 b.example"}},
      {"a.example", A, {"127.0.0.1"}},
      {"b.example", A, {"192.0.2.2"}}},
     .status = "",
     .hosts = "b.example/20=192.0.2.2"},
    {"a private address where it is allowed",
     D,
     {{D, MX, {"10 mx.example"}}, {"mx.example", A, {"10.1.2.3"}}},
     .allow_private = true,
     .status = "",
     .hosts = "mx.example/10=10.1.2.3"},
    {"we are the best by name",
     D,
     {{D, MX, {"10 Us.example", "20 b.example"}},
      {"us.example", A, {"192.0.2.1"}},
      {"b.example", A, {"192.0.2.2"}}},
     .own_name = "us.EXAMPLE",
     .status = "5.4.6",
     .hosts = "best mail server us.example is this one"},
    {"we are a backup: only better ones",
     D,
     {{D, MX, {"10 a.example", "20 us.example", "20 b.example", "30 c.example"}},
      {"a.example", A, {"192.0.2.1"}},
      {"b.example", A, {"192.0.2.2"}},
      {"c.example", A, {"192.0.2.3"}}},
     .own_name = "us.example",
     .status = "",
     .hosts = "a.example/10=192.0.2.1"},
    {"we are a backup and the best can't be asked for",
     D,
     {{D, MX, {"10 a.example", "20 us.example"}}, {"a.example", A, .rcode = DNS_RCODE_REFUSED}},
     .own_name = "us.example",
     .status = "4.4.3",
     .hosts = "REFUSED"},
    {"we are the best by address",
     D,
     {{D, MX, {"10 a.example", "20 b.example"}},
      {"a.example", A, {"192.0.2.9"}},
      {"b.example", A, {"192.0.2.2"}}},
     .own_address = "192.0.2.9",
     .status = "5.4.6",
     .hosts = "best mail server a.example is this one"},
    {"we are a backup by address",
     D,
     {{D, MX, {"10 a.example", "20 b.example", "30 c.example"}},
      {"a.example", A, {"192.0.2.1"}},
      {"b.example", AAAA, {"2001:db8::9"}},
      {"c.example", A, {"192.0.2.3"}}},
     .own_address = "2001:db8::9",
     .status = "",
     .hosts = "a.example/10=192.0.2.1"},
    {"our address behind a translator",
     D,
     {{D, MX, {"10 a.example"}}, {"a.example", AAAA, {"64:ff9b::c000:209"}}},
     .own_address = "192.0.2.9",
     .status = "5.4.6",
     .hosts = "is this one"},
    {"another network's host behind our relay",
     D,
     {{D, MX, {"10 a.example"}}, {"a.example", AAAA, {"2002:c000:209::2"}}},
     .own_address = "192.0.2.9",
     .status = "",
     .hosts = "a.example/10=2002:c000:209::2"},
    {"the domain's own address is ours",
     D,
     {{D, A, {"192.0.2.9"}}},
     .own_address = "192.0.2.9",
     .status = "5.4.6",
     .hosts = "is this one"},
    {"our name without an MX",
     "us.example",
     {{"us.example", A, {"192.0.2.1"}}},
     .own_name = "us.example",
     .status = "5.4.6",
     .hosts = "is this one"},
    {"our loopback, though private ones are refused",
     D,
     {{D, MX, {"10 a.example"}}, {"a.example", A, {"127.0.0.1"}}},
     .own_address = "127.0.0.1",
     .status = "5.4.6",
     .hosts = "is this one"},
    {"an address literal", "[192.0.2.1]", {{0}}, .status = "", .hosts = "[192.0.2.1]/0=192.0.2.1"},
    {"an IPv6 literal",
     "[IPv6:2001:db8::1]",
     {{0}},
     .status = "",
     .hosts = "[IPv6:2001:db8::1]/0=2001:db8::1"},
    {"a literal of a private address",
     "[127.0.0.1]",
     {{0}},
     .status = "5.4.4",
     .hosts = "only a loopback address"},
    {"a literal of ours",
     "[192.0.2.9]",
     {{0}},
     .own_address = "192.0.2.9",
     .status = "5.4.6",
     .hosts = "is this one"},
};

static void answer_from(const struct world *w, struct dns_mx *mx, const struct dns_question *q)
{
    struct fake_answer *fake = calloc(1, sizeof(*fake));

    for (size_t i = 0; i < ARRAY_SIZE(w->records) && w->records[i].name; i++) {
        const struct record *r = &w->records[i];
        if (r->type != q->type || !span_equal(span_from_cstr(r->name), q->name))
            continue;
        fake->answer.rcode = r->rcode;
        fake->answer.error = r->error;
        for (size_t k = 0; k < ARRAY_SIZE(r->rdata) && r->rdata[k]; k++)
            fake_add(fake, r->rdata[k]);
    }
    assert_int_equal(dns_mx_answer(mx, q->number, &fake->answer), 0);
    /* Nothing is answered twice. */
    assert_int_equal(dns_mx_answer(mx, q->number, &fake->answer), -EINVAL);
    free(fake);
}

/* Asks all there is, then answers: the first first, or the last first. */
static void play(const struct world *w, struct dns_mx *mx, bool backwards)
{
    struct dns_question open[1 + 2 * DNS_HOSTS_MAX];
    size_t count;

    do {
        count = 0;
        while (dns_mx_question(mx, &open[count]))
            count++;
        for (size_t i = 0; i < count; i++)
            answer_from(w, mx, &open[backwards ? count - 1 - i : i]);
    } while (count);
}

static void describe(const struct dns_mx *mx, struct buffer *out)
{
    size_t count;
    const struct dns_host *hosts = dns_mx_hosts(mx, &count);
    char ip[IP_TEXT];

    for (size_t i = 0; i < count; i++) {
        if (hosts[i].state != DNS_HOST_GOOD)
            continue;
        buffer_printf(out, "%s%s/%u=", out->size ? " " : "", hosts[i].name, hosts[i].preference);
        for (size_t k = 0; k < hosts[i].address_count; k++) {
            ip_format(hosts[i].addresses[k].bytes, ip);
            buffer_printf(out, "%s%s", k ? "," : "", ip);
        }
    }
    buffer_append_byte(out, '\0');
}

static struct dns_mx *make(const struct world *w, uint64_t seed)
{
    static struct span own_name;
    static struct dns_ip own_address;
    struct dns_mx_rules rules = {.allow_private = w->allow_private, .seed = seed};
    struct dns_mx *mx;

    own_name = span_from_cstr(w->own_name);
    rules.own_names = &own_name;
    rules.own_name_count = w->own_name != NULL;
    if (w->own_address)
        assert_int_equal(ip_parse(span_from_cstr(w->own_address), own_address.bytes), 0);
    rules.own_addresses = &own_address;
    rules.own_address_count = w->own_address != NULL;
    assert_int_equal(dns_mx_new(span_from_cstr(w->domain), &rules, &mx), 0);
    return mx;
}

static void check(const struct world *w, const struct dns_mx *mx)
{
    struct buffer out = BUFFER_INIT;
    bool found = w->status[0] == '\0';
    enum dns_verdict wanted = found                             ? DNS_FOUND
                              : strcmp(w->status, "4.3.0") == 0 ? DNS_OURS
                              : w->status[0] == '4'             ? DNS_TEMPORARY
                                                                : DNS_PERMANENT;

    if (dns_mx_verdict(mx) != wanted || strcmp(dns_mx_status(mx), w->status) != 0)
        fail_msg("%s: %d %s %.*s", w->name, dns_mx_verdict(mx), dns_mx_status(mx),
                 SPAN_ARG(dns_mx_text(mx)));
    assert_int_equal(found, dns_mx_text(mx).size == 0);
    if (found)
        describe(mx, &out);
    else {
        buffer_append_span(&out, dns_mx_text(mx));
        buffer_append_byte(&out, '\0');
    }
    if (found ? strcmp(out.data, w->hosts) != 0 : !strstr(out.data, w->hosts))
        fail_msg("%s: %s", w->name, out.data);
    buffer_done(&out);
}

static void all_worlds(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(worlds); i++)
        for (unsigned seed = 0; seed < 8; seed++) {
            struct dns_mx *mx = make(&worlds[i], seed);
            play(&worlds[i], mx, seed % 2);
            check(&worlds[i], mx);
            dns_mx_free(mx);
        }
}

/* Each of three equals comes first about as often as the others; seeds repeat themselves. */
static void equals_are_shuffled(void **state)
{
    static const struct world w = {
        "equals",
        D,
        {{D, MX, {"10 a.example", "10 b.example", "10 c.example", "5 z.example"}},
         {"a.example", A, {"192.0.2.1"}},
         {"b.example", A, {"192.0.2.2"}},
         {"c.example", A, {"192.0.2.3"}},
         {"z.example", A, {"192.0.2.4"}}},
    };
    unsigned first[3] = {0};
    size_t count;

    for (unsigned seed = 0; seed < 600; seed++) {
        char second = 0;
        for (int again = 0; again < 2; again++) {
            struct dns_mx *mx = make(&w, seed / 2 * 7919);
            play(&w, mx, false);
            const struct dns_host *hosts = dns_mx_hosts(mx, &count);
            assert_int_equal(count, 4);
            assert_string_equal(hosts[0].name, "z.example");
            assert_true(again == 0 || second == hosts[1].name[0]);
            second = hosts[1].name[0];
            dns_mx_free(mx);
        }
        first[second - 'a']++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(first[i], 140, 260);
}

/* The best are kept, however many there are. */
static void many_hosts(void **state)
{
    const struct dns_mx_rules rules = {.seed = 3};
    struct fake_answer *fake = calloc(1, sizeof(*fake));
    struct dns_question q;
    struct dns_mx *mx;
    char text[64];
    size_t count;

    for (unsigned i = 0; i < 64; i++) {
        snprintf(text, sizeof(text), "%u h%u.example", 64 - i, 64 - i);
        fake_add(fake, text);
    }
    assert_int_equal(dns_mx_new(SPAN(D), &rules, &mx), 0);
    assert_true(dns_mx_question(mx, &q));
    assert_false(dns_mx_question(mx, &q));
    assert_int_equal(dns_mx_answer(mx, q.number, &fake->answer), 0);
    const struct dns_host *hosts = dns_mx_hosts(mx, &count);
    assert_int_equal(count, DNS_HOSTS_MAX);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(hosts[i].preference, i + 1);
    assert_int_equal(dns_mx_verdict(mx), DNS_PENDING);
    dns_mx_free(mx); /* with questions open */
    free(fake);
}

/* A machine for a domain of `count` hosts with these preferences, whose MX is answered. */
static struct dns_mx *with_hosts(unsigned count, unsigned first_preference, unsigned step)
{
    static const struct dns_mx_rules rules = {.seed = 3};
    struct fake_answer *fake = calloc(1, sizeof(*fake));
    struct dns_question q;
    struct dns_mx *mx;
    char text[64];

    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "%u h%02u.example", first_preference + i * step, i);
        fake_add(fake, text);
    }
    assert_int_equal(dns_mx_new(SPAN(D), &rules, &mx), 0);
    assert_true(dns_mx_question(mx, &q));
    assert_int_equal(dns_mx_answer(mx, q.number, &fake->answer), 0);
    free(fake);
    return mx;
}

/* Four hosts at once, the best first; then one question for each answer, so that those that nobody
 * answers hold up no other host while there is one. */
static void a_few_questions_at_a_time(void **state)
{
    struct dns_mx *mx = with_hosts(12, 10, 10);
    const struct dns_answer none = {0};
    struct dns_question q;
    unsigned asked[8];
    char name[16];

    for (unsigned i = 0; i < 8; i++) {
        assert_true(dns_mx_question(mx, &q));
        asked[i] = q.number;
        snprintf(name, sizeof(name), "h%02u.example", i / 2);
        assert_span(q.name, name);
    }
    assert_false(dns_mx_question(mx, &q));
    for (unsigned i = 8; i < 24; i++) { /* the last of the eight is answered, and what follows */
        assert_int_equal(dns_mx_answer(mx, i == 8 ? asked[7] : q.number, &none), 0);
        assert_true(dns_mx_question(mx, &q));
        snprintf(name, sizeof(name), "h%02u.example", i / 2);
        assert_span(q.name, name);
        unsigned next = q.number;
        assert_false(dns_mx_question(mx, &q));
        q.number = next;
    }
    assert_int_equal(dns_mx_answer(mx, q.number, &none), 0);
    assert_false(dns_mx_question(mx, &q));
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(dns_mx_verdict(mx), DNS_PENDING);
        assert_int_equal(dns_mx_answer(mx, asked[i], &none), 0);
    }
    assert_int_equal(dns_mx_verdict(mx), DNS_PERMANENT);
    dns_mx_free(mx);
}

/* In a hurry hosts that weren't asked for are no reason to return mail, and one that is known is
 * enough. */
static void a_hurry_ends_the_asking(void **state)
{
    static const struct span rdata[] = {SPAN("\300\0\2\1")};
    const struct dns_answer late = {.error = -ETIMEDOUT}, none = {0},
                            found = {.rdata = rdata, .rdata_count = 1};

    for (int good = 0; good < 2; good++) {
        struct dns_mx *mx = with_hosts(12, 10, 10);
        struct dns_question q;
        unsigned asked[8];
        size_t count;

        for (unsigned i = 0; i < 8; i++) {
            assert_true(dns_mx_question(mx, &q));
            asked[i] = q.number;
        }
        dns_mx_hurry(mx); /* nothing has failed */
        for (unsigned i = 0; i < 6; i++)
            assert_int_equal(dns_mx_answer(mx, asked[i], i == 0 || i == 2 ? &late : &none), 0);
        dns_mx_hurry(mx);
        assert_false(dns_mx_question(mx, &q));
        assert_int_equal(dns_mx_verdict(mx), DNS_PENDING); /* two are under way */
        assert_int_equal(dns_mx_answer(mx, asked[6], &none), 0);
        assert_int_equal(dns_mx_answer(mx, asked[7], good ? &found : &none), 0);
        assert_int_equal(dns_mx_verdict(mx), good ? DNS_FOUND : DNS_TEMPORARY);
        const struct dns_host *hosts = dns_mx_hosts(mx, &count);
        assert_int_equal(hosts[0].state, DNS_HOST_FAILED);
        assert_int_equal(hosts[1].state, DNS_HOST_FAILED);
        assert_int_equal(hosts[2].state, DNS_HOST_MISSING);
        assert_int_equal(hosts[3].state, good ? DNS_HOST_GOOD : DNS_HOST_MISSING);
        assert_int_equal(hosts[4].state, DNS_HOST_ASKED);
        dns_mx_free(mx);
    }
}

/* Behind one dead host the next gets its turn, one question at a time; then it is enough. */
static void a_hurry_passes_one_dead_host(void **state)
{
    static const struct span rdata[] = {SPAN("\300\0\2\1")};
    const struct dns_answer late = {.error = -ETIMEDOUT}, none = {0},
                            found = {.rdata = rdata, .rdata_count = 1};
    struct dns_mx *mx = with_hosts(12, 10, 10);
    struct dns_question q;
    size_t count;

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(dns_mx_verdict(mx), DNS_PENDING);
        assert_true(dns_mx_question(mx, &q));
        assert_int_equal(dns_mx_answer(mx, q.number, i < 2 ? &late : i < 3 ? &none : &found), 0);
        dns_mx_hurry(mx);
    }
    assert_int_equal(dns_mx_verdict(mx), DNS_FOUND);
    const struct dns_host *hosts = dns_mx_hosts(mx, &count);
    assert_int_equal(hosts[0].state, DNS_HOST_FAILED);
    assert_int_equal(hosts[1].state, DNS_HOST_GOOD);
    assert_int_equal(hosts[2].state, DNS_HOST_ASKED);
    dns_mx_free(mx);
}

static void many_addresses(void **state)
{
    const struct dns_mx_rules rules = {.seed = 3};
    struct fake_answer *fake = calloc(1, sizeof(*fake));
    struct dns_answer none = {0};
    struct dns_question q;
    struct dns_mx *mx;
    char text[64];
    size_t count;

    for (unsigned i = 0; i < 64; i++) {
        snprintf(text, sizeof(text), "192.0.2.%u", i + 1);
        fake_add(fake, text);
    }
    assert_int_equal(dns_mx_new(SPAN(D), &rules, &mx), 0);
    while (dns_mx_question(mx, &q))
        dns_mx_answer(mx, q.number, q.type == A ? &fake->answer : &none);
    assert_int_equal(dns_mx_hosts(mx, &count)->address_count, DNS_ADDRESSES_MAX);
    dns_mx_free(mx);
    free(fake);
}

static void unreadable_records(void **state)
{
    const struct dns_mx_rules rules = {0};
    const struct span rdata[] = {SPAN("\0"), SPAN("\0\1\300\1")};
    const struct dns_answer answer = {.rdata = rdata, .rdata_count = 2};
    struct dns_question q;
    struct dns_mx *mx;

    assert_int_equal(dns_mx_new(SPAN(D), &rules, &mx), 0);
    assert_int_equal(dns_mx_answer(mx, 0, &answer), -EINVAL); /* not asked yet */
    assert_true(dns_mx_question(mx, &q));
    assert_int_equal(dns_mx_answer(mx, q.number, &answer), 0);
    assert_int_equal(dns_mx_verdict(mx), DNS_TEMPORARY);
    dns_mx_free(mx);
}

static void domains_that_are_none(void **state)
{
    static const struct span domains[] = {SPAN(""), SPAN("a..b"), SPAN("[]"), SPAN("[x]"),
                                          SPAN("[192.0.2.1")};
    const struct dns_mx_rules rules = {0};
    struct dns_mx *mx = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(domains); i++)
        assert_int_equal(dns_mx_new(domains[i], &rules, &mx), -EINVAL);
    assert_null(mx);
}

static void words_and_sets(void **state)
{
    static const struct world w = {
        "words",
        D,
        {{D, MX, {"10 b.example", "20 a.example", "30 us.example", "40 c.example"}},
         {"b.example", A, {"10.0.0.1"}},
         {"a.example", A, {"192.0.2.1", "192.0.2.1"}}},
        .own_name = "us.example",
    };
    struct buffer out = BUFFER_INIT;
    struct dns_mx *mx = make(&w, 1);

    play(&w, mx, false);
    assert_int_equal(dns_mx_explain(mx, &out), 0);
    assert_span(buffer_span(&out),
                D " has 4 MX\n"
                  "     10  b.example  has only private addresses or the like, which are not used\n"
                  "     20  a.example  192.0.2.1, 192.0.2.1\n"
                  "     30  us.example  is this server\n"
                  "     40  c.example  left out: not better than this server\n");
    buffer_clear(&out);
    assert_int_equal(dns_mx_set(mx, &out), 0);
    assert_span(buffer_span(&out), "a.example,b.example,c.example,us.example");
    dns_mx_free(mx);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_worlds),
        cmocka_unit_test(equals_are_shuffled),
        cmocka_unit_test(many_hosts),
        cmocka_unit_test(a_few_questions_at_a_time),
        cmocka_unit_test(a_hurry_ends_the_asking),
        cmocka_unit_test(a_hurry_passes_one_dead_host),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(unreadable_records),
        cmocka_unit_test(domains_that_are_none),
        cmocka_unit_test(words_and_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
