/*
 * The table of processes: what each is, who it becomes and what it gets. Nothing else in the
 * supervisor knows them by name.
 */
#include "proc/supervisor/supervisor.h"

#include <errno.h>
#include <unistd.h>

enum { PER_CORE_MAX = 16 };

static unsigned per_core_processes(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > PER_CORE_MAX ? PER_CORE_MAX : (unsigned)cores;
}

static int cut_smtp(const struct conf *conf, uint64_t generation, struct arena *arena,
                    struct conf_smtp *out)
{
    int r = conf_cut_smtp(conf, generation, arena, out);

    return r < 0 ? r : own_addresses(out, arena);
}

/* A part's cut is encoded at once: what it borrows from the arena need not outlive the call. */
#define DEFINE_PART(name, cut_call)                                                                \
    static int name##_part(const struct conf *conf, uint64_t generation, uint32_t uid,             \
                           uint32_t gid, struct buffer *out)                                       \
    {                                                                                              \
        struct arena arena = ARENA_INIT;                                                           \
        struct conf_##name part = {0};                                                             \
        int r = cut_call;                                                                          \
        if (r == 0)                                                                                \
            r = codec_encode(&conf_##name##_codec, &part, out);                                    \
        arena_done(&arena);                                                                        \
        return r;                                                                                  \
    }

DEFINE_PART(smtpd, conf_cut_smtpd(conf, generation, per_core_processes(), &arena, &part))
DEFINE_PART(queue, conf_cut_queue(conf, generation, &arena, &part))
DEFINE_PART(book, conf_cut_book(conf, generation, &part))
DEFINE_PART(directory, conf_cut_directory(conf, generation, &arena, &part))
DEFINE_PART(mailbox, conf_cut_mailbox(conf, generation, uid, gid, &arena, &part))

DEFINE_PART(smtp, cut_smtp(conf, generation, &arena, &part))
DEFINE_PART(resolver, conf_cut_resolver(conf, generation, &part))

/* Each users and aliases file once. */
static int directory_files(const struct conf *conf, struct arena *arena, struct conf_file **out,
                           size_t *out_count)
{
    struct conf_directory part = {0};
    int r = conf_cut_directory(conf, 0, arena, &part);

    *out = part.files;
    *out_count = part.file_count;
    return r;
}

static int resolver_files(const struct conf *conf, struct arena *arena, struct conf_file **out,
                          size_t *out_count)
{
    *out = arena_alloc(arena, sizeof(**out));
    if (!*out)
        return -ENOMEM;
    (*out)->name = conf->resolver.trust_anchor;
    *out_count = conf->resolver.trust_anchor.size ? 1 : 0;
    return 0;
}

/* All that a report needs comes with the question. */
static int report_part(const struct conf *conf, uint64_t generation, uint32_t uid, uint32_t gid,
                       struct buffer *out)
{
    return 0;
}

/* In the order of start: who is asked starts before who asks. */
const struct kind kinds[] = {
    {.peer = IPC_PEER_DIRECTORY,
     .stop_phase = 2,
     .is_needed = true,
     .user = CONF_USER_DIRECTORY,
     .part = directory_part,
     .files = directory_files},
    {.peer = IPC_PEER_REPORT, .stop_phase = 2, .user = CONF_USER_NETWORK, .part = report_part},
    {.peer = IPC_PEER_MAILBOX, .stop_phase = 2, .user = CONF_USER_MAILBOX, .part = mailbox_part},
    {.peer = IPC_PEER_RESOLVER,
     .stop_phase = 2,
     .user = CONF_USER_NETWORK,
     .part = resolver_part,
     .files = resolver_files},
    {.peer = IPC_PEER_SMTP,
     .processes = IPC_SMTP_PROCESSES,
     .stop_phase = 1, /* with the queue: it tells what came of each attempt while that listens */
     .user = CONF_USER_NETWORK,
     .part = smtp_part},
    {.peer = IPC_PEER_BOOK, .stop_phase = 2, .user = CONF_USER_QUEUE, .part = book_part},
    {.peer = IPC_PEER_QUEUE,
     .stop_phase = 1,
     .is_needed = true,
     .takes_control = true,
     .user = CONF_USER_QUEUE,
     .part = queue_part},
    {.peer = IPC_PEER_SMTPD,
     .per_core = true,
     .stop_phase = 0,
     .is_needed = true,
     .takes_sockets = true,
     .user = CONF_USER_NETWORK,
     .part = smtpd_part},
};
const size_t kind_count = ARRAY_SIZE(kinds);

unsigned kind_processes(const struct kind *kind)
{
    if (kind->per_core)
        return per_core_processes();
    return kind->processes ? kind->processes : 1;
}

bool kinds_are_linked(enum ipc_peer a, enum ipc_peer b)
{
    static const struct {
        enum ipc_peer a, b;
    } links[] = {{IPC_PEER_SMTPD, IPC_PEER_QUEUE},     {IPC_PEER_SMTPD, IPC_PEER_DIRECTORY},
                 {IPC_PEER_QUEUE, IPC_PEER_DIRECTORY}, {IPC_PEER_QUEUE, IPC_PEER_BOOK},
                 {IPC_PEER_QUEUE, IPC_PEER_MAILBOX},   {IPC_PEER_QUEUE, IPC_PEER_REPORT},
                 {IPC_PEER_QUEUE, IPC_PEER_SMTP},      {IPC_PEER_SMTP, IPC_PEER_RESOLVER}};

    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if ((links[i].a == a && links[i].b == b) || (links[i].a == b && links[i].b == a))
            return true;
    return false;
}
