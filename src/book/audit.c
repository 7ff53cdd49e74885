#include "book/audit.h"

#include "book/audit_impl.h"
#include "book/main_file.h"
#include "book/schema.h"
#include <errno.h>
#include <stdio.h>

/* The columns of events and refusals are in the order of the enums in audit_chain.c. CROSS JOIN
 * keeps the walk in the order of the first table. */
static const char *const sql[AUDIT_STATEMENT_COUNT] = {
    [AUDIT_SQL_LANES] = "SELECT lane, events, head FROM lane",
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
    [AUDIT_SQL_ENTRIES] = "SELECT n.message, n.recipient_index, n.state, n.since_us,"
                          " n.next_attempt_us, e.kind, e.time_us, e.next_attempt_us"
                          " FROM entry n LEFT JOIN event e ON e.message = n.message"
                          " AND e.recipient_index = n.recipient_index"
                          " ORDER BY n.message, n.recipient_index, e.seq",
    [AUDIT_SQL_WAITING] = "SELECT message, recipient_index FROM entry WHERE state = 1",
    [AUDIT_SQL_ORPHANS] = "SELECT DISTINCT e.message, e.recipient_index FROM event e"
                          " LEFT JOIN entry n ON n.message = e.message"
                          " AND n.recipient_index = e.recipient_index"
                          " WHERE e.message IS NOT NULL AND n.message IS NULL",
    [AUDIT_SQL_EXPANSIONS] = "SELECT p.message, p.recipient_index FROM entry p WHERE p.state = 4"
                             " AND NOT EXISTS (SELECT 1 FROM entry c WHERE c.message = p.message"
                             "  AND c.parent = p.recipient_index)",
    [AUDIT_SQL_CHILDREN] = "SELECT c.message, c.recipient_index FROM entry c"
                           " WHERE c.parent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM entry p"
                           "  WHERE p.message = c.message AND p.recipient_index = c.parent"
                           "  AND p.state = 4)",
    [AUDIT_SQL_DAMAGE] = "SELECT 1 FROM damage WHERE file = ?1",
    [AUDIT_SQL_DELETED] =
        "SELECT events, head FROM deleted WHERE kind = ?1 AND week = ?2 AND lane = ?3",
    [AUDIT_SQL_REFUSALS] = "SELECT lane, reference, session, time_us, until_us, count, ip, port,"
                           " service, helo, tls, auth, sender, recipient, phase, reply, key,"
                           " commitment, link FROM refusal ORDER BY seq",
};

static const char *const names[AUDIT_KIND_COUNT] = {
    [AUDIT_FILE] = "file",
    [AUDIT_CHAIN] = "chain",
    [AUDIT_VALUE] = "value",
    [AUDIT_HEAD] = "head",
    [AUDIT_STATE] = "state",
    [AUDIT_ORPHAN] = "orphan",
    [AUDIT_EXPANSION] = "expansion",
    [AUDIT_OVERDUE] = "overdue",
    [AUDIT_NOT_IN_QUEUE] = "not_in_queue",
    [AUDIT_NOT_IN_BOOK] = "not_in_book",
    [AUDIT_DAMAGE] = "damage",
    [AUDIT_CHECKPOINT] = "checkpoint",
    [AUDIT_ALARM] = "alarm",
};

const char *audit_kind_name(enum audit_kind kind)
{
    return names[kind];
}

void audit_tell(struct audit *audit, enum audit_kind kind, const struct id *id, uint32_t index,
                const char *text)
{
    struct audit_finding finding = {
        .kind = kind, .file = audit->file, .recipient_index = index, .text = text};

    if (id)
        finding.id = *id;
    audit->counts->findings += kind != AUDIT_ALARM;
    audit->counts->broken += kind == AUDIT_FILE || kind == AUDIT_CHAIN || kind == AUDIT_VALUE ||
                             kind == AUDIT_HEAD || kind == AUDIT_CHECKPOINT;
    audit->options->found(audit->options->arg, &finding);
}

void audit_progress(struct audit *audit, uint64_t done, uint64_t total)
{
    enum { EVERY = 4096 };

    if (audit->options->progress && (done % EVERY == 0 || done == total))
        audit->options->progress(audit->options->arg, audit->file, done, total);
}

/* ---- files ---- */

static int check_open_file(struct audit *audit, struct db *db, enum week_kind kind)
{
    int r = schema_check(db);

    if (r == 0) /* a walk joins with rows all over the file */
        r = db_exec(db, "PRAGMA cache_size=-32768; BEGIN");
    if (r < 0)
        return r;
    if (kind == WEEK_REFUSALS)
        return audit_check_refusals(audit, db);
    r = audit_check_events(audit, db);
    return r < 0 ? r : audit_check_entries(audit, db);
}

static void tell_unreadable(struct audit *audit, int error)
{
    char text[160];

    snprintf(text, sizeof(text), "can't be read: %s",
             error == -EUCLEAN           ? "it is damaged"
             : error == -EPROTONOSUPPORT ? "it was written by another version of Postbuch"
                                         : strerror(-error));
    audit_tell(audit, AUDIT_FILE, NULL, EVENT_NO_RECIPIENT, text);
}

int audit_open_file(const char *folder, const char *name, struct db *db)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return db_open(path, DB_READ, sql, AUDIT_STATEMENT_COUNT, db);
}

/* Does the main file say that this one was set aside once? */
static bool was_remade(const char *folder, const char *name)
{
    struct db db;
    bool found = false;

    if (audit_open_file(folder, MAIN_FILE_NAME, &db) < 0)
        return false;
    sqlite3_stmt *s = db_statement(&db, AUDIT_SQL_DAMAGE);
    if (s) {
        db_bind_text(s, 1, span_from_cstr(name));
        found = db_step(s) == 1;
    }
    db_done(&db);
    return found;
}

static int check_file(struct audit *audit, const char *folder, const struct ledger_file *file)
{
    struct db db;

    week_file(file->kind, file->week, audit->file);
    audit->week = file->week;
    audit->was_remade = was_remade(folder, audit->file);
    int r = audit_open_file(folder, audit->file, &db);
    if (r == 0) {
        r = check_open_file(audit, &db, file->kind);
        db_done(&db);
    }
    audit->counts->files++;
    if (r < 0 && r != -ENOMEM && r != -ENODATA)
        tell_unreadable(audit, r);
    audit->file[0] = '\0';
    return r == -ENOMEM ? r : 0;
}

/* It says up to where the book has folded, and what became of deleted weeks. */
static void check_main_file(struct audit *audit, const char *folder)
{
    struct book_position at;
    int r = main_file_read_position(folder, &at);

    snprintf(audit->file, sizeof(audit->file), MAIN_FILE_NAME);
    if (r < 0)
        tell_unreadable(audit, r);
    audit->file[0] = '\0';
}

int audit_run(const char *folder, const struct audit_options *options, struct audit_counts *out)
{
    struct audit audit = {.options = options, .counts = out};
    struct ledger_list list;

    *out = (struct audit_counts){0};
    int r = ledger_list(folder, &list);
    if (r == 0)
        r = chain_new(&audit.chain);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        if (week_end_us(list.files[i].week) > options->since_us)
            r = check_file(&audit, folder, &list.files[i]);
    if (r == 0)
        check_main_file(&audit, folder);
    if (r == 0)
        r = audit_check_lost_marks(&audit, folder, &list);
    if (r == 0)
        r = audit_check_queue(&audit, folder);
    audit_set_done(&audit.late);
    chain_free(audit.chain);
    ledger_list_done(&list);
    return r;
}
