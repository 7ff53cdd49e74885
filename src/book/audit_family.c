#include "book/audit_family.h"

#include "base/grow.h"
#include "book/audit_impl.h"
#include <errno.h>
#include <stdlib.h>

/* By the parent: itself, when it was expanded, and each child. */
struct audit_link {
    uint32_t parent;
    bool is_child;
    uint32_t index;
};

static int add(struct audit_family *f, struct audit_link link)
{
    struct audit_link *links = grow_by_one(f->links, f->count, &f->room, sizeof(*links), 64);
    if (!links)
        return -ENOMEM;
    f->links = links;
    f->links[f->count++] = link;
    return 0;
}

int audit_family_add(struct audit_family *f, uint32_t index, uint32_t parent, unsigned state)
{
    int r = state == RECIPIENT_EXPANDED ? add(f, (struct audit_link){index, false, index}) : 0;

    return r < 0 || parent == EVENT_NO_RECIPIENT ? r
                                                 : add(f, (struct audit_link){parent, true, index});
}

/* By family, whatever the order of its entries in the file; an expanded one is of two: as a child
 * of its parent, and as the parent of its own. */
static int compare(const void *left, const void *right)
{
    const struct audit_link *a = left, *b = right;

    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    if (a->is_child != b->is_child)
        return a->is_child ? 1 : -1;
    return (a->index > b->index) - (a->index < b->index);
}

/* A file made anew may have children whose expansion had left the log. */
static void tell(struct audit *audit, const struct id *message, const struct audit_link *link)
{
    if (audit->was_remade)
        audit->counts->remade++;
    else
        audit_tell_for_good(audit, AUDIT_GOOD_EXPANSION, message, link->index,
                            link->is_child ? SPAN("\1") : SPAN(""),
                            link->is_child ? "came from an expansion that isn't booked"
                                           : "was expanded into nobody");
}

/* The parent comes before its children. */
void audit_family_end(struct audit *audit, struct audit_family *f, const struct id *message)
{
    bool has_parent = false;

    if (f->count)
        qsort(f->links, f->count, sizeof(*f->links), compare);
    for (size_t i = 0; i < f->count; i++) {
        const struct audit_link *link = &f->links[i];
        bool is_last = i + 1 == f->count || link[1].parent != link->parent;
        if (i == 0 || link[-1].parent != link->parent)
            has_parent = !link->is_child;
        if (link->is_child ? !has_parent : is_last)
            tell(audit, message, link);
    }
    f->count = 0;
}

void audit_family_done(struct audit_family *f)
{
    free(f->links);
    *f = (struct audit_family){0};
}
