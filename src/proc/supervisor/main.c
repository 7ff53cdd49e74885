/* postbuch's supervisor; `postbuch serve` runs it. See supervisor.h. */
#include "proc/supervisor/supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOT_BITS = 6 }; /* of an id's origin: which process; the others: which node */

/* ---- signals ---- */

static void on_child_signal(void *arg)
{
    struct supervisor *s = arg;
    int status, pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == s->collector_pid)
            drop_collector_ended(s, status);
        for (size_t i = 0; i < s->child_count; i++)
            if (s->children[i].pid == pid)
                child_ended(&s->children[i], status);
    }
    if (s->stopping)
        stop_go_on(s);
}

static void on_stop_signal(void *arg)
{
    stop_begin(arg);
}

static void on_reload_signal(void *arg)
{
    struct buffer text = BUFFER_INIT;
    bool kept;

    generation_reload(arg, &text, &kept);
    struct span rest = buffer_span(&text);
    for (struct span line; span_next_line(&rest, &line);)
        log_info("reload: " SPAN_FMT, SPAN_ARG(line));
    buffer_done(&text);
}

/* ---- rounds ---- */

static void on_round(void *arg)
{
    struct supervisor *s = arg;

    if (s->stopping)
        return;
    generation_round(s);
    watchdog_round(s);
    io_timer_set(s->round_timer, ROUND_MS);
}

/* 0 or -ENOMEM. */
static int rounds_init(struct supervisor *s)
{
    int r = io_timer_new(s->loop, on_round, s, &s->round_timer);

    return r < 0 ? r : io_timer_set(s->round_timer, ROUND_MS);
}

/* ---- start ---- */

static void on_restart(void *arg)
{
    struct child *child = arg;

    if (!child->stopping)
        child_start(child);
}

/* Which node an id came from: ten bits of a hash of the host's name (FNV-1a). */
static uint16_t node_bits(struct span hostname)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < hostname.size; i++)
        hash = (hash ^ (uint8_t)hostname.data[i]) * 16777619u;
    return (uint16_t)(((hash >> 16) ^ hash) << SLOT_BITS);
}

static void make_children(struct supervisor *s)
{
    uint16_t node = node_bits(s->conf.hostname);

    for (size_t k = 0; k < kind_count; k++) {
        for (unsigned i = 0; i < kind_processes(&kinds[k]); i++) {
            struct child *child = &s->children[s->child_count];
            *child = (struct child){.supervisor = s,
                                    .kind = &kinds[k],
                                    .index = i,
                                    .origin = (uint16_t)(node | s->child_count)};
            if (io_timer_new(s->loop, on_restart, child, &child->restart) < 0)
                log_fatal("no memory");
            s->child_count++;
        }
    }
}

/* For all processes, which inherit it: smtpd, smtp and mailbox have many open. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void watch_signals(struct supervisor *s, struct io_watch **watches)
{
    if (io_signal_new(s->loop, SIGCHLD, on_child_signal, s, &watches[0]) < 0 ||
        io_signal_new(s->loop, SIGTERM, on_stop_signal, s, &watches[1]) < 0 ||
        io_signal_new(s->loop, SIGINT, on_stop_signal, s, &watches[2]) < 0 ||
        io_signal_new(s->loop, SIGHUP, on_reload_signal, s, &watches[3]) < 0 || stop_init(s) < 0)
        log_fatal("no memory");
    signal(SIGPIPE, SIG_IGN);
}

static void start(struct supervisor *s)
{
    generation_first(s);
    log_never_wait(); /* not before: it may have a long list of errors to print */
    if (geteuid() != 0)
        log_warn("started as an ordinary user: all processes run as this user, still sandboxed");
    make_children(s);
    if (readiness_init(s) < 0 || rounds_init(s) < 0)
        log_fatal("no memory");
    for (size_t i = 0; i < s->child_count; i++)
        child_start(&s->children[i]);
}

static void parse_options(struct supervisor *s, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"libexec", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'c')
            s->config_file = optarg;
        else if (option == 'l')
            s->libexec = optarg;
        else
            exit(2);
    }
    if (!s->config_file || optind != argc) {
        fprintf(stderr, "usage: postbuch serve --config FILE\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct supervisor s;
    struct io_watch *watches[4];

    log_open("supervisor", getenv("POSTBUCH_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    parse_options(&s, argc, argv);
    raise_file_limit();
    umask(022);
    s.started_us = clock_wall_us();
    if (io_loop_new(&s.loop) < 0)
        log_fatal("no memory");
    watch_signals(&s, watches);
    start(&s);
    int r = io_loop_run(s.loop);
    listeners_close(s.listeners, NULL);
    log_info("stopped");
    return r < 0 ? 1 : 0;
}
