/*
 * Letters in the drop folder: docs/formats/drop.md says what they are like. Whoever writes one has
 * no rights but to make files there, so the file is synced before it gets its name, and its name is
 * random; whoever reads one trusts nothing that stands in it.
 */
#include "cli/drop.h"

#include "base/fd.h"
#include "mail/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "postbuch drop 1\n"

enum { SUFFIX_SIZE = 33 }; /* 32 hex digits */

/* ---- writing ---- */

static int format_head(const struct submission *s, struct buffer *out)
{
    buffer_append_span(out, SPAN(MAGIC));
    buffer_printf(out, "sender %.*s\n", SPAN_ARG(s->sender));
    for (size_t i = 0; i < s->recipient_count; i++)
        buffer_printf(out, "recipient %.*s\n", SPAN_ARG(s->recipients[i]));
    if (s->eight_bit)
        buffer_append_span(out, SPAN("8bitmime\n"));
    if (s->smtputf8)
        buffer_append_span(out, SPAN("smtputf8\n"));
    if (s->notify.size)
        buffer_printf(out, "notify %.*s\n", SPAN_ARG(s->notify));
    if (s->ret.size)
        buffer_printf(out, "ret %.*s\n", SPAN_ARG(s->ret));
    if (s->envid.size)
        buffer_printf(out, "envid %.*s\n", SPAN_ARG(s->envid));
    if (s->owner.size)
        buffer_printf(out, "owner %.*s\n", SPAN_ARG(s->owner));
    return buffer_append_byte(out, '\n');
}

static int write_file(int fd, const struct submission *s)
{
    struct buffer head = BUFFER_INIT;

    int result = format_head(s, &head);
    if (result == 0 && head.size + s->message.size > DROP_SIZE_MAX) /* nobody would read it */
        result = -EMSGSIZE;
    if (result == 0)
        result = fd_write_all(fd, buffer_span(&head));
    if (result == 0)
        result = fd_write_all(fd, s->message);
    if (result == 0 && fchmod(fd, 0640) < 0) /* whatever the umask: the server's group reads it */
        result = -errno;
    if (result == 0 && fsync(fd) < 0)
        result = -errno;
    buffer_done(&head);
    return result;
}

/* A folder that may not be read can't be opened for it, and fsync wants more than O_PATH: the
 * folder is then synced by syncing its file system. */
static int sync_folder(int folder, int file)
{
    int readable = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = (readable >= 0 ? fsync(readable) : syncfs(file)) < 0 ? -errno : 0;

    if (readable >= 0)
        close(readable);
    return result;
}

/* Random since nobody may list the folder to look for a free name, and a guessable one could be
 * taken before. */
static int make_suffix(char out[static SUFFIX_SIZE])
{
    unsigned char random[SUFFIX_SIZE / 2];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int drop_make_name(const char *prefix, char *out, size_t room)
{
    char suffix[SUFFIX_SIZE] = "";
    int result = make_suffix(suffix);

    snprintf(out, room, "%s%s", prefix, suffix);
    return result;
}

/* The new name isn't known to be on the disk. A letter of its own is taken back: it wasn't promised
 * to anybody yet, and who is told of a failure sends it again. If it is gone, the collector has
 * it already. What replaced a letter stays: without it that letter would be there again, and only a
 * power cut can bring that back now. */
static int undo(int folder, const char *name, bool replaces, int error)
{
    if (replaces || (unlinkat(folder, name, 0) < 0 && errno == ENOENT))
        return 0;
    return error;
}

/* tmp., sync, rename, sync of the folder: a name that begins with "mail." means that all of it is
 * on the disk. */
static int write_as(int folder, const char *suffix, const char *name, bool replaces,
                    const struct submission *s)
{
    char tmp[64];

    snprintf(tmp, sizeof(tmp), DROP_TMP_PREFIX "%s", suffix);
    int fd = openat(folder, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    int result = write_file(fd, s);
    if (result == 0 && renameat(folder, tmp, folder, name) < 0)
        result = -errno;
    if (result < 0) {
        unlinkat(folder, tmp, 0);
    } else {
        result = sync_folder(folder, fd);
        if (result < 0)
            result = undo(folder, name, replaces, result);
    }
    close(fd);
    return result;
}

int drop_write_at(int folder, const char *prefix, const struct submission *s,
                  char out_name[static DROP_NAME_SIZE])
{
    char suffix[SUFFIX_SIZE] = "", name[DROP_NAME_SIZE];
    int result = make_suffix(suffix);

    snprintf(name, sizeof(name), "%s%s", prefix, suffix);
    if (result == 0)
        result = write_as(folder, suffix, name, false, s);
    if (result == 0)
        memcpy(out_name, name, sizeof(name));
    return result;
}

int drop_replace_at(int folder, const char *name, const struct submission *s)
{
    char suffix[SUFFIX_SIZE];
    int result = make_suffix(suffix);

    return result < 0 ? result : write_as(folder, suffix, name, true, s);
}

int drop_write(const char *folder, const struct submission *s)
{
    char name[DROP_NAME_SIZE];
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = drop_write_at(fd, DROP_PREFIX, s, name);
    close(fd);
    return result;
}

/* ---- reading ---- */

struct reader {
    struct submission out;
    struct span *recipients;
    bool sender_seen;
};

/* Canonical already, or it was not we who wrote it. */
static bool is_address(struct span text)
{
    struct address a;

    return address_parse(text, ADDRESS_ALLOW_UTF8, &a) == ADDRESS_OK &&
           span_equal(address_text(&a), text);
}

/* Words that go into SMTP commands: printable ASCII without blanks or angle brackets. */
static bool is_parameter(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("<>", text.data[i]))
            return false;
    return text.size > 0 && text.size <= 256;
}

static bool take_parameter(struct span value, struct span *out)
{
    *out = value;
    return is_parameter(value);
}

/* Whether it may be believed is for the reader: he knows whose the file is. */
static bool take_owner(struct span value, struct span *out)
{
    uint64_t uid;

    *out = value;
    return span_to_u64(value, UINT32_MAX - 1, &uid) == 0;
}

/* An unknown line refuses the whole letter: a newer program wrote it, and what it says may change
 * who gets it. */
static bool take_line(struct reader *r, struct span line)
{
    ptrdiff_t blank = span_find(line, ' ');
    struct span key = blank < 0 ? line : span_first(line, (size_t)blank);
    struct span value = blank < 0 ? span_of("", 0) : span_from(line, (size_t)blank + 1);

    if (span_equal(key, SPAN("sender")) && !r->sender_seen) {
        r->sender_seen = true;
        r->out.sender = value;
        return value.size == 0 || is_address(value);
    }
    if (span_equal(key, SPAN("recipient"))) {
        if (r->out.recipient_count == DROP_RECIPIENTS_MAX || !is_address(value))
            return false;
        r->recipients[r->out.recipient_count++] = value;
        return true;
    }
    if (span_equal(line, SPAN("8bitmime")))
        return r->out.eight_bit = true;
    if (span_equal(line, SPAN("smtputf8")))
        return r->out.smtputf8 = true;
    if (span_equal(key, SPAN("notify")))
        return take_parameter(value, &r->out.notify);
    if (span_equal(key, SPAN("ret")))
        return take_parameter(value, &r->out.ret);
    if (span_equal(key, SPAN("envid")))
        return take_parameter(value, &r->out.envid);
    if (span_equal(key, SPAN("owner")))
        return take_owner(value, &r->out.owner);
    return false;
}

/* The message is what is behind the blank line, whatever its bytes: the server looks at those as at
 * anybody's. */
int drop_parse(struct span file, struct arena *arena, struct submission *out)
{
    struct reader r = {0};

    if (!span_equal(span_first(file, sizeof(MAGIC) - 1), SPAN(MAGIC)))
        return -EBADMSG;
    r.recipients = arena_alloc_array(arena, DROP_RECIPIENTS_MAX, sizeof(*r.recipients));
    if (!r.recipients)
        return -ENOMEM;
    r.out.recipients = r.recipients;
    struct span rest = span_from(file, sizeof(MAGIC) - 1);
    for (;;) {
        ptrdiff_t end = span_find(rest, '\n');
        if (end < 0)
            return -EBADMSG;
        struct span line = span_first(rest, (size_t)end);
        rest = span_from(rest, (size_t)end + 1);
        if (line.size == 0)
            break;
        if (!take_line(&r, line))
            return -EBADMSG;
    }
    if (!r.sender_seen || r.out.recipient_count == 0)
        return -EBADMSG;
    r.out.message = rest;
    *out = r.out;
    return 0;
}
