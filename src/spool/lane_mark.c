/*
 * The lane's mark: a file that names the lane which was begun here. What somebody puts beside our
 * segments may bear another spool's lane, and be newer and more; the mark says which are ours. One
 * that is damaged or missing names none: then the segments themselves must say it (recovery.c).
 */
#include "spool/lane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char NAME[] = "lane";

enum { TEXT_BYTES = 80 };

static struct span mark(const uint8_t lane[static SEGMENT_LANE_BYTES], char out[static TEXT_BYTES])
{
    int at = snprintf(out, TEXT_BYTES, "this folder's lane is ");

    for (int i = 0; i < SEGMENT_LANE_BYTES; i++)
        at += snprintf(out + at, TEXT_BYTES - (size_t)at, "%02x", lane[i]);
    snprintf(out + at, TEXT_BYTES - (size_t)at, "\n");
    return span_from_cstr(out);
}

int lane_mark_load(const struct spool *spool, struct lane_mark *out)
{
    *out = (struct lane_mark){0};
    int r = spool->ops->get_file(spool->store, NAME, TEXT_BYTES, &out->text, &out->size);
    return r == -ENOMEM ? r : 0;
}

bool lane_mark_names(const struct lane_mark *found, const uint8_t lane[static SEGMENT_LANE_BYTES])
{
    char text[TEXT_BYTES];

    return found->size && span_equal(span_of(found->text, found->size), mark(lane, text));
}

void lane_mark_done(struct lane_mark *found)
{
    free(found->text);
    *found = (struct lane_mark){0};
}

int lane_mark_save(const struct spool *spool)
{
    char text[TEXT_BYTES];
    struct iovec part = {text, mark(spool->lane, text).size};

    return spool->ops->put_file(spool->store, NAME, &part, 1);
}
