/*
 * mailbox: puts messages into local mailboxes. It takes jobs from the queue and nothing from anyone
 * else; it may touch the folders of the mailboxes and must never see the network.
 */
#include "base/log.h"
#include "proc/mailbox/jobs.h"
#include "proc/mailbox/sandbox.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* Streams of large messages shall not wait behind batches that sync. */
enum { STREAM_THREADS = 2 };

struct mailbox {
    struct process process;
    struct mailbox_roots roots;
    struct maildir maildir;
    struct io_pool *pool;
    struct jobs jobs;
};

static struct mailbox *mailbox_of(struct process *process)
{
    return CONTAINER_OF(process, struct mailbox, process);
}

static int start_threads(void *arg)
{
    struct mailbox *mailbox = arg;
    const struct conf_mailbox *part = mailbox->process.coming;
    return io_pool_new(mailbox->process.loop, part->threads + STREAM_THREADS, &mailbox->pool);
}

static void ended(void *owner)
{
    process_exit(owner, 0);
}

static void shut_down(struct process *process)
{
    jobs_end(&mailbox_of(process)->jobs, ended, process);
}

/* No folder of mailboxes can be opened behind the sandbox: the supervisor starts another process.
 */
static void start_anew(struct process *process, const char *why)
{
    log_info("%s: starting anew", why);
    process->ending = true;
    shut_down(process);
}

static void on_outdated(void *owner)
{
    start_anew(owner,
               "another folder of mailboxes is at the same path now, or one has come, or may "
               "be opened now");
}

static int start(struct process *process)
{
    struct mailbox *mailbox = mailbox_of(process);
    const struct conf_mailbox *part = process->coming;
    struct mailbox_domains *domains;

    if (part->threads == 0)
        return -EINVAL;
    int r = mailbox_domains_new(part, &mailbox->roots, &domains);
    if (r < 0)
        return r;
    mailbox_sandbox_enter(process, &mailbox->roots, start_threads, mailbox);
    maildir_init(&mailbox->maildir, part->hostname, part->quota, MAILDIR_FOLDERS_DEFAULT);
    r = jobs_init(&mailbox->jobs, process->loop, mailbox->pool, &mailbox->maildir, part->threads);
    mailbox->jobs.outdated = on_outdated;
    mailbox->jobs.owner = process;
    jobs_configure(&mailbox->jobs, domains);
    return r;
}

static bool has_peers(const struct process *process)
{
    const struct mailbox *mailbox = CONTAINER_OF(process, struct mailbox, process);

    return mailbox->jobs.queue;
}

static int reload(struct process *process)
{
    struct mailbox *mailbox = mailbox_of(process);
    const struct conf_mailbox *part = process->coming;
    struct mailbox_domains *domains;
    int r = mailbox_domains_new(part, &mailbox->roots, &domains);

    if (r == -ENOENT) {
        start_anew(process, "the configuration names another folder of mailboxes");
        return 0;
    }
    if (r < 0)
        return r;
    jobs_configure(&mailbox->jobs, domains);
    maildir_set_quota(&mailbox->maildir, part->quota);
    if (!jobs_are_stuck(&mailbox->jobs) && mailbox_domains_may_open_more(domains))
        start_anew(process, "a folder of mailboxes that couldn't be opened may have come");
    return 0;
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    if (kind == IPC_PEER_QUEUE && index == 0)
        return jobs_connect(&mailbox_of(process)->jobs, fd);
    close(fd);
    return -EINVAL;
}

static void status(struct process *process, struct buffer *json)
{
    const struct jobs *jobs = &mailbox_of(process)->jobs;

    buffer_printf(
        json, "\"jobs\":%zu,\"delivered\":%" PRIu64 ",\"deferred\":%" PRIu64 ",\"failed\":%" PRIu64,
        jobs->under_way, jobs->delivered, jobs->deferred, jobs->failed);
}

static const struct process_spec spec = {
    .name = "mailbox",
    .part = &conf_mailbox_codec,
    .start = start,
    .reload = reload,
    .peer = peer,
    .has_peers = has_peers,
    .shutdown = shut_down,
    .status = status,
};

int main(void)
{
    static struct mailbox mailbox;
    return process_main(&mailbox.process, &spec);
}
