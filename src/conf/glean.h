/* What can be read of a configuration that has errors: where the server is. */
#pragma once

#include "conf/conf.h"

/* Reads the text of a file over the defaults; errors aren't told. `spool`, `ledger`, `control` and
 * `drop` are as the file has them. *out_domains_known: the names of `domains`, and `hostname`, are,
 * too. 0; -EINVAL: one of the four may be named where it can't be read; -ENOMEM. */
int conf_glean_text(struct span text, struct span file, struct span folder, struct conf *out,
                    bool *out_domains_known);
