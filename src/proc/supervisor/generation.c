/*
 * A new configuration is read, checked and its sockets bound before anything of the old one is let
 * go: whatever fails on the way, the old one is in force as it was.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include "people/people.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void append_problems(struct conf_problems *problems, struct buffer *out)
{
    conf_problems_sort(problems);
    for (size_t i = 0; i < problems->count; i++) {
        conf_problem_format(&problems->items[i], out);
        buffer_append_byte(out, '\n');
    }
}

/* `with_people`: the users and aliases files are checked too. At the start they are not: without
 * them the directory defers mail, which is better than no server at all. */
static int load(const char *file, bool with_people, struct conf *out, struct buffer *text)
{
    struct conf_problems problems;

    conf_problems_init(&problems);
    int r = conf_load(file, &problems, out);
    if (r == 0 && with_people)
        r = people_check_files(out, &problems);
    if (r < 0)
        conf_done(out);
    append_problems(&problems, text);
    conf_problems_done(&problems);
    return r;
}

/* What a running server can't change. */
static void warn_of_fixed(const struct conf *now, const struct conf *then, struct buffer *out)
{
    if (!span_equal(now->spool, then->spool) || !span_equal(now->ledger, then->ledger) ||
        !span_equal(now->control, then->control))
        buffer_printf(out, "warning: a new place for spool, ledger or control counts from the next "
                           "start on\n");
}

/* Bound first, then the old ones are closed: a socket that both name is taken over, so no client
 * finds its port shut. */
static int use(struct supervisor *s, struct conf *conf, struct buffer *text)
{
    struct listener *listeners;

    int r = folders_prepare(conf);
    if (r == 0)
        r = listeners_open(conf, s->listeners, &listeners);
    if (r < 0) {
        buffer_printf(text,
                      "the sockets or folders of this configuration can't be had: %s; the "
                      "log says which\n",
                      strerror(-r));
        return r;
    }
    listeners_close(s->listeners, listeners);
    s->listeners = listeners;
    conf_done(&s->conf);
    s->conf = *conf;
    s->generation++;
    return 0;
}

void generation_first(struct supervisor *s)
{
    struct buffer text = BUFFER_INIT;
    struct conf conf = {0};
    int r = load(s->config_file, false, &conf, &text);

    if (text.size)
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buffer_span(&text)));
    if (r < 0)
        log_fatal("%s: can't be used; postbuch check-config shows the same", s->config_file);
    buffer_clear(&text);
    if (use(s, &conf, &text) < 0)
        log_fatal("can't start");
    buffer_done(&text);
}

int generation_reload(struct supervisor *s, struct buffer *out_text)
{
    struct conf conf = {0};
    int r = load(s->config_file, true, &conf, out_text);

    if (r == 0) {
        warn_of_fixed(&s->conf, &conf, out_text);
        r = use(s, &conf, out_text);
        if (r < 0)
            conf_done(&conf);
    }
    if (r < 0) {
        log_error("reload: the new configuration has errors, the old one stays");
        return -EINVAL;
    }
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        if (child->channel && !child->stopping && part_send(child) < 0) {
            child->ready = false;
            kill(child->pid, SIGKILL); /* it starts again with the new one */
        }
    }
    log_info("reload: generation %llu is in force", (unsigned long long)s->generation);
    return 0;
}
