#include "booked.h"

#include "spool/follow.h"
#include <stdio.h>

struct booked booked[BOOKED_MAX];
size_t booked_count;

static void copy_text(char *to, size_t size, struct span from)
{
    snprintf(to, size, SPAN_FMT, SPAN_ARG(from));
}

static void keep(const struct spool_status *s)
{
    assert_true(booked_count < BOOKED_MAX);
    struct booked *b = &booked[booked_count++];
    b->status = *s;
    copy_text(b->enhanced, sizeof(b->enhanced), s->status);
    copy_text(b->reply, sizeof(b->reply), s->reply);
    copy_text(b->host, sizeof(b->host), s->host);
    b->remote_id_bytes = s->remote_id.size;
    copy_text(b->remote_id, sizeof(b->remote_id), s->remote_id);
    copy_text(b->detail, sizeof(b->detail), s->detail);
}

void booked_read(struct world *w)
{
    struct spool_follower *f = world_follow(w);
    struct spool_followed record;
    int r;

    booked_count = 0;
    while ((r = spool_follower_next(f, &record)) > 0)
        for (size_t i = 0; record.kind == SPOOL_FOLLOWED_STATUS && i < record.status_count; i++)
            keep(&record.statuses[i]);
    assert_int_equal(r, 0);
    spool_follower_free(f);
}
