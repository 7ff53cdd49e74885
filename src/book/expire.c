/*
 * Retention, file by file. The order is what counts: the chain's end is durable in the main file
 * before anything of the week's file goes, and from then on the main file's word alone counts.
 * Lanes go when nothing is left of them.
 */
#include "book/expire.h"

#include "book/week_heads.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAYS_US(days) (INT64_C(days) * 86400 * 1000000)

/* A clock that is found ahead by more than AHEAD_US was wrong before, is wrong now, or the server
 * was down. It is believed after DOUBT_US, and until then it may be set right: so one that jumps
 * by years doesn't cost the book. While it is in doubt only a jump of more than FAR_US begins the
 * time anew: else a machine that is mostly off would never delete anything. */
static const int64_t AHEAD_US = DAYS_US(7), DOUBT_US = DAYS_US(3), FAR_US = DAYS_US(30);

/* 1: what is old may go; 0: not yet. */
static int look_at_clock(struct main_file *main, int64_t now_us, bool *out_doubts)
{
    struct main_file_clock clock = main_file_clock(main);
    int64_t ahead_us = clock.looked_us ? now_us - clock.looked_us : 0;
    bool in_doubt = clock.looked_us < clock.trusted_us;

    *out_doubts = ahead_us > FAR_US || (ahead_us > AHEAD_US && !in_doubt);
    if (*out_doubts || clock.trusted_us > now_us + DOUBT_US)
        clock.trusted_us = now_us + DOUBT_US;
    clock.looked_us = now_us;
    int r = main_file_set_clock(main, &clock);
    return r < 0 ? r : now_us >= clock.trusted_us;
}

/* The file itself last: as long as it is there the next run finds it by its name, and takes what is
 * left. */
static int delete_file(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    char name[LEDGER_PATH_SIZE + 8];

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        if (unlink(name) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* Makes durable what stays of the file. 1; 0: the file stays, for something in it waits, or it
 * can't be read. */
static int note_heads(const char *folder, struct main_file *main, const struct ledger_file *file,
                      int64_t now_us)
{
    struct week_heads heads;
    int r = week_heads_read(folder, file, &heads);

    if (r < 0 || heads.waits)
        return db_is_unreadable(r) || r == -ENODATA ? 0 : r;
    r = main_file_note_deleted(main, heads.list, heads.count, now_us);
    return r < 0 ? r : 1;
}

/* 1: deleted; 0: kept. What was noted already isn't read again: a crash in the middle of its
 * deletion may have left it without its -wal, and so with an older head. */
static int expire_one(const char *folder, struct main_file *main, const struct ledger_file *file,
                      int64_t now_us)
{
    char path[LEDGER_PATH_SIZE];
    int r = ledger_path(folder, file, path);

    if (r == 0)
        r = main_file_is_deleted(main, file->kind, file->week)
                ? 1
                : note_heads(folder, main, file, now_us);
    if (r <= 0)
        return r;
    r = delete_file(path);
    return r < 0 ? r : 1;
}

static int64_t limit_of(const struct expire_limits *limits, enum week_kind kind)
{
    return kind == WEEK_ENTRIES ? limits->keep_before_us : limits->refusals_before_us;
}

/* Of files that were lost and not made anew, as those of their age go: who acknowledged that did so
 * later, and what says so must not be the first to go. */
static int forget_lost(const char *folder, struct main_file *main,
                       const struct expire_limits *limits, const struct ledger_list *list)
{
    struct main_file_heads lost = {0};
    int r = main_file_read_heads(folder, MAIN_FILE_LOST, &lost);

    for (size_t i = 0; r == 0 && i < lost.count; i++) {
        const struct main_file_head *head = &lost.list[i];
        if (week_end_us(head->week) <= limit_of(limits, head->kind) &&
            !ledger_list_has(list, head->kind, head->week))
            r = main_file_forget_lost(main, head->kind, head->week);
    }
    free(lost.list);
    return r;
}

int expire_files(const char *folder, struct main_file *main, const struct expire_limits *limits,
                 size_t *out_deleted, bool *out_doubts)
{
    struct ledger_list list;
    int failed = 0; /* the first that did: the others go all the same */
    int r = look_at_clock(main, limits->now_us, out_doubts);

    *out_deleted = 0;
    if (r <= 0)
        return r;
    r = ledger_list(folder, &list);
    for (size_t i = 0; r == 0 && i < list.count; i++) {
        const struct ledger_file *file = &list.files[i];
        if (week_end_us(file->week) > limit_of(limits, file->kind))
            continue;
        int one = expire_one(folder, main, file, limits->now_us);
        *out_deleted += one == 1;
        if (failed == 0 && one < 0)
            failed = one;
    }
    if (r == 0)
        r = forget_lost(folder, main, limits, &list);
    if (r == 0)
        r = main_file_drop_lanes(main);
    ledger_list_done(&list);
    return r < 0 ? r : failed;
}
