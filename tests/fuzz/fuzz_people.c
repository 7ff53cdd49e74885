/* Users and aliases files: whatever they hold, a table that was made answers without a crash. The
 * first NUL divides the two files. */
#include "fuzz.h"

#include "people/people.h"

static struct conf_directory_domain domains[] = {
    {.name = {"a.test", 6}, .users = {"users", 5}, .aliases = {"aliases", 7}},
    {.name = {"b.test", 6}, .aliases = {"aliases", 7}}};
static struct conf_file names[] = {{.name = {"users", 5}}, {.name = {"aliases", 7}}};
static const struct conf_directory part = {
    .domains = domains, .domain_count = 2, .files = names, .file_count = 2};

/* Of an empty users file nobody is called unknown. */
static void ask(const struct people *people, struct span name, bool has_users)
{
    struct arena arena = ARENA_INIT;
    struct span address, *to;
    size_t count;

    enum people_kind kind = people_find(people, name, SPAN("a.test"), &address);
    assert(kind != (has_users ? PEOPLE_UNSURE : PEOPLE_NOBODY));
    if (kind == PEOPLE_ALIAS && people_expand(people, address, &arena, &to, &count) == 0)
        for (size_t i = 0; i < count; i++)
            assert(span_find(to[i], '@') > 0);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = span_of(data, size);
    ptrdiff_t nul = span_find(all, '\0');
    struct span users = nul < 0 ? all : span_first(all, (size_t)nul);
    const struct people_file files[] = {{SPAN("users"), users},
                                        {SPAN("aliases"), span_from(all, users.size + 1)}};
    struct conf_problems problems;
    struct people *people;

    conf_problems_init(&problems);
    if (people_new(&part, files, 2, &problems, &people) == 0) {
        ask(people, SPAN("postmaster"), users.size > 0);
        ask(people, SPAN("x"), users.size > 0);
        ask(people, span_first(all, 1), users.size > 0);
        people_free(people);
    }
    conf_problems_done(&problems);
    return 0;
}
