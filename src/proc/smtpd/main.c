/*
 * smtpd: speaks SMTP with strangers, asks the directory about them and their recipients, and hands
 * whole messages to the queue. It opens nothing and connects to nobody.
 */
#include "proc/smtpd/life.h"
#include "proc/smtpd/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

static struct smtpd *smtpd_of(struct process *process)
{
    return CONTAINER_OF(process, struct smtpd, process);
}

static void give_up(struct process *process)
{
    struct smtpd *smtpd = smtpd_of(process);

    smtpd_generation_unref(smtpd->coming);
    smtpd->coming = NULL;
}

static int configure(struct process *process, struct span part)
{
    struct smtpd *smtpd = smtpd_of(process);

    give_up(process);
    return smtpd_generation_new(smtpd, part, &smtpd->coming);
}

static int listener(struct process *process, struct span name, struct span service, int fd)
{
    struct smtpd *smtpd = smtpd_of(process);

    if (smtpd->coming)
        return smtpd_listener_add(smtpd->coming, name, service, fd);
    close(fd);
    return -EINVAL;
}

static int start(struct process *process)
{
    struct smtpd *smtpd = smtpd_of(process);
    int r = smtpd_init(smtpd);

    if (r < 0)
        return r;
    smtpd_sandbox_enter(process);
    smtpd_use_coming(smtpd);
    return 0;
}

static int reload(struct process *process)
{
    smtpd_use_coming(smtpd_of(process));
    return 0;
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    return smtpd_connect(smtpd_of(process), kind, fd);
}

static bool has_peers(const struct process *process)
{
    const struct smtpd *smtpd = CONTAINER_OF(process, struct smtpd, process);

    return smtpd->queue && smtpd->directory;
}

static void shut_down(struct process *process)
{
    smtpd_end(smtpd_of(process));
}

static void status(struct process *process, struct buffer *json)
{
    const struct smtpd *smtpd = smtpd_of(process);

    buffer_printf(json,
                  "\"generation\":%" PRIu64 ",\"sessions\":%u,\"sessions_accepted\":%" PRIu64
                  ",\"messages_accepted\":%" PRIu64 ",\"refusals\":%" PRIu64
                  ",\"deferring\":%s,\"full\":%s",
                  smtpd->in_force->conf.generation, smtpd->session_count, smtpd->accepted_sessions,
                  smtpd->accepted_messages, smtpd->refusal_count,
                  smtpd->pressure ? "true" : "false", smtpd_is_full(smtpd) ? "true" : "false");
}

static const struct process_spec spec = {
    .name = "smtpd",
    .configure = configure,
    .listener = listener,
    .start = start,
    .reload = reload,
    .give_up = give_up,
    .peer = peer,
    .has_peers = has_peers,
    .shutdown = shut_down,
    .status = status,
};

int main(void)
{
    static struct smtpd smtpd;
    return process_main(&smtpd.process, &spec);
}
