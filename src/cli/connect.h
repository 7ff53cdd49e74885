/* Connecting to a socket of the server, for a time that has an end. */
#pragma once

/* Silent. A blocking descriptor that the caller closes, or -errno; -ETIMEDOUT: the server took no
 * connection for `timeout_ms`. */
int cli_connect(const char *path, int timeout_ms);
