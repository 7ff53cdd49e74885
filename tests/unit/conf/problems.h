/* Comparing what was found wrong with what a test expects, as one text with a line a problem. */
#pragma once

#include "../unit.h"

#include <stdio.h>

#include "conf/conf.h"
#include "conf/problem.h"

/* Sorted; file names left out: "3:5: error: text\n". */
static inline void problems_text(struct conf_problems *problems, struct buffer *out)
{
    conf_problems_sort(problems);
    for (size_t i = 0; i < problems->count; i++) {
        const struct conf_problem *p = &problems->items[i];
        buffer_printf(out, "%u:%u: %s: " SPAN_FMT "\n", p->place.line, p->place.column,
                      p->severity == CONF_ERROR ? "error" : "warning", SPAN_ARG(p->text));
    }
    buffer_append_byte(out, '\0');
}

/* Every line of `expected` ("3:5: error: part of the text") fits the problem of the same number,
 * and there are no more problems than lines. */
static inline void assert_problems(struct conf_problems *problems, const char *name,
                                   const char *expected)
{
    struct buffer found = BUFFER_INIT;
    const char *want = expected;
    bool same = true;

    problems_text(problems, &found);
    for (const char *have = found.data; *have && same;) {
        size_t have_size = strcspn(have, "\n"), want_size = strcspn(want, "\n");
        same = want_size && memmem(have, have_size, want, want_size);
        have += have_size + (have[have_size] == '\n');
        want += want_size + (want[want_size] == '\n');
    }
    if (!same || *want) {
        fprintf(stderr, "case %s\nexpected:\n%s\nfound:\n%s\n", name, expected, found.data);
        fail();
    }
    buffer_done(&found);
}

/* A configuration without an error. */
static inline void parse_sound(const char *text, struct conf *out)
{
    struct conf_problems problems;

    conf_problems_init(&problems);
    assert_int_equal(conf_parse(span_from_cstr(text), SPAN("f.yaml"), SPAN("/etc"), &problems, out),
                     0);
    conf_problems_done(&problems);
}
