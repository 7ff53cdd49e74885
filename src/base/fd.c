#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

int fd_write_all(int fd, struct span bytes)
{
    while (bytes.size) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno != EINTR)
            return -errno;
        bytes = span_from(bytes, written < 0 ? 0 : (size_t)written);
    }
    return 0;
}

bool fd_is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}
