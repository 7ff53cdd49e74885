/*
 * Checks across the file: what each value alone can't show. Errors for what would lose or leak
 * mail, warnings for black holes: settings that are legal and yet lead mail nowhere.
 */
#pragma once

#include "conf/conf.h"

/* Adds to `problems`; changes nothing else. The other two are parts of it. */
void conf_check(const struct conf *c, struct conf_problems *problems);

/* check_names.c: names that are in the file more than once, also in different case. */
void conf_check_names(const struct conf *c, struct conf_problems *problems);

/* check_circles.c: relays and routes that lead back to this server. */
void conf_check_circles(const struct conf *c, struct conf_problems *problems);
