/*
 * Checks across the file: what each value alone can't show. Errors for what would lose or leak
 * mail, warnings for black holes: settings that are legal and yet lead mail nowhere.
 */
#pragma once

#include "conf/conf.h"

/* Adds to `problems`; changes nothing else. The three below are parts of it. 0, or -ENOMEM: not all
 * was looked at. */
int conf_check(const struct conf *c, struct conf_problems *problems);

/* The place of group.key (either may be NULL), else of the group, else of the file's start. */
struct conf_place conf_place_of(const struct conf *c, const char *group, const char *key);

/* check_names.c: names that are in the file more than once, also in different case. 0 or -ENOMEM.
 */
int conf_check_names(const struct conf *c, struct conf_problems *problems);

/* Folders and the socket each have a path of their own. */
void conf_check_folders(const struct conf *c, struct conf_problems *problems);

/* check_circles.c: relays and routes that lead back to this server. */
void conf_check_circles(const struct conf *c, struct conf_problems *problems);
