/* Waiting for the book: what was just sent shall be found. */
#pragma once

struct cli_control;

/* Asks the server to tell when the book has folded all that is on disk now, and waits at most
 * `timeout_ms` for it. Silent. 0; -ETIMEDOUT: it lags behind; -ENOTCONN: the server went away, or
 * refuses to be asked. */
int cli_wait_for_book(struct cli_control *control, int timeout_ms);
/* The same for a moment, for who shows one message's fate; complains when the book lags behind:
 * what it says may be old, and what it doesn't know may be there. */
int cli_catch_up(const char *command, struct cli_control *control);
