#include "base/log.h"
#include "base/printable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 2048, SELDOM_MS = 600000 };

static const char *process_name = "postbuch";
static enum log_level lowest = LOG_LEVEL_INFO;
static bool to_journal;  /* standard error is systemd's journal */
static atomic_uint lost; /* lines that nobody read in time */

/* systemd.exec(5): the variable names the device and inode of the journal's stream. It is inherited
 * also by who writes elsewhere: a shell of a desktop, a service with a log file. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct span rest = span_from_cstr(stream ? stream : "");
    ptrdiff_t colon = span_find(rest, ':');
    uint64_t device, inode;
    struct stat st;

    return colon > 0 && span_to_u64(span_first(rest, (size_t)colon), UINT64_MAX, &device) == 0 &&
           span_to_u64(span_from(rest, (size_t)colon + 1), UINT64_MAX, &inode) == 0 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *name, enum log_level level)
{
    process_name = name;
    lowest = level;
    to_journal = is_journal();
}

/* A pipe is opened anew, if we may: others who write into it then aren't concerned. */
void log_never_wait(void)
{
    struct stat st;

    if (fstat(STDERR_FILENO, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        return;
    int fd = S_ISFIFO(st.st_mode) ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd >= 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
    fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
}

bool log_is_due(struct log_seldom *trouble, int64_t now_ms)
{
    if (trouble->told && now_ms - trouble->told_ms < SELDOM_MS)
        return false;
    trouble->told++;
    trouble->told_ms = now_ms;
    return true;
}

/* Appends `text` to line[at…], made fit for a terminal (base/printable.h); returns the new end.
 * What doesn't fit is cut, with room left for the line's end. */
static size_t append_clean(char *line, size_t at, const char *text)
{
    struct span rest = span_from_cstr(text);

    while (rest.size && at + 6 < LINE_BYTES) {
        size_t size = printable_char_size(rest);
        if (size) {
            memcpy(line + at, rest.data, size);
            at += size;
        } else {
            at += (size_t)sprintf(line + at, "\\x%02x", (unsigned)(unsigned char)*rest.data);
        }
        rest = span_from(rest, size ? size : 1);
    }
    return at;
}

static size_t begin_line(char *line, int priority, const char *severity)
{
    int head = to_journal
                   ? snprintf(line, 128, "<%d>%s[%d]: %s: ", priority, process_name, (int)getpid(),
                              severity)
                   : snprintf(line, 128, "%s[%d]: %s: ", process_name, (int)getpid(), severity);
    return (size_t)(head < 128 ? head : 127);
}

static bool is_taken(const char *line, size_t size)
{
    return write(STDERR_FILENO, line, size) >= 0 || errno != EAGAIN;
}

/* One write: lines of several processes don't mix. Nobody can be told that it failed. */
static void put(const char *line, size_t size)
{
    char word[256];
    unsigned count = atomic_exchange(&lost, 0);

    if (count) {
        size_t at = begin_line(word, 4, "warn");
        at += (size_t)snprintf(word + at, 100, "%u lines of the log were lost: nobody read them\n",
                               count);
        if (!is_taken(word, at)) {
            atomic_fetch_add(&lost, count + 1);
            return;
        }
    }
    if (!is_taken(line, size))
        atomic_fetch_add(&lost, 1);
}

static void write_line(int priority, const char *severity, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_line(int priority, const char *severity, const char *format, va_list args)
{
    char text[LINE_BYTES], line[LINE_BYTES];

    vsnprintf(text, sizeof(text), format, args);
    size_t end = append_clean(line, begin_line(line, priority, severity), text);
    line[end++] = '\n';
    put(line, end);
}

#define DEFINE_LOG(name, level, priority, severity, ending)                                        \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
        if ((level) >= lowest) {                                                                   \
            va_start(args, format);                                                                \
            write_line(priority, severity, format, args);                                          \
            va_end(args);                                                                          \
        }                                                                                          \
        ending;                                                                                    \
    }

DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG, 7, "debug", (void)0)
DEFINE_LOG(log_info, LOG_LEVEL_INFO, 6, "info", (void)0)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN, 4, "warn", (void)0)
DEFINE_LOG(log_error, LOG_LEVEL_ERROR, 3, "error", (void)0)
DEFINE_LOG(log_fatal, LOG_LEVEL_ERROR, 2, "fatal", exit(1))
DEFINE_LOG(log_panic, LOG_LEVEL_ERROR, 1, "panic", abort())
