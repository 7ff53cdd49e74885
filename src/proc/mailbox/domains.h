/*
 * Which domains have mailboxes here, and where: one generation of the configuration. Jobs under way
 * hold the generation under which they began. Loop thread only.
 *
 * Roots, the fixed prefixes of the templates, are opened before the sandbox and stay for the life
 * of the process; a later generation that needs another one can't be used in this process, and when
 * another folder takes the place of one of them, or one comes that was missing, it ends (root.h).
 */
#pragma once

#include "conf/part.h"
#include "conf/template.h"
#include "proc/mailbox/folder.h"

/* Each domain may have its own. */
enum { MAILBOX_ROOTS_MAX = CONF_DOMAINS_MAX };

struct mailbox_roots {
    struct mailbox_root list[MAILBOX_ROOTS_MAX];
    size_t count;
    bool sealed; /* the sandbox is on: no more can be opened */
};

struct mailbox_domain {
    char *name; /* lower case */
    struct conf_template way;
    const struct mailbox_root *root;
};

struct mailbox_domains {
    unsigned references;
    struct mailbox_domain *list; /* sorted by name */
    size_t count;
};

/* With one reference. 0; -ENOENT when the roots are sealed and lack one; -EINVAL for a bad
 * template; or what is lacking for opening a root (logged). */
int mailbox_domains_new(const struct conf_mailbox *part, struct mailbox_roots *roots,
                        struct mailbox_domains **out);
/* Whether another process might open a root that this one couldn't: who reloads may have made it,
 * or given us rights. */
bool mailbox_domains_may_open_more(const struct mailbox_domains *domains);
/* One reference more; returns its argument. */
struct mailbox_domains *mailbox_domains_hold(struct mailbox_domains *domains);
/* NULL is fine. */
void mailbox_domains_release(struct mailbox_domains *domains);

/* The domain of a canonical address, or NULL. Borrowed: it stays as long as the generation. */
const struct mailbox_domain *mailbox_domains_find(const struct mailbox_domains *domains,
                                                  struct span address);
