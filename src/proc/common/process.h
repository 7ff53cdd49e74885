/*
 * The life that all processes but the supervisor share. Descriptor 3 is the channel to the
 * supervisor. Over it come the process's part of the configuration, open files and bound sockets,
 * then "activate": the process opens what else it needs, enters its sandbox and runs its loop.
 * Peers come afterwards, and again when one was restarted.
 *
 *   configure, file*, listener* ──activate──▶ start (sandbox) ──▶ peer*, loop
 *                      a new generation:      configure, file*, listener* ──▶ reload
 *
 * A process that has had no channel to a peer that it needs for longer than any restart takes ends,
 * to be started and joined anew: a channel that broke between two who live comes back no other way.
 * When the supervisor is gone the process ends as after a shutdown. An error before the end of
 * start ends the process; later one keeps the old generation in force, and the supervisor is told
 * of it: of configure, file, listener or reload. Only a part that makes no sense always ends it.
 */
#pragma once

#include "ipc/channel.h"

struct process;

struct process_spec {
    const char *name; /* "smtpd" */
    /* Of a generation's part: what process->coming and ->conf hold. NULL: `configure` decodes it.
     */
    const struct codec *part;
    /* A new part has come: decoded, or in memory that stays until the next generation was
     * activated. NULL: there is nothing to do. */
    int (*configure)(struct process *process, struct span part);
    /* A descriptor of the coming generation; the process owns it. NULL: it expects none. */
    int (*file)(struct process *process, struct span name, int fd);
    int (*listener)(struct process *process, struct span name, struct span service, int fd);
    /* The first activation: open, sandbox, start. Without a part of its configuration it may start
     * nevertheless, with process->start_error. */
    int (*start)(struct process *process);
    /* A later one. */
    int (*reload)(struct process *process);
    /* Instead of it, when not all of the generation could be taken: frees what was. NULL: there is
     * nothing. */
    void (*give_up)(struct process *process);
    /* A channel to a peer; the process owns the descriptor. Replaces the one of the same index. An
     * error ends the process. */
    int (*peer)(struct process *process, enum ipc_peer kind, unsigned index, int fd);
    /* A channel to each peer that it can't do without is there. NULL: it needs none. */
    bool (*has_peers)(const struct process *process);
    /* Finish what is under way, then call process_exit(). NULL: it ends at once. */
    void (*shutdown)(struct process *process);
    /* Members of a JSON object, without its braces: "\"sessions\":3". NULL: none. */
    void (*status)(struct process *process, struct buffer *json);
};

/* Embedded in each process's own state, which callbacks find by CONTAINER_OF(). */
struct process {
    const struct process_spec *spec;
    struct io_loop *loop;
    struct ipc_channel *supervisor;
    uint32_t uid, gid;    /* for the sandbox */
    bool sandbox_kills;   /* for the sandbox */
    uint16_t origin;      /* for id_maker_init() */
    uint16_t peer_origin; /* of the ids that the peer makes which spec->peer() is told of */
    bool started, ending;
    bool is_orphan;  /* the supervisor is gone: another one may be starting its own processes */
    bool is_cut_off; /* likewise, for an error of the channel to it: the exit code says so */
    int exit_code;
    uint32_t alone_max_ms; /* how long it may lack a peer; 0: the usual time */
    int64_t alone_since_ms;
    struct io_timer *look;
    /* The decoded part in force, and the coming one; without spec->part both NULL. When start or
     * reload has succeeded, what was `coming` is in force, at the same place. */
    void *conf, *coming;
    int coming_error; /* why it can't come into force */
    int start_error;  /* 0, or -errno: why start() did without a part of its configuration */
    /* process.c: of the part in force, and of the coming one */
    struct process_part {
        struct buffer wire;
        struct arena arena;
        void *decoded;
    } parts[2];
};

/* The main() of a process: `process` is embedded in its state. Returns the exit code. */
int process_main(struct process *process, const struct process_spec *spec);

/* Ends the loop; process_main() returns `exit_code`. */
void process_exit(struct process *process, int exit_code);
