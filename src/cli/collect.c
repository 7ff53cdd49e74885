/*
 * One pass over the folder: a letter is either handed over whole and removed, or set aside with a
 * cause, or stays for the next pass; one that some of its recipients have is cut down to the
 * others. Never is one lost; a crash between the server's 250 and the removal sends it twice.
 */
#include "cli/collect.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/drop.h"
#include "cli/letter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TMP_AGE_MAX_S = 86400 }; /* longer than any writer needs for a file */

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

static void set_aside(struct collection *c, const char *name, const char *why)
{
    letter_set_aside(c->folder, name, why);
    worsen(c, CLI_BAD_NEWS);
}

/* Reads a file that any user may have made: no link, no pipe, nothing with a second name.
 * O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. A file with a second name
 * may be another's, whom linking it here would make the sender of its text. The size is a first
 * look only: the buffer's limit holds while it grows. -ENOENT also when it goes meanwhile. */
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
        result = st.st_nlink ? -EINVAL : -ENOENT;
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
 * is one that its writer can't choose, so whoever forges a sender is named. */
static int with_trace(const struct collection *c, const struct submission *s, struct buffer *out)
{
    char date[CLOCK_RFC5322_SIZE];

    clock_format_rfc5322(clock_wall_us(), date);
    buffer_printf(out, "Received: by %s (drop folder, user id %.*s);\r\n %s\r\n", c->hostname,
                  SPAN_ARG(s->owner), date);
    buffer_append_span(out, s->message);
    return buffer_error(out);
}

/* The report's lines as one, for the log. */
static const char *cause_of(struct submit_report *report, const char *otherwise)
{
    struct buffer line = BUFFER_INIT;
    struct span rest = buffer_span(&report->text), part;

    while (span_next_line(&rest, &part))
        buffer_printf(&line, "%s" SPAN_FMT, line.size ? "; " : "", SPAN_ARG(part));
    buffer_append_byte(&line, '\0');
    buffer_done(&report->text);
    report->text = line;
    return buffer_error(&line) || !line.data[0] ? otherwise : line.data;
}

static void on_accepted(struct collection *c, const char *name, const struct submission *s,
                        struct submit_report *report)
{
    const char *why = cause_of(report, "taken");

    log_info("%s from the drop folder: %s", name, why);
    letter_cut(c->folder, name, s, report, why);
    if (report->refused_count)
        worsen(c, CLI_BAD_NEWS);
    if (report->deferred_count)
        worsen(c, CLI_UNREACHED);
}

/* The trace is only in what is sent. What is set aside or stays is the letter as it was, or each
 * pass would add a line. */
static void submit_letter(struct collection *c, const char *name, struct submission *s)
{
    struct submit_report report = {.each = calloc(s->recipient_count, sizeof(*report.each))};
    struct buffer message = BUFFER_INIT;
    struct span original = s->message;
    enum submit_result result = SUBMIT_UNREACHED;

    int fd = submit_connect(c->submit_path);
    if (fd >= 0 && report.each && with_trace(c, s, &message) == 0) {
        s->message = buffer_span(&message);
        result = submit_send(fd, s, true, &report);
        s->message = original;
    }
    switch (result) {
    case SUBMIT_ACCEPTED:
        on_accepted(c, name, s, &report);
        break;
    case SUBMIT_REFUSED:
        set_aside(c, name, cause_of(&report, "refused"));
        break;
    case SUBMIT_UNREACHED: /* perhaps this letter makes the server close: it is one to put off */
        c->stopped = fd < 0 || report.unheard; /* but not one that greets nobody */
        worsen(c, CLI_UNREACHED);
        if (!c->stopped)
            letter_put_off(c->folder, name, cause_of(&report, "no memory"));
        break;
    case SUBMIT_DEFERRED:
        worsen(c, CLI_UNREACHED);
        letter_put_off(c->folder, name, cause_of(&report, "deferred"));
        break;
    }
    if (fd >= 0)
        close(fd);
    free(report.each);
    buffer_done(&report.text);
    buffer_done(&message);
}

/* A letter is its file's owner's, who can't be chosen; what is left of one is a file of our own,
 * and says whose it is. Anybody else who says so forges it. */
static int find_owner(struct submission *s, uid_t owner, char room[static 16])
{
    if (s->owner.size)
        return owner == geteuid() || owner == 0 ? 0 : -EBADMSG;
    s->owner = span_of(room, (size_t)snprintf(room, 16, "%u", (unsigned)owner));
    return 0;
}

/* Whoever made it did it, so it comes again with each pass; another error is of this machine, and
 * may be gone with the next. */
static bool is_its_makers(int error)
{
    switch (error) {
    case -EBADMSG: /* what it says */
    case -EFBIG:
    case -EMSGSIZE:
    case -EINVAL: /* no file, or one with a second name */
    case -ELOOP:  /* a link */
    case -ENXIO:  /* a socket */
    case -EACCES: /* its mode */
        return true;
    default:
        return false;
    }
}

static void on_unread(struct collection *c, const char *name, int error)
{
    if (error == -ENOENT) /* its writer took it back, as he may */
        return;
    if (is_its_makers(error)) {
        set_aside(c, name, strerror(-error));
        return;
    }
    worsen(c, CLI_UNREACHED);
    letter_put_off(c->folder, name, strerror(-error));
}

static void collect_file(struct collection *c, const char *name)
{
    struct buffer file = BUFFER_LIMITED(DROP_SIZE_MAX + 65536);
    struct arena arena = ARENA_INIT;
    struct submission s;
    uid_t owner = (uid_t)-1;
    char uid[16];

    int result = read_file(c, name, &file, &owner);
    if (result == 0)
        result = drop_parse(buffer_span(&file), &arena, &s);
    if (result == 0)
        result = find_owner(&s, owner, uid);
    if (result == 0)
        submit_letter(c, name, &s);
    else
        on_unread(c, name, result);
    arena_done(&arena);
    buffer_done(&file);
}

/* A writer that died before it could promise anything. */
static void remove_if_old(struct collection *c, const char *name)
{
    struct stat st;

    if (fstatat(c->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mtime < clock_wall_us() / 1000000 - TMP_AGE_MAX_S)
        unlinkat(c->folder, name, 0);
}

/* On a disk that turned read-only, say, what was sent would stay, and be sent with each pass. */
static bool can_remove(const struct collection *c)
{
    if (faccessat(c->folder, ".", W_OK, AT_EACCESS) == 0)
        return true;
    log_error("the drop folder can't be written to, so its mail waits: %s", strerror(errno));
    return false;
}

/* NULL at the end of the folder, or where it can't be read any further. */
static const char *next_name(struct collection *c, DIR *dir)
{
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry)
        return entry->d_name;
    if (errno) {
        log_error("the drop folder can't be read to its end: %s", strerror(errno));
        worsen(c, CLI_BAD_NEWS);
    }
    return NULL;
}

/* One connection for each letter: what makes the server close one doesn't hold up the next. Letters
 * that come while the folder is read are seen now or at the next start; there is no order among
 * them. */
int collect_folder(const char *folder, const char *submit_path, const char *hostname)
{
    struct collection c = {.submit_path = submit_path, .hostname = hostname};
    DIR *dir = opendir(folder);
    const char *name;

    if (!dir) {
        log_error("the drop folder %s can't be read: %s", folder, strerror(errno));
        return CLI_BAD_NEWS;
    }
    c.folder = dirfd(dir);
    if (!can_remove(&c)) {
        closedir(dir);
        return CLI_BAD_NEWS;
    }
    while (!c.stopped && (name = next_name(&c, dir))) {
        if (strncmp(name, DROP_PREFIX, sizeof(DROP_PREFIX) - 1) == 0)
            collect_file(&c, name);
        else if (strncmp(name, DROP_TMP_PREFIX, sizeof(DROP_TMP_PREFIX) - 1) == 0)
            remove_if_old(&c, name);
    }
    fsync(c.folder); /* that what was sent isn't found again after a power cut */
    closedir(dir);
    return c.exit_code;
}
