/*
 * What the files of the smtp process share: the process, a way to the hosts of a next hop, a
 * connection, a job.
 *
 *   job ──▶ way (resolver) ──▶ walk (smtp/client/walk.h) ──▶ connection ──▶ session
 *    └── an idle connection of the same next hop ──────────────▲
 *
 * A job answers the queue exactly once. It lives until then; connections live on, idle, for the
 * next job of the same next hop.
 */
#pragma once

#include "base/numbers.h"
#include "conf/part.h"
#include "dns/mx.h"
#include "proc/common/process.h"
#include "smtp/client/client.h"
#include "smtp/client/walk.h"

enum {
    SMTP_READ_BYTES = 65536,
    SMTP_IDLE_MS = 5000,
    SMTP_IDLE_MAX = 200,     /* connections that wait for work */
    SMTP_MESSAGES_MAX = 100, /* on one connection */
    SMTP_HOSTS_MAX = 32,     /* of one next hop */
    SMTP_ENDING_MS = 3000,   /* a shutdown waits so long for what is under way: the queue, longer */
};

struct smtp_proc {
    struct process process;
    const struct conf_smtp *conf; /* borrowed */
    struct dns_ip *own_addresses;
    size_t own_address_count;
    struct smtp_client_settings settings;
    struct ipc_channel *queue, *resolver;
    uint64_t epoch; /* of the queue's channel */
    struct list jobs, connections, idle, routes;
    struct numbers numbered; /* the jobs */
    uint32_t job_count, connection_count, idle_count;
    int64_t now_ms;
    int64_t ending_ms; /* when the shutdown began, or 0 */
    struct io_timer *tick;
    uint64_t relayed, deferred, failed, uncertain, sessions, reused;
    char read_buffer[SMTP_READ_BYTES];
};

/* ---- way.c: from a next hop to addresses ---- */

struct smtp_way {
    struct smtp_proc *proc;
    void (*done)(struct smtp_way *way); /* once, never from within smtp_way_begin() */
    struct io_deferred turn;
    struct arena arena;
    struct dns_mx *mx;
    struct list questions;
    bool failed, permanent;
    bool leads_back;    /* a host of the route is this server */
    const char *status; /* of a failure */
    struct span text;
    struct span hosts[SMTP_HOSTS_MAX];
    struct smtp_target targets[SMTP_WALK_TARGETS_MAX];
    size_t host_count, target_count;
    struct buffer mx_set;
};

void smtp_way_begin(struct smtp_way *way, struct smtp_proc *proc, struct span next_hop,
                    void (*done)(struct smtp_way *way));
/* Cancels what is under way. Fine on zeroes. */
void smtp_way_done(struct smtp_way *way);

/* ---- connection.c ---- */

struct smtp_job;

struct smtp_connection {
    struct list link;      /* all */
    struct list idle_link; /* those without a job, the latest last */
    struct smtp_proc *proc;
    int fd;
    struct io_watch *watch;
    unsigned events;
    struct io_deferred turn;
    struct smtp_client *client;
    struct smtp_job *job; /* NULL: idle, or saying goodbye */
    int64_t idle_since_ms;
    char *next_hop;
    char host[256];
    uint8_t ip[16];
    char ip_text[DNS_IP_TEXT];
};

/* Takes over the connected `fd`. NULL: no memory (and `fd` is closed). */
struct smtp_connection *smtp_connection_new(struct smtp_job *job, int fd, struct span host,
                                            const uint8_t ip[static 16]);
void smtp_connection_free(struct smtp_connection *c);
/* An idle one of this next hop, taken out; NULL: none. */
struct smtp_connection *smtp_connection_reuse(struct smtp_proc *proc, struct span next_hop);
/* Its job is through: it waits for another one, or ends. */
void smtp_connection_release(struct smtp_connection *c);
void smtp_connection_wake(struct smtp_connection *c);
void smtp_connections_tick(struct smtp_proc *proc);

/* ---- job.c ---- */

struct smtp_piece {
    struct list link;
    uint64_t token; /* of the body's call; 0: came with the job */
    size_t held;    /* bytes of credit */
    size_t size;
    char bytes[];
};

enum smtp_job_state {
    SMTP_JOB_RESOLVING,
    SMTP_JOB_CONNECTING,
    SMTP_JOB_GREETING, /* a connection is there, the mail not begun */
    SMTP_JOB_MAIL,     /* the session has it */
    SMTP_JOB_OVER,
};

struct smtp_attempt {
    struct smtp_job *job;
    int fd; /* -1: none */
    struct io_watch *watch;
    size_t target;
};

/* Where a recipient's result came from. */
struct smtp_place {
    struct span host, ip;
    size_t earlier;   /* bytes of the job's `earlier` that were there before this place was tried */
    bool destination; /* the result concerns all that goes the same way */
};

struct smtp_job {
    struct list link, by_number;
    struct smtp_proc *proc;
    enum smtp_job_state state;
    uint64_t number, token, epoch;
    struct arena arena;
    struct span next_hop;
    struct smtp_client_mail mail;
    uint32_t *indexes; /* of the recipients in the envelope */
    bool *tried;       /* recipients that the session under way has */
    struct smtp_place *places;
    struct ipc_job_outcome *outcomes; /* for the answer: it must not fail at the end */
    struct list pieces;               /* come, and not given on */
    uint64_t to_come;                 /* bytes not come yet */
    bool asked;                       /* the queue, for the body */
    bool given_up;                    /* because of us, whatever the stations did */
    bool consumed;                    /* part of the body is gone: no second host can have it */
    bool has_way;
    struct smtp_way way;
    struct smtp_walk walk;
    struct smtp_attempt attempts[SMTP_WALK_RACE_MAX];
    struct io_timer *timer; /* of the walk */
    struct smtp_connection *connection;
    size_t target; /* of the connection, when it came from the walk */
    bool from_walk;
    uint8_t spent_ip[16]; /* of the reused connection that went wrong: not tried again */
    bool spent;
    /* The last trouble on the way to a host. */
    char trouble_status[SMTP_HEARD_STATUS_SIZE];
    char trouble[512];
    struct smtp_place trouble_place;
    /* "tried before: one.test: can't connect …; two.test: 421 …" */
    char earlier[IPC_EARLIER_MAX];
    size_t earlier_size;
};

/* A job came: it lives until it has answered. */
void smtp_job_new(struct smtp_proc *proc, const struct ipc_arrival *arrival);
/* Its next piece came. */
void smtp_job_body(struct smtp_proc *proc, const struct ipc_arrival *arrival);
/* What its connection tells it: the session has changed. May free job and connection. */
void smtp_job_on_session(struct smtp_job *job);
/* The body's next piece for the session, if it is there. True when one was given. */
bool smtp_job_give_body(struct smtp_job *job);
/* All jobs are given up: the queue is gone, or we end. `unbegun`: only those without a session. */
void smtp_jobs_drop(struct smtp_proc *proc, bool unbegun, const char *why);

/* outcome.c: answers the queue. */
/* There is no memory for the job that came: all its recipients are deferred. */
void smtp_job_refuse(struct smtp_proc *proc, const struct ipc_arrival *arrival);
void smtp_job_answer(struct smtp_job *job);
/* This place is left for another one, because of `text`. */
void smtp_job_note_earlier(struct smtp_job *job, const struct smtp_place *place, struct span text);

/* route.c: IPC_ROUTE. */
void smtp_route_begin(struct smtp_proc *proc, const struct ipc_arrival *arrival);
void smtp_routes_drop(struct smtp_proc *proc);

/* ---- proc.c: in the order of a life ---- */

/* 0 or -errno. `conf` must stay until the next one is used. */
int smtp_proc_init(struct smtp_proc *proc, const struct conf_smtp *conf);
/* Ways under way have borrowed what changes: their jobs are for a later attempt. */
int smtp_proc_use(struct smtp_proc *proc, const struct conf_smtp *conf);
/* Each takes over `fd`, unless it fails. */
int smtp_proc_connect_queue(struct smtp_proc *proc, int fd);
int smtp_proc_connect_resolver(struct smtp_proc *proc, int fd);
/* Answers what hasn't begun, finishes the rest or gives it up in time, then ends the process. */
void smtp_proc_end(struct smtp_proc *proc);
/* Frees all, for tests. */
void smtp_proc_done(struct smtp_proc *proc);
