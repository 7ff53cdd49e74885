/* Waiting for the book: what was just sent shall be found. */
#pragma once

/* Asks the server at `control` to tell when the book has folded all that is on disk now, and waits
 * at most `timeout_ms` for it. Silent: without a server, or without permission to ask it, the
 * ledger is read as it is. */
void cli_wait_for_book(const char *control, int timeout_ms);
