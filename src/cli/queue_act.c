/*
 * Acts of an administrator on what waits (hold, release, return, remove, reroute, …): the question
 * before one that can't be taken back, the act itself in pieces, and its result. The server does a
 * bounded piece a call; the next call is the client's, so that one who went away stops what he
 * began.
 */
#include "cli/queue_act.h"

#include "cli/cli.h"
#include <ctype.h>
#include <errno.h>
#include <unistd.h>

/* ---- progress, on a terminal ---- */

static void print_progress(const struct ipc_queue_acted *acted)
{
    fprintf(stderr, "\r%llu of %llu messages looked at, %u recipient%s",
            (unsigned long long)acted->examined, (unsigned long long)acted->messages, acted->count,
            acted->count == 1 ? "" : "s");
    if (acted->last)
        fputc('\n', stderr);
    fflush(stderr);
}

struct work {
    struct ipc_queue_acted acted; /* without its text */
    char text[IPC_QUEUE_WHY_MAX];
    bool shows;
};

static void on_acted(void *arg, const struct ipc_message *reply)
{
    struct work *w = arg;
    bool began = !reply->queue_acted.last || w->acted.examined;

    w->acted = reply->queue_acted;
    snprintf(w->text, sizeof(w->text), SPAN_FMT, SPAN_ARG(w->acted.text));
    if (w->shows && began)
        print_progress(&w->acted);
}

/* The answer's texts are borrowed, so they are copied in on_acted(). */
static int run(struct cli_control *control, const struct ipc_queue_act *act, struct work *w)
{
    const struct ipc_message ask = {.type = IPC_QUEUE_ACT, .queue_act = *act};
    const struct ipc_message more = {.type = IPC_QUEUE_ACT_MORE};

    *w = (struct work){.shows = isatty(STDERR_FILENO)};
    int code = cli_control_ask(control, &ask, on_acted, w);
    while (code == CLI_OK && !w->acted.last)
        code = cli_control_ask(control, &more, on_acted, w);
    return code;
}

/* ---- the question ---- */

/* What can be undone (hold, release, retry) isn't asked about, nor what names its message. */
static bool is_asked_before(const struct ipc_queue_act *act)
{
    return id_is_zero(&act->filter.id) &&
           (act->act == IPC_ACT_RETURN || act->act == IPC_ACT_REMOVE ||
            act->act == IPC_ACT_REROUTE);
}

/* What is no trouble, but to be known. */
static bool has_note(const struct work *w)
{
    return !w->acted.error && w->text[0];
}

/* The count comes from a dry run. Between it and the act more may have come; then more is done
 * than was said, but only what fits the words of the command. When it found nobody, that is the
 * result (`out`): the act would look again, and might find some whom nobody was asked about.
 * CLI_OK: `out_go` tells whether to go on. */
static int ask(struct cli_control *control, const struct queue_act_wish *wish, struct work *out,
               bool *out_go)
{
    struct ipc_queue_act dry = wish->act;

    *out_go = true;
    if (wish->yes || !is_asked_before(&wish->act))
        return CLI_OK;
    if (!isatty(STDIN_FILENO)) {
        cli_complain("queue", "%s needs an ID, or --yes when nobody can be asked", wish->name);
        return CLI_USAGE;
    }
    dry.dry = true;
    int code = run(control, &dry, out);
    *out_go = code == CLI_OK && out->acted.count > 0;
    if (*out_go && has_note(out))
        cli_complain("queue", "%s", out->text);
    if (*out_go &&
        !cli_says_yes("%c%s %u recipient%s", toupper((unsigned char)wish->name[0]), wish->name + 1,
                      out->acted.count, out->acted.count == 1 ? "" : "s"))
        code = CLI_BAD_NEWS;
    return code;
}

/* ---- the result ---- */

static const char *error_text(const struct work *w)
{
    if (w->text[0])
        return w->text;
    return w->acted.error == -ENOENT ? "nothing that waits fits"
           : w->acted.error == -EBUSY
               ? "they are being attempted, or their senders told of them, just now"
               : strerror(-w->acted.error);
}

static void print_json(const struct queue_act_wish *wish, const struct work *w)
{
    json_t *error = w->acted.error ? json_string(error_text(w)) : json_null();
    json_t *note = has_note(w) ? json_string(w->text) : json_null();

    cli_json_print(json_pack("{s:s, s:I, s:I, s:o, s:o}", "act", wish->name, "recipients",
                             (json_int_t)w->acted.count, "under_way", (json_int_t)w->acted.busy,
                             "error", error, "note", note),
                   2);
    putchar('\n');
}

static void print_text(const struct work *w)
{
    const struct ipc_queue_acted *acted = &w->acted;

    if (acted->count)
        printf("%u recipient%s\n", acted->count, acted->count == 1 ? "" : "s");
    if (acted->busy)
        cli_complain("queue", "%u%s %s busy just now and left alone; ask again later", acted->busy,
                     acted->count ? " more" : "", acted->busy == 1 ? "is" : "are");
    if (has_note(w) || (acted->error && acted->error != -EBUSY))
        cli_complain("queue", "%s", error_text(w));
}

int queue_act(struct cli_control *control, const struct queue_act_wish *wish)
{
    struct work w;
    bool go;
    int code = ask(control, wish, &w, &go);

    if (code == CLI_OK && go)
        code = run(control, &wish->act, &w);
    if (code != CLI_OK)
        return code;
    if (wish->json)
        print_json(wish, &w);
    else
        print_text(&w);
    return w.acted.error || w.acted.busy ? CLI_BAD_NEWS : CLI_OK;
}
