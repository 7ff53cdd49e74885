/*
 * The wire form of the parts. Nothing is kept from one version to the next: supervisor and
 * processes are always of the same one.
 */
#include "conf/part.h"

/* Longest time that any setting may name: ten years. */
#define TIME_MAX_MS (UINT64_C(3653) * 24 * 3600 * 1000)

CODEC_DEFINE(static, network_codec, struct conf_network, CODEC_FIXED(struct conf_network, ip),
             CODEC_UINT(struct conf_network, prefix, 128));

CODEC_DEFINE(static, listener_codec, struct conf_listener,
             CODEC_SPAN(struct conf_listener, name, CONF_NAME_MAX),
             CODEC_SPAN(struct conf_listener, service, CONF_NAME_MAX),
             CODEC_LIST(struct conf_listener, normalize, normalize_count, CONF_NETWORKS_MAX,
                        &network_codec));

CODEC_DEFINE(, conf_smtpd_codec, struct conf_smtpd,
             CODEC_UINT(struct conf_smtpd, generation, UINT64_MAX),
             CODEC_SPAN(struct conf_smtpd, hostname, CONF_TEXT_MAX),
             CODEC_SPAN(struct conf_smtpd, banner, CONF_TEXT_MAX),
             CODEC_LIST(struct conf_smtpd, listeners, listener_count, CONF_LISTENERS_MAX,
                        &listener_codec),
             CODEC_UINT(struct conf_smtpd, message_size_max, UINT64_MAX),
             CODEC_UINT(struct conf_smtpd, recipients_max, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, hops_max, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, connections_max, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, errors_max, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, command_timeout_ms, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, data_timeout_ms, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, message_timeout_ms, UINT32_MAX),
             CODEC_UINT(struct conf_smtpd, session_timeout_ms, UINT32_MAX));

CODEC_DEFINE(static, queue_domain_codec, struct conf_queue_domain,
             CODEC_SPAN(struct conf_queue_domain, name, CONF_TEXT_MAX));

CODEC_DEFINE(static, queue_route_codec, struct conf_queue_route,
             CODEC_SPAN(struct conf_queue_route, pattern, CONF_TEXT_MAX),
             CODEC_SPAN(struct conf_queue_route, next_hop, CONF_NEXT_HOP_MAX),
             CODEC_UINT(struct conf_queue_route, relay, 1));

CODEC_DEFINE(
    , conf_queue_codec, struct conf_queue, CODEC_UINT(struct conf_queue, generation, UINT64_MAX),
    CODEC_SPAN(struct conf_queue, hostname, CONF_TEXT_MAX),
    CODEC_SPAN(struct conf_queue, spool, CONF_PATH_MAX),
    CODEC_UINT(struct conf_queue, segment_size, UINT64_MAX),
    CODEC_UINT(struct conf_queue, disk_reserve, UINT64_MAX),
    CODEC_UINT(struct conf_queue, waiting_max, UINT64_MAX),
    CODEC_UINT(struct conf_queue, message_size_max, UINT64_MAX),
    CODEC_UINT(struct conf_queue, recipients_max, UINT32_MAX),
    CODEC_UINT(struct conf_queue, retry_first_ms, TIME_MAX_MS),
    CODEC_UINT(struct conf_queue, retry_max_ms, TIME_MAX_MS),
    CODEC_UINT(struct conf_queue, give_up_ms, TIME_MAX_MS),
    CODEC_UINT(struct conf_queue, delay_notice_ms, TIME_MAX_MS),
    CODEC_LIST(struct conf_queue, domains, domain_count, CONF_DOMAINS_MAX, &queue_domain_codec),
    CODEC_UINT(struct conf_queue, first_domain, CONF_DOMAINS_MAX),
    CODEC_LIST(struct conf_queue, routes, route_count, 2 * CONF_DOMAINS_MAX, &queue_route_codec),
    CODEC_SPAN(struct conf_queue, postmaster, CONF_TEXT_MAX),
    CODEC_UINT(struct conf_queue, report_language, CONF_LANGUAGE_AUTO),
    CODEC_UINT(struct conf_queue, receipts, CONF_RECEIPTS_NONE),
    CODEC_UINT(struct conf_queue, double_bounce, CONF_DOUBLE_BOUNCE_POSTMASTER));

CODEC_DEFINE(static, address_codec, struct conf_address, CODEC_FIXED(struct conf_address, ip),
             CODEC_UINT(struct conf_address, port, UINT16_MAX));

CODEC_DEFINE(, conf_smtp_codec, struct conf_smtp,
             CODEC_UINT(struct conf_smtp, generation, UINT64_MAX),
             CODEC_SPAN(struct conf_smtp, hostname, CONF_TEXT_MAX),
             CODEC_LIST(struct conf_smtp, own, own_count, CONF_LISTENERS_MAX *CONF_ADDRESSES_MAX,
                        &address_codec),
             CODEC_UINT(struct conf_smtp, allow_private_mx, 1));

CODEC_DEFINE(, conf_book_codec, struct conf_book,
             CODEC_UINT(struct conf_book, generation, UINT64_MAX),
             CODEC_SPAN(struct conf_book, spool, CONF_PATH_MAX),
             CODEC_SPAN(struct conf_book, ledger, CONF_PATH_MAX),
             CODEC_UINT(struct conf_book, keep_ms, TIME_MAX_MS),
             CODEC_UINT(struct conf_book, refusals_keep_ms, TIME_MAX_MS));

CODEC_DEFINE(static, directory_domain_codec, struct conf_directory_domain,
             CODEC_SPAN(struct conf_directory_domain, name, CONF_TEXT_MAX),
             CODEC_SPAN(struct conf_directory_domain, users, CONF_PATH_MAX),
             CODEC_SPAN(struct conf_directory_domain, aliases, CONF_PATH_MAX));

CODEC_DEFINE(static, relay_codec, struct conf_relay_domain,
             CODEC_SPAN(struct conf_relay_domain, name, CONF_TEXT_MAX));

CODEC_DEFINE(static, file_codec, struct conf_file,
             CODEC_SPAN(struct conf_file, name, CONF_PATH_MAX));

CODEC_DEFINE(, conf_directory_codec, struct conf_directory,
             CODEC_UINT(struct conf_directory, generation, UINT64_MAX),
             CODEC_SPAN(struct conf_directory, hostname, CONF_TEXT_MAX),
             CODEC_SPAN(struct conf_directory, postmaster, CONF_TEXT_MAX),
             CODEC_SPAN(struct conf_directory, postmaster_place.file, CONF_PATH_MAX),
             CODEC_UINT(struct conf_directory, postmaster_place.line, UINT32_MAX),
             CODEC_UINT(struct conf_directory, postmaster_place.column, UINT32_MAX),
             CODEC_LIST(struct conf_directory, domains, domain_count, CONF_DOMAINS_MAX,
                        &directory_domain_codec),
             CODEC_LIST(struct conf_directory, relays, relay_count, CONF_DOMAINS_MAX, &relay_codec),
             CODEC_LIST(struct conf_directory, files, file_count, 2 * CONF_DOMAINS_MAX,
                        &file_codec),
             CODEC_LIST(struct conf_directory, trusted, trusted_count, CONF_NETWORKS_MAX,
                        &network_codec),
             CODEC_UINT(struct conf_directory, limits.client_connections, UINT32_MAX),
             CODEC_UINT(struct conf_directory, limits.network_connections, UINT32_MAX),
             CODEC_UINT(struct conf_directory, limits.client_rate, UINT32_MAX),
             CODEC_UINT(struct conf_directory, limits.network_rate, UINT32_MAX),
             CODEC_UINT(struct conf_directory, limits.client_refusals, UINT32_MAX));

CODEC_DEFINE(static, mailbox_domain_codec, struct conf_mailbox_domain,
             CODEC_SPAN(struct conf_mailbox_domain, name, CONF_TEXT_MAX),
             CODEC_SPAN(struct conf_mailbox_domain, template, CONF_PATH_MAX));

CODEC_DEFINE(, conf_mailbox_codec, struct conf_mailbox,
             CODEC_UINT(struct conf_mailbox, generation, UINT64_MAX),
             CODEC_SPAN(struct conf_mailbox, hostname, CONF_TEXT_MAX),
             CODEC_UINT(struct conf_mailbox, uid, UINT32_MAX),
             CODEC_UINT(struct conf_mailbox, gid, UINT32_MAX),
             CODEC_UINT(struct conf_mailbox, threads, 1024),
             CODEC_LIST(struct conf_mailbox, domains, domain_count, CONF_DOMAINS_MAX,
                        &mailbox_domain_codec),
             CODEC_UINT(struct conf_mailbox, quota, UINT64_MAX));

CODEC_DEFINE(, conf_resolver_codec, struct conf_resolver,
             CODEC_UINT(struct conf_resolver, generation, UINT64_MAX),
             CODEC_LIST(struct conf_resolver, servers, server_count, CONF_SERVERS_MAX,
                        &address_codec),
             CODEC_SPAN(struct conf_resolver, trust_anchor, CONF_PATH_MAX));
