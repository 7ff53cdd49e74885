/*
 * One run: file by file, the newest week first, each within one read transaction, so that it is
 * seen as of one commit. Rows are walked, not gathered: only what waits and what is late is kept in
 * memory.
 */
#include "book/audit.h"

#include "book/audit_impl.h"
#include "book/main_file.h"
#include "book/schema.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Rows that are out of order and indexes that lack some would have walks pass over them. */
static int check_pages(struct audit *audit, struct db *db)
{
    sqlite3_stmt *s = db_statement(db, AUDIT_SQL_INTEGRITY);
    int r = s ? db_step(s) : db_error(db);
    char text[320];

    if (r <= 0)
        return r;
    struct span told = db_column(s, 0);
    if (!span_equal(told, SPAN("ok"))) {
        snprintf(text, sizeof(text), "is damaged: %.*s", (int)told.size, told.data);
        audit_tell(audit, AUDIT_FILE, NULL, EVENT_NO_RECIPIENT, text);
    }
    sqlite3_reset(s);
    return 0;
}

static int check_open_file(struct audit *audit, struct db *db, enum week_kind kind)
{
    int r = schema_check(db, schema_of_week(kind));

    if (r == 0) /* a walk joins with rows all over the file */
        r = db_exec(db, "PRAGMA cache_size=-32768; BEGIN");
    if (r == 0)
        r = check_pages(audit, db);
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
                                         : strerror(-db_plain_error(error)));
    audit_tell(audit, AUDIT_FILE, NULL, EVENT_NO_RECIPIENT, text);
}

/* Does the main file say that this one was set aside once, or the whole ledger begun anew when the
 * week was there already? */
static bool was_remade(const char *folder, const char *name, int week)
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
    s = found ? NULL : db_statement(&db, AUDIT_SQL_ANEW); /* an older main file has no such table */
    if (s) {
        sqlite3_bind_int64(s, 1, week_end_us(week - 1));
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
    audit->was_remade = was_remade(folder, audit->file, file->week);
    int r = audit_open_file(folder, audit->file, &db);
    if (r == 0) {
        r = check_open_file(audit, &db, file->kind);
        db_done(&db);
    }
    audit->counts->files++;
    if (r == -ENODATA)
        audit_check_empty(audit, file->kind);
    else if (r < 0 && r != -ENOMEM)
        tell_unreadable(audit, r);
    audit->file[0] = '\0';
    return r == -ENOMEM ? r : 0;
}

/* It says up to where the book has folded, and what became of deleted weeks. */
static void check_main_file(struct audit *audit, const char *folder)
{
    struct book_position at;
    bool was_damaged = false;
    struct db db;
    int r = main_file_read_position(folder, &at, &was_damaged);

    snprintf(audit->file, sizeof(audit->file), MAIN_FILE_NAME);
    if (was_damaged)
        audit_tell(audit, AUDIT_DAMAGE, NULL, EVENT_NO_RECIPIENT,
                   "the position up to which the log is folded isn't what its copy says: a byte of "
                   "one of the two is damaged. The next start sets it right");
    if (r == 0)
        r = audit_open_file(folder, MAIN_FILE_NAME, &db);
    if (r == 0) {
        r = check_pages(audit, &db);
        db_done(&db);
    }
    if (r < 0 && r != -ENOENT) /* nothing was folded yet */
        tell_unreadable(audit, r);
    audit->file[0] = '\0';
}

int audit_run(const char *folder, const struct audit_options *options, struct audit_counts *out)
{
    struct audit audit = {.options = options, .counts = out};
    struct ledger_list list;

    *out = (struct audit_counts){0};
    int r = audit_load_heads(&audit, folder);
    int listed = ledger_list(folder, &list);
    if (r == 0)
        r = listed;
    if (r == 0)
        r = chain_new(&audit.chain);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        if (week_end_us(list.files[i].week) > options->since_us)
            r = check_file(&audit, folder, &list.files[i]);
    if (r == 0)
        check_main_file(&audit, folder);
    if (r == 0)
        r = audit_check_missing(&audit, folder, &list);
    if (r == 0)
        r = audit_check_lost_marks(&audit, folder, &list);
    if (r == 0)
        r = audit_check_queue(&audit, folder);
    audit_set_done(&audit.late);
    free(audit.heads.list);
    free(audit.lost.list);
    chain_free(audit.chain);
    ledger_list_done(&list);
    return db_plain_error(r);
}
