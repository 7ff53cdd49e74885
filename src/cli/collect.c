/*
 * One pass over the folder: a letter is either handed over whole and removed, or set aside with a
 * cause, or stays for the next pass. Never is one lost; a crash between the server's 250 and the
 * removal sends it twice.
 */
#include "cli/collect.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/drop.h"
#include "cli/submit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A day: longer than any writer needs for a file, and time enough for a server to recover. */
enum { TMP_AGE_MAX_S = 86400, LETTER_AGE_MAX_S = 86400 };

struct collection {
    int folder;
    const char *submit_path;
    const char *hostname;
    bool stopped; /* nobody answers: the rest would find no one either */
    int exit_code;
};

/* The exit codes are ordered: the worst of a pass is told. */
static void worsen(struct collection *c, int code)
{
    if (code > c->exit_code)
        c->exit_code = code;
}

static bool is_older(const struct collection *c, const char *name, int64_t age_s)
{
    struct stat st;

    return fstatat(c->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_mtime < clock_wall_us() / 1000000 - age_s;
}

/* Renamed, never removed: it is somebody's mail, and only a person can tell what to do with it. A
 * name that can't be changed stays, and comes again with the next pass. */
static void set_aside(struct collection *c, const char *name, const char *why)
{
    char aside[NAME_MAX + 16];

    /* The prefix may be longer than the one it replaces, and the name as long as names can be. */
    snprintf(aside, NAME_MAX + 1, DROP_ASIDE_PREFIX "%s", name + sizeof(DROP_PREFIX) - 1);
    log_error("%s in the drop folder is set aside as %s: %s", name, aside, why);
    if (renameat(c->folder, name, c->folder, aside) < 0)
        log_error("%s can't be renamed: %s", name, strerror(errno));
    worsen(c, CLI_BAD_NEWS);
}

/* Reads a file that any user may have made: no link, no pipe, nothing with a second name.
 * O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. A file with a second name
 * may be another's, whom linking it here would make the sender of its text. The size is a first
 * look only: the buffer's limit holds while it grows. */
static int read_file(struct collection *c, const char *name, struct buffer *out, uid_t *out_owner)
{
    struct stat st;
    int result = 0;
    int fd = openat(c->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        result = -errno;
    else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        result = -EINVAL;
    else if (st.st_size > DROP_SIZE_MAX)
        result = -EFBIG;
    while (result == 0) {
        void *room = buffer_reserve(out, 65536);
        ssize_t got = room ? read(fd, room, 65536) : 0;
        if (got < 0 && errno != EINTR)
            result = -errno;
        if (!room)
            result = buffer_error(out);
        if (got == 0)
            break;
        out->size += got > 0 ? (size_t)got : 0;
    }
    *out_owner = st.st_uid;
    close(fd);
    return result;
}

/* RFC 5321 4.4: this station's hand-over, which the server can't see, leaves its trace too. The uid
 * is the file's owner, which its writer can't choose, so whoever forges a sender is named. */
static int with_trace(const struct collection *c, struct span message, uid_t owner,
                      struct buffer *out)
{
    char date[CLOCK_RFC5322_SIZE];

    clock_format_rfc5322(clock_wall_us(), date);
    buffer_printf(out, "Received: by %s (drop folder, user id %u);\r\n %s\r\n", c->hostname,
                  (unsigned)owner, date);
    buffer_append_span(out, message);
    return buffer_error(out);
}

/* What is left of a letter whose other recipients were served. Written before the old letter goes:
 * a crash in between leaves both, and the served ones get it twice. */
static int write_refused(struct collection *c, const struct submission *s, const bool *refused,
                         size_t refused_count)
{
    struct span *left = calloc(refused_count, sizeof(*left));
    struct submission rest = *s;

    if (!left)
        return -ENOMEM;
    rest.recipients = left;
    rest.recipient_count = 0;
    for (size_t i = 0; i < s->recipient_count && rest.recipient_count < refused_count; i++)
        if (refused[i])
            left[rest.recipient_count++] = s->recipients[i];
    int result = drop_write_at(c->folder, DROP_ASIDE_PREFIX, &rest);
    free(left);
    return result;
}

static void on_accepted(struct collection *c, const char *name, const struct submission *s,
                        const struct submit_report *report)
{
    log_info("%s from the drop folder: %.*s", name, SPAN_ARG(buffer_span(&report->text)));
    if (report->refused_count) {
        worsen(c, CLI_BAD_NEWS);
        int result = write_refused(c, s, report->refused, report->refused_count);
        if (result < 0) { /* a name can be had on a full disk, too */
            log_error("%s: what is left of it can't be written: %s", name, strerror(-result));
            set_aside(c, name, "some recipients were refused, the others have it");
            return;
        }
    }
    if (unlinkat(c->folder, name, 0) < 0)
        log_error("%s was sent and can't be removed: %s", name, strerror(errno));
}

/* Perhaps the server ended, perhaps this letter makes it close (each refused recipient is an error,
 * and errors are limited): it must not keep the others waiting, nor come back for ever. */
static void on_broken_off(struct collection *c, const char *name)
{
    if (is_older(c, name, LETTER_AGE_MAX_S))
        set_aside(c, name, "the server always closes the connection over it");
    else
        log_warn("%s in the drop folder: the server closed the connection; it is tried again later",
                 name);
}

/* The trace is only in what is sent. What is set aside or stays is the letter as it was, or each
 * pass would add a line. */
static void submit_letter(struct collection *c, const char *name, struct submission *s, uid_t owner)
{
    struct submit_report report = {.refused = calloc(s->recipient_count, sizeof(bool))};
    struct buffer message = BUFFER_INIT;
    struct span original = s->message;
    enum submit_result result = SUBMIT_UNREACHED;

    int fd = submit_connect(c->submit_path);
    if (fd >= 0 && report.refused && with_trace(c, s->message, owner, &message) == 0) {
        s->message = buffer_span(&message);
        result = submit_send(fd, s, true, &report);
        s->message = original;
    }
    switch (result) {
    case SUBMIT_ACCEPTED:
        on_accepted(c, name, s, &report);
        break;
    case SUBMIT_REFUSED:
        while (report.text.size && report.text.data[report.text.size - 1] == '\n')
            report.text.size--; /* its lines are for a terminal */
        buffer_append_byte(&report.text, '\0');
        set_aside(c, name, buffer_error(&report.text) ? "refused" : report.text.data);
        break;
    case SUBMIT_UNREACHED:
        c->stopped = fd < 0;
        worsen(c, CLI_UNREACHED);
        if (fd >= 0)
            on_broken_off(c, name);
        break;
    case SUBMIT_DEFERRED:
        worsen(c, CLI_UNREACHED);
        break;
    }
    if (fd >= 0)
        close(fd);
    free(report.refused);
    buffer_done(&report.text);
    buffer_done(&message);
}

static void collect_file(struct collection *c, const char *name)
{
    struct buffer file = BUFFER_LIMITED(DROP_SIZE_MAX + 65536);
    struct arena arena = ARENA_INIT;
    struct submission s;
    uid_t owner = (uid_t)-1;

    int result = read_file(c, name, &file, &owner);
    if (result == 0)
        result = drop_parse(buffer_span(&file), &arena, &s);
    if (result == 0)
        submit_letter(c, name, &s, owner);
    else if (result == -ENOMEM)
        worsen(c, CLI_UNREACHED);
    else
        set_aside(c, name, strerror(-result));
    arena_done(&arena);
    buffer_done(&file);
}

/* A writer that died before it could promise anything. */
static void remove_if_old(struct collection *c, const char *name)
{
    if (is_older(c, name, TMP_AGE_MAX_S))
        unlinkat(c->folder, name, 0);
}

/* One connection for each letter: what makes the server close one doesn't hold up the next. Letters
 * that come while the folder is read are seen now or at the next start; there is no order among
 * them. */
int collect_folder(const char *folder, const char *submit_path, const char *hostname)
{
    struct collection c = {.submit_path = submit_path, .hostname = hostname};
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir) {
        log_error("the drop folder %s can't be read: %s", folder, strerror(errno));
        return CLI_BAD_NEWS;
    }
    c.folder = dirfd(dir);
    while (!c.stopped && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, DROP_PREFIX, sizeof(DROP_PREFIX) - 1) == 0)
            collect_file(&c, entry->d_name);
        else if (strncmp(entry->d_name, DROP_TMP_PREFIX, sizeof(DROP_TMP_PREFIX) - 1) == 0)
            remove_if_old(&c, entry->d_name);
    }
    fsync(c.folder); /* that what was sent isn't found again after a power cut */
    closedir(dir);
    return c.exit_code;
}
