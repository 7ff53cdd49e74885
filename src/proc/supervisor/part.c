/*
 * A generation as messages, in the order that process.h promises: part, files, listeners, activate.
 */
#include "proc/supervisor/supervisor.h"

#include "base/fd.h"
#include "base/log.h"
#include "conf/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int send_config(struct child *child)
{
    const struct conf *conf = &child->supervisor->conf;
    const struct conf_ids *user = &child->supervisor->users[child->kind->user];
    struct buffer part = BUFFER_LIMITED(IPC_PART_MAX);
    struct ipc_message message = {.type = IPC_CONFIG,
                                  .config = {.sandbox_kills = conf->sandbox == CONF_SANDBOX_KILL,
                                             .origin = child->origin,
                                             .uid = user->uid,
                                             .gid = user->gid}};

    int r = child->kind->part(conf, child->supervisor->generation, user->uid, user->gid, &part);
    if (r == 0) {
        message.config.part = buffer_span(&part);
        r = ipc_notify(child->channel, &message);
    }
    buffer_done(&part);
    return r;
}

/* O_NONBLOCK: a FIFO in the file's place must not stop the supervisor. */
static int send_file(struct child *child, struct span path)
{
    struct ipc_message message = {.type = IPC_FILE, .file = {.name = path}};
    char name[4096];

    if ((size_t)snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(path)) >= sizeof(name))
        return -ENAMETOOLONG;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && fd_is_shortage(errno))
        return -errno;
    if (fd < 0) {
        log_error("%s: %m; who needs it defers until it can be read and the server is reloaded",
                  name);
        return 0;
    }
    int r = ipc_notify_fd(child->channel, &message, fd);
    close(fd);
    return r;
}

static int send_files(struct child *child)
{
    struct arena arena = ARENA_INIT;
    struct conf_file *files = NULL;
    size_t count = 0;
    int r = child->kind->files(&child->supervisor->conf, &arena, &files, &count);

    for (size_t i = 0; r == 0 && i < count; i++)
        r = send_file(child, files[i].name);
    arena_done(&arena);
    return r;
}

/* That it can't be looked at is something to see, too, but for want of memory. */
static int look_at(struct span path, struct buffer *out)
{
    char name[CONF_PATH_MAX];
    struct stat st = {0};
    int error = -conf_path_text(path, name);

    if (!error && stat(name, &st) < 0)
        error = errno;
    if (fd_is_shortage(error))
        return -error;
    const uint64_t seen[] = {(uint64_t)error,
                             st.st_dev,
                             st.st_ino,
                             (uint64_t)st.st_size,
                             (uint64_t)st.st_ctim.tv_sec,
                             (uint64_t)st.st_ctim.tv_nsec};
    return buffer_append(out, seen, sizeof(seen));
}

int part_look(const struct kind *kind, const struct conf *conf, struct buffer *out)
{
    struct arena arena = ARENA_INIT;
    struct conf_file *files = NULL;
    size_t count = 0;
    int r = kind->files ? kind->files(conf, &arena, &files, &count) : 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = look_at(files[i].name, out);
    arena_done(&arena);
    return r;
}

static int send_listeners(struct child *child)
{
    int r = 0;

    for (const struct listener *l = child->supervisor->listeners; l && r == 0; l = l->next) {
        struct ipc_message message = {
            .type = IPC_LISTENER,
            .listener = {.name = span_from_cstr(l->name), .service = span_from_cstr(l->service)}};
        if (l->is_control ? child->kind->takes_control : child->kind->takes_sockets)
            r = ipc_notify_fd(child->channel, &message, l->fd);
    }
    return r;
}

int part_send(struct child *child)
{
    struct ipc_message activate = {.type = IPC_ACTIVATE};
    int r = send_config(child);

    if (r == 0 && child->kind->files)
        r = send_files(child);
    if (r == 0)
        r = send_listeners(child);
    if (r == 0)
        r = ipc_notify(child->channel, &activate);
    child->untaken += r == 0;
    child->unsent = r;
    return r;
}
