/*
 * The client of the control socket (docs/formats/control.md): a request at a time, waited for. What
 * goes wrong between here and the server is told on standard error, and the command then returns
 * CLI_UNREACHED; who can do without the server asks in silence.
 */
#pragma once

#include "ipc/channel.h"

struct cli_control;

/* Connects to the server at `path`. `command` is for complaints ("queue"). CLI_OK or CLI_UNREACHED.
 */
int cli_control_open(const char *command, const char *path, struct cli_control **out);
/* The same in silence. 0 or -errno: -ENOENT, -ECONNREFUSED: no server; -EACCES: not for this user;
 * -ETIMEDOUT: it takes no connection. */
int cli_control_try(const char *command, const char *path, struct cli_control **out);
/* The same for who can do without the server: one that takes no connection is waited for at most
 * `limit_ms`. */
int cli_control_try_within(const char *command, const char *path, int limit_ms,
                           struct cli_control **out);
/* Tells of such an error. CLI_UNREACHED. */
int cli_control_complain(const char *command, const char *path, int error);
/* NULL is fine. */
void cli_control_close(struct cli_control *control);

/* An answer, or the next page, may take that long (60 s at first); of a twelfth of it the user is
 * told. The socket takes connections also while the process behind it hangs or can't start. */
void cli_control_set_patience(struct cli_control *control, int64_t ms);

/* Sends a call and waits for its reply, which `reply` is given, borrowed until it returns.
 * CLI_OK, or CLI_UNREACHED when the server went away or keeps silent. */
int cli_control_ask(struct cli_control *control, const struct ipc_message *request,
                    void (*reply)(void *arg, const struct ipc_message *reply), void *arg);

/* The same in silence, and waited for at most `limit_ms`. 0; -ETIMEDOUT: no answer yet, and the
 * next question may be asked; -ENOTCONN: the server went away, or refuses to be asked. */
int cli_control_ask_within(struct cli_control *control, int64_t limit_ms,
                           const struct ipc_message *request,
                           void (*reply)(void *arg, const struct ipc_message *reply), void *arg);

/* All pages of a listing, one after another. `page` returns false to end it early. CLI_OK,
 * CLI_BAD_NEWS (told) when the server could not go on, or CLI_UNREACHED. */
int cli_control_list(struct cli_control *control, const struct ipc_queue_filter *filter,
                     bool (*page)(void *arg, const struct ipc_queue_page *page), void *arg);
