/*
 * directory: knows who receives mail here, decides on clients and recipients, and counts what each
 * client takes over all smtpd. It reads no files but the open ones that the supervisor hands it,
 * and must never see the network.
 */
#include "base/log.h"
#include "proc/directory/sandbox.h"
#include "proc/directory/service.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

struct directory {
    struct process process;
    struct generation generations[2];
    struct generation *coming, *in_force;
    struct service service;
};

static struct directory *directory_of(struct process *process)
{
    return CONTAINER_OF(process, struct directory, process);
}

static int configure(struct process *process, struct span part)
{
    struct directory *d = directory_of(process);

    d->coming = &d->generations[d->in_force == &d->generations[0]];
    return generation_begin(d->coming, part);
}

static int file(struct process *process, struct span name, int fd)
{
    return generation_add_file(directory_of(process)->coming, name, fd);
}

static void use_coming(struct directory *d)
{
    d->in_force = d->coming;
    service_use(&d->service, d->in_force);
    const struct people *people = d->in_force->people;
    if (!people)
        return;
    log_info("generation %" PRIu64 ": %zu users, %zu aliases", d->in_force->conf.generation,
             people_user_count(people), people_alias_count(people));
    if (people_unsure_count(people))
        log_error("ALARM: names of %zu domain(s) that aren't known are deferred until the next "
                  "reload, as a users file is empty",
                  people_unsure_count(people));
}

static void say_unusable(int error)
{
    log_error("ALARM: users and aliases can't be used (%s): all mail is deferred until %s",
              strerror(-error),
              error == -ENOMEM ? "there is memory for them, or the next reload"
                               : "the next reload");
}

/* With errors in its files it starts nevertheless and defers all mail: a recipient must not be
 * called unknown because of somebody else's typing error. */
static int start(struct process *process)
{
    struct directory *d = directory_of(process);
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        log_warn("no random numbers: limits could be made slow by chosen addresses");
    service_init(&d->service, process->loop, seed);
    if (ticket_prepare() < 0)
        return -ENOMEM;
    int r = generation_finish(d->coming);
    if (r < 0)
        say_unusable(r);
    process->start_error = r;
    use_coming(d);
    directory_sandbox_enter(process);
    return 0;
}

static int reload(struct process *process)
{
    struct directory *d = directory_of(process);
    struct generation *old = d->in_force;
    int r = generation_finish(d->coming);

    if (r < 0) {
        generation_done(d->coming);
        return r;
    }
    use_coming(d);
    generation_done(old);
    return 0;
}

static void give_up(struct process *process)
{
    generation_done(directory_of(process)->coming);
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    return service_connect(&directory_of(process)->service, kind, index, fd);
}

static bool has_peers(const struct process *process)
{
    const struct directory *directory = CONTAINER_OF(process, struct directory, process);

    return directory->service.queue;
}

static void status(struct process *process, struct buffer *json)
{
    const struct directory *d = directory_of(process);
    const struct people *people = d->in_force->people;

    buffer_printf(json,
                  "\"generation\":%" PRIu64 ",\"usable\":%s,\"users\":%zu,\"aliases\":%zu"
                  ",\"unsure_domains\":%zu,\"clients\":%" PRIu64 ",\"clients_deferred\":%" PRIu64
                  ",\"recipients\":%" PRIu64 ",\"recipients_refused\":%" PRIu64,
                  d->in_force->conf.generation, people ? "true" : "false",
                  people ? people_user_count(people) : 0, people ? people_alias_count(people) : 0,
                  people ? people_unsure_count(people) : 0, d->service.client_count,
                  d->service.deferred_client_count, d->service.recipient_count,
                  d->service.refused_recipient_count);
}

static const struct process_spec spec = {
    .name = "directory",
    .configure = configure,
    .file = file,
    .start = start,
    .reload = reload,
    .give_up = give_up,
    .peer = peer,
    .has_peers = has_peers,
    .status = status,
};

int main(void)
{
    static struct directory directory;
    return process_main(&directory.process, &spec);
}
