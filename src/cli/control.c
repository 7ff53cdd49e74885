#include "cli/control.h"

#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct cli_control {
    const char *command;
    struct io_loop *loop;
    struct ipc_channel *channel;
    struct ipc_call call;
    void (*reply)(void *arg, const struct ipc_message *reply);
    void *arg;
    bool answered;
};

static int complain_connect(const char *command, const char *path, int error)
{
    if (error == EACCES)
        cli_complain(command, "%s: only root and the server's user may talk to the server", path);
    else if (error == ENOENT || error == ECONNREFUSED)
        cli_complain(command, "the server isn't running (%s: %s)", path, strerror(error));
    else
        cli_complain(command, "can't reach the server at %s: %s", path, strerror(error));
    return CLI_UNREACHED;
}

int cli_control_connect(const char *path, int *out_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        close(fd);
        return error;
    }
    *out_fd = fd;
    return 0;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct cli_control *control = owner;
    io_loop_stop(control->loop);
}

static const struct ipc_role server_role = {.peer_name = "the server", .lost = on_lost};

int cli_control_open(const char *command, const char *path, struct cli_control **out)
{
    int fd = -1, error = cli_control_connect(path, &fd);

    if (error)
        return complain_connect(command, path, error);
    struct cli_control *control = calloc(1, sizeof(*control));
    int r = control ? io_loop_new(&control->loop) : -ENOMEM;
    if (r == 0)
        r = ipc_channel_new(control->loop, fd, &server_role, control, &control->channel);
    if (r < 0) {
        close(fd);
        cli_control_close(control);
        return complain_connect(command, path, -r);
    }
    control->command = command;
    *out = control;
    return CLI_OK;
}

void cli_control_close(struct cli_control *control)
{
    if (!control)
        return;
    ipc_channel_free(control->channel);
    io_loop_free(control->loop);
    free(control);
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct cli_control *control = CONTAINER_OF(call, struct cli_control, call);

    if (reply) {
        control->answered = true;
        control->reply(control->arg, reply);
    }
    io_loop_stop(control->loop);
}

int cli_control_ask(struct cli_control *control, const struct ipc_message *request,
                    void (*reply)(void *arg, const struct ipc_message *reply), void *arg)
{
    control->reply = reply;
    control->arg = arg;
    control->answered = false;
    control->call.fn = on_reply;
    int r = ipc_call(control->channel, &control->call, request);
    if (r == 0)
        r = io_loop_run(control->loop);
    if (control->answered)
        return CLI_OK;
    cli_complain(control->command, "the server went away before it answered%s%s%s", r ? ": " : "",
                 r ? strerror(-r) : "",
                 geteuid() ? "; only root and the user that its queue runs as may ask it" : "");
    return CLI_UNREACHED;
}

struct listing {
    bool (*page)(void *arg, const struct ipc_queue_page *page);
    void *arg;
    int error;
    bool ended;
};

static void on_page(void *arg, const struct ipc_message *reply)
{
    struct listing *listing = arg;
    const struct ipc_queue_page *page = &reply->queue_page;

    listing->error = page->error;
    listing->ended = page->error || page->last;
    if (!page->error && !listing->page(listing->arg, page))
        listing->ended = true;
}

int cli_control_list(struct cli_control *control, const struct ipc_queue_filter *filter,
                     bool (*page)(void *arg, const struct ipc_queue_page *page), void *arg)
{
    struct listing listing = {.page = page, .arg = arg};
    struct ipc_message ask = {.type = IPC_QUEUE_LIST, .queue_filter = *filter};
    int code = cli_control_ask(control, &ask, on_page, &listing);

    while (code == CLI_OK && !listing.ended) {
        struct ipc_message more = {.type = IPC_QUEUE_MORE};
        code = cli_control_ask(control, &more, on_page, &listing);
    }
    if (code == CLI_OK && listing.error) {
        cli_complain(control->command, "the server could not list the queue: %s",
                     strerror(-listing.error));
        return CLI_BAD_NEWS;
    }
    return code;
}
