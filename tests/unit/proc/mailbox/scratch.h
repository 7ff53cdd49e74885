/* A temporary folder for tests of what lies on a disk, and looks into it. Everything asserts. */
#pragma once

#include "../../unit.h"

#include "proc/mailbox/folder.h"
#include <stdio.h>

struct scratch {
    char path[256];
    struct mailbox_root root; /* path, opened */
};

/* cmocka's set-up and tear-down: *state is a struct scratch. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* mkdir -p below the scratch folder. */
void scratch_mkdir(const struct scratch *s, const char *path);
void scratch_write(const struct scratch *s, const char *path, const char *text);
/* How many entries a folder has; 0 when it isn't there. */
unsigned scratch_count(const struct scratch *s, const char *folder);
/* The whole of the only file in a folder, for the caller to free; its name in `out_name`. */
struct span scratch_only_file(const struct scratch *s, const char *folder,
                              char out_name[static 256]);
