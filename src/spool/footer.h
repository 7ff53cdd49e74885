/*
 * A closed log segment's footer: its records without their data, so that recovery needn't step over
 * the bodies. And its trailer, which says where its groups end. docs/formats/spool.md has the
 * bytes. Both only repeat what the records say: one that is damaged is as good as none.
 */
#pragma once

#include "spool/scan.h"

/* Reads the segment up to `end`, writes footer (when it fits and nothing is damaged) and trailer,
 * syncs. 0 or -errno, then the segment must not be written again (rule 6). */
int footer_write(const struct store_ops *ops, struct store_segment *handle,
                 const struct record_place *place, uint32_t block_bytes, uint64_t size_bytes,
                 uint64_t end);

struct footer {
    char *bytes;
    size_t size, at;
    struct record_place place;
};

/* 0, and the footer is in memory until footer_close(). -ENOENT: none that can be used; -ENOMEM. */
int footer_open(struct footer *footer, const struct store_ops *ops, struct store_segment *handle,
                const struct record_place *place, const struct segment_trailer *trailer);
/* 1: *out, without data; its spans live until footer_close(). 0: the end. -EBADMSG: damaged, what
 * came before was good. */
int footer_next(struct footer *footer, struct scan_record *out);
void footer_close(struct footer *footer);
