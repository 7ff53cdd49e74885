/*
 * Waits until the book has all that the queue has told it: a loop of its own around one call.
 */
#include "cli/catchup.h"

#include "cli/cli.h"
#include "cli/connect.h"
#include "ipc/channel.h"
#include <errno.h>
#include <unistd.h>

enum { CATCH_UP_MS = 2000 };

struct wait {
    struct io_loop *loop;
    struct io_timer *timer;
    struct ipc_channel *channel;
    struct ipc_call call;
    int result; /* of cli_wait_for_book() */
};

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct wait *wait = owner;
    io_loop_stop(wait->loop);
}

static void on_timeout(void *arg)
{
    struct wait *wait = arg;
    wait->result = -ETIMEDOUT;
    io_loop_stop(wait->loop);
}

static void on_synced(struct ipc_call *call, const struct ipc_message *reply)
{
    struct wait *wait = CONTAINER_OF(call, struct wait, call);
    if (reply)
        wait->result = reply->book_synced.error == 0 ? 0 : -ETIMEDOUT;
    io_loop_stop(wait->loop);
}

static const struct ipc_role role = {.peer_name = "the server", .lost = on_lost};

/* The timer first: a server that takes the call and never answers must not hold up the command. */
static int start(struct wait *wait, int *fd, int timeout_ms)
{
    struct ipc_message ask = {.type = IPC_BOOK_SYNC};
    int r = io_loop_new(&wait->loop);

    if (r == 0)
        r = io_timer_new(wait->loop, on_timeout, wait, &wait->timer);
    if (r == 0)
        r = io_timer_set(wait->timer, timeout_ms);
    if (r == 0)
        r = ipc_channel_new(wait->loop, *fd, &role, wait, &wait->channel);
    if (r == 0)
        *fd = -1; /* the channel's now */
    wait->call.fn = on_synced;
    return r < 0 ? r : ipc_call(wait->channel, &wait->call, &ask);
}

int cli_catch_up(const char *command, const char *control)
{
    int r = cli_wait_for_book(control, CATCH_UP_MS);

    if (r == -ETIMEDOUT)
        cli_complain(command, "the book is behind the log, so what was booked last may be missing; "
                              "see the line Book of postbuch status");
    else if (r == -EBUSY)
        cli_complain(command,
                     "the server takes no connection, so what was booked last may be missing");
    return r;
}

int cli_wait_for_book(const char *control, int timeout_ms)
{
    struct wait wait = {.result = -ENOTCONN};
    int fd = cli_connect(control, timeout_ms);

    if (fd < 0)
        return fd == -ETIMEDOUT ? -EBUSY : -ENOTCONN;
    if (start(&wait, &fd, timeout_ms) == 0)
        io_loop_run(wait.loop);
    ipc_call_cancel(&wait.call);
    ipc_channel_free(wait.channel);
    if (wait.timer)
        io_timer_free(wait.timer);
    io_loop_free(wait.loop);
    if (fd >= 0)
        close(fd);
    return wait.result;
}
