/*
 * The real queue on a real folder, between an smtpd, a mailbox, a directory, a book and an
 * administrator that are played over socket pairs. One loop turns them all.
 */
#pragma once

#include "../../unit.h"

#include "mail/event.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/carry/dispatch.h"
#include "proc/queue/control/control.h"
#include "proc/queue/life.h"
#include "proc/queue/returns/returns.h"

struct world;

/* What the played mailbox does with each recipient. */
enum world_mailbox {
    MAILBOX_DELIVERS,
    MAILBOX_DEFERS,
    MAILBOX_FAILS,
    MAILBOX_LOOPS, /* the message says that it was here before */
    MAILBOX_IS_SILENT,
    MAILBOX_IS_FULL,        /* a destination's trouble */
    MAILBOX_IS_ENDING,      /* gives it back untried */
    MAILBOX_IS_INTERRUPTED, /* the reply to the end of the message was lost */
};

/* A commit that the played smtpd sent. */
struct world_commit {
    struct ipc_call call;
    struct world *world;
    struct id id;
    bool answered, lost;
    enum ipc_commit_result result;
    char text[200];
};

enum { WORLD_ORIGIN = 7 }; /* of the played smtpd's ids */
enum { WORLD_JOBS_MAX = 4096, WORLD_PLACES_MAX = 8192 };

/* A job as the mailbox saw it. */
struct world_job {
    struct ipc_channel *channel; /* of the mailbox or an smtp process */
    uint64_t number, token, size_bytes;
    struct id id;
    char next_hop[100];
    struct buffer header, body;
    char sender[100];
    char recipients[8][100];
    size_t recipient_count;
    uint32_t indexes[8];
    bool dropped; /* an empty chunk came */
    bool answered;
};

struct world {
    uint32_t uid; /* of the client of what is sent: 0 is a local user */
    char folder[64];
    struct store *store; /* for the next start, instead of the folder */
    /* Who plays in his own way: what a turn is, that a job begins, and what becomes of it when all
     * of it is there, or no more of it comes. NULL: real time, and what `mailbox_does` says. */
    void (*on_turn)(struct world *w);
    void (*on_attempt)(struct world *w, struct world_job *job);
    void (*on_job)(struct world *w, struct world_job *job);
    void *player;
    struct io_loop *loop;
    struct conf_queue conf;
    struct queue queue;
    struct ipc_channel *smtpd, *mailbox, *smtp[IPC_SMTP_PROCESSES], *directory, *book, *admin;
    struct id_maker ids;
    struct ticket_office office;
    /* What a taken-over smtpd does to a commit before it sends it; NULL: nothing. */
    void (*spoil)(struct world *w, struct envelope *envelope, uint8_t *tickets);
    int64_t id_offset_us; /* how wrong the clock is by which ids are made */
    enum world_mailbox mailbox_does;
    struct world_job jobs[WORLD_JOBS_MAX];
    size_t job_count, delivered;
    size_t routes_asked;     /* of smtp processes, by administrators */
    size_t expansions_asked; /* of the directory */
    bool directory_is_slow;  /* it keeps the last question for world_expand() */
    char expand[100];
    uint64_t expand_token;
    bool smtp_is_silent;
    bool book_folds;
    struct ipc_sealed sealed;
    bool smtpd_lost, admin_lost;
    bool pressed;
    bool closed; /* since world_close() */
    char pressure[200];
    uint64_t committed;
    /* of the administrator's last call */
    struct ipc_call call;
    bool answered;
    struct buffer reply_text;
    struct ipc_message reply; /* spans in it are gone; numbers stay */
    struct ipc_queue_row rows[WORLD_PLACES_MAX];
    char addresses[WORLD_PLACES_MAX][64];
    size_t row_count;
    struct ipc_queue_sum sums[16];
};

struct world *world_new(void);
/* The queue process begins with what is in the folder. */
void world_start(struct world *w);
/* The same, or -errno: the disk failed, and the process has ended. */
int world_try_start(struct world *w);
/* It ends as by a kill: nothing is finished. */
void world_kill(struct world *w);
/* A shutdown begins, and its end. */
void world_close(struct world *w);
void world_until_closed(struct world *w);
/* It ends as by a shutdown. */
void world_stop(struct world *w);
void world_free(struct world *w);
/* Of one that was killed or stopped. */
void world_remove(struct world *w);

void world_join_smtpd(struct world *w);
void world_join_mailbox(struct world *w);
/* Both of them, or one; they do with jobs what the mailbox does. */
void world_join_smtp(struct world *w);
void world_join_smtp_process(struct world *w, unsigned index);
void world_leave_smtp(struct world *w);
/* It knows aliases that begin with: list (a, b and c), crowd (600), away (one elsewhere). */
void world_join_directory(struct world *w);
/* It answers the question that it was slow about. */
void world_expand(struct world *w);
void world_join_book(struct world *w);
void world_join_admin(struct world *w);

/* One turn of the loop, and what goes on beside it. */
void world_turn(struct world *w);
/* Turns the loop until `done` says so; fails the test when it never does. */
void world_until(struct world *w, bool (*done)(struct world *w, void *arg), void *arg);
/* Until nothing is written and a hundred turns more, to see that nothing else happens; a few
 * thousand where the disk hangs. */
void world_rest(struct world *w);

/* The message to commit: recipients are separated by blanks, "+" in front: it expands; "=" and the
 * original may follow. */
void world_send(struct world *w, struct world_commit *c, const char *sender, const char *recipients,
                struct span body);
/* The same with the body in chunks, `size` bytes that world_byte() makes. */
void world_send_large(struct world *w, struct world_commit *c, const char *recipients, size_t size);
char world_byte(size_t at);
/* Only the commit; the chunks were sent. */
void world_send_upload(struct world *w, struct world_commit *c, const char *recipients,
                       uint64_t upload, size_t size);
/* Sends and waits for the answer. */
enum ipc_commit_result world_commit(struct world *w, const char *recipients);

void world_until_answered(struct world *w, struct world_commit *c);
void world_until_jobs(struct world *w, size_t count);
void world_until_delivered(struct world *w, size_t count);
/* No job is unanswered: so nothing need be known of them. */
void world_forget_jobs(struct world *w);
/* The mailbox answers a job that it was silent about. */
void world_answer(struct world *w, struct world_job *job, enum world_mailbox how);

/* A bit changes on the disk in each place of the log where the text stands; there must be one. */
void world_damage(struct world *w, const char *text);

/* Its disk refuses to sync, or is mended. */
void world_set_disk(struct world *w, bool fails);
/* Its log from the beginning, as far as it is sealed; the caller's to free. */
struct spool_follower *world_follow(struct world *w);
/* The sealed EVENT records of its log, in their order. */
void world_each_event(struct world *w, void (*fn)(void *arg, const struct event *event), void *arg);

/* A world that runs, with an smtpd and a mailbox. */
struct world *world_begin(void);
/* The same with a mailbox that does this, and an administrator. */
struct world *world_begin_with_admin(enum world_mailbox does);
/* Sends a short message and waits for its 250. */
struct world_commit world_accept(struct world *w, const char *sender, const char *recipients);
/* The same from s@far.example, and waits until what came of it is on disk. */
struct world_commit world_settle(struct world *w, const char *recipients);
struct spool_counts world_counts(struct world *w);
/* Of a message's first recipient, who waits. */
struct sched_explanation world_explain(struct world *w, const struct id *id);
/* For world_until(): the administrator's last call is answered. */
bool world_has_answer(struct world *w, void *arg);
/* For world_until(): all that came of jobs and acts is on disk. */
bool world_is_settled(struct world *w, void *arg);
/* The administrator asks and waits. */
void world_ask(struct world *w, const struct ipc_message *ask);
/* An act for all recipients of the messages that its filter names, to its end. */
struct ipc_queue_acted world_act(struct world *w, struct ipc_queue_act wanted);
/* For all of a message; its first answer tells the count, and may come before the seal. An act
 * before it goes on without its client. */
void world_begin_act(struct world *w, enum ipc_queue_act_kind kind, const struct id *id,
                     uint32_t count);
/* Nothing is sealed until it goes on; then all is, while jobs may be under way. One world at a
 * time. */
void world_stall_disk(struct world *w);
void world_let_disk_go_on(struct world *w);
/* All pages, into rows[]. */
void world_list(struct world *w, const struct ipc_queue_filter *filter);
