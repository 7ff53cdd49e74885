/*
 * Checkpoints of the book (book/marks.h) as files: read and compared, or written. An auditor keeps
 * them elsewhere; so each is a new file, and a broken chain gets none.
 */
#include "cli/audit_checkpoint.h"

#include "base/fd.h"
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 32 << 20, KEY_BYTES_MAX = 65536 };

static int read_file(const char *path, size_t max, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    while (n > 0 && out->size <= max) {
        char *to = buffer_reserve(out, 8192);
        n = to ? read(fd, to, 8192) : -1;
        out->size += n > 0 ? (size_t)n : 0;
    }
    int r = n < 0 ? -errno : out->size > max ? -EFBIG : 0;
    close(fd);
    return r;
}

/* Never over an older one: that would be forgotten without a trace. */
static int write_new(const char *path, struct span text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    int r = fd_write_all(fd, text);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    if (r < 0)
        unlink(path);
    return r;
}

static int complain(const char *path, int error)
{
    cli_complain("audit", "%s: %s", path,
                 error == -EKEYREJECTED ? "this is no Ed25519 key in PEM"
                 : error == -EINVAL     ? "this is no checkpoint"
                                        : strerror(-error));
    return CLI_USAGE;
}

/* ---- to verify ---- */

static int check_signature(struct audit_checkpoint *c, struct span text)
{
    struct buffer key = BUFFER_INIT;
    int r = read_file(c->public_key, KEY_BYTES_MAX, &key);

    if (r < 0) {
        buffer_done(&key);
        return complain(c->public_key, r);
    }
    r = marks_verify(text, buffer_span(&key));
    buffer_done(&key);
    c->signature_holds = r == 0;
    if (r == -EKEYREJECTED || r == -ENOMEM)
        return complain(c->public_key, r);
    if (r == 0)
        return CLI_OK;
    cli_complain("audit", "%s: %s", c->verify,
                 r == -ENOKEY ? "nobody signed it"
                              : "it was signed by another key, or changed since");
    return CLI_BAD_NEWS;
}

int audit_checkpoint_load(struct audit_checkpoint *c)
{
    struct buffer text = BUFFER_INIT;
    int code = CLI_OK;

    if (!c->verify)
        return CLI_OK;
    int r = read_file(c->verify, FILE_BYTES_MAX, &text);
    if (r == 0)
        r = marks_parse(buffer_span(&text), &c->expected);
    if (r < 0)
        code = complain(c->verify, r);
    c->is_signed = r == 0 && marks_are_signed(buffer_span(&text));
    if (code == CLI_OK && c->public_key)
        code = check_signature(c, buffer_span(&text));
    buffer_done(&text);
    return code;
}

/* ---- to write ---- */

static int sign(const struct audit_checkpoint *c, struct buffer *text)
{
    struct buffer key = BUFFER_INIT;
    int r = read_file(c->key, KEY_BYTES_MAX, &key);

    if (r == 0)
        r = marks_sign(text, buffer_span(&key));
    if (key.data)
        explicit_bzero(key.data, key.size);
    buffer_done(&key);
    return r;
}

static void set_host(struct marks *marks, const char *host)
{
    size_t size = 0;

    for (; *host && size < MARKS_HOST_MAX; host++)
        marks->host[size++] = *host > ' ' && *host <= '~' ? *host : '?';
    marks->host[size] = '\0';
}

int audit_checkpoint_write(struct audit_checkpoint *c, const char *host,
                           const struct audit_counts *counts, int64_t now_us)
{
    struct buffer text = BUFFER_INIT;

    if (!c->write)
        return CLI_OK;
    if (counts->broken) {
        cli_complain("audit", "no checkpoint is written: the chain is broken");
        return CLI_BAD_NEWS;
    }
    c->reached.time_us = now_us;
    set_host(&c->reached, host);
    int r = marks_format(&c->reached, &text);
    const char *path = c->write;
    if (r == 0 && c->key) {
        r = sign(c, &text);
        path = r < 0 ? c->key : path;
    }
    if (r == 0)
        r = write_new(c->write, buffer_span(&text));
    buffer_done(&text);
    if (r < 0)
        complain(path, r);
    return r < 0 ? CLI_BAD_NEWS : CLI_OK;
}

void audit_checkpoint_done(struct audit_checkpoint *c)
{
    marks_done(&c->reached);
    marks_done(&c->expected);
}
