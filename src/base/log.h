/*
 * Log lines on standard error, one each: "process[pid]: severity: text". What could start a line,
 * move a cursor or turn the reading direction is shown as \xNN (base/printable.h), for texts come
 * from strangers. Standard error is systemd's journal or the terminal; a "<N>" priority prefix is
 * written when the journal reads.
 *
 * Severities (Postfix's words): info, warn, error: something failed that should not; fatal: the
 * environment leaves no way on, exits 1; panic: our own bug, aborts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* `name` must be static. Lines below `level` are not written. Called once, before threads are
 * there; the other functions may be called by any thread. */
void log_open(const char *name, enum log_level level);

/* From now on a reader that doesn't read (a hung journal, a container's log driver) costs lines,
 * and doesn't hold up the process: these are counted, and told when it reads again. Processes that
 * are started later have that, too. Not on a terminal, whose other users would have it as well. */
void log_never_wait(void);

/* A trouble that comes again and again: a person is told of it at most every ten minutes. */
struct log_seldom {
    unsigned told; /* how often */
    int64_t told_ms;
};
/* Is it time again? Then it counts as told. `now_ms`: of a monotonic clock. */
bool log_is_due(struct log_seldom *trouble, int64_t now_ms);

/* A line of more than 2 KiB is cut. errno is not kept: `%m` may be used in the format. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What ends the process: exit status 1, which the supervisor takes for a reason to
 * start it again. */
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* An assertion with words: abort(), so that a core can be looked at. */
void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
