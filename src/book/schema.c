#include "book/schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Times are µs since 1970, UTC. Ids are 10 bytes. NULL in a personal column means "erased". */
static const char entries_sql[] =
    "CREATE TABLE lane (lane INTEGER PRIMARY KEY, segment INTEGER NOT NULL,"
    "  offset INTEGER NOT NULL, events INTEGER NOT NULL, head BLOB NOT NULL);"
    "CREATE TABLE station (station INTEGER PRIMARY KEY, host TEXT, ip TEXT);"
    "CREATE TABLE message (id BLOB PRIMARY KEY, accepted_us INTEGER NOT NULL, sender TEXT,"
    "  size_bytes INTEGER NOT NULL, digest BLOB NOT NULL, message_id TEXT, session BLOB NOT NULL,"
    "  helo TEXT, ip TEXT, port INTEGER NOT NULL, service TEXT NOT NULL, protocol TEXT NOT NULL,"
    "  tls TEXT NOT NULL, auth TEXT, uid INTEGER) WITHOUT ROWID;"
    "CREATE TABLE entry (message BLOB NOT NULL, recipient_index INTEGER NOT NULL, recipient TEXT,"
    "  original, key BLOB, parent INTEGER, state INTEGER NOT NULL, since_us INTEGER NOT NULL,"
    "  next_attempt_us INTEGER, PRIMARY KEY (message, recipient_index)) WITHOUT ROWID;"
    "CREATE INDEX entry_waiting ON entry (message, recipient_index) WHERE state = 1;"
    "CREATE TABLE event (seq INTEGER PRIMARY KEY, lane INTEGER NOT NULL, message BLOB,"
    "  recipient_index INTEGER, kind INTEGER NOT NULL, time_us INTEGER NOT NULL,"
    "  next_attempt_us INTEGER, station INTEGER REFERENCES station, reply TEXT, status TEXT,"
    "  remote_id TEXT, tls TEXT, actor_uid INTEGER, detail TEXT, reference BLOB, key BLOB,"
    "  commitment BLOB NOT NULL, link BLOB NOT NULL);"
    "CREATE INDEX event_entry ON event (message, recipient_index);"
    "CREATE TABLE fresh (seed INTEGER NOT NULL, keys BLOB NOT NULL);"
    "CREATE TABLE run (run INTEGER PRIMARY KEY, keys INTEGER NOT NULL);"
    "CREATE TABLE find (place INTEGER PRIMARY KEY, keys BLOB NOT NULL);";

static const char refusals_sql[] =
    "CREATE TABLE lane (lane INTEGER PRIMARY KEY, segment INTEGER NOT NULL,"
    "  offset INTEGER NOT NULL, events INTEGER NOT NULL, head BLOB NOT NULL);"
    "CREATE TABLE refusal (seq INTEGER PRIMARY KEY, lane INTEGER NOT NULL,"
    "  reference BLOB NOT NULL, session BLOB NOT NULL, time_us INTEGER NOT NULL,"
    "  until_us INTEGER NOT NULL, count INTEGER NOT NULL, ip TEXT, port INTEGER NOT NULL,"
    "  service TEXT NOT NULL, helo TEXT, tls TEXT NOT NULL, auth TEXT, sender TEXT,"
    "  recipient TEXT, phase TEXT NOT NULL, reply TEXT, key BLOB, commitment BLOB NOT NULL,"
    "  link BLOB NOT NULL);"
    "CREATE INDEX refusal_reference ON refusal (reference);"
    "CREATE INDEX refusal_session ON refusal (session);"
    "CREATE INDEX refusal_sender ON refusal (sender COLLATE NOCASE);"
    "CREATE INDEX refusal_recipient ON refusal (recipient COLLATE NOCASE);";

/* Only what the first files of this version had: check_tables() wants each word of it. */
static const char main_sql[] =
    "CREATE TABLE lane (lane INTEGER PRIMARY KEY, segment INTEGER NOT NULL,"
    "  offset INTEGER NOT NULL);"
    "CREATE TABLE deleted (kind INTEGER NOT NULL, week INTEGER NOT NULL, lane INTEGER NOT NULL,"
    "  segment INTEGER NOT NULL, offset INTEGER NOT NULL, events INTEGER NOT NULL,"
    "  head BLOB NOT NULL, deleted_us INTEGER NOT NULL, PRIMARY KEY (kind, week, lane));"
    "CREATE TABLE damage (file TEXT NOT NULL, aside TEXT NOT NULL, time_us INTEGER NOT NULL);";

/* Not in the first files of this version. A Postbuch of before there was `position` leaves it
 * alone, and what it writes to `lane` would seem damaged: so the file itself takes the copy away.
 * We write the row first and its copy second (main_file.c). */
static const char late_main_sql[] =
    "CREATE TABLE IF NOT EXISTS chain (kind INTEGER NOT NULL, week INTEGER NOT NULL,"
    "  lane INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,"
    "  events INTEGER NOT NULL, head BLOB NOT NULL, PRIMARY KEY (kind, week, lane));"
    "CREATE TABLE IF NOT EXISTS lost (kind INTEGER NOT NULL, week INTEGER NOT NULL,"
    "  lane INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,"
    "  events INTEGER NOT NULL, head BLOB NOT NULL, PRIMARY KEY (kind, week, lane, events));"
    "CREATE TABLE IF NOT EXISTS position (lane INTEGER PRIMARY KEY, segment INTEGER NOT NULL,"
    "  offset INTEGER NOT NULL, sum INTEGER NOT NULL);"
    "CREATE TRIGGER IF NOT EXISTS lane_insert AFTER INSERT ON lane BEGIN"
    "  DELETE FROM position WHERE lane = NEW.lane; END;"
    "CREATE TRIGGER IF NOT EXISTS lane_update AFTER UPDATE ON lane BEGIN"
    "  DELETE FROM position WHERE lane = NEW.lane; END;"
    "CREATE TABLE IF NOT EXISTS clock (looked_us INTEGER NOT NULL, trusted_us INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS anew (lane INTEGER PRIMARY KEY, segment INTEGER NOT NULL,"
    "  offset INTEGER NOT NULL, found_us INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS remade (kind INTEGER NOT NULL, week INTEGER NOT NULL,"
    "  PRIMARY KEY (kind, week))";

static const char *const schemas[] = {
    [SCHEMA_ENTRIES] = entries_sql, [SCHEMA_REFUSALS] = refusals_sql, [SCHEMA_MAIN] = main_sql};

/* Version 0 with tables is what no commit of ours leaves (make_tables() is one transaction). */
static int check_version(struct db *db)
{
    int64_t tables, version, application;
    int r = db_number(db, "SELECT count(*) FROM sqlite_master", &tables);

    if (r == 0 && tables == 0)
        return -ENODATA;
    if (r == 0)
        r = db_number(db, "PRAGMA user_version", &version);
    if (r == 0)
        r = db_number(db, "PRAGMA application_id", &application);
    if (r < 0)
        return r;
    if (application != SCHEMA_APPLICATION_ID)
        return -EUCLEAN;
    return version == SCHEMA_VERSION ? 0 : version == 0 ? -EUCLEAN : -EPROTONOSUPPORT;
}

/* The next of the statements, without its semicolon. */
static struct span next_statement(const char **sql)
{
    const char *end = strchr(*sql, ';');
    struct span statement = span_of(*sql, (size_t)(end - *sql));

    *sql = end + 1;
    return statement;
}

/* 0; -ENOENT: the file doesn't have exactly this. */
static int find_statement(sqlite3_stmt *s, struct span statement)
{
    sqlite3_reset(s);
    db_bind_text(s, 1, statement);
    int r = db_step(s);
    sqlite3_reset(s);
    return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

/* SQLite keeps the words that made a table, so these can be compared: a damaged name, or a file
 * that has the place of one of another kind, would make our own statements wrong. */
static int check_tables(struct db *db, enum schema_kind kind)
{
    sqlite3_stmt *s;
    int r = 0;

    if (sqlite3_prepare_v2(db->handle, "SELECT 1 FROM sqlite_master WHERE sql = ?1", -1, &s,
                           NULL) != SQLITE_OK)
        return db_error(db);
    for (const char *sql = schemas[kind]; r == 0 && *sql;)
        r = find_statement(s, next_statement(&sql));
    sqlite3_finalize(s);
    return r == -ENOENT ? -EUCLEAN : r;
}

int schema_check(struct db *db, enum schema_kind kind)
{
    int r = check_version(db);
    return r < 0 ? r : check_tables(db, kind);
}

/* One transaction with the version in it: a crash leaves an empty file or a whole one. IMMEDIATE,
 * so that two who find it empty don't both begin. */
static int make_tables(struct db *db, enum schema_kind kind)
{
    char marks[128];

    snprintf(marks, sizeof(marks), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
    int r = db_exec(db, "BEGIN IMMEDIATE");
    if (r == 0)
        r = db_exec(db, schemas[kind]);
    if (r == 0)
        r = db_exec(db, marks);
    return r;
}

int schema_make(struct db *db, enum schema_kind kind)
{
    int r = schema_check(db, kind);

    if (r == -ENODATA)
        r = make_tables(db, kind);
    return r == 0 && kind == SCHEMA_MAIN ? db_exec(db, late_main_sql) : r;
}
