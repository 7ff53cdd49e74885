/*
 * Tickets: the directory's word that a client may send from a sender to a recipient. smtpd carries
 * them from the directory to the queue and can neither make one, nor change what it says, nor use
 * one twice: so a taken-over smtpd can't make the queue take a recipient that the directory didn't
 * allow this client.
 *
 *   0   serial, u64, little endian: counts up, from 1 with each key
 *   8   the first 16 bytes of HMAC-SHA-256 under the key over serial and facts
 *
 * Directory and queue share the key, which the directory draws and tells the queue over their
 * channel. The queue remembers which of the last TICKET_WINDOW serials were used; older ones count
 * as used.
 *
 * Errors are -errno; outputs are untouched then.
 */
#pragma once

#include "base/span.h"

struct evp_mac_ctx_st;

enum { TICKET_BYTES = 24, TICKET_KEY_BYTES = 32, TICKET_WINDOW = 1 << 22 };

/* What a ticket says. */
struct ticket_facts {
    const uint8_t *ip;   /* 16 bytes; zero for a local user */
    uint32_t uid;        /* of a local user, else UINT32_MAX */
    struct span sender;  /* canonical, "" is the null sender */
    struct span address; /* of the recipient, canonical */
    bool expands;        /* it is an alias */
};

/* Before the sandbox: OpenSSL looks up its algorithms. 0 or -ENOMEM. */
int ticket_prepare(void);

/* Who issues. Zero-filled memory is one without a key, which issues tickets that nobody takes. */
struct ticket_office {
    struct evp_mac_ctx_st *mac;
    uint64_t last;
};
int ticket_office_open(struct ticket_office *office, const uint8_t key[static TICKET_KEY_BYTES]);
void ticket_office_done(struct ticket_office *office);
/* All zero when it can't be made. */
void ticket_issue(struct ticket_office *office, const struct ticket_facts *facts,
                  uint8_t out[static TICKET_BYTES]);

/* Who takes. Zero-filled memory is one without a key, which takes none. */
struct ticket_gate {
    struct evp_mac_ctx_st *mac;
    uint64_t *used; /* a bit for each serial modulo the window */
    uint64_t highest;
};
int ticket_gate_open(struct ticket_gate *gate, const uint8_t key[static TICKET_KEY_BYTES]);
void ticket_gate_done(struct ticket_gate *gate);
/* 0: it is genuine and was not used before; it is used now. -EBADMSG: not of this key, or it says
 * something else. -EALREADY: it was used, or is too old to tell. */
int ticket_take(struct ticket_gate *gate, const struct ticket_facts *facts, struct span ticket);
