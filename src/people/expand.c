/*
 * Breadth first over a list of aliases found so far: no recursion, each alias and each user once,
 * so circles end by themselves. Bounded by results and by steps, whichever comes first.
 */
#include "people/internal.h"

#include <errno.h>

/* Persons that one expansion may pass: its results and as many aliases on the way. */
enum { STEPS_MAX = 2 * PEOPLE_EXPANSION_MAX, SLOTS = 4096 };

struct expansion {
    const struct people *people;
    uint32_t way[STEPS_MAX]; /* aliases: found, in the order of finding */
    size_t way_count;
    struct span *results;
    size_t result_count;
    uint32_t seen[2][SLOTS]; /* open addressing: aliases, users */
    int error;
};

/* Whether the handle was already seen; remembers it. At most half of the slots are ever taken. */
static bool seen_before(uint32_t *slots, uint32_t handle)
{
    uint32_t at = handle * 2654435761u % SLOTS;

    while (slots[at] && slots[at] != handle)
        at = (at + 1) % SLOTS;
    bool known = slots[at] == handle;
    slots[at] = handle;
    return known;
}

static void add_alias(struct expansion *e, uint32_t handle)
{
    if (seen_before(e->seen[0], handle))
        return;
    if (e->way_count == STEPS_MAX - 1)
        e->error = -E2BIG;
    else
        e->way[e->way_count++] = handle;
}

static void add_result(struct expansion *e, struct span address)
{
    if (e->result_count == PEOPLE_EXPANSION_MAX)
        e->error = -E2BIG;
    else
        e->results[e->result_count++] = address;
}

static void add_user(struct expansion *e, uint32_t handle)
{
    if (!seen_before(e->seen[1], handle))
        add_result(e, people_person(e->people, handle)->address);
}

/* Linear: bounded by PEOPLE_EXPANSION_MAX, and foreign addresses have no handle to mark. */
static void add_foreign(struct expansion *e, struct span address)
{
    for (size_t i = 0; i < e->result_count; i++)
        if (span_equal(e->results[i], address))
            return;
    add_result(e, address);
}

/* Who is nobody here is passed by: people_check() has warned of it, and the other
 * recipients of the alias shall get their mail. When none is left the expansion fails (-ENOLINK),
 * so the message isn't lost in silence. One who may have been in an empty users file isn't passed
 * by: the message would never reach him. */
static void pass_by(struct expansion *e, const struct people_target *t)
{
    if (t->unsure)
        e->error = -EAGAIN;
}

static void follow(struct expansion *e, uint32_t from, const struct people_target *t)
{
    if (t->foreign)
        add_foreign(e, t->address);
    if (t->person == 0) {
        pass_by(e, t);
        return;
    }
    if (!people_ends_at(e->people, from, t))
        add_alias(e, t->person);
    else if (people_person(e->people, t->person)->user)
        add_user(e, t->person);
    else
        pass_by(e, t);
}

static int run(struct expansion *e, uint32_t start)
{
    add_alias(e, start);
    for (size_t i = 0; i < e->way_count && e->error == 0; i++) {
        const struct person *person = people_person(e->people, e->way[i]);
        for (const struct people_target *t = person->targets; t && e->error == 0; t = t->next)
            follow(e, e->way[i], t);
    }
    if (e->error)
        return e->error;
    return e->result_count ? 0 : -ENOLINK;
}

int people_expand(const struct people *people, struct span address, struct arena *arena,
                  struct span **out_addresses, size_t *out_count)
{
    struct address a;

    if (address_parse(address, ADDRESS_ALLOW_UTF8, &a) != ADDRESS_OK)
        return -ENOENT;
    uint32_t domain = people_domain(people, address_domain(&a));
    uint32_t start = domain ? people_resolve(people, address_raw_local(&a), domain - 1) : 0;
    if (start == 0 || !people_person(people, start)->targets)
        return -ENOENT;
    struct expansion *e = arena_alloc(arena, sizeof(*e));
    struct span *results = arena_alloc_array(arena, PEOPLE_EXPANSION_MAX, sizeof(*results));
    if (!e || !results)
        return -ENOMEM;
    e->people = people;
    e->results = results;
    int r = run(e, start);
    if (r < 0)
        return r;
    *out_addresses = results;
    *out_count = e->result_count;
    return 0;
}
