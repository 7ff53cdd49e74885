/*
 * Log lines on standard error, one each: "process[pid]: severity: text". Control bytes in the text
 * are shown as \xNN, so that hostile text can neither start a line nor move a cursor. Standard
 * error is systemd's journal or the terminal; a "<N>" priority prefix is written when the journal
 * reads.
 *
 * Severities (Postfix's words): info, warn, error: something failed that should not; fatal: the
 * environment leaves no way on, exits 1; panic: our own bug, aborts.
 */
#pragma once

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* `name` must be static. Lines below `level` are not written. */
void log_open(const char *name, enum log_level level);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
