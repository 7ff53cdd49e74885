/*
 * When all processes are ready the server is. Who can't get ready, a mailbox process whose folder
 * is gone, say, must not keep others from knowing that mail is taken: systemd would end the server.
 */
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

static bool is_waited_for(const struct child *child)
{
    return !child->ready && (child->kind->is_needed || !child->supervisor->is_late);
}

void readiness_look(struct supervisor *s)
{
    if (s->announced || s->stopping)
        return;
    for (size_t i = 0; i < s->child_count; i++)
        if (is_waited_for(&s->children[i]))
            return;
    s->announced = true;
    for (size_t i = 0; i < s->child_count; i++)
        if (!s->children[i].ready)
            log_warn("%s isn't ready yet; the server takes mail without it",
                     ipc_peer_name(s->children[i].kind->peer));
    for (const struct listener *l = s->listeners; l; l = l->next)
        log_info("listening: %s on %s", l->name, l->address);
    log_info("ready");
    readiness_notify("READY=1");
    drop_watch(s);
}

/* Nobody is there yet to take the letters; but who looks after them raises the alarm. */
static void on_late(void *arg)
{
    struct supervisor *s = arg;

    s->is_late = true;
    readiness_look(s);
    if (!s->announced && !s->stopping)
        drop_watch(s);
}

int readiness_init(struct supervisor *s)
{
    int r = io_timer_new(s->loop, on_late, s, &s->ready_timer);

    return r < 0 ? r : io_timer_set(s->ready_timer, READY_PATIENCE_MS);
}
