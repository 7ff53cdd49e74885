/* Connecting to a socket of the server, for a time that has an end. */
#pragma once

/* For a command that a person waits for. A server that takes no connection at all is one whose
 * queue of them is full: it is busy, hangs or was stopped. */
enum { CLI_CONNECT_MS = 5000 };

/* Silent. A blocking descriptor that the caller closes, or -errno; -ETIMEDOUT: the server took no
 * connection for `timeout_ms`. */
int cli_connect(const char *path, int timeout_ms);
