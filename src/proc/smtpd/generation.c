/*
 * A generation's memory is its frame and an arena with the decoded lists; it goes with the last
 * session that began under it.
 */
#include "proc/smtpd/smtpd.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PART_MEMORY_MAX = 4 << 20 };

void smtpd_generation_close(struct smtpd_generation *g)
{
    LIST_EACH(&g->listeners, link)
    {
        struct smtpd_listener *l = CONTAINER_OF(link, struct smtpd_listener, link);
        io_watch_free(l->watch);
        l->watch = NULL;
        if (l->fd >= 0)
            close(l->fd);
        l->fd = -1;
    }
}

int smtpd_generation_new(struct smtpd *smtpd, struct span part, struct smtpd_generation **out)
{
    struct smtpd_generation *g = calloc(1, sizeof(*g));
    int r;

    if (!g)
        return -ENOMEM;
    g->smtpd = smtpd;
    g->references = 1;
    g->arena.limit = PART_MEMORY_MAX;
    list_init(&g->listeners);
    r = buffer_append_span(&g->part, part);
    if (r == 0)
        r = codec_decode(&conf_smtpd_codec, buffer_span(&g->part), &g->arena, &g->conf);
    if (r < 0)
        smtpd_generation_unref(g);
    else
        *out = g;
    return r;
}

void smtpd_generation_unref(struct smtpd_generation *g)
{
    struct list *link;

    if (!g || --g->references)
        return;
    smtpd_generation_close(g);
    while ((link = list_take_first(&g->listeners)))
        free(CONTAINER_OF(link, struct smtpd_listener, link));
    arena_done(&g->arena);
    buffer_done(&g->part);
    free(g);
}
