/*
 * The supervisor, the only root, with children that were all taken over: they send it any messages,
 * well-formed or not, answer its calls with anything, end and are there again. Input: a byte that
 * picks the child, a byte for the type, the fields (fuzz_peer.h); type 0xFF stands for raw bytes,
 * 0xFE for the child's end.
 *
 * The supervisor doesn't end; a violation ends its sender and nobody else; only the queue can have
 * the configuration read; each call is answered at most once; a status is JSON that tells of all
 * children, and of each in its place, whatever they say.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <jansson.h>
#include <signal.h>

enum { FIRST_PID = 0x7f000000, OPS_MAX = 40 }; /* the kernel has no such processes */

static struct play {
    struct supervisor supervisor;
    struct fuzz_peer peers[CHILDREN_MAX];
    size_t sender;   /* of the message under way */
    bool was_killed; /* it was */
    unsigned reloads;
} play;

/* Linked in place of kill(2). */
int __wrap_kill(pid_t pid, int number);

int __wrap_kill(pid_t pid, int number)
{
    assert(pid == FIRST_PID + (int)play.sender && number == SIGKILL);
    play.was_killed = true;
    return 0;
}

/* ---- what others do with the news ---- */

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    assert(s->children[play.sender].kind->peer == IPC_PEER_QUEUE);
    *out_kept = play.reloads % 3 == 0;
    if (play.reloads++ % 2) {
        buffer_printf(out_text, "no");
        return -EINVAL;
    }
    for (size_t i = 0; i < s->child_count; i++)
        s->children[i].untaken += s->children[i].channel != NULL;
    return 0;
}

void readiness_look(struct supervisor *s)
{
    assert(s->children[play.sender].ready);
}

/* ---- a place for it ---- */

static void no_restart(void *arg)
{
    assert(false);
}

static void start(size_t i)
{
    struct child *child = &play.supervisor.children[i];

    child->pid = FIRST_PID + (int)i;
    child->starts++;
    child->stopping = false;
    assert(child_hear(child, fuzz_peer_open(&play.peers[i])) == 0);
}

static void begin(void)
{
    struct supervisor *s = &play.supervisor;

    play = (struct play){0};
    assert(io_loop_new(&s->loop) == 0);
    for (size_t i = 0; i < kind_count; i++) {
        struct child *child = &s->children[s->child_count++];
        *child = (struct child){.supervisor = s, .kind = &kinds[i]};
        assert(io_timer_new(s->loop, no_restart, child, &child->restart) == 0);
        start(i);
    }
}

/* Nobody starts it again but us. */
static void finish(size_t i)
{
    struct child *child = &play.supervisor.children[i];

    child->stopping = true;
    if (child->pid)
        child_ended(child, SIGKILL);
    fuzz_peer_close(&play.peers[i]);
}

static void end(void)
{
    struct supervisor *s = &play.supervisor;

    for (size_t i = 0; i < s->child_count; i++)
        finish(i);
    assert(io_loop_turn(s->loop) == 0);
    for (size_t i = 0; i < s->child_count; i++)
        io_timer_free(s->children[i].restart);
    io_loop_free(s->loop);
}

/* ---- turns ---- */

static void check_status(struct span text)
{
    json_t *status = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *processes = json_object_get(status, "processes"), *process;
    bool told[CHILDREN_MAX] = {0};
    size_t place;

    assert(json_array_size(processes) == play.supervisor.child_count);
    json_array_foreach(processes, place, process)
    {
        const char *name = json_string_value(json_object_get(process, "name"));
        size_t i = 0;
        while (strcmp(name, ipc_peer_name(play.supervisor.children[i].kind->peer)) != 0)
            assert(++i < play.supervisor.child_count);
        assert(!told[i] && json_object_size(process) == 8);
        told[i] = true;
    }
    json_decref(status);
}

static void on_message(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    if (message->type == IPC_STATUS)
        check_status(message->status.json);
}

static void turn(void)
{
    struct supervisor *s = &play.supervisor;

    for (int i = 0; i < 3; i++)
        assert(io_loop_turn(s->loop) == 0);
    for (size_t i = 0; i < s->child_count; i++)
        fuzz_peer_read(&play.peers[i], on_message, NULL);
    if (play.was_killed)
        finish(play.sender);
    play.was_killed = false;
}

static void op(struct span *in)
{
    size_t i = play.sender = fuzz_take(in) % play.supervisor.child_count;
    uint8_t type = fuzz_take(in);

    if (play.peers[i].fd < 0 || type == 0xFE) {
        finish(i);
        start(i);
    }
    if (type == 0xFF)
        fuzz_peer_send_raw(&play.peers[i], in);
    else if (type != 0xFE)
        fuzz_peer_send_any(&play.peers[i], type, in);
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);

    log_open("fuzz", LOG_LEVEL_ERROR + 1);
    begin();
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&in);
    end();
    return 0;
}
