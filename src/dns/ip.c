#include "dns/ip.h"

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

/* RFC 6052 2.1. The translator's IPv4 address is the last four bytes. */
static const struct special nat64 = {{0, 0x64, 0xff, 0x9b}, 96, false, ""};

/* RFC 8215: for a network's own translators, whose prefixes may have other lengths, too. */
static const struct special own_nat64 = {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, false, ""};

/* RFC 6052 2.2: where a translator's prefix of 48, 56, 64 or 96 bits has the IPv4 address. */
static const uint8_t embedded_at[][4] = {
    {6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}};

/* RFC 3056 2: behind the prefix the IPv4 address of a relay, which passes on to what is its. */
static const struct special six_to_four = {{0x20, 0x02}, 16, false, ""};
enum { SIX_TO_FOUR_AT = 2 };

static bool has_prefix(const uint8_t *bytes, const struct special *s)
{
    size_t whole = s->bits / 8;
    uint8_t mask = (uint8_t)(0xff00u >> s->bits % 8);

    return memcmp(bytes, s->bytes, whole) == 0 &&
           (s->bits % 8 == 0 || (bytes[whole] & mask) == s->bytes[whole]);
}

static const char *kind_of(const uint8_t *bytes, bool v4)
{
    for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
        if (specials[i].v4 == v4 && has_prefix(bytes, &specials[i]))
            return specials[i].kind;
    return NULL;
}

/* Of what length the prefix is nobody tells us: each must lead to where a stranger's server can be.
 * That of 96 bits is the usual one, and has zeros where a shorter one would have 0.x.x.x. */
static const char *kind_behind_own_nat64(const uint8_t *bytes)
{
    const char *kind = NULL;

    for (size_t i = 0; !kind && i < ARRAY_SIZE(embedded_at); i++) {
        const uint8_t *at = embedded_at[i];
        uint8_t v4[] = {bytes[at[0]], bytes[at[1]], bytes[at[2]], bytes[at[3]]};
        if (v4[0] != 0 || i + 1 == ARRAY_SIZE(embedded_at))
            kind = kind_of(v4, true);
    }
    return kind;
}

struct dns_ip dns_ip_inner(const struct dns_ip *ip)
{
    struct dns_ip inner = *ip;

    if (has_prefix(ip->bytes, &nat64))
        ip_from_v4(ip->bytes + IP_V4_AT, inner.bytes);
    return inner;
}

const char *dns_ip_special(const struct dns_ip *ip)
{
    struct dns_ip inner = dns_ip_inner(ip);

    if (ip_is_v4(inner.bytes))
        return kind_of(inner.bytes + IP_V4_AT, true);
    if (has_prefix(inner.bytes, &own_nat64))
        return kind_behind_own_nat64(inner.bytes);
    if (has_prefix(inner.bytes, &six_to_four))
        return kind_of(inner.bytes + SIX_TO_FOUR_AT, true);
    return kind_of(inner.bytes, false);
}
