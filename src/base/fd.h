/* What is done with a descriptor whatever it is of. */
#pragma once

#include "base/span.h"

/* Writes all of it, however many calls that takes; waits where the descriptor does. 0 or -errno,
 * then a part may have been written. */
int fd_write_all(int fd, struct span bytes);

/* Is this errno (positive) want of descriptors or memory? That says nothing of what was to be
 * opened, and may be over in a moment. */
bool fd_is_shortage(int error);
