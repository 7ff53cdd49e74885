/*
 * The table of the catalogue: for each type its fields with their maxima, its class, its reply, and
 * whether a descriptor comes along. A maximum here is what a hostile sender can make us hold; the
 * structures in catalogue.h say what the fields mean.
 */
#include "ipc/catalogue.h"

#include "mail/envelope.h"
#include "mail/report.h"
#include <assert.h>

CODEC_DEFINE(static, credit_codec, struct ipc_credit,
             CODEC_UINT(struct ipc_credit, class_, IPC_CLASS_COUNT - 1),
             CODEC_UINT(struct ipc_credit, bytes, UINT32_MAX));
CODEC_DEFINE(static, nothing_codec, struct ipc_nothing, CODEC_UINT(struct ipc_nothing, unused, 0));

CODEC_DEFINE(static, config_codec, struct ipc_config,
             CODEC_SPAN(struct ipc_config, part, IPC_PART_MAX),
             CODEC_UINT(struct ipc_config, uid, UINT32_MAX),
             CODEC_UINT(struct ipc_config, gid, UINT32_MAX),
             CODEC_UINT(struct ipc_config, sandbox_kills, 1),
             CODEC_UINT(struct ipc_config, origin, UINT16_MAX));
CODEC_DEFINE(static, file_codec, struct ipc_file, CODEC_SPAN(struct ipc_file, name, IPC_TEXT_MAX));
CODEC_DEFINE(static, listener_codec, struct ipc_listener, CODEC_SPAN(struct ipc_listener, name, 64),
             CODEC_SPAN(struct ipc_listener, service, 32));
CODEC_DEFINE(static, ready_codec, struct ipc_ready, CODEC_INT(struct ipc_ready, error));
CODEC_DEFINE(static, peer_codec, struct ipc_peer_link,
             CODEC_UINT(struct ipc_peer_link, kind, IPC_PEER_COUNT - 1),
             CODEC_UINT(struct ipc_peer_link, index, UINT16_MAX),
             CODEC_UINT(struct ipc_peer_link, origin, UINT16_MAX));
CODEC_DEFINE(static, status_codec, struct ipc_status,
             CODEC_SPAN(struct ipc_status, json, 64 * 1024));
CODEC_DEFINE(static, reloaded_codec, struct ipc_reloaded, CODEC_UINT(struct ipc_reloaded, done, 1),
             CODEC_UINT(struct ipc_reloaded, partly, 1),
             CODEC_SPAN(struct ipc_reloaded, text, 64 * 1024));

CODEC_DEFINE(static, client_check_codec, struct ipc_client_check,
             CODEC_UINT(struct ipc_client_check, client, UINT64_MAX));
CODEC_DEFINE(static, client_verdict_codec, struct ipc_client_verdict,
             CODEC_UINT(struct ipc_client_verdict, action, IPC_CLIENT_REJECT),
             CODEC_UINT(struct ipc_client_verdict, trusted, 1),
             CODEC_SPAN(struct ipc_client_verdict, text, IPC_TEXT_MAX));
CODEC_DEFINE(static, client_gone_codec, struct ipc_client_gone,
             CODEC_UINT(struct ipc_client_gone, client, UINT64_MAX),
             CODEC_UINT(struct ipc_client_gone, refused, UINT32_MAX));
CODEC_DEFINE(static, rcpt_check_codec, struct ipc_rcpt_check,
             CODEC_UINT(struct ipc_rcpt_check, client, UINT64_MAX),
             CODEC_SPAN(struct ipc_rcpt_check, sender, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_rcpt_check, address, ENVELOPE_ADDRESS_MAX));
CODEC_DEFINE(static, rcpt_verdict_codec, struct ipc_rcpt_verdict,
             CODEC_UINT(struct ipc_rcpt_verdict, action, IPC_RCPT_REJECT),
             CODEC_UINT(struct ipc_rcpt_verdict, expands, 1),
             CODEC_UINT(struct ipc_rcpt_verdict, members, UINT32_MAX),
             CODEC_SPAN(struct ipc_rcpt_verdict, address, ENVELOPE_ADDRESS_MAX),
             CODEC_FIXED(struct ipc_rcpt_verdict, ticket),
             CODEC_SPAN(struct ipc_rcpt_verdict, text, IPC_TEXT_MAX));
CODEC_DEFINE(static, ticket_key_codec, struct ipc_ticket_key,
             CODEC_FIXED(struct ipc_ticket_key, key));
CODEC_DEFINE(static, expand_codec, struct ipc_expand,
             CODEC_SPAN(struct ipc_expand, address, ENVELOPE_ADDRESS_MAX));
CODEC_DEFINE(static, expanded_address_codec, struct ipc_expanded_address,
             CODEC_SPAN(struct ipc_expanded_address, address, ENVELOPE_ADDRESS_MAX));
CODEC_DEFINE(static, expanded_codec, struct ipc_expanded, CODEC_INT(struct ipc_expanded, error),
             CODEC_LIST(struct ipc_expanded, addresses, address_count, ENVELOPE_RECIPIENTS_MAX,
                        &expanded_address_codec),
             CODEC_UINT(struct ipc_expanded, is_user, 1));

CODEC_DEFINE(static, upload_chunk_codec, struct ipc_upload_chunk,
             CODEC_UINT(struct ipc_upload_chunk, upload, UINT64_MAX),
             CODEC_SPAN(struct ipc_upload_chunk, bytes, IPC_CHUNK_MAX));
CODEC_DEFINE(static, upload_taken_codec, struct ipc_upload_taken,
             CODEC_INT(struct ipc_upload_taken, error));
CODEC_DEFINE(static, upload_abort_codec, struct ipc_upload_abort,
             CODEC_UINT(struct ipc_upload_abort, upload, UINT64_MAX));
CODEC_DEFINE(static, commit_codec, struct ipc_commit,
             CODEC_UINT(struct ipc_commit, upload, UINT64_MAX),
             CODEC_SPAN(struct ipc_commit, envelope, ENVELOPE_WIRE_MAX),
             CODEC_SPAN(struct ipc_commit, tickets, ENVELOPE_RECIPIENTS_MAX *IPC_TICKET_BYTES),
             CODEC_SPAN(struct ipc_commit, header, 64 * 1024),
             CODEC_SPAN(struct ipc_commit, body, IPC_CHUNK_MAX));
CODEC_DEFINE(static, committed_codec, struct ipc_committed,
             CODEC_UINT(struct ipc_committed, result, IPC_COMMIT_REJECTED),
             CODEC_SPAN(struct ipc_committed, text, IPC_TEXT_MAX));
CODEC_DEFINE(static, event_codec_row, struct ipc_event,
             CODEC_SPAN(struct ipc_event, event, 32 * 1024));
CODEC_DEFINE(static, pressure_codec, struct ipc_pressure, CODEC_UINT(struct ipc_pressure, defer, 1),
             CODEC_SPAN(struct ipc_pressure, text, IPC_TEXT_MAX));

CODEC_DEFINE(static, job_recipient_codec, struct ipc_job_recipient,
             CODEC_UINT(struct ipc_job_recipient, index, UINT32_MAX),
             CODEC_SPAN(struct ipc_job_recipient, address, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_job_recipient, original, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct ipc_job_recipient, notify, UINT8_MAX),
             CODEC_SPAN(struct ipc_job_recipient, orcpt, ENVELOPE_ORCPT_MAX));
CODEC_DEFINE(static, job_codec, struct ipc_job, CODEC_UINT(struct ipc_job, job, UINT64_MAX),
             CODEC_FIXED(struct ipc_job, id),
             CODEC_SPAN(struct ipc_job, sender, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_job, header, 64 * 1024),
             CODEC_SPAN(struct ipc_job, body, IPC_CHUNK_MAX),
             CODEC_UINT(struct ipc_job, size_bytes, UINT64_MAX),
             CODEC_UINT(struct ipc_job, body_type, ENVELOPE_BODY_BINARYMIME),
             CODEC_UINT(struct ipc_job, smtputf8, 1), CODEC_INT(struct ipc_job, accepted_us),
             CODEC_UINT(struct ipc_job, returned, ENVELOPE_RETURN_HEADER),
             CODEC_SPAN(struct ipc_job, envelope_id, ENVELOPE_ENVID_MAX),
             CODEC_SPAN(struct ipc_job, next_hop, IPC_NEXT_HOP_MAX),
             CODEC_LIST(struct ipc_job, recipients, recipient_count, IPC_JOB_RECIPIENTS_MAX,
                        &job_recipient_codec));
CODEC_DEFINE(static, job_outcome_codec, struct ipc_job_outcome,
             CODEC_UINT(struct ipc_job_outcome, index, UINT32_MAX),
             CODEC_UINT(struct ipc_job_outcome, outcome, IPC_OUTCOME_UNTRIED),
             CODEC_UINT(struct ipc_job_outcome, scope, IPC_SCOPE_OURS),
             CODEC_SPAN(struct ipc_job_outcome, status, 16),
             CODEC_SPAN(struct ipc_job_outcome, text, IPC_TEXT_MAX),
             CODEC_SPAN(struct ipc_job_outcome, remote_id, IPC_TEXT_MAX),
             CODEC_SPAN(struct ipc_job_outcome, host, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_job_outcome, ip, 64),
             CODEC_SPAN(struct ipc_job_outcome, earlier, IPC_EARLIER_MAX),
             CODEC_UINT(struct ipc_job_outcome, knows_wish, 1));
CODEC_DEFINE(static, job_result_codec, struct ipc_job_result,
             CODEC_LIST(struct ipc_job_result, outcomes, outcome_count, IPC_JOB_RECIPIENTS_MAX,
                        &job_outcome_codec),
             CODEC_SPAN(struct ipc_job_result, mx_set, IPC_MX_SET_MAX));
CODEC_DEFINE(static, job_wanted_codec, struct ipc_job_wanted,
             CODEC_UINT(struct ipc_job_wanted, job, UINT64_MAX));
CODEC_DEFINE(static, job_body_codec, struct ipc_job_body,
             CODEC_UINT(struct ipc_job_body, job, UINT64_MAX),
             CODEC_SPAN(struct ipc_job_body, bytes, IPC_CHUNK_MAX));

CODEC_DEFINE(static, position_codec, struct ipc_position,
             CODEC_UINT(struct ipc_position, segment, UINT64_MAX),
             CODEC_UINT(struct ipc_position, offset, UINT64_MAX));

CODEC_DEFINE(static, sealed_codec, struct ipc_sealed,
             CODEC_UINT(struct ipc_sealed, segment, UINT64_MAX),
             CODEC_UINT(struct ipc_sealed, offset, UINT64_MAX),
             CODEC_UINT(struct ipc_sealed, waiting, UINT64_MAX),
             CODEC_UINT(struct ipc_sealed, is_awaited, true));

CODEC_DEFINE(static, resolve_codec, struct ipc_resolve,
             CODEC_SPAN(struct ipc_resolve, name, IPC_NAME_MAX),
             CODEC_UINT(struct ipc_resolve, type, UINT16_MAX));
CODEC_DEFINE(static, rdata_codec, struct ipc_rdata,
             CODEC_SPAN(struct ipc_rdata, bytes, IPC_RDATA_MAX));
CODEC_DEFINE(static, resolved_codec, struct ipc_resolved, CODEC_INT(struct ipc_resolved, error),
             CODEC_UINT(struct ipc_resolved, rcode, UINT8_MAX),
             CODEC_UINT(struct ipc_resolved, security, IPC_SECURITY_BOGUS),
             CODEC_LIST(struct ipc_resolved, rdata, rdata_count, IPC_RDATA_COUNT_MAX, &rdata_codec),
             CODEC_SPAN(struct ipc_resolved, why, IPC_TEXT_MAX));
CODEC_DEFINE(static, route_codec, struct ipc_route,
             CODEC_SPAN(struct ipc_route, next_hop, IPC_NEXT_HOP_MAX));
CODEC_DEFINE(static, routed_codec, struct ipc_routed,
             CODEC_SPAN(struct ipc_routed, text, 64 * 1024),
             CODEC_SPAN(struct ipc_routed, json, 64 * 1024));

CODEC_DEFINE(static, report_recipient_codec, struct ipc_report_recipient,
             CODEC_SPAN(struct ipc_report_recipient, address, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_report_recipient, original, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_report_recipient, status, 16),
             CODEC_SPAN(struct ipc_report_recipient, host, ENVELOPE_TEXT_MAX),
             CODEC_SPAN(struct ipc_report_recipient, reply, 4096),
             CODEC_SPAN(struct ipc_report_recipient, why, IPC_TEXT_MAX),
             CODEC_SPAN(struct ipc_report_recipient, orcpt, ENVELOPE_ORCPT_MAX),
             CODEC_SPAN(struct ipc_report_recipient, instead, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct ipc_report_recipient, end, REPORT_END_COUNT - 1),
             CODEC_INT(struct ipc_report_recipient, last_attempt_us));
CODEC_DEFINE(static, report_codec, struct ipc_report,
             CODEC_UINT(struct ipc_report, kind, REPORT_KIND_COUNT - 1),
             CODEC_UINT(struct ipc_report, language, REPORT_LANGUAGE_COUNT - 1),
             CODEC_FIXED(struct ipc_report, id), CODEC_INT(struct ipc_report, now_us),
             CODEC_SPAN(struct ipc_report, hostname, ENVELOPE_TEXT_MAX),
             CODEC_SPAN(struct ipc_report, postmaster, ENVELOPE_ADDRESS_MAX),
             CODEC_FIXED(struct ipc_report, original_id),
             CODEC_SPAN(struct ipc_report, sender, ENVELOPE_ADDRESS_MAX),
             CODEC_INT(struct ipc_report, arrival_us), CODEC_INT(struct ipc_report, until_us),
             CODEC_SPAN(struct ipc_report, header, REPORT_WHOLE_MAX),
             CODEC_UINT(struct ipc_report, whole, 1),
             CODEC_SPAN(struct ipc_report, envelope_id, ENVELOPE_ENVID_MAX),
             CODEC_LIST(struct ipc_report, recipients, recipient_count, REPORT_RECIPIENTS_MAX,
                        &report_recipient_codec));
CODEC_DEFINE(static, reported_codec, struct ipc_reported, CODEC_INT(struct ipc_reported, error),
             CODEC_SPAN(struct ipc_reported, message, IPC_CHUNK_MAX),
             CODEC_UINT(struct ipc_reported, eight_bit, 1),
             CODEC_UINT(struct ipc_reported, smtputf8, 1));

static const struct ipc_row rows[IPC_TYPE_COUNT] = {
    [IPC_CREDIT] = {"credit", &credit_codec},
    [IPC_CONFIG] = {"config", &config_codec},
    [IPC_FILE] = {"file", &file_codec, .carries_fd = true},
    [IPC_LISTENER] = {"listener", &listener_codec, .carries_fd = true},
    [IPC_ACTIVATE] = {"activate", &nothing_codec},
    [IPC_PEER] = {"peer", &peer_codec, .carries_fd = true},
    [IPC_SHUTDOWN] = {"shutdown", &nothing_codec},
    [IPC_STATUS_ASK] = {"status-ask", &nothing_codec, .reply = IPC_STATUS},
    [IPC_STATUS] = {"status", &status_codec, .is_reply = true},
    [IPC_READY] = {"ready", &ready_codec},
    [IPC_RELOAD] = {"reload", &nothing_codec, .reply = IPC_RELOADED},
    [IPC_RELOADED] = {"reloaded", &reloaded_codec, .is_reply = true},

    [IPC_CLIENT_CHECK] = {"client-check", &client_check_codec, .reply = IPC_CLIENT_VERDICT,
                          .carries_fd = true},
    [IPC_CLIENT_VERDICT] = {"client-verdict", &client_verdict_codec, .is_reply = true},
    [IPC_CLIENT_GONE] = {"client-gone", &client_gone_codec},
    [IPC_RCPT_CHECK] = {"rcpt-check", &rcpt_check_codec, .reply = IPC_RCPT_VERDICT},
    [IPC_RCPT_VERDICT] = {"rcpt-verdict", &rcpt_verdict_codec, .is_reply = true},
    [IPC_EXPAND] = {"expand", &expand_codec, .reply = IPC_EXPANDED},
    [IPC_EXPANDED] = {"expanded", &expanded_codec, .is_reply = true},
    [IPC_TICKET_KEY] = {"ticket-key", &ticket_key_codec},

    [IPC_UPLOAD_CHUNK] = {"upload-chunk", &upload_chunk_codec, IPC_CLASS_BODY, IPC_UPLOAD_TAKEN},
    [IPC_UPLOAD_TAKEN] = {"upload-taken", &upload_taken_codec, .is_reply = true},
    [IPC_UPLOAD_ABORT] = {"upload-abort", &upload_abort_codec},
    [IPC_COMMIT] = {"commit", &commit_codec, IPC_CLASS_BODY, IPC_COMMITTED},
    [IPC_COMMITTED] = {"committed", &committed_codec, .is_reply = true},
    [IPC_EVENT] = {"event", &event_codec_row, .tells = true},
    [IPC_PRESSURE] = {"pressure", &pressure_codec},

    [IPC_JOB] = {"job", &job_codec, IPC_CLASS_BODY, IPC_JOB_RESULT},
    [IPC_JOB_RESULT] = {"job-result", &job_result_codec, .is_reply = true},
    [IPC_JOB_BODY] = {"job-body", &job_body_codec, IPC_CLASS_BODY, IPC_JOB_TAKEN},
    [IPC_JOB_TAKEN] = {"job-taken", &nothing_codec, .is_reply = true},
    [IPC_JOB_WANTED] = {"job-wanted", &job_wanted_codec},
    [IPC_JOB_STOP] = {"job-stop", &nothing_codec, .reply = IPC_JOB_STOPPED},
    [IPC_JOB_STOPPED] = {"job-stopped", &nothing_codec, .is_reply = true},

    [IPC_REPORT] = {"report", &report_codec, IPC_CLASS_BODY, IPC_REPORTED},
    [IPC_REPORTED] = {"reported", &reported_codec, .is_reply = true},

    [IPC_SEALED] = {"sealed", &sealed_codec},
    [IPC_FOLDED] = {"folded", &position_codec},

    [IPC_QUEUE_LIST] = {"queue-list", &ipc_queue_filter_codec, .reply = IPC_QUEUE_PAGE},
    [IPC_QUEUE_MORE] = {"queue-more", &nothing_codec, .reply = IPC_QUEUE_PAGE},
    [IPC_QUEUE_PAGE] = {"queue-page", &ipc_queue_page_codec, .is_reply = true},
    [IPC_QUEUE_SUMMARY_ASK] = {"queue-summary-ask", &nothing_codec, .reply = IPC_QUEUE_SUMMARY},
    [IPC_QUEUE_SUMMARY] = {"queue-summary", &ipc_queue_summary_codec, .is_reply = true},
    [IPC_QUEUE_ACT] = {"queue-act", &ipc_queue_act_codec, .reply = IPC_QUEUE_ACTED},
    [IPC_QUEUE_ACT_MORE] = {"queue-act-more", &nothing_codec, .reply = IPC_QUEUE_ACTED},
    [IPC_QUEUE_ACTED] = {"queue-acted", &ipc_queue_acted_codec, .is_reply = true},
    [IPC_QUEUE_DAMAGE_ASK] = {"queue-damage-ask", &nothing_codec, .reply = IPC_QUEUE_DAMAGE},
    [IPC_QUEUE_DAMAGE] = {"queue-damage", &ipc_queue_damage_codec, .is_reply = true},
    [IPC_ACKNOWLEDGE] = {"acknowledge", &ipc_acknowledge_codec, .reply = IPC_ACKNOWLEDGE_DONE},
    [IPC_ACKNOWLEDGE_DONE] = {"acknowledge-done", &ipc_acknowledge_done_codec, .is_reply = true},
    [IPC_BOOK_SYNC] = {"book-sync", &nothing_codec, .reply = IPC_BOOK_SYNCED},
    [IPC_ROUTE_ASK] = {"route-ask", &ipc_route_ask_codec, .reply = IPC_ROUTE_TOLD},
    [IPC_ROUTE_TOLD] = {"route-told", &ipc_route_told_codec, .is_reply = true},
    [IPC_BOOK_SYNCED] = {"book-synced", &ipc_book_synced_codec, .is_reply = true},

    [IPC_RESOLVE] = {"resolve", &resolve_codec, .reply = IPC_RESOLVED},
    [IPC_RESOLVED] = {"resolved", &resolved_codec, .is_reply = true},
    [IPC_ROUTE] = {"route", &route_codec, .reply = IPC_ROUTED},
    [IPC_ROUTED] = {"routed", &routed_codec, .is_reply = true},
};

const struct ipc_row *ipc_row(unsigned type)
{
    return type < IPC_TYPE_COUNT && rows[type].codec ? &rows[type] : NULL;
}

const char *ipc_peer_name(enum ipc_peer peer)
{
    static const char *const names[IPC_PEER_COUNT] = {
        [IPC_PEER_SUPERVISOR] = "supervisor", [IPC_PEER_SMTPD] = "smtpd",
        [IPC_PEER_QUEUE] = "queue",           [IPC_PEER_BOOK] = "book",
        [IPC_PEER_DIRECTORY] = "directory",   [IPC_PEER_MAILBOX] = "mailbox",
        [IPC_PEER_RESOLVER] = "resolver",     [IPC_PEER_SMTP] = "smtp",
        [IPC_PEER_REPORT] = "report",
    };
    assert(peer < IPC_PEER_COUNT);
    return names[peer];
}
