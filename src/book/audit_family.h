/*
 * Of one message: does each expanded entry have children, and each child a parent that was
 * expanded? What the walk over its entries saw is gathered and held together at its end: a query
 * for each parent would read a long list of recipients once for every one of them.
 */
#pragma once

#include "base/id.h"
#include "mail/event.h"

struct audit;
struct audit_link;

struct audit_family {
    struct audit_link *links;
    size_t count, room;
};

/* 0 or -ENOMEM. */
int audit_family_add(struct audit_family *family, uint32_t index, uint32_t parent, unsigned state);
/* Tells what is off, and begins anew. */
void audit_family_end(struct audit *audit, struct audit_family *family, const struct id *message);
void audit_family_done(struct audit_family *family);
