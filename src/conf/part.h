/*
 * Parts of the configuration: what the supervisor sends to each process, and nothing more. Each
 * part carries the generation number of the configuration it was cut from; a session keeps the
 * generation under which it began.
 *
 * Wire form: base/codec.h with the tables below. Decoded spans point into the frame: a process that
 * keeps a part keeps its frame. Every maximum below holds for whatever the sender wrote.
 */
#pragma once

#include "base/codec.h"
#include "conf/network.h"
#include "conf/problem.h"

enum {
    CONF_NAME_MAX = 64,   /* of a listener */
    CONF_TEXT_MAX = 512,  /* host names, banner */
    CONF_PATH_MAX = 4096, /* a path with its NUL */
    CONF_DOMAINS_MAX = 4096,
    CONF_LISTENERS_MAX = 64,
    CONF_ADDRESSES_MAX = 64, /* of a listener */
    CONF_NETWORKS_MAX = 1024,
    CONF_ROUTE_HOSTS_MAX = 15, /* of a route or relay */
    CONF_NEXT_HOP_MAX = 4096,
    CONF_SERVERS_MAX = 16,
    CONF_PART_MAX = 1 << 20, /* bytes of a part's wire form */
};

struct conf_listener {
    struct span name;               /* "mx": its sockets arrive under this name */
    struct span service;            /* "mx" */
    struct conf_network *normalize; /* clients whose bare LF is mended, not refused */
    size_t normalize_count;
};

struct conf_smtpd {
    uint64_t generation;
    struct span hostname;
    struct span banner; /* behind the host name in the greeting, e.g. "ESMTP Postbuch" */
    struct conf_listener *listeners;
    size_t listener_count;
    uint64_t message_size_max;   /* bytes, 0: no limit */
    uint32_t recipients_max;     /* of a message */
    uint32_t hops_max;           /* Received: fields of a message */
    uint32_t connections_max;    /* of this smtpd: its share */
    uint32_t errors_max;         /* bad commands until the session is ended */
    uint32_t command_timeout_ms; /* RFC 5321 4.5.3.2.7: waiting for a command */
    uint32_t data_timeout_ms;    /* between two pieces of message data */
    uint32_t message_timeout_ms; /* from DATA or the first BDAT to the end of the message */
    uint32_t session_timeout_ms; /* from the greeting on */
};
extern const struct codec conf_smtpd_codec;

struct conf_queue_domain {
    struct span name; /* lower case */
};

/* How mail for foreign domains goes on. */
struct conf_queue_route {
    struct span pattern;  /* a domain, ".domain" for all below it, or "*" */
    struct span next_hop; /* "mx", or "host:HOST:PORT[,HOST:PORT...]" */
    bool relay;           /* it is one of `relays` */
};

/* AUTO: by the country of the sender's domain. */
enum conf_language { CONF_LANGUAGE_EN, CONF_LANGUAGE_DE, CONF_LANGUAGE_AUTO };
/* Who gets a receipt when he asks for one (RFC 3461). */
enum conf_receipts { CONF_RECEIPTS_OWN, CONF_RECEIPTS_ALL, CONF_RECEIPTS_NONE };
/* What becomes of a report that can't be delivered. */
enum conf_double_bounce { CONF_DOUBLE_BOUNCE_BOOK, CONF_DOUBLE_BOUNCE_POSTMASTER };

struct conf_queue {
    uint64_t generation;
    struct span hostname;
    struct span spool; /* absolute path of the folder */
    uint64_t segment_size;
    uint64_t disk_reserve; /* free bytes under which new messages are deferred */
    uint64_t waiting_max;  /* recipients waiting at which new messages are deferred */
    uint64_t message_size_max;
    uint32_t recipients_max;
    uint64_t retry_first_ms;
    uint64_t retry_max_ms;
    uint64_t give_up_ms;
    uint64_t delay_notice_ms;          /* 0: none */
    struct conf_queue_domain *domains; /* by span_compare() */
    size_t domain_count;
    uint32_t first_domain;           /* place of the one that the configuration names first */
    struct conf_queue_route *routes; /* with the relays; by span_compare() */
    size_t route_count;
    struct span postmaster;  /* may be empty */
    uint8_t report_language; /* enum conf_language */
    uint8_t receipts;        /* enum conf_receipts */
    uint8_t double_bounce;   /* enum conf_double_bounce */
};
extern const struct codec conf_queue_codec;

struct conf_smtp {
    uint64_t generation;
    struct span hostname;
    struct conf_address *own; /* where we listen ourselves: mail that comes back there is a loop */
    size_t own_count;
    bool allow_private_mx; /* MX hosts on private and loopback addresses are used */
};
extern const struct codec conf_smtp_codec;

struct conf_book {
    uint64_t generation;
    struct span spool;  /* its log segments are read */
    struct span ledger; /* absolute path of the folder */
    uint64_t keep_ms;
    uint64_t refusals_keep_ms;
};
extern const struct codec conf_book_codec;

struct conf_file {
    struct span name; /* absolute path; its open descriptor arrives under this name */
};

struct conf_directory_domain {
    struct span name;    /* lower case */
    struct span users;   /* name of a file, or empty */
    struct span aliases; /* name of a file, or empty */
};

struct conf_relay_domain {
    struct span name; /* lower case */
};

/* Counters over all smtpd; 0 is no limit everywhere. A network is an IPv4 /24 or an IPv6 /48, a
 * client an IPv4 address or an IPv6 /64. */
struct conf_client_limits {
    uint32_t client_connections; /* at the same time */
    uint32_t network_connections;
    uint32_t client_rate; /* new connections a minute */
    uint32_t network_rate;
    uint32_t client_refusals; /* refused recipients in ten minutes, then 421 for a while */
};

struct conf_directory {
    uint64_t generation;
    struct span hostname;
    struct span postmaster; /* address that gets what nobody else is for; may be empty */
    struct conf_place postmaster_place;
    struct conf_directory_domain *domains;
    size_t domain_count;
    struct conf_relay_domain *relays; /* domains that are accepted from anyone and carried on */
    size_t relay_count;
    struct conf_file *files; /* each once */
    size_t file_count;
    struct conf_network *trusted;
    size_t trusted_count;
    struct conf_client_limits limits;
};
extern const struct codec conf_directory_codec;

struct conf_mailbox_domain {
    struct span name;     /* lower case */
    struct span template; /* "/var/mail/%d/%u", absolute; %d domain, %u user, %% percent */
};

struct conf_mailbox {
    uint64_t generation;
    struct span hostname;
    uint32_t uid, gid; /* owner of new folders and files */
    uint32_t threads;
    struct conf_mailbox_domain *domains;
    size_t domain_count;
    uint64_t quota; /* bytes a mailbox, 0: none */
};
extern const struct codec conf_mailbox_codec;

struct conf_resolver {
    uint64_t generation;
    struct conf_address *servers; /* which ask for us; none: from the root on */
    size_t server_count;
    struct span trust_anchor; /* its open descriptor arrives under this name; "" for none */
};
extern const struct codec conf_resolver_codec;
