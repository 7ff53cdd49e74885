#include "book/ledger.h"

#include "book/db.h"

#include <dirent.h>
#include <errno.h>
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

const char *ledger_why(int error)
{
    return error == -EROFS ? "what its -wal has can't be read where no file can be made beside it; "
                             "read a copy of both in a folder of your own"
                           : strerror(-db_plain_error(error));
}
