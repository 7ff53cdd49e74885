/* Where this server receives: mail for others must not be carried to it. */
#include "proc/supervisor/supervisor.h"

#include "base/fd.h"
#include "base/log.h"
#include <errno.h>
#include <ifaddrs.h>

enum { MACHINE_MAX = 256 };

int own_addresses(struct conf_smtp *part, struct arena *arena)
{
    struct conf_address machine[MACHINE_MAX] = {0};
    struct ifaddrs *list = NULL;
    size_t count = 0;

    if (getifaddrs(&list) < 0 && fd_is_shortage(errno))
        return -errno;
    if (!list)
        log_warn("can't find out this machine's addresses: %m; mail that is sent in a circle is "
                 "found by its hops only");
    for (const struct ifaddrs *one = list; one && count < MACHINE_MAX; one = one->ifa_next)
        count += one->ifa_addr && ip_from_sockaddr(one->ifa_addr, machine[count].ip);
    if (list)
        freeifaddrs(list);
    return conf_cut_smtp_own(part, machine, count, arena);
}
