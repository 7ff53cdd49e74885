#include "problems.h"

#include "conf/conf.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The file of the manual: everything that is documented. */
static const char documented[] =
    "hostname: mail.aaa.example\n"
    "spool: file:/var/spool/postbuch\n"
    "ledger: /var/lib/postbuch/ledger\n"
    "control: /run/postbuch/control\n"
    "\n"
    "tls:\n"
    "  certificate: /etc/postbuch/cert.pem\n"
    "  key: /etc/postbuch/key.pem\n"
    "\n"
    "listen:\n"
    "  mx:          { address: [\"0.0.0.0:25\", \"[::]:25\"] }\n"
    "  submission:  { address: [\"0.0.0.0:587\"], service: submission }\n"
    "  submissions: { address: [\"0.0.0.0:465\"], service: submission, tls: implicit }\n"
    "  pop3:        { address: [\"0.0.0.0:110\"], service: pop3 }\n"
    "\n"
    "domains:\n"
    "  aaa.example:\n"
    "    deliver: maildir:/var/mail/%d/%u\n"
    "    users: file:/etc/postbuch/users\n"
    "    aliases: file:/etc/aliases\n"
    "relays:\n"
    "  intern.example: { to: [\"smtp:10.0.0.5:25\"], verify: true }\n"
    "routes:\n"
    "  bbb.example: { to: [\"smtp:gw.bbb.example:25\"], tls: require }\n"
    "  \"*\": { to: [mx] }\n"
    "\n"
    "trusted: [127.0.0.0/8, \"::1/128\"]\n"
    "resolver: { servers: [\"127.0.0.1@53\"], trust_anchor: /usr/share/dns/root.key }\n"
    "retry:  { first: 5m, max: 4h, give_up: 4d, delay_notice: 4h }\n"
    "limits: { message_size: 50M, recipients: 1000, connections: 10000 }\n"
    "book:   { keep: 90d, refusals: 14d }\n"
    "web:    { address: \"127.0.0.1:8025\" }\n";

static const char documented_warnings[] =
    "6:1: warning: not built yet: TLS\n"
    "12:3: warning: not built yet: the service of `submission`\n"
    "13:3: warning: not built yet: the service of `submissions`\n"
    "14:3: warning: not built yet: the service of `pop3`\n"
    "22:47: warning: not built yet: `verify`; every recipient of the domain is accepted\n"
    "24:55: error: not built yet: `tls: require`\n"
    "32:1: warning: not built yet: the page\n";

static int parse(const char *text, struct conf_problems *problems, struct conf *c)
{
    conf_problems_init(problems);
    return conf_parse(span_from_cstr(text), SPAN("test.yaml"), SPAN("/etc/postbuch"), problems, c);
}

static void documented_file(void **state)
{
    struct conf_problems problems;
    struct conf c;

    assert_int_equal(parse(documented, &problems, &c), -EINVAL);
    assert_problems(&problems, "documented", documented_warnings);
    assert_null(c.listens);
    conf_problems_done(&problems);

    /* Without what would be dangerous to ignore it is taken, and typed. */
    char *mended = strdup(documented);
    memcpy(strstr(mended, "tls: require"), "tls: none   ", 12);
    assert_int_equal(parse(mended, &problems, &c), 0);
    assert_span(c.hostname, "mail.aaa.example");
    assert_span(c.spool, "/var/spool/postbuch");
    assert_int_equal(c.listen_count, 4);
    assert_span(c.listens[0].name, "mx");
    assert_int_equal(c.listens[0].address_count, 2);
    assert_int_equal(c.listens[0].addresses[1].port, 25);
    assert_int_equal(c.listens[2].tls, CONF_TLS_IMPLICIT);
    assert_int_equal(c.domain_count, 1);
    assert_span(c.domains[0].template, "/var/mail/%d/%u");
    assert_span(c.domains[0].users, "/etc/postbuch/users");
    assert_int_equal(c.relay_count, 1);
    assert_span(c.relays[0].name, "intern.example");
    assert_span(c.relays[0].next_hop, "host:10.0.0.5:25");
    assert_int_equal(c.route_count, 2);
    assert_span(c.routes[0].next_hop, "host:gw.bbb.example:25");
    assert_span(c.routes[1].name, "*");
    assert_span(c.routes[1].next_hop, "mx");
    assert_false(c.allow_private_mx);
    assert_int_equal(c.report_language, CONF_LANGUAGE_AUTO);
    assert_int_equal(c.trusted_count, 2);
    assert_int_equal(c.trusted[0].prefix, 104);
    assert_int_equal(c.retry.give_up, 4 * 86400000);
    assert_int_equal(c.limits.message_size, 50 << 20);
    assert_true(c.book_refusals == 14 * UINT64_C(86400000));
    free(mended);
    conf_done(&c);
    conf_problems_done(&problems);
}

#define HOST "hostname: mail.aaa.example\n"
#define LISTEN "listen: { mx: { address: \"127.0.0.1:25\" } }\n"
#define DOMAIN "domains: { aaa.example: { deliver: \"maildir:/m/%d/%u\", users: /u } }\n"
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_NAME X64 X64 X64 X64
#define WHOLE HOST LISTEN DOMAIN /* three lines without a problem */

static const struct {
    const char *name, *text, *problems;
} cases[] = {
    {"nothing wrong", WHOLE, ""},
    {"all at once",
     "hostnmae: x\nspool: rados:pool=p\nlisten: { mx: { adress: \"127.0.0.1:25\" } }\n"
     "limits: { message_size: lots }\ntrusted: [10.0.0.1/8, nobody]\nretry: 5m\n",
     "1:1: error: the configuration has no key `hostnmae`; did you mean `hostname`?\n"
     "1:1: error: the configuration needs `hostname:`\n"
     "2:8: error: not built yet: a spool on Ceph\n"
     "3:11: error: a listener needs `address:`\n"
     "3:17: error: a listener has no key `adress`; did you mean `address`?\n"
     "4:25: error: `message_size` is a size, but `lots` is none; write it like 50M or 64K\n"
     "5:11: error: `10.0.0.1/8` has bits set behind its prefix\n"
     "5:23: error: `nobody` is not a network\n"
     "6:8: error: `retry` is a group of settings"},
    {"nobody listens", HOST DOMAIN, "1:1: warning: nobody listens"},
    {"no address", HOST DOMAIN "listen: { mx: { address: [] } }\n",
     "3:11: warning: `mx` has no address"},
    {"no domain", HOST LISTEN, "1:1: warning: no domain is delivered here"},
    {"far from any key", WHOLE "zzzzzzzz: 1\n",
     "4:1: error: the configuration has no key "
     "`zzzzzzzz`; take it out"},
    {"no value", WHOLE "spool:\n", "`spool` has no value"},
    {"list for a value", WHOLE "banner: [a]\n", "4:9: error: `banner` is a single value"},
    {"map for a list", WHOLE "trusted: { a: b }\n", "4:10: error: `trusted` is a list"},
    {"text for a listener", HOST DOMAIN "listen: { mx: 25 }\n",
     "3:15: error: a listener is a group of settings"},
    {"nested list", WHOLE "trusted: [[127.0.0.0/8]]\n", "4:11: error: here belongs a single value"},
    {"word", WHOLE "sandbox: off\n",
     "4:10: error: `off` is not a value of `sandbox`; choose one of: kill, errno"},
    {"too small", WHOLE "limits: { recipients: 99 }\n",
     "4:23: error: `99` is too small for `recipients`; choose 100 to 10000"},
    {"too large", WHOLE "retry: { give_up: 9999d }\n",
     "4:19: error: `9999d` is too large for `give_up`; choose 1s to 365d"},
    {"too large to be counted", WHOLE "mailbox: { quota: 99999999T }\n",
     "error: `99999999T` is too large for `quota`; choose 0 to 18446744073709551615"},
    {"number", WHOLE "limits: { recipients: 0x100 }\n", "`recipients` is a number"},
    {"segment size", WHOLE "spool_segment_size: 1000001\n",
     "too small for `spool_segment_size`; choose 1M to 1G"},
    {"odd segment size", WHOLE "spool_segment_size: 1048577\n", "multiple of 64K"},
    {"host name", LISTEN DOMAIN "hostname: \"bad host\"\n", "`bad host` is not a domain name"},
    {"host is an address", LISTEN DOMAIN "hostname: \"[192.0.2.1]\"\n", "is not a domain name"},
    {"host without dot", LISTEN DOMAIN "hostname: box\n", "3:1: warning: `hostname` has no dot"},
    {"path scheme", WHOLE "ledger: s3:/bucket\n", "not the path of a file"},
    {"same folder", WHOLE "ledger: /x/\nspool: file:/x\n", "4:1: error: `ledger` and `spool` are"},
    {"address without port", HOST DOMAIN "listen: { mx: { address: 127.0.0.1 } }\n",
     "3:26: error: `127.0.0.1` is not an address with a port"},
    {"listener's name", WHOLE "listen2: 1\n", "did you mean `listen`?"},
    {"bad listener's name", HOST DOMAIN "listen: { \"m x\": { address: \"127.0.0.1:25\" } }\n",
     "3:11: error: a listener's name"},
    {"address twice",
     HOST DOMAIN
     "listen:\n  a: { address: \"127.0.0.1:25\" }\n  b: { address: \"127.0.0.1:25\" }\n",
     "5:3: error: `b` names an address that is listed before"},
    {"one of all addresses",
     HOST DOMAIN "listen:\n  a: { address: \"127.0.0.1:25\" }\n  b: { address: [\"0.0.0.0:26\", "
                 "\"0.0.0.0:25\"] }\n",
     "5:3: error: `b` names an address that is listed before, by itself or as one of all"},
    {"all addresses of another family",
     HOST DOMAIN "listen:\n  a: { address: \"127.0.0.1:25\" }\n  b: { address: \"[::]:25\" }\n",
     ""},
    {"mx with TLS only",
     HOST DOMAIN "listen: { mx: { address: \"127.0.0.1:25\", tls: require } }\n",
     "3:11: error: not built yet: TLS, so `mx` would take in the clear"},
    {"delivery by LMTP",
     HOST LISTEN "domains: { aaa.example: { deliver: \"lmtp:h:24\", users: /u } }\n",
     "3:36: error: not built yet: delivery by `lmtp:`"},
    {"delivery by pipe",
     HOST LISTEN "domains: { aaa.example: { deliver: \"pipe:/x\", users: /u } }\n",
     "3:36: error: not built yet: delivery by `pipe:`"},
    {"unknown delivery", HOST LISTEN "domains: { aaa.example: { deliver: /x, users: /u } }\n",
     "3:36: error: `/x` is no way to deliver"},
    {"template letters",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/%x\", users: /u } }\n",
     "3:36: error: after % only u (user), d (domain) or % may follow; mend the path of the mail"},
    {"template upwards",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/%u/../x\", users: /u } }\n",
     "3:36: error: the path may not hold . or ..; mend the path of the mailboxes"},
    {"template with a dot",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/x/./%u\", users: /u } }\n",
     "3:36: error: the path may not hold . or .."},
    {"template with two values side by side",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/m/%u-%d\", users: /u } }\n",
     "3:36: error: two values in one part of the path need a byte like @ between them"},
    {"template with a part that is no name",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/m/" LONG_NAME
                 "/%u\", users: /u } }\n",
     "3:36: error: a part of the path is longer than 255 bytes"},
    {"one box for all",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/%%u\", users: /u } }\n",
     "warning: all users of `aaa.example` share one mailbox"},
    {"shared by two domains",
     HOST LISTEN "domains:\n  a.example: { deliver: \"maildir:/m/%u\", users: /u }\n"
                 "  b.example: { deliver: \"maildir:/m/%u\", users: /u }\n",
     "5:3: warning: users of the same name in `a.example` and `b.example` share a mailbox"},
    {"domain twice",
     HOST LISTEN "domains:\n  a.example: { deliver: \"maildir:/m/%d/%u\", users: /u }\n"
                 "  A.Example: { deliver: \"maildir:/m/%d/%u\", users: /u }\n",
     "error: `a.example` is listed twice"},
    {"domain without users",
     HOST LISTEN "domains: { aaa.example: { deliver: \"maildir:/m/%d/%u\" } }\n",
     "3:12: warning: `aaa.example` has no `users:`; all mail for it is refused"},
    {"local and relayed", WHOLE "relays: { AAA.example: { to: mx } }\n",
     "4:11: error: `aaa.example` is also in `domains:`"},
    {"local and routed", WHOLE "routes: { Aaa.example: { to: mx } }\n",
     "4:11: warning: `aaa.example` is delivered here, so this route is never used"},
    {"relayed and routed",
     WHOLE "routes: { b.example: { to: mx } }\nrelays: { B.example: { to: mx } }\n",
     "4:11: error: `b.example` is also in `relays:`"},
    {"route twice", WHOLE "routes: { .b.example: { to: mx }, .B.example: { to: mx } }\n",
     "4:35: error: `.b.example` is listed twice"},
    {"subdomains beside the domain",
     WHOLE "routes: { .b.example: { to: mx }, b.example: { to: mx }, \"*\": { to: mx } }\n", ""},
    {"relay for everybody", WHOLE "relays: { \"*\": { to: mx } }\n",
     "4:11: error: `*` would accept mail from anyone for anyone: an open relay"},
    {"relay for all below", WHOLE "relays: { .b.example: { to: mx } }\n",
     "4:11: error: `.b.example` would accept mail from anyone"},
    {"route of no domain", WHOLE "routes: { \"b example\": { to: mx }, .: { to: mx } }\n",
     "4:11: error: `b example` is not a domain name\nerror: `` is not a domain name"},
    {"route to nowhere", WHOLE "routes: { b.example: { to: [] } }\n",
     "4:28: error: `to` names no way"},
    {"route without a way", WHOLE "routes: { b.example: { tls: none } }\n",
     "4:11: error: a route needs `to:`"},
    {"unknown way", WHOLE "routes: { b.example: { to: [gate.example] } }\n",
     "error: `gate.example` is no way to carry mail on; write mx, or smtp:HOST:PORT"},
    {"by LMTP", WHOLE "routes: { b.example: { to: \"lmtp:h:24\" } }\n",
     "error: not built yet: carrying mail on by LMTP"},
    {"mx among hosts", WHOLE "routes: { b.example: { to: [\"smtp:h:25\", mx] } }\n",
     "error: `mx` stands among hosts"},
    {"an item is one host",
     WHOLE "routes: { b.example: { to: [\"smtp:a.example,smtp:b.example\", \"mx:a.example\"] } }\n",
     "error: `smtp:a.example,smtp:b.example` names no host"},
    {"another domain's MX", WHOLE "routes: { b.example: { to: \"mx:a.example\" } }\n",
     "error: `mx:a.example` is no way"},
    {"bad hosts",
     WHOLE "routes:\n  a.example: { to: \"smtp:\" }\n  b.example: { to: \"smtp:h:0\" }\n"
           "  c.example: { to: \"smtp:h:65536\" }\n  d.example: { to: \"smtp:[::1:25\" }\n"
           "  e.example: { to: \"smtp:::1:25\" }\n  f.example: { to: \"smtp:[::1]25\" }\n"
           "  g.example: { to: \"smtp:a b:25\" }\n  h.example: { to: \"smtp:h:\" }\n"
           "  i.example: { to: \"smtp:[127.0.0.1]:25\" }\n",
     "5:20: error: `smtp:` names no host\n6:20: error: `smtp:h:0` names no host\n"
     "7:20: error: `smtp:h:65536` names no host\n8:20: error: `smtp:[::1:25` names no host\n"
     "9:20: error: `smtp:::1:25` names no host\n10:20: error: `smtp:[::1]25` names no host\n"
     "11:20: error: `smtp:a b:25` names no host\n12:20: error: `smtp:h:` names no host\n"
     "13:20: error: `smtp:[127.0.0.1]:25` names no host"},
    {"back to ourselves",
     WHOLE "relays: { b.example: { to: [\"smtp:10.0.0.1:25\", \"smtp:127.0.0.1:25\"] } }\n"
           "routes:\n  c.example: { to: \"smtp:Mail.aaa.example:25\" }\n"
           "  d.example: { to: \"smtp:127.0.0.1:26\" }\n  e.example: { to: \"smtp:localhost\" }\n"
           "  f.example: { to: \"smtp:[::1]:25\" }\n",
     "4:11: warning: `b.example` goes to 127.0.0.1:25, which is this server\n"
     "6:3: warning: `c.example` goes to mail.aaa.example:25, which is this server\n"
     "8:3: warning: `e.example` goes to localhost:25, which is this server"},
    {"back to any of our addresses",
     HOST DOMAIN "listen: { mx: { address: [\"0.0.0.0:25\", \"[::]:26\"] } }\nroutes:\n"
                 "  a.example: { to: \"smtp:127.0.0.1:25\" }\n"
                 "  b.example: { to: \"smtp:[::1]:26\" }\n  c.example: { to: \"smtp:[::1]:25\" }\n"
                 "  d.example: { to: \"smtp:192.0.2.1:25\" }\n",
     "5:3: warning: `a.example` goes to 127.0.0.1:25, which is this server\n"
     "6:3: warning: `b.example` goes to [::1]:26, which is this server"},
    {"verify of a route", WHOLE "routes: { b.example: { to: mx, verify: yes } }\n",
     "error: a route has no key `verify`"},
    {"TLS of routes",
     WHOLE "routes:\n  a.example: { to: mx, tls: implicit }\n"
           "  b.example: { to: mx, tls: opportunistic }\n  c.example: { to: mx, tls: on }\n",
     "error: not built yet: `tls: implicit`\nwarning: not built yet: TLS to other\n"
     "error: `on` is not a value of `tls`"},
    {"report", WHOLE "report: { language: fr }\n",
     "error: `fr` is not a value of `language`; choose one of: en, de"},
    {"first pause that isn't read", WHOLE "retry: { first: 5 minutes, max: 1m }\n",
     "4:17: error: `first` is a time, but `5 minutes` is none"},
    {"longest pause that isn't read", WHOLE "retry: { first: 1d, max: soon }\n",
     "4:26: error: `max` is a time"},
    {"life that isn't read", WHOLE "retry: { first: 5d, max: 5d, give_up: 9999d }\n",
     "4:39: error: `9999d` is too large"},
    {"first pause that isn't read, and a short life", WHOLE "retry: { first: soon, give_up: 1m }\n",
     "4:17: error: `first` is a time\n4:23: warning: mail is given up in less than a day"},
    {"retry", WHOLE "retry: { first: 2h, max: 1h, give_up: 1h }\n",
     "4:10: error: the first pause is longer\n4:30: warning: mail is given up before the first"},
    {"short give_up", WHOLE "retry: { give_up: 5h }\n", "4:10: warning: mail is given up in less"},
    {"open relay", WHOLE "trusted: [0.0.0.0/0, \"::/0\", 64.0.0.0/2]\n",
     "error: 0.0.0.0/0 trusts everybody\nerror: ::/0 trusts everybody\n"
     "warning: 64.0.0.0/2 trusts a large part"},
    {"book", WHOLE "book: { keep: 2d }\n", "4:9: warning: mail may wait longer than the book"},
    {"postmaster", WHOLE "postmaster: anna\n", "4:1: error: `anna` is not an address"},
    {"postmaster elsewhere", WHOLE "postmaster: anna@bbb.example\n", "is not in `domains:`"},
    {"not a truth", WHOLE "relays: { x.example: { to: mx, verify: 2 } }\n",
     "not built yet\nerror: `verify` is yes or no"},
    {"duplicate listener", HOST DOMAIN "listen: { mx: { address: \"127.0.0.1:25\" }, mx: {} }\n",
     "3:44: error: `mx` is set twice"},
    {"tree and schema", "hostname: &a x.example\nbannner: 1\n" LISTEN DOMAIN,
     "1:11: error: anchors\n2:1: error: the configuration has no key `bannner`"},
};

static void problems_are_found(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_problems problems;
        struct conf c;
        int r = parse(cases[i].text, &problems, &c);
        assert_problems(&problems, cases[i].name, cases[i].problems);
        assert_int_equal(r, problems.error_count ? -EINVAL : 0);
        conf_done(&c);
        conf_problems_done(&problems);
    }
}

static void hosts_in_order(void **state)
{
    static const char text[] =
        WHOLE "allow_private_mx: yes\nreport: { language: de }\nroutes:\n"
              "  .Bbb.example: { to: [\"smtp:Gate.bbb.example\", \"smtp:[2001:DB8:0::1]:2525\", "
              "\"SMTP:192.0.2.1:25\"] }\n"
              "  B\xc3\xbc"
              "cher.example: { to: \"smtp:b\xc3\xbc"
              "cher.example:587\" }\n"
              "  capitals.example: { to: [MX] }\n";
    struct conf_problems problems;
    struct conf c;

    assert_int_equal(parse(text, &problems, &c), 0);
    assert_problems(&problems, "hosts", "");
    assert_true(c.allow_private_mx);
    assert_int_equal(c.report_language, CONF_LANGUAGE_DE);
    assert_int_equal(c.route_count, 3);
    assert_span(c.routes[0].name, ".bbb.example");
    assert_span(c.routes[0].next_hop, "host:gate.bbb.example:25,[2001:db8::1]:2525,192.0.2.1:25");
    assert_span(c.routes[1].name, "xn--bcher-kva.example");
    assert_span(c.routes[1].next_hop, "host:xn--bcher-kva.example:587");
    assert_span(c.routes[2].next_hop, "mx");
    conf_done(&c);
    conf_problems_done(&problems);
}

static void too_many_hosts(void **state)
{
    struct conf_problems problems;
    struct buffer text = BUFFER_INIT;
    struct conf c;

    buffer_printf(&text, "%s", WHOLE "routes: { b.example: { to: [");
    for (int i = 0; i < CONF_ROUTE_HOSTS_MAX + 1; i++)
        buffer_printf(&text, "\"smtp:h%d:25\",", i);
    buffer_append(&text, "] } }\n", sizeof("] } }\n"));
    assert_int_equal(parse(text.data, &problems, &c), -EINVAL);
    assert_problems(&problems, "hosts", "4:28: error: `to` has 16 values; at most 15 are read");
    conf_problems_done(&problems);
    buffer_done(&text);
}

static void relative_paths(void **state)
{
    struct conf_problems problems;
    struct conf c;

    assert_int_equal(parse(HOST LISTEN "spool: file:./spool/\nledger: ledger\n"
                                       "domains: { aaa.example: { deliver: \"maildir:mail/%u\", "
                                       "users: file:users } }\n",
                           &problems, &c),
                     0);
    assert_span(c.spool, "/etc/postbuch/spool");
    assert_span(c.ledger, "/etc/postbuch/ledger");
    assert_span(c.domains[0].template, "/etc/postbuch/mail/%u");
    assert_span(c.domains[0].users, "/etc/postbuch/users");
    conf_done(&c);
    conf_problems_done(&problems);
}

static void domains_are_canonical(void **state)
{
    struct conf_problems problems;
    struct conf c;

    assert_int_equal(parse(HOST LISTEN "domains:\n  B\xc3\xbc"
                                       "cher.example: { deliver: \"maildir:/%u\", "
                                       "users: /u }\n",
                           &problems, &c),
                     0);
    assert_span(c.domains[0].name, "xn--bcher-kva.example");
    conf_done(&c);
    conf_problems_done(&problems);
}

static void default_file_is_good(void **state)
{
    char folder[] = "/tmp/test_conf.XXXXXX", path[64];
    struct conf_problems problems;
    struct conf c;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(conf_create_default(folder), 0);
    assert_int_equal(conf_create_default(folder), 0); /* leaves what is there */
    snprintf(path, sizeof(path), "%s/postbuch.yaml", folder);
    conf_problems_init(&problems);
    assert_int_equal(conf_load(path, &problems, &c), 0);
    assert_problems(&problems, "default", "");
    assert_int_equal(c.listens[0].addresses[0].port, 2525);
    assert_true(span_starts_nocase(c.spool, span_from_cstr(folder)));
    assert_int_equal(access(path, R_OK), 0);
    conf_done(&c);
    conf_problems_done(&problems);
    static const char *const names[] = {"postbuch.yaml", "users", "aliases"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void a_part_that_fits_no_message(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct conf_problems problems;
    struct conf c;

    buffer_printf(&text, HOST LISTEN "domains:\n");
    for (int i = 0; i < 3000; i++)
        buffer_printf(&text, "  d%d.example: { deliver: \"maildir:%%d/%%u\", users: u/%0150d }\n",
                      i, i);
    buffer_append_byte(&text, '\0');
    assert_int_equal(parse(text.data, &problems, &c), -EINVAL);
    assert_problems(&problems, "large", "error: more than directory can take");
    conf_problems_done(&problems);
    buffer_done(&text);
}

static void unreadable_files(void **state)
{
    struct conf_problems problems;
    struct conf c;

    conf_problems_init(&problems);
    assert_int_equal(conf_load("/nonexistent/postbuch.yaml", &problems, &c), -ENOENT);
    assert_int_equal(conf_load("/tmp", &problems, &c), -EISDIR);
    assert_int_equal(conf_load("/dev/zero", &problems, &c), -EINVAL);
    assert_int_equal(problems.error_count, 3);
    conf_problems_done(&problems);
}

/* WHOLE, then `count` times `unit` between `before` and `after`. */
static const struct {
    const char *name, *before, *unit, *after;
    unsigned count;
    const char *problems;
} long_ones[] = {
    {"socket", "control: /", "x", "\n", 106, ""},
    {"long socket", "control: /", "x", "\n", 107, "4:1: error: the path of the control socket"},
    {"path", "ledger: /", "x", "\n", 4094, ""},
    {"long path", "ledger: /", "x", "\n", 4095, "4:9: error: the path is longer than 4095 bytes"},
    {"text", "banner: ", "x", "\n", 512, ""},
    {"long text", "banner: ", "x", "\n", 513, "4:9: error: longer than 512 bytes"},
    {"name servers", "resolver: { servers: [", "192.0.2.1,", "] }\n", 99,
     "4:22: error: `servers` has 99 values; at most"},
};

static void what_is_too_long_is_told(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(long_ones); i++) {
        struct buffer text = BUFFER_INIT;
        struct conf_problems problems;
        struct conf c;
        buffer_printf(&text, "%s%s", WHOLE, long_ones[i].before);
        for (unsigned n = 0; n < long_ones[i].count; n++)
            buffer_printf(&text, "%s", long_ones[i].unit);
        buffer_printf(&text, "%s", long_ones[i].after);
        buffer_append_byte(&text, '\0');
        int r = parse(text.data, &problems, &c);
        assert_problems(&problems, long_ones[i].name, long_ones[i].problems);
        assert_int_equal(r, problems.error_count ? -EINVAL : 0);
        conf_done(&c);
        conf_problems_done(&problems);
        buffer_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_long_is_told),
        cmocka_unit_test(documented_file),
        cmocka_unit_test(problems_are_found),
        cmocka_unit_test(relative_paths),
        cmocka_unit_test(domains_are_canonical),
        cmocka_unit_test(default_file_is_good),
        cmocka_unit_test(a_part_that_fits_no_message),
        cmocka_unit_test(unreadable_files),
        cmocka_unit_test(hosts_in_order),
        cmocka_unit_test(too_many_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
