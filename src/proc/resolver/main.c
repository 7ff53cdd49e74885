/*
 * resolver: asks the DNS and validates the answers. The only process that speaks with name servers;
 * it must never see mail. It reads no file but the trust anchor that the supervisor hands it open.
 */
#include "base/log.h"
#include "conf/anchor.h"
#include "conf/file.h"
#include "proc/resolver/sandbox.h"
#include "proc/resolver/service.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

struct resolver {
    struct process process;
    struct buffer anchor, coming_anchor; /* texts */
    bool lacks_anchor;                   /* there was no memory for the coming one */
    struct ub_ctx *library;
    const char *why_not;
    struct service service;
};

static struct resolver *resolver_of(struct process *process)
{
    return CONTAINER_OF(process, struct resolver, process);
}

static int configure(struct process *process, struct span part)
{
    struct resolver *r = resolver_of(process);

    r->coming_anchor.limit = ANCHOR_MAX;
    buffer_clear(&r->coming_anchor);
    r->lacks_anchor = false;
    return 0;
}

/* One that can't be read stays empty, or cut short; an empty one can't be used. */
static int file(struct process *process, struct span name, int fd)
{
    struct resolver *r = resolver_of(process);
    struct conf_problems problems;

    conf_problems_init(&problems);
    int error = conf_file_read_fd(fd, name, &problems, &r->coming_anchor);
    if (error < 0)
        log_error("the trust anchor " SPAN_FMT " can't be read: %s", SPAN_ARG(name),
                  strerror(-error));
    r->lacks_anchor = error == -ENOMEM;
    conf_problems_done(&problems);
    close(fd);
    return 0;
}

/* 0 also when it failed: the process then answers each question with the reason, and mail waits. To
 * end would only be started again, over and over. */
static int start_library(void *arg)
{
    struct resolver *r = arg;

    if (r->library)
        r->why_not = library_start(r->library);
    if (r->library && r->why_not) {
        ub_ctx_delete(r->library);
        r->library = NULL;
    }
    return 0;
}

static int start(struct process *process)
{
    struct resolver *r = resolver_of(process);
    const struct conf_resolver *conf = process->coming;

    r->anchor = r->coming_anchor;
    r->coming_anchor = BUFFER_INIT;
    process->start_error = r->lacks_anchor ? -ENOMEM : 0;
    r->library = library_open(conf, buffer_span(&r->anchor), &r->why_not);
    resolver_sandbox_enter(process, start_library, r);
    if (r->library)
        log_info("%s, %s",
                 conf->server_count ? "asks the configured servers" : "asks from the root",
                 conf->trust_anchor.size ? "validates" : "doesn't validate: no trust anchor");
    return service_init(&r->service, process->loop, r->library, r->why_not);
}

static bool is_the_same(const struct conf_resolver *a, const struct conf_resolver *b)
{
    return a->server_count == b->server_count &&
           (a->server_count == 0 ||
            memcmp(a->servers, b->servers, a->server_count * sizeof(*a->servers)) == 0) &&
           span_equal(a->trust_anchor, b->trust_anchor);
}

/* libunbound can't be set up again inside the sandbox, so with other settings a new process must do
 * it: the supervisor starts one when this one ends. An anchor's file that was just being written
 * when it was opened must not end one that works. */
static int reload(struct process *process)
{
    struct resolver *r = resolver_of(process);
    const struct conf_resolver *coming = process->coming;

    int bad = coming->trust_anchor.size ? anchor_check(buffer_span(&r->coming_anchor)) : 0;
    if (r->lacks_anchor)
        bad = -ENOMEM;
    if (bad < 0)
        return bad;
    if (!is_the_same(process->conf, process->coming) ||
        !span_equal(buffer_span(&r->anchor), buffer_span(&r->coming_anchor))) {
        log_info("`resolver` has changed: starting again");
        process_exit(process, 0);
    }
    return 0;
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    return service_connect(&resolver_of(process)->service, kind, index, fd);
}

static void status(struct process *process, struct buffer *json)
{
    const struct service *s = &resolver_of(process)->service;

    buffer_printf(json,
                  "\"usable\":%s,\"questions\":%" PRIu64 ",\"waiting\":%" PRIu64
                  ",\"failed\":%" PRIu64 ",\"late\":%" PRIu64 ",\"bogus\":%" PRIu64
                  ",\"forgotten\":%" PRIu64,
                  s->library ? "true" : "false", s->question_count, s->open_count, s->failed_count,
                  s->late_count, s->bogus_count, s->forgotten_count);
}

static const struct process_spec spec = {
    .name = "resolver",
    .part = &conf_resolver_codec,
    .configure = configure,
    .file = file,
    .start = start,
    .reload = reload,
    .peer = peer,
    .status = status,
};

int main(void)
{
    static struct resolver resolver;
    return process_main(&resolver.process, &spec);
}
