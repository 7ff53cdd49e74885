/*
 * The template of a Maildir's path, "/var/mail/%d/%u", and its expansion for one address.
 *
 *   %u  the local part      %d  the domain      %%  a percent sign
 *
 * The components in front of the first one with %u or %d are the *prefix*: the folder that must be
 * there, that the sandbox opens, and below which everything is made when it is missing.
 *
 * Expansion is one to one: two addresses share a mailbox only when they differ in nothing but the
 * case of ASCII letters. ASCII letters are folded to lower case, since no mail system tells Bob@
 * from bob@ apart; other letters stay as they are. Letters, digits, "-", "_", "+", "=", "." and
 * bytes over 0x7f stand for themselves; every other byte, and a dot that leads a value, is written
 * %XX. So a value is never "..", holds no slash and no NUL, and can't hide itself.
 *
 * A component with two values needs a byte between them that no value can hold ("%u@%d"), or it
 * would not be one to one: refused when the template is read.
 */
#pragma once

#include "base/span.h"

enum {
    CONF_TEMPLATE_PATH_MAX = 1024, /* a template; an expanded path below the prefix, with its NUL */
    CONF_TEMPLATE_PART_MAX = 255,  /* NAME_MAX */
};

struct conf_template {
    char *prefix; /* absolute */
    char *rest;   /* components below it, unexpanded, single slashes */
};

/* 0; -EINVAL with *out_why a constant sentence for people; -ENOMEM. */
int conf_template_parse(struct span text, struct conf_template *out, const char **out_why);
void conf_template_done(struct conf_template *t);

/* Writes the path below the prefix for "local@domain". 0; -EINVAL when the address has no local
 * part or no domain; -ENAMETOOLONG when a component or the path would be too long. */
int conf_template_expand(const struct conf_template *t, struct span address,
                         char out[static CONF_TEMPLATE_PATH_MAX]);
