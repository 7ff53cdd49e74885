/* Values of the configuration: sizes, times, addresses and networks. What is read is written as
 * text that is read as the same. */
#include "fuzz.h"

#include "conf/network.h"
#include "conf/value.h"
#include "dns/ip.h"

static void check_ip(struct span text)
{
    uint8_t ip[IP_BYTES], again[IP_BYTES];
    char written[IP_TEXT];
    struct dns_ip dns_ip;

    if (ip_parse(text, ip) < 0)
        return;
    ip_format(ip, written);
    assert(ip_parse(span_from_cstr(written), again) == 0);
    assert(memcmp(ip, again, sizeof(ip)) == 0);
    memcpy(dns_ip.bytes, ip, sizeof(ip));
    (void)dns_ip_special(&dns_ip);
}

static void check_address(struct span text)
{
    char written[CONF_NETWORK_TEXT];
    struct conf_address address, again;

    if (conf_address_parse(text, &address) == 0) {
        conf_address_format(&address, written);
        assert(conf_address_parse(span_from_cstr(written), &again) == 0);
        assert(again.port == address.port && memcmp(again.ip, address.ip, IP_BYTES) == 0);
        assert(address.port > 0);
    }
    if (conf_server_parse(text, &address) == 0)
        assert(address.port > 0);
}

static void check_network(struct span text)
{
    char written[CONF_NETWORK_TEXT];
    struct conf_network network, again;

    if (conf_network_parse(text, &network) < 0)
        return;
    assert(network.prefix <= 128 && conf_network_contains(&network, network.ip));
    conf_network_format(&network, written);
    assert(conf_network_parse(span_from_cstr(written), &again) == 0);
    assert(again.prefix == network.prefix && memcmp(again.ip, network.ip, IP_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    uint64_t number;
    bool yes;

    check_ip(text);
    check_address(text);
    check_network(text);
    if (conf_size_parse(text, &number) == 0 || conf_duration_parse(text, &number) == 0)
        assert(text.data[0] >= '0' && text.data[0] <= '9');
    if (conf_bool_parse(text, &yes) == 0)
        assert(size <= 5);
    assert(conf_edit_distance(text, text, 3) == (size <= 40 ? 0 : 4)); /* longer ones never match */
    assert(conf_edit_distance(text, SPAN("hostname"), 3) <= 4);
    return 0;
}
