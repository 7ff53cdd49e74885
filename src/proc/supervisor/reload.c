#include "proc/supervisor/supervisor.h"

#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 10000, TEXT_BYTES = 60000 };

/* One `postbuch reload` under way. Its answer goes out when every process has taken the generation
 * or said that it can't, so that who asked can count on it; one that hangs is not waited for. */
struct reload {
    struct reload *next;
    struct supervisor *supervisor;
    struct asker asker;
    struct buffer text;
    struct io_timer *patience;
    bool was_ready[CHILDREN_MAX]; /* before it */
    bool kept;                    /* a setting waits for a restart */
};

static bool has_taken(const struct child *child)
{
    return !child->untaken && (child->ready || child->stopping); /* else it starts with it */
}

/* True when a process works by the old one, or one that was ready is not so by the new one. Who was
 * just starting then isn't held against it. */
static bool name_if_not(struct reload *r, size_t i)
{
    const struct child *child = &r->supervisor->children[i];
    const char *name = ipc_peer_name(child->kind->peer);
    int old = child->unsent ? child->unsent : child->kept;

    if (child->ready && child->untaken)
        buffer_printf(&r->text, "%s[%d] has not taken it yet\n", name, child->pid);
    else if (!has_taken(child) && r->was_ready[i])
        buffer_printf(&r->text, "%s has not started with it yet; the log has more\n", name);
    else if (!has_taken(child))
        buffer_printf(&r->text, "warning: %s is still starting with it\n", name);
    else if (old)
        buffer_printf(&r->text, "%s[%d] %s: %s; the log has more\n", name, child->pid,
                      child->has_one ? "goes on with the old one"
                                     : "couldn't take it, and has no old one",
                      strerror(-old));
    return child->ready ? child->untaken || old : r->was_ready[i] && !child->stopping;
}

static bool name_who_has_not(struct reload *r)
{
    bool any = false;

    for (size_t i = 0; i < r->supervisor->child_count; i++)
        any |= name_if_not(r, i);
    return any;
}

static void answer(struct reload *r, bool done)
{
    bool partly = done && (name_who_has_not(r) || r->kept);
    struct ipc_message reply = {
        .type = IPC_RELOADED,
        .reloaded = {.done = done, .partly = partly, .text = buffer_span(&r->text)}};

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
    answer(r, true);
}

static bool is_taken_by_all(const struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++)
        if (!has_taken(&s->children[i]))
            return false;
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
    for (size_t i = 0; i < s->child_count; i++)
        r->was_ready[i] = s->children[i].ready;
    if (io_timer_new(s->loop, on_patience_over, r, &r->patience) == 0)
        return r;
    free(r);
    return NULL;
}

/* The patience begins when all were told. Reading took its time, seconds for a million users, and
 * a timer counts from the beginning of the loop's turn. */
static void await_all(struct reload *r, int64_t reading_ms)
{
    struct supervisor *s = r->supervisor;

    if (io_timer_set(r->patience, reading_ms + PATIENCE_MS) < 0) {
        answer(r, true);
        return;
    }
    r->next = s->reloads;
    s->reloads = r;
    reload_look(s);
}

void reload_begin(struct supervisor *s, const struct asker *asker)
{
    struct reload *r = reload_new(s, asker);
    int64_t begun_ms = clock_monotonic_ms();

    if (!r) {
        struct ipc_message none = {.type = IPC_RELOADED, .reloaded.text = SPAN("no memory\n")};
        asker_answer(asker, &none);
    } else if (generation_reload(s, &r->text, &r->kept) < 0) {
        answer(r, false);
    } else {
        await_all(r, clock_monotonic_ms() - begun_ms);
    }
}
