/*
 * The supervisor: starts all processes, hands each its part of the configuration, its files and its
 * sockets, joins them by channels, and starts again what died. The only process that stays root; it
 * reads nothing that came over a network.
 *
 *   main.c        options, signals, the start
 *   kind.c        which processes there are, who they become, who talks to whom
 *   child.c       one process: start, channel, end, restart with a pause that grows
 *   generation.c  the configuration in force: the first one, each reload, and who gets it again
 *   reload.c      `postbuch reload`: answered when all processes have it, with those that haven't
 *   part.c        cuts the configuration and sends each child its part, files and sockets
 *   listener.c    bound sockets, kept over a reload
 *   folders.c     the folders that must be there, and whose they are
 *   readiness.c   tells that mail is taken
 *   stop.c        the end, in an order in which no mail hangs
 *   drop.c        has mail collected that programs left while the server was down
 *   status.c      asks all children, for `postbuch status`
 *   watchdog.c    ends a child whose loop hangs
 */
#pragma once

#include "conf/user.h"
#include "ipc/channel.h"

enum { CHILDREN_MAX = 64 };

struct supervisor;
struct child;

/* ---- kind.c ---- */

struct kind {
    enum ipc_peer peer;
    bool per_core;       /* one a core */
    unsigned processes;  /* else so many; 0: one */
    unsigned stop_phase; /* ends in this order */
    bool takes_sockets, takes_control;
    bool is_needed;      /* without it no mail is taken */
    enum conf_user user; /* who it becomes */
    /* Appends the encoded part. */
    int (*part)(const struct conf *conf, uint64_t generation, uint32_t uid, uint32_t gid,
                struct buffer *out);
    /* The files that it gets open, named as its part names them; in `arena`. NULL: none. */
    int (*files)(const struct conf *conf, struct arena *arena, struct conf_file **out,
                 size_t *out_count);
};

enum { STOP_PHASES = 3 };

extern const struct kind kinds[];
extern const size_t kind_count;
/* How many processes of this kind run. */
unsigned kind_processes(const struct kind *kind);
/* Do processes of these kinds have a channel between them? */
bool kinds_are_linked(enum ipc_peer a, enum ipc_peer b);

/* ---- child.c ---- */

struct child {
    struct supervisor *supervisor;
    const struct kind *kind;
    unsigned index;  /* among its kind */
    uint16_t origin; /* of the ids it makes */
    int pid;         /* 0: not running */
    struct ipc_channel *channel;
    struct io_timer *restart;
    int64_t started_ms, pause_ms;
    unsigned starts;
    unsigned untaken; /* generations that were sent, and not answered by "ready" */
    int unsent;       /* 0, or -errno: why it couldn't be sent the last generation */
    int kept;         /* 0, or -errno: why it goes on with the generation before */
    unsigned resend_in, resend_pause; /* rounds: until it gets that again; between the last two */
    bool has_one; /* it has taken all of one; without any it does as little as it can */
    bool ready, stopping;
    struct ipc_call ping; /* watchdog.c */
    unsigned silent; /* rounds in which it was asked and hasn't answered, though it could have */
};

/* Starts it, sends its part and joins it to its peers. A failure is logged and tried again. */
void child_start(struct child *child);
/* Its channel is `fd`, which is taken over unless it fails. 0 or -errno. */
int child_hear(struct child *child, int fd);
/* Its process ended with this status of waitpid(2). */
void child_ended(struct child *child, int status);
void child_stop(struct child *child);
bool child_is_running(const struct child *child);

/* Who waits for an answer. */
struct asker {
    struct child *child;
    unsigned starts; /* its, then: one that was started again doesn't know of it */
    uint64_t token;
};
/* Nothing happens when it isn't there any more. */
void asker_answer(const struct asker *asker, const struct ipc_message *reply);

/* ---- part.c ---- */

/* Sends the whole generation to one child, up to "activate". 0 or -errno, which child->unsent
 * keeps: what it has got of it then counts for nothing. */
int part_send(struct child *child);
/* Appends what the kind's files look like: equal bytes the next time mean that nobody has changed
 * them, whatever the clocks say. 0 or -errno, of a want that may be over in a moment. */
int part_look(const struct kind *kind, const struct conf *conf, struct buffer *out);

/* ---- listener.c ---- */

struct listener {
    struct listener *next;
    int fd;
    bool is_control; /* goes to the queue, all others to smtpd */
    char name[64], service[32];
    char address[128];       /* "127.0.0.1:25" or a path */
    struct conf_address tcp; /* the same; port 0: a path */
};

/* Binds what the configuration names, taking over sockets of `old` with the same address. On
 * failure *out and `old` are as before; the causes are logged. */
int listeners_open(const struct conf *conf, struct listener *old, struct listener **out);
/* Closes those of `list` that aren't in `kept`. Paths are removed too. */
void listeners_close(struct listener *list, const struct listener *kept);

/* ---- own.c ---- */

/* What the part says of our own addresses, with all of this machine's for "any". 0 or -ENOMEM. */
int own_addresses(struct conf_smtp *part, struct arena *arena);

/* ---- folders.c ---- */

/* Makes missing folders: spool, ledger, control, drop. 0 or -errno, logged. */
int folders_prepare(const struct conf *conf, const struct conf_ids users[static CONF_USER_COUNT]);
/* Maildir roots, as many as can be made; what can't is logged. 0, or why one can't that `old`
 * doesn't have. */
int folders_prepare_mailboxes(const struct conf *conf, const struct conf *old,
                              const struct conf_ids *user);

/* ---- drop.c ---- */

enum {
    DROP_PATIENCE_MS = 300000, /* a letter is collected, or put off, within seconds */
    DROP_PASS_MS = 3600000,    /* a pass over many letters may last so long */
    DROP_NAMES_MAX = 100000,   /* that are looked at: any user may make more */
};

/* The first letter that was seen in the folder, and is there as it was; and the passes of the
 * collector, each of which sees what was there when it began. */
struct drop_wait {
    char letter[256]; /* its name; "": there is none */
    int64_t since_ms;
    bool passed_over; /* by a pass that began when it was there, and has ended */
    bool stuck;       /* since longer than DROP_PATIENCE_MS, and nobody is about to collect it */
    bool told;
    bool crowded; /* more names than are looked at */
    bool told_crowded;
    bool passing; /* a pass is under way */
    bool barred;  /* none may begin: the server hasn't got ready yet */
    int64_t pass_began_ms;
};

void drop_wait_pass_begins(struct drop_wait *wait, int64_t now_ms);
void drop_wait_pass_ended(struct drop_wait *wait);

/* Looks again, at `names_max` names; `now_ms` is of the clock that nobody sets. True: there is mail
 * to collect, or there may be. */
bool drop_wait_look(struct drop_wait *wait, const char *folder, int64_t now_ms, unsigned names_max);

/* Looks after the drop folder, and has it collected whenever something lies there, once the server
 * is ready: who can't take mail yet would have letters put off. May be called again: then there is
 * a look in between. */
void drop_watch(struct supervisor *s);
/* Appends what lies there, as a member of a JSON object. */
void drop_status(const struct supervisor *s, struct buffer *json);
/* The process s->collector_pid ended with this status of waitpid(2). */
void drop_collector_ended(struct supervisor *s, int status);

/* ---- status.c ---- */

/* Answers with the figures of all processes, when all have answered. */
void status_gather(struct supervisor *s, const struct asker *asker);

/* ---- watchdog.c ---- */

/* How many rounds a ready child may let pass without an answer until people are told, and until it
 * is ended: a minute, and five. */
enum { SILENT_ALARM = 2, SILENT_END = 10 };

/* Asks each child whether its loop runs. One that hasn't answered for SILENT_END rounds is ended,
 * to be started again. Rounds in which it is in a state where that wouldn't help begin the count
 * anew, but for the alarm. */
void watchdog_round(struct supervisor *s);

/* ---- main.c ---- */

enum { ROUND_MS = 30000 }; /* how often all children are looked after */

struct supervisor {
    struct io_loop *loop;
    const char *config_file;
    const char *libexec; /* NULL: where we lie */
    struct conf conf;
    struct conf_ids users[CONF_USER_COUNT]; /* UINT32_MAX each: we aren't root */
    uint64_t generation;
    struct buffer seen[IPC_PEER_COUNT]; /* by part_look(), before its files were checked */
    struct listener *listeners;
    struct child children[CHILDREN_MAX];
    size_t child_count;
    bool announced; /* that mail is taken */
    bool is_late;   /* who isn't needed for that had its time to get ready */
    struct io_timer *ready_timer;
    struct io_timer *round_timer;
    bool stopping;
    unsigned stop_phase;
    struct io_timer *stop_timer;
    struct io_timer *drop_timer;
    struct reload *reloads; /* reload.c: that wait for an answer */
    int collector_pid;      /* 0: none runs */
    struct drop_wait drop_wait;
    int64_t started_us;
};

/* ---- generation.c ---- */

/* Reads the configuration, finds out its users and opens its sockets. Ends the process with a clear
 * word when it can't be used. */
void generation_first(struct supervisor *s);
/* Reads the configuration again and sends it round. The errors (or warnings) go to `out_text`;
 * *out_kept: some settings wait for a restart, and are named there. 0 or -EINVAL: the old one
 * stays. */
int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept);
/* Sends it again to who goes on with the one before for want of memory, descriptors or room in its
 * channel: nobody else would, and a control socket that is a new one has nobody who listens. After
 * a pause that doubles, up to an hour: to take it may be much work, by which others wait, and in
 * vain. Files that have changed meanwhile wait for the next reload, unless there is nothing that
 * they could take the place of. */
void generation_round(struct supervisor *s);

/* ---- reload.c ---- */

/* Reloads and answers when all processes have taken the generation or said why not, or one has had
 * its time; at once when nothing changed because of errors. Who hasn't taken it is named. The
 * answer is "partly" for a process that was ready and doesn't work by it, or a setting that waits.
 */
void reload_begin(struct supervisor *s, const struct asker *asker);
/* A process has taken a generation, or ended. */
void reload_look(struct supervisor *s);

/* ---- readiness.c ---- */

/* How long is waited for who isn't needed to take mail. systemd's patience is 90 seconds, and then
 * it ends the server. */
enum { READY_PATIENCE_MS = 30000 };

/* 0 or -ENOMEM. */
int readiness_init(struct supervisor *s);
/* A child has sent "ready": says so when it was the last, or the last that is waited for. */
void readiness_look(struct supervisor *s);
/* systemd's protocol: one datagram to the socket that $NOTIFY_SOCKET names (sd_notify(3)). */
void readiness_notify(const char *state);

/* ---- stop.c ---- */

/* 0 or -ENOMEM. */
int stop_init(struct supervisor *s);
/* Stops the processes phase by phase: who takes mail first, who keeps it last. */
void stop_begin(struct supervisor *s);
/* A process has ended: looks whether the next phase can begin, and stops the loop after the last.
 */
void stop_go_on(struct supervisor *s);
