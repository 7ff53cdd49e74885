#include "proc/supervisor/supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 4000, /* the directory reads a million users in 2.5 s */
    FIGURES_BYTES = 64 * 1024 - 256 * CHILDREN_MAX, /* beside what is told of each child anyway */
};

/* One `postbuch status` under way: its answer goes out when the last child has told its figures, or
 * without those of a child that doesn't answer: it is asked for most when something hangs. */
struct gathering {
    struct supervisor *supervisor;
    struct io_timer *patience;
    struct asker asker;
    struct buffer json;
    bool any; /* processes are in it: the next needs a comma */
    size_t to_come;
    struct figures {
        struct ipc_call call;
        struct gathering *gathering;
        struct child *child;
    } figures[CHILDREN_MAX];
};

/* As a string in the string `json`: a process that was taken over tells nothing about others, and
 * what it says may not even be JSON. Its figures are ASCII. */
static int append_quoted(struct buffer *json, struct span own)
{
    size_t start = json->size;

    buffer_append_byte(json, '"');
    for (size_t i = 0; i < own.size; i++) {
        if (own.data[i] < ' ' || own.data[i] > '~') {
            json->size = start;
            return -EBADMSG;
        }
        if (own.data[i] == '"' || own.data[i] == '\\')
            buffer_append_byte(json, '\\');
        buffer_append_byte(json, own.data[i]);
    }
    buffer_append_byte(json, '"');
    return 0;
}

/* `own` NULL: it didn't answer. One that has told nothing readable is still alive. */
static void append_child(struct gathering *g, const struct child *child, const struct span *own)
{
    int64_t ms = io_loop_now_ms(g->supervisor->loop) - child->started_ms;

    buffer_printf(&g->json,
                  "%s{\"name\":\"%s\",\"index\":%u,\"pid\":%d,\"ready\":%s,\"starts\":%u,"
                  "\"running_ms\":%lld,\"answers\":%s,\"figures\":",
                  g->any ? "," : "", ipc_peer_name(child->kind->peer), child->index, child->pid,
                  child->ready ? "true" : "false", child->starts, (long long)(child->pid ? ms : 0),
                  own ? "true" : "false");
    g->any = true;
    if (!own || !own->size || g->json.size + 2 * own->size >= FIGURES_BYTES ||
        append_quoted(&g->json, *own) < 0)
        buffer_printf(&g->json, "null");
    buffer_append_byte(&g->json, '}');
}

static void finish(struct gathering *g)
{
    struct ipc_message reply = {.type = IPC_STATUS};

    buffer_printf(&g->json, "]}");
    if (buffer_error(&g->json) == 0)
        reply.status.json = buffer_span(&g->json);
    asker_answer(&g->asker, &reply);
    io_timer_free(g->patience);
    buffer_done(&g->json);
    free(g);
}

static void on_figures(struct ipc_call *call, const struct ipc_message *reply)
{
    struct figures *figures = CONTAINER_OF(call, struct figures, call);
    struct gathering *g = figures->gathering;

    append_child(g, figures->child, reply ? &reply->status.json : NULL);
    if (--g->to_come == 0)
        finish(g);
}

static void on_patience_over(void *arg)
{
    struct gathering *g = arg;

    for (size_t i = 0; i < g->supervisor->child_count; i++) {
        struct figures *figures = &g->figures[i];
        if (!ipc_call_is_pending(&figures->call))
            continue;
        ipc_call_cancel(&figures->call);
        append_child(g, figures->child, NULL);
    }
    finish(g);
}

static struct gathering *gathering_new(struct supervisor *s)
{
    struct gathering *g = calloc(1, sizeof(*g));

    if (g && (io_timer_new(s->loop, on_patience_over, g, &g->patience) < 0 ||
              io_timer_set(g->patience, PATIENCE_MS) < 0)) {
        io_timer_free(g->patience);
        free(g);
        g = NULL;
    }
    return g;
}

void status_gather(struct supervisor *s, const struct asker *asker)
{
    struct ipc_message ask = {.type = IPC_STATUS_ASK};
    struct gathering *g = gathering_new(s);
    char started[CLOCK_RFC3339_SIZE];

    if (!g) {
        struct ipc_message none = {.type = IPC_STATUS};
        asker_answer(asker, &none);
        return;
    }
    g->supervisor = s;
    g->asker = *asker;
    g->to_come = 1;
    clock_format_rfc3339(s->started_us, started);
    buffer_printf(&g->json,
                  "{\"version\":\"" POSTBUCH_VERSION "\",\"pid\":%d,\"generation\":%llu,"
                  "\"started\":\"%s\"",
                  (int)getpid(), (unsigned long long)s->generation, started);
    drop_status(s, &g->json);
    buffer_printf(&g->json, ",\"processes\":[");
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        g->figures[i] = (struct figures){.call.fn = on_figures, .gathering = g, .child = child};
        if (child->channel && ipc_call(child->channel, &g->figures[i].call, &ask) == 0)
            g->to_come++;
        else
            append_child(g, child, NULL);
    }
    if (--g->to_come == 0)
        finish(g);
}
