#include "reporter.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

struct reporter reporter;

static void copy_text(char *to, size_t size, struct span from)
{
    snprintf(to, size, SPAN_FMT, SPAN_ARG(from));
}

void reporter_answer(void)
{
    struct ipc_message reply = {
        .type = IPC_REPORTED,
        .reported = {.error = reporter.error, .message = SPAN("Subject: report\r\n\r\nsorry\r\n")}};

    if (reporter.at_most && reporter.recipients > reporter.at_most)
        reply.reported.error = -EMSGSIZE;
    assert_int_equal(ipc_reply(reporter.channel, reporter.token, &reply), 0);
}

static void on_report(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_report *m = &arrival->message->report;

    reporter.asked++;
    reporter.token = arrival->token;
    reporter.kind = m->kind;
    reporter.language = m->language;
    reporter.recipients = m->recipient_count;
    copy_text(reporter.sender, sizeof(reporter.sender), m->sender);
    copy_text(reporter.address, sizeof(reporter.address), m->recipients[0].address);
    copy_text(reporter.status, sizeof(reporter.status), m->recipients[0].status);
    copy_text(reporter.reply, sizeof(reporter.reply), m->recipients[0].reply);
    copy_text(reporter.header, sizeof(reporter.header), m->header);
    copy_text(reporter.host, sizeof(reporter.host), m->recipients[0].host);
    copy_text(reporter.instead, sizeof(reporter.instead), m->recipients[0].instead);
    copy_text(reporter.original, sizeof(reporter.original), m->recipients[0].original);
    reporter.end = m->recipients[0].end;
    reporter.last_attempt_us = m->recipients[0].last_attempt_us;
    if (reporter.on_question)
        reporter.on_question(owner, m);
    if (!reporter.silent)
        reporter_answer();
}

static const struct ipc_handler handlers[] = {{IPC_REPORT, on_report}};
static const struct ipc_role role = {"queue", handlers, ARRAY_SIZE(handlers), NULL, false};

void reporter_leave(void)
{
    ipc_channel_free(reporter.channel);
    reporter.channel = NULL;
}

void reporter_join(struct world *w)
{
    int fds[2];

    reporter_leave();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[0], &role, w, &reporter.channel), 0);
    assert_int_equal(queue_peer(&w->queue, IPC_PEER_REPORT, 0, WORLD_ORIGIN, fds[1]), 0);
}

void reporter_forget(void)
{
    reporter_leave();
    reporter = (struct reporter){0};
}

struct world *reporter_begin(void)
{
    struct world *w = world_begin();

    world_join_directory(w);
    w->mailbox_does = MAILBOX_FAILS;
    return w;
}

void reporter_end(struct world *w)
{
    reporter_forget();
    world_free(w);
}

struct id reporter_send(struct world *w, const char *sender, const char *recipients)
{
    struct world_commit c;

    world_send(w, &c, sender, recipients, SPAN("Subject: hello\r\n\r\ntext\r\n"));
    world_until_answered(w, &c);
    assert_int_equal(c.result, IPC_COMMIT_ACCEPTED);
    return c.id;
}

uint8_t reporter_wanted;

void reporter_wish(struct world *w, struct envelope *e, uint8_t *tickets)
{
    static struct envelope_wish wishes[8];

    for (uint32_t i = 0; i < e->recipient_count && i < ARRAY_SIZE(wishes); i++)
        wishes[i] = (struct envelope_wish){i, reporter_wanted, SPAN("")};
    e->wishes = wishes;
    e->wish_count = e->recipient_count;
}

bool reporter_left(struct world *w, void *arg)
{
    return world_counts(w).messages == *(uint64_t *)arg && w->queue.returns->count == 0 &&
           w->queue.settling == 0 && !w->queue.committer.group;
}
