/*
 * Who receives mail here: the users and aliases of all domains, read from their files, checked as a
 * whole and then unchanging. Pure: it is given the files' contents.
 *
 * A table with errors is never made: the caller keeps the one it has. Black holes (aliases that
 * lead in a circle, to nobody or to too many) are warnings, and a recipient who would fall into one
 * is told apart by people_expand(), so that nothing is accepted that can't be carried on.
 *
 * A users file without a byte is a warning, too: names that aren't known in its domains are neither
 * users nor nobody (PEOPLE_UNSURE, -EAGAIN), since they may have been in it.
 *
 * Names are compared without regard to (ASCII) case, user+extension is user.
 */
#pragma once

#include "conf/conf.h"
#include "mail/address.h"

enum {
    PEOPLE_FILE_MAX = 256 * 1024 * 1024, /* bytes of a users or aliases file */
    PEOPLE_MAX = 4000000,                /* users and aliases of all domains */
    PEOPLE_EXPANSION_MAX = 1000,         /* recipients that one alias may become */
};

struct people;

struct people_file {
    struct span name; /* as in conf_directory.files */
    struct span text;
};

/* Makes the table of the part's domains; a file that isn't among `files` is taken as empty. Nothing
 * of the arguments is kept. 0, also with warnings; -EINVAL with errors in `problems`; -ENOMEM. */
int people_new(const struct conf_directory *part, const struct people_file *files,
               size_t file_count, struct conf_problems *problems, struct people **out);
/* NULL is fine. All addresses that it gave out are gone. */
void people_free(struct people *people);

/* Reads the files that a configuration names and checks what they hold together; the table is
 * dropped. What is wrong is in `problems`; 0, -EINVAL or -ENOMEM. */
int people_check_files(const struct conf *conf, struct conf_problems *problems);

size_t people_user_count(const struct people *people);
size_t people_alias_count(const struct people *people);
/* Domains whose users file is empty. */
size_t people_unsure_count(const struct people *people);

enum people_kind {
    PEOPLE_FOREIGN, /* the domain isn't ours */
    PEOPLE_NOBODY,  /* it is, but this name isn't known */
    PEOPLE_UNSURE,  /* the same, but the domain's users file is empty */
    PEOPLE_USER,
    PEOPLE_ALIAS, /* people_expand() tells who that is */
};

/* `local` without quotes, `domain` canonical; an empty domain is good for "postmaster" only (RFC
 * 5321 4.5.1). For a user or alias *out_address is its canonical address, valid as long as the
 * table. */
enum people_kind people_find(const struct people *people, struct span local, struct span domain,
                             struct span *out_address);

/* Who an alias stands for, each once: users in the order of the file, and addresses of other
 * servers. `address` is canonical. 0; -ENOENT: no alias of this name; -ENOLINK: it leads to nobody;
 * -EAGAIN: to one who may be missing from an empty users file; -E2BIG: to more than
 * PEOPLE_EXPANSION_MAX; -ENOMEM. The list lies in `arena`, the texts in the table. */
int people_expand(const struct people *people, struct span address, struct arena *arena,
                  struct span **out_addresses, size_t *out_count);
