/* Looks for black holes: aliases in circles, and aliases that lead nowhere. */
#include "people/internal.h"

/* Where the search goes from `person` next; NULL when it has been everywhere. A copy to one's own
 * mailbox is no circle. `next_target` remembers the place, so each target is followed once in all.
 */
static struct people_target *next_step(const struct people *p, struct person *person,
                                       uint32_t handle)
{
    struct people_target *t = person->next_target;

    while (t && (t->person == 0 || t->direct || !people_person(p, t->person)->targets ||
                 (t->person == handle && person->user)))
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

/* Not of those who may be missing because their file is empty: there is a warning of that. */
static void check_targets(struct people *p, struct conf_problems *problems,
                          const struct person *person)
{
    for (const struct people_target *t = person->targets; t; t = t->next) {
        if (!t->foreign && !t->unsure &&
            (t->person == 0 || (t->direct && !people_person(p, t->person)->user)))
            conf_warn(problems, t->place, "`%.*s` is nobody here; mend the name or add the user",
                      SPAN_ARG(t->address));
    }
}

void people_check(struct people *p, struct conf_problems *problems)
{
    for (uint32_t handle = 1; handle < p->persons.next_fresh; handle++) {
        struct person *person = people_person(p, handle);
        person->next_target = person->targets;
        check_targets(p, problems, person);
    }
    for (uint32_t handle = 1; handle < p->persons.next_fresh; handle++)
        if (people_person(p, handle)->mark == PEOPLE_UNSEEN)
            search_from(p, problems, handle);
}
