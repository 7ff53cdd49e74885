#include "dns/ip.h"

#include <arpa/inet.h>
#include <errno.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct dns_ip dns_ip_from_v4(const uint8_t bytes[static 4])
{
    struct dns_ip ip;

    memcpy(ip.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(ip.bytes + sizeof(mapped_prefix), bytes, 4);
    return ip;
}

bool dns_ip_is_v4(const struct dns_ip *ip)
{
    return memcmp(ip->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

int dns_ip_parse(struct span text, struct dns_ip *out)
{
    char copy[DNS_IP_TEXT];
    uint8_t v4[4];

    /* inet_pton stops at NUL: what is behind it would be accepted unseen. */
    if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.data, '\0', text.size))
        return -EINVAL;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (inet_pton(AF_INET, copy, v4) == 1) {
        *out = dns_ip_from_v4(v4);
        return 0;
    }
    return inet_pton(AF_INET6, copy, out->bytes) == 1 ? 0 : -EINVAL;
}

void dns_ip_format(const struct dns_ip *ip, char out[static DNS_IP_TEXT])
{
    if (dns_ip_is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + sizeof(mapped_prefix), out, DNS_IP_TEXT);
    else
        inet_ntop(AF_INET6, ip->bytes, out, DNS_IP_TEXT);
}

/* Where no stranger's mail server can be: an MX that points there would have us speak to our own
 * machines. Prefixes in bits, of IPv4 counted within its four bytes; the first that fits counts. */
static const struct special {
    uint8_t bytes[16];
    uint8_t bits;
    bool v4;
    const char *kind;
} specials[] = {
    {{0}, 8, true, "unspecified"},        /* RFC 1122 3.2.1.3: "this host" */
    {{10}, 8, true, "private"},           /* RFC 1918 */
    {{172, 16}, 12, true, "private"},     /* RFC 1918 */
    {{192, 168}, 16, true, "private"},    /* RFC 1918 */
    {{100, 64}, 10, true, "private"},     /* RFC 6598: behind a provider's NAT */
    {{127}, 8, true, "loopback"},         /* RFC 1122 3.2.1.3 */
    {{169, 254}, 16, true, "link-local"}, /* RFC 3927 */
    {{224}, 4, true, "multicast"},        /* RFC 5771 */
    {{240}, 4, true, "reserved"},         /* RFC 1112 4, with the broadcast address */
    {{0}, 128, false, "unspecified"},     /* RFC 4291 2.5.2 */
    {{[15] = 1}, 128, false, "loopback"}, /* RFC 4291 2.5.3 */
    {{0}, 96, false, "reserved"},         /* RFC 4291 2.5.5.1: IPv4 in an old form */
    {{0xfc}, 7, false, "private"},        /* RFC 4193 */
    {{0xfe, 0x80}, 10, false, "link-local"},
    {{0xfe, 0xc0}, 10, false, "private"}, /* RFC 3879: site-local */
    {{0xff}, 8, false, "multicast"},
};

static bool has_prefix(const uint8_t *bytes, const struct special *s)
{
    size_t whole = s->bits / 8;
    uint8_t mask = (uint8_t)(0xff00u >> s->bits % 8);

    return memcmp(bytes, s->bytes, whole) == 0 &&
           (s->bits % 8 == 0 || (bytes[whole] & mask) == s->bytes[whole]);
}

const char *dns_ip_special(const struct dns_ip *ip)
{
    bool v4 = dns_ip_is_v4(ip);
    const uint8_t *bytes = v4 ? ip->bytes + sizeof(mapped_prefix) : ip->bytes;

    for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
        if (specials[i].v4 == v4 && has_prefix(bytes, &specials[i]))
            return specials[i].kind;
    return NULL;
}
