/*
 * The drop folder: where `postbuch send` leaves messages while the server is down. Everybody may
 * put a file in, nobody but the server's user may list or read them (mode 3733: the folder's group
 * is the server's, and files take it over). docs/formats/drop.md has the bytes.
 *
 * What lies there was written by any user of the machine: the reader takes it as hostile.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "cli/submission.h"
#include "mail/drop_names.h"

enum { DROP_SIZE_MAX = 256 << 20, DROP_RECIPIENTS_MAX = 10000, DROP_NAME_SIZE = 64 };

/* Writes a file that is either there as a whole, on disk, under a name nobody can guess, or not at
 * all. 0 or -errno; -EMSGSIZE: it would be larger than DROP_SIZE_MAX. */
int drop_write(const char *folder, const struct submission *s);

/* The same in an open folder, under a prefix. */
int drop_write_at(int folder, const char *prefix, const struct submission *s,
                  char out_name[static DROP_NAME_SIZE]);
/* The same instead of the file of this name, in one step. An error: that is still there. Where the
 * folder can't be synced it may be there again after a power cut, which is no error. */
int drop_replace_at(int folder, const char *name, const struct submission *s);

/* One that nobody can have taken, at most `room` bytes with its end. 0 or -EIO. */
int drop_make_name(const char *prefix, char *out, size_t room);

/* Reads a file's bytes; the result borrows from them and from `arena`. 0, -ENOMEM, or -EBADMSG. */
int drop_parse(struct span file, struct arena *arena, struct submission *out);
