/*
 * The configuration of a server for trying out. Files are made with O_EXCL: what is there is never
 * overwritten, so ./run may be called again.
 */
#include "conf/conf.h"

#include "base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char configuration[] =
    "# Postbuch on a tray: everything lies beside this file, and only this machine reaches it.\n"
    "# What is sent to other domains goes out to them.\n"
    "# postbuch.conf(5) and docs/manual/configuration.md tell what else there is.\n"
    "hostname: mail.postbuch.test\n"
    "postmaster: alice@postbuch.test\n"
    "\n"
    "spool: file:spool\n"
    "spool_segment_size: 16M\n"
    "ledger: ledger\n"
    "control: control\n"
    "drop: drop\n"
    "\n"
    "listen:\n"
    "  mx: { address: [\"127.0.0.1:2525\"] }\n"
    "\n"
    "domains:\n"
    "  postbuch.test:\n"
    "    deliver: maildir:mail/%d/%u\n"
    "    users: file:users\n"
    "    aliases: file:aliases\n"
    "\n"
    "# All clients are this machine, so limits per client would limit the whole.\n"
    "limits:\n"
    "  client_connections: 0\n"
    "  network_connections: 0\n"
    "  client_rate: 0\n"
    "  network_rate: 0\n"
    "  client_refusals: 0\n";

static const char users[] =
    "# address:verifier[,verifier]:further sender addresses; see postbuch user\n"
    "alice@postbuch.test:*:\n"
    "bob@postbuch.test:*:\n";

static const char aliases[] = "# name: address, address\n"
                              "postmaster: alice\n"
                              "abuse: postmaster\n";

static int create_file(int folder, const char *name, mode_t mode, struct span text)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int r;

    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    r = fd_write_all(fd, text);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    /* Half a file would be taken for a whole one the next time. */
    if (r < 0)
        unlinkat(folder, name, 0);
    return r;
}

/* The configuration last: it names the others, and a crash before it leaves a folder that the next
 * call completes. */
int conf_create_default(const char *folder)
{
    int r, fd;

    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return -errno;
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = create_file(fd, "users", 0600, span_from_cstr(users));
    if (r == 0)
        r = create_file(fd, "aliases", 0644, span_from_cstr(aliases));
    if (r == 0)
        r = create_file(fd, "postbuch.yaml", 0644, span_from_cstr(configuration));
    close(fd);
    return r;
}
