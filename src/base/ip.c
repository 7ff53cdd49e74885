#include "base/ip.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>

static_assert(IP_TEXT == INET6_ADDRSTRLEN, "any address has room");

static const uint8_t mapped[IP_V4_AT] = {[10] = 0xff, [11] = 0xff};

void ip_from_v4(const void *bytes, uint8_t out[static IP_BYTES])
{
    memcpy(out, mapped, IP_V4_AT);
    memcpy(out + IP_V4_AT, bytes, 4);
}

bool ip_from_sockaddr(const struct sockaddr *from, uint8_t out[static IP_BYTES])
{
    if (from->sa_family == AF_INET)
        ip_from_v4(&((const struct sockaddr_in *)(const void *)from)->sin_addr, out);
    else if (from->sa_family == AF_INET6)
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, IP_BYTES);
    return from->sa_family == AF_INET || from->sa_family == AF_INET6;
}

bool ip_is_v4(const uint8_t ip[static IP_BYTES])
{
    return memcmp(ip, mapped, IP_V4_AT) == 0;
}

/* inet_pton stops at NUL: what is behind it would be accepted unseen. */
int ip_parse(struct span text, uint8_t out[static IP_BYTES])
{
    char copy[IP_TEXT];
    uint8_t v4[4];

    if (text.size == 0 || text.size >= sizeof(copy) || span_find(text, '\0') >= 0)
        return -EINVAL;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (inet_pton(AF_INET, copy, v4) == 1) {
        ip_from_v4(v4, out);
        return 0;
    }
    return inet_pton(AF_INET6, copy, out) == 1 ? 0 : -EINVAL;
}

void ip_format(const uint8_t ip[static IP_BYTES], char out[static IP_TEXT])
{
    if (ip_is_v4(ip))
        inet_ntop(AF_INET, ip + IP_V4_AT, out, IP_TEXT);
    else
        inet_ntop(AF_INET6, ip, out, IP_TEXT);
}
