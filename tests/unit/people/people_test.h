/* A table of two domains from the texts of their files; what is wrong, as text. */
#pragma once

#include "../conf/problems.h"

#include "people/people.h"

struct fixture {
    struct conf_problems problems;
    struct people *people; /* NULL when there were errors */
    int result;
};

static inline void fixture_init(struct fixture *f, const char *postmaster, const char *users,
                                const char *aliases)
{
    static struct conf_directory_domain domains[] = {
        {.name = {"a.test", 6}, .users = {"users", 5}, .aliases = {"aliases", 7}},
        {.name = {"b.test", 6}, .users = {"users", 5}, .aliases = {"aliases", 7}},
        {.name = {"c.test", 6}}};
    static struct conf_file names[] = {{.name = {"users", 5}}, {.name = {"aliases", 7}}};
    const struct conf_directory part = {.domains = domains,
                                        .domain_count = ARRAY_SIZE(domains),
                                        .files = names,
                                        .file_count = ARRAY_SIZE(names),
                                        .postmaster = span_from_cstr(postmaster),
                                        .postmaster_place = {SPAN("conf"), 7, 1}};
    const struct people_file files[] = {{SPAN("users"), span_from_cstr(users)},
                                        {SPAN("aliases"), span_from_cstr(aliases)}};

    conf_problems_init(&f->problems);
    f->people = NULL;
    f->result = people_new(&part, files, ARRAY_SIZE(files), &f->problems, &f->people);
}

static inline void fixture_done(struct fixture *f)
{
    people_free(f->people);
    conf_problems_done(&f->problems);
}
