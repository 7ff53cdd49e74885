/*
 * The table and its look-ups: persons by (domain, local part), domains by name. It never changes
 * once it was made, so pointers into it live as long as it.
 */
#include "people/internal.h"

#include <errno.h>
#include <stdlib.h>

struct name_key {
    const struct people *people;
    struct span name;
    uint32_t domain;
};

/* FNV-1a without regard to case. What strangers choose is only looked up, never inserted. */
static uint32_t hash_name(struct span name, uint32_t domain)
{
    uint32_t hash = 2166136261u ^ domain * 2654435761u;

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (uint8_t)ascii_lower(name.data[i])) * 16777619u;
    return hash;
}

static bool person_matches(const void *key, uint32_t handle)
{
    const struct name_key *k = key;
    const struct person *person = people_person(k->people, handle);

    return person->domain == k->domain && span_equal_nocase(person->local, k->name);
}

static bool domain_matches(const void *key, uint32_t handle)
{
    const struct name_key *k = key;

    return span_equal(k->people->domains[handle - 1], k->name);
}

uint32_t people_domain(const struct people *p, struct span name)
{
    struct name_key key = {p, name, 0};

    return table_find(&p->by_domain, hash_name(name, 0), domain_matches, &key);
}

uint32_t people_lookup(const struct people *p, struct span local, uint32_t domain_index)
{
    struct name_key key = {p, local, domain_index};

    return table_find(&p->by_name, hash_name(local, domain_index), person_matches, &key);
}

int people_insert(struct people *p, uint32_t handle)
{
    const struct person *person = people_person(p, handle);

    return table_insert(&p->by_name, hash_name(person->local, person->domain), handle);
}

int people_insert_domain(struct people *p, uint32_t index_plus_one)
{
    return table_insert(&p->by_domain, hash_name(p->domains[index_plus_one - 1], 0),
                        index_plus_one);
}

uint32_t people_resolve(const struct people *p, struct span local, uint32_t domain_index)
{
    uint32_t found = people_lookup(p, local, domain_index);
    ptrdiff_t plus = span_find(local, '+');

    /* A name with a "+" in it that is listed as such goes before user+extension. */
    if (found == 0 && plus > 0)
        found = people_lookup(p, span_first(local, (size_t)plus), domain_index);
    return found;
}

enum people_kind people_find(const struct people *people, struct span local, struct span domain,
                             struct span *out_address)
{
    bool bare = domain.size == 0 && span_equal_nocase(local, SPAN("postmaster"));
    uint32_t index = people_domain(people, bare ? people->postmaster_domain : domain);

    if (index == 0)
        return PEOPLE_FOREIGN;
    uint32_t handle = people_resolve(people, local, index - 1);
    if (handle == 0)
        return people->unsure[index - 1] ? PEOPLE_UNSURE : PEOPLE_NOBODY;
    const struct person *person = people_person(people, handle);
    *out_address = person->address;
    return person->targets ? PEOPLE_ALIAS : PEOPLE_USER;
}

size_t people_user_count(const struct people *people)
{
    return people->user_count;
}

size_t people_alias_count(const struct people *people)
{
    return people->alias_count;
}

size_t people_unsure_count(const struct people *people)
{
    return people->unsure_count;
}

void people_free(struct people *people)
{
    if (!people)
        return;
    table_done(&people->by_name);
    table_done(&people->by_domain);
    slab_done(&people->persons);
    arena_done(&people->arena);
    free(people);
}
