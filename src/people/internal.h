/* The table behind people.h, for the sources of this folder. */
#pragma once

#include "base/slab.h"
#include "base/table.h"
#include "people/people.h"

enum people_mark { PEOPLE_UNSEEN, PEOPLE_OPEN, PEOPLE_SEEN }; /* of the search for circles */

struct people_target {
    struct people_target *next;
    struct span address; /* canonical */
    struct conf_place place;
    uint32_t person; /* 0: foreign or nobody */
    bool foreign;
    bool unsure; /* its domain's users file is empty: if it is nobody, it may have been a user */
    bool direct; /* the mailbox, not the alias of the same name */
};

/* A name of a domain: a user, an alias or both (an alias that also keeps a copy). */
struct person {
    struct span local;   /* without quotes */
    struct span address; /* canonical */
    struct conf_place place;
    uint32_t domain; /* index into people.domains */
    bool user;
    uint8_t mark; /* enum people_mark */
    struct people_target *targets, *last_target;
    uint32_t parent;                   /* of the search for circles: who led here */
    uint32_t members;                  /* of the search: of an alias, at most; each way counts */
    struct people_target *next_target; /* of the search: where to go on */
};

struct people {
    struct arena arena;
    struct slab persons;
    struct table by_name;   /* of persons */
    struct table by_domain; /* handle: index into domains, plus one */
    struct span *domains;
    size_t domain_count;
    uint32_t *first_user;          /* of each domain: 0 or a person */
    bool *unsure;                  /* of each domain: its users file is empty */
    struct span postmaster_domain; /* of a bare "postmaster" */
    size_t user_count, alias_count, unsure_count;
    size_t large_count; /* aliases that were expanded to see whether they are too large */
};

static inline struct person *people_person(const struct people *p, uint32_t handle)
{
    return slab_at(&p->persons, handle);
}

/* Whether following the aliases of `from` ends at this target, which is a person here: "\name", a
 * copy to oneself, or who has no aliases. Then it is a mailbox if that person is a user, else
 * nobody. */
static inline bool people_ends_at(const struct people *p, uint32_t from,
                                  const struct people_target *t)
{
    return t->direct || t->person == from || !people_person(p, t->person)->targets;
}

/* Index into domains, plus one; 0: not ours. */
uint32_t people_domain(const struct people *p, struct span name);

/* Makes a filled-in person, or the domain of index + 1, known by name. 0 or -ENOMEM. */
int people_insert(struct people *p, uint32_t handle);
int people_insert_domain(struct people *p, uint32_t index_plus_one);

/* The person of this very name (no extension is cut off); 0: none. */
uint32_t people_lookup(const struct people *p, struct span local, uint32_t domain_index);
/* The same, or the one without its +extension. */
uint32_t people_resolve(const struct people *p, struct span local, uint32_t domain_index);

/* Warns of aliases in circles, of those that lead to nobody, and of those that lead to too many. */
void people_check(struct people *p, struct conf_problems *problems);
