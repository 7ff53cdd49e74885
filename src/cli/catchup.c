#include "cli/catchup.h"

#include "cli/cli.h"
#include "cli/control.h"
#include <errno.h>

enum { CATCH_UP_MS = 2000 };

static void on_synced(void *arg, const struct ipc_message *reply)
{
    *(int *)arg = reply->book_synced.error == 0 ? 0 : -ETIMEDOUT;
}

int cli_wait_for_book(struct cli_control *control, int timeout_ms)
{
    const struct ipc_message ask = {.type = IPC_BOOK_SYNC};
    int synced = 0;
    int r = cli_control_ask_within(control, timeout_ms, &ask, on_synced, &synced);

    return r < 0 ? r : synced;
}

int cli_catch_up(const char *command, struct cli_control *control)
{
    int r = cli_wait_for_book(control, CATCH_UP_MS);

    if (r == -ETIMEDOUT)
        cli_complain(command, "the book is behind the log, so what was booked last may be missing; "
                              "see the line Book of postbuch status");
    return r;
}
