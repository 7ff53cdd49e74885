/*
 * Retention, file by file. The order is what counts: the chain's end is durable in the main file
 * before anything of the week's file goes, and from then on the main file's word alone counts.
 */
#include "book/expire.h"

#include "book/ledger.h"
#include "book/schema.h"
#include "book/volume.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum statement { LANE_READ, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [LANE_READ] = "SELECT lane, segment, offset, events, head FROM lane"};

static int read_heads(struct db *db, const struct ledger_file *file, struct main_file_head *heads,
                      size_t *out_count)
{
    sqlite3_stmt *s = db_statement(db, LANE_READ);
    int r = s ? 0 : db_error(db);
    size_t count = 0;

    while (r == 0 && (r = db_step(s)) == 1) {
        r = count < VOLUME_LANES_MAX ? 0 : -EUCLEAN;
        if (r == 0) {
            struct main_file_head *head = &heads[count++];
            *head = (struct main_file_head){.kind = file->kind,
                                            .week = file->week,
                                            .at = {.lane = (uint32_t)sqlite3_column_int64(s, 0),
                                                   .segment = (uint64_t)sqlite3_column_int64(s, 1),
                                                   .offset = (uint64_t)sqlite3_column_int64(s, 2)},
                                            .events = (uint64_t)sqlite3_column_int64(s, 3)};
            db_column_fixed(s, 4, head->head.bytes, CHAIN_HASH_BYTES);
        }
    }
    if (r < 0 && s)
        sqlite3_reset(s);
    *out_count = count;
    return r;
}

static int read_file(const char *path, const struct ledger_file *file, struct main_file_head *heads,
                     size_t *out_count, bool *out_waits)
{
    struct db db;
    int64_t waiting = 0;
    int r = db_open(path, DB_READ, sql, STATEMENT_COUNT, &db);

    if (r < 0)
        return r;
    r = schema_check(&db);
    if (r == 0 && file->kind == WEEK_ENTRIES)
        r = db_number(&db, "SELECT EXISTS (SELECT 1 FROM entry WHERE state = 1)", &waiting);
    if (r == 0)
        r = read_heads(&db, file, heads, out_count);
    *out_waits = waiting != 0;
    db_done(&db);
    return r;
}

static int delete_file(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    char name[4200];

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        if (unlink(name) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* Makes durable what stays of the file. 1; 0: the file stays, for something in it waits, or it
 * can't be read. */
static int note_heads(const char *path, struct main_file *main, const struct ledger_file *file,
                      int64_t now_us)
{
    struct main_file_head heads[VOLUME_LANES_MAX];
    size_t count = 0;
    bool waits;
    int r = read_file(path, file, heads, &count, &waits);

    if (r < 0 || waits)
        return r == -EUCLEAN || r == -ENODATA ? 0 : r;
    r = main_file_note_deleted(main, heads, count, now_us);
    return r < 0 ? r : 1;
}

/* 1: deleted; 0: kept. What was noted already isn't read again: a crash in the middle of its
 * deletion may have left it without its -wal, and so with an older head. */
static int expire_one(const char *folder, struct main_file *main, const struct ledger_file *file,
                      int64_t now_us)
{
    char name[WEEK_FILE_SIZE], path[4096];
    int r = 1;

    week_file(file->kind, file->week, name);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (!main_file_is_deleted(main, file->kind, file->week))
        r = note_heads(path, main, file, now_us);
    if (r <= 0)
        return r;
    r = delete_file(path);
    return r < 0 ? r : 1;
}

int expire_files(const char *folder, struct main_file *main, const struct expire_limits *limits,
                 size_t *out_deleted)
{
    struct ledger_list list;
    size_t deleted = 0;
    int r = ledger_list(folder, &list);

    for (size_t i = 0; r >= 0 && i < list.count; i++) {
        const struct ledger_file *file = &list.files[i];
        int64_t before =
            file->kind == WEEK_ENTRIES ? limits->keep_before_us : limits->refusals_before_us;
        if (week_end_us(file->week) > before)
            continue;
        r = expire_one(folder, main, file, limits->now_us);
        deleted += r == 1;
    }
    ledger_list_done(&list);
    if (r < 0)
        return r;
    *out_deleted = deleted;
    return 0;
}
