/* Looks for black holes: aliases in circles, aliases that lead nowhere, and aliases that are too
 * large to be expanded. */
#include "people/internal.h"

#include <errno.h>

/* Aliases that are looked at one by one, because they may be too large: expanding is what costs. */
enum { LARGE_MAX = 100 };

/* Where the search goes from `person` next; NULL when it has been everywhere.
 * `next_target` remembers the place, so each target is followed once in all. */
static struct people_target *next_step(const struct people *p, struct person *person,
                                       uint32_t handle)
{
    struct people_target *t = person->next_target;

    while (t && (t->person == 0 || people_ends_at(p, handle, t)))
        t = t->next;
    person->next_target = t ? t->next : NULL;
    return t;
}

/* Names the circle that `from` closes by leading back to `to`. */
static void report_circle(struct people *p, struct conf_problems *problems, uint32_t from,
                          uint32_t to, struct conf_place place)
{
    struct buffer text = BUFFER_LIMITED(250);

    buffer_append_span(&text, people_person(p, to)->address);
    for (uint32_t at = from; at != to; at = people_person(p, at)->parent) {
        buffer_printf(&text, " <- ");
        buffer_append_span(&text, people_person(p, at)->address);
    }
    conf_warn(problems, place, "aliases lead in a circle: %.*s <- ...; take one of them out",
              SPAN_ARG(buffer_span(&text)));
    buffer_done(&text);
}

/* When all that it leads to was searched. At most PEOPLE_EXPANSION_MAX and one more, so that nested
 * aliases can't wrap. True: it may be too large, and none that it leads to is. */
static bool count_members(struct people *p, uint32_t handle)
{
    struct person *person = people_person(p, handle);
    uint32_t count = 0;
    bool inherited = false;

    for (const struct people_target *t = person->targets; t; t = t->next) {
        bool alias = t->person && !people_ends_at(p, handle, t);
        uint32_t more = alias ? people_person(p, t->person)->members : 1;
        inherited |= more > PEOPLE_EXPANSION_MAX;
        if (count <= PEOPLE_EXPANSION_MAX)
            count += more;
    }
    person->members = count <= PEOPLE_EXPANSION_MAX ? count : (uint32_t)PEOPLE_EXPANSION_MAX + 1;
    return count > PEOPLE_EXPANSION_MAX && !inherited;
}

/* Who is counted in several ways may make it look too large. Those that lead to such a one are
 * told of when that was mended. */
static void check_size(struct people *p, struct conf_problems *problems, uint32_t handle)
{
    const struct person *person = people_person(p, handle);
    struct arena arena = ARENA_INIT;
    struct span *to;
    size_t count;

    if (!count_members(p, handle) || p->large_count == LARGE_MAX)
        return;
    p->large_count++;
    if (people_expand(p, person->address, &arena, &to, &count) == -E2BIG)
        conf_warn(problems, person->place,
                  "`%.*s` leads to more than %d addresses, mail to it is deferred; divide it",
                  SPAN_ARG(person->address), PEOPLE_EXPANSION_MAX);
    arena_done(&arena);
}

/* Depth first without recursion: each person on the way knows who led there. Marks as in any search
 * for circles: OPEN is on the way from `start` to here, so a step to it closes a circle; SEEN was
 * searched to its end before. Aliases may be nested as deep as the file is long, which is why there
 * is no recursion. */
static void search_from(struct people *p, struct conf_problems *problems, uint32_t start)
{
    uint32_t at = start;

    people_person(p, at)->mark = PEOPLE_OPEN;
    while (at) {
        struct person *person = people_person(p, at);
        struct people_target *t = next_step(p, person, at);
        if (!t) {
            person->mark = PEOPLE_SEEN;
            check_size(p, problems, at);
            at = person->parent;
            continue;
        }
        struct person *next = people_person(p, t->person);
        if (next->mark == PEOPLE_OPEN) {
            report_circle(p, problems, at, t->person, t->place);
        } else if (next->mark == PEOPLE_UNSEEN) {
            next->mark = PEOPLE_OPEN;
            next->parent = at;
            at = t->person;
        }
    }
}

static bool is_nobody(const struct people *p, uint32_t from, const struct people_target *t)
{
    return t->person == 0 || (people_ends_at(p, from, t) && !people_person(p, t->person)->user);
}

/* Not of those who may be missing because their file is empty: there is a warning of that. */
static void check_targets(struct people *p, struct conf_problems *problems, uint32_t handle)
{
    const struct person *person = people_person(p, handle);

    for (const struct people_target *t = person->targets; t; t = t->next) {
        if (!t->foreign && !t->unsure && is_nobody(p, handle, t))
            conf_warn(problems, t->place, "`%.*s` is nobody here; mend the name or add the user",
                      SPAN_ARG(t->address));
    }
}

void people_check(struct people *p, struct conf_problems *problems)
{
    for (uint32_t handle = 1; handle < p->persons.next_fresh; handle++) {
        struct person *person = people_person(p, handle);
        person->next_target = person->targets;
        check_targets(p, problems, handle);
    }
    for (uint32_t handle = 1; handle < p->persons.next_fresh; handle++)
        if (people_person(p, handle)->mark == PEOPLE_UNSEEN)
            search_from(p, problems, handle);
}
