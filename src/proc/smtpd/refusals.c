/*
 * The table is direct-mapped by the client's address, or a local user's name, under a seed: a
 * client's first refusals go alone, then its place holds one aggregate that grows until its minute
 * is over.
 */
#include "proc/smtpd/refusals.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

struct smtpd_refusals_client {
    uint8_t ip[16];
    char auth[32]; /* which local user */
    size_t auth_size;
    bool used;
    uint32_t sent;     /* alone in this window */
    int64_t window_ms; /* when it began */
    /* The aggregate: count 0 is none. Its texts are below. */
    struct event event;
    char service[32];
    char auth_of_all[32]; /* as ip of the event: what waits stays its own when another comes */
    char phase[EVENT_PHASE_MAX];
    char reply[SMTPD_REFUSALS_REPLY_MAX];
};

int smtpd_refusals_init(struct smtpd_refusals *r, uint64_t seed,
                        int (*send)(void *context, const struct event *event), void *context)
{
    *r = (struct smtpd_refusals){.send = send, .context = context, .seed = seed};
    r->clients = calloc(SMTPD_REFUSALS_CLIENTS, sizeof(*r->clients));
    return r->clients ? 0 : -ENOMEM;
}

void smtpd_refusals_done(struct smtpd_refusals *r)
{
    free(r->clients);
    r->clients = NULL;
}

/* True when nothing is left to be told. */
static bool tell(struct smtpd_refusals *r, struct smtpd_refusals_client *c)
{
    if (c->event.count && r->send(r->context, &c->event) < 0)
        return false;
    c->event.count = 0;
    return true;
}

static struct span keep(char *where, size_t room, struct span text)
{
    text = span_first(text, room);
    if (text.size)
        memcpy(where, text.data, text.size);
    return span_of(where, text.size);
}

/* What differs between them (helo, addresses) is left out; the last reply stands for all. */
static void aggregate(struct smtpd_refusals_client *c, const struct event *event)
{
    struct event *all = &c->event;

    if (all->count == 0) {
        *all = *event;
        all->count = 0;
        all->recipient = all->sender = all->helo = all->tls = span_of("", 0);
        all->auth = keep(c->auth_of_all, sizeof(c->auth_of_all), span_of(c->auth, c->auth_size));
        all->service = keep(c->service, sizeof(c->service), event->service);
    }
    all->count += event->count;
    all->until_us = event->time_us;
    all->phase = keep(c->phase, sizeof(c->phase), event->phase);
    all->reply = keep(c->reply, sizeof(c->reply), event->reply);
}

/* Local users have no address, and differ by their names. */
static bool is_of(const struct smtpd_refusals_client *c, const struct event *event)
{
    return c->used && memcmp(c->ip, event->ip, sizeof(c->ip)) == 0 &&
           span_equal(span_of(c->auth, c->auth_size), span_first(event->auth, sizeof(c->auth)));
}

static struct smtpd_refusals_client *place_of(struct smtpd_refusals *r, const struct event *event)
{
    uint64_t user = XXH3_64bits_withSeed(event->auth.data, event->auth.size, r->seed);

    return &r->clients[XXH3_64bits_withSeed(event->ip, sizeof(event->ip), user) %
                       SMTPD_REFUSALS_CLIENTS];
}

void smtpd_refusals_add(struct smtpd_refusals *r, const struct event *event, int64_t now_ms)
{
    struct smtpd_refusals_client *c = place_of(r, event);
    bool same = is_of(c, event);
    bool over = now_ms - c->window_ms >= SMTPD_REFUSALS_WINDOW_MS;

    if (!same || over) {
        /* What can't be told now stays under whoever was here, and takes the next one's along that
         * can't be told either: the number stays right. */
        tell(r, c);
        memcpy(c->ip, event->ip, sizeof(c->ip));
        c->auth_size = keep(c->auth, sizeof(c->auth), event->auth).size;
        c->used = true;
        c->sent = 0;
        c->window_ms = now_ms;
    }
    if (c->sent < SMTPD_REFUSALS_ALONE && r->send(r->context, event) == 0)
        c->sent++;
    else
        aggregate(c, event);
}

void smtpd_refusals_flush(struct smtpd_refusals *r, int64_t now_ms, bool all)
{
    for (size_t i = 0; i < SMTPD_REFUSALS_CLIENTS; i++) {
        struct smtpd_refusals_client *c = &r->clients[i];
        if (c->used && (all || now_ms - c->window_ms >= SMTPD_REFUSALS_WINDOW_MS))
            c->used = !tell(r, c);
    }
}
