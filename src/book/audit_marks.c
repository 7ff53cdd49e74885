/* Marks that were exported before: is the chain still the one that it was? */
#include "book/audit_impl.h"
#include "book/main_file.h"

#include <errno.h>

static bool is_for(const struct mark *m, enum week_kind kind, int week, uint32_t lane)
{
    return m->kind == kind && m->week == week && m->lane == lane;
}

/* Under the name of the mark's own file, which may not be the one at hand. */
static void tell_mark(struct audit *audit, const struct mark *m, const char *text)
{
    char saved[sizeof(audit->file)];

    memcpy(saved, audit->file, sizeof(saved));
    week_file(m->kind, m->week, audit->file);
    audit_tell(audit, AUDIT_CHECKPOINT, NULL, EVENT_NO_RECIPIENT, text);
    memcpy(audit->file, saved, sizeof(saved));
}

static void compare_mark(struct audit *audit, const struct mark *m, const struct chain_hash *link)
{
    if (chain_hash_equal(&m->head, link))
        audit->counts->marks_found++;
    else
        tell_mark(audit, m,
                  "the chain isn't the one that was exported: events before were changed");
}

/* A walk for each mark that is passed: there are a handful of each chain, one for each export. */
const struct mark *audit_next_mark(const struct audit *audit, enum week_kind kind, uint32_t lane,
                                   uint64_t after)
{
    const struct marks *expected = audit->options->expected;
    const struct mark *next = NULL;

    for (size_t i = 0; expected && i < expected->count; i++) {
        const struct mark *m = &expected->list[i];
        if (m->events > after && is_for(m, kind, audit->week, lane) &&
            (!next || m->events < next->events))
            next = m;
    }
    return next;
}

void audit_check_mark(struct audit *audit, const struct mark **next, const struct chain_hash *link)
{
    const struct mark *m = *next;

    compare_mark(audit, m, link);
    *next = audit_next_mark(audit, m->kind, m->lane, m->events);
}

/* Whatever mark is left lies behind the chain's end. */
int audit_end_chain(struct audit *audit, const struct mark *next, const struct mark *end)
{
    for (; next; next = audit_next_mark(audit, next->kind, next->lane, next->events))
        tell_mark(audit, next, "events are gone that were there when the chain was exported");
    return audit->options->reached && end->events ? marks_add(audit->options->reached, end) : 0;
}

/* ---- files that are gone ---- */

/* What the main file kept of a week that retention deleted. 1, 0: nothing, or -errno. */
static int find_deleted(struct db *db, const struct mark *m, uint64_t *out_events,
                        struct chain_hash *out_head)
{
    sqlite3_stmt *s = db_statement(db, AUDIT_SQL_DELETED);

    if (!s)
        return db_error(db);
    sqlite3_bind_int(s, 1, (int)m->kind);
    sqlite3_bind_int(s, 2, m->week);
    sqlite3_bind_int64(s, 3, m->lane);
    int r = db_step(s);
    if (r != 1)
        return r;
    *out_events = (uint64_t)sqlite3_column_int64(s, 0);
    db_column_fixed(s, 1, out_head->bytes, CHAIN_HASH_BYTES);
    sqlite3_reset(s);
    return 1;
}

/* Of a deleted week only the last link is left. So a mark at the end can still be compared, and one
 * before it no more: the chain may have grown after the export, but never have shrunk. */
static int check_lost(struct audit *audit, struct db *db, const struct mark *m)
{
    struct chain_hash head;
    uint64_t events;
    int r = find_deleted(db, m, &events, &head);

    if (r == 0)
        tell_mark(audit, m, "the file is gone, and retention didn't delete it");
    else if (r == 1 && events < m->events)
        tell_mark(audit, m, "was deleted with fewer events than it had when it was exported");
    else if (r == 1 && events == m->events)
        compare_mark(audit, m, &head);
    else if (r == 1)
        audit->counts->marks_gone++;
    return r < 0 ? r : 0;
}

int audit_check_lost_marks(struct audit *audit, const char *folder, const struct ledger_list *list)
{
    const struct marks *expected = audit->options->expected;
    struct db db;

    if (!expected)
        return 0;
    int r = audit_open_main(folder, &db);
    if (r < 0)
        return r == -ENOMEM ? r : 0; /* what it says of them is lost with it */
    for (size_t i = 0; r >= 0 && i < expected->count; i++) {
        const struct mark *m = &expected->list[i];
        if (!ledger_list_has(list, m->kind, m->week))
            r = check_lost(audit, &db, m);
        else if (week_end_us(m->week) <= audit->options->since_us)
            audit->counts->marks_skipped++;
    }
    db_done(&db);
    return r == -ENOMEM ? r : 0;
}
