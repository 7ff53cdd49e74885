/* Reads the files of a configuration whole, bounded, with a problem in words when that fails. */
#pragma once

#include "conf/part.h"
#include "conf/problem.h"

/* A path of the configuration with a NUL behind it, for system calls. 0 or -ENAMETOOLONG. */
int conf_path_text(struct span path, char out[static CONF_PATH_MAX]);

/* Appends the file's bytes to `out`, up to its limit. 0 or -errno; -EMSGSIZE: larger than the
 * limit. The failure is also added to `problems`. */
int conf_file_read(struct span path, struct conf_problems *problems, struct buffer *out);

/* The same for a descriptor, from its start; it stays open, its offset moves. Needs lseek(2) and
 * read(2) only, so that it works in a sandbox. */
int conf_file_read_fd(int fd, struct span name, struct conf_problems *problems, struct buffer *out);
