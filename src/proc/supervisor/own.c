/* Where this server receives: mail for others must not be carried to it. */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>

enum { MACHINE_MAX = 256 };

static bool take(const struct sockaddr *address, struct conf_address *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (!address || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
        return false;
    if (address->sa_family == AF_INET6) {
        memcpy(out->ip, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
        return true;
    }
    memcpy(out->ip, mapped, sizeof(mapped));
    memcpy(out->ip + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    return true;
}

int own_addresses(struct conf_smtp *part, struct arena *arena)
{
    struct conf_address machine[MACHINE_MAX] = {0};
    struct ifaddrs *list = NULL;
    size_t count = 0;

    if (getifaddrs(&list) < 0 && part_is_short(errno))
        return -errno;
    if (!list)
        log_warn("can't find out this machine's addresses: %m; mail that is sent in a circle is "
                 "found by its hops only");
    for (const struct ifaddrs *one = list; one && count < MACHINE_MAX; one = one->ifa_next)
        count += take(one->ifa_addr, &machine[count]);
    if (list)
        freeifaddrs(list);
    return conf_cut_smtp_own(part, machine, count, arena);
}
