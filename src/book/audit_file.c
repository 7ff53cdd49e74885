/* A file of the ledger as the audit reads it. */
#include "book/audit_impl.h"

#include <errno.h>
#include <stdio.h>

_Static_assert(EVENT_ACKNOWLEDGED == 23 && EVENT_LOST == 24, "as in the statements");

/* The columns of events and refusals are in the order of the enums in audit_chain.c. CROSS JOIN
 * keeps the walk in the order of the first table. */
static const char *const sql[AUDIT_STATEMENT_COUNT] = {
    [AUDIT_SQL_INTEGRITY] = "PRAGMA integrity_check(1)",
    [AUDIT_SQL_LANES] = "SELECT lane, events, head, segment, offset FROM lane",
    [AUDIT_SQL_EVENTS] =
        "SELECT e.lane, e.message, e.recipient_index, e.kind, e.time_us, e.next_attempt_us,"
        " e.station, s.host, s.ip, e.reply, e.status, e.remote_id, e.tls, e.actor_uid, e.detail,"
        " e.reference, iif(n.message IS NULL, e.key, n.key), e.commitment, e.link,"
        " n.message IS NOT NULL, n.parent, n.recipient,"
        " iif(n.original IS 0, n.recipient, n.original), m.sender, m.size_bytes, m.digest,"
        " m.message_id, m.session, m.helo, m.ip, m.port, m.service, m.protocol, m.tls, m.auth,"
        " m.uid, m.accepted_us FROM event e"
        " LEFT JOIN station s ON s.station = e.station"
        " LEFT JOIN entry n ON n.message = e.message AND n.recipient_index = e.recipient_index"
        " LEFT JOIN message m ON e.kind = 3 AND m.id = e.message ORDER BY e.seq",
    [AUDIT_SQL_MESSAGES] = "SELECT id, NULL, sender, message_id, session FROM message ORDER BY id",
    [AUDIT_SQL_ENTRIES] = "SELECT message, recipient_index, state, since_us, next_attempt_us,"
                          " recipient, parent FROM entry ORDER BY message, recipient_index",
    [AUDIT_SQL_ENTRY_EVENTS] =
        "SELECT message, recipient_index, kind, time_us, next_attempt_us, remote_id"
        " FROM event INDEXED BY event_entry WHERE message IS NOT NULL"
        " ORDER BY message, recipient_index, seq",
    [AUDIT_SQL_WAITING] = "SELECT message, recipient_index FROM entry WHERE state = 1",
    [AUDIT_SQL_DAMAGE] = "SELECT 1 FROM damage WHERE file = ?1",
    [AUDIT_SQL_ANEW] = "SELECT 1 FROM anew WHERE lane = 0 AND found_us > ?1 AND NOT EXISTS"
                       " (SELECT 1 FROM damage WHERE time_us <= found_us)",
    [AUDIT_SQL_DELETED] =
        "SELECT events, head FROM deleted WHERE kind = ?1 AND week = ?2 AND lane = ?3",
    [AUDIT_SQL_IS_DELETED] =
        "SELECT 1 FROM deleted d WHERE kind = ?1 AND week = ?2 AND NOT EXISTS"
        " (SELECT 1 FROM chain c WHERE c.kind = d.kind AND c.week = d.week) LIMIT 1",
    /* One whose index lacks it counts as none; that it does is told by the integrity check. */
    [AUDIT_SQL_ACKNOWLEDGED_ENTRY] =
        "SELECT time_us, actor_uid, reply FROM event INDEXED BY event_entry"
        " WHERE message = ?1 AND recipient_index = ?3 AND kind = 23 AND reference = ?2 LIMIT 1",
    [AUDIT_SQL_ACKNOWLEDGED_MESSAGE] =
        "SELECT time_us, actor_uid, reply FROM event INDEXED BY event_entry"
        " WHERE message = ?1 AND kind = 23 AND reference = ?2 LIMIT 1",
    [AUDIT_SQL_ACKNOWLEDGED_ALONE] =
        "SELECT time_us, actor_uid, reply, reference FROM event INDEXED BY event_entry"
        " WHERE message IS NULL AND kind = 23",
    [AUDIT_SQL_LOST] = "SELECT time_us, actor_uid, reply FROM event INDEXED BY event_entry"
                       " WHERE message = ?1 AND recipient_index = ?2 AND kind = 24"
                       " AND time_us = (SELECT since_us FROM entry"
                       "  WHERE message = ?1 AND recipient_index = ?2) ORDER BY seq LIMIT 1",
    [AUDIT_SQL_REFUSALS] = "SELECT lane, reference, session, time_us, until_us, count, ip, port,"
                           " service, helo, tls, auth, sender, recipient, phase, reply, key,"
                           " commitment, link FROM refusal ORDER BY seq",
};

int audit_open_week(const char *folder, const struct ledger_file *file, struct db *db)
{
    return ledger_open(folder, file, DB_READ, sql, AUDIT_STATEMENT_COUNT, db);
}

int audit_open_main(const char *folder, struct db *db)
{
    char path[LEDGER_PATH_SIZE];

    if (snprintf(path, sizeof(path), "%s/" MAIN_FILE_NAME, folder) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return db_open(path, DB_READ, sql, AUDIT_STATEMENT_COUNT, db);
}
