/*
 * An aliases file, as aliases(5) of sendmail and Postfix, restricted to what is safe to own:
 *
 *     name: target, target
 *         target on a line that goes on
 *
 * A name is a local part or a whole address; a target too, "\name" being the mailbox of that name
 * whatever aliases there are. Programs (|...), files (/...) and :include: are refused: they are
 * somebody's code or files under the server's rights.
 */
#pragma once

#include "conf/problem.h"
#include "mail/address.h"

struct aliases_sink {
    void *owner;
    /* Each alias: its name, then its targets. Addresses without a domain have an empty one. */
    void (*name)(void *owner, const struct address *name, struct conf_place place);
    void (*target)(void *owner, const struct address *target, bool direct, struct conf_place place);
};

/* Reads the file; what is wrong goes to `problems`, the rest to the sink. Whoever gets an
 * address copies what he keeps. */
void aliases_read(struct span text, struct span file, struct conf_problems *problems,
                  const struct aliases_sink *sink);
