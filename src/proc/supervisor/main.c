/* postbuch's supervisor; `postbuch serve` runs it. See supervisor.h. */
#include "proc/supervisor/supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include "people/people.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STOP_PHASE_MS = 10000, /* who has not ended by then is killed */
    SLOT_BITS = 6,         /* of an id's origin: which process; the others: which node */
};

/* ---- configuration ---- */

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

int supervisor_reload(struct supervisor *s, struct buffer *out_text)
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
        if (child->channel && !child->stopping && part_send(child) < 0)
            kill(child->pid, SIGKILL); /* it starts again with the new one */
    }
    log_info("reload: generation %llu is in force", (unsigned long long)s->generation);
    return 0;
}

/* ---- readiness ---- */

/* systemd's protocol: one datagram to the socket that $NOTIFY_SOCKET names (sd_notify(3)). */
static void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        log_warn("can't tell systemd \"%s\": %m", state);
    close(fd);
}

void supervisor_child_ready(struct supervisor *s)
{
    if (s->announced || s->stopping)
        return;
    for (size_t i = 0; i < s->child_count; i++)
        if (!s->children[i].ready)
            return;
    s->announced = true;
    for (const struct listener *l = s->listeners; l; l = l->next)
        log_info("listening: %s on %s", l->name, l->address);
    log_info("ready");
    notify_systemd("READY=1");
    drop_watch(s);
}

/* ---- end ---- */

/* Stops the processes phase by phase: who takes mail first, who keeps it last. */
static void stop_next(struct supervisor *s)
{
    for (; s->stop_phase < STOP_PHASES; s->stop_phase++) {
        bool running = false;
        for (size_t i = 0; i < s->child_count; i++) {
            struct child *child = &s->children[i];
            if (child->kind->stop_phase != s->stop_phase)
                continue;
            if (!child->stopping)
                child_stop(child);
            running |= child_is_running(child);
        }
        if (running) {
            io_timer_set(s->stop_timer, STOP_PHASE_MS);
            return;
        }
    }
    io_loop_stop(s->loop);
}

static void on_stop_timeout(void *arg)
{
    struct supervisor *s = arg;

    for (size_t i = 0; i < s->child_count; i++) {
        struct child *child = &s->children[i];
        if (child->stopping && child_is_running(child)) {
            log_error("%s[%d] doesn't end, killing it", ipc_peer_name(child->kind->peer),
                      child->pid);
            kill(child->pid, SIGKILL);
        }
    }
}

static void on_stop_signal(void *arg)
{
    struct supervisor *s = arg;

    if (s->stopping)
        return;
    log_info("stopping");
    notify_systemd("STOPPING=1");
    s->stopping = true;
    stop_next(s);
}

void supervisor_child_ended(struct supervisor *s)
{
    if (s->stopping)
        stop_next(s);
}

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
}

static void on_reload_signal(void *arg)
{
    struct buffer text = BUFFER_INIT;

    supervisor_reload(arg, &text);
    struct span rest = buffer_span(&text);
    while (rest.size) {
        ptrdiff_t end = span_find(rest, '\n');
        struct span line = span_first(rest, end < 0 ? rest.size : (size_t)end);
        log_info("reload: " SPAN_FMT, SPAN_ARG(line));
        rest = span_from(rest, line.size + (end >= 0));
    }
    buffer_done(&text);
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
        io_signal_new(s->loop, SIGHUP, on_reload_signal, s, &watches[3]) < 0 ||
        io_timer_new(s->loop, on_stop_timeout, s, &s->stop_timer) < 0)
        log_fatal("no memory");
    signal(SIGPIPE, SIG_IGN);
}

static void start(struct supervisor *s)
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
    if (geteuid() != 0)
        log_warn("started as an ordinary user: all processes run as this user, still sandboxed");
    make_children(s);
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
