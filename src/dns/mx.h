/*
 * Where mail for a domain goes (RFC 5321 5.1, RFC 7505): questions to the DNS in, an ordered list
 * of hosts with their addresses out, or the reason why there is none. Pure: asks nobody itself, and
 * its only chance is the seed that it is told.
 *
 *   dns_mx_new ──▶ MX ──data──▶ ADDRESSES (A and AAAA of every host, in their order) ──▶ DONE
 *                  │ └─no data─▶ ADDRESSES (of the domain itself) ──────────────────────▲
 *                  └─null MX, no such domain, failure, only ourselves ──────────────────┘
 *
 * The owner asks all questions that dns_mx_question() gives and hands in each answer, in any order,
 * also from within his asking; then questions may be there again. Without one and without an answer
 * outstanding it is done.
 *
 * Bounded: of a domain's hosts the best DNS_HOSTS_MAX of those in the answer count (the resolver
 * hands on the first 256 records), of a host's addresses the first DNS_ADDRESSES_MAX of each
 * family; DNS_QUESTIONS_OPEN questions at a time, those of the best hosts first, so that a domain
 * of many hosts whose name servers keep silent takes no more of a resolver than others do.
 */
#pragma once

#include "dns/answer.h"
#include "dns/rdata.h"

enum { DNS_HOSTS_MAX = 32, DNS_ADDRESSES_MAX = 8, DNS_QUESTIONS_OPEN = 8 };

/* Whose mail server we are, and what is allowed: borrowed while the machine lives. */
struct dns_mx_rules {
    bool allow_private;           /* hosts on private, loopback and link-local addresses */
    const struct span *own_names; /* host names under which we receive */
    size_t own_name_count;
    const struct dns_ip *own_addresses; /* on which we receive */
    size_t own_address_count;
    uint64_t seed; /* shuffles what is equal */
};

enum dns_verdict {
    DNS_PENDING,
    DNS_FOUND,
    DNS_TEMPORARY, /* ask again later */
    DNS_OURS,      /* so, too: we are in trouble, which says nothing of the domain */
    DNS_PERMANENT,
};

/* What became of a host: ASKED becomes one of the others and never comes back. By its name a host
 * is SELF from the beginning, by an address when that comes; then all that aren't better are
 * BEHIND, whatever was found of them. GOOD, FAILED, MISSING and FORBIDDEN are told apart at the
 * end. */
enum dns_host_state {
    DNS_HOST_ASKED, /* or to be asked; it stays so when dns_mx_hurry() came before its turn */
    DNS_HOST_GOOD,
    DNS_HOST_FAILED,    /* its addresses couldn't be asked for */
    DNS_HOST_MISSING,   /* it has no address */
    DNS_HOST_FORBIDDEN, /* only private ones and their like */
    DNS_HOST_SELF,      /* it is us */
    DNS_HOST_BEHIND,    /* not better than us: left out, or mail would circle (RFC 5321 5.1) */
};

/* One mail server, or the domain itself when it has no MX. */
struct dns_host {
    char name[DNS_TEXT_SIZE];
    uint16_t preference;
    enum dns_host_state state;
    /* IPv6 and IPv4 in turn, IPv6 first, each family shuffled. */
    struct dns_ip addresses[2 * DNS_ADDRESSES_MAX];
    size_t address_count;
    /* Its addresses are validated by DNSSEC: nobody asks yet, DANE will (RFC 7672 section 2.2). */
    bool secure;
};

struct dns_question {
    unsigned number;
    struct span name; /* borrowed from the machine */
    uint16_t type;    /* dns/type.h */
};

struct dns_mx;

/* `domain`: canonical (mail/address.h); an address literal (RFC 5321 4.1.3) needs no question
 * and has its verdict at once. `rules` is copied, what it points to is borrowed. 0; -EINVAL when
 * it can't be a name of the DNS; -ENOMEM. */
int dns_mx_new(struct span domain, const struct dns_mx_rules *rules, struct dns_mx **out);
/* NULL is fine. */
void dns_mx_free(struct dns_mx *mx);

/* The next question that nobody has asked yet, which is the caller's to ask now; false: none before
 * another answer. */
bool dns_mx_question(struct dns_mx *mx, struct dns_question *out);
/* 0; -EINVAL when this question wasn't asked or has been answered. */
int dns_mx_answer(struct dns_mx *mx, unsigned number, const struct dns_answer *answer);

/* It takes long: once an address question has failed, no further one is asked, when a host is known
 * or two have failed. What is known then counts; hosts that weren't asked for may be there, so for
 * want of others the verdict is temporary. */
void dns_mx_hurry(struct dns_mx *mx);

enum dns_verdict dns_mx_verdict(const struct dns_mx *mx);
/* Enhanced status code of a failure (RFC 3463), "" when found or pending. Static. */
const char *dns_mx_status(const struct dns_mx *mx);
/* Why it failed: one clause for people, without a dot at its end; "" when found. */
struct span dns_mx_text(const struct dns_mx *mx);
/* Hosts in the order in which they are tried; only those in state DNS_HOST_GOOD are. Borrowed from
 * the machine; none before the verdict. */
const struct dns_host *dns_mx_hosts(const struct dns_mx *mx, size_t *out_count);

/* Appends the sorted names of the hosts, "a.example,b.example": equal for domains with the same
 * servers. 0 or the buffer's error. */
int dns_mx_set(const struct dns_mx *mx, struct buffer *out);
/* Appends lines that tell what was found and decided, for `postbuch route`. 0 or
 * the buffer's error. */
int dns_mx_explain(const struct dns_mx *mx, struct buffer *out);
