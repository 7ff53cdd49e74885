/*
 * The mailbox process under a queue that was taken over: jobs for any address, with any text, in
 * any pieces or none, and other messages, well-formed or not. Input: a byte that picks what is
 * done, and whether the disk is slow (from SLOW on what is under way stays so), then its fields
 * (fuzz_peer.h).
 *
 * It doesn't end; each job is answered at most once, and once when the queue stays; an outcome for
 * each recipient of the job, by its index. What is written lies two levels below the template's
 * prefix, in new/ of the domain that was served, as many files as were reported, and nothing is
 * left in tmp/.
 */
#include "../place.h"
#include "fuzz_peer.h"
#include "fuzz_world.h"

#include "base/log.h"
#include "proc/mailbox/jobs.h"

enum { JOB, PIECE, OTHER, RAW, RESTART };
static const uint8_t acts[] = {JOB, JOB, JOB, PIECE, PIECE, PIECE, OTHER, RAW, RESTART};
enum {
    OPS_MAX = 30,
    JOBS_MAX = 64,
    BATCHES = 1,
    TURNS_MAX = 20000,
    DEPTH_OF_FILES = 4,
    SLOW = 20 * ARRAY_SIZE(acts),
};

static struct play {
    char folder[PLACE_BYTES];
    struct io_loop *loop; /* it stays for all inputs */
    struct io_pool *pool;
    struct mailbox_roots roots;
    struct maildir maildir;
    struct jobs jobs;
    struct fuzz_peer queue;
    struct {
        uint64_t token;
        size_t recipients;
        uint32_t indexes[FUZZ_LIST_MAX];
    } asked[JOBS_MAX]; /* by the queue that is there now */
    size_t asked_count;
    uint64_t delivered;
    size_t files; /* found in new/ */
    bool queue_went, ended;
    bool raw; /* bytes that may be a job, or what a job is taken for a part of */
} play;

/* ---- what became of it ---- */

static void check_result(const struct ipc_frame *frame, const struct ipc_job_result *result)
{
    for (size_t i = 0; i < play.asked_count; i++) {
        if (play.asked[i].token != frame->token)
            continue;
        assert(result->outcome_count == play.asked[i].recipients);
        for (size_t k = 0; k < result->outcome_count; k++) {
            assert(result->outcomes[k].index == play.asked[i].indexes[k]);
            play.delivered += result->outcomes[k].outcome == IPC_OUTCOME_DELIVERED;
        }
        play.asked[i] = play.asked[--play.asked_count];
        return;
    }
    assert(play.raw);
}

static void on_message(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    if (message->type == IPC_JOB_RESULT)
        check_result(frame, &message->job_result);
}

/* folder/mail/DOMAIN/USER/new/FILE and nothing else; and it goes. */
static int look_at(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char mail[80];
    int size = snprintf(mail, sizeof(mail), "%s/mail/", play.folder);

    if (type != FTW_F)
        return remove(path);
    assert(strncmp(path, mail, (size_t)size) == 0 && ftw->level == DEPTH_OF_FILES + 1);
    assert(strncmp(path + size, "a.test/", 7) == 0 || strncmp(path + size, "b.test/", 7) == 0);
    assert(strncmp(path + ftw->base - 4, "new/", 4) == 0);
    play.files++;
    return remove(path);
}

/* ---- a place for it ---- */

static void connect_queue(void)
{
    fuzz_peer_close(&play.queue);
    play.asked_count = 0;
    assert(jobs_connect(&play.jobs, fuzz_peer_open(&play.queue)) == 0);
}

static void begin(void)
{
    char template[96];
    struct mailbox_domains *domains;

    place_make(play.folder, "/dev/shm");
    snprintf(template, sizeof(template), "%s/mail", play.folder);
    assert(mkdir(template, 0700) == 0);
    snprintf(template, sizeof(template), "%s/mail/%%d/%%u", play.folder);
    struct conf_mailbox_domain list[] = {{SPAN("a.test"), span_from_cstr(template)},
                                         {SPAN("b.test"), span_from_cstr(template)}};
    struct conf_mailbox part = {.domains = list, .domain_count = 2};

    if (!play.loop)
        assert(io_loop_new(&play.loop) == 0);
    fuzz_world_begin();
    assert(io_pool_new(play.loop, BATCHES + 1, &play.pool) == 0);
    assert(mailbox_domains_new(&part, &play.roots, &domains) == 0);
    maildir_init(&play.maildir, SPAN("mx"), 0, 4);
    assert(jobs_init(&play.jobs, play.loop, play.pool, &play.maildir, BATCHES) == 0);
    jobs_configure(&play.jobs, domains);
    connect_queue();
}

/* `slow`: the disk does nothing meanwhile. */
static void turn(bool slow)
{
    for (int i = 0, rest = 0; i < TURNS_MAX && rest < 3; i++) {
        fuzz_peer_flush(&play.queue);
        assert(io_loop_turn(play.loop) == 0);
        fuzz_peer_read(&play.queue, on_message, NULL);
        rest = !slow && fuzz_world_work() ? 0 : rest + 1;
    }
}

static void on_ended(void *owner)
{
    play.ended = true;
}

static bool waits_for_stopped(void)
{
    for (size_t i = 0; i < play.queue.call_count; i++)
        if (play.queue.calls[i].type == IPC_JOB_STOP)
            return true;
    return false;
}

/* The answer that lets it go; what was sent raw may have left half a frame that swallows it. */
static void let_go(void)
{
    struct ipc_message stopped = {.type = IPC_JOB_STOPPED};

    if (play.raw)
        fuzz_peer_close(&play.queue);
    else if (waits_for_stopped())
        fuzz_peer_send(&play.queue, &stopped, 0);
}

static void end(void)
{
    jobs_end(&play.jobs, on_ended, NULL);
    turn(false);
    for (int i = 0; i < TURNS_MAX && !play.ended; i++) {
        let_go();
        turn(false);
        fuzz_world_pass(5); /* it looks now and then whether the queue has read all */
        while (fuzz_world_ring()) {
        }
    }
    turn(false);
    assert(play.ended && play.jobs.under_way == 0);
    assert(play.asked_count == 0 || play.raw ||
           play.queue.fd < 0); /* it was cut off for a violation */
    assert(nftw(play.folder, look_at, 16, FTW_PHYS | FTW_DEPTH) == 0);
    bool unheard = play.queue_went || play.raw || play.queue.fd < 0;
    assert(unheard ? play.files >= play.delivered : play.files == play.delivered);
    fuzz_peer_close(&play.queue);
    jobs_done(&play.jobs);
    io_pool_free(play.pool);
    maildir_done(&play.maildir);
    for (size_t i = 0; i < play.roots.count; i++) {
        close(play.roots.list[i].fd);
        free((void *)play.roots.list[i].path);
    }
}

/* ---- what the queue does ---- */

/* A hostile name at a domain that is served, mostly. */
static struct span make_address(struct span name, uint8_t how, struct arena *arena)
{
    static const char *const domains[] = {"@a.test", "@b.test", "@c.test", ""};
    const char *domain = domains[how & 3];
    char *address = arena_alloc(arena, name.size + 8);

    assert(address);
    if (name.size)
        memcpy(address, name.data, name.size);
    memcpy(address + name.size, domain, strlen(domain));
    return span_of(address, name.size + strlen(domain));
}

static void send_job(struct span *in)
{
    struct ipc_message m = {.type = IPC_JOB};
    struct arena arena = ARENA_INIT;
    uint8_t how = fuzz_take(in);

    fuzz_fill(ipc_row(IPC_JOB)->codec, in, &arena, &m.job);
    m.job.job %= 4;
    if (!(how & 4)) /* all of it in this frame */
        m.job.size_bytes = m.job.body.size;
    if (m.job.size_bytes < m.job.body.size) /* a job that the process may end for */
        m.job.size_bytes = m.job.body.size;
    for (size_t i = 0; i < m.job.recipient_count; i++)
        m.job.recipients[i].address = make_address(m.job.recipients[i].address, how, &arena);
    if (play.asked_count < JOBS_MAX && play.queue.fd >= 0) {
        play.asked[play.asked_count].token = fuzz_peer_new_token(&play.queue);
        play.asked[play.asked_count].recipients = m.job.recipient_count;
        for (size_t i = 0; i < m.job.recipient_count; i++)
            play.asked[play.asked_count].indexes[i] = m.job.recipients[i].index;
        uint64_t before = play.queue.asked;
        fuzz_peer_send(&play.queue, &m, 0);
        play.asked_count += play.queue.asked > before; /* else it couldn't be encoded */
    }
    arena_done(&arena);
}

static void send_other(struct span *in, bool raw)
{
    uint8_t type = raw ? 0 : fuzz_take(in);

    play.raw |= raw;
    if (raw)
        fuzz_peer_send_raw(&play.queue, in);
    else if (type % IPC_TYPE_COUNT != IPC_JOB)
        fuzz_peer_send_any(&play.queue, type, in);
}

static void op(struct span *in)
{
    uint8_t first = fuzz_take(in), act = acts[first % ARRAY_SIZE(acts)];

    if (act == RESTART || play.queue.fd < 0) {
        play.queue_went = true;
        connect_queue();
    }
    if (act == JOB)
        send_job(in);
    else if (act == PIECE)
        fuzz_peer_send_piece(&play.queue, in);
    else if (act != RESTART)
        send_other(in, act == RAW);
    turn(first >= SLOW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct io_loop *loop = play.loop;

    log_open("fuzz", LOG_LEVEL_ERROR + 1);
    play = (struct play){.loop = loop, .queue.fd = -1};
    begin();
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&in);
    end();
    return 0;
}
