/*
 * Faults that tests/crash builds in on purpose, each into a copy of this library of its own, to see
 * that the simulation catches it. In the product SPOOL_MUTANT is MUTANT_NONE and the compiler drops
 * every mention of them.
 */
#pragma once

#define MUTANT_NONE 0
#define MUTANT_CACHE_TRUSTED 1      /* recovery believes headers that only the page cache has */
#define MUTANT_CHECKPOINT_TRUSTED 2 /* what the records behind a checkpoint say is left out */
#define MUTANT_STATUS_RECYCLED 3    /* an outcome's segment goes before its MESSAGE's (rule 5b) */
#define MUTANT_UPLOAD_REUSED 4      /* a bulk segment goes while an upload is in it */
#define MUTANT_OLD_SPARE_USED 5     /* a spare is used although a newer header may be on disk */
#define MUTANT_SEGMENT_REOPENED 6   /* after a failed first group the old segment takes more */
#define MUTANT_EVENT_SKIPPED 7      /* the follower leaves a segment before its last group */
#define MUTANT_STATUS_LOST 8        /* compaction doesn't say again what concerns other segments */
#define MUTANT_REFUSED_REUSED 9     /* bulk under a refused message goes before that is certain */
#define MUTANT_RENAME_FORGOTTEN 10  /* a segment whose file couldn't be renamed counts as gone */
#define MUTANT_RESTATED_APART 11 /* compaction says of who waits what no home of his is tied to */
#define MUTANT_SEGMENT_SHARED 12 /* uploads and copies write to one bulk segment at a time */
#define MUTANT_ABORT_UNPINS 13   /* an upload that ends lets go of what is being written */

#ifndef SPOOL_MUTANT
#define SPOOL_MUTANT MUTANT_NONE
#endif
