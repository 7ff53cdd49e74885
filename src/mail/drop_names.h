/*
 * What the names of files in the drop folder tell (docs/formats/drop.md): read by those who write
 * and collect letters, and by the supervisor, who looks at nothing else.
 */
#pragma once

#define DROP_PREFIX "mail."             /* whole files */
#define DROP_TMP_PREFIX "tmp."          /* being written; nobody was told that they are safe */
#define DROP_SINCE_PREFIX "mail.since-" /* put off: since, "-", last try, "." */
#define DROP_ASIDE_PREFIX "aside."      /* what the server could not take: for the administrator */
