/* Records from strangers' name servers. The first byte chooses the type. */
#include "fuzz.h"

#include "dns/rdata.h"
#include "dns/type.h"

static void check_mx(struct span rdata)
{
    struct dns_mx_record record;
    uint8_t wire[DNS_WIRE_MAX];
    size_t size;

    if (dns_rdata_mx(rdata, &record) < 0)
        return;
    assert(rdata.size >= 3 && strlen(record.exchange) > 0);
    assert(dns_name_from_text(span_from_cstr(record.exchange), wire, &size) == 0);
    assert(span_equal_nocase(span_of(wire, size), span_from(rdata, 2)));
}

static void check_ip(uint16_t type, struct span rdata)
{
    struct dns_ip ip, again;
    char text[IP_TEXT];

    if (dns_rdata_ip(type, rdata, &ip) < 0)
        return;
    assert(rdata.size == (type == DNS_TYPE_A ? 4 : 16));
    ip_format(ip.bytes, text);
    assert(ip_parse(span_from_cstr(text), again.bytes) == 0 && dns_ip_equal(&ip, &again));
    (void)dns_ip_special(&ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span rdata = span_of(data + 1, size - 1);
    check_mx(rdata);
    check_ip(DNS_TYPE_A, rdata);
    check_ip(DNS_TYPE_AAAA, rdata);
    check_ip(data[0], rdata);
    return 0;
}
