/* Waiting for the book: what was just sent shall be found. */
#pragma once

/* Asks the server at `control` to tell when the book has folded all that is on disk now, and waits
 * at most `timeout_ms` for it. Silent. 0; -ETIMEDOUT: it lags behind; -EBUSY: the server takes no
 * connection; -ENOTCONN: no server, or no permission to ask it. */
int cli_wait_for_book(const char *control, int timeout_ms);
/* The same for a moment, for who shows one message's fate; complains when the book lags behind,
 * or can't be asked: what it says may be old, and what it doesn't know may be there. */
int cli_catch_up(const char *command, const char *control);
