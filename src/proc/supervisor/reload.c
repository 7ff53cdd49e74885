#include "proc/supervisor/supervisor.h"

#include <stdlib.h>

enum { PATIENCE_MS = 4000, TEXT_BYTES = 60000 };

/* One `postbuch reload` under way. Its answer goes out when every process has taken the generation,
 * so that who asked can count on it; one that hangs is not waited for. */
struct reload {
    struct reload *next;
    struct supervisor *supervisor;
    struct asker asker;
    struct buffer text;
    struct io_timer *patience;
};

static void answer(struct reload *r, bool done)
{
    struct ipc_message reply = {.type = IPC_RELOADED,
                                .reloaded = {.done = done, .text = buffer_span(&r->text)}};

    asker_answer(&r->asker, &reply);
    io_timer_free(r->patience);
    buffer_done(&r->text);
    free(r);
}

static void take_out(struct reload *r)
{
    struct reload **at = &r->supervisor->reloads;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
}

static void on_patience_over(void *arg)
{
    struct reload *r = arg;

    take_out(r);
    buffer_printf(&r->text, "warning: not all processes have taken it yet\n");
    answer(r, true);
}

static bool is_taken_by_all(const struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        const struct child *child = &s->children[i];
        if (child->untaken || (!child->ready && !child->stopping)) /* it starts with it */
            return false;
    }
    return true;
}

void reload_look(struct supervisor *s)
{
    if (!s->reloads || !is_taken_by_all(s))
        return;
    for (struct reload *r; (r = s->reloads);) {
        s->reloads = r->next;
        answer(r, true);
    }
}

static struct reload *reload_new(struct supervisor *s, const struct asker *asker)
{
    struct reload *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    *r = (struct reload){.supervisor = s, .asker = *asker, .text = BUFFER_LIMITED(TEXT_BYTES)};
    if (io_timer_new(s->loop, on_patience_over, r, &r->patience) == 0 &&
        io_timer_set(r->patience, PATIENCE_MS) == 0)
        return r;
    io_timer_free(r->patience);
    free(r);
    return NULL;
}

void reload_begin(struct supervisor *s, const struct asker *asker)
{
    struct reload *r = reload_new(s, asker);

    if (!r) {
        struct ipc_message none = {.type = IPC_RELOADED, .reloaded.text = SPAN("no memory\n")};
        asker_answer(asker, &none);
    } else if (generation_reload(s, &r->text) < 0) {
        answer(r, false);
    } else {
        r->next = s->reloads;
        s->reloads = r;
        reload_look(s);
    }
}
