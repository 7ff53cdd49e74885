/* The finding aid of a volume: opened and written with it, and made anew from its rows where there
 * is none or a damaged one. */
#include "book/volume_impl.h"

#include <errno.h>

/* All that a file's messages can be found by. */
enum key_statement { KEY_MESSAGES, KEY_ENTRIES, KEY_EVENTS, KEY_STATEMENT_COUNT };

static const char *const sql[KEY_STATEMENT_COUNT] = {
    [KEY_MESSAGES] = "SELECT id, sender, message_id, session FROM message",
    [KEY_ENTRIES] = "SELECT message, recipient FROM entry",
    [KEY_EVENTS] =
        "SELECT message, remote_id FROM event WHERE message IS NOT NULL AND remote_id IS NOT NULL",
};

static const struct {
    enum find_kind kind;
    enum key_statement statement;
    int column;
} sources[] = {{FIND_ADDRESS, KEY_MESSAGES, 1},
               {FIND_MESSAGE_ID, KEY_MESSAGES, 2},
               {FIND_SESSION, KEY_MESSAGES, 3},
               {FIND_ADDRESS, KEY_ENTRIES, 1},
               {FIND_REMOTE_ID, KEY_EVENTS, 1}};

static int add_row_keys(struct volume *v, enum key_statement statement, sqlite3_stmt *s)
{
    struct id message;
    int r = 0;

    if (!db_column_fixed(s, 0, message.bytes, ID_BYTES))
        return 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sources); i++)
        if (sources[i].statement == statement)
            r = find_add(v->find, sources[i].kind, db_column(s, sources[i].column), &message);
    return r;
}

static int add_all_keys(struct volume *v, struct db *rows)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < KEY_STATEMENT_COUNT; i++) {
        sqlite3_stmt *s = db_statement(rows, i);
        r = s ? 0 : db_error(rows);
        while (r == 0 && (r = db_step(s)) == 1)
            r = add_row_keys(v, i, s);
        if (r < 0 && s)
            sqlite3_reset(s);
    }
    return r;
}

/* Within a transaction. */
static int make(struct volume *v)
{
    struct db rows;
    int r = db_share(&v->db, sql, KEY_STATEMENT_COUNT, &rows);

    if (r == 0)
        r = find_make(v->find);
    if (r == 0)
        r = add_all_keys(v, &rows);
    if (r == 0)
        r = find_write(v->find);
    if (r == 0 && !find_is_there(v->find))
        r = -EUCLEAN;
    db_unshare(&rows);
    return r;
}

int volume_write_find(struct volume *v)
{
    int r = v->find ? find_write(v->find) : 0;

    return r < 0 || !v->find || find_is_there(v->find) ? r : make(v);
}

int volume_open_find(struct volume *v)
{
    int r = find_writer_new(&v->db, &v->find);

    if (r < 0 || find_is_there(v->find))
        return r;
    r = db_exec(&v->db, "BEGIN IMMEDIATE");
    if (r == 0)
        r = make(v);
    return r < 0 ? r : db_exec(&v->db, "COMMIT");
}
