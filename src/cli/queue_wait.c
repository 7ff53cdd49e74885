#include "cli/queue_wait.h"

#include "base/clock.h"

enum { DURATION_SIZE = 32 };

static const struct {
    const char *name; /* in JSON */
    const char *text; /* "waits for …" */
} waits[IPC_WAIT_COUNT] = {
    [IPC_WAIT_TURN] = {"turn", "its turn"},
    [IPC_WAIT_PAUSE] = {"pause", "its next attempt"},
    [IPC_WAIT_DESTINATION] = {"destination", "the end of its destination's pause"},
    [IPC_WAIT_WINDOW] = {"window", "attempts under way to its destination"},
    [IPC_WAIT_OUTCOME] = {"outcome", "the outcome of the attempt under way"},
    [IPC_WAIT_RELEASE] = {"release", "an administrator who releases it"},
    [IPC_WAIT_OURS] = {"ours", "trouble of this server to end; it tries one again"},
    [IPC_WAIT_CARRIER] = {"carrier", "the process that carries it on, which isn't running"},
    [IPC_WAIT_RETURN] = {"return", "the report to its sender"},
};

const char *queue_wait_name(uint8_t wait)
{
    return wait < IPC_WAIT_COUNT ? waits[wait].name : "unknown";
}

void queue_format_wait_only(const struct ipc_queue_row *row, int64_t now_us, struct buffer *out)
{
    char pause[DURATION_SIZE];

    buffer_append_span(
        out, span_from_cstr(row->wait < IPC_WAIT_COUNT ? waits[row->wait].text : "(unknown)"));
    if (row->next_attempt_us > now_us) {
        clock_format_between(now_us, row->next_attempt_us, pause);
        buffer_append_span(out, SPAN(" in "));
        buffer_append_span(out, span_from_cstr(pause));
    }
}

void queue_format_wait(const struct ipc_queue_row *row, int64_t now_us, struct buffer *out)
{
    queue_format_wait_only(row, now_us, out);
    if (row->why.size) {
        buffer_append_span(out, SPAN(": "));
        buffer_append_span(out, row->why);
    }
}
