/* Reads the files of a configuration whole, bounded, with a problem in words when that fails. */
#pragma once

#include "conf/problem.h"

/* Appends the file's bytes to `out`, up to its limit. 0 or -errno; -EMSGSIZE: larger than the
 * limit. The failure is also added to `problems`. */
int conf_file_read(const char *path, struct conf_problems *problems, struct buffer *out);

/* The same for a descriptor, from its start; it stays open, its offset moves. Needs lseek(2) and
 * read(2) only, so that it works in a sandbox. */
int conf_file_read_fd(int fd, struct span name, struct conf_problems *problems, struct buffer *out);
