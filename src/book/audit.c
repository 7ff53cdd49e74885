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

enum { HELD_BYTES = 16 * 1024 * 1024 }; /* of findings: some ten thousand */

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

/* The main file, as it is now, of one of the others. False also when it can't be read. */
static bool ask_main_file(const char *folder,
                          bool (*ask)(struct db *main_file, const struct ledger_file *file),
                          const struct ledger_file *file)
{
    struct db db;

    if (audit_open_main(folder, &db) < 0)
        return false;
    bool answer = ask(&db, file);
    db_done(&db);
    return answer;
}

static bool is_deleted(struct db *main_file, const struct ledger_file *file)
{
    sqlite3_stmt *s = db_statement(main_file, AUDIT_SQL_IS_DELETED);

    if (!s)
        return false;
    sqlite3_bind_int(s, 1, (int)file->kind);
    sqlite3_bind_int(s, 2, file->week);
    return db_step(s) == 1;
}

/* Was this one set aside once, or the whole ledger begun anew when the week was there already? */
static bool was_remade(struct db *main_file, const struct ledger_file *file)
{
    char name[WEEK_FILE_SIZE];
    sqlite3_stmt *s = db_statement(main_file, AUDIT_SQL_DAMAGE);

    week_file(file->kind, file->week, name);
    if (s) {
        db_bind_text(s, 1, span_from_cstr(name));
        if (db_step(s) == 1)
            return true;
    }
    s = db_statement(main_file, AUDIT_SQL_ANEW); /* an older main file has no such table */
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, week_end_us(file->week - 1));
    return db_step(s) == 1;
}

/* Has retention begun to delete it since the audit did? The main file says so before anything of
 * the file goes: so where it doesn't, the file that is open is whole, and stays so for us. */
static bool is_leaving(const struct audit *audit, const char *folder,
                       const struct ledger_file *file)
{
    for (size_t i = 0; i < audit->heads.count; i++)
        if (audit->heads.list[i].kind == file->kind && audit->heads.list[i].week == file->week)
            return ask_main_file(folder, is_deleted, file);
    return false;
}

/* -ENOENT: it goes just now. */
static int check_open_file(struct audit *audit, const char *folder, struct db *db,
                           const struct ledger_file *file)
{
    enum week_kind kind = file->kind;
    int r = schema_check(db, schema_of_week(kind));

    if ((r == 0 || r == -ENODATA) && is_leaving(audit, folder, file))
        return -ENOENT;
    audit->db = db;
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
    char text[240];

    snprintf(text, sizeof(text), "can't be read: %s",
             error == -EUCLEAN           ? "it is damaged"
             : error == -EPROTONOSUPPORT ? "it was written by another version of Postbuch"
                                         : ledger_why(error));
    audit_tell(audit, AUDIT_FILE, NULL, EVENT_NO_RECIPIENT, text);
}

/* 1; 0: retention deletes it, so it isn't one of the ledger's files any more. */
static int check_file(struct audit *audit, const char *folder, const struct ledger_file *file)
{
    struct db db;

    week_file(file->kind, file->week, audit->file);
    audit->week = file->week;
    audit->was_remade = ask_main_file(folder, was_remade, file);
    int r = audit_open_week(folder, file, &db);
    if (r == 0) {
        r = check_open_file(audit, folder, &db, file);
        audit->db = NULL;
        db_done(&db);
    }
    audit_tell_held(audit);
    if (r == -ENOENT && ask_main_file(folder, is_deleted, file)) {
        audit->file[0] = '\0';
        return 0;
    }
    audit->counts->files++;
    if (r == -ENODATA)
        audit_check_empty(audit, file->kind);
    else if (r < 0 && r != -ENOMEM)
        tell_unreadable(audit, r);
    audit->file[0] = '\0';
    return r == -ENOMEM ? r : 1;
}

/* Those that retention deletes meanwhile leave the list: what is asked of files that aren't there
 * is then asked of them. */
static int check_files(struct audit *audit, const char *folder, struct ledger_list *list)
{
    size_t kept = 0;
    int r = 1;

    for (size_t i = 0; r >= 0 && i < list->count; i++) {
        r = week_end_us(list->files[i].week) > audit->options->since_us
                ? check_file(audit, folder, &list->files[i])
                : 1;
        if (r != 0)
            list->files[kept++] = list->files[i];
    }
    list->count = kept;
    return r < 0 ? r : 0;
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
        r = audit_open_main(folder, &db);
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
    struct audit audit = {.options = options, .counts = out, .held = ARENA_LIMITED(HELD_BYTES)};
    struct ledger_list list;

    *out = (struct audit_counts){0};
    int r = audit_load_heads(&audit, folder);
    int listed = ledger_list(folder, &list);
    if (r == 0)
        r = listed;
    if (r == 0)
        r = chain_new(&audit.chain);
    if (r == 0)
        r = audit_load_acknowledgements(&audit, folder, &list);
    if (r == 0)
        r = check_files(&audit, folder, &list);
    if (r == 0)
        check_main_file(&audit, folder);
    if (r == 0)
        r = audit_check_missing(&audit, folder, &list);
    if (r == 0)
        r = audit_check_lost_marks(&audit, folder, &list);
    if (r == 0)
        r = audit_check_queue(&audit, folder);
    arena_done(&audit.held);
    audit_set_done(&audit.late);
    free(audit.heads.list);
    free(audit.lost.list);
    audit_free_acknowledgements(audit.acknowledgements);
    chain_free(audit.chain);
    ledger_list_done(&list);
    return db_plain_error(r);
}
