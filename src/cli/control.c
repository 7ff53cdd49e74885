/*
 * Calls on the control socket, one after the other: a loop that runs until the answer is there.
 * Replies are borrowed and only valid within the function that is called with them.
 */
#include "cli/control.h"

#include "cli/cli.h"
#include "cli/connect.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A queue that recovers a large spool answers only after it. A twelfth of it, five seconds, is when
 * a person wants to know that he waits for something. */
enum { PATIENCE_MS = 60000 };

/* For a command that a person waits for. A server that takes no connection at all is one whose
 * queue of them is full: it is busy, hangs or was stopped. */
enum { CONNECT_MS = 5000 };

struct cli_control {
    const char *command;
    struct io_timer *timer;
    int64_t patience_ms;
    int64_t rest_ms; /* to be waited after the word to the user; 0: it was said, or none is due */
    bool gave_up;
    struct io_loop *loop;
    struct ipc_channel *channel;
    struct ipc_call call;
    void (*reply)(void *arg, const struct ipc_message *reply);
    void *arg;
    bool answered;
};

int cli_control_complain(const char *command, const char *path, int error)
{
    if (error == -EACCES)
        cli_complain(command, "%s: only root and the server's user may talk to the server", path);
    else if (error == -ENOENT || error == -ECONNREFUSED)
        cli_complain(command, "the server isn't running (%s: %s)", path, strerror(-error));
    else if (error == -ETIMEDOUT)
        cli_complain(command,
                     "the server takes no connection at %s: it is too busy, or hangs; its log "
                     "may tell why",
                     path);
    else
        cli_complain(command, "can't reach the server at %s: %s", path, strerror(-error));
    return CLI_UNREACHED;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct cli_control *control = owner;
    io_loop_stop(control->loop);
}

/* Twice: first a word, then the end. */
static void on_waited(void *arg)
{
    struct cli_control *control = arg;

    if (!control->rest_ms) {
        control->gave_up = true;
        io_loop_stop(control->loop);
        return;
    }
    cli_complain(control->command, "the server doesn't answer yet; its log may tell why");
    io_timer_set(control->timer, control->rest_ms);
    control->rest_ms = 0;
}

static void begin_patience(struct cli_control *control)
{
    int64_t first_ms = control->patience_ms / 12;

    control->gave_up = false;
    control->rest_ms = control->patience_ms - first_ms;
    io_timer_set(control->timer, first_ms);
}

static void begin_silent_patience(struct cli_control *control, int64_t limit_ms)
{
    control->gave_up = false;
    control->rest_ms = 0;
    io_timer_set(control->timer, limit_ms);
}

void cli_control_set_patience(struct cli_control *control, int64_t ms)
{
    control->patience_ms = ms;
}

/* Until the loop is stopped: by an answer, the end of the channel, or of patience. */
static int run(struct cli_control *control)
{
    int r = io_loop_run(control->loop);
    io_timer_clear(control->timer);
    return r;
}

static const struct ipc_role server_role = {.peer_name = "the server", .lost = on_lost};

int cli_control_try_within(const char *command, const char *path, int limit_ms,
                           struct cli_control **out)
{
    int fd = cli_connect(path, limit_ms);

    if (fd < 0)
        return fd;
    struct cli_control *control = calloc(1, sizeof(*control));
    int r = control ? io_loop_new(&control->loop) : -ENOMEM;
    if (r == 0)
        r = io_timer_new(control->loop, on_waited, control, &control->timer);
    if (r == 0)
        r = ipc_channel_new(control->loop, fd, &server_role, control, &control->channel);
    if (r < 0) {
        close(fd);
        cli_control_close(control);
        return r;
    }
    control->command = command;
    control->patience_ms = PATIENCE_MS;
    *out = control;
    return 0;
}

int cli_control_try(const char *command, const char *path, struct cli_control **out)
{
    return cli_control_try_within(command, path, CONNECT_MS, out);
}

int cli_control_open(const char *command, const char *path, struct cli_control **out)
{
    int r = cli_control_try(command, path, out);

    return r < 0 ? cli_control_complain(command, path, r) : CLI_OK;
}

void cli_control_close(struct cli_control *control)
{
    if (!control)
        return;
    ipc_channel_free(control->channel);
    io_timer_free(control->timer);
    io_loop_free(control->loop);
    free(control);
}

/* NULL: the channel broke; `answered` then stays false, which the caller tells. */
static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct cli_control *control = CONTAINER_OF(call, struct cli_control, call);

    if (reply) {
        control->answered = true;
        control->reply(control->arg, reply);
    }
    io_loop_stop(control->loop);
}

/* The server closes whom it refuses without a word, so for others than root a hint is due. Of who
 * asks once more behind that, -EPIPE says no more than these words. */
static int complain_lost(const struct cli_control *control, int error)
{
    bool has_reason = error && error != -EPIPE;

    if (control->gave_up) {
        cli_complain(control->command, "the server didn't answer within %lld s",
                     (long long)control->patience_ms / 1000);
        return CLI_UNREACHED;
    }
    cli_complain(control->command, "the server went away before it answered%s%s%s",
                 has_reason ? ": " : "", has_reason ? strerror(-error) : "",
                 geteuid() ? "; only root and the user that its queue runs as may ask it" : "");
    return CLI_UNREACHED;
}

/* The call is cancelled in any case: with an answer it is over, without one its reply must not come
 * to a frame that is gone. */
static int ask(struct cli_control *control, const struct ipc_message *request,
               void (*reply)(void *arg, const struct ipc_message *reply), void *arg)
{
    control->reply = reply;
    control->arg = arg;
    control->answered = false;
    control->call.fn = on_reply;
    int r = ipc_call(control->channel, &control->call, request);
    if (r == 0)
        r = run(control);
    ipc_call_cancel(&control->call);
    return r;
}

int cli_control_ask(struct cli_control *control, const struct ipc_message *request,
                    void (*reply)(void *arg, const struct ipc_message *reply), void *arg)
{
    begin_patience(control);
    int r = ask(control, request, reply, arg);
    return control->answered ? CLI_OK : complain_lost(control, r);
}

int cli_control_ask_within(struct cli_control *control, int64_t limit_ms,
                           const struct ipc_message *request,
                           void (*reply)(void *arg, const struct ipc_message *reply), void *arg)
{
    begin_silent_patience(control, limit_ms);
    ask(control, request, reply, arg);
    return control->answered ? 0 : control->gave_up ? -ETIMEDOUT : -ENOTCONN;
}

/* ---- listings ---- */

/* So many pages are asked for at a time: while one is printed the server makes the next. */
enum { PAGES_ASKED = 3 };

_Static_assert((int)PAGES_ASKED <= (int)IPC_QUEUE_PAGES_ASKED, "the server answers so many");

struct page_call {
    struct ipc_call call;
    struct listing *listing;
};

struct listing {
    struct cli_control *control;
    bool (*page)(void *arg, const struct ipc_queue_page *page);
    void *arg;
    int error;
    bool ended;
    struct page_call calls[PAGES_ASKED]; /* answered in the order in which they were made */
};

static void cancel_calls(struct listing *listing)
{
    for (size_t i = 0; i < PAGES_ASKED; i++)
        ipc_call_cancel(&listing->calls[i].call);
}

static int ask_for_more(struct listing *listing)
{
    const struct ipc_message more = {.type = IPC_QUEUE_MORE};
    int r = 0;

    for (size_t i = 0; r == 0 && i < PAGES_ASKED; i++)
        if (!ipc_call_is_pending(&listing->calls[i].call))
            r = ipc_call(listing->control->channel, &listing->calls[i].call, &more);
    return r;
}

/* More is asked for before the page is printed: the server works while the terminal scrolls. */
static void on_page(struct ipc_call *call, const struct ipc_message *reply)
{
    struct listing *listing = CONTAINER_OF(call, struct page_call, call)->listing;

    if (!reply) {
        io_loop_stop(listing->control->loop);
        return;
    }
    const struct ipc_queue_page *page = &reply->queue_page;
    begin_patience(listing->control);
    bool last = page->error || page->last;
    if (!last)
        ask_for_more(listing); /* what fails now does so again, for the next page's call */
    if (!page->error && !listing->page(listing->arg, page))
        last = true;
    if (!last)
        return;
    listing->error = page->error;
    listing->ended = true;
    cancel_calls(listing);
    io_loop_stop(listing->control->loop);
}

static void listing_init(struct listing *listing)
{
    for (size_t i = 0; i < PAGES_ASKED; i++)
        listing->calls[i] = (struct page_call){.call.fn = on_page, .listing = listing};
}

int cli_control_list(struct cli_control *control, const struct ipc_queue_filter *filter,
                     bool (*page)(void *arg, const struct ipc_queue_page *page), void *arg)
{
    struct listing listing = {.control = control, .page = page, .arg = arg};
    const struct ipc_message ask = {.type = IPC_QUEUE_LIST, .queue_filter = *filter};

    listing_init(&listing);
    begin_patience(control);
    int r = ipc_call(control->channel, &listing.calls[0].call, &ask);
    if (r == 0)
        r = run(control);
    if (!listing.ended) {
        cancel_calls(&listing);
        return complain_lost(control, r);
    }
    if (listing.error) {
        cli_complain(control->command, "the server could not list the queue: %s",
                     strerror(-listing.error));
        return CLI_BAD_NEWS;
    }
    return CLI_OK;
}
