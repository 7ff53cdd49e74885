/* What each possible answer to each question means for mail; docs/manual/routing.md has this table,
 * and the test holds it against what the machine does. Run with --print to write it anew. */
#include "dns_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    struct dns_answer answer;
} answers[] = {
    {"NOERROR, no such record", {.rcode = DNS_RCODE_NOERROR}},
    {"NXDOMAIN", {.rcode = DNS_RCODE_NXDOMAIN}},
    {"NXDOMAIN, validated", {.rcode = DNS_RCODE_NXDOMAIN, .security = DNS_SECURE}},
    {"SERVFAIL", {.rcode = DNS_RCODE_SERVFAIL}},
    {"REFUSED", {.rcode = DNS_RCODE_REFUSED}},
    {"FORMERR", {.rcode = DNS_RCODE_FORMERR}},
    {"NOTIMP", {.rcode = DNS_RCODE_NOTIMP}},
    {"any other code", {.rcode = 11}},
    {"no answer in time", {.error = -ETIMEDOUT}},
    {"the resolver is not there", {.error = -EIO}},
    {"forged or badly signed (bogus)", {.rcode = DNS_RCODE_SERVFAIL, .security = DNS_BOGUS}},
    {"bogus NXDOMAIN", {.rcode = DNS_RCODE_NXDOMAIN, .security = DNS_BOGUS}},
};

static const unsigned short types[] = {DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA};

static const char routing_md_head[] =
    "| answer | to MX | to A, and there is no AAAA | to AAAA, and there is no A |\n"
    "|---|---|---|---|\n";

/* The other questions get good answers, but the other family of addresses says "no such record". */
static void answer_other(struct dns_mx *mx, const struct dns_question *q, unsigned short type)
{
    struct fake_answer other = {0};

    if (q->type == DNS_TYPE_MX)
        fake_add(&other, "10 mx.example");
    else if (q->type == DNS_TYPE_A && type == DNS_TYPE_MX)
        fake_add(&other, "192.0.2.1");
    assert_int_equal(dns_mx_answer(mx, q->number, &other.answer), 0);
}

static void describe(const struct dns_answer *answer, unsigned short type, char out[64])
{
    const struct dns_mx_rules rules = {.seed = 1};
    struct dns_question q;
    struct dns_mx *mx;

    assert_int_equal(dns_mx_new(SPAN("a.example"), &rules, &mx), 0);
    while (dns_mx_question(mx, &q))
        if (q.type == type)
            assert_int_equal(dns_mx_answer(mx, q.number, answer), 0);
        else
            answer_other(mx, &q, type);
    enum dns_verdict verdict = dns_mx_verdict(mx);
    assert_int_not_equal(verdict, DNS_PENDING);
    if (verdict == DNS_FOUND)
        snprintf(out, 64, "the domain's own address");
    else
        snprintf(out, 64, "%s, %s", verdict == DNS_PERMANENT ? "returned" : "waits",
                 dns_mx_status(mx));
    dns_mx_free(mx);
}

static void write_table(struct buffer *out)
{
    char cell[64];

    buffer_printf(out, "%s", routing_md_head);
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        buffer_printf(out, "| %s |", answers[i].name);
        for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
            describe(&answers[i].answer, types[t], cell);
            buffer_printf(out, " %s |", cell);
        }
        buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, '\0');
}

static const char *manual;

static void manual_has_the_table(void **state)
{
    struct buffer table = BUFFER_INIT;
    static char text[256 * 1024];
    FILE *f = fopen(manual, "re");

    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    write_table(&table);
    if (!strstr(text, table.data))
        fail_msg("%s lacks this table:\n%s", manual, table.data);
    buffer_done(&table);
}

/* Only knowledge returns mail: of all answers just these two kinds. */
static void only_knowledge_is_permanent(void **state)
{
    char cell[64];

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
            const struct dns_answer *a = &answers[i].answer;
            bool known = !a->error && a->security != DNS_BOGUS &&
                         (a->rcode == DNS_RCODE_NOERROR || a->rcode == DNS_RCODE_NXDOMAIN);
            describe(a, types[t], cell);
            if (known == (strncmp(cell, "waits", 5) == 0))
                fail_msg("%s to %s: %s", answers[i].name, dns_type_name(types[t]), cell);
        }
}

static void words(void **state)
{
    static const struct {
        struct dns_answer answer;
        unsigned type;
        const char *text;
    } cases[] = {
        {{.rcode = DNS_RCODE_SERVFAIL, .why = SPAN("lame\n")},
         DNS_TYPE_MX,
         "the question for the MX of a.example failed: SERVFAIL (lame\\x0a)"},
        {{.error = -ETIMEDOUT},
         DNS_TYPE_A,
         "the question for the A of a.example failed: no name server answered in time"},
        {{.error = -EIO},
         DNS_TYPE_AAAA,
         "the question for the AAAA of a.example failed: the resolver couldn't ask"},
        {{.security = DNS_BOGUS},
         DNS_TYPE_MX,
         "the question for the MX of a.example failed: the answer is forged or its DNSSEC "
         "signatures are broken"},
        {{.rcode = 23}, 99, "the question for the record of a.example failed: an unknown code"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        dns_answer_explain(&cases[i].answer, SPAN("a.example"), cases[i].type, &out);
        assert_span(buffer_span(&out), cases[i].text);
        buffer_done(&out);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_has_the_table),
        cmocka_unit_test(only_knowledge_is_permanent),
        cmocka_unit_test(words),
    };
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        struct buffer table = BUFFER_INIT;
        write_table(&table);
        fputs(table.data, stdout);
        buffer_done(&table);
        return 0;
    }
    manual = argc > 1 ? argv[1] : "docs/manual/routing.md";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
