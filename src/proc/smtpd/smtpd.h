/*
 * What the files of smtpd share: the process, a generation of its configuration, a session.
 *
 *   life ──▶ listener ──▶ session ──▶ ask ──▶ upload
 *    └─────────────────▶ generation ◀──┘       all of them ──▶ turn
 */
#pragma once

#include "conf/part.h"
#include "proc/common/process.h"
#include "proc/smtpd/outbox.h"
#include "proc/smtpd/refusals.h"
#include "smtp/server.h"

enum {
    SMTPD_READ_BYTES = 65536, /* at once, into a buffer that all sessions share */
    /* Chunks of one body that may wait for the queue: 1 MiB, so that a sync covers several extents
     * and the client goes on sending meanwhile. */
    SMTPD_UPLOAD_CALLS_MAX = 16,
    SMTPD_PRESSURE_TEXT_MAX = 200,
    /* Sessions of local users. Each may name many more recipients than a stranger,
     * and has that much more memory; who waits for one has the drop folder. */
    SMTPD_LOCAL_MAX = 256,
};

struct smtpd_generation;

/* A listening socket of one generation. */
struct smtpd_listener {
    struct list link;
    struct smtpd_generation *generation;
    int fd;
    struct io_watch *watch; /* NULL while nothing is accepted */
    bool local;             /* a Unix socket: peers are users of this machine */
    struct smtp_server_settings settings;
    const struct conf_network *normalize;
    size_t normalize_count;
};

/* A configuration in force, or still used by sessions that began under it. */
struct smtpd_generation {
    struct smtpd *smtpd;
    unsigned references; /* by the process while in force, and by each session */
    struct buffer part;
    struct arena arena;
    struct conf_smtpd conf;
    struct list listeners; /* struct smtpd_listener; kept, closed, until the last session ended */
};

struct smtpd {
    struct process process;
    struct smtpd_generation *in_force, *coming;
    struct ipc_channel *directory, *queue;
    struct smtpd_outbox to_directory, to_queue;
    struct smtpd_refusals refusals;
    struct list sessions;
    uint32_t session_count, local_count; /* `local_count` of them are of local users */
    void (*sessions_changed)(
        struct smtpd *smtpd); /* their number: others may be accepted, or not */
    struct smtp_server_time time;
    struct id_maker ids;
    uint64_t last_upload, last_client;
    uint64_t directory_epoch; /* counts its channels: a new one knows none of our clients */
    uint64_t queue_epoch;     /* counts its channels: a new one has none of our uploads */
    struct io_timer *tick;    /* once a second: deadlines and aggregates */
    int64_t ending_ms;        /* when the shutdown began, or 0 */
    int64_t leaving_ms;       /* when the last session had ended then, or 0 */
    bool accept_paused;       /* until the next tick */
    bool pressure;            /* the queue asks to defer new mail */
    char pressure_text[SMTPD_PRESSURE_TEXT_MAX];
    uint64_t accepted_sessions, accepted_messages, refusal_count;
    char read_buffer[SMTPD_READ_BYTES];
};

struct smtpd_upload;

struct smtpd_chunk_call {
    struct ipc_call call;
    struct smtpd_upload *upload;
};

/*
 * A body that is being streamed to the queue.
 *
 *   none (number 0) ──a piece went──▶ open ──all chunks taken, committed──▶ none
 *                                   │ ▲ │
 *          no call or credit is free▼ │ └──error, the queue is gone, the session ends──▶ none,
 *                                  stuck                                    and aborted
 *
 * Its first piece may have to wait, too: stuck without a number, which the queue knows nothing of.
 * The number is used once; the epoch tells whether the queue that is there now has it at all.
 */
struct smtpd_upload {
    uint64_t number; /* 0: none */
    uint64_t epoch;  /* of the queue's channel that has it */
    uint64_t size;   /* of the pieces that went */
    struct smtpd_chunk_call calls[SMTPD_UPLOAD_CALLS_MAX];
    struct ipc_waiter waiter; /* for credit */
    int error;                /* sticky: it is lost */
    bool stuck;               /* the session waits for room */
};

struct smtpd_ask;

struct smtpd_session {
    struct list link;
    struct smtpd *smtpd;
    struct smtpd_listener *listener;
    struct smtp_server *server;
    int fd;
    struct io_watch *watch;
    unsigned events;         /* asked of the watch */
    struct io_deferred turn; /* feeds, writes, closes */
    struct buffer input;     /* read, and not taken by the session yet */
    bool eof;
    bool broken;     /* the connection is of no more use */
    bool overdue;    /* what there is to say has waited too long already */
    bool lingering;  /* all was said: what still comes is dropped until the client closes */
    uint64_t number; /* under which the directory knows it */
    uint64_t epoch;  /* of the channel over which it was told of this connection */
    struct ipc_call introduction; /* to a directory that came later */
    bool counted;                 /* the directory counts this connection */
    uint32_t refused;             /* recipients */
    struct smtp_server_client client;
    struct smtpd_upload upload;
    struct smtpd_ask *commit;                       /* waits for the last chunks of the upload */
    void (*drained)(struct smtpd_session *session); /* these were taken, or it is lost */
};

/* turn.c */
/* The last session has ended: what was refused at the end is told, then the process ends. To be
 * called again with each tick until it does. */
void smtpd_leave(struct smtpd *smtpd);
/* At the start of every callback from the loop: sessions are told the time, they don't ask. */
void smtpd_update_time(struct smtpd *smtpd);
/* The session's turn comes, at the end of this one of the loop. */
void smtpd_session_wake(struct smtpd_session *session);

/* listener.c */
/* Owns `fd`, also when it fails. 0 or -ENOMEM. */
int smtpd_listener_add(struct smtpd_generation *generation, struct span name, struct span service,
                       int fd);
/* Accepts on the generation in force when there is somebody to answer, else on none. */
void smtpd_listeners_update(struct smtpd *smtpd);
/* There are as many connections from the network as may be: others wait. */
bool smtpd_is_full(const struct smtpd *smtpd);

/* generation.c */
/* Decodes a copy of the part; one reference is the caller's. 0, -EBADMSG or -ENOMEM. */
int smtpd_generation_new(struct smtpd *smtpd, struct span part, struct smtpd_generation **out);
/* Its sockets. */
void smtpd_generation_close(struct smtpd_generation *generation);
/* Frees it with the last reference. NULL is fine. */
void smtpd_generation_unref(struct smtpd_generation *generation);

/* session.c */
/* Owns `fd`, and closes it when there is no memory. */
void smtpd_session_begin(struct smtpd_listener *listener, int fd,
                         const struct smtp_server_client *client);
/* Ends what has waited too long. Once a second: deadlines are minutes. */
void smtpd_sessions_expire(struct smtpd *smtpd);
/* At the end: closes those that have had our last words, whether or not the client goes. */
void smtpd_sessions_part(struct smtpd *smtpd);
/* 421 to all that have no message under way; `at_once`: the others are cut off, too. */
void smtpd_sessions_shutdown(struct smtpd *smtpd, bool at_once);

/* ask.c */
extern const struct smtp_server_backend smtpd_backend;
/* The last chunk was taken, or the upload is lost: the message's turn. */
void smtpd_ask_commit(struct smtpd_session *session);

/* upload.c */
/* As smtp_server_backend.upload. */
int smtpd_upload_piece(struct smtpd_session *session, struct span piece);
/* Tells the queue, if it has any of it. */
void smtpd_upload_abort(struct smtpd_session *session);
/* The queue has it now, or it never will: forget it without a word. */
void smtpd_upload_forget(struct smtpd_session *session);
/* Chunks of it wait for their answer. */
bool smtpd_upload_is_pending(const struct smtpd_session *session);
/* The queue that is there now has all that was uploaded. */
bool smtpd_upload_is_there(const struct smtpd_session *session);
