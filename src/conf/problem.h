/*
 * What is wrong with a configuration, gathered instead of stopping at the first: each problem has a
 * place and a text that says what is wrong and how to mend it. At most CONF_PROBLEMS_MAX are kept,
 * errors before warnings; more are counted.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

enum { CONF_PROBLEMS_MAX = 200 };

enum conf_severity { CONF_WARNING, CONF_ERROR };

struct conf_place {
    struct span file; /* as the user named it */
    uint32_t line;    /* from 1; 0: the file as a whole */
    uint32_t column;  /* from 1; 0: the line as a whole */
};

struct conf_problem {
    enum conf_severity severity;
    struct conf_place place;
    struct span text;
};

struct conf_problems {
    struct arena arena; /* holds the texts and the names of files */
    struct conf_problem items[CONF_PROBLEMS_MAX];
    size_t count;
    size_t error_count, warning_count; /* also those that are not kept */
};

/* Some 10 KB in itself, texts aside. */
void conf_problems_init(struct conf_problems *p);
void conf_problems_done(struct conf_problems *p);

/* Copies the place's file name; long texts are cut. */
void conf_error(struct conf_problems *p, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warn(struct conf_problems *p, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* By file (in the order of their first problem), line and column. */
void conf_problems_sort(struct conf_problems *p);

/* Appends "file:line:column: error: text" without a line end. */
void conf_problem_format(const struct conf_problem *problem, struct buffer *out);
