/*
 * The part of the catalogue that the control socket speaks (docs/formats/control.md): what an
 * administrator's program asks the queue. Included by ipc/catalogue.h.
 *
 * A listing comes in pages: the asker calls for the first with IPC_QUEUE_LIST and for each further
 * one with IPC_QUEUE_MORE, so a slow terminal slows nobody. It may ask for several ahead, which are
 * answered in order: then the next page is made while it works on one. One listing a connection at
 * a time; a new IPC_QUEUE_LIST ends the old one.
 */
#pragma once

#include "mail/envelope.h"

enum {
    IPC_QUEUE_PAGE_ROWS = 256,
    IPC_QUEUE_PAGES_ASKED = 4, /* at a time; what is asked beyond is refused */
    IPC_QUEUE_SUMMARY_ROWS = 1000,
    IPC_QUEUE_WHY_MAX = 512
};

enum ipc_queue_state {
    IPC_QUEUE_PAUSED = 1, /* waits for its next attempt */
    IPC_QUEUE_READY = 2,  /* waits for its turn */
    IPC_QUEUE_ACTIVE = 4, /* is being attempted */
    IPC_QUEUE_HELD = 8,   /* waits for an administrator */
};

/* What a recipient waits for. */
enum ipc_queue_wait {
    IPC_WAIT_TURN,        /* its turn, soon */
    IPC_WAIT_PAUSE,       /* its next attempt */
    IPC_WAIT_DESTINATION, /* the end of its destination's pause */
    IPC_WAIT_WINDOW,      /* the attempts under way to its destination */
    IPC_WAIT_OUTCOME,     /* the outcome of the attempt under way */
    IPC_WAIT_RELEASE,     /* an administrator */
    IPC_WAIT_OURS,        /* the next try of one, after trouble of our own */
    IPC_WAIT_CARRIER,     /* the process that would carry it, which isn't there or about to end */
    IPC_WAIT_RETURN,      /* the report to its sender: it was given up, or is to go back */
    IPC_WAIT_COUNT
};

/* Which recipients: all that fit every field that is set. */
struct ipc_queue_filter {
    struct id id;            /* zero: any */
    struct span sender;      /* "": any; "<>": the null sender; else equal, or a part when it has no
                                @; no case */
    struct span recipient;   /* likewise */
    struct span destination; /* "": any; equal, no case */
    uint8_t states;          /* of enum ipc_queue_state; 0: any */
    bool brief;              /* rows without what only the disk knows: addresses, sender */
};

/* False for the filter that lets all through. */
static inline bool ipc_queue_filter_names_some(const struct ipc_queue_filter *f)
{
    return !id_is_zero(&f->id) || f->sender.size || f->recipient.size || f->destination.size;
}

struct ipc_queue_row {
    struct id id;
    uint32_t index;      /* of the recipient in its message */
    int64_t accepted_us; /* wall clock */
    uint64_t size_bytes; /* as received; of one that can't be read also our header fields */
    struct span sender;
    struct span address;
    struct span original;
    struct span destination;
    uint8_t state; /* enum ipc_queue_state, one bit */
    uint8_t wait;  /* enum ipc_queue_wait */
    uint16_t attempts;
    int64_t next_attempt_us; /* until when it waits; 0: no time is known */
    int64_t deadline_us;     /* is given up by an attempt after this */
    struct span why;         /* the last trouble, or "" */
    bool damaged;            /* its message's bytes are: it was set aside */
    bool doubtful; /* was due when the server ended without warning, and wasn't tried since */
    bool overdue;  /* the queue raised an alarm: it is late, and nothing explains it */
};

/* Answers IPC_QUEUE_LIST and IPC_QUEUE_MORE. The oldest message comes first. */
struct ipc_queue_page {
    int32_t error; /* 0 or -errno: the listing has ended */
    bool last;     /* no more pages */
    int64_t now_us;
    struct ipc_queue_row *rows;
    size_t row_count;
};

enum { IPC_QUEUE_AGES = 6 };
/* Upper ends of the ages counted in a summary, in seconds; the last has none. */
extern const uint32_t ipc_queue_age_s[IPC_QUEUE_AGES];

struct ipc_queue_sum {
    struct span destination;
    uint32_t paused, ready, active, held;
    uint32_t ages[IPC_QUEUE_AGES]; /* recipients by age since acceptance */
    int64_t oldest_us;             /* acceptance of the oldest */
    uint32_t window;               /* attempts allowed at the same time */
    int64_t resume_us;             /* end of the destination's pause, 0: none */
    struct span why;
};

/* The destinations with most recipients first. */
struct ipc_queue_summary {
    int32_t error; /* 0 or -errno: nothing was counted, or not all */
    int64_t now_us;
    uint64_t messages, recipients; /* in all */
    uint32_t destinations;         /* in all, also those that are left out */
    struct ipc_queue_sum *rows;
    size_t row_count;
};

enum ipc_queue_act_kind {
    IPC_ACT_HOLD,
    IPC_ACT_RELEASE,
    IPC_ACT_RETRY,
    IPC_ACT_RETURN,  /* back to its sender, now */
    IPC_ACT_REMOVE,  /* nobody gets it, nobody is told */
    IPC_ACT_REROUTE, /* by another next hop, now */
    IPC_ACT_COUNT
};

/* Needs an id, sender, recipient or destination: "all" must be said by asking for each. Long work
 * is told of in between: an answer that isn't the `last` is followed by IPC_QUEUE_ACT_MORE. An act
 * ends where its connection ends; what was begun is finished. */
struct ipc_queue_act {
    uint8_t act; /* enum ipc_queue_act_kind */
    bool dry;    /* only counts whom it would concern */
    struct ipc_queue_filter filter;
    uint32_t index;       /* UINT32_MAX: all recipients of the message */
    struct span next_hop; /* of REROUTE: "smtp:HOST:PORT[,…]", "mx:DOMAIN", "mx": as configured */
};

/* The last is sent when the acts are on disk, each with who did it. */
struct ipc_queue_acted {
    int32_t error; /* 0; -ENOENT: nothing fits, or is held and can't be retried; -EPERM; … */
    bool last;
    uint32_t count; /* recipients concerned so far */
    uint32_t busy;  /* left alone: being attempted just now, or told of to their senders */
    uint64_t examined, messages; /* how far it is */
    struct span text;            /* what is wrong, or (without an error) to be known, for people */
};

enum { IPC_ACKNOWLEDGE_ROWS = 256, IPC_ACKNOWLEDGE_REASON_MAX = 1024 };

/* Something that is booked for good and was dealt with. */
struct ipc_acknowledge_row {
    struct id message; /* zero: it is about none */
    uint32_t index;    /* of a recipient, or UINT32_MAX */
    struct id token;   /* of the audit's finding */
    bool lost;         /* a recipient that waits by the book and isn't in the queue */
};

struct ipc_acknowledge {
    struct span reason;
    struct ipc_acknowledge_row *rows;
    size_t row_count;
};

/* Sent when what was taken is on disk, with who did it. */
struct ipc_acknowledge_done {
    int32_t error;       /* 0 or -errno; -EAGAIN: there is no room just now, ask again */
    uint32_t taken;      /* so many of the rows, from the first on; the rest wasn't looked at */
    uint32_t left_alone; /* of these: the queue has them, so they aren't lost */
};

enum { IPC_QUEUE_DAMAGES = 200 };

struct ipc_queue_damaged {
    struct id id; /* zero: unknown */
    uint64_t segment, offset;
    struct span text;
};

/* What the spool has found damaged since the start (rule 8 of the spool). */
struct ipc_queue_damage {
    uint64_t count;                 /* in all */
    uint64_t set_aside;             /* messages that wait, but whose bytes are damaged */
    struct ipc_queue_damaged *rows; /* the newest last */
    size_t row_count;
};

/* The book has folded all that was on disk when it was asked. */
struct ipc_book_synced {
    int32_t error; /* 0; -EPIPE: the book is not there; -ETIMEDOUT */
};

enum {
    IPC_ROUTE_WAYS = 64, /* of the addresses that an alias stands for */
    IPC_ROUTE_TEXT_MAX = 60 * 1024,
};

/* Which way would mail for this address go now? Contacts nobody but the DNS. */
struct ipc_route_ask {
    struct span address;
};

enum ipc_route_kind {
    IPC_ROUTE_FOREIGN, /* of a domain that isn't delivered here */
    IPC_ROUTE_USER,
    IPC_ROUTE_ALIAS,
    IPC_ROUTE_NOBODY, /* the domain is, but nobody of this name */
    IPC_ROUTE_UNSURE, /* it can't be told now: `why` */
    IPC_ROUTE_BAD,    /* no address: `why` */
    IPC_ROUTE_KIND_COUNT
};

enum ipc_route_by {
    IPC_ROUTE_BY_MAILBOX,
    IPC_ROUTE_BY_RELAY,
    IPC_ROUTE_BY_ROUTE,
    IPC_ROUTE_BY_MX, /* nothing is configured */
    IPC_ROUTE_BY_COUNT
};

/* Where one address goes. */
struct ipc_route_way {
    struct span address;
    uint8_t by;           /* enum ipc_route_by */
    struct span pattern;  /* of the relay or route */
    struct span next_hop; /* as in ipc_job */
    uint32_t same_as; /* index of a way with the same next hop, which has the rest; or its own */
    struct span text; /* what the smtp process found out; "" for a mailbox */
    struct span json; /* the same as an object; "" when it couldn't be asked */
};

struct ipc_route_told {
    uint8_t kind; /* enum ipc_route_kind */
    struct span why;
    struct ipc_route_way *ways;
    size_t way_count;
    uint32_t more; /* addresses of the alias that were left out */
};

extern const struct codec ipc_route_ask_codec;
extern const struct codec ipc_route_told_codec;
extern const struct codec ipc_queue_filter_codec;
extern const struct codec ipc_queue_page_codec;
extern const struct codec ipc_queue_summary_codec;
extern const struct codec ipc_queue_act_codec;
extern const struct codec ipc_queue_acted_codec;
extern const struct codec ipc_acknowledge_codec;
extern const struct codec ipc_acknowledge_done_codec;
extern const struct codec ipc_queue_damage_codec;
extern const struct codec ipc_book_synced_codec;
