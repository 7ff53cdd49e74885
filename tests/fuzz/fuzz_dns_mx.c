/* The MX machine under any answers in any order: it ends with a verdict, within its bounds, and a
 * failure has a code and a clause. Input: flags, then for each answer rcode/error, security, which
 * open question, and records with a length byte each; 0 ends them. */
#include "fuzz.h"

#include "dns/mx.h"
#include "dns/type.h"

enum { OPEN_MAX = 1 + 2 * DNS_HOSTS_MAX, RECORDS_MAX = 40 };

static uint8_t take(struct span *input)
{
    uint8_t byte = input->size ? (uint8_t)input->data[0] : 0;
    *input = span_from(*input, 1);
    return byte;
}

static void read_answer(struct span *input, struct dns_answer *out, struct span *records)
{
    uint8_t code = take(input), length;

    *out = (struct dns_answer){.rcode = code & 15, .security = (code >> 4) % 3, .rdata = records};
    if (code & 128)
        out->error = -(code & 127) - 1;
    while (out->rdata_count < RECORDS_MAX && (length = take(input))) {
        records[out->rdata_count++] = span_first(*input, length);
        *input = span_from(*input, length);
    }
    out->why = records[0];
}

static void check_end(const struct dns_mx *mx)
{
    struct buffer out = BUFFER_INIT;
    size_t count, good = 0;
    const struct dns_host *hosts = dns_mx_hosts(mx, &count);

    assert(count <= DNS_HOSTS_MAX && dns_mx_verdict(mx) != DNS_PENDING);
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || hosts[i].preference >= hosts[i - 1].preference);
        assert(hosts[i].address_count <= 2 * DNS_ADDRESSES_MAX);
        assert((hosts[i].state == DNS_HOST_GOOD) == (hosts[i].address_count > 0));
        good += hosts[i].state == DNS_HOST_GOOD;
    }
    assert((dns_mx_verdict(mx) == DNS_FOUND) == (good > 0));
    assert((dns_mx_verdict(mx) == DNS_FOUND) == (dns_mx_text(mx).size == 0));
    assert((dns_mx_verdict(mx) == DNS_FOUND) == (dns_mx_status(mx)[0] == '\0'));
    assert(dns_mx_explain(mx, &out) == 0 && dns_mx_set(mx, &out) == 0);
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dns_ip own = {{[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 9}};
    const struct span own_name = SPAN("us.example");
    struct span input = span_of(data, size), records[RECORDS_MAX] = {{0}};
    const struct dns_mx_rules rules = {take(&input) & 1, &own_name, 1, &own, 1, take(&input)};
    struct dns_question open[OPEN_MAX];
    struct dns_answer answer;
    struct dns_mx *mx;
    size_t count = 0;

    assert(dns_mx_new(SPAN("d.example"), &rules, &mx) == 0);
    while (dns_mx_question(mx, &open[count]) ? ++count : count) {
        if (count < OPEN_MAX && take(&input) & 1)
            continue;
        size_t which = take(&input) % count;
        read_answer(&input, &answer, records);
        assert(dns_mx_answer(mx, open[which].number, &answer) == 0);
        open[which] = open[--count];
    }
    check_end(mx);
    dns_mx_free(mx);
    return 0;
}
