/* The inside of a reader, for compaction, which moves what a reader has verified. */
#pragma once

#include "spool/lane.h"
#include <openssl/evp.h>

struct spool_reader {
    const struct store_ops *ops;
    struct recent *recent;
    struct id id;
    struct segment *home;
    uint32_t offset, meta_bytes;
    uint32_t highest;           /* index of the last recipient that had a row */
    struct spool_extents *bulk; /* a copy: the segments it pins */

    /* From here on spool_reader_load() fills it. */
    bool is_loaded, is_damaged;
    int flags; /* enum store_read_flags */
    struct arena arena;
    char *record; /* header, meta, data */
    struct span data;
    struct record_message meta;
    struct spool_stored stored;
    uint64_t *restated; /* reader_load_restated() */
    size_t restated_count;

    char *extent; /* the one last read */
    size_t extent_index, extent_room;
    EVP_MD_CTX *digest; /* NULL once reading wasn't in order */
    uint64_t digested;  /* position in the stream up to which it went */
};

/* Of a message that is loaded: of which segments' records of it its home tells by restated ones
 * behind its own. Some may be left out. 0, -ENOMEM or the disk's error. */
int reader_load_restated(struct spool_reader *reader);
/* Reads `size` bytes of a pinned segment into `to` and compares their checksum. A copy in memory or
 * on the disk, whichever is good. 0; -EBADMSG, which marks the reader; or the disk's error. */
int reader_read_verified(struct spool_reader *reader, struct segment *segment, uint64_t offset,
                         char *to, size_t size, uint64_t sum);
