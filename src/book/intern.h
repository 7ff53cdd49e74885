/*
 * A bounded cache from texts to row numbers, so that a station that occurs again costs
 * no look-up in the database. Direct-mapped: a newcomer takes the place of who sat there.
 */
#pragma once

#include "base/span.h"

struct intern;

/* 0 or -ENOMEM. */
int intern_new(struct intern **out);
/* NULL is fine. */
void intern_free(struct intern *intern);

/* The row of `text`, or 0: it isn't here, though it may be in the database. */
int64_t intern_find(const struct intern *intern, struct span text);
/* Remembers it; silently doesn't when there is no memory. */
void intern_remember(struct intern *intern, struct span text, int64_t row);
