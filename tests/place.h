/*
 * A place for a queue in tests: a temporary folder with a spool and a control socket in it. All
 * that goes wrong ends the test.
 */
#pragma once

#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PLACE_BYTES = 64 };

static inline void place_need(bool true_, const char *what)
{
    if (true_)
        return;
    fprintf(stderr, "no place for a test: %s: %s\n", what, strerror(errno));
    abort();
}

/* A new folder below `base`, or in /tmp where that isn't there. */
static inline void place_make(char folder[static PLACE_BYTES], const char *base)
{
    snprintf(folder, PLACE_BYTES, "%s/postbuch-test-XXXXXX", base);
    if (mkdtemp(folder))
        return;
    strcpy(folder, "/tmp/postbuch-test-XXXXXX");
    place_need(mkdtemp(folder), folder);
}

static inline int place_remove_one(const char *path, const struct stat *st, int type,
                                   struct FTW *ftw)
{
    return remove(path);
}

static inline void place_remove(const char *folder)
{
    nftw(folder, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The spool in the folder, made when it isn't there. */
static inline struct store *place_store(const char *folder)
{
    char path[PLACE_BYTES + 16];
    struct store *store = NULL;

    snprintf(path, sizeof(path), "%s/spool", folder);
    place_need(mkdir(path, 0700) == 0 || errno == EEXIST, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    place_need(fd >= 0 && store_file_new(fd, &store) == 0, path);
    return store;
}

static inline int place_socket(const char *folder, struct sockaddr_un *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(out->sun_path, sizeof(out->sun_path), "%s/control", folder);
    place_need(fd >= 0, "a socket");
    return fd;
}

/* The control socket, anew. */
static inline int place_listen(const char *folder)
{
    struct sockaddr_un address;
    int fd = place_socket(folder, &address);

    unlink(address.sun_path);
    place_need(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 10) == 0,
               "the control socket");
    return fd;
}

static inline int place_connect(const char *folder)
{
    struct sockaddr_un address;
    int fd = place_socket(folder, &address);

    place_need(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connecting");
    return fd;
}
