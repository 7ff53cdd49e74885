#include "base/log.h"
#include "base/printable.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static const char *process_name = "postbuch";
static enum log_level lowest = LOG_LEVEL_INFO;
static bool to_journal;

void log_open(const char *name, enum log_level level)
{
    process_name = name;
    lowest = level;
    to_journal = getenv("JOURNAL_STREAM") != NULL;
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

static void write_line(int priority, const char *severity, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_line(int priority, const char *severity, const char *format, va_list args)
{
    char text[LINE_BYTES], line[LINE_BYTES];
    int head;

    vsnprintf(text, sizeof(text), format, args);
    if (to_journal)
        head = snprintf(line, 128, "<%d>%s[%d]: %s: ", priority, process_name, (int)getpid(),
                        severity);
    else
        head = snprintf(line, 128, "%s[%d]: %s: ", process_name, (int)getpid(), severity);
    size_t end = append_clean(line, (size_t)(head < 128 ? head : 127), text);
    line[end++] = '\n';
    /* One write: lines of several processes don't mix. Nobody can be told that it failed. */
    ssize_t written = write(STDERR_FILENO, line, end);
    (void)written;
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
