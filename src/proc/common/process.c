/*
 * The supervisor's word is obeyed in the order in which it comes: parts and descriptors gather for
 * the coming generation, and nothing of it counts before "activate". What goes wrong before the
 * first activation ends the process, which the supervisor starts again; later it only keeps the old
 * generation, and is sent the new one again when it lacked memory or descriptors. For descriptors
 * of the supervisor's there is room when all others are taken (spare.h); what doesn't fit even so
 * costs the channel, and the process ends.
 */
#include "proc/common/process.h"

#include "base/log.h"
#include "proc/common/spare.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUPERVISOR_FD = 3,
    ALONE_MAX_MS = 45000, /* the supervisor starts a peer again after at most 30 seconds */
    LOOKS = 9,            /* in this time */
};

void process_exit(struct process *process, int exit_code)
{
    process->ending = true;
    process->exit_code = exit_code;
    io_loop_stop(process->loop);
}

/* Also when the supervisor has gone: without it nobody would start or end us. */
static void begin_shutdown(struct process *process)
{
    if (process->ending)
        return;
    process->ending = true;
    if (process->started && process->spec->shutdown)
        process->spec->shutdown(process);
    else
        process_exit(process, 0);
}

/* Into the memory of the generation before the one in force: nobody looks at that any more. */
static int decode_part(const struct codec *codec, struct process_part *part)
{
    if (!codec)
        return 0;
    if (!part->decoded)
        part->decoded = calloc(1, codec->size);
    if (!part->decoded)
        return -ENOMEM;
    arena_clear(&part->arena);
    return codec_decode(codec, buffer_span(&part->wire), &part->arena, part->decoded);
}

/* The coming generation can't come into force, for want of memory or of descriptors. */
static void give_up(struct process *process, const char *what, struct span name, int error)
{
    if (!process->started)
        log_fatal("%s " SPAN_FMT ": %s", what, SPAN_ARG(name), strerror(-error));
    log_error("new configuration: %s " SPAN_FMT ": %s", what, SPAN_ARG(name), strerror(-error));
    process->coming_error = error;
}

/* 0 or -errno. */
static int take_part(struct process *process, struct span part)
{
    struct process_part *coming = &process->parts[1];

    buffer_clear(&coming->wire);
    int r = buffer_append_span(&coming->wire, part);
    if (r == 0)
        r = decode_part(process->spec->part, coming);
    process->coming = coming->decoded;
    if (r == 0 && process->spec->configure)
        r = process->spec->configure(process, buffer_span(&coming->wire));
    return r;
}

/* From here on descriptors belong to this part, until "activate". A part that can't be decoded ends
 * the process in any case: supervisor and process are then of two versions. */
static void on_config(void *owner, const struct ipc_arrival *arrival)
{
    struct process *process = owner;
    const struct ipc_config *config = &arrival->message->config;

    process->uid = config->uid;
    process->gid = config->gid;
    process->sandbox_kills = config->sandbox_kills;
    process->origin = config->origin;
    process->coming_error = 0;
    int r = take_part(process, config->part);
    if (r < 0 && r != -ENOMEM)
        log_fatal("bad configuration from the supervisor: %s", strerror(-r));
    if (r < 0)
        give_up(process, "part", SPAN("of this process"), r);
}

static void on_file(void *owner, const struct ipc_arrival *arrival)
{
    struct process *process = owner;
    struct span name = arrival->message->file.name;

    if (process->coming_error) {
        close(arrival->fd);
        return;
    }
    int r = process->spec->file ? process->spec->file(process, name, arrival->fd) : -EINVAL;
    if (r < 0)
        give_up(process, "file", name, r);
}

static void on_listener(void *owner, const struct ipc_arrival *arrival)
{
    struct process *process = owner;
    const struct ipc_listener *l = &arrival->message->listener;

    if (process->coming_error) {
        close(arrival->fd);
        return;
    }
    int r = process->spec->listener
                ? process->spec->listener(process, l->name, l->service, arrival->fd)
                : -EINVAL;
    if (r < 0)
        give_up(process, "listener", l->name, r);
}

/* The coming part becomes the one in force; the old one's memory serves the next. */
static void swap_parts(struct process *process)
{
    struct process_part old = process->parts[0];

    process->parts[0] = process->parts[1];
    process->parts[1] = old;
    process->conf = process->parts[0].decoded;
    process->coming = NULL;
}

/* "Ready" is said also when a reload failed: the process serves, by the old generation, and says
 * why; or at its start without a part of the first one. */
static void on_activate(void *owner, const struct ipc_arrival *arrival)
{
    struct process *process = owner;
    int r;

    if (process->started) {
        r = process->coming_error ? process->coming_error : process->spec->reload(process);
        if (r < 0)
            log_error("can't use the new configuration, the old one stays: %s", strerror(-r));
        else
            swap_parts(process);
    } else {
        r = process->spec->start(process);
        if (r < 0)
            log_fatal("can't start: %s", strerror(-r));
        process->started = true;
        swap_parts(process);
        r = process->start_error;
    }
    if (process->coming_error && process->spec->give_up)
        process->spec->give_up(process);
    struct ipc_message ready = {.type = IPC_READY, .ready.error = r < 0 ? r : 0};
    if (!process->ending) /* else the one that comes after it says so */
        ipc_notify(process->supervisor, &ready);
}

static void on_peer(void *owner, const struct ipc_arrival *arrival)
{
    struct process *process = owner;
    const struct ipc_peer_link *link = &arrival->message->peer;

    process->peer_origin = link->origin;
    int r = process->spec->peer(process, link->kind, link->index, arrival->fd);

    if (r < 0)
        log_fatal("peer %s: %s", ipc_peer_name(link->kind), strerror(-r));
    process->alone_since_ms = 0;
}

static bool is_alone_for_long(struct process *process)
{
    int64_t now_ms = io_loop_now_ms(process->loop);

    if (!process->started || process->ending || process->spec->has_peers(process))
        process->alone_since_ms = 0;
    else if (!process->alone_since_ms)
        process->alone_since_ms = now_ms;
    return process->alone_since_ms && now_ms - process->alone_since_ms >= process->alone_max_ms;
}

static void on_look(void *arg)
{
    struct process *process = arg;

    if (is_alone_for_long(process)) {
        log_error("the channel to another process was lost, and none came instead: starting again");
        begin_shutdown(process);
    }
    io_timer_set(process->look, process->alone_max_ms / LOOKS);
}

/* 0 or -errno. */
static int watch_peers(struct process *process)
{
    if (!process->spec->has_peers)
        return 0;
    if (!process->alone_max_ms)
        process->alone_max_ms = ALONE_MAX_MS;
    int r = io_timer_new(process->loop, on_look, process, &process->look);
    return r < 0 ? r : io_timer_set(process->look, process->alone_max_ms / LOOKS);
}

static void on_shutdown(void *owner, const struct ipc_arrival *arrival)
{
    begin_shutdown(owner);
}

/* Who only asks how we are must not end us. */
static void on_status(void *owner, const struct ipc_arrival *arrival)
{
    struct process *process = owner;
    struct buffer json = BUFFER_LIMITED(60000);
    struct ipc_message reply = {.type = IPC_STATUS};

    buffer_append_byte(&json, '{');
    if (process->spec->status)
        process->spec->status(process, &json);
    buffer_append_byte(&json, '}');
    if (buffer_error(&json) == 0)
        reply.status.json = buffer_span(&json);
    if (ipc_try_reply(arrival->channel, arrival->token, &reply) < 0) {
        reply.status.json = SPAN("");
        ipc_reply(arrival->channel, arrival->token, &reply);
    }
    buffer_done(&json);
}

static void on_supervisor_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct process *process = owner;

    process->is_orphan = true;
    process->is_cut_off = error != 0;
    begin_shutdown(process);
}

static const struct ipc_handler handlers[] = {
    {IPC_CONFIG, on_config},     {IPC_FILE, on_file}, {IPC_LISTENER, on_listener},
    {IPC_ACTIVATE, on_activate}, {IPC_PEER, on_peer}, {IPC_SHUTDOWN, on_shutdown},
    {IPC_STATUS_ASK, on_status},
};

static const struct ipc_role supervisor_role = {
    .peer_name = "supervisor",
    .handlers = handlers,
    .handler_count = ARRAY_SIZE(handlers),
    .lost = on_supervisor_lost,
    .takes_fds = true,
    .fd_room = spare_use,
};

/* Of who closed them before the start: else a client's socket could be our standard error, and the
 * filter would end us for what is done with it. */
static void occupy_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int process_main(struct process *process, const struct process_spec *spec)
{
    process->spec = spec;
    occupy_standard_streams();
    log_open(spec->name, getenv("POSTBUCH_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* one file over a limit (setrlimit(2)) is EFBIG, not our end */
    /* A Ctrl-C on the terminal reaches the whole group; the supervisor tells us what to do. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);

    spare_keep();
    int r = io_loop_new(&process->loop);
    if (r == 0)
        r = ipc_channel_new(process->loop, SUPERVISOR_FD, &supervisor_role, process,
                            &process->supervisor);
    if (r == 0)
        r = watch_peers(process);
    if (r < 0)
        log_fatal("can't start; only the supervisor starts this program: %s", strerror(-r));
    r = io_loop_run(process->loop);
    if (r < 0)
        log_fatal("event loop: %s", strerror(-r));
    return process->is_cut_off ? 1 : process->exit_code;
}
