/*
 * What can't be mended and was dealt with: acknowledgements are events of the book like any other,
 * so who forges one breaks the chain, which nothing acknowledges. Each names one finding by its
 * token, made of what is booked (chain_token()). Those about a message lie in the message's file
 * and are looked for where the finding is; the others, a few, are read before.
 *
 * What can't be read acknowledges nothing: the finding is told.
 */
#include "book/audit_impl.h"

#include "base/grow.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

struct acknowledgement {
    struct id token;
    struct audit_acknowledged by; /* its reason is ours, or NULL */
};

struct audit_acknowledgements {
    struct acknowledgement *list; /* by token */
    size_t count, room;
};

/* Columns of the AUDIT_SQL_ACKNOWLEDGED_… and of AUDIT_SQL_LOST. */
enum { C_TIME, C_ACTOR, C_REPLY, C_REFERENCE };

static struct audit_acknowledged read_by(sqlite3_stmt *s)
{
    bool known = sqlite3_column_type(s, C_ACTOR) != SQLITE_NULL;

    return (struct audit_acknowledged){
        .time_us = sqlite3_column_int64(s, C_TIME),
        .uid = known ? (uint32_t)sqlite3_column_int64(s, C_ACTOR) : EVENT_NO_ACTOR,
        .reason = db_column(s, C_REPLY),
    };
}

/* ---- about no message ---- */

static int add(struct audit_acknowledgements *all, sqlite3_stmt *s)
{
    struct acknowledgement *list =
        grow_by_one(all->list, all->count, &all->room, sizeof(*list), 16);
    struct acknowledgement one = {.by = read_by(s)};

    if (!list)
        return -ENOMEM;
    all->list = list;
    db_column_fixed(s, C_REFERENCE, one.token.bytes, ID_BYTES);
    if (one.by.reason.data) {
        size_t size = one.by.reason.size;
        char *copy = malloc(size + 1);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, one.by.reason.data, size);
        one.by.reason = span_of(copy, size);
    }
    all->list[all->count++] = one;
    return 0;
}

static int load_file(struct audit_acknowledgements *all, struct db *db)
{
    sqlite3_stmt *s = db_statement(db, AUDIT_SQL_ACKNOWLEDGED_ALONE);
    int r = 0;

    while (s && r == 0 && db_step(s) == 1)
        r = add(all, s);
    if (r < 0)
        sqlite3_reset(s);
    return r;
}

static int compare(const void *left, const void *right)
{
    const struct acknowledgement *a = left, *b = right;
    return id_compare(&a->token, &b->token);
}

/* Only of files whose chain is checked: elsewhere nobody would notice a forged one. What happened
 * before `since_us` isn't looked for, and what came later was acknowledged later. */
int audit_load_acknowledgements(struct audit *audit, const char *folder,
                                const struct ledger_list *list)
{
    struct audit_acknowledgements *all = calloc(1, sizeof(*all));
    struct db db;
    int r = 0;

    audit->acknowledgements = all;
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < list->count; i++) {
        if (list->files[i].kind != WEEK_ENTRIES ||
            week_end_us(list->files[i].week) <= audit->options->since_us)
            continue;
        if (audit_open_week(folder, &list->files[i], &db) < 0)
            continue; /* the audit tells of the file itself */
        r = load_file(all, &db);
        db_done(&db);
    }
    if (all->count)
        qsort(all->list, all->count, sizeof(*all->list), compare);
    return r;
}

void audit_free_acknowledgements(struct audit_acknowledgements *all)
{
    for (size_t i = 0; all && i < all->count; i++)
        free((void *)all->list[i].by.reason.data);
    if (all)
        free(all->list);
    free(all);
}

static bool find_alone(const struct audit *audit, const struct id *token,
                       struct audit_acknowledged *out)
{
    const struct audit_acknowledgements *all = audit->acknowledgements;
    struct acknowledgement wanted = {.token = *token}, *found;

    found = all->count ? bsearch(&wanted, all->list, all->count, sizeof(wanted), compare) : NULL;
    if (found)
        *out = found->by;
    return found != NULL;
}

/* ---- about a message ---- */

/* With its row, which lends the reason and is to be reset; NULL: there is none. An event about a
 * whole message becomes one of each of its entries. */
static sqlite3_stmt *find_row(struct audit *audit, const struct audit_finding *f)
{
    bool whole = f->recipient_index == EVENT_NO_RECIPIENT;
    sqlite3_stmt *s = db_statement(audit->db, whole ? AUDIT_SQL_ACKNOWLEDGED_MESSAGE
                                                    : AUDIT_SQL_ACKNOWLEDGED_ENTRY);

    if (!s)
        return NULL;
    db_bind_blob(s, 1, f->id.bytes, ID_BYTES);
    db_bind_blob(s, 2, f->token.bytes, ID_BYTES);
    if (!whole)
        sqlite3_bind_int64(s, 3, f->recipient_index);
    if (db_step(s) == 1)
        return s;
    sqlite3_reset(s);
    return NULL;
}

/* ---- telling ---- */

static enum audit_kind kind_of(enum audit_for_good what)
{
    switch (what) {
    case AUDIT_GOOD_ORPHAN:
        return AUDIT_ORPHAN;
    case AUDIT_GOOD_EXPANSION:
        return AUDIT_EXPANSION;
    case AUDIT_GOOD_NOT_IN_QUEUE:
        return AUDIT_NOT_IN_QUEUE;
    case AUDIT_GOOD_DAMAGED:
    case AUDIT_GOOD_LOST_FILE:
        break;
    }
    return AUDIT_DAMAGE;
}

/* Without a token, for want of memory, it is told all the same. */
void audit_tell_for_good(struct audit *audit, enum audit_for_good what, const struct id *id,
                         uint32_t index, struct span facts, const char *text)
{
    struct audit_finding f = {.kind = kind_of(what), .recipient_index = index, .text = text};
    struct audit_acknowledged by;
    sqlite3_stmt *s = NULL;

    if (id)
        f.id = *id;
    if (chain_token(audit->chain, (uint8_t)what, &f.id, index, facts, &f.token) == 0) {
        if (!id_is_zero(&f.id) && audit->db)
            s = find_row(audit, &f);
        if (s)
            by = read_by(s);
        if (s || (id_is_zero(&f.id) && find_alone(audit, &f.token, &by)))
            f.acknowledged = &by;
    }
    audit_tell_finding(audit, f);
    sqlite3_reset(s); /* NULL is fine */
}

/* Its state is of the walk that checks it against the events; so where none says so that was told,
 * and this only counts. */
void audit_tell_lost_entry(struct audit *audit, const struct id *id, uint32_t index)
{
    struct audit_acknowledged by = {.uid = EVENT_NO_ACTOR, .reason = SPAN("")};
    struct audit_finding f = {.kind = AUDIT_NOT_IN_QUEUE,
                              .id = *id,
                              .recipient_index = index,
                              .text = "waited here, and the queue didn't have it: booked as lost",
                              .acknowledged = &by};
    sqlite3_stmt *s =
        audit->options->with_acknowledged ? db_statement(audit->db, AUDIT_SQL_LOST) : NULL;

    if (s) {
        db_bind_blob(s, 1, id->bytes, ID_BYTES);
        sqlite3_bind_int64(s, 2, index);
        if (db_step(s) == 1)
            by = read_by(s);
    }
    audit_tell_finding(audit, f);
    sqlite3_reset(s);
}
