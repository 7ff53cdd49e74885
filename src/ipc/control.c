/*
 * The tables of control.h, with the same care as all others: an administrator's program is a peer
 * too. Who may ask for what the queue decides by the socket's credentials.
 */
#include "ipc/control.h"

const uint32_t ipc_queue_age_s[IPC_QUEUE_AGES] = {300,   3600,      4 * 3600,
                                                  86400, 2 * 86400, UINT32_MAX};

/* The filter's fields twice in the formats, alone and in an act: so they can't grow apart. */
#define FILTER_FIELDS(type, at)                                                                    \
    CODEC_FIXED(type, at id), CODEC_SPAN(type, at sender, ENVELOPE_ADDRESS_MAX),                   \
        CODEC_SPAN(type, at recipient, ENVELOPE_ADDRESS_MAX),                                      \
        CODEC_SPAN(type, at destination, ENVELOPE_ADDRESS_MAX), CODEC_UINT(type, at states, 15),   \
        CODEC_UINT(type, at brief, 1)

CODEC_DEFINE(, ipc_queue_filter_codec, struct ipc_queue_filter,
             FILTER_FIELDS(struct ipc_queue_filter, ));

CODEC_DEFINE(static, row_codec, struct ipc_queue_row, CODEC_FIXED(struct ipc_queue_row, id),
             CODEC_UINT(struct ipc_queue_row, index, UINT32_MAX),
             CODEC_INT(struct ipc_queue_row, accepted_us),
             CODEC_UINT(struct ipc_queue_row, size_bytes, UINT64_MAX),
             CODEC_SPAN(struct ipc_queue_row, sender, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_queue_row, address, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_queue_row, original, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_queue_row, destination, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct ipc_queue_row, state, IPC_QUEUE_HELD),
             CODEC_UINT(struct ipc_queue_row, wait, IPC_WAIT_COUNT - 1),
             CODEC_UINT(struct ipc_queue_row, attempts, UINT16_MAX),
             CODEC_INT(struct ipc_queue_row, next_attempt_us),
             CODEC_INT(struct ipc_queue_row, deadline_us),
             CODEC_SPAN(struct ipc_queue_row, why, IPC_QUEUE_WHY_MAX),
             CODEC_UINT(struct ipc_queue_row, damaged, 1),
             CODEC_UINT(struct ipc_queue_row, doubtful, 1),
             CODEC_UINT(struct ipc_queue_row, overdue, 1));
CODEC_DEFINE(, ipc_queue_page_codec, struct ipc_queue_page, CODEC_INT(struct ipc_queue_page, error),
             CODEC_UINT(struct ipc_queue_page, last, 1), CODEC_INT(struct ipc_queue_page, now_us),
             CODEC_LIST(struct ipc_queue_page, rows, row_count, IPC_QUEUE_PAGE_ROWS, &row_codec));

CODEC_DEFINE(static, sum_codec, struct ipc_queue_sum,
             CODEC_SPAN(struct ipc_queue_sum, destination, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct ipc_queue_sum, paused, UINT32_MAX),
             CODEC_UINT(struct ipc_queue_sum, ready, UINT32_MAX),
             CODEC_UINT(struct ipc_queue_sum, active, UINT32_MAX),
             CODEC_UINT(struct ipc_queue_sum, held, UINT32_MAX),
             CODEC_FIXED(struct ipc_queue_sum, ages), CODEC_INT(struct ipc_queue_sum, oldest_us),
             CODEC_UINT(struct ipc_queue_sum, window, UINT32_MAX),
             CODEC_INT(struct ipc_queue_sum, resume_us),
             CODEC_SPAN(struct ipc_queue_sum, why, IPC_QUEUE_WHY_MAX));
CODEC_DEFINE(, ipc_queue_summary_codec, struct ipc_queue_summary,
             CODEC_INT(struct ipc_queue_summary, error),
             CODEC_INT(struct ipc_queue_summary, now_us),
             CODEC_UINT(struct ipc_queue_summary, messages, UINT64_MAX),
             CODEC_UINT(struct ipc_queue_summary, recipients, UINT64_MAX),
             CODEC_UINT(struct ipc_queue_summary, destinations, UINT32_MAX),
             CODEC_LIST(struct ipc_queue_summary, rows, row_count, IPC_QUEUE_SUMMARY_ROWS,
                        &sum_codec));

CODEC_DEFINE(, ipc_queue_act_codec, struct ipc_queue_act,
             CODEC_UINT(struct ipc_queue_act, act, IPC_ACT_COUNT - 1),
             CODEC_UINT(struct ipc_queue_act, dry, 1), FILTER_FIELDS(struct ipc_queue_act, filter.),
             CODEC_UINT(struct ipc_queue_act, index, UINT32_MAX),
             CODEC_SPAN(struct ipc_queue_act, next_hop, ENVELOPE_ADDRESS_MAX));
CODEC_DEFINE(, ipc_queue_acted_codec, struct ipc_queue_acted,
             CODEC_INT(struct ipc_queue_acted, error), CODEC_UINT(struct ipc_queue_acted, last, 1),
             CODEC_UINT(struct ipc_queue_acted, count, UINT32_MAX),
             CODEC_UINT(struct ipc_queue_acted, busy, UINT32_MAX),
             CODEC_UINT(struct ipc_queue_acted, examined, UINT64_MAX),
             CODEC_UINT(struct ipc_queue_acted, messages, UINT64_MAX),
             CODEC_SPAN(struct ipc_queue_acted, text, IPC_QUEUE_WHY_MAX));
CODEC_DEFINE(static, acknowledge_row_codec, struct ipc_acknowledge_row,
             CODEC_FIXED(struct ipc_acknowledge_row, message),
             CODEC_UINT(struct ipc_acknowledge_row, index, UINT32_MAX),
             CODEC_FIXED(struct ipc_acknowledge_row, token),
             CODEC_UINT(struct ipc_acknowledge_row, lost, 1));
CODEC_DEFINE(, ipc_acknowledge_codec, struct ipc_acknowledge,
             CODEC_SPAN(struct ipc_acknowledge, reason, IPC_ACKNOWLEDGE_REASON_MAX),
             CODEC_LIST(struct ipc_acknowledge, rows, row_count, IPC_ACKNOWLEDGE_ROWS,
                        &acknowledge_row_codec));
CODEC_DEFINE(, ipc_acknowledge_done_codec, struct ipc_acknowledge_done,
             CODEC_INT(struct ipc_acknowledge_done, error),
             CODEC_UINT(struct ipc_acknowledge_done, taken, UINT32_MAX),
             CODEC_UINT(struct ipc_acknowledge_done, left_alone, UINT32_MAX));
CODEC_DEFINE(static, damaged_codec, struct ipc_queue_damaged,
             CODEC_FIXED(struct ipc_queue_damaged, id),
             CODEC_UINT(struct ipc_queue_damaged, segment, UINT64_MAX),
             CODEC_UINT(struct ipc_queue_damaged, offset, UINT64_MAX),
             CODEC_SPAN(struct ipc_queue_damaged, text, IPC_QUEUE_WHY_MAX));
CODEC_DEFINE(, ipc_queue_damage_codec, struct ipc_queue_damage,
             CODEC_UINT(struct ipc_queue_damage, count, UINT64_MAX),
             CODEC_UINT(struct ipc_queue_damage, set_aside, UINT64_MAX),
             CODEC_LIST(struct ipc_queue_damage, rows, row_count, IPC_QUEUE_DAMAGES,
                        &damaged_codec));
CODEC_DEFINE(, ipc_book_synced_codec, struct ipc_book_synced,
             CODEC_INT(struct ipc_book_synced, error));

CODEC_DEFINE(, ipc_route_ask_codec, struct ipc_route_ask,
             CODEC_SPAN(struct ipc_route_ask, address, ENVELOPE_ADDRESS_MAX));
CODEC_DEFINE(static, way_codec, struct ipc_route_way,
             CODEC_SPAN(struct ipc_route_way, address, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct ipc_route_way, by, IPC_ROUTE_BY_COUNT - 1),
             CODEC_SPAN(struct ipc_route_way, pattern, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct ipc_route_way, next_hop, 4096),
             CODEC_UINT(struct ipc_route_way, same_as, IPC_ROUTE_WAYS - 1),
             CODEC_SPAN(struct ipc_route_way, text, IPC_ROUTE_TEXT_MAX),
             CODEC_SPAN(struct ipc_route_way, json, IPC_ROUTE_TEXT_MAX));
CODEC_DEFINE(, ipc_route_told_codec, struct ipc_route_told,
             CODEC_UINT(struct ipc_route_told, kind, IPC_ROUTE_KIND_COUNT - 1),
             CODEC_SPAN(struct ipc_route_told, why, IPC_QUEUE_WHY_MAX),
             CODEC_LIST(struct ipc_route_told, ways, way_count, IPC_ROUTE_WAYS, &way_codec),
             CODEC_UINT(struct ipc_route_told, more, UINT32_MAX));
