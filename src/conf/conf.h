/*
 * The configuration: one YAML file, read whole, checked whole, typed by the schema in keys.c (the
 * manual's chapter is docs/manual/configuration.md). All errors are reported at once.
 *
 * What the documented file may hold but this version doesn't build yet is read, checked for its
 * form, and warned about; where ignoring it would let mail go astray it is an error.
 *
 * Only the supervisor and the commands hold a struct conf; a process gets its part (conf/part.h).
 */
#pragma once

#include "conf/part.h"
#include "conf/problem.h"

enum conf_service { CONF_SERVICE_MX, CONF_SERVICE_SUBMISSION, CONF_SERVICE_POP3 };
enum conf_tls { CONF_TLS_NONE, CONF_TLS_OPPORTUNISTIC, CONF_TLS_REQUIRE, CONF_TLS_IMPLICIT };
enum conf_sandbox { CONF_SANDBOX_KILL, CONF_SANDBOX_ERRNO };

struct conf_listen {
    struct span name;
    struct conf_place place;
    uint8_t service; /* enum conf_service */
    uint8_t tls;     /* enum conf_tls */
    struct conf_address *addresses;
    size_t address_count;
    struct conf_network *normalize;
    size_t normalize_count;
};

struct conf_domain {
    struct span name; /* lower case */
    struct conf_place place;
    struct span template; /* maildir: absolute */
    struct span users;    /* absolute path, or empty */
    struct span aliases;  /* absolute path, or empty */
};

/* An entry of `relays` or `routes`. */
struct conf_route {
    struct span name; /* a domain; of routes also ".domain" for all below it, and "*" */
    struct conf_place place;
    struct span next_hop; /* "mx", or "host:HOST:PORT[,HOST:PORT...]" */
};

struct conf_limits {
    uint64_t message_size, recipients, hops, connections, errors;
    uint64_t client_connections, network_connections, client_rate, network_rate, client_refusals;
    uint64_t command_idle, data_idle, message_time, session_time; /* ms */
    uint64_t waiting;                                             /* recipients in the queue */
    uint64_t disk_reserve;                                        /* bytes */
};

struct conf_retry {
    uint64_t first, max, give_up, delay_notice; /* ms */
};

struct conf_resolving {
    struct conf_address *servers; /* none: from the root on */
    size_t server_count;
    struct span trust_anchor; /* absolute path, or empty: nothing is validated */
};

/* Who the processes become when the supervisor was started as root: the queue and the book; smtpd,
 * smtp, resolver and report; the directory; the mailbox process, who owns virtual mailboxes. */
enum conf_user {
    CONF_USER_QUEUE,
    CONF_USER_NETWORK,
    CONF_USER_DIRECTORY,
    CONF_USER_MAILBOX,
    CONF_USER_COUNT
};

/* All of it, typed. Spans and lists lie in `arena`; 0 and "" stand where nothing was set and
 * there is no default. */
struct conf {
    struct arena arena;
    struct span file;   /* as the user named it */
    struct span folder; /* absolute; relative paths in the file start here */
    struct span hostname, banner, postmaster;
    struct span spool, ledger, control, drop; /* absolute */
    uint64_t segment_size;
    uint8_t sandbox; /* enum conf_sandbox */
    struct conf_listen *listens;
    size_t listen_count;
    struct conf_domain *domains;
    size_t domain_count;
    struct conf_route *relays, *routes;
    size_t relay_count, route_count;
    bool allow_private_mx;
    uint8_t report_language; /* enum conf_language */
    uint8_t receipts;        /* enum conf_receipts */
    uint8_t double_bounce;   /* enum conf_double_bounce */
    struct conf_network *trusted;
    size_t trusted_count;
    struct conf_limits limits;
    struct conf_retry retry;
    struct span users[CONF_USER_COUNT];
    struct conf_resolving resolver;
    uint64_t book_keep, book_refusals; /* ms */
    uint64_t quota, mailbox_threads;
    const struct conf_node *root; /* for checks across the file */
};

/* Reads the text of a file. `folder` is absolute. 0, also with warnings; -EINVAL when there are
 * errors (then *out is empty); -ENOMEM. */
int conf_parse(struct span text, struct span file, struct span folder,
               struct conf_problems *problems, struct conf *out);

/* Opens and parses a file. Also the error of open(2) or read(2), reported in `problems` too. */
int conf_load(const char *path, struct conf_problems *problems, struct conf *out);
/* For a file with errors, and only to find the server: what can be read of it over the defaults, of
 * which `spool`, `ledger`, `control` and `drop` are right (conf/glean.h). 0, -EINVAL when these
 * can't be known, -ENOMEM, or the error of open(2) or read(2). */
int conf_glean(const char *path, struct conf *out, bool *out_domains_known);
/* Sets what the file may leave out, before it is read. Texts are constants, durations in ms. */
void conf_set_defaults(struct conf *c);
/* Frees all; also good for an empty one. */
void conf_done(struct conf *c);

/* fixed.c: what a running server can't change keeps the value of `running`: a process that is
 * started again must fit those that run. Each key that differs is a warning; *out_kept is their
 * number. An error in `problems`: beside them, what is new can't be. 0 or -ENOMEM. */
int conf_keep_fixed(const struct conf *running, struct conf *coming, struct conf_problems *problems,
                    size_t *out_kept);

/* What ./run starts with: domain postbuch.test with alice and bob, MX on 127.0.0.1:2525, everything
 * in `folder`. Makes the folder and in it postbuch.yaml, users and aliases, each unless it is there
 * already. 0 or -errno. */
int conf_create_default(const char *folder);

/* ---- parts (cut.c): spans and lists borrow from the configuration or lie in `arena` ---- */

/* Each makes what one process is told, for generation `generation`. 0, or -ENOMEM with *out
 * untouched. Numbers are cast to the parts' sizes, within which the schema's bounds keep them. */

/* `processes`: how many smtpd share the connections. */
int conf_cut_smtpd(const struct conf *c, uint64_t generation, unsigned processes,
                   struct arena *arena, struct conf_smtpd *out);
int conf_cut_queue(const struct conf *c, uint64_t generation, struct arena *arena,
                   struct conf_queue *out);
int conf_cut_book(const struct conf *c, uint64_t generation, struct conf_book *out);
int conf_cut_directory(const struct conf *c, uint64_t generation, struct arena *arena,
                       struct conf_directory *out);
/* `uid`, `gid`: of the mailbox user, or of whoever started an unprivileged server. */
int conf_cut_mailbox(const struct conf *c, uint64_t generation, uint32_t uid, uint32_t gid,
                     struct arena *arena, struct conf_mailbox *out);

int conf_cut_smtp(const struct conf *c, uint64_t generation, struct arena *arena,
                  struct conf_smtp *out);
/* Listeners on any address ("0.0.0.0:25", "[::]:25") become one on each of the machine's of that
 * family (whose ports don't matter). 0 or -ENOMEM; those beyond the codec's maximum are left out.
 */
int conf_cut_smtp_own(struct conf_smtp *part, const struct conf_address *machine, size_t count,
                      struct arena *arena);
int conf_cut_resolver(const struct conf *c, uint64_t generation, struct conf_resolver *out);
