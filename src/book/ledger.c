#include "book/ledger.h"

#include "book/db.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *left, const void *right)
{
    const struct ledger_file *a = left, *b = right;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (a->week < b->week) - (a->week > b->week);
}

static int add(struct ledger_list *list, const struct ledger_file *file)
{
    struct ledger_file *more = realloc(list->files, (list->count + 1) * sizeof(*list->files));

    if (!more)
        return -ENOMEM;
    list->files = more;
    list->files[list->count++] = *file;
    return 0;
}

int ledger_list(const char *folder, struct ledger_list *out)
{
    struct ledger_file file;
    struct dirent *entry;
    int r = 0;

    *out = (struct ledger_list){0};
    DIR *dir = opendir(folder);
    if (!dir)
        return -errno;
    while (r == 0) {
        errno = 0;
        entry = readdir(dir);
        if (!entry) {
            r = -errno; /* a file that is passed over would be neither audited nor searched */
            break;
        }
        if (week_parse_file(entry->d_name, &file.kind, &file.week) == 0)
            r = add(out, &file);
    }
    closedir(dir);
    if (out->count)
        qsort(out->files, out->count, sizeof(*out->files), compare);
    return r;
}

void ledger_list_done(struct ledger_list *list)
{
    free(list->files);
    *list = (struct ledger_list){0};
}

bool ledger_list_has(const struct ledger_list *list, enum week_kind kind, int week)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->files[i].kind == kind && list->files[i].week == week)
            return true;
    return false;
}

int ledger_path(const char *folder, const struct ledger_file *file,
                char out[static LEDGER_PATH_SIZE])
{
    char name[WEEK_FILE_SIZE];

    week_file(file->kind, file->week, name);
    return snprintf(out, LEDGER_PATH_SIZE, "%s/%s", folder, name) < LEDGER_PATH_SIZE
               ? 0
               : -ENAMETOOLONG;
}

int ledger_open(const char *folder, const struct ledger_file *file, enum db_mode mode,
                const char *const *sql, size_t sql_count, struct db *out)
{
    char path[LEDGER_PATH_SIZE];
    int r = ledger_path(folder, file, path);

    return r < 0 ? r : db_open(path, mode, sql, sql_count, out);
}

const char *ledger_why(int error)
{
    return error == -EROFS ? "what its -wal has can't be read where no file can be made beside it; "
                             "read a copy of both in a folder of your own"
                           : strerror(-db_plain_error(error));
}
