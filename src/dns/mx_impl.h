/*
 * What the files of the MX machine share. mx.c calls what reads the answers: mx_hosts.c, then
 * mx_addresses.c; these call what changes the whole: mx_end.c, mx_shuffle.c.
 */
#pragma once

#include "dns/mx.h"

/* The picture is in mx.h. */
enum dns_mx_stage { MX_STAGE_MX, MX_STAGE_ADDRESSES, MX_STAGE_DONE };

enum { MX_FAMILIES = 2, MX_QUESTIONS_MAX = 1 + MX_FAMILIES * DNS_HOSTS_MAX };

enum mx_question_state { MX_UNASKED, MX_ASKED, MX_ANSWERED };

/* A host while its addresses are asked for: family 0 is IPv6, 1 is IPv4. */
struct mx_lookup {
    struct dns_ip addresses[MX_FAMILIES][DNS_ADDRESSES_MAX];
    size_t counts[MX_FAMILIES];
    bool failed, secure[MX_FAMILIES];
    const char *forbidden; /* kind of an address that was dropped, or NULL */
    struct dns_ip forbidden_ip;
};

struct dns_mx {
    char domain[DNS_TEXT_SIZE];
    struct dns_mx_rules rules;
    enum dns_mx_stage stage;
    enum dns_verdict verdict;
    const char *status;
    struct buffer text;
    struct buffer failure; /* how a question failed: mx_note_failure() */
    uint64_t random;
    bool implicit, secure, literal;
    bool ours; /* the failure is our own trouble */
    /* For as many as the answer to MX names: until then thousands may wait for theirs. */
    struct dns_host *hosts;
    struct mx_lookup *lookups;
    size_t host_count;
    unsigned char questions[MX_QUESTIONS_MAX]; /* enum mx_question_state; 0: MX, then two a host */
    unsigned question_count, next_question, answered_count;
};

/* mx_end.c: the one place that ends it. What is still unasked stays so; the text is the caller's.
 */
void mx_end(struct dns_mx *mx, enum dns_verdict verdict, const char *status);
/* The first question that failed tells why, unless one couldn't even be asked: then that does. */
void mx_note_failure(struct dns_mx *mx, const char *name, uint16_t type,
                     const struct dns_answer *answer);
/* Ends with what was noted: it is over some day. */
void mx_fail(struct dns_mx *mx);
/* With printf's clause. Names in it are cut ("%.256s"), so that the text always fits. */
void mx_finish(struct dns_mx *mx, enum dns_verdict verdict, const char *status, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* mx_shuffle.c: by the machine's seed. */
void mx_shuffle(struct dns_mx *mx, void *items, size_t count, size_t item_size);

/* mx_hosts.c: the MX answer becomes the ordered list of hosts, without those not better than us by
 * name. Asks for their addresses, or finishes. */
void mx_take_records(struct dns_mx *mx, const struct dns_answer *answer);
/* The domain is its own host. */
void mx_take_implicit(struct dns_mx *mx);

/* mx_addresses.c: one answer; and, after the last one, the verdict. */
void mx_take_addresses(struct dns_mx *mx, size_t host, unsigned family,
                       const struct dns_answer *answer);
void mx_conclude(struct dns_mx *mx);
/* Keeps an address unless it is forbidden or there are enough. */
void mx_add_address(struct dns_mx *mx, size_t host, const struct dns_ip *ip);
/* Marks as DNS_HOST_BEHIND all that are not better than the best host that is us. */
void mx_cut_behind_self(struct dns_mx *mx);
