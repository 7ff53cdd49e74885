#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void readiness_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        log_warn("can't tell systemd \"%s\": %m", state);
    close(fd);
}

void readiness_look(struct supervisor *s)
{
    if (s->announced || s->stopping)
        return;
    for (size_t i = 0; i < s->child_count; i++)
        if (!s->children[i].ready)
            return;
    s->announced = true;
    for (const struct listener *l = s->listeners; l; l = l->next)
        log_info("listening: %s on %s", l->name, l->address);
    log_info("ready");
    readiness_notify("READY=1");
    drop_watch(s);
}
