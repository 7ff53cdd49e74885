/* Which column has texts of which kind. What volume_entries.c adds as it writes must be the same:
 * this is read when an aid is made anew from the rows, and when the audit looks into a doubt. */
#include "book/find_keys.h"

enum statement { MESSAGES, ENTRIES, EVENTS, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [MESSAGES] = "SELECT id, sender, message_id, session FROM message",
    [ENTRIES] = "SELECT message, recipient FROM entry",
    [EVENTS] =
        "SELECT message, remote_id FROM event WHERE message IS NOT NULL AND remote_id IS NOT NULL",
};

static const struct {
    enum find_kind kind;
    enum statement statement;
    int column;
} sources[] = {{FIND_ADDRESS, MESSAGES, 1},
               {FIND_MESSAGE_ID, MESSAGES, 2},
               {FIND_SESSION, MESSAGES, 3},
               {FIND_ADDRESS, ENTRIES, 1},
               {FIND_REMOTE_ID, EVENTS, 1}};

struct walk {
    void *arg;
    int (*take)(void *arg, enum find_kind kind, struct span text, const struct id *message);
};

/* All zero means that there was no session (a report of our own): else all of these would be found
 * under one key. */
struct span find_session_text(const struct id *session)
{
    return id_is_zero(session) ? SPAN("") : span_of(session->bytes, ID_BYTES);
}

static struct span text_of(sqlite3_stmt *s, enum find_kind kind, int column, struct id *session)
{
    if (kind != FIND_SESSION)
        return db_column(s, column);
    db_column_fixed(s, column, session->bytes, ID_BYTES);
    return find_session_text(session);
}

/* A row without a proper id is damage, which the audit tells by itself; it can't be found. Erased
 * texts are NULL, and give no key. */
static int take_row(const struct walk *walk, enum statement statement, sqlite3_stmt *s)
{
    struct id message, session;
    int r = 0;

    if (!db_column_fixed(s, 0, message.bytes, ID_BYTES))
        return 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sources); i++)
        if (sources[i].statement == statement) {
            struct span text = text_of(s, sources[i].kind, sources[i].column, &session);
            r = text.size ? walk->take(walk->arg, sources[i].kind, text, &message) : 0;
        }
    return r;
}

int find_keys(struct db *db, void *arg,
              int (*take)(void *arg, enum find_kind kind, struct span text,
                          const struct id *message))
{
    struct walk walk = {arg, take};
    struct db rows;
    int r = db_share(db, sql, STATEMENT_COUNT, &rows);

    for (unsigned i = 0; r == 0 && i < STATEMENT_COUNT; i++) {
        sqlite3_stmt *s = db_statement(&rows, i);
        r = s ? 0 : db_error(&rows);
        while (r == 0 && (r = db_step(s)) == 1)
            r = take_row(&walk, i, s);
        if (r != 0 && s)
            sqlite3_reset(s);
    }
    db_unshare(&rows);
    return r;
}
