/*
 * The catalogue: every message that one Postbuch process may send another, its fields, and who may
 * answer it with what. Decoding is table-driven (base/codec.h) and takes the sender as hostile.
 * docs/formats/ipc.md tells the frame around it.
 *
 * A message is a call (it is answered by exactly one reply of the type that its table row names), a
 * reply, or a notice. Its class decides whose credit it uses: bodies wait behind bodies, never in
 * front of control.
 */
#pragma once

#include "base/codec.h"
#include "base/id.h"
#include "ipc/control.h"

enum ipc_type {
    IPC_NONE, /* no message; also "this type has no reply" */
    IPC_CREDIT,

    /* supervisor to all */
    IPC_CONFIG,
    IPC_FILE,
    IPC_LISTENER,
    IPC_ACTIVATE, /* all of the generation was sent: use it; the first one starts the process */
    IPC_PEER,
    IPC_SHUTDOWN,
    IPC_STATUS_ASK,
    IPC_STATUS,
    /* all to supervisor */
    IPC_READY,
    /* queue to supervisor */
    IPC_RELOAD,
    IPC_RELOADED,

    /* smtpd to directory */
    IPC_CLIENT_CHECK,
    IPC_CLIENT_VERDICT,
    IPC_CLIENT_GONE,
    IPC_RCPT_CHECK,
    IPC_RCPT_VERDICT,
    /* queue to directory */
    IPC_EXPAND,
    IPC_EXPANDED,
    /* directory to queue */
    IPC_TICKET_KEY,

    /* smtpd to queue */
    IPC_UPLOAD_CHUNK,
    IPC_UPLOAD_TAKEN,
    IPC_UPLOAD_ABORT,
    IPC_COMMIT,
    IPC_COMMITTED,
    IPC_EVENT,
    /* queue to smtpd */
    IPC_PRESSURE,

    /* queue to who delivers: mailbox, smtp */
    IPC_JOB,
    IPC_JOB_RESULT,
    IPC_JOB_BODY,
    IPC_JOB_TAKEN,
    IPC_JOB_WANTED,

    /* queue to book and back */
    IPC_SEALED,
    IPC_FOLDED,

    /* control socket to queue (ipc/control.h), beside IPC_RELOAD and IPC_STATUS_ASK */
    IPC_QUEUE_LIST,
    IPC_QUEUE_MORE,
    IPC_QUEUE_PAGE,
    IPC_QUEUE_SUMMARY_ASK,
    IPC_QUEUE_SUMMARY,
    IPC_QUEUE_ACT,
    IPC_QUEUE_ACT_MORE,
    IPC_QUEUE_ACTED,
    IPC_QUEUE_DAMAGE_ASK,
    IPC_QUEUE_DAMAGE,
    IPC_BOOK_SYNC,
    IPC_BOOK_SYNCED,
    IPC_ROUTE_ASK,
    IPC_ROUTE_TOLD,

    /* smtp to resolver */
    IPC_RESOLVE,
    IPC_RESOLVED,
    /* queue to smtp, for `postbuch route` */
    IPC_ROUTE,
    IPC_ROUTED,

    /* queue to report */
    IPC_REPORT,
    IPC_REPORTED,

    /* control socket to queue, too */
    IPC_ACKNOWLEDGE,
    IPC_ACKNOWLEDGE_DONE,

    /* smtp, mailbox to queue: no more jobs, for it ends soon. Behind the answer none comes. */
    IPC_JOB_STOP,
    IPC_JOB_STOPPED,

    IPC_TYPE_COUNT
};

/* Each has a window of credit of its own (ipc/channel.h), so a channel full of bodies still carries
 * an outcome or a verdict. */
enum ipc_class { IPC_CLASS_CONTROL, IPC_CLASS_BODY, IPC_CLASS_COUNT };

/* The processes, as ends of channels. */
enum ipc_peer {
    IPC_PEER_SUPERVISOR,
    IPC_PEER_SMTPD,
    IPC_PEER_QUEUE,
    IPC_PEER_BOOK,
    IPC_PEER_DIRECTORY,
    IPC_PEER_MAILBOX,
    IPC_PEER_RESOLVER,
    IPC_PEER_SMTP,
    IPC_PEER_REPORT,
    IPC_PEER_COUNT
};
const char *ipc_peer_name(enum ipc_peer peer);

/* How many of them the supervisor starts; the queue spreads destinations over them. */
enum { IPC_SMTP_PROCESSES = 2 };

/* Bytes. Texts for replies and people are cut to theirs by who makes them, before they are sent. */
enum {
    IPC_TEXT_MAX = 2048,
    IPC_EARLIER_MAX = 512,
    IPC_CHUNK_MAX = 64 * 1024,
    IPC_PART_MAX = 1 << 20,
    IPC_NEXT_HOP_MAX = 4096,
    IPC_MX_SET_MAX = 8192
};
enum { IPC_TICKET_BYTES = 24, IPC_TICKET_KEY_BYTES = 32 };
/* A DNS name as text: 255 bytes on the wire (RFC 1035 section 2.3.4), up to four
 * characters each (\DDD). */
enum { IPC_NAME_MAX = 1024, IPC_RDATA_MAX = 64 * 1024, IPC_RDATA_COUNT_MAX = 256 };

/* Bytes of a class that the receiver has taken and the sender may send again. */
struct ipc_credit {
    uint8_t class_; /* enum ipc_class */
    uint32_t bytes;
};

/* The receiver's part of the configuration; counts from IPC_ACTIVATE on. */
struct ipc_config {
    struct span part;   /* conf/part.h */
    uint32_t uid, gid;  /* for the sandbox; UINT32_MAX: stay who you are */
    bool sandbox_kills; /* a forbidden system call ends the process; else it is refused */
    uint16_t origin;    /* of ids that the process makes (base/id.h) */
};

/* An open file of the coming generation; carries a descriptor. */
struct ipc_file {
    struct span name; /* as the configuration names it */
};

/* A bound, listening socket of the coming generation; carries a descriptor. */
struct ipc_listener {
    struct span name;    /* key under `listen:`, or "local", "control" */
    struct span service; /* "mx", "local", "control" */
};

/* The process works by the generation that it was told to use, or (when `error` isn't 0, a -errno)
 * by the one before, or at its start without a part of the first one. */
struct ipc_ready {
    int32_t error;
};

/* A channel to another process; carries a descriptor. A new one replaces the old one's end. */
struct ipc_peer_link {
    uint8_t kind; /* enum ipc_peer */
    uint16_t index;
    uint16_t origin; /* of the ids that it makes */
};

/* For messages whose type says all. One byte, always 0, since a table has at least one field. */
struct ipc_nothing {
    uint8_t unused;
};

struct ipc_status {
    struct span json; /* an object with the process's own figures; to the asker: with everybody's */
};

struct ipc_reloaded {
    bool done;        /* false: the old one is in force */
    bool partly;      /* some processes, or settings, go on as before, or may do so */
    struct span text; /* errors and warnings, a line each */
};

/* May this client speak to us? Carries the connection: who is at its other end the directory
 * reads from there. */
struct ipc_client_check {
    uint64_t client; /* chosen by smtpd, unique on this channel */
};

enum ipc_client_action { IPC_CLIENT_ACCEPT, IPC_CLIENT_DEFER, IPC_CLIENT_REJECT };

struct ipc_client_verdict {
    uint8_t action;   /* enum ipc_client_action */
    bool trusted;     /* of those that may send anywhere: no limits hold for it */
    struct span text; /* why not, for the reply */
};

/* The client left; `refused` of its commands were refused (feeds the limits). */
struct ipc_client_gone {
    uint64_t client;
    uint32_t refused;
};

/* May a message of this client and sender go to this recipient? */
struct ipc_rcpt_check {
    uint64_t client;
    struct span sender;  /* canonical */
    struct span address; /* canonical; or the bare "postmaster" */
};

enum ipc_rcpt_action {
    IPC_RCPT_ACCEPT,
    IPC_RCPT_UNKNOWN, /* 550 5.1.1 */
    IPC_RCPT_RELAY,   /* foreign, and this client may relay */
    IPC_RCPT_DENIED,  /* foreign, and it may not: 550 5.7.1 */
    IPC_RCPT_DEFER,   /* can't tell now: 451 4.3.0 */
    IPC_RCPT_REJECT,  /* by rule, with its own text: 550 5.7.1 */
};

struct ipc_rcpt_verdict {
    uint8_t action;                   /* enum ipc_rcpt_action */
    bool expands;                     /* an alias: the queue asks for its expansion */
    uint32_t members;                 /* of an alias: whom it leads to now */
    struct span address;              /* where it goes, canonical */
    uint8_t ticket[IPC_TICKET_BYTES]; /* proc/common/ticket.h */
    struct span text;
};

/* The key of the tickets from now on. */
struct ipc_ticket_key {
    uint8_t key[IPC_TICKET_KEY_BYTES];
};

/* What does this local address stand for? Asked after acceptance, answered as of now. */
struct ipc_expand {
    struct span address;
};

struct ipc_expanded_address {
    struct span address;
};

/* Nested aliases are resolved; the list has each address once, and nobody when there
 * is an error. */
struct ipc_expanded {
    int32_t error; /* 0, or -errno when it can't be told now */
    bool is_user;  /* not an alias: the only address is his own */
    struct ipc_expanded_address *addresses;
    size_t address_count;
};

/* The next bytes of a body over 64 KiB. The first chunk of an unknown number opens the upload. */
struct ipc_upload_chunk {
    uint64_t upload; /* chosen by smtpd, unique on this channel, not 0 */
    struct span bytes;
};

/* The answer to a chunk: it is in memory or on its way to the disk, the next may come. */
struct ipc_upload_taken {
    int32_t error; /* 0, or -errno: the upload is gone. The reply tells it by its number */
};

/* The client went or the message was refused; nothing is kept, nothing is answered. */
struct ipc_upload_abort {
    uint64_t upload;
};

/* A whole message: answered only when its seal is on disk. */
struct ipc_commit {
    uint64_t upload;      /* 0: the body is inline */
    struct span envelope; /* mail/envelope.h */
    struct span tickets;  /* of the envelope's recipients, IPC_TICKET_BYTES each */
    struct span header;   /* new header fields, with CRLF */
    struct span body;     /* the message as received, when inline */
};

/* For smtpd: 250, 4xx (the client keeps the message and comes again), 5xx. */
enum ipc_commit_result { IPC_COMMIT_ACCEPTED, IPC_COMMIT_DEFERRED, IPC_COMMIT_REJECTED };

struct ipc_committed {
    uint8_t result;   /* enum ipc_commit_result */
    struct span text; /* reason for the reply when not accepted */
};

/* Something for the book: mail/event.h. */
struct ipc_event {
    struct span event;
};

/* Whether new mail is to be deferred now (452 before DATA), and why. */
struct ipc_pressure {
    bool defer;
    struct span text;
};

struct ipc_job_recipient {
    uint32_t index; /* in the envelope */
    struct span address;
    struct span original;
    uint8_t notify;    /* enum envelope_notify: for the next station … */
    struct span orcpt; /* … as this, both RFC 3461; "" for none */
};

/* Every server must take so many (RFC 5321 section 4.5.3.1.8). */
enum { IPC_JOB_RECIPIENTS_MAX = 100 };

/* Deliver one message to these recipients. A body that is not inline follows in IPC_JOB_BODY.
 */
struct ipc_job {
    uint64_t job; /* chosen by queue, unique on this channel */
    struct id id;
    struct span sender;
    struct span header;  /* new header fields */
    struct span body;    /* all of it when size_bytes == body.size */
    uint64_t size_bytes; /* of the whole body */
    uint8_t body_type;   /* enum envelope_body */
    bool smtputf8;
    int64_t accepted_us;
    uint8_t returned;        /* enum envelope_return, for the next station */
    struct span envelope_id; /* RFC 3461 4.4, as given, or "" */
    struct span next_hop;    /* "": a mailbox here; "mx:DOMAIN"; "host:HOST:PORT[,HOST:PORT...]" */
    struct ipc_job_recipient *recipients;
    size_t recipient_count;
};

enum ipc_outcome {
    IPC_OUTCOME_DELIVERED,
    IPC_OUTCOME_DEFERRED,  /* try again later */
    IPC_OUTCOME_FAILED,    /* for good */
    IPC_OUTCOME_UNCERTAIN, /* perhaps delivered: the reply to the end of the message was lost */
    IPC_OUTCOME_UNTRIED,   /* given back as it came, by nobody's fault: no attempt */
};

enum ipc_scope {
    IPC_SCOPE_RECIPIENT,   /* concerns this recipient only */
    IPC_SCOPE_DESTINATION, /* concerns all that goes the same way: slow down */
    IPC_SCOPE_OURS,        /* our own trouble: says nothing of whom it was to go to */
};

struct ipc_job_outcome {
    uint32_t index;     /* in the envelope */
    uint8_t outcome;    /* enum ipc_outcome */
    uint8_t scope;      /* enum ipc_scope */
    struct span status; /* enhanced code, "2.0.0" */
    /* What happened. Of a station: its reply word for word, whatever is in it. Of the mailbox: what
     * the message's sender may be told; behind ": ", what is only for who runs this server. */
    struct span text;
    struct span
        remote_id;       /* under which it is kept there: its file, the station's queue id; or "" */
    struct span host;    /* the station that said so; "": this one, or none was reached */
    struct span ip;      /* its address, as text; or "" */
    struct span earlier; /* stations tried before it, and what was wrong; or "" */
    bool knows_wish;     /* delivered: the station offers DSN, so it sends the receipts */
};

/* One outcome for each recipient of the job, in any order; with it the job is over. */
struct ipc_job_result {
    struct ipc_job_outcome *outcomes;
    size_t outcome_count;
    /* Names of the MX hosts, sorted: who has the same ones is the same. "?DOMAIN" when it had none
     * to tell: what happened is this domain's own. Empty: nothing was learnt of it. */
    struct span mx_set;
};

/* A station is there for a job that came without its body: send it now. */
struct ipc_job_wanted {
    uint64_t job;
};

/* The next bytes of a job's body; an empty chunk says that the queue can't go on: drop the job. */
struct ipc_job_body {
    uint64_t job;
    struct span bytes;
};

/* A place in the log: up to which all is folded and synced. */
struct ipc_position {
    uint64_t segment;
    uint64_t offset;
};

/* Up to which all is sealed. */
struct ipc_sealed {
    uint64_t segment;
    uint64_t offset;
    uint64_t waiting; /* recipients, held ones too, as of then */
    bool is_awaited;  /* somebody wants to hear that it is folded */
};

/* A question to the DNS, class IN. */
struct ipc_resolve {
    struct span name; /* as text, without a dot at the end */
    uint16_t type;    /* dns/type.h */
};

struct ipc_rdata {
    struct span bytes; /* wire form, names not compressed */
};

enum ipc_security { IPC_SECURITY_INSECURE, IPC_SECURITY_SECURE, IPC_SECURITY_BOGUS };

/* The answer. With an error the rest means nothing; a bogus one has no data. */
struct ipc_resolved {
    int32_t error;    /* 0; -ETIMEDOUT nobody answered in time; -EIO the resolver failed */
    uint8_t rcode;    /* RFC 6895 2.3 */
    uint8_t security; /* enum ipc_security */
    struct ipc_rdata *rdata;
    size_t rdata_count;
    struct span why; /* what went wrong, one line, for people; "" when nothing did */
};

/* Where would mail for this next hop go now? Asks the DNS, contacts nobody else. */
struct ipc_route {
    struct span next_hop;
};

/* The same twice: lines for people, and an object for programs. */
struct ipc_routed {
    struct span text, json;
};

struct ipc_report_recipient {
    struct span address, original, status, host, reply, why, orcpt, instead; /* mail/report.h */
    uint8_t end;                                                             /* enum report_end */
    int64_t last_attempt_us;
};

/* Write a report about one message to its sender: mail/report.h. */
struct ipc_report {
    uint8_t kind;     /* enum report_kind */
    uint8_t language; /* enum report_language */
    struct id id;     /* the report's own queue id */
    int64_t now_us;
    struct span hostname, postmaster;
    struct id original_id;
    struct span sender;
    int64_t arrival_us, until_us;
    struct span header; /* of the original, or all of it: */
    bool whole;
    struct span envelope_id;
    struct ipc_report_recipient *recipients;
    size_t recipient_count;
};

struct ipc_reported {
    int32_t error;       /* 0 or -errno */
    struct span message; /* header and body; fits a commit's inline body */
    bool eight_bit, smtputf8;
};

/* One of the catalogue's messages. Received, its spans and lists are borrowed until
 * the handler returns. */
struct ipc_message {
    enum ipc_type type;
    union {
        struct ipc_nothing nothing;
        struct ipc_report report;
        struct ipc_reported reported;
        struct ipc_credit credit;
        struct ipc_config config;
        struct ipc_file file;
        struct ipc_listener listener;
        struct ipc_ready ready;
        struct ipc_peer_link peer;
        struct ipc_status status;
        struct ipc_reloaded reloaded;
        struct ipc_client_check client_check;
        struct ipc_client_verdict client_verdict;
        struct ipc_client_gone client_gone;
        struct ipc_rcpt_check rcpt_check;
        struct ipc_rcpt_verdict rcpt_verdict;
        struct ipc_ticket_key ticket_key;
        struct ipc_expand expand;
        struct ipc_expanded expanded;
        struct ipc_upload_chunk upload_chunk;
        struct ipc_upload_taken upload_taken;
        struct ipc_upload_abort upload_abort;
        struct ipc_commit commit;
        struct ipc_committed committed;
        struct ipc_event event;
        struct ipc_pressure pressure;
        struct ipc_job job;
        struct ipc_job_result job_result;
        struct ipc_job_body job_body;
        struct ipc_job_wanted job_wanted;
        struct ipc_position position;
        struct ipc_sealed sealed;
        struct ipc_queue_filter queue_filter;
        struct ipc_queue_page queue_page;
        struct ipc_queue_summary queue_summary;
        struct ipc_queue_act queue_act;
        struct ipc_queue_acted queue_acted;
        struct ipc_queue_damage queue_damage;
        struct ipc_acknowledge acknowledge;
        struct ipc_acknowledge_done acknowledge_done;
        struct ipc_book_synced book_synced;
        struct ipc_route_ask route_ask;
        struct ipc_route_told route_told;
        struct ipc_resolve resolve;
        struct ipc_resolved resolved;
        struct ipc_route route;
        struct ipc_routed routed;
    };
};

/* What a type is: its row in the catalogue. */
struct ipc_row {
    const char *name;
    const struct codec *codec;
    enum ipc_class class_;
    enum ipc_type reply; /* IPC_NONE: a notice or a reply */
    bool is_reply;
    bool carries_fd;
    bool tells; /* a fact, of which the receiver wants nothing: good also when its sender has ended
                 */
};

/* NULL for a number that is no type. */
const struct ipc_row *ipc_row(unsigned type);
