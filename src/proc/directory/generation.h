/*
 * One generation of what the directory knows: its part of the configuration and the table made from
 * the files that came with it. Two exist while a new one arrives; the one in force is replaced only
 * by one without errors.
 */
#pragma once

#include "people/people.h"

enum { GENERATION_FILES_MAX = 2 * CONF_DOMAINS_MAX };

struct generation_file {
    struct generation_file *next;
    struct span name;
    struct buffer text;
};

struct generation {
    struct arena arena;
    struct conf_directory conf;
    struct generation_file *files; /* until the table is made */
    size_t file_count;
    bool lacks_memory;             /* for a file, which is cut short */
    struct people *people;         /* NULL: none could be made yet */
    struct conf_problems problems; /* of the files */
};

/* Empties it and decodes the part, whose memory stays. */
int generation_begin(struct generation *g, struct span part);
/* Reads the file; closes `fd`. What is wrong with it waits for generation_finish(). */
int generation_add_file(struct generation *g, struct span name, int fd);
/* Makes the table, lets the files go and logs their problems. 0; -ENOMEM, also when a file found no
 * memory; -EINVAL. */
int generation_finish(struct generation *g);
void generation_done(struct generation *g);
